"""What watchers were told, held against each other and against what writers were told.

The committed changes are the union of what any watcher saw and what writers were answered. Each
watcher's events, over its whole life, must be exactly these: in order of revision, none missing,
none twice, those of one revision together; or a marked resync, whose state is that of its revision.
In the end its mirror shows what a linearizable read shows (PROMISE 10).
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

#: kind, path, value, version, create revision, ephemeral owner, reason (watch_kinds.py).
Change = List[Any]
#: What a writer asked for and was answered: act, path, version, value.
Step = Tuple[str, str, int, str]
#: Path to value, version, create and modify revision, ephemeral owner.
State = Dict[str, List[Any]]
#: No write is told by halves: the kinds of changes that each step of a write makes.
MADE = {"put": ("CREATED", "CHANGED"), "create": ("CREATED",), "remove": ("DELETED",)}


class Broken(Exception):
    """A watcher was told something wrong."""


@dataclasses.dataclass
class Stream:
    """One watcher's life."""

    client: str
    groups: List[Tuple[int, List[Change]]]
    resyncs: List[Tuple[int, State]]
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
        stream.resyncs.append((revision, event["state"]))
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
        if revision in union and not _agree(steps, union[revision]):
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


def apply(state: State, revision: int, changes: Sequence[Change]) -> None:
    """One revision's changes."""
    for kind, path, value, version, created, owner, _ in changes:
        before = state.get(path)
        if (before is not None) != (kind != "CREATED"):
            raise Broken(f"{kind} of {path} at revision {revision}, where there was {before}")
        if kind == "DELETED":
            del state[path]
        elif kind == "CHANGED" and before is not None and version != before[1] + 1:
            raise Broken(f"{path} went from version {before[1]} to {version} at {revision}")
        else:
            state[path] = [value, version, created, revision, owner]


def _whole(found: Sequence[Stream]) -> int:
    """Up to here every revision was told to somebody."""
    reached = 0
    for first, last in sorted(span for stream in found for span in stream.covered):
        if first <= reached:
            reached = max(reached, last)
    return reached


def states(union: Dict[int, List[Change]], wanted: Sequence[int]) -> Iterator[Tuple[int, State]]:
    """The state after each wanted revision, in order."""
    state: State = {}
    revisions = sorted(union)
    at = 0
    for revision in sorted(set(wanted)):
        while at < len(revisions) and revisions[at] <= revision:
            apply(state, revisions[at], union[revisions[at]])
            at += 1
        yield revision, state


def _difference(one: State, other: State) -> str:
    paths = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    return "; ".join(f"{path}: {one.get(path)}, not {other.get(path)}" for path in paths[:5])


def judge_states(found: Sequence[Stream], union: Dict[int, List[Change]], final: State) -> None:
    """Resyncs and mirrors show the state of their revision; in the end all show one."""
    claims: Dict[int, List[Tuple[str, State]]] = collections.defaultdict(list)
    whole = _whole(found)
    for stream in found:
        for revision, shown in [*stream.resyncs, *stream.mirrors]:
            if revision <= whole:
                claims[revision].append((stream.client, shown))
    for revision, state in states(union, list(claims)):
        for client, shown in claims[revision]:
            if shown != state:
                raise Broken(f"{client} was shown as the state of revision {revision} "
                             f"{_difference(shown, state)}")
    for stream in found:
        for revision, shown in stream.mirrors:
            if shown != final:
                raise Broken(f"in the end the mirror of {stream.client} (revision {revision}) has "
                             f"{_difference(shown, final)}")


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
    except Broken as broken:
        return str(broken), ""
    events_told = sum(len(changes) for stream in found for _, changes in stream.groups)
    return None, (f"{len(found)} watchers were told {events_told} events of {len(union)} revisions "
                  f"and {sum(len(stream.resyncs) for stream in found)} resyncs")


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
