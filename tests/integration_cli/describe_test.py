"""What `holdfast` shows of locks and sessions in every state a person may wonder about."""

import functools
import json
import os
import re
import socket
import subprocess

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.watch import ttypes as w
from support.cluster import Cluster
from support.command import run as command
from support.paths import program
from support.stock import Stock
from support.waiting import eventually


@pytest.fixture(scope="module")
def shown():
    """A cluster with locks in many states, and a function that runs the command at one server."""
    with Cluster(3) as cluster:
        with Stock(cluster.nodes[1].address) as stock:
            prepare(stock)
        shows = functools.partial(show, cluster)
        shows.cluster = cluster
        yield shows


def show(cluster, node, *words):
    return run(cluster.nodes[node], *words)


def run(node, *words):
    environment = dict(os.environ, HOLDFAST_SERVERS=node.address, HOLDFAST_ADMIN=node.admin_address)
    done = subprocess.run([str(program("holdfast")), *words], env=environment, timeout=30,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def prepare(stock):
    one, two, three = (stock.open_session(600_000, name) for name in ("one", "zwei-ö", "three"))
    shared = {"mode": t.LockMode.SHARED, "waitMs": 0}
    stock.acquire(one, path="/rw", owner="reader-1", value=b"10.0.0.1:80", **shared)
    stock.acquire(two, path="/rw", **shared)
    stock.acquire(three, path="/rw", waitMs=-1, enqueue=True)
    pool = {"path": "/pool", "mode": t.LockMode.SEMAPHORE, "limit": 4, "enqueue": True}
    stock.acquire(one, permits=3, waitMs=0, **pool)
    stock.acquire(two, permits=2, waitMs=300_000, **pool)
    wants = [t.LockWanted(path=p) for p in ("/all/a", "/all/b", "/all/c")]
    stock.acquire(one, path="/all/b", waitMs=0)
    stock.acquireAll(three, locks=wants, waitMs=-1, enqueue=True)
    for reason in ("released", "revoked"):
        held = stock.acquire(two, path="/past", waitMs=0)
        if reason == "released":
            stock.release(two, path="/past", holderId=held.holderId)
        else:
            stock.revokeLock(path="/past", force=True, reason="node 7 drains")
    stock.acquire(one, path="/noticed", waitMs=0)
    stock.revokeLock(path="/noticed", noticeMs=600_000, reason="later")
    dead = stock.open_session(1000, "dead")
    stock.acquire(dead, path="/delayed", waitMs=0, lockDelayMs=600_000)
    eventually(lambda: stock.describeLock(path="/delayed").lock.closedForMs, within=15)


def rows(text):
    """The lines of a table, each split at its columns."""
    return [re.split(r"  +", line) for line in text.splitlines()]


@pytest.mark.parametrize("node", [1, 2, 3])
def test_shared_holders_stand_with_their_leases_on_every_server(shown, node):
    text = shown(node, "lock", "describe", "/rw")
    assert text.startswith("/rw: 2 holding, 1 waiting\n")
    holders = [r for r in rows(text) if "shared" in r]
    assert [r[4] for r in holders] == ["one / reader-1", "zwei-ö"]
    assert holders[0][-1] == "10.0.0.1:80"
    place = next(r for r in rows(text) if r[0] == "1")
    assert (place[2], place[4], place[-1]) == ("exclusive", "three", "no limit")
    for row in [*(h[6] for h in holders), place[6]]:
        assert re.fullmatch(r"\d+m\d\ds", row), text


def test_a_semaphore_says_how_many_permits_are_taken_and_wanted(shown):
    text = shown(2, "lock", "describe", "/pool")
    assert text.startswith("/pool: 1 holding, 1 waiting, 3 of 4 permits taken\n")
    assert "3 permits" in text and "2 permits" in text


def test_a_place_of_several_locks_says_so(shown):
    text = shown(3, "lock", "describe", "/all/a")
    assert text.startswith("/all/a: 0 holding, 1 waiting\n")
    assert "exclusive, with 2 more at once" in text


def test_past_holders_stand_with_the_reason_and_the_operator_s_words(shown):
    text = shown(2, "lock", "describe", "/past")
    assert text.startswith("/past: free\n")
    past = [r[-2:] if "revoked" in r else r[-1:] for r in rows(text)[-2:]]
    assert past == [["revoked", "node 7 drains"], ["released"]]


def test_a_notice_and_a_lock_delay_are_said(shown):
    assert "(revoking)" in shown(2, "lock", "describe", "/noticed")
    text = shown(2, "lock", "describe", "/delayed")
    assert re.match(r"/delayed: 0 holding, 0 waiting, closed by lock-delay for another \d+m\d\ds\n",
                    text), text
    assert "session expired" in text


def test_a_list_of_locks_names_the_first_holder_and_counts_the_others(shown):
    listed = {r[0]: r for r in rows(shown(3, "locks", "/rw"))}
    assert listed["/rw"][1:4] == ["shared", "2", "1"]
    assert listed["/rw"][5] == "one / reader-1 and 1 more"


def test_sessions_show_locks_places_and_leases_on_every_server(shown):
    for node in (1, 2, 3):
        listed = {r[1]: r for r in rows(shown(node, "sessions"))}
        assert listed["one"][4:6] == ["4", "0"]
        assert listed["three"][4:6] == ["0", "4"]
        assert listed["three"][3] != "-"
        told = {s["name"]: s for s in json.loads(shown(node, "sessions", "--json"))}
        assert 0 < told["three"]["lease_left_ms"] <= 600_000


def test_who_watches_what_is_shown_of_each_server(shown):
    assert shown(3, "watches") == "no watches are there\n"
    with Stock(shown.cluster.nodes[2].address) as stock:
        session = stock.open_session(60_000, "follower")
        stock.watch(session, path="/rw", scope=w.WatchScope.SUBTREE, space=w.WatchSpace.BOTH,
                    filter=[w.EventType.KEY_REMOVED, w.EventType.LOCK_GRANTED])
        stock.watch(session, path="/other")
        listed = {r[3]: r for r in rows(shown(2, "watches"))}
        assert listed["/rw"][1:7] == [str(session.id), "follower", "/rw", "subtree", "both",
                                      "removed,granted"]
        assert listed["/other"][4:6] == ["node", "keys"]
        (told,) = json.loads(shown(2, "watches", "/rw", "--json"))
        assert (told["session_id"], told["session"], told["path"]) == (
            session.id, "follower", "/rw")
        assert (told["scope"], told["space"], told["only"], told["values"]) == (
            "subtree", "both", ["removed", "granted"], False)
        assert (told["behind"], told["resyncing"]) == (False, False)
        stock.put(path="/other", value=b"1")
        assert {r[3]: r for r in rows(shown(2, "watches"))}["/other"][-1] == "behind"
        assert shown(2, "watches", "/no") == "no watches with the prefix /no are there\n"
        stock.closeSession(session)


def test_of_a_server_that_cannot_show_its_watches_is_said_which_it_is_and_why(shown):
    one, two = shown.cluster.nodes[1], shown.cluster.nodes[2]
    with socket.socket() as nobody, Stock(two.address) as stock:
        nobody.bind(("127.0.0.1", 0))  # does not listen
        silent = f"127.0.0.1:{nobody.getsockname()[1]}"
        session = stock.open_session(60_000, "follower")
        stock.watch(session, path="/rw")
        # The port for clients does not know the call.
        admins = [silent, one.address, two.admin_address]
        done = command(shown.cluster, "watches", "--json", "--admin", ",".join(admins))
        assert done.returncode == 69
        told = json.loads(done.stdout)
        assert [element["admin"] for element in told] == admins
        assert "not reached" in told[0]["error"] and "listWatches" in told[1]["error"]
        assert told[2]["path"] == "/rw" and "error" not in told[2]
        assert f"holdfast: {one.address}: " in done.stderr and silent in done.stderr
        only_refused = command(shown.cluster, "watches", "--admin", ",".join(admins[1:]))
        assert only_refused.returncode == 65
        assert rows(only_refused.stdout)[1][3] == "/rw"
        stock.closeSession(session)


def test_json_says_all_that_the_tables_say(shown):
    told = json.loads(shown(2, "lock", "describe", "/rw", "--json"))
    assert told["waiters"][0]["lease_left_ms"] > 0
    assert told["holders"][0]["owner"] == "reader-1"
