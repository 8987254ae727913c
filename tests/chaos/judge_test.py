"""The judge of chaos runs is itself judged: what is wrong must be found. A seed is its faults."""

import itertools
import json

from chaos import judge
from chaos.faults import KINDS, schedule
from chaos.store import Fence


def sure(client, token, start, end, path="/a"):
    return [{"event": "sure", "client": client, "path": path, "token": token, "at": start,
             "until": end}]


def verdict(*events):
    return judge.overlap(judge.sure_intervals(list(itertools.chain(*events))))


def test_two_clients_that_are_sure_at_one_moment_are_found():
    assert verdict(sure("a", 5, 0, 100), sure("b", 6, 100, 200)) is None
    assert "b with token 6 from 90" in verdict(sure("a", 5, 0, 100), sure("b", 6, 90, 200))
    assert "c with token 7" in verdict(sure("a", 5, 0, 300), sure("b", 6, 301, 302),
                                       sure("c", 7, 301, 400))
    assert verdict(sure("a", 5, 0, 100), sure("b", 6, 50, 60, "/b")) is None


def test_a_lock_given_back_is_no_longer_sure_and_a_renewal_prolongs():
    back = [{"event": "given back", "client": "a", "path": "/a", "token": 5, "at": 40}]
    assert verdict(sure("a", 5, 0, 100), back, sure("b", 6, 50, 60)) is None
    assert verdict(sure("a", 5, 0, 10), sure("a", 5, 5, 100), sure("b", 6, 50, 60))


def test_a_token_that_does_not_grow_is_found():
    assert "came after token 7" in verdict(sure("a", 7, 0, 10), sure("b", 6, 20, 30))
    assert "came after token 7" in verdict(sure("a", 7, 0, 10), sure("b", 7, 20, 30))


def test_a_notice_shortens_certainty_however_late_it_is_written_down():
    notice = [{"event": "noticed", "client": "a", "path": "/a", "token": 5, "at": 5, "until": 40}]
    late = sure("a", 5, 0, 1) + notice + sure("a", 5, 6, 100)
    for first in (sure("a", 5, 0, 100) + notice, late):
        assert verdict(first, sure("b", 6, 45, 60)) is None
        assert "b with token 6 from 39" in verdict(first, sure("b", 6, 39, 60))


def test_a_lock_that_opens_before_its_delay_has_passed_is_found():
    second = judge.NS
    events = [*sure("a", 5, 0, 10 * second), *sure("b", 6, int(11.95 * second), 20 * second)]
    intervals = judge.sure_intervals(events)
    expired = [{"event": "expired holding", "client": "a", "path": "/a", "token": 5}]
    assert judge.opened_early(intervals, expired, 2) is None
    assert "b was granted it with token 6" in judge.opened_early(intervals, expired, 3)
    assert judge.opened_early(intervals, [], 3) is None


def loss(told, noticed=2 * judge.NS):
    return {"event": "lost in time", "client": "a", "path": "/a", "token": 5,
            "until": 2 * judge.NS, "noticed": noticed, "told": told}


def test_a_holder_that_learns_of_its_loss_late_or_never_is_found():
    assert judge.lost_in_time([loss(2 * judge.NS + 5)]) == (None, 1)
    assert "on_lost was never called" in judge.lost_in_time([loss(None)])[0]
    assert "told 1.50 s after its deadline" in judge.lost_in_time([loss(int(3.5 * judge.NS))])[0]
    late = loss(2 * judge.NS, noticed=4 * judge.NS)
    assert "told 2.00 s after its deadline" in judge.lost_in_time([late])[0]


def write(token, number, taken=True, event="write"):
    return {"event": event, "client": "a", "path": "/a", "token": token, "number": number,
            "taken": taken}


def test_an_overtaken_token_that_the_store_took_is_found():
    fault, refused = judge.fenced([write(5, 1), write(6, 2), write(5, 3, False, "woke")])
    assert fault is None and refused == 1
    fault, _ = judge.fenced([write(5, 1), write(6, 2), write(5, 3, True, "woke")])
    assert "with token 5 after token 6" in fault


def test_the_store_refuses_what_was_overtaken():
    fence = Fence()
    assert [fence.write("/a", t)[0] for t in (5, 5, 7, 6, 7)] == [True, True, True, False, True]
    assert fence.write("/b", 1) == (True, 6)


