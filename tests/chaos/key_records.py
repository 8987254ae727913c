"""How calls about keys are written down (recorder.py): arguments and answers, as tests/history has
them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from holdfast_api.watch import ttypes as w

READS = ("get", "getMany", "listKeys")
WRITES = ("put", "create", "remove", "transact")


def compact(fields: Dict[str, Any]) -> Dict[str, Any]:
    """Without what stays at its default."""
    return {key: value for key, value in fields.items() if value}


def text(value: Any) -> str:
    """A value, which is bytes or text, as JSON has it."""
    return value if isinstance(value, str) else bytes(value or b"").decode("latin1")


def _write(act: str, request: Any) -> Dict[str, Any]:
    guard = getattr(request, "guard", None)
    return compact({
        "act": act, "path": request.path, "value": text(getattr(request, "value", None)),
        "expectedVersion": getattr(request, "expectedVersion", None),
        "ephemeral": getattr(request, "kind", None) == w.KeyKind.EPHEMERAL,
        "sequential": getattr(request, "sequential", None),
        "container": getattr(request, "kind", None) == w.KeyKind.CONTAINER,
        "ttlMs": getattr(request, "ttlMs", None),
        "makeParents": getattr(request, "makeParents", None),
        "recursive": getattr(request, "recursive", None),
        "guardPath": guard.path if guard else None, "guardHolder": guard.holderId if guard else 0,
    })


def _steps(operations: Any) -> List[Dict[str, Any]]:
    return [_write(act, getattr(each, act)) for each in operations or ()
            for act in ("put", "create", "remove") if getattr(each, act) is not None]


def _compare(compare: Any) -> Dict[str, Any]:
    return compact({
        "target": k.CompareTarget._VALUES_TO_NAMES[compare.target],
        "relation": k.CompareRelation._VALUES_TO_NAMES[
            compare.relation or k.CompareRelation.EQUAL],
        "path": compare.path, "number": compare.number, "value": text(compare.value),
    })


def arguments(method: str, request: Any) -> Dict[str, Any]:
    """What was asked, beside session and sequence."""
    if method == "transact":
        return compact({"compares": [_compare(c) for c in request.compares or ()],
                        "writes": _steps(request.thenOperations),
                        "otherwise": _steps(request.otherwiseOperations)})
    if method in WRITES:
        return {"writes": [_write(method, request)]}
    values = request.withValues if method == "listKeys" else not request.statOnly
    return compact({"path": getattr(request, "path", None), "page": getattr(request, "page", None),
                    "paths": getattr(request, "paths", None), "statOnly": not values,
                    "subtree": getattr(request, "subtree", None),
                    "local": request.consistency == t.Consistency.LOCAL})


def _done(result: Any, *steps: Dict[str, Any]) -> Dict[str, Any]:
    return {"writeRevision": result.revision, "results": list(steps)}


def _transacted(result: Any) -> Dict[str, Any]:
    steps = [compact({"path": r.path, "version": r.version, "removed": r.removed})
             for r in result.results or ()]
    return {**_done(result, *steps), "failed": not result.succeeded}


def seen(key: Any) -> Dict[str, Any]:
    """A key as a read shows it."""
    return compact({"path": key.path, "value": text(key.value), "version": key.stat.version,
                    "createRevision": key.stat.createRevision,
                    "modifyRevision": key.stat.modifyRevision,
                    "ephemeralOwner": key.stat.ephemeralOwner})


ANSWERS: Dict[str, Callable[[Any], Dict[str, Any]]] = {
    "put": lambda r: _done(r, {"version": r.version}),
    "create": lambda r: _done(r, {"path": r.path, "version": 1}),
    "remove": lambda r: _done(r, {"removed": r.removed}),
    "transact": _transacted,
    "get": lambda r: {"keys": [seen(r.key)] if r.found else []},
    "getMany": lambda r: {"keys": [seen(each.key) for each in r.keys if each.found]},
    "listKeys": lambda r: {"keys": [seen(each) for each in r.keys or ()],
                           "nextPage": r.nextPage},
}
