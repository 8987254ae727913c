"""The judge of watchers is itself judged: each rule with what keeps it and what breaks it."""

import copy

import pytest
from chaos import watch_judge

#: A put creates, two puts in one transaction, a removal, and the end of a session.
CHANGES = {
    2: [["CREATED", "/a", "1", 1, 2, 0, ""]],
    5: [["CHANGED", "/a", "2", 2, 2, 0, ""], ["CREATED", "/b", "x", 1, 5, 9, ""]],
    6: [["CHANGED", "/a", "3", 3, 2, 0, ""]],
    8: [["DELETED", "/b", "", 1, 5, 9, "SESSION_ENDED"]],
}
STATE_5 = {"/a": ["2", 2, 2, 5, 0], "/b": ["x", 1, 5, 5, 9]}
FINAL = {"/a": ["3", 3, 2, 6, 0]}


def group(client, revision, changes=None):
    return {"event": "group", "client": client, "revision": revision, "revisions": [revision],
            "changes": copy.deepcopy(CHANGES[revision] if changes is None else changes)}


def resync(client, revision, state):
    return {"event": "resync", "client": client, "revision": revision, "state": state}


def end(client, state=None, revision=9, newest=9):
    return [{"event": "watched", "client": client, "revision": revision, "newest": newest},
            {"event": "mirror", "client": client, "revision": newest, "state": state or FINAL}]


def life(client):
    return [*(group(client, revision) for revision in CHANGES), *end(client)]


def verdict(*lives, calls=(), watchers=("w",)):
    return watch_judge.judge([event for each in lives for event in each], calls, FINAL, watchers)


def write(revision, *steps, **result):
    return {"call": "transact", "client": "c", "arguments": {"writes": [step for step, _ in steps]},
            "result": {"writeRevision": revision, "results": [made for _, made in steps],
                       **result}}


TOLD = [
    write(2, ({"act": "put", "path": "/a", "value": "1"}, {"version": 1})),
    write(5, ({"act": "put", "path": "/a", "value": "2"}, {"version": 2}),
          ({"act": "create", "path": "/", "value": "x"}, {"path": "/b", "version": 1})),
    {"call": "put", "arguments": {}, "result": "unknown"},
    {"call": "put", "arguments": {}, "result": {"error": "NO_KEY"}},
    write(7, ({"act": "put", "path": "/z"}, {}), failed=True),
]


def test_watchers_that_saw_all_of_it_are_right():
    assert verdict(life("w"), life("v"), calls=TOLD) == (
        None, "2 watchers were told 10 events of 4 revisions and 0 resyncs; locks were shown 0 "
              "times as they were told")


def test_a_revision_that_one_watcher_missed_is_found():
    missing = [event for event in life("w") if event["revision"] != 6]
    assert "w was not told of revision 6" in verdict(missing, life("v"))[0]


def test_a_revision_that_every_watcher_missed_is_found_by_its_writer():
    missing = [event for event in life("w") if event["revision"] != 2]
    assert "revision 2 made" in verdict(missing, calls=TOLD)[0]
    assert "w was not told" in verdict(missing, calls=TOLD)[0]


def test_events_that_come_twice_or_go_back_are_found():
    twice = [group("w", 2), *life("w")]
    assert "w was told of revision 2 after revision 2" in verdict(twice)[0]
    events = life("w")
    events[1], events[2] = events[2], events[1]
    assert "w was told of revision 5 after revision 6" in verdict(events)[0]


def test_half_a_transaction_is_found():
    events = life("w")
    events[1] = group("w", 5, CHANGES[5][:1])
    assert "of revision 5 w was told" in verdict(events, life("v"))[0]
    assert "watchers were told" in verdict(events, calls=TOLD)[0]
    events[1]["revisions"] = [5, 6]
    assert "was told of revisions [5, 6] as one" in verdict(events)[0]


