"""Lost, late and wrong replies: the client knows the outcome, and a command is applied once."""

import contextlib
import re
import signal
import socket
import struct
import threading
import time

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from support.fake_model import refusal
from support.fake_server import Fault
from support.waiting import eventually

import holdfast
from holdfast import _connection, _router


def applied_once(cluster):
    return all(count == 1 for s in cluster.model.sessions.values() for count in s.applied.values())


def test_a_lost_reply_is_asked_for_again_under_the_same_number(cluster, session):
    cluster.fault("acquire", Fault(drop_reply=True))
    lock = session.lock("/a").acquire()
    sent = cluster.sent("acquire")
    assert len(sent) >= 2 and len(set(sent)) == 1
    assert applied_once(cluster)
    assert cluster.model.holders("/a")[0].token == lock.token


def test_a_lost_request_is_sent_again(cluster, session):
    cluster.fault("release", Fault(drop_request=True))
    lock = session.lock("/a").acquire()
    lock.release()
    assert not cluster.model.held and applied_once(cluster)


def test_a_lost_reply_to_open_session_opens_no_second_one(cluster, client):
    cluster.fault("openSession", Fault(drop_reply=True))
    session = client.session(ttl=4)
    assert list(cluster.model.sessions) == [session.id]


def test_a_leader_that_hangs_costs_a_session_s_write_no_longer_than_an_election(cluster, session):
    cluster.leader.black_hole.set()
    cluster.leader = cluster.servers[1]
    began = time.monotonic()
    session.put("/a", "1")
    assert time.monotonic() - began < 1.5
    cluster.servers[0].black_hole.clear()
    assert applied_once(cluster)


def test_a_server_that_is_slow_is_waited_for_if_the_outcome_were_open_else(cluster, client):
    cluster.fault("put", Fault(delay=1.2))
    assert client.put("/a", "1").version == 1
    assert len(cluster.sent("put")) == 1


def test_servers_that_are_slow_are_waited_for_twice_as_long_every_round(cluster, client):
    effort = _router._Effort(client._router, "get", None, True)
    budgets = []

    def ask(answer):
        address, budget = effort.next_attempt(lambda seconds: None)
        budgets.append(budget)
        answer(address)

    for _ in range(12):
        ask(lambda address: effort.refused(address, refusal("NO_LEADER"), time.sleep))
    for _ in range(18):
        ask(lambda address: effort.broken(address, _connection.Broken("no answer")))
    assert budgets == [0.5] * 12 + [s for s in (0.5, 1, 2, 4, 8, 10) for _ in cluster.servers]


def test_a_late_reply_is_never_read_as_the_next_call_s(cluster, session, monkeypatch):
    monkeypatch.setattr(_router, "ATTEMPT_SECONDS_FIRST", 0.2)
    cluster.fault("acquire", Fault(delay=0.5), server=cluster.leader)
    first = session.lock("/a").acquire()
    second = session.lock("/b").acquire()
    assert cluster.model.holders("/a")[0].token == first.token
    assert cluster.model.holders("/b")[0].token == second.token
    assert applied_once(cluster)


def test_a_connection_that_timed_out_is_never_used_again(cluster):
    cluster.fault("describeLock", Fault(delay=0.6), server=cluster.leader)
    client = holdfast.Client(cluster.leader.address, timeout=0.3, discover=False)
    with pytest.raises(holdfast.Unavailable):
        client.describe("/a")
    # The reply about /a is still on its way, and would be read here as the one about /b.
    assert client.describe("/b").path == "/b"
    client.close()


def test_a_write_without_a_session_of_unknown_fate_is_not_repeated(cluster, client, session):
    session.lock("/a").acquire()
    cluster.fault("revokeLock", Fault(before=refusal("OUTCOME_UNKNOWN", applied=2)))
    with pytest.raises(holdfast.OutcomeUnknown, match="may or may not"):
        client.revoke("/a", notice=60)
    assert len(cluster.sent("revokeLock")) == 1


