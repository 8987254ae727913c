"""What watchers of keys and locks were told, held against each other and against all answers.

The committed changes are the union of what any watcher saw and what writers were answered. Each
watcher's events, over its whole life, must be exactly these: in order of revision, none missing,
none twice, those of one revision together; or a marked resync, whose state is that of its revision.
In the end its mirror shows what a linearizable read shows (PROMISE 10). A lock has the holders that
the events say, at the revision of every description, every list and every grant that anybody was
answered.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

#: kind, path, value, version, create revision, ephemeral owner, reason (watch_kinds.py); of a lock
#: kind, path, holder id, token, session, 0, reason.
Change = List[Any]
#: What a writer asked for and was answered: act, path, version, value.
Step = Tuple[str, str, int, str]
#: Path to value, version, create and modify revision, ephemeral owner.
State = Dict[str, List[Any]]
#: Path to holder id, token and session of each holder, in order.
Locks = Dict[str, List[List[int]]]
#: No write is told by halves: the kinds of changes that each step of a write makes.
MADE = {"put": ("CREATED", "CHANGED"), "create": ("CREATED",), "remove": ("DELETED",)}


LOCK_KINDS = ("GRANTED", "ENDED")


class Broken(Exception):
    """A watcher was told something wrong."""


@dataclasses.dataclass
class Stream:
    """One watcher's life."""

    client: str
    groups: List[Tuple[int, List[Change]]]
    resyncs: List[Tuple[int, State, Locks]]
    mirrors: List[Tuple[int, State]]
    end: Optional[int] = None
    newest: int = 0
    #: What it was told directly: after the first revision, up to the second.
    covered: List[Tuple[int, int]] = dataclasses.field(default_factory=list)


def streams(events: Sequence[Dict[str, Any]]) -> List[Stream]:
    """Each watcher's events in the order in which it was told them; raises Broken."""
    found: Dict[str, Stream] = {}
    position: Dict[str, int] = collections.defaultdict(int)
    for event in events:
        if event["event"] not in ("group", "resync", "watched", "mirror"):
            continue
        client, revision = event["client"], event["revision"]
        stream = found.setdefault(client, Stream(client, [], [], [], covered=[(0, 0)]))
        if event["event"] == "mirror":
            stream.mirrors.append((revision, event["state"]))
            continue
        if event["event"] == "watched":
            stream.end, stream.newest = revision, event["newest"]
        elif revision <= position[client]:
            raise Broken(f"{client} was told of revision {revision} after "
                         f"revision {position[client]}")
        _take(stream, event)
        position[client] = revision
    return list(found.values())


def _take(stream: Stream, event: Dict[str, Any]) -> None:
    revision = event["revision"]
    if event["event"] == "resync":
        stream.resyncs.append((revision, event["state"], event.get("locks", {})))
        stream.covered.append((revision, revision))
        return
    if event["event"] == "group":
        if event["revisions"] != [revision]:
            raise Broken(f"{stream.client} was told of revisions {event['revisions']} as one")
        stream.groups.append((revision, event["changes"]))
    stream.covered[-1] = (stream.covered[-1][0], revision)


def committed(found: Sequence[Stream]) -> Dict[int, List[Change]]:
    """All changes by revision: what any watcher saw. No two may differ."""
    union: Dict[int, List[Change]] = {}
    teller: Dict[int, str] = {}
    for stream in found:
        for revision, changes in stream.groups:
            if union.setdefault(revision, changes) != changes:
                raise Broken(f"of revision {revision} {teller[revision]} was told "
                             f"{union[revision]}, and {stream.client} {changes}")
            teller.setdefault(revision, stream.client)
    return union


def told_writers(calls: Sequence[Dict[str, Any]]) -> Dict[int, List[Step]]:
    """Of each revision that a writer was answered, its steps."""
    told: Dict[int, List[Step]] = {}
    for call in calls:
        result = call["result"]
        if not isinstance(result, dict) or not result.get("writeRevision"):
            continue
        asked = call["arguments"]
        steps = asked.get("otherwise" if result.get("failed") else "writes", [])
        told[result["writeRevision"]] = [
            (step["act"], made.get("path") or step["path"], made.get("version", 0),
             step.get("value", ""))
            for step, made in zip(steps, result.get("results", []))]
    return told


def _written(changes: Sequence[Change]) -> List[Change]:
    """Without what ends by itself in the entry of a write, and without what happens to locks."""
    return [change for change in changes if change[0] not in LOCK_KINDS and
            (change[0] != "DELETED" or change[6] == "REMOVED")]


