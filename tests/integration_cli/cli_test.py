"""The `holdfast` command against real servers."""

import contextlib
import json
import signal
import socket
import struct
import threading

import pytest
from holdfast_api.admin import HoldfastAdmin
from holdfast_api.admin.ttypes import TransferLeadershipResult
from holdfast_api.holdfast.ttypes import LockMode, ResponseHeader
from support.command import run, start
from support.paths import program
from support.proxy import Proxy
from support.stock import Stock
from support.waiting import eventually
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer


def test_a_command_under_a_lock_finds_its_token_and_its_exit_code_passes_through(cluster):
    done = run(cluster, "lock", "/jobs/a", "--", "sh", "-c", "echo $HOLDFAST_TOKEN; exit 7")
    assert done.returncode == 7
    told = json.loads(run(cluster, "lock", "describe", "/jobs/a", "--json").stdout)
    assert told["tenures"][0]["token"] == int(done.stdout)


def test_a_try_at_a_held_lock_does_not_run_the_command(cluster):
    inner = [str(program("holdfast")), "lock", "/jobs/a", "--try", "--", "echo", "ran"]
    done = run(cluster, "lock", "/jobs/a", "--", *inner)
    assert done.returncode == 75
    assert "ran" not in done.stdout
    assert "held by" in done.stderr


def test_a_command_that_ignores_sigterm_is_killed_when_no_server_can_be_reached(cluster):
    pids = " ".join(str(node.process.pid) for node in cluster.nodes.values())
    script = f"trap 'echo told' TERM; kill -STOP {pids}; while :; do sleep 0.1; done"
    try:
        done = run(cluster, "lock", "/jobs/a", "--ttl", "4s", "--", "sh", "-c", script)
    finally:
        for node in cluster.nodes.values():
            node.signal(signal.SIGCONT)
    assert done.returncode == 76
    assert "told" in done.stdout
    assert "killing" in done.stderr


def test_an_unknown_flag_is_an_error_that_names_it(cluster):
    done = run(cluster, "locks", "--bogus")
    assert done.returncode == 64
    assert "--bogus" in done.stderr


def test_status_says_which_server_leads(cluster):
    servers = json.loads(run(cluster, "status", "--json").stdout)
    assert len(servers) == 3
    leader = servers[0]["leader_id"]
    assert [s["node_id"] for s in servers if s["role"] == "leader"] == [leader]


def failed(done):
    """The completed process if its exit code is 1."""
    return done if done.returncode == 1 else None


def test_a_dead_voter_that_is_not_asked_is_an_error_only_of_a_check(cluster):
    assert run(cluster, "status", "--check").returncode == 0
    dead, alive = cluster.followers()
    dead.kill()
    asked = [cluster.leader(), alive]
    check = eventually(lambda: failed(run(cluster, "status", "--check", nodes=asked)), within=15)
    assert f"not connected with node {dead.node_id} at 127.0.0.1:{dead.peer_port}: " in check.stderr
    assert run(cluster, "status", nodes=asked).returncode == 0
    assert run(cluster, "status", "--check").returncode == 69


def past(cluster, path):
    """The latest tenure of a lock."""
    return json.loads(run(cluster, "lock", "describe", path, "--json").stdout)["tenures"][0]


def test_a_command_that_ended_has_released_its_lock(cluster):
    assert run(cluster, "lock", "/jobs/a", "--", "true").returncode == 0
    assert past(cluster, "/jobs/a")["reason"] == "released"
    assert "no sessions are open" in run(cluster, "sessions").stdout


def test_a_command_stopped_under_notice_has_released_for_the_operator_s_reason(cluster):
    script = f"{program('holdfast')} lock revoke /jobs/a --notice 2s --reason maintenance; sleep 60"
    done = run(cluster, "lock", "/jobs/a", "--", "sh", "-c", script)
    assert done.returncode == 76, done.stderr
    ended = past(cluster, "/jobs/a")
    assert (ended["reason"], ended["note"]) == ("released", "maintenance")


