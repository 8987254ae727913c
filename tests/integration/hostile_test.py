"""Bytes that no honest client sends: each gets an answer or the door, and nobody else notices."""

import os
import random
import socket
import struct

import pytest
from holdfast_api.holdfast import Holdfast, ttypes as t
from support.stock import Stock
from support.waiting import eventually
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TMemoryBuffer


@pytest.fixture(autouse=True)
def bystander(cluster):
    """A client that holds a lock throughout, and a log that tells of no crash."""
    with Stock(cluster.nodes[1].address) as stock:
        session = stock.open_session(ttl_ms=60_000, name="bystander")
        held = stock.acquire(session, path=f"/bystander/{os.urandom(4).hex()}", waitMs=0)
        yield stock
        assert stock.call("keepAlive", session.context(0)).leaseMs > 0
        assert held.status == t.AcquireStatus.GRANTED
    assert all(node.running and node.ready() for node in cluster.nodes.values())


def call_frame(method="keepAlive"):
    """A well-formed call."""
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol(buffer)
    protocol.writeMessageBegin(method, TMessageType.CALL, 0)
    args = Holdfast.keepAlive_args(t.RequestContext(sessionId=1, sessionSecret=b"x" * 16),
                                   t.KeepAliveRequest())
    args.write(protocol)
    protocol.writeMessageEnd()
    return buffer.getvalue()


def framed(body):
    """With its length before it."""
    return struct.pack("!i", len(body)) + body


def send(node, data, close=False):
    """What the server answers until it closes, or falls silent for a moment."""
    with socket.create_connection(("127.0.0.1", node.client_port), timeout=5) as connection:
        connection.sendall(data)
        if close:
            return b""
        connection.settimeout(2)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
                if len(answer) >= 4 and len(answer) >= 4 + struct.unpack("!i", answer[:4])[0]:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def exception_of(answer):
    """The Thrift application exception in an answer."""
    protocol = TBinaryProtocol(TMemoryBuffer(answer[4:]))
    _, kind, _ = protocol.readMessageBegin()
    assert kind == TMessageType.EXCEPTION
    error = TApplicationException()
    error.read(protocol)
    return error


def test_an_unknown_method_is_named_in_the_answer(cluster):
    error = exception_of(send(cluster.nodes[1], framed(call_frame("no_such_method"))))
    assert error.type == TApplicationException.UNKNOWN_METHOD
    assert "no_such_method" in error.message


@pytest.mark.parametrize("size", [0x7FFFFFFF, -1, 64 << 20, 5 << 20])
def test_an_absurd_length_is_refused_before_it_is_awaited(cluster, size):
    answer = send(cluster.nodes[1], struct.pack("!i", size) + b"\x80\x01\x00\x01")
    assert len(answer) < 10_000


def test_a_small_frame_cannot_claim_a_huge_string_or_list(cluster):
    huge_name = b"\x80\x01\x00\x01" + struct.pack("!i", 0x7FFFFFF0) + b"keep"
    huge_list = (b"\x80\x01\x00\x01" + struct.pack("!i", 9) + b"keepAlive" + b"\0\0\0\0"
                 + b"\x0c\x00\x01" + b"\x0f\x00\x04\x0c" + struct.pack("!i", 0x7FFFFFF0))
    before = rss_kib(cluster.nodes[1])
    for body in (huge_name, huge_list, b"\x82\x21\x00\xff\xff\xff\xff\x0f"):
        send(cluster.nodes[1], framed(body))
    assert rss_kib(cluster.nodes[1]) - before < 64 * 1024


def rss_kib(node):
    """Resident memory of a server."""
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4


@pytest.mark.parametrize("cut", [1, 3, 5, 20, -1])
def test_a_truncated_call_changes_nothing(cluster, cut):
    whole = framed(call_frame())
    send(cluster.nodes[1], whole[:cut], close=True)
    send(cluster.nodes[2], framed(call_frame()[:cut]))


def test_bytes_behind_a_call_are_refused(cluster):
    answer = send(cluster.nodes[1], framed(call_frame() + b"trailing"))
    assert b"SESSION_EXPIRED" not in answer


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                      b"\x80\x01\x00\x01\x00\x00\x00\x09keepAlive", b"\0" * 64])
def test_other_protocols_are_shown_the_door(cluster, greeting):
    for node in cluster.nodes.values():
        send(node, greeting, close=True)


def test_random_frames_disturb_nobody(cluster):
    dice = random.Random(20260101)
    body = call_frame()
    for _ in range(150):
        spoiled = bytearray(body)
        for _ in range(dice.randint(1, 8)):
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
        send(cluster.nodes[dice.randint(1, 3)], framed(bytes(spoiled)), close=True)


def test_half_open_connections_leave_the_server_free(cluster, bystander):
    opened = [socket.create_connection(("127.0.0.1", cluster.nodes[1].client_port))
              for _ in range(200)]
    for connection in opened[::2]:
        connection.sendall(b"\x00\x00")
    session = bystander.open_session(name="free")
    assert bystander.acquire(session, path="/half-open", waitMs=0).status \
        == t.AcquireStatus.GRANTED
    for connection in opened:
        connection.close()
    eventually(cluster.nodes[1].ready)


def test_the_peer_port_takes_no_strangers(cluster):
    for node in cluster.nodes.values():
        with socket.create_connection(("127.0.0.1", node.peer_port), timeout=5) as connection:
            connection.sendall(os.urandom(4096))
    assert cluster.leader().running
