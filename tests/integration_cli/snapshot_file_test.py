"""`holdfast snapshot verify` and `show` on files, offline."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile

import pytest
from support.cluster import Cluster
from support.command import run
from support.paths import program
from support.stock import Stock

NOBODY = 65534


@pytest.fixture(scope="module")
def saved():
    """A directory for all to read, with the snapshot of a server that has stopped, and the status
    that the server had."""
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder, Cluster(1) as cluster:
        os.chmod(folder, 0o755)
        node = cluster.nodes[1]
        with Stock(node.address) as stock:
            session = stock.open_session(ttl_ms=600_000)
            stock.acquire(session, path="/jobs/nightly", waitMs=0)
            stock.put(path="/config/limit", value=b"10", makeParents=True)
        status = node.status()
        node.signal(signal.SIGTERM)
        assert node.process.wait(20) == 0
        file = pathlib.Path(folder) / "saved.db"
        shutil.copy(node.folder / "data" / "group-1" / "snapshot" / "state-1.db", file)
        yield file, status


@pytest.fixture
def copy(saved, tmp_path):
    """A file that may be spoiled."""
    return pathlib.Path(shutil.copy(saved[0], tmp_path / "copy.db"))


def test_verify_says_in_one_line_what_the_file_is(saved):
    file, status = saved
    done = run(None, "snapshot", "verify", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{file}: sound: the state of cluster {status.header.clusterId} ")
    assert f"written by node {status.nodeId}" in done.stdout


def test_show_counts_what_the_server_had(saved):
    file, status = saved
    done = run(None, "snapshot", "show", str(file), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["cluster_id"] == status.header.clusterId
    assert told["revision"] >= status.appliedIndex
    assert (told["sessions"], told["locks"], told["waiters"]) == (1, 1, 0)
    assert told["keys"] == 2
    assert [m["node_id"] for m in told["members"]] == [1]
    assert told["bytes"] == file.stat().st_size
    table = run(None, "snapshot", "show", str(file)).stdout
    assert told["state_digest"] in table and "member" in table


def test_a_file_that_may_only_be_read_in_a_directory_that_may_only_be_read_will_do(saved):
    file, _ = saved
    command = shutil.copy(program("holdfast"), file.parent / "holdfast")
    os.chmod(file, 0o444)
    os.chmod(file.parent, 0o555)
    before = sorted(os.listdir(file.parent))
    try:
        other = {"user": NOBODY} if os.geteuid() == 0 else {}
        done = subprocess.run([command, "snapshot", "verify", str(file)], capture_output=True,
                              text=True, check=False, timeout=30, **other)
        assert done.returncode == 0, done.stderr
        assert sorted(os.listdir(file.parent)) == before
    finally:
        os.chmod(file.parent, 0o755)


def documented_columns():
    """Of the views in docs/snapshots.md: their names by view."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "snapshots.md").read_text()
    views = page[page.index("Views, for people:"):page.index("`snapshot` has one row")]
    return {view: [column.strip() for column in columns.split(",")] for view, columns in
            re.findall(r"^\| `(\w+)` \|[^|]*\| ([\w, ]+) \|$", views, re.MULTILINE)}


def test_the_documented_queries_show_the_state_where_a_file_may_only_be_read(saved):
    """As somebody who may change nothing there, and leaving nothing behind."""
    file, _ = saved
    columns = documented_columns()
    assert {"locks", "waiters", "sessions", "keys"} <= columns.keys()
    queries = {view: f"SELECT {', '.join(names)} FROM {view}" for view, names in columns.items()}
    script = ("import json, sqlite3, sys\n"
              "file, queries = sys.argv[1], json.loads(sys.argv[2])\n"
              "with sqlite3.connect(f'file:{file}?immutable=1', uri=True) as database:\n"
              "    print(json.dumps({view: [database.execute(query).fetchall(),\n"
              "        [c[1] for c in database.execute(f'PRAGMA table_info({view})')]]\n"
              "        for view, query in queries.items()}))\n")
    os.chmod(file, 0o444)
    os.chmod(file.parent, 0o555)
    before = sorted(os.listdir(file.parent))
    try:
        other = {"user": NOBODY} if os.geteuid() == 0 else {}
        done = subprocess.run(["/usr/bin/python3", "-c", script, str(file), json.dumps(queries)],
                              capture_output=True, text=True, check=False, timeout=30, cwd="/",
                              **other)
        assert done.returncode == 0, done.stderr
        assert sorted(os.listdir(file.parent)) == before
    finally:
        os.chmod(file.parent, 0o755)
    shown = json.loads(done.stdout)
    assert {view: there for view, (_, there) in shown.items()} == columns
    ((path, holders, waiters, held_by, token, *_),) = shown["locks"][0]
    assert (path, holders, waiters, held_by) == ("/jobs/nightly", 1, 0, "stock") and token > 0
    ((session, name, ttl_ms, *_),) = shown["sessions"][0]
    assert session > 0 and (name, ttl_ms) == ("stock", 600_000)
    assert shown["waiters"][0] == []
    assert ["/config/limit", "10", "persistent", 1] in [row[:4] for row in shown["keys"][0]]


