"""The Python client while servers die, networks swallow packets and processes are stopped."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.proxy import Proxy
from support.stock import Stock, t
from support.waiting import eventually

import holdfast

HOLDER = """
import sys, holdfast
with holdfast.Client(sys.argv[1]) as c, c.session(ttl=2, name="paused") as s:
    lock = s.lock("/paused").acquire()
    print(lock.token, flush=True)
    sys.stdin.readline()
    try:
        lock.check()
        print("held", flush=True)
    except holdfast.LockLost as error:
        print("LockLost", error, flush=True)
"""


def boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.fixture
def proxied(cluster):
    """A client that reaches the servers only through proxies."""
    proxies = [Proxy(address) for address in cluster.seeds]
    client = holdfast.Client([p.address for p in proxies], discover=False)
    yield client, proxies
    for proxy in proxies:
        proxy.heal()
    client.close()
    for proxy in proxies:
        proxy.close()


def test_on_lost_comes_before_the_lock_is_given_away_under_a_black_hole(cluster, proxied):
    client, proxies = proxied
    lost_at, granted_at = [], []
    session = client.session(ttl=2, name="cut-off")
    lock = session.lock("/hole", on_lost=lambda lock, reason: lost_at.append(boot())).acquire()

    def rival():
        with holdfast.Client(cluster.seeds) as c, c.session(ttl=10) as s, s.lock("/hole") as won:
            granted_at.append((boot(), won.token))

    thread = threading.Thread(target=rival)
    thread.start()
    with holdfast.Client(cluster.seeds) as watcher:
        eventually(lambda: watcher.describe("/hole").waiters)
    for proxy in proxies:
        proxy.black_hole()
    eventually(lambda: lost_at, within=10)
    with pytest.raises(holdfast.LockLost, match="local deadline"):
        lock.check()
    thread.join(20)
    assert lost_at[0] < granted_at[0][0]
    assert granted_at[0][1] > lock.token


def test_a_session_that_the_servers_still_have_goes_on_after_the_hole(cluster, proxied):
    client, proxies = proxied
    session = client.session(ttl=4, name="patient")
    held = session.lock("/patient").acquire()
    # Leases are cut at the client only: a stock client goes on renewing the same session.
    for proxy in proxies:
        proxy.black_hole()
    stop = threading.Event()

    def renew_elsewhere():
        with Stock(cluster.seeds[0]) as stock:
            while not stop.wait(0.5):
                stock.call("keepAlive", t.RequestContext(
                    sessionId=session.id, sessionSecret=session._core.secret))

    thread = threading.Thread(target=renew_elsewhere)
    thread.start()
    eventually(lambda: not held.held, within=10)
    for proxy in proxies:
        proxy.heal()
    with holdfast.Client(cluster.seeds) as watcher:
        eventually(lambda: not watcher.describe("/patient").holders, within=10,
                   what="the release of the lost lock")
    stop.set()
    thread.join(5)
    assert session.alive
    with session.lock("/patient", timeout=10) as again:
        assert again.token > held.token


def test_a_paused_process_learns_at_its_next_check_and_its_token_is_stale(cluster):
    with subprocess.Popen([sys.executable, "-c", HOLDER, ",".join(cluster.seeds)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder, \
            holdfast.Client(cluster.seeds) as client:
        token = int(holder.stdout.readline())
        assert client.check_token("/paused", token)
        holder.send_signal(signal.SIGSTOP)
        with client.session(ttl=10, name="next") as session, session.lock("/paused") as lock:
            assert lock.token > token
            assert not client.check_token("/paused", token)
            assert client.describe("/paused").tenures[0].reason == "SESSION_EXPIRED"
            holder.send_signal(signal.SIGCONT)
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert holder.stdout.readline().startswith("LockLost /paused")
            lock.check()
        holder.communicate(timeout=20)


def test_a_held_lock_and_a_waiter_outlive_kill_9_of_the_leader(own):
    with holdfast.Client(own.seeds) as client:
        session = client.session(ttl=6, name="survivor")
        held = session.lock("/survive").acquire()
        waiting = client.session(ttl=6, name="waiter").lock("/survive")
        thread = threading.Thread(target=waiting.acquire)
        thread.start()
        eventually(lambda: client.describe("/survive").waiters)
        own.leader().kill()
        held.set_value("after")
        assert client.check_token("/survive", held.token)
        until = boot() + 7
        eventually(lambda: boot() > until, within=10)
        held.check()
        held.release()
        thread.join(15)
        assert waiting.held and waiting.token > held.token


def test_commands_wait_out_a_restart_of_all_servers(own):
    with holdfast.Client(own.seeds) as client, client.session(ttl=20) as session:
        held = session.lock("/restart").acquire()
        own.kill_all()
        other = session.lock("/restart/more")
        thread = threading.Thread(target=other.acquire)
        thread.start()
        own.start_all()
        thread.join(20)
        assert other.held and other.token > held.token
        held.check()
        held.release()
        assert client.describe("/restart").tenures[0].reason == "RELEASED"


def test_a_frozen_leader_costs_no_lock(own):
    with holdfast.Client(own.seeds) as client, client.session(ttl=6) as session:
        held = session.lock("/frozen").acquire()
        leader = own.leader()
        leader.signal(signal.SIGSTOP)
        try:
            with session.lock("/frozen/other", timeout=10) as other:
                assert other.token > held.token
            until = boot() + 6.5
            eventually(lambda: boot() > until, within=10)
            held.check()
        finally:
            leader.signal(signal.SIGCONT)
        held.release()


def _child(lock, pipe):
    try:
        lock.check()
        pipe.send("nothing")
    except holdfast.ForkedError as error:
        pipe.send(str(error))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_and_the_parent_keeps_its_lock(cluster):
    with holdfast.Client(cluster.seeds) as client, client.session(ttl=2) as session, \
            session.lock("/fork") as lock:
        here, there = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_child, args=(lock, there))
        child.start()
        assert here.poll(10) and f"belongs to process {os.getpid()}" in here.recv()
        child.join(10)
        until = boot() + 3
        eventually(lambda: boot() > until, within=6)
        lock.check()
        assert client.check_token("/fork", lock.token)


def test_a_lock_that_was_taken_by_force_while_its_holders_server_was_frozen_is_lost(own):
    losses = []
    with holdfast.Client(own.seeds) as client:
        session = client.session(ttl=20, name="frozen out")
        lock = session.lock("/taken", on_lost=lambda lock, why: losses.append(why)).acquire()
        poller = session._keeper.poller
        eventually(lambda: poller._answered_by, within=5)
        polled = next(n for n in own.nodes.values() if n.address == poller._answered_by)
        others = [n.address for n in own.nodes.values() if n is not polled]
        polled.signal(signal.SIGSTOP)
        try:
            with holdfast.Client(others, discover=False) as operator:
                operator.revoke("/taken", force=True, reason="its server does not answer")
                assert operator.describe("/taken").holders == ()
            assert lock.held and not losses  # by force, so it was not waited until it knows
            # The server that it asks next has applied that before it first heard of the session.
            eventually(lambda: losses, within=20)
            assert "/taken" in losses[0] and not lock.held
            assert session.alive
        finally:
            polled.signal(signal.SIGCONT)
