"""What operators are shown, on every server. By the stock client."""

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.watch import ttypes as w
from support.stock import Stock
from support.waiting import eventually

S = t.AcquireStatus
LOCAL = t.Consistency.LOCAL


@pytest.fixture
def crowd(cluster, dial):
    """A holder and a waiter of /views/a, which also waits for several locks at once."""
    stock = dial(cluster.nodes[1])
    holder, waiter = stock.open_session(60_000, "holder"), stock.open_session(30_000, "waiter")
    held = stock.acquire(holder, path="/views/a", waitMs=0)
    wants = [t.LockWanted(path=f"/views/{name}") for name in "abc"]
    stock.acquireAll(waiter, locks=wants, waitMs=-1, enqueue=True, owner="three")
    yield holder, waiter, held
    stock.closeSession(holder)
    stock.closeSession(waiter)


def admin_of(node):
    return Stock(node.admin_address, service="admin")


def sessions_of(node, **fields):
    with admin_of(node) as admin:
        return {s.name: s for s in admin.listSessions(pageSize=1000, **fields).sessions}


def test_every_server_shows_what_is_left_of_leases(cluster, dial, crowd):
    for node in cluster.nodes.values():
        stock = dial(node)
        lock = stock.describeLock(path="/views/a").lock
        assert 50_000 < lock.holders[0].leaseLeftMs <= 60_000, node.node_id
        assert 20_000 < lock.waiters[0].leaseLeftMs <= 30_000, node.node_id
        listed = {k.path: k for k in stock.listLocks(prefix="/views/").locks}
        assert 50_000 < listed["/views/a"].holders[0].leaseLeftMs <= 60_000, node.node_id
        seen = sessions_of(node)
        assert 50_000 < seen["holder"].leaseLeftMs <= 60_000, node.node_id
        assert 20_000 < seen["waiter"].leaseLeftMs <= 30_000, node.node_id


def test_a_lease_is_seen_to_run_and_to_be_renewed_from_a_follower(cluster, dial):
    follower = cluster.followers()[0]
    stock = dial(follower)
    session = stock.open_session(60_000, "runner")

    def left():
        return sessions_of(follower)["runner"].leaseLeftMs

    def left_after_renewal():
        stock.call("keepAlive", session.context(0))
        return left()

    # More than a call takes: what was run down must exceed what runs between renewal and look.
    eventually(lambda: left() < 59_000, what="the lease runs")
    run_down = left()
    eventually(lambda: left_after_renewal() > run_down, what="a renewal is seen")


def test_a_lock_delay_and_a_wait_are_seen_to_run_on_an_idle_cluster(cluster, dial):
    stock = dial(cluster.nodes[1])
    dead, waiter = stock.open_session(1000, "dead"), stock.open_session(60_000, "waits")
    stock.acquire(dead, path="/views/delay", waitMs=0, lockDelayMs=600_000)
    stock.acquire(waiter, path="/views/delay", waitMs=900_000, enqueue=True)
    eventually(lambda: stock.describeLock(path="/views/delay").lock.closedForMs, within=15)
    for node in cluster.nodes.values():
        stock = dial(node)
        first = stock.describeLock(path="/views/delay").lock

        def has_run():
            lock = stock.describeLock(path="/views/delay").lock
            return (lock.closedForMs < first.closedForMs
                    and lock.waiters[0].waitLeftMs < first.waiters[0].waitLeftMs)
        eventually(has_run, within=3, what=f"time goes by on node {node.node_id}")


def test_a_local_read_does_not_ask_the_leader(cluster, dial, crowd):
    for node in cluster.followers():
        stock = dial(node)
        eventually(lambda: stock.describeLock(path="/views/a", consistency=LOCAL).lock.waiters)
        lock = stock.describeLock(path="/views/a", consistency=LOCAL).lock
        assert [h.leaseLeftMs for h in lock.holders + lock.waiters] == [-1, -1]
        assert sessions_of(node, consistency=LOCAL)["holder"].leaseLeftMs == -1
    leader = dial(cluster.leader())
    lock = leader.describeLock(path="/views/a", consistency=LOCAL).lock
    assert lock.holders[0].leaseLeftMs > 0


