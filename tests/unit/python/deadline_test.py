"""The client knows first: handles end at their deadline, whatever the network does."""

import multiprocessing
import os
import threading
import time

import pytest
from holdfast_api.holdfast import ttypes as t
from support.fake_model import DRIFT, boot
from support.waiting import eventually

import holdfast
from holdfast import _core, _keeper
from holdfast import lock as lock_module


class Losses:
    """Collects on_lost calls with the time."""

    def __init__(self):
        self.seen = []

    def __call__(self, lock, reason):
        self.seen.append((boot(), lock, reason))


@pytest.fixture
def short(client):
    """A session of 2 s."""
    return client.session(ttl=2, name="short")


def black_hole(cluster, on=True):
    for server in cluster.servers:
        (server.black_hole.set if on else server.black_hole.clear)()


def test_renewals_keep_a_lock_beyond_its_ttl(client, cluster):
    session = client.session(ttl=1)
    lock = session.lock("/a").acquire()
    until = boot() + 1.5
    eventually(lambda: boot() > until, within=5)
    lock.check()
    assert cluster.model.sessions[session.id].ttl == 1


def test_a_lease_counts_from_when_the_poll_was_sent(client, cluster, monkeypatch):
    session = client.session(ttl=1)
    server_side = cluster.model.sessions[session.id]
    core = session._core
    renewed, parked = core.renewed, []

    def watched(sent, lease_ms, revocations):
        # The next poll has not left yet: the model's last renewal is the one that is answered.
        assert sent <= server_side.renewed_at
        if boot() - sent > server_side.ttl / 8:
            parked.append(sent)
        return renewed(sent, lease_ms, revocations)

    monkeypatch.setattr(core, "renewed", watched)
    lock = session.lock("/a").acquire()
    eventually(lambda: len(parked) >= 3, within=10, what="polls that were parked")
    assert boot() + lock.remaining() <= server_side.renewed_at + server_side.ttl * DRIFT


@pytest.fixture
def stopped_clock(monkeypatch):
    """Stops the client's clock, which shows then what ``now[0]`` says."""
    now = []

    def stop():
        now.append(boot())
        for module in (_core, _keeper, lock_module):
            monkeypatch.setattr(module, "boot", lambda: now[0])
        return now
    return stop


def test_on_lost_is_called_in_time_when_every_packet_is_lost(cluster, short, stopped_clock,
                                                             monkeypatch):
    losses = Losses()
    lock = short.lock("/a", on_lost=losses).acquire()
    black_hole(cluster)
    server_side = cluster.model.sessions[short.id]
    now, core, waits = stopped_clock(), short._core, []
    wait = core.changed.wait

    def watched(seconds=None):
        if lock._holding.live:
            waits.append((seconds, lock._holding.deadline - now[0]))
        return wait(seconds)

    monkeypatch.setattr(core.changed, "wait", watched)

    def at_the_deadline():  # a reply that had come before may still put it off
        with core.mutex:
            now[0] = max(now[0], lock._holding.deadline - 0.125)
        return waits and waits[-1][1] <= 0.125

    eventually(at_the_deadline, within=5)
    assert lock.held and not losses.seen
    assert all(seconds <= left for seconds, left in waits), "it does not wake at the deadline"

    def past_it():
        with core.mutex:
            now[0] = max(now[0], lock._holding.deadline)
        return losses.seen

    eventually(past_it, within=5)
    _, told, reason = losses.seen[0]
    # Before the servers may give it away; the model counts from the renewal's arrival.
    assert now[0] < server_side.renewed_at + server_side.ttl
    assert told is lock and "local deadline" in reason
    with pytest.raises(holdfast.LockLost, match="/a .*local deadline"):
        lock.check()
    assert lock.remaining() == 0.0
    assert short.alive
    black_hole(cluster, False)


def test_a_renewal_that_is_read_after_the_deadline_does_not_revive_the_lock(cluster, short,
                                                                            monkeypatch):
    losses = Losses()
    lock = short.lock("/a", on_lost=losses).acquire()
    core, renewed = short._core, short._core.renewed

    def late(sent, lease_ms, revocations):
        # The process was stopped, and of its threads it is the poller that goes on first.
        with core.mutex:
            lock._holding.deadline = boot() - 0.001
        monkeypatch.setattr(core, "renewed", renewed)
        assert not lock.held
        return renewed(sent, lease_ms, revocations)

    monkeypatch.setattr(core, "renewed", late)
    eventually(lambda: losses.seen, within=3)
    assert not lock.held
    eventually(lambda: not cluster.model.held, what="the release")


