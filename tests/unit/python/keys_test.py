"""Calls about keys: what is sent, what comes of it, and what is known when replies are lost."""

import threading
import time

import pytest
from support.fake_model import refusal
from support.fake_server import Fault
from support.waiting import eventually

import holdfast
from holdfast import _keycalls


def test_a_value_goes_in_as_bytes_or_text_and_comes_out_as_both(client):
    written = client.put("/config/limit", "größer", parents=True)
    key = client.get("/config/limit")
    assert (key.value, key.text, key.name) == ("größer".encode(), "größer", "limit")
    assert (key.version, key.modify_revision) == (1, written.revision) == (written.version,
                                                                          key.create_revision)
    assert client.put("/config/limit", b"\xff").version == 2
    assert client.get("/config/limit").text == "\ufffd"
    assert client.get("/config/nothing") is None
    assert client.exists("/config") and not client.exists("/other")


def test_versions_say_what_a_put_expects(client):
    client.put("/a", "1", version=0)
    with pytest.raises(holdfast.BadVersion, match="version 1"):
        client.put("/a", "2", version=0)
    with pytest.raises(holdfast.KeyExists, match="/a exists"):
        client.create("/a")
    client.put("/a", "2", version=1)
    with pytest.raises(holdfast.BadVersion, match="version 2"):
        client.put("/a", "3", version=1)
    with pytest.raises(holdfast.NoKey):
        client.put("/b/c", "")
    with pytest.raises(holdfast.BadVersion):
        client.delete("/a", version=1)
    assert client.delete("/a", version=2).count == 1
    with pytest.raises(LookupError):
        client.delete("/a")


@pytest.mark.parametrize("call", [
    lambda c: c.get("a"), lambda c: c.put("/a", "", version=-1),
    lambda c: c.delete("/a", version=0), lambda c: c.create("/a", container=True, ttl=5),
    lambda c: c.put("/a", b"x" * (5 << 20)), lambda c: c.list(""),
    lambda c: c.transact().check_version("/a", 1, "~")])
def test_what_can_never_be_right_is_refused_before_it_is_sent(cluster, client, call):
    with pytest.raises(holdfast.BadArgument):
        call(client)
    assert not cluster.model.calls


def test_a_transaction_too_large_for_a_frame_is_not_sent_again_and_again(cluster, session):
    transaction = session.transact()
    for number in range(5):
        transaction.put(f"/big/{number}", b"x" * (1 << 20))
    with pytest.raises(holdfast.BadArgument, match="5243550 bytes"):
        transaction.commit()
    assert not cluster.sent("transact")


def test_a_list_reads_its_pages_as_they_are_needed_in_the_order_of_the_tree(cluster, client):
    for path in ("/l", "/l/a", "/l/a/z", "/l/a-b", "/l/b"):
        client.put(path, path)
    found = client.list("/l", subtree=True, values=True)
    assert len(cluster.sent("listKeys")) == 1, "the first page, though nobody has looked at it yet"
    assert next(found).path == "/l/a" and len(cluster.sent("listKeys")) == 1
    assert [key.text for key in found] == ["/l/a/z", "/l/a-b", "/l/b"]
    assert [key.path for key in client.list("/l")] == ["/l/a", "/l/a-b", "/l/b"]
    with pytest.raises(holdfast.NoKey):
        client.list("/nothing")


def test_many_keys_are_read_to_the_end_though_an_answer_ends_early(client):
    for path in ("/a", "/b", "/c"):
        client.put(path, path)
    found = client.get_many(["/c", "/x", "/b", "/a"])
    assert [key and key.text for key in found] == ["/c", None, "/b", "/a"]


def test_reads_never_ask_for_less_than_was_seen(cluster, client):
    revision = client.put("/a", "1").revision
    assert client.revision >= revision
    for method, ask in (("get", lambda: client.get("/a", local=True)),
                        ("describeLock", lambda: client.describe("/a", local=True)),
                        ("describeLock", client.election("/a").leader),
                        ("listLocks", lambda: list(client.locks(local=True))),
                        ("checkToken", lambda: client.check_token("/a", 1, local=True))):
        ask()
        sent, context = cluster.model.contexts[-1]
        assert sent == method and (context.minRevision or 0) >= revision, method


@pytest.mark.parametrize(("method", "ask"), [
    ("get", lambda c, least: c.get("/a", local=True, min_revision=least)),
    ("get", lambda c, least: c.exists("/a", local=True, min_revision=least)),
    ("getMany", lambda c, least: c.get_many(["/a"], local=True, min_revision=least)),
    ("listKeys", lambda c, least: list(c.list("/", local=True, min_revision=least))),
])
def test_a_read_asks_for_the_revision_that_another_program_told_of(cluster, client, method, ask):
    seen = client.put("/a", "1").revision
    for least, asked in ((seen + 7, seen + 7), (seen - 1, seen), (0, seen)):
        ask(client, least)
        sent, context = cluster.model.contexts[-1]
        assert (sent, context.minRevision) == (method, asked)


