"""`holdfast snapshot restore` and `holdfast recover`: a new cluster out of a file, or of the one
server that is left."""

import contextlib
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.watch import ttypes as w
from support.cluster import TIMING, Cluster, Node, free_ports
from support.command import run
from support.paths import program
from support.stock import Stock
from support.waiting import eventually

import holdfast

TTL_MS = 4_000
RAISE = 2 ** 40
NEVER = 600_000


class Old:
    """What a cluster of three had given when it was saved, and when it was lost."""

    def __init__(self, folder):
        self.file = folder / "saved.db"
        with Cluster(3) as cluster:
            leader = cluster.leader()
            with Stock(leader.address) as stock:
                self.holder = stock.open_session(ttl_ms=TTL_MS, name="old holder")
                self.waiter = stock.open_session(ttl_ms=TTL_MS, name="old waiter")
                self.token = stock.acquire(self.holder, path="/jobs/a", waitMs=0).token
                stock.acquire(self.waiter, path="/jobs/a", waitMs=NEVER)
                stock.put(path="/config/limit", value=b"10", makeParents=True)
                stock.create(self.holder, path="/here", kind=w.KeyKind.EPHEMERAL)
            done = run(cluster, "snapshot", "save", str(self.file))
            assert done.returncode == 0, done.stderr
            with Stock(leader.address) as stock:
                late = stock.open_session(ttl_ms=TTL_MS, name="after the backup")
                self.late, self.late_token = late, stock.acquire(
                    late, path="/jobs/b", waitMs=0).token
            self.cluster_id = leader.status().header.clusterId
            last = leader.status().commitIndex
            self.survivor = cluster.nodes[2]
            eventually(lambda: self.survivor.status().appliedIndex >= last)
            self.refused_while_running = run(
                None, "recover", "--force-new-cluster", "--node_id=2", "--yes",
                f"--data_dir={self.survivor.folder / 'data'}")
            cluster.kill_all()
            self.data = folder / "survivor"
            shutil.copytree(self.survivor.folder / "data", self.data)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """One lost cluster for all."""
    return Old(tmp_path_factory.mktemp("old"))


@pytest.fixture
def node(tmp_path):
    """A place for a server: ports and a folder without a data directory."""
    made = Node(1, tmp_path, free_ports(4))
    yield made
    made.kill()


def addresses(node, peer_port=None):
    """The flags that name them."""
    return [f"--client_address={node.address}",
            f"--peer_address=127.0.0.1:{peer_port or node.peer_port}"]


def restore(file, node, *words, peer_port=None, **options):
    """One run of the command."""
    return run(None, "snapshot", "restore", str(file), f"--data_dir={node.folder / 'data'}",
               f"--node_id={node.node_id}", *addresses(node, peer_port), *words, **options)


def restored(file, node, *words):
    """What it told, of one that goes well; the server then runs. When that began, too."""
    done = restore(file, node, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), started(node)


def started(node):
    """Start it alone, and wait until it serves."""
    began = time.monotonic()
    node.start(TIMING)
    eventually(node.ready, within=20, what="a restored server")
    return began


def alarms(node):
    """Their names."""
    return [alarm.name for alarm in node.status().alarms]


