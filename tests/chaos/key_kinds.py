"""What the clients of keys do that use the Python client; one function a kind (client.py)."""

from __future__ import annotations

import itertools
from typing import Callable, List

import holdfast

from chaos.worker import TTL_SECONDS, Worker

#: What there is before the first fault: run.py makes it.
FOLDERS = ("/counters", "/guarded", "/presence", "/queue", "/loose", "/passing")
ACCOUNTS = ("/accounts/a", "/accounts/b")
MONEY = 100
COUNTERS = 3
PASSING_SECONDS = 1.5
TROUBLES = (holdfast.KeyConflict, holdfast.Unavailable, holdfast.OutcomeUnknown,
            holdfast.LockLost, holdfast.NotGranted)


class KeyUser:
    """One session's work on keys, in small steps."""

    def __init__(self, worker: Worker, client: holdfast.Client, session: holdfast.Session) -> None:
        self._worker = worker
        self._client = client
        self._session = session
        self._unique = itertools.count()

    def _value(self) -> str:
        """One that no other write has."""
        return f"{self._worker.name} {next(self._unique)}"

    def count(self) -> None:
        """Add one, if nobody else does meanwhile."""
        path = f"/counters/{self._worker.random.randrange(COUNTERS)}"
        key = self._session.get(path, local=self._worker.random.random() < 0.3)
        if key is None:
            self._session.create(path, "0")
        else:
            self._session.put(path, str(int(key.text) + 1), version=key.version)

    def write_guarded(self) -> None:
        """Write while a lock is held, and look whether it was."""
        lock = self._session.lock("/guards/0", timeout=1.0)
        with lock:
            self._session.put("/guarded/0", self._value(), guard=lock)
            with self._session.transact() as transaction:
                transaction.holds(lock)
                transaction.put("/guarded/1", self._value())

    def move(self) -> None:
        """From one account to the other: what both have together stays the same."""
        source, target = self._worker.random.sample(ACCOUNTS, 2)
        has, gets = self._session.get_many([source, target])
        if has is None or gets is None or int(has.text) == 0:
            return
        with self._session.transact() as transaction:
            transaction.check_value(source, has.text)
            transaction.check_version(target, gets.version)
            transaction.put(source, str(int(has.text) - 1))
            transaction.put(target, str(int(gets.text) + 1))

    def enqueue(self) -> None:
        """Append to the queue, and take its head."""
        self._session.create("/queue/job-", self._value(), sequential=True)
        head = next(iter(self._session.list("/queue", values=True)), None)
        if head is not None:
            self._session.delete(head.path, version=head.version)

    def write_loosely(self) -> None:
        """Without a session: at most once, and perhaps nobody knows."""
        path = f"/loose/{self._worker.random.randrange(COUNTERS)}"
        if self._worker.random.randrange(3):
            self._client.put(path, self._value())
        else:
            self._client.delete(path)

    def pass_by(self) -> None:
        """Containers, and keys with a TTL in them, that go by themselves or are removed."""
        box = f"/passing/{self._worker.random.randrange(COUNTERS)}"
        child = f"{box}/{self._worker.random.randrange(COUNTERS)}"
        self._worker.random.choice([
            lambda: self._fill(box, child),
            lambda: self._session.create(child, self._value(), ttl=PASSING_SECONDS),
            lambda: self._session.put(child, self._value(), version=1),
            lambda: self._session.delete(child),
            lambda: self._session.delete(box),
            lambda: self._client.get_many([box, child]),
            lambda: list(self._client.list(box, values=True)),
        ])()

    def _fill(self, box: str, child: str) -> None:
        """A child in its container, which is made with it if it is gone."""
        with self._session.transact() as transaction:
            transaction.check_exists(box, False)
            transaction.create(box, self._value(), container=True)
            transaction.create(child, self._value(), ttl=PASSING_SECONDS)
            transaction.otherwise.create(child, self._value(), ttl=PASSING_SECONDS)

    def look(self) -> None:
        """Several keys, and a part of the tree."""
        self._client.get_many([*ACCOUNTS, "/loose/0"])
        list(self._client.list("/loose", values=True, local=self._worker.random.random() < 0.5))

    def steps(self) -> List[Callable[[], None]]:
        """All that it does."""
        return [self.count, self.count, self.write_guarded, self.move, self.enqueue,
                self.write_loosely, self.pass_by, self.pass_by, self.look]


def use_keys(worker: Worker) -> None:
    """Counters, guarded writes, transfers, a queue, writes without a session, keys that pass."""
    with worker.client() as client, client.session(ttl=TTL_SECONDS, name=worker.name) as session:
        user = KeyUser(worker, client, session)
        while not worker.over.is_set():
            try:
                worker.random.choice(user.steps())()
            except TROUBLES:
                pass
            worker.pause(0.1)


def be_present(worker: Worker) -> None:
    """Ephemeral keys that come and go with their sessions, and a look at who else is there."""
    with worker.client() as client:
        while not worker.over.is_set():
            try:
                with client.session(ttl=TTL_SECONDS, name=worker.name) as session:
                    session.create(f"/presence/{worker.name}-", worker.name, ephemeral=True,
                                   sequential=True)
                    _stay(worker, session)
            except TROUBLES:
                worker.pause(0.2)


def _stay(worker: Worker, session: holdfast.Session) -> None:
    for _ in range(worker.random.randrange(1, 5)):
        list(session.list("/presence", values=True))
        worker.pause(0.5)
