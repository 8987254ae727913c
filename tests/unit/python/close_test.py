"""Closing: at any time, from any thread, as often as one likes; and what is said of it after."""

import threading

import pytest
from support.fake_server import Fault
from support.waiting import eventually

import holdfast


def threads_of(session):
    return [t for t in threading.enumerate() if t.name.endswith(f"-{session.id}")]


@pytest.mark.parametrize("what", ["session", "client"])
@pytest.mark.parametrize("where", ["on_lost", "on_revoke", "on_change", "on_update", "on_expired"])
def test_a_function_that_is_called_may_close_everything(cluster, client, what, where):
    done = threading.Event()

    def close(*_):
        (session if what == "session" else client).close()
        done.set()

    calls = {where: close}
    session = client.session(ttl=4, on_expired=calls.get("on_expired"))
    mirror = session.mirror("/m")
    mirror.on_update(calls.get("on_update", lambda *_: None))
    session.on_change("/c")(calls.get("on_change", lambda *_: None))
    lock = session.lock("/a", on_lost=calls.get("on_lost"), on_revoke=calls.get("on_revoke"))
    lock.acquire()
    if where == "on_expired":
        with cluster.model.mutex:
            cluster.model.end_session(session.id)
    elif where in ("on_lost", "on_revoke"):
        client.revoke("/a", force=where == "on_lost", notice=60)
    else:
        client.put("/m" if where == "on_update" else "/c")
    assert done.wait(10)
    assert not lock.held and not session.alive
    eventually(lambda: session.id not in cluster.model.sessions)
    eventually(lambda: not threads_of(session), what="the end of the threads")


def test_two_threads_close_one_session_and_both_find_it_closed(cluster, client):
    session = client.session(ttl=60)
    lock = session.lock("/a").acquire()
    cluster.fault("closeSession", Fault(drop_request=True))
    found, gate = [], threading.Barrier(2)

    def close():
        gate.wait()
        session.close()
        found.append((session.alive, lock.held, session.id in cluster.model.sessions))

    closing = [threading.Thread(target=close) for _ in range(2)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(10)
    assert found == [(False, False, False)] * 2


def test_closing_ends_what_other_threads_wait_for(cluster, client):
    session, waiting = client.session(ttl=60), client.session(ttl=60)
    session.lock("/a").acquire()
    watch, mirror, ends = waiting.watch("/w"), waiting.mirror("/m"), []

    def until_closed(wait):
        try:
            wait()
        except holdfast.SessionClosed as error:
            ends.append(error)

    waits = [threading.Thread(target=until_closed, args=(wait,)) for wait in (
        waiting.lock("/a").acquire, watch.get, lambda: mirror.wait_for(1 << 50))]
    for thread in waits:
        thread.start()
    eventually(lambda: cluster.model.queue)
    waiting.close()
    for thread in waits:
        thread.join(10)
    assert len(ends) == 3


def test_a_body_that_raises_closes_and_is_heard(cluster):
    with pytest.raises(ZeroDivisionError):
        with holdfast.Client(cluster.seeds, timeout=5) as client, \
                client.session(ttl=60) as session, session.lock("/a"), session.watch("/w"):
            session.close()
            client.close()
            raise ZeroDivisionError
    assert not cluster.model.sessions


def test_a_session_that_is_closed_says_so(session):
    lock, watch, mirror = session.lock("/a").acquire(), session.watch("/w"), session.mirror("/m")
    session.close()
    session.close()
    for call in (lambda: session.lock("/b").acquire(), lambda: session.locks(["/b"]).acquire(),
                 lambda: session.get("/a"), lambda: session.get_many(["/a"]),
                 lambda: session.list("/a"), lambda: session.exists("/a"),
                 lambda: session.put("/a"), lambda: session.create("/a"),
                 lambda: session.delete("/a"), session.transact, session.check,
                 lambda: session.wait_for_change("/a", 1), lambda: session.watch("/a"),
                 lambda: session.on_change("/a")(print), lambda: session.mirror("/a"),
                 lambda: session.election("/a").campaign().acquire(), lock.acquire,
                 lambda: watch.get(timeout=1), mirror.check):
        with pytest.raises(holdfast.SessionClosed, match="was closed by this program"):
            call()
    for call in (lock.check, lambda: lock.set_value("1"), lambda: lock.handover(7)):
        with pytest.raises(holdfast.NotHeld, match="was given back"):
            call()
    lock.release()
    watch.close()
    mirror.close()


def test_a_client_that_is_closed_says_so(cluster):
    client = holdfast.Client(cluster.seeds, timeout=5)
    admin, election = client.admin("127.0.0.1:1"), client.election("/a")
    client.close()
    client.close()
    for call in (client.session, lambda: client.get("/a"), lambda: client.get_many(["/a"]),
                 lambda: client.list("/a"), lambda: client.exists("/a"), lambda: client.put("/a"),
                 lambda: client.create("/a"), lambda: client.delete("/a"), client.transact,
                 lambda: client.wait_for_change("/a", 1), lambda: client.describe("/a"),
                 lambda: client.check_token("/a", 1), lambda: list(client.locks()),
                 lambda: client.revoke("/a"), client.admin, admin.status, election.leader,
                 lambda: next(election.observe())):
        with pytest.raises(holdfast.ClientClosed, match="this client is closed"):
            call()
