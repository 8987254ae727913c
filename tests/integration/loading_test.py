"""A server that loads its state is a voter meanwhile: others may need it for their quorum."""

import contextlib
import signal
import sqlite3
import urllib.error
import urllib.request

import pytest
from chaos.shim_control import Shim
from membership_test import Empty, add
from support.cluster import Cluster
from support.command import run
from support.stock import Stock
from support.waiting import eventually

SMALL = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1", "--segment_bytes=1048576")
KEYS = 3_000
VALUE = b"v" * 250
SLOW_READ_US = 20_000  # a dozen keys, and what is loaded between two turns takes six of these


def page(node, path):
    """What the server answers there, whatever its status is; nothing if it does not listen."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}{path}", timeout=5) as got:
            return got.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except urllib.error.URLError:
        return ""


def snapshot_index(node):
    """The revision that its snapshot has, as of a second ago."""
    for line in page(node, "/metrics").splitlines():
        if line.startswith("holdfast_snapshot_index "):
            return int(float(line.split()[1]))
    return 0


def write(stock, node, keys=KEYS, value=VALUE):
    """So many keys, until all are in the snapshot of the node."""
    for number in range(keys):
        last = stock.put(path=f"/config/{number}", value=value, makeParents=True).revision
    eventually(lambda: snapshot_index(node) >= last, within=30, what="a snapshot of all")
    return last


def slowly(node, folder="group-1/snapshot", read_delay_us=SLOW_READ_US):
    """Its shim: reads of these files take their time."""
    shim = Shim(node.folder / "control", node.folder / "data" / folder)
    shim.set(read_delay_us=read_delay_us)
    return shim


@pytest.fixture
def three():
    """Three servers with small logs."""
    with Cluster(3, flags=SMALL) as started:
        yield started


@pytest.fixture
def one():
    """One server with a small log."""
    with Cluster(1, flags=SMALL) as started:
        yield started


def test_a_server_votes_and_stores_the_log_before_its_state_is_loaded(three, dial):
    leader = three.leader()
    away, third = three.followers()
    last = write(dial(leader), away)
    # With a shorter log than that of the one that loads it could not be elected by it.
    eventually(lambda: third.status().appliedIndex >= last, what="the third has all")
    away.kill()
    leader.kill()
    shim = slowly(away)
    three.start_with(away, environment=shim.environment)
    # One of three is down, one loads: the last one leads, and what it is told is kept.
    three.wait_ready([third])
    with Stock(third.address) as after:
        kept = after.put(path="/config/after", value=b"1").revision
    assert "loads its state, and votes meanwhile" in page(away, "/ready")
    shim.heal()
    three.wait_ready([away])
    third.kill()
    three.start(leader)
    three.wait_ready([away, leader])
    with dial(three.leader(among=[away, leader])) as again:
        assert again.get(path="/config/after").key.stat.modifyRevision == kept


def test_it_votes_while_the_database_takes_the_rest_of_the_last_span(dial):
    with Cluster(3, flags=("--snapshot_interval_s=2",)) as servers:
        leader = servers.leader()
        away, third = servers.followers()
        last = write(dial(leader), away, keys=150, value=b"v" * 100_000)  # 15 MB in few spans
        eventually(lambda: third.status().appliedIndex >= last, what="the third has all")
        away.kill()
        leader.kill()
        servers.start_with(away, "--snapshot_write_mib_s=1")
        servers.wait_ready([third])
        with Stock(third.address) as after:
            after.put(path="/config/after", value=b"1")


def test_it_votes_while_a_slow_disk_takes_the_rest_of_the_last_span(three, dial):
    leader = three.leader()
    away, third = three.followers()
    last = write(dial(leader), away, keys=1_000, value=b"v" * 3_000)
    eventually(lambda: third.status().appliedIndex >= last, what="the third has all")
    away.kill()
    leader.kill()
    shim = Shim(away.folder / "control", away.folder / "data" / "group-1" / "snapshot")
    shim.set(write_delay_us=100_000)  # a page of the database: a minute for the least that waits
    three.start_with(away, environment=shim.environment)
    three.wait_ready([third])
    with Stock(third.address) as after:
        after.put(path="/config/after", value=b"1")
    assert "votes meanwhile" in page(away, "/ready")
    shim.heal()
    three.wait_ready([away])


def test_a_server_that_is_told_to_stop_while_it_loads_does(one, dial):
    alone = one.leader()
    write(dial(alone), alone)
    alone.kill()
    shim = slowly(alone)
    one.start_with(alone, environment=shim.environment)
    eventually(lambda: "loads its state" in page(alone, "/ready"), what="it loads")
    alone.process.terminate()
    assert alone.process.wait(30) == 0
    one.start(alone)
    one.wait_ready([alone])
    assert dial(alone).get(path="/config/1").key.value == VALUE


def test_a_server_that_has_loaded_goes_on_with_its_log(one, dial):
    """It gets new segments, and loses old ones."""
    alone = one.leader()
    write(dial(alone), alone, keys=50, value=b"v" * 10_000)
    alone.kill()
    one.start(alone)
    one.wait_ready([alone])
    stock = dial(alone)
    log = alone.folder / "data" / "group-1" / "log"
    for number in range(1_000):  # ten segments
        stock.put(path=f"/config/{number % 50}", value=b"w" * 10_000)
    eventually(lambda: len(list(log.iterdir())) < 7, within=20,
               what=lambda: f"old segments to go: {sorted(p.name for p in log.iterdir())}")


def test_one_whose_snapshot_does_not_say_where_it_stands_is_no_new_server(three, dial):
    other = three.followers()[0]
    write(dial(three.leader()), other)
    other.kill()
    folder = other.folder / "data" / "group-1" / "snapshot"
    database = folder / (folder / "CURRENT").read_text().strip()
    with contextlib.closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("UPDATE snapshot SET written_unix_ms = written_unix_ms + 1")
    shim = slowly(other)
    three.start_with(other, environment=shim.environment)
    three.wait_ready([other])


def test_nobody_hears_of_a_removal_that_is_not_committed(three, dial):
    learner = add(three, 4, "--learner")
    leader = three.leader()
    loads, halted = [n for n in three.followers() if n is not learner]
    write(dial(leader), loads)
    loads.kill()
    shim = slowly(loads, folder="group-1")
    three.start_with(loads, environment=shim.environment)
    eventually(lambda: "votes meanwhile" in page(loads, "/ready"), within=30, what="it votes")
    # It takes what comes, and acknowledges nothing.
    shim.set(read_delay_us=SLOW_READ_US, sync_delay_us=60_000_000)
    halted.signal(signal.SIGSTOP)
    try:
        asked = run(three, "member", "remove", "4", "--timeout", "4s", nodes=[leader])
        assert asked.returncode != 0, "it must not be committed"
        assert "votes meanwhile" in page(loads, "/ready")
        told = {a.name for a in (learner.status() or Empty).alarms}
    finally:
        halted.signal(signal.SIGCONT)
    assert "REMOVED" not in told
