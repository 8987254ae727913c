"""Administration by a client that was generated from an older IDL, alone in its process.

Called with a folder of generated code, the address of a server's administration port and that of
its clients' port. Makes every call that the old IDL had; it changes no more than it takes back.
"""

import os
import sys
import time

folder, admin_address, client_address = sys.argv[1:]
sys.path.insert(0, folder)

from holdfast_api.admin import HoldfastAdmin, ttypes as a  # noqa: E402
from holdfast_api.holdfast import Holdfast, ttypes as t  # noqa: E402
from thrift.protocol.TCompactProtocol import TCompactProtocol  # noqa: E402
from thrift.transport.TSocket import TSocket  # noqa: E402
from thrift.transport.TTransport import TFramedTransport  # noqa: E402


def dial(service, address):
    """A client of the service."""
    host, port = address.rsplit(":", 1)
    transport = TFramedTransport(TSocket(host, int(port)))
    transport.open()
    return service.Client(TCompactProtocol(transport))


admin, client = dial(HoldfastAdmin, admin_address), dial(Holdfast, client_address)
nobody = t.RequestContext()

# What a server says of itself and of the cluster, once it knows who leads by now.
until = time.monotonic() + 10
status = admin.status(nobody, a.StatusRequest())
while not status.leaderId and time.monotonic() < until:
    time.sleep(0.05)
    status = admin.status(nobody, a.StatusRequest())
assert status.nodeId in (1, 2, 3) and status.term > 0 and status.leaderId in (1, 2, 3), status
assert status.role in (a.RaftRole.LEADER, a.RaftRole.FOLLOWER), status
assert (status.role == a.RaftRole.LEADER) == (status.leaderId == status.nodeId), status
assert 0 < status.firstIndex <= status.lastIndex and status.appliedIndex > 0, status
assert sorted(status.voters) == [1, 2, 3] and not status.learners, status
assert len(status.connections) == 2 and len(status.stateDigest) == 32, status
assert len(status.progress or ()) == (2 if status.role == a.RaftRole.LEADER else 0), status
members = admin.members(nobody, a.MembersRequest()).members
assert [(m.nodeId, m.voter) for m in members] == [(1, True), (2, True), (3, True)], members
assert all(m.storeId > 0 and m.peerAddress and m.clientAddress for m in members), members

# Sessions: page by page, and one that is ended.
secret = os.urandom(16)
opened = client.openSession(nobody, t.OpenSessionRequest(
    ttlMs=10_000, name="old", attributes={"written": "before members"}, secret=secret))
again = client.openSession(nobody, t.OpenSessionRequest(
    ttlMs=10_000, name="old too", secret=os.urandom(16)))
listed, page = [], 0
while True:
    answer = admin.listSessions(nobody, a.ListSessionsRequest(page=page, pageSize=1))
    listed += answer.sessions
    page = answer.nextPage
    if not page:
        break
mine = next(s for s in listed if s.sessionId == opened.sessionId)
assert (mine.name, mine.ttlMs, mine.late) == ("old", 10_000, False), mine
assert mine.attributes == {"written": "before members"} and mine.locks == 0, mine
assert again.sessionId in [s.sessionId for s in listed], listed
for session in (opened.sessionId, again.sessionId):
    admin.expireSession(t.RequestContext(trace="compat"), a.ExpireSessionRequest(
        sessionId=session, reason="tidying", force=True))
try:
    admin.expireSession(nobody, a.ExpireSessionRequest(sessionId=opened.sessionId, force=True))
except t.HoldfastError as error:
    assert error.code == t.ErrorCode.SESSION_EXPIRED and error.applied == t.Applied.NO, error
else:
    raise AssertionError("a session that has ended should be refused")

# Settings: read, changed and changed back.
name = "waiters_per_lock_max"


def setting(changes=None):
    """Its value, after the changes."""
    result = admin.settings(nobody, a.SettingsRequest(changes=changes))
    return next(s for s in result.settings if s.name == name)


before = setting()
assert before.smallest <= before.value <= before.largest and before.help, before
assert setting({name: before.value - 1}).value == before.value - 1
assert setting({name: before.value}).value == before.value == setting().value

# The state in pieces: the first says how many there are.
saved, copy, offset = b"", 0, 0
while True:
    piece = admin.snapshotPiece(nobody, a.SnapshotPieceRequest(
        copy=copy, offset=offset, maxWaitMs=5_000))
    if piece.copy == 0:
        continue
    assert piece.offset == len(saved) and piece.revision > 0, (piece.offset, len(saved))
    saved += piece.data
    copy, offset = piece.copy, len(saved)
    if offset == piece.bytes:
        break
assert saved.startswith(b"SQLite format 3\0")

# Leadership, to whom it is given.
target = next(node for node in (1, 2, 3) if node != status.leaderId)
given = admin.transferLeadership(nobody, a.TransferLeadershipRequest(nodeId=target))
assert given.header.leaderId == target, given
print("compatible")
