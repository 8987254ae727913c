"""Keys and watches of the fake cluster: what the client can tell apart, as plainly as possible.

Every server sees every entry at once. A watch that begins before ``Keys.floor`` is resynchronised
from a copy of the keys made at its RESYNC_BEGIN.
"""

from __future__ import annotations

import copy
import random
from typing import Any, Callable, Dict, List, Optional, Tuple

from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from holdfast_api.watch import ttypes as w

SEQUENTIAL_DIGITS = 20


class Keys:
    """The tree, and every change that was made. Called with the model's mutex held."""

    def __init__(self, refuse: Callable[..., Exception],
                 holds_lock: Callable[[str, int], bool]) -> None:
        self.entries: Dict[str, Any] = {}
        self.history: List[Tuple[int, List[Any]]] = []
        #: Revisions up to here are forgotten.
        self.floor = 0
        self._refuse = refuse
        self._holds_lock = holds_lock
        self._numbers = 0
        self._events: List[Any] = []

    def entry(self, revision: int, apply: Callable[[], Any]) -> Any:
        """One entry: all that ``apply`` does, or nothing if it raises."""
        before = copy.deepcopy(self.entries)
        self._events = []
        try:
            result = apply()
        except t.HoldfastError:
            self.entries = before
            raise
        if self._events:
            self.history.append((revision, self._events))
        return result

    def put(self, revision: int, request: Any) -> int:
        """The version."""
        present = self.entries.get(request.path)
        version = present.stat.version if present else 0
        wanted = request.expectedVersion or 0
        if wanted and max(wanted, 0) != version:
            raise self._refuse("BAD_VERSION", f"key {request.path} has version {version}")
        if present is None:
            self._make(revision, request.path, request.value or b"", request.makeParents)
            return 1
        present.value = request.value or b""
        present.stat.version, present.stat.modifyRevision = version + 1, revision
        self._tell(w.EventType.KEY_CHANGED, present)
        return version + 1

    def create(self, revision: int, request: Any, owner: int) -> str:
        """The path."""
        path = request.path
        if request.sequential:
            self._numbers += 1
            path += f"{self._numbers:0{SEQUENTIAL_DIGITS}d}"
        if path in self.entries:
            raise self._refuse("KEY_EXISTS", f"key {path} exists")
        ephemeral = request.kind == w.KeyKind.EPHEMERAL
        self._make(revision, path, request.value or b"", request.makeParents,
                   owner if ephemeral else 0)
        return path

    def remove(self, request: Any) -> int:
        """How many went."""
        present = self.entries.get(request.path)
        if present is None:
            raise self._refuse("NO_KEY", f"key {request.path} does not exist")
        if request.expectedVersion and request.expectedVersion != present.stat.version:
            raise self._refuse("BAD_VERSION", f"it has version {present.stat.version}")
        below = [p for p in self.entries if p.startswith(request.path + "/")]
        if below and not request.recursive:
            raise self._refuse("NOT_EMPTY", f"key {request.path} has {len(below)} children")
        for path in sorted([*below, request.path], reverse=True):
            self._end(path, w.RemovalReason.REMOVED)
        return len(below) + 1

    def transact(self, revision: int, request: Any, owner: int) -> Any:
        """The answer."""
        held = all(self._holds(c) for c in request.compares or ())
        results = []
        for step in (request.thenOperations if held else request.otherwiseOperations) or ():
            if step.put:
                results.append(k.OperationResult("", self.put(revision, step.put), 0))
            elif step.create:
                results.append(k.OperationResult(self.create(revision, step.create, owner), 1, 0))
            else:
                results.append(k.OperationResult("", 0, self.remove(step.remove)))
        return k.TransactResult(revision=revision, succeeded=held, results=results)

    def end_owner(self, revision: int, session_id: int) -> None:
        """The ephemeral keys of a session go."""
        mine = [p for p, e in self.entries.items() if e.stat.ephemeralOwner == session_id]
        self.entry(revision, lambda: [self._end(p, w.RemovalReason.SESSION_ENDED) for p in mine])

    def below(self, path: str, subtree: bool) -> List[Any]:
        """In the order of the tree, without the key itself."""
        prefix = "/" if path == "/" else path + "/"
        found = [e for p, e in self.entries.items() if p.startswith(prefix)
                 and (subtree or "/" not in p[len(prefix):])]
        return sorted(found, key=lambda e: e.path.split("/"))

    def seen(self, spec: Any, path: str) -> bool:
        """Does a watch see this path?"""
        scope = spec.scope or w.WatchScope.NODE
        prefix = "/" if spec.path == "/" else spec.path + "/"
        if path == spec.path:
            return bool(scope != w.WatchScope.CHILDREN)
        return path.startswith(prefix) and scope != w.WatchScope.NODE and (
            scope == w.WatchScope.SUBTREE or "/" not in path[len(prefix):])

    def _holds(self, compare: Any) -> bool:
        if compare.target == k.CompareTarget.HOLDS:
            return self._holds_lock(compare.path, compare.number)
        present = self.entries.get(compare.path)
        there = {k.CompareTarget.EXISTS: int(present is not None),
                 k.CompareTarget.VERSION: present.stat.version if present else 0,
                 k.CompareTarget.MODIFY_REVISION: present.stat.modifyRevision if present else 0,
                 }[compare.target]
        return bool((there == compare.number) == (compare.relation == k.CompareRelation.EQUAL))

    def _make(self, revision: int, path: str, value: bytes, parents: Optional[bool],
              owner: int = 0) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self.entries:
            if not parents:
                raise self._refuse("NO_KEY", f"key {parent} does not exist")
            self._make(revision, parent, b"", True)
        entry = w.KeyEntry(path, value, w.KeyStat(
            kind=w.KeyKind.EPHEMERAL if owner else w.KeyKind.PERSISTENT, version=1,
            createRevision=revision, modifyRevision=revision, ephemeralOwner=owner))
        self.entries[path] = entry
        self._tell(w.EventType.KEY_CREATED, entry)

    def _end(self, path: str, reason: int) -> None:
        entry = self.entries.pop(path)
        entry.value = b""
        self._tell(w.EventType.KEY_REMOVED, entry, reason)

    def _tell(self, kind: int, entry: Any, reason: int = 0) -> None:
        self._events.append(event_of(kind, entry, reason))


