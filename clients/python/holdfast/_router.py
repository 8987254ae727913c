"""Which server to ask, over which connection, and how often."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from holdfast_api.holdfast.ttypes import Applied
from holdfast_api.holdfast.ttypes import HoldfastError as WireError

from ._address import can_be, format_address, parse_address
from ._connection import Broken, Connection, NotSent
from ._process import Home
from .errors import (ClientClosed, HoldfastError, OutcomeUnknown, Unavailable, Unsupported,
                     from_wire)

log = logging.getLogger("holdfast")

IDLE_PER_SERVER = 8
AVOID_SECONDS = 1.0
#: How long the first server may be silent: as for the C++ client, so that one that hangs costs no
#: more than the election of another leader. It doubles with every round in which one
#: was, so that slow servers are not stormed.
ATTEMPT_SECONDS_FIRST = 0.5
#: The same of a call that is not sent again: to give it up is to leave its outcome open.
ATTEMPT_SECONDS_ONCE = 2.0
ATTEMPT_SECONDS_MAX = 10.0
PAUSE_SECONDS_FIRST = 0.02
PAUSE_SECONDS_MAX = 0.2
#: A server that kept a caller waiting for less than this is not to blame.
BLAME_SECONDS = 0.5
#: Servers answer so long before the caller ceases to wait, half the time at most: a refusal that
#: comes too late leaves the outcome open.
ANSWER_SECONDS = 0.05

#: Refusals that another server, or a later moment, may not repeat.
_RETRYABLE = {"NO_LEADER", "TIMEOUT", "OVERLOADED", "NO_SPACE", "SHUTTING_DOWN", "SUPERSEDED",
              "OUTCOME_UNKNOWN"}
#: Refusals that a server judges without asking what became of the command.
_OF_THIS_COPY = {"UNSUPPORTED", "UNAUTHENTICATED", "PERMISSION_DENIED", "INTERNAL"}
#: Said when what an earlier copy came to is gone.
_FATE_IS_GONE = {"SESSION_EXPIRED", "SESSION_UNKNOWN", "RESULT_FORGOTTEN"}


class Undecided(Exception):
    """The time allowed passed before the outcome was known. ``sent``: a copy may have arrived."""

    def __init__(self, last: Optional[BaseException], sent: bool) -> None:
        super().__init__(str(last) if last else "no time was left to ask a server")
        self.last = last
        self.sent = sent


def may_change(error: Any) -> bool:
    """Could the same call fare better later or elsewhere?

    A limit can be of either kind: of keys it is the answer, while that a session's results leave no
    room for another is over once they are acknowledged, as every further copy does.
    """
    return bool(error.retryable) or error.codeName in _RETRYABLE


class Router:
    """The servers of a cluster and the connections to them. Thread-safe.

    A call goes to the leader as far as it is known, then to the others in turn. Servers that could
    not be reached a moment ago come last.
    """

    def __init__(self, servers: Iterable[str], *, service: str = "client", discover: bool = True,
                 connect_timeout: float = 2.0, default_port: int = 7411) -> None:
        self.home = Home()
        self._service = service
        self._discover = discover
        self.connect_timeout = connect_timeout
        self._mutex = threading.Lock()
        self._servers = [format_address(*parse_address(s, default_port)) for s in servers]
        if not self._servers:
            raise ValueError("a client needs the address of at least one server")
        random.shuffle(self._servers)
        self._leader = ""
        #: The greatest revision that any reply showed, and the cluster that it belongs to.
        self.newest = 0
        self._cluster_id = 0
        self._avoided_until: Dict[str, float] = {}
        self._idle: Dict[str, List[Connection]] = {}
        self._open: Set[Connection] = set()
        self._closed = False

    # ------------------------------------------------------------------------------- servers

    def candidates(self) -> List[str]:
        """All servers, the best first."""
        now = time.monotonic()
        with self._mutex:
            return sorted(self._servers, key=lambda s: (self._avoided_until.get(s, 0) > now,
                                                        s != self._leader))

    def next_server(self, tried: Set[str]) -> Optional[str]:
        """The best server that is not in ``tried``."""
        return next((s for s in self.candidates() if s not in tried), None)

    def learn_servers(self, servers: Iterable[Any]) -> None:
        """Take note of the addresses that openSession answered."""
        if self._discover:
            with self._mutex:
                self._servers += [s.address for s in servers or ()
                                  if can_be(s.address or "")
                                  and s.address not in self._servers]

    def learn_header(self, header: Any) -> None:
        """Take note of the leader that a reply names, and of its revision."""
        leader = header.leaderAddress if header else None
        if header and header.revision:
            with self._mutex:
                # A cluster that was restored from a backup may stand at an earlier revision.
                same = header.clusterId == self._cluster_id
                self.newest = max(self.newest, header.revision) if same else header.revision
                self._cluster_id = header.clusterId
        if leader:
            with self._mutex:
                if self._discover and leader not in self._servers and can_be(leader):
                    self._servers.append(leader)
                if leader in self._servers:
                    self._leader = leader

    def avoid(self, address: str) -> None:
        """Ask this server last for a while, and believe no longer that it leads."""
        with self._mutex:
            self._avoided_until[address] = time.monotonic() + AVOID_SECONDS
            if self._leader == address:
                self._leader = ""

    # --------------------------------------------------------------------------- connections

    def connect(self, address: str, timeout: Optional[float] = None) -> Connection:
        """A new connection, which the caller closes with :meth:`drop`."""
        limit = self.connect_timeout if timeout is None else min(timeout, self.connect_timeout)
        connection = Connection(address, self._service, limit)
        with self._mutex:
            if not self._closed:
                self._open.add(connection)
                return connection
        connection.close()
        raise NotSent("the client is closed")

    def drop(self, connection: Connection) -> None:
        """Close a connection for good."""
        with self._mutex:
            self._open.discard(connection)
        connection.close()

    def _borrow(self, address: str, timeout: float) -> Connection:
        while True:
            with self._mutex:
                idle = self._idle.get(address)
                connection = idle.pop() if idle else None
            if connection is None:
                return self.connect(address, timeout)
            if connection.idle():
                return connection
            self.drop(connection)

    def _give_back(self, connection: Connection) -> None:
        with self._mutex:
            idle = self._idle.setdefault(connection.address, [])
            if connection.is_open() and not self._closed and len(idle) < IDLE_PER_SERVER:
                idle.append(connection)
                return
        self.drop(connection)

    def check_open(self) -> None:
        """Raise if the client is closed, or belongs to another process."""
        self.home.check("client")
        if self._closed:
            raise ClientClosed("this client is closed")

    def close(self) -> None:
        """Close all connections; calls in flight fail."""
        with self._mutex:
            self._closed = True
            connections, self._open, self._idle = list(self._open), set(), {}
        for connection in connections:
            connection.abort()
            connection.close()

    def detach(self) -> None:
        """In a forked child: close the descriptors only, which the parent does not notice."""
        for connection in list(self._open):
            connection.close()
        self._mutex = threading.Lock()
        self._closed, self._open, self._idle = True, set(), {}

    # --------------------------------------------------------------------------------- calls

    def attempt(self, address: str, method: str, context: Any, request: Any,
                timeout: float) -> Any:
        """One call to one server. Raises NotSent, Broken or the wire's HoldfastError."""
        try:
            connection = self._borrow(address, timeout)
        except NotSent:
            self.avoid(address)
            raise
        seconds = max(timeout / 2, min(timeout * 0.9, timeout - ANSWER_SECONDS))
        context.deadlineMs = max(1, int(seconds * 1000))
        try:
            result = connection.call(method, context, request, timeout)
            self.learn_header(result.header)
            return result
        except WireError as error:
            self.learn_header(error.header)
            raise
        except Broken:
            if timeout >= BLAME_SECONDS:
                self.avoid(address)
            raise
        finally:
            self._give_back(connection)

    def call(self, method: str, make_context: Callable[[], Any], request: Any, *,
             until: Optional[float] = None, repeatable: bool = True,
             hold: Callable[[], float] = lambda: 0.0,
             gate: Callable[[], None] = lambda: None,
             seen: Callable[[Any], None] = lambda header: None,
             sleep: Callable[[float], Any] = time.sleep) -> Any:
        """Call ``method`` on one server after the other until the outcome is known.

        ``until`` is on the monotonic clock; when it passes, :class:`Undecided` is raised. What is
        not ``repeatable`` is sent again only if it surely was not applied; else the error is
        :class:`OutcomeUnknown`. ``hold`` is asked before every attempt for how many seconds the
        server may hold it on purpose. ``gate`` is asked before every attempt and may raise;
        ``seen`` is shown the header of every reply.
        """
        effort = _Effort(self, method, until, repeatable)
        while True:
            try:
                self.check_open()
                gate()
            except HoldfastError as error:
                effort.left_by(error)
                raise
            address, budget = effort.next_attempt(sleep, hold)
            try:
                context = make_context()
                # An opening has its secret by which its copies are told to be one.
                effort.numbered = bool(context.sequence) or method == "openSession"
                result = self.attempt(address, method, context, request, budget)
            except NotSent as error:
                effort.unreached(address, error)
            except Broken as error:
                effort.broken(address, error)
            except WireError as error:
                seen(error.header)
                effort.refused(address, error, sleep)
            except Unsupported as error:
                raise effort.final(address, error) from None
            else:
                seen(result.header)
                return result