@pytest.mark.parametrize("revision", [-1, 1 << 53])
def test_a_revision_that_cannot_be_is_named(client, revision):
    with pytest.raises(holdfast.BadArgument, match=f"min_revision {revision} is not from 0 to"):
        client.get("/a", min_revision=revision)


def test_a_restored_cluster_may_stand_at_an_earlier_revision(cluster, client):
    client.put("/a", "1")
    with cluster.model.mutex:
        cluster.model.cluster_id, cluster.model.revision = 4712, 5
    client.get("/b")
    assert client.revision == 5


def test_a_write_without_a_session_whose_reply_is_lost_is_in_doubt_and_not_repeated(
        cluster, client):
    cluster.fault("put", Fault(drop_reply=True))
    with pytest.raises(holdfast.OutcomeUnknown, match="may or may not"):
        client.put("/a", "1")
    assert len(cluster.sent("put")) == 1


def test_a_write_within_a_session_is_applied_once_though_its_reply_is_lost(cluster, session):
    cluster.fault("create", Fault(drop_reply=True))
    made = session.create("/q-", sequential=True)
    sent = cluster.sent("create")
    assert len(sent) >= 2 and len(set(sent)) == 1
    assert list(cluster.model.keys.entries) == [made.path]


def test_a_write_within_a_session_outlives_all_servers(cluster, session):
    for server in cluster.servers:
        server.stop()
    thread = threading.Thread(target=session.put, args=("/a", "1"))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    for server in cluster.servers:
        server.start()
    thread.join(5)
    assert session.get("/a").version == 1


def test_a_refused_write_leaves_no_number_unfinished(cluster, session):
    for _ in range(5):
        with pytest.raises(holdfast.NoKey):
            session.delete("/none")
    session.put("/a")
    (state,) = cluster.model.sessions.values()
    kept = [r for r in state.results.values() if "RESULT_FORGOTTEN" not in str(r)]
    assert len(kept) <= 2


def test_ephemeral_keys_are_a_session_s_own(client, session):
    session.create("/member", ephemeral=True)
    assert client.get("/member").ephemeral_owner == session.id
    session.close()
    assert client.get("/member") is None
    with pytest.raises(holdfast.SessionClosed):
        session.put("/a")
    with pytest.raises(holdfast.SessionClosed):
        session.get("/a")


def test_a_write_is_not_bound_to_the_first_of_several_locks_only(cluster, session):
    with session.locks(["/a", "/b"]) as both, session.locks(["/c"]) as one:
        for write in (session.put, session.create, lambda p, guard: session.delete(p, guard=guard)):
            with pytest.raises(ValueError, match="holds 2 locks.*Transaction.holds"):
                write("/k", guard=both)
        assert not cluster.sent("put") + cluster.sent("create") + cluster.sent("remove")
        session.put("/k", guard=one)


def test_a_guard_names_the_holder_and_knows_when_it_is_lost(cluster, client, session):
    other = client.session(ttl=4)
    with session.lock("/jobs") as lock:
        session.put("/a", "1", guard=lock)
        with pytest.raises(holdfast.BadArgument, match="another session"):
            other.put("/a", "2", guard=lock)
    with pytest.raises(holdfast.NotHeld):
        session.put("/a", "2", guard=lock)
    lock.acquire()
    cluster.fault("put", Fault(before=refusal("NOT_HELD", "holder is gone")))
    with pytest.raises(holdfast.LockLost, match="holder is gone"):
        session.put("/a", "3", guard=lock)
    with pytest.raises(holdfast.LockLost):
        lock.check()
    assert client.get("/a").text == "1"


# -------------------------------------------------------------------------------- transactions

def test_a_transaction_does_all_in_one_revision(client, session):
    with session.transact() as tx:
        tx.check_exists("/t", False)
        first = tx.create("/t")
        numbered = tx.create("/t/n-", "x", sequential=True)
        tx.put("/t", "2")
    assert tx.succeeded and first.done and first.version == 1
    assert client.get(numbered.path).create_revision == tx.revision


def test_conditions_that_do_not_hold_are_an_error_unless_there_is_an_otherwise(client):
    client.put("/a", "1")
    with pytest.raises(holdfast.ConditionsFailed, match="/a"):
        with client.transact() as tx:
            tx.check_version("/a", 7)
            step = tx.put("/a", "2")
    assert not step.done and client.get("/a").text == "1"
    with client.transact() as tx:
        tx.check_version("/a", 7)
        tx.put("/a", "2")
        gone = tx.otherwise.delete("/a")
    assert not tx.succeeded and gone.deleted == 1 and not client.exists("/a")
    explicit = client.transact()
    explicit.check_exists("/a")
    assert explicit.commit() is False
    with pytest.raises(holdfast.HoldfastError, match="already"):
        explicit.commit()


def test_a_transaction_whose_body_raises_is_not_committed(cluster, client):
    with pytest.raises(KeyError):
        with client.transact() as tx:
            tx.put("/a", "1")
            raise KeyError("body")
    assert not cluster.sent("transact")
    with pytest.raises(holdfast.HoldfastError, match="not committed"):
        tx.succeeded  # noqa: B018


