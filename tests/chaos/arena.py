"""The servers of a chaos run: real processes, a proxy on every link, a shim in every server.

Server i reaches server j only through the proxy (i, j), so that every direction can be cut by
itself. Clients connect directly. One server's data is on a small file system of its own (a tmpfs in
the run's private mount namespace); where mounts are not permitted its shim says ENOSPC instead.

Timing is that of the integration tests (support/cluster.py), with a drift bound of 100 permille so
that clock rates of plus and minus 4 percent are within it, and log segments of 64 KiB.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from support.cluster import Cluster, Node
from support.proxy import Proxy
from support.stock import Stock
from support.waiting import eventually

from chaos.shim_control import Shim

#: A history of so few events that a watcher which was stopped is resynchronised.
FLAGS = ("--clock_drift_permille=100", "--segment_bytes=65536", "--history_events=300",
         "--reserve_mib=4", "--min_free_mib=2")
READY_SECONDS = 60.0
#: The tmpfs holds the whole log of a run, as long as there are no snapshots.
SMALL_DISK_MIB, SMALL_DISK_MIB_PER_MINUTE = 32, 16
BLOCK_BYTES = 4096
EXIT_DISK_FULL, EXIT_WRITE_FAILED = 6, 7


def _fill(filler: pathlib.Path) -> None:
    """Leave no block free. The server takes room meanwhile: what does not fit is tried smaller."""
    size, at = 1 << 30, 0
    with open(filler, "wb") as file:
        while size >= BLOCK_BYTES:
            try:
                os.posix_fallocate(file.fileno(), at, size)
                at += size
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


class Arena(Cluster):
    """A cluster whose every link, clock and disk can be made bad."""

    def __init__(self, size: int, minutes: float, may_mount: bool) -> None:
        super().__init__(size, FLAGS)
        self.links: Dict[Tuple[int, int], Proxy] = {}
        for i, node in self.nodes.items():
            for j, peer in self.nodes.items():
                if i != j:
                    self.links[i, j] = Proxy(f"127.0.0.1:{peer.peer_port}")
        self.shims: Dict[int, Shim] = {}
        for i, node in self.nodes.items():
            (node.folder / "data").mkdir()
            self.shims[i] = Shim(node.folder / "control", node.folder / "data")
        self.small = self.nodes[size]
        self._mounted = may_mount
        if may_mount:
            megabytes = SMALL_DISK_MIB + int(SMALL_DISK_MIB_PER_MINUTE * minutes)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "holdfast-chaos",
                            str(self.small.folder / "data")], check=True)

    def start(self, node: Node) -> None:
        """Start a server on the data it has; others may connect to it again."""
        for link in self._links_to(node):
            with contextlib.suppress(OSError):
                link.admit()
        members = ",".join(
            f"{j}={self._peer_address(node.node_id, j)}" for j in self.nodes)
        flags = [f for f in self._flags if not f.startswith("--initial_cluster")]
        node.start([*flags, f"--initial_cluster={members}",
                    *(["--bootstrap"] if node.node_id == 1 else [])],
                   self.shims[node.node_id].environment)

    def _peer_address(self, of: int, to: int) -> str:
        return self.links[of, to].address if of != to else f"127.0.0.1:{self.nodes[of].peer_port}"

    def _links_to(self, node: Node) -> List[Proxy]:
        return [link for (_, j), link in self.links.items() if j == node.node_id]

    def kill(self, nodes: Iterable[Node]) -> None:
        """kill -9 to all of these at once; their hosts then refuse connections."""
        nodes = list(nodes)
        for node in nodes:
            node.signal(signal.SIGKILL)
        for node in nodes:
            node.kill()
            self._refuse(node)

    def _refuse(self, node: Node) -> None:
        for link in self._links_to(node):
            link.refuse()

    def wait_end(self, node: Node, code: int, seconds: float) -> None:
        """Until a server ends by itself, with this exit code."""
        process = node.process
        assert process is not None
        eventually(lambda: not node.running, within=seconds,
                   what=f"the end of node {node.node_id}")
        self._refuse(node)
        if process.returncode != code:
            raise AssertionError(f"node {node.node_id} ended with exit code {process.returncode}, "
                                 f"not {code}:\n{node.log()[-1000:]}")

    def revive(self) -> None:
        """Start what does not run, and wait until all serve under one leader."""
        for node in self.nodes.values():
            if not node.running:
                self.start(node)
        for node in self.nodes.values():
            eventually(node.ready, within=READY_SECONDS, every=0.02,
                       what=f"node {node.node_id} ready")
        eventually(self._united, within=READY_SECONDS, every=0.02, what="one leader for all")
        for node in self.nodes.values():
            eventually(lambda: self._serves(node), within=READY_SECONDS, every=0.02,
                       what=f"a read through node {node.node_id}")

    def _united(self) -> bool:
        seen = [n.status() for n in self.nodes.values()]
        leaders = {s.leaderId if s else 0 for s in seen}  # type: ignore[attr-defined]
        return len(leaders) == 1 and leaders != {0}

    @staticmethod
    def _serves(node: Node) -> bool:
        """A linearizable read needs a leader, a quorum and the links between them."""
        try:
            with Stock(node.address, timeout=1.0) as stock:
                return bool(stock.checkToken(path="/ready", token=1).header)
        except Exception:  # whatever Thrift and the sockets raise while it does not serve
            return False

    def cut(self, pairs: Iterable[Tuple[int, int]]) -> None:
        """Swallow what goes from the first to the second of each pair."""
        for pair in pairs:
            self.links[pair].black_hole()

    def heal_links(self) -> None:
        """Everything passes again, on new connections."""
        for link in self.links.values():
            link.heal()

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """The small disk has no byte left; afterwards it has room again."""
        filler = self.small.folder / "data" / "filler"
        shim = self.shims[self.small.node_id]
        if not self._mounted:
            shim.set(write_errno=errno.ENOSPC)
        else:
            _fill(filler)
        try:
            yield
        finally:
            shim.heal()
            filler.unlink(missing_ok=True)

    @property
    def mounted(self) -> bool:
        """Is the small disk a file system of its own?"""
        return self._mounted

    def wait_full(self, full: bool, seconds: float) -> None:
        """Until the small server says that its disk is full, or has room; it must run."""
        def says() -> bool:
            assert self.small.running, self.small.log()[-1000:]
            status = self.small.status()
            return status is not None and full == (
                status.disk.state == "full")  # type: ignore[attr-defined]
        eventually(says, within=seconds, what=f"a disk that is {'full' if full else 'not full'}")

    def digests(self) -> Optional[str]:
        """The one state digest, once all servers have come to one revision; else None."""
        seen = {(s.appliedIndex, s.stateDigest) if s else None  # type: ignore[attr-defined]
                for s in (n.status() for n in self.nodes.values())}
        only = seen.pop()
        return str(only) if only is not None and not seen else None

    def stop(self) -> None:
        """Leave no process, no mount and no file."""
        for node in self.nodes.values():
            node.kill()
        for link in self.links.values():
            link.close()
        if self._mounted:
            subprocess.run(["umount", str(self.small.folder / "data")], check=False,
                           stderr=subprocess.DEVNULL)
        super().stop()

    def logs(self, into: pathlib.Path) -> None:
        """Keep what the servers wrote."""
        for node in self.nodes.values():
            (into / f"node{node.node_id}.log").write_text(node.log())
