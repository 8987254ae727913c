"""Keys, watches and mirrors of the Python client over real servers, while some of them die."""

import operator
import threading
import time
import urllib.request

import pytest
from support.waiting import eventually
from support.watching import Replay, Writer, polled_by, shown, state

import holdfast
from holdfast import EventKind


@pytest.fixture
def client(cluster):
    """A client of the shared cluster."""
    with holdfast.Client(cluster.seeds) as made:
        yield made


@pytest.fixture
def session(client):
    """A session."""
    return client.session(ttl=10, name="tester")


# --------------------------------------------------------------------------------------- keys

def test_keys_are_written_read_and_listed(client, session):
    client.put("/k/a", "1", parents=True)
    assert session.put("/k/a", "2", version=1).version == 2
    with pytest.raises(holdfast.BadVersion, match="version"):
        client.put("/k/a", "3", version=1)
    with pytest.raises(holdfast.BadVersion, match="version"):
        client.put("/k/a", "3", version=0)
    with pytest.raises(holdfast.KeyExists):
        client.create("/k/a")
    with pytest.raises(holdfast.NotEmpty):
        client.delete("/k")
    made = [session.create("/k/q-", sequential=True).path for _ in range(3)]
    assert made == sorted(made)
    assert [key.path for key in client.list("/k")] == ["/k/a", *made]
    assert [key and key.path for key in client.get_many(["/k", "/none", made[0]])] == [
        "/k", None, made[0]]
    assert client.delete("/k", recursive=True).count == 5
    with pytest.raises(holdfast.NoKey):
        list(client.list("/k"))


@pytest.mark.parametrize("count", [1_001, 100_001])
def test_more_paths_than_a_call_may_name_are_refused_not_tried_again(client, count):
    with pytest.raises(holdfast.BadArgument, match="getMany"):
        client.get_many(["/k"] * count)


def test_all_there_is_to_know_of_a_key(client, session):
    before = time.time()
    created = client.put("/known", "1").revision
    session.create("/known/e", ephemeral=True)
    client.create("/known/c", container=True)
    client.create("/known/gone")
    child = client.delete("/known/gone").revision
    written = client.put("/known", "two").revision
    key = client.get("/known")
    assert (key.create_revision, key.modify_revision, key.version) == (created, written, 2)
    assert (key.children, key.children_version, key.children_revision) == (2, 4, child)
    assert key.read_revision >= written and key.size == 3 and key.ttl is None
    assert before - 5 < key.created <= key.modified < before + 60
    assert client.get("/known/e").ephemeral_owner == session.id


def test_a_local_read_sees_what_this_client_has_written_at_every_server(cluster):
    for seed in cluster.seeds:
        with holdfast.Client(seed, discover=False) as here, holdfast.Client(cluster.seeds) as there:
            for number in range(20):
                revision = there.put("/local", str(number)).revision
                assert here.get("/local", local=True, min_revision=revision).text == str(number)
                there.put(f"/local/{number}")
                made = there.revision
                assert here.exists(f"/local/{number}", local=True, min_revision=made)
                listed = list(here.list("/local", local=True, min_revision=made))
                assert f"/local/{number}" in [key.path for key in listed]


def test_a_revision_that_no_server_comes_to_is_named(cluster):
    with holdfast.Client(cluster.seeds, timeout=1) as client:
        applied = client.put("/yet", "1").revision
        with pytest.raises(holdfast.Unavailable, match=rf"needs {applied + 1000}\b"):
            client.get("/yet", local=True, min_revision=applied + 1000)


def test_kinds_of_keys(client):
    session = client.session(ttl=10)
    session.create("/kinds/e", "x", ephemeral=True, parents=True)
    session.create("/kinds/t", ttl=1.0)
    session.create("/kinds/c", container=True)
    session.create("/kinds/c/child")
    kinds = {key.name: key.kind for key in client.list("/kinds")}
    assert kinds == {"e": holdfast.KeyKind.EPHEMERAL, "t": holdfast.KeyKind.TTL,
                     "c": holdfast.KeyKind.CONTAINER}
    assert client.get("/kinds/e").ephemeral_owner == session.id
    assert client.get("/kinds/t").ttl == 1.0
    deleted = session.delete("/kinds/c/child").revision
    watch = client.session(ttl=10).watch("/kinds", scope="children", since=deleted)
    session.close()
    gone = {(e := watch.get(10)).path: e.reason for _ in range(3)}
    assert gone == {"/kinds/e": "SESSION_ENDED", "/kinds/t": "TTL_PASSED",
                    "/kinds/c": "CONTAINER_EMPTY"}


RELATIONS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}


