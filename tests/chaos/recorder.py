"""Writes down every call of a client as it is made, in a file that a kill -9 leaves readable.

A call is two lines: what is asked, before it is sent, and what was answered. A call without a
second line is one whose outcome nobody knows. tests/chaos/judge.py makes one history of all files.
"""

from __future__ import annotations

import json
import os
import pathlib
import threading
import time
from typing import Any, Callable, Dict, List

from holdfast import _connection
from holdfast_api.holdfast import ttypes as t

from chaos import key_records
from chaos.key_records import compact as _compact, text as _text

S, R, E = t.AcquireStatus, t.RefusalReason, t.EndReason


def now() -> int:
    """Nanoseconds on the boot clock, which all processes of the machine share."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _session(context: Any) -> Dict[str, Any]:
    return {"session": context.sessionId, "sequence": context.sequence}


def _wanted(lock: Any) -> Dict[str, Any]:
    return _compact({"path": lock.path, "permits": lock.permits, "limit": lock.limit,
                     "mode": t.LockMode._VALUES_TO_NAMES[lock.mode or t.LockMode.EXCLUSIVE]})


def _arguments(method: str, context: Any, request: Any) -> Dict[str, Any]:
    fields: Dict[str, Any] = _session(context) if method not in READS else {}
    if method in key_records.ANSWERS:
        return _compact({**fields, **key_records.arguments(method, request)})
    if method == "openSession":
        return {"secret": request.secret.hex()}
    for name in ("path", "permits", "limit", "waitMs", "maxQueue", "acquireSequence", "holderId",
                 "to", "token", "force", "lockDelayMs", "owner", "prefix", "page"):
        fields[name] = getattr(request, name, None)
    if method == "acquireAll":
        fields["locks"] = [_wanted(lock) for lock in request.locks]
    if method == "acquire":
        fields["mode"] = t.LockMode._VALUES_TO_NAMES[request.mode or t.LockMode.EXCLUSIVE]
    fields["value"] = _text(getattr(request, "value", None))
    fields["local"] = getattr(request, "consistency", None) == t.Consistency.LOCAL
    return _compact(fields)


def _seen(items: Any) -> List[Dict[str, Any]]:
    return [_compact({
        "holderId": i.holderId, "session": i.sessionId, "token": getattr(i, "token", 0),
        "owner": i.owner, "value": _text(getattr(i, "value", None)),
        "endRevision": getattr(i, "endRevision", 0),
        "reason": E._VALUES_TO_NAMES.get(getattr(i, "reason", None)),
    }) for i in items or ()]


def _acquired(result: Any) -> Dict[str, Any]:
    return {"status": S._VALUES_TO_NAMES[result.status], "holderId": result.holderId,
            "token": result.token, "position": getattr(result, "position", 0),
            "reason": R._VALUES_TO_NAMES[result.reason] if result.reason else "",
            "endReason": E._VALUES_TO_NAMES.get(getattr(result, "endReason", None) or None)}


def _described(result: Any) -> Dict[str, Any]:
    lock = result.lock
    return {"holders": _seen(lock.holders), "waiters": _seen(lock.waiters),
            "tenures": _seen(lock.tenures), "closed": bool(lock.closedForMs)}


def _listed(result: Any) -> Dict[str, Any]:
    locks = [_compact({"path": lock.path, "holders": _seen(lock.holders),
                       "holderCount": lock.holderCount, "waiterCount": lock.waiterCount})
             for lock in result.locks or ()]
    return {"locks": locks, "nextPage": result.nextPage}


READS = ("checkToken", "describeLock", "listLocks", *key_records.READS)
ANSWERS: Dict[str, Callable[[Any], Dict[str, Any]]] = {
    "openSession": lambda r: {"session": r.sessionId, "leaseMs": r.leaseMs},
    "poll": lambda r: {"leaseMs": r.leaseMs},
    "keepAlive": lambda r: {"leaseMs": r.leaseMs},
    "closeSession": lambda r: {},
    "acquire": _acquired,
    "acquireAll": _acquired,
    "releaseAll": lambda r: {"release": t.ReleaseStatus._VALUES_TO_NAMES[r.status]},
    "cancelAcquire": _acquired,
    "release": lambda r: {"release": t.ReleaseStatus._VALUES_TO_NAMES[r.status]},
    "setHolderValue": lambda r: {},
    "checkToken": lambda r: {"current": bool(r.current), "token": r.latestToken},
    "describeLock": _described,
    "listLocks": _listed,
    "revokeLock": lambda r: {},
    **key_records.ANSWERS,
}
NAMES = {"poll": "renew", "keepAlive": "renew"}


class Recorder:
    """One process's file. Thread-safe."""

    def __init__(self, file: pathlib.Path, client: str) -> None:
        self._client = client
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._mutex = threading.Lock()
        self._number = 0

    def _write(self, line: Dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def event(self, name: str, **fields: Any) -> None:
        """Something that the judge wants to know beside the calls."""
        self._write({"event": name, "client": self._client, "at": now(), **fields})

    def call(self, method: str, context: Any, request: Any, function: Callable[[], Any]) -> Any:
        """Make a call and write it down."""
        if method not in ANSWERS:
            return function()
        with self._mutex:
            self._number += 1
            number = self._number
        self._write({"asked": number, "client": self._client, "process": str(os.getpid()),
                     "call": NAMES.get(method, method), "invoked": now(),
                     "arguments": _arguments(method, context, request)})
        try:
            result = function()
        except t.HoldfastError as error:
            applied = "NO" if error.applied == t.Applied.NO else "UNKNOWN"
            self._answered(number, {"error": error.codeName, "applied": applied}, error.header)
            raise
        self._answered(number, _compact(ANSWERS[method](result)), result.header)
        return result

    def _answered(self, number: int, result: Dict[str, Any], header: Any) -> None:
        self._write({"answered": number, "returned": now(), "result": result,
                     "revision": (header.revision or 0) if header else 0})

    def listen(self) -> None:
        """Write down all that the Python client of this process sends."""
        plain = _connection.Connection.call
        recorder = self

        def call(connection: Any, method: str, context: Any, request: Any, timeout: float) -> Any:
            return recorder.call(method, context, request,
                                 lambda: plain(connection, method, context, request, timeout))

        setattr(_connection.Connection, "call", call)
