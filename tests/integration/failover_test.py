"""Servers die and freeze; locks, places, sessions and outcomes do not. By the stock client."""

import signal

import pytest
from holdfast_api.holdfast import ttypes as t
from support.anywhere import anywhere, open_anywhere
from support.stock import Stock
from support.waiting import eventually

S = t.AcquireStatus


def renew(cluster, *sessions):
    for session in sessions:
        assert anywhere(cluster, "keepAlive", session, 0).leaseMs > 0


def test_after_kill_9_of_the_leader_the_lock_stands_and_tokens_grow(own):
    one, two = open_anywhere(own, "one"), open_anywhere(own, "two")
    held = anywhere(own, "acquire", one, 1, path="/jobs/a", waitMs=0)
    assert held.status == S.GRANTED
    anywhere(own, "acquire", two, 1, path="/jobs/a", waitMs=-1, enqueue=True)
    leader = own.leader()
    leader.kill()

    assert anywhere(own, "checkToken", path="/jobs/a", token=held.token).current
    again = anywhere(own, "acquire", one, 1, path="/jobs/a", waitMs=0)
    assert (again.status, again.token) == (S.GRANTED, held.token)
    # The waiter kept its place over the failover, and is next.
    place = anywhere(own, "acquire", two, 1, path="/jobs/a", waitMs=-1, enqueue=True)
    assert (place.status, place.position) == (S.WAITING, 1)
    anywhere(own, "release", one, 2, path="/jobs/a", holderId=held.holderId)
    grant = eventually(lambda: next((r for r in [anywhere(
        own, "acquire", two, 1, path="/jobs/a", waitMs=-1, enqueue=True)]
        if r.status == S.GRANTED), None))
    assert grant.token > held.token
    assert not anywhere(own, "checkToken", path="/jobs/a", token=held.token).current
    assert own.leader() is not leader

    own.start_all()
    with Stock(leader.address) as back:
        assert back.checkToken(path="/jobs/a", token=grant.token).current


def test_kill_9_of_all_at_once_loses_nothing_that_was_acknowledged(own):
    session, waiter = open_anywhere(own, "keeper"), open_anywhere(own, "waiter")
    tokens = {}
    for number in range(1, 21):
        result = anywhere(own, "acquire", session, number, path=f"/many/{number}", waitMs=0)
        assert result.status == S.GRANTED
        tokens[f"/many/{number}"] = result.token
    anywhere(own, "acquire", waiter, 1, path="/many/1", waitMs=-1, enqueue=True)
    own.kill_all()
    own.start_all()

    for path, token in tokens.items():
        assert anywhere(own, "checkToken", path=path, token=token).current
    renew(own, session, waiter)
    lock = anywhere(own, "describeLock", path="/many/1").lock
    assert [w.sessionName for w in lock.waiters] == ["waiter"]
    again = anywhere(own, "acquire", session, 20, path="/many/20", waitMs=0)
    assert again.token == tokens["/many/20"]
    fresh = anywhere(own, "acquire", session, 21, path="/many/new", waitMs=0)
    assert fresh.token > max(tokens.values())
    digests = eventually(lambda: equal_digests(own), within=10)
    assert len(digests) == 1


def equal_digests(cluster):
    """The one digest at the one applied index, once all servers have come to it."""
    seen = {(s.appliedIndex, s.stateDigest)
            for s in (n.status() for n in cluster.nodes.values()) if s is not None}
    return seen if len(seen) == 1 else None


def test_a_restart_one_after_the_other_keeps_locks_and_sessions(own):
    session = open_anywhere(own, "rolling")
    held = anywhere(own, "acquire", session, 1, path="/rolling", waitMs=0, value=b"me")
    for node in own.nodes.values():
        node.signal(signal.SIGTERM)
        assert node.process.wait(timeout=15) == 0, node.log()[-2000:]
        renew(own, session)
        own.start(node)
        own.wait_ready([node])
    lock = anywhere(own, "describeLock", path="/rolling").lock
    assert [(h.token, h.value) for h in lock.holders] == [(held.token, b"me")]


def test_a_frozen_leader_is_replaced_and_does_not_speak_for_itself_when_it_wakes(own):
    one, two = open_anywhere(own, "one"), open_anywhere(own, "two")
    held = anywhere(own, "acquire", one, 1, path="/frozen", waitMs=0)
    old = own.leader()
    others = [n for n in own.nodes.values() if n is not old]
    old.signal(signal.SIGSTOP)
    try:
        new = own.leader(others)
        with Stock(new.address) as stock:
            assert stock.release(one, 2, path="/frozen", holderId=held.holderId).status \
                == t.ReleaseStatus.RELEASED
            taken = stock.acquire(two, 1, path="/frozen", waitMs=0)
        assert taken.status == S.GRANTED and taken.token > held.token
    finally:
        old.signal(signal.SIGCONT)
    with Stock(old.address, timeout=10) as woken:
        assert not woken.checkToken(path="/frozen", token=held.token).current
        assert woken.checkToken(path="/frozen", token=taken.token).current


def test_a_command_sent_again_to_another_server_is_applied_once(own):
    session = open_anywhere(own, "once")
    first = anywhere(own, "acquire", session, 1, path="/once", waitMs=0)
    own.leader().kill()
    again = anywhere(own, "acquire", session, 1, path="/once", waitMs=0)
    assert (again.holderId, again.token) == (first.holderId, first.token)
    assert len(anywhere(own, "describeLock", path="/once").lock.holders) == 1
    for _ in range(3):
        released = anywhere(own, "release", session, 2, path="/once", holderId=first.holderId)
        assert released.status == t.ReleaseStatus.RELEASED
    tenures = anywhere(own, "describeLock", path="/once").lock.tenures
    assert len(tenures) == 1 and tenures[0].reason == t.EndReason.RELEASED


def test_a_minority_that_is_left_alone_grants_nothing(own):
    session = open_anywhere(own, "alone")
    survivor = own.followers()[0]
    for node in own.nodes.values():
        if node is not survivor:
            node.kill()
    context = session.context(1)
    context.deadlineMs = 1000
    with Stock(survivor.address) as stock:
        with pytest.raises(t.HoldfastError) as error:
            stock.call("acquire", context, path="/minority", waitMs=0)
        assert error.value.retryable
        assert error.value.codeName in ("NO_LEADER", "TIMEOUT")
    own.start_all()
    # The same number again: it is applied once, whatever became of the first copy.
    result = anywhere(own, "acquire", session, 1, path="/minority", waitMs=0)
    assert result.status == S.GRANTED


def test_an_expired_session_s_lock_goes_to_the_next_and_says_why(own):
    dead = open_anywhere(own, "dead", ttl_ms=2000)
    held = anywhere(own, "acquire", dead, 1, path="/expire", waitMs=0)
    alive = open_anywhere(own, "alive")
    with Stock(own.leader().address, timeout=15) as stock:
        grant = stock.acquire(alive, 1, path="/expire", waitMs=10_000)
        while grant.status == S.WAITING:
            grant = stock.acquire(alive, 1, path="/expire", waitMs=10_000)
        assert grant.status == S.GRANTED and grant.token > held.token
        tenure = stock.describeLock(path="/expire").lock.tenures[0]
        assert tenure.reason == t.EndReason.SESSION_EXPIRED
        with pytest.raises(t.HoldfastError) as error:
            stock.acquire(dead, 2, path="/expire", waitMs=0)
        assert error.value.codeName == "SESSION_EXPIRED"