def test_every_condition_in_every_relation(client):
    first = client.put("/conditions", "b").revision
    last = client.put("/conditions", "b").revision

    def holds(check, *words):
        with client.transact() as tx:
            getattr(tx, check)(*words)
            tx.otherwise.put("/conditions/not", "", parents=True)
        return tx.succeeded

    for relation, compare in RELATIONS.items():
        for check, there in (("check_version", 2), ("check_created", first),
                             ("check_revision", last)):
            for number in (there - 1, there, there + 1):
                assert holds(check, "/conditions", number, relation) == compare(there, number)
        for value in ("a", "b", "c"):
            assert holds("check_value", "/conditions", value, relation) == compare("b", value)
            assert not holds("check_value", "/none", value, relation)
    assert holds("check_exists", "/conditions") and not holds("check_exists", "/conditions", False)
    assert holds("check_exists", "/none", False) and not holds("check_exists", "/none")
    assert holds("check_version", "/none", 0) and holds("check_created", "/none", 0)


def test_steps_of_a_transaction_expect_versions(client):
    client.put("/steps")
    client.put("/steps/a", "1")
    for step in (lambda tx: tx.put("/steps/a", "2", version=7),
                 lambda tx: tx.put("/steps/a", "2", version=0),
                 lambda tx: tx.delete("/steps/a", version=7)):
        with pytest.raises(holdfast.BadVersion), client.transact() as tx:
            step(tx)
    with client.transact() as tx:
        tx.put("/steps/a", "2", version=1)
        tx.delete("/steps/a", version=2)
    assert not client.exists("/steps/a")
    with pytest.raises(holdfast.NotEmpty), client.transact() as tx:
        tx.create("/steps/b")
        tx.delete("/steps")
    with client.transact() as tx:
        tx.delete("/steps", recursive=True)


def test_a_function_is_told_values_and_what_was_before_it(client, session):
    since = client.put("/told", "1").revision
    client.put("/told", "2")
    told, bare = [], []

    @session.on_change("/told", since=since)
    def note(event):
        told.append(event.text)

    @session.on_change("/told", values=False)
    def look(event):
        bare.append((event.kind, event.text))

    client.put("/told", "3")
    eventually(lambda: len(told) == 2 and bare)
    assert told == ["2", "3"] and bare == [(EventKind.CHANGED, "")]
    note.close()
    look.close()


def test_a_guard_keeps_an_old_holder_from_writing(client, session):
    lock = session.lock("/guard").acquire()
    session.put("/guarded", "1", guard=lock)
    with session.transact() as tx:
        tx.holds(lock)
        tx.put("/guarded", "2")
    client.revoke("/guard", force=True)
    refused = 0
    try:
        session.put("/guarded", "3", guard=lock)
    except holdfast.LockLost:
        refused += 1
    assert refused == 1 and client.get("/guarded").text == "2"


def test_every_write_can_be_guarded(client, session):
    session.put("/every")
    lock = session.lock("/every").acquire()
    session.create("/every/a", guard=lock)
    session.delete("/every/a", guard=lock)
    client.revoke("/every", force=True)
    for write in (lambda: session.create("/every/b", guard=lock),
                  lambda: session.put("/every", "new", guard=lock),
                  lambda: session.delete("/every", guard=lock)):
        with pytest.raises((holdfast.LockLost, holdfast.NotHeld)):
            write()
    assert client.get("/every").version == 1 and not client.exists("/every/b")


def test_locks_can_be_watched(client, session):
    watch = session.watch("/watched", space="locks")
    with session.lock("/watched") as lock:
        granted = watch.get(10)
        assert granted.kind is EventKind.GRANTED and granted.hold.token == lock.token
    ended = watch.get(10)
    assert ended.kind is EventKind.ENDED and ended.reason == "RELEASED"


def test_values_too_large_are_refused_and_the_session_goes_on(session):
    for size in (2 << 20, 3 << 20, 4_128_768, 4 << 20, 5 << 20):
        with pytest.raises(holdfast.BadArgument, match="bytes"):
            session.put("/large", b"x" * size)
    assert session.put("/large", b"x" * (1 << 20)).version == 1


# ------------------------------------------------------------------- while servers come and go

def test_local_reads_are_answered_by_a_server_that_is_left_alone(own):
    with holdfast.Client(own.seeds) as client:
        client.put("/alone")
        revision = client.put("/alone/a", "1").revision
    left = own.nodes[1]
    with holdfast.Client([left.address], discover=False, timeout=1) as client:
        eventually(lambda: client.get("/alone/a").modify_revision == revision)
        for node in own.nodes.values():
            if node is not left:
                node.kill()
        with pytest.raises(holdfast.Unavailable):
            client.get("/alone/a")
        assert client.get("/alone/a", local=True).text == "1"
        assert client.exists("/alone/a", local=True)
        assert [key and key.text for key in client.get_many(["/alone/a", "/none"], local=True)] == [
            "1", None]
        assert [key.path for key in client.list("/alone", local=True)] == ["/alone/a"]


def disturb(own, writer, victims):
    """Kill one server after the other, and start it again while writes go on."""
    for choose in victims:
        node = choose()
        node.kill()
        writer.some_more(60)
        own.start(node)
        own.wait_ready([node])
        writer.some_more(20)


