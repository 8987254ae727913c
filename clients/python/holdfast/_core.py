"""The heart of a session: its numbered commands, its lease, its holdings, its end.

One mutex guards the lease, the holdings and the waiting acquires; it is never held during a call to
a server or to the program's own functions.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Set

from holdfast_api.holdfast.ttypes import (CheckTokenRequest, DescribeLockRequest, RequestContext,
                                          SequenceRange)
from holdfast_api.keys.ttypes import Compare, CompareRelation, CompareTarget, TransactRequest

from ._clock import boot
from ._leases import Holding, Leases, concerned
from ._router import Router, Undecided
from ._sequences import Sequences
from ._watches import Watches
from .errors import HoldfastError, SessionClosed, SessionError
from .types import Notice

log = logging.getLogger("holdfast")


def call_apart(what: str, function: Callable[..., None], *args: Any) -> None:
    """Call a program's function on a thread of its own: however long it takes, nothing waits."""
    def run() -> None:
        try:
            function(*args)
        except Exception:
            log.exception("%s failed", what)
    try:
        threading.Thread(target=run, name=f"holdfast-{what}", daemon=True).start()
    except RuntimeError:  # the process is out of threads, or is ending
        log.exception("%s could not be called", what)


class Core:
    """Shared by a session, its keeper and its locks. Thread-safe."""

    def __init__(self, router: Router, secret: bytes, name: str) -> None:
        self.router = router
        self.home = router.home
        self.secret = secret
        self.name = name
        self.session_id = 0
        self.ttl = 0.0
        self.cluster_id = 0
        self.sequences = Sequences()
        self.mutex = threading.Lock()
        #: Notified when a deadline may have come nearer or the lease was renewed.
        self.changed = threading.Condition(self.mutex)
        self.leases = Leases()
        #: Set once the session is over, whoever ended it.
        self.over = threading.Event()
        self._end: Optional[SessionError] = None
        self._told_expired = False
        self._waiting: Dict[int, threading.Event] = {}
        #: How often another server has begun to answer polls.
        self.moves = 0
        #: Sequences of waiting acquires that poll says were granted.
        self.granted: Set[int] = set()
        #: What has to be told to the servers later, set by the session.
        self.later: Callable[[str, Callable[[], object]], None] = lambda what, task: None
        #: Has the parked poll answered now, set by the session.
        self.nudge: Callable[[], None] = lambda: None
        self.watches = Watches(self)
        self.on_expired: Optional[Callable[[SessionError], None]] = None

    # ------------------------------------------------------------------------------ commands

    def context(self, sequence: int = 0) -> RequestContext:
        """The head of a call within this session."""
        ranges = self.sequences.acknowledged() if sequence else []
        return RequestContext(
            sessionId=self.session_id, sessionSecret=self.secret, sequence=sequence or None,
            acknowledged=[SequenceRange(first, last) for first, last in ranges] or None)

    def command(self, method: str, request: Any, sequence: int, *, until: Optional[float] = None,
                gate: Callable[[], None] = lambda: None) -> Any:
        """Send a numbered command until its outcome is known, or ``until`` (monotonic) passes.

        Raises Undecided when the time is up, the session's end, or the command's own error. The
        caller says ``sequences.finish`` when nothing more is to be asked under this number.
        """
        def both() -> None:
            self.check_alive()
            gate()

        try:
            return self.router.call(method, lambda: self.context(sequence), request, until=until,
                                    gate=both, seen=self.see_header, sleep=self.over.wait)
        except SessionError as error:
            if error.code:
                self.end(error)
            raise

    def settle(self, method: str, request: Any, sequence: int, *, until: Optional[float] = None,
               gate: Callable[[], None] = lambda: None,
               late: Callable[[Any], object] = lambda result: None) -> Any:
        """Like :meth:`command`, for a command with one answer: it leaves no number unfinished.

        If this cannot wait for the outcome, the command is repeated in the background until it is
        known; ``late`` is given the result then.
        """
        outcome_known = False
        try:
            try:
                result = self.command(method, request, sequence, until=until, gate=gate)
            except Exception as error:
                outcome_known = (isinstance(error, HoldfastError) and bool(error.code)
                                 and not error.maybe_applied)
                raise
            outcome_known = True
            return result
        finally:
            if outcome_known:
                self.sequences.finish(sequence)
            elif not self.over.is_set():
                self.later(method, lambda: self._settle_now(method, request, sequence, late))

    def _settle_now(self, method: str, request: Any, sequence: int,
                    late: Callable[[Any], object]) -> None:
        try:
            late(self.command(method, request, sequence))
        finally:
            self.sequences.finish(sequence)

    # --------------------------------------------------------------------------- the session

    def check_alive(self) -> None:
        """Raise if the session is over or belongs to another process."""
        self.home.check("session")
        if self._end is not None:
            # A new one each time: a traceback belongs to one raise.
            raise type(self._end)(*self._end.args)

    @property
    def ended_by(self) -> Optional[SessionError]:
        """Why the session is over."""
        return self._end

    def end(self, error: SessionError) -> None:
        """The session is over: every holding ends, every wait wakes.

        Why it ended first is kept. What was interrupted here goes on where the next call begins: it
        may have struck between any two steps.
        """
        with self.mutex:
            error = self._end = self._end or error
            for holding in list(self.leases.holdings):
                if isinstance(error, SessionClosed) and not holding.loss:
                    self._release(holding)
                else:
                    self._lose(holding, f"session {self.session_id} is over: {error}")
            for event in self._waiting.values():
                event.set()
            self.over.set()
            self.changed.notify_all()
        self.watches.ended(error)
        if not isinstance(error, SessionClosed):
            self._tell_expired(error)

    def _tell_expired(self, error: SessionError) -> None:
        with self.mutex:
            told, self._told_expired = self._told_expired, True
        if told:
            return
        log.warning("session %d (%s) is over: %s", self.session_id, self.name, error)
        if self.on_expired is not None:
            call_apart("on_expired", self.on_expired, error)

    def see_header(self, header: Any) -> None:
        """Every reply names its cluster: another one than before was restored from a backup."""
        cluster = header.clusterId if header else 0
        if not cluster or cluster == self.cluster_id:
            return
        with self.mutex:
            before, self.cluster_id = self.cluster_id, cluster
            if before:
                for holding in list(self.leases.holdings):
                    self._lose(holding, f"cluster {before} is now cluster {cluster}")
                self.leases.deadline = 0.0
        if before:
            log.error("cluster %d answers as cluster %d: all lock handles of session %d ended",
                      before, cluster, self.session_id)

    def renewed(self, sent: float, lease_ms: int, wire_notices: Optional[Sequence[Any]]) -> bool:
        """A reply arrived that may renew and may carry notices. Returns whether a notice is new."""
        notices = [Notice.of(n) for n in wire_notices or ()]
        with self.mutex:
            now = boot()
            self._expire(now)  # what was not to be relied on for a moment never comes back
            news = self.leases.renewed(sent, lease_ms / 1000, notices, now)
            told = [(h, n) for n in news for h in self.leases.holdings
                    if concerned(n, h)]
            self.changed.notify_all()
        for holding, notice in told:
            log.warning("%s (holder %d) will be revoked in %g s: %s", ", ".join(holding.paths),
                        holding.holder_id, notice.notice, notice.reason)
            holding.on_notice(notice)
        return bool(news)

    def lease_in_force(self) -> bool:
        """May anything be relied on now?"""
        with self.mutex:
            return self.leases.deadline > boot()

    def wait_for_lease(self, until: Optional[float]) -> bool:
        """Wait until the lease is in force. False if ``until`` (monotonic) passed first."""
        with self.mutex:
            while self._end is None and self.leases.deadline <= boot():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self.changed.wait(left)
        self.check_alive()
        return True

    # ------------------------------------------------------------------------ waiting acquires

    def wait_event(self, sequence: int) -> threading.Event:
        """The event that is set when the acquire with this number should be repeated."""
        with self.mutex:
            return self._waiting.setdefault(sequence, threading.Event())

    def forget_wait(self, sequence: int) -> None:
        """The acquire no longer waits."""
        with self.mutex:
            self._waiting.pop(sequence, None)
            self.granted.discard(sequence)

    def hint(self, sequence: int) -> None:
        """Poll says that an acquire was granted."""
        with self.mutex:
            event = self._waiting.get(sequence)
            if event is not None:
                self.granted.add(sequence)
                event.set()

    def moved(self) -> None:
        """Another server answers polls now: of what it applied before, it tells nothing."""
        with self.mutex:
            self.moves += 1
            for event in self._waiting.values():
                event.set()
            holdings = list(self.leases.holdings)
        for holding in holdings:
            self.verify(holding)

    # --------------------------------------------------------------------------------- holdings

    def hold(self, holding: Holding) -> None:
        """Take a grant under the lease; it may be lost at once."""
        with self.mutex:
            reason = self.leases.add(holding)
            self.changed.notify_all()
            if self._end is not None:
                reason = f"session {self.session_id} is over: {self._end}"
            if reason is not None:
                self._lose(holding, reason)
            notice = self.leases.notice_for(holding.holder_id)
        if notice is not None:
            holding.on_notice(notice)

    def verify(self, holding: Holding) -> None:
        """Ask in the background whether the servers still count it as held: news that it was
        taken away may have been lost."""
        self.later("question", lambda: self._verify(holding))

    def _verify(self, holding: Holding) -> None:
        def gate() -> None:
            self.check_alive()
            if not holding.live:
                raise Undecided(None, False)

        def ask(method: str, request: Any) -> Any:
            return self.router.call(method, RequestContext, request, gate=gate,
                                    seen=self.see_header, sleep=self.over.wait)

        for path in holding.paths:
            if path not in holding.shared:
                held = ask("checkToken", CheckTokenRequest(path=path, token=holding.token)).current
            else:  # those who were granted it together have one token
                lock = ask("describeLock", DescribeLockRequest(path=path)).lock
                told = lock.holders or ()
                held = any(h.holderId == holding.holder_id for h in told)
                if not held and (lock.holderCount or 0) > len(told):
                    self.later("transact", functools.partial(self._verify_one, holding, path))
                    continue
            if not held:
                self._taken(holding, path)

    def _verify_one(self, holding: Holding, path: str) -> None:
        """Of more holders than a description names: an empty transaction that rests on the lock."""
        if holding.live:
            rests = Compare(target=CompareTarget.HOLDS, relation=CompareRelation.EQUAL, path=path,
                            number=holding.holder_id)
            result = self.settle("transact", TransactRequest(
                compares=[rests], thenOperations=[], otherwiseOperations=[]), self.sequences.take())
            if not result.succeeded:
                self._taken(holding, path)

    def _taken(self, holding: Holding, path: str) -> None:
        """The servers do not count it as held."""
        if not holding.giving_up:  # the answer to a handover says itself what has become of it
            self.lose(holding, f"the servers took {path} away")

    def notice_of(self, holding: Holding) -> Optional[Notice]:
        """The notice in force against a holding."""
        with self.mutex:
            return self.leases.notice_for(holding.holder_id)

    def let_go(self, holding: Holding) -> bool:
        """The program gives the lock back: the deadline no longer matters. False if it was late."""
        with self.mutex:
            self._expire(boot())
            if not holding.live:
                return False
            self._release(holding)
            return True

    def held_as(self, holder_id: int) -> List[Holding]:
        """The holdings under a holder id: one, or none."""
        with self.mutex:
            return [h for h in self.leases.holdings if h.holder_id == holder_id]

    def lost(self, holder_id: int, path: str, reason: str) -> None:
        """A server says that a lock was taken away."""
        with self.mutex:
            for holding in self.leases.lost(holder_id, path, reason):
                self._lose(holding, reason)

    def lose(self, holding: Holding, reason: str) -> None:
        """This holding is known to have ended."""
        with self.mutex:
            if holding.live:
                self._lose(holding, reason)

    def expire(self) -> None:
        """End the holdings whose deadline has passed."""
        with self.mutex:
            self._expire(boot())

    def _expire(self, now: float) -> None:
        for holding in self.leases.due(now):
            if holding.released:  # an interrupted release has left it here
                self.leases.holdings.discard(holding)
                continue
            notice = self.leases.notice_for(holding.holder_id)
            why = (f"it was revoked with notice: {notice.reason}" if notice else
                   "no renewal of the session was acknowledged in time")
            self._lose(holding, f"its local deadline passed: {why}")

    # What may be interrupted: first it counts as over, last it is forgotten. What is over and was
    # not forgotten is due, so that the watcher does the rest.

    def _release(self, holding: Holding) -> None:
        holding.released = True
        self.leases.holdings.discard(holding)

    def _lose(self, holding: Holding, reason: str) -> None:
        holding.loss = holding.loss or reason
        call_apart("on_lost", self._report, holding)
        self.leases.holdings.discard(holding)

    def _report(self, holding: Holding) -> None:
        with self.mutex:
            told, holding.told = holding.told, True
        if told:
            return
        log.warning("lost %s (holder %d, token %d): %s", ", ".join(holding.paths),
                    holding.holder_id, holding.token, holding.loss)
        holding.on_end(holding.loss)
