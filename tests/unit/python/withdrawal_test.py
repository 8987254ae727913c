"""An acquire that is given up leaves neither a place nor a grant, whatever was answered when."""

import contextlib
import threading

import pytest
from support.fake_model import refusal
from support.fake_server import Fault
from support.waiting import eventually

import holdfast


@contextlib.contextmanager
def acquiring(cluster, lock):
    """Another thread acquires, and has a place in the queue; yields what it raises."""
    raised = []

    def acquire():
        try:
            lock.acquire()
        except holdfast.HoldfastError as error:
            raised.append(error)

    thread = threading.Thread(target=acquire)
    thread.start()
    eventually(lambda: cluster.model.queue, what="a place in the queue")
    yield raised
    thread.join(10)
    assert not thread.is_alive()


def grant_unheard(cluster):
    """The first lock that is held goes to who waits; no poll tells of it."""
    with cluster.model.mutex:
        cluster.model.take_away(cluster.model.held[0], 1)
        cluster.model.give(cluster.model.queue.pop())


def without_a_lease(session, monkeypatch):
    monkeypatch.setattr(session._core, "lease_in_force", lambda: False)
    monkeypatch.setattr(session._core, "wait_for_lease", lambda until: False)


def test_a_grant_that_the_cancel_told_of_is_given_back_if_no_lease_is_in_force(
        cluster, client, session, monkeypatch):
    client.session(ttl=4).lock("/a").acquire()
    without_a_lease(session, monkeypatch)
    with acquiring(cluster, session.lock("/a", timeout=0.3)) as raised:
        grant_unheard(cluster)
    assert isinstance(raised[0], holdfast.LockTimeout)
    eventually(lambda: not cluster.model.held, what="the release")
    assert len(set(cluster.sent("cancelAcquire"))) == 1


@pytest.mark.parametrize("silent", [False, True])
def test_what_is_left_of_locks_that_are_taken_back_is_given_back(
        cluster, client, session, silent):
    client.session(ttl=4).lock("/a").acquire()
    with acquiring(cluster, session.locks(["/a", "/b"], timeout=0.3)) as raised:
        for server in cluster.servers:
            (server.black_hole.set if silent else server.black_hole.clear)()
        grant_unheard(cluster)
        with cluster.model.mutex:
            cluster.model.take_one(cluster.model.held[0], "/a")
            cluster.model.held[0].session.losses.clear()
    assert isinstance(raised[0], holdfast.LockTimeout if silent else holdfast.LockLost)
    for server in cluster.servers:
        server.black_hole.clear()
    eventually(lambda: not cluster.model.held, what="the release of /b")


@pytest.mark.parametrize("answered", [True, False])
def test_a_cancel_that_is_refused_once_does_not_end_the_withdrawal(cluster, client, session,
                                                                   answered):
    other = client.session(ttl=4).lock("/a").acquire()
    for server in cluster.servers:
        lost = [] if answered else [Fault(drop_reply=True) for _ in range(50)]
        server.faults["acquire"].extend(lost)
    cluster.fault("cancelAcquire", Fault(before=refusal("INTERNAL")), server=cluster.leader)
    with acquiring(cluster, session.lock("/a", timeout=0.3)) as raised:
        pass
    assert isinstance(raised[0], holdfast.ServerError) and raised[0].maybe_applied
    eventually(lambda: not cluster.model.queue, what="the withdrawal")
    other.release()


def test_a_refusal_after_the_place_was_told_of_does_not_keep_the_place(cluster, client, session,
                                                                       monkeypatch):
    monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MIN", 0.1)
    monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MAX", 0.1)
    other = client.session(ttl=4).lock("/a").acquire()
    with acquiring(cluster, session.lock("/a")) as raised:
        cluster.fault("acquire", Fault(before=refusal("PERMISSION_DENIED")))
    assert isinstance(raised[0], holdfast.AccessDenied) and raised[0].maybe_applied
    eventually(lambda: not cluster.model.queue, what="the withdrawal")
    other.release()


@pytest.mark.parametrize("told_by", ["the server", "the poll"])
def test_the_end_of_the_session_does_not_tell_a_place_as_undone(cluster, client, monkeypatch,
                                                                told_by):
    if told_by == "the server":
        monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MIN", 0.1)
        monkeypatch.setattr("holdfast._acquire.REPEAT_SECONDS_MAX", 0.1)
    client.session(ttl=4).lock("/a").acquire()
    session = client.session(ttl=4)
    with acquiring(cluster, session.lock("/a")) as raised:
        if told_by == "the server":
            cluster.fault("acquire", Fault(before=refusal("SESSION_EXPIRED")))
        else:
            with cluster.model.mutex:
                cluster.model.end_session(session.id)
    assert isinstance(raised[0], holdfast.SessionExpired) and raised[0].maybe_applied
