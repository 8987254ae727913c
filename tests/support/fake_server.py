"""Servers on loopback that speak the IDL over :class:`fake_model.Model`, and misbehave on order.

Only for tests of how the Python client takes failures; everything else runs against real servers.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import struct
import threading
import time
from typing import Any, Callable, Deque, Dict, List, Optional, Set

from holdfast_api.holdfast import Holdfast
from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import HoldfastKeys
from holdfast_api.keys import ttypes as k
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from .fake_keys import ServerWatches
from .fake_model import DRIFT, FakeSession, Model, boot, refusal


class Fault:
    """What happens to the next call of a method.

    ``before``: raised instead of applying. ``drop_request`` and ``drop_reply`` close the connection
    before or after applying; ``delay`` holds the reply back; ``echo`` replaces the sequence.
    """

    def __init__(self, *, before: Optional[Exception] = None, drop_request: bool = False,
                 drop_reply: bool = False, delay: float = 0.0, echo: Optional[int] = None,
                 then: Callable[[], None] = lambda: None) -> None:
        self.before = before
        self.drop_request = drop_request
        self.drop_reply = drop_reply
        self.delay = delay
        self.echo = echo
        self.then = then


class Handler:
    """The service over the model, on one server."""

    def __init__(self, server: "FakeServer") -> None:
        self.server = server
        self.model = server.cluster.model

    def _lease(self, session: FakeSession) -> int:
        session.renewed_at = boot()
        return int(session.ttl * 1000 * DRIFT)

    def openSession(self, context: Any, request: Any) -> Any:
        model = self.model
        session = next((s for s in model.sessions.values() if s.secret == request.secret), None)
        if session is None:
            if request.ttlMs < 1000:
                raise refusal("BAD_ARGUMENT", f"ttlMs {request.ttlMs} is below 1000")
            model.revision += 1
            session = FakeSession(model.revision, request)
            model.sessions[session.id] = session
        return t.OpenSessionResult(sessionId=session.id, ttlMs=request.ttlMs,
                                   leaseMs=self._lease(session),
                                   servers=self.server.cluster.addresses(), revocations=[])

    def poll(self, context: Any, request: Any) -> Any:
        session = self.model.find(context)
        lease = self._lease(session)
        session.acknowledged_notices.update(request.acknowledgedNotices or ())
        session_seen = self.server.node_id in session.polled_by
        session.polled_by.add(self.server.node_id)
        self.model.poll_numbers.append(request.pollNumber or 0)
        if (request.pollNumber or 0) < self.server.poll_numbers[session.id]:
            raise refusal("SUPERSEDED", "a newer poll of this session has been here")
        self.server.poll_numbers[session.id] = request.pollNumber or 0
        watches = self.server.watches
        watches.acknowledge(session.id, request.acknowledgedDelivery or 0)
        self.model.acknowledged.append((self.server.node_id, request.acknowledgedDelivery or 0))
        number = self.server.polls[session.id] = self.server.polls[session.id] + 1
        self.model.changed.notify_all()
        told = set(session.notices) if session_seen else set()
        until = time.monotonic() + min(session.ttl / 4, request.maxWaitMs / 1000)
        if session_seen and not request.renewNow:
            while not (session.grants or session.losses or set(session.notices) - told
                       or watches.has_news(session.id) or self.server.stopped.is_set()
                       or session.id not in self.model.sessions
                       or number != self.server.polls[session.id]):
                left = until - time.monotonic()
                if left <= 0 or not self.model.changed.wait(left):
                    break
        self.model.find(context)
        if number != self.server.polls[session.id]:
            raise refusal("SUPERSEDED", "a newer poll of this session arrived")
        result = t.PollResult(leaseMs=lease, grants=session.grants, losses=session.losses,
                              revocations=list(session.notices.values()))
        watches.collect(session.id, result)
        session.grants, session.losses = [], []
        return result

    def keepAlive(self, context: Any, request: Any) -> Any:
        session = self.model.find(context)
        return t.KeepAliveResult(leaseMs=self._lease(session),
                                 revocations=list(session.notices.values()))

    def closeSession(self, context: Any, request: Any) -> Any:
        session = self.model.enter(context)
        self.model.end_session(session.id, t.EndReason.SESSION_CLOSED)
        return t.CloseSessionResult()

    def acquire(self, context: Any, request: Any) -> Any:
        want = t.LockWanted(request.path, request.mode, request.permits, request.limit)
        return self.model.once(context, lambda s: self.model.acquire(
            s, context.sequence, [want], request, False))

    def acquireAll(self, context: Any, request: Any) -> Any:
        return self.model.once(context, lambda s: self.model.acquire(
            s, context.sequence, request.locks, request, True))

    def cancelAcquire(self, context: Any, request: Any) -> Any:
        return self.model.once(context, lambda s: self.model.cancel(s, request))

    def release(self, context: Any, request: Any) -> Any:
        return self.model.once(context, lambda s: t.ReleaseResult(status=self.model.release(
            s, request.path, request.holderId, request.to or 0)))

    def releaseAll(self, context: Any, request: Any) -> Any:
        return self.model.once(context, lambda s: t.ReleaseResult(status=self.model.release(
            s, None, request.holderId)))

    def setHolderValue(self, context: Any, request: Any) -> Any:
        def apply(session: FakeSession) -> Any:
            for claim in self.model.holders(request.path):
                if claim.holder_id == request.holderId and claim.session is session:
                    claim.values[request.path] = request.value
                    return t.SetHolderValueResult()
            raise refusal("NOT_HELD", f"{request.path} is not held by {request.holderId}")
        return self.model.once(context, apply)

    def checkToken(self, context: Any, request: Any) -> Any:
        tokens = [c.token for c in self.model.holders(request.path)]
        return t.CheckTokenResult(current=request.token in tokens,
                                  latestToken=max(tokens, default=0))

    def describeLock(self, context: Any, request: Any) -> Any:
        return t.DescribeLockResult(lock=self.model.describe(request.path))

    def listLocks(self, context: Any, request: Any) -> Any:
        paths = sorted({p for c in self.model.held + self.model.queue for p in c.paths
                        if p.startswith(request.prefix or "") and p > (request.page or "")})
        page = [t.LockSummary(p, self.model.describe_holders(p), len(self.model.holders(p)), 0)
                for p in paths[:2]]
        return t.ListLocksResult(locks=page, nextPage=paths[1] if len(paths) > 2 else "")

    def revokeLock(self, context: Any, request: Any) -> Any:
        self.model.revision += 1
        concerned = self.model.holders(request.path)
        for claim in concerned:
            if request.force:
                self.model.take_away(claim, t.EndReason.REVOKED)
            else:
                claim.session.notices[claim.holder_id] = t.RevocationNotice(
                    self.model.revision, request.path, claim.holder_id, request.noticeMs,
                    request.reason)
        self.model.grant()
        return t.RevokeLockResult(noticeId=self.model.revision, holders=len(concerned))


class KeysHandler(Handler):
    """Keys and watches, too."""

    def get(self, context: Any, request: Any) -> Any:
        entry = self.model.keys.entries.get(request.path)
        return k.GetResult(found=entry is not None, key=entry)

    def getMany(self, context: Any, request: Any) -> Any:
        found = [self.model.keys.entries.get(path) for path in request.paths[:2]]
        return k.GetManyResult(keys=[k.KeyLookup(entry is not None, entry) for entry in found])

    def listKeys(self, context: Any, request: Any) -> Any:
        if request.path != "/" and request.path not in self.model.keys.entries:
            raise refusal("NO_KEY", f"key {request.path} does not exist")
        after = (request.page or "").split("/")
        found = [e for e in self.model.keys.below(request.path, request.subtree)
                 if not request.page or e.path.split("/") > after]
        page = found[:self.server.page_size]
        return k.ListKeysResult(keys=page,
                                nextPage=page[-1].path if len(found) > len(page) else "")

    def waitForChange(self, context: Any, request: Any) -> Any:
        until = time.monotonic() + request.maxWaitMs / 1000
        keys = self.model.keys
        while not (changed := not request.afterRevision or request.afterRevision < keys.floor
                   or any(revision > request.afterRevision and any(
                       e.path == request.path for e in events)
                       for revision, events in keys.history)):
            left = until - time.monotonic()
            if left <= 0 or not self.model.changed.wait(left):
                break
        entry = keys.entries.get(request.path)
        return k.WaitForChangeResult(changed=changed, found=entry is not None, key=entry)

    def put(self, context: Any, request: Any) -> Any:
        return self.model.write(context, lambda owner: k.PutResult(
            revision=self.model.revision,
            version=self.model.keys.put(self.model.revision, request)))

    def create(self, context: Any, request: Any) -> Any:
        return self.model.write(context, lambda owner: k.CreateResult(
            revision=self.model.revision,
            path=self.model.keys.create(self.model.revision, request, owner)))

    def remove(self, context: Any, request: Any) -> Any:
        return self.model.write(context, lambda owner: k.RemoveResult(
            revision=self.model.revision, removed=self.model.keys.remove(request)))

    def transact(self, context: Any, request: Any) -> Any:
        return self.model.write(context, lambda owner: self.model.keys.transact(
            self.model.revision, request, owner))

    def watch(self, context: Any, request: Any) -> Any:
        return self.server.watches.watch(self.model.find(context).id, request)

    def unwatch(self, context: Any, request: Any) -> Any:
        self.server.watches.unwatch(self.model.find(context).id, request.watchId)
        return k.UnwatchResult()


def message_class(name: str) -> Any:
    """Of either service."""
    return getattr(HoldfastKeys, name, None) or getattr(Holdfast, name)


class FakeServer:
    """One server: a listener and a thread per connection."""

    def __init__(self, cluster: "FakeCluster", node_id: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.faults: Dict[str, Deque[Fault]] = collections.defaultdict(collections.deque)
        self.black_hole = threading.Event()
        self.stopped = threading.Event()
        self.watches = ServerWatches(cluster.model)
        self.polls: Dict[int, int] = collections.defaultdict(int)
        #: The number of the newest poll of each session.
        self.poll_numbers: Dict[int, int] = collections.defaultdict(int)
        self.page_size = 2
        self._connections: Set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._serve()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        return listener

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._connections.add(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                frame = _frame(connection)
                self._pass_black_hole()
                reply = self._answer(frame)
                self._pass_black_hole()
                if reply is None:
                    break
                connection.sendall(struct.pack("!i", len(reply)) + reply)
        self._connections.discard(connection)
        connection.close()

    def _pass_black_hole(self) -> None:
        while self.black_hole.is_set():
            time.sleep(0.01)

    def _answer(self, frame: bytes) -> Optional[bytes]:
        protocol = TBinaryProtocol(TMemoryBuffer(frame))
        method, _, _ = protocol.readMessageBegin()
        args = message_class(f"{method}_args")()
        args.read(protocol)
        context = args.context
        faults = self.faults[method]
        fault = faults.popleft() if faults else Fault()
        if fault.drop_request:
            return None
        result = message_class(f"{method}_result")()
        with self.cluster.model.mutex:
            self.cluster.model.calls.append((method, self.node_id, context.sequence or 0))
            self.cluster.model.contexts.append((method, context))
            try:
                if fault.before is not None:
                    raise fault.before
                outcome = getattr(KeysHandler(self), method)(context, args.request)
                result.success = outcome
            except t.HoldfastError as error:
                outcome = result.error = error
            outcome.header = self._header(context.sequence if fault.echo is None else fault.echo)
            out = TMemoryBuffer()
            encoder = TBinaryProtocol(out)
            encoder.writeMessageBegin(method, TMessageType.REPLY, 0)
            result.write(encoder)
            encoder.writeMessageEnd()
        fault.then()
        self.stopped.wait(fault.delay)
        return None if fault.drop_reply else bytes(out.getvalue())

    def _header(self, sequence: Optional[int]) -> Any:
        model, leader = self.cluster.model, self.cluster.leader
        return t.ResponseHeader(
            revision=model.revision, sequence=sequence, leaderId=leader.node_id if leader else 0,
            leaderAddress=leader.address if leader else "", term=1, clusterId=model.cluster_id,
            serverId=self.node_id)

    def stop(self) -> None:
        """Refuse connections and cut the present ones."""
        self.stopped.set()
        with self.cluster.model.mutex:
            self.cluster.model.changed.notify_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def start(self) -> None:
        """Come back on the same port, as another process: without any watch."""
        self.watches = ServerWatches(self.cluster.model)
        self.stopped.clear()
        self._listener = self._listen(self.port)
        self._serve()


class FakeCluster:
    """Some servers over one model."""

    def __init__(self, size: int) -> None:
        self.model = Model()
        self.leader: Optional[FakeServer] = None
        self.servers: List[FakeServer] = []
        self.servers = [FakeServer(self, node_id) for node_id in range(1, size + 1)]
        self.leader = self.servers[0]

    def addresses(self) -> List[Any]:
        """As openSession answers them."""
        return [t.ServerAddress(s.node_id, s.address) for s in self.servers]

    @property
    def seeds(self) -> List[str]:
        """As a client is given them."""
        return [s.address for s in self.servers]

    def fault(self, method: str, fault: Fault, *, server: Optional[FakeServer] = None) -> None:
        """Have the next call of ``method`` on ``server`` (on each, if None) go wrong."""
        for each in [server] if server else self.servers:
            each.faults[method].append(fault)

    def sent(self, method: str) -> List[int]:
        """The sequences with which ``method`` was called, in order."""
        with self.model.mutex:
            return [sequence for name, _, sequence in self.model.calls if name == method]

    def stop(self) -> None:
        """End all servers."""
        for server in self.servers:
            server.black_hole.clear()
            server.stop()


def _frame(connection: socket.socket) -> bytes:
    (size,) = struct.unpack("!i", _exactly(connection, 4))
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
