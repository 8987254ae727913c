#!/usr/bin/python3
"""Three holdfastd on loopback for ./dev run: started, watched and stopped here.

Everything lives below .holdfast/ (or $HOLDFAST_DEMO_HOME) and is gone after an orderly end. A lock
file says whether a cluster is up; servers die with the process that started them, however it ends.

    cluster.py check [PORT]   exit 0 if one can be started on these ports; 10, and how to reach
                              it, if one is up already; 1, and why, if neither
    cluster.py stop           ends it
"""

import ctypes
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("HOLDFAST_DEMO_HOME", ROOT / ".holdfast"))
SERVER = Path(os.environ.get("HOLDFAST_SERVER", ROOT / "build" / "bin" / "holdfastd"))

HOST = "127.0.0.1"
FIRST_PORT = 7411  # the default of server, command and clients
FIRST_PORTS = range(1024, 65536 - 23)
UP_ALREADY = 10  # exit code
NODES = (1, 2, 3)
START_LIMIT_S = 20.0
STOP_LIMIT_S = 8.0


class Refused(Exception):
    """The cluster cannot be started; the message is one line with the remedy."""


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def die_with_parent() -> None:
    """Runs in a child before exec: no server outlives the demonstration, even if that is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Server:
    """One holdfastd with its addresses, data directory and log."""

    def __init__(self, node_id: int, first_port: int) -> None:
        port = first_port + 10 * (node_id - 1)
        self.node_id = node_id
        self.ports = {"client": port, "peer": port + 1, "admin": port + 2, "http": port + 3}
        self.home = HOME / f"node{node_id}"
        self.log = self.home / "log"
        self.process: Optional["subprocess.Popen[bytes]"] = None

    def address(self, kind: str) -> str:
        return f"{HOST}:{self.ports[kind]}"

    def start(self, members: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        flags = [f"--node_id={self.node_id}", f"--data_dir={self.home / 'data'}",
                 f"--initial_cluster={members}"]
        flags += [f"--{kind}_address={self.address(kind)}" for kind in self.ports]
        if self.node_id == NODES[0]:
            flags.append("--bootstrap")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(SERVER), *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent)

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def terminate(self) -> None:
        if self.running() and self.process:
            self.process.terminate()

    def end(self) -> None:
        """After terminate(): waits, then insists."""
        if self.process:
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def status(self) -> Any:
        """The admin service's answer, by the stock generated client; None while there is none."""
        from holdfast_api.admin import HoldfastAdmin
        from holdfast_api.admin.ttypes import StatusRequest
        from holdfast_api.holdfast.ttypes import HoldfastError, RequestContext
        from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
        from thrift.Thrift import TException
        from thrift.transport import TSocket, TTransport
        logging.getLogger("thrift").setLevel(logging.CRITICAL)  # a refused connection is an answer
        connection = TSocket.TSocket(HOST, self.ports["admin"])
        connection.setTimeout(1000)
        transport = TTransport.TFramedTransport(connection)
        try:
            transport.open()
            client = HoldfastAdmin.Client(TBinaryProtocolAccelerated(transport))
            return client.status(RequestContext(), StatusRequest())
        except (TException, HoldfastError, OSError):
            return None
        finally:
            transport.close()


class Cluster:
    """The three servers, and the lock that says they are up."""

    def __init__(self, first_port: int = FIRST_PORT) -> None:
        self.first_port = first_port
        self.servers = [Server(node, first_port) for node in NODES]
        self.lock: Optional[int] = None

    @property
    def members(self) -> str:
        return ",".join(f"{s.node_id}={s.address('peer')}" for s in self.servers)

    @property
    def addresses(self) -> List[str]:
        return [server.address("client") for server in self.servers]

    def server(self, node_id: int) -> Server:
        return next(s for s in self.servers if s.node_id == node_id)

    def start(self) -> None:
        """Starts all three and waits until they agree on a leader. Raises Refused."""
        self.refuse_stale_data()
        self.refuse_taken_ports()
        HOME.mkdir(parents=True)
        self.lock = take_lock()
        if self.lock is None:
            raise Refused("another ./dev run is starting a cluster here at this moment")
        for server in self.servers:
            server.start(self.members)
        self.record()
        if not wait_until(self.ready_or_dead, START_LIMIT_S) or not self.ready():
            raise Refused(self.why_not_ready())

    def record(self) -> None:
        """Says for a second ./dev run and for ./dev clean where the cluster is and what runs."""
        facts = {"first_port": self.first_port, "starter": os.getpid(),
                 "servers": [server.pid for server in self.servers]}
        (HOME / "cluster.json").write_text(json.dumps(facts))

    def refuse_stale_data(self) -> None:
        if HOME.exists():
            raise Refused(f"data of a run that did not end well is in {HOME.name}/: look at it, "
                          f"then remove it with: rm -r {HOME}")

    def refuse_taken_ports(self) -> None:
        for server in self.servers:
            for port in server.ports.values():
                if not free(port):
                    raise Refused(f"port {port} on {HOST} is taken: stop what listens there "
                                  f"(ss -ltnp 'sport = :{port}'), or use other ports: "
                                  f"./dev run --port={other_port(self.first_port)}")

    def leader(self) -> Optional[Server]:
        """The server that a majority of the running ones, itself included, takes for the leader."""
        named = [s.leaderId for s in self.statuses().values()]
        for node_id in NODES:
            if named.count(node_id) >= 2 and self.server(node_id).running():
                return self.server(node_id)
        return None

    def statuses(self) -> Dict[int, Any]:
        answers = {s.node_id: s.status() for s in self.servers if s.running()}
        return {node_id: status for node_id, status in answers.items() if status is not None}

    def ready(self) -> bool:
        """All servers answer, name the same leader, and have applied the same entries."""
        answers = list(self.statuses().values())
        return (len(answers) == len(NODES) and answers[0].leaderId != 0
                and len({(a.leaderId, a.term, a.appliedIndex) for a in answers}) == 1)

    def ready_or_dead(self) -> bool:
        return not all(s.running() for s in self.servers) or self.ready()

    def why_not_ready(self) -> str:
        for server in self.servers:
            if not server.running():
                lines = server.log.read_text(errors="replace").strip().splitlines()
                return (f"server {server.node_id} ended: {lines[-1] if lines else 'no word'} "
                        f"(log: {server.log}; then rm -r {HOME})")
        return (f"the servers found no leader within {START_LIMIT_S:.0f} s "
                f"(logs: {HOME}/node*/log; then rm -r {HOME})")

    def stop(self, keep_data: bool = False) -> None:
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.end()
        if self.lock is not None:
            if not keep_data:
                shutil.rmtree(HOME, ignore_errors=True)
            os.close(self.lock)
            self.lock = None


