"""What watches tell."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Tuple, Union

from holdfast_api.watch.ttypes import EventType
from holdfast_api.watch.ttypes import RemovalReason as WireRemoval

from ._kinds import Kind
from .keys import Entry
from .types import end_reason


class EventKind(Kind):
    """What happened. RESYNC: the watch was too far behind, and is shown the present state."""

    CREATED = EventType.KEY_CREATED
    CHANGED = EventType.KEY_CHANGED
    DELETED = EventType.KEY_REMOVED
    GRANTED = EventType.LOCK_GRANTED
    ENDED = EventType.LOCK_ENDED
    RESYNC = 0


@dataclasses.dataclass(frozen=True)
class Hold:
    """A holder of a lock, as watches know it."""

    holder_id: int
    token: int
    session_id: int


@dataclasses.dataclass(frozen=True)
class State:
    """What a watch sees, all at one revision: keys by path, and holders of locks by path."""

    keys: Mapping[str, Entry]
    locks: Mapping[str, Tuple[Hold, ...]]


@dataclasses.dataclass(frozen=True)
class Event:
    """One change, or with ``kind`` RESYNC the state that takes the place of all told before.

    ``last`` marks the last event of its revision: changes that were made together come one after
    the other, and the first of them only when all are there. A watch that goes on from ``revision``
    of a last event misses nothing.
    """

    kind: EventKind
    #: The key or lock; of RESYNC the place that is watched.
    path: str
    revision: int
    last: bool
    #: Keys: the new value, if the watch asked for values; empty of a deletion.
    value: bytes = b""
    #: Keys: the version that was made; of a deletion the last one.
    version: int = 0
    create_revision: int = 0
    ephemeral_owner: int = 0
    #: DELETED: why: "REMOVED", "SESSION_ENDED", "TTL_PASSED", "CONTAINER_EMPTY".
    reason: str = ""
    #: Locks: who holds it now, or held it; ``reason`` says why that ended.
    hold: Optional[Hold] = None
    #: RESYNC: what there is. What the program knows of and is not in it is gone.
    state: Optional[State] = None

    def __str__(self) -> str:
        """In one line, for people: "4711 CHANGED /config/a version 3"."""
        more = f" version {self.version}" if self.version else ""
        if self.hold is not None:
            more = f" token {self.hold.token} session {self.hold.session_id}"
        if self.value:
            more += f" = {self.value.decode(errors='backslashreplace')!r}"
        if self.reason:
            more += f": {self.reason}"
        return f"{self.revision} {self.kind} {self.path}{more}"

    @property
    def text(self) -> str:
        """The value as text."""
        return self.value.decode(errors="replace")

    @property
    def entry(self) -> Entry:
        """CREATED and CHANGED: the key as it is now."""
        return Entry(self.path, self.value, self.version, self.create_revision, self.revision,
                     self.ephemeral_owner)

    @classmethod
    def of(cls, wire: Any, revision: int, last: bool) -> "Event":
        """From the wire's WatchEvent."""
        kind = EventKind(wire.eventType)
        if kind in (EventKind.GRANTED, EventKind.ENDED):
            reason = end_reason(wire.endReason) if kind is EventKind.ENDED else ""
            return cls(kind, wire.path or "", revision, last, reason=reason, hold=hold_of(wire))
        reason = ""
        if kind is EventKind.DELETED:
            reason = str(WireRemoval._VALUES_TO_NAMES.get(wire.removal, f"reason {wire.removal}"))
        return cls(kind, wire.path or "", revision, last, wire.value or b"", wire.version or 0,
                   wire.createRevision or 0, wire.ephemeralOwner or 0, reason)


def hold_of(wire: Any) -> Hold:
    """The holder that a WatchEvent names."""
    return Hold(wire.holderId or 0, wire.token or 0, wire.sessionId or 0)


_SCOPES = {1: "node", 2: "children", 3: "subtree"}
_SPACES = {1: "keys", 2: "locks", 3: "both"}


def _kind(wire: int) -> Union[EventKind, str]:
    return EventKind(wire) if wire in EventType._VALUES_TO_NAMES else str(wire)


@dataclasses.dataclass(frozen=True)
class WatchInfo:
    """A watch as operators see it, with the words of :meth:`holdfast.Session.watch`.

    ``kinds`` is None if it sees all. What a newer server has and this version does not know is
    shown by its number, as a str, in ``kinds``, ``scope`` and ``space``.
    ``behind``: something happened that it was not told yet; ``resyncing``: it is told the present
    state anew.
    """

    watch_id: int
    session_id: int
    session_name: str
    path: str
    scope: str
    space: str
    values: bool
    kinds: Optional[Tuple[Union[EventKind, str], ...]]
    behind: bool
    resyncing: bool

    @classmethod
    def of(cls, wire: Any) -> "WatchInfo":
        """From the wire's WatchInfo."""
        kinds = tuple(_kind(kind) for kind in wire.filter or ())
        return cls(wire.watchId or 0, wire.sessionId or 0, wire.sessionName or "",
                   wire.path or "", _SCOPES.get(wire.scope, str(wire.scope)),
                   _SPACES.get(wire.space, str(wire.space)), bool(wire.withValues), kinds or None,
                   bool(wire.behind), bool(wire.resyncing))