def check_new_cluster(old, node, told, began):
    """The rules of a restore, as a client meets them."""
    assert told["cluster_id"] not in (0, old.cluster_id)
    eventually(lambda: "RESTORE_HOLD" in alarms(node), within=10, what="the alarm")
    with Stock(node.address) as stock:
        header = stock.get(path="/config/limit").header
        assert header.clusterId == told["cluster_id"]
        assert header.revision > RAISE
        stock.put(path="/config/limit", value=b"11")
        assert stock.get(path="/config/limit").found
        assert not stock.get(path="/here").found, "an ephemeral key goes with its session"
        for session in (old.holder, old.waiter, old.late):
            with pytest.raises(t.HoldfastError) as ended:
                stock.acquire(session, path="/jobs/a", waitMs=0)
            assert ended.value.code == t.ErrorCode.SESSION_EXPIRED
        lock = stock.describeLock(path="/jobs/a").lock
        assert lock.restoreHold and 0 < lock.closedForMs <= told["hold_ms"]
        assert lock.tenures[0].token == old.token
        assert lock.tenures[0].reason == t.EndReason.RESTORED
        assert not lock.holders and not lock.waiters

        session = stock.open_session(ttl_ms=60_000, name="new")
        tried = stock.acquire(session, path="/jobs/a", waitMs=0)
        assert tried.status == t.AcquireStatus.NOT_GRANTED
        shown = run(None, "lock", "describe", "/jobs/a", "--servers", node.address)
        assert "closed by the hold after a restore for another" in shown.stdout

        sequence = 77
        granted = eventually(lambda: granted_to(stock, session, sequence), within=30)
        assert time.monotonic() - began > told["hold_ms"] / 1000 * 0.99, "the hold was kept"
        assert granted.token > RAISE + max(old.token, old.late_token)
        assert not stock.describeLock(path="/jobs/a").lock.restoreHold
    eventually(lambda: alarms(node) == [], within=10, what="no alarm any more")


def granted_to(stock, session, sequence):
    """The grant of an acquire that is repeated until it comes."""
    result = stock.acquire(session, sequence, path="/jobs/a", waitMs=NEVER)
    return result if result.status == t.AcquireStatus.GRANTED else None


def test_a_file_becomes_a_new_cluster(old, node):
    told, began = restored(old.file, node, "--restore_hold=1s")
    assert told["hold_ms"] == TTL_MS, "the largest TTL in the file is longer"
    assert told["sessions_ended"] == 2
    assert told["first_revision"] > RAISE
    check_new_cluster(old, node, told, began)
    first = node.status()
    node.signal(signal.SIGTERM)
    assert node.process.wait(20) == 0
    started(node)
    again = node.status()
    assert again.header.clusterId == first.header.clusterId
    assert again.appliedIndex >= first.appliedIndex
    assert again.sessions == 1, "the end of the sessions is not applied again"


def test_what_it_says_is_to_be_started_serves_the_new_cluster(old, node):
    """The command line that it prints, with the flags that the hint below it leaves to the user."""
    done = restore(old.file, node)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    made = re.match(r".*: node 1 is the one member of the new cluster (\d+), made from ", lines[0])
    (at,) = [i for i, line in enumerate(lines) if line.startswith("start it:  ")]
    name, *flags = shlex.split(lines[at].removeprefix("start it:"))
    assert name == "holdfastd"
    assert [flag.partition("=")[0] for flag in flags] == ["--node_id", "--data_dir",
                                                          "--client_address", "--peer_address"]
    hint = " ".join(lines[at + 1:])
    assert "--admin_address and --http_address if they are not to be" in hint
    assert "127.0.0.1:7413 and :7414" in hint
    assert "--insecure if an address is beyond loopback" in hint
    assert "as the user who made the directory" in hint and "without --initial_cluster" in hint
    assert "doing this twice makes two clusters" in hint
    defaults = subprocess.run([str(program("holdfastd")), "--help"], check=True, text=True,
                              capture_output=True).stdout
    assert "--admin_address=127.0.0.1:7413\n" in defaults
    assert "--http_address=127.0.0.1:7414\n" in defaults
    node.start([*flags, *TIMING])  # of a flag that is given twice the later one counts
    eventually(node.ready, within=20, what="a restored server")
    assert node.status().header.clusterId == int(made.group(1))


def test_the_hold_that_is_asked_for_is_kept_and_may_be_ended(old, node):
    told, _ = restored(old.file, node, "--restore_hold=90s")
    assert told["hold_ms"] == 90_000
    with Stock(node.address) as stock:
        session = stock.open_session(ttl_ms=60_000)
        first = stock.acquire(session, 1, path="/jobs/a", waitMs=0)
        assert first.status == t.AcquireStatus.NOT_GRANTED
        longer = run(None, "settings", f"restore_hold_until_ms={2 ** 50}", "--admin",
                     node.admin_address)
        assert longer.returncode == 65 and "it can only be lowered" in longer.stderr
        ended = run(None, "settings", "restore_hold_until_ms=1", "--admin", node.admin_address)
        assert ended.returncode == 0, "a moment long past"
        assert "only fencing tokens protect" in ended.stderr
        eventually(lambda: granted_to(stock, session, 77), within=10)
    assert alarms(node) == []
    again = run(None, "settings", "restore_hold_until_ms=0", "--admin", node.admin_address)
    assert again.returncode == 0 and not again.stderr, "nothing is held any more"


