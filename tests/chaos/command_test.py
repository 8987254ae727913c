"""The command itself: bad words in one line, an end by itself, and nothing left however it ends."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from support.waiting import eventually

MAIN = pathlib.Path(__file__).resolve().parent / "main.py"


def command(*flags):
    return [sys.executable, "-B", str(MAIN), *flags]


@pytest.mark.parametrize("flag, named", [
    ("--minutes=0", "0"), ("--minutes=2000", "2000"), ("--minutes=soon", "soon"),
    ("--nodes=4", "4"), ("--seed=-1", "-1"), ("--faults=all", "--faults=all"),
])
def test_a_bad_flag_is_one_line_that_names_it(flag, named):
    done = subprocess.run(command(flag), capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert done.stderr.count("\n") == 1 and named in done.stderr


def processes_of(marker):
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker in environment and state != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_it_leaves_no_process_and_no_mount(tmp_path, number):
    marker = f"HOLDFAST_CHAOS_TEST={os.getpid()}-{int(number)}"
    name, _, value = marker.partition("=")
    environment = {**os.environ, name: value, "TMPDIR": str(tmp_path)}
    run = subprocess.Popen(command("--seed=1", f"--minutes={1 + int(number) / 100}"),
                           env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
    # Three servers, the store and clients.
    eventually(lambda: len(processes_of(marker.encode())) > 8, within=60, what="all processes")
    run.send_signal(number)
    said, _ = run.communicate(timeout=60)
    eventually(lambda: not processes_of(marker.encode()), within=10, what="the end of all")
    assert str(tmp_path) not in pathlib.Path("/proc/mounts").read_text()
    if number != signal.SIGKILL:
        assert run.returncode == 130, said
        assert "interrupted; what was seen so far is in" in said
        assert not list(tmp_path.iterdir())

