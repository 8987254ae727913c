"""Locks over three real servers, by the stock generated client alone."""

import pytest
from holdfast_api.holdfast import ttypes as t
from support.waiting import eventually

S = t.AcquireStatus


@pytest.fixture
def servers(cluster, dial):
    """A connection to each server."""
    return [dial(node) for node in cluster.nodes.values()]


def outcome(stock, method, session, **fields):
    """Repeat the acquire with sequence 1 until it waits no longer: a follower may lag a little."""
    def ask():
        result = getattr(stock, method)(session, 1, waitMs=-1, enqueue=True, **fields)
        return None if result.status == S.WAITING else result
    return eventually(ask, within=5)


def test_an_exclusive_lock_has_one_holder_whichever_server_is_asked(servers):
    sessions = [stock.open_session(name=f"s{n}") for n, stock in enumerate(servers)]
    got = [stock.acquire(s, path="/one", waitMs=0) for stock, s in zip(servers, sessions)]
    assert [r.status for r in got] == [S.GRANTED, S.NOT_GRANTED, S.NOT_GRANTED]
    assert got[1].reason == t.RefusalReason.BUSY
    assert got[1].holders[0].sessionName == "s0"
    for stock in servers:
        assert stock.checkToken(path="/one", token=got[0].token).current
        assert not stock.checkToken(path="/one", token=got[0].token + 1).current


def test_tokens_grow_from_grant_to_grant(servers):
    last = 0
    for turn in range(6):
        stock = servers[turn % 3]
        session = stock.open_session()
        result = stock.acquire(session, path="/grow", waitMs=0)
        assert result.status == S.GRANTED and result.token > last
        last = result.token
        assert stock.release(session, path="/grow", holderId=result.holderId).status \
            == t.ReleaseStatus.RELEASED


def test_waiters_are_granted_in_order_of_arrival(servers):
    a, b, c = servers
    sessions = [stock.open_session(name=n) for stock, n in zip(servers, "abc")]
    held = a.acquire(sessions[0], path="/fifo", waitMs=0)
    places = [stock.acquire(s, 1, path="/fifo", waitMs=-1, enqueue=True)
              for stock, s in ((b, sessions[1]), (c, sessions[2]))]
    assert [(p.status, p.position) for p in places] == [(S.WAITING, 1), (S.WAITING, 2)]
    described = a.describeLock(path="/fifo").lock
    assert [w.sessionName for w in described.waiters] == ["b", "c"]
    a.release(sessions[0], path="/fifo", holderId=held.holderId)
    granted = outcome(b, "acquire", sessions[1], path="/fifo")
    assert granted.status == S.GRANTED and granted.token > held.token

    def place():
        return c.acquire(sessions[2], 1, path="/fifo", waitMs=-1, enqueue=True)
    eventually(lambda: place().position == 1, within=5)
    assert place().status == S.WAITING


def test_poll_tells_of_a_grant(servers):
    a, b, _ = servers
    holder, waiter = a.open_session(), b.open_session(ttl_ms=20_000)
    held = a.acquire(holder, path="/hint", waitMs=0)
    b.acquire(waiter, 1, path="/hint", waitMs=-1, enqueue=True)
    first = b.call("poll", waiter.context(0), maxWaitMs=0, renewNow=True)
    assert first.leaseMs > 0 and not first.grants
    a.release(holder, path="/hint", holderId=held.holderId)
    told = eventually(lambda: b.call("poll", waiter.context(0), maxWaitMs=2000,
                                     acknowledgedDelivery=first.delivery).grants)
    assert (told[0].acquireSequence, told[0].path) == (1, "/hint")


def test_a_blocking_acquire_answers_when_the_lock_is_free(servers):
    a, b, _ = servers
    holder, waiter = a.open_session(), b.open_session()
    held = a.acquire(holder, path="/blocking", waitMs=0, lockDelayMs=0)
    assert b.acquire(waiter, path="/blocking", waitMs=200).reason == t.RefusalReason.TIMED_OUT
    a.release(holder, path="/blocking", holderId=held.holderId)
    assert b.acquire(waiter, path="/blocking", waitMs=200).status == S.GRANTED


def test_shared_holders_share_and_a_semaphore_has_its_permits(servers):
    sessions = [stock.open_session() for stock in servers]
    shared = [stock.acquire(s, path="/shared", mode=t.LockMode.SHARED, waitMs=0).status
              for stock, s in zip(servers, sessions)]
    assert shared == [S.GRANTED] * 3
    assert servers[0].acquire(sessions[0], path="/shared", waitMs=0).status == S.NOT_GRANTED
    permits = [stock.acquire(s, path="/pool", mode=t.LockMode.SEMAPHORE, permits=2, limit=4,
                             waitMs=0).status for stock, s in zip(servers, sessions)]
    assert permits == [S.GRANTED, S.GRANTED, S.NOT_GRANTED]


