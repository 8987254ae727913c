"""A cluster of another revision's servers is brought to this one's, one by one, under work.

    rolling.py OLD_HOLDFASTD

Sessions, locks, keys and what commands answered have to come through, in the old log and snapshot
format and in a cluster of both programs. ./dev upgrade REVISION builds OLD_HOLDFASTD.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import signal
import sys
import threading
from typing import Any, List, Set

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

from support.cluster import Cluster, Node  # noqa: E402
from support.command import run  # noqa: E402
from support.stock import Stock, t  # noqa: E402
from support.waiting import eventually  # noqa: E402

import holdfast  # noqa: E402

# Logs are cut after some 100 kB, so that states come from snapshots too.
SMALL = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1", "--segment_bytes=65536")


class Writer:
    """Writes one key after the other, and remembers which were acknowledged."""

    def __init__(self, session: holdfast.Session) -> None:
        self.acknowledged: List[int] = []
        self.error: List[BaseException] = []
        self._session = session
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        number = 0
        try:
            while not self._ends.wait(0.002):
                number += 1
                self._session.put(f"/upgrade/{number}", b"v" * 400, parents=True)
                self.acknowledged.append(number)
        except BaseException as error:
            self.error.append(error)

    def more(self, count: int = 100) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        eventually(lambda: self.error or len(self.acknowledged) >= wanted, within=30,
                   what="acknowledged writes")
        assert not self.error, self.error

    def end(self) -> None:
        """No more."""
        self._ends.set()
        self._thread.join()
        assert not self.error, self.error


def alike(cluster: Cluster) -> str:
    """The digest that all servers have at one index."""
    def same() -> Any:
        statuses: List[Any] = [n.status() for n in cluster.nodes.values()]
        if None in statuses or len({s.appliedIndex for s in statuses}) != 1:
            return None
        found: Set[str] = {s.stateDigest for s in statuses}
        assert len(found) == 1, f"the states differ: {found}"
        return found.pop()
    return str(eventually(same, within=30, what="one index everywhere"))


def exchange(cluster: Cluster, node: Node, program: pathlib.Path) -> None:
    """Stops a server and starts this program on what it has."""
    node.signal(signal.SIGTERM)
    assert node.process is not None
    node.process.wait(30)
    node.program = program
    cluster.start(node)
    cluster.wait_ready([node])


def repeated(address: str, session: Any, sequence: int) -> Any:
    """What a command answers that was carried out long ago."""
    with Stock(address) as stock:
        return stock.call("acquire", session.context(sequence), path="/upgrade/stock", waitMs=0)


def command(cluster: Cluster, *words: str) -> Any:
    """The document that a command on the cluster answers."""
    done = run(cluster, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def raised(cluster: Cluster, old: pathlib.Path) -> None:
    """The last step, and that a program which knows less is out from then on."""
    def in_force() -> Set[int]:
        return {s["feature_level"] for s in command(cluster, "status")}
    known = command(cluster, "status")[0]["known_level"]
    eventually(lambda: all(m["feature_level"] == known for m in command(cluster, "members")),
               within=30, what=f"level {known} of all members in the membership")
    before = in_force()
    if before == {known}:
        print(f"level {known} was in force before: the older program knows it, and may go on")
        return
    assert command(cluster, "raise-level")["changed"]
    eventually(lambda: in_force() == {known}, within=30, what=f"level {known} in force")
    print(f"level {known} is in force, after {sorted(before)}; digest {alike(cluster)}")
    node = cluster.followers()[0]
    node.signal(signal.SIGTERM)
    assert node.process is not None
    node.process.wait(30)
    new, node.program = node.program, old
    cluster.start(node)
    def out() -> bool:
        """It ended, or nobody talks to it: programs of level 1 do not all end by themselves."""
        assert node.process is not None
        if node.process.poll() is not None:
            return node.process.returncode != 0
        with_level = [a for s in json.loads(run(cluster, "status", "--json",
                                                nodes=[cluster.leader()]).stdout)
                      for a in s["alarms"] if "feature level" in a["message"]]
        return bool(with_level) and not node.ready()
    eventually(out, within=30, what="the older program out")
    node.kill()
    node.program = new
    cluster.start(node)
    cluster.wait_ready([node])
    print(f"the older program took no part on node {node.node_id}")


def upgrade(cluster: Cluster, old: pathlib.Path, new: pathlib.Path) -> None:
    """The walk, with one step back: until the level is raised there is a way."""
    with Stock(cluster.leader().address) as stock:
        idle = stock.open_session(name="idle", ttl_ms=120_000)
        first = stock.acquire(idle, sequence=1, path="/upgrade/stock", waitMs=0)
    assert first.status == t.AcquireStatus.GRANTED, first
    with holdfast.Client(cluster.seeds) as client, client.session(ttl=10, name="works") as session:
        lock = session.lock("/upgrade/lock").acquire()
        token = lock.token
        writer = Writer(session)
        writer.more(300)
        one, other, last = *cluster.followers(), cluster.leader()
        walk = [(one, new), (other, new), (last, new), (one, old), (one, new)]
        for node, program in walk:
            exchange(cluster, node, program)
            print(f"node {node.node_id} runs the {'new' if program == new else 'old'} program",
                  flush=True)
            writer.more()
            lock.check()
            assert lock.token == token
            again = repeated(cluster.leader().address, idle, 1)
            assert (again.status, again.token) == (first.status, first.token), again
        writer.end()
        for number in writer.acknowledged:
            assert client.get(f"/upgrade/{number}").value == b"v" * 400, number
        print(f"{len(writer.acknowledged)} acknowledged writes are there; digest {alike(cluster)}")
        lock.release()
        assert session.lock("/upgrade/lock").acquire().token > token


def main() -> None:
    """Ends with an exception, or with 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=pathlib.Path, help="holdfastd of the other revision")
    old = parser.parse_args().old.resolve()
    cluster = Cluster(3, flags=SMALL)
    new = cluster.nodes[1].program
    for node in cluster.nodes.values():
        node.program = old
    with cluster:
        upgrade(cluster, old, new)
        raised(cluster, old)
    print("upgraded")


if __name__ == "__main__":
    main()
