"""Keys and watches by a client that was generated from an older IDL, alone in its process.

Called with a folder of generated code and a server's address. Makes every call about keys that the
old IDL had, and follows a watch by polls.
"""

import os
import sys

folder, address = sys.argv[1:]
sys.path.insert(0, folder)

from holdfast_api.holdfast import ttypes as t  # noqa: E402
from holdfast_api.keys import HoldfastKeys, ttypes as k  # noqa: E402
from holdfast_api.watch import ttypes as w  # noqa: E402
from thrift.protocol.TCompactProtocol import TCompactProtocol  # noqa: E402
from thrift.transport.TSocket import TSocket  # noqa: E402
from thrift.transport.TTransport import TFramedTransport  # noqa: E402

host, port = address.rsplit(":", 1)
transport = TFramedTransport(TSocket(host, int(port)))
client = HoldfastKeys.Client(TCompactProtocol(transport))
transport.open()

secret = os.urandom(16)
session = client.openSession(t.RequestContext(), t.OpenSessionRequest(
    ttlMs=10_000, name="old", secret=secret)).sessionId


def context(sequence=0):
    """The head of a call of the session."""
    return t.RequestContext(sessionId=session, sessionSecret=secret, sequence=sequence)


def refused(code, call, *arguments):
    """The call is refused with that code, and nothing was done."""
    try:
        call(*arguments)
    except t.HoldfastError as error:
        assert error.code == code and error.applied == t.Applied.NO, error
    else:
        raise AssertionError(f"{arguments} should be refused with {code}")


# Reads and writes.
top = f"/compat-{session}"
watch = client.watch(context(), k.WatchRequest(
    path=top, scope=w.WatchScope.SUBTREE, space=w.WatchSpace.KEYS, withValues=True,
    filter=[w.EventType.KEY_CREATED, w.EventType.KEY_REMOVED]))
polled = client.poll(context(), t.PollRequest(maxWaitMs=0))
assert polled.serverEpoch == watch.serverEpoch, polled
put = client.put(t.RequestContext(), k.PutRequest(path=top, value=b"1", expectedVersion=-1))
assert put.version == 1 and put.revision > watch.revision, put
assert client.put(t.RequestContext(), k.PutRequest(
    path=top, value=b"2", expectedVersion=1)).version == 2
held = client.acquire(context(1), t.AcquireRequest(path=top, waitMs=0))
guard = k.LockGuard(path=top, holderId=held.holderId)
made = client.create(context(2), k.CreateRequest(
    path=f"{top}/parent/e-", value=b"e", kind=w.KeyKind.EPHEMERAL, sequential=True,
    makeParents=True, guard=guard))
again = client.create(context(2), k.CreateRequest(
    path=f"{top}/parent/e-", value=b"e", kind=w.KeyKind.EPHEMERAL, sequential=True,
    makeParents=True, guard=guard))
assert (again.path, again.revision) == (made.path, made.revision), again
client.create(t.RequestContext(), k.CreateRequest(path=f"{top}/t", kind=w.KeyKind.TTL,
                                                  ttlMs=60_000))
key = client.get(t.RequestContext(), k.GetRequest(path=made.path)).key
assert (key.value, key.stat.ephemeralOwner, key.stat.createRevision) == (
    b"e", session, made.revision), key
found = client.getMany(t.RequestContext(), k.GetManyRequest(paths=[f"{top}/none", top])).keys
assert [lookup.found for lookup in found] == [False, True], found
assert (found[1].key.stat.childCount, found[1].key.stat.version) == (2, 2), found
page = client.listKeys(t.RequestContext(), k.ListKeysRequest(path=top, subtree=True, pageSize=2))
rest = client.listKeys(t.RequestContext(), k.ListKeysRequest(path=top, subtree=True, pageSize=2,
                                                             page=page.nextPage))
assert [entry.path for entry in page.keys + rest.keys] == [
    f"{top}/parent", made.path, f"{top}/t"] and rest.nextPage == "", (page, rest)
done = client.transact(context(3), k.TransactRequest(
    compares=[k.Compare(target=k.CompareTarget.HOLDS, path=top, number=held.holderId),
              k.Compare(target=k.CompareTarget.VALUE, path=top, value=b"2"),
              k.Compare(target=k.CompareTarget.MODIFY_REVISION,
                        relation=k.CompareRelation.GREATER, path=top, number=put.revision)],
    thenOperations=[
        k.Operation(put=k.PutRequest(path=top, value=b"3")),
        k.Operation(remove=k.RemoveRequest(path=f"{top}/t")),
        k.Operation(create=k.CreateRequest(path=f"{top}/n-", sequential=True))],
    otherwiseOperations=[k.Operation(remove=k.RemoveRequest(path=top))]))
assert done.succeeded and done.results[0].version == 3 and done.results[1].removed == 1, done
assert done.results[2].path.startswith(f"{top}/n-"), done
changed = client.waitForChange(t.RequestContext(), k.WaitForChangeRequest(
    path=top, afterRevision=put.revision, maxWaitMs=1_000))
assert changed.changed and changed.key.value == b"3", changed
refused(t.ErrorCode.NOT_EMPTY, client.remove, t.RequestContext(),
        k.RemoveRequest(path=top, expectedVersion=3))
refused(t.ErrorCode.BAD_VERSION, client.remove, t.RequestContext(),
        k.RemoveRequest(path=top, expectedVersion=2, recursive=True))
refused(t.ErrorCode.BAD_VERSION, client.put, t.RequestContext(),
        k.PutRequest(path=top, value=b"4", expectedVersion=2))
stale = k.LockGuard(path=top, holderId=held.holderId + 1)
refused(t.ErrorCode.NOT_HELD, client.put, context(4),
        k.PutRequest(path=top, value=b"4", guard=stale))
refused(t.ErrorCode.NOT_HELD, client.remove, context(5),
        k.RemoveRequest(path=top, recursive=True, guard=stale))
refused(t.ErrorCode.NOT_HELD, client.create, context(6),
        k.CreateRequest(path=f"{top}/g", guard=stale))
refused(t.ErrorCode.KEY_EXISTS, client.create, t.RequestContext(), k.CreateRequest(path=top))
refused(t.ErrorCode.NO_KEY, client.put, t.RequestContext(), k.PutRequest(path=f"{top}/x/y"))
removed = client.remove(t.RequestContext(), k.RemoveRequest(path=top, recursive=True))
assert removed.removed == 4, removed

# What the watch told of it.
told = []
while not told or told[-1][:2] != (removed.revision, top):
    polled = client.poll(context(), t.PollRequest(acknowledgedDelivery=polled.delivery,
                                                  maxWaitMs=2_000))
    for delivery in polled.watches or ():
        assert (delivery.watchId, delivery.kind) == (watch.watchId, w.DeliveryKind.EVENTS)
        told += [(delivery.revision, event.path, event.eventType, event.value or b"")
                 for event in delivery.events]
CREATED, REMOVED = w.EventType.KEY_CREATED, w.EventType.KEY_REMOVED
assert told[:3] == [(put.revision, top, CREATED, b"1"),
                    (made.revision, f"{top}/parent", CREATED, b""),
                    (made.revision, made.path, CREATED, b"e")], told
assert {kind for _, _, kind, _ in told} == {CREATED, REMOVED}, told
assert polled.progressRevision >= removed.revision, polled
client.unwatch(context(), k.UnwatchRequest(watchId=watch.watchId))
client.closeSession(context(7), t.CloseSessionRequest())
transport.close()
print("compatible")
