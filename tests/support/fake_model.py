"""A Holdfast cluster's state in a few hundred lines of memory, for tests of the Python client only.

It has what the client can tell apart: sessions with leases, exactly-once results, exclusive, shared
and semaphore locks with one FIFO queue, cancellation, notices and losses. It keeps nothing, and it
has no word on how the real servers behave.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from holdfast_api.holdfast import ttypes as t

from .fake_keys import Keys

DRIFT = 0.99


def boot() -> float:
    """Seconds on the boot-time clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def refusal(code: str, message: str = "", applied: int = t.Applied.NO, retryable: bool = False,
            retry_after_ms: int = 0) -> t.HoldfastError:
    """An error as a server raises it; the header is filled in later."""
    return t.HoldfastError(code=t.ErrorCode._NAMES_TO_VALUES[code], codeName=code,
                           message=message or f"refused: {code}", applied=applied,
                           retryable=retryable, retryAfterMs=retry_after_ms,
                           header=t.ResponseHeader())


class FakeSession:
    """A session and what it is still to be told."""

    def __init__(self, session_id: int, request: Any) -> None:
        self.id = session_id
        self.name = request.name
        self.secret = request.secret
        self.ttl = request.ttlMs / 1000
        self.renewed_at = boot()
        self.results: Dict[int, Any] = {}
        self.applied: Dict[int, int] = {}
        self.grants: List[Any] = []
        self.losses: List[Any] = []
        self.notices: Dict[int, Any] = {}
        self.acknowledged_notices: set[int] = set()
        self.polled_by: set[int] = set()


class Claim:
    """A holder or waiter."""

    def __init__(self, session: FakeSession, sequence: int, revision: int, wants: List[Any],
                 request: Any, whole: bool) -> None:
        self.session = session
        self.sequence = sequence
        self.holder_id = revision
        self.wants = wants
        self.values = {want.path: request.value or b"" for want in wants}
        self.owner = request.owner or ""
        self.token = 0
        self.whole = whole
        self.ended = t.EndReason.UNSPECIFIED

    @property
    def paths(self) -> List[str]:
        """What it claims."""
        return [w.path for w in self.wants]


