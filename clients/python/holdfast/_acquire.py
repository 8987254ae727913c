"""How a lock is asked for, waited for and taken back.

The request is put into the queue (``enqueue``) and the grant comes by poll, but what poll says is
a hint: the repeated acquire, under the same number, is the truth. A wait that ends early is
cancelled by a command of its own, whose answer says whether the grant came first.
"""

from __future__ import annotations

import time
from typing import Any, Optional, Sequence, Tuple

from holdfast_api.holdfast.ttypes import (AcquireStatus, CancelAcquireRequest, RefusalReason,
                                          ReleaseAllRequest, ReleaseRequest)

from ._core import Core
from ._router import Undecided
from .errors import (ClientClosed, HoldfastError, LockLost, LockTimeout, NotGranted, QueueFull,
                     SessionError, Unavailable, not_granted)
from .types import Holder, end_reason, holders_of

#: How long a timed-out acquire waits for the answer to its cancellation.
CANCEL_SECONDS = 2.0
#: How long a try asks for, if no server answers: enough for another leader to be elected.
TRY_SECONDS = 3.0
#: A waiting acquire is repeated at least this often, in seconds, without any hint.
REPEAT_SECONDS_MIN, REPEAT_SECONDS_MAX = 2.5, 60.0
#: How soon it is repeated when a server lags behind the one that told of the grant.
LAG_SECONDS = 0.02


