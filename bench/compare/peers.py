"""Three ZooKeeper or etcd servers on loopback, with the settings that they are compared with.

What is not set here has the system's default. Data and logs are in a temporary directory, every
port was free a moment ago, and the servers die with the process that started them.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "demo"))

from cluster import die_with_parent, wait_until  # noqa: E402

HOST = "127.0.0.1"
SERVERS = 3
START_LIMIT_S = 60.0
ANSWER_LIMIT_S = 2.0
# A server rests that takes less than this of a core for a second; snapshots are written by then.
RESTING_CORES = 0.05
REST_LIMIT_S = 120.0

JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
JAVA = ["java", "-Xms1g", "-Xmx1g", "-Dzookeeper.forceSync=yes",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", JARS,
        "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
# The three first lines are those of the sample that ZooKeeper comes with.
ZOO_CFG = """\
tickTime=2000
initLimit=10
syncLimit=5
dataDir={data}
clientPortAddress={host}
clientPort={port}
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


class Refused(Exception):
    """The servers cannot be measured; the message is one line."""


def free_ports(count: int) -> List[int]:
    """All are held until all are known."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Peers:
    """The servers of one system. start() waits for a leader; stop() leaves nothing behind."""

    name = ""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"compare-{self.name}-"))
        ports = free_ports(3 * SERVERS)
        self.client_ports = ports[:SERVERS]
        self.peer_ports = ports[SERVERS:2 * SERVERS]
        self.election_ports = ports[2 * SERVERS:]
        self.processes: List["subprocess.Popen[bytes]"] = []

    def command(self, index: int) -> List[str]:
        """Prepares a server's directory and says how it is started."""
        raise NotImplementedError

    def leads(self, index: int) -> bool:
        """Whether a server says that it leads; False if it does not answer."""
        raise NotImplementedError

    def follows(self, index: int) -> bool:
        """Whether a server that does not lead answers clients."""
        raise NotImplementedError

    def data(self, index: int) -> Path:
        return self.home / str(index + 1)

    def start(self) -> None:
        for index in range(SERVERS):
            self.data(index).mkdir()
            self.processes.append(self.launch(index))
        if not wait_until(lambda: self.leader() is not None or self.ended() is not None,
                          START_LIMIT_S) or self.leader() is None:
            raise Refused(self.why_not_ready())

    def launch(self, index: int) -> "subprocess.Popen[bytes]":
        command = self.command(index)
        with self.log(index).open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home,
                start_new_session=True, preexec_fn=die_with_parent)

    def restart(self, index: int) -> float:
        """Stops a follower politely and starts it again; seconds from then until it answers."""
        self.processes[index].terminate()
        self.processes[index].wait()
        began = time.monotonic()
        self.processes[index] = self.launch(index)
        if not wait_until(lambda: self.follows(index), START_LIMIT_S):
            raise Refused(f"{self.name}: server {index + 1} does not answer "
                          f"{START_LIMIT_S:.0f} s after its restart")
        return time.monotonic() - began

    def follower(self) -> int:
        leader = self.leader()
        return next(index for index in range(SERVERS) if index != leader)

    def wait_for_rest(self, index: int) -> None:
        deadline = time.monotonic() + REST_LIMIT_S
        busy = RESTING_CORES
        while busy >= RESTING_CORES:
            if time.monotonic() > deadline:
                raise Refused(f"{self.name}: server {index + 1} is busy for {REST_LIMIT_S:.0f} s")
            before = self.cpu_seconds(index)
            time.sleep(1)
            busy = self.cpu_seconds(index) - before

    def cpu_seconds(self, index: int) -> float:
        stat = Path(f"/proc/{self.processes[index].pid}/stat").read_text()
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self, index: int) -> float:
        pages = int(Path(f"/proc/{self.processes[index].pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2 ** 20

    def log(self, index: int) -> Path:
        return self.home / f"{index + 1}.log"

    def leader(self) -> Optional[int]:
        return next((index for index in range(SERVERS) if self.leads(index)), None)

    def ended(self) -> Optional[int]:
        return next((index for index, process in enumerate(self.processes)
                     if process.poll() is not None), None)

    def why_not_ready(self) -> str:
        index = self.ended()
        if index is None:
            return f"{self.name}: no leader within {START_LIMIT_S:.0f} s"
        lines = self.log(index).read_text(errors="replace").strip().splitlines()
        return f"{self.name}: server {index + 1} ended: {lines[-1] if lines else 'no word'}"

    def generator_flags(self) -> List[str]:
        """Addresses and process ids, the leader first."""
        first = self.leader()
        if first is None:
            raise Refused(f"{self.name}: the leader is gone")
        order = [first] + [index for index in range(SERVERS) if index != first]
        servers = ",".join(f"{HOST}:{self.client_ports[index]}" for index in order)
        pids = ",".join(str(self.processes[index].pid) for index in order)
        return [f"--system={self.name}", f"--servers={servers}", f"--pids={pids}"]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class ZooKeeper(Peers):
    name = "zookeeper"

    def command(self, index: int) -> List[str]:
        (self.data(index) / "myid").write_text(f"{index + 1}\n")
        text = ZOO_CFG.format(data=self.data(index), host=HOST, port=self.client_ports[index])
        for other in range(SERVERS):
            text += (f"server.{other + 1}={HOST}:{self.peer_ports[other]}"
                     f":{self.election_ports[other]}\n")
        config = self.home / f"{index + 1}.cfg"
        config.write_text(text)
        return [*JAVA, str(config)]

    def leads(self, index: int) -> bool:
        return self.mode(index) == "leader"

    def follows(self, index: int) -> bool:
        return self.mode(index) == "follower"

    def mode(self, index: int) -> str:
        """Empty while it serves nobody."""
        try:
            with socket.create_connection((HOST, self.client_ports[index]), ANSWER_LIMIT_S) as link:
                link.sendall(b"srvr")
                with link.makefile("rb") as answer:
                    words = answer.read().decode().split()
        except OSError:
            return ""
        return words[words.index("Mode:") + 1] if "Mode:" in words else ""


class Etcd(Peers):
    name = "etcd"

    def command(self, index: int) -> List[str]:
        client = f"http://{HOST}:{self.client_ports[index]}"
        peer = f"http://{HOST}:{self.peer_ports[index]}"
        members = ",".join(f"n{other + 1}=http://{HOST}:{port}"
                           for other, port in enumerate(self.peer_ports))
        return ["etcd", f"--name=n{index + 1}", f"--data-dir={self.data(index)}",
                f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster={members}", "--initial-cluster-state=new"]

    def leads(self, index: int) -> bool:
        status = self.ask(index, "/v3/maintenance/status", b"{}")
        leader = status.get("leader", "0")
        return bool(leader != "0" and leader == status.get("header", {}).get("member_id"))

    def follows(self, index: int) -> bool:
        """By a linearizable read of its own."""
        return bool(self.ask(index, "/health").get("health") == "true" and not self.leads(index))

    def ask(self, index: int, path: str, body: Optional[bytes] = None) -> Dict[str, Any]:
        """Empty if there is no answer."""
        request = urllib.request.Request(f"http://{HOST}:{self.client_ports[index]}{path}", body)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
                found: Dict[str, Any] = json.load(answer)
        except (OSError, ValueError):
            return {}
        return found


PEERS = {"zookeeper": ZooKeeper, "etcd": Etcd}


def already_running() -> List[str]:
    """Servers of the two that somebody else runs here: they would take part in what is measured,
    and Debian's etcd-server starts one when it is installed on a machine with systemd."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == b"etcd":
            found.append(f"etcd (process {entry.name})")
        if any(word.endswith(b".QuorumPeerMain") for word in words):
            found.append(f"ZooKeeper (process {entry.name})")
    return found
