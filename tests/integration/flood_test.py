"""A client that sends without pause holds up nobody else's sessions: not their end either."""

import socket
import struct
import threading

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import HoldfastKeys, ttypes as k
from support.cluster import Cluster
from support.stock import Stock
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

CONNECTIONS = 4
CALLS_AT_ONCE = 1000
# A connection's calls that may be outstanding, 20,000, are not reached: it would be ended at twice.
BATCHES_OUTSTANDING = 16


def framed(buffer):
    body = buffer.getvalue()
    return struct.pack("!i", len(body)) + body


def local_read():
    """A call that needs no session and that any server answers from its own state, framed."""
    buffer = TMemoryBuffer()
    request = k.GetRequest(path="/x", statOnly=True, consistency=t.Consistency.LOCAL)
    HoldfastKeys.Client(TBinaryProtocol(buffer)).send_get(t.RequestContext(), request)
    return framed(buffer)


def receive(connection, size):
    data = bytearray()
    while len(data) < size:
        data += connection.recv(size - len(data))
    return bytes(data)


def cut_call():
    """The smallest call there is: its arguments are missing."""
    buffer = TMemoryBuffer()
    TCompactProtocol(buffer).writeMessageBegin("get", TMessageType.CALL, 7)
    return framed(buffer)


class Flood:
    """Connections on each of which one thread sends calls, and one drops the answers."""

    def __init__(self, node, call):
        self._over = False
        self._calls = call * CALLS_AT_ONCE
        address = ("127.0.0.1", node.client_port)
        self._sockets = [socket.create_connection(address) for _ in range(CONNECTIONS)]
        self._answers_bytes = CALLS_AT_ONCE * self._size_of_an_answer(call)
        self._threads = []
        for each in self._sockets:
            room = threading.Semaphore(BATCHES_OUTSTANDING)
            self._threads += [threading.Thread(target=work, args=(each, room))
                              for work in (self._send, self._drop)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        for each in self._sockets:
            each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    @property
    def goes_on(self):
        """No connection was ended."""
        return all(thread.is_alive() for thread in self._threads)

    def _size_of_an_answer(self, call):
        """All are alike, for the call is one and the key is not there."""
        self._sockets[0].sendall(call)
        length = receive(self._sockets[0], 4)
        return len(length) + len(receive(self._sockets[0], *struct.unpack("!i", length)))

    def _send(self, connection, room):
        try:
            while not self._over:
                room.acquire()
                connection.sendall(self._calls)
        except OSError:
            assert self._over

    def _drop(self, connection, room):
        space = bytearray(1 << 20)
        received = 0
        try:
            while (size := connection.recv_into(space, len(space), socket.MSG_TRUNC)) > 0:
                received += size
                while received >= self._answers_bytes:
                    received -= self._answers_bytes
                    room.release()
        except OSError:
            assert self._over
        room.release()  # for the sender to end


@pytest.mark.parametrize("call", [local_read(), cut_call()], ids=["reads", "cut"])
@pytest.mark.parametrize("flags", [(), ("--io_threads=2",)], ids=["one thread", "io threads"])
def test_a_dead_clients_lock_goes_to_the_next_while_another_client_floods_the_leader(flags, call):
    with Cluster(1, flags=list(flags)) as cluster:
        node = cluster.nodes[1]
        with Stock(node.address, timeout=60.0) as dead, Stock(node.address, timeout=60.0) as alive:
            session = dead.open_session(ttl_ms=1_000, name="dead")
            dead.acquire(session, path="/job", waitMs=0)
            waiter = alive.open_session(ttl_ms=60_000, name="alive")
            with Flood(node, call) as flood:
                status = t.AcquireStatus.WAITING
                while status == t.AcquireStatus.WAITING:
                    status = alive.acquire(waiter, 1, path="/job", waitMs=30_000).status
                assert flood.goes_on
            assert status == t.AcquireStatus.GRANTED