def test_a_handle_past_its_deadline_is_not_held_before_any_thread_has_noticed(short):
    lock = short.lock("/a").acquire()
    with short._core.mutex:
        lock._holding.deadline = boot() - 0.001
        assert lock._holding.live, "nobody has noticed"
        assert not lock.held
        assert lock.remaining() == 0.0
    with pytest.raises(holdfast.LockLost, match="local deadline"):
        lock.check()


def test_a_lost_lock_is_released_when_a_server_can_be_reached_again(cluster, short):
    losses = Losses()
    short.lock("/a", on_lost=losses).acquire()
    black_hole(cluster)
    eventually(lambda: losses.seen, within=5)
    assert cluster.model.held
    black_hole(cluster, False)
    eventually(lambda: not cluster.model.held, what="the release")
    assert short.alive
    assert short.lock("/a").acquire().held  # a handle granted later works under the new lease


def test_exit_raises_what_was_lost_during_the_body(cluster, short):
    with pytest.raises(holdfast.LockLost, match="/a"):
        with short.lock("/a") as lock:
            black_hole(cluster)
            eventually(lambda: not lock.held, within=5)
            black_hole(cluster, False)


def test_exit_does_not_hide_the_body_s_own_exception(cluster, short):
    with pytest.raises(KeyError):
        with short.lock("/a") as lock:
            black_hole(cluster)
            eventually(lambda: not lock.held, within=5)
            black_hole(cluster, False)
            raise KeyError("body")


def test_a_release_that_no_server_hears_returns_at_the_deadline_and_is_repeated(cluster, short):
    lock = short.lock("/a").acquire()
    for server in cluster.servers:
        server.stop()
    began = boot()
    lock.release()
    assert boot() - began < 2.5
    for server in cluster.servers:
        server.start()
    eventually(lambda: not cluster.model.held, what="the release in the background")


def test_on_lost_that_blocks_delays_no_other(cluster, short):
    gate, losses = threading.Event(), Losses()
    short.lock("/a", on_lost=lambda lock, reason: gate.wait(30)).acquire()
    short.lock("/b", on_lost=losses).acquire()
    black_hole(cluster)
    eventually(lambda: losses.seen, within=5)
    gate.set()
    black_hole(cluster, False)


def test_an_expired_session_ends_everything_at_once(cluster, client):
    ends, losses = [], Losses()
    # With the first answer to a poll, and when one is late, locks are asked for: this one would be
    # found gone before a poll says why.
    session = client.session(ttl=60, on_expired=ends.append)
    eventually(lambda: [name for name, _, _ in cluster.model.calls].count("poll") >= 2, within=3)
    lock = session.lock("/a", on_lost=losses).acquire()
    with cluster.model.mutex:
        cluster.model.end_session(session.id)
    eventually(lambda: ends and losses.seen, within=3)
    assert not session.alive
    with pytest.raises(holdfast.LockLost, match="has ended"):
        lock.check()
    with pytest.raises(holdfast.SessionExpired):
        session.lock("/b").acquire()


def test_a_waiting_acquire_wakes_when_the_session_expires(cluster, client, session):
    session.lock("/a").acquire()
    other = client.session(ttl=4)
    raised = []

    def wait():
        try:
            other.lock("/a").acquire()
        except holdfast.HoldfastError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: cluster.model.queue)
    with cluster.model.mutex:
        cluster.model.end_session(other.id)
    thread.join(5)
    assert isinstance(raised[0], holdfast.SessionExpired)


def test_a_session_s_exit_tells_that_it_expired(cluster, client):
    with pytest.raises(holdfast.SessionExpired):
        with client.session(ttl=4) as session:
            with cluster.model.mutex:
                cluster.model.end_session(session.id)
            eventually(lambda: not session.alive)


def test_another_cluster_id_ends_all_handles_at_once(cluster, session):
    losses = Losses()
    lock = session.lock("/a", on_lost=losses).acquire()
    with cluster.model.mutex:
        cluster.model.cluster_id = 4712
    eventually(lambda: losses.seen, within=3)
    assert "cluster 4711 is now cluster 4712" in losses.seen[0][2]
    assert not lock.held


def test_a_revocation_with_notice_ends_the_handle_it_names_after_its_time(client, session):
    losses, notices = Losses(), []
    named = session.lock("/a", on_lost=losses,
                         on_revoke=lambda lock, notice: notices.append(notice)).acquire()
    other = session.lock("/b").acquire()
    began = boot()
    assert client.revoke("/a", notice=0.5, reason="maintenance").holders == 1
    eventually(lambda: notices, within=5)
    assert (notices[0].notice, notices[0].reason) == (0.5, "maintenance")
    assert named.notice == notices[0]
    eventually(lambda: losses.seen, within=5)
    assert 0.4 < losses.seen[0][0] - began < 3.0
    assert "maintenance" in losses.seen[0][2]
    other.check()
    assert session.alive


