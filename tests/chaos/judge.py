"""What the clients saw, judged: one history for history-check, and what it cannot know.

Beside linearizability: no two clients may be sure of one exclusive lock at one moment (PROMISE 5),
a token that was overtaken is refused by the store (PROMISE 2), no live client's session expires
(PROMISE 6), and every live client gets on with its work once all is mended.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import statistics
import subprocess
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from support import paths

NS = 1_000_000_000
NEVER = 1 << 62
#: A handle has noticed its end, and on_lost was called, so long after the deadline at most. All
#: processes of a run share two cores.
LATE_SECONDS = 1.0
#: Servers' clocks run apart, and from the clients', by this at most (arena.py).
DRIFT = 0.1


@dataclasses.dataclass
class Records:
    """All that the client processes wrote down."""

    calls: List[Dict[str, Any]]
    events: List[Dict[str, Any]]

    @classmethod
    def read(cls, files: Iterable[pathlib.Path],
             behind: Optional[Dict[pathlib.Path, int]] = None) -> "Records":
        """From the files of all clients. A process killed while writing leaves half a line.

        ``behind``: only what each has written behind so many bytes; of what was asked before that
        the answers are left out.
        """
        records = cls([], [])
        for file in files:
            asked: Dict[int, Dict[str, Any]] = {}
            begin = behind.get(file, 0) if behind else 0
            with open(file, encoding="utf-8") as lines:
                lines.seek(begin)
                for line in lines:
                    records._take_line(line.rstrip("\n"), asked, partial=begin > 0)
        records.calls.sort(key=lambda c: int(c["invoked"]))
        records.events.sort(key=lambda e: int(e["at"]))
        return records

    def _take_line(self, line: str, asked: Dict[int, Dict[str, Any]], partial: bool) -> None:
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            if not line or (line.endswith("}") and not partial):
                raise
            return
        if not partial or fields.get("answered", 0) in asked or "answered" not in fields:
            self._take(fields, asked)

    def _take(self, line: Dict[str, Any], asked: Dict[int, Dict[str, Any]]) -> None:
        if "event" in line:
            self.events.append(line)
        elif "asked" in line:
            call: Dict[str, Any] = {**line, "returned": None, "result": "unknown"}
            asked[call.pop("asked")] = call
            self.calls.append(call)
        else:
            asked[line.pop("answered")].update(line)

    def write_history(self, file: pathlib.Path) -> None:
        """In the form that history-check reads."""
        with open(file, "w", encoding="utf-8") as out:
            for call in self.calls:
                out.write(json.dumps(call) + "\n")


def linearizable(history: pathlib.Path) -> Tuple[Optional[str], str]:
    """What history-check says: a fault or None, and its line."""
    done = subprocess.run([str(paths.program("history-check")), str(history)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip() or f"history-check ended with {done.returncode}", ""
    return None, done.stdout.strip()


@dataclasses.dataclass
class Sure:
    """One client's certainty of one grant."""

    client: str
    path: str
    token: int
    start: int
    end: int = 0
    #: A notice has said that it ends by then at the latest.
    latest: int = NEVER


def sure_intervals(events: Sequence[Dict[str, Any]]) -> List[Sure]:
    """From the grant to the last deadline known, or to when the lock was given back."""
    intervals: Dict[Tuple[str, str, int], Sure] = {}
    for event in events:
        if event["event"] not in ("sure", "given back", "noticed"):
            continue
        key = (event["client"], event["path"], event["token"])
        if event["event"] == "sure":
            sure = intervals.setdefault(key, Sure(*key, event["at"]))
            sure.end = max(sure.end, event["until"])
        elif key in intervals:
            end = event["at"] if event["event"] == "given back" else event["until"]
            intervals[key].latest = min(intervals[key].latest, end)
    for sure in intervals.values():
        sure.end = min(sure.end, sure.latest)
    return list(intervals.values())


def overlap(intervals: Sequence[Sure]) -> Optional[str]:
    """Two clients that were sure of one lock at one moment, or tokens that do not grow."""
    by_path: Dict[str, List[Sure]] = collections.defaultdict(list)
    for each in intervals:
        by_path[each.path].append(each)
    for path, sures in by_path.items():
        sures.sort(key=lambda s: s.start)
        latest = sures[0]
        for each in sures[1:]:
            if each.start < latest.end:
                return (f"{path}: {latest.client} was sure of it with token {latest.token} until "
                        f"{latest.end}, and {each.client} with token {each.token} from "
                        f"{each.start}, {(latest.end - each.start) / 1e6:.1f} ms earlier")
            if each.token <= latest.token:
                return (f"{path}: token {each.token} of {each.client} came after token "
                        f"{latest.token} of {latest.client}")
            latest = max(latest, each, key=lambda s: s.end)
    return None