def other_port(first_port: int) -> int:
    """Another first port to propose."""
    return first_port + (10000 if first_port + 10000 in FIRST_PORTS else -10000)


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def take_lock() -> Optional[int]:
    """The file descriptor that holds the lock; None if another process has it."""
    descriptor = os.open(HOME / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def up() -> bool:
    if not (HOME / "lock").exists():
        return False
    descriptor = take_lock()
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def recorded() -> Dict[str, Any]:
    try:
        facts: Dict[str, Any] = json.loads((HOME / "cluster.json").read_text())
        return facts
    except (OSError, ValueError):
        return {}


def how_to_reach(first_port: int) -> str:
    """Lines to copy and paste."""
    cluster = Cluster(first_port)
    admins = ",".join(server.address("admin") for server in cluster.servers)
    servers = ", ".join(f'"{address}"' for address in cluster.addresses)
    return f"""\
Try it by hand, in another terminal:

  export HOLDFAST_SERVERS={','.join(cluster.addresses)}
  export HOLDFAST_ADMIN={admins}
  build/bin/holdfast status
  build/bin/holdfast lock /jobs/nightly -- sh -c 'echo token $HOLDFAST_TOKEN; sleep 30' &
  sleep 1; build/bin/holdfast locks
  build/bin/holdfast lock describe /jobs/nightly
  build/bin/holdfast put /config/billing/limit 10 --parents
  build/bin/holdfast tree /config
  curl -s {cluster.servers[0].address('http')}/metrics | head
  .venv/bin/python -c '
from holdfast import Client
with Client([{servers}]) as c, c.session(ttl=10) as s, s.lock("/jobs/a") as lock:
    print("fencing token", lock.token)'"""


def is_ours(pid: int) -> bool:
    """Guards against a process id that was given to somebody else since."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        here = Path(f"/proc/{pid}/cwd").resolve() == ROOT
    except OSError:
        return False
    return here and (str(HOME) in words or "demo.py" in words)


def stop_recorded() -> None:
    """Ends what the record names: first the process that started the servers, which ends them."""
    def left() -> List[int]:
        return [pid for pid in pids if is_ours(pid)]
    facts = recorded()
    pids = [facts[key] for key in ("starter",) if key in facts] + facts.get("servers", [])
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left():
            os.kill(pid, number)
        if wait_until(lambda: not left(), 2 * STOP_LIMIT_S):
            return


def check(wanted: Optional[int]) -> int:
    """Before anything is built for it: could a cluster be started? `wanted`: on which ports."""
    if up():
        first_port = recorded().get("first_port", FIRST_PORT)
        if wanted not in (None, first_port):
            raise Refused(f"a cluster is up on the ports from {first_port}, not {wanted}: end it "
                          "first, with Ctrl-C where it runs")
        print(f"The cluster is up.\n\n{how_to_reach(first_port)}")
        return UP_ALREADY
    cluster = Cluster(FIRST_PORT if wanted is None else wanted)
    cluster.refuse_stale_data()
    cluster.refuse_taken_ports()
    return 0


def main() -> int:
    command = sys.argv[1] if len(sys.argv) in (2, 3) else ""
    if command == "check":
        try:
            return check(int(sys.argv[2]) if sys.argv[2:] not in ([], [""]) else None)
        except Refused as refused:
            print(f"./dev run: {refused}", file=sys.stderr)
            return 1
    if command == "stop":
        stop_recorded()
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