def test_a_notice_is_acknowledged(cluster, client, session):
    session.lock("/a").acquire()
    notice = client.revoke("/a", notice=30)
    eventually(lambda: notice.notice_id
               in cluster.model.sessions[session.id].acknowledged_notices, within=3)


def test_a_lock_released_under_notice_is_not_lost(client, session):
    with session.lock("/a") as lock:
        client.revoke("/a", notice=30)
        eventually(lambda: lock.notice, within=3)
        lock.check()


def test_a_forced_revocation_is_told_as_a_loss(client, session):
    losses = Losses()
    # The first answer to a poll has every lock that is held asked about: that might be told first.
    eventually(lambda: session._core.moves, what="an answer to the first poll")
    lock = session.lock("/a", on_lost=losses).acquire()
    client.revoke("/a", force=True)
    eventually(lambda: losses.seen, within=3)
    assert "REVOKED" in losses.seen[0][2]
    with pytest.raises(holdfast.LockLost):
        lock.release()


def test_the_loss_of_one_of_several_locks_ends_the_handle(cluster, session):
    losses = Losses()
    both = session.locks(["/a", "/b"], on_lost=losses).acquire()
    with cluster.model.mutex:
        cluster.model.sessions[session.id].losses.append(
            t.LossNotice("/b", both.holder_id, both.token, t.EndReason.REVOKED))
        cluster.model.changed.notify_all()
    eventually(lambda: losses.seen, within=3)
    eventually(lambda: not cluster.model.held, what="the release of the other one")


def test_a_session_goes_on_when_its_poll_s_server_dies(cluster, client):
    session = client.session(ttl=2)
    lock = session.lock("/a").acquire()
    for server in cluster.servers[:2]:
        server.stop()
    until = boot() + 2.5
    eventually(lambda: boot() > until, within=5)
    lock.check()


def test_a_frozen_server_costs_no_lock(cluster, client):
    session = client.session(ttl=4)
    lock = session.lock("/a").acquire()
    cluster.leader.black_hole.set()
    until = boot() + 4.5
    eventually(lambda: boot() > until, within=8)
    lock.check()


def _in_child(session, lock, client, connections, pipe):
    said = ["a connection is open" for connection in connections if connection.is_open()]
    for use in (lambda: session.lock("/b").acquire(), lock.check, lock.release,
                lambda: client.describe("/a"), session.close, client.close):
        try:
            use()
            said.append("nothing")
        except Exception as error:  # noqa: BLE001
            said.append(type(error).__name__)
    pipe.send((said, session.alive))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_and_disturbs_nobody(cluster, client):
    session = client.session(ttl=2)
    lock = session.lock("/a").acquire()
    calls = len(cluster.model.calls)
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_in_child, args=(session, lock, client, list(client._router._open), there))
    child.start()
    assert here.poll(10)
    said, alive = here.recv()
    child.join(10)
    assert said == ["ForkedError"] * 6 and not alive
    # The parent's own: with the first answer to a poll, and when one is late, it asks for its lock.
    assert {name for name, _, _ in cluster.model.calls[calls:]} <= {"poll", "checkToken"}
    until = boot() + 2.2
    eventually(lambda: boot() > until, within=5)
    lock.check()
    with session.lock("/b"):
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_inside_the_bodies_leaves_quietly_when_its_body_raises(client):
    read, write = os.pipe()
    pid = 0
    try:
        with client.session(ttl=4) as session, session.lock("/a") as lock:
            pid = os.fork()
            if pid == 0:
                raise ZeroDivisionError
            os.waitpid(pid, 0)
            lock.check()
    except ZeroDivisionError:
        os.write(write, b"quiet")
        os._exit(0)
    except BaseException as error:
        if pid != 0:
            raise
        os.write(write, type(error).__name__.encode())
        os._exit(1)
    os.close(write)
    assert os.read(read, 100) == b"quiet"
    os.close(read)


def test_closing_takes_little_time_when_no_server_answers(cluster, client):
    session = client.session(ttl=4)
    for server in cluster.servers:
        server.stop()
    began = time.monotonic()
    session.close(timeout=0.2)
    assert time.monotonic() - began < 1
    assert not session.alive


def test_no_thread_is_left_by_a_closed_client(cluster):
    def ours():
        return {t for t in threading.enumerate() if t.name.startswith("holdfast-")}

    before = ours()
    with holdfast.Client(cluster.seeds) as c, c.session(ttl=4) as s, s.lock("/a"):
        assert ours() - before
    eventually(lambda: not ours() - before, within=5)
