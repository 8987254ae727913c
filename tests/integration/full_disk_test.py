"""Full disks of real servers: each server's data is on a small file system of its own.

The file systems are mounted in a mount namespace of the test's process: they end with it however it
ends.
"""

import ctypes
import errno
import os
import subprocess
import threading
import time

import pytest
from chaos.shim_control import Shim
from holdfast_api.holdfast import ttypes as t
from loading_test import page, slowly, write
from thrift.transport.TTransport import TTransportException
from support.cluster import Cluster, free_ports
from support.command import run
from support.paths import program
from support.stock import Stock
from support.waiting import eventually

import holdfast

CLONE_NEWNS = 0x00020000
DISK_MIB = 24
MIN_FREE_MIB = 2
LEFT_FREE = MIN_FREE_MIB << 20
BLOCK_BYTES = 4096
#: Small enough for the disks, and snapshots so often that the log is cut.
FLAGS = ("--segment_bytes=1048576", "--reserve_mib=2", f"--min_free_mib={MIN_FREE_MIB}",
         "--snapshot_log_bytes=1048576", "--snapshot_interval_s=1")
WITHIN = 20.0
DISK_FULL = 6


def private_mounts():
    """Mounts of this process's own from here on."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class SmallDisks(Cluster):
    """Three servers with a small disk each."""

    def __init__(self, flags=FLAGS):
        super().__init__(3, flags)
        for node in self.nodes.values():
            data = node.folder / "data"
            data.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "holdfast-test",
                            str(data)], check=True)

    def fill(self, node):
        """Leave no block free, whatever the server takes meanwhile."""
        size, at = DISK_MIB << 20, 0
        with open(node.folder / "data" / "filler", "wb") as file:
            while size >= BLOCK_BYTES:
                try:
                    os.posix_fallocate(file.fileno(), at, size)
                    at += size
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        eventually(lambda: state(node) == "full", within=WITHIN, what="a full disk")
        assert f"node {node.node_id}: " in alarm(node, "NO_SPACE")
        assert " free, " in alarm(node, "NO_SPACE")

    def empty(self, node):
        """Give the room back."""
        (node.folder / "data" / "filler").unlink()
        eventually(lambda: state(node) in ("ok", "low"), within=WITHIN, what="room")
        assert alarm(node, "NO_SPACE") is None

    def stop(self):
        for node in self.nodes.values():
            node.kill()
            subprocess.run(["umount", str(node.folder / "data")], check=False)
        super().stop()


@pytest.fixture(scope="module", autouse=True)
def namespace():
    """Before anything is mounted."""
    private_mounts()


def settle(disks):
    """Until the reserve of every server is whole."""
    for node in disks.nodes.values():
        eventually(lambda n=node: state(n) in ("ok", "low"), within=WITHIN, what="a disk state")
        eventually(lambda n=node: n.status().disk.reserveBytes >= 2 << 20, within=WITHIN,
                   what="the reserve")


@pytest.fixture
def disks():
    """Three servers whose disks are settled."""
    with SmallDisks() as started:
        settle(started)
        yield started


@pytest.fixture
def small_segments():
    """The same with segments of which many are written between two looks at the disk."""
    with SmallDisks((*FLAGS, "--segment_bytes=65536")) as started:
        settle(started)
        yield started


def test_a_first_start_that_finds_no_room_names_the_flags_that_say_how_much(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "holdfast-test", str(data)],
                   check=True)
    addresses = [f"--{name}_address=127.0.0.1:{port}"
                 for name, port in zip(("client", "peer", "admin", "http"), free_ports(4))]
    ended = subprocess.run([str(program("holdfastd")), f"--data_dir={data}", *addresses],
                           capture_output=True, text=True, timeout=30, check=False)
    subprocess.run(["umount", str(data)], check=True)
    assert ended.returncode == DISK_FULL, ended.stderr
    said = ended.stderr.splitlines()[-1]
    assert "No space left on device" in said, said
    assert "--reserve_segments=" in said, said
    assert "--segment_bytes=16777216): make room, or" in said, said


def alarm(node, name):
    """The sentence of an alarm, or nothing."""
    status = node.status()
    assert status is not None, node.log()[-2000:]
    return next((a.message for a in status.alarms if a.name == name), None)


def state(node):
    """What it says of its disk."""
    status = node.status()
    return status.disk.state if status else None


def applied(node):
    """How far it is; it may just put another server's state in force, and answer nobody."""
    status = node.status()
    return status.appliedIndex if status else 0


def refused(call):
    """The call is refused for want of room, for sure not applied, and may be tried again."""
    with pytest.raises(t.HoldfastError) as info:
        call()
    error = info.value
    assert error.codeName == "NO_SPACE", error.message
    assert error.applied == t.Applied.NO and error.retryable and error.retryAfterMs > 0
    return error


