"""`holdfast snapshot save` from real servers."""

import contextlib
import json
import os
import pathlib
import pty
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time

import pytest
from chaos.shim_control import Shim
from holdfast_api.admin import ttypes as admin
from holdfast_api.holdfast import ttypes as t
from support.cluster import Cluster
from support.command import run
from support.paths import program
from support.stock import Stock
from support.waiting import eventually

SLOW = ("--snapshot_send_mib_s=1",)
VALUE = 100_000


@pytest.fixture(scope="module")
def slow():
    """Three servers that send a MiB of their snapshot a second, and hold a few."""
    with Cluster(3, flags=SLOW) as cluster:
        with Stock(cluster.leader().address) as stock:
            for number in range(40):
                stock.put(path=f"/k{number}", value=os.urandom(VALUE))
        yield cluster


@pytest.fixture
def file(tmp_path):
    """Where the snapshot goes."""
    return tmp_path / "saved.db"


class Saving:
    """A running `holdfast snapshot save`."""

    def __init__(self, file, nodes, *words, **options):
        environment = dict(os.environ, HOLDFAST_ADMIN=",".join(n.admin_address for n in nodes))
        self.part = pathlib.Path(f"{file}.part")
        self.said = b""
        self.process = subprocess.Popen(
            [str(program("holdfast")), "snapshot", "save", str(file), *words], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()

    def begun(self):
        """Until something has arrived, and not all."""
        eventually(lambda: self.part.exists() and self.part.stat().st_size > 0, within=20)
        assert self.process.poll() is None
        return self

    def told(self):
        """What it has said so far; of that end() knows nothing."""
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self.process.stderr.fileno(), False)
            self.said += os.read(self.process.stderr.fileno(), 65536)
        os.set_blocking(self.process.stderr.fileno(), True)
        return self.said

    def end(self):
        """Its exit code and what it said."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def nothing_left(file):
    """No file, and no beginning of one."""
    assert os.listdir(file.parent) == []


def verified(file):
    """What `show` says of a file that is sound."""
    done = run(None, "snapshot", "show", str(file), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_save_holds_what_was_committed_before_it_while_writing_goes_on(cluster, file):
    stop = threading.Event()
    last = {}

    def write():
        with Stock(cluster.leader().address) as stock:
            while not stop.is_set():
                last["revision"] = stock.put(path="/config/limit", value=b"10",
                                             makeParents=True).header.revision

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: "revision" in last)
        for round_ in range(3):
            before = last["revision"]
            done = run(cluster, "snapshot", "save", str(file), "--json",
                       *(["--force"] if round_ else []))
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["revision"] >= before
    finally:
        stop.set()
        writer.join()
    told = verified(file)
    assert told["keys"] == 2 and len(told["members"]) == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["saved.db"]
    with contextlib.closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as database:
        assert database.execute("SELECT path, value FROM keys ORDER BY path").fetchall()[1] == (
            "/config/limit", "10")


def test_a_save_of_a_follower_has_what_the_leader_has_acknowledged(cluster, file):
    with Stock(cluster.leader().address) as stock:
        written = stock.put(path="/a", value=b"1").header.revision
    follower = cluster.followers()[0]
    done = run(cluster, "snapshot", "save", str(file), "--json", nodes=[follower])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["revision"] >= written and told["node_id"] == follower.node_id
    assert 'audit: snapshotPiece copy=' in follower.log()
    assert follower.log().count("audit: snapshotPiece") == 1


def test_an_existing_file_is_kept_unless_forced(cluster, file):
    file.write_bytes(b"precious")
    done = run(cluster, "snapshot", "save", str(file))
    assert done.returncode == 73
    assert "is there already; --force replaces it" in done.stderr
    assert file.read_bytes() == b"precious"
    assert run(cluster, "snapshot", "save", str(file), "--force").returncode == 0
    verified(file)


def test_what_cannot_be_a_file_is_refused(cluster, tmp_path):
    done = run(cluster, "snapshot", "save", str(tmp_path), "--force")
    assert done.returncode == 73 and "no regular file" in done.stderr
    done = run(cluster, "snapshot", "save", str(tmp_path / "absent" / "saved.db"))
    assert done.returncode == 73 and "No such file or directory" in done.stderr
    assert run(cluster, "snapshot", "save").returncode == 64


def test_without_a_leader_only_a_local_save_is_given(cluster, file):
    last = cluster.followers()[0]
    for node in cluster.nodes.values():
        if node is not last:
            node.kill()
    eventually(lambda: last.status().leaderId == 0, within=20, what="a server without a leader")
    done = run(cluster, "snapshot", "save", str(file), "--timeout", "2s", nodes=[last])
    assert done.returncode == 69 and "[NO_LEADER]" in done.stderr
    nothing_left(file)
    done = run(cluster, "snapshot", "save", str(file), "--local", "--json", nodes=[last])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["revision"] == last.status().appliedIndex


def test_a_server_that_does_not_answer_is_passed_over(slow, file):
    one, two, _ = slow.nodes.values()
    one.signal(signal.SIGSTOP)
    try:
        done = run(slow, "snapshot", "save", str(file), "--timeout", "6s", nodes=[one, two],
                   timeout=60)
    finally:
        one.signal(signal.SIGCONT)
    assert done.returncode == 0, done.stderr
    assert f"beginning anew with {two.admin_address}" in done.stderr
    assert verified(file)["node_id"] == two.node_id


def test_progress_is_a_line_a_second(slow, file):
    with Saving(file, [slow.nodes[1]]) as saving:
        code, out, err = saving.end()
    assert code == 0, err
    lines = err.splitlines()
    assert 1 <= len(lines) <= 20
    assert all(" MiB of " in line or "waiting until" in line for line in lines)
    assert "saved and verified: the state of cluster" in out


def test_progress_is_a_bar_on_a_terminal(slow, file):
    terminal, end = pty.openpty()
    command = [str(program("holdfast")), "snapshot", "save", str(file), "--admin",
               slow.nodes[1].admin_address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while True:
                shown += os.read(terminal, 4096)
        os.close(terminal)
    assert process.returncode == 0
    assert re.search(rb"\r\[#+\.+\] +\d+%  \d\.\d MiB of \d\.\d MiB", shown), shown
    assert shown.endswith(b"\n")


def test_a_full_target_leaves_nothing(slow, file):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with Saving(file, [slow.nodes[1]], preexec_fn=limit) as saving:
        code, out, err = saving.end()
    assert code == 73 and out == ""
    assert "saved.db.part" in err.splitlines()[-1] and "File too large" in err
    nothing_left(file)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_leaves_nothing(slow, file, number):
    with Saving(file, [slow.nodes[1]]) as saving:
        saving.begun().process.send_signal(number)
        code, out, err = saving.end()
    assert code == 128 + number and out == ""
    assert "was not written" in err.splitlines()[-1]
    nothing_left(file)


def test_a_lost_server_is_followed_by_another_from_the_beginning(slow, file):
    one, two, _ = slow.nodes.values()
    with Saving(file, [one, two], "--timeout", "4s") as saving:
        saving.begun()
        one.kill()
        code, _, err = saving.end()
    slow.start_all()
    assert code == 0, err
    assert f"{one.admin_address}: " in err and f"beginning anew with {two.admin_address}" in err
    assert verified(file)["node_id"] == two.node_id


def test_a_server_that_comes_back_begins_with_another_copy(slow, file):
    node = slow.nodes[3]
    with Saving(file, [node], "--timeout", "20s") as saving:
        saving.begun()
        node.kill()
        slow.start(node)
        code, _, err = saving.end()
    assert code == 0, err
    assert verified(file)["keys"] == 40


def test_one_that_loads_its_state_when_it_comes_back_is_waited_for(slow, file):
    node = slow.nodes[3]
    with Saving(file, [node], "--timeout", "30s") as saving:
        saving.begun()
        node.kill()
        shim = Shim(node.folder / "control", node.folder / "data" / "group-1" / "snapshot")
        shim.set(read_delay_us=3_000)
        slow.start_with(node, environment=shim.environment)
        eventually(lambda: b"loads its state" in saving.told(), within=60, what="it is told so")
        assert saving.process.poll() is None
        shim.heal()
        code, _, err = saving.end()
    assert code == 0, err
    assert verified(file)["keys"] == 40


def test_nobody_has_to_read_how_far_it_is(slow, file):
    with Saving(file, [slow.nodes[1]]) as saving:
        saving.begun().process.stderr.close()
        assert saving.process.wait(60) == 0
    verified(file)
    assert os.listdir(file.parent) == ["saved.db"]


def test_the_only_server_lost_for_good_leaves_nothing(slow, file):
    node = slow.nodes[3]
    file.write_bytes(b"precious")
    with Saving(file, [node], "--timeout", "2s", "--force") as saving:
        saving.begun()
        node.kill()
        code, out, err = saving.end()
    slow.start_all()
    assert code == 69 and out == ""
    assert node.admin_address in err.splitlines()[-1]
    assert os.listdir(file.parent) == ["saved.db"] and file.read_bytes() == b"precious"


def test_servers_that_say_nothing_are_given_up_when_the_time_is_over(file):
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    admins = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in silent)
    began = time.monotonic()
    done = run(None, "snapshot", "save", str(file), "--admin", admins, "--timeout", "2s")
    took = time.monotonic() - began
    for each in silent:
        each.close()
    assert done.returncode == 69 and "no answer within 1000 ms" in done.stderr, done.stderr
    assert 1.9 < took < 4.5, took
    nothing_left(file)


def test_the_stock_client_takes_a_piece(slow):
    node = slow.nodes[2]
    with Stock(node.admin_address, service="admin") as stock:
        first = stock.snapshotPiece(maxWaitMs=30_000)
        assert first.copy > 0 and first.offset == 0 and len(first.data) == 262_144
        assert first.data.startswith(b"SQLite format 3\0")
        assert first.bytes > 40 * VALUE and first.term > 0
        again = stock.snapshotPiece(copy=first.copy, offset=262_144, maxWaitMs=30_000)
        assert (again.copy, again.offset, again.sum) == (first.copy, 262_144, first.sum)
        other = stock.snapshotPiece(copy=first.copy + 1, offset=262_144, maxWaitMs=30_000,
                                    consistency=t.Consistency.LOCAL)
        assert other.offset == 0
        for fields in ({"offset": 5}, {"offset": -262_144}, {"maxWaitMs": 60_001},
                       {"copy": first.copy, "offset": 1 << 40}, {"consistency": 9}):
            with pytest.raises(t.HoldfastError) as refusal:
                stock.call("snapshotPiece", None, **{"maxWaitMs": 1_000, **fields})
            assert refusal.value.code in (t.ErrorCode.BAD_ARGUMENT, t.ErrorCode.UNSUPPORTED)
        assert isinstance(other, admin.SnapshotPieceResult)


# Writes as fast as they go would come to 128 MiB of log before a span is written; with so much
# waiting for it, a server writes its snapshot as fast as the disk allows.
BETWEEN_WRITES_S = 0.02


@pytest.fixture
def unhurried():
    """Three servers that write a MiB of their snapshot a second, one of which is written to."""
    with Cluster(3, flags=("--snapshot_write_mib_s=1",)) as cluster:
        ends, filled = threading.Event(), threading.Event()

        def write():
            with Stock(cluster.leader().address) as stock:
                number = 0
                while not ends.is_set():
                    number += 1
                    stock.put(path=f"/k{number % 30}", value=os.urandom(VALUE))
                    if number >= 30:
                        filled.set()
                        ends.wait(BETWEEN_WRITES_S)

        thread = threading.Thread(target=write)
        thread.start()
        assert filled.wait(30)
        yield cluster
        ends.set()
        thread.join()


def test_writes_that_never_rest_hold_no_save_up(unhurried, file):
    with Saving(file, [unhurried.leader()]) as saving:
        code, _, err = saving.end()
    assert code == 0, err
    assert "has made a copy" in err, "each span took less than a call"