def test_a_write_that_every_server_refused_to_the_end_was_not_done(cluster, monkeypatch):
    monkeypatch.setattr(_router, "ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(_router, "PAUSE_SECONDS_MAX", 0.001)
    for _ in range(100):
        cluster.fault("put", Fault(before=refusal("NO_LEADER"), delay=0.2))
    with holdfast.Client(cluster.seeds, timeout=1.7) as client, \
            pytest.raises(holdfast.HoldfastError) as raised:
        client.put("/a", "1")
    assert raised.value.code == "NO_LEADER" and not raised.value.maybe_applied
    assert len(cluster.sent("put")) > 1


def test_the_last_moments_are_for_what_cannot_come_to_be_in_doubt(cluster, monkeypatch):
    monkeypatch.setattr(_router, "ANSWER_SECONDS", 3.0)
    monkeypatch.setattr(_router, "ATTEMPT_SECONDS_FIRST", 10.0)
    monkeypatch.setattr(_router, "ATTEMPT_SECONDS_ONCE", 10.0)
    for method in ("describeLock", "put"):
        cluster.fault(method, Fault(before=refusal("NO_LEADER"), delay=3.2), server=cluster.leader)
    with holdfast.Client(cluster.leader.address, timeout=4.0, discover=False) as client:
        assert client.describe("/a").path == "/a"
        with pytest.raises(holdfast.HoldfastError) as raised:
            client.put("/a", "1")
    assert raised.value.code == "NO_LEADER" and len(cluster.sent("put")) == 1


def test_a_write_that_reached_nobody_ends_before_it_could_be_in_doubt(client, monkeypatch):
    monkeypatch.setattr(_router, "ANSWER_SECONDS", 60.0)
    effort = _router._Effort(client._router, "put", time.monotonic() + 80.0, False)
    effort.unreached("127.0.0.1:1", _connection.NotSent("refused"))
    effort._until = time.monotonic() + 10.0
    with pytest.raises(_router.Undecided, match="refused"):
        effort.next_attempt(lambda seconds: pytest.fail("it sleeps"))


@pytest.mark.parametrize("timeout, told", [(0.06, 30), (0.3, 250), (2.0, 1800)])
def test_a_server_is_to_answer_before_its_caller_gives_up(cluster, client, monkeypatch, timeout,
                                                          told):
    seen = []
    call = _connection.Connection.call

    def watched(self, method, context, request, left):
        seen.append(context.deadlineMs)
        return call(self, method, context, request, 5.0)

    monkeypatch.setattr(_connection.Connection, "call", watched)
    client._router.attempt(cluster.leader.address, "get", t.RequestContext(),
                           k.GetRequest(path="/a"), timeout)
    assert seen == [pytest.approx(told, abs=1)]


def test_a_grant_that_a_dying_server_did_not_tell_is_found_at_the_next(
        cluster, client, session, monkeypatch):
    monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MIN", 60.0)
    session.lock("/a").acquire()
    waiting = client.session(ttl=4).lock("/a")
    thread = threading.Thread(target=waiting.acquire)
    thread.start()
    eventually(lambda: cluster.model.queue)
    told = eventually(lambda: set(cluster.model.queue[0].session.polled_by))
    with cluster.model.mutex:
        cluster.model.take_away(cluster.model.held[0], 1)
        cluster.model.give(cluster.model.queue.pop())
    for server in cluster.servers:
        if server.node_id in told:
            server.stop()
    thread.join(10)
    assert waiting.held


def test_a_reply_with_another_sequence_is_not_believed(cluster, session):
    cluster.fault("acquire", Fault(echo=999), server=cluster.leader)
    lock = session.lock("/a").acquire()
    assert len(cluster.sent("acquire")) == 2 and applied_once(cluster)
    lock.check()


@pytest.mark.parametrize("code", ["UNSUPPORTED", "PERMISSION_DENIED"])
def test_a_refusal_of_a_later_copy_leaves_no_place_of_an_earlier_one(cluster, client, session,
                                                                     code):
    other = client.session(ttl=4).lock("/a").acquire()
    leader, *others = cluster.servers
    cluster.fault("acquire", Fault(drop_reply=True), server=leader)
    for server in others:  # another version, another configuration: it does not look at the number
        cluster.fault("acquire", Fault(before=refusal(code)), server=server)
    with pytest.raises(holdfast.HoldfastError, match="earlier copy of this acquire") as raised:
        session.lock("/a").acquire()
    assert raised.value.maybe_applied
    eventually(lambda: not cluster.model.queue, what="the withdrawal")
    other.release()


@pytest.mark.parametrize("told_by", ["the server", "the poll"])
def test_the_end_of_the_session_does_not_tell_a_write_as_undone_whose_reply_was_lost(cluster,
                                                                                     client,
                                                                                     told_by):
    session = client.session(ttl=4)

    def end():
        with cluster.model.mutex:
            cluster.model.end_session(session.id)
        if told_by == "the poll":
            eventually(lambda: session._core.over.is_set(), what="the client knows")

    cluster.fault("put", Fault(drop_reply=True, then=end))
    with pytest.raises(holdfast.SessionExpired) as raised:
        session.put("/k", "once")
    assert raised.value.maybe_applied


@pytest.mark.parametrize("code", ["SESSION_EXPIRED", "SESSION_UNKNOWN", "RESULT_FORGOTTEN"])
def test_a_refusal_of_the_only_copy_says_that_nothing_was_done(cluster, session, code):
    cluster.fault("put", Fault(before=refusal(code)))
    with pytest.raises(holdfast.HoldfastError) as raised:
        session.put("/k", "once")
    assert not raised.value.maybe_applied


@pytest.mark.parametrize("code", ["SESSION_EXPIRED", "SESSION_UNKNOWN", "RESULT_FORGOTTEN"])
def test_who_knows_what_an_earlier_copy_came_to_no_more_does_not_tell_it_as_undone(cluster, session,
                                                                                   code):
    leader, *others = cluster.servers
    cluster.fault("put", Fault(drop_reply=True), server=leader)
    for server in others:
        cluster.fault("put", Fault(before=refusal(code)), server=server)
    with pytest.raises(holdfast.HoldfastError) as raised:
        session.put("/k", "once")
    assert raised.value.maybe_applied and code in str(raised.value)


def test_nor_does_the_closing_of_the_client(cluster, client, session, monkeypatch):
    monkeypatch.setattr(_router, "ATTEMPT_SECONDS_FIRST", 10.0)  # it is closed before that
    closing = threading.Thread(target=client.close)

    def close():
        closing.start()
        eventually(lambda: client._router._closed, what="the client is closed")

    cluster.fault("put", Fault(drop_reply=True, then=close))
    with pytest.raises(holdfast.ClientClosed) as raised:
        session.put("/k", "once")
    closing.join(10)
    assert raised.value.maybe_applied


def test_a_server_that_says_so_of_the_only_copy_is_believed(cluster, session):
    cluster.fault("put", Fault(before=refusal("SESSION_EXPIRED", applied=t.Applied.UNKNOWN)))
    with pytest.raises(holdfast.SessionExpired) as raised:
        session.put("/k", "once")
    assert raised.value.maybe_applied


def test_a_refusal_of_a_later_copy_does_not_end_the_search_for_the_outcome(cluster, session):
    leader, *others = cluster.servers
    cluster.fault("put", Fault(drop_request=True), server=leader)
    for server in others:
        cluster.fault("put", Fault(before=refusal("UNSUPPORTED")), server=server)
    with pytest.raises(holdfast.Unsupported, match="may have been applied"):
        session.put("/k", "once")
    eventually(lambda: "/k" in cluster.model.keys.entries)
    assert applied_once(cluster)


def test_what_the_server_polled_did_not_tell_any_more_is_asked_of_the_next(cluster, client):
    session, losses = client.session(ttl=2), []
    eventually(lambda: session._keeper.poller._answered_by)
    taken = session.lock("/a", on_lost=lambda lock, reason: losses.append(reason)).acquire()
    kept = session.locks(["/b", "/c"]).acquire()
    cluster.leader.black_hole.set()
    with cluster.model.mutex:
        claim = cluster.model.holders("/a")[0]
        cluster.model.take_away(claim, t.EndReason.REVOKED)
        claim.session.losses.clear()  # the others had applied it before they were polled
    eventually(lambda: losses, within=5)
    assert not taken.held and kept.held and session.alive
    cluster.leader.black_hole.clear()


@pytest.mark.parametrize("told", [1000, 0])
@pytest.mark.parametrize("taken", [True, False])
def test_a_shared_lock_is_asked_for_by_its_holder_not_by_the_token_of_all(cluster, client, session,
                                                                          told, taken):
    other = client.session(ttl=4)
    eventually(lambda: session._core.moves and other._core.moves)  # a first poll asks for locks
    lock = session.lock("/a", shared=True).acquire()
    other.lock("/a", shared=True).acquire()
    with cluster.model.mutex:
        cluster.model.holders_told = told
        mine, theirs = cluster.model.holders("/a")
        theirs.token = mine.token  # as if both had been granted in one entry
        if taken:
            cluster.model.take_away(mine, t.EndReason.REVOKED)
            mine.session.losses.clear()
    session._core.moved()
    for what in ("question", "transact"):  # each is asked in order, the second after the first
        done = threading.Event()
        session._core.later(what, done.set)
        assert done.wait(5)
    assert len(cluster.sent("transact")) == (told == 0)
    assert lock.held != taken
    if taken:
        with pytest.raises(holdfast.LockLost, match="took /a away"):
            lock.check()


def test_a_server_that_does_not_answer_in_time_is_said_to(cluster):
    cluster.leader.black_hole.set()
    with holdfast.Client(cluster.leader.address, timeout=0.3, discover=False) as client:
        with pytest.raises(holdfast.Unavailable, match=r"did not answer get within 0\.3 s$"):
            client.get("/a")
        with pytest.raises(holdfast.OutcomeUnknown, match=r"did not answer put within 0\.3 s$"):
            client.put("/a", "1")
    cluster.leader.black_hole.clear()


@pytest.mark.parametrize("head, says", [
    (struct.pack("!I", 1 << 20), "did not answer get within 0.3 s: it gave only [0-9]+ bytes"),
    (struct.pack("!I", (1 << 31) - 1), "an answer of 2147483647 bytes is announced")])
def test_a_server_whose_answer_never_ends_is_left(head, says):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def drip(connection):
            with contextlib.suppress(OSError), connection:
                connection.sendall(head)
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        address, came_to = "127.0.0.1:%d" % listener.getsockname()[1], []

        def ask():
            with holdfast.Client(address, timeout=0.3, discover=False) as client:
                try:
                    client.get("/a")
                except holdfast.Unavailable as error:
                    came_to.append(str(error))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(20)
        assert came_to and re.search(says, came_to[0])
        listener.shutdown(socket.SHUT_RDWR)


def test_a_dead_server_is_passed_over(cluster, session):
    cluster.leader.stop()
    cluster.leader = cluster.servers[1]
    with session.lock("/a") as lock:
        lock.check()


def test_a_command_outlives_all_servers_and_is_applied_once(cluster, session):
    lock = session.lock("/a")
    for server in cluster.servers:
        server.stop()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    for server in cluster.servers:
        server.start()
    thread.join(5)
    assert lock.held and applied_once(cluster)


def test_retry_after_is_respected(cluster, session):
    error = refusal("OVERLOADED", retryable=True, retry_after_ms=300)
    cluster.fault("acquire", Fault(before=error), server=cluster.leader)
    began = time.monotonic()
    session.lock("/a").acquire()
    assert time.monotonic() - began >= 0.3


def test_a_refusal_that_may_have_been_applied_is_settled_by_a_repetition(cluster, session):
    unknown = refusal("TIMEOUT", retryable=True, applied=2)
    cluster.fault("acquire", Fault(before=unknown))
    with session.lock("/a") as lock:
        lock.check()
    assert applied_once(cluster)


def test_a_read_that_finds_no_leader_says_so_in_time(cluster):
    client = holdfast.Client(cluster.seeds, timeout=0.3)
    for _ in range(200):
        cluster.fault("describeLock", Fault(before=refusal("NO_LEADER", "no leader is known",
                                                           retryable=True)))
    with pytest.raises(holdfast.Unavailable, match="no leader is known"):
        client.describe("/a")
    client.close()


def test_a_write_without_a_session_whose_reply_is_lost_is_not_repeated(cluster, client, session):
    session.lock("/a").acquire()
    cluster.fault("revokeLock", Fault(drop_reply=True))
    with pytest.raises(holdfast.OutcomeUnknown, match="may or may not"):
        client.revoke("/a", notice=60)
    assert len(cluster.sent("revokeLock")) == 1


def test_a_write_without_a_session_goes_to_the_next_server_if_the_first_refused(
        cluster, client, session):
    session.lock("/a").acquire()
    no = refusal("NO_LEADER", retryable=True)
    cluster.fault("revokeLock", Fault(before=no), server=cluster.leader)
    assert client.revoke("/a", notice=60).holders == 1


def test_results_are_acknowledged_so_that_servers_may_forget_them(cluster, session):
    for _ in range(5):
        with session.lock("/a"):
            pass
    (state,) = cluster.model.sessions.values()
    kept = [s for s, r in state.results.items() if not isinstance(r, Exception)]
    assert len(kept) <= 2


def test_a_timed_out_acquire_whose_grant_came_first_keeps_the_lock(cluster, session):
    held = session.lock("/a").acquire()
    # The grant is made just before the cancellation arrives.
    cluster.fault("cancelAcquire", Fault(drop_request=True))
    waiting = session.lock("/a", timeout=0.2)
    waiting_thread = threading.Thread(target=waiting.acquire)
    waiting_thread.start()
    eventually(lambda: cluster.model.queue)
    with cluster.model.mutex:
        # No hint reaches the waiter: what poll says may be lost.
        claim = cluster.model.held[0]
        cluster.model.take_away(claim, 1)
        cluster.model.give(cluster.model.queue.pop())
    waiting_thread.join(5)
    assert waiting.held
    assert waiting.token == cluster.model.holders("/a")[0].token
    assert held.token < waiting.token or held.holder_id != waiting.holder_id


def test_a_lost_hint_is_made_up_for_by_asking_again(cluster, client, session, monkeypatch):
    monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MIN", 0.2)
    monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MAX", 0.2)
    session.lock("/a").acquire()
    waiting = client.session(ttl=4).lock("/a")
    thread = threading.Thread(target=waiting.acquire)
    thread.start()
    eventually(lambda: cluster.model.queue)
    with cluster.model.mutex:
        cluster.model.take_away(cluster.model.held[0], 1)
        cluster.model.give(cluster.model.queue.pop())
    thread.join(5)
    assert waiting.held


def test_a_keyboard_interrupt_leaves_no_place_behind(cluster, client, session):
    client.session(ttl=4).lock("/a").acquire()
    main = threading.get_ident()

    def interrupt():
        eventually(lambda: cluster.model.queue)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        session.lock("/a").acquire()
    eventually(lambda: not cluster.model.queue, what="the withdrawal")


def test_an_interrupted_acquire_whose_grant_came_first_is_released(cluster, session):
    main = threading.get_ident()
    cluster.fault("acquire", Fault(
        delay=0.3, then=lambda: signal.pthread_kill(main, signal.SIGINT)), server=cluster.leader)
    with pytest.raises(KeyboardInterrupt):
        session.lock("/a").acquire()
    eventually(lambda: cluster.sent("cancelAcquire") and not cluster.model.held)
    assert not session.lock("/a").held


def test_a_timeout_under_silent_servers_ends_in_time_and_is_withdrawn_later(cluster, session):
    for server in cluster.servers:
        server.black_hole.set()
    began = time.monotonic()
    with pytest.raises(holdfast.LockTimeout, match="will be withdrawn"):
        session.lock("/a", timeout=0.3).acquire()
    assert time.monotonic() - began < 3.5
    for server in cluster.servers:
        server.black_hole.clear()
    eventually(lambda: cluster.sent("cancelAcquire"))
    eventually(lambda: not cluster.model.held and not cluster.model.queue)


def test_an_acquire_that_no_server_saw_ends_at_its_timeout_with_nothing_to_withdraw(
        cluster, session):
    for server in cluster.servers:
        server.stop()
    began = time.monotonic()
    with pytest.raises(holdfast.LockTimeout, match="no server could be asked"):
        session.lock("/a", timeout=0.5).acquire()
    assert time.monotonic() - began < 1.5  # not a cancel's two seconds more
    for server in cluster.servers:
        server.start()
    assert session.lock("/a").try_acquire()
    assert not cluster.sent("cancelAcquire")


def test_a_try_without_servers_takes_seconds_not_the_client_s_timeout(cluster):
    with holdfast.Client(cluster.seeds, timeout=60) as client:
        session = client.session(ttl=4)
        for server in cluster.servers:
            server.stop()
        began = time.monotonic()
        with pytest.raises(holdfast.Unavailable, match="no server could be asked"):
            session.lock("/a").try_acquire()
        assert time.monotonic() - began < 5
        for server in cluster.servers:
            server.start()


def test_a_session_that_ends_as_it_should_logs_no_failure(client, caplog):
    caplog.set_level("DEBUG", "holdfast")
    client.session(ttl=4).close()
    eventually(lambda: not any(t.name.startswith("holdfast-poll") for t in threading.enumerate()))
    assert not [r.message for r in caplog.records if "poll of session" in r.message]


def test_a_late_copy_of_a_cancelled_acquire_changes_nothing(cluster, session):
    for server in cluster.servers:
        server.faults["acquire"].extend(Fault(drop_request=True) for _ in range(100))
    with pytest.raises(holdfast.LockTimeout):
        session.lock("/a", timeout=0.2).acquire()
    for server in cluster.servers:
        server.faults["acquire"].clear()
    assert session.lock("/a").try_acquire()


def test_a_wrong_secret_ends_the_session_here(cluster, session):
    lock = session.lock("/a").acquire()
    with cluster.model.mutex:
        cluster.model.sessions[session.id].secret = b"x" * 16
    with pytest.raises(holdfast.SessionError, match="secret"):
        session.lock("/b").acquire()
    with pytest.raises(holdfast.LockLost):
        lock.check()


def test_a_session_opens_only_within_its_bounds(client):
    with pytest.raises(holdfast.BadArgument, match="ttl in ms 10 is below 1000"):
        client.session(ttl=0.01)


def test_no_server_at_all_is_unavailable_in_time(cluster):
    cluster.stop()
    client = holdfast.Client(cluster.seeds, timeout=0.3)
    began = time.monotonic()
    with pytest.raises(holdfast.Unavailable):
        client.session(ttl=4)
    assert time.monotonic() - began < 2
    client.close()


def test_many_threads_share_a_client(cluster, session):
    counter = {"value": 0}

    def work():
        for _ in range(10):
            with session.lock("/counter"):
                seen = counter["value"]
                time.sleep(0)
                counter["value"] = seen + 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counter["value"] == 80
    assert applied_once(cluster)
