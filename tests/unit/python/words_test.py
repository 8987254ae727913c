"""How things are called where a program or a person reads them: errors, events, what `print` shows;
and that the resolution of a name has an end."""

import socket
import threading
import time

import pytest
from holdfast_api.admin import ttypes as wire
from holdfast_api.watch.ttypes import EventType, WatchScope, WatchSpace
from support.fake_model import refusal
from support.fake_server import Fault

import holdfast
from holdfast import Event, EventKind, _connection, _router
from holdfast._dial import dial
from holdfast.events import Hold, WatchInfo
from holdfast.types import Holder, Mode


@pytest.mark.parametrize(("event", "shown"), [
    (Event(EventKind.CREATED, "/config/a", 4711, True, b"100", 1),
     "4711 CREATED /config/a version 1 = '100'"),
    (Event(EventKind.CHANGED, "/config/a", 4712, True, b"\xff", 2),
     "4712 CHANGED /config/a version 2 = '\\\\xff'"),
    (Event(EventKind.DELETED, "/config/a", 4713, True, version=2, reason="SESSION_ENDED"),
     "4713 DELETED /config/a version 2: SESSION_ENDED"),
    (Event(EventKind.GRANTED, "/jobs/a", 4714, True, hold=Hold(4714, 4714, 17)),
     "4714 GRANTED /jobs/a token 4714 session 17"),
    (Event(EventKind.RESYNC, "/", 4715, True), "4715 RESYNC /"),
])
def test_an_event_is_printed_in_one_line(event, shown):
    assert str(event) == shown


def test_kinds_are_shown_by_their_names():
    assert (str(EventKind.CREATED), repr(EventKind.CREATED)) == ("CREATED", "EventKind.CREATED")
    assert f"{Mode.SHARED}, {holdfast.KeyKind.TTL}" == "SHARED, TTL"


def test_what_a_newer_server_has_of_a_watch_is_shown_by_its_number():
    newer = WatchInfo.of(wire.WatchInfo(filter=[EventType.KEY_CREATED, 77], scope=78, space=79))
    assert newer.kinds == (EventKind.CREATED, "77")
    assert (newer.scope, newer.space) == ("78", "79")
    known = WatchInfo.of(wire.WatchInfo(scope=WatchScope.SUBTREE, space=WatchSpace.BOTH))
    assert (known.scope, known.space, known.kinds) == ("subtree", "both", None)


def test_what_a_holder_published_is_read_as_text():
    holder = Holder(1, 1, 2, "billing-7", "", Mode.EXCLUSIVE, 1, b"10.0.0.7:8080", 0.0, 1.0, False)
    assert holder.text == "10.0.0.7:8080"


def test_a_refused_argument_has_the_name_that_it_was_passed_by(client):
    with pytest.raises(holdfast.BadArgument) as refused:
        client.session(ttl=0.01)
    assert "ttl in ms 10 is below" in str(refused.value) and "ttlMs" not in str(refused.value)


def test_what_is_the_callers_own_is_not_renamed():
    message = "path \"/ttlMs/x\" and ttlMs"
    assert holdfast.errors.as_passed(message) == "path \"/ttlMs/x\" and ttl in ms"


def test_without_an_address_the_administration_is_that_of_the_environment(client, monkeypatch):
    def asked(*address):
        return set(client.admin(*address)._router.candidates())

    monkeypatch.setenv("HOLDFAST_ADMIN", "10.0.0.1:7413,10.0.0.2")
    assert asked() == {"10.0.0.1:7413", "10.0.0.2:7413"}
    assert asked("10.0.0.3") == {"10.0.0.3:7413"}
    monkeypatch.delenv("HOLDFAST_ADMIN")
    assert asked() == {"127.0.0.1:7413"}


def test_each_server_that_was_not_reached_is_named_with_the_reason(cluster):
    seeds = cluster.seeds
    cluster.stop()
    with holdfast.Client(seeds, timeout=0.5) as client, \
            pytest.raises(holdfast.Unavailable) as raised:
        client.get("/a")
    for seed in seeds:
        assert f"{seed}: [Errno 111] Connection refused" in str(raised.value)