class Asking:
    """One acquire or acquireAll, from the request to its outcome."""

    def __init__(self, core: Core, method: str, request: Any, paths: Tuple[str, ...],
                 timeout: Optional[float], patience: float) -> None:
        """``timeout`` None waits without end; 0 tries: for ``patience``, TRY_SECONDS at most, if no
        server answers."""
        self._core = core
        self._method = method
        self._request = request
        self._what = ", ".join(paths)
        self._path = paths[0]
        self._timeout = timeout
        limit = min(patience, TRY_SECONDS) if timeout == 0 else timeout
        self._until = None if limit is None else time.monotonic() + limit
        self._sequence = core.sequences.take()
        self._cancel_sequence = 0
        #: What the cancel came to, once that is known: its number is not asked about again.
        self._cancelled: Any = None
        self._undoing = False
        #: A server has answered, so it is known by its number: a later refusal is not its outcome.
        self._answered = False
        #: How often polls had moved to another server when it was asked last.
        self.moves = core.moves
        #: The result that grants, once it is known.
        self.granted: Any = None
        self._event = core.wait_event(self._sequence)
        self._last: Any = None

    def run(self) -> Any:
        """The result that grants. Raises NotGranted, LockTimeout, LockLost or the session's end.

        However this ends, no place in a queue and no grant is left that nobody knows of.
        """
        outcome_known = False
        try:
            self.granted = self._under_lease(self._until_granted())
            outcome_known = True
            return self.granted
        except HoldfastError as error:
            # It has had a place, or even the lock, or may have had: what ends the search for its
            # outcome, or is said of a later copy or the cancel, is not its outcome.
            asked_before = self._answered or self._undoing
            refused_again = bool(asked_before and error.code)
            outcome_known = not (self._undoing or error.maybe_applied or refused_again)
            ended_after = asked_before and isinstance(error, (SessionError, ClientClosed))
            error.maybe_applied |= refused_again or ended_after
            raise
        finally:
            if outcome_known:
                self._core.sequences.finish(self._sequence)
            else:
                self._core.later("withdrawal", self._undo)
            self._core.forget_wait(self._sequence)

    def _until_granted(self) -> Any:
        try:
            result = self._ask()
            while result.status == AcquireStatus.WAITING:
                self._last = result
                self._wait()
                result = self._ask()
        except Undecided as undecided:
            if self._last is None and not undecided.sent:
                raise self._never_asked(undecided) from None
            result = self._take_back(undecided)
        return self._granted(result)

    def _ask(self) -> Any:
        self._event.clear()
        self.moves = self._core.moves
        result = self._core.command(self._method, self._request, self._sequence, until=self._until)
        self._answered = True
        return result

    def _wait(self) -> None:
        repeat = min(max(self._core.ttl / 4, REPEAT_SECONDS_MIN), REPEAT_SECONDS_MAX)
        if self._sequence in self._core.granted:
            repeat = LAG_SECONDS  # the server just asked has not yet applied what poll told of
        left = repeat if self._until is None else min(repeat, self._until - time.monotonic())
        self._event.wait(max(left, 0))
        self._core.check_alive()

    def _under_lease(self, result: Any) -> Any:
        """A grant counts only under a lease: wait for one, then ask again if it stands."""
        try:
            while not self._core.lease_in_force():
                if not self._core.wait_for_lease(self._until):
                    raise Undecided(None, True)
                result = self._granted(self._ask())
            return result
        except Undecided as undecided:
            raise self._gave_up(undecided) from None

    def _granted(self, result: Any) -> Any:
        """``result`` if it grants, else the matching exception."""
        if result.status == AcquireStatus.GRANTED:
            return result
        if result.status == AcquireStatus.NOT_HELD:
            if self._leaves_held(result):
                self._core.later("release", lambda: self._give_back(result))
            known = getattr(result, "endReason", None)  # a cancel's answer does not say why
            raise LockLost(f"{self._what} was granted with token {result.token} and ended before "
                           f"this program learned of it{': ' + end_reason(known) if known else ''}")
        holders = holders_of(getattr(result, "holders", None)) or self._last_holders()
        if result.reason == RefusalReason.QUEUE_FULL:
            most = self._request.maxQueue
            raise not_granted(QueueFull, f"the queue of {self._what} is full: max_queue={most}, "
                                         "and so many wait already", holders)
        if self._timeout:
            raise not_granted(LockTimeout, f"{self._what} was not granted within "
                                           f"{self._timeout:g} s", holders)
        raise not_granted(NotGranted, f"{self._what} is not free", holders)

    def _last_holders(self) -> Sequence[Holder]:
        return holders_of(self._last.holders) if self._last else ()

    # ---------------------------------------------------------------------------- taking back

    def _cancel(self, until: Optional[float]) -> Any:
        if self._cancelled is None:
            self._cancel_sequence = self._cancel_sequence or self._core.sequences.take()
            request = CancelAcquireRequest(path=self._path, acquireSequence=self._sequence)
            self._cancelled = self._core.command("cancelAcquire", request, self._cancel_sequence,
                                                 until=until)
        self._core.sequences.finish(self._cancel_sequence)
        return self._cancelled

    def _take_back(self, undecided: Undecided) -> Any:
        """The time is up: what has become of the acquire once it is cancelled."""
        self._undoing = True  # whatever becomes of the cancel, unless it is answered
        try:
            result = self._cancel(time.monotonic() + CANCEL_SECONDS)
        except Undecided:
            raise self._gave_up(undecided) from None
        self._undoing = False
        return result

    def _never_asked(self, undecided: Undecided) -> HoldfastError:
        """No server can have seen the acquire: there is nothing to take back."""
        refused = isinstance(undecided.last, HoldfastError)
        asked = "took the request" if refused else "could be asked"
        if not self._timeout:
            return Unavailable(f"no server {asked} for {self._what}: {undecided}")
        return LockTimeout(f"{self._what} was not granted within {self._timeout:g} s: no server "
                           f"{asked} ({undecided})")

    def _gave_up(self, undecided: Undecided) -> HoldfastError:
        """The servers do not answer: leave the rest to the background."""
        self._undoing = True
        if not self._timeout:
            return Unavailable(f"no server answered for {self._what}, which is not held and will "
                               f"be withdrawn: {undecided}")
        return not_granted(LockTimeout, f"{self._what} was not granted within {self._timeout:g} s; "
                                        f"its place will be withdrawn ({undecided})",
                           self._last_holders())

    def _undo(self) -> None:
        """In the background: remove the place; if the grant came first, release it."""
        result = self._cancel(None)
        if result.status == AcquireStatus.GRANTED or self._leaves_held(result):
            self._give_back(result)
        self._core.sequences.finish(self._sequence)

    def _leaves_held(self, result: Any) -> bool:
        """One of the locks that were granted together has ended; others may be held."""
        return self._method == "acquireAll" and result.status == AcquireStatus.NOT_HELD

    def _give_back(self, result: Any) -> None:
        give_back(self._core, self._method, self._path, result.holderId)


def give_back(core: Core, method: str, path: str, holder_id: int, **limits: Any) -> Any:
    """Release what ``method`` (acquire or acquireAll) was granted."""
    if method == "acquireAll":
        return core.settle("releaseAll", ReleaseAllRequest(holderId=holder_id),
                           core.sequences.take(), **limits)
    return core.settle("release", ReleaseRequest(path=path, holderId=holder_id),
                       core.sequences.take(), **limits)
