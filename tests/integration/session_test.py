"""Sessions over real servers, and what they refuse. By the stock client."""

import os

import pytest
from holdfast_api.holdfast import ttypes as t
from support.stock import StockSession
from support.waiting import eventually

S = t.AcquireStatus


@pytest.fixture
def servers(cluster, dial):
    """A connection to each server."""
    return [dial(node) for node in cluster.nodes.values()]


def refused(call, *args, **fields):
    """The error of a call that must be refused."""
    with pytest.raises(t.HoldfastError) as error:
        call(*args, **fields)
    assert error.value.message and error.value.header is not None
    assert error.value.codeName == t.ErrorCode._VALUES_TO_NAMES[error.value.code]
    return error.value


def test_open_session_is_idempotent_by_its_secret_on_any_server(servers):
    secret = os.urandom(16)
    opened = [stock.open_session(10_000, "same", secret).id for stock in servers]
    assert len(set(opened)) == 1


def test_a_session_is_renewed_through_every_server(servers):
    session = servers[0].open_session(ttl_ms=4000)
    for stock in servers:
        kept = stock.call("keepAlive", session.context(0))
        assert 0 < kept.leaseMs < 4000  # drift is subtracted
        polled = stock.call("poll", session.context(0), maxWaitMs=0, renewNow=True)
        assert 0 < polled.leaseMs < 4000


def test_a_newer_poll_answers_the_older_one(cluster, dial, servers):
    import threading
    session = servers[0].open_session(ttl_ms=20_000)
    node = cluster.nodes[1]
    older, newer = dial(node), dial(node)
    older.call("poll", session.context(0), maxWaitMs=0, renewNow=True)
    raised = []

    def park():
        try:
            older.call("poll", session.context(0), maxWaitMs=5000)
        except t.HoldfastError as error:
            raised.append(error.codeName)

    def poll_again():
        try:
            newer.call("poll", session.context(0), maxWaitMs=10)
        except t.HoldfastError as error:
            # The thread's poll arrived after this one: then this one is the older.
            assert error.codeName == "SUPERSEDED"
        return raised

    thread = threading.Thread(target=park)
    thread.start()
    eventually(poll_again, within=5)
    thread.join(6)
    assert raised == ["SUPERSEDED"]


@pytest.mark.parametrize("ttl_ms", [0, -1, 999, 86_400_001, 2 ** 60])
def test_a_ttl_outside_the_bounds_is_refused_with_value_and_bounds(servers, ttl_ms):
    error = refused(servers[1].open_session, ttl_ms)
    assert error.codeName == "BAD_ARGUMENT" and error.applied == t.Applied.NO
    assert str(ttl_ms) in error.message


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 17])
def test_a_secret_of_another_length_is_refused(servers, secret):
    request = t.OpenSessionRequest(ttlMs=10_000, name="n", attributes={}, secret=secret)
    error = refused(servers[0]._client.openSession, t.RequestContext(), request)
    assert error.codeName == "BAD_ARGUMENT"


def test_a_wrong_secret_is_refused_by_every_call_and_harms_nobody(servers):
    session = servers[0].open_session()
    held = servers[0].acquire(session, path="/secret", waitMs=0)
    thief = StockSession(session.id, b"0" * 16)
    for stock in servers:
        for call, fields in (("keepAlive", {}), ("poll", {"maxWaitMs": 0}), ("closeSession", {}),
                             ("release", {"path": "/secret", "holderId": held.holderId}),
                             ("acquire", {"path": "/secret2", "waitMs": 0})):
            error = refused(getattr(stock, call), thief, **fields)
            assert error.codeName == "SESSION_UNKNOWN", call
    assert servers[0].checkToken(path="/secret", token=held.token).current


def test_an_ended_session_is_told_on_every_server(servers):
    session = servers[0].open_session()
    servers[0].closeSession(session)
    for stock in servers:
        assert refused(stock.keepAlive, session).codeName == "SESSION_EXPIRED"


@pytest.mark.parametrize("path", ["", "relative", "/a//b", "/a/", "/a/../b", "/a/./b", "/a\nb",
                                  "/" + "x" * 1024, "/x" * 65, "/"])
