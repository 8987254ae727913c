#!/usr/bin/python3
"""Writes the first inputs of the fuzzers into tests/fuzz/corpus: real calls, and short stories.

    PYTHONPATH=build/gen/py /usr/bin/python3 -B tests/fuzz/seeds.py

Each target's input is a list of steps that its source describes; what the fuzzers have found since
stands beside these.
"""

from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

from holdfast_api.admin import HoldfastAdmin
from holdfast_api.admin import ttypes as admin
from holdfast_api.holdfast import Holdfast
from holdfast_api.holdfast import ttypes as api
from holdfast_api.keys import HoldfastKeys
from holdfast_api.keys import ttypes as keys
from holdfast_api.watch import ttypes as watch
from holdfast_replicated.command import ttypes as command
from holdfast_replicated.peer import ttypes as peer
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

CORPUS = Path(__file__).resolve().parent / "corpus"
SECRETS = (b"a" * 16, b"b" * 16)
# Entry 1 founds the cluster, entry 2 begins the leader's term.
FIRST_SESSION = 3

# Steps of tests/fuzz/dispatch.cc.
CLIENT, ADMIN, MILLISECONDS, LONGER, APP, PEER, PAUSE, DRAIN = range(8)


class Calls:
    """The bytes of one input for the target `dispatch`: calls in one protocol, time between."""

    def __init__(self, protocol: Any, members: int = 1) -> None:
        self.protocol = protocol
        self.bytes = bytes([1 if members == 3 else 0])
        self.sequences: Dict[int, int] = {}

    def frame(self, kind: int, service: Any, method: str, context: Any, request: Any) -> "Calls":
        buffer = TMemoryBuffer()
        client = service.Client(self.protocol(buffer))
        getattr(client, "send_" + method)(context, request)
        frame = buffer.getvalue()
        self.bytes += bytes([kind]) + len(frame).to_bytes(2, "big") + frame
        return self

    def call(self, session: int, method: str, request: Any) -> "Calls":
        """A command of session 0, 1, ... with the next sequence."""
        self.sequences[session] = self.sequences.get(session, 0) + 1
        context = api.RequestContext(sessionId=FIRST_SESSION + session,
                                     sequence=self.sequences[session],
                                     sessionSecret=SECRETS[session])
        return self.frame(CLIENT, HoldfastKeys, method, context, request)

    def ask(self, method: str, request: Any) -> "Calls":
        """A call without a session."""
        return self.frame(CLIENT, Holdfast, method, api.RequestContext(), request)

    def operate(self, method: str, request: Any) -> "Calls":
        return self.frame(ADMIN, HoldfastAdmin, method, api.RequestContext(), request)

    def open(self, *sessions: int) -> "Calls":
        for session in sessions:
            self.ask("openSession", api.OpenSessionRequest(
                ttlMs=10_000, name=f"client {session}", secret=SECRETS[session],
                attributes={"host": "h"}))
        return self

    def wait(self, milliseconds: int) -> "Calls":
        self.bytes += bytes([LONGER, milliseconds // 50])
        return self

    def step(self, *numbers: int) -> "Calls":
        self.bytes += bytes(numbers)
        return self


def compact(struct: Any) -> bytes:
    buffer = TMemoryBuffer()
    struct.write(TCompactProtocol(buffer))
    return bytes(buffer.getvalue())


def from_a_peer(kind: int, struct: Any) -> Tuple[int, ...]:
    """The step of a message from server 2."""
    message = compact(struct)
    return (APP, 2, kind, *len(message).to_bytes(2, "big"), *message)


def acquire(path: str, **more: Any) -> Any:
    return api.AcquireRequest(path=path, mode=api.LockMode.EXCLUSIVE, **more)


def dispatch_stories(protocol: Any) -> Iterator[Tuple[str, Calls]]:
    def calls(members: int = 1) -> Calls:
        return Calls(protocol, members)

    everything: Dict[str, Any] = {"value": b"v", "lockDelayMs": 100, "maxQueue": 3, "owner": "o"}
    yield "session", calls().open(0).call(0, "poll", api.PollRequest(
        maxWaitMs=500, renewNow=True)).wait(600).call(0, "keepAlive", api.KeepAliveRequest()).call(
            0, "closeSession", api.CloseSessionRequest())
    yield "lock", calls().open(0, 1).call(0, "acquire", acquire("/a", **everything)).call(
        1, "acquire", acquire("/a", waitMs=-1)).call(0, "setHolderValue", api.SetHolderValueRequest(
            path="/a", holderId=5, value=b"new")).call(0, "release", api.ReleaseRequest(
                path="/a", holderId=5)).wait(100)
    yield "queue", calls().open(0, 1).call(0, "acquire", acquire("/a")).call(
        1, "acquire", acquire("/a", waitMs=-1, enqueue=True)).call(
            1, "poll", api.PollRequest(maxWaitMs=1_000)).call(
                1, "cancelAcquire", api.CancelAcquireRequest(
                    path="/a", acquireSequence=1)).wait(1_100)
    yield "all", calls().open(0).call(0, "acquireAll", api.AcquireAllRequest(locks=[
        api.LockWanted(path="/a", mode=api.LockMode.EXCLUSIVE),
        api.LockWanted(path="/b", mode=api.LockMode.SEMAPHORE, permits=1, limit=2),
        api.LockWanted(path="/c", mode=api.LockMode.SHARED)], waitMs=50)).call(
            0, "releaseAll", api.ReleaseAllRequest(holderId=4))
    yield "reads", calls().open(0).call(0, "acquire", acquire("/a")).ask(
        "checkToken", api.CheckTokenRequest(path="/a", token=4)).ask(
            "describeLock", api.DescribeLockRequest(path="/a")).ask(
                "listLocks", api.ListLocksRequest(prefix="/"))
    yield "revoke", calls().open(0).call(0, "acquire", acquire("/a")).ask(
        "revokeLock", api.RevokeLockRequest(path="/a", noticeMs=200, reason="why")).call(
            0, "poll", api.PollRequest(acknowledgedNotices=[5])).wait(400)
    yield "expiry", calls().open(0, 1).call(0, "acquire", acquire("/a")).wait(12_000).wait(12_000)
    yield "operator", calls().open(0).operate("status", admin.StatusRequest()).operate(
        "members", admin.MembersRequest()).operate("listSessions", admin.ListSessionsRequest(
            pageSize=10)).operate("settings", admin.SettingsRequest(
                changes={"tenures_kept": 5})).operate("transferLeadership",
                                                      admin.TransferLeadershipRequest(nodeId=2))
    yield "watchers", calls().open(0).call(0, "watch", keys.WatchRequest(
        path="/a", scope=watch.WatchScope.SUBTREE, space=watch.WatchSpace.BOTH)).operate(
            "listWatches", admin.ListWatchesRequest(pageSize=10)).call(
                0, "acquire", acquire("/a/b")).operate("listWatches", admin.ListWatchesRequest())
    yield "expire", calls().open(0).operate("expireSession", admin.ExpireSessionRequest(
        sessionId=FIRST_SESSION, noticeMs=100, reason="why")).wait(300)
    yield "drain", calls().open(0).call(0, "poll", api.PollRequest(maxWaitMs=9_000)).step(
        DRAIN, 1).open(1)
    yield "pause", calls().open(0).call(0, "acquire", acquire("/a")).step(PAUSE, 200).call(
        0, "poll", api.PollRequest(renewNow=True))
    forwarded = peer.ForwardedCommand(
        header=command.CommandHeader(level=1, kind=command.CommandKind.ACQUIRE, originNode=2,
                                     originRequest=7, sessionId=FIRST_SESSION, sequence=1),
        body=compact(command.Acquire(claim=command.LockClaim(
            path="/a", mode=api.LockMode.EXCLUSIVE), waitMs=-1)))
    yield "forwarded", calls().open(0).step(*from_a_peer(1, peer.ForwardBatch(
        commands=[forwarded], term=2))).wait(100)
    yield "peers", calls().open(0).step(*from_a_peer(3, peer.RenewalBatch(
        renewals=[peer.Renewal(request=1, sessionId=FIRST_SESSION)]))).step(*from_a_peer(
            5, peer.TransferRequest(request=1, nodeId=1))).step(*from_a_peer(
                7, peer.LeaseQuery(request=1, sessionIds=[FIRST_SESSION]))).step(*from_a_peer(
                    8, peer.LeaseReply(request=1, leaseLeftMs=[5])))
    yield "alone", calls(3).open(0).wait(2_000).operate("status", admin.StatusRequest()).step(
        PEER, 7, 0, 4, 1, 2, 3, 4).step(APP, 2, 1, 0, 3, 1, 2, 3).wait(6_000)


def script_stories() -> Iterator[Tuple[str, bytes]]:
    """Steps by hand for the other three; the order of numbers is that of the target's source."""
    yield "recovery/sound-0", bytes([0])
    yield "recovery/sound-3", bytes([3])
    for kind in range(7):
        for file in range(3):
            yield (f"recovery/one-{kind}-{file}",
                   bytes([3, file, kind, 1, file * 40, 60 + kind, 1, 65, 3, 1, 1]))
    for log in (4, 5):
        for received in range(2):
            yield f"recovery/cut-{log}-{received}", bytes([log, received])
            for kind in range(7):
                yield (f"recovery/cut-{log}-{received}-{kind}",
                       bytes([log, received, kind, kind, 77, 60 + kind, 1, 65, 3, 1, 1]))
    forged = bytes([2, 1, 6, 1, 2, 1, 1, 5, 8]) + b"payload." + bytes([1, 2, 5])
    yield "recovery/forged-batch", forged
    yield "commands/plain", bytes([7]) + bytes([0, 63]) * 6
    yield "commands/reload", bytes([9]) + bytes([0, 40, 3]) * 8
    yield "commands/terms", bytes([11]) + bytes([0, 40, 2, 1]) * 8
    for how in (1, 3, 129, 131):
        edit = bytes([6, how, 5, 200, 9, 1, 20, 7])
        yield f"commands/edit-{how}", bytes([13, 0, 63, 0, 63]) + edit * 9
    for kind in range(1, 17):
        yield f"commands/kind-{kind}", bytes([3, 0, 63, 5, kind, 200, 2, 4, 1, 0, 4, 9, 22, 0, 0])
    for size in range(5):
        calm = bytes([0, size, 3, 0, 5, 0, 3, 255, 0, 6, 40, 0, 0, 7, 0, 3, 255])
        yield f"core/led-{size}", calm
        slow = bytes([0, size, 3, 1]) + calm[4:] + bytes([0, 10, 3, 1, 10, 1])
        yield f"core/slow-disk-{size}", slow
    for flags in (1, 2, 4, 8, 16, 32, 64, 128):
        yield f"core/flags-{flags}", (bytes([flags, 2, 3, 0, 0, 5, 0, 3, 255, 0, 6, 200, 0, 3, 255])
                                      + bytes([1, 0, 100, 1, 1, 1, 3, 255]) * 4)
    for message in range(13):
        lie = bytes([1, 13, message, 3, 1, 0, 0, 0, 0, 0, 0, 4 + 64, 0, 1])
        yield f"core/lie-{message}", bytes([0, 2, 3, 0, 0, 5, 0, 3, 255]) + lie * 3


def write(name: str, content: bytes) -> None:
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> None:
    for kind, protocol in (("binary", TBinaryProtocol), ("compact", TCompactProtocol)):
        for name, calls in dispatch_stories(protocol):
            write(f"dispatch/{name}-{kind}", calls.bytes)
    for name, content in script_stories():
        write(name, content)


if __name__ == "__main__":
    main()
