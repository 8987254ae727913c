"""What all clients of the chaos test share: the log, the store, the dice, and when to end."""

from __future__ import annotations

import pathlib
import random
import signal
import threading
from typing import List, Optional

import holdfast

from chaos.recorder import Recorder, now
from chaos.store import StoreClient

#: Three times the longest failover that the tests' timeouts allow, as for the default ones.
TTL_SECONDS = 6.0
#: Of clients that are stopped or cut off for longer than that: expiry need not be waited for long.
SHORT_TTL_SECONDS = 2.0
LOCKS = 3
#: How long a client looks after a lock without writing down that it is sure of it.
SAMPLE_SECONDS, RECORD_SECONDS = 0.02, 0.3
#: How long it waits to be told of a loss that it has noticed.
TOLD_SECONDS = 5.0


class Worker:
    """One client process."""

    def __init__(self, name: str, seed: int, store_port: int, log: pathlib.Path,
                 servers: str) -> None:
        self.name = name
        self.random = random.Random(f"{seed}/{name}")
        self.recorder = Recorder(log, name)
        self.store = StoreClient(store_port)
        self.servers = servers.split(",")
        self.over = threading.Event()
        # No handler: it would run on the main thread, between any two steps, and wait for ever
        # if these are inside the event.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=self._await_the_end, name="end", daemon=True).start()

    def _await_the_end(self) -> None:
        signal.sigwait({signal.SIGTERM})
        self.over.set()

    def pause(self, longest: float) -> None:
        """Do nothing for a random while."""
        self.over.wait(self.random.uniform(0, longest))

    def path(self, kind: str) -> str:
        """One of a few locks."""
        return f"/{kind}/{self.random.randrange(LOCKS)}"

    def client(self, discover: bool = True,
               servers: Optional[List[str]] = None) -> holdfast.Client:
        """The Python client, which writes down its calls."""
        self.recorder.listen()
        servers = servers or self.random.sample(self.servers, len(self.servers))
        return holdfast.Client(servers, timeout=20, discover=discover)

    def sure(self, lock: holdfast.Lock) -> int:
        """The lock may be relied on from now until its deadline, unless it is given back."""
        until = now() + int(lock.remaining() * 1e9)
        for path in lock.paths:
            self.recorder.event("sure", path=path, token=lock.token, until=until)
        return until

    def give_back(self, lock: holdfast.Lock) -> bool:
        """Release, and say so first. False: the lock had been lost."""
        self._event("given back", lock)
        try:
            lock.release()
        except holdfast.LockLost:
            self._event("lost", lock)
            return False
        return True

    def _event(self, name: str, lock: holdfast.Lock) -> None:
        for path in lock.paths:
            self.recorder.event(name, path=path, token=lock.token)

    def lost(self, lock: holdfast.Lock) -> None:
        """The lock has ended under this client."""
        self._event("lost", lock)

    def left(self, lock: holdfast.Lock) -> None:
        """The lock is not used any more; the end of the session gives it back."""
        self._event("given back", lock)

    def noticed(self, lock: holdfast.Lock) -> None:
        """A notice has shortened how long the lock may be relied on."""
        until = now() + int(lock.remaining() * 1e9)
        for path in lock.paths:
            self.recorder.event("noticed", path=path, token=lock.token, until=until)

    def write(self, lock: holdfast.Lock, what: str = "write") -> None:
        """Write to the store with the lock's token."""
        for path in lock.paths:
            self.recorder.event(what, **self.store.write(path, lock.token))


class Guardian:
    """Looks after a lock that is held for long: it must end by its own deadline, and say so."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._told: List[int] = []
        self._heard = threading.Event()

    def on_lost(self, lock: holdfast.Lock, reason: str) -> None:
        """Pass this when the handle is made."""
        del lock, reason
        self._told.append(now())
        self._heard.set()

    def keep(self, lock: holdfast.Lock, seconds: float, overdue: float = 0.0) -> bool:
        """Hold for so long, and while less than ``overdue`` is left of it. False: it was lost."""
        begun = now()
        until, recorded = self._worker.sure(lock), begun
        while not self._worker.over.is_set():
            left = lock.remaining()
            if now() > begun + seconds * 1e9 and left >= overdue:
                return True
            until = max(until, now() + int(left * 1e9)) if left else until
            try:
                lock.check()
            except holdfast.LockLost:
                self._lost(lock, until)
                return False
            if now() > recorded + RECORD_SECONDS * 1e9:
                until, recorded = max(until, self._worker.sure(lock)), now()
            self._worker.over.wait(SAMPLE_SECONDS)
        return True

    def _lost(self, lock: holdfast.Lock, until: int) -> None:
        noticed = now()
        self._heard.wait(TOLD_SECONDS)
        self._worker.recorder.event("lost in time", path=lock.path, token=lock.token, until=until,
                                    noticed=noticed, told=self._told[0] if self._told else None)