class Renewing:
    """Renews a session four times a second until the block ends; says if that ever failed."""

    def __init__(self, node, session):
        self._node, self._session = node, session
        self._over = threading.Event()
        self.failures = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._over.set()
        self._thread.join()

    def _run(self):
        with Stock(self._node.address) as stock:
            while not self._over.wait(0.25):
                try:
                    reply = stock.keepAlive(self._session, sequence=0)
                    if reply.leaseMs <= 0:
                        self.failures.append(reply)
                except t.HoldfastError as error:
                    self.failures.append(error)


class Writing:
    """Writes without a pause, on connections of its own, until the block ends. A server that takes
    over another's state, because the log went on without it, closes its connections.
    """

    def __init__(self, nodes, value_bytes):
        self._value = bytes(value_bytes)
        self._over = threading.Event()
        self.codes = set()
        self.done = 0
        self._threads = [threading.Thread(target=self._run, args=(node, number), daemon=True)
                         for number, node in enumerate(nodes)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, node, number):
        while not self._over.is_set():
            try:
                self._write(node, f"/w{number}")
            except TTransportException:
                self._over.wait(0.1)

    def _write(self, node, path):
        with Stock(node.address) as stock:
            while not self._over.is_set():
                try:
                    stock.put(path=path, value=self._value)
                    self.done += 1
                except t.HoldfastError as error:
                    self.codes.add(error.codeName)


def test_a_disk_that_fills_up_between_two_looks_ends_no_server(small_segments, dial):
    nodes = list(small_segments.nodes.values())
    stock = dial(small_segments.leader())
    session = stock.open_session(ttl_ms=300_000)  # nothing renews it
    held = stock.acquire(session, path="/held", waitMs=0)
    with Writing(nodes * 3, 20_000) as writing:
        eventually(lambda: writing.done > 200, within=WITHIN, what="writes")
        assert not writing.codes, "segments that are not ready yet are no want of space"
        for each in nodes:
            small_segments.fill(each)
        eventually(lambda: "NO_SPACE" in writing.codes, within=WITHIN, what="a refusal")
        assert all(node.running for node in nodes), [n.log()[-1000:] for n in nodes]
        stock = dial(small_segments.leader())
        stock.release(session, path="/held", holderId=held.holderId)
        assert not stock.describeLock(path="/held").lock.holders
        for each in nodes:
            small_segments.empty(each)
        before = writing.done
        eventually(lambda: writing.done > before + 200, within=WITHIN, what="writes again")
    assert all(node.running for node in nodes), [n.log()[-1000:] for n in nodes]


def test_a_full_follower_does_not_stop_the_cluster(disks, dial):
    follower = disks.followers()[0]
    disks.fill(follower)
    stock = dial(disks.leader())
    # More than twice what the follower's log has room for.
    for number in range(150):
        assert within(3, lambda n=number: stock.put(path=f"/k{n % 20}", value=bytes(50_000)))
    assert follower.running, follower.log()[-2000:]
    assert disks.leader() is not follower
    disks.empty(follower)
    last = stock.put(path="/last", value=b"x").header.revision
    eventually(lambda: applied(follower) >= last, within=WITHIN,
               what="the follower's return")


def test_a_watch_goes_on_elsewhere_when_the_disk_of_the_server_that_is_polled_is_full(
        disks, dial, monkeypatch):
    """It knows what the leader has applied when it renews, and answers when it has come to it."""
    full, stock = disks.followers()[0], dial(disks.leader())
    with holdfast.Client(disks.seeds) as client:
        monkeypatch.setattr(client._router, "candidates", lambda: [full.address])
        with client.session(ttl=16) as session:
            watch, lock = session.watch("/w", values=True), session.lock("/l").acquire()
            eventually(lambda: session._keeper.poller._answered_by == full.address)
            monkeypatch.undo()
            disks.fill(full)
            answered = session._keeper.poller._polls
            eventually(lambda: session._keeper.poller._polls > answered + 1, within=WITHIN,
                       what="an answer to a poll that began on the full disk")
            assert session._keeper.poller._answered_by == full.address
            for number in range(150):  # more than its log has room for
                assert within(3, lambda n=number: stock.put(path=f"/k{n % 20}",
                                                            value=bytes(50_000)))
            last = session.put("/w", "x").revision
            assert watch.get(timeout=WITHIN).revision == last
            assert applied(full) < last
            lock.check()


def free_bytes(node):
    """Of its disk."""
    found = os.statvfs(node.folder / "data")
    return found.f_bavail * found.f_frsize


