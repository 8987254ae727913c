"""The client processes of a chaos run, and the store they write to."""

from __future__ import annotations

import itertools
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Dict, List, Sequence

from support.cluster import die_with_the_test
from support.proxy import Proxy
from support.stock import Stock
from support.waiting import eventually

from chaos.faults import Cut

HERE = pathlib.Path(__file__).resolve().parent
#: Which clients there are, by kind (client.py).
CROWD = ("turns", "turns", "stock", "stock", "guests", "asleep", "asleep", "warned", "warned",
         "operator", "together", "together", "far", "far", "keys", "keys", "present", "stockkeys",
         "stockkeys")
#: Watchers end after all others; beside these there is one for each server, over that server only.
WATCHERS = ("dozer", "roamer")
#: Those that reach the servers over links of their own.
FAR = ("far",)
MORTAL = ("turns", "stock", "keys", "present", "stockkeys")
END_SECONDS = 60.0


class Herd:
    """Starts, stops, kills and ends clients."""

    def __init__(self, folder: pathlib.Path, seed: int, servers: Sequence[str]) -> None:
        self._folder = folder
        self._seed = seed
        self._servers = list(servers)
        self._number = 0
        self.live: Dict[str, subprocess.Popen[bytes]] = {}
        self.watchers: Dict[str, subprocess.Popen[bytes]] = {}
        self._links: Dict[str, List[Proxy]] = {}
        self._store = subprocess.Popen([sys.executable, "-B", str(HERE / "store.py")],
                                       stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                       preexec_fn=die_with_the_test)
        assert self._store.stdout is not None
        self._store_port = int(self._store.stdout.readline())

    def start(self) -> None:
        """All clients, each with the servers in an order of its own."""
        for server in self._servers:
            self._start("watcher", self.watchers, [server])
        for kind in WATCHERS:
            self._start(kind, self.watchers, self._servers)
        for kind in CROWD:
            self._start(kind, self.live, self._servers)

    def _start(self, kind: str, among: Dict[str, subprocess.Popen[bytes]],
               servers: List[str]) -> None:
        self._number += 1
        name = f"{kind}-{self._number}"
        if kind in FAR:
            self._links[name] = [Proxy(address) for address in servers]
            servers = [link.address for link in self._links[name]]
        with open(self._folder / f"{name}.log", "wb") as log:
            among[name] = subprocess.Popen(
                [sys.executable, "-B", str(HERE / "client.py"), kind, name, str(self._seed),
                 str(self._store_port), str(self._folder / f"{name}.jsonl"),
                 ",".join(servers)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_the_test)

    def files(self) -> List[pathlib.Path]:
        """What the clients wrote down."""
        return sorted(self._folder.glob("*.jsonl"))

    def stop_one(self, dice: random.Random, seconds: float) -> None:
        """SIGSTOP the client that holds the lock made for it, for so long."""
        name = eventually(lambda: self._holder("/asleep", dice), within=30, every=0.05,
                          what="a holder of /asleep")
        process = self.live[name]
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def stop_watcher(self, seconds: float) -> None:
        """SIGSTOP the watcher that is there for it."""
        dozer = next(p for name, p in self.watchers.items() if name.startswith("dozer"))
        dozer.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        dozer.send_signal(signal.SIGCONT)

    def cut_one(self, dice: random.Random, seconds: float, cut: Cut) -> None:
        """Cut the links of the client that holds the lock made for it, for so long."""
        name = eventually(lambda: self._holder("/far", dice), within=30, every=0.05,
                          what="a holder of /far")
        links = self._links[name]
        for link in [dice.choice(links)] if cut.one_server else links:
            link.black_hole(cut.there, cut.back)
        time.sleep(seconds)
        for link in links:
            link.heal()

    def _holder(self, path: str, dice: random.Random) -> str:
        try:
            with Stock(dice.choice(self._servers), timeout=2) as stock:
                holders = stock.describeLock(path=path).lock.holders
        except Exception:  # this server does not answer now: the next round asks another
            return ""
        return next((h.sessionName for h in holders if h.sessionName in self.live), "")

    def kill_one(self, dice: random.Random) -> None:
        """kill -9 a client that works, and start another in its place."""
        name = dice.choice([n for n in self.live if n.partition("-")[0] in MORTAL])
        process = self.live.pop(name)
        process.kill()
        process.wait()
        self._start(name.partition("-")[0], self.live, self._servers)

    def check(self) -> None:
        """Every client still runs."""
        for name, process in [*self.live.items(), *self.watchers.items()]:
            if process.poll() is not None:
                raise AssertionError(f"client {name} ended with {process.returncode}:\n"
                                     f"{self._log(name)}")

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def end(self, among: Dict[str, subprocess.Popen[bytes]]) -> None:
        """Tell these to finish, and see that they do."""
        for process in among.values():
            process.terminate()
        for name, process in among.items():
            try:
                code = process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"client {name} did not finish within {END_SECONDS:g} s:\n"
                                     f"{self._log(name)}") from None
            if code != 0:
                raise AssertionError(f"client {name} ended with {code}:\n{self._log(name)}")

    def destroy(self) -> None:
        """Leave no process."""
        for process in [*self.live.values(), *self.watchers.values(), self._store]:
            process.kill()
            process.wait()
        for link in itertools.chain(*self._links.values()):
            link.close()
        if self._store.stdout is not None:
            self._store.stdout.close()