def _agree(steps: Sequence[Step], changes: Sequence[Change]) -> bool:
    """Are these changes what the steps make? (A deletion tells the last version, not an answer.)"""
    return len(steps) == len(changes) and all(
        change[0] in MADE[act] and change[1] == path and
        (change[6] == "REMOVED" if act == "remove" else change[2:4] == [value, version])
        for (act, path, version, value), change in zip(steps, changes))


def _direct(stream: Stream, revision: int) -> bool:
    return any(first < revision <= last for first, last in stream.covered)


def judge_writers(found: Sequence[Stream], union: Dict[int, List[Change]],
                  calls: Sequence[Dict[str, Any]]) -> None:
    """What writers were answered is what watchers were told."""
    for revision, steps in told_writers(calls).items():
        watched = [stream.client for stream in found if _direct(stream, revision)]
        if steps and watched and revision not in union:
            raise Broken(f"revision {revision} made {steps}, and {watched[0]} was not told")
        if revision in union and not _agree(steps, _written(union[revision])):
            raise Broken(f"revision {revision} made {steps}, and watchers were told "
                         f"{union[revision]}")


def judge_gaps(found: Sequence[Stream], union: Dict[int, List[Change]]) -> None:
    """Nobody misses what somebody else was told, but by a resync."""
    for stream in found:
        seen = {revision for revision, _ in stream.groups}
        for revision in union:
            if revision not in seen and _direct(stream, revision):
                raise Broken(f"{stream.client} was not told of revision {revision}: "
                             f"{union[revision]}")


def apply(state: State, locks: Locks, revision: int, changes: Sequence[Change]) -> None:
    """One revision's changes."""
    for kind, path, value, version, created, owner, _ in changes:
        if kind in LOCK_KINDS:
            _apply_hold(locks, revision, kind, path, [value, version, created])
            continue
        before = state.get(path)
        if (before is not None) != (kind != "CREATED"):
            raise Broken(f"{kind} of {path} at revision {revision}, where there was {before}")
        if kind == "DELETED":
            del state[path]
        elif kind == "CHANGED" and before is not None and version != before[1] + 1:
            raise Broken(f"{path} went from version {before[1]} to {version} at {revision}")
        else:
            state[path] = [value, version, created, revision, owner]


def _apply_hold(locks: Locks, revision: int, kind: str, path: str, hold: List[int]) -> None:
    holds = locks.setdefault(path, [])
    if (hold in holds) != (kind == "ENDED") or (kind == "GRANTED" and hold[1] != revision):
        raise Broken(f"{kind} of {path} to {hold} at revision {revision}, where it was held by "
                     f"{holds}")
    if kind == "GRANTED":
        holds.append(hold)
        holds.sort()
    else:
        holds.remove(hold)
    if not holds:
        del locks[path]


def _whole(found: Sequence[Stream]) -> int:
    """Up to here every revision was told to somebody."""
    reached = 0
    for first, last in sorted(span for stream in found for span in stream.covered):
        if first <= reached:
            reached = max(reached, last)
    return reached


def states(union: Dict[int, List[Change]],
           wanted: Sequence[int]) -> Iterator[Tuple[int, State, Locks]]:
    """The state after each wanted revision, in order."""
    state: State = {}
    locks: Locks = {}
    revisions = sorted(union)
    at = 0
    for revision in sorted(set(wanted)):
        while at < len(revisions) and revisions[at] <= revision:
            apply(state, locks, revisions[at], union[revisions[at]])
            at += 1
        yield revision, state, locks


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    paths = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    return "; ".join(f"{path}: {one.get(path)}, not {other.get(path)}" for path in paths[:5])


def judge_states(found: Sequence[Stream], union: Dict[int, List[Change]], final: State) -> None:
    """Resyncs and mirrors show the state of their revision; in the end all show one."""
    claims: Dict[int, List[Tuple[str, State, Optional[Locks]]]] = collections.defaultdict(list)
    whole = _whole(found)
    for stream in found:
        mirrors = [(revision, shown, None) for revision, shown in stream.mirrors]
        for revision, shown, held in [*stream.resyncs, *mirrors]:
            if revision <= whole:
                claims[revision].append((stream.client, shown, held))
    for revision, state, locks in states(union, list(claims)):
        for client, shown, held in claims[revision]:
            if shown != state:
                raise Broken(f"{client} was shown as the state of revision {revision} "
                             f"{_difference(shown, state)}")
            if held is not None and held != locks:
                raise Broken(f"{client} was shown as the holders at revision {revision} "
                             f"{_difference(held, locks)}")
    for stream in found:
        for revision, shown in stream.mirrors:
            if shown != final:
                raise Broken(f"in the end the mirror of {stream.client} (revision {revision}) has "
                             f"{_difference(shown, final)}")