def test_a_link_to_a_file_is_followed(saved, tmp_path):
    (tmp_path / "latest.db").symlink_to(saved[0])
    assert run(None, "snapshot", "verify", str(tmp_path / "latest.db")).returncode == 0


def change(file, sql):
    """Spoil it, and leave nothing beside it."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(sql)


def refused(file, code):
    """What the command says in one line."""
    done = run(None, "snapshot", "verify", str(file))
    assert done.returncode == code, done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert run(None, "snapshot", "show", str(file)).returncode == code
    return done.stderr


def test_damage_is_named(copy):
    change(copy, "UPDATE key_rows SET value = x'3131' WHERE name = 'limit'")
    assert "of table key_rows: its check sum is that of another content" in refused(copy, 1)


def test_a_file_that_was_cut_is_damaged(copy):
    size = copy.stat().st_size
    for left in (size - 1, size // 2, 1000):
        os.truncate(copy, left)
        assert f"{copy}: it has {left} bytes, but must have {size}" in refused(copy, 1)
    os.truncate(copy, 10)
    assert f"{copy}: file is not a database" in refused(copy, 1)


def beside(copy, *words):
    """One invocation in the directory of the file."""
    return subprocess.run([str(program("holdfast")), "snapshot", *words], cwd=copy.parent,
                          timeout=30, capture_output=True, text=True, check=False)


def test_a_file_is_named_as_it_was_given(copy):
    (copy.parent / "link.db").symlink_to(copy)
    for name in ("copy.db", "link.db"):
        assert beside(copy, "verify", name).stdout.startswith(f"{name}: sound: ")
        assert json.loads(beside(copy, "show", name, "--json").stdout)["file"] == name
    restored = beside(copy, "restore", "link.db", "--data_dir=new", "--node_id=1", "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["from"] == "link.db"
    os.truncate(copy, 1000)
    for name in ("copy.db", "link.db"):
        done = beside(copy, "verify", name)
        assert done.returncode == 1 and name in done.stderr, done.stderr
        assert str(copy.parent) not in done.stderr, done.stderr


def test_what_a_file_holds_does_not_steer_the_terminal(copy):
    change(copy, 'CREATE TABLE "\x1b[31m" (x)')
    assert r"no snapshot has '\x1b[31m' as it has" in refused(copy, 1)


def test_a_view_that_holdfast_does_not_make_is_named_and_no_damage(copy):
    change(copy, "DROP VIEW waiters")
    whole = run(None, "snapshot", "verify", str(copy))
    assert (whole.returncode, whole.stderr) == (0, "")
    change(copy, "DROP VIEW tenures")
    change(copy, "CREATE VIEW tenures AS SELECT 'nobody' AS session_name")
    done = run(None, "snapshot", "verify", str(copy))
    assert done.returncode == 0 and ": sound: " in done.stdout
    assert done.stderr.count("\n") == 1
    assert 'its view "tenures" is not one that this version makes' in done.stderr
    shown = run(None, "snapshot", "show", str(copy), "--json")
    assert json.loads(shown.stdout)["other_views"] == ["tenures"]


def test_a_newer_format_is_no_damage(copy):
    change(copy, "PRAGMA user_version = 7")
    assert "its format version is 7, this program knows 1" in refused(copy, 65)


def test_what_is_no_file_is_a_wrong_command_line(tmp_path):
    assert "No such file" in refused(tmp_path / "absent.db", 64)
    assert "no regular file" in refused(tmp_path, 64)
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(tmp_path / "pipe", 64)
    assert "one FILE is needed" in run(None, "snapshot", "verify").stderr


def test_the_database_of_a_running_server_is_refused(copy):
    pathlib.Path(f"{copy}-wal").write_bytes(b"x")
    assert "this is the database of a server" in refused(copy, 64)
