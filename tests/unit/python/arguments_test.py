"""Arguments of a wrong type: a TypeError of the call itself names the argument, what was given, and
what is expected; nothing is sent."""

import datetime
import decimal
import fractions
import pathlib
import re
import threading

import pytest
from holdfast_api.keys import ttypes as k

import holdfast
from holdfast import Client, Wanted

HOUR = datetime.timedelta(hours=1)

CLIENT = [
    ("path must be a str, not bytes b'/a'", lambda c: c.get(b"/a")),
    ("path must be a str, not NoneType None", lambda c: c.put(None, "")),
    ("path must be a str, not PosixPath", lambda c: c.describe(pathlib.PosixPath("/a"))),
    ("path must be a str, not int 7", lambda c: c.election(7)),
    ("value must be bytes or a str, not int 3", lambda c: c.put("/a", 3)),
    ("value must be bytes or a str, not list", lambda c: c.create("/a", [104, 105])),
    ("value must be bytes or a str, not dict", lambda c: c.transact().put("/a", {})),
    ("value must be bytes or a str, not NoneType",
     lambda c: c.transact().check_value("/a", None)),
    ("version must be an int, or None (any), not bool True", lambda c: c.put("/a", "", True)),
    ("version must be an int, or None (any), not str '1'", lambda c: c.delete("/a", "1")),
    ("version must be an int, not float 1.0", lambda c: c.transact().check_version("/a", 1.0)),
    ("revision must be an int, not NoneType", lambda c: c.transact().check_revision("/a", None)),
    ("relation must be a str, not int", lambda c: c.transact().check_version("/a", 1, 2)),
    ("exists must be True or False, not int 0", lambda c: c.transact().check_exists("/a", 0)),
    ("lock must be a Lock, not str", lambda c: c.transact().holds("/a")),
    ("ttl must be a number of seconds, not str '5s'", lambda c: c.create("/a", ttl="5s")),
    ("parents must be True or False, not str", lambda c: c.put("/a", "", parents="yes")),
    ("recursive must be True or False, not int", lambda c: c.delete("/a", recursive=1)),
    ("subtree must be True or False, not str '/a'", lambda c: c.list("/a", subtree="/a")),
    ("values must be True or False, not str 'yes'", lambda c: c.list("/a", values="yes")),
    ("paths must be a list of paths, not str '/a'", lambda c: c.get_many("/a")),
    ("path must be a str, not int", lambda c: c.get_many([1])),
    ("after must be an int, not NoneType", lambda c: c.wait_for_change("/a", None)),
    ("timeout must be a number of seconds, or None (no limit), not str '5'",
     lambda c: c.wait_for_change("/a", 1, "5")),
    ("local must be True or False, not int 1", lambda c: c.get("/a", local=1)),
    ("local must be True or False, not str 'yes'", lambda c: c.exists("/a", local="yes")),
    ("local must be True or False, not NoneType", lambda c: c.get_many([], local=None)),
    ("local must be True or False, not int 0", lambda c: c.list("/a", local=0)),
    ("local must be True or False, not int 1", lambda c: c.describe("/a", local=1)),
    ("local must be True or False, not int 1", lambda c: c.check_token("/a", 1, local=1)),
    ("local must be True or False, not str 'no'", lambda c: c.locks(local="no")),
    ("prefix must be a str, not NoneType", lambda c: c.locks(None)),
    ("token must be an int, not str", lambda c: c.check_token("/a", "17")),
    ("min_revision must be an int", lambda c: c.describe("/a", min_revision="1")),
    ("min_revision must be an int", lambda c: c.get("/a", min_revision="1")),
    ("min_revision must be an int", lambda c: c.exists("/a", min_revision=1.0)),
    ("min_revision must be an int", lambda c: c.get_many([], min_revision=None)),
    ("min_revision must be an int", lambda c: c.list("/a", min_revision=True)),
    ("notice must be a number of seconds, not timedelta", lambda c: c.revoke("/a", notice=HOUR)),
    ("holder_id must be an int", lambda c: c.revoke("/a", holder_id="17")),
    ("reason must be a str", lambda c: c.revoke("/a", reason=b"whim")),
    ("force must be True or False", lambda c: c.revoke("/a", force="no")),
    ("interval must be a number of seconds", lambda c: c.election("/a").observe("1")),
    ("ttl must be a number of seconds, not timedelta", lambda c: c.session(ttl=HOUR)),
    ("ttl must be a number of seconds, not Decimal", lambda c: c.session(decimal.Decimal(10))),
    ("name must be a str, not int", lambda c: c.session(name=7)),
    ("attributes must be a dict of str to str, not list", lambda c: c.session(attributes=["a"])),
    ("attributes['shard'] must be a str, not int 3",
     lambda c: c.session(attributes={"shard": 3})),
    ("on_expired must be a function, or None, not str", lambda c: c.session(on_expired="f")),
    ("timeout must be a number of seconds, or None (the client's)",
     lambda c: c.session(timeout="1")),
    ("address must be a str, not int 7413", lambda c: c.admin(7413)),
]

