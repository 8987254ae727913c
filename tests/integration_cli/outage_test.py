"""The `holdfast` command while there is no leader, or no cluster: what it waits for, and says."""

import signal
import socket
import subprocess
import time

import pytest
from chaos.shim_control import Shim
from support.cluster import Cluster
from support.command import run, start
from support.stock import Stock
from support.waiting import eventually


def without_quorum(cluster):
    """One server is left, which knows that nobody leads. It did not lead: what a leader has taken
    into its log may still be applied, and it says so."""
    last = cluster.followers()[0]
    for node in cluster.nodes.values():
        if node is not last:
            node.kill()
    eventually(lambda: last.status().leaderId == 0, within=20, what="a server without a leader")
    return last


@pytest.fixture(scope="module")
def outage():
    """A cluster without a quorum, for the tests that bring none back; and its last server."""
    with Cluster(3) as started:
        started.wait_ready()
        yield started, without_quorum(started)


@pytest.mark.parametrize("words", [
    ("lock", "revoke", "/a"), ("session", "expire", "5"), ("settings", "locks_max=7"),
    ("locks",), ("lock", "describe", "/a")], ids=" ".join)
def test_without_a_quorum_the_command_waits_its_timeout_and_says_that_nobody_leads(outage, words):
    cluster, last = outage
    began = time.monotonic()
    done = run(cluster, *words, "--timeout", "3s", nodes=[last])
    assert done.returncode == 69, done.stderr
    assert "[NO_LEADER]" in done.stderr
    assert 2 < time.monotonic() - began < 6


def test_keys_are_read_without_a_quorum_if_they_may_be_old(cluster):
    assert run(cluster, "put", "/a/b", "1", "--parents").returncode == 0
    for node in cluster.nodes.values():  # each has it then
        assert run(cluster, "get", "/a/b", nodes=[node]).stdout == "1"
    last = without_quorum(cluster)
    for words, shown in ((("get", "/a/b"), "1"), (("ls", "/a"), "/a/b\n"),
                         (("tree", "/a"), "/a\n  b\n")):
        done = run(cluster, *words, "--local", nodes=[last])
        assert (done.returncode, done.stdout) == (0, shown), done.stderr
        done = run(cluster, *words, "--timeout", "1s", nodes=[last])
        assert (done.returncode, done.stdout) == (69, ""), words


def test_a_try_without_a_quorum_says_what_each_server_answered(outage):
    cluster, last = outage
    others = [n for n in cluster.nodes.values() if n is not last]
    done = run(cluster, "lock", "/a", "--try", "--timeout", "4s", "--", "true")
    assert done.returncode == 69, done.stderr
    assert "no leader was found within 4000 ms" in done.stderr
    assert f"{last.address}: this server knows no leader" in done.stderr
    assert "sequence" not in done.stderr and "[NO_LEADER]" in done.stderr
    assert all(f"{n.address} " in done.stderr for n in others), done.stderr


@pytest.mark.parametrize("words", [("lock", "/a"), ("elect", "/a", "--value", "me")],
                         ids=lambda words: words[0])
def test_a_wait_bounds_all_that_the_command_waits_for(outage, words):
    cluster, last = outage
    others = [n for n in cluster.nodes.values() if n is not last]
    began = time.monotonic()
    done = run(cluster, *words, "--wait", "1s", "--", "true")
    assert done.returncode == 69, done.stderr
    assert "the lock was not acquired: no leader was found within 1000 ms" in done.stderr
    assert "[NO_LEADER]" in done.stderr
    assert time.monotonic() - began < 4, "and not the ten seconds that a call has"
    began = time.monotonic()
    done = run(cluster, *words, "--wait", "1s", "--", "true", nodes=others)
    assert done.returncode == 69, done.stderr
    assert "the lock was not acquired: no server was reached within 1000 ms" in done.stderr
    assert time.monotonic() - began < 4


