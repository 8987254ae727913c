"""What asks nothing of anybody is no warning: servers that start, and one that joins."""

import json
import re
import socket

import pytest
from chaos.shim_control import Shim
from support.cluster import Cluster
from support.command import run
from support.waiting import eventually

ALARMING = re.compile(r"^[WEF]\d{8} ")
PAUSE = re.compile(r"this process did not run for (\d+) ms")
SLOW_SYNC_MS = 200


def alarming(node):
    """Its lines that are no information; but a busy machine may not run a server for a while."""
    lines = [line for line in node.log().splitlines() if ALARMING.match(line)]
    return [line for line in lines if not PAUSE.search(line)]


def answers(node):
    """Does somebody listen on its peer port?"""
    try:
        with socket.create_connection(("127.0.0.1", node.peer_port), timeout=1):
            return True
    except OSError:
        return False


def join(cluster, node):
    """A server that listens already, made a voter."""
    eventually(lambda: answers(node), within=20, what="a server to add")
    added = run(cluster, "member", "add", str(node.node_id), f"127.0.0.1:{node.peer_port}",
                "--json", "--timeout", "40s", timeout=60)
    assert added.returncode == 0 and json.loads(added.stdout)["changed"], added.stderr
    cluster.nodes[node.node_id] = node
    eventually(lambda: {m["role"] for m in members(cluster)} == {"voter"}, within=40, every=0.1,
               what="the new server to vote")
    cluster.wait_ready()


def members(cluster):
    """As any server of it says."""
    return json.loads(run(cluster, "member", "list", "--json").stdout)


def connected(cluster):
    """Until each server is connected with each other one, both ways."""
    def all_are():
        said = [node.status() for node in cluster.nodes.values()]
        return all(s and len(s.connections) == len(cluster.nodes) - 1
                   and all(c.connected for c in s.connections) for s in said)
    eventually(all_are, within=20, every=0.1, what="all connections")


@pytest.fixture
def three():
    """Three servers that have just formed their cluster."""
    with Cluster(3) as started:
        yield started


def test_servers_that_form_a_cluster_and_one_that_joins_log_no_warning(three):
    connected(three)
    node = three.newcomer(4)
    three.start(node)
    join(three, node)
    connected(three)
    # Those that start again, while the others run.
    for again in (three.nodes[2], node):
        again.kill()
    three.start_all()
    connected(three)
    for each in three.nodes.values():
        assert not alarming(each), each.log()


def test_a_disk_that_is_slow_while_a_server_joins_is_no_pause_of_its_process(three):
    node = three.newcomer(4)
    shim = Shim(node.folder / "control", node.folder / "data")
    shim.set(sync_delay_us=SLOW_SYNC_MS * 1000)
    three.start_with(node, environment=shim.environment)
    eventually(lambda: answers(node), within=20, what="a server to add")
    join(three, node)
    shim.heal()
    pauses = [int(ms) for ms in PAUSE.findall(node.log())]
    assert all(ms < 2 * SLOW_SYNC_MS for ms in pauses), node.log()
