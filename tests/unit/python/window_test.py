"""A session whose unacknowledged results are as many as the servers keep: a command that is refused
for that speaks of this copy only, and is sent again until there is room."""

import threading

import pytest
from support.fake_model import refusal
from support.fake_server import Fault
from support.waiting import eventually

import holdfast
from holdfast import _requests


@pytest.fixture
def full(cluster, session):
    """Fills the session's window with one result; returns what says that it has arrived."""
    core = session._core

    def fill():
        sequence = core.sequences.take()
        core.command("put", _requests.put("/k", "1", None, False), sequence)
        with cluster.model.mutex:
            cluster.model.result_window = 1
        return lambda: core.sequences.finish(sequence)
    return fill


def refused_so_far(cluster, method):
    """Was it sent at least twice already, under one number?"""
    sent = cluster.sent(method)
    return len(sent) > 1 and len(set(sent)) == 1


def test_a_release_is_sent_again_until_there_is_room_for_its_result(cluster, session, full):
    lock = session.lock("/a").acquire()
    make_room = full()
    releasing = threading.Thread(target=lock.release)
    releasing.start()
    eventually(lambda: refused_so_far(cluster, "release"))
    assert cluster.model.held
    make_room()
    releasing.join(5)
    assert not releasing.is_alive() and not cluster.model.held
    assert refused_so_far(cluster, "release")


def test_an_acquire_finds_no_room_within_its_time_only(cluster, session, full):
    make_room = full()
    for timeout, error in ((0.2, holdfast.LockTimeout), (0, holdfast.Unavailable)):
        with pytest.raises(error, match="no server took the request.*unacknowledged results"):
            session.lock("/a", timeout=timeout).acquire()
    make_room()
    assert session.lock("/a").try_acquire()
    assert not cluster.sent("cancelAcquire")


def test_a_withdrawal_goes_on_until_there_is_room_for_its_result(cluster, client, session, full):
    other = client.session(ttl=4).lock("/a").acquire()
    raised = []

    def acquire():
        try:
            session.lock("/a", timeout=0.5).acquire()
        except holdfast.LockTimeout as error:
            raised.append(error)

    waiting = threading.Thread(target=acquire)
    waiting.start()
    eventually(lambda: cluster.model.queue)
    make_room = full()
    waiting.join(5)
    assert "will be withdrawn" in str(raised[0]) and cluster.model.queue
    make_room()
    eventually(lambda: not cluster.model.queue, what="the withdrawal")
    assert refused_so_far(cluster, "cancelAcquire")
    other.release()


def test_a_session_is_closed_when_there_is_room_for_its_result(cluster, session, full):
    make_room = full()
    closing = threading.Thread(target=session.close)
    closing.start()
    eventually(lambda: refused_so_far(cluster, "closeSession"))
    make_room()
    closing.join(5)
    assert not cluster.model.sessions


def test_a_limit_that_is_no_matter_of_the_moment_is_the_answer(cluster, session):
    cluster.fault("put", Fault(before=refusal("LIMIT_EXCEEDED", "keys_max is 10")),
                  server=cluster.leader)
    with pytest.raises(holdfast.LimitExceeded, match="keys_max is 10"):
        session.put("/k", "1")
    assert len(cluster.sent("put")) == 1
