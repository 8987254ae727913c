"""One watcher on each server, and what they are told of one configuration key."""

import threading
from typing import List, Tuple

from holdfast import Client

KEY = "/config/demo/limit"


class Watcher:
    """Watches the key through one server alone: while that is gone it waits for it.

    A client that knows all servers would watch through the leader, and go on at another.
    """

    def __init__(self, number: int, server: str) -> None:
        self.number = number
        self.told: List[Tuple[int, str]] = []  # revision and value
        self.problem = ""
        self._server = server
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait_ready(self, limit_s: float) -> bool:
        return self._ready.wait(limit_s) and not self.problem

    def _watch(self) -> None:
        try:
            with Client([self._server], discover=False) as client, \
                    client.session(ttl=30, name=f"demo-watcher-{self.number}") as session, \
                    session.watch(KEY, values=True, timeout=0.2) as watch:
                self._ready.set()
                while not self._stopping.is_set():
                    self.told += [(event.revision, event.text) for event in watch]
        except Exception as problem:  # whatever it was, the demonstration tells it
            self.problem = f"{type(problem).__name__}: {problem}"
            self._ready.set()

    def end(self) -> None:
        self._stopping.set()
        self._thread.join(5)
