"""Whoever reads what `holdfast` writes has stopped reading: it does its work all the same."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import termios

import pytest
from support.command import run
from support.paths import program
from support.stock import Stock
from support.waiting import eventually

SMALL = 8192


@contextlib.contextmanager
def narrow_pipe():
    """Its ends, and hardly any room between them."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, SMALL)
    try:
        yield read, write
    finally:
        os.close(read)
        os.close(write)


@contextlib.contextmanager
def full_pipe():
    """The end to write to, of one that nobody reads. Nothing was written there in the end."""
    with narrow_pipe() as (read, write):
        os.write(write, b"x" * SMALL)
        yield write
        assert unread(read) == SMALL


@contextlib.contextmanager
def over(command, cluster):
    """In the end the command is, and the servers go on."""
    try:
        yield command
    finally:
        command.kill()
        command.wait()
        for node in cluster.nodes.values():
            node.signal(signal.SIGCONT)


def start(cluster, *words, **pipes):
    servers = ",".join(node.address for node in cluster.nodes.values())
    return subprocess.Popen([str(program("holdfast")), *words],
                            env=dict(os.environ, HOLDFAST_SERVERS=servers), **pipes)


def unread(pipe):
    """Bytes."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_watch_whose_lines_nobody_takes(cluster, number):
    with Stock(cluster.nodes[1].address) as stock, narrow_pipe() as (read, write):
        began = stock.put(path="/w", value=b"").revision
        for value in range(200):
            stock.put(path="/w", value=str(value).encode())
        watch = start(cluster, "watch", "/w", "--values", "--json", "--since", str(began),
                      stdout=write, stderr=subprocess.DEVNULL)
        eventually(lambda: unread(read) > SMALL / 4)
        watch.send_signal(number)
        assert watch.wait(10) == 0
        lines = os.read(read, 2 * SMALL).decode()
        assert lines.endswith("\n")
        types = [json.loads(line)["type"] for line in lines.splitlines()]
        assert types[0] == "began" and set(types[1:]) == {"changed"} and len(types) < 100
        assert "holdfast watch" not in run(cluster, "sessions").stdout


def test_a_command_that_has_lost_its_lock_is_killed_though_nobody_can_be_told(cluster):
    pids = " ".join(str(node.process.pid) for node in cluster.nodes.values())
    script = f"trap '' TERM; kill -STOP {pids}; while :; do sleep 0.1; done"
    with full_pipe() as errors:
        lock = start(cluster, "lock", "/jobs/a", "--ttl", "4s", "--", "sh", "-c", script,
                     stderr=errors)
        with over(lock, cluster):
            assert lock.wait(20) == 76


def test_a_command_that_waits_in_vain_ends_though_nobody_can_be_told(cluster):
    holder = start(cluster, "lock", "/jobs/b", "--", "sh", "-c", "echo held; cat",
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with full_pipe() as errors:
            waiting = start(cluster, "lock", "/jobs/b", "--wait", "1s", "--", "true", stderr=errors)
            with over(waiting, cluster):
                assert waiting.wait(10) == 75
    finally:
        holder.communicate(timeout=10)


def test_a_command_that_no_server_answers_ends_though_nobody_can_be_told(cluster):
    with full_pipe() as errors:
        for node in cluster.nodes.values():
            node.signal(signal.SIGSTOP)
        waiting = start(cluster, "lock", "/jobs/c", "--wait", "1s", "--", "true", stderr=errors)
        with over(waiting, cluster):
            assert waiting.wait(15) == 69
