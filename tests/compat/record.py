"""Records what three servers of a program keep, for later programs to start from.

    record.py HOLDFASTD OUT.tar.xz

OUT holds node1, node2 and node3, each a data directory, and known.json: what must be found in them.
The servers are killed, so that each has a snapshot and a log behind it. Done once for a release.
"""

from __future__ import annotations

import json
import pathlib
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

from support.cluster import Cluster  # noqa: E402
from support.stock import Stock  # noqa: E402
from support.waiting import eventually  # noqa: E402

SMALL = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1", "--segment_bytes=65536")
KEYS = 60


def write(cluster: Cluster) -> dict[str, object]:
    """Keys, a lock that is held and waited for, and one that was given back."""
    with Stock(cluster.leader().address) as stock:
        holder = stock.open_session(name="holder", ttl_ms=120_000)
        waiter = stock.open_session(name="waiter", ttl_ms=120_000)
        held = stock.acquire(holder, sequence=1, path="/jobs/held", waitMs=0, value=b"here")
        stock.acquire(waiter, sequence=1, path="/jobs/held", waitMs=-1, enqueue=True)
        assert len(stock.describeLock(path="/jobs/held").lock.waiters) == 1
        ended = stock.acquire(holder, sequence=2, path="/jobs/ended", waitMs=0)
        stock.release(holder, sequence=3, path="/jobs/ended", holderId=ended.holderId)
        for number in range(KEYS * 8):
            last = stock.put(path=f"/config/k{number % KEYS}", value=b"%03d" % number * 100,
                             makeParents=True)
        node = cluster.leader()
        eventually(lambda: list((node.folder / "data").rglob("state-*.db")), within=20,
                   what="a snapshot")
        for number in range(KEYS):
            last = stock.put(path=f"/config/k{number}", value=b"%d" % number, makeParents=True)
    return {"session": holder.id, "secret": holder.secret.hex(), "token": held.token,
            "holder_id": held.holderId, "ended_token": ended.token, "keys": KEYS,
            "revision": last.revision}


def main() -> None:
    """Writes OUT."""
    program, out = map(pathlib.Path, sys.argv[1:])
    cluster = Cluster(3, flags=SMALL)
    for node in cluster.nodes.values():
        node.program = program.resolve()
    with cluster:
        known = write(cluster)
        eventually(lambda: all(n.status() is not None
                               and n.status().appliedIndex >= known["revision"]  # type: ignore
                               for n in cluster.nodes.values()), within=20, what="all at the end")
        cluster.kill_all()
        file = cluster.folder / "known.json"
        file.write_text(json.dumps(known, indent=1) + "\n")
        with tarfile.open(out, "w:xz") as tar:
            tar.add(file, "known.json")
            for node in cluster.nodes.values():
                tar.add(node.folder / "data", f"node{node.node_id}")


if __name__ == "__main__":
    main()