def described(call: Dict[str, Any]) -> Optional[Locks]:
    """The holders of each lock that an answer shows; None if it shows none."""
    result = call["result"]
    if not isinstance(result, dict) or "error" in result or not call.get("revision"):
        return None
    if call["call"] == "describeLock":
        return {call["arguments"]["path"]: _holders(result)}
    if call["call"] == "listLocks":
        return {lock["path"]: _holders(lock) for lock in result.get("locks", [])
                if len(lock.get("holders", [])) == lock.get("holderCount", 0)}
    return None


def _holders(shown: Dict[str, Any]) -> List[List[int]]:
    return sorted([h["holderId"], h["token"], h["session"]] for h in shown.get("holders", []))


def judge_locks(found: Sequence[Stream], union: Dict[int, List[Change]],
                calls: Sequence[Dict[str, Any]]) -> int:
    """What anybody was shown of locks, or granted, is what watchers were told; how often."""
    whole = _whole(found)
    shown: Dict[int, List[Tuple[str, Locks]]] = collections.defaultdict(list)
    for call in calls:
        locks = described(call)
        if locks is not None and call["revision"] <= whole:
            shown[call["revision"]].append((call["client"], locks))
        _judge_grant(call, union, whole)
    for revision, _, told in states(union, list(shown)):
        for client, locks in shown[revision]:
            for path, holders in locks.items():
                if holders != told.get(path, []):
                    raise Broken(f"{client} was shown {path} at revision {revision} with holders "
                                 f"{holders}, and watchers were told {told.get(path, [])}")
    return sum(map(len, shown.values()))


def _judge_grant(call: Dict[str, Any], union: Dict[int, List[Change]], whole: int) -> None:
    result = call["result"]
    granted = (call["call"] in ("acquire", "acquireAll") and isinstance(result, dict) and
               result.get("status") == "GRANTED" and result["token"] <= whole)
    if not granted:
        return
    asked = call["arguments"]
    for path in [lock["path"] for lock in asked.get("locks", [])] or [asked["path"]]:
        grant = ["GRANTED", path, result["holderId"], result["token"], asked["session"], 0, ""]
        if grant not in union.get(result["token"], []):
            raise Broken(f"{call['client']} was granted {path} with token {result['token']}, and "
                         f"watchers were told {union.get(result['token'])}")


def judge(events: Sequence[Dict[str, Any]], calls: Sequence[Dict[str, Any]], final: State,
          watchers: Sequence[str]) -> Tuple[Optional[str], str]:
    """What is wrong, or None; and what there was."""
    try:
        found = streams(events)
        for client in sorted(set(watchers) - {stream.client for stream in found}):
            raise Broken(f"{client} was never told anything")
        for stream in found:
            if stream.end is None or stream.end < stream.newest or not stream.mirrors:
                raise Broken(f"{stream.client} came to revision {stream.end} of {stream.newest} "
                             f"and made {len(stream.mirrors)} mirrors")
        union = committed(found)
        judge_writers(found, union, calls)
        judge_gaps(found, union)
        judge_states(found, union, final)
        shown = judge_locks(found, union, calls)
    except Broken as broken:
        return str(broken), ""
    events_told = sum(len(changes) for stream in found for _, changes in stream.groups)
    return None, (f"{len(found)} watchers were told {events_told} events of {len(union)} revisions "
                  f"and {sum(len(stream.resyncs) for stream in found)} resyncs; locks were shown "
                  f"{shown} times as they were told")


def sums(calls: Sequence[Dict[str, Any]], accounts: Sequence[str],
         money: int) -> Tuple[Optional[str], int]:
    """Reads of all accounts at one revision that do not add up, or None; how many there were."""
    looked = 0
    for call in calls:
        if call["call"] != "getMany" or not isinstance(call["result"], dict):
            continue
        there = {key["path"]: key for key in call["result"].get("keys", [])}
        if not set(accounts) <= set(there):
            continue
        looked += 1
        total = sum(int(there[path].get("value", "0")) for path in accounts)
        if total != money:
            return (f"{call['client']} read {total} in all accounts together at revision "
                    f"{call['revision']}; there are {money}"), looked
    return None, looked
