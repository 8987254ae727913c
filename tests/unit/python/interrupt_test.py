"""Calls that are cut off in the midst, from a signal's handler or elsewhere: what they began comes
to an end, and nothing stays behind that nobody knows of."""

import dis
import logging
import sys
import threading

import pytest
from support.fake_model import refusal
from support.fake_server import Fault
from support.waiting import eventually

import holdfast
from holdfast import _acquire, _core, _keeper, _leases, _sequences
from holdfast import lock as lock_module
from holdfast import session as session_module


def ours(session_id):
    return [t for t in threading.enumerate() if t.name.endswith(f"-{session_id}")
            and t.name.startswith("holdfast-")]


class Interrupting(logging.Handler):
    """As if Ctrl-C came while something is logged."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def emit(self, record):
        if record.getMessage().startswith(self.when):
            raise KeyboardInterrupt


@pytest.fixture
def interrupt_at(caplog):
    """Interrupts what logs a message that begins so."""
    logger, added = logging.getLogger("holdfast"), []
    caplog.set_level(logging.INFO, logger="holdfast")

    def add(when):
        added.append(Interrupting(when))
        logger.addHandler(added[0])
    yield add
    for handler in added:
        logger.removeHandler(handler)


#: With these begins the way out of a block: what is raised there is not raised inside.
OUT = ("LOAD_CONST", "SWAP", "RETURN_VALUE")


class Interruption:
    """As if Ctrl-C came when the nth call in these modules returns, of those that one call of this
    thread makes. There Python looks for signals."""

    def __init__(self, number, modules):
        self.left = number
        self.files = tuple(module.__file__ for module in modules)
        self.called = {}

    def __call__(self, frame, event, arg):
        if frame.f_code.co_filename not in self.files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if self.called.get(frame) and name not in OUT:
                self.left -= 1
                if not self.left:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            self.called[frame] = name in ("CALL", "CALL_FUNCTION_EX")
        return self

    def hits(self, function):
        """Call it. Was it interrupted?"""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            function()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


def test_a_close_that_is_interrupted_anywhere_comes_to_its_end(cluster, client):
    hit, number = True, 2  # by then it has looked at its arguments
    while hit:
        number += 1
        session = client.session(ttl=60)
        lock, watch = session.lock("/a").acquire(), session.watch("/w")
        hit = Interruption(number, (_core, _keeper, _leases, session_module)).hits(session.close)
        eventually(lambda: session.id not in cluster.model.sessions, what=f"the end, {number}")
        assert not lock.held and not session.alive
        with pytest.raises(holdfast.NotHeld):
            lock.check()
        eventually(lambda: not ours(session.id), what=f"the end of the threads, {number}")
        with pytest.raises(holdfast.SessionClosed):
            watch.get(timeout=5)
        session.close()
    assert number > 20


def test_a_with_that_is_interrupted_anywhere_leaves_no_lock_and_a_handle_of_use(cluster, client):
    session = client.session(ttl=60)
    modules = (_acquire, _core, _keeper, _leases, _sequences, lock_module)
    hit, number = True, 0

    def once():
        with lock:
            pass

    while hit:
        number += 1
        lost = []
        lock = session.lock("/a", on_lost=lambda *args: lost.append(args))
        hit = Interruption(number, modules).hits(once)
        assert not lock.held
        eventually(lambda: not cluster.model.held and not cluster.model.queue,
                   what=f"nothing held and nothing waited for, {number}")
        lock.acquire(timeout=5).release()
        assert not lost
    assert number > 100


def test_an_acquire_that_is_interrupted_when_it_is_done_leaves_no_lock(
        cluster, session, interrupt_at):
    interrupt_at("acquired")
    with pytest.raises(KeyboardInterrupt):
        with session.lock("/a") as lock:
            pytest.fail(f"{lock} was entered")
    eventually(lambda: not cluster.model.held)


def test_a_grant_that_was_not_taken_yet_is_given_back(cluster, session, monkeypatch):
    def interrupted(holding):
        raise KeyboardInterrupt

    monkeypatch.setattr(session._core, "hold", interrupted)
    lock = session.lock("/a")
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    eventually(lambda: not cluster.model.held)
    monkeypatch.undo()
    assert not lock.held and lock.acquire(timeout=2).held


@pytest.mark.parametrize("before", [True, False])
def test_a_release_that_is_interrupted_at_once_is_done_all_the_same(cluster, session, monkeypatch,
                                                                   before):
    lock = session.lock("/a").acquire()
    let_go = session._core.let_go

    def interrupted(holding):
        monkeypatch.undo()
        if not before:
            let_go(holding)
        raise KeyboardInterrupt

    monkeypatch.setattr(session._core, "let_go", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lock.release()
    assert not lock.held
    eventually(lambda: not cluster.model.held)


def test_a_session_whose_opening_is_interrupted_is_not_kept_alive(cluster, client, interrupt_at):
    interrupt_at("opened session")
    with pytest.raises(KeyboardInterrupt):
        client.session(ttl=4)
    eventually(lambda: not cluster.model.sessions)


def test_a_session_whose_opening_is_cut_off_is_closed_as_soon_as_its_number_is_known(
        cluster, client, monkeypatch):
    attempt = client._router.attempt

    def interrupted(*args):
        monkeypatch.undo()
        attempt(*args)  # it has opened
        raise KeyboardInterrupt

    monkeypatch.setattr(client._router, "attempt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.session(ttl=3600)
    eventually(lambda: cluster.sent("closeSession") and not cluster.model.sessions)


def test_a_client_that_is_closed_closes_a_session_whose_opening_was_cut_off(cluster, monkeypatch):
    asked = threading.Event()
    with pytest.raises(KeyboardInterrupt), holdfast.Client(cluster.seeds, timeout=5) as client:
        attempt = client._router.attempt

        def interrupted(*args):
            monkeypatch.undo()
            attempt(*args)
            cluster.fault("openSession", Fault(then=asked.set, delay=0.3))
            raise KeyboardInterrupt

        monkeypatch.setattr(client._router, "attempt", interrupted)
        client.session(ttl=3600)
    assert asked.is_set() and not cluster.model.sessions


def test_a_session_whose_opening_took_too_long_is_closed(cluster, client):
    cluster.fault("openSession", Fault(delay=0.5))
    with pytest.raises(holdfast.Unavailable, match="did not answer openSession"):
        client.session(ttl=3600, timeout=0.2)
    eventually(lambda: cluster.sent("closeSession") and not cluster.model.sessions)


@pytest.mark.parametrize("code", ["UNSUPPORTED", "PERMISSION_DENIED"])
def test_a_session_whose_second_copy_is_refused_is_closed_where_the_first_has_opened_it(
        cluster, client, code):
    leader, *others = cluster.servers
    cluster.fault("openSession", Fault(drop_reply=True), server=leader)
    for server in others:  # another version, another configuration: again and again
        server.faults["openSession"].extend(Fault(before=refusal(code)) for _ in range(100))
    client._router._leader = leader.address
    with pytest.raises(holdfast.HoldfastError, match="earlier copy of this openSession") as raised:
        client.session(ttl=3600)
    assert raised.value.code == code and raised.value.maybe_applied
    eventually(lambda: cluster.sent("closeSession") and not cluster.model.sessions)


def test_a_session_is_closed_where_it_was_opened_though_a_server_that_refuses_leads_by_now(
        cluster, client):
    opened_at, *others = cluster.servers
    cluster.fault("openSession", Fault(drop_reply=True), server=opened_at)
    for server in others:
        server.faults["openSession"].extend(Fault(before=refusal("UNSUPPORTED"))
                                            for _ in range(100))
    client._router._leader, cluster.leader = opened_at.address, others[0]
    with pytest.raises(holdfast.Unsupported) as raised:
        client.session(ttl=3600)
    assert raised.value.refuser in [server.address for server in others]
    eventually(lambda: cluster.sent("closeSession") and not cluster.model.sessions)


def test_a_session_that_was_refused_is_not_asked_for_again(cluster, client):
    with pytest.raises(holdfast.BadArgument):
        client.session(ttl=0.5)
    client.close()
    assert len(cluster.sent("openSession")) == 1


def test_openings_that_were_refused_are_not_kept(cluster, client):
    for _ in range(3):
        with pytest.raises(holdfast.BadArgument):
            client.session(ttl=0.5)
    assert len(client._sessions) == 1


def test_closing_the_client_waits_for_what_is_closed_though_others_were_opened(cluster,
                                                                              monkeypatch):
    close, never = holdfast.Session._close_unopened, threading.Event()

    def later(self, until):
        never.wait(0.5)
        close(self, until)

    monkeypatch.setattr(holdfast.Session, "_close_unopened", later)
    with holdfast.Client(cluster.seeds, timeout=5) as client:
        cluster.fault("openSession", Fault(delay=0.3))
        with pytest.raises(holdfast.Unavailable):
            client.session(ttl=3600, timeout=0.1)
        client.session(ttl=3600)
    assert not cluster.model.sessions


def test_a_session_that_opens_while_its_client_is_closed_is_closed(cluster, monkeypatch):
    client = holdfast.Client(cluster.seeds, timeout=5)
    came_to, asked = [], threading.Event()
    cluster.fault("openSession", Fault(then=asked.set, delay=0.2))

    def open_one():
        try:
            came_to.append(client.session(ttl=4))
        except holdfast.HoldfastError as error:
            came_to.append(error)

    opening, close = threading.Thread(target=open_one), client._router.close

    def closed():
        opening.join(5)  # the connections go after it was opened
        close()

    monkeypatch.setattr(client._router, "close", closed)
    opening.start()
    assert asked.wait(5)
    client.close()
    assert isinstance(came_to[0], holdfast.ClientClosed)
    assert not cluster.model.sessions


def test_no_thread_is_left_by_a_session_that_expired_and_was_not_closed(cluster, client):
    blocking = client.session(ttl=4).lock("/a").acquire()
    session = client.session(ttl=4)
    with pytest.raises(holdfast.LockTimeout):
        session._core.later("release", lambda: None)
        session.lock("/a", timeout=0.05).acquire()
    with cluster.model.mutex:
        cluster.model.end_session(session.id)
    eventually(lambda: not session.alive)
    eventually(lambda: not ours(session.id), what="the end of the threads")
    blocking.release()


def test_a_write_that_finds_no_space_delays_no_release_in_the_background(cluster, client):
    session = client.session(ttl=2)
    full = [Fault(before=refusal("NO_SPACE", retryable=True)) for _ in range(10_000)]
    for fault in full:
        cluster.fault("setHolderValue", fault)
    first = session.lock("/a").acquire()
    losses = []
    session.lock("/b", on_lost=lambda lock, reason: losses.append(lock)).acquire()
    publishing = threading.Thread(target=lambda: pytest.raises(
        holdfast.LockLost, first.set_value, "no room for it"))
    publishing.start()
    eventually(lambda: cluster.sent("setHolderValue"))
    client.revoke("/a", force=True)
    publishing.join(5)  # the rest is left to the background, and refused there again and again
    for server in cluster.servers:
        server.black_hole.set()
    eventually(lambda: losses, within=5)
    for server in cluster.servers:
        server.black_hole.clear()
    eventually(lambda: not cluster.model.held, what="the release of /b")
