"""Watches: each change once, in order, whole, whatever happens to servers, replies and readers."""

import gc
import multiprocessing
import threading
import time

import pytest
from holdfast_api.keys import ttypes as k
from holdfast_api.watch import ttypes as w
from support.fake_model import boot, refusal
from support.fake_server import FakeCluster, Fault, KeysHandler
from support.waiting import eventually

import holdfast
from holdfast import EventKind, _watches


def names(events):
    return [(e.kind.name, e.path, e.text) for e in events]


def read(watch, count, within=5.0):
    """So many events."""
    found = []
    until = time.monotonic() + within
    while len(found) < count:
        event = watch.get(timeout=max(0.0, until - time.monotonic()))
        assert event is not None, f"only {names(found)}"
        found.append(event)
    return found


def polled(cluster):
    """The server that is polled now."""
    node_id = eventually(lambda: next((node for method, node, _ in reversed(cluster.model.calls)
                                       if method == "poll"), None))
    return next(s for s in cluster.servers if s.node_id == node_id)


def acknowledged(cluster, server):
    """What its polls acknowledged, in order."""
    with cluster.model.mutex:
        return [number for node, number in cluster.model.acknowledged if node == server.node_id]


def registered(cluster, session):
    """How many watches of a session each server has."""
    with cluster.model.mutex:
        return [len(s.watches.of.get(session.id, {})) for s in cluster.servers]


def test_what_is_committed_after_watch_returned_is_told_at_once(client, session):
    client.put("/a", "0")
    with session.watch("/a", values=True) as watch:
        began = time.monotonic()
        written = client.put("/a", "1")
        client.delete("/a")
        events = read(watch, 2)
        assert time.monotonic() - began < 0.9  # a poll is parked for a second
        assert names(events) == [("CHANGED", "/a", "1"), ("DELETED", "/a", "")]
        assert events[0].revision == written.revision and events[0].entry.version == 2
        assert events[1].reason == "REMOVED"


def test_scopes(client, session):
    for path in ("/a", "/a/b", "/a/b/c", "/other"):
        client.put(path)
    watches = {scope: session.watch("/a", scope=scope) for scope in ("node", "children", "subtree")}
    for path in ("/a", "/a/b", "/a/b/c", "/other"):
        client.put(path)
    paths = {scope: [e.path for e in iter(lambda w=watch: w.get(0.3), None)]
             for scope, watch in watches.items()}
    assert paths == {"node": ["/a"], "children": ["/a/b"], "subtree": ["/a", "/a/b", "/a/b/c"]}
    with pytest.raises(holdfast.BadArgument, match="'all' is none of node"):
        session.watch("/a", scope="all")
    with pytest.raises(holdfast.BadArgument, match="negative"):
        session.watch("/a", since=-1)


def test_a_watch_tells_the_kinds_asked_for_alone(client, session):
    with session.watch("/a", values=True, kinds=[EventKind.CREATED, EventKind.DELETED]) as watch:
        client.put("/a", "1")
        client.put("/a", "2")
        client.delete("/a")
        assert names(read(watch, 2)) == [("CREATED", "/a", "1"), ("DELETED", "/a", "")]
    deleted = []

    @session.on_change("/a", kinds={EventKind.DELETED})
    def note(event):
        deleted.append(event.revision)

    client.put("/a")
    gone = client.delete("/a").revision
    eventually(lambda: deleted)
    assert deleted == [gone]
    note.close()
    for kinds in ([], [EventKind.RESYNC], [EventKind.CREATED, EventKind.RESYNC]):
        with pytest.raises(holdfast.BadArgument, match="RESYNC, which always is"):
            session.watch("/a", kinds=kinds)


def test_kinds_hold_on_the_next_server_too(cluster, client, session):
    with session.watch("/a", kinds=[EventKind.CHANGED]) as watch:
        client.put("/a")
        seen = [client.put("/a").revision]
        assert read(watch, 1)[0].revision == seen[0]
        server = polled(cluster)
        cluster.leader = next(s for s in cluster.servers if s is not server)
        server.stop()
        session.delete("/a")
        session.put("/a")
        changed = session.put("/a").revision
        assert [e.revision for e in read(watch, 1)] == [changed]


def test_a_watch_since_a_revision_tells_what_was_missed(client, session):
    first = client.put("/a", "1")
    client.put("/a", "2")
    watch = session.watch("/a", since=first.revision, values=True)
    assert names(read(watch, 1)) == [("CHANGED", "/a", "2")]
    assert names(read(session.watch("/a", since=0), 2))[0] == ("CREATED", "/a", "1")


