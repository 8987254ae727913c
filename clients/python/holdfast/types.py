"""What the servers tell about locks, sessions and themselves, as plain immutable records.

Times of day (``since``, ``ended``, ``opened``) are the leader's wall clock in seconds since 1970;
they are for people and must not be compared with anything. Durations are seconds.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from holdfast_api.holdfast.ttypes import EndReason as WireEndReason
from holdfast_api.holdfast.ttypes import LockMode as WireLockMode

from . import _arguments
from ._kinds import Kind
from .errors import BadArgument

#: What a holder may publish: bytes, or text that is sent as UTF-8.
Value = Union[bytes, str]

#: The greatest revision or version that there can be.
NUMBER_MAX = (1 << 53) - 1


def to_bytes(value: Value) -> bytes:
    """The bytes of a value."""
    if isinstance(value, str) and not _arguments.is_unicode(value):
        raise BadArgument(f"value {_arguments.shown(value)} is not Unicode text")
    return _arguments.value_bytes(value)


class Mode(Kind):
    """How a lock is shared."""

    EXCLUSIVE = WireLockMode.EXCLUSIVE
    SHARED = WireLockMode.SHARED
    SEMAPHORE = WireLockMode.SEMAPHORE

    @classmethod
    def of(cls, wire: Optional[int]) -> "Mode":
        """The mode of a wire value, of which 0 and absent mean EXCLUSIVE."""
        return cls(wire or WireLockMode.EXCLUSIVE)


def end_reason(wire: Optional[int]) -> str:
    """The name of the reason why a tenure ended: "RELEASED", "SESSION_EXPIRED", ..."""
    return str(WireEndReason._VALUES_TO_NAMES.get(wire or 0, f"reason {wire}"))


def _seconds(ms: Optional[int]) -> float:
    return (ms or 0) / 1000


def _left(ms: Optional[int]) -> Optional[float]:
    return None if ms is None or ms < 0 else ms / 1000


@dataclasses.dataclass(frozen=True)
class Holder:
    """A present holder of a lock. ``lease_left`` is None where it is not known."""

    holder_id: int
    token: int
    session_id: int
    session_name: str
    owner: str
    mode: Mode
    permits: int
    value: bytes
    since: float
    lease_left: Optional[float]
    revoking: bool

    @classmethod
    def of(cls, wire: Any) -> "Holder":
        """From the wire's LockHolder."""
        return cls(wire.holderId or 0, wire.token or 0, wire.sessionId or 0,
                   wire.sessionName or "", wire.owner or "", Mode.of(wire.mode),
                   wire.permits or 0, wire.value or b"", _seconds(wire.sinceUnixMs),
                   _left(wire.leaseLeftMs), bool(wire.revoking))

    @property
    def text(self) -> str:
        """The value as text."""
        return self.value.decode(errors="replace")

    def __str__(self) -> str:
        name = self.session_name or f"session {self.session_id}"
        return f"{name} (token {self.token})"


@dataclasses.dataclass(frozen=True)
class Waiter:
    """A place in a lock's queue. ``wait_left`` is None if the wait has no end of its own,
    ``lease_left`` where it is not known."""

    holder_id: int
    position: int
    session_id: int
    session_name: str
    owner: str
    mode: Mode
    permits: int
    since: float
    wait_left: Optional[float]
    locks_wanted: int
    lease_left: Optional[float]

    @classmethod
    def of(cls, wire: Any) -> "Waiter":
        """From the wire's LockWaiter."""
        return cls(wire.holderId or 0, wire.position or 0, wire.sessionId or 0,
                   wire.sessionName or "", wire.owner or "", Mode.of(wire.mode),
                   wire.permits or 0, _seconds(wire.sinceUnixMs), _left(wire.waitLeftMs),
                   wire.locksWanted or 1, _left(wire.leaseLeftMs))


@dataclasses.dataclass(frozen=True)
class Tenure:
    """A past holder, and why it holds no longer."""

    holder_id: int
    token: int
    session_id: int
    session_name: str
    owner: str
    since: float
    ended: float
    end_revision: int
    reason: str
    note: str

    @classmethod
    def of(cls, wire: Any) -> "Tenure":
        """From the wire's Tenure."""
        return cls(wire.holderId or 0, wire.token or 0, wire.sessionId or 0,
                   wire.sessionName or "", wire.owner or "", _seconds(wire.sinceUnixMs),
                   _seconds(wire.endedUnixMs), wire.endRevision or 0, end_reason(wire.reason),
                   wire.note or "")


@dataclasses.dataclass(frozen=True)
class LockInfo:
    """Everything about one lock: who holds it, waits, had it. ``limit`` 0: no semaphore.

    ``restore_hold``: ``closed_for`` is the time for which no lock is granted after a restore."""

    path: str
    limit: int
    holders: Tuple[Holder, ...]
    waiters: Tuple[Waiter, ...]
    tenures: Tuple[Tenure, ...]
    holder_count: int
    waiter_count: int
    closed_for: float
    revision: int
    restore_hold: bool = False

    @classmethod
    def of(cls, wire: Any, revision: int) -> "LockInfo":
        """From the wire's LockInfo."""
        return cls(wire.path or "", wire.limit or 0, holders_of(wire.holders),
                   tuple(Waiter.of(w) for w in wire.waiters or ()),
                   tuple(Tenure.of(t) for t in wire.tenures or ()), wire.holderCount or 0,
                   wire.waiterCount or 0, _seconds(wire.closedForMs), revision,
                   bool(wire.restoreHold))

    @property
    def holder(self) -> Optional[Holder]:
        """The holder, or the oldest of several, or None."""
        return self.holders[0] if self.holders else None


