"""What a program sees of locks when nothing goes wrong, or somebody else has the lock."""

import threading

import pytest
from support.fake_model import refusal
from support.fake_server import Fault
from support.waiting import eventually

import holdfast


def test_the_shortest_program_gets_a_token_that_checks(cluster):
    with holdfast.Client(cluster.seeds) as c, c.session(ttl=10) as s, s.lock("/jobs/x") as lock:
        assert c.check_token("/jobs/x", lock.token)
        assert lock.held and 0 < lock.remaining() <= 10
        lock.check()
    assert not cluster.model.held
    assert not cluster.model.sessions


def test_a_released_lock_is_no_longer_held(client, session):
    lock = session.lock("/a").acquire()
    lock.release()
    assert lock.remaining() == 0.0 and not lock.held
    with pytest.raises(holdfast.NotHeld):
        lock.check()
    lock.release()
    assert client.describe("/a").holders == ()


def test_a_lock_never_acquired_has_no_token(session):
    lock = session.lock("/a")
    with pytest.raises(holdfast.NotHeld, match="/a was not acquired"):
        lock.token  # noqa: B018
    with pytest.raises(holdfast.NotHeld):
        lock.check()


def test_a_handle_is_not_reentrant_and_can_be_acquired_again(session):
    lock = session.lock("/a").acquire()
    first = lock.token
    with pytest.raises(holdfast.LockError, match="not reentrant"):
        lock.acquire()
    lock.release()
    assert lock.acquire().token > first


def test_two_handles_of_one_session_exclude_each_other(session):
    with session.lock("/a"):
        assert not session.lock("/a").try_acquire()


def test_a_try_names_the_holder(client, session):
    other = client.session(ttl=4, name="billing-7")
    with other.lock("/a") as held:
        with pytest.raises(holdfast.NotGranted,
                           match=rf"/a is not free: held by billing-7 \(token {held.token}\)") as e:
            session.lock("/a", timeout=0).acquire()
        assert e.value.holders[0].session_name == "billing-7"
    assert not isinstance(e.value, holdfast.LockTimeout)


def test_a_timeout_leaves_no_place_behind_and_names_the_holder(cluster, client, session):
    with client.session(ttl=4, name="billing-7").lock("/a"):
        with pytest.raises(holdfast.LockTimeout, match="within 0.2 s: held by billing-7"):
            session.lock("/a", timeout=0.2).acquire()
        assert cluster.model.queue == []
        assert issubclass(holdfast.LockTimeout, TimeoutError)


def test_a_waiter_is_granted_when_the_holder_releases(cluster, client, session):
    held = client.session(ttl=4).lock("/a").acquire()
    waiting = session.lock("/a")
    thread = threading.Thread(target=waiting.acquire)
    thread.start()
    eventually(lambda: cluster.model.queue, what="a place in the queue")
    held.release()
    thread.join(5)
    assert waiting.held and waiting.token > held.token


def test_shared_holders_share_and_keep_an_exclusive_one_out(session):
    with session.lock("/a", shared=True), session.lock("/a", shared=True):
        assert not session.lock("/a").try_acquire()
    assert session.lock("/a").try_acquire()


def test_a_semaphore_has_its_permits_and_no_more(session):
    with session.semaphore("/pool", 3, permits=2), session.semaphore("/pool", 3):
        assert not session.semaphore("/pool", 3).try_acquire()
    assert session.semaphore("/pool", 3, permits=3).try_acquire()


def test_locks_are_taken_together_or_not_at_all(client, session):
    with session.lock("/b"):
        with pytest.raises(holdfast.LockTimeout):
            session.locks(["/a", "/b"], timeout=0.1).acquire()
        assert client.describe("/a").holders == ()
    with session.locks(["/a", holdfast.Wanted("/b", shared=True)]) as both:
        assert both.paths == ("/a", "/b")
        assert client.check_token("/a", both.token) and client.check_token("/b", both.token)
    assert client.describe("/b").holders == ()


