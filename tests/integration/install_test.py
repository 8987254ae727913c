"""What docs/install.md installs: three servers of the example flags, the command, Python."""

import re
import subprocess

import pytest
from support import paths
from support.cluster import die_with_the_test, free_ports
from support.waiting import eventually

NODES = (1, 2, 3)


def call(*words, **more):
    """Run a program; what it came to."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60,
                          check=False, **more)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Where the components that a server needs are installed."""
    folder = tmp_path_factory.mktemp("installed")
    for component in ("server", "python"):
        done = call("cmake", "--install", paths.build_dir(), "--component", component, "--prefix",
                    folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def clients(prefix, tmp_path):
    """The client addresses of three servers, each with the installed flags as the page says."""
    ports = iter(free_ports(4 * len(NODES)))
    moved = {f"10.0.0.{node}:{port}": f"127.0.0.1:{next(ports)}"
             for node in NODES for port in (7411, 7412, 7413, 7414)}
    example = (prefix / "share/doc/holdfast/holdfastd.flags").read_text(encoding="utf-8")
    servers = []
    for node in NODES:
        flags = re.sub(r"^--node_id=1$", f"--node_id={node}", example, flags=re.MULTILINE)
        flags = re.sub(r"^(--\w+_address=)10\.0\.0\.1:", rf"\g<1>10.0.0.{node}:", flags,
                       flags=re.MULTILINE)
        flags = flags.replace("/var/lib/holdfast/data", str(tmp_path / f"data-{node}"))
        flags = re.sub(r"10\.0\.0\.\d:\d+", lambda found: moved[found[0]], flags)
        file = tmp_path / f"{node}.flags"
        file.write_text(flags, encoding="utf-8")
        with open(tmp_path / f"{node}.log", "wb") as log:
            servers.append(subprocess.Popen([prefix / "bin/holdfastd", f"--flagfile={file}"],
                                            stdout=log, stderr=log, preexec_fn=die_with_the_test))
    yield [moved[f"10.0.0.{node}:7411"] for node in NODES]
    for server in servers:
        server.terminate()
    assert [server.wait(20) for server in servers] == [0] * len(servers)


def test_servers_command_and_python_client_work_where_they_were_installed(prefix, clients):
    command = prefix / "bin/holdfast"
    servers = ",".join(clients)
    eventually(lambda: call(command, "put", "/config/limit", "10", "--parents", "--servers",
                            servers).returncode == 0, within=40, what="a cluster")
    packages = next(prefix.glob("lib/python3*/dist-packages"))
    program = (f"import holdfast\n"
               f"assert holdfast.__file__.startswith({str(packages)!r}), holdfast.__file__\n"
               f"with holdfast.Client({clients!r}) as client, client.session() as session:\n"
               f"    with session.lock('/jobs/nightly'):\n"
               f"        print(client.get('/config/limit').text)\n")
    done = call("/usr/bin/python3", "-B", "-c", program, env={"PYTHONPATH": str(packages)})
    assert (done.returncode, done.stdout) == (0, "10\n"), done.stderr


def test_the_unit_starts_what_is_installed_with_flags_that_the_page_names(prefix):
    unit = (prefix / "lib/systemd/system/holdfastd.service").read_text(encoding="utf-8")
    program, flag = re.search(r"^ExecStart=(\S+) (\S+)$", unit, re.MULTILINE).groups()
    assert (prefix / program.removeprefix("/usr/local/")).is_file()
    page = (paths.ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert flag == "--flagfile=/etc/holdfast/holdfastd.flags" and f"holdfastd {flag}" in page
    kept_down = re.search(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)[1].split()
    codes = re.findall(r"^\| (\d) \|.*\| (yes|no) \|$", page, re.MULTILINE)
    assert [code for code, restarts in codes if code != "0" and restarts == "no"] == kept_down