def test_a_bad_path_is_refused_and_the_next_call_works(servers, path):
    stock = servers[2]
    session = stock.open_session()
    error = refused(stock.acquire, session, path=path, waitMs=0)
    assert error.codeName in ("BAD_ARGUMENT", "TOO_LARGE")
    assert error.applied == t.Applied.NO and not error.retryable
    assert stock.acquire(session, path="/good/path", waitMs=0).status in (S.GRANTED, S.NOT_GRANTED)


def test_other_content_under_a_used_sequence_is_refused(servers):
    session = servers[0].open_session()
    servers[0].acquire(session, 1, path="/seq/a", waitMs=0)
    error = refused(servers[1].acquire, session, 1, path="/seq/b", waitMs=0)
    assert error.codeName == "BAD_ARGUMENT"
    assert not servers[1].describeLock(path="/seq/b").lock.holders


def test_an_acknowledged_sequence_is_forgotten_and_never_applied_again(servers):
    session = servers[0].open_session()
    held = servers[0].acquire(session, 1, path="/forget", waitMs=0)
    context = session.context(2)
    context.acknowledged = [t.SequenceRange(1, 1)]
    servers[0].call("release", context, path="/forget", holderId=held.holderId)

    def refusal():
        # A server that has not applied the acknowledgement yet answers as before.
        try:
            servers[1].acquire(session, 1, path="/forget", waitMs=0)
        except t.HoldfastError as error:
            return error
        return None

    error = eventually(refusal)
    assert error.codeName == "RESULT_FORGOTTEN"
    assert not servers[0].describeLock(path="/forget").lock.holders


@pytest.mark.parametrize("fields", [
    {"mode": 99}, {"mode": t.LockMode.SEMAPHORE, "limit": 0},
    {"mode": t.LockMode.SEMAPHORE, "permits": 3, "limit": 2}, {"waitMs": -2},
    {"lockDelayMs": 600_001}, {"value": b"x" * 4097}, {"owner": "x" * 65}])
def test_a_bad_field_of_an_acquire_is_refused(servers, fields):
    session = servers[0].open_session()
    error = refused(servers[0].acquire, session, **{"path": "/field", "waitMs": 0, **fields})
    assert error.codeName in ("BAD_ARGUMENT", "UNSUPPORTED", "TOO_LARGE"), error
    assert not servers[0].describeLock(path="/field").lock.holders


def test_an_operator_sees_ends_and_notices(cluster, dial, servers):
    stock = servers[0]
    session = stock.open_session(ttl_ms=10_000, name="watched")
    held = stock.acquire(session, path="/watched", waitMs=0)
    notice = servers[1].revokeLock(path="/watched", noticeMs=300, reason="maintenance")
    assert notice.holders == 1
    kept = eventually(lambda: stock.call("keepAlive", session.context(0)).revocations)
    assert (kept[0].noticeId, kept[0].holderId, kept[0].reason) \
        == (notice.noticeId, held.holderId, "maintenance")
    assert stock.checkToken(path="/watched", token=held.token).current
    polled = stock.call("poll", session.context(0), maxWaitMs=0, renewNow=True,
                        acknowledgedNotices=[notice.noticeId])
    assert polled.leaseMs > 0
    eventually(lambda: not stock.checkToken(path="/watched", token=held.token).current, within=5)
    tenure = stock.describeLock(path="/watched").lock.tenures[0]
    assert (tenure.reason, tenure.note) == (t.EndReason.REVOKED, "maintenance")


def test_a_forced_revocation_takes_the_lock_at_once(servers):
    session = servers[0].open_session()
    held = servers[0].acquire(session, path="/force", waitMs=0)
    servers[1].revokeLock(path="/force", force=True, reason="now")
    assert not servers[0].checkToken(path="/force", token=held.token).current


def test_the_lock_delay_closes_a_lock_after_its_session_expired(cluster, dial):
    stock = dial(cluster.leader())
    dead = stock.open_session(ttl_ms=1000, name="dead")
    stock.acquire(dead, path="/delay", waitMs=0, lockDelayMs=60_000)
    other = stock.open_session(ttl_ms=30_000)
    eventually(lambda: not stock.describeLock(path="/delay").lock.holders, within=10)
    assert stock.describeLock(path="/delay").lock.closedForMs > 0
    result = stock.acquire(other, path="/delay", waitMs=0)
    assert (result.status, result.reason) == (S.NOT_GRANTED, t.RefusalReason.BUSY)
