"""A part of the keys, kept in memory."""

from __future__ import annotations

import logging
import weakref
from types import TracebackType
from typing import (Any, Callable, Dict, FrozenSet, ItemsView, Iterator, KeysView, List, Mapping,
                    Optional, Set, Tuple, Type, ValuesView)

from holdfast_api.keys.ttypes import GetRequest

from . import _arguments
from ._assembly import Group
from ._feed import Feed, Spec
from ._keycalls import pages
from ._reads import read
from ._router import Router
from ._watches import Watches
from .errors import NoKey
from .events import Event, EventKind
from .keys import Entry, Key
from .types import check_number
from .watch import ended

log = logging.getLogger("holdfast")

#: Called with the mirror and the paths whose keys are not as they were at the last call.
OnUpdate = Callable[["Mirror", FrozenSet[str]], None]


class Copy(Feed):
    """The keys as they are at the feed's position."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, 0)
        self.entries: Dict[str, Entry] = {}
        #: Paths that have changed since the last time that somebody was told.
        self.touched: Set[str] = set()
        self.tell: Optional[Callable[[], None]] = None

    def fill(self, router: Router, timeout: float) -> int:
        """Read all there is. Returns the revision from which on it is a true copy.

        Pages are read one after the other, each at a revision of its own. The watch tells all that
        changes from the first on: of what a later page has already, it says in the end the same.
        """
        path = self.spec.path
        result = read(router, "get", GetRequest(path=path), timeout)
        self.assembly.position = complete = result.header.revision or 0
        if result.found and path != "/":
            self._put(result.key)
        try:
            for page in pages(router, path, True, True, False, timeout):
                complete = max(complete, page.header.revision or 0)
                for wire in page.keys or ():
                    self._put(wire)
        except NoKey:  # or no longer: the watch will tell what is gone of what was read
            complete = max(complete, router.newest)
        return complete

    def _put(self, wire: Any) -> None:
        key = Key.of(wire, 0)
        self.entries[key.path] = Entry(key.path, key.value, key.version, key.create_revision,
                                       key.modify_revision, key.ephemeral_owner)

    def take(self, group: Group) -> None:
        for event in group.events:
            if event.kind is EventKind.RESYNC and event.state is not None:
                self._replace(event.state.keys)
            else:
                self._apply(event)
        if self.tell is None:
            self.touched.clear()
        elif self.touched:
            self.tell()

    def _apply(self, event: Event) -> None:
        if event.kind is EventKind.DELETED:
            self.entries.pop(event.path, None)
        else:
            self.entries[event.path] = event.entry
        self.touched.add(event.path)

    def _replace(self, entries: Mapping[str, Entry]) -> None:
        before, self.entries = self.entries, dict(entries)
        self.touched.update(path for path in before.keys() | entries.keys()
                            if before.get(path) != entries.get(path))


class Mirror(Mapping[str, Entry]):
    """All keys at a path and below it, by path, as they were a moment ago: read-only, and free to
    read; made by :meth:`Session.mirror`.

    It is read once, then follows a watch: through the death of servers it goes on from where it is,
    and shows every state whole, never an older one than before. How far it is says ``revision``; to
    see what was written, wait for the revision of the write. When the session ends it stays as it
    is: :meth:`check` tells.
    """

    def __init__(self, watches: Watches, router: Router, path: str, timeout: float) -> None:
        """Use :meth:`holdfast.Session.mirror` instead."""
        self._watches = watches
        self._home = watches.home
        self._told = False
        self._functions: List[OnUpdate] = []
        self._feed = Copy(Spec(path, "subtree", "keys", True))
        complete = self._feed.fill(router, timeout)
        watches.add(self._feed, timeout)
        try:
            watches.reach(self._feed, complete, timeout)
        except BaseException:
            watches.close(self._feed)
            raise
        weakref.finalize(self, watches.abandoned.append, self._feed).atexit = False

    # --------------------------------------------------------------------------------- reading

    def __getitem__(self, path: str) -> Entry:
        with self._lock():
            return self._feed.entries[path]

    def __len__(self) -> int:
        with self._lock():
            return len(self._feed.entries)

    def __iter__(self) -> Iterator[str]:
        """The paths at this moment, in no particular order."""
        return iter(self.snapshot()[1])

    # An iteration shows one state, whatever happens meanwhile.

    def keys(self) -> KeysView[str]:
        """The paths at this moment."""
        return self.snapshot()[1].keys()

    def values(self) -> ValuesView[Entry]:
        """The keys at this moment."""
        return self.snapshot()[1].values()

    def items(self) -> ItemsView[str, Entry]:
        """Paths and keys at this moment."""
        return self.snapshot()[1].items()

    def snapshot(self) -> Tuple[int, Mapping[str, Entry]]:
        """A revision, and all keys as they were then."""
        with self._lock():
            return self._feed.assembly.position, dict(self._feed.entries)

    def _lock(self) -> Any:
        self._home.check("mirror")
        return self._watches.mutex

    @property
    def path(self) -> str:
        """The place."""
        return self._feed.spec.path

    @property
    def revision(self) -> int:
        """The revision of what is shown."""
        with self._lock():
            return self._feed.assembly.position

    # --------------------------------------------------------------------------------- waiting

    def wait_for(self, revision: int, timeout: Optional[float] = None) -> None:
        """Wait until the mirror shows at least this revision, e.g. that of a write.

        Raises :class:`WaitTimeout` after ``timeout`` seconds, or what has ended the mirror.
        """
        self._home.check("mirror")
        self._watches.reach(self._feed, check_number("revision", revision),
                            _arguments.timeout(timeout))

    def on_update(self, function: OnUpdate) -> OnUpdate:
        """Have a function called after the mirror has changed, on the session's thread for that.

        It is given the mirror and the paths that have changed since it was called last: while it
        runs, changes gather. An exception is logged, and the next call comes all the same.
        """
        if not callable(function):
            raise _arguments.wrong("function", function, "a function")
        with self._lock():
            self._functions.append(function)
            self._feed.tell = self._tell_later
        return function

    def _tell_later(self) -> None:
        if not self._told:
            self._told = True
            self._watches.call_later(self._tell)

    def _tell(self) -> None:
        with self._watches.mutex:
            self._told = False
            touched, self._feed.touched = frozenset(self._feed.touched), set()
            functions = list(self._functions) if not self._feed.closed else []
        for function in functions:
            try:
                function(self, touched)
            except Exception:
                log.exception("a function that follows the mirror of %s failed", self.path)

    # --------------------------------------------------------------------------------------- end

    @property
    def alive(self) -> bool:
        """Does it still follow?"""
        return not self._home.away() and not ended(self._feed)

    def check(self) -> None:
        """Raise what has ended the mirror: SessionExpired, SessionClosed, or that it was closed."""
        with self._lock():
            self._watches.check(self._feed)

    def close(self) -> None:
        """Follow no longer."""
        self._home.check("mirror")
        self._watches.close(self._feed)

    def __enter__(self) -> "Mirror":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if not self._home.away():
            self.close()

    def __repr__(self) -> str:
        keys = "1 key" if len(self) == 1 else f"{len(self)} keys"
        return f"<Mirror of {self.path}: {keys} at revision {self.revision}>"
