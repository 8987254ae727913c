"""Locks by a client that was generated from an older IDL, alone in its process.

Called with a folder of generated code and a server's address. Uses every field that the old IDL
had for the way of a lock: open, acquire, poll, describe, release, close.
"""

import os
import sys

folder, address = sys.argv[1:]
sys.path.insert(0, folder)

from holdfast_api.holdfast import Holdfast, ttypes as t  # noqa: E402
from thrift.protocol.TCompactProtocol import TCompactProtocol  # noqa: E402
from thrift.transport.TSocket import TSocket  # noqa: E402
from thrift.transport.TTransport import TFramedTransport  # noqa: E402

host, port = address.rsplit(":", 1)
transport = TFramedTransport(TSocket(host, int(port)))
client = Holdfast.Client(TCompactProtocol(transport))
transport.open()

secret = os.urandom(16)
session = client.openSession(t.RequestContext(), t.OpenSessionRequest(
    ttlMs=10_000, name="old", attributes={"written": "before keys"}, secret=secret)).sessionId


def context(sequence=0):
    """The head of a call of the session."""
    return t.RequestContext(sessionId=session, sessionSecret=secret, sequence=sequence)


held = client.acquire(context(1), t.AcquireRequest(path="/compat", waitMs=0, value=b"here"))
assert held.status == t.AcquireStatus.GRANTED, held
again = client.acquire(context(1), t.AcquireRequest(path="/compat", waitMs=0, value=b"here"))
assert (again.status, again.token) == (held.status, held.token), again
polled = client.poll(context(), t.PollRequest(maxWaitMs=100))
assert polled.leaseMs > 0 and polled.delivery > 0, polled
assert client.checkToken(t.RequestContext(), t.CheckTokenRequest(
    path="/compat", token=held.token)).current
lock = client.describeLock(t.RequestContext(), t.DescribeLockRequest(path="/compat")).lock
assert [(h.sessionId, h.value) for h in lock.holders] == [(session, b"here")], lock
released = client.release(context(2), t.ReleaseRequest(path="/compat", holderId=held.holderId))
assert released.status == t.ReleaseStatus.RELEASED, released
try:
    client.acquire(context(3), t.AcquireRequest(path="no slash", waitMs=0))
except t.HoldfastError as error:
    assert error.code == t.ErrorCode.BAD_ARGUMENT and error.applied == t.Applied.NO, error
else:
    raise AssertionError("a bad path was taken")
client.closeSession(context(4), t.CloseSessionRequest())
transport.close()
print("compatible")
