"""What /metrics serves: every documented name, no other, and numbers that follow the traffic."""

import re
import socket
import urllib.error
import urllib.request

import pytest
from holdfast_api.holdfast import ttypes as t
from support.cluster import Cluster
from support.paths import ROOT
from support.stock import Stock
from support.waiting import eventually

DOCUMENTED = re.compile(r"^\| `(holdfast_\w+)`(?: \[([\w, ]+)\])? \| (\w+) \|", re.MULTILINE)
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def fetch(node):
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=5) as reply:
        assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return reply.read().decode()


def kinds(text):
    """Family -> kind, from the # TYPE lines."""
    found = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    assert len(found) == len(dict(found)), "a family is served twice"
    return dict(found)


def samples(node):
    """(name, frozenset of labels) -> value."""
    out = {}
    for line in fetch(node).splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        key = name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels or ""))
        assert key not in out, key
        out[key] = float(value)
    return out


class Reading:
    """A reading, to be compared with a later one of the same server."""

    def __init__(self, node):
        self.node = node
        self.before = samples(node)

    def growth(self, name, **labels):
        """How much it has grown by now."""
        wanted = name, frozenset(labels.items())
        return samples(self.node).get(wanted, 0) - self.before.get(wanted, 0)

    def grows(self, name, by=1, **labels):
        """Wait until it has grown; a reading is at most one second old."""
        return eventually(lambda: self.growth(name, **labels) >= by, within=5, every=0.1,
                          what=f"{name} {labels} grows by {by}")


@pytest.fixture
def nodes(cluster):
    """The leader, and a follower."""
    return cluster.leader(), cluster.followers()[0]


def test_the_documented_metrics_are_the_served_ones(cluster):
    rows = DOCUMENTED.findall((ROOT / "docs" / "metrics.md").read_text())
    assert len(rows) > 80
    documented = {name: kind for name, _, kind in rows}
    assert len(documented) == len(rows), "a metric is documented twice"
    for node in cluster.nodes.values():
        assert kinds(fetch(node)) == documented


def test_labels_are_as_documented(cluster, nodes, dial):
    rows = DOCUMENTED.findall((ROOT / "docs" / "metrics.md").read_text())
    labels = {name: set(filter(None, text.split(", "))) for name, text, _ in rows}
    for node in nodes:
        for name, pairs in samples(node):
            family = re.sub(r"_(bucket|sum|count)$", "", name) if name not in labels else name
            assert {key for key, _ in pairs} - {"le"} == labels[family], name


def test_names_follow_the_conventions_of_prometheus(cluster):
    text = fetch(cluster.nodes[1])
    for name, kind in kinds(text).items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|us|kb|mb|milliseconds)(_|$)", name), name
        assert re.search(rf"^# HELP {name} \S", text, re.MULTILINE), name
        if kind == "histogram":
            assert name.endswith("_seconds")


def test_every_histogram_is_one(cluster, nodes, dial):
    dial(nodes[0]).open_session()
    seen = samples(nodes[0])
    families = {name[:-len("_bucket")] for name, _ in seen if name.endswith("_bucket")}
    assert len(families) == 3
    for family in families:
        for (name, labels), count in seen.items():
            if name != f"{family}_count":
                continue
            buckets = sorted((float(dict(key)["le"]), value) for (n, key), value in seen.items()
                             if n == f"{family}_bucket"
                             and frozenset(p for p in key if p[0] != "le") == labels)
            values = [value for _, value in buckets]
            assert values == sorted(values) and values[-1] == count
            assert buckets[-1][0] == float("inf")


def test_counters_follow_sessions_locks_and_calls(nodes, dial):
    leader, _ = nodes
    reading = Reading(leader)
    stock = dial(leader)
    one, two = stock.open_session(60_000), stock.open_session(60_000)
    held = stock.acquire(one, path="/metrics/a", waitMs=0)
    stock.acquire(two, path="/metrics/a", waitMs=-1, enqueue=True)
    with pytest.raises(t.HoldfastError):
        stock.acquire(one, path="not absolute", waitMs=0)
    stock.call("keepAlive", one.context(0))
    reading.grows("holdfast_sessions_opened_total", 2)
    reading.grows("holdfast_lock_grants_total")
    reading.grows("holdfast_lock_waiters")
    reading.grows("holdfast_sessions", 2)
    reading.grows("holdfast_renewals_acknowledged_total")
    reading.grows("holdfast_lease_rounds_total")
    for code, by in (("OK", 2), ("BAD_ARGUMENT", 1)):
        reading.grows("holdfast_calls_total", by, port="client", method="acquire", code=code)
    reading.grows("holdfast_call_duration_seconds_count", 3, port="client", method="acquire")
    reading.grows("holdfast_connections_accepted_total", port="client")
    for name in ("holdfast_received_bytes_total", "holdfast_sent_bytes_total"):
        reading.grows(name, 100, port="client")
    stock.release(one, path="/metrics/a", holderId=held.holderId)
    stock.closeSession(two)
    reading.grows("holdfast_lock_tenures_ended_total", reason="released")
    reading.grows("holdfast_lock_tenures_ended_total", reason="session_closed")
    reading.grows("holdfast_sessions_ended_total", reason="session_closed")
    stock.revokeLock(path="/metrics/nobody", reason="none", force=True)
    dead = stock.open_session(1000)
    assert dead.id
    reading.grows("holdfast_sessions_late_total")
    reading.grows("holdfast_sessions_ended_total", reason="session_expired")


