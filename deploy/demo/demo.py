"""What ./dev run shows: an election and a configuration key that survive kill -9.

Starts three servers and three workers, kills the leading worker, then the leading server, and
prints how long each takeover took and with which fencing token. Then a key is changed while
another server is dead, and watchers on all three are told every revision. Then the cluster stays
up until Ctrl-C; with --once it ends, with exit 0 only if everything held.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, NoReturn, Optional

from cluster import (FIRST_PORT, FIRST_PORTS, HOME, Cluster, Refused, die_with_parent,
                     how_to_reach, up, wait_until)
from settings import KEY, Watcher

from holdfast import Client

PATH = "/services/demo/leader"
PROBE = "/services/demo/probe"
SESSION_TTL_S = 4.0
PROBE_PAUSE_S = 0.005

# The bounds that the demonstration holds itself to.
FIRST_GRANT_LIMIT_S = 10.0
WORKER_TAKEOVER_LIMIT_S = SESSION_TTL_S + 2.0  # an expired session's TTL, and room for a busy host
SERVER_TAKEOVER_LIMIT_S = 2.0
RESIGN_LIMIT_S = 1.0
CATCH_UP_LIMIT_S = 10.0


class Broken(Exception):
    """The demonstration showed something that may not happen."""


def boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def say(text: str = "") -> None:
    print(text, flush=True)


class Tenure(NamedTuple):
    """The time for which a worker was sure to lead."""

    worker: str
    token: int
    since: float
    until: float


class Worker:
    """A worker process and what it told so far."""

    def __init__(self, name: str, servers: List[str]) -> None:
        self.name = name
        self.events: List[Dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(Path(__file__).with_name("worker.py")), "--name", name,
             "--servers", ",".join(servers), "--path", PATH, "--ttl", str(SESSION_TTL_S)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.events.append(json.loads(line))
            except ValueError:  # half a line of a worker that was killed
                return

    def last(self, event: str) -> Optional[Dict[str, Any]]:
        return next((e for e in reversed(self.events) if e["event"] == event), None)

    @property
    def token(self) -> int:
        leading = self.last("leading")
        return int(leading["token"]) if leading else 0

    def leads(self) -> bool:
        return (self.token > 0 and self.process.poll() is None
                and not self.last("lost") and not self.last("resigned"))

    def tenure(self) -> Optional[Tenure]:
        leading = self.last("leading")
        if leading is None:
            return None
        until = (self.last("checked") or leading)["at"]
        return Tenure(self.name, int(leading["token"]), leading["at"], until)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def resign(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("resign\n")
        self.process.stdin.flush()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()


class Probe:
    """Writes all the time, so that a pause in the service can be measured."""

    def __init__(self, servers: List[str]) -> None:
        self.servers = servers
        self.successes: List[float] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def _write(self) -> None:
        with Client(self.servers) as client, client.session(ttl=30, name="demo-probe") as session:
            while not self.stopping.is_set():
                with session.lock(PROBE):
                    self.successes.append(boot_time())
                self.stopping.wait(PROBE_PAUSE_S)

    def writing_since(self, instant: float) -> bool:
        """Three writes were acknowledged after `instant`."""
        return sum(1 for at in self.successes[-3:] if at > instant) == 3

    def longest_gap_since(self, instant: float) -> float:
        before = [at for at in self.successes if at <= instant][-1:] or [instant]
        times = before + [at for at in self.successes if at > instant]
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))

    def end(self) -> None:
        self.stopping.set()
        self.thread.join(5)


class Demonstration:
    """The five acts, in order. Each raises Broken if something did not hold."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.workers: List[Worker] = []
        self.probe: Optional[Probe] = None
        self.watchers: List[Watcher] = []

    def leading(self) -> Optional[Worker]:
        return next((w for w in self.workers if w.leads()), None)

    def wait_for_leader(self, limit_s: float, after_token: int = 0) -> Worker:
        def next_leads() -> bool:
            worker = self.leading()
            return worker is not None and worker.token > after_token
        if not wait_until(next_leads, limit_s):
            raise Broken(f"no worker leads with a token above {after_token} within {limit_s:.0f} s")
        worker = self.leading()
        assert worker is not None
        return worker

    def play(self) -> None:
        self.campaign()
        self.kill_leading_worker()
        self.kill_leading_server()
        self.hand_over()
        self.change_config()
        self.judge()

    def campaign(self) -> None:
        say(f"\n1  Three workers campaign for {PATH}")
        self.probe = Probe(self.cluster.addresses)
        self.workers = [Worker(f"worker-{name}", self.cluster.addresses) for name in "abc"]
        leader = self.wait_for_leader(FIRST_GRANT_LIMIT_S)
        wait_until(lambda: all(w.last("waiting") for w in self.workers), FIRST_GRANT_LIMIT_S)
        say(f"     {leader.name} leads, fencing token {leader.token}; the others wait in line")

    def kill_leading_worker(self) -> None:
        old = self.wait_for_leader(FIRST_GRANT_LIMIT_S)
        say(f"\n2  kill -9 {old.process.pid}: the leading worker, {old.name}")
        say(f"     nobody can tell dead from slow: its lease (TTL {SESSION_TTL_S:.0f} s) must end")
        killed_at = boot_time()
        old.kill()
        new = self.wait_for_leader(WORKER_TAKEOVER_LIMIT_S, after_token=old.token)
        self.tell_takeover(old, new, killed_at)

    def tell_takeover(self, old: Worker, new: Worker, since: float) -> None:
        tenure = new.tenure()
        assert tenure is not None
        say(f"     {new.name} leads after {tenure.since - since:.3f} s, "
            f"fencing token {new.token} > {old.token}")

    def kill_leading_server(self) -> None:
        worker = self.wait_for_leader(FIRST_GRANT_LIMIT_S)
        server = self.cluster.leader()
        if server is None or self.probe is None:
            raise Broken("the servers do not agree on a leader")
        say(f"\n3  kill -9 {server.pid}: the leading server, server {server.node_id}")
        killed_at = boot_time()
        server.kill()
        if not wait_until(lambda: self.probe is not None and self.probe.writing_since(killed_at),
                          SERVER_TAKEOVER_LIMIT_S):
            raise Broken(f"no write succeeded within {SERVER_TAKEOVER_LIMIT_S:.0f} s")
        gap = self.probe.longest_gap_since(killed_at)
        leads = f"{worker.name} still leads, fencing token {worker.token}"
        if not wait_until(lambda: self.cluster.leader() is not None, SERVER_TAKEOVER_LIMIT_S):
            raise Broken("the surviving servers do not agree on a leader")
        new = self.cluster.leader()
        say(f"     server {new.node_id if new else 0} leads the cluster; "
            f"writes paused for {gap:.3f} s, none was lost")
        self.bring_back(server.node_id)
        checked = worker.last("checked")
        if not worker.leads() or checked is None or checked["at"] < killed_at + gap:
            raise Broken(f"{worker.name} lost its leadership with the server")
        say(f"     {leads}: a lock does not hang on any one server")

    def bring_back(self, node_id: int) -> None:
        server = self.cluster.server(node_id)
        started_at = boot_time()
        server.start(self.cluster.members)
        self.cluster.record()
        if not wait_until(self.cluster.ready, CATCH_UP_LIMIT_S):
            raise Broken(f"server {node_id} did not catch up within {CATCH_UP_LIMIT_S:.0f} s")
        say(f"     server {node_id} is back and caught up after {boot_time() - started_at:.3f} s")

    def hand_over(self) -> None:
        old = self.wait_for_leader(FIRST_GRANT_LIMIT_S)
        say(f"\n4  {old.name} steps down of its own accord")
        asked_at = boot_time()
        old.resign()
        new = self.wait_for_leader(RESIGN_LIMIT_S, after_token=old.token)
        self.tell_takeover(old, new, asked_at)

    def judge(self) -> None:
        """One leader at a time, and each token above the one before."""
        tenures = [t for t in (w.tenure() for w in self.workers) if t is not None]
        tenures.sort(key=lambda tenure: tenure.since)
        for earlier, later in zip(tenures, tenures[1:]):
            if later.token <= earlier.token:
                raise Broken(f"token {later.token} was granted after {earlier.token}")
            if later.since < earlier.until:
                raise Broken(f"{later.worker} led while {earlier.worker} was sure to lead")
        if len(tenures) != 3:
            raise Broken(f"{len(tenures)} workers led; it should have been all three")
        say("\nEverything held: one leader at every moment, every token above the one before,\n"
            "and every change told once.")

    def change_config(self) -> None:
        say(f"\n5  {KEY} is changed while a server is killed; a watcher on each server")
        self.watchers = [Watcher(server.node_id, server.address("client"))
                         for server in self.cluster.servers]
        if not all(w.wait_ready(FIRST_GRANT_LIMIT_S) for w in self.watchers):
            raise Broken("; ".join(w.problem or "a watch did not begin" for w in self.watchers))
        leader = self.cluster.leader()
        server = next(s for s in self.cluster.servers if s is not leader)
        with Client(self.cluster.addresses) as client, client.session() as session:
            written = [(session.put(KEY, "100", parents=True), "100")]
            say(f"     kill -9 {server.pid}: server {server.node_id}")
            server.kill()
            written += [(session.put(KEY, value), value) for value in ("200", "300")]
            self.bring_back(server.node_id)
            written.append((session.put(KEY, "400"), "400"))
        expected = [(stat.revision, value) for stat, value in written]
        wait_until(lambda: all(w.told == expected for w in self.watchers), CATCH_UP_LIMIT_S)
        for watcher in self.watchers:
            say(f"     watcher on server {watcher.number}: "
                + ", ".join(f"{value} at revision {revision}" for revision, value in watcher.told)
                + (f" ({watcher.problem})" if watcher.problem else ""))
        if any(w.told != expected for w in self.watchers):
            raise Broken(f"a watcher missed a change, or was told it twice: {expected} was written")
        say("     each was told every change, once and in order")

    def end(self) -> None:
        for watcher in self.watchers:
            watcher.end()
        for worker in self.workers:
            worker.end()
        if self.probe is not None:
            self.probe.end()


