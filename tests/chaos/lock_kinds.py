"""What the clients of locks do that use the Python client; one function a kind (client.py)."""

from __future__ import annotations

import time

import holdfast

from chaos.recorder import now
from chaos.worker import LOCKS, SHORT_TTL_SECONDS, TTL_SECONDS, Guardian, Worker

#: A gap between two steps of the clock that only a stopped process has.
ASLEEP_SECONDS = 1.5
#: How long /asleep stays closed after its holder's session has expired (judge.py).
DELAY_SECONDS = 0.5
TROUBLES = (holdfast.NotGranted, holdfast.LockLost, holdfast.Unavailable)


def take_turns(worker: Worker) -> None:
    """Locks: wait, hold, write to the store, publish, give back."""
    with worker.client() as client, client.session(ttl=TTL_SECONDS, name=worker.name) as session:
        while not worker.over.is_set():
            lock = session.lock(worker.path("turns"), timeout=worker.random.choice([0, 1.0, 5.0]))
            try:
                lock.acquire()
            except TROUBLES:
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
        worker.lost(lock)
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
        lock = session.lock("/asleep", lock_delay=DELAY_SECONDS).acquire()
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
        released = worker.give_back(lock)
        try:
            session.check()
        except holdfast.SessionExpired:
            if not released:
                worker.recorder.event("expired holding", path=lock.path, token=lock.token)
            raise
        worker.pause(0.3)


def come_and_go(worker: Worker) -> None:
    """Sessions that open, take a lock, and are closed without giving it back."""
    with worker.client() as client:
        while not worker.over.is_set():
            try:
                with client.session(ttl=TTL_SECONDS, name=worker.name) as session:
                    lock = session.lock(worker.path("guests"), timeout=2.0, lock_delay=1.0)
                    lock.acquire()
                    worker.sure(lock)
                    worker.write(lock)
                    worker.pause(0.1)
                    worker.left(lock)
            except TROUBLES:
                worker.pause(0.2)
            worker.pause(0.2)


def hold_under_notice(worker: Worker) -> None:
    """Locks that the operator takes away: some holders give them back in time, some do not."""
    with worker.client() as client, client.session(ttl=TTL_SECONDS, name=worker.name) as session:
        while not worker.over.is_set():
            guardian = Guardian(worker)
            lock = session.lock(worker.path("warned"), timeout=5.0, on_lost=guardian.on_lost,
                                on_revoke=lambda lock, notice: worker.noticed(lock))
            try:
                lock.acquire()
            except TROUBLES:
                continue
            worker.write(lock)
            if guardian.keep(lock, worker.random.uniform(0, 3)):
                worker.give_back(lock)


def operate(worker: Worker) -> None:
    """The operator: takes locks away with notice, and looks at what there is."""
    with worker.client() as client:
        while not worker.over.is_set():
            path = worker.path("warned")
            try:
                list(client.locks(f"/{worker.random.choice(['warned', 'turns', 'guests'])}/"))
                if worker.random.randrange(2):
                    client.revoke(path, notice=worker.random.uniform(0, 1), reason=worker.name)
                client.describe(path)
            except (holdfast.Unavailable, holdfast.OutcomeUnknown) as error:
                worker.recorder.event("operator stopped", why=str(error))
            worker.pause(0.7)


def take_together(worker: Worker) -> None:
    """Several locks at once, and single ones of them between."""
    with worker.client() as client, client.session(ttl=TTL_SECONDS, name=worker.name) as session:
        while not worker.over.is_set():
            timeout = worker.random.choice([0, 1.0, 5.0])
            count = worker.random.randrange(1, LOCKS + 1)
            paths = [f"/all/{i}" for i in worker.random.sample(range(LOCKS), count)]
            lock = (session.lock(paths[0], timeout=timeout) if count == 1
                    else session.locks(paths, timeout=timeout))
            try:
                lock.acquire()
                worker.sure(lock)
                worker.write(lock)
                worker.pause(0.1)
                worker.give_back(lock)
            except TROUBLES:
                worker.pause(0.05)


def be_far(worker: Worker) -> None:
    """A lock held long over links that are cut: it must end in time, and others have it then."""
    with worker.client(discover=False) as client:
        while not worker.over.is_set():
            try:
                with client.session(ttl=SHORT_TTL_SECONDS, name=worker.name) as session:
                    hold_far(worker, session)
            except holdfast.HoldfastError as error:
                worker.recorder.event("short session ended", why=str(error))
                worker.pause(0.2)


def hold_far(worker: Worker, session: holdfast.Session) -> None:
    """While renewals are overdue the lock is kept, to see it end."""
    while not worker.over.is_set():
        guardian = Guardian(worker)
        lock = session.lock("/far", on_lost=guardian.on_lost).acquire()
        worker.write(lock)
        if guardian.keep(lock, worker.random.uniform(0.5, 2), overdue=SHORT_TTL_SECONDS * 0.5):
            worker.give_back(lock)
        session.check()
        worker.pause(0.3)
