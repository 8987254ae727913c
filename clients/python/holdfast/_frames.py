"""Thrift's framed transport over a socket, for one call at a time: no peer holds it for long.

Thrift's own lets every single read take the whole time allowed, so that a byte now and then keeps a
call alive for ever, and makes room for whatever length a frame announces.
"""

from __future__ import annotations

import io
import socket
import struct
import time
from typing import Callable, Optional, TypeVar

from thrift.transport.TTransport import CReadableTransport, TTransportBase

T = TypeVar("T")

#: As the C++ client: an answer ends near 1 MiB, with one value more at most.
FRAME_BYTES_MAX = 8 << 20
#: So slow may a link be that still gets the time it needs, in bytes a second.
PACE = 1024
#: Read at once at most: memory grows with what has arrived, not with what was announced.
PIECE_BYTES = 256 << 10


class Sluggish(TimeoutError):
    """The other side takes or gives its bytes more slowly than at the pace."""


class Frames(TTransportBase, CReadableTransport):  # type: ignore[misc]
    """One request frame out, one answer frame in.

    Each may take the time allowed and, beyond it, what a link at the pace needs for the bytes that
    have come through; and there is never silence for longer than the time allowed.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._out = io.BytesIO()
        self._in: Optional[io.BytesIO] = None
        self._seconds = 0.0
        self._until = 0.0

    def begin(self, seconds: float) -> None:
        """A call begins, with so much time allowed; what is left of another is forgotten."""
        self._out, self._in = io.BytesIO(), None
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def _step(self, move: Callable[[], T], moved: int, told: str) -> T:
        """Send or receive a piece in its time; ``told`` says what has come through before it."""
        left = self._until + moved / PACE - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(min(left, self._seconds))
            return move()
        except TimeoutError:
            if moved:
                raise Sluggish(told) from None
            raise

    # ---------------------------------------------------------------------------------- request

    def write(self, buf: bytes) -> None:
        self._out.write(buf)

    def flush(self) -> None:
        """Send the frame."""
        body, began = self._out.getvalue(), time.monotonic()
        frame, sent = memoryview(struct.pack("!i", len(body)) + body), 0
        while sent < len(frame):
            rest = frame[sent:]
            sent += self._step(lambda: self._socket.send(rest), sent,
                               f"it took only {sent} of {len(frame)} bytes")
        self._until += min(time.monotonic() - began, sent / PACE)

    # ----------------------------------------------------------------------------------- answer

    def read(self, sz: int) -> bytes:
        return self.cstringio_buf.read(sz)

    def _receive(self) -> io.BytesIO:
        head = self._exactly(4, 0)
        (size,) = struct.unpack("!I", head)
        if size > FRAME_BYTES_MAX:
            raise ValueError(f"an answer of {size} bytes is announced, {FRAME_BYTES_MAX} are the "
                             f"most there can be")
        return io.BytesIO(self._exactly(size, len(head)))

    def _exactly(self, size: int, before: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            came = before + len(found)
            most = min(size - len(found), PIECE_BYTES)
            piece = self._step(lambda: self._socket.recv(most), came,
                               f"it gave only {came} bytes")
            if not piece:
                raise EOFError("the connection was closed")
            found += piece
        return bytes(found)

    # What Thrift's decoder in C asks for.

    @property
    def cstringio_buf(self) -> io.BytesIO:
        """What is still to be decoded of the answer, which is one frame."""
        if self._in is None:
            self._in = self._receive()
        return self._in

    def cstringio_refill(self, partialread: bytes, reqlen: int) -> io.BytesIO:
        """The frame was not enough."""
        raise EOFError("the answer ends before it is whole")