def test_a_transaction_is_shown_whole_though_it_comes_in_parts(cluster, client, session):
    for server in cluster.servers:
        server.watches.entries_max = 2
    watch = session.watch("/", scope="subtree")
    other = session.watch("/t2")
    with client.transact() as tx:
        for number in range(5):
            tx.put(f"/t{number}")
    group = watch.group(timeout=5)
    assert [e.path for e in group] == [f"/t{n}" for n in range(5)]
    assert [e.last for e in group] == [False] * 4 + [True]
    assert {e.revision for e in group} == {tx.revision}
    assert len(other.group(timeout=5)) == 1


def test_the_revision_to_go_on_from_is_that_of_the_last_whole_group(client, session):
    watch = session.watch("/", scope="subtree")
    began = watch.revision
    with client.transact() as tx:
        tx.put("/a")
        tx.put("/b")
    read(watch, 1)
    assert watch.revision < tx.revision and watch.revision >= began
    read(watch, 1)
    assert watch.revision == tx.revision


def test_a_quiet_watch_moves_on_with_the_progress_of_the_cluster(client, session):
    watch = session.watch("/quiet")
    revision = client.put("/busy").revision
    eventually(lambda: watch.revision >= revision, within=3)


def test_iterating_ends_at_the_timeout_and_at_close(client, session):
    watch = session.watch("/a", timeout=0.2)
    client.put("/a")
    assert len(list(watch)) == 1
    client.put("/a")
    assert len(list(watch)) == 1
    watch = session.watch("/a")
    threading.Timer(0.2, watch.close).start()
    assert list(watch) == []


# ------------------------------------------------------------------------ servers come and go

def test_a_watch_goes_on_at_another_server_from_where_it_was(cluster, client, session):
    watch = session.watch("/a", scope="subtree", values=True)
    client.put("/a", "0")
    read(watch, 1)
    for number in range(6):
        client.put("/a", f"{number}")
        victim = polled(cluster)
        cluster.leader = next(s for s in cluster.servers if s is not victim)
        victim.stop()
        client.put("/a", f"{number}+")
        eventually(lambda: polled(cluster) is not victim)  # noqa: B023
        victim.start()
    assert [e.text for e in read(watch, 12)] == [
        text for n in range(6) for text in (f"{n}", f"{n}+")]
    assert watch.get(0.3) is None


def test_a_watch_is_registered_anew_at_a_server_that_was_restarted(cluster, client, session):
    watch = session.watch("/a", values=True)
    for server in cluster.servers:
        server.stop()
    with cluster.model.mutex:
        cluster.model.revision += 1
        cluster.model.keys.entry(cluster.model.revision, lambda: cluster.model.keys.put(
            cluster.model.revision, holdfast._requests.put("/a", "while away", None, False)))
    for server in cluster.servers:
        server.start()
    assert names(read(watch, 1)) == [("CREATED", "/a", "while away")]


def test_half_a_group_is_told_anew_by_the_next_server(cluster, client, session):
    for server in cluster.servers:
        server.watches.entries_max = 2
    watch = session.watch("/", scope="subtree")
    first = polled(cluster)
    # The reply with the first part is answered; the next one, with the second part, never comes.
    cluster.fault("poll", Fault(), server=first)
    cluster.fault("poll", Fault(delay=2.0), server=first)
    with client.transact() as tx:
        for number in range(5):
            tx.put(f"/{number}")
    assert [e.path for e in watch.group(timeout=10)] == [f"/{n}" for n in range(5)]
    assert polled(cluster) is not first
    assert watch.get(0.3) is None


def test_a_lost_reply_is_told_again_and_shown_once(cluster, client, session):
    watch = session.watch("/a", values=True)
    for number in range(10):
        # One poll is parked; the next ones lose their replies, some after the client saw others.
        cluster.fault("poll", Fault(drop_reply=True), server=polled(cluster))
        client.put("/a", str(number))
    assert [e.text for e in read(watch, 10, within=10)] == [str(n) for n in range(10)]
    assert watch.get(0.3) is None


def test_a_broken_connection_to_the_same_server_tells_nothing_twice(cluster, client):
    with holdfast.Client(cluster.seeds[:1], discover=False) as only:
        session = only.session(ttl=4)
        watch = session.watch("/a", values=True)
        for number in range(10):
            client.put("/a", str(number))
            session._core.nudge()
            time.sleep(0.03)  # nudges are rare on purpose
        assert [e.text for e in read(watch, 10)] == [str(n) for n in range(10)]
        assert watch.get(0.2) is None
        assert registered(cluster, session)[0] == 1


