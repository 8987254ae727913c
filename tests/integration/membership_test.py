"""Members that come and go, by the `holdfast` command, while locks are taken and given back.

Every server cuts its log after some 100 kB, so that configurations come from snapshots too.
"""

import json
import shutil
import threading
import time

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.watch import ttypes as w
from support.command import run, start
from support.cluster import Cluster
from support.proxy import Proxy
from support.stock import Stock
from support.waiting import eventually

SMALL = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1", "--segment_bytes=65536")
WRONG_DIRECTORY = 4


@pytest.fixture
def lone():
    """A cluster of one, which grows."""
    with Cluster(1, flags=SMALL) as started:
        yield started


@pytest.fixture
def three():
    """Three servers that cut their log."""
    with Cluster(3, flags=SMALL) as started:
        yield started


class Workload:
    """Takes and gives back one lock, and writes, on whichever server answers."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._ends = threading.Event()
        self.tokens = []
        self.failure = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._ends.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self):
        stock = session = None
        turn = 0
        while not self._ends.is_set():
            try:
                if stock is None:
                    nodes = [n for n in list(self._cluster.nodes.values()) if n.running]
                    turn += 1
                    stock = Stock(nodes[turn % len(nodes)].address, timeout=3.0)
                    session = stock.open_session(ttl_ms=10_000)
                grant = stock.acquire(session, path="/jobs/one", waitMs=2_000)
                if grant.status == 1:
                    self.tokens.append(grant.token)
                    stock.release(session, path="/jobs/one", holderId=grant.holderId)
                stock.put(path="/config/large", value=bytes(2_000), makeParents=True)
            except AssertionError as wrong:
                self.failure = wrong
                return
            except Exception:  # a server that stops, a leader that changes: another one is asked
                if stock is not None:
                    stock.close()
                stock = None
                time.sleep(0.05)

    def goes_on(self):
        """It gets the lock again from now on; and what it got always had a later token."""
        before = len(self.tokens)
        eventually(lambda: len(self.tokens) > before + 3, within=30, what="more grants")
        assert self.tokens == sorted(set(self.tokens))


def member(cluster, *words, timeout=60):
    """`holdfast member ... --json`, which succeeds."""
    done = run(cluster, "member", *words, "--json", "--timeout", "40s", timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(cluster, *words):
    """What `holdfast member ...` says that does not succeed."""
    done = run(cluster, "member", *words, "--timeout", "5s")
    assert done.returncode in (65, 69, 70), (done.returncode, done.stdout)
    return done.stderr


def roles(cluster):
    """Node id to role, as the leader sees it."""
    told = json.loads(run(cluster, "member", "list", "--json", nodes=[cluster.leader()]).stdout)
    return {m["node_id"]: m["role"] for m in told if m["role"] != "removed"}


def removed(cluster):
    """The ids that were removed, each with the store that it had and the entry that did it."""
    told = json.loads(run(cluster, "member", "list", "--json", nodes=[cluster.leader()]).stdout)
    gone_by = {m["node_id"]: m for m in told if m["role"] == "removed"}
    assert all(m["store_id"] and m["removed_at"] and not m["voter"] for m in gone_by.values())
    return sorted(gone_by)


def settled(cluster, wanted):
    """Until the members have these roles."""
    eventually(lambda: roles(cluster) == wanted, within=40, every=0.1, what=f"members {wanted}")


def voters(*ids):
    return {i: "voter" for i in ids}


def newcomer(cluster, node_id):
    """A server that runs, and waits to be added."""
    node = cluster.newcomer(node_id)
    cluster.start(node)
    eventually(lambda: f"has no node {node_id} yet: run `holdfast member add" in node.log(),
               within=20, what="what is missing")
    return node


def add(cluster, node_id, *flags):
    """A newcomer, added and known to the cluster."""
    node = newcomer(cluster, node_id)
    member(cluster, "add", str(node_id), f"127.0.0.1:{node.peer_port}", *flags)
    cluster.nodes[node_id] = node
    return node


def gone(cluster, node):
    """A removed server knows it, says so everywhere, and serves no client."""
    eventually(lambda: "REMOVED" in {a.name for a in (node.status() or Empty).alarms}, within=20,
               what=f"node {node.node_id} to know that it was removed")
    assert "was removed from the cluster at entry" in node.log()
    assert not node.ready()
    with pytest.raises(Exception):
        Stock(node.address, timeout=2.0).open_session()
    cluster.nodes.pop(node.node_id, None)


class Empty:
    alarms = ()


def restart_all(cluster):
    """All at once, from what their disks have."""
    cluster.kill_all()
    cluster.start_all()


def test_a_cluster_grows_from_one_to_five_and_shrinks_to_one(lone):
    with Workload(lone) as work:
        for node_id in range(2, 6):
            node = add(lone, node_id)
            settled(lone, voters(*range(1, node_id + 1)))
            lone.wait_ready([node])
            work.goes_on()
        restart_all(lone)
        work.goes_on()
        assert roles(lone) == voters(1, 2, 3, 4, 5)
        for node_id in (2, 3):
            node = lone.nodes[node_id]
            member(lone, "remove", str(node_id))
            gone(lone, node)
            node.kill()
            work.goes_on()
        restart_all(lone)
        assert roles(lone) == voters(1, 4, 5)
        for _ in range(2):  # the leader removes itself
            leader = lone.leader()
            member(lone, "remove", str(leader.node_id))
            gone(lone, leader)
            leader.kill()
            work.goes_on()
        restart_all(lone)
        work.goes_on()
        (last,) = lone.nodes
        assert roles(lone) == voters(last)


def test_a_dead_server_is_replaced_in_one_step(three):
    with Workload(three) as work:
        dead = three.followers()[0]
        dead.kill()
        node = newcomer(three, 4)
        member(three, "replace", str(dead.node_id), "4", f"127.0.0.1:{node.peer_port}")
        three.nodes[4] = node
        del three.nodes[dead.node_id]
        settled(three, voters(*three.nodes))
        three.wait_ready([node])
        work.goes_on()
        assert removed(three) == [dead.node_id]
        again = member(three, "replace", str(dead.node_id), "4", f"127.0.0.1:{node.peer_port}")
        assert not again["changed"]
        restart_all(three)
        work.goes_on()
        # The replaced one comes back with its disk: it is told, by whomever it dials.
        three.start(dead)
        gone(three, dead)
        said = refused(three, "add", str(dead.node_id), f"127.0.0.1:{dead.peer_port}")
        assert f"node {dead.node_id} (store" in said and "was removed at entry" in said, said
        dead.kill()
        # Nor does it come back under that id with an empty directory.
        shutil.rmtree(dead.folder / "data")
        before = len(dead.log())
        dead.joins = True
        three.start(dead)
        assert dead.process.wait(20) == WRONG_DIRECTORY
        said = dead.log()[before:]
        assert f"has removed node {dead.node_id} for good" in said, said
        assert "under an id that was never used" in said and "run `holdfast" not in said, said


def serves_reads_and_watches(cluster, learner):
    """From its own state, told of what others wrote elsewhere."""
    with Stock(cluster.leader().address) as writer:
        last = writer.put(path="/config/limit", value=b"10", makeParents=True)
        demand = t.RequestContext(minRevision=last.revision)
        local = learner.call("get", demand, path="/config/limit", consistency=t.Consistency.LOCAL)
        assert local.key.value == b"10"
        watcher = learner.open_session(ttl_ms=10_000)
        watch = learner.watch(watcher, path="/config", scope=w.WatchScope.SUBTREE, withValues=True,
                              sinceRevision=last.revision)
        changed = writer.put(path="/config/limit", value=b"11")

    def told():
        context = t.RequestContext(sessionId=watcher.id, sessionSecret=watcher.secret)
        return learner.call("poll", context, maxWaitMs=1_000).watches

    (delivery,) = eventually(told, within=10, what="an event on the learner")
    assert (delivery.watchId, delivery.revision) == (watch.watchId, changed.revision)
    assert [(e.path, e.value) for e in delivery.events] == [("/config/limit", b"11")]


def test_a_learner_serves_and_stays_one_until_it_is_promoted(three):
    node = add(three, 4, "--learner")
    settled(three, {**voters(1, 2, 3), 4: "learner"})
    three.wait_ready([node])
    assert node.status().role == 5
    with Stock(node.address) as stock:
        session = stock.open_session(ttl_ms=10_000)
        grant = stock.acquire(session, path="/jobs/a", waitMs=0)
        assert stock.checkToken(path="/jobs/a", token=grant.token).current
        serves_reads_and_watches(three, stock)
    said = refused(three, "remove", "7")
    assert "node 7 is not a member" in said
    eventually(lambda: run(three, "member", "promote", "4").returncode == 0, within=20,
               what="the promotion of a learner that has caught up")
    settled(three, voters(1, 2, 3, 4))
    assert not member(three, "promote", "4")["changed"]
    node = newcomer(three, 5)
    at = f"127.0.0.1:{node.peer_port}"
    member(three, "add", "5", at, "--learner")
    # A learner that takes a voter's place votes.
    eventually(lambda: run(three, "member", "replace", "4", "5", at).returncode == 0, within=20,
               what="a learner that has caught up in the place of a voter")
    settled(three, voters(1, 2, 3, 5))


def test_what_cannot_be_added_is_refused_with_the_reason(three):
    at = "127.0.0.1:" + str(three.nodes[2].peer_port)
    assert "node 2 is a member already" in refused(three, "add", "2", "127.0.0.1:1")
    assert not member(three, "add", "2", at)["changed"]
    assert "node 2 votes already, and is no learner" in refused(three, "add", "2", at, "--learner")
    assert "is node 2, not node 4" in refused(three, "add", "4", at)
    assert "node 2 votes already and replaces nobody" in refused(three, "replace", "3", "2", at)
    settled(three, voters(1, 2, 3))
    node = three.newcomer(4)
    nowhere = f"127.0.0.1:{node.peer_port}"
    assert "does not answer" in refused(three, "add", "4", nowhere)
    with Cluster(1) as other:
        alien = other.nodes[1]
        said = refused(three, "add", "1", f"127.0.0.1:{alien.peer_port}")
        assert "node 1 is a member already" in said
    three.start(node)
    eventually(lambda: "has no node 4 yet: run `holdfast member add 4 " in node.log(), within=20,
               what="what is missing")
    added = member(three, "add", "4", nowhere)
    assert added["changed"]
    # Two servers with one id: the second one's store is not the member's.
    twin = three.newcomer(4, "twin")
    three.start(twin)
    assert twin.process.wait(20) == WRONG_DIRECTORY
    assert "has node 4 under store" in twin.log()
    node.kill()


def test_a_wiped_member_is_refused_and_replaced(three):
    wiped = three.followers()[0]
    wiped.kill()
    shutil.rmtree(wiped.folder / "data")
    wiped.joins = True
    three.start(wiped)
    assert wiped.process.wait(20) == WRONG_DIRECTORY
    assert "the disk was wiped or swapped" in wiped.log()
    assert f"holdfast member replace {wiped.node_id} NEW_ID" in wiped.log()
    del three.nodes[wiped.node_id]
    node = newcomer(three, 4)
    member(three, "replace", str(wiped.node_id), "4", f"127.0.0.1:{node.peer_port}")
    three.nodes[4] = node
    settled(three, voters(*three.nodes))


def test_a_removed_server_says_that_its_list_of_the_members_is_old(three):
    old = three.followers()[0]
    member(three, "remove", str(old.node_id))
    gone(three, old)
    add(three, 4, "--learner")
    for words in ((), ("--json",)):
        done = run(three, "member", "list", *words, nodes=[old])
        assert done.returncode == 0, done.stderr
        assert f"node {old.node_id} " in done.stderr and "was removed from the clu" in done.stderr
        assert "its list is as of entry " in done.stderr and "ask another server" in done.stderr
        assert "no server leads" not in done.stdout
    assert 4 not in [m["node_id"] for m in json.loads(done.stdout)]
    # Where a member can be asked as well, its list is shown, and needs no such word.
    member_list = run(three, "member", "list", "--json", nodes=[old, three.followers()[0]])
    assert member_list.stderr == ""
    assert {m["node_id"]: m["role"] for m in json.loads(member_list.stdout)}[4] == "learner"
    old.kill()


def test_a_change_that_would_lose_the_quorum_needs_force(three):
    first, second = three.followers()
    first.kill()
    second.kill()
    (alone,) = [n for n in three.nodes.values() if n.running]
    eventually(lambda: alone.status().leaderId == 0, within=20, what="a leader that steps down")
    assert "there is no leader that could make the change" in refused(three, "remove",
                                                                      str(first.node_id))
    three.start(first)
    three.wait_ready([first])
    eventually(lambda: "no quorum" in refused(three, "remove", str(first.node_id)), within=30,
               what="the refusal to go on with a dead server alone")
    member(three, "remove", str(second.node_id))
    del three.nodes[second.node_id]
    settled(three, voters(*three.nodes))


def test_contradictory_changes_at_once_leave_one_of_them(three):
    node = newcomer(three, 4)
    other = newcomer(three, 5)
    results = []

    def change(*words):
        results.append(run(three, "member", *words, "--timeout", "20s", timeout=60))

    together = [threading.Thread(target=change, args=words) for words in (
        ("replace", "3", "4", f"127.0.0.1:{node.peer_port}"),
        ("replace", "3", "5", f"127.0.0.1:{other.peer_port}"),
        ("remove", "3"))]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    for done in results:
        # The server that was asked may be the one that another change removes: it cannot know then.
        unknown = done.returncode == 70 and "this server was removed" in done.stderr
        assert done.returncode in (0, 65) or unknown, done.stderr
    three.nodes.pop(3).kill()
    if node.node_id in roles(three):
        three.nodes[4] = node
    if other.node_id in roles(three):
        three.nodes[5] = other
    settled(three, voters(*three.nodes))
    node.kill()
    other.kill()


def test_a_change_whose_answer_is_lost_is_looked_up(three):
    leaves, stays = three.followers()
    proxy = Proxy(stays.admin_address)
    proxy.black_hole(there=False)
    removal = start(None, "member", "remove", str(leaves.node_id), "--json", "--admin",
                    proxy.address)
    eventually(lambda: removed(three) == [leaves.node_id], within=20, what="the removal")
    proxy.heal()
    out, err = removal.communicate(timeout=60)
    proxy.close()
    assert removal.returncode == 0, err
    told = json.loads(out)
    assert told["changed"] is None and leaves.node_id not in [m["node_id"] for m in told["members"]]
    assert told["feature_level"] > 0
    assert "was lost before the answer came; the list of the members shows the change" in err
    gone(three, leaves)
    leaves.kill()
