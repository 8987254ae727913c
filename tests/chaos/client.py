"""A client of the chaos test, in a process of its own so that it can be stopped and killed.

    client.py KIND NAME SEED STORE_PORT LOG SERVER,SERVER,...

It works until SIGTERM, writes down every call (recorder.py) and, for each lock it holds, the
moments between which it may be sure of it: from the grant to its own local deadline, or to when it
gives the lock back. KIND says what it does: see KINDS.
"""

from __future__ import annotations

import pathlib
import random
import signal
import sys
import threading
import time
from typing import Any, Callable, Dict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

import holdfast  # noqa: E402

from chaos.recorder import Recorder, now  # noqa: E402
from chaos.store import StoreClient  # noqa: E402
from chaos.stock_client import StockClient  # noqa: E402

#: Three times the longest failover that the tests' timeouts allow, as for the default ones.
TTL_SECONDS = 6.0
#: Of clients that are stopped for longer than that: expiry need not be waited for long.
SHORT_TTL_SECONDS = 2.0
LOCKS = 3
#: A gap between two steps of the clock that only a stopped process has.
ASLEEP_SECONDS = 1.5


class Worker:
    """What all kinds share: its log, the store, its dice, and when to end."""

    def __init__(self, name: str, seed: int, store_port: int, log: pathlib.Path,
                 servers: str) -> None:
        self.name = name
        self.random = random.Random(f"{seed}/{name}")
        self.recorder = Recorder(log, name)
        self.store = StoreClient(store_port)
        self.servers = servers.split(",")
        self.over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *unused: self.over.set())

    def pause(self, longest: float) -> None:
        """Do nothing for a random while."""
        self.over.wait(self.random.uniform(0, longest))

    def path(self, kind: str) -> str:
        """One of a few locks."""
        return f"/{kind}/{self.random.randrange(LOCKS)}"

    def client(self) -> holdfast.Client:
        """The Python client, which writes down its calls."""
        self.recorder.listen()
        servers = self.random.sample(self.servers, len(self.servers))
        return holdfast.Client(servers, timeout=20)

    def sure(self, lock: holdfast.Lock) -> None:
        """The lock may be relied on from now until its deadline, unless it is given back."""
        self.recorder.event("sure", path=lock.path, token=lock.token,
                            until=now() + int(lock.remaining() * 1e9))

    def give_back(self, lock: holdfast.Lock) -> None:
        """Release, and say so first."""
        self.recorder.event("given back", path=lock.path, token=lock.token)
        try:
            lock.release()
        except holdfast.LockLost:
            self.recorder.event("lost", path=lock.path, token=lock.token)

    def write(self, lock: holdfast.Lock, what: str = "write") -> None:
        """Write to the store with the lock's token."""
        self.recorder.event(what, **self.store.write(lock.path, lock.token))


def take_turns(worker: Worker) -> None:
    """Locks through the Python client: wait, hold, write to the store, publish, give back."""
    with worker.client() as client, client.session(ttl=TTL_SECONDS, name=worker.name) as session:
        while not worker.over.is_set():
            lock = session.lock(worker.path("turns"), timeout=worker.random.choice([0, 1.0, 5.0]))
            try:
                lock.acquire()
            except (holdfast.NotGranted, holdfast.LockLost, holdfast.Unavailable):
                worker.pause(0.05)
                continue
            hold(worker, client, lock)
            worker.pause(0.05)


def hold(worker: Worker, client: holdfast.Client, lock: holdfast.Lock) -> None:
    """Count while the lock is held; then give it back."""
    try:
        worker.sure(lock)
        worker.write(lock)
        for count in range(worker.random.randrange(3)):
            lock.set_value(f"{worker.name} {count}")
            lock.check()
            worker.sure(lock)
            client.describe(lock.path)
            client.check_token(lock.path, lock.token)
        worker.pause(0.05)
    except (holdfast.LockLost, holdfast.Unavailable):
        worker.recorder.event("lost", path=lock.path, token=lock.token)
    worker.give_back(lock)


def sleep_and_wake(worker: Worker) -> None:
    """A lock held long, by a process that is stopped past its time and then writes unchecked."""
    with worker.client() as client:
        while not worker.over.is_set():
            try:
                with client.session(ttl=SHORT_TTL_SECONDS, name=worker.name) as session:
                    hold_long(worker, session)
            except holdfast.HoldfastError as error:
                worker.recorder.event("short session ended", why=str(error))
                worker.pause(0.2)


def hold_long(worker: Worker, session: holdfast.Session) -> None:
    """Hold for some seconds; notice afterwards that the process was asleep."""
    while not worker.over.is_set():
        lock = session.lock("/asleep").acquire()
        worker.sure(lock)
        worker.write(lock)
        until = time.monotonic() + worker.random.uniform(0.5, 1.0)
        asleep = False
        while time.monotonic() < until:
            before = now()
            worker.over.wait(0.02)
            asleep = asleep or now() - before > ASLEEP_SECONDS * 1e9
        if asleep:
            worker.write(lock, "woke")
        worker.give_back(lock)
        worker.pause(0.3)


def come_and_go(worker: Worker) -> None:
    """Sessions that open, take a lock, and are closed without giving it back."""
    with worker.client() as client:
        while not worker.over.is_set():
            try:
                with client.session(ttl=TTL_SECONDS, name=worker.name) as session:
                    lock = session.lock(worker.path("guests"), timeout=2.0)
                    lock.acquire()
                    worker.sure(lock)
                    worker.write(lock)
                    worker.pause(0.1)
                    worker.recorder.event("given back", path=lock.path, token=lock.token)
            except (holdfast.NotGranted, holdfast.LockLost, holdfast.Unavailable):
                worker.pause(0.2)
            worker.pause(0.2)


def stock(worker: Worker) -> None:
    """Nothing but the generated code: retries and renewals by hand (stock_client.py)."""
    StockClient(worker.name, worker.servers, worker.recorder, worker.store, worker.random,
                worker.over, TTL_SECONDS).run()


KINDS: Dict[str, Callable[[Worker], None]] = {
    "turns": take_turns, "asleep": sleep_and_wake, "guests": come_and_go, "stock": stock,
}


def main(kind: str, name: str, seed: str, store_port: str, log: str, servers: str) -> int:
    """Work until told to end. A session that a server ended says so before all else."""
    worker = Worker(name, int(seed), int(store_port), pathlib.Path(log), servers)
    result: Any = 0
    try:
        KINDS[kind](worker)
    except holdfast.SessionExpired as error:
        worker.recorder.event("session expired", why=str(error))
        result = 1
    worker.recorder.event("done")
    return int(result)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
