"""Lock handles: one lock, or several taken together."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from types import EllipsisType, TracebackType
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Type, TypeVar, Union

from holdfast_api.holdfast.ttypes import (AcquireAllRequest, AcquireRequest, LockWanted,
                                          ReleaseRequest, ReleaseStatus, SetHolderValueRequest)

from . import _arguments
from ._acquire import Asking, give_back
from ._clock import boot
from ._core import Core, call_apart
from ._leases import Holding
from ._router import Undecided
from .errors import (BadArgument, HoldfastError, LockError, LockLost, NotGranted, NotHeld,
                     SessionError, TargetBlocked, TargetGone)
from .types import Mode, Notice, Value, Waiter, Wanted, to_bytes

log = logging.getLogger("holdfast")

Self = TypeVar("Self", bound="Lock")

#: Called with the lock and the reason.
OnLost = Callable[["Lock", str], None]
#: Called with the lock and the notice.
OnRevoke = Callable[["Lock", Notice], None]


@dataclasses.dataclass(frozen=True)
class Terms:
    """How a lock is asked for; see :meth:`holdfast.Session.lock`."""

    timeout: Optional[float] = None
    value: bytes = b""
    lock_delay: float = 0.0
    max_queue: int = 0
    owner: str = ""
    on_lost: Optional[OnLost] = None
    on_revoke: Optional[OnRevoke] = None
    patience: float = 15.0


class Lock:
    """A handle on a lock, or on several that are taken together. Not reentrant; thread-safe.

    Made by :meth:`holdfast.Session.lock` and its sisters, and commonly used in a ``with``::

        with session.lock("/jobs/nightly") as lock:
            for item in work:
                lock.check()                      # raises LockLost if the lock has ended
                store.write(item, fence=lock.token)

    A handle can be acquired again after it was released or lost.
    """

    def __init__(self, core: Core, wanted: Sequence[Wanted], together: bool, terms: Terms) -> None:
        self._core = core
        self._wanted = tuple(wanted)
        self._method = "acquireAll" if together else "acquire"
        self._terms = terms
        self._value = terms.value
        #: Who is about to acquire it.
        self._acquiring: Dict[str, object] = {}
        self._holding: Optional[Holding] = None

    # ---------------------------------------------------------------------------- what it is

    @property
    def path(self) -> str:
        """The path; of several locks the first."""
        return self._wanted[0].path

    @property
    def paths(self) -> Tuple[str, ...]:
        """All paths of this handle."""
        return tuple(w.path for w in self._wanted)

    @property
    def token(self) -> int:
        """The fencing token of the latest grant: show it to every resource the lock protects.

        It stays readable after the lock ended. Raises NotHeld if there never was a grant.
        """
        return self._latest().token

    @property
    def holder_id(self) -> int:
        """Names this holder in guards and to operators. Raises NotHeld as ``token`` does."""
        return self._latest().holder_id

    @property
    def value(self) -> bytes:
        """What this holder publishes."""
        return self._value

    @property
    def held(self) -> bool:
        """Is the lock held now, as far as this process can know?"""
        return self.remaining() > 0

    @property
    def notice(self) -> Optional[Notice]:
        """The operator's notice that this lock will be revoked, if there is one."""
        self._core.home.check("lock")
        holding = self._holding
        return self._core.notice_of(holding) if holding is not None and holding.live else None

    def remaining(self) -> float:
        """Seconds for which the lock can be relied on without any further word from a server.

        0.0 if it is not held. Commonly renewed long before it comes near that.
        """
        self._core.home.check("lock")
        holding = self._holding
        if holding is None or holding.giving_up or not holding.live:
            return 0.0
        return max(0.0, holding.deadline - boot())

    def check(self) -> None:
        """Raise :class:`LockLost` if the lock has ended, :class:`NotHeld` if it was given back.

        Costs no call to a server: it compares the local deadline with the boot-time clock. A
        process that was paused past its deadline learns it here. What was written before that is
        stopped only by the fencing token.
        """
        self._core.home.check("lock")
        holding = self._latest()
        self._check_ours(holding)
        if holding.giving_up:
            raise NotHeld(f"{self._name()} is being handed over")

    # --------------------------------------------------------------------------------- acquire

    def acquire(self: Self, timeout: Union[float, None, EllipsisType] = ...) -> Self:
        """Acquire; ``timeout`` overrides the one given when the handle was made.

        None waits as long as the session lives. 0 tries: :class:`NotGranted` names the holders.
        Otherwise :class:`LockTimeout` after that many seconds; if the grant comes just while the
        wait is taken back, the lock is kept and returned. An exception, KeyboardInterrupt
        included, leaves neither a place in the queue nor a grant behind.
        """
        self._core.check_alive()
        limit = (self._terms.timeout if timeout is ... else
                 _arguments.timeout(timeout, none="as long as the session lives"))
        # Whoever is interrupted between any two steps has this in hand already.
        ticket, before = object(), self._holding
        try:
            if self._acquiring.setdefault("by", ticket) is not ticket:
                raise LockError(f"another thread is acquiring {self._name()} with this handle")
            self._core.expire()
            if self._holding is not None and self._holding.live:
                raise LockError(f"{self._name()} is already held by this handle (token "
                                f"{self.token}); locks are not reentrant")
            self._ask(limit)
            return self
        except HoldfastError:
            raise
        except BaseException:
            self._untake(before)
            raise
        finally:
            if "by" in self._acquiring and self._acquiring["by"] is ticket:
                del self._acquiring["by"]

    def try_acquire(self) -> bool:
        """Acquire if the lock is free at once. A try never passes a waiter."""
        try:
            self.acquire(timeout=0)
        except NotGranted:
            return False
        return True

    def _ask(self, timeout: Optional[float]) -> None:
        asking = Asking(self._core, self._method, self._request(timeout), self.paths, timeout,
                        self._terms.patience)
        try:
            self._take(asking.run(), asking.moves)
        except HoldfastError:
            raise
        except BaseException:  # e.g. from a signal's handler, between any two steps
            if asking.granted is not None:
                for holding in self._core.held_as(asking.granted.holderId):
                    self._core.let_go(holding)
                self._give_back_later(asking.granted.holderId)
            raise

    def _take(self, result: Any, moves: int) -> None:
        shared = tuple(w.path for w in self._wanted if w.mode is not Mode.EXCLUSIVE)
        holding = Holding(self.paths, result.holderId, result.token, shared)
        holding.on_end = lambda reason: self._ended(holding, reason)
        holding.on_notice = self._noticed
        self._core.hold(holding)
        if holding.loss:
            raise self._loss(holding)
        self._holding = holding
        if moves != self._core.moves:
            self._core.verify(holding)
        log.info("acquired %s with token %d", self._name(), holding.token)

    def _untake(self, before: Optional[Holding]) -> None:
        """The acquire was cut off: its caller never learns of what it was granted."""
        holding = self._holding
        if holding is not None and holding is not before:
            self._core.let_go(holding)
            self._give_back_later(holding.holder_id)

    def _give_back_later(self, holder_id: int) -> None:
        self._core.later("release", lambda: give_back(self._core, self._method, self.path,
                                                      holder_id))

    def _request(self, timeout: Optional[float]) -> Any:
        common = {
            "waitMs": -1 if timeout is None else math.ceil(timeout * 1000),
            "value": self._value or None,
            "lockDelayMs": round(self._terms.lock_delay * 1000) or None,
            "maxQueue": self._terms.max_queue or None,
            "owner": self._terms.owner or None,
            "enqueue": True,
        }
        locks = [LockWanted(path=w.path, mode=w.mode.value,
                            permits=w.permits if w.limit is not None else None, limit=w.limit)
                 for w in self._wanted]
        if self._method == "acquireAll":
            return AcquireAllRequest(locks=locks, **common)
        return AcquireRequest(path=locks[0].path, mode=locks[0].mode, permits=locks[0].permits,
                              limit=locks[0].limit, **common)

    # --------------------------------------------------------------------------- while it is held

    def set_value(self, value: Value) -> None:
        """Replace what this holder publishes, e.g. its address. Raises LockLost or NotHeld.

        Of a handle of several locks it is published at each, one after the other.
        """
        data = to_bytes(value)
        self.check()
        holding = self._latest()
        with self._server_knows_better(holding):
            for path in self.paths:
                request = SetHolderValueRequest(path=path, holderId=holding.holder_id, value=data)
                self._core.settle("setHolderValue", request, self._core.sequences.take(),
                                  gate=self.check)
        self._value = data

    def release(self) -> None:
        """Give the lock back. Nothing happens if that was done already.

        Raises :class:`LockLost` if the lock had ended before. If no server answers, this returns
        when the lock's time is up, and the release is repeated in the background. Of locks that
        were taken together the servers say only whether any was still held: that one had been taken
        away raises if it was known here by then.
        """
        holding = self._holding
        if holding is None or holding.released:
            self._core.home.check("lock")
            return
        try:
            self._core.home.check("lock")
            if not self._core.let_go(holding):
                if holding.loss:
                    raise self._loss(holding)
                return
            left = holding.deadline - boot()
            result = give_back(self._core, self._method, self.path, holding.holder_id,
                               until=time.monotonic() + left)
        except Undecided as undecided:
            log.warning("no server has taken note yet that %s was given back: %s", self._name(),
                        undecided)
        except SessionError as error:
            if error.code and boot() < holding.deadline:
                raise LockLost(f"{self._name()} (token {holding.token}) was lost before it was "
                               f"given back: {error}") from error
        except HoldfastError:
            raise
        except BaseException:  # as in acquire: it may have struck before the release was numbered
            self._core.let_go(holding)
            self._give_back_later(holding.holder_id)
            raise
        else:
            if result.status == ReleaseStatus.NOT_HELD:
                raise LockLost(f"{self._name()} (token {holding.token}) had been taken away before "
                               f"it was given back")
            log.info("released %s", self._name())

    def handover(self, to: Union[Waiter, int]) -> None:
        """Give the lock to a chosen waiter, past all others, in one step.

        ``to`` is a :class:`Waiter` of :meth:`holdfast.Client.describe`, or its holder id. Raises
        :class:`TargetGone` if it no longer waits, :class:`TargetBlocked` if it could not hold the
        lock even then (other shared holders, too few permits, a lock-delay, several locks wanted
        together); the lock is then still held. Until the answer is there it does not count as held:
        the other may have it.
        """
        target = to.holder_id if isinstance(to, Waiter) else _arguments.whole("to", to)
        if target == 0:  # to a server that would be a release
            raise BadArgument("to is 0: a waiter is named by its holder id")
        self.check()
        if self._method == "acquireAll":
            raise LockError("locks that were taken together cannot be handed over")
        holding = self._latest()
        request = ReleaseRequest(path=self.path, holderId=holding.holder_id, to=target)
        holding.giving_up = True
        try:
            result = self._core.settle("release", request, self._core.sequences.take(),
                                       gate=lambda: self._check_ours(holding),
                                       late=lambda late: self._gave_up(holding, late.status))
        except HoldfastError as error:
            # A server that refused it has left it with us.
            holding.giving_up = not error.code or error.maybe_applied
            raise
        self._gave_up(holding, result.status)
        if result.status == ReleaseStatus.TARGET_GONE:
            raise TargetGone(f"holder id {target} does not wait for {self._name()}; it is kept")
        if result.status == ReleaseStatus.TARGET_BLOCKED:
            raise TargetBlocked(f"holder id {target} could not hold {self._name()}; it is kept")
        if result.status == ReleaseStatus.NOT_HELD:
            raise self._loss(holding)
        log.info("handed %s over to holder %d", self._name(), target)

    def __enter__(self: Self) -> Self:
        before = self._holding
        try:
            return self.acquire()
        except HoldfastError:
            raise
        except BaseException:
            self._untake(before)
            raise

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        """Give the lock back; raise LockLost if it was lost and the body raised nothing."""
        if kind is not None and self._core.home.away():
            return
        try:
            self.release()
        except LockLost as lost:
            if kind is None:
                raise
            log.warning("%s (while %s was raised)", lost, kind.__name__)

    def __repr__(self) -> str:
        holding = self._holding
        state = "not acquired"
        if holding is not None:
            state = (f"lost: {holding.loss}" if holding.loss else
                     "released" if holding.released else f"token {holding.token}")
        return f"<{type(self).__name__} {self._name()} ({state})>"

    # ---------------------------------------------------------------------------------- inside

    def _name(self) -> str:
        return ", ".join(self.paths)

    def _check_ours(self, holding: Holding) -> None:
        """Raise if the holding has ended."""
        self._core.expire()
        if holding.loss:
            raise self._loss(holding)
        if holding.released:
            raise NotHeld(f"{self._name()} was given back")

    def _gave_up(self, holding: Holding, status: int) -> None:
        """What has become of a handover is known."""
        if status in (ReleaseStatus.TARGET_GONE, ReleaseStatus.TARGET_BLOCKED):
            holding.giving_up = False
        elif status == ReleaseStatus.NOT_HELD:
            self._core.lose(holding, "the servers do not count it as held")
        else:
            self._core.let_go(holding)

    def _latest(self) -> Holding:
        if self._holding is None:
            raise NotHeld(f"{self._name()} was not acquired")
        return self._holding

    def _loss(self, holding: Holding) -> LockLost:
        return LockLost(f"{self._name()} (token {holding.token}) was lost: {holding.loss}")

    @contextlib.contextmanager
    def _server_knows_better(self, holding: Holding) -> Iterator[None]:
        try:
            yield
        except NotHeld as error:
            if not error.code:  # the handle itself knows that it was given back
                raise
            self._core.lose(holding, str(error))
            raise self._loss(holding) from error

    def _gone(self, reason: str) -> None:
        """A server refused a write that this lock guards."""
        self._core.lose(self._latest(), reason)

    def _noticed(self, notice: Notice) -> None:
        if self._terms.on_revoke is not None:
            call_apart("on_revoke", self._terms.on_revoke, self, notice)

    def _ended(self, holding: Holding, reason: str) -> None:
        """On a thread of its own: tell the program, and the servers when they can be reached."""
        self._give_back_later(holding.holder_id)
        if self._terms.on_lost is not None:
            self._terms.on_lost(self, reason)


class Leadership(Lock):
    """The lock of an election, held by its winner: see :meth:`holdfast.Election.campaign`."""

    def publish(self, value: Value) -> None:
        """Replace the value that others see as the leader's."""
        self.set_value(value)
