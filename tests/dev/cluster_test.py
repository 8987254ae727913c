"""What ./dev run does before and after its demonstration: refusals in one line, nothing left."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "demo"))

import cluster  # noqa: E402


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "HOME", tmp_path / "home")
    return tmp_path / "home"


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((cluster.HOST, port))
        except OSError:
            return False
    return True


def free_port():
    """The first of 24 free ones, outside the range from which the kernel picks for connections."""
    firsts = (10_000 + (os.getpid() * 37 + 24 * turn) % 20_000 for turn in range(800))
    return next(first for first in firsts if all(map(is_free, range(first, first + 24))))


def test_a_taken_port_is_one_line_with_the_port_and_the_remedy(home):
    with socket.socket() as taken:
        taken.bind((cluster.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(cluster.Refused) as refused:
            cluster.Cluster(port).start()
    text = str(refused.value)
    assert f"port {port} " in text and "--port=" in text and "\n" not in text
    assert not home.exists()


def test_stale_data_is_one_line_with_the_remedy(home):
    home.mkdir()
    with pytest.raises(cluster.Refused) as refused:
        cluster.Cluster(free_port()).start()
    assert f"rm -r {home}" in str(refused.value) and "\n" not in str(refused.value)


def test_what_a_cluster_takes_is_checked_before_anything_is_built_for_it(home, capsys, monkeypatch):
    def check(*words):
        monkeypatch.setattr(sys, "argv", ["cluster.py", "check", *words])
        return cluster.main(), capsys.readouterr()
    monkeypatch.setattr(cluster, "free", lambda port: port != 30003)
    assert check("") == (0, ("", ""))
    status, said = check("30000")
    assert status == 1 and "port 30003 " in said.err
    home.mkdir()
    status, said = check()
    assert status == 1 and f"rm -r {home}" in said.err


def test_other_ports_than_those_of_the_cluster_that_is_up_are_refused(home, capsys):
    home.mkdir()
    held = cluster.take_lock()
    (home / "cluster.json").write_text('{"first_port": 20000}')
    for wanted in (None, 20000):
        assert cluster.check(wanted) == cluster.UP_ALREADY
        assert "127.0.0.1:20010" in capsys.readouterr().out
    with pytest.raises(cluster.Refused, match="ports from 20000, not 8500"):
        cluster.check(8500)
    os.close(held)


@pytest.mark.parametrize("port", [1024, 30000, 60000, 65512])
def test_the_ports_that_are_proposed_exist(port):
    assert cluster.other_port(port) in cluster.FIRST_PORTS


def test_a_server_that_ends_at_once_is_quoted(home, tmp_path, monkeypatch):
    server = tmp_path / "holdfastd"
    server.write_text("#!/bin/sh\necho 'holdfastd: bad flag' >&2\nexit 2\n")
    server.chmod(0o755)
    monkeypatch.setattr(cluster, "SERVER", server)
    servers = cluster.Cluster(free_port())
    with pytest.raises(cluster.Refused) as refused:
        servers.start()
    servers.stop()
    assert "holdfastd: bad flag" in str(refused.value) and "\n" not in str(refused.value)
    assert not home.exists()


def test_the_lock_says_whether_a_cluster_is_up(home):
    assert not cluster.up()
    home.mkdir()
    held = cluster.take_lock()
    assert cluster.up()
    os.close(held)
    assert not cluster.up()


@pytest.fixture
def processes():
    started = []

    def start(*words, cwd):
        # Standard input stays open as long as the process lives, whatever the tests' own is.
        started.append(subprocess.Popen(words, cwd=cwd, stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL))
        return started[-1]
    yield start
    for process in started:
        process.kill()
        process.wait()


def reaped(process):
    """Waits for the process to end, as its parent must."""
    return process.wait(timeout=10)


def test_stop_ends_the_recorded_servers_and_spares_a_stranger(home, processes, monkeypatch):
    home.mkdir()
    ours = processes(sys.executable, "-c", "import sys; sys.stdin.read()", f"--data_dir={home}/n",
                     cwd=ROOT)
    stranger = processes("sleep", "100", cwd="/")
    (home / "cluster.json").write_text(f'{{"servers": [{ours.pid}, {stranger.pid}]}}')
    assert cluster.is_ours(ours.pid) and not cluster.is_ours(stranger.pid)
    monkeypatch.setattr(cluster, "wait_until", lambda *_: reaped(ours) is not None)
    cluster.stop_recorded()
    assert ours.returncode == -signal.SIGTERM
    assert stranger.poll() is None


def test_servers_die_with_whoever_started_them(home, tmp_path):
    script = f"""
import os, subprocess, sys
sys.path.insert(0, {str(ROOT / 'deploy' / 'demo')!r})
import cluster
child = subprocess.Popen(["sleep", "100"], preexec_fn=cluster.die_with_parent)
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-B", "-c", script], stdout=subprocess.PIPE, text=True,
                          check=False)
    pid = int(done.stdout)
    assert done.returncode == -signal.SIGKILL
    assert cluster.wait_until(lambda: gone(pid), 5)


def gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state in "ZX"
