"""The snapshot beside the log: what a restart takes from it, what SQLite shows, what is damaged."""

import shutil
import signal
import sqlite3
import urllib.request
from contextlib import closing

import pytest
from holdfast_api.watch import ttypes as w
from support.cluster import Cluster
from support.stock import Stock, StockSession
from support.waiting import eventually

OFTEN = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1")


@pytest.fixture
def servers():
    """Three servers that write their snapshot every second."""
    with Cluster(3, flags=OFTEN) as started:
        yield started


def snapshot(node):
    """The directory of a node's snapshot."""
    return node.folder / "data" / "group-1" / "snapshot"


def metric(node, name):
    """A number of its metrics page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=5) as page:
        for line in page.read().decode().splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
    raise AssertionError(f"no metric {name}")


def write_much(stock, session, rounds=300):
    """Locks, keys and a session's kept results; some 300 kB of log."""
    for number in range(rounds):
        stock.put(path=f"/config/k{number % 50}", value=bytes(1_000), makeParents=True)
        if number % 10 == 0:
            stock.acquire(session, path=f"/jobs/{number}", waitMs=0)


def wait_for_snapshots(cluster, revision):
    """Until every server has written the state of this revision."""
    for node in cluster.nodes.values():
        eventually(lambda n=node: metric(n, "holdfast_snapshot_index") >= revision, within=20,
                   what=f"snapshot of node {node.node_id} at {revision}")


def digests(cluster):
    """What each server says of its state, once all have applied the same."""
    def equal():
        statuses = [n.status() for n in cluster.nodes.values()]
        if any(s is None for s in statuses) or len({s.appliedIndex for s in statuses}) != 1:
            return None
        return {s.stateDigest for s in statuses}
    return eventually(equal, within=20, what="the same index everywhere")


def test_after_all_were_killed_the_state_comes_from_the_snapshots(servers, dial):
    node = servers.leader()
    stock = dial(node)
    session = stock.open_session(ttl_ms=60_000)
    write_much(stock, session)
    member = stock.create(session, path="/config/member", value=b"here",
                          kind=w.KeyKind.EPHEMERAL)
    sequence = session._last
    wait_for_snapshots(servers, member.revision)
    last = stock.put(path="/config/last", value=b"only in the log")
    for each in servers.nodes.values():
        each.kill()
    for each in servers.nodes.values():
        servers.start(each)
    servers.wait_ready()
    assert len(digests(servers)) == 1
    for each in servers.nodes.values():
        assert metric(each, "holdfast_snapshot_index") >= member.revision
        assert metric(each, "holdfast_entries_applied_total") < 300
    stock = dial(servers.leader())
    assert stock.get(path="/config/last").key.stat.modifyRevision == last.revision
    assert stock.describeLock(path="/jobs/290").lock.holders[0].sessionId == session.id
    again = StockSession(session.id, session.secret)
    repeated = stock.create(again, sequence, path="/config/member", value=b"here",
                            kind=w.KeyKind.EPHEMERAL)
    assert repeated.revision == member.revision


def test_a_stop_writes_what_a_start_need_not_replay():
    with Cluster(1) as cluster:
        node = cluster.nodes[1]
        with Stock(node.address) as stock:
            last = stock.put(path="/a", value=b"1")
        node.signal(signal.SIGTERM)
        assert node.process.wait(20) == 0
        cluster.start(node)
        cluster.wait_ready()
        assert metric(node, "holdfast_snapshot_index") >= last.revision
        with Stock(node.address) as stock:
            assert stock.get(path="/a").key.value == b"1"


