"""Asserted outcomes: what a scenario says must be so, apart from its golden output.

    ? 1 role = leader                       a field of a node's status
    ? 1,2,3 commit >= 4                     of each of several nodes; "all" names every node
    ? 1 progress.2.match = 3                inside an object; a number picks from a list
    ? 2 messages[type=vote_response].length = 1      those that match; how many there are
    ? 1,2 digest same                       equal on all of them
    ? 3 state = ["a","b"]                   the data of all commands that the node applied
    ? prints ["a"]                          what the command above printed
    ? refused does not lead                 the command above was one error line with these words
"""

import json
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional

Status = Dict[int, Dict[str, Any]]

COMPARISONS: Dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}

_NODES = re.compile(r"^(?:all|\d+(?:,\d+)*)$")
_PATH = re.compile(r"^\w+(?:\[\w+=[\w-]+(?:,\w+=[\w-]+)*\])?(?:\.\w+)*$")
_SEGMENT = re.compile(r"^(\w+)(?:\[(.*)\])?$")


class BadOutcome(Exception):
    """The line is no outcome."""


class Outcome(NamedTuple):
    """One line that begins with a question mark."""

    line: int
    text: str
    kind: str           # "field", "same", "prints" or "refused"
    nodes: List[int]    # empty: all
    path: str
    comparison: str
    value: Any


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    if re.match(r"^[\w-]+$", text):
        return text
    raise BadOutcome(f"'{text}' is neither JSON nor one word")


def parse_outcome(line: int, text: str) -> Outcome:
    """Raises BadOutcome."""
    words = text.split(None, 3)
    kind = words[0] if words else ""
    rest = text[len(kind):].strip()
    if kind == "refused" and rest:
        return Outcome(line, text, kind, [], "", "", rest)
    if kind == "prints" and rest.startswith("["):
        return Outcome(line, text, kind, [], "", "=", _value(rest))
    if len(words) < 3 or not _NODES.match(words[0]) or not _PATH.match(words[1]):
        raise BadOutcome("an outcome is: ? NODES FIELD COMPARISON VALUE; see tests/scenario")
    nodes = [] if words[0] == "all" else [int(n) for n in words[0].split(",")]
    if words[2] == "same" and len(words) == 3:
        return Outcome(line, text, "same", nodes, words[1], "", None)
    if words[2] not in COMPARISONS or len(words) != 4:
        raise BadOutcome(f"'{words[2]}' is no comparison with a value; there are "
                         + " ".join(COMPARISONS) + ", and same")
    return Outcome(line, text, "field", nodes, words[1], words[2], _value(words[3]))


def _matches(item: Dict[str, Any], wanted: str) -> bool:
    pairs = (pair.split("=") for pair in wanted.split(","))
    return all(item.get(key) == _value(value) for key, value in pairs)


def _segments(path: str) -> List[str]:
    return re.findall(r"\w+(?:\[[^\]]*\])?", path)


def look_up(status: Dict[str, Any], path: str) -> Any:
    """Raises LookupError if there is no such thing."""
    at: Any = status
    for segment in _segments(path):
        parts = _SEGMENT.match(segment)
        assert parts is not None
        name, wanted = parts.groups()
        if name == "length" and isinstance(at, (list, dict)):
            at = len(at)
        elif isinstance(at, list) and name.isdigit():
            at = at[int(name)]
        elif isinstance(at, dict) and name in at:
            at = at[name]
        else:
            raise LookupError(f"there is no {segment}")
        if wanted:
            at = [item for item in at if _matches(item, wanted)]
    return at


def _field_fault(outcome: Outcome, status: Status) -> Optional[str]:
    seen = {}
    for node in outcome.nodes or sorted(status):
        if node not in status:
            return f"there is no node {node}"
        try:
            seen[node] = look_up(status[node], outcome.path)
        except (LookupError, TypeError) as missing:
            return f"node {node}: {missing}"
    if outcome.kind == "same":
        same = len({json.dumps(value, sort_keys=True) for value in seen.values()}) == 1
        return None if same else f"they differ: {json.dumps(seen)}"
    for node, value in seen.items():
        try:
            held = COMPARISONS[outcome.comparison](value, outcome.value)
        except TypeError:
            held = False
        if not held:
            return f"node {node} has {json.dumps(value)}"
    return None


def fault(outcome: Outcome, status: Status, printed: List[str]) -> Optional[str]:
    """Why the outcome does not hold; nothing if it does."""
    if outcome.kind == "prints":
        return None if printed == outcome.value else f"printed was {json.dumps(printed)}"
    if outcome.kind == "refused":
        held = (len(printed) == 1 and printed[0].startswith("error ")
                and outcome.value in printed[0])
        return None if held else f"printed was {json.dumps(printed)}"
    return _field_fault(outcome, status)
