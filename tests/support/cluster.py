"""Real holdfastd processes on loopback: ephemeral ports, a data directory each, ended by their ids.

Timing is wider than in production, because the tests run side by side on two cores: heartbeat
150 ms, election timeout 750 to 1,500 ms. Sessions of 1 s are allowed, so that expiry need not be
waited for long; fast failover is on as by default. HOLDFAST_TEST_FLAGS adds flags to every server.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from typing import Dict, List, Optional, Sequence

from support import paths
from support.stock import Stock
from support.waiting import eventually

START_SECONDS = 20.0
TIMING = ("--heartbeat_ms=150", "--election_timeout_min_ms=750", "--election_timeout_max_ms=1500",
          "--session_ttl_min_ms=1000")


PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_the_test() -> None:
    """In a child before it starts: a test run that is killed leaves none behind."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> List[int]:
    """Ports nobody listens to, outside the range from which the kernel picks for connections."""
    found: List[int] = []
    held = []
    offset = os.getpid() * 37
    while len(found) < count:
        port = 10000 + offset % 20000
        offset += 1
        candidate = socket.socket()
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            candidate.close()
            continue
        held.append(candidate)
        found.append(port)
    for candidate in held:
        candidate.close()
    return found


class Node:
    """One server: its ports, its directory, and its process while there is one."""

    def __init__(self, node_id: int, folder: pathlib.Path, ports: Sequence[int]) -> None:
        self.node_id = node_id
        self.folder = folder
        self.client_port, self.peer_port, self.admin_port, self.http_port = ports
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.joins = False  # it was no member when the cluster began
        self.program = paths.program("holdfastd")

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.client_port}"

    @property
    def admin_address(self) -> str:
        """Where operators connect."""
        return f"127.0.0.1:{self.admin_port}"

    @property
    def running(self) -> bool:
        """Is there a process?"""
        return self.process is not None and self.process.poll() is None

    def start(self, flags: Sequence[str], environment: Optional[Dict[str, str]] = None) -> None:
        """Start the process; its standard error is appended to a file in its folder."""
        command = [str(self.program), f"--node_id={self.node_id}",
                   f"--data_dir={self.folder / 'data'}",
                   f"--client_address={self.address}",
                   f"--peer_address=127.0.0.1:{self.peer_port}",
                   f"--admin_address={self.admin_address}",
                   f"--http_address=127.0.0.1:{self.http_port}", *flags]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL,
                                            env={**os.environ, **(environment or {})},
                                            preexec_fn=die_with_the_test)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def ready(self) -> bool:
        """Does it say that it can serve?"""
        if not self.running:
            raise AssertionError(f"node {self.node_id} ended:\n{self.log()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/ready", timeout=1) as r:
                return bool(r.status == 200)
        except OSError:
            return False

    def status(self) -> "object | None":
        """Its status, or None if it does not answer."""
        try:
            with Stock(self.admin_address, service="admin", timeout=1.0) as admin:
                return admin.status()
        except Exception:
            return None

    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")


class Cluster:
    """A cluster of 1, 3 or 5 servers."""

    def __init__(self, size: int = 3, flags: Sequence[str] = ()) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-test-"))
        ports = free_ports(4 * size)
        self.nodes: Dict[int, Node] = {}
        for node_id in range(1, size + 1):
            folder = self.folder / f"node{node_id}"
            folder.mkdir()
            self.nodes[node_id] = Node(node_id, folder, ports[4 * (node_id - 1):4 * node_id])
        self._all = list(self.nodes.values())  # also those that are no members any more
        members = ",".join(f"{n.node_id}=127.0.0.1:{n.peer_port}" for n in self.nodes.values())
        everywhere = os.environ.get("HOLDFAST_TEST_FLAGS", "").split()
        self._list = f"--initial_cluster={members}"
        self._flags = [*TIMING, *everywhere, *flags]

    def __enter__(self) -> "Cluster":
        try:
            for node in self.nodes.values():
                self.start(node)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def start(self, node: Node) -> None:
        """Start a server, on the data it has."""
        first = node.node_id == 1 and not node.joins
        self.start_with(node, *(["--bootstrap"] if first else []))

    def start_with(self, node: Node, *flags: str,
                   environment: Optional[Dict[str, str]] = None) -> None:
        """Start a server with more flags than the others; one that joined keeps the list it had."""
        where = self._list if not node.joins else "--join=" + ",".join(
            f"127.0.0.1:{n.peer_port}" for n in self._all if n is not node)
        node.start([*self._flags, where, *flags], environment)

    def newcomer(self, node_id: int, folder: Optional[str] = None) -> Node:
        """A server with an empty directory that is no member; start it and have it added."""
        place = self.folder / (folder or f"node{node_id}")
        place.mkdir()
        known = {port for n in self._all for port in (n.client_port, n.peer_port, n.admin_port,
                                                      n.http_port)}
        ports = [port for port in free_ports(4 + len(known)) if port not in known]
        node = Node(node_id, place, ports[:4])
        self._all.append(node)
        node.joins = True
        return node

    def stop(self) -> None:
        """Leave no process and no file."""
        for node in self._all:
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_ready(self, nodes: Optional[Sequence[Node]] = None) -> None:
        """Until these servers, or all that run, are ready."""
        for node in nodes or [n for n in self.nodes.values() if n.running]:
            eventually(node.ready, within=START_SECONDS, every=0.05,
                       what=f"node {node.node_id} ready")

    @property
    def seeds(self) -> List[str]:
        """All client addresses."""
        return [n.address for n in self.nodes.values()]

    def leader(self, among: Optional[Sequence[Node]] = None) -> Node:
        """The leader that a majority follows, as soon as there is one."""
        nodes = list(among or [n for n in self.nodes.values() if n.running])

        def find() -> Optional[Node]:
            statuses = [s for s in (n.status() for n in nodes) if s is not None]
            followed = [s.leaderId for s in statuses]  # type: ignore[attr-defined]
            for status in statuses:
                identity = status.nodeId  # type: ignore[attr-defined]
                if (status.leaderId == identity  # type: ignore[attr-defined]
                        and followed.count(identity) * 2 > len(self.nodes)):
                    return self.nodes[identity]
            return None

        found = eventually(find, within=START_SECONDS, every=0.05, what="a leader")
        assert found is not None
        return found

    def followers(self) -> List[Node]:
        """The running servers that do not lead."""
        leader = self.leader()
        return [n for n in self.nodes.values() if n.running and n is not leader]

    def kill_all(self) -> None:
        """kill -9 to all servers, then wait for all: nobody has time to react."""
        for node in self.nodes.values():
            if node.running:
                node.signal(signal.SIGKILL)
        for node in self.nodes.values():
            node.kill()

    def start_all(self) -> None:
        """Start what does not run, and wait until it is ready."""
        for node in self.nodes.values():
            if not node.running:
                self.start(node)
        self.wait_ready()