def test_several_locks_are_granted_together(servers):
    a, b, _ = servers
    one, two = a.open_session(), b.open_session()
    held = a.acquire(one, path="/all/b", waitMs=0)
    wants = [t.LockWanted(path="/all/a"), t.LockWanted(path="/all/b")]
    place = b.acquireAll(two, 1, locks=wants, waitMs=-1, enqueue=True)
    assert place.status == S.WAITING
    assert not a.describeLock(path="/all/a").lock.holders
    a.release(one, path="/all/b", holderId=held.holderId)
    granted = outcome(b, "acquireAll", two, locks=wants)
    assert granted.status == S.GRANTED
    assert all(a.checkToken(path=w.path, token=granted.token).current for w in wants)
    assert b.releaseAll(two, holderId=granted.holderId).status == t.ReleaseStatus.RELEASED
    assert not any(a.checkToken(path=w.path, token=granted.token).current for w in wants)


def test_a_cancelled_place_is_gone_and_a_cancelled_grant_is_kept(servers):
    a, b, _ = servers
    one, two = a.open_session(), b.open_session()
    a.acquire(one, 1, path="/cancel", waitMs=0)
    b.acquire(two, 1, path="/cancel", waitMs=-1, enqueue=True)
    assert b.cancelAcquire(two, 2, path="/cancel", acquireSequence=1).reason \
        == t.RefusalReason.CANCELLED
    assert not a.describeLock(path="/cancel").lock.waiters
    assert a.cancelAcquire(one, 2, path="/cancel", acquireSequence=1).status == S.GRANTED
    assert a.describeLock(path="/cancel").lock.holders


def test_a_handover_passes_the_queue_and_a_lost_target_keeps_the_lock(servers):
    a, b, c = servers
    sessions = [stock.open_session(name=n) for stock, n in zip(servers, "abc")]
    held = a.acquire(sessions[0], path="/hand", waitMs=0)
    b.acquire(sessions[1], 1, path="/hand", waitMs=-1, enqueue=True)
    place = c.acquire(sessions[2], 1, path="/hand", waitMs=-1, enqueue=True)
    gone = a.release(sessions[0], path="/hand", holderId=held.holderId, to=10 ** 12)
    assert gone.status == t.ReleaseStatus.TARGET_GONE
    assert a.checkToken(path="/hand", token=held.token).current
    handed = a.release(sessions[0], path="/hand", holderId=held.holderId, to=place.holderId)
    assert handed.status == t.ReleaseStatus.HANDED_OVER
    lock = a.describeLock(path="/hand").lock
    assert [h.sessionName for h in lock.holders] == ["c"]
    assert lock.tenures[0].reason == t.EndReason.HANDED_OVER


def test_a_stranger_s_holder_id_frees_nothing(servers):
    a, b, _ = servers
    one, two = a.open_session(), b.open_session()
    held = a.acquire(one, path="/stranger", waitMs=0)
    assert b.release(two, path="/stranger", holderId=held.holderId).status \
        == t.ReleaseStatus.NOT_HELD
    assert a.checkToken(path="/stranger", token=held.token).current
    with pytest.raises(t.HoldfastError) as error:
        b.setHolderValue(two, path="/stranger", holderId=held.holderId, value=b"x")
    assert error.value.codeName == "NOT_HELD"


def test_closing_a_session_frees_everything_and_the_tenure_says_why(servers):
    a, b, _ = servers
    session = a.open_session(name="closer")
    held = a.acquire(session, path="/close", waitMs=0, value=b"10.0.0.1:80")
    assert b.describeLock(path="/close").lock.holders[0].value == b"10.0.0.1:80"
    a.closeSession(session)
    lock = b.describeLock(path="/close").lock
    assert not lock.holders
    tenure = lock.tenures[0]
    assert (tenure.token, tenure.reason, tenure.sessionName) \
        == (held.token, t.EndReason.SESSION_CLOSED, "closer")


def test_a_retry_at_another_server_has_the_same_outcome(servers):
    a, b, c = servers
    session = a.open_session()
    first = a.acquire(session, 7, path="/once", waitMs=0)
    for stock in (b, c, a):
        again = stock.acquire(session, 7, path="/once", waitMs=0)
        assert (again.status, again.token, again.holderId) \
            == (S.GRANTED, first.token, first.holderId)
        assert again.header.sequence == 7
    released = [stock.release(session, 8, path="/once", holderId=first.holderId).status
                for stock in servers]
    assert released == [t.ReleaseStatus.RELEASED] * 3
    ended = b.acquire(session, 7, path="/once", waitMs=0)
    assert (ended.status, ended.token, ended.endReason) \
        == (S.NOT_HELD, first.token, t.EndReason.RELEASED)


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_both_protocols_are_understood_on_every_server(cluster, dial, protocol):
    for node in cluster.nodes.values():
        stock = dial(node, protocol=protocol)
        session = stock.open_session(name="schön")
        result = stock.acquire(session, path=f"/ünï/{protocol}/{node.node_id}", waitMs=0)
        assert result.status == S.GRANTED
        assert result.header.leaderAddress in cluster.seeds
        assert result.header.revision >= result.holderId


def test_locks_are_listed_in_pages(servers):
    a, b, _ = servers
    session = a.open_session()
    for number in range(5):
        a.acquire(session, path=f"/list/{number}", waitMs=0)
    seen, page = [], ""
    while True:
        result = b.listLocks(prefix="/list/", page=page, pageSize=2)
        seen += [lock.path for lock in result.locks]
        page = result.nextPage
        if not page:
            break
    assert seen == [f"/list/{n}" for n in range(5)]
