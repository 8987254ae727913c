"""Keys and watches over three real servers, by the stock generated client alone."""

import time

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from holdfast_api.watch import ttypes as w
from support.waiting import eventually


@pytest.fixture
def servers(cluster, dial):
    """A connection to each server."""
    return [dial(node) for node in cluster.nodes.values()]


def refused(code, call, *args, **fields):
    """The call must fail with that code; the message comes back."""
    with pytest.raises(t.HoldfastError) as failed:
        call(*args, **fields)
    assert failed.value.code == code, failed.value
    assert failed.value.applied == t.Applied.NO
    return failed.value.message


def test_a_key_is_written_through_one_server_and_read_through_all(servers):
    put = servers[0].put(path="/config/limit", value=b"10", makeParents=True)
    assert put.version == 1 and put.revision > 0
    for stock in servers:
        got = stock.get(path="/config/limit")
        assert got.found and got.key.value == b"10"
        assert got.key.stat.modifyRevision == put.revision
        assert got.header.revision >= put.revision
    assert not servers[1].get(path="/config/other").found


def test_a_stat_says_all_there_is_to_know_of_a_key(servers):
    stock, other, _ = servers
    before = time.time() * 1000
    created = stock.put(path="/stat", value=b"1").revision
    child = stock.create(path="/stat/c", kind=w.KeyKind.TTL, ttlMs=60_000, value=b"").revision
    stock.create(path="/stat/d", value=b"")
    removed = stock.remove(path="/stat/d").revision
    written = stock.put(path="/stat", value=b"four").revision
    stat = other.get(path="/stat", statOnly=True).key.stat
    assert (stat.kind, stat.version, stat.createRevision, stat.modifyRevision) == (
        w.KeyKind.PERSISTENT, 2, created, written)
    assert (stat.childrenVersion, stat.childrenRevision, stat.childCount) == (3, removed, 1)
    assert (stat.ephemeralOwner, stat.valueBytes, stat.ttlMs) == (0, 4, 0)
    slack = 5_000  # the servers' clock is this machine's
    assert before - slack < stat.createdUnixMs <= stat.modifiedUnixMs < before + 60_000
    below = other.get(path="/stat/c").key.stat
    assert (below.kind, below.ttlMs, below.createRevision, below.childrenRevision) == (
        w.KeyKind.TTL, 60_000, child, 0)


def test_many_keys_are_read_at_one_revision(servers):
    stock, other, _ = servers
    put = lambda path, value: k.Operation(put=k.PutRequest(path=path, value=value))  # noqa: E731
    stock.put(path="/many", value=b"")
    paths = ["/many/b", "/many/none", "/many/a", "/"]
    for turn in (b"1", b"2", b"3"):
        done = stock.transact(compares=[], thenOperations=[put("/many/a", turn),
                                                           put("/many/b", turn)])
        found = other.getMany(paths=paths)
        assert found.header.revision >= done.revision
        assert [(f.found, f.key.path, f.key.value) for f in found.keys] == [
            (True, "/many/b", turn), (False, "/many/none", b""), (True, "/many/a", turn),
            (True, "/", b"")]
        assert {f.key.stat.modifyRevision for f in found.keys[::2]} == {done.revision}
    assert other.getMany(paths=["/many/a"], statOnly=True).keys[0].key.value == b""


def test_an_answer_of_many_keys_ends_at_a_mebibyte_and_their_number_is_judged(servers):
    stock = servers[0]
    stock.put(path="/half", value=b"x" * 500_000)
    assert len(stock.getMany(paths=["/half"] * 5).keys) == 2
    stock.put(path="/half", value=b"x" * (1 << 20))
    assert len(stock.getMany(paths=["/half", "/half"]).keys) == 1, "at least one"
    assert len(stock.getMany(paths=["/none"] * 1000).keys) == 1000
    for paths in ([], ["/none"] * 1001):
        message = refused(t.ErrorCode.BAD_ARGUMENT, stock.getMany, paths=paths)
        assert f"{len(paths)} paths" in message and "1 to 1000" in message
    refused(t.ErrorCode.BAD_ARGUMENT, stock.getMany, paths=["/none", "none"])


def test_versions_and_parents_are_judged(servers):
    stock = servers[2]
    refused(t.ErrorCode.NO_KEY, stock.put, path="/none/child", value=b"")
    stock.put(path="/v", value=b"1")
    assert stock.put(path="/v", value=b"2", expectedVersion=1).version == 2
    assert "2" in refused(t.ErrorCode.BAD_VERSION, stock.put, path="/v", value=b"3",
                          expectedVersion=1)
    refused(t.ErrorCode.KEY_EXISTS, stock.create, path="/v", value=b"")
    stock.create(path="/v/child", value=b"")
    refused(t.ErrorCode.NOT_EMPTY, stock.remove, path="/v")
    assert stock.remove(path="/v", recursive=True).removed == 2
    refused(t.ErrorCode.NO_KEY, stock.remove, path="/v")
    refused(t.ErrorCode.BAD_ARGUMENT, stock.get, path="v")