def test_the_reason_of_a_session_s_notice_is_kept_where_the_help_says_so(cluster):
    """By a tenure that ends with the session, and not by one that its client released before."""
    expire = ("session", "expire", "--notice", "1s", "--reason", "drained")
    script = f"{program('holdfast')} {' '.join(expire)} $HOLDFAST_SESSION; sleep 60"
    done = run(cluster, "lock", "/jobs/a", "--", "sh", "-c", script)
    assert done.returncode == 76, done.stderr
    released = past(cluster, "/jobs/a")
    assert (released["reason"], released["note"]) == ("released", "")
    with Stock(cluster.nodes[1].address) as stock:
        silent = stock.open_session(1000, "silent")
        stock.acquire(silent, path="/jobs/b", waitMs=0)
        assert run(cluster, *expire, str(silent.id)).returncode == 0
        eventually(lambda: not stock.describeLock(path="/jobs/b").lock.holders, within=15)
    assert past(cluster, "/jobs/b")["note"] == "drained"
    told = run(None, "session", "expire", "--help").stdout
    assert "kept with tenures that end with the session" in told
    assert 'leaves a tenure that says "released", without a note' in " ".join(told.split())


def test_a_refused_acquire_leaves_no_session_behind(cluster):
    done = run(cluster, "lock", "/jobs/a", "--value", "x" * 5000, "--", "true")
    assert done.returncode == 65
    assert "no sessions are open" in run(cluster, "sessions").stdout


