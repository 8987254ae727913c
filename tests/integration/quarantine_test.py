"""Real servers of which one has another state that is whole in itself: only the others can tell."""

import pathlib
import signal
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from holdfast_api.holdfast import ttypes as t
from support.cluster import Cluster
from support.command import run, start
from support.paths import program
from support.stock import Stock
from support.waiting import eventually

OFTEN = ("--snapshot_interval_s=1", "--snapshot_log_bytes=65536", "--segment_bytes=65536")


def data(node) -> pathlib.Path:
    """What a node keeps of its group."""
    return node.folder / "data" / "group-1"


def page(node, path):
    """A page of its HTTP port, refusals too."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}{path}", timeout=5) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def alarms(node):
    """Its alarms: message by name."""
    status = node.status()
    return {} if status is None else {alarm.name: alarm.message for alarm in status.alarms}


def quarantined(node):
    """Is its state?"""
    return "QUARANTINED" in alarms(node)


def alter(node, before="right", after="wrong"):
    """Gives a server another state, while it is stopped in good order: all is in its snapshot."""
    node.signal(signal.SIGTERM)
    assert node.process.wait(30) == 0
    subprocess.run([program("alter-snapshot"), data(node) / "snapshot", before, after], check=True,
                   timeout=60)


def write(cluster, dial):
    """A key whose value will differ, and what else a state has."""
    stock = dial(cluster.leader())
    stock.put(path="/config/answer", value=b"right", makeParents=True)
    session = stock.open_session(ttl_ms=60_000)
    stock.acquire(session, path="/jobs/nightly", waitMs=0)
    return stock.put(path="/config/last", value=b"1").revision


def diverge(cluster, dial, *nodes):
    """Until these servers run with another state."""
    write(cluster, dial)
    for node in nodes:
        alter(node)
    for node in nodes:
        cluster.start(node)


def follower_of(cluster):
    """A server that does not lead."""
    return cluster.followers()[0]


def head_index(node, name):
    """Which state the database says it is."""
    path = data(node) / "snapshot" / name
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return database.execute("SELECT applied_index FROM snapshot").fetchone()[0]


def assert_refused(node, call):
    """The error that sends every client to another server."""
    with pytest.raises(t.HoldfastError) as refused:
        with Stock(node.address) as stock:
            call(stock)
    assert refused.value.code == t.ErrorCode.SHUTTING_DOWN
    assert "quarantined; use another" in refused.value.message
    assert refused.value.retryable


def all_alike(cluster):
    """Every server has the same state at the same index."""
    def equal():
        statuses = [n.status() for n in cluster.nodes.values()]
        return None not in statuses and len(
            {(s.appliedIndex, s.stateDigest) for s in statuses}) == 1
    eventually(equal, within=30, what="one state everywhere")


@pytest.fixture
def servers():
    """Three servers that write their snapshot often."""
    with Cluster(3, flags=OFTEN) as started:
        yield started


def test_the_odd_follower_is_named_serves_nobody_and_is_rebuilt(servers, dial):
    odd = follower_of(servers)
    others = [n for n in servers.nodes.values() if n is not odd]
    diverge(servers, dial, odd)
    eventually(lambda: quarantined(odd), within=20, what="the odd one is quarantined")
    name = (data(odd) / "snapshot" / "CURRENT").read_text().strip()
    told = alarms(odd)["QUARANTINED"]
    assert f"node {odd.node_id} had " in told and "a majority" in told
    assert f"nodes {others[0].node_id} and {others[1].node_id} had " in told
    assert odd.log().count("QUARANTINED: after entry") == 1
    assert page(odd, "/ready")[0] == 503 and "quarantined" in page(odd, "/ready")[1]
    eventually(lambda: "holdfast_quarantined 1" in page(odd, "/metrics")[1], what="the gauge")
    assert_refused(odd, lambda stock: stock.get(path="/config/answer"))
    assert_refused(odd, lambda stock: stock.get(path="/config/answer", consistency=2))
    assert_refused(odd, lambda stock: stock.open_session())
    # The cluster goes on, also with nobody's help but the odd one's acknowledgements.
    leader = servers.leader()
    eventually(lambda: "NODE_QUARANTINED" in alarms(leader), what="the leader says so too")
    idle = next(n for n in others if n is not leader)
    idle.kill()
    stock = dial(leader)
    last = stock.put(path="/config/more", value=b"2")
    servers.start(idle)
    servers.wait_ready(others)
    assert run(servers, "status").stdout.count("QUARANTINED") == 0
    assert "QUARANTINED: node" in run(servers, "status").stderr
    # It writes no snapshot of its state, and remembers over a kill.
    assert head_index(odd, name) < last.revision
    odd.kill()
    servers.start(odd)
    eventually(lambda: quarantined(odd), within=20, what="still quarantined")
    assert_refused(odd, lambda stock: stock.get(path="/config/answer", consistency=2))
    assert head_index(odd, name) < last.revision
    # Another's state, and the evidence.
    refused = run(servers, "rebuild", nodes=others)
    assert refused.returncode == 64 and "names 2 servers" in refused.stderr
    refused = run(servers, "rebuild", nodes=[leader])
    assert refused.returncode != 0 and "not quarantined" in refused.stderr
    assert "if --force is set" in refused.stderr
    done = run(servers, "rebuild", nodes=[odd], timeout=60)
    assert done.returncode == 0, done.stderr
    kept = data(odd) / "snapshot" / (name + ".damaged")
    assert str(kept) in done.stdout
    with sqlite3.connect(kept) as database:
        assert database.execute("SELECT value FROM keys WHERE path = '/config/answer'"
                                ).fetchone() == ("wrong",)
    assert not (data(odd) / "quarantine").exists()
    servers.wait_ready()
    all_alike(servers)
    with Stock(odd.address) as own:
        assert own.get(path="/config/answer", consistency=2).key.value == b"right"
        assert own.get(path="/config/more").key.stat.modifyRevision == last.revision
    odd.kill()
    servers.start(odd)
    servers.wait_ready()
    assert not quarantined(odd)


def test_an_odd_leader_hands_over(dial):
    """Its state is loaded by all at once, so that it may lead before anybody has compared."""
    with Cluster(3, flags=OFTEN) as servers:
        write(servers, dial)
        odd = servers.nodes[1]  # with everybody started at once it stands a fair chance
        for node in servers.nodes.values():
            node.signal(signal.SIGTERM)
        for node in servers.nodes.values():
            assert node.process.wait(30) == 0
        subprocess.run([program("alter-snapshot"), data(odd) / "snapshot", "right", "wrong"],
                       check=True, timeout=60)
        helper = servers.nodes[2]
        servers.start(odd)
        servers.start(helper)
        # Two of them: the states differ, nobody can say which is right, and one leads.
        servers.leader(among=[odd, helper])
        run(servers, "transfer-leader", "1", nodes=[odd])
        eventually(lambda: servers.leader(among=[odd, helper]) is odd, within=20, what="it leads")
        eventually(lambda: "DIGEST_MISMATCH" in alarms(odd), what="an alarm")
        assert not quarantined(odd) and not quarantined(helper)
        servers.start(servers.nodes[3])
        eventually(lambda: quarantined(odd), within=20, what="the odd one is quarantined")
        others = [helper, servers.nodes[3]]
        servers.wait_ready(others)
        assert servers.leader(among=others) is not odd
        with Stock(servers.leader(among=others).address) as stock:
            assert stock.get(path="/config/answer").key.value == b"right"
        assert not any(quarantined(n) for n in others)


def test_of_two_nobody_is_quarantined_until_an_operator_says_which(dial):
    with Cluster(3, flags=OFTEN) as servers:
        away = follower_of(servers)
        odd = next(n for n in servers.followers() if n is not away)
        write(servers, dial)
        away.kill()
        alter(odd)
        servers.start(odd)
        here = [n for n in servers.nodes.values() if n is not away]
        for node in here:
            eventually(lambda n=node: "DIGEST_MISMATCH" in alarms(n), within=20,
                       what=f"an alarm on node {node.node_id}")
        servers.wait_ready(here)
        assert not any(quarantined(n) for n in here)
        assert "no majority agrees" in alarms(odd)["DIGEST_MISMATCH"]
        right = next(n for n in here if n is not odd)
        done = run(servers, "rebuild", "--force", "--from", str(right.node_id), nodes=[odd],
                   timeout=60)
        assert done.returncode == 0, done.stderr
        servers.wait_ready(here)
        with Stock(odd.address) as own:
            assert own.get(path="/config/answer", consistency=2).key.value == b"right"
        eventually(lambda: not any("DIGEST_MISMATCH" in alarms(n) for n in here), within=20,
                   what="the alarm ends")


def rebuild_by_force(cluster, node, source, *more):
    """The command while it runs."""
    return start(cluster, "rebuild", "--force", "--from", str(source.node_id), *more,
                 "--admin", node.admin_address)


def told(process, text):
    """Reads what a command says until it says that; one that never does is ended."""
    guard = threading.Timer(30, process.kill)
    guard.start()
    try:
        heard = []
        for line in process.stderr:
            heard.append(line)
            if text in line:
                return
        pytest.fail(f"{text!r} is not in {heard}")
    finally:
        guard.cancel()


def test_of_three_that_all_differ_nobody_gives_its_state_until_the_other_wrong_one_is_rebuilt(
        servers, dial):
    right = servers.leader()
    one, two = servers.followers()
    write(servers, dial)
    alter(one)
    alter(two, after="worse")
    for node in (one, two):
        servers.start(node)
    eventually(lambda: "DIGEST_MISMATCH" in alarms(right), within=20, what="an alarm")
    servers.wait_ready()
    right = servers.leader()  # whichever it is
    one, two = servers.followers()
    waiting = rebuild_by_force(servers, one, right)
    told(waiting, "give them to nobody")
    assert "rebuild the wrong one of them, too" in alarms(one)["QUARANTINED"]
    assert "no majority agrees" in alarms(one)["DIGEST_MISMATCH"]
    assert waiting.poll() is None
    done = run(servers, "rebuild", "--force", "--from", str(right.node_id), nodes=[two], timeout=60)
    assert done.returncode == 0, done.stderr
    words = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, words
    servers.wait_ready()
    all_alike(servers)


def test_a_rebuild_whose_server_is_gone_says_so_and_ends(servers):
    servers.wait_ready()
    node, source = servers.followers()
    source.signal(signal.SIGSTOP)  # nothing comes of it
    try:
        waiting = rebuild_by_force(servers, node, source, "--timeout", "3s")
        told(waiting, "it is being rebuilt")
        node.kill()
        told(waiting, f"waiting for {node.admin_address}, which does not answer")
        last = waiting.communicate(timeout=30)[1]
        assert waiting.returncode == 69, last
        assert f"the server at {node.admin_address} has not answered for 3000 ms" in last
        assert f"seen of it last: node {node.node_id} serves nobody" in last
        servers.start(node)
        waiting = rebuild_by_force(servers, node, source)
        told(waiting, "it is being rebuilt")
        node.kill()
        servers.start(node)
        last = waiting.communicate(timeout=60)[1]
        assert waiting.returncode == 69, last
        assert "ended before it was rebuilt, runs again, and is to be told again" in last
    finally:
        source.signal(signal.SIGCONT)


def test_a_rebuild_that_is_killed_leaves_it_quarantined_or_rebuilt(servers, dial):
    odd = follower_of(servers)
    diverge(servers, dial, odd)
    eventually(lambda: quarantined(odd), within=20, what="the odd one is quarantined")
    with Stock(odd.admin_address, service="admin") as admin:
        admin.rebuildState()
    odd.kill()
    servers.start(odd)
    eventually(lambda: odd.status() is not None, within=20, what="it runs")
    if quarantined(odd):
        assert run(servers, "rebuild", nodes=[odd], timeout=60).returncode == 0
    servers.wait_ready()
    all_alike(servers)


def test_a_quarantined_server_whose_database_is_removed_is_rebuilt_all_the_same(servers, dial):
    odd = follower_of(servers)
    diverge(servers, dial, odd)
    eventually(lambda: quarantined(odd), within=20, what="the odd one is quarantined")
    for file in (data(odd) / "snapshot").glob("state-*"):
        file.unlink()
    done = run(servers, "rebuild", nodes=[odd], timeout=60)
    assert done.returncode == 0, done.stderr
    assert "it had no database that could be kept" in done.stdout
    servers.wait_ready()
    all_alike(servers)
    assert not list((data(odd) / "snapshot").glob("*.damaged*"))
    assert odd.log().count("nothing is kept") == 1


def test_a_quarantined_server_that_is_removed_says_so(servers, dial):
    odd = follower_of(servers)
    diverge(servers, dial, odd)
    eventually(lambda: quarantined(odd), within=20, what="the odd one is quarantined")
    assert "run `holdfast rebuild`" in alarms(odd)["QUARANTINED"]
    others = [node for node in servers.nodes.values() if node is not odd]
    removed = run(servers, "member", "remove", str(odd.node_id), nodes=others, timeout=30)
    assert removed.returncode == 0, removed.stderr
    eventually(lambda: "REMOVED" in alarms(odd), within=20, what="it knows that it was removed")
    assert "run `holdfast rebuild`" not in alarms(odd)["QUARANTINED"]
    refused = run(servers, "rebuild", nodes=[odd])
    assert refused.returncode != 0 and "was removed from the cluster" in refused.stderr


def test_bad_arguments_of_a_rebuild(cluster):
    node = cluster.nodes[1]
    with Stock(node.admin_address, service="admin") as admin:
        for fields, text in [({"fromNode": 1, "force": True}, "node 1 is no other member"),
                             ({"fromNode": 77, "force": True}, "node 77 is no other member"),
                             ({"fromNode": -5, "force": True}, "node -5 is no other member"),
                             ({}, "not quarantined")]:
            with pytest.raises(t.HoldfastError) as refused:
                admin.rebuildState(**fields)
            assert refused.value.code == t.ErrorCode.BAD_ARGUMENT
            assert text in refused.value.message
    assert run(cluster, "rebuild", "--from", "x", nodes=[node]).returncode == 64


def test_a_rebuild_of_a_server_that_is_removed_meanwhile_ends():
    with Cluster(3) as cluster:
        node, source = cluster.followers()
        others = [each for each in cluster.nodes.values() if each is not node]
        for each in others:
            each.signal(signal.SIGSTOP)  # nothing comes of it
        waiting = rebuild_by_force(cluster, node, source)
        told(waiting, "it is being rebuilt")
        node.signal(signal.SIGSTOP)
        for each in others:
            each.signal(signal.SIGCONT)
        eventually(lambda: any(each.ready() for each in others), within=20, what="a leader")
        done = run(cluster, "member", "remove", str(node.node_id), nodes=others, timeout=60)
        assert done.returncode == 0, done.stderr
        node.signal(signal.SIGCONT)
        last = waiting.communicate(timeout=60)[1]
        assert waiting.returncode == 69, last
        assert f"the server at {node.admin_address} was removed before it was rebuilt" in last