def test_ephemeral_keys_go_with_their_session_and_its_locks(servers):
    first, second, _ = servers
    session = first.open_session()
    first.create(path="/members", value=b"")
    made = first.create(session, path="/members/n-", kind=w.KeyKind.EPHEMERAL, sequential=True,
                        value=b"10.0.0.7:80")
    assert made.path.startswith("/members/n-") and made.path[11:].isdigit() and len(made.path) == 31
    got = second.get(path=made.path)
    assert got.key.stat.ephemeralOwner == session.id
    first.closeSession(session)
    assert not second.get(path=made.path).found


def test_a_retried_write_is_done_once(servers):
    first, second, _ = servers
    session = first.open_session()
    one = first.put(session, 1, path="/once", value=b"a")
    again = second.put(session, 1, path="/once", value=b"a")
    assert (again.revision, again.version) == (one.revision, 1)
    number = first.create(session, 2, path="/once/n", sequential=True, value=b"")
    assert second.create(session, 2, path="/once/n", sequential=True, value=b"").path == number.path
    assert [key.path for key in first.listKeys(path="/once").keys] == [number.path]


def test_a_guarded_write_needs_its_lock(servers):
    stock = servers[0]
    session, other = stock.open_session(), stock.open_session()
    held = stock.acquire(session, path="/jobs/a", waitMs=0)
    guard = k.LockGuard(path="/jobs/a", holderId=held.holderId)
    assert stock.put(session, path="/guarded", value=b"1", guard=guard).version == 1
    refused(t.ErrorCode.NOT_HELD, stock.put, other, path="/guarded", value=b"2", guard=guard)
    stock.release(session, path="/jobs/a", holderId=held.holderId)
    refused(t.ErrorCode.NOT_HELD, stock.put, session, path="/guarded", value=b"3", guard=guard)
    assert stock.get(path="/guarded").key.value == b"1"


def test_a_guard_that_names_a_holder_and_no_lock_is_refused(servers):
    stock = servers[0]
    session = stock.open_session()
    half = k.LockGuard(holderId=7)
    put = k.Operation(put=k.PutRequest(path="/half-guarded", value=b"1", guard=half))
    refused(t.ErrorCode.BAD_ARGUMENT, stock.put, session, path="/half-guarded", value=b"1",
            guard=half)
    refused(t.ErrorCode.BAD_ARGUMENT, stock.create, session, path="/half-guarded", guard=half)
    refused(t.ErrorCode.BAD_ARGUMENT, stock.remove, session, path="/half-guarded", guard=half)
    refused(t.ErrorCode.BAD_ARGUMENT, stock.transact, session, thenOperations=[put])
    refused(t.ErrorCode.BAD_ARGUMENT, stock.transact, session, otherwiseOperations=[put])
    assert not stock.get(path="/half-guarded").found


def test_a_transaction_is_one_revision_or_nothing(servers):
    stock = servers[1]
    put = lambda path, value: k.Operation(put=k.PutRequest(path=path, value=value))  # noqa: E731
    absent = k.Compare(target=k.CompareTarget.EXISTS, path="/t/a", number=0)
    fields = dict(compares=[absent],
                  thenOperations=[put("/t", b""), put("/t/a", b"1"), put("/t/b", b"1")],
                  otherwiseOperations=[k.Operation(remove=k.RemoveRequest(path="/t/b"))])
    first = stock.transact(**fields)
    assert first.succeeded and [r.version for r in first.results] == [1, 1, 1]
    revisions = {stock.get(path=p).key.stat.modifyRevision for p in ("/t", "/t/a", "/t/b")}
    assert revisions == {first.revision}
    second = stock.transact(**fields)
    assert not second.succeeded and second.results[0].removed == 1
    message = refused(t.ErrorCode.NO_KEY, stock.transact, compares=[absent],
                      thenOperations=[], otherwiseOperations=[
                          put("/t/c", b""), k.Operation(remove=k.RemoveRequest(path="/t/gone"))])
    assert "otherwiseOperations[1]" in message
    assert not stock.get(path="/t/c").found


