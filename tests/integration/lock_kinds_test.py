"""Every kind of lock and every way to part with one, on followers and leader. Stock client."""

import pytest
from holdfast_api.holdfast import ttypes as t
from support.waiting import eventually

S = t.AcquireStatus
R = t.ReleaseStatus
SHARED = {"mode": t.LockMode.SHARED}


def permits(count, limit=4):
    return {"mode": t.LockMode.SEMAPHORE, "permits": count, "limit": limit}


class Client:
    """A session that talks to one server; its calls number themselves."""

    def __init__(self, stock, name, ttl_ms=20_000):
        self.stock = stock
        self.session = stock.open_session(ttl_ms, name)

    def ask(self, path, wait_ms=-1, **fields):
        """Enqueue an acquire; remembers its sequence for granted()."""
        self.asked = dict(path=path, waitMs=wait_ms, enqueue=True, **fields)
        self.method = "acquire"
        result = self.stock.acquire(self.session, **self.asked)
        self.sequence = self.session._last
        return result

    def ask_all(self, wants, wait_ms=-1):
        """Enqueue an acquireAll."""
        self.asked = dict(locks=wants, waitMs=wait_ms, enqueue=True)
        self.method = "acquireAll"
        result = self.stock.acquireAll(self.session, **self.asked)
        self.sequence = self.session._last
        return result

    def now(self):
        """What the acquire stands at: the same call again."""
        return getattr(self.stock, self.method)(self.session, self.sequence, **self.asked)

    def granted(self):
        """Wait until it is granted."""
        return eventually(lambda: next((r for r in [self.now()] if r.status == S.GRANTED), None),
                          what=f"the grant of {self.asked}")

    def release(self, path, holder_id, to=0):
        """Give it back."""
        return self.stock.release(self.session, path=path, holderId=holder_id, to=to).status


@pytest.fixture
def three(cluster, dial):
    """Three clients: of two followers and of the leader."""
    nodes = [*cluster.followers(), cluster.leader()]
    return [Client(dial(node), name) for node, name in zip(nodes, ("one", "two", "three"))]


def want(*paths, **fields):
    return [t.LockWanted(path=p, **fields) for p in paths]


def test_shared_holders_let_no_writer_by_and_a_waiting_writer_lets_no_reader_by(three):
    reader, writer, late = three
    held = reader.ask("/rw", **SHARED)
    assert held.status == S.GRANTED
    assert writer.ask("/rw").status == S.WAITING
    behind = late.ask("/rw", **SHARED)
    assert (behind.status, behind.position) == (S.WAITING, 2)
    reader.release("/rw", held.holderId)
    grant = writer.granted()
    assert late.now().status == S.WAITING
    writer.release("/rw", grant.holderId)
    assert late.granted().token > grant.token


def test_a_run_of_readers_is_granted_together(three):
    writer, one, two = three
    held = writer.ask("/run")
    assert one.ask("/run", **SHARED).status == two.ask("/run", **SHARED).status == S.WAITING
    writer.release("/run", held.holderId)
    assert one.granted().token == two.granted().token > held.token
    lock = one.stock.describeLock(path="/run").lock
    assert [h.mode for h in lock.holders] == [t.LockMode.SHARED] * 2


def test_the_head_of_a_semaphore_s_queue_blocks_smaller_wants(three):
    one, big, small = three
    held = one.ask("/sem", **permits(3))
    assert big.ask("/sem", **permits(2)).status == S.WAITING
    assert small.ask("/sem", **permits(1)).status == S.WAITING
    lock = small.stock.describeLock(path="/sem").lock
    assert (lock.limit, lock.holders[0].permits) == (4, 3)
    assert [(w.position, w.permits) for w in lock.waiters] == [(1, 2), (2, 1)]
    one.release("/sem", held.holderId)
    assert big.granted() and small.granted()


def test_another_limit_is_refused_while_the_semaphore_is_used(three):
    one, two, _ = three
    held = one.ask("/limit", **permits(1, limit=2))
    for fields in (permits(1, limit=3), {}, SHARED):
        with pytest.raises(t.HoldfastError) as error:
            two.ask("/limit", **fields)
        assert error.value.codeName == "BAD_ARGUMENT"
    one.release("/limit", held.holderId)
    again = two.ask("/limit", **permits(3, limit=3))
    assert again.status == S.GRANTED