def test_a_reply_that_comes_too_late_is_dropped_and_told_elsewhere(cluster, client, session):
    watch = session.watch("/a", values=True)
    slow = polled(cluster)
    cluster.fault("poll", Fault(delay=3.0), server=slow)
    client.put("/a", "1")   # answers the parked poll; the next one's reply is late
    client.put("/a", "2")
    assert [e.text for e in read(watch, 2)] == ["1", "2"]
    assert watch.get(3.0) is None


def test_what_arrives_before_the_answer_to_its_registration_is_not_lost(cluster, client, session):
    client.put("/a", "0")
    session.watch("/warm").close()
    cluster.fault("watch", Fault(then=lambda: client.put("/a", "1"), delay=0.3))
    watch = session.watch("/a", values=True)
    client.put("/a", "2")
    assert [e.text for e in read(watch, 2)] == ["1", "2"]


def test_a_registration_whose_answer_was_lost_is_made_again_and_the_first_is_undone(
        cluster, client, session):
    cluster.fault("watch", Fault(drop_reply=True), server=polled(cluster))
    watch = session.watch("/a")
    client.put("/a")
    read(watch, 1)
    assert watch.get(0.2) is None
    eventually(lambda: sum(registered(cluster, session)) == 1)


def test_what_was_left_at_a_server_is_undone_when_it_is_polled_again(cluster, client, session):
    warm = [session.watch("/warm") for _ in range(3)]
    first = polled(cluster)
    for _ in range(2):
        here = polled(cluster)
        here.black_hole.set()
        eventually(lambda: polled(cluster) is not here)  # noqa: B023
        here.black_hole.clear()
    others = [s for s in cluster.servers if s is not first]
    for server in others:
        server.stop()
    eventually(lambda: polled(cluster) is first)
    watch = session.watch("/a")
    client.put("/a")
    read(watch, 1)
    eventually(lambda: registered(cluster, session)[cluster.servers.index(first)] == 4)
    for each in warm:
        each.close()
    eventually(lambda: registered(cluster, session)[cluster.servers.index(first)] == 1)


@pytest.mark.parametrize("what", ["watch", "unwatch"])
def test_a_call_that_a_hanging_server_keeps_delays_no_watch_elsewhere(cluster, client, session,
                                                                      monkeypatch, what):
    watch, other = session.watch("/a"), session.watch("/b")
    here = polled(cluster)
    monkeypatch.setattr(_watches, "CALL_SECONDS", 30.0)
    here.black_hole.set()
    begun = []  # a watch that nobody refers to is closed
    asking = threading.Thread(target=other.close if what == "unwatch" else
                              lambda: begun.append(session.watch("/c")))
    asking.start()
    eventually(lambda: session._core.watches._calling)
    cluster.leader = next(s for s in cluster.servers if s is not here)
    eventually(lambda: polled(cluster) is not here)
    session.put("/a")
    assert read(watch, 1)[0].path == "/a"
    asking.join(5)
    assert not asking.is_alive()
    # Asked anew each time: on a busy machine the poll may go on to the third server.
    eventually(lambda: registered(cluster, session)[cluster.servers.index(polled(cluster))] ==
               (3 if what == "watch" else 1))
    here.black_hole.clear()


def test_what_a_server_refuses_after_the_poll_has_left_it_ends_no_watch(cluster, client, session):
    watch, here = session.watch("/a"), polled(cluster)
    watches = session._core.watches
    with watches.mutex:
        before = watches._place
    here.stop()
    cluster.leader = next(s for s in cluster.servers if s is not here)
    eventually(lambda: watches._place is not before)
    watches._refused(before, watch._feed, refusal("LIMIT_EXCEEDED", "10000 watches is the limit"))
    session.put("/a")
    assert read(watch, 1)[0].path == "/a"


def test_a_refused_watch_says_why(cluster, session):
    cluster.fault("watch", Fault(before=refusal("LIMIT_EXCEEDED", "10000 watches is the limit")))
    with pytest.raises(holdfast.LimitExceeded, match="10000 watches"):
        session.watch("/a")


def test_what_is_not_understood_ends_the_watch_and_nothing_else(cluster, client, session):
    watch, other = session.watch("/a"), session.watch("/b")
    with cluster.model.mutex:
        model = cluster.model
        model.revision += 1
        model.keys.history.append((model.revision, [w.WatchEvent(eventType=99, path="/a")]))
        model.changed.notify_all()
    with pytest.raises(holdfast.ServerError, match="/a is not understood"):
        watch.get(5)
    client.put("/b")
    read(other, 1)
    eventually(lambda: sum(registered(cluster, session)) == 1)
    assert session.remaining() > 0