class Model:
    """The state of a cluster. Every method is called with the mutex held."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.changed = threading.Condition(self.mutex)
        self.revision = 10
        self.cluster_id = 4711
        self.sessions: Dict[int, FakeSession] = {}
        self.claims: List[Claim] = []   # every claim that was ever accepted, in order
        self.queue: List[Claim] = []
        self.held: List[Claim] = []
        self.calls: List[Tuple[str, int, int]] = []
        self.contexts: List[Tuple[str, Any]] = []
        #: Of each poll the server, and the delivery that it acknowledged; 0: none.
        self.acknowledged: List[Tuple[int, int]] = []
        #: Of each poll the number that its client gave it.
        self.poll_numbers: List[int] = []
        self.cancelled: Dict[Tuple[int, int], Any] = {}
        #: So many unacknowledged results are kept of a session, acquires' aside; 0: any number.
        self.result_window = 0
        self.keys = Keys(refusal, lambda path, holder_id: any(
            claim.holder_id == holder_id for claim in self.holders(path)))
        #: A description of a lock names so many of its holders.
        self.holders_told = 1000

    # ------------------------------------------------------------------------------ sessions

    def find(self, context: Any) -> FakeSession:
        """The session of a call."""
        session = self.sessions.get(context.sessionId or 0)
        if session is None:
            raise refusal("SESSION_EXPIRED", f"session {context.sessionId} has ended")
        if session.secret != context.sessionSecret:
            raise refusal("SESSION_UNKNOWN", "the secret is not this session's")
        return session

    def enter(self, context: Any) -> FakeSession:
        """The session of a command, which has room for its result."""
        session = self.find(context)
        for known in context.acknowledged or ():
            for sequence in [s for s in session.results if known.first <= s <= known.last]:
                session.results[sequence] = refusal("RESULT_FORGOTTEN")
        kept = sum(not callable(r) and getattr(r, "codeName", "") != "RESULT_FORGOTTEN"
                   for r in session.results.values())
        if context.sequence not in session.results and 0 < self.result_window <= kept:
            raise refusal("LIMIT_EXCEEDED", f"session {session.id} has {kept} unacknowledged "
                                            f"results", retryable=True, retry_after_ms=5)
        return session

    def once(self, context: Any, apply: Callable[[FakeSession], Any]) -> Any:
        """Apply a command once, and answer a repetition with its result."""
        session = self.enter(context)
        if context.sequence in session.results:
            result = session.results[context.sequence]
        else:
            self.revision += 1
            session.applied[context.sequence] = session.applied.get(context.sequence, 0) + 1
            try:
                result = apply(session)
            except t.HoldfastError as error:
                result = error
            session.results[context.sequence] = result
            self.changed.notify_all()
        if isinstance(result, t.HoldfastError):
            raise result
        return result() if callable(result) else result

    def end_session(self, session_id: int, reason: int = t.EndReason.SESSION_EXPIRED) -> None:
        """A session and all it has go."""
        session = self.sessions.pop(session_id, None)
        self.queue = [c for c in self.queue if c.session is not session]
        for claim in [c for c in self.held if c.session is session]:
            self.take_away(claim, reason)
        self.grant()
        self.revision += 1
        self.keys.end_owner(self.revision, session_id)
        self.changed.notify_all()

    def write(self, context: Any, apply: Callable[[int], Any]) -> Any:
        """A write of keys, with a session or without; ``apply`` is given the session's id."""
        if context.sessionId:
            return self.once(context, lambda s: self.keys.entry(self.revision,
                                                                lambda: apply(s.id)))
        self.revision += 1
        result = self.keys.entry(self.revision, lambda: apply(0))
        self.changed.notify_all()
        return result

    # --------------------------------------------------------------------------------- locks

    def holders(self, path: str) -> List[Claim]:
        """Who holds a path."""
        return [c for c in self.held if path in c.paths]

    def fits(self, claim: Claim) -> bool:
        """Are all its locks free for it, nobody waiting before it?"""
        for want in claim.wants:
            for other in self.queue:
                if other is claim:
                    break
                if want.path in other.paths:
                    return False
            present = [w for c in self.held for w in c.wants if w.path == want.path]
            shared = {want.mode or 1, *[(w.mode or 1) for w in present]}
            if present and (1 in shared or len(shared) > 1):
                return False
            if want.mode == t.LockMode.SEMAPHORE:
                if sum(w.permits or 1 for w in present) + (want.permits or 1) > want.limit:
                    return False
        return True

    def grant(self) -> None:
        """Grant what can be granted, in order."""
        for claim in list(self.queue):
            if self.fits(claim):
                self.queue.remove(claim)
                self.give(claim)
                claim.session.grants.append(t.GrantNotice(claim.sequence, claim.paths[0],
                                                          claim.holder_id, claim.token))
        self.changed.notify_all()

    def give(self, claim: Claim) -> None:
        """A grant."""
        claim.token = self.revision
        self.held.append(claim)

    def take_away(self, claim: Claim, reason: int) -> None:
        """The end of a tenure."""
        self.held.remove(claim)
        claim.ended = reason
        claim.session.notices.pop(claim.holder_id, None)
        if reason not in (t.EndReason.RELEASED, t.EndReason.HANDED_OVER):
            for path in claim.paths:
                claim.session.losses.append(
                    t.LossNotice(path, claim.holder_id, claim.token, reason))

    def take_one(self, claim: Claim, path: str) -> None:
        """One lock of an acquireAll is taken away; the others stay held."""
        claim.wants = [w for w in claim.wants if w.path != path]
        claim.ended = t.EndReason.REVOKED
        claim.session.losses.append(
            t.LossNotice(path, claim.holder_id, claim.token, t.EndReason.REVOKED))

    def acquire(self, session: FakeSession, sequence: int, wants: List[Any], request: Any,
                whole: bool) -> Callable[[], Any]:
        """Accept an acquire; the result is asked anew each time."""
        earlier = self.cancelled.get((session.id, sequence))
        if earlier is not None:
            return lambda: earlier
        for want in wants:
            if not want.path.startswith("/"):
                raise refusal("BAD_ARGUMENT", f"path {want.path!r} is not absolute")
        claim = Claim(session, sequence, self.revision, wants, request, whole)
        self.claims.append(claim)
        self.queue.append(claim)
        if self.fits(claim):
            self.queue.remove(claim)
            self.give(claim)
        elif not request.waitMs:
            self.queue.remove(claim)
            busy = t.AcquireResult(status=t.AcquireStatus.NOT_GRANTED,
                                   reason=t.RefusalReason.BUSY, holderId=claim.holder_id,
                                   holders=self.describe_holders(wants[0].path))
            return lambda: busy
        return lambda: self.outcome(claim)

    def outcome(self, claim: Claim) -> Any:
        """What has become of an acquire by now."""
        result = t.AcquireResult(holderId=claim.holder_id, token=claim.token)
        if claim in self.held and not claim.ended:
            result.status = t.AcquireStatus.GRANTED
        elif claim in self.queue:
            result.status = t.AcquireStatus.WAITING
            result.position = self.queue.index(claim) + 1
            result.holders = self.describe_holders(claim.paths[0])
        elif claim.token:
            result.status, result.endReason = t.AcquireStatus.NOT_HELD, claim.ended
        else:
            result.status = t.AcquireStatus.NOT_GRANTED
            result.reason = t.RefusalReason.CANCELLED
        return result

    def cancel(self, session: FakeSession, request: Any) -> Any:
        """Remove a place, or say that the grant came first."""
        claim = next((c for c in self.claims if c.session is session
                      and c.sequence == request.acquireSequence), None)
        result = t.CancelAcquireResult(status=t.AcquireStatus.NOT_GRANTED,
                                       reason=t.RefusalReason.CANCELLED)
        if claim is None:
            self.cancelled[(session.id, request.acquireSequence)] = t.AcquireResult(
                status=result.status, reason=result.reason)
        elif claim in self.held:
            return t.CancelAcquireResult(status=self.outcome(claim).status,
                                         holderId=claim.holder_id, token=claim.token)
        elif claim in self.queue:
            self.queue.remove(claim)
            self.grant()
        return result

    def release(self, session: FakeSession, path: Optional[str], holder_id: int,
                to: int = 0) -> int:
        """The status of a release."""
        claim = next((c for c in self.held if c.holder_id == holder_id and c.session is session
                      and (path is None or path in c.paths)), None)
        if claim is None:
            return int(t.ReleaseStatus.NOT_HELD)
        if to:
            target = next((c for c in self.queue if c.holder_id == to), None)
            if target is None:
                return int(t.ReleaseStatus.TARGET_GONE)
            if target.whole:
                return int(t.ReleaseStatus.TARGET_BLOCKED)
            self.take_away(claim, t.EndReason.HANDED_OVER)
            self.queue.remove(target)
            self.queue.insert(0, target)
            self.grant()
            return int(t.ReleaseStatus.HANDED_OVER)
        self.take_away(claim, t.EndReason.RELEASED)
        self.grant()
        return int(t.ReleaseStatus.RELEASED)

    def describe_holders(self, path: str) -> List[Any]:
        """The wire's holders of a path."""
        return [t.LockHolder(c.holder_id, c.token, c.session.id, c.session.name, c.owner,
                             w.mode or 1, w.permits or 0, c.values[path], 0, -1,
                             c.holder_id in c.session.notices)
                for c in self.holders(path) for w in c.wants if w.path == path]

    def describe(self, path: str) -> Any:
        """The wire's LockInfo."""
        waiting = [c for c in self.queue if path in c.paths]
        holders = self.describe_holders(path)
        return t.LockInfo(
            path=path, holders=holders[:self.holders_told], holderCount=len(holders),
            waiterCount=len(waiting),
            tenures=[], limit=0, closedForMs=0,
            waiters=[t.LockWaiter(c.holder_id, at, c.session.id, c.session.name, c.owner, 1, 0, 0,
                                  -1, len(c.wants)) for at, c in enumerate(waiting, 1)])