def test_a_full_queue_refuses_on_every_server(three):
    one, two, third = three
    one.ask("/full")
    two.ask("/full")
    result = third.stock.acquire(third.session, path="/full", waitMs=-1, maxQueue=1, enqueue=True)
    assert (result.status, result.reason) == (S.NOT_GRANTED, t.RefusalReason.QUEUE_FULL)


@pytest.mark.parametrize("by", range(3))
def test_an_acquire_all_is_cancelled_whole_by_any_of_its_paths(three, by):
    one, two, third = three
    paths = [f"/whole/{by}/{n}" for n in "abc"]
    held = one.ask(paths[1])
    assert two.ask_all(want(*paths)).status == S.WAITING
    assert third.ask(paths[0]).status == S.WAITING  # behind it, though the lock is free
    cancelled = two.stock.cancelAcquire(two.session, path=paths[by], acquireSequence=two.sequence)
    assert (cancelled.status, cancelled.reason) == (S.NOT_GRANTED, t.RefusalReason.CANCELLED)
    assert third.granted()
    for path in paths:
        assert not one.stock.describeLock(path=path).lock.waiters
    one.release(paths[1], held.holderId)


def test_an_acquire_all_times_out_whole(three):
    one, two, _ = three
    one.ask("/late/b")
    assert two.ask_all(want("/late/a", "/late/b"), wait_ms=300).status == S.WAITING
    ended = eventually(lambda: next((r for r in [two.now()] if r.status != S.WAITING), None))
    assert (ended.status, ended.reason) == (S.NOT_GRANTED, t.RefusalReason.TIMED_OUT)
    assert not one.stock.describeLock(path="/late/a").lock.waiters
    assert not one.stock.describeLock(path="/late/a").lock.holders


def test_an_acquire_all_of_mixed_kinds_takes_all_or_nothing_at_a_try(three):
    one, two, _ = three
    wants = [*want("/mix/x"), *want("/mix/s", **SHARED), *want("/mix/p", **permits(2))]
    shared = one.ask("/mix/s", **SHARED)
    assert shared.status == S.GRANTED
    assert two.ask_all(wants, wait_ms=0).status == S.GRANTED
    again = one.stock.acquireAll(one.session, locks=wants, waitMs=0)
    assert (again.status, again.reason) == (S.NOT_GRANTED, t.RefusalReason.BUSY)
    assert two.stock.releaseAll(two.session, holderId=two.now().holderId).status == R.RELEASED
    assert len(one.stock.describeLock(path="/mix/s").lock.holders) == 1


def test_a_handover_to_a_waiter_who_is_gone_is_refused_and_the_lock_is_kept(three):
    one, two, third = three
    held = one.ask("/gone")
    place = two.ask("/gone")
    other = third.ask("/gone")
    two.stock.cancelAcquire(two.session, path="/gone", acquireSequence=two.sequence)
    assert one.release("/gone", held.holderId, to=place.holderId) == R.TARGET_GONE
    third.stock.closeSession(third.session)
    assert one.release("/gone", held.holderId, to=other.holderId) == R.TARGET_GONE
    assert two.stock.checkToken(path="/gone", token=held.token).current
    assert one.release("/gone", held.holderId) == R.RELEASED


def test_a_handover_that_would_break_the_lock_s_rule_is_refused_and_the_lock_is_kept(three):
    one, two, third = three
    first, second = one.ask("/blocked", **SHARED), two.ask("/blocked", **SHARED)
    place = third.ask("/blocked")
    assert one.release("/blocked", first.holderId, to=place.holderId) == R.TARGET_BLOCKED
    assert len(two.stock.describeLock(path="/blocked").lock.holders) == 2
    two.release("/blocked", second.holderId)
    assert one.release("/blocked", first.holderId, to=place.holderId) == R.HANDED_OVER
    assert third.granted()


def test_a_handover_to_an_acquire_all_is_refused(three):
    one, two, _ = three
    held = one.ask("/all-target/a")
    place = two.ask_all(want("/all-target/a", "/all-target/b"))
    assert one.release("/all-target/a", held.holderId, to=place.holderId) == R.TARGET_BLOCKED
    assert one.stock.checkToken(path="/all-target/a", token=held.token).current