@pytest.mark.parametrize("wrong", [
    ["DELETED", "/a", "", 1, 2, 0, "REMOVED"], ["CREATED", "/c", "1", 1, 2, 0, ""],
    ["CREATED", "/a", "1", 7, 2, 0, ""], ["CREATED", "/a", "other", 1, 2, 0, ""],
])
def test_an_event_that_is_not_what_was_written_is_found(wrong):
    events = life("w")
    events[0] = group("w", 2, [wrong])
    assert "revision 2 made" in verdict(events, calls=TOLD)[0]


def test_an_event_that_follows_from_no_state_is_found():
    events = life("w")
    events[2] = group("w", 6, [["CHANGED", "/a", "3", 4, 2, 0, ""]])
    assert "/a went from version 2 to 4 at 6" in verdict(events)[0]
    events[2] = group("w", 6, [["DELETED", "/c", "", 1, 2, 0, "REMOVED"]])
    assert "DELETED of /c at revision 6, where there was None" in verdict(events)[0]


def test_a_resync_stands_for_what_it_skips_and_shows_the_state_of_its_revision():
    def story(state):
        return verdict([group("w", 2), resync("w", 5, state), group("w", 6), group("w", 8),
                        *end("w")], life("v"))
    assert story(STATE_5)[1].startswith("2 watchers were told 8 events of 4 revisions and 1 resync")
    old = {**STATE_5, "/a": ["1", 1, 2, 2, 0]}
    assert "w was shown as the state of revision 5 /a" in story(old)[0]
    assert "w was shown as the state of revision 5 /b" in story({"/a": STATE_5["/a"]})[0]


def test_what_follows_a_resync_is_not_skipped():
    skipped = [group("w", 2), resync("w", 5, STATE_5), group("w", 8), *end("w")]
    assert "w was not told of revision 6" in verdict(skipped, life("v"))[0]
    back = [*life("w")[:3], resync("w", 5, STATE_5)]
    assert "w was told of revision 5 after revision 6" in verdict(back)[0]


def test_a_state_is_only_judged_where_everything_before_it_was_told():
    # Nobody was told what happened from 3 to 5: the resyncs alone say it.
    events = [group("w", 2), resync("w", 5, STATE_5), group("w", 6), group("w", 8)]
    assert watch_judge.streams(events)[0].covered == [(0, 2), (5, 8)]
    assert watch_judge._whole(watch_judge.streams(events)) == 2


def test_a_mirror_that_is_not_the_end_state_is_found():
    events = [*life("w")[:4], *end("w", state={**FINAL, "/b": ["x", 1, 5, 5, 9]})]
    assert "w was shown as the state of revision 9 /b" in verdict(events)[0]
    late = [group("w", 2), resync("w", 7, {}), *end("w", state={"/a": ["2", 2, 2, 5, 0]})]
    assert "in the end the mirror of w (revision 9) has /a" in verdict(late)[0]


def test_a_watcher_that_does_not_come_to_the_end_is_found():
    assert "w was never told anything" in verdict(life("v"))[0]
    assert "w came to revision None" in verdict(life("w")[:4])[0]
    slow = [*life("w")[:4], *end("w", revision=8)]
    assert "w came to revision 8 of 9" in verdict(slow)[0]


def test_accounts_that_do_not_add_up_are_found():
    def read(one, other):
        return {"call": "getMany", "client": "c", "revision": 7, "result": {"keys": [
            {"path": "/x", "value": one}, {"path": "/y", "value": other}]}}
    assert watch_judge.sums([read("40", "60")], ("/x", "/y"), 100) == (None, 1)
    assert "c read 99 in all accounts" in watch_judge.sums([read("40", "59")], ("/x", "/y"), 100)[0]
    assert watch_judge.sums([read("1", "2")], ("/x", "/z"), 100) == (None, 0)


