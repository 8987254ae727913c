"""What a watch's stream flows into. All methods are called with the mutex of Watches held."""

from __future__ import annotations

import collections
import dataclasses
from typing import Callable, Deque, Optional, Tuple

from holdfast_api.watch.ttypes import WatchScope, WatchSpace

from . import _arguments
from ._assembly import Assembly, Group
from .errors import BadArgument, HoldfastError
from .events import Event, EventKind

SCOPES = {"node": WatchScope.NODE, "children": WatchScope.CHILDREN, "subtree": WatchScope.SUBTREE}
SPACES = {"keys": WatchSpace.KEYS, "locks": WatchSpace.LOCKS, "both": WatchSpace.BOTH}
#: Bytes that a buffer holds, about, whatever the number of its events.
BUFFER_BYTES_MAX = 16 << 20


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is watched."""

    path: str
    scope: str = "node"
    space: str = "keys"
    values: bool = False
    #: What is told of it; () is everything.
    kinds: Tuple[EventKind, ...] = ()

    def __post_init__(self) -> None:
        _arguments.text("scope", self.scope)
        _arguments.text("space", self.space)
        _arguments.flag("values", self.values)
        if self.scope not in SCOPES:
            raise BadArgument(f"scope {self.scope!r} is none of {', '.join(SCOPES)}")
        if self.space not in SPACES:
            raise BadArgument(f"space {self.space!r} is none of {', '.join(SPACES)}")


class Feed:
    """A watch, wherever it is registered at present."""

    def __init__(self, spec: Spec, since: int) -> None:
        self.spec = spec
        self.assembly = Assembly(spec.path, since)
        #: Its number at the server that is polled; 0: it is not registered there.
        self.watch_id = 0
        #: It was registered once: a program that began it may rely on it.
        self.begun = False
        #: It is not to be registered: nobody has taken what it holds.
        self.parked = False
        self.closed = False
        self.error: Optional[HoldfastError] = None

    def take(self, group: Group) -> None:
        """A whole group arrived."""
        raise NotImplementedError

    def full(self) -> bool:
        """No more groups, please."""
        return False


class Buffer(Feed):
    """A feed that is read group by group or event by event."""

    def __init__(self, spec: Spec, since: int, events_max: int,
                 news: Callable[[], None] = lambda: None) -> None:
        super().__init__(spec, since)
        if events_max < 1:
            raise BadArgument(f"buffer {events_max} is below 1")
        self._events_max = events_max
        self._news = news
        self._groups: Deque[Group] = collections.deque()
        self._open: Deque[Event] = collections.deque()
        self._events = 0
        self._bytes = 0
        self._after = since

    def take(self, group: Group) -> None:
        self._groups.append(group)
        self._events += len(group.events)
        self._bytes += group.size
        self._news()

    def full(self) -> bool:
        return self._events >= self._events_max or self._bytes >= BUFFER_BYTES_MAX

    def drained(self) -> bool:
        """It has room again, and enough not to be full with the next event."""
        return self._events <= self._events_max // 2 and self._bytes <= BUFFER_BYTES_MAX // 2

    def pop_event(self) -> Optional[Event]:
        """The next event."""
        if not self._open:
            self._open.extend(self._pop())
        return self._open.popleft() if self._open else None

    def pop_group(self) -> Tuple[Event, ...]:
        """What is left of the present group, or the next one; empty if there is none."""
        events = tuple(self._open) or self._pop()
        self._open.clear()
        return events

    def _pop(self) -> Tuple[Event, ...]:
        if not self._groups:
            return ()
        group = self._groups.popleft()
        self._events -= len(group.events)
        self._bytes -= group.size
        self._after = group.after
        return group.events

    @property
    def revision(self) -> int:
        """Up to here everything was read."""
        if self._open:
            return self._after
        return self._groups[0].after if self._groups else self.assembly.position
