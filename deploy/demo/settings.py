"""One watcher on each server, and what they are told of one configuration key."""

import threading
from typing import List, Tuple

from holdfast import Client

KEY = "/config/demo/limit"


class Watcher:
    """Watches the key through one server first, and through the others when that is gone."""

    def __init__(self, number: int, servers: List[str]) -> None:
        self.number = number
        self.told: List[Tuple[int, str]] = []  # revision and value
        self.problem = ""
        self._servers = servers[number - 1:] + servers[:number - 1]
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait_ready(self, limit_s: float) -> bool:
        return self._ready.wait(limit_s) and not self.problem

    def _watch(self) -> None:
        try:
            with Client(self._servers) as client, \
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