def test_a_session_that_expired_under_a_live_client_is_found():
    event = {"event": "session expired", "client": "a", "why": "silent"}
    assert "session of a expired" in judge.expired([event])
    assert judge.expired([{**event, "event": "done"}]) is None


def test_a_client_that_is_stuck_after_the_last_fault_is_found():
    commands = [judge.Applied("a", 10, 11), judge.Applied("b", 30, 31)]
    assert judge.idle(commands, 20, ["a", "b"]) == "a got no command through after the last fault"
    assert judge.idle(commands, 5, ["a", "b"]) is None


def command(number, sent, answered, **result):
    return {"client": "a", "call": "acquire", "arguments": {"session": 1, "sequence": number},
            "invoked": sent, "returned": answered, "result": result}


def test_only_commands_first_sent_after_the_fault_show_that_it_is_over():
    second = judge.NS
    calls = [command(1, 0, None), command(1, 2 * second, 3 * second, status="WAITING"),
             command(2, 4 * second, 5 * second, error="NO_LEADER"),
             command(2, 6 * second, 7 * second, status="GRANTED"),
             command(2, 8 * second, 9 * second, status="GRANTED")]
    commands = judge.applied_commands(calls)
    assert commands == [judge.Applied("a", 0, 3 * second),
                        judge.Applied("a", 4 * second, 7 * second)]
    assert judge.took_over(commands, second) == 6.0
    assert judge.took_over(commands, 5 * second) is None


def test_records_of_killed_clients_become_one_history(tmp_path):
    ask = {"client": "a", "call": "renew", "arguments": {"session": 1}}
    lines = [{**ask, "asked": 1, "invoked": 5}, {**ask, "asked": 2, "invoked": 1},
             {"answered": 1, "returned": 6, "result": {"leaseMs": 9}, "revision": 3}]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"asked": 3, "cli'
    (tmp_path / "a.jsonl").write_text(text)
    calls = judge.Records.read([tmp_path / "a.jsonl"]).calls
    assert [(c["invoked"], c["result"]) for c in calls] == [(1, "unknown"), (5, {"leaseMs": 9})]


def test_records_are_read_from_where_they_were_before(tmp_path):
    def asks(number):
        return json.dumps({"asked": number, "client": "a", "call": "renew", "invoked": number,
                           "arguments": {"session": 1}}) + "\n"

    def answers(number):
        return json.dumps({"answered": number, "returned": 9, "result": {}, "revision": 3}) + "\n"
    file = tmp_path / "a.jsonl"
    before = asks(1) + asks(2) + answers(1)
    file.write_text(before + answers(2) + asks(3) + answers(3) + asks(4))
    calls = judge.Records.read([file], {file: len(before)}).calls
    assert [(c["invoked"], c["returned"]) for c in calls] == [(3, 9), (4, None)]
    assert len(judge.Records.read([file], {file: len(before) - 5}).calls) == 2
    assert len(judge.Records.read([file]).calls) == 4


def test_a_history_that_no_order_explains_is_refused(tmp_path):
    held = {"client": "a", "call": "acquire", "invoked": 1, "returned": 2, "revision": 5,
            "arguments": {"session": 1, "sequence": 1, "path": "/a"},
            "result": {"status": "GRANTED", "holderId": 5, "token": 5}}
    read = {"client": "b", "call": "describeLock", "invoked": 3, "returned": 4,
            "arguments": {"path": "/a"}, "result": {}, "revision": 4}
    file = tmp_path / "history.jsonl"
    file.write_text(json.dumps(held))
    assert judge.linearizable(file)[0] is None
    file.write_text(json.dumps(held) + "\n" + json.dumps(read))
    assert "revision 5 had been answered before it began" in judge.linearizable(file)[0]
    file.write_text("")
    assert "nothing to check" in judge.linearizable(file)[0]
    file.write_text("{")
    assert "line 1: not JSON" in judge.linearizable(file)[0]


def test_a_seed_gives_the_same_faults_in_the_same_order():
    one, two, other = (list(itertools.islice(schedule(seed), 60)) for seed in (7, 7, 8))
    assert one == two != other
    assert [f.dice().random() for f in one] == [f.dice().random() for f in two]
    assert {f.kind for f in one[:len(KINDS)]} == set(KINDS)