SESSION = [
    ("kinds must be a list of EventKind, not str 'CREATED'",
     lambda s: s.watch("/a", kinds="CREATED")),
    ("each of kinds must be an EventKind, not str 'CREATED'",
     lambda s: s.on_change("/a", kinds=["CREATED"])),
    ("path must be a str, not list", lambda s: s.lock(["/a"])),
    ("shared must be True or False, not str", lambda s: s.lock("/a", shared="yes")),
    ("timeout must be a number of seconds, or None (as long as the session lives), not str",
     lambda s: s.lock("/a", timeout="10s")),
    ("timeout must be a number of seconds", lambda s: s.lock("/a").acquire("10s")),
    ("value must be bytes or a str, not int", lambda s: s.lock("/a", value=80)),
    ("lock_delay must be a number of seconds", lambda s: s.lock("/a", lock_delay=None)),
    ("max_queue must be an int, not NoneType", lambda s: s.lock("/a", max_queue=None)),
    ("owner must be a str", lambda s: s.lock("/a", owner=7)),
    ("on_lost must be a function", lambda s: s.lock("/a", on_lost="f")),
    ("on_revoke must be a function", lambda s: s.lock("/a", on_revoke=True)),
    ("limit must be an int, not NoneType None", lambda s: s.semaphore("/a", None)),
    ("permits must be an int, not float 2.0", lambda s: s.semaphore("/a", 5, permits=2.0)),
    ("wanted must be a list of paths or Wanted, not str '/a'", lambda s: s.locks("/a")),
    ("path must be a str, not tuple", lambda s: s.locks([("/a", True)])),
    ("value must be bytes or a str, not tuple", lambda s: s.election("/a").campaign(("h", 80))),
    ("guard must be a Lock, not str '/a'", lambda s: s.put("/b", "", guard="/a")),
    ("ephemeral must be True or False", lambda s: s.create("/a", ephemeral=None)),
    ("scope must be a str, not bool True", lambda s: s.watch("/a", scope=True)),
    ("values must be True or False", lambda s: s.watch("/a", values="all")),
    ("since must be an int, or None (from now on), not str '7'",
     lambda s: s.watch("/a", since="7")),
    ("timeout must be a number of seconds", lambda s: s.watch("/a", timeout="5")),
    ("buffer must be an int", lambda s: s.watch("/a", buffer=1e4)),
    ("since must be an int", lambda s: s.on_change("/a", since=1.5)),
    ("what on_change decorates must be a function, not int", lambda s: s.on_change("/a")(7)),
    ("path must be a str, not bytes", lambda s: s.mirror(b"/a")),
    ("timeout must be a number of seconds, or None (at most 5 s)", lambda s: s.close("1")),
]