def test_watches_and_mirrors_agree_with_the_state_whoever_dies(own):
    with holdfast.Client(own.seeds) as writes, holdfast.Client(own.seeds) as reads:
        writing = writes.session(ttl=20, name="writer")
        writing.put("/w")
        sessions = [reads.session(ttl=6, name=f"reader-{n}") for n in range(2)]
        began = writing.revision
        replays = [Replay(s.watch("/w", scope="subtree", values=True, since=began))
                   for s in sessions]
        for replay in replays:
            replay.entries["/w"] = reads.get("/w")
        mirror = sessions[1].mirror("/w")
        seen, stop = [], threading.Event()

        def look():
            while not stop.wait(0.002):
                seen.append(mirror.snapshot())

        looker = threading.Thread(target=look)
        looker.start()
        writer = Writer(writing, "/w", seed=7)
        writer.some_more(50)
        disturb(own, writer, [lambda: polled_by(own, sessions[0]), own.leader,
                              lambda: polled_by(own, sessions[1]), own.leader])
        own.kill_all()
        own.start_all()
        writer.some_more(50)
        last = writer.stop()
        mirror.wait_for(last, timeout=20)
        for replay in replays:
            eventually(lambda: replay.told(last), within=20)  # noqa: B023
        stop.set()
        looker.join(10)
        truth = state(reads, "/w")
        assert shown(mirror) == truth
        for replay in replays:
            replay.stop()
            assert shown(replay.entries) == truth
        keyed = [[(e.revision, e.kind, e.path, e.version) for e in r.events] for r in replays]
        assert keyed[0] == keyed[1] and len(keyed[0]) > 200
        revisions = [revision for revision, _ in seen]
        assert revisions == sorted(revisions)
        for before, after in zip(seen, seen[1:]):
            for path, entry in after[1].items():
                known = before[1].get(path)
                assert known is None or known.modify_revision <= entry.modify_revision


def calls(nodes, *methods):
    """How often these methods were called at those servers."""
    count = 0.0
    for node in nodes:
        url = f"http://127.0.0.1:{node.http_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as page:
            count += sum(float(line.rsplit(" ", 1)[1]) for line in page.read().decode().split("\n")
                         for method in methods
                         if line.startswith("holdfast_calls_total") and f'"{method}"' in line)
    return count


def test_a_mirror_reads_nothing_again_whoever_dies(own):
    with holdfast.Client(own.seeds) as client:
        session = client.session(ttl=6)
        session.put("/m")
        for number in range(20):
            session.put(f"/m/{number}", str(number))
        mirror = session.mirror("/m")
        for turn in range(3):
            node = polled_by(own, session)
            others = [n for n in own.nodes.values() if n is not node]
            read, written = calls(others, "get", "getMany", "listKeys"), calls(others, "put")
            node.kill()
            mirror.wait_for(session.put("/m/7", f"changed {turn}").revision, timeout=20)
            assert mirror["/m/7"].text == f"changed {turn}" and len(mirror) == 21
            eventually(lambda: calls(others, "put") > written)  # noqa: B023  the page is up to date
            assert calls(others, "get", "getMany", "listKeys") == read
            own.start(node)
            own.wait_ready([node])


def test_two_sessions_on_different_servers_are_told_the_same(cluster):
    replays, clients = [], []
    with holdfast.Client(cluster.seeds) as writes:
        writing = writes.session(ttl=10)
        writing.put("/two")
        for seed in cluster.seeds[:2]:
            clients.append(holdfast.Client(seed, discover=False))
            replays.append(Replay(clients[-1].session(ttl=10).watch(
                "/two", scope="subtree", values=True, since=0)))
        writer = Writer(writing, "/two", seed=3)
        writer.some_more(300)
        last = writer.stop()
        for replay in replays:
            eventually(lambda: replay.told(last), within=20)  # noqa: B023
            replay.stop()
            assert shown(replay.entries) == state(writes, "/two")
        first, second = ([(e.revision, e.kind, e.path, e.text) for e in r.events] for r in replays)
        assert first == second
    for client in clients:
        client.close()


def test_a_reader_behind_the_history_is_shown_the_state(cluster, client):
    session = client.session(ttl=20)
    watch = session.watch("/history", scope="subtree", values=True, since=0, buffer=100)
    mirror = session.mirror("/history")
    client.put("/history")
    # A server keeps the last 100,000 events.
    for turn in range(103):
        with client.transact() as tx:
            for number in range(1000):
                tx.put(f"/history/{number}", str(turn))
    replay = Replay(watch)
    eventually(lambda: replay.told(client.revision), within=60)
    replay.stop()
    assert replay.resyncs >= 1
    mirror.wait_for(client.revision, timeout=30)
    truth = state(client, "/history")
    assert len(truth) == 1001
    assert shown(replay.entries) == truth and shown(mirror) == truth