def test_after_a_failover_the_new_leader_is_asked(own, dial):
    session = dial(own.nodes[1]).open_session(60_000, "kept")
    assert session.id
    own.leader().kill()
    left = eventually(own.leader)
    for node in [left, *own.followers()]:
        own.wait_ready([node])
        eventually(lambda: sessions_of(node)["kept"].leaseLeftMs > 50_000, within=15)


def test_places_of_several_locks_are_places_and_not_locks(cluster, crowd):
    seen = sessions_of(cluster.leader())
    assert (seen["holder"].locks, seen["holder"].places) == (1, 0)
    assert (seen["waiter"].locks, seen["waiter"].places) == (0, 3)


def test_a_page_ends_at_its_bytes_and_goes_on_where_it_ended(cluster, dial):
    stock = dial(cluster.nodes[1])
    fat = {"k": "x" * 4000}
    for number in range(400):
        stock._client.openSession(t.RequestContext(), t.OpenSessionRequest(
            ttlMs=60_000, name=f"fat-{number}", attributes=fat, secret=b"%016d" % number))
    for node in cluster.nodes.values():
        sizes, names, page = [], [], 0
        with admin_of(node) as admin:
            while True:
                result = admin.listSessions(pageSize=1000, page=page)
                sizes.append(sum(len(str(s.attributes)) for s in result.sessions))
                names += [s.name for s in result.sessions]
                page = result.nextPage
                if not page:
                    break
        assert len(sizes) > 1 and max(sizes) <= 1 << 20, sizes
        assert [n for n in names if n.startswith("fat-")] == [f"fat-{n}" for n in range(400)]


def watches_of(node, **fields):
    """All that it has, page by page."""
    found, page = [], 0
    with admin_of(node) as admin:
        while True:
            result = admin.listWatches(page=page, **fields)
            found += result.watches
            page = result.nextPage
            if not page:
                return found


def test_each_server_shows_who_watches_what_there(cluster, dial):
    here, there = list(cluster.nodes.values())[:2]
    stock = dial(here)
    session = stock.open_session(60_000, "follower")
    made = stock.watch(session, path="/watched", scope=w.WatchScope.SUBTREE, withValues=True,
                       space=w.WatchSpace.BOTH,
                       filter=[w.EventType.KEY_REMOVED, w.EventType.LOCK_GRANTED])
    more = [stock.watch(session, path=f"/many/{number}").watchId for number in range(120)]
    listed = {watch.watchId: watch for watch in watches_of(here)}
    assert set(listed) == {made.watchId, *more}
    watch = listed[made.watchId]
    assert (watch.sessionId, watch.sessionName, watch.path) == (session.id, "follower", "/watched")
    assert (watch.scope, watch.space) == (w.WatchScope.SUBTREE, w.WatchSpace.BOTH)
    assert watch.filter == [w.EventType.KEY_REMOVED, w.EventType.LOCK_GRANTED]
    assert watch.withValues and not watch.behind and not watch.resyncing
    plain = listed[more[0]]
    assert (plain.scope, plain.space) == (w.WatchScope.NODE, w.WatchSpace.KEYS)
    assert not plain.filter and not plain.withValues
    assert watches_of(there) == []
    stock.acquire(session, path="/watched/lock", waitMs=0)
    assert next(x for x in watches_of(here) if x.watchId == made.watchId).behind
    assert sorted(x.watchId for x in watches_of(here, pageSize=7)) == sorted(listed)
    stock.closeSession(session)
    eventually(lambda: watches_of(here) == [])


@pytest.mark.parametrize("fields", [{"pageSize": -1}, {"pageSize": 1001}, {"page": -1}])
def test_a_page_of_watches_that_cannot_be_is_refused(cluster, fields):
    (name, value), = fields.items()
    with admin_of(cluster.nodes[1]) as admin, pytest.raises(t.HoldfastError) as refused:
        admin.listWatches(**fields)
    assert refused.value.code == t.ErrorCode.BAD_ARGUMENT
    assert name in refused.value.message and str(value) in refused.value.message