class _Effort:
    """The state of one :meth:`Router.call`: whom it asked, what it knows, how long it pauses."""

    def __init__(self, router: Router, method: str, until: Optional[float],
                 repeatable: bool) -> None:
        self._router = router
        self._method = method
        self._until = until
        self._allowed = self._left()
        self._repeatable = repeatable
        self._tried: Set[str] = set()
        self._budget = ATTEMPT_SECONDS_FIRST if repeatable else ATTEMPT_SECONDS_ONCE
        self._pause = PAUSE_SECONDS_FIRST
        #: A server said nothing in this round.
        self._silence = False
        self._sent = False
        #: The time allowed ends before the attempt had all of what one is given.
        self._cut_short = False
        #: A command that is applied once, however many copies arrive.
        self.numbered = False
        self.last: Optional[BaseException] = None
        #: What each server said last, or why it said nothing.
        self._words: Dict[str, BaseException] = {}

    def _left(self) -> float:
        return float("inf") if self._until is None else self._until - time.monotonic()

    def _sleep(self, seconds: float, sleep: Callable[[float], Any]) -> None:
        left = self._left()
        if left <= 0:
            raise Undecided(self.last, self._sent)
        sleep(min(seconds, left))

    def next_attempt(self, sleep: Callable[[float], Any],
                     hold: Callable[[], float] = lambda: 0.0) -> "tuple[str, float]":
        """Whom to ask now and how long to wait for the answer; pauses after a full round."""
        address = self._router.next_server(self._tried)
        if address is None:
            log.debug("%s: no server answered (%s), trying again", self._method, self.last)
            self._sleep(self._pause * random.uniform(0.75, 1.25), sleep)
            self._pause = min(self._pause * 2, PAUSE_SECONDS_MAX)
            if self._silence:  # refusals come fast enough
                self._budget = min(self._budget * 2, ATTEMPT_SECONDS_MAX)
            self._silence = False
            self._tried.clear()
            address = self._router.candidates()[0]
        self._tried.add(address)
        left = self._left()
        if left <= self._margin():
            raise Undecided(self.last, self._sent)
        budget = self._budget + hold()
        self._cut_short = left < budget
        return address, min(budget, left)

    def _margin(self) -> float:
        """What an attempt needs: one without it could only make unknown what was refused."""
        undone = self.last is not None and not self._sent and not self._repeatable
        return min(2 * ANSWER_SECONDS, self._allowed / 4) if undone else 0

    def unreached(self, address: str, error: NotSent) -> None:
        """No connection: nothing was sent."""
        self._said(address, error)

    def broken(self, address: str, error: Broken) -> None:
        """A copy may have arrived."""
        self._sent = True
        if not self._repeatable:
            raise OutcomeUnknown(f"{self._method} may or may not have been applied: {error}")
        # Of a server that had no time left to answer, what it said before tells more.
        if not (self._cut_short and address in self._words):
            self._said(address, error)

    def refused(self, address: str, error: Any, sleep: Callable[[float], Any]) -> None:
        """A server answered with an error: raise it if it is final, else wait as it asks."""
        if not may_change(error):
            self._sent |= error.applied == Applied.UNKNOWN
            raise self.final(address, from_wire(error)) from None
        if error.applied != Applied.NO:
            self._sent = True
            if not self._repeatable:
                raise OutcomeUnknown(f"{self._method} may or may not have been applied: "
                                     f"{error.message} [{error.codeName}]")
        self._said(address, from_wire(error))
        if error.retryAfterMs:
            self._sleep(error.retryAfterMs / 1000, sleep)

    def _said(self, address: str, word: BaseException) -> None:
        """Each silent server is named; a refusal explains more than any silence."""
        self._silence |= not isinstance(word, HoldfastError)
        self._words.pop(address, None)
        self._words[address] = word  # the newest comes last
        refusals = [w for w in self._words.values() if isinstance(w, HoldfastError)]
        silent = [w for w in self._words.values() if not isinstance(w, HoldfastError)]
        words = "; ".join(map(str, silent))
        if refusals:
            self.last = _lengthened(refusals[-1], words) if silent else refusals[-1]
        else:
            self.last = type(word)(words)

    def final(self, address: str, error: HoldfastError) -> HoldfastError:
        """A refusal that is the answer. Judged before apply, it speaks of the last copy only."""
        error.refuser = address
        if self.numbered and self._sent and of_this_copy(error):
            copy = _lengthened(error, f"an earlier copy of this {self._method} may have been "
                                      f"applied")
            copy.maybe_applied = True
            return copy
        if error.code in _FATE_IS_GONE:
            self.left_by(error)
        return error

    def left_by(self, error: HoldfastError) -> None:
        """This ends the call, and says nothing of a copy whose answer was lost."""
        error.maybe_applied = self.numbered and self._sent


def of_this_copy(error: HoldfastError) -> bool:
    """Does a refusal say nothing of other copies of the call? Another server may not repeat it."""
    return error.code in _OF_THIS_COPY or isinstance(error, Unsupported)


def _lengthened(error: HoldfastError, words: str) -> HoldfastError:
    longer = type(error)(f"{error}; {words}")
    longer.code, longer.maybe_applied = error.code, error.maybe_applied
    longer.retry_after, longer.refuser = error.retry_after, error.refuser
    return longer


def as_error(undecided: Undecided, what: str, seconds: float) -> HoldfastError:
    """The exception for a read, or a command that was surely not applied, that ran out of time."""
    if isinstance(undecided.last, HoldfastError):
        return undecided.last
    return Unavailable(f"{what} found no answer within {seconds:g} s: {undecided}")
