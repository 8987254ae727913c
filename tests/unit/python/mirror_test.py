"""Mirrors: always a state that was, never an older one, and no reads once they are filled."""

import threading

import pytest
from support.fake_server import Fault
from support.waiting import eventually

import holdfast


def state(cluster, path):
    """What the mirror of a path must show in the end."""
    with cluster.model.mutex:
        keys = cluster.model.keys
        found = keys.below(path, True) + [keys.entries[path]] * (path in keys.entries)
        return {e.path: (e.value, e.stat.version, e.stat.createRevision, e.stat.modifyRevision)
                for e in found}


def shown(mirror):
    return {path: (e.value, e.version, e.create_revision, e.modify_revision)
            for path, e in mirror.snapshot()[1].items()}


def fill(client, count=10):
    for number in range(count):
        client.put(f"/a/{number}", str(number), parents=True)


def test_a_mirror_shows_what_there_is_then_what_happens(cluster, client, session):
    fill(client)
    with session.mirror("/a") as mirror:
        assert shown(mirror) == state(cluster, "/a") and len(mirror) == 11
        assert mirror["/a/3"].text == "3" and "/a/x" not in mirror and mirror.get("/a/x") is None
        reads = len(cluster.sent("listKeys") + cluster.sent("get"))
        client.put("/a/3", "new")
        client.delete("/a/4")
        client.put("/b", "not here")
        mirror.wait_for(client.put("/a/x", "made").revision, timeout=5)
        assert shown(mirror) == state(cluster, "/a")
        assert sorted(mirror) == sorted(state(cluster, "/a"))
        assert len(cluster.sent("listKeys") + cluster.sent("get")) == reads
    with pytest.raises(holdfast.HoldfastError, match="closed"):
        mirror.check()
    assert not mirror.alive and mirror["/a/x"].text == "made"


def test_an_iteration_shows_one_state_whatever_happens_meanwhile(client, session):
    fill(client, 3)
    mirror = session.mirror("/a")
    for view in (mirror.items(), mirror.values(), mirror.keys(), mirror):
        iteration = iter(view)
        next(iteration)
        client.delete("/a/0")
        client.put("/a/0")
        client.put("/a/9")
        mirror.wait_for(client.delete("/a/9").revision, timeout=5)
        assert len(list(iteration)) == 3
    client.delete("/a/1")
    iteration = iter(mirror.items())
    mirror.wait_for(client.delete("/a", recursive=True).revision, timeout=5)
    assert "/a/2" in [path for path, _ in iteration] and len(mirror) == 0


def test_the_mirror_of_nothing_is_empty_and_follows(cluster, client, session):
    mirror = session.mirror("/a")
    assert len(mirror) == 0
    fill(client, 2)
    mirror.wait_for(client.revision, timeout=5)
    assert shown(mirror) == state(cluster, "/a")
    with pytest.raises(holdfast.BadArgument):
        session.mirror("a")


def test_a_mirror_tells_how_many_keys_it_shows(client, session):
    client.put("/a/0", parents=True)
    with session.mirror("/a") as mirror:
        assert "<Mirror of /a: 2 keys at revision " in repr(mirror)
    with session.mirror("/a/0") as mirror:
        assert "<Mirror of /a/0: 1 key at revision " in repr(mirror)


def test_a_mirror_is_true_though_keys_change_between_its_pages(cluster, client, session):
    fill(client, 15)
    changes = iter([lambda: client.put("/a/9", "late"), lambda: client.delete("/a/0"),
                    lambda: client.put("/a/00", "new"), lambda: client.delete("/a/9"),
                    lambda: client.put("/a/9", "again"), lambda: client.put("/b", "")])
    for _ in range(6):
        cluster.fault("listKeys", Fault(then=lambda: next(changes)()), server=cluster.leader)
    # What the watch tells is on its way for a while: nothing may be shown before it is there.
    for server in cluster.servers:
        server.faults["poll"].extend([Fault(delay=0.15)] * 3)
    polls = len(cluster.sent("poll"))
    eventually(lambda: len(cluster.sent("poll")) > polls)
    mirror = session.mirror("/a")
    assert next(changes, None) is None
    assert shown(mirror) == state(cluster, "/a")
    mirror.wait_for(client.put("/a/0", "back").revision, timeout=5)
    assert shown(mirror) == state(cluster, "/a")


