"""One watch's stream, put together: groups whole, a resynchronisation beside the old view.

No thread, no socket, no clock: what a server tells goes in, what a program may be shown comes out.
The rules are those of docs/watches.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional, Tuple

from holdfast_api.watch.ttypes import DeliveryKind, EventType

from .events import Event, EventKind, Hold, State, hold_of
from .keys import Entry

#: What an event costs in memory besides its path and value, about.
EVENT_BYTES = 400


@dataclasses.dataclass(frozen=True)
class Group:
    """All that one watch is shown of one revision."""

    #: Where the watch stood before: who has not taken all of this group goes on from there.
    after: int
    events: Tuple[Event, ...]
    #: What it costs in memory, about.
    size: int


class View:
    """The state while a resynchronisation tells it."""

    def __init__(self) -> None:
        self.keys: Dict[str, Entry] = {}
        self.locks: Dict[str, Dict[int, Hold]] = {}

    def apply(self, wire: Any, revision: int) -> None:
        """An item of the state, or a change of what was told already."""
        path = wire.path or ""
        if wire.eventType in (EventType.KEY_CREATED, EventType.KEY_CHANGED):
            self.keys[path] = Entry(path, wire.value or b"", wire.version or 0,
                                    wire.createRevision or 0, wire.modifyRevision or revision,
                                    wire.ephemeralOwner or 0)
        elif wire.eventType == EventType.KEY_REMOVED:
            self.keys.pop(path, None)
        elif wire.eventType == EventType.LOCK_GRANTED:
            hold = hold_of(wire)
            self.locks.setdefault(path, {})[hold.holder_id] = hold
        elif wire.eventType == EventType.LOCK_ENDED:
            self.locks.get(path, {}).pop(wire.holderId or 0, None)

    def state(self) -> State:
        """What was told, as programs are shown it."""
        return State(self.keys, {path: tuple(holds.values())
                                 for path, holds in self.locks.items() if holds})


class Assembly:
    """Where a watch is, and what was told of it that may not be shown yet."""

    def __init__(self, path: str, since: int) -> None:
        self._path = path
        #: With this revision the watch goes on elsewhere; 0: from now on.
        self.position = since
        self._parts: List[Any] = []
        self._view: Optional[View] = None

    @property
    def resyncing(self) -> bool:
        """Is a new view being built?"""
        return self._view is not None

    def restart(self) -> None:
        """The watch is registered anew: what is not whole will be told again."""
        self._parts = []
        self._view = None

    def progress(self, revision: int) -> None:
        """Everything up to this revision has been told."""
        if not self._parts and self._view is None:
            self.position = max(self.position, revision)

    def take(self, delivery: Any) -> Optional[Group]:
        """The next delivery of this watch; the group that it completes, if it does."""
        kind, revision = delivery.kind or DeliveryKind.EVENTS, delivery.revision or 0
        if kind == DeliveryKind.RESYNC_BEGIN:
            self._parts, self._view = [], View()
        elif self._view is not None:
            if kind == DeliveryKind.RESYNC_END:
                return self._resynced(self._view, revision)
            for wire in delivery.events or ():
                self._view.apply(wire, revision)
        elif kind == DeliveryKind.EVENTS:
            self._parts += delivery.events or ()
            if not delivery.partial:
                return self._whole(revision)
        return None

    def _whole(self, revision: int) -> Group:
        parts, self._parts = self._parts, []
        after, self.position = self.position, revision
        end = len(parts) - 1
        events = tuple(Event.of(wire, revision, at == end) for at, wire in enumerate(parts))
        return Group(after, events,
                     sum(EVENT_BYTES + len(e.path) + len(e.value) for e in events))

    def _resynced(self, view: View, revision: int) -> Group:
        self._view = None
        after, self.position = self.position, revision
        event = Event(EventKind.RESYNC, self._path, revision, True, state=view.state())
        size = EVENT_BYTES * (1 + len(view.locks)) + sum(
            EVENT_BYTES + len(e.path) + len(e.value) for e in view.keys.values())
        return Group(after, (event,), size)