def takes_the_log(disks, follower, within_s):
    """The follower comes near the leader's end within that time. Who leads may change."""
    def near():
        said = [each.status() for each in disks.nodes.values() if each is not follower]
        return any(one.lastIndex - p.matchIndex < 50
                   for one in said for p in one.progress if p.nodeId == follower.node_id)

    try:
        return eventually(near, within=within_s)
    except AssertionError:
        return False


def test_the_log_of_one_that_loads_its_state_leaves_free_what_is_to_stay_free(dial):
    """It cannot cut it meanwhile. The others keep enough of theirs for it to come behind."""
    with SmallDisks((*FLAGS, "--snapshot_log_bytes=8388608")) as disks:
        settle(disks)
        leader, follower = disks.leader(), disks.followers()[0]
        stock = dial(leader)
        write(stock, follower, keys=5_000)
        follower.process.terminate()
        assert follower.process.wait(30) == 0
        shim = slowly(follower)
        disks.start_with(follower, environment=shim.environment)
        eventually(lambda: "votes meanwhile" in page(follower, "/ready"), within=WITHIN,
                   what="it votes")
        least = begun = free_bytes(follower)
        written = 0
        # As long as it has room, only a change of the leader keeps it from taking more.
        while takes_the_log(disks, follower, 1.5 if least < 2 * LEFT_FREE else WITHIN):
            written += 1
            assert within(3, lambda: stock.put(path=f"/large{written % 20}", value=bytes(50_000)))
            least = min(least, free_bytes(follower))
        assert "votes meanwhile" in page(follower, "/ready")
        least = min(least, free_bytes(follower))
        assert begun > 2 * LEFT_FREE > least, "it has taken of the log what it has room for"
        assert least >= LEFT_FREE, f"{least} bytes were left free"
        shim.heal()
        last = stock.put(path="/last", value=b"x").header.revision
        eventually(lambda: applied(follower) >= last, within=WITHIN, what="the follower's return")


def test_a_full_disk_is_in_the_log_when_it_comes_and_when_it_goes(disks):
    follower = disks.followers()[0]
    disks.fill(follower)
    said = f"alarm NO_SPACE: node {follower.node_id}: "
    ended = f"alarm NO_SPACE of node {follower.node_id} has ended"
    eventually(lambda: said in follower.log(), within=WITHIN, what="the line of its begin")
    assert ended not in follower.log()
    disks.empty(follower)
    eventually(lambda: ended in follower.log(), within=WITHIN, what="the line of its end")
    assert follower.log().count(said) == follower.log().count(ended) == 1
    others = [n for n in disks.nodes.values() if n is not follower]
    assert not any("NO_SPACE" in n.log() for n in others)


def test_a_server_that_stops_says_what_its_snapshot_had_no_room_for(dial):
    with Cluster(1) as servers:
        alone = servers.leader()
        alone.process.terminate()
        assert alone.process.wait(30) == 0
        assert "the snapshot has not taken" not in alone.log()
        shim = Shim(alone.folder / "control", alone.folder / "data" / "group-1" / "snapshot")
        servers.start_with(alone, environment=shim.environment)
        servers.wait_ready([alone])
        dial(alone).put(path="/key", value=b"1")
        shim.set(write_errno=errno.ENOSPC)
        alone.process.terminate()
        assert alone.process.wait(30) == 0
        assert "the snapshot has not taken the last " in alone.log()


def test_a_full_server_gives_no_snapshot_and_says_why(disks, dial, tmp_path):
    """It is the answer at once; nobody waits for room while another server may have some."""
    follower = disks.followers()[0]
    dial(disks.leader()).put(path="/a", value=b"1")
    disks.fill(follower)
    file = tmp_path / "saved.db"
    done = run(None, "snapshot", "save", str(file), "--admin", follower.admin_address)
    assert done.returncode == 69, done.stderr
    assert "[NO_SPACE]" in done.stderr and str(follower.folder / "data") in done.stderr, done.stderr
    assert not file.exists()
    other = next(n for n in disks.nodes.values() if n is not follower)
    both = f"{follower.admin_address},{other.admin_address}"
    done = run(None, "snapshot", "save", str(file), "--admin", both)
    assert done.returncode == 0, done.stderr


def test_a_full_leader_hands_over_and_does_not_come_back(disks, dial):
    full = disks.leader()
    stock = dial(full)
    session = stock.open_session(ttl_ms=300_000)
    disks.fill(full)
    eventually(lambda: disks.leader() is not full, within=WITHIN, what="another leader")
    # Through the full server: it sends on what it cannot take itself.
    stock.put(path="/a", value=b"1")
    stock.acquire(session, path="/lock", waitMs=0)
    assert disks.leader() is not full
    assert full.running
    disks.empty(full)