def test_a_wait_during_which_the_quorum_is_lost_ends_when_it_should(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        holder = stock.open_session(60_000, "the-holder")
        stock.acquire(holder, path="/a", waitMs=0)
        began = time.monotonic()
        waiting = start(cluster, "lock", "/a", "--wait", "4s", "--", "true")
        assert "waiting for /a" in waiting.stderr.readline()
        without_quorum(cluster)
        words = waiting.communicate(timeout=30)[1]
    assert waiting.returncode == 69, words
    assert "the lock was not acquired: no leader was found within 4000 ms" in words
    assert time.monotonic() - began < 8, "and not ten seconds more"


@pytest.mark.parametrize("flags", [(), ("--io_threads=2",)], ids=["one thread", "io threads"])
@pytest.mark.parametrize("words", [("put", "/a", "1"), ("lock", "/a", "--", "true"), ("get", "/a"),
                                   ("watch", "/a")], ids=lambda words: words[0])
def test_servers_in_no_cluster_say_so_at_once(words, flags):
    unformed = Cluster(3, flags=flags)
    try:
        nodes = [unformed.nodes[2], unformed.nodes[3]]  # the one with --bootstrap does not run
        for node in nodes:
            unformed.start(node)
        for node in nodes:
            eventually(lambda n=node: "the data directory is empty" in n.log(), within=20,
                       what="it waits")
        began = time.monotonic()
        done = run(None, *words, nodes=nodes)
        assert done.returncode == 69, done.stderr
        assert "is not in a cluster yet" in done.stderr and "[NO_LEADER]" in done.stderr
        assert "--bootstrap" in done.stderr, "what it waits for"
        assert time.monotonic() - began < 5
        unformed.start(unformed.nodes[1])
        unformed.wait_ready()
        assert run(unformed, "put", "/a", "1").returncode == 0
    finally:
        unformed.stop()


def test_a_change_of_the_members_that_nobody_tells_of_any_more_is_of_unknown_fate():
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = f"127.0.0.1:{server.getsockname()[1]}"
        adding = start(None, "member", "add", "4", "127.0.0.1:1", "--admin", at, "--timeout", "2s")
        asked, _ = server.accept()
        with asked:
            assert asked.recv(1), "the change"
    said, why = adding.communicate(timeout=30)
    assert (adding.returncode, said) == (70, ""), why
    assert "was lost before the answer came; no server tells who the members are" in why
    assert "or give the same command again [OUTCOME_UNKNOWN]" in why


def test_a_revocation_outlasts_a_failover(cluster):
    cluster.leader().kill()
    done = run(cluster, "lock", "revoke", "/a", "--timeout", "20s")
    assert done.returncode == 0, done.stderr
    assert "nobody holds /a" in done.stdout


@pytest.fixture
def loading():
    """One server that loads its state as slowly as it is told to, and who says so."""
    with Cluster(1) as one:
        node = one.leader()
        with Stock(node.address) as stock:
            for number in range(4_000):
                stock.put(path=f"/config/{number}", value=b"v" * 250, makeParents=True)
        node.signal(signal.SIGTERM)  # ended in good order, it has all in its snapshot
        assert node.process.wait(30) == 0
        shim = Shim(node.folder / "control", node.folder / "data" / "group-1" / "snapshot")
        shim.set(read_delay_us=50_000)  # a dozen keys; it answers after six of these
        one.start_with(node, environment=shim.environment)
        eventually(lambda: "loads its state" in run(one, "status").stderr, within=20,
                   what="it loads")
        yield one, shim


def test_a_server_that_loads_its_state_is_waited_for(loading):
    one, shim = loading
    both = (("put", "/a", "1"), ("transfer-leader", "1"))  # at either port
    for words in both:
        began = time.monotonic()
        done = run(one, *words, "--timeout", "2s")
        assert done.returncode == 69 and "[NO_LEADER]" in done.stderr, done.stderr
        assert "no leader was found within 2000 ms" in done.stderr
        assert "node 1 loads its state" in done.stderr, "why"
        assert 1.5 < time.monotonic() - began < 5
    began = time.monotonic()
    assert "node 1 loads its state" in run(one, "status", "--timeout", "20s").stderr
    assert time.monotonic() - began < 5, "how it stands is said at once"
    waiting = [start(one, *words, "--timeout", "60s") for words in both]
    with pytest.raises(subprocess.TimeoutExpired):
        waiting[0].wait(1)
    assert waiting[1].poll() is None
    shim.heal()
    for process in waiting:
        said = process.communicate(timeout=60)
        assert process.returncode == 0, said
