"""A server that cannot or must not start: the documented exit code, and one line that says why."""

import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from holdfast_api.holdfast import ttypes as t
from support import paths
from support.cluster import TIMING, Cluster, free_ports
from support.stock import Stock
from support.waiting import eventually

BAD_FLAG, PORT_TAKEN, WRONG_DIRECTORY, CORRUPT = 2, 3, 4, 5


class Refusal:
    """How a server ended that was started to be refused."""

    def __init__(self, flags, folder):
        ports = dict(zip(("client", "peer", "admin", "http"), free_ports(4)))
        given = {flag.split("=")[0] for flag in flags}
        addresses = [f"--{name}_address=127.0.0.1:{port}" for name, port in ports.items()
                     if f"--{name}_address" not in given]
        data = [] if "--data_dir" in given else [f"--data_dir={folder / 'data'}"]
        ended = subprocess.run([str(paths.program("holdfastd")), *addresses, *data, *flags],
                               capture_output=True, text=True, timeout=30, check=False)
        self.code, self.said = ended.returncode, ended.stderr.strip()
        self.lines = [line for line in self.said.splitlines() if not line.startswith(("I2", "W2"))]


@pytest.mark.parametrize("flag, named", [
    ("--no_such_flag=1", "no_such_flag"),
    ("--node_id=abc", "abc"),
    ("--node_id=0", "--node_id=0"),
    ("--heartbeat_ms=0", "--heartbeat_ms=0"),
    ("--election_timeout_min_ms=100", "--election_timeout_min_ms=100"),
    ("--clock_drift_permille=500", "--clock_drift_permille=500: must be from 1 to 200"),
    ("--segment_bytes=1", "--segment_bytes=1: must be from 65536 to 1073741824"),
    ("--client_address=nowhere", "--client_address=nowhere"),
    ("--client_address=192.0.2.1:7411", "needs --insecure"),
    ("--initial_cluster=1=127.0.0.1", "--initial_cluster=1=127.0.0.1"),
    ("--initial_cluster=2=127.0.0.1:1,3=127.0.0.1:2", "does not list this server"),
    ("stray", "'stray' is not a flag"),
    ("--log_dir=/tmp", "--log_dir: the directory of log files is --glog_dir here"),
    ("--nologtostderr", "unless --glog_dir is given"),
    ("--glog_dir=/nowhere", "--glog_dir=/nowhere: no files can be made there: No such"),
    ("--glog_dir=/proc/self/maps", "no files can be made there: Not a directory"),
])
def test_a_bad_flag_is_named_with_its_value(flag, named, tmp_path):
    refusal = Refusal([flag], tmp_path)
    assert refusal.code == BAD_FLAG, refusal.said
    assert named in refusal.said and len(refusal.lines) == 1
    assert not (tmp_path / "data").exists()


def test_an_unknown_name_in_a_flag_file_is_refused(tmp_path):
    flags = tmp_path / "flags"
    flags.write_text("--heartbeat_ms=100\n--hartbeat_ms=50\n")
    refusal = Refusal([f"--flagfile={flags}"], tmp_path)
    assert refusal.code == BAD_FLAG and "unknown flag 'hartbeat_ms'" in refusal.said


def test_help_is_no_error():
    for flag in ("--help", "--version"):
        asked = subprocess.run([str(paths.program("holdfastd")), flag], capture_output=True,
                               text=True, timeout=30, check=False)
        assert asked.returncode == 0 and asked.stdout.startswith("holdfastd") and not asked.stderr


def test_help_is_about_this_program_alone():
    said = subprocess.run([str(paths.program("holdfastd")), "--help"], capture_output=True,
                          text=True, timeout=30, check=True).stdout
    assert "\n  --heartbeat_ms=100\n      leader's heartbeat, 5 to 10000\n" in said
    assert "logtostderr" not in said
    assert "/" not in re.sub("/health|/ready|/metrics", "", said), "no path of the build"
    assert max(map(len, said.splitlines())) <= 88


@pytest.mark.parametrize("where, said", [("no/parent", "create its parent"),
                                         ("file", "is no directory")])