#: A lock that goes from one holder to the next, and a key that ends in the entry of a write.
LOCKED = {3: [["GRANTED", "/l", 3, 3, 1, 0, ""]],
          6: [["CHANGED", "/a", "3", 3, 2, 0, ""], ["DELETED", "/b", "", 1, 5, 0, "TTL_PASSED"]],
          7: [["ENDED", "/l", 3, 3, 1, 0, "RELEASED"], ["GRANTED", "/l", 5, 7, 2, 0, ""]],
          8: [["ENDED", "/l", 5, 7, 2, 0, "RELEASED"]]}
STORY = {**CHANGES, **LOCKED}
FIRST, SECOND = [3, 3, 1], [5, 7, 2]


def locked_life(client, without=(), **other):
    return [*(group(client, revision, other.get(f"at{revision}", STORY[revision]))
              for revision in sorted(STORY) if revision not in without), *end(client)]


def shows(revision, holders, name="describeLock"):
    held = [{"holderId": h, "token": t, "session": s} for h, t, s in holders]
    lock = {"path": "/l", "holders": held, "holderCount": len(held)}
    return {"call": name, "client": "c", "revision": revision, "arguments": {"path": "/l"},
            "result": {"holders": held} if name == "describeLock" else {"locks": [lock]}}


def grant(session, holder, token):
    return {"call": "acquire", "client": "c", "revision": 9,
            "arguments": {"path": "/l", "session": session},
            "result": {"status": "GRANTED", "holderId": holder, "token": token}}


def test_locks_that_were_shown_and_granted_as_they_were_told_are_right():
    calls = [shows(2, []), shows(3, [FIRST]), shows(6, [FIRST], "listLocks"), shows(7, [SECOND]),
             shows(9, []), grant(1, 3, 3), grant(2, 5, 7)]
    assert verdict(locked_life("w"), calls=calls) == (
        None, "1 watchers were told 9 events of 6 revisions and 0 resyncs; locks were shown 5 "
              "times as they were told")


def test_what_ends_by_itself_in_the_entry_of_a_write_is_no_part_of_it():
    put = write(6, ({"act": "put", "path": "/a", "value": "3"}, {"version": 3}))
    assert verdict(locked_life("w"), calls=[put])[0] is None


@pytest.mark.parametrize("call", [shows(7, [FIRST]), shows(7, []), shows(8, [SECOND], "listLocks"),
                                  shows(2, [FIRST])])
def test_holders_that_watchers_were_not_told_of_are_found(call):
    assert "watchers were told" in verdict(locked_life("w"), calls=[call])[0]


def test_a_grant_that_watchers_were_not_told_of_is_found():
    calls = [grant(2, 5, 7)]
    assert "was granted /l with token 7" in verdict(
        locked_life("w", at7=LOCKED[7][:1], without=(8,)), calls=calls)[0]
    assert "was granted /l with token 7" in verdict(
        locked_life("w", at7=[LOCKED[7][0], ["GRANTED", "/l", 5, 7, 9, 0, ""]], without=(8,)),
        calls=calls)[0]


def test_events_of_locks_that_follow_from_no_state_are_found():
    again = shows(9, [])
    other = [["ENDED", "/l", 4, 4, 1, 0, "RELEASED"]]
    for revision, events in ((7, other), (8, LOCKED[3])):
        told = verdict(locked_life("w", **{f"at{revision}": events}), calls=[again])[0]
        assert f"at revision {revision}, where it was held by" in told


def test_a_resync_shows_the_holders_of_its_revision():
    def story(locks):
        shown = {**resync("w", 7, {"/a": ["3", 3, 2, 6, 0]}), "locks": locks}
        told = [group("w", revision, STORY[revision]) for revision in (2, 3, 5, 6)]
        return verdict([*told, shown, group("w", 8, STORY[8]), *end("w")], locked_life("v"))[0]
    assert story({"/l": [SECOND]}) is None
    assert "w was shown as the holders at revision 7 /l" in story({"/l": [FIRST]})
    assert "w was shown as the holders at revision 7 /l" in story({})