def test_the_one_server_that_is_left_becomes_a_new_cluster(old, node, tmp_path):
    node.node_id = 2
    into = tmp_path / "data"
    before = sorted(p.name for p in old.data.iterdir())
    done = run(None, "recover", "--force-new-cluster", f"--data_dir={old.data}", "--node_id=2",
               f"--into={into}", "--restore_hold=5s", "--yes", "--json", *addresses(node))
    assert done.returncode == 0, done.stderr
    assert f"node 2 of cluster {old.cluster_id}: " in done.stderr
    assert "Nobody can tell what of the log behind the snapshot, " in done.stderr
    told = json.loads(done.stdout)
    began = started(node)
    check_new_cluster(old, node, told, began)
    with Stock(node.address) as stock:
        tenures = stock.describeLock(path="/jobs/b").lock.tenures
        assert [x.reason for x in tenures] == [t.EndReason.RESTORED], "what came after the backup"
    assert sorted(p.name for p in old.data.iterdir()) == before
    assert run(None, "log", "verify", str(old.data)).returncode == 0


UNUSABLE = {"not empty": (64, "must be empty, but notes is there; nothing was changed"),
            "a file": (64, "is no directory, or its parent is none"),
            "no parent": (64, "cannot be made: create its parent"),
            "not writable": (73, "Permission denied")}


def unusable(folder, how):
    """A place where no directory can be made, or that is none to use."""
    place = folder / "place"
    place.mkdir()
    if how == "not empty":
        (place / "notes").write_text("mine")
    if how == "a file":
        (folder / "file").write_text("mine")
        return folder / "file"
    if how == "no parent":
        return place / "absent" / "new"
    return place / "new" if how == "not writable" else place


def as_nobody():
    """Root may write everywhere."""
    if os.geteuid() == 0:
        os.setuid(65534)


@pytest.mark.parametrize("how", UNUSABLE)
def test_a_new_directory_that_cannot_be_used_is_refused_before_all_work(how):
    code, said = UNUSABLE[how]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        place = unusable(folder, how)
        for parent in (folder / "place", folder):
            parent.chmod(0o555)
        before = sorted(folder.rglob("*"))
        # Neither the file nor the old directory is there: whoever looks at them first says so.
        for words in (["recover", "--force-new-cluster", f"--data_dir={folder}/old",
                       f"--into={place}", "--node_id=2", "--yes"],
                      ["snapshot", "restore", f"{folder}/saved.db", f"--data_dir={place}",
                       "--node_id=2"]):
            done = subprocess.run([str(program("holdfast")), *words], timeout=30, text=True,
                                  capture_output=True, preexec_fn=as_nobody, check=False)
            assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
            assert said in done.stderr and str(place) in done.stderr
        assert sorted(folder.rglob("*")) == before
        for parent in (folder, folder / "place"):
            parent.chmod(0o755)


def test_a_recovery_that_is_not_confirmed_does_nothing(old, tmp_path):
    into = tmp_path / "new"
    words = [str(program("holdfast")), "recover", "--force-new-cluster", "--node_id=2",
             f"--data_dir={old.data}", f"--into={into}"]
    for typed, code in (("", 65), ("yes\n", 65), (f"{old.cluster_id}\n", 0)):
        assert not into.exists()
        done = subprocess.run(words, input=typed, capture_output=True, text=True, check=False,
                              timeout=30)
        assert done.returncode == code, done.stderr
        assert f"Type the old cluster's id, {old.cluster_id}, to go on" in done.stderr
    assert into.exists()


