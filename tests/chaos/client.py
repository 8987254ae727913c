"""A client of the chaos test, in a process of its own so that it can be stopped and killed.

    client.py KIND NAME SEED STORE_PORT LOG SERVER,SERVER,...

It works until SIGTERM, writes down every call (recorder.py) and, for each lock it holds, the
moments between which it may be sure of it: from the grant to its own local deadline, or to when it
gives the lock back. KIND says what it does: see KINDS.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any, Callable, Dict, Type

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

import holdfast  # noqa: E402

from chaos import key_kinds, lock_kinds, watch_kinds  # noqa: E402
from chaos.stock_client import StockClient  # noqa: E402
from chaos.stock_keys import StockKeys  # noqa: E402
from chaos.worker import TTL_SECONDS, Worker  # noqa: E402


def stock(kind: Type[StockClient]) -> Callable[[Worker], None]:
    """Nothing but the generated code: retries and renewals by hand."""
    def work(worker: Worker) -> None:
        kind(worker.name, worker.servers, worker.recorder, worker.store, worker.random,
             worker.over, TTL_SECONDS).run()
    return work


KINDS: Dict[str, Callable[[Worker], None]] = {
    "turns": lock_kinds.take_turns, "asleep": lock_kinds.sleep_and_wake,
    "guests": lock_kinds.come_and_go, "stock": stock(StockClient),
    "warned": lock_kinds.hold_under_notice,
    "operator": lock_kinds.operate, "together": lock_kinds.take_together,
    "far": lock_kinds.be_far, "keys": key_kinds.use_keys, "present": key_kinds.be_present,
    "stockkeys": stock(StockKeys), "watcher": watch_kinds.watch_all,
    "dozer": watch_kinds.watch_all, "roamer": watch_kinds.watch_by_turns,
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