ADMIN = [
    ("node_id must be an int, not str", lambda a: a.transfer_leadership("2")),
    ("add must be a dict of node id to address, not list",
     lambda a: a.change_members(add=["10.0.0.4:7412"])),
    ("a key of add must be an int, not str '4'",
     lambda a: a.change_members(add={"4": "10.0.0.4:7412"})),
    ("add[4] must be a str, not int", lambda a: a.change_members(add={4: 7412})),
    ("remove must be a list of node ids, not int 3", lambda a: a.change_members(remove=3)),
    ("each of promote must be an int", lambda a: a.change_members(promote=["3"])),
    ("level must be an int", lambda a: a.raise_level("5")),
    ("from_node must be an int", lambda a: a.rebuild("1")),
    ("force must be True or False", lambda a: a.rebuild(force=1)),
    ("session_id must be an int", lambda a: a.expire_session("4711")),
    ("notice must be a number of seconds", lambda a: a.expire_session(4711, notice="30s")),
    ("changes must be a dict of name to int", lambda a: a.settings("locks_max")),
    ("changes['locks_max'] must be an int, not str '7'",
     lambda a: a.settings({"locks_max": "7"})),
]


def told(call, *args):
    """The words of the TypeError that it raises."""
    with pytest.raises(TypeError) as raised:
        call(*args)
    assert not isinstance(raised.value, holdfast.HoldfastError)
    return str(raised.value)


@pytest.mark.parametrize(("says", "call"), CLIENT, ids=[says for says, _ in CLIENT])
def test_a_client_names_the_argument(cluster, client, says, call):
    assert says in told(call, client)
    assert not cluster.model.calls


@pytest.mark.parametrize(("says", "call"), SESSION, ids=[says for says, _ in SESSION])
def test_a_session_names_the_argument(session, says, call):
    assert says in told(call, session)
    assert session.alive


@pytest.mark.parametrize(("says", "call"), ADMIN, ids=[says for says, _ in ADMIN])
def test_the_administration_names_the_argument(client, says, call):
    assert says in told(call, client.admin("127.0.0.1:1"))


@pytest.mark.parametrize(("says", "call"), [
    ("servers must be a list of addresses, or one str, not int 7411", lambda: Client(7411)),
    ("each of servers must be a str, not tuple", lambda: Client([("127.0.0.1", 7411)])),
    ("timeout must be a number of seconds, not NoneType",
     lambda: Client("127.0.0.1:1", timeout=None)),
    ("connect_timeout must be a number", lambda: Client("127.0.0.1:1", connect_timeout="2")),
    ("discover must be True or False", lambda: Client("127.0.0.1:1", discover="no")),
    ("shared must be True or False", lambda: Wanted("/a", "shared"))])
def test_making_one_names_the_argument(says, call):
    assert says in told(call)


def test_a_handle_that_is_held_goes_on_after_a_wrong_argument(session):
    with session.lock("/a", value="1") as lock:
        assert "value must be bytes or a str, not int 2" in told(lock.set_value, 2)
        assert "to must be an int, not str" in told(lock.handover, "17")
        assert lock.held and lock.value == b"1"


@pytest.mark.parametrize(("says", "call"), [
    ("permits of /a must be 1 or more, not 0", lambda s: s.semaphore("/a", 2, permits=0)),
    ("limit of /a must be 1 or more, not 0", lambda s: s.semaphore("/a", 0)),
    ("permits of /a must be 1 or more, not -1",
     lambda s: s.locks([Wanted("/a", permits=-1, limit=2)])),
    ("path '/' is the root, which is no key", lambda s: s.put("/", "x")),
    ("path '/' is the root, which is no key", lambda s: s.create("/")),
    ("path '/' is the root, which is no key", lambda s: s.delete("/", recursive=True)),
    ("a call carries at most 4128768, and a key's value may have fewer",
     lambda s: s.put("/a", bytes(5_000_000)))])
def test_a_value_that_can_never_be_right_is_refused_before_it_is_sent(cluster, session, says, call):
    with pytest.raises(holdfast.BadArgument, match=re.escape(says)):
        call(session)
    assert {name for name, _, _ in cluster.model.calls} <= {"openSession", "poll"}


def test_a_number_that_is_none_is_a_value_error(client):
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"ttl {number} is no number of seconds"):
            client.session(ttl=number)


def test_a_client_without_any_time_is_a_value_error():
    for words in ({"timeout": -1}, {"timeout": 0}, {"connect_timeout": -0.5}):
        name = next(iter(words))
        with pytest.raises(ValueError, match=f"{name} is .*, it must be more than 0"):
            Client("127.0.0.1:1", **words)


