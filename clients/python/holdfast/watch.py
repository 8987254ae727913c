"""Watches as programs read them: an iterator, or a function that is called."""

from __future__ import annotations

import logging
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Generic, Iterable, Literal, Optional, Tuple, Type, TypeVar

from . import _arguments
from ._feed import Buffer, Feed, Spec
from ._watches import Watches
from .errors import BadArgument, HoldfastError
from .events import Event, EventKind
from .types import check_number

log = logging.getLogger("holdfast")

Scope = Literal["node", "children", "subtree"]
Space = Literal["keys", "locks", "both"]
#: Called with one event after the other.
OnEvent = TypeVar("OnEvent", bound=Callable[[Event], Any])


def since_revision(since: Optional[int]) -> int:
    """The wire's sinceRevision: None is from now on; 0 would be that, too, so it becomes the first
    revision, which no key has."""
    since = _arguments.whole_or_none("since", since, "from now on")
    if since is None:
        return 0
    if since < 0:
        raise BadArgument(f"since {since} is negative: give None to be told from now on")
    return max(check_number("since", since), 1)


def event_kinds(kinds: Optional[Iterable[EventKind]]) -> Tuple[EventKind, ...]:
    """What is to be told, as a Spec has it; of None everything."""
    if kinds is None:
        return ()
    wanted = tuple(_arguments.many("kinds", kinds, "EventKind"))
    for kind in wanted:
        if not isinstance(kind, EventKind):
            raise _arguments.wrong("each of kinds", kind, "an EventKind")
    if not wanted or EventKind.RESYNC in wanted:
        raise BadArgument("kinds names what is to be told besides RESYNC, which always is: "
                          "at least one, or None for all")
    return wanted


class Watch:
    """What happens at a place, in order, each change once; made by :meth:`Session.watch`.

    ::

        with session.watch("/config", scope="subtree", values=True) as watch:
            for event in watch:
                print(event.kind, event.path, event.text)

    It goes on by itself on another server, and after a restart of all. If it was so far behind
    that the servers no longer know every change, it tells one event RESYNC with the present state.

    Events that are not read are buffered, up to a limit; beyond that the watch rests, and the
    servers' history keeps what happens until the program reads on. Thread-safe. A watch that is no
    longer referred to is closed.
    """

    def __init__(self, watches: Watches, feed: Buffer, timeout: Optional[float]) -> None:
        """Use :meth:`holdfast.Session.watch` instead."""
        self._watches = watches
        self._home = watches.home
        self._feed = feed
        self._timeout = timeout
        weakref.finalize(self, watches.abandoned.append, feed).atexit = False

    @property
    def path(self) -> str:
        """The place."""
        return self._feed.spec.path

    @property
    def revision(self) -> int:
        """All that happened up to here was read: pass it as ``since`` to go on elsewhere, or later.

        In the midst of changes that were made together it is the revision before them.
        """
        self._home.check("watch")
        with self._watches.mutex:
            return self._feed.revision

    def get(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next event, or None when ``timeout`` seconds have passed or the watch was closed.

        Raises what has ended the watch (SessionExpired, SessionClosed), after the last event that
        had come before.
        """
        found = self._next(self._feed.pop_event, timeout)
        return found or None

    def group(self, timeout: Optional[float] = None) -> Tuple[Event, ...]:
        """All events of the next revision that has any; () as :meth:`get` answers None."""
        return self._next(self._feed.pop_group, timeout) or ()

    def _next(self, pop: Callable[[], Any], timeout: Optional[float]) -> Any:
        self._home.check("watch")
        _arguments.timeout(timeout)
        until = None if timeout is None else time.monotonic() + timeout
        with self._watches.mutex:
            while True:
                found = pop()
                if found:
                    self._watches.after_read(self._feed)
                    return found
                left = None if until is None else until - time.monotonic()
                if self._feed.closed or (left is not None and left <= 0):
                    return None
                self._watches.check(self._feed)
                self._watches.changed.wait(left)

    def __iter__(self) -> "Watch":
        return self

    def __next__(self) -> Event:
        event = self.get(self._timeout)
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """End the watch; whoever iterates over it comes to the end."""
        self._home.check("watch")
        self._watches.close(self._feed)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if not self._home.away():
            self.close()

    def __repr__(self) -> str:
        return f"<Watch of {self.path} ({self._feed.spec.scope}) at {self._feed.revision}>"


class Subscription(Generic[OnEvent]):
    """A function that is called with what happens; made by :meth:`Session.on_change`.

    It may be called like the function itself.
    """

    def __init__(self, watches: Watches, function: OnEvent, stop_on_error: bool) -> None:
        self._watches = watches
        self._function = function
        self._stop_on_error = stop_on_error
        self._feed: Optional[Buffer] = None
        self._error: Optional[BaseException] = None

    def _begin(self, spec: Spec, since: int, buffer: int, timeout: float) -> None:
        self._feed = Buffer(spec, since, buffer, lambda: self._watches.call_later(self._tell))
        self._watches.add(self._feed, timeout)

    def _tell(self) -> None:
        """On the thread for that: the events of one revision."""
        feed = self._begun()
        with self._watches.mutex:
            events = () if feed.closed else feed.pop_group()
            self._watches.after_read(feed)
        for event in events:
            try:
                self._function(event)
            except Exception as error:
                log.exception("the function that watches %s failed at revision %d", feed.spec.path,
                              event.revision)
                if self._stop_on_error:
                    self._error = error
                    self._watches.close(feed)
                    return

    def _begun(self) -> Buffer:
        if self._feed is None:
            raise HoldfastError("this subscription has not begun")
        return self._feed

    @property
    def error(self) -> Optional[BaseException]:
        """What has ended it: the function's own exception, the session's end; None if it goes on or
        was closed."""
        return self._error or self._begun().error

    @property
    def revision(self) -> int:
        """The function was called with all that happened up to here, or is being called."""
        self._watches.home.check("subscription")
        with self._watches.mutex:
            return self._begun().revision

    def close(self) -> None:
        """Call the function no more, but for a call that is under way."""
        self._watches.home.check("subscription")
        self._watches.close(self._begun())

    def __call__(self, event: Event) -> Any:
        return self._function(event)


def ended(feed: Feed) -> bool:
    """Is the watch over, for whatever reason?"""
    return feed.closed or feed.error is not None