def test_a_mirror_of_what_is_deleted_while_it_is_read_is_empty(cluster, client, session):
    fill(client)
    cluster.fault("listKeys", Fault(then=lambda: client.delete("/a", recursive=True)),
                  server=cluster.leader)
    mirror = session.mirror("/a")
    assert len(mirror) == 0 and mirror.revision >= client.revision


def test_waiting_for_a_revision_of_elsewhere_takes_no_poll_s_time(client, session):
    mirror = session.mirror("/a")
    for _ in range(3):
        mirror.wait_for(client.put("/b").revision, timeout=0.9)  # a poll is parked for 1 s
    with pytest.raises(TimeoutError, match="/a has come to revision"):
        mirror.wait_for(client.revision + 1000, timeout=0.3)


def test_a_failover_reloads_nothing(cluster, client, session):
    fill(client)
    mirror = session.mirror("/a")
    reads = len(cluster.sent("listKeys") + cluster.sent("get"))
    for server in list(cluster.servers):
        cluster.leader = next(s for s in cluster.servers if s is not server)
        server.stop()
        client.put(f"/a/{server.node_id}", "changed meanwhile")
        mirror.wait_for(client.revision, timeout=10)
        assert shown(mirror) == state(cluster, "/a")
        server.start()
    assert len(cluster.sent("listKeys") + cluster.sent("get")) == reads
    assert mirror.alive


def test_a_resync_takes_the_place_of_all_at_once(cluster, client, session):
    fill(client)
    for server in cluster.servers:
        server.watches.entries_max = 3
    mirror = session.mirror("/a")
    seen, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            revision, entries = mirror.snapshot()
            if not seen or seen[-1] != (revision, sorted(entries)):
                seen.append((revision, sorted(entries)))

    thread = threading.Thread(target=look)
    thread.start()
    eventually(lambda: seen)
    for server in cluster.servers:
        server.stop()
    with cluster.model.mutex:
        model = cluster.model
        for number in range(5):
            model.revision += 1
            del model.keys.entries[f"/a/{number}"]
        model.keys.floor = model.revision
    for server in cluster.servers:
        server.start()
        server.watches.entries_max = 3
    mirror.wait_for(model.revision, timeout=10)
    eventually(lambda: seen[-1][0] >= model.revision)
    stop.set()
    thread.join(5)
    assert shown(mirror) == state(cluster, "/a")
    assert [r for r, _ in seen] == sorted(r for r, _ in seen)
    assert {len(paths) for _, paths in seen} == {11, 6}  # nothing half-built was ever shown


def test_functions_are_told_which_paths_have_changed(client, session):
    fill(client, 3)
    mirror = session.mirror("/a")
    told, gate = [], threading.Event()

    @mirror.on_update
    def updated(at, paths):
        told.append((at is mirror, paths))
        gate.wait(10)

    client.put("/a/0", "1")
    eventually(lambda: len(told) == 1)
    client.put("/a/1", "1")
    client.delete("/a/2")
    mirror.wait_for(client.revision, timeout=5)
    gate.set()
    eventually(lambda: len(told) == 2)
    assert told == [(True, {"/a/0"}), (True, {"/a/1", "/a/2"})]


def test_an_exception_in_a_function_does_not_end_the_mirror(client, session, caplog):
    mirror = session.mirror("/a")
    told = []

    @mirror.on_update
    def updated(at, paths):
        told.append(paths)
        raise RuntimeError("no good")

    for text in "12":
        client.put("/a", text)
        eventually(lambda: len(told) == int(text))  # noqa: B023
    assert mirror["/a"].text == "2" and "no good" in caplog.text


def test_a_mirror_whose_session_ended_says_so_and_stays_as_it_is(cluster, client, session):
    fill(client, 1)
    mirror = session.mirror("/a")
    with cluster.model.mutex:
        cluster.model.end_session(session.id)
    eventually(lambda: not mirror.alive)
    assert mirror["/a/0"].text == "0"
    with pytest.raises(holdfast.SessionExpired):
        mirror.check()
    with pytest.raises(holdfast.SessionExpired):
        mirror.wait_for(client.revision + 5)