@pytest.mark.parametrize("refuses_last", [False, True])
def test_one_that_was_reached_and_refused_is_told_with_those_that_were_not(cluster, refuses_last):
    """Whichever came last."""
    one, *others = cluster.servers
    for server in others:
        server.stop()
    for _ in range(100):
        cluster.fault("get", Fault(before=refusal("NO_LEADER", "no leader is known")), server=one)
    client = holdfast.Client([server.address for server in cluster.servers], timeout=0.5,
                             discover=False)
    asked = ([one, *others] if not refuses_last else [*others, one])
    client._router.candidates = lambda: [server.address for server in asked]
    with client, pytest.raises(holdfast.HoldfastError) as raised:
        client.get("/a")
    assert "no leader is known [NO_LEADER]" in str(raised.value)
    for server in others:
        assert f"{server.address}: " in str(raised.value)


def test_the_last_moments_silence_does_not_replace_what_the_server_had_said(cluster):
    one = cluster.servers[0]
    cluster.fault("get", Fault(before=refusal("NO_LEADER", "no leader is known")), server=one)
    for _ in range(10):
        cluster.fault("get", Fault(delay=3.0), server=one)
    with holdfast.Client(one.address, timeout=0.4, discover=False) as client, \
            pytest.raises(holdfast.Unavailable, match="no leader is known") as raised:
        client.get("/a")
    assert raised.value.code == "NO_LEADER"


def test_one_server_s_silence_does_not_replace_what_another_said(client):
    effort = _router._Effort(client._router, "get", None, True)
    effort.refused("a:1", refusal("NO_LEADER", "no leader is known"), time.sleep)
    effort.broken("b:1", _connection.Broken("b:1 broke off"))
    effort.unreached("c:1", _connection.NotSent("c:1: refused"))
    assert effort.last.code == "NO_LEADER"
    assert str(effort.last) == "no leader is known [NO_LEADER]; b:1 broke off; c:1: refused"


class SlowNames:
    """A resolver that waits for its name servers until it is told to go on."""

    def __init__(self, monkeypatch):
        self.go_on = threading.Event()
        self.asked = 0
        original = socket.getaddrinfo

        def slow(host, port, *rest, **named):
            if host != "slow.example" or named.get("flags"):
                return original(host, port, *rest, **named)
            self.asked += 1
            assert self.go_on.wait(30)
            return original("127.0.0.1", port, *rest, **named)

        monkeypatch.setattr(socket, "getaddrinfo", slow)


def test_nobody_waits_for_a_name_beyond_the_time_of_the_call(monkeypatch):
    names = SlowNames(monkeypatch)
    began = time.monotonic()
    with holdfast.Client("slow.example:7411", timeout=0.5) as client, \
            pytest.raises(holdfast.Unavailable, match="its name was not resolved within"):
        client.get("/a")
    assert time.monotonic() - began < 10
    assert names.asked == 1, "all attempts wait for one answer"
    names.go_on.set()


def test_a_name_that_is_resolved_late_leads_to_its_server(monkeypatch):
    names = SlowNames(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TimeoutError, match="its name was not resolved within 0.1 s"):
            dial("slow.example", port, 0.1)
        names.go_on.set()
        with dial("slow.example", port, 20) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)


def test_an_address_of_a_family_that_the_machine_lacks_is_passed_by(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        lacking = (-1, socket.SOCK_STREAM, 0, "", ("::1", port))
        there = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        monkeypatch.setattr("holdfast._dial._resolve", lambda *_: [lacking, there])
        with dial("both.example", port, 10) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
        monkeypatch.setattr("holdfast._dial._resolve", lambda *_: [lacking])
        with pytest.raises(OSError, match="[Ff]amily"):
            dial("both.example", port, 10)


def test_a_name_that_does_not_exist_says_so():
    with pytest.raises(OSError, match="[Nn]ame|[Rr]esol"):
        dial("no-such-host.invalid", 1, 10)
    with pytest.raises(OSError, match="is no name of a host"):
        dial("x" * 70 + ".example", 1, 10)