def test_a_handover_passes_the_queue_and_tells_the_one_who_got_it(three):
    one, two, third = three
    held = one.ask("/pass")
    two.ask("/pass")
    place = third.ask("/pass")
    third.stock.call("poll", third.session.context(0), maxWaitMs=0, renewNow=True)
    assert one.release("/pass", held.holderId, to=place.holderId) == R.HANDED_OVER
    told = eventually(lambda: third.stock.call("poll", third.session.context(0),
                                               maxWaitMs=2000).grants)
    assert (told[0].path, told[0].holderId) == ("/pass", place.holderId)
    assert two.now().position == 1


def test_a_holder_s_value_is_seen_on_every_server_and_goes_with_it(three):
    one, two, third = three
    held = one.ask("/value", value=b"first")
    one.stock.setHolderValue(one.session, path="/value", holderId=held.holderId, value=b"second")
    for client in three:
        lock = client.stock.describeLock(path="/value").lock
        assert lock.holders[0].value == b"second"
    refused = two.ask("/value")
    assert refused.holders[0].value == b"second"
    one.release("/value", held.holderId)
    with pytest.raises(t.HoldfastError) as error:
        one.stock.setHolderValue(one.session, path="/value", holderId=held.holderId, value=b"x")
    assert error.value.codeName == "NOT_HELD"
    assert two.granted() and third.stock.describeLock(path="/value").lock.holders[0].value == b""


def test_a_lock_delay_follows_an_expiry_and_nothing_else(cluster, dial, three):
    one, two, _ = three
    held = one.ask("/delay", lockDelayMs=60_000)
    one.release("/delay", held.holderId)
    assert two.ask("/delay", lockDelayMs=60_000, wait_ms=0).status == S.GRANTED
    two.stock.closeSession(two.session)
    assert not one.stock.describeLock(path="/delay").lock.closedForMs
    doomed = Client(dial(cluster.followers()[0]), "doomed", ttl_ms=1000)
    doomed.ask("/delay", lockDelayMs=1500)
    assert one.ask("/delay").status == S.WAITING
    closed = eventually(lambda: one.stock.describeLock(path="/delay").lock.closedForMs, within=10)
    assert 0 < closed <= 1500
    assert one.now().status == S.WAITING
    assert one.granted()


def test_a_notice_wakes_a_poll_parked_at_a_follower_and_the_next_waiter_gets_the_lock(
        cluster, dial, three):
    import threading
    one, two, third = three
    held = one.ask("/notice")
    two.ask("/notice")
    one.stock.call("poll", one.session.context(0), maxWaitMs=0, renewNow=True)
    told = []
    parked = threading.Thread(target=lambda: told.append(
        one.stock.call("poll", one.session.context(0), maxWaitMs=5000)))
    parked.start()
    notice = third.stock.revokeLock(path="/notice", noticeMs=200, reason="drain node 7")
    parked.join(10)
    assert [(n.noticeId, n.path, n.holderId, n.reason) for n in told[0].revocations] \
        == [(notice.noticeId, "/notice", held.holderId, "drain node 7")]
    assert third.stock.describeLock(path="/notice").lock.holders[0].revoking
    one.stock.call("poll", one.session.context(0), maxWaitMs=0, renewNow=True,
                   acknowledgedNotices=[notice.noticeId])
    assert two.granted().token > held.token
    lost = eventually(lambda: one.stock.call("poll", one.session.context(0), maxWaitMs=0,
                                             renewNow=True).losses)
    assert (lost[0].path, lost[0].reason) == ("/notice", t.EndReason.REVOKED)
    assert one.now().endReason == t.EndReason.REVOKED


def test_a_holder_that_never_answers_a_notice_loses_the_lock_within_one_ttl(cluster, dial):
    follower = dial(cluster.followers()[0])
    deaf = Client(follower, "deaf", ttl_ms=2000)
    deaf.ask("/deaf")
    follower.revokeLock(path="/deaf", noticeMs=3_600_000, reason="too quiet")

    def renewed_and_gone():
        follower.call("keepAlive", deaf.session.context(0))  # alive, but acknowledges nothing
        return not follower.describeLock(path="/deaf").lock.holders
    eventually(renewed_and_gone, within=10, every=0.1)
    tenure = follower.describeLock(path="/deaf").lock.tenures[0]
    assert (tenure.reason, tenure.note) == (t.EndReason.REVOKED, "too quiet")
