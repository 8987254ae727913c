"""The drills of docs/operations.md as they stand there, on machines like those of docs/install.md.

What systemd would do is done here: it runs the server as a user of its own, who may write below one
directory alone. So a drill that leaves something to root, or to another place, fails.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile

import pytest
from support.cluster import die_with_the_test, free_ports
from support.paths import ROOT, program
from support.waiting import eventually

IS_ROOT = os.geteuid() == 0
#: The user of the unit; whoever runs this if he may not become another.
USER, GROUP = (65534, 65534) if IS_ROOT else (os.getuid(), os.getgid())
NODES = (1, 2, 3)
PORTS = (7411, 7412, 7413, 7414)


def blocks(title):
    """The commands of each block of a section of operations.md, in order."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {title}\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)[1]
    found = re.findall(r"(?:^ {7}\S.*\n(?:^ {7}.*\n)*)", section, re.MULTILINE)
    whole = [re.sub(r"\\\n\s*", "", block).splitlines() for block in found]
    return [[line.strip() for line in block] for block in whole]


class Machine:
    """One of the three: its part of the file system, and the unit's process while it runs."""

    def __init__(self, node, folder, words):
        self.folder = folder / str(node)
        self.process = None
        (self.folder / "lib").mkdir(parents=True)
        (self.folder / "safe").mkdir()
        as_user = f"setpriv --reuid={USER} --regid={GROUP} --clear-groups " if IS_ROOT else ""
        self.words = {**words, "/var/lib/holdfast": f"{self.folder}/lib",
                      "/etc/holdfast/holdfastd.flags": f"{self.folder}/flags",
                      "/SAFE/PLACE": f"{self.folder}/safe",
                      "runuser -u holdfast -- ": as_user,
                      "-o holdfast -g holdfast": f"-o {USER} -g {GROUP}"}
        os.chown(self.folder / "lib", USER, GROUP)
        (self.folder / "lib").chmod(0o700)
        example = (ROOT / "deploy/systemd/holdfastd.flags").read_text(encoding="utf-8")
        flags = example.replace("--node_id=1\n", f"--node_id={node}\n")
        flags = re.sub(r"(_address=)10\.0\.0\.1:", rf"\g<1>10.0.0.{node}:", flags)
        (self.folder / "flags").write_text(self.here(flags), encoding="utf-8")

    def here(self, text):
        """With the places and addresses of this test."""
        for said, meant in self.words.items():
            text = text.replace(said, meant)
        return text

    def unit(self, act):
        """What systemctl does with holdfastd.service."""
        if act == "disable --now holdfastd":
            if self.process is not None:
                self.process.terminate()
                assert self.process.wait(30) == 0
            return
        assert act == "enable --now holdfastd", act
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(program("holdfastd")), f"--flagfile={self.folder}/flags"], stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, preexec_fn=as_the_unit_s_user)

    def do(self, commands, typed=""):
        """The lines of a block, each of which must go well."""
        path = f"{program('holdfast').parent}:{os.environ['PATH']}"
        for line in commands:
            if line.startswith("systemctl "):
                self.unit(line.removeprefix("systemctl "))
                continue
            done = subprocess.run(["sh", "-c", self.here(line)], input=typed, text=True,
                                  env={**os.environ, "PATH": path}, capture_output=True, timeout=60,
                                  check=False)
            assert done.returncode == 0, (line, done.stdout, done.stderr, self.log())

    def log(self):
        """What the server wrote."""
        file = self.folder / "log"
        return file.read_text(errors="replace")[-2000:] if file.exists() else ""


def as_the_unit_s_user():
    """User=holdfast."""
    if IS_ROOT:
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(USER)
    die_with_the_test()  # last: a change of the user takes it back


@pytest.fixture
def machines():
    """Three that serve, with a key; and what their addresses are here."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        ports = iter(free_ports(len(NODES) * len(PORTS)))
        words = {f"10.0.0.{node}:{port}": f"127.0.0.1:{next(ports)}"
                 for node in NODES for port in PORTS}
        words["FILE"] = f"{folder}/saved.db"
        made = {node: Machine(node, folder, words) for node in NODES}
        try:
            for machine in made.values():
                machine.unit("enable --now holdfastd")
            eventually(lambda: told(made[1], "put /limit 10"), within=40, what="a cluster")
            yield made
        finally:
            for machine in made.values():
                if machine.process is not None:
                    machine.process.kill()
                    machine.process.wait()


def told(machine, line):
    """Standard output of the command against that machine's server, None if it fails."""
    node = machine.folder.name
    environment = {"HOLDFAST_SERVERS": machine.here(f"10.0.0.{node}:7411"),
                   "HOLDFAST_ADMIN": machine.here(f"10.0.0.{node}:7413")}
    done = subprocess.run([str(program("holdfast")), *machine.here(line).split()], text=True,
                          env={**os.environ, **environment}, capture_output=True, timeout=30,
                          check=False)
    return done.stdout if done.returncode == 0 else None


def voters(machine):
    """As that server has them."""
    status = told(machine, "status --json")
    return json.loads(status)[0].get("voters") if status else None


def check_new_cluster(machines, old_id, nodes):
    """It has the key and these voters; on all of them."""
    for machine in (machines[node] for node in nodes):
        eventually(lambda machine=machine: voters(machine) == list(nodes), within=40,
                   what="the members of the new cluster")
        assert told(machine, "get /limit") == "10", machine.log()
        assert json.loads(told(machine, "status --json"))[0]["cluster_id"] != old_id


def test_the_drill_of_a_restore_ends_with_three_servers(machines):
    old_id = json.loads(told(machines[1], "status --json"))[0]["cluster_id"]
    assert told(machines[1], "snapshot save FILE")
    stop, make, start, join, add = blocks("Restore")
    for machine in machines.values():
        machine.do(stop)
    machines[1].do(make)
    machines[1].do(start)
    eventually(lambda: voters(machines[1]) == [1], within=40, what="a restored server")
    for node in (2, 3):
        machines[node].do(join)
    # The command is refused at once by a server that does not answer yet.
    for line in add:
        eventually(lambda line=line: told(machines[1], line.removeprefix("holdfast ")), within=40,
                   what=line)
    check_new_cluster(machines, old_id, NODES)


def test_the_drill_of_a_recovery_ends_with_the_server_that_was_left(machines):
    old_id = json.loads(told(machines[2], "status --json"))[0]["cluster_id"]
    save, recover, start = blocks("When most servers are lost for good")
    for node in (1, 3):
        machines[node].unit("disable --now holdfastd")
    machines[2].do(save)
    machines[2].do(recover, typed=f"{old_id}\n")
    machines[2].do(start)
    check_new_cluster(machines, old_id, (2,))
    assert (machines[2].folder / "safe/data/identity").exists()