def holders_of(wire: Optional[Sequence[Any]]) -> Tuple[Holder, ...]:
    """From a list of the wire's LockHolder."""
    return tuple(Holder.of(h) for h in wire or ())


@dataclasses.dataclass(frozen=True)
class LockSummary:
    """A lock in a list; ``holders`` has at most 16."""

    path: str
    holders: Tuple[Holder, ...]
    holder_count: int
    waiter_count: int

    @classmethod
    def of(cls, wire: Any) -> "LockSummary":
        """From the wire's LockSummary."""
        return cls(wire.path or "", holders_of(wire.holders), wire.holderCount or 0,
                   wire.waiterCount or 0)


def check_number(name: str, number: int) -> int:
    """A revision or version, as far as numbers of the servers go."""
    if not 0 <= _arguments.whole(name, number) <= NUMBER_MAX:
        raise BadArgument(f"{name} {number} is not from 0 to {NUMBER_MAX}")
    return int(number)


def check_prefix(prefix: str) -> str:
    """The text that paths begin with; empty: all."""
    if _arguments.text("prefix", prefix) and not prefix.startswith("/"):
        raise BadArgument(f"prefix {prefix!r} is not absolute: it does not begin with '/'")
    return prefix


def check_path(path: str) -> str:
    """The path of a lock or key, as programs get it wrong; the servers judge the rest."""
    if not _arguments.text("path", path).startswith("/"):
        raise BadArgument(f"path {path!r} is not absolute: it does not begin with '/'")
    if path == "/":
        raise BadArgument("path '/' names no lock")
    if not _arguments.is_unicode(path):
        raise BadArgument(f"path {path!r} is not Unicode text")
    if any(segment in ("", ".", "..") for segment in path[1:].split("/")):
        raise BadArgument(f"path {path!r} has an empty, '.' or '..' segment")
    return path


@dataclasses.dataclass(frozen=True)
class Wanted:
    """One lock of several to be taken together; a semaphore if ``limit`` is given."""

    path: str
    shared: bool = False
    permits: int = 1
    limit: Optional[int] = None

    def __post_init__(self) -> None:
        check_path(self.path)
        _arguments.flag("shared", self.shared)
        _arguments.whole("permits", self.permits)
        _arguments.whole_or_none("limit", self.limit, "no semaphore")
        for name, number in (("permits", self.permits), ("limit", self.limit)):
            if number is not None and number < 1:
                raise BadArgument(f"{name} of {self.path} must be 1 or more, not {number}")

    @property
    def mode(self) -> Mode:
        """The mode that follows."""
        if self.limit is not None:
            return Mode.SEMAPHORE
        return Mode.SHARED if self.shared else Mode.EXCLUSIVE


@dataclasses.dataclass(frozen=True)
class Leader:
    """The present winner of an election and what it published."""

    value: bytes
    token: int
    holder_id: int
    session_name: str

    @property
    def text(self) -> str:
        """The value as text."""
        return self.value.decode(errors="replace")


@dataclasses.dataclass(frozen=True)
class Notice:
    """An operator will take the lock away ``notice`` seconds from now: wind down and release.

    Without a path and holder id it is the whole session that will be ended.
    """

    notice_id: int
    path: str
    holder_id: int
    notice: float
    reason: str

    @classmethod
    def of(cls, wire: Any) -> "Notice":
        """From the wire's RevocationNotice."""
        return cls(wire.noticeId or 0, wire.path or "", wire.holderId or 0,
                   _seconds(wire.noticeMs), wire.reason or "")


@dataclasses.dataclass(frozen=True)
class Revocation:
    """What a revoke call began: the notice's id, 0 if nobody held the lock."""

    notice_id: int
    holders: int


@dataclasses.dataclass(frozen=True)
class SessionInfo:
    """A session as operators see it. ``lease_left`` is None where it is not known."""

    session_id: int
    name: str
    attributes: Mapping[str, str]
    ttl: float
    lease_left: Optional[float]
    opened: float
    locks: int
    places: int
    late: bool

    @classmethod
    def of(cls, wire: Any) -> "SessionInfo":
        """From the wire's SessionInfo."""
        return cls(wire.sessionId or 0, wire.name or "", dict(wire.attributes or {}),
                   _seconds(wire.ttlMs), _left(wire.leaseLeftMs), _seconds(wire.openedUnixMs),
                   wire.locks or 0, wire.places or 0, bool(wire.late))


@dataclasses.dataclass(frozen=True)
class Member:
    """A member of the cluster."""

    node_id: int
    peer_address: str
    client_address: str
    store_id: int
    voter: bool
    feature_level: int
    role: str  # VOTER, LEARNER, JOINING or LEAVING
    caught_up: Optional[bool]  # None: only the leader knows


@dataclasses.dataclass(frozen=True)
class Setting:
    """A limit that is replicated and can be changed while the cluster runs."""

    name: str
    value: int
    smallest: int
    largest: int
    initial: int
    help: str


@dataclasses.dataclass(frozen=True)
class Status:
    """One server's view of itself and the cluster; ``details`` has every field of the wire."""

    node_id: int
    role: str
    term: int
    leader_id: int
    commit_index: int
    applied_index: int
    state_digest: str
    sessions: int
    locks: int
    waiters: int
    version: str
    voters: Tuple[int, ...]
    alarms: Tuple[str, ...]
    details: Dict[str, Any]
