"""A start for which the system has too few threads or open files: the documented exit code, and one
line that names the limit. Nothing is lost: the next start goes on."""

import contextlib
import itertools
import os
import resource
import socket
import subprocess
import urllib.request

import pytest
from support import paths
from support.cluster import TIMING, Cluster, free_ports
from support.waiting import eventually

BAD_CONFIGURATION = 2
OWN_FILES, FILES_OF_AN_IO_THREAD = 64, 8


def few_threads(count):
    """The environment of a server for which the system has so many besides its first."""
    return {"LD_PRELOAD": str(paths.shim()),
            "ASAN_OPTIONS": "verify_asan_link_order=0",
            "HOLDFAST_CHAOS_THREADS": str(count)}


@pytest.fixture
def single():
    """A cluster of one that has a state, and whose server is down."""
    with Cluster(1) as started:
        started.nodes[1].kill()
        yield started


def ended_or_ready(node):
    """Is it known how its start went?"""
    try:
        return node.ready()
    except AssertionError:
        return not node.running


def refused_for_threads(node):
    """It ended by itself, with a line at the end that names the limit."""
    said = node.log().splitlines()[-1]
    assert node.process.returncode == BAD_CONFIGURATION, node.log()
    assert said.startswith("holdfastd: a thread could not be begun") and "`ulimit -u`" in said


@pytest.mark.parametrize("io_threads", [0, 2])
def test_each_thread_that_a_start_cannot_have_ends_it_with_a_line(single, io_threads):
    """One thread more each time, until there are enough: no thread is left out."""
    node = single.nodes[1]
    for count in itertools.count():
        single.start_with(node, f"--io_threads={io_threads}", environment=few_threads(count))
        eventually(lambda: ended_or_ready(node), within=20, what="an end or a start")
        if node.running:
            break
        refused_for_threads(node)
    assert count >= 5 + io_threads, "the log's two, the rows', the copies', the room's"


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_server_that_forms_its_cluster_without_threads_goes_on_from_there(count):
    cluster = Cluster(1)
    try:
        node = cluster.nodes[1]
        cluster.start_with(node, "--bootstrap", environment=few_threads(count))
        eventually(lambda: not node.running, within=20, what="its end")
        refused_for_threads(node)
        cluster.start_all()
        cluster.wait_ready()
    finally:
        cluster.stop()


def test_a_name_that_no_thread_can_look_up_is_an_address_that_does_not_answer():
    """As a name server that is down: the dialling is tried again, the process goes on."""
    cluster = Cluster(1)
    try:
        node = cluster.nodes[1]
        node.start([*TIMING, "--join=server.invalid:7412"], few_threads(0))
        eventually(lambda: "no thread could be begun" in node.log(), what="a word of it")
        assert node.running
    finally:
        cluster.stop()


def with_files(count, folder, *flags):
    """How a server ends that may have so many files open."""
    ports = dict(zip(("client", "peer", "admin", "http"), free_ports(4)))
    addresses = [f"--{name}_address=127.0.0.1:{port}" for name, port in ports.items()]
    return subprocess.run(
        [str(paths.program("holdfastd")), f"--data_dir={folder / 'data'}", *addresses, *flags],
        capture_output=True, text=True, timeout=30, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)))


@pytest.mark.parametrize("count", [6, 8, 12, 18, 21, 40, OWN_FILES])
def test_a_start_with_too_few_files_names_the_limit(count, tmp_path):
    """Those of standard input, output and error count, too."""
    ended = with_files(count, tmp_path)
    assert ended.returncode == BAD_CONFIGURATION, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("holdfastd: "), ended.stderr
    assert f"needs {OWN_FILES} open files" in lines[0], lines
    assert f"`ulimit -n`), which is {count}" in lines[0], lines
    assert not (tmp_path / "data").exists()


def test_io_threads_need_files_of_their_own(tmp_path):
    enough_without = OWN_FILES + 3
    ended = with_files(enough_without, tmp_path, "--io_threads=4")
    assert ended.returncode == BAD_CONFIGURATION, ended.stderr
    assert f"needs {OWN_FILES + 4 * FILES_OF_AN_IO_THREAD} open files" in ended.stderr


def limit_files(node, files):
    """Its next start may have so many open."""
    program = node.folder / "holdfastd"
    program.write_text(f"#!/bin/sh\nulimit -n {files}\nexec {node.program} \"$@\"\n")
    program.chmod(0o755)
    node.program = program


@pytest.mark.parametrize("io_threads", [0, 8])
def test_the_files_that_are_asked_for_are_enough(single, io_threads):
    node = single.nodes[1]
    files = 3 + OWN_FILES + io_threads * FILES_OF_AN_IO_THREAD
    limit_files(node, files)
    single.start_with(node, f"--io_threads={io_threads}")
    single.wait_ready()
    assert len(os.listdir(f"/proc/{node.process.pid}/fd")) <= files


def first_index(node):
    """Where its log begins."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    return next(float(l.split()[1]) for l in lines if l.startswith("holdfast_raft_first_index "))


def closed(connection):
    """Did the server close it at once? It says nothing to who is silent."""
    connection.settimeout(0.5)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


@pytest.fixture(name="short_of_files")
def a_server_short_of_files(single):
    """It has no more than it asks for; its log goes on in a new one every few puts."""
    node = single.nodes[1]
    limit_files(node, 3 + OWN_FILES)
    single.start_with(node, "--segment_bytes=65536", "--snapshot_log_bytes=65536",
                      "--snapshot_interval_s=1")
    single.wait_ready()
    return node


def fill_log(stock):
    """Some ten files of it. A put takes a turn of the server's loop, which accepts first."""
    for number in range(600):
        stock.put(path=f"/config/k{number % 10}", value=b"v" * 1_000, makeParents=True)


@pytest.mark.parametrize("port", ["client_port", "admin_port", "http_port", "peer_port"])
def test_connections_leave_the_log_the_files_that_it_needs(short_of_files, dial, port):
    """Whichever port they come in by."""
    node = short_of_files
    stock = dial(node)
    with contextlib.ExitStack() as crowd:
        for _ in range(120):
            crowd.enter_context(socket.create_connection(("127.0.0.1", getattr(node, port))))
        fill_log(stock)
        assert node.running, node.log()


def test_clients_leave_the_log_and_the_operator_the_files_that_they_need(short_of_files, dial):
    """Without that a log that must go on in a new file ended the server."""
    node = short_of_files
    stock = dial(node)
    with contextlib.ExitStack() as crowd:
        address = ("127.0.0.1", node.client_port)
        connections = [crowd.enter_context(socket.create_connection(address)) for _ in range(120)]
        assert closed(connections[-1]), "there is no limit"
        assert not closed(connections[0])
        fill_log(stock)
        eventually(lambda: first_index(node) > 100, what="a log that was cut")
        assert node.running, node.log()
        assert node.status() is not None, "the operator gets in"
    eventually(lambda: dial(node).put(path="/config/k", value=b""), what="a place for a client")