def test_a_data_directory_that_cannot_be_made_is_no_failed_disk(where, said, tmp_path):
    (tmp_path / "file").write_text("")
    refusal = Refusal([f"--data_dir={tmp_path / where}"], tmp_path)
    assert refusal.code == WRONG_DIRECTORY and said in refusal.said, refusal.said
    assert len(refusal.lines) == 1


@pytest.mark.parametrize("more", [[], ["--bootstrap"], ["--join=127.0.0.1:1"]])
def test_a_directory_of_something_else_is_left_as_it_is(more, tmp_path):
    (tmp_path / "invoices").mkdir()
    refusal = Refusal([f"--data_dir={tmp_path}", *more], tmp_path)
    assert refusal.code == WRONG_DIRECTORY and len(refusal.lines) == 1, refusal.said
    assert "is no server's, and not empty: invoices is there" in refusal.said
    assert [each.name for each in tmp_path.iterdir()] == ["invoices"]


@pytest.mark.parametrize("name", ["client", "peer", "admin", "http"])
def test_a_taken_port_is_named(name, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refusal = Refusal([f"--{name}_address={address}"], tmp_path)
    assert refusal.code == PORT_TAKEN and address in refusal.said, refusal.said
    # Nothing of this attempt contradicts the next, which may be that of another node.
    assert not (tmp_path / "data").exists()


@pytest.fixture
def own_single():
    """A cluster of one, for a test that damages its files."""
    with Cluster(1) as started:
        yield started


def test_a_server_that_comes_back_alone_leads_before_anybody_connects(own_single):
    node = own_single.nodes[1]
    own_single.kill_all()
    before = len(node.log())
    own_single.start(node)
    eventually(lambda: "leader is 1" in node.log()[before:], what="it leads")


def data_of(node) -> pathlib.Path:
    return node.folder / "data"


def segments_of(node):
    return sorted(p for p in data_of(node).rglob("*") if p.is_file() and p.stat().st_size > 65536)


def test_a_directory_in_use_is_refused(own_single, tmp_path):
    node = own_single.nodes[1]
    refusal = Refusal([f"--data_dir={data_of(node)}"], tmp_path)
    assert refusal.code == WRONG_DIRECTORY and str(node.process.pid) in refusal.said
    assert node.ready()


def test_a_directory_of_another_node_is_refused(own_single, tmp_path):
    node = own_single.nodes[1]
    node.kill()
    refusal = Refusal([f"--data_dir={data_of(node)}", "--node_id=2"], tmp_path)
    assert refusal.code == WRONG_DIRECTORY, refusal.said
    assert "node 1" in refusal.said and "2" in refusal.said


def test_a_directory_of_a_cluster_that_lacks_a_listed_server_is_refused(own, tmp_path):
    """It would elect itself there, say that it is ready and grant what others hold."""
    with Cluster(1) as lone:
        alone = lone.nodes[1]
        alone.kill()
        replaced = own.nodes[1]
        replaced.kill()
        list_of_three = ",".join(f"{n.node_id}=127.0.0.1:{n.peer_port}" for n in own.nodes.values())
        for more in ([], ["--bootstrap"]):
            refusal = Refusal([f"--data_dir={data_of(alone)}",
                               f"--initial_cluster={list_of_three}", *more], tmp_path)
            assert refusal.code == WRONG_DIRECTORY, refusal.said
            assert str(data_of(alone)) in refusal.said and len(refusal.lines) == 1
            assert "whose only member is node 1; --initial_cluster lists 1,2,3" in refusal.said


def peers_of(*nodes):
    """As --join names them."""
    return "--join=" + ",".join(f"127.0.0.1:{n.peer_port}" for n in nodes)


def test_a_member_of_another_cluster_than_the_servers_of_join_is_refused(own, own_single, tmp_path):
    """It would elect itself there and grant what the cluster that is meant has given to others."""
    alone = own_single.nodes[1]
    mine = alone.status().header.clusterId
    theirs = own.leader().status().header.clusterId
    alone.kill()
    at = f"--peer_address=127.0.0.1:{alone.peer_port}"
    refusal = Refusal([f"--data_dir={data_of(alone)}", at, peers_of(*own.nodes.values(), alone)],
                      tmp_path)
    assert refusal.code == WRONG_DIRECTORY, refusal.said
    assert str(mine) in refusal.said and str(theirs) in refusal.said, refusal.said
    assert any(f"127.0.0.1:{n.peer_port}, node {n.node_id} " in refusal.said
               for n in own.nodes.values()), refusal.said
    assert len(refusal.lines) == 1 and "clients on port" not in refusal.said


def test_one_server_of_its_cluster_is_enough_to_go_on(own, own_single):
    """Of the addresses of --join some may have gone to others since."""
    node, other = own.followers()
    stranger = own_single.nodes[1]
    node.kill()
    node.start([*TIMING, peers_of(stranger, other)])
    own.wait_ready([node])


def test_a_member_with_join_needs_nobody_to_start(own_single):
    """A restart does not depend on others; what it says of itself is no answer."""
    node = own_single.nodes[1]
    node.kill()
    node.start([*TIMING, f"{peers_of(node)},127.0.0.1:{free_ports(1)[0]}"])
    own_single.wait_ready([node])


def listens(port):
    """Does somebody accept connections there?"""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_a_member_that_asks_the_servers_of_join_says_itself_which_cluster_it_is_of(
        own, own_single, tmp_path):
    """As when all are started at once, one of them with the directory of another cluster."""
    asks, alone = own.nodes[1], own_single.nodes[1]
    asks.kill()
    alone.kill()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asks.start([*TIMING, f"--join=127.0.0.1:{silent.getsockname()[1]}"])
        eventually(lambda: listens(asks.peer_port), what="its peer port")
        refusal = Refusal([f"--data_dir={data_of(alone)}", peers_of(asks)], tmp_path)
    assert refusal.code == WRONG_DIRECTORY, refusal.said
    assert f"127.0.0.1:{asks.peer_port}, node 1 " in refusal.said, refusal.said
    own.wait_ready([asks])


def test_a_list_that_leaves_out_a_member_only_has_no_address_for_it(own):
    """What is stored counts: the server dials the member where the cluster was told it is."""
    node = own.nodes[1]
    node.kill()
    node.start([*TIMING, f"--initial_cluster=1=127.0.0.1:{node.peer_port}"])
    own.wait_ready([node])
    assert sorted(node.status().voters) == [1, 2, 3]


@pytest.mark.parametrize("together", [True, False])
def test_all_servers_may_have_bootstrap(together):
    """Started together or one after the other: one cluster is formed, and everybody serves."""
    cluster = Cluster(3)
    try:
        for node in cluster.nodes.values():
            cluster.start_with(node, "--bootstrap")
            if not together and node.node_id < 3:
                eventually(lambda n=node: "bootstrap waits" in n.log(), what="its first round")
        cluster.wait_ready()
        assert sorted(cluster.leader().status().voters) == [1, 2, 3]
        formed = {re.search("of cluster ([0-9]+), 3 voters", n.log())[1]
                  for n in cluster.nodes.values()}
        assert len(formed) == 1
    finally:
        cluster.stop()


@pytest.mark.parametrize("stands", ["group-1/quarantine", "cluster.new"])
def test_a_server_that_cannot_go_on_from_entry_1_ends_with_a_line(stands):
    """It has taken entry 1 and cannot read its directory, or not write down which cluster it is of:
    no crash, it takes no part, and the cluster is formed. Its next start goes on from there."""
    cluster = Cluster(3)
    try:
        node = cluster.nodes[2]
        cluster.start(node)
        obstacle = data_of(node) / stands
        eventually(lambda: "the data directory is empty" in node.log(), what="it waits")
        obstacle.mkdir()
        others = [cluster.nodes[1], cluster.nodes[3]]
        for other in others:
            cluster.start(other)
        cluster.wait_ready(others)
        eventually(lambda: not node.running, within=20, what="its end")
        assert node.process.returncode > 0, "no signal ended it"
        assert str(obstacle) in node.log() and "clients on port" not in node.log()
        obstacle.rmdir()
        cluster.start(node)
        cluster.wait_ready([node])
    finally:
        cluster.stop()


def test_lists_that_differ_are_refused_before_anything_is_formed():
    """Both lists are named, and nobody belongs to a cluster afterwards."""
    cluster = Cluster(3)
    try:
        first, second, third = cluster.nodes.values()
        addresses = {n.node_id: f"{n.node_id}=127.0.0.1:{n.peer_port}"
                     for n in cluster.nodes.values()}
        second.start([*TIMING, f"--initial_cluster={addresses[1]},{addresses[2]}"])
        cluster.start(third)
        cluster.start(first)
        eventually(lambda: not first.running, within=20, what="the refusal")
        assert first.process.returncode == BAD_FLAG
        said = first.log().strip().splitlines()[-1]
        assert f"2=127.0.0.1:{second.peer_port}" in said, said
        assert "nodes 1,2," in said and "nodes 1,2,3" in said, said
        assert "of cluster" not in second.log() + third.log()
    finally:
        cluster.stop()


def test_damage_in_the_middle_of_the_log_is_found_and_named(own_single, dial):
    node = own_single.nodes[1]
    stock = dial(node)
    session = stock.open_session()
    for _ in range(20):
        grant = stock.acquire(session, path="/a", waitMs=0)
        stock.release(session, path="/a", holderId=grant.holderId)
    stock.close()
    node.kill()
    # Entry 1 stands at the head of the oldest segment; much was synced after it.
    oldest = segments_of(node)[0]
    image = bytearray(oldest.read_bytes())
    at = image.index(b"127.0.0.1")
    image[at] ^= 1
    oldest.write_bytes(image)
    own_single.start(node)
    eventually(lambda: not node.running, within=20, what="the refusal")
    assert node.process.returncode == CORRUPT
    said = node.log().strip().splitlines()[-1]
    assert oldest.name in said and "offset" in said, said


@pytest.mark.parametrize("left", [[], ["group-1"], ["group-1/log", "group-1/snapshot"]])
def test_a_server_that_lost_its_group_does_not_begin_again_under_its_store(left, own, dial):
    """PROMISE 8: as after a volume that is not mounted. With the server that was away it would make
    a majority that has not what was acknowledged."""
    first, second, third = own.nodes.values()
    third.kill()
    own.leader(among=[first, second])
    dial(second).put(path="/acked", value=b"important")
    first.kill()
    second.kill()
    data = data_of(first)
    kept = first.folder / "kept"
    (data / "group-1").rename(kept)
    for name in left:
        (data / name).mkdir(parents=True)
    own.start(third)
    for _ in range(2):
        own.start(first)
        eventually(lambda: not first.running, within=20, what="the refusal")
        assert first.process.returncode == CORRUPT, first.log()
        said = first.log().strip().splitlines()[-1]
        assert f"{data}: this server belonged to a cluster" in said, said
        assert "votes" in said and "holdfast member replace 1 NEW_ID" in said, said
    verify = [str(paths.program("holdfast")), "log", "verify", str(data)]
    judged = subprocess.run(verify, capture_output=True, text=True, timeout=30, check=False)
    assert judged.returncode != 0 and str(data) in judged.stdout + judged.stderr, judged
    alone = eventually(third.status, what="its status")
    assert alone.leaderId == 0
    # Mounted again, it is the server that it was.
    shutil.rmtree(data / "group-1", ignore_errors=True)
    kept.rename(data / "group-1")
    own.start(first)
    own.wait_ready([first, third])
    assert dial(third).get(path="/acked").key.value == b"important"


def test_a_directory_of_an_earlier_program_is_of_its_cluster_from_the_next_start(own_single):
    """The file is made when it is missing; a server without it is refused nothing."""
    node = own_single.nodes[1]
    node.kill()
    data = data_of(node)
    written = (data / "cluster").read_text()
    assert re.fullmatch("holdfast-cluster 1\ncluster [0-9]+\nchecksum [0-9a-f]{16}\n", written)
    (data / "cluster").unlink()
    own_single.start(node)
    own_single.wait_ready()
    assert (data / "cluster").read_text() == written
    assert str(node.status().header.clusterId) in written


def alarms_of(node):
    """Its alarms about peers, as sentences."""
    status = node.status()
    return [a.message for a in status.alarms if a.name == "PEER_REFUSED"] if status else []


def test_a_server_outside_of_any_cluster_says_so(own):
    """To operators, whom no answer at all would tell nothing; and what is the matter."""
    node = own.nodes[3]
    node.kill()
    shutil.rmtree(data_of(node))
    own.start(node)

    def said():
        with Stock(node.admin_address, service="admin", timeout=2.0) as admin:
            try:
                admin.status()
            except t.HoldfastError as refused:
                return refused
        return None

    eventually(lambda: "which has node 3 under store" in node.log(), within=20,
               what="a word of what is the matter")
    refused = eventually(said, what="the answer")
    assert refused.message.startswith("node 3 is not in a cluster yet: ")
    assert "wiped or swapped" in refused.message
    assert refused.codeName == "NO_LEADER" and not refused.retryable
    leader = own.leader(among=[own.nodes[1], own.nodes[2]])
    eventually(lambda: alarms_of(leader), within=20, what="the alarm")
    assert "its disk was wiped or swapped" in alarms_of(leader)[0]


def test_unequal_flags_are_an_alarm(own):
    node = own.followers()[0]
    node.kill()
    own.start_with(node, "--heartbeat_ms=120")
    leader = own.leader(among=[n for n in own.nodes.values() if n is not node])
    eventually(lambda: alarms_of(leader), within=20, what="the alarm")
    assert f"node {node.node_id} at 127.0.0.1:{node.peer_port}" in alarms_of(leader)[0]
    assert "heartbeat_ms must be the same everywhere" in alarms_of(leader)[0]
    eventually(lambda: len(alarms_of(node)) == 2, within=20, what="alarms over there")
    node.kill()
    own.start(node)
    own.wait_ready([node])
    eventually(lambda: not alarms_of(leader), within=20, what="the end of the alarm")


def test_a_wiped_disk_is_refused_by_its_peers(own):
    follower = own.followers()[0]
    follower.kill()
    shutil.rmtree(data_of(follower))
    own.start(follower)
    others = [n for n in own.nodes.values() if n is not follower]

    def refused():
        if follower.running:
            return all("is empty: store" in n.log() for n in others)
        # The one with --bootstrap finds that there is a cluster already.
        return follower.process.returncode == WRONG_DIRECTORY and "bootstrap" in follower.log()

    eventually(refused, within=20, what="a word about the store")
    assert follower.status() is None or follower.status().leaderId == 0
    # The others go on, and count nothing that the stranger says.
    assert own.leader(among=others).running


def test_two_processes_with_one_store_are_an_alarm(own):
    """A copy of a directory that runs beside the original: nobody can tell which is which."""
    node = own.followers()[0]
    node.kill()
    twin = own.newcomer(node.node_id, "twin")
    twin.joins = False
    shutil.copytree(data_of(node), data_of(twin))
    own.start(node)
    own.wait_ready([node])
    others = [n for n in own.nodes.values() if n is not node]
    assert not any(n.status().alarms for n in others), "a restart is none"
    own.start(twin)

    def told():
        return all(("NODE_TWICE", node.node_id) in ((a.name, a.nodeId) for a in n.status().alarms)
                   for n in others)

    eventually(told, within=40, what="the alarm of the others")
    assert own.leader(among=others).running


def test_a_node_of_another_cluster_is_refused(own):
    """A directory of another cluster's node 3: both sides say so, and it takes no part."""
    with Cluster(3) as other:
        mine, theirs = own.nodes[3], other.nodes[3]
        for node in (mine, theirs):
            node.kill()
        swapped = mine.folder / "swapped"
        shutil.copytree(data_of(theirs), swapped)
        shutil.rmtree(data_of(mine))
        swapped.rename(data_of(mine))
        own.start(mine)
        leader = own.leader(among=[own.nodes[1], own.nodes[2]])

        def told():
            links = {p.nodeId: p for p in leader.status().connections}
            return not links[3].connected and "cluster ids differ" in links[3].lastError

        eventually(told, within=20, what="a word about the cluster in status")
        eventually(lambda: any("cluster ids differ" in alarm for alarm in alarms_of(leader)),
                   what="the alarm")
        eventually(lambda: "cluster ids differ" in mine.log(), what="the word of the other side")
        assert mine.status().leaderId == 0