def test_lists_come_in_pages_in_the_order_of_the_tree(servers):
    stock = servers[0]
    for path in ("/l", "/l/a", "/l/a/z", "/l/a-b", "/l/b"):
        stock.put(path=path, value=path.encode())
    found, page = [], ""
    while True:
        got = stock.listKeys(path="/l", subtree=True, pageSize=2, page=page, withValues=True)
        found += [(key.path, key.value.decode()) for key in got.keys]
        page = got.nextPage
        if not page:
            break
    assert found == [(p, p) for p in ("/l/a", "/l/a/z", "/l/a-b", "/l/b")]
    assert [key.path for key in stock.listKeys(path="/l").keys] == ["/l/a", "/l/a-b", "/l/b"]


def test_pages_keep_their_place_while_the_tree_changes(servers):
    """Each page is asked of another server; what is there all the time comes once, in order."""
    stock = servers[0]
    stock.put(path="/p", value=b"")
    stays = [f"/p/{number:02}" for number in range(0, 40, 2)]
    for path in stays:
        stock.put(path=path, value=b"")
    found, page, turn = [], "", 0
    while True:
        got = servers[turn % 3].listKeys(path="/p", pageSize=3, page=page)
        found += [key.path for key in got.keys]
        page = got.nextPage
        if not page:
            break
        # Before the place, behind it, and at the very place where the next page begins.
        stock.put(path=f"/p/{turn:02}+", value=b"")
        stock.put(path=f"{found[-1]}/child", value=b"")
        stock.put(path=f"{found[-1]}+", value=b"")
        if turn == 2:
            stays.remove(page)
            stock.remove(path=page, recursive=True)
            found.remove(page)
        turn += 1
    assert found == sorted(set(found)) and turn > 5
    assert [path for path in found if path in stays] == stays


@pytest.mark.parametrize("page", [
    "/other", "/p", "/pp", "/", "p/a", "/p//a", "/p/../other", "/p/\x00", "/p/" + "x" * 9_000])
def test_a_page_that_no_list_gave_is_refused(servers, page):
    stock = servers[1]
    stock.put(path="/p", value=b"")
    for subtree in (False, True):
        with pytest.raises(t.HoldfastError) as failed:
            stock.listKeys(path="/p", subtree=subtree, page=page)
        assert failed.value.code in (t.ErrorCode.BAD_ARGUMENT, t.ErrorCode.TOO_LARGE)
        assert failed.value.applied == t.Applied.NO and not failed.value.retryable


def test_pages_of_another_size_than_allowed_are_refused(servers):
    stock = servers[0]
    for size in (-1, 1001):
        assert str(size) in refused(t.ErrorCode.BAD_ARGUMENT, stock.listKeys, path="/",
                                    pageSize=size)
    refused(t.ErrorCode.NO_KEY, stock.listKeys, path="/never/made")


def test_values_may_be_as_large_as_the_limit_says(servers):
    largest = b"x" * (1 << 20)
    servers[1].put(path="/large", value=largest)
    assert servers[2].get(path="/large").key.value == largest
    message = refused(t.ErrorCode.TOO_LARGE, servers[0].put, path="/large", value=largest + b"x")
    assert "1048577" in message and "1048576" in message


def test_a_value_that_just_fits_into_a_frame_is_refused_like_every_other(servers):
    session = servers[0].open_session()
    value = b"x" * (4_194_304 - 200)
    message = refused(t.ErrorCode.TOO_LARGE, servers[0].put, session, path="/large", value=value)
    assert str(len(value))[:4] in message and "1310720" in message and "1048576" in message
    message = refused(t.ErrorCode.TOO_LARGE, servers[0].get, path="/" + "x" * 3_000_000)
    assert "3000001" in message and "8192" in message


class Follower:
    """Polls and collects what watches tell."""

    def __init__(self, stock, session):
        self.stock, self.session, self.delivery = stock, session, 0

    def poll(self, wait_ms=2_000):
        context = t.RequestContext(sessionId=self.session.id, sessionSecret=self.session.secret)
        result = self.stock.call("poll", context, acknowledgedDelivery=self.delivery,
                                 maxWaitMs=wait_ms)
        self.delivery = result.delivery
        return result

    def events(self, count):
        """(revision, type, path, value) of at least so many events."""
        got = []

        def enough():
            for delivery in self.poll().watches:
                assert delivery.kind == w.DeliveryKind.EVENTS and not delivery.partial
                got.extend((delivery.revision, e.eventType, e.path, e.value)
                           for e in delivery.events)
            return len(got) >= count
        eventually(enough, within=10)
        return got


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_a_watch_tells_every_change_in_order_whichever_server_it_is_on(cluster, dial, protocol):
    writer = dial(next(iter(cluster.nodes.values())))
    top = f"/w-{protocol}"
    writer.put(path=top, value=b"")
    for number, node in enumerate(cluster.nodes.values()):
        stock = dial(node, protocol=protocol)
        session = stock.open_session()
        follower = Follower(stock, session)
        registered = stock.watch(session, path=top, scope=w.WatchScope.SUBTREE, withValues=True)
        assert follower.poll(0).serverEpoch == registered.serverEpoch
        key = f"{top}/k{number}"
        revisions = [writer.put(path=key, value=b"1").revision,
                     writer.put(path=key, value=b"2").revision,
                     writer.remove(path=key).revision]
        assert follower.events(3) == [
            (revisions[0], w.EventType.KEY_CREATED, key, b"1"),
            (revisions[1], w.EventType.KEY_CHANGED, key, b"2"),
            (revisions[2], w.EventType.KEY_REMOVED, key, b"")]