def test_a_watch_that_no_server_takes_is_unavailable_in_time(cluster):
    with holdfast.Client(cluster.seeds, timeout=0.5) as client:
        session = client.session(ttl=4)
        for server in cluster.servers:
            server.stop()
        with pytest.raises(holdfast.Unavailable, match="took the watch of /a within 0.5 s"):
            session.watch("/a")
        for server in cluster.servers:
            server.start()


def test_the_end_of_the_session_ends_its_watches(cluster, client, session):
    watch = session.watch("/a")
    client.put("/a")
    read(watch, 1)
    client.put("/a")
    eventually(lambda: watch._feed._groups)
    with cluster.model.mutex:
        cluster.model.end_session(session.id)
    eventually(lambda: not session.alive)
    assert watch.get() is not None  # what had come before
    with pytest.raises(holdfast.SessionExpired):
        watch.get()
    with pytest.raises(holdfast.SessionExpired):
        session.watch("/b")


# ----------------------------------------------------------------------------- slow readers

def test_what_is_not_read_rests_at_the_servers_and_is_told_without_a_gap(cluster, client, session):
    watch = session.watch("/a", values=True, buffer=4)
    for number in range(50):
        client.put("/a", str(number))
    eventually(lambda: sum(registered(cluster, session)) == 0, what="the watch to rest")
    assert watch._feed._events <= 5
    assert [e.text for e in read(watch, 50)] == [str(n) for n in range(50)]
    assert watch.get(0.3) is None


def test_a_reader_who_is_too_late_is_shown_the_present_state(cluster, client, session):
    watch = session.watch("/a", scope="subtree", values=True, buffer=2)
    client.put("/a", "0")
    for number in range(10):
        client.put(f"/a/{number}", str(number))
    eventually(lambda: sum(registered(cluster, session)) == 0)
    client.delete("/a/3")
    with cluster.model.mutex:
        cluster.model.keys.floor = cluster.model.revision
    events = read(watch, 3)
    assert [e.kind for e in events] == [EventKind.CREATED] * 2 + [EventKind.RESYNC]
    assert sorted(events[2].state.keys) == sorted(
        ["/a"] + [f"/a/{n}" for n in range(10) if n != 3])
    client.put("/a", "1")
    (later,) = read(watch, 1)
    assert later.text == "1" and later.revision > events[2].revision


def test_a_group_larger_than_the_buffer_is_shown_whole(client, session):
    watch = session.watch("/", scope="subtree", buffer=1)
    for _ in range(3):
        with client.transact() as tx:
            for number in range(20):
                tx.put(f"/{number}")
    assert [len(watch.group(timeout=5)) for _ in range(3)] == [20] * 3


def test_a_watch_that_is_no_longer_referred_to_is_closed():
    # Of one server: what a poll that came late has left at another is closed when it comes back.
    only = FakeCluster(1)
    try:
        with holdfast.Client(only.seeds) as client, client.session(ttl=4) as session:
            watch = session.watch("/a")
            assert registered(only, session) == [1]
            del watch
            gc.collect()
            eventually(lambda: registered(only, session) == [0], within=5)
    finally:
        only.stop()


# --------------------------------------------------------------------------------- functions

def test_nothing_is_kept_of_watches_that_are_over(cluster, client, session):
    for number in range(20):
        session.watch(f"/over/{number}").close()
    client.put("/over/1", parents=True)
    eventually(lambda: sum(registered(cluster, session)) == 0)
    eventually(lambda: not session._core.watches._disowned, within=3,
               what="the numbers of closed watches forgotten")
    assert not session._core.watches._unwatch and not session._core.watches._registered


def test_a_function_is_called_with_each_event_in_order(client, session):
    seen = []

    @session.on_change("/a", scope="subtree")
    def changed(event):
        seen.append((event.path, event.text, threading.current_thread().name))

    for number in range(5):
        client.put("/a", str(number))
    eventually(lambda: len(seen) == 5)
    assert [text for _, text, _ in seen] == list("01234")
    assert {name for _, _, name in seen} == {f"holdfast-events-{session.id}"}
    changed.close()
    client.put("/a", "5")
    assert session.watch("/a", since=0).get(5) and len(seen) == 5


def test_an_exception_is_logged_and_the_next_event_comes(client, session, caplog):
    seen = []

    @session.on_change("/a")
    def changed(event):
        seen.append(event.text)
        raise RuntimeError("no good")

    client.put("/a", "1")
    client.put("/a", "2")
    eventually(lambda: seen == ["1", "2"])
    eventually(lambda: caplog.text.count("no good") >= 2)
    assert changed.error is None