def test_a_commit_whose_reply_is_lost_is_not_sent_again_by_the_end_of_its_with(cluster, client):
    cluster.fault("transact", Fault(drop_reply=True))
    with client.transact() as tx:
        tx.create("/once/n-", parents=True, sequential=True)
        with pytest.raises(holdfast.OutcomeUnknown):
            tx.commit()
    with pytest.raises(holdfast.HoldfastError, match="already"):
        tx.commit()
    assert len(list(client.list("/once"))) == 1


def test_a_step_that_cannot_be_done_undoes_all(client):
    with pytest.raises(holdfast.NoKey):
        with client.transact() as tx:
            tx.put("/a", "1")
            tx.delete("/none")
    assert not client.exists("/a")


def test_only_a_session_s_own_lock_can_be_a_condition(client, session):
    with session.lock("/jobs") as lock, pytest.raises(holdfast.BadArgument, match="another"):
        client.transact().holds(lock)
    with pytest.raises(holdfast.NotHeld):
        session.transact().holds(lock)


# ------------------------------------------------------------------------------ wait_for_change

def test_a_transaction_rests_on_each_lock_of_a_handle(session):
    with session.locks(["/one", "/two"]) as both:
        transaction = session.transact()
        transaction.holds(both)
        assert [(c.path, c.number) for c in transaction._compares] == [
            ("/one", both.holder_id), ("/two", both.holder_id)]


def test_a_wait_ends_with_the_change(client):
    key_revision = client.put("/a", "1").revision
    threading.Timer(0.2, client.put, ("/a", "2")).start()
    change = client.wait_for_change("/a", key_revision, timeout=5)
    assert change.changed and change.key.text == "2"
    client.delete("/a")
    gone = client.wait_for_change("/a", change.revision, timeout=5)
    assert gone.changed and gone.key is None


def test_a_wait_without_a_change_ends_in_time_with_what_there_is(client):
    revision = client.put("/a", "1").revision
    began = time.monotonic()
    change = client.wait_for_change("/a", revision, timeout=0.3)
    assert not change.changed and change.key.text == "1"
    assert 0.25 < time.monotonic() - began < 2


def test_a_wait_outlives_the_server_it_is_parked_at(cluster, client):
    revision = client.put("/a", "1").revision
    got = []
    thread = threading.Thread(target=lambda: got.append(client.wait_for_change("/a", revision)))
    thread.start()
    eventually(lambda: cluster.sent("waitForChange"))
    cluster.leader.stop()
    eventually(lambda: len(cluster.sent("waitForChange")) >= 2)
    client.put("/a", "2")
    thread.join(10)
    assert got[0].key.text == "2"


def test_what_a_forgetful_server_calls_changed_is_no_change_if_the_key_is_older(cluster, client):
    revision = client.put("/a", "1").revision
    with cluster.model.mutex:
        cluster.model.keys.history.clear()
        cluster.model.keys.floor = cluster.model.revision = revision + 3
    change = client.wait_for_change("/a", revision, timeout=0.2)
    assert not change.changed and change.revision >= revision + 3


@pytest.mark.parametrize("timeout, client_timeout, most", [(0.2, 0.5, 0.7), (0.3, 15.0, 3.3)])
def test_a_wait_that_no_server_answers_ends_soon_after_its_time(cluster, timeout, client_timeout,
                                                                most):
    seeds = cluster.seeds
    cluster.stop()
    began = time.monotonic()
    with holdfast.Client(seeds, timeout=client_timeout) as client, \
            pytest.raises(holdfast.Unavailable):
        client.wait_for_change("/a", 1, timeout=timeout)
    assert most - 0.1 < time.monotonic() - began < most + 1.5


def test_a_wait_for_what_no_server_has_come_to_ends_with_the_servers_words(cluster):
    for _ in range(1000):
        cluster.fault("waitForChange", Fault(before=refusal("TIMEOUT", "revision 99 is ahead",
                                                            retryable=True)))
    with holdfast.Client(cluster.seeds, timeout=0.5) as client, \
            pytest.raises(holdfast.Unavailable, match="revision 99 is ahead") as raised:
        client.wait_for_change("/a", 99, timeout=0.2)
    assert raised.value.code == "TIMEOUT"


def test_a_wait_at_a_server_that_hangs_goes_on_elsewhere_for_the_rest(cluster, client):
    revision = client.put("/a", "1").revision
    cluster.leader.black_hole.set()
    waits = []
    read = _keycalls.read

    def watched(router, method, request, timeout, hold):
        return read(router, method, request, timeout, lambda: waits.append(hold()) or waits[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_keycalls, "read", watched)
        began = time.monotonic()
        change = client.wait_for_change("/a", revision, timeout=1)
    assert not change.changed and change.key.text == "1"
    assert time.monotonic() - began < 2.5
    assert waits == [pytest.approx(1, abs=0.2), 0.0], "the next is asked for no second more"