def on_signal(number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt(number)


def run(cluster: Cluster) -> None:
    say("\nHoldfast: three servers, three workers, one leader at a time\n")
    started_at = boot_time()
    cluster.start()
    for server in cluster.servers:
        say(f"     server {server.node_id}   clients {server.address('client')}   "
            f"pid {server.pid}")
    leader = cluster.leader()
    say(f"     server {leader.node_id if leader else 0} leads; "
        f"ready after {boot_time() - started_at:.3f} s")
    demonstration = Demonstration(cluster)
    try:
        demonstration.play()
    finally:
        demonstration.end()


def stay_up(cluster: Cluster) -> None:
    say("\nThe cluster stays up until Ctrl-C, which deletes its data in "
        f"{HOME.name}/.\n\n{how_to_reach(cluster.first_port)}")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    say("\nStopping the cluster and deleting its data.")


def first_port(text: str) -> int:
    if not text.isdigit() or int(text) not in FIRST_PORTS:
        raise argparse.ArgumentTypeError(
            f"{text}: the first of 24 ports is a number from {FIRST_PORTS[0]} to {FIRST_PORTS[-1]}")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--port", type=first_port, default=FIRST_PORT, help="the first of 24 ports")
    options = parser.parse_args()
    if up():
        say(f"The cluster is up already.\n\n{how_to_reach(options.port)}")
        return 1 if options.once else 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    cluster = Cluster(options.port)
    failed = True
    try:
        run(cluster)
        failed = False
        if not options.once:
            stay_up(cluster)
        return 0
    except KeyboardInterrupt:
        failed = False
        say("\nThe demonstration was broken off. Stopping the cluster and deleting its data.")
        return 130
    except (Refused, Broken) as problem:
        print(f"./dev run: {problem}", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        cluster.stop(keep_data=failed)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    sys.exit(main())