def test_a_recovery_is_refused_while_a_server_runs_there(old):
    done = old.refused_while_running
    assert done.returncode == 64
    assert "is in use" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("words, said", [
    (["--node_id=3"], "belongs to node 2, this is node 3"),
    (["--node_id=0"], "--node_id"),
    (["--node_id=1001"], "must be a number from 1 to 1000"),
    ([], "--node_id is needed"),
    (["--node_id=2", "--restore_hold=8000h"], "is longer than 168h"),
    (["--node_id=2", "--restore_hold=soon"], 'holdfast: --restore_hold is "soon", not a duration'),
    (["--node_id=2", "--client_address=nowhere"], "--client_address"),
    (["--node_id=2", "--peer_address=host:0"], "names no port"),
    (["--node_id=2", "--client_address=0.0.0.0:7411"], "names no host that others could dial"),
    (["--node_id=2", "--peer_address=[::]:7412"], "names no host that others could dial"),
], ids=str)
def test_what_recover_cannot_do_is_said_in_one_line(old, tmp_path, words, said):
    into = tmp_path / "new"
    done = run(None, "recover", "--force-new-cluster", f"--data_dir={old.data}",
               f"--into={into}", "--yes", *words)
    assert done.returncode == 64
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not into.exists()


def test_recover_wants_its_flag_and_a_servers_directory(old, tmp_path):
    done = run(None, "recover", f"--data_dir={old.data}", "--node_id=2", "--yes")
    assert done.returncode == 64 and "--force-new-cluster" in done.stderr
    done = run(None, "recover", "--force-new-cluster", f"--data_dir={tmp_path}", "--node_id=2")
    assert done.returncode == 64 and "is no data directory of a server" in done.stderr
    assert list(tmp_path.iterdir()) == []


def spoil(file, sql):
    """Change it, and leave nothing beside it."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(sql)


@pytest.mark.parametrize("how, code", [
    (lambda file: os.truncate(file, file.stat().st_size - 4096), 1),
    (lambda file: spoil(file, "UPDATE key_rows SET value = x'3131' WHERE name = 'limit'"), 1),
    (lambda file: spoil(file, "PRAGMA user_version = 7"), 65),
    (pathlib.Path.unlink, 64),
], ids=["cut", "altered", "newer", "gone"])
def test_a_file_that_is_not_sound_is_refused_before_anything_is_written(old, node, tmp_path, how,
                                                                       code):
    file = pathlib.Path(shutil.copy(old.file, tmp_path / "copy.db"))
    how(file)
    done = restore(file, node)
    assert done.returncode == code, done.stderr
    assert str(file) in done.stderr and done.stderr.count("\n") == 1
    assert not (node.folder / "data").exists()


def test_a_directory_that_is_not_empty_is_left_as_it_is(old, node):
    data = node.folder / "data"
    data.mkdir()
    (data / "notes").write_text("mine")
    done = restore(old.file, node)
    assert done.returncode == 64
    assert "must be empty, but notes is there; nothing was changed" in done.stderr
    assert [p.name for p in data.iterdir()] == ["notes"]


def test_the_directory_of_a_running_server_is_left_as_it_is(old, node):
    restored(old.file, node)
    before = node.status().header.clusterId
    done = restore(old.file, node)
    assert done.returncode == 64 and "must be empty" in done.stderr
    assert node.status().header.clusterId == before


def test_from_a_directory_that_is_not_whole_no_server_starts(old, node):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    data = node.folder / "data"
    done = subprocess.run([str(program("holdfast")), "snapshot", "restore", str(old.file),
                           f"--data_dir={data}", "--node_id=1", *addresses(node)],
                          preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 73
    assert f"no server starts from {data}, which is not whole: remove it" in done.stderr
    node.start(TIMING)
    assert node.process.wait(20) == 5
    assert "as after a restore or a recovery that was cut short" in node.log()
    shutil.rmtree(data)
    restored(old.file, node)


def test_two_servers_of_one_file_are_two_clusters_and_neither_takes_the_other_in(old, node,
                                                                                tmp_path):
    (tmp_path / "second").mkdir()
    second = Node(2, tmp_path / "second", free_ports(8)[4:])
    both = (f"--initial_cluster=1=127.0.0.1:{node.peer_port},2=127.0.0.1:{second.peer_port}",)
    told = [json.loads(restore(old.file, each, "--json").stdout) for each in (node, second)]
    assert told[0]["cluster_id"] != told[1]["cluster_id"]
    try:
        for each, other in ((node, 2), (second, 1)):
            each.start([*TIMING, *both])
            assert each.process.wait(20) == 4
            cluster = told[each.node_id - 1]["cluster_id"]
            assert f"cluster {cluster}" in each.log() and str(other) in each.log()
            assert "after a restore or recover leave --initial_cluster out" in each.log()
            assert "empty directory" not in each.log(), "what would be lost is the new cluster"
    finally:
        second.kill()


class Successor:
    """One server with a lock's holder, which is lost and restored at the same addresses."""

    def __init__(self, folder):
        self.node = Node(1, folder, free_ports(4))
        self.file = folder / "saved.db"

    def __enter__(self):
        self.node.start(TIMING)
        eventually(self.node.ready, within=20)
        return self

    def __exit__(self, *unused):
        self.node.kill()

    def replace(self):
        """By one that was restored from what it has."""
        done = run(None, "snapshot", "save", str(self.file), "--admin", self.node.admin_address)
        assert done.returncode == 0, done.stderr
        self.node.kill()
        shutil.rmtree(self.node.folder / "data")
        restored(self.file, self.node)