def test_the_state_is_open_to_sqlite_while_the_server_runs(servers, dial):
    stock = dial(servers.leader())
    session = stock.open_session(name="worker-7", ttl_ms=60_000)
    stock.acquire(session, path="/jobs/nightly", waitMs=0, owner="10.0.0.7:80")
    last = stock.put(path="/config/limit", value=b"10", makeParents=True)
    wait_for_snapshots(servers, last.revision)
    for node in servers.nodes.values():
        with sqlite3.connect(f"file:{snapshot(node)}/state-1.db?mode=ro", uri=True) as database:
            assert database.execute(
                "SELECT held_by, waiters FROM locks WHERE path = '/jobs/nightly'").fetchall() == [
                    ("worker-7", 0)]
            assert database.execute(
                "SELECT value, version, modify_revision FROM keys WHERE path = '/config/limit'"
            ).fetchall() == [("10", 1, last.revision)]
            sessions = database.execute("SELECT name, locks FROM sessions").fetchall()
            assert ("worker-7", 1) in sessions


def test_a_stranger_who_opens_the_state_takes_nothing_away(servers, dial):
    """SQLite's last user of a database removes its -wal: the server must be known to use it."""
    stock = dial(servers.leader())
    last = stock.put(path="/a", value=b"1")
    wait_for_snapshots(servers, last.revision)
    for node in servers.nodes.values():
        wal = snapshot(node) / "state-1.db-wal"
        before = wal.stat().st_ino
        with closing(sqlite3.connect(snapshot(node) / "state-1.db")) as database:
            assert database.execute("SELECT count(*) FROM keys").fetchone() > (0,)
        assert wal.exists() and wal.stat().st_ino == before


def test_a_damaged_snapshot_is_set_aside_and_the_log_replayed(servers, dial):
    stock = dial(servers.leader())
    last = stock.put(path="/config/limit", value=b"10", makeParents=True)
    wait_for_snapshots(servers, last.revision)
    node = servers.nodes[2]
    node.kill()
    with sqlite3.connect(snapshot(node) / "state-1.db") as database:
        database.execute("UPDATE key_rows SET value = x'3131' WHERE name = 'limit'")
    servers.start(node)
    servers.wait_ready()
    (warning,) = [line for line in node.log().splitlines() if "it is set aside" in line]
    assert "of table key_rows: its check sum is that of another content" in warning
    assert warning.startswith("W")
    assert (snapshot(node) / "state-1.db.damaged").exists()
    assert len(digests(servers)) == 1
    assert dial(node).get(path="/config/limit").key.value == b"10"


def refused(cluster, node, code):
    """The server must not start, and says why in one line."""
    cluster.start(node)
    assert node.process.wait(20) == code
    return node.log().splitlines()[-1]


def test_a_snapshot_that_does_not_belong_to_the_log_is_refused(servers, dial):
    stock = dial(servers.leader())
    last = stock.put(path="/config/limit", value=b"10", makeParents=True)
    wait_for_snapshots(servers, last.revision)
    one, two, three = servers.nodes.values()
    for each in (one, two, three):
        each.kill()
    with Cluster(1, flags=OFTEN) as other:
        wait_for_snapshots(other, 1)
        shutil.rmtree(snapshot(one))
        shutil.copytree(snapshot(other.nodes[1]), snapshot(one))
    assert "is of cluster" in refused(servers, one, 4)
    (snapshot(two) / "CURRENT").write_text("state-77.db\n")
    assert "it names state-77.db, which is not there" in refused(servers, two, 5)
    shutil.rmtree(three.folder / "data" / "group-1" / "log")
    assert "it was lost, and with it this server's votes" in refused(servers, three, 5)


def test_the_snapshot_of_another_server_of_the_cluster_will_do(servers, dial):
    """It is the same state, as if it had been sent over."""
    stock = dial(servers.leader())
    last = stock.put(path="/config/limit", value=b"10", makeParents=True)
    wait_for_snapshots(servers, last.revision)
    one, two = servers.nodes[1], servers.nodes[2]
    for each in (one, two):
        each.kill()
    shutil.rmtree(snapshot(one))
    shutil.copytree(snapshot(two), snapshot(one))
    for each in (one, two):
        servers.start(each)
    servers.wait_ready()
    assert len(digests(servers)) == 1
