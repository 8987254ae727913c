"""What a step changed, in lines that read well: messages that left, nodes, messages that came."""

from collections import Counter
from itertools import groupby
from typing import Any, Dict, List

from outcome import Status

Json = Dict[str, Any]
NOWHERE: Json = {"role": "", "leader": 0, "term": 0, "vote": 0, "first": 1, "last": 0,
                 "last_term": 0, "commit": 0, "applied": 0, "pending_reads": 0, "reads": [],
                 "failed_reads": [], "progress": {}, "config": None, "messages": []}
# Of more messages of a type in a row than this, the first and the last two are shown.
RUN_MAX = 6


def _details(m: Json) -> str:
    """The fields that matter for the type; positions as index/term."""
    kind = m["type"]
    at = f"{m['index']}/{m.get('log_term', 0)}"
    if kind in ("vote_request", "pre_vote_request"):
        return f"last {at}" + (" transfer" if m["transfer"] else "")
    if kind in ("vote_response", "pre_vote_response"):
        return "refused" if m["reject"] else "granted"
    if kind == "append_request":
        entries = " ".join(f"{e['index']}/{e['term']}:{e['data'] or e['type']}"
                           for e in m["entries"])
        return f"after {at} commit {m['commit']} [{entries}]"
    if kind == "append_response" and m["reject"]:
        return f"refused at {m['index']}, hint {m['hint']}/{m['log_term']}"
    if kind == "heartbeat_request":
        return f"match {m['index']} commit {m['commit']} round {m['round']}"
    if kind == "heartbeat_response":
        return "refused" if m["reject"] else f"round {m['round']}"
    if kind == "snapshot_request":
        return f"of {at}"
    if m.get("reject"):
        return "refused"
    return "" if kind in ("timeout_now", "read_index_request") else f"index {m['index']}"


def message_line(m: Json) -> str:
    kind = m["type"].removesuffix("_request")
    return f"{kind} {m['from']}->{m['to']} term {m['term']} {_details(m)}".rstrip()


def _messages(status: Status) -> List[str]:
    return [message_line(m) for node in sorted(status) for m in status[node]["messages"]]


def _missing_from(lines: List[str], others: List[str]) -> List[str]:
    """Lines, in order, that `others` has not as often."""
    spare = Counter(others)
    missing = []
    for line in lines:
        if spare[line] > 0:
            spare[line] -= 1
        else:
            missing.append(line)
    return missing


def _role(at: Json) -> str:
    following = at["role"] == "follower" and at["leader"]
    return f"follower of {at['leader']}" if following else str(at["role"])


def _progress(before: Json, after: Json) -> List[str]:
    return [f"peer {peer} {p['state']} match {p['match']} next {p['next']}"
            + (f" inflight {p['inflight']}" if p["inflight"] else "")
            for peer, p in after["progress"].items() if p != before["progress"].get(peer)]


def _reads(before: Json, after: Json) -> List[str]:
    news = []
    if after["pending_reads"] != before["pending_reads"]:
        news.append(f"pending reads {after['pending_reads']}")
    known = len(before["reads"]) if after["reads"][:len(before["reads"])] == before["reads"] else 0
    news += [f"read {r['ctx']} at {r['index']}" for r in after["reads"][known:]]
    lost = _missing_from([str(ctx) for ctx in after["failed_reads"]],
                         [str(ctx) for ctx in before["failed_reads"]])
    return news + [f"read {ctx} failed" for ctx in lost]


def _config(before: Json, after: Json) -> List[str]:
    """A node that was not there before tells its configuration when that changes."""
    if before["config"] in (None, after["config"]):
        return []
    return [" ".join(f"{name} {','.join(map(str, ids))}" for name, ids in after["config"].items()
                     if ids)]


def _node_news(before: Json, after: Json) -> List[str]:
    news = [_role(after)] if _role(after) != _role(before) else []
    news += [f"{name} {after[name]}" for name in ("term", "vote") if after[name] != before[name]]
    if (after["last"], after["last_term"]) != (before["last"], before["last_term"]):
        news.append(f"last {after['last']}/{after['last_term']}")
    if after["first"] != before["first"]:
        news.append(f"first {after['first']}")
    news += [f"{name} {after[name]}" for name in ("commit", "applied")
             if after[name] != before[name]]
    return news + _config(before, after) + _progress(before, after) + _reads(before, after)


def _shortened(lines: List[str]) -> List[str]:
    """Long runs of messages of one type, told by their ends and their number."""
    short: List[str] = []
    for _, run in groupby(lines, key=lambda line: line.split()[:2]):
        alike = list(run)
        if len(alike) > RUN_MAX:
            alike[2:-2] = [f"{alike[0][0]} ... {len(alike) - 4} more"]
        short += alike
    return short


def tell(before: Status, after: Status) -> List[str]:
    """All that a step changed."""
    sent_before, sent_after = _messages(before), _messages(after)
    lines = _shortened(["< " + line for line in _missing_from(sent_before, sent_after)])
    for node in sorted(after):
        news = _node_news(before.get(node, NOWHERE), after[node])
        if news:
            lines.append(f"node {node}: " + ", ".join(news))
    return lines + _shortened(["> " + line for line in _missing_from(sent_after, sent_before)])