def test_a_client_that_sees_another_cluster_ends_its_locks_at_once(tmp_path):
    with Successor(tmp_path) as old:
        lost = []
        with holdfast.Client([old.node.address]) as client:
            session = client.session(ttl=300, name="long")
            lock = session.lock("/held", on_lost=lambda lock, reason: lost.append(reason))
            lock.acquire()
            old.replace()
            eventually(lambda: lost, within=30, what="the end of the lock, long before its TTL")
            with pytest.raises(holdfast.LockLost):
                lock.check()


def test_a_command_under_a_lock_is_stopped_when_another_cluster_answers(tmp_path):
    with Successor(tmp_path) as old:
        process = subprocess.Popen(
            [str(program("holdfast")), "lock", "/held", "--ttl", "300s", "--servers",
             old.node.address, "--", "sleep", "600"], stderr=subprocess.PIPE, text=True)
        try:
            with Stock(old.node.address) as stock:
                eventually(lambda: stock.describeLock(path="/held").lock.holders)
            old.replace()
            _, said = process.communicate(timeout=60)
            assert process.returncode == 76, said
        finally:
            process.kill()
            process.wait()


def test_a_watch_that_another_cluster_answers_is_shown_what_is_there(tmp_path):
    with Successor(tmp_path) as old:
        with holdfast.Client([old.node.address]) as client:
            last = client.put("/w", "1").revision
        process = subprocess.Popen(
            [str(program("holdfast")), "watch", "/w", "--since", "0", "--values", "--json",
             "--count", "3", "--servers", old.node.address], stdout=subprocess.PIPE, text=True)
        too_late = threading.Timer(90, process.kill)  # a line that never comes ends the lines
        too_late.start()
        try:
            lines = (json.loads(line) for line in process.stdout)
            assert [next(lines)["type"], next(lines)["revision"]] == ["began", last]
            old.replace()
            ended, resync, there = next(lines), next(lines), next(lines)
            with holdfast.Client([old.node.address]) as client:
                changed = client.put("/w", "2").revision
            after = next(lines)
            assert process.wait(30) == 0
        finally:
            too_late.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
    assert (ended["type"], resync["type"], resync["entries"]) == ("session_ended", "resync", 1)
    assert (there["type"], there["value"], there["version"]) == ("present", "1", 1)
    assert there["revision"] == resync["revision"] > RAISE
    assert (after["type"], after["value"], after["revision"]) == ("changed", "2", changed)


def test_a_restored_server_at_another_address_is_told_so(old, node):
    told = restore(old.file, node, "--json", peer_port=1)
    assert told.returncode == 0, told.stderr
    started(node)
    eventually(lambda: "ADDRESS_MISMATCH" in alarms(node), within=10, what="the alarm")
    (message,) = [a.message for a in node.status().alarms if a.name == "ADDRESS_MISMATCH"]
    assert f"127.0.0.1:{node.peer_port}" in message and "127.0.0.1:1," in message