def event_of(kind: int, entry: Any, reason: int = 0) -> Any:
    """The wire's WatchEvent."""
    stat = entry.stat
    return w.WatchEvent(eventType=kind, path=entry.path, version=stat.version, value=entry.value,
                        createRevision=stat.createRevision, ephemeralOwner=stat.ephemeralOwner,
                        modifyRevision=stat.modifyRevision, removal=reason)


class OneWatch:
    """Where a watch is: ``told`` whole, and ``part`` events of what comes after."""

    def __init__(self, spec: Any, told: int) -> None:
        self.spec = spec
        self.told = told
        self.part = 0
        self.items: Optional[List[Any]] = None


class ServerWatches:
    """The watches of one process."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.epoch = random.getrandbits(48) + 1
        self.delivery = random.getrandbits(40)
        #: Entries of one reply.
        self.entries_max = 1000
        self.of: Dict[int, Dict[int, OneWatch]] = {}
        self._under_way: Dict[int, Tuple[int, Dict[int, OneWatch]]] = {}
        self._last_id = 0

    def watch(self, session_id: int, spec: Any) -> Any:
        """Register."""
        since = spec.sinceRevision or self._model.revision
        self._last_id += 1
        self.of.setdefault(session_id, {})[self._last_id] = OneWatch(spec, since)
        self._model.changed.notify_all()
        return k.WatchResult(watchId=self._last_id, revision=since, serverEpoch=self.epoch)

    def unwatch(self, session_id: int, watch_id: int) -> None:
        """Forget."""
        self.of.get(session_id, {}).pop(watch_id, None)
        _, saved = self._under_way.get(session_id, (0, {}))
        saved.pop(watch_id, None)

    def acknowledge(self, session_id: int, delivery: int) -> None:
        """Take the delivery under way as taken up, or else as lost."""
        number, saved = self._under_way.pop(session_id, (0, {}))
        if number != delivery:
            for watch_id, watch in saved.items():
                self.of[session_id][watch_id] = watch

    def has_news(self, session_id: int) -> bool:
        """Would collect tell anything?"""
        return any(watch.items is not None or watch.told < self._model.keys.floor
                   or self._next(watch) is not None
                   for watch in self.of.get(session_id, {}).values())

    def collect(self, session_id: int, result: Any) -> None:
        """Fill the answer to a poll."""
        self.delivery += 1
        result.delivery, result.serverEpoch, result.watches = self.delivery, self.epoch, []
        mine = self.of.get(session_id, {})
        self._under_way[session_id] = (self.delivery, copy.deepcopy(mine))
        left = self.entries_max
        for watch_id, watch in mine.items():
            while left > 0:
                delivery, cost = self._tell(watch, left)
                if delivery is None:
                    break
                delivery.watchId = watch_id
                result.watches.append(delivery)
                left -= cost
        result.more = self.has_news(session_id)
        if mine and not result.more:
            result.progressRevision, result.progressWatchId = self._model.revision, max(mine)

    def _next(self, watch: OneWatch) -> Optional[Tuple[int, List[Any]]]:
        for revision, events in self._model.keys.history:
            seen = [e for e in events if self._model.keys.seen(watch.spec, e.path)
                    and (not watch.spec.filter or e.eventType in watch.spec.filter)]
            if revision > watch.told and seen:
                return revision, seen
        return None

    def _tell(self, watch: OneWatch, left: int) -> Tuple[Optional[Any], int]:
        keys = self._model.keys
        if watch.items is None and watch.told < keys.floor:
            watch.items = [event_of(w.EventType.KEY_CREATED, copy.deepcopy(e))
                           for p, e in keys.entries.items() if keys.seen(watch.spec, p)]
            watch.told = self._model.revision
            return w.WatchDelivery(kind=w.DeliveryKind.RESYNC_BEGIN, revision=watch.told), 1
        if watch.items:
            items, watch.items = watch.items[:left], watch.items[left:]
            return w.WatchDelivery(kind=w.DeliveryKind.RESYNC_STATE, revision=watch.told,
                                   events=items), len(items)
        if watch.items is not None:
            watch.items = None
            return w.WatchDelivery(kind=w.DeliveryKind.RESYNC_END, revision=watch.told), 1
        return self._tell_events(watch, left)

    def _tell_events(self, watch: OneWatch, left: int) -> Tuple[Optional[Any], int]:
        found = self._next(watch)
        if found is None:
            return None, 0
        revision, events = found
        part = events[watch.part:watch.part + left]
        watch.part += len(part)
        whole = watch.part == len(events)
        if whole:
            watch.told, watch.part = revision, 0
        return w.WatchDelivery(kind=w.DeliveryKind.EVENTS, revision=revision, events=part,
                               partial=not whole), len(part)