def test_counters_follow_a_command_through_a_follower(nodes, dial):
    leader, follower = nodes
    there, here = Reading(leader), Reading(follower)
    stock = dial(follower)
    session = stock.open_session(60_000)
    stock.acquire(session, path="/metrics/through", waitMs=0)
    stock.call("keepAlive", session.context(0))
    here.grows("holdfast_commands_submitted_total", 2)
    here.grows("holdfast_commands_forwarded_total", 2)
    here.grows("holdfast_commands_answered_total", 2)
    here.grows("holdfast_renewals_received_total")
    here.grows("holdfast_renewals_forwarded_total")
    here.grows("holdfast_renewals_acknowledged_total")
    here.grows("holdfast_entries_applied_total", 2)
    here.grows("holdfast_raft_applied_index", 2)
    assert here.growth("holdfast_commands_proposed_total") == 0
    there.grows("holdfast_commands_received_total", 2)
    there.grows("holdfast_commands_proposed_total", 2)
    for reading, peer in ((here, leader), (there, follower)):
        reading.grows("holdfast_peer_messages_sent_total", peer=str(peer.node_id))
        reading.grows("holdfast_peer_messages_received_total", peer=str(peer.node_id))
        reading.grows("holdfast_log_sync_duration_seconds_count")
        reading.grows("holdfast_log_written_bytes_total", 20)
        reading.grows("holdfast_loop_turn_duration_seconds_count", 2)
        reading.grows("holdfast_loop_received_bytes_total", 100)


def test_a_parked_poll_and_a_waiting_acquire_are_seen(nodes, dial):
    import threading
    _, follower = nodes
    stock, polling, waiting = dial(follower), dial(follower), dial(follower)
    one, two = stock.open_session(60_000), stock.open_session(60_000)
    stock.call("poll", one.context(0), maxWaitMs=0, renewNow=True)
    held = stock.acquire(one, path="/metrics/parked", waitMs=0)
    reading = Reading(follower)

    def poll():
        with pytest.raises(t.HoldfastError):  # it ends with its session
            polling.call("poll", one.context(0), maxWaitMs=14_000)
    threads = [
        threading.Thread(target=poll),
        threading.Thread(target=waiting.acquire, args=(two, 1),
                         kwargs={"path": "/metrics/parked", "waitMs": -1})]
    for thread in threads:
        thread.start()
    reading.grows("holdfast_calls_parked", kind="poll")
    reading.grows("holdfast_calls_parked", kind="acquire")
    reading.grows("holdfast_calls_in_flight", 2, port="client")
    stock.release(one, path="/metrics/parked", holderId=held.holderId)
    stock.closeSession(one)
    for thread in threads:
        thread.join(15)
    eventually(lambda: reading.growth("holdfast_calls_parked", kind="acquire") == 0)


def test_what_is_no_call_is_counted(nodes):
    leader, _ = nodes
    reading = Reading(leader)
    for bytes_ in (b"\0\0\0\4GET ", b"\xff\xff\xff\xff"):
        with socket.create_connection(("127.0.0.1", leader.client_port), timeout=5) as stranger:
            stranger.sendall(bytes_)
            assert stranger.recv(1) == b""
    reading.grows("holdfast_frames_refused_total", port="client")
    reading.grows("holdfast_connections_closed_total", port="client", cause="frame_too_large")


def test_role_term_and_leader_follow_an_election(own):
    leader = own.leader()
    survivors = [n for n in own.nodes.values() if n is not leader]
    readings = [Reading(n) for n in survivors]
    assert samples(leader)["holdfast_raft_role", frozenset([("role", "leader")])] == 1
    assert samples(leader)["holdfast_raft_serving", frozenset()] == 1
    leader.kill()
    new = own.leader(survivors)
    for reading in readings:
        reading.grows("holdfast_raft_term")
        reading.grows("holdfast_raft_leader_changes_total")
        assert samples(reading.node)["holdfast_raft_leader_id", frozenset()] == new.node_id
        eventually(lambda: samples(reading.node)[
            "holdfast_peer_connected", frozenset([("peer", str(leader.node_id))])] == 0)
    winner = next(r for r in readings if r.node is new)
    winner.grows("holdfast_raft_elections_won_total")
    winner.grows("holdfast_raft_role", role="leader")
    own.start_all()
    for reading in readings:
        reading.grows("holdfast_peer_connects_total", 2, peer=str(leader.node_id))


def test_a_pause_is_counted(own):
    import signal
    import time
    follower = own.followers()[0]
    reading = Reading(follower)
    follower.signal(signal.SIGSTOP)
    time.sleep(2.5)  # the pause itself: longer than the longest planned sleep, an election timeout
    follower.signal(signal.SIGCONT)
    reading.grows("holdfast_pauses_total")
    assert reading.growth("holdfast_pause_seconds_total") >= 0.5
    with Stock(follower.address) as stock:
        assert stock.open_session().id


def alarms(node):
    """Name -> how many, of those that stand."""
    return {dict(labels)["alarm"]: value for (name, labels), value in samples(node).items()
            if name == "holdfast_alarms"}


def test_an_alarm_is_there_as_long_as_it_stands():
    """As in status: that no leader is known is one after ten seconds."""
    with Cluster(3) as servers:
        left, *others = servers.nodes.values()
        assert alarms(left) == {}
        for node in others:
            node.kill()
        eventually(lambda: alarms(left) == {"NO_LEADER": 1}, within=30, what="the alarm")
        (alarm,) = left.status().alarms
        assert alarm.name == "NO_LEADER"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{left.http_port}/ready", timeout=5)
        said = refused.value.read().decode()
        assert said.startswith("node 1 knows no leader for ")
        assert said.strip().split(" s; ")[1] == alarm.message.split(" s; ")[1]
        servers.start_all()
        servers.wait_ready()
        eventually(lambda: alarms(left) == {}, what="its end")
