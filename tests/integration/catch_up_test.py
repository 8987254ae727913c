"""A log that is cut, and servers that come back from before its beginning."""

import contextlib
import pathlib
import shutil
import signal
import sqlite3
import threading
import urllib.request

import pytest
from holdfast_api.holdfast import ttypes as t
from support.cluster import Cluster
from support.command import run
from support.stock import Stock
from support.waiting import eventually
from thrift.transport.TTransport import TTransportException

SMALL = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1", "--segment_bytes=65536")
RECEIVED = "was received and is put in force"


@pytest.fixture
def servers():
    """Three servers that cut their log after some 100 kB."""
    with Cluster(3, flags=SMALL) as started:
        yield started


def data(node) -> pathlib.Path:
    """What a node keeps of its group."""
    return node.folder / "data" / "group-1"


def metric(node, name):
    """A number of its metrics page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=5) as page:
        for line in page.read().decode().splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
    raise AssertionError(f"no metric {name}")


def write_until_cut(cluster, dial, behind, away=None):
    """Writes until the logs of all but one begin behind this entry; the last revision."""
    others = [n for n in cluster.nodes.values() if n.running and n is not away]
    stock = dial(cluster.leader(among=others))
    number = 0

    def cut():
        nonlocal number
        for _ in range(100):
            number += 1
            last = stock.put(path=f"/config/k{number % 40}", value=bytes([number % 256]) * 1_000,
                             makeParents=True)
        begins = [metric(n, "holdfast_raft_first_index") for n in others]
        return last.revision if min(begins) > behind + 1 else None

    return eventually(cut, within=40, what=f"logs that begin behind {behind}")


def all_alike(cluster):
    """Every server has the same state; its digest."""
    def equal():
        statuses = [n.status() for n in cluster.nodes.values()]
        if any(s is None for s in statuses) or len({s.appliedIndex for s in statuses}) != 1:
            return None
        found = {s.stateDigest for s in statuses}
        assert len(found) == 1
        return found.pop()
    return eventually(equal, within=30, what="the same index everywhere")


def follower_of(cluster):
    """A server that does not lead."""
    leader = cluster.leader()
    return next(n for n in cluster.nodes.values() if n is not leader)


def test_a_server_from_before_the_logs_beginning_gets_the_state(servers, dial):
    away = follower_of(servers)
    stock = dial(servers.leader())
    session = stock.open_session(name="worker-7", ttl_ms=60_000)
    stock.acquire(session, path="/jobs/nightly", waitMs=0)
    before = away.status().appliedIndex
    away.kill()
    write_until_cut(servers, dial, before)
    last = dial(servers.leader()).put(path="/config/last", value=b"1", makeParents=True)
    servers.start(away)
    servers.wait_ready()
    with Stock(away.address) as own:
        key = own.get(path="/config/last", consistency=t.Consistency.LOCAL).key
        assert key.stat.modifyRevision == last.revision, "ready: it has what came meanwhile"
    all_alike(servers)
    assert RECEIVED in away.log()
    assert metric(away, "holdfast_raft_first_index") > before
    assert metric(away, "holdfast_snapshot_received_total") == 1
    assert metric(away, "holdfast_log_bytes") > 0
    copies = "holdfast_snapshot_copies_total"  # a reading is up to a second old
    eventually(lambda: sum(metric(n, copies) for n in servers.nodes.values()) == 1, what="a copy")
    with Stock(away.address) as own:
        lock = own.describeLock(path="/jobs/nightly").lock
        assert lock.holders[0].sessionId == session.id
    # And it is a full member: it makes a quorum with one other, and starts from what it was sent.
    third = next(n for n in servers.nodes.values() if n not in (away, servers.leader()))
    third.kill()
    last = dial(servers.leader()).put(path="/config/after", value=b"1")
    away.kill()
    servers.start(away)
    servers.wait_ready([away])
    with Stock(away.address) as own:
        assert own.get(path="/config/after").key.stat.modifyRevision == last.revision


def test_a_server_that_slept_goes_on_in_the_same_process(servers, dial):
    """So long that more was written than is ever on its way to one server (8 MiB)."""
    away = follower_of(servers)
    session = dial(away).open_session(ttl_ms=60_000)
    process = away.process.pid
    away.signal(signal.SIGSTOP)
    awake = servers.leader(among=[n for n in servers.nodes.values() if n is not away])
    with Stock(awake.address) as writer:
        for number in range(200):
            last = writer.put(path="/large", value=bytes([number]) * 60_000)
    write_until_cut(servers, dial, last.revision, away)
    away.signal(signal.SIGCONT)
    eventually(lambda: RECEIVED in away.log(), within=30, what="the state received")
    servers.wait_ready()
    assert away.process.pid == process
    all_alike(servers)
    # Its clients find their connection closed, as after a crash, and their sessions alive.
    again = dial(away)
    again.create(session, path="/config/mine", value=b"1", makeParents=True)


def test_a_state_is_put_in_force_under_calls_on_threads_of_their_own(servers, dial):
    """Their port goes with the state before, calls and answers of its threads are under way."""
    away = follower_of(servers)
    behind = away.status().appliedIndex
    away.kill()
    write_until_cut(servers, dial, behind)
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            with contextlib.suppress(OSError, TTransportException, t.HoldfastError):
                with Stock(away.address, timeout=2) as stock:
                    while not ended.is_set():
                        stock.get(path="/none", consistency=t.Consistency.LOCAL)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        servers.start_with(away, "--io_threads=2")
        servers.wait_ready()
        all_alike(servers)
    finally:
        ended.set()
        for caller in callers:
            caller.join()
    assert RECEIVED in away.log() and away.running


@pytest.mark.parametrize("victim", ["receiver", "source"])
def test_the_transfer_survives_kills_of_either_side(victim, dial):
    slow = (*SMALL, "--snapshot_send_mib_s=1")
    with Cluster(3, flags=slow) as cluster:
        away = follower_of(cluster)
        before = away.status().appliedIndex
        away.kill()
        stock = dial(cluster.leader())
        for number in range(200):
            stock.put(path=f"/large/k{number}", value=bytes([number]) * 60_000, makeParents=True)
        write_until_cut(cluster, dial, before)
        for kills in range(3):
            had_come = incoming_bytes(away)
            cluster.start(away)
            eventually(lambda: incoming_bytes(away) > had_come + 300_000, within=30, every=0.005,
                       what="a further part of the state on its way")
            if victim == "receiver":
                assert away.log().count("had come before this start") == kills
            killed = away if victim == "receiver" else cluster.leader()
            killed.kill()
            if victim == "source":
                cluster.start(killed)
                cluster.wait_ready([n for n in cluster.nodes.values() if n is not away])
                away.kill()
        cluster.start(away)
        cluster.wait_ready()
        all_alike(cluster)
        assert away.log().count(RECEIVED) == 1
        assert incoming_bytes(away) == 0


def incoming_bytes(node):
    """Of the file that is being received."""
    sizes = [part.stat().st_size for part in (data(node) / "snapshot").glob("received-*.part")]
    return max(sizes, default=0)


def test_a_damaged_snapshot_behind_a_cut_log_is_fetched_from_another_server(servers, dial):
    victim = follower_of(servers)
    write_until_cut(servers, dial, victim.status().appliedIndex)
    eventually(lambda: metric(victim, "holdfast_raft_first_index") > 1, what="its log is cut")
    victim.kill()
    name = (data(victim) / "snapshot" / "CURRENT").read_text().strip()
    with sqlite3.connect(data(victim) / "snapshot" / name) as database:
        database.execute("UPDATE key_rows SET value = x'3131' WHERE name = 'k7'")
    servers.start(victim)
    servers.wait_ready()
    all_alike(servers)
    assert "another server is asked for the state" in victim.log()
    assert (data(victim) / "snapshot" / (name + ".damaged")).exists()


def test_a_server_that_is_removed_while_it_seeks_its_state_learns_that(servers, dial):
    victim = follower_of(servers)
    write_until_cut(servers, dial, victim.status().appliedIndex)
    eventually(lambda: metric(victim, "holdfast_raft_first_index") > 1, what="its log is cut")
    victim.kill()
    others = [node for node in servers.nodes.values() if node is not victim]
    removed = run(servers, "member", "remove", str(victim.node_id), nodes=others, timeout=30)
    assert removed.returncode == 0, removed.stderr
    name = (data(victim) / "snapshot" / "CURRENT").read_text().strip()
    with sqlite3.connect(data(victim) / "snapshot" / name) as database:
        database.execute("UPDATE key_rows SET value = x'3131' WHERE name = 'k7'")
    servers.start(victim)
    eventually(lambda: "REMOVED: " in victim.log(), within=20, what="it to know")
    assert "another server is asked for the state" in victim.log()
    with pytest.raises(t.HoldfastError) as refused:
        with Stock(victim.admin_address, service="admin") as admin:
            admin.status()
    assert "takes no part any more" in refused.value.message
    victim.signal(signal.SIGTERM)
    assert victim.process.wait(20) == 0


def test_a_snapshot_that_cannot_even_say_what_it_is_is_fetched_too(servers, dial):
    victim = follower_of(servers)
    write_until_cut(servers, dial, victim.status().appliedIndex)
    eventually(lambda: metric(victim, "holdfast_raft_first_index") > 1, what="its log is cut")
    victim.kill()
    name = (data(victim) / "snapshot" / "CURRENT").read_text().strip()
    for companion in ("-wal", "-shm"):
        (data(victim) / "snapshot" / (name + companion)).unlink(missing_ok=True)
    (data(victim) / "snapshot" / name).write_bytes(b"not a database at all" * 1_000)
    servers.start(victim)
    servers.wait_ready()
    all_alike(servers)


def test_a_lone_server_without_its_state_does_not_begin_anew():
    with Cluster(1, flags=SMALL) as cluster:
        node = cluster.nodes[1]
        with Stock(node.address) as stock:
            for number in range(1_000):
                stock.put(path=f"/k{number % 9}", value=bytes(1_000))
            eventually(lambda: metric(node, "holdfast_raft_first_index") > 1, within=20,
                       what="a log that is cut")
        node.kill()
        name = (data(node) / "snapshot" / "CURRENT").read_text().strip()
        with sqlite3.connect(data(node) / "snapshot" / name) as database:
            database.execute("UPDATE key_rows SET value = x'3131' WHERE name = 'k7'")
        cluster.start(node)
        assert node.process.wait(20) == 5
        assert "no other server has the state" in node.log()


def test_a_log_without_the_snapshot_that_it_goes_on_from_is_refused(servers, dial):
    victim = follower_of(servers)
    write_until_cut(servers, dial, victim.status().appliedIndex)
    eventually(lambda: metric(victim, "holdfast_raft_first_index") > 1, what="its log is cut")
    victim.kill()
    shutil.rmtree(data(victim) / "snapshot")
    servers.start(victim)
    assert victim.process.wait(20) == 5
    assert "there is no snapshot" in victim.log()


def test_the_log_stays_small_whatever_is_written(servers, dial):
    stock = dial(servers.leader())
    for number in range(6_000):
        stock.put(path=f"/k{number % 9}", value=bytes(1_000))

    def size(node):
        return sum(f.stat().st_size for f in (data(node) / "log").iterdir())

    for node in servers.nodes.values():
        eventually(lambda n=node: size(n) < 1_000_000, within=20,
                   what=f"a small log of node {node.node_id}, not {size(node)} bytes")
