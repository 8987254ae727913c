"""What a careful program does with nothing but the generated code: the stock client's workload.

One connection for commands, one for renewals, each to one server after the other as they fail. A
command keeps its sequence until its outcome is known.
"""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Any, Dict, Optional, Sequence

from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from support.stock import Stock

from chaos.recorder import Recorder, now
from chaos.store import StoreClient

CALL_SECONDS = 3.0
#: Each with a lock mode of its own, so that kinds never meet at one path.
MODES: Dict[str, Dict[str, Any]] = {
    "/stock/exclusive": {"mode": t.LockMode.EXCLUSIVE},
    "/stock/shared": {"mode": t.LockMode.SHARED},
    "/stock/semaphore": {"mode": t.LockMode.SEMAPHORE, "limit": 3},
}


class Ended(Exception):
    """A server said that the session is over."""


class Caller:
    """One connection at a time, to whichever server answers."""

    def __init__(self, servers: Sequence[str], recorder: Recorder, dice: random.Random) -> None:
        self._servers = dice.sample(list(servers), len(servers))
        self._recorder = recorder
        self._stock: Optional[Stock] = None

    def attempt(self, method: str, context: Any, **fields: Any) -> Any:
        """One attempt on one server; None if the outcome is not known."""
        try:
            if self._stock is None:
                self._stock = Stock(self._servers[0], timeout=CALL_SECONDS, protocol="compact")
            stock = self._stock
            name = method[0].upper() + method[1:] + "Request"
            request = getattr(t, name, getattr(k, name, None))(**fields)
            context.deadlineMs = int(CALL_SECONDS * 900)
            return self._recorder.call(method, context, request,
                                       lambda: stock.call(method, context, **fields))
        except t.HoldfastError as error:
            if error.codeName == "SESSION_EXPIRED":
                raise Ended(str(error.message)) from error
            if not error.retryable and error.applied == t.Applied.NO:
                raise
        except Exception:  # whatever Thrift and the sockets raise when a connection breaks
            pass
        self.close()
        return None

    def close(self) -> None:
        """Drop the connection; the next attempt asks another server."""
        if self._stock is not None:
            self._stock.close()
            self._stock = None
        self._servers = [*self._servers[1:], self._servers[0]]


class StockClient:
    """A session with its renewals, and locks of all modes taken in turn."""

    def __init__(self, name: str, servers: Sequence[str], recorder: Recorder, store: StoreClient,
                 dice: random.Random, over: threading.Event, ttl: float) -> None:
        self._name = name
        self._recorder = recorder
        self._store = store
        self._random = dice
        self._over = over
        self._ttl = ttl
        self._commands = Caller(servers, recorder, dice)
        self._renewals = Caller(servers, recorder, dice)
        self._secret = os.urandom(16)
        self._session = 0
        self._sequence = 0
        self._deadline = 0
        self._ended: Optional[str] = None
        self._closing = threading.Event()

    def run(self) -> None:
        """Until told to end, or until the session is over."""
        opened = self._until_known("openSession", ttlMs=int(self._ttl * 1000), name=self._name,
                                   attributes={}, secret=self._secret)
        self._session = opened.sessionId
        renewer = threading.Thread(target=self._renew, daemon=True)
        renewer.start()
        try:
            while not self._over.is_set():
                self.turn()
            self._command("closeSession")
        except Ended as ended:
            self._recorder.event("session expired", why=str(ended))
        self._closing.set()
        renewer.join()

    def _context(self, sequence: int = 0, first_unknown: int = 0) -> Any:
        known_to = (first_unknown or sequence) - 1
        known = [t.SequenceRange(1, known_to)] if known_to > 0 else None
        return t.RequestContext(sessionId=self._session or None, sessionSecret=self._secret,
                                sequence=sequence or None, acknowledged=known)

    def _until_known(self, method: str, sequence: int = 0, *, first_unknown: int = 0,
                     **fields: Any) -> Any:
        """The same command, on one server after the other, until its outcome is known."""
        while True:
            context = self._context(sequence, first_unknown)
            result = self._commands.attempt(method, context, **fields)
            if result is not None:
                return result
            time.sleep(0.05)

    def _command(self, method: str, **fields: Any) -> Any:
        self._sequence += 1
        return self._until_known(method, self._sequence, **fields)

    def _renew(self) -> None:
        while not self._closing.wait(self._ttl / 12):
            sent = now()
            try:
                result = self._renewals.attempt("keepAlive", self._context())
            except (Ended, t.HoldfastError):
                return
            if result is not None and result.leaseMs:
                self._deadline = max(self._deadline, sent + result.leaseMs * 1_000_000)

    def turn(self) -> None:
        """A lock of one mode."""
        path, how = self._random.choice(list(MODES.items()))
        granted = self._acquire(path, how)
        if granted is None:
            return
        exclusive = how["mode"] == t.LockMode.EXCLUSIVE
        if exclusive and now() < self._deadline:
            self._recorder.event("sure", path=path, token=granted.token, until=self._deadline)
            self._recorder.event("write", **self._store.write(path, granted.token))
        self._over.wait(self._random.uniform(0, 0.05))
        self._command("setHolderValue", path=path, holderId=granted.holderId,
                      value=str(self._sequence).encode())
        self._until_known("describeLock", path=path)
        self._recorder.event("given back", path=path, token=granted.token)
        self._command("release", path=path, holderId=granted.holderId)

    def _acquire(self, path: str, how: Dict[str, Any]) -> Any:
        """The grant, or None if it was cancelled first."""
        fields = {"path": path, "waitMs": -1, "enqueue": True, **how}
        if how["mode"] == t.LockMode.SEMAPHORE:
            fields["permits"] = self._random.choice([1, 2])
        self._sequence += 1
        sequence = self._sequence
        patience = time.monotonic() + self._random.uniform(0.5, 5)
        while True:
            result = self._until_known("acquire", sequence, **fields)
            if result.status != t.AcquireStatus.WAITING:
                return result if result.status == t.AcquireStatus.GRANTED else None
            if self._over.is_set() or time.monotonic() > patience:
                break
            time.sleep(0.02)
        self._sequence += 1
        result = self._until_known("cancelAcquire", self._sequence, first_unknown=sequence,
                                   path=path, acquireSequence=sequence)
        return result if result.status == t.AcquireStatus.GRANTED else None
