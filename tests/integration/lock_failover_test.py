"""Every kind of lock while its leader is killed half way. By the stock client."""

from holdfast_api.holdfast import ttypes as t
from support.anywhere import anywhere, open_anywhere
from support.waiting import eventually

S = t.AcquireStatus
R = t.ReleaseStatus


def stands(cluster, method, session, sequence, **fields):
    """What a queued acquire stands at now."""
    return anywhere(cluster, method, session, sequence, waitMs=-1, enqueue=True, **fields)


def granted(cluster, method, session, sequence, **fields):
    return eventually(lambda: next((r for r in [stands(cluster, method, session, sequence,
                                                       **fields)] if r.status == S.GRANTED), None),
                      what="the grant")


def describe(cluster, path):
    return anywhere(cluster, "describeLock", path=path).lock


def test_an_acquire_all_queued_on_three_locks_survives_the_leader(own):
    holder, all_, behind = (open_anywhere(own, n) for n in ("holder", "all", "behind"))
    paths = ["/all/a", "/all/b", "/all/c"]
    wants = [t.LockWanted(path=p) for p in paths]
    held = [anywhere(own, "acquire", holder, n + 1, path=p, waitMs=0)
            for n, p in enumerate(paths[1:])]
    assert stands(own, "acquireAll", all_, 1, locks=wants).status == S.WAITING
    assert stands(own, "acquire", behind, 1, path="/all/a").status == S.WAITING
    own.leader().kill()

    # Its places are where they were: first in all three, and nobody got past it.
    for path in paths:
        waiters = describe(own, path).waiters
        assert (waiters[0].sessionName, waiters[0].locksWanted) == ("all", 3), path
    anywhere(own, "release", holder, 11, path=paths[1], holderId=held[0].holderId)
    assert stands(own, "acquireAll", all_, 1, locks=wants).status == S.WAITING
    assert not describe(own, paths[1]).holders
    anywhere(own, "release", holder, 12, path=paths[2], holderId=held[1].holderId)
    grant = granted(own, "acquireAll", all_, 1, locks=wants)
    for path in paths:
        assert anywhere(own, "checkToken", path=path, token=grant.token).current, path
    assert anywhere(own, "releaseAll", all_, 2, holderId=grant.holderId).status == R.RELEASED
    assert granted(own, "acquire", behind, 1, path="/all/a").token > grant.token


def test_a_handover_over_a_failover_happens_once(own):
    giver, first, chosen = (open_anywhere(own, n) for n in ("giver", "first", "chosen"))
    held = anywhere(own, "acquire", giver, 1, path="/hand", waitMs=0)
    stands(own, "acquire", first, 1, path="/hand")
    place = stands(own, "acquire", chosen, 1, path="/hand")
    handed = anywhere(own, "release", giver, 2, path="/hand", holderId=held.holderId,
                      to=place.holderId)
    own.leader().kill()
    again = anywhere(own, "release", giver, 2, path="/hand", holderId=held.holderId,
                     to=place.holderId)
    assert handed.status == again.status == R.HANDED_OVER
    lock = describe(own, "/hand")
    assert [h.sessionName for h in lock.holders] == ["chosen"]
    assert [w.sessionName for w in lock.waiters] == ["first"]
    assert [x.reason for x in lock.tenures] == [t.EndReason.HANDED_OVER]


def test_a_handover_to_a_waiter_who_left_before_the_failover_keeps_the_lock(own):
    giver, gone = open_anywhere(own, "giver"), open_anywhere(own, "gone")
    held = anywhere(own, "acquire", giver, 1, path="/left", waitMs=0)
    place = stands(own, "acquire", gone, 1, path="/left")
    anywhere(own, "closeSession", gone, 2)
    own.leader().kill()
    kept = anywhere(own, "release", giver, 2, path="/left", holderId=held.holderId,
                    to=place.holderId)
    assert kept.status == R.TARGET_GONE
    assert anywhere(own, "checkToken", path="/left", token=held.token).current


def test_shared_holders_permits_and_values_survive_the_leader(own):
    one, two, writer = (open_anywhere(own, n) for n in ("one", "two", "writer"))
    shared = {"path": "/kinds/rw", "mode": t.LockMode.SHARED}
    held = [anywhere(own, "acquire", s, 1, waitMs=0, **shared) for s in (one, two)]
    stands(own, "acquire", writer, 1, path="/kinds/rw")
    pool = {"path": "/kinds/pool", "mode": t.LockMode.SEMAPHORE, "limit": 3}
    assert anywhere(own, "acquire", one, 2, permits=2, waitMs=0, **pool).status == S.GRANTED
    anywhere(own, "setHolderValue", one, 3, path="/kinds/rw", holderId=held[0].holderId,
             value=b"10.0.0.1:80")
    own.leader().kill()

    lock = describe(own, "/kinds/rw")
    assert [(h.sessionName, h.value) for h in lock.holders] \
        == [("one", b"10.0.0.1:80"), ("two", b"")]
    busy = anywhere(own, "acquire", two, 2, permits=2, waitMs=0, **pool)
    assert busy.status == S.NOT_GRANTED
    assert anywhere(own, "acquire", two, 3, permits=1, waitMs=0, **pool).status == S.GRANTED
    anywhere(own, "setHolderValue", one, 3, path="/kinds/rw", holderId=held[0].holderId,
             value=b"10.0.0.1:80")  # the same number again
    for session, grant, number in ((one, held[0], 4), (two, held[1], 4)):
        assert stands(own, "acquire", writer, 1, path="/kinds/rw").status == S.WAITING
        anywhere(own, "release", session, number, path="/kinds/rw", holderId=grant.holderId)
    assert granted(own, "acquire", writer, 1, path="/kinds/rw").token > held[1].token


def test_a_lock_delay_goes_on_over_a_failover_and_ends(own):
    dead, next_ = open_anywhere(own, "dead", ttl_ms=1500), open_anywhere(own, "next")
    anywhere(own, "acquire", dead, 1, path="/delay", waitMs=0, lockDelayMs=6000)
    stands(own, "acquire", next_, 1, path="/delay")
    eventually(lambda: describe(own, "/delay").closedForMs, within=15)
    own.leader().kill()
    closed = describe(own, "/delay")
    assert 0 < closed.closedForMs <= 6000 and not closed.holders
    assert stands(own, "acquire", next_, 1, path="/delay").status == S.WAITING
    assert granted(own, "acquire", next_, 1, path="/delay")


def test_a_notice_is_told_by_the_next_leader_and_the_lock_is_given_away(own):
    holder, next_ = open_anywhere(own, "holder"), open_anywhere(own, "next")
    held = anywhere(own, "acquire", holder, 1, path="/notice", waitMs=0)
    stands(own, "acquire", next_, 1, path="/notice")
    notice = anywhere(own, "revokeLock", path="/notice", noticeMs=500, reason="drain")
    own.leader().kill()

    kept = anywhere(own, "keepAlive", holder, 0)
    assert [(n.noticeId, n.holderId) for n in kept.revocations] \
        == [(notice.noticeId, held.holderId)]
    assert anywhere(own, "checkToken", path="/notice", token=held.token).current
    anywhere(own, "poll", holder, 0, maxWaitMs=0, renewNow=True,
             acknowledgedNotices=[notice.noticeId])
    grant = granted(own, "acquire", next_, 1, path="/notice")
    assert grant.token > held.token
    tenure = describe(own, "/notice").tenures[0]
    assert (tenure.reason, tenure.note) == (t.EndReason.REVOKED, "drain")
