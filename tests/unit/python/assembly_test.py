"""One watch's stream, put together: nothing is shown by halves."""

from holdfast_api.watch import ttypes as w

from holdfast import EventKind
from holdfast._assembly import Assembly


def created(path, value=b"", modified=None):
    return w.WatchEvent(eventType=w.EventType.KEY_CREATED, path=path, value=value, version=1,
                        createRevision=3, modifyRevision=modified)


def removed(path):
    return w.WatchEvent(eventType=w.EventType.KEY_REMOVED, path=path, version=1,
                        removal=w.RemovalReason.SESSION_ENDED)


def lock(kind, path, holder):
    return w.WatchEvent(eventType=kind, path=path, holderId=holder, token=holder + 1, sessionId=9,
                        endReason=3)


def events(revision, *told, partial=False):
    return w.WatchDelivery(1, w.DeliveryKind.EVENTS, revision, list(told), partial)


def mark(kind, revision, *told):
    return w.WatchDelivery(1, kind, revision, list(told))


BEGIN, STATE, END = (w.DeliveryKind.RESYNC_BEGIN, w.DeliveryKind.RESYNC_STATE,
                     w.DeliveryKind.RESYNC_END)


def test_a_group_is_shown_when_its_last_part_is_there():
    assembly = Assembly("/a", 5)
    assert assembly.take(events(7, created("/a/1"), created("/a/2"), partial=True)) is None
    assert assembly.position == 5
    group = assembly.take(events(7, removed("/a/1")))
    assert [(e.kind.name, e.path, e.last) for e in group.events] == [
        ("CREATED", "/a/1", False), ("CREATED", "/a/2", False), ("DELETED", "/a/1", True)]
    assert group.events[2].reason == "SESSION_ENDED"
    assert (assembly.position, group.after) == (7, 5)


def test_half_a_group_is_forgotten_where_the_watch_goes_on_elsewhere():
    assembly = Assembly("/a", 5)
    assembly.take(events(7, created("/a/1"), partial=True))
    assembly.progress(6)
    assembly.restart()
    group = assembly.take(events(7, created("/a/1"), created("/a/2")))
    assert [e.path for e in group.events] == ["/a/1", "/a/2"]


def test_progress_moves_the_position_but_not_into_what_is_not_whole():
    assembly = Assembly("/a", 5)
    assembly.progress(9)
    assembly.progress(8)
    assert assembly.position == 9
    assembly.take(events(12, created("/a/1"), partial=True))
    assembly.progress(12)
    assert assembly.position == 9


def test_a_resync_shows_one_state_with_what_changed_meanwhile():
    assembly = Assembly("/a", 5)
    assert assembly.take(mark(BEGIN, 50)) is None
    told = [mark(STATE, 50, created("/a/1", b"1", 40), created("/a/2", b"2", 41)),
            events(51, removed("/a/1"), created("/a/0", b"0"), partial=True),
            mark(STATE, 52, created("/a/3", b"3", 42)),
            mark(STATE, 52, lock(w.EventType.LOCK_GRANTED, "/l", 7),
                 lock(w.EventType.LOCK_GRANTED, "/l", 8), lock(w.EventType.LOCK_GRANTED, "/m", 9)),
            events(53, lock(w.EventType.LOCK_ENDED, "/m", 9))]
    for delivery in told:
        assert assembly.take(delivery) is None
        assembly.progress(99)
        assert assembly.position == 5 and assembly.resyncing
    group = assembly.take(mark(END, 53))
    (event,) = group.events
    assert (event.kind, event.path, event.revision) == (EventKind.RESYNC, "/a", 53) and event.last
    assert {p: (e.text, e.modify_revision) for p, e in event.state.keys.items()} == {
        "/a/0": ("0", 51), "/a/2": ("2", 41), "/a/3": ("3", 42)}
    assert {p: [h.holder_id for h in held] for p, held in event.state.locks.items()} == {
        "/l": [7, 8]}
    assert assembly.position == 53 and not assembly.resyncing
    assert assembly.take(events(54, removed("/a/2"))).after == 53


def test_a_resync_that_begins_again_or_elsewhere_begins_with_nothing():
    assembly = Assembly("/a", 5)
    assembly.take(mark(BEGIN, 50))
    assembly.take(mark(STATE, 50, created("/a/old")))
    assembly.take(mark(BEGIN, 60))
    assembly.take(mark(STATE, 60, created("/a/new")))
    assert list(assembly.take(mark(END, 60)).events[0].state.keys) == ["/a/new"]
    assembly.take(mark(BEGIN, 70))
    assembly.restart()
    assert assembly.position == 60
    assert assembly.take(events(61, removed("/a/new"))).events[0].kind is EventKind.DELETED


def test_locks_are_told_with_their_holders():
    group = Assembly("/l", 5).take(events(6, lock(w.EventType.LOCK_GRANTED, "/l", 7),
                                          lock(w.EventType.LOCK_ENDED, "/l", 7)))
    granted, over = group.events
    assert granted.kind is EventKind.GRANTED and granted.hold.token == 8
    assert over.kind is EventKind.ENDED and over.reason == "SESSION_EXPIRED"
