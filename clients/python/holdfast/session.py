"""Sessions: a program's presence in the cluster, kept alive in the background."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from types import TracebackType
from typing import Callable, Iterable, Literal, Mapping, Optional, Type, Union

from holdfast_api.holdfast.ttypes import CloseSessionRequest, OpenSessionRequest, RequestContext

from . import _arguments
from ._clock import boot
from ._core import Core, call_apart
from ._feed import Buffer, Spec
from ._keeper import Keeper
from ._keycalls import SessionKeys
from ._requests import path_of
from ._router import Router, Undecided, as_error, of_this_copy
from .election import Election
from .errors import HoldfastError, SessionClosed, SessionError
from .events import EventKind
from .lock import Leadership, Lock, OnLost, OnRevoke, Terms
from .mirror import Mirror
from .types import Value, Wanted, to_bytes
from .watch import OnEvent, Scope, Space, Subscription, Watch, event_kinds, since_revision

log = logging.getLogger("holdfast")

SECRET_BYTES = 16
#: Events that a watch keeps for a program that does not read them.
BUFFER_EVENTS = 10_000
CLOSE_SECONDS_MAX = 5.0
#: How soon a session whose number is not known is asked for again.
FIND_PAUSE_SECONDS = 0.2

#: Called with the error that ended the session.
OnExpired = Callable[[SessionError], None]


def default_name() -> str:
    """Program, process and host: "billing-4711@host"."""
    program = os.path.basename(sys.argv[0] if sys.argv else "") or "python"
    return f"{program}-{os.getpid()}@{socket.gethostname()}"


class Session(SessionKeys):
    """A session; made by :meth:`holdfast.Client.session`. Thread-safe.

    Two background threads renew it and watch its locks' deadlines. It ends when it is closed, or
    when a server says that it has expired; a network that fails only ends the lock handles, each
    at its deadline, and the session goes on if the servers still have it.
    """

    def __init__(self, router: Router, *, ttl: float, name: Optional[str],
                 attributes: Optional[Mapping[str, str]], on_expired: Optional[OnExpired],
                 timeout: float) -> None:
        """Use :meth:`holdfast.Client.session` instead."""
        _arguments.seconds("ttl", ttl)
        if name is not None:
            _arguments.text("name", name)
        for key, value in _arguments.mapping("attributes", attributes, "str to str").items():
            _arguments.text(f"attributes[{key!r}]", value)
            _arguments.text("a key of attributes", key)
        _arguments.function("on_expired", on_expired)
        self._home = router.home
        self._router = router
        self._patience = self._timeout = timeout
        self._core = Core(router, os.urandom(SECRET_BYTES), name or default_name())
        self._core.on_expired = on_expired
        facts = {"pid": str(os.getpid()), "host": socket.gethostname()}
        facts.update(attributes or {})
        self._request = OpenSessionRequest(ttlMs=round(ttl * 1000), name=self._core.name,
                                           attributes=facts, secret=self._core.secret)
        #: Its opening was asked for: the servers may have it, under a number not known yet.
        self._may_be_open = False
        #: A thread apart does so, which a client that is closed waits for.
        self._being_closed = False
        self._keeper: Optional[Keeper] = None
        #: The number of the command that closes it, once there is one.
        self._last_sequence = 0
        #: That it is closed, as far as they could be told.
        self._servers_know = False
        self._closing = threading.Lock()

    def _begin(self) -> None:
        """Open it. If that fails, nobody gets to know this session: it is closed if it is there."""
        try:
            self._open(self._timeout)
            self._keeper = Keeper(self._core)
            self._keeper.start()
            log.info("opened session %d (%s), ttl %g s", self.id, self.name, self.ttl)
        except BaseException:  # out of time or of threads, or interrupted
            if self._may_be_open:
                self._being_closed = True
                call_apart("close", self._close_apart)
            elif self.id:
                self.close()
            else:
                self._core.end(SessionClosed("this session was not opened"))
            raise

    def _close_apart(self) -> None:
        try:
            self._close(None)
        finally:
            self._being_closed = False

    def _is_over(self) -> bool:
        """For its client: there is nothing left to close."""
        return not self.alive and not self._being_closed

    def _open(self, timeout: float) -> None:
        core = self._core
        sent = [0.0]

        def context() -> RequestContext:
            sent[0], self._may_be_open = boot(), True
            return RequestContext()

        try:
            result = core.router.call("openSession", context, self._request, seen=core.see_header,
                                      until=time.monotonic() + timeout)
        except Undecided as undecided:
            self._may_be_open = undecided.sent
            raise as_error(undecided, "openSession", timeout) from undecided
        except HoldfastError as error:  # refused
            self._may_be_open = error.maybe_applied
            raise
        core.session_id, core.ttl = result.sessionId, result.ttlMs / 1000
        self._may_be_open = False
        core.router.learn_servers(result.servers)
        core.renewed(sent[0], result.leaseMs or 0, result.revocations)

    # ---------------------------------------------------------------------------- what it is

    @property
    def id(self) -> int:
        """The session's id: the revision that opened it."""
        return self._core.session_id

    @property
    def name(self) -> str:
        """The name that operators see."""
        return self._core.name

    @property
    def ttl(self) -> float:
        """How many seconds the session outlives its last renewal."""
        return self._core.ttl

    @property
    def alive(self) -> bool:
        """Neither closed, nor ended by a server as far as is known."""
        return not self._home.away() and self._core.ended_by is None

    def remaining(self) -> float:
        """Seconds for which no server will expire the session, without any further renewal."""
        return max(0.0, self._core.leases.deadline - boot()) if self.alive else 0.0

    def _check(self) -> None:
        self._core.check_alive()

    def check(self) -> None:
        """Raise :class:`SessionExpired` or :class:`SessionClosed` if the session is over."""
        self._core.check_alive()

    # ------------------------------------------------------------------------------------ locks

    def lock(self, path: str, *, shared: bool = False, timeout: Optional[float] = None,
             value: Value = b"", lock_delay: float = 0.0, max_queue: int = 0, owner: str = "",
             on_lost: Optional[OnLost] = None, on_revoke: Optional[OnRevoke] = None) -> Lock:
        """A handle on a lock; nothing is acquired yet: use ``with`` or :meth:`Lock.acquire`.

        :param path: absolute, e.g. "/jobs/nightly"; at most 1,024 bytes and 64 levels.
        :param shared: any number of shared holders, or one exclusive holder.
        :param timeout: seconds to wait; None as long as the session lives, 0 only tries.
        :param value: published with the holder, at most 4,096 bytes.
        :param lock_delay: seconds for which the lock stays closed if this session expires.
        :param max_queue: be refused (QueueFull) rather than wait behind so many others; 0: no
            limit.
        :param owner: this handle's name for operators. Two handles exclude each other in any case.
        :param on_lost: called with the handle and the reason, on a thread of its own, when the
            lock ends without being given back, at the local deadline even if the network is dead.
        :param on_revoke: called likewise with a :class:`Notice` when an operator announces that
            the lock will be taken away.
        """
        wanted = Wanted(path, shared=shared)
        return Lock(self._core, [wanted], False, self._terms(
            timeout, value, lock_delay, max_queue, owner, on_lost, on_revoke))

    def semaphore(self, path: str, limit: int, *, permits: int = 1,
                  timeout: Optional[float] = None, value: Value = b"", lock_delay: float = 0.0,
                  max_queue: int = 0, owner: str = "", on_lost: Optional[OnLost] = None,
                  on_revoke: Optional[OnRevoke] = None) -> Lock:
        """A handle on ``permits`` of a semaphore's ``limit`` permits; the rest as in :meth:`lock`.

        The limit is fixed while the semaphore is held or waited for; another one is refused.
        """
        wanted = Wanted(path, permits=permits, limit=_arguments.whole("limit", limit))
        return Lock(self._core, [wanted], False, self._terms(
            timeout, value, lock_delay, max_queue, owner, on_lost, on_revoke))

    def locks(self, wanted: Iterable[Union[str, Wanted]], *, timeout: Optional[float] = None,
              value: Value = b"", lock_delay: float = 0.0, max_queue: int = 0, owner: str = "",
              on_lost: Optional[OnLost] = None, on_revoke: Optional[OnRevoke] = None) -> Lock:
        """A handle on up to 64 locks, granted all at once or not at all.

        It stands in every queue from one moment on, so that programs which take their locks only
        this way cannot deadlock. One token stands for all; if one of them is lost, the handle is.
        """
        items = [w if isinstance(w, Wanted) else Wanted(w)
                 for w in _arguments.many("wanted", wanted, "paths or Wanted")]
        if not items:
            raise ValueError("locks() needs at least one path")
        return Lock(self._core, items, True, self._terms(
            timeout, value, lock_delay, max_queue, owner, on_lost, on_revoke))

    def election(self, path: str) -> Election:
        """An election: candidates campaign, the winner leads and publishes a value."""
        return Election(path, self._core.router, self._patience, self)

    def _leadership(self, path: str, timeout: Optional[float], value: Value, lock_delay: float,
                    on_lost: Optional[OnLost], on_revoke: Optional[OnRevoke]) -> Leadership:
        return Leadership(self._core, [Wanted(path)], False, self._terms(
            timeout, value, lock_delay, 0, "", on_lost, on_revoke))

    def _terms(self, timeout: Optional[float], value: Value, lock_delay: float, max_queue: int,
               owner: str, on_lost: Optional[OnLost], on_revoke: Optional[OnRevoke]) -> Terms:
        return Terms(_arguments.timeout(timeout, none="as long as the session lives"),
                     to_bytes(value), _arguments.seconds("lock_delay", lock_delay, 0),
                     _arguments.whole("max_queue", max_queue), _arguments.text("owner", owner),
                     _arguments.function("on_lost", on_lost),
                     _arguments.function("on_revoke", on_revoke), self._patience)

    # ---------------------------------------------------------------------------------- watches

    def watch(self, path: str, *, scope: Scope = "node", space: Space = "keys",
              since: Optional[int] = None, values: bool = False,
              kinds: Optional[Iterable[EventKind]] = None, timeout: Optional[float] = None,
              buffer: int = BUFFER_EVENTS) -> Watch:
        """What happens at a place from now on, as an iterator: see :class:`Watch`.

        When this returns, a server has the watch: whatever is committed from then on is told.

        :param path: it need not exist.
        :param scope: "node" the path itself, "children" those alone, "subtree" it and all below.
        :param space: "keys", "locks" or "both".
        :param since: be told what happened after this revision, without a gap; 0: from the
            beginning.
        :param values: with the new values of keys.
        :param kinds: tell these alone, such as ``[EventKind.DELETED]``; the servers wake nobody for
            the others. A RESYNC is told all the same, with all there is.
        :param timeout: iterating ends when nothing has happened for so many seconds; it may be
            iterated over again. None: it does not end.
        :param buffer: so many events may wait to be read (or 16 MiB); then the watch rests.
        """
        _arguments.timeout(timeout)
        feed = Buffer(Spec(path_of(path), scope, space, values, event_kinds(kinds)),
                      since_revision(since), _arguments.whole("buffer", buffer))
        self._core.watches.add(feed, self._timeout)
        return Watch(self._core.watches, feed, timeout)

    def on_change(self, path: str, *, scope: Scope = "node", space: Space = "keys",
                  since: Optional[int] = None, values: bool = True,
                  kinds: Optional[Iterable[EventKind]] = None,
                  errors: Literal["log", "stop"] = "log", buffer: int = BUFFER_EVENTS
                  ) -> Callable[[OnEvent], Subscription[OnEvent]]:
        """Have a function called with each event, as a decorator::

            @session.on_change("/config/limit")
            def changed(event):
                print(event.text)
            ...
            changed.close()

        All functions of a session are called on one thread of it, one after the other, in the order
        of what happened; a slow one delays the others, and neither renewals nor locks. An exception
        is logged, and with ``errors="log"`` the next event comes all the same; with "stop" it ends
        the subscription, whose ``error`` it is then. The rest as in :meth:`watch`, but that values
        are told unless they are not wanted.
        """
        if errors not in ("log", "stop"):
            raise ValueError(f"errors {errors!r} is neither 'log' nor 'stop'")
        spec = Spec(path_of(path), scope, space, values, event_kinds(kinds))
        since_revision(since)
        _arguments.whole("buffer", buffer)

        def begin(function: OnEvent) -> Subscription[OnEvent]:
            if not callable(function):
                raise _arguments.wrong("what on_change decorates", function, "a function")
            made = Subscription(self._core.watches, function, errors == "stop")
            made._begin(spec, since_revision(since), buffer, self._timeout)
            return made
        return begin

    def mirror(self, path: str) -> Mirror:
        """A copy of the keys at a path and below it, that follows them: see :class:`Mirror`."""
        self._core.check_alive()
        return Mirror(self._core.watches, self._router, path_of(path), self._timeout)

    # -------------------------------------------------------------------------------------- end

    def close(self, timeout: Optional[float] = None) -> None:
        """End the session: its locks and queue places go at once.

        If no server answers within ``timeout`` seconds (at most 5 by default), the session is left
        to expire. Nothing happens if it is over already.
        """
        self._home.check("session")
        _arguments.timeout(timeout, none="at most 5 s")
        try:
            self._close(timeout)
        except BaseException:  # e.g. from a signal's handler, between any two steps
            call_apart("close", self._close, timeout)
            raise

    def _close(self, timeout: Optional[float]) -> None:
        core = self._core
        longest = min(self.ttl or CLOSE_SECONDS_MAX, CLOSE_SECONDS_MAX)
        until = time.monotonic() + (longest if timeout is None else timeout)
        core.end(SessionClosed(f"session {self.id} was closed by this program"))
        if self._keeper is not None:
            self._keeper.stop()
        if self._may_be_open:
            self._close_unopened(until)
        elif self.id and not self._servers_know and isinstance(core.ended_by, SessionClosed):
            self._tell_servers(until)

    def _close_unopened(self, until: float) -> None:
        """To open it again, with the same secret, answers which session it is. By one thread: once
        it is closed another one would come of that."""
        if not self._closing.acquire(timeout=max(0.0, until - time.monotonic())):
            return
        try:
            if not self._servers_know:
                self._core.session_id = self._find(until)
                self._tell_servers(until)
        except (Undecided, HoldfastError) as error:
            log.warning("a session whose opening was broken off may be there for %g s: %s",
                        self._request.ttlMs / 1000, error)
        finally:
            self._closing.release()

    def _find(self, until: float) -> int:
        while True:
            try:
                return int(self._core.router.call("openSession", RequestContext, self._request,
                                                  until=until).sessionId)
            except HoldfastError as error:
                # The server that has it is asked last for a moment, since it did not answer; and
                # after that it would never be asked if who refuses leads by now.
                if not of_this_copy(error) or time.monotonic() > until:
                    raise
                self._core.router.avoid(error.refuser)
                time.sleep(FIND_PAUSE_SECONDS)

    def _tell_servers(self, until: float) -> None:
        core = self._core
        sequence = self._last_sequence = self._last_sequence or core.sequences.take()
        try:
            core.router.call("closeSession", lambda: core.context(sequence), CloseSessionRequest(),
                             until=until)
        except SessionError as error:
            log.info("session %d had ended before it was closed: %s", self.id, error)
        except (Undecided, HoldfastError) as error:
            log.warning("session %d could not be closed and will expire within %g s: %s", self.id,
                        self.ttl, error)
        else:
            log.info("closed session %d", self.id)
        self._servers_know = True

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        """Close the session; raise SessionExpired if it had ended and the body raised nothing."""
        if self._home.away():
            return
        ended = self._core.ended_by
        self.close()
        if kind is None and ended is not None and not isinstance(ended, SessionClosed):
            raise ended

    def __repr__(self) -> str:
        state = "alive" if self.alive else "over"
        return f"<Session {self.id} ({self.name}, {state})>"