def test_a_value_is_published_and_replaced(client, session):
    with session.lock("/a", value="one", owner="main") as lock:
        assert client.describe("/a").holder.value == b"one"
        assert client.describe("/a").holder.owner == "main"
        lock.set_value(b"two")
        assert client.describe("/a").holder.value == b"two" == lock.value


def test_a_value_of_locks_that_were_taken_together_is_replaced_at_each(client, session):
    with session.locks(["/a", "/b"], value="one") as both:
        both.set_value("two")
        assert [client.describe(path).holder.text for path in both.paths] == ["two", "two"]


def test_a_handover_goes_to_the_chosen_waiter(cluster, client, session):
    held = session.lock("/a").acquire()
    handles = [client.session(ttl=4, name=f"w{n}").lock("/a") for n in range(2)]
    threads = [threading.Thread(target=h.acquire) for h in handles]
    for at, thread in enumerate(threads, 1):
        thread.start()
        eventually(lambda at=at: len(cluster.model.queue) == at)
    chosen = next(w for w in client.describe("/a").waiters if w.session_name == "w1")
    held.handover(to=chosen)
    threads[1].join(5)
    assert handles[1].held and not held.held
    with pytest.raises(holdfast.NotHeld):
        held.check()
    handles[1].release()
    threads[0].join(5)


def test_a_handover_to_nobody_keeps_the_lock(session):
    with session.lock("/a") as lock:
        with pytest.raises(holdfast.TargetGone, match="999"):
            lock.handover(to=999)
        lock.check()


def test_a_handover_names_a_waiter(cluster, session):
    with session.lock("/a") as lock:
        with pytest.raises(ValueError, match="to is 0"):
            lock.handover(to=0)
        lock.check()
        assert not cluster.sent("release")


def queued(cluster, client, path):
    """Another session's handle that waits, its thread, and its holder id."""
    heir = client.session(ttl=4, name="heir").lock(path)
    thread = threading.Thread(target=heir.acquire)
    thread.start()
    eventually(lambda: cluster.model.queue, what="a place in the queue")
    return heir, thread, cluster.model.queue[0].holder_id


def test_a_lock_that_is_being_handed_over_is_not_held_by_two(cluster, client, session):
    held = session.lock("/a").acquire()
    heir, waiting, target = queued(cluster, client, "/a")
    cluster.fault("release", Fault(delay=1.0))  # done, but the answer is long on its way
    giving = threading.Thread(target=held.handover, args=(target,))
    giving.start()
    eventually(lambda: heir.held)
    assert giving.is_alive() and not held.held
    with pytest.raises(holdfast.NotHeld, match="handed over"):
        held.check()
    for thread in (giving, waiting):
        thread.join(5)


@pytest.mark.parametrize("gone", [False, True])
def test_a_handover_that_was_interrupted_comes_to_its_end(cluster, client, session, monkeypatch,
                                                          gone):
    losses = []
    held = session.lock("/a", on_lost=lambda lock, reason: losses.append(reason)).acquire()
    heir, waiting, target = queued(cluster, client, "/a")
    command = session._core.command

    def interrupted(method, *args, **limits):
        monkeypatch.undo()
        command(method, *args, **limits)
        raise KeyboardInterrupt

    monkeypatch.setattr(session._core, "command", interrupted)
    with pytest.raises(KeyboardInterrupt):
        held.handover(to=999 if gone else target)
    if gone:  # it is kept, which is learned in the background
        eventually(lambda: held.held)
        held.release()
    waiting.join(5)
    eventually(lambda: heir.held and held._holding.released)
    assert not held.held and not losses


def test_a_value_that_is_set_while_the_lock_is_given_back_loses_nothing(cluster, session):
    losses = []
    lock = session.lock("/a", on_lost=lambda lock, reason: losses.append(reason)).acquire()
    refused, raised = threading.Event(), []
    cluster.fault("setHolderValue", Fault(then=refused.set, before=refusal(
        "NO_SPACE", retryable=True, retry_after_ms=300)))

    def publish():
        try:
            lock.set_value("late")
        except holdfast.LockError as error:
            raised.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    assert refused.wait(5)
    lock.release()
    thread.join(5)
    assert isinstance(raised[0], holdfast.NotHeld) and not losses