def test_a_watch_tells_the_types_asked_for_alone(servers):
    stock = servers[1]
    session = stock.open_session()
    stock.watch(session, path="/f", scope=w.WatchScope.SUBTREE,
                filter=[w.EventType.KEY_CHANGED, w.EventType.KEY_REMOVED])
    follower = Follower(stock, session)
    follower.poll(0)
    servers[0].put(path="/f", value=b"1")
    changed = servers[0].put(path="/f", value=b"2").revision
    servers[0].put(path="/f/a", value=b"")
    removed = servers[0].remove(path="/f", recursive=True).revision
    assert [e[:3] for e in follower.events(3)] == [
        (changed, w.EventType.KEY_CHANGED, "/f"), (removed, w.EventType.KEY_REMOVED, "/f/a"),
        (removed, w.EventType.KEY_REMOVED, "/f")]


def test_a_watch_of_a_quiet_place_is_told_how_far_others_have_come(servers):
    stock, other, third = servers
    session = stock.open_session(ttl_ms=4_000)
    registered = stock.watch(session, path="/quiet")
    follower = Follower(stock, session)
    follower.poll(0)
    last = other.put(path="/elsewhere", value=b"").revision

    def progress():
        polled = follower.poll()
        assert not polled.watches and polled.progressWatchId == registered.watchId
        return polled.progressRevision
    eventually(lambda: progress() >= last, within=10)
    # From there it goes on at another server.
    seen = progress()
    written = other.put(path="/quiet", value=b"").revision
    third.watch(session, path="/quiet", sinceRevision=seen)
    assert [e[0] for e in Follower(third, session).events(1)] == [written]


def test_a_watch_resumes_on_another_server_where_it_was(servers):
    first, second, _ = servers
    first.put(path="/r", value=b"0")
    session = first.open_session()
    first.watch(session, path="/r")
    here = Follower(first, session)
    here.poll(0)
    seen = first.put(path="/r", value=b"1").revision
    assert [e[0] for e in here.events(1)] == [seen]
    missed = [first.put(path="/r", value=b"2").revision, first.put(path="/r", value=b"3").revision]
    second.watch(session, path="/r", sinceRevision=seen)
    assert [e[0] for e in Follower(second, session).events(2)] == missed


def test_locks_can_be_watched(servers):
    stock = servers[0]
    session, holder = stock.open_session(), stock.open_session()
    stock.watch(session, path="/watched", space=w.WatchSpace.LOCKS)
    follower = Follower(stock, session)
    follower.poll(0)
    held = stock.acquire(holder, path="/watched", waitMs=0)
    stock.release(holder, path="/watched", holderId=held.holderId)
    got = follower.events(2)
    assert [e[1] for e in got] == [w.EventType.LOCK_GRANTED, w.EventType.LOCK_ENDED]


def test_the_simplest_client_waits_for_a_change(servers):
    first, second, third = servers
    revision = first.put(path="/wait", value=b"1").revision
    same = second.waitForChange(path="/wait", afterRevision=revision, maxWaitMs=100)
    assert not same.changed and same.key.value == b"1"
    later = first.put(path="/wait", value=b"2").revision
    got = third.waitForChange(path="/wait", afterRevision=revision, maxWaitMs=5_000)
    assert got.changed and got.key.stat.modifyRevision == later
    first.remove(path="/wait")
    gone = third.waitForChange(path="/wait", afterRevision=got.header.revision, maxWaitMs=5_000)
    assert gone.changed and not gone.found


def test_bad_watches_are_refused_with_the_value(servers):
    stock = servers[0]
    session = stock.open_session()
    assert "scope 9" in refused(t.ErrorCode.UNSUPPORTED, stock.watch, session, path="/x", scope=9)
    refused(t.ErrorCode.BAD_ARGUMENT, stock.watch, session, path="x")
    refused(t.ErrorCode.BAD_ARGUMENT, stock.watch, session, path="/x", sinceRevision=-1)
    refused(t.ErrorCode.BAD_ARGUMENT, stock.watch, path="/x")
    stock.unwatch(session, watchId=77)