def opened_early(intervals: Sequence[Sure], events: Sequence[Dict[str, Any]],
                 delay: float) -> Optional[str]:
    """A lock that was granted to the next before its lock-delay had passed.

    Its holder's session ended after the holder's own deadline (PROMISE 5); the delay follows.
    """
    expired_holders = {(e["client"], e["path"], e["token"]) for e in events
                       if e["event"] == "expired holding"}
    for each in intervals:
        if (each.client, each.path, each.token) not in expired_holders:
            continue
        open_at = each.end + int(delay * (1 - DRIFT) * NS)
        for later in intervals:
            if later.path == each.path and later.token > each.token and later.start < open_at:
                return (f"{each.path}: {later.client} was granted it with token {later.token} "
                        f"{(open_at - later.start) / 1e6:.1f} ms before the lock-delay of token "
                        f"{each.token} had passed")
    return None


def lost_in_time(events: Sequence[Dict[str, Any]]) -> Tuple[Optional[str], int]:
    """Handles that ended under their holders: what is wrong with that, and how many there were."""
    lost = [e for e in events if e["event"] == "lost in time"]
    for event in lost:
        what = f"{event['client']} lost {event['path']} (token {event['token']})"
        if event["told"] is None:
            return f"{what}, and on_lost was never called", len(lost)
        late = (max(event["told"], event["noticed"]) - event["until"]) / NS
        if late > LATE_SECONDS:
            return f"{what}, and was told {late:.2f} s after its deadline", len(lost)
    return None, len(lost)


def fenced(events: Sequence[Dict[str, Any]]) -> Tuple[Optional[str], int]:
    """Writes of processes that woke: what is wrong with them, and how many were refused."""
    refused = 0
    largest: Dict[str, int] = collections.defaultdict(int)
    writes = [e for e in events if e["event"] in ("write", "woke")]
    for event in sorted(writes, key=lambda e: int(e["number"])):
        path, token = event["path"], event["token"]
        if event["taken"] and token < largest[path]:
            return (f"{event['client']} wrote to {path} with token {token} after token "
                    f"{largest[path]} had been taken", refused)
        if event["taken"]:
            largest[path] = max(largest[path], token)
        elif event["event"] == "woke":
            refused += 1
    return None, refused


def expired(events: Sequence[Dict[str, Any]]) -> Optional[str]:
    """A session that ended although its client was alive all the time."""
    for event in events:
        if event["event"] == "session expired":
            return f"the session of {event['client']} expired while it was alive: {event['why']}"
    return None


COMMANDS = ("acquire", "acquireAll", "release", "releaseAll", "setHolderValue", "cancelAcquire",
            "openSession", "revokeLock", "put", "create", "remove", "transact")


@dataclasses.dataclass
class Applied:
    """A command that was applied: first sent, first answered. Its retries need no leader."""

    client: str
    invoked: int
    returned: int


def applied_commands(calls: Sequence[Dict[str, Any]]) -> List[Applied]:
    """From calls in the order in which they were sent."""
    first_sent: Dict[Any, int] = {}
    found: Dict[Any, Applied] = {}
    for call in calls:
        if call["call"] not in COMMANDS:
            continue
        asked = call["arguments"]
        key = (asked.get("secret") or (asked.get("session"), asked.get("sequence"))
               if "sequence" in asked or "secret" in asked else (call["client"], call["invoked"]))
        sent = first_sent.setdefault(key, call["invoked"])
        if call["returned"] is None or "error" in call["result"]:
            continue
        known = found.setdefault(key, Applied(call["client"], sent, call["returned"]))
        known.returned = min(known.returned, call["returned"])
    return list(found.values())


def took_over(commands: Sequence[Applied], hurt: int) -> Optional[float]:
    """Seconds until the first command that was first sent after the fault was answered."""
    answers = [c.returned for c in commands if c.invoked >= hurt]
    return (min(answers) - hurt) / NS if answers else None


def idle(commands: Sequence[Applied], since: int, clients: Iterable[str]) -> Optional[str]:
    """A live client that got no command through once all was mended."""
    active = {c.client for c in commands if c.invoked >= since}
    stuck = sorted(set(clients) - active)
    return f"{', '.join(stuck)} got no command through after the last fault" if stuck else None


def table(times: Dict[str, List[Tuple[float, float]]]) -> str:
    """Takeover and recovery of each kind of fault: least, median, most, in seconds."""
    lines = [f"{'fault':<16}{'times':>6}   {'takeover min / median / max s':<32}"
             f"recovery min / median / max s"]
    for kind, pairs in sorted(times.items()):
        columns = []
        for column in zip(*pairs):
            columns.append(f"{min(column):6.2f} {statistics.median(column):6.2f} "
                           f"{max(column):6.2f}")
        lines.append(f"{kind:<16}{len(pairs):>6}   {columns[0]:<32}{columns[1]}")
    return "\n".join(lines)