def test_a_try_at_a_closed_lock_says_that_it_is_closed(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        dead = stock.open_session(1000, "dead")
        stock.acquire(dead, path="/jobs/a", waitMs=0, lockDelayMs=600_000)
        eventually(lambda: stock.describeLock(path="/jobs/a").lock.closedForMs, within=15)
    done = run(cluster, "lock", "/jobs/a", "--try", "--", "true")
    assert done.returncode == 75
    assert "closed by lock-delay for another" in done.stderr


def test_a_try_behind_one_who_waits_says_so_and_names_nobody_who_is_not_in_the_way(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        reader = stock.open_session(60_000, "the-reader")
        writer = stock.open_session(60_000, "the-writer")
        stock.acquire(reader, path="/s", mode=LockMode.SHARED, waitMs=0)
        stock.acquire(writer, path="/s", waitMs=60_000, enqueue=True)
        done = run(cluster, "lock", "/s", "--shared", "--try", "--", "true")
        assert done.returncode == 75
        assert done.stderr == "holdfast: /s was not granted; 1 waiting before it\n"
        assert "held by the-reader" in run(cluster, "lock", "/s", "--try", "--", "true").stderr
        two = {"path": "/p", "mode": LockMode.SEMAPHORE, "limit": 3}
        stock.acquire(reader, permits=2, waitMs=0, **two)
        stock.acquire(writer, permits=3, waitMs=60_000, enqueue=True, **two)
        done = run(cluster, "lock", "/p", "--semaphore", "1/3", "--try", "--", "true")
        assert done.stderr == "holdfast: /p was not granted; 1 waiting before it\n"
        done = run(cluster, "lock", "/p", "--semaphore", "2/3", "--try", "--", "true")
        assert "held by the-reader" in done.stderr


def test_a_wait_is_told_of_once_with_the_holder_and_the_place(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        holder = stock.open_session(60_000, "the-holder")
        token = stock.acquire(holder, path="/jobs/a", waitMs=0).token
        first = stock.open_session(60_000, "the-first")
        stock.acquire(first, path="/jobs/a", waitMs=60_000, enqueue=True)
        done = run(cluster, "lock", "/jobs/a", "--wait", "3s", "--", "true")
        assert done.returncode == 75
        assert done.stderr.splitlines()[0] == (
            f"holdfast: waiting for /jobs/a, held by the-holder with token {token}; place 2 in the "
            "queue")
        assert len(done.stderr.splitlines()) == 2  # and why it was not granted
        quiet = run(cluster, "lock", "/jobs/a", "--wait", "2s", "--quiet", "--", "true")
        assert "waiting for" not in quiet.stderr
        told = run(cluster, "elect", "/jobs/a", "--value", "me", "--wait", "2s", "--json", "--",
                   "true")
        line = json.loads(told.stderr.splitlines()[0])
        assert (line["type"], line["path"], line["position"]) == ("waiting", "/jobs/a", 2)
        assert line["holders"] == [{"session_id": holder.id, "session": "the-holder",
                                    "token": token}]


def test_a_refused_lock_delay_is_named_as_the_flag(cluster):
    done = run(cluster, "lock", "/jobs/a", "--delay", "1000h", "--", "true")
    assert done.returncode == 65
    assert "--delay in ms is 3600000000, allowed are 0 to 600000" in done.stderr


def test_empty_lists_say_so(cluster):
    assert run(cluster, "locks").stdout == "no locks are held or waited for\n"
    assert "the prefix /x" in run(cluster, "locks", "/x").stdout
    assert run(cluster, "locks", "--json").stdout == "[]\n"


def test_a_refused_setting_names_its_own_bounds(cluster):
    done = run(cluster, "settings", "locks_max=-1")
    assert done.returncode == 65
    assert "-1" in done.stderr and "9223372036854775807" not in done.stderr
    assert done.stderr.rstrip().endswith("[BAD_ARGUMENT]")


def test_settings_shows_all_and_a_change_only_what_was_changed(cluster):
    everything = {s["name"]: s for s in json.loads(run(cluster, "settings", "--json").stdout)}
    assert len(everything) > 2
    assert len(run(cluster, "settings").stdout.splitlines()) == len(everything) + 1
    one = run(cluster, "settings", "locks_max").stdout.splitlines()
    assert [line.split()[0] for line in one] == ["NAME", "locks_max"]
    told = json.loads(run(cluster, "settings", "keys_max", "locks_max", "--json").stdout)
    assert told == [everything["keys_max"], everything["locks_max"]]
    unknown = run(cluster, "settings", "lock_max")
    assert (unknown.returncode, unknown.stdout) == (64, "")
    assert 'there is no setting "lock_max"; `holdfast settings` shows all' in unknown.stderr
    old = everything["locks_max"]["value"]
    told = run(cluster, "settings", "locks_max=7").stdout.splitlines()
    assert told[0].split()[:3] == ["NAME", "OLD", "NEW"]
    assert [line.split()[:3] for line in told[1:]] == [["locks_max", str(old), "7"]]
    told = json.loads(run(cluster, "settings", "locks_max=8", "waiters_per_lock_max=9",
                          "--json").stdout)
    assert [(s["name"], s["old_value"], s["value"]) for s in told] == [
        ("locks_max", 7, 8),
        ("waiters_per_lock_max", everything["waiters_per_lock_max"]["value"], 9)]


def test_a_session_that_ends_in_the_queue_leaves_the_lock_not_granted(cluster):
    with Stock(cluster.leader().address) as stock:
        stock.acquire(stock.open_session(60_000, "the holder"), path="/a", waitMs=0)
        for more in ((), ("--json",)):
            waiting = start(cluster, "lock", "/a", *more, "--", "false")
            assert "the holder" in waiting.stderr.readline(), "it is told of the wait"
            [queued] = stock.describeLock(path="/a").lock.waiters
            done = run(cluster, "session", "expire", str(queued.sessionId), "--force")
            assert done.returncode == 0, done.stderr
            said = waiting.communicate(timeout=30)[1]
            assert waiting.returncode == 75, said
            reason = f"session {queued.sessionId} has ended"
            if more:
                assert json.loads(said) == {"type": "session_ended", "reason": reason,
                                            "session_id": queued.sessionId}
            else:
                assert said == f"holdfast: /a was not granted: {reason}\n"


def test_a_transfer_to_a_dead_server_names_it(cluster):
    leader = cluster.leader()
    asked, dead = cluster.followers()
    dead.kill()
    for node in (leader, asked):
        done = run(cluster, "transfer-leader", str(dead.node_id), "--timeout", "2s", nodes=[node])
        assert done.returncode == 69, done.stderr
        who = f"node {node.node_id}, which leads," if node is leader else f"node {node.node_id}"
        assert f"node {dead.node_id} did not take over: {who} is not connected with node " \
               f"{dead.node_id} at " in done.stderr


@contextlib.contextmanager
def answer_lost(asked, *words, done):
    """A command of which `asked` hears, once `done()` is so; its answer is lost."""
    proxy = Proxy(asked.admin_address)
    proxy.black_hole(there=False)
    command = start(None, *words, "--admin", proxy.address)
    try:
        eventually(done, within=20, what="it is done")
        proxy.heal()
        yield (*command.communicate(timeout=60), command.returncode)
    finally:
        command.kill()
        proxy.close()


@pytest.mark.parametrize("to", ["a node", "any"])
def test_a_transfer_whose_answer_is_lost_is_looked_up(cluster, to):
    before, (asked, target) = cluster.leader().node_id, cluster.followers()
    words = ("transfer-leader", str(target.node_id)) if to == "a node" else ("transfer-leader",)
    with answer_lost(asked, *words, "--json",
                     done=lambda: asked.status().leaderId not in (0, before)) as (out, err, code):
        assert "was lost before the answer came" in err
        leader = asked.status()
        if to == "any":  # whoever led before is not known here
            assert (code, out) == (70, "")
            assert f"; node {leader.leaderId} leads in term {leader.term} [OUTCOME_UNKNOWN]" in err
        else:
            assert code == 0, err
            assert "; the status of the servers shows who leads" in err
            assert json.loads(out) == {"changed": None, "leader_id": target.node_id,
                                       "term": leader.term}


def test_a_raised_level_whose_answer_is_lost_is_looked_up(cluster):
    asked = cluster.leader()
    with answer_lost(asked, "raise-level", "1", "--json",
                     done=lambda: "audit: changeMembers" in asked.log()) as (out, err, code):
        assert code == 0, err
        assert "was lost before the answer came; the status of the servers shows the level" in err
        told = json.loads(out)
        assert told["changed"] is None and len(told["members"]) == 3
        assert told["feature_level"] == asked.status().featureLevel


class OneAnswer(threading.Thread):
    """An administration port that answers one call of `method` with `result`."""

    def __init__(self, method, result):
        super().__init__(daemon=True)
        self._method, self._result = method, result
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.start()

    def run(self):
        connection, _ = self._listener.accept()
        with self._listener, connection, connection.makefile("rb") as frames:
            call = frames.read(struct.unpack("!i", frames.read(4))[0])
            kind = TCompactProtocol if call[0] == 0x82 else TBinaryProtocol
            _, _, number = kind(TMemoryBuffer(call)).readMessageBegin()
            out = TMemoryBuffer()
            answer = kind(out)
            answer.writeMessageBegin(self._method, TMessageType.REPLY, number)
            getattr(HoldfastAdmin, f"{self._method}_result")(success=self._result).write(answer)
            answer.writeMessageEnd()
            connection.sendall(struct.pack("!i", len(out.getvalue())) + out.getvalue())
            frames.read()


def test_a_transfer_after_which_another_leads_is_none():
    other = OneAnswer("transferLeadership", TransferLeadershipResult(
        header=ResponseHeader(leaderId=2, term=7), ledAlready=False))
    done = run(None, "transfer-leader", "3", "--admin", other.address)
    assert (done.returncode, done.stdout) == (69, ""), done.stderr
    assert "node 3 did not take over: node 2 leads in term 7 [TIMEOUT]" in done.stderr


def test_a_transfer_to_who_leads_already_is_no_error(cluster):
    leader = cluster.leader().node_id
    for node in cluster.nodes.values():
        done = run(cluster, "transfer-leader", str(leader), nodes=[node])
        assert (done.returncode, done.stderr) == (0, "")
        assert f"node {leader} leads already" in done.stdout
    told = json.loads(run(cluster, "transfer-leader", str(leader), "--json").stdout)
    assert (told["changed"], told["leader_id"]) == (False, leader)
    told = json.loads(run(cluster, "transfer-leader", "--json").stdout)
    assert told["changed"] and told["leader_id"] != leader
    assert run(cluster, "transfer-leader", "9").returncode == 65


def test_who_has_caught_up_is_asked_of_the_leader_wherever_it_stands_in_the_list(cluster):
    leader, (one, two) = cluster.leader(), cluster.followers()
    for nodes in ([leader, one, two], [one, leader, two], [one, two, leader]) * 3:
        members = json.loads(run(cluster, "member", "list", "--json", nodes=nodes).stdout)
        assert all("caught_up" in m for m in members), [n.node_id for n in nodes]
    asked = run(cluster, "member", "list", nodes=[one, two]).stdout.splitlines()
    at = asked[0].index("CAUGHT UP")
    assert [line[at:].split()[0] for line in asked[1:4]] == ["-", "-", "-"]
    assert asked[4:] == [f"CAUGHT UP: only the leader, node {leader.node_id}, knows, and it "
                         "answered at no --admin address"]


@pytest.mark.parametrize(("act", "types"), [
    ("lock revoke $HOLDFAST_LOCK --notice 2s --reason tidying", ["notice", "stopping"]),
    ("session expire $HOLDFAST_SESSION --notice 2s --reason tidying", ["notice", "stopping"]),
    ("session expire $HOLDFAST_SESSION --force", ["lost"])])
def test_programs_are_told_of_the_end_of_a_lock_by_json_lines(cluster, act, types):
    script = f"{program('holdfast')} {act} >/dev/null; sleep 60"
    done = run(cluster, "lock", "/jobs/a", "--json", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (76, ""), done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["type"] for line in told] == types
    assert len({line["session_id"] for line in told}) == 1
    if types[0] == "notice":
        path = "/jobs/a" if act.startswith("lock") else ""
        assert (told[0]["path"], told[0]["reason"]) == (path, "tidying")
        assert 0 < told[0]["notice_ms"] <= 2000 and told[1]["path"] == "/jobs/a"
    else:
        assert (told[0]["path"], told[0]["reason"]) == ("/jobs/a", "session ended")
