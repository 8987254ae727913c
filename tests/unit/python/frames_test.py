"""Frames on a link that is slow, or that only pretends to be one: how long they may hold a call."""

import struct

import pytest

from holdfast import _frames
from holdfast._frames import FRAME_BYTES_MAX, PACE, Frames, Sluggish


class Link:
    """A socket whose other side gives and takes so many bytes at a time, after so many seconds."""

    def __init__(self, answer=b"", *, piece=1, every=0.0):
        self.now = 1000.0
        self.answer = answer
        self.piece, self.every = piece, every
        self.timeout = None
        self.sent = bytearray()
        self.largest = 0

    def settimeout(self, seconds):
        self.timeout = seconds

    def _pass(self):
        if self.every > self.timeout:
            self.now += self.timeout
            raise TimeoutError("timed out")
        self.now += self.every

    def send(self, data):
        self._pass()
        self.sent += data[:self.piece]
        return len(data[:self.piece])

    def recv(self, size):
        self._pass()
        self.largest = max(self.largest, size)
        piece = self.answer[:min(size, self.piece)]
        self.answer = self.answer[len(piece):]
        return piece


@pytest.fixture
def frames_of(monkeypatch):
    """Frames over a link, by its clock, with half a second allowed."""
    def make(link):
        monkeypatch.setattr(_frames.time, "monotonic", lambda: link.now)
        made = Frames(link)
        made.begin(0.5)
        return made
    yield make
    monkeypatch.undo()


def framed(body):
    return struct.pack("!I", len(body)) + body


def test_a_byte_now_and_then_holds_a_call_no_longer_than_it_may_take(frames_of):
    link = Link(framed(bytes(4 << 10)), every=0.4)
    with pytest.raises(Sluggish, match="it gave only [12] bytes"):
        frames_of(link).read(1)
    assert link.now - 1000 < 1.0


def test_at_the_pace_an_answer_comes_through_however_long_it_takes(frames_of):
    body = bytes(range(256)) * 64
    link = Link(framed(body), piece=PACE // 8, every=1 / 8)
    frames = frames_of(link)
    assert frames.readAll(len(body)) == body
    assert 15 < link.now - 1000 <= 0.5 + len(body) / PACE + 1 / 8


def test_silence_in_the_midst_of_an_answer_ends_the_call(frames_of):
    link = Link(framed(bytes(2 << 20)), piece=1 << 20)
    frames = frames_of(link)

    def silent_after(size, recv=link.recv):
        if len(link.answer) < 1 << 20:
            link.every = 3600.0
        return recv(size)

    link.recv = silent_after
    with pytest.raises(TimeoutError):
        frames.read(1)
    assert link.now - 1000 <= 0.5


@pytest.mark.parametrize("size", [FRAME_BYTES_MAX + 1, (1 << 31) - 1, (1 << 32) - 1])
def test_what_no_answer_can_be_is_refused_by_its_length(frames_of, size):
    link = Link(struct.pack("!I", size) + bytes(1000), piece=1000)
    with pytest.raises(ValueError, match=f"{size} bytes is announced, {FRAME_BYTES_MAX} are"):
        frames_of(link).read(1)
    assert len(link.answer) == 1000


def test_room_is_made_for_what_has_come_not_for_what_was_announced(frames_of):
    link = Link(struct.pack("!I", FRAME_BYTES_MAX) + bytes(1000), piece=1000)
    with pytest.raises(EOFError):
        frames_of(link).read(1)
    assert link.largest < FRAME_BYTES_MAX / 16


def test_a_request_is_taken_as_slowly_and_no_more_slowly(frames_of):
    link = Link(framed(b"x"), piece=PACE // 8, every=1 / 8)
    frames = frames_of(link)
    frames.write(bytes(8 * PACE))
    frames.flush()
    assert bytes(link.sent) == framed(bytes(8 * PACE))
    assert frames.read(1) == b"x"  # the answer has its time after that
    link = Link(piece=1, every=0.4)
    frames = frames_of(link)
    frames.write(bytes(8 * PACE))
    with pytest.raises(Sluggish, match="it took only [12] of 8196 bytes"):
        frames.flush()
    assert link.now - 1000 < 1.0


def test_what_goes_on_beyond_its_frame_is_no_answer(frames_of):
    frames = frames_of(Link(framed(b"ab") + framed(b"cd"), piece=100))
    assert frames.read(2) == b"ab" and frames.read(1) == b""
    with pytest.raises(EOFError, match="before it is whole"):
        frames.cstringio_refill(b"", 1)


def test_a_call_begins_with_nothing_of_the_one_before(frames_of):
    frames = frames_of(Link(framed(b"ab") + framed(b"cd"), piece=100))
    assert frames.read(1) == b"a"
    frames.begin(0.5)
    assert frames.read(2) == b"cd"