@pytest.mark.parametrize("call", [
    lambda c, s, w, m: c.session(timeout=-1),
    lambda c, s, w, m: c.wait_for_change("/a", 1, timeout=-1),
    lambda c, s, w, m: s.lock("/a", timeout=-1),
    lambda c, s, w, m: s.lock("/a").acquire(timeout=-1),
    lambda c, s, w, m: s.watch("/a", timeout=-1),
    lambda c, s, w, m: s.close(timeout=-1),
    lambda c, s, w, m: w.get(timeout=-1),
    lambda c, s, w, m: w.group(timeout=-1),
    lambda c, s, w, m: m.wait_for(1, timeout=-1)])
def test_less_than_no_time_is_a_value_error(client, session, call):
    with session.watch("/w") as watch, session.mirror("/m") as mirror:
        with pytest.raises(ValueError, match="timeout -1 is neither None nor a number of seconds"):
            call(client, session, watch, mirror)
    assert session.alive


def admin(client):
    return client.admin("127.0.0.1:1")


TIMES = {
    "Client.timeout": lambda c, s, w, m, t: Client("127.0.0.1:1", timeout=t),
    "Client.connect_timeout": lambda c, s, w, m, t: Client("127.0.0.1:1", connect_timeout=t),
    "session.ttl": lambda c, s, w, m, t: c.session(ttl=t, timeout=1),
    "session.timeout": lambda c, s, w, m, t: c.session(timeout=t),
    "observe.interval": lambda c, s, w, m, t: c.election("/a").observe(interval=t),
    "wait_for_change.timeout": lambda c, s, w, m, t: c.wait_for_change("/a", 1, timeout=t),
    "create.ttl": lambda c, s, w, m, t: c.create("/a", ttl=t),
    "transact.create.ttl": lambda c, s, w, m, t: c.transact().create("/a", ttl=t),
    "revoke.notice": lambda c, s, w, m, t: c.revoke("/a", notice=t),
    "expire_session.notice": lambda c, s, w, m, t: admin(c).expire_session(1, notice=t),
    "lock.timeout": lambda c, s, w, m, t: s.lock("/a", timeout=t),
    "acquire.timeout": lambda c, s, w, m, t: s.lock("/a").acquire(timeout=t),
    "lock.lock_delay": lambda c, s, w, m, t: s.lock("/a", lock_delay=t),
    "semaphore.timeout": lambda c, s, w, m, t: s.semaphore("/a", 1, timeout=t),
    "locks.lock_delay": lambda c, s, w, m, t: s.locks(["/a"], lock_delay=t),
    "campaign.timeout": lambda c, s, w, m, t: s.election("/a").campaign(timeout=t),
    "watch.timeout": lambda c, s, w, m, t: s.watch("/a", timeout=t),
    "get.timeout": lambda c, s, w, m, t: w.get(timeout=t),
    "group.timeout": lambda c, s, w, m, t: w.group(timeout=t),
    "wait_for.timeout": lambda c, s, w, m, t: m.wait_for(1 << 50, timeout=t),
    "close.timeout": lambda c, s, w, m, t: s.close(timeout=t),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_time_that_no_program_can_mean_is_a_value_error(cluster, client, session, name):
    argument = name.rpartition(".")[2]
    with session.watch("/w") as watch, session.mirror("/m") as mirror:
        sent = len(cluster.model.calls)
        for time in (float("nan"), float("inf"), float("-inf"), 1e10, 1e300, 10**400):
            with pytest.raises(ValueError, match=f"^{argument} ") as raised:
                TIMES[name](client, session, watch, mirror, time)
            if time in (1e10, 1e300, 10**400):
                assert "is more than 1000000000 seconds" in str(raised.value)
        if argument not in ("ttl",):  # of which the servers judge what is too little
            with pytest.raises(ValueError, match=f"^{argument} .*-1.*(from 0 on|must be|or more)"):
                TIMES[name](client, session, watch, mirror, -1)
        assert {call for call, _, _ in cluster.model.calls[sent:]} <= {"poll", "unwatch"}
    assert session.alive


def test_without_a_pause_nobody_is_observed(client):
    with pytest.raises(ValueError, match="interval is 0, it must be more than 0"):
        client.election("/a").observe(interval=0)


def test_more_keys_than_one_call_reads_are_refused_before_it_is_sent(cluster, client):
    with pytest.raises(holdfast.BadArgument, match="paths names 1001 keys, getMany .* most 1000"):
        client.get_many(f"/{number}" for number in range(1001))
    assert not cluster.model.calls


def test_an_answer_without_any_key_is_not_asked_for_again(client, monkeypatch):
    monkeypatch.setattr("support.fake_server.KeysHandler.getMany",
                        lambda self, context, request: k.GetManyResult(keys=[]))
    with pytest.raises(holdfast.ServerError, match="answered none of the keys"):
        client.get_many(["/a"])


LIMIT = 2**53 - 1


@pytest.mark.parametrize("number", [-5, LIMIT + 1])
def test_what_is_no_revision_is_refused_with_the_limit(cluster, client, session, number):
    mirror = session.mirror("/m")
    sent = len(cluster.sent("describeLock") + cluster.sent("waitForChange"))
    for name, call in (("min_revision", lambda: client.describe("/a", min_revision=number)),
                       ("after", lambda: client.wait_for_change("/a", number)),
                       ("revision", lambda: mirror.wait_for(number, timeout=1))):
        with pytest.raises(holdfast.BadArgument, match=f"{name} {number} is not from 0 to {LIMIT}"):
            call()
    assert sent == len(cluster.sent("describeLock") + cluster.sent("waitForChange"))


@pytest.mark.parametrize(("words", "call"), [
    ("level 0 is less than 1", lambda a: a.raise_level(0)),
    ("level -3 is less than 1", lambda a: a.raise_level(-3)),
    (": level 2147483648 ", lambda a: a.raise_level(2**31)),
    (": from_node 2147483648 ", lambda a: a.rebuild(2**31)),
])
def test_what_the_administration_cannot_be_told_is_refused_by_name(cluster, client, words, call):
    with pytest.raises(holdfast.BadArgument, match=words):
        call(client.admin(cluster.seeds[0]))


def test_a_watch_begins_at_a_revision_that_can_be(session):
    for start in (session.watch, session.on_change):
        with pytest.raises(holdfast.BadArgument, match=f"since {LIMIT + 1} is not .* to {LIMIT}"):
            start("/a", since=LIMIT + 1)
    with pytest.raises(holdfast.BadArgument, match="since -1 is negative"):
        session.watch("/a", since=-1)


def test_whatever_is_a_number_or_bytes_will_do(client):
    with client.session(ttl=fractions.Fraction(10)) as session:
        assert session.ttl == 10
        assert session.put("/a", bytearray(b"1"), parents=True).version == 1
        assert session.put("/a", memoryview(b"2"), version=1).version == 2
        assert client.get("/a").value == b"2"
        with session.locks(path for path in ("/x", "/y")) as both:
            assert both.paths == ("/x", "/y")


def transacted(maker, fill):
    """A transaction, committed."""
    transaction = maker.transact()
    fill(transaction)
    transaction.commit()


NO_ROOM = [
    ("max_queue 2147483648 does not fit into 32 bits",
     lambda c, s: s.lock("/a", max_queue=2**31).acquire()),
    ("lock_delay 1e.17 is more than 1000000000 seconds",
     lambda c, s: s.lock("/a", lock_delay=1e17).acquire()),
    ("limit 2147483648 ", lambda c, s: s.semaphore("/a", limit=2**31).acquire()),
    ("timeout 1e.300 is more than", lambda c, s: s.lock("/a").acquire(timeout=1e300)),
    ("owner .* is not Unicode text", lambda c, s: s.lock("/a", owner="\ud800").acquire()),
    ("path .* is not Unicode text", lambda c, s: s.lock("/a\ud800").acquire()),
    ("path .* is not Unicode text", lambda c, s: s.watch("/a\ud800")),
    ("since 9223372036854775808", lambda c, s: s.watch("/a", since=2**63)),
    ("path .* is not Unicode text", lambda c, s: s.mirror("/a\ud800")),
    ("version 9223372036854775808", lambda c, s: s.put("/a", "", 2**63)),
    ("version 9223372036854775808", lambda c, s: c.put("/a", "", 2**63)),
    ("path .* is not Unicode text", lambda c, s: c.put("/a\ud800")),
    ("value '.ud800' is not Unicode text", lambda c, s: c.put("/a", "\ud800")),
    ("value '.ud800' is not Unicode text", lambda c, s: s.create("/a", "\ud800")),
    ("value '.ud800' is not Unicode text", lambda c, s: s.lock("/a", value="\ud800")),
    ("value 'b+[.]{3} is not Unicode text", lambda c, s: c.put("/a", "b" * 2000 + "\ud800")),
    ("value '.ud800' is not Unicode text",
     lambda c, s: c.transact().check_value("/a", "\ud800")),
    ("path '/a.ud800' is not Unicode text",
     lambda c, s: transacted(c, lambda tx: tx.put("/a\ud800"))),
    ("ttl 1e.17 is more than", lambda c, s: c.create("/a", ttl=1e17)),
    ("paths?.* is not Unicode text", lambda c, s: c.get_many(["/a\ud800"])),
    ("token 9223372036854775808", lambda c, s: c.check_token("/a", 2**63)),
    ("min_revision 9223372036854775808", lambda c, s: c.describe("/a", min_revision=2**63)),
    ("notice 1e.17 is more than", lambda c, s: c.revoke("/a", notice=1e17)),
    ("reason .* is not Unicode text", lambda c, s: c.revoke("/a", reason="\ud800")),
    ("ttl 1e.17 is more than", lambda c, s: c.session(ttl=1e17)),
    (r"attributes\['a'\] '.ud800' is not Unicode text",
     lambda c, s: c.session(attributes={"a": "\ud800"})),
    ("a key of attributes '.ud800' is not Unicode text",
     lambda c, s: c.session(attributes={"\ud800": ""})),
    ("version 1180591620717411303424 of put of thenOperations.1. does not fit into 64 bits",
     lambda c, s: transacted(c, lambda tx: (tx.put("/a"), tx.put("/a", "", 2**70)))),
    ("version 1180591620717411303424 of remove of otherwiseOperations.0. does not fit into 64 bits",
     lambda c, s: transacted(s, lambda tx: tx.otherwise.delete("/a", 2**70))),
    (f"version {2**70} is not from 0 to {2**53 - 1}",
     lambda c, s: transacted(c, lambda tx: tx.check_version("/a", 2**70))),
    (f"revision {2**53} is not from 0 to {2**53 - 1}",
     lambda c, s: transacted(c, lambda tx: tx.check_revision("/a", 2**53))),
    ("revision -1 is not from 0 to",
     lambda c, s: transacted(s, lambda tx: tx.check_created("/a", -1))),
    ("after 9223372036854775808", lambda c, s: c.wait_for_change("/a", 2**63)),
]


@pytest.mark.parametrize(("words", "call"), NO_ROOM, ids=[str(n) for n in range(len(NO_ROOM))])
def test_what_the_wire_has_no_room_for_is_refused_and_not_tried_again(cluster, client, session,
                                                                     words, call):
    raised = []

    def run():
        with pytest.raises(holdfast.BadArgument, match=words) as caught:
            call(client, session)
        raised.append(caught)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(4)
    assert raised
    session.lock("/b").acquire(timeout=2).release()


@pytest.mark.parametrize("given, known", [
    ("10.0.0.1:7411,10.0.0.2:7411", ["10.0.0.1:7411", "10.0.0.2:7411"]),
    ("", ["127.0.0.1:7411"]), (None, ["127.0.0.1:7411"])])
def test_without_servers_the_environment_names_them_as_for_the_command(monkeypatch, given, known):
    monkeypatch.delenv("HOLDFAST_SERVERS", raising=False)
    if given is not None:
        monkeypatch.setenv("HOLDFAST_SERVERS", given)
    with Client() as client:
        assert sorted(client.servers) == known
    with Client("10.0.0.9:7411") as client:
        assert tuple(client.servers) == ("10.0.0.9:7411",)