def test_a_handover_to_one_who_could_not_hold_it_keeps_the_lock(cluster, client, session):
    both = client.session(ttl=4, name="both").locks(["/a", "/b"])
    with session.lock("/a") as lock:
        thread = threading.Thread(target=both.acquire)
        thread.start()
        eventually(lambda: cluster.model.queue)
        target = cluster.model.queue[0].holder_id
        with pytest.raises(holdfast.TargetBlocked, match=str(target)):
            lock.handover(to=target)
        lock.check()
    thread.join(5)
    assert both.held


def test_what_is_left_of_locks_that_ended_before_they_were_known_is_given_back(
        cluster, client, session):
    model = cluster.model
    blocking = client.session(ttl=4).lock("/a").acquire()
    errors = []

    def wait_for_both():
        try:
            session.locks(["/a", "/b"]).acquire()
        except holdfast.LockLost as error:
            errors.append(error)

    thread = threading.Thread(target=wait_for_both)
    thread.start()
    eventually(lambda: model.queue)
    with model.mutex:  # granted, and revoked in part, before the client can hear of it
        claim = model.queue[0]
        model.release(model.held[0].session, "/a", blocking.holder_id)
        model.take_one(claim, "/a")
    thread.join(5)
    assert errors
    eventually(lambda: not model.holders("/b"))


def test_an_election_is_won_published_and_observed(client, session):
    observed = client.election("/svc").observe(interval=0.01)
    assert next(observed) is None
    with session.election("/svc").campaign("10.0.0.1:80") as leadership:
        leader = next(observed)
        assert (leader.text, leader.token) == ("10.0.0.1:80", leadership.token)
        leadership.publish("10.0.0.1:81")
        assert next(observed).value == b"10.0.0.1:81"
    assert next(observed) is None


def test_a_bad_path_is_refused_with_the_value(session):
    with pytest.raises(holdfast.BadArgument, match="'jobs' is not absolute"):
        session.lock("jobs").acquire()
    assert issubclass(holdfast.BadArgument, ValueError)


@pytest.mark.parametrize("path", ["", "nobody", "/", "//x", "/x//y", "/x/", "/x/../y"])
def test_a_path_that_can_name_no_lock_is_refused_before_it_is_asked_for(client, session, path):
    for call in (session.lock, client.describe, client.revoke,
                 lambda p: client.check_token(p, 1), lambda p: session.locks([p])):
        with pytest.raises(holdfast.BadArgument, match="path"):
            call(path)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_a_bad_timeout_is_refused(session, timeout):
    with pytest.raises(ValueError, match="timeout"):
        session.lock("/a", timeout=timeout).acquire()


def test_locks_are_listed_over_all_pages(client, session):
    handles = [session.lock(f"/p/{n}").acquire() for n in range(5)]
    session.lock("/q").acquire()
    assert [lock.path for lock in client.locks("/p/")] == [f"/p/{n}" for n in range(5)]
    assert len(handles) == 5


def test_a_prefix_that_no_path_begins_with_is_refused(cluster, client, session):
    session.lock("/jobs").acquire()
    with pytest.raises(holdfast.BadArgument, match="'jobs' is not absolute"):
        client.locks("jobs")
    assert not cluster.sent("listLocks")
    assert [lock.path for lock in client.locks()] == ["/jobs"]


def test_a_closed_client_says_so(cluster):
    client = holdfast.Client(cluster.seeds)
    lock = client.session(ttl=4).lock("/a").acquire()
    client.close()
    with pytest.raises(holdfast.ClientClosed):
        client.describe("/a")
    with pytest.raises(holdfast.SessionClosed):
        lock.acquire()
    with pytest.raises(holdfast.NotHeld):
        lock.check()
    assert not cluster.model.sessions


def test_the_body_s_exception_comes_through_and_frees_the_lock(client, session):
    with pytest.raises(KeyError):
        with session.lock("/a"):
            raise KeyError("body")
    assert client.describe("/a").holders == ()
