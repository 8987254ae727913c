"""Calls whose clients are gone: what was kept for them is free for others at once."""

import socket
import struct

import pytest
from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import HoldfastKeys, ttypes as k
from support.cluster import Cluster
from support.stock import Stock
from support.waiting import eventually
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

PARKED_MAX = 16  # half of it for waits, which anybody may park
READS_MAX = 16


@pytest.fixture(params=[0, 2], ids=lambda count: f"{count}-io-threads", scope="module")
def node(request):
    """A server with little room, with its connections on the loop's thread and on others."""
    flags = [f"--max_parked_calls={PARKED_MAX}", f"--max_pending_reads={READS_MAX}",
             f"--io_threads={request.param}"]
    with Cluster(1, flags=flags) as cluster:
        yield cluster.nodes[1]


def frame(method, arguments, seqid=0):
    """A call; stock clients number all of theirs 0."""
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol(buffer)
    protocol.writeMessageBegin(method, TMessageType.CALL, seqid)
    arguments.write(protocol)
    protocol.writeMessageEnd()
    body = buffer.getvalue()
    return struct.pack("!i", len(body)) + body


def wait_frame(revision):
    request = k.WaitForChangeRequest(path="/left", afterRevision=revision, maxWaitMs=60_000)
    return frame("waitForChange", HoldfastKeys.waitForChange_args(t.RequestContext(), request))


def future_read_frame(consistency):
    context = t.RequestContext(minRevision=1 << 52, deadlineMs=600_000)
    request = k.GetRequest(path="/left", consistency=consistency)
    return frame("get", HoldfastKeys.get_args(context, request))


def leave_behind(node, calls):
    """A client makes these calls, is told that the server has them, and is gone."""
    last = k.GetRequest(path="/left", consistency=t.Consistency.LOCAL)
    with socket.create_connection(("127.0.0.1", node.client_port), timeout=5) as client:
        client.sendall(calls + frame("get", HoldfastKeys.get_args(t.RequestContext(), last), 1))
        assert client.recv(4)


def has_room(call):
    """Is the call taken, whatever its answer is then?"""
    try:
        call()
    except t.HoldfastError as error:
        assert error.code in (t.ErrorCode.OVERLOADED, t.ErrorCode.TIMEOUT), error
        return error.code == t.ErrorCode.TIMEOUT
    return True


def test_waits_for_a_change_do_not_outlive_their_connection(node):
    with Stock(node.address) as stock:
        revision = stock.put(path="/left", value=b"1").revision
        leave_behind(node, wait_frame(revision) * (PARKED_MAX // 2))
        eventually(lambda: has_room(lambda: stock.waitForChange(
            path="/left", afterRevision=revision, maxWaitMs=1)), what="room for a wait")


@pytest.mark.parametrize("consistency", [t.Consistency.LOCAL, t.Consistency.LINEARIZABLE])
def test_reads_of_the_future_do_not_outlive_their_connection(node, consistency):
    leave_behind(node, future_read_frame(consistency) * (READS_MAX // 2))
    context = t.RequestContext(minRevision=1 << 52, deadlineMs=1)
    with Stock(node.address) as stock:
        eventually(lambda: has_room(lambda: stock.call(
            "get", context, path="/left", consistency=consistency)), what="room for a read")