def test_while_all_are_full_only_what_frees_is_done(disks, dial):
    node = disks.leader()
    stock = dial(node)
    keeper = stock.open_session(ttl_ms=4_000, name="keeper")
    dead = stock.open_session(ttl_ms=2_000, name="dead")
    held = stock.acquire(keeper, path="/held", waitMs=0)
    stock.acquire(dead, path="/of-the-dead", waitMs=0)
    stock.put(path="/key", value=b"1")
    with Renewing(node, keeper) as renewing:
        for each in disks.nodes.values():
            disks.fill(each)
        error = refused(lambda: stock.put(path="/key", value=b"2"))
        assert "free" in error.message, error.message
        refused(lambda: stock.acquire(keeper, path="/other", waitMs=0))
        refused(lambda: stock.open_session(ttl_ms=4_000))
        follower = next(n for n in disks.nodes.values() if n is not disks.leader())
        refused(lambda: dial(follower).put(path="/key", value=b"3"))
        for words in (("put", "/key", "4"), ("lock", "/other", "--wait", "2s", "--", "true")):
            done = run(disks, *words, "--timeout", "2s")
            assert done.returncode == 69 and "[NO_SPACE]" in done.stderr, done.stderr
            assert "only what frees or keeps alive is done" in done.stderr, done.stderr
        # Reads, removes, releases and expiries go on.
        assert stock.get(path="/key").key.value == b"1"
        eventually(lambda: not stock.describeLock(path="/of-the-dead").lock.holders,
                   within=WITHIN, what="the expiry of the dead session")
        assert stock.describeLock(path="/held").lock.holders
        stock.remove(path="/key")
        assert not stock.get(path="/key").found
        stock.release(keeper, path="/held", holderId=held.holderId)
        assert not stock.describeLock(path="/held").lock.holders
        for each in disks.nodes.values():
            disks.empty(each)
        eventually(lambda: put_again(stock), within=WITHIN, what="writes again")
        stock.acquire(keeper, path="/other", waitMs=0)
    assert not renewing.failures


def fill_with_keys(stock):
    """Write until the disks are full of keys and of nothing else: how many there are."""
    written = 0
    for written in range(1000):
        if within(3, lambda n=written: stock.put(path=f"/full{n}", value=bytes(50_000))) is None:
            break
    assert 20 < written < 999
    return written


def remove_what_filled(disks, stock, written):
    """Writes are taken again and every disk has room, without anybody else's help."""
    for number in range(written):
        assert within(3, lambda n=number: stock.remove(path=f"/full{n}"))
    eventually(lambda: put_again(stock), within=WITHIN, what="writes again")
    for each in disks.nodes.values():
        eventually(lambda n=each: state(n) in ("ok", "low"), within=WITHIN, what="room")


def test_disks_that_are_full_of_keys_have_room_again_when_those_are_removed(disks, dial):
    stock = dial(disks.leader())
    written = fill_with_keys(stock)
    stock = dial(disks.leader())
    remove_what_filled(disks, stock, written)
    # As much fits as before, again and again.
    again = fill_with_keys(stock)
    assert again > written / 2
    assert all(node.running for node in disks.nodes.values())


def test_servers_full_of_keys_have_room_after_a_restart_when_those_are_removed(disks, dial):
    written = fill_with_keys(dial(disks.leader()))
    disks.kill_all()
    disks.start_all()
    stock = dial(disks.leader())
    remove_what_filled(disks, stock, written)


def answer_of(call):
    """A call that may be refused for want of room, as long as nobody has found the room, and while
    a full leader hands over: its answer, or nothing.
    """
    try:
        return call()
    except t.HoldfastError as error:
        assert error.codeName in ("NO_SPACE", "OVERLOADED", "NO_LEADER"), error.message
        assert error.applied == t.Applied.NO, error.message
        return None


def within(seconds, call):
    """As a client does it, which tries again: for a moment the reserve may have to grow first."""
    until = time.monotonic() + seconds
    answer = answer_of(call)
    while answer is None and time.monotonic() < until:
        time.sleep(0.2)
        answer = answer_of(call)
    return answer


def put_again(stock):
    """A write that a full disk refuses."""
    return answer_of(lambda: stock.put(path="/again", value=b"1"))


def test_a_server_starts_and_votes_on_a_full_disk(disks, dial):
    for each in disks.nodes.values():
        disks.fill(each)
    disks.kill_all()
    disks.start_all()
    stock = dial(disks.leader())
    eventually(lambda: state(disks.leader()) == "full", within=WITHIN, what="a full disk")
    refused(lambda: stock.put(path="/key", value=b"2"))
    for each in disks.nodes.values():
        disks.empty(each)
    eventually(lambda: put_again(stock), within=WITHIN, what="writes again")
