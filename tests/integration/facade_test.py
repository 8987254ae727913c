"""The Python client over real servers: what its guide promises."""

import pathlib
import threading

import pytest
from holdfast_api.holdfast import ttypes as t
from support.command import run
from support.waiting import eventually
from support.watching import polled_by

import holdfast


@pytest.fixture
def client(cluster):
    """A client of the shared cluster."""
    with holdfast.Client(cluster.seeds) as made:
        yield made


@pytest.fixture
def session(client):
    """A session."""
    return client.session(ttl=10, name="tester")


def in_thread(function):
    """A started thread."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_the_guide_s_first_example(cluster):
    with holdfast.Client(cluster.seeds[:1]) as c, c.session(ttl=10, name="billing-7") as s, \
            s.lock("/jobs/nightly", value="10.0.0.7") as lock:
        assert c.check_token("/jobs/nightly", lock.token)
        lock.check()
        assert 0 < lock.remaining() <= 10
        info = c.describe("/jobs/nightly")
        assert (info.holder.session_name, info.holder.value) == ("billing-7", b"10.0.0.7")
        assert set(c.servers) == set(cluster.seeds)
    with holdfast.Client(cluster.seeds) as c:
        after = c.describe("/jobs/nightly")
        assert not after.holders and after.tenures[0].token == lock.token
        assert after.tenures[0].reason == "RELEASED"


def test_a_lock_is_handed_on_with_a_greater_token(client, session):
    tokens = []

    def work():
        with client.session(ttl=10).lock("/handed") as lock:
            tokens.append(lock.token)

    with session.lock("/handed") as lock:
        threads = [in_thread(work) for _ in range(6)]
        eventually(lambda: client.describe("/handed").waiter_count == 6)
        tokens.append(lock.token)
    for thread in threads:
        thread.join(20)
    assert tokens == sorted(set(tokens)) and len(tokens) == 7


def test_a_full_queue_says_how_many_may_wait(client, session):
    with session.lock("/queued"):
        waiter = in_thread(client.session(ttl=10).lock("/queued").acquire)
        eventually(lambda: client.describe("/queued").waiter_count == 1)
        last = client.session(ttl=10)
        for lock in (last.lock("/queued", max_queue=1), last.locks(["/queued", "/b"], max_queue=1)):
            with pytest.raises(holdfast.QueueFull, match="full: max_queue=1, and so many wait"):
                lock.acquire()
    waiter.join(20)


def test_try_and_timeout_name_the_holder_and_leave_no_place(client, session):
    other = client.session(ttl=10, name="billing-7")
    with other.lock("/busy"):
        with pytest.raises(holdfast.NotGranted, match="/busy is not free: held by billing-7"):
            session.lock("/busy", timeout=0).acquire()
        with pytest.raises(holdfast.LockTimeout, match="0.3 s: held by billing-7"):
            session.lock("/busy", timeout=0.3).acquire()
        assert client.describe("/busy").waiters == ()
    assert session.lock("/busy").try_acquire()


def test_semaphores_and_shared_locks(client, session):
    with session.semaphore("/pool", 2), session.semaphore("/pool", 2):
        assert not client.session(ttl=10).semaphore("/pool", 2).try_acquire()
        with pytest.raises(holdfast.BadArgument, match="cannot be a semaphore of 3"):
            session.semaphore("/pool", 3, timeout=0).acquire()
    with session.lock("/read", shared=True), client.session(ttl=10).lock("/read", shared=True):
        assert not session.lock("/read").try_acquire()


def test_several_locks_together(client, session):
    with session.locks(["/m/a", "/m/b"]) as both:
        assert client.check_token("/m/a", both.token) and client.check_token("/m/b", both.token)
        assert not client.session(ttl=10).lock("/m/b").try_acquire()
    assert not client.check_token("/m/a", both.token)
    assert [lock.path for lock in client.locks("/m/")] == []


def test_an_election_moves_on_when_the_leader_resigns(client, session):
    second = client.session(ttl=10, name="second")
    elected = []

    def stand():
        with second.election("/svc").campaign("b:2") as leadership:
            elected.append(leadership.token)
            eventually(lambda: len(elected) == 2)

    with session.election("/svc").campaign("a:1") as first:
        thread = in_thread(stand)
        eventually(lambda: client.describe("/svc").waiters)
        assert client.election("/svc").leader().text == "a:1"
        first.publish("a:2")
        assert client.election("/svc").leader().text == "a:2"
    leader = eventually(lambda: client.election("/svc").leader())
    assert leader.text == "b:2" and leader.token > first.token
    elected.append("done")
    thread.join(10)


def test_a_handover_to_a_chosen_waiter(client, session):
    handles = {}

    def wait(name):
        handles[name] = client.session(ttl=10, name=name).lock("/chosen").acquire()

    held = session.lock("/chosen").acquire()
    threads = [in_thread(lambda name=name: wait(name)) for name in ("x", "y")]
    waiters = eventually(lambda: len(w := client.describe("/chosen").waiters) == 2 and w)
    last = waiters[-1]
    held.handover(to=last)
    eventually(lambda: last.session_name in handles)
    handles[last.session_name].release()
    for thread in threads:
        thread.join(10)
    assert len(handles) == 2


def test_a_revocation_with_notice_reaches_the_holder_and_ends_it_in_time(client, session):
    notices, losses = [], []
    lock = session.lock("/revoked", on_revoke=lambda _, n: notices.append(n),
                        on_lost=lambda _, reason: losses.append(reason)).acquire()
    waiting = client.session(ttl=10).lock("/revoked")
    thread = in_thread(waiting.acquire)
    eventually(lambda: client.describe("/revoked").waiters)
    assert client.revoke("/revoked", notice=1.0, reason="maintenance").holders == 1
    eventually(lambda: notices)
    assert lock.notice.reason == "maintenance" and lock.remaining() <= 1.0
    eventually(lambda: losses)
    assert "maintenance" in losses[0]
    assert not lock.held
    thread.join(15)
    assert waiting.held and waiting.token > lock.token
    assert session.alive


def test_a_holder_that_releases_under_notice_loses_nothing(client, session):
    with session.lock("/wound-down") as lock:
        client.revoke("/wound-down", notice=30, reason="please")
        eventually(lambda: lock.notice)
    assert client.describe("/wound-down").tenures[0].reason == "RELEASED"


def test_a_forced_expiry_is_told_at_once(cluster, client):
    ends, losses = [], []
    session = client.session(ttl=10, name="victim", on_expired=ends.append)
    lock = session.lock("/victim", on_lost=lambda _, reason: losses.append(reason)).acquire()
    with pytest.raises(holdfast.LockLost):
        with session.lock("/victim2") as second:
            client.admin(cluster.nodes[1].admin_address).expire_session(
                session.id, force=True, reason="test")
            eventually(lambda: not second.held, within=10)
    eventually(lambda: ends and losses)
    with pytest.raises(holdfast.SessionExpired):
        session.lock("/more").acquire()


def test_a_session_s_end_with_notice_is_told_to_all_its_locks(cluster, client):
    notices, losses, ends = [], [], []
    session = client.session(ttl=10, name="drained", on_expired=ends.append)
    locks = [session.lock(path, on_revoke=lambda _, n: notices.append(n),
                          on_lost=lambda _, reason: losses.append(reason)).acquire()
             for path in ("/drain/a", "/drain/b")]
    client.admin(cluster.nodes[1].admin_address).expire_session(
        session.id, notice=1.0, reason="drain")
    eventually(lambda: len(notices) == 2)
    assert all(0 < lock.remaining() <= 1.0 for lock in locks)
    eventually(lambda: len(losses) == 2)
    assert all("drain" in reason for reason in losses)
    eventually(lambda: ends, within=15)
    assert client.describe("/drain/a").tenures[0].reason in ("SESSION_REVOKED", "RELEASED")


def test_the_administration_answers(cluster, client, session):
    admin = client.admin(cluster.nodes[2].admin_address)
    status = admin.status()
    assert status.node_id == 2 and status.leader_id in cluster.nodes
    assert status.voters == (1, 2, 3) and len(status.state_digest) == 32
    assert [m.node_id for m in admin.members()] == [1, 2, 3]
    assert "tester" in [s.name for s in admin.sessions() if s.session_id == session.id]
    settings = admin.settings()
    name, setting = next(iter(settings.items()))
    assert setting.smallest <= setting.value <= setting.largest and setting.help
    with pytest.raises(holdfast.HoldfastError, match=name):
        admin.settings({name: setting.largest + 1})


def test_a_feature_level_is_raised_and_none_that_a_member_lacks(cluster, client):
    admin = client.admin(cluster.leader().admin_address)
    known = max(member.feature_level for member in admin.members())
    with pytest.raises(holdfast.HoldfastError, match=rf"\b{known + 1}\b"):
        admin.raise_level(known + 1)
    assert admin.raise_level(known) == known == admin.raise_level(1)


def test_a_server_is_rebuilt_and_a_sound_one_only_by_force(own, tmp_path):
    node = own.followers()[0]
    with holdfast.Client(own.seeds) as client:
        client.put("/kept", "1")
        saved = run(None, "snapshot", "save", str(tmp_path / "saved.db"), "--admin",
                    node.admin_address)
        assert saved.returncode == 0, saved.stderr  # it has a database now
        admin = client.admin(node.admin_address)
        with pytest.raises(holdfast.BadArgument, match="not quarantined.* if force is set"):
            admin.rebuild()
        kept = admin.rebuild(own.leader().node_id, force=True)
        assert str(node.folder) in kept
        eventually(lambda: pathlib.Path(kept).exists(), within=30)
        own.wait_ready([node])
        assert client.get("/kept").text == "1"


def test_the_administration_says_who_watches_what(cluster, client):
    # Its poll has seconds to spare before it moves, and leaves watches behind.
    session = client.session(ttl=60, name="tester")

    def seen():
        admin = client.admin(polled_by(cluster, session).admin_address)
        return [w for w in admin.watches() if w.path == "/seen" and w.session_id == session.id]

    with session, session.watch("/seen", scope="children", space="locks", values=True,
                                kinds=[holdfast.EventKind.GRANTED]), session.watch("/seen"):
        found = eventually(lambda: len(all_of := seen()) == 2 and all_of)
        few, all_kinds = sorted(found, key=lambda w: w.kinds is None)
        assert few.kinds == (holdfast.EventKind.GRANTED,) and all_kinds.kinds is None
        assert (few.scope, few.space, few.values) == ("children", "locks", True)
        assert (all_kinds.scope, all_kinds.space, all_kinds.values) == ("node", "keys", False)
        assert few.session_name == "tester" and few.watch_id != all_kinds.watch_id
        eventually(lambda: not any(w.behind or w.resyncing for w in seen()))


def test_leadership_can_be_transferred_under_a_held_lock(cluster, client, session):
    with session.lock("/transfer") as lock:
        old = cluster.leader()
        target = next(n for n in cluster.nodes.values() if n is not old)
        assert client.admin(old.admin_address).transfer_leadership(target.node_id) \
            == target.node_id
        lock.set_value("still here")
        lock.check()
        assert client.check_token("/transfer", lock.token)


def test_bad_input_is_refused_with_the_value_and_the_session_goes_on(client, session):
    for path in ("jobs", "/a//b", "/" + "x" * 2000):
        with pytest.raises(holdfast.BadArgument):
            session.lock(path, timeout=0).acquire()
    with pytest.raises(holdfast.BadArgument, match="10"):
        client.session(ttl=0.01)
    with session.lock("/fine"):
        pass


def test_a_stock_waiter_and_ours_stand_in_one_queue(cluster, client, session, dial):
    stock = dial(cluster.nodes[3])
    theirs = stock.open_session(ttl_ms=30_000, name="stock")
    held = stock.acquire(theirs, path="/mixed", waitMs=0)
    waiting = session.lock("/mixed")
    thread = in_thread(waiting.acquire)
    eventually(lambda: client.describe("/mixed").waiters)
    stock.release(theirs, path="/mixed", holderId=held.holderId)
    thread.join(10)
    assert waiting.held
    assert stock.acquire(theirs, path="/mixed", waitMs=0).status == t.AcquireStatus.NOT_GRANTED