def test_an_exception_ends_a_subscription_that_is_to_stop(client, session):
    seen = []

    @session.on_change("/a", errors="stop")
    def changed(event):
        seen.append(event.text)
        raise RuntimeError("no good")

    client.put("/a", "1")
    eventually(lambda: changed.error is not None)
    client.put("/a", "2")
    assert session.watch("/a", since=0).get(5)
    assert seen == ["1"] and str(changed.error) == "no good"


def test_a_function_that_blocks_delays_no_renewal_and_holds_a_bounded_number(
        cluster, client, session):
    gate, seen = threading.Event(), []

    @session.on_change("/a", buffer=3)
    def changed(event):
        gate.wait(30)
        seen.append(event.text)

    for number in range(20):
        client.put("/a", str(number))
    eventually(lambda: sum(registered(cluster, session)) == 0)
    until = boot() + session.ttl
    eventually(lambda: boot() > until, within=6)
    assert session.remaining() > 0
    gate.set()
    eventually(lambda: len(seen) == 20)
    assert seen == [str(n) for n in range(20)] and changed.error is None


def _child(watch, pipe):
    told = []
    for use in (watch.get, watch.close, lambda: watch.revision):
        try:
            use()
        except holdfast.ForkedError as error:
            told.append(str(error))
    pipe.send(told)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_at_once(client, session):
    watch = session.watch("/a")
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_child, args=(watch, there))
    with session._core.watches.mutex:  # as another thread might hold it
        child.start()
    assert here.poll(10) and len(here.recv()) == 3
    child.join(10)
    client.put("/a")
    read(watch, 1)


def test_a_server_is_acknowledged_what_it_told_itself_alone(cluster, client, session):
    with session.watch("/a", values=True) as watch:
        client.put("/a", "1")
        read(watch, 1)
        first = polled(cluster)
        eventually(lambda: acknowledged(cluster, first)[-1] > 0, what="an acknowledged reply")
        first.stop()
        client.put("/a", "2")
        read(watch, 1)
        with cluster.model.mutex:
            numbers = list(cluster.model.poll_numbers)
        there = [n for s in cluster.servers if s is not first for n in acknowledged(cluster, s)]
    assert numbers == sorted(set(numbers)), "two polls that cannot be told apart"
    assert acknowledged(cluster, first)[0] == 0
    assert there[0] == 0, "the number of a reply of another server"


def test_progress_is_not_meant_for_a_watch_that_its_reply_did_not_know(client, session):
    """One that is registered while the reply is on its way has a number above the newest in it."""
    client.put("/other", "1")
    with session.watch("/a") as watch:
        watches, feed, far = session._core.watches, watch._feed, 1 << 40
        with watches.mutex:
            watches._progress(far, feed.watch_id - 1)
            assert feed.assembly.position < far
            watches._progress(far, feed.watch_id)
            assert feed.assembly.position == far


def test_a_registration_answered_after_the_poll_went_and_came_back_is_done_again(client, session):
    """What was told of it before was dropped with the first stay, and acknowledged."""
    client.put("/a", "1")
    with session.watch("/a", values=True) as watch:
        watches, feed = session._core.watches, watch._feed
        with watches.mutex:
            here, number, since = watches._place, feed.watch_id, feed.assembly.position
            watches._move((here[0] + "0", 4711))
            watches._move((here[0], here[1]))
            late = k.WatchResult(watchId=number + 1000, revision=since, serverEpoch=here[1])
            watches._registration_over(here, feed, late)
            assert feed.watch_id == 0 and feed in watches._wanting
            assert number + 1000 in watches._disowned
        client.put("/a", "2")
        assert names(read(watch, 1)) == [("CHANGED", "/a", "2")]


def test_more_to_come_that_does_not_come_is_not_asked_for_without_a_pause(session, monkeypatch):
    eventually(lambda: session._core.moves, what="an answer to the first poll")
    poll = KeysHandler.poll

    def more(self, context, request):
        request.renewNow = True  # it is not parked
        result = poll(self, context, request)
        result.more = True
        return result

    over, pauses = session._core.over, []
    wait = over.wait

    def watched(seconds=None):
        if threading.current_thread().name.startswith("holdfast-poll"):
            pauses.append(seconds)
        return wait(seconds)

    monkeypatch.setattr(over, "wait", watched)
    monkeypatch.setattr(KeysHandler, "poll", more)
    session._core.nudge()
    eventually(lambda: len(pauses) >= 7, what="pauses between polls")
    assert pauses[:7] == [0.002, 0.004, 0.008, 0.016, 0.032, 0.05, 0.05]
