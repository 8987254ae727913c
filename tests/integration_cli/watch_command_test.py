"""`holdfast watch` on real servers."""

import json
import os
import signal
import subprocess
import threading

import pytest
from holdfast_api.keys import ttypes as keys
from support.command import run
from support.paths import program
from support.stock import Stock


class Follower:
    """A running `holdfast watch --json`."""

    def __init__(self, cluster, *words):
        servers = ",".join(node.address for node in cluster.nodes.values())
        self.process = subprocess.Popen(
            [str(program("holdfast")), "watch", *words, "--json"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=dict(os.environ, HOLDFAST_SERVERS=servers))

    def __enter__(self):
        self.began = self.next()
        assert self.began["type"] == "began"
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()

    def next(self):
        """The next line."""
        return json.loads(self.process.stdout.readline())

    def take(self, count):
        """(type, path, value or reason) of the next lines."""
        lines = [self.next() for _ in range(count)]
        return [(line["type"], line["path"], line.get("value", line.get("reason")))
                for line in lines]


def test_changes_of_keys_come_in_order_with_their_values(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        stock.put(path="/w", value=b"")
        with Follower(cluster, "/w", "--scope", "subtree", "--values") as follower:
            stock.put(path="/w/a", value=b"1")
            stock.put(path="/w/a", value=b"2")
            stock.put(path="/other", value=b"")
            stock.remove(path="/w", recursive=True)
            assert follower.take(4) == [
                ("created", "/w/a", "1"), ("changed", "/w/a", "2"),
                ("removed", "/w/a", "removed"), ("removed", "/w", "removed")]
            follower.process.send_signal(signal.SIGINT)
            assert follower.process.wait(10) == 0
            assert "holdfast watch" not in run(cluster, "sessions").stdout


def test_only_the_events_asked_for_are_shown(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        with Follower(cluster, "/o", "--locks", "--keys", "--only", "removed,granted") as follower:
            session = stock.open_session()
            stock.put(path="/o", value=b"1")
            stock.put(path="/o", value=b"2")
            stock.acquire(session, path="/o", waitMs=0)
            stock.closeSession(session)
            stock.remove(path="/o")
            assert follower.take(2) == [("granted", "/o", None), ("removed", "/o", "removed")]


def test_locks_are_watched_beside_keys(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        with Follower(cluster, "/jobs", "--scope", "children", "--locks", "--keys") as follower:
            stock.put(path="/jobs", value=b"")
            stock.put(path="/jobs/a", value=b"")
            session = stock.open_session()
            stock.acquire(session, path="/jobs/a", waitMs=0)
            stock.closeSession(session)
            assert follower.take(3) == [
                ("created", "/jobs/a", None), ("granted", "/jobs/a", None),
                ("ended", "/jobs/a", "session closed")]


def test_the_end_of_its_session_is_a_line_and_the_watch_goes_on(cluster):
    with Follower(cluster, "/w") as follower, Stock(cluster.nodes[1].address) as stock:
        (watching,) = json.loads(run(cluster, "sessions", "--json").stdout)
        number = watching["session_id"]
        run(cluster, "session", "expire", str(number), "--notice", "1s", "--reason", "tidying")
        notice, ended = follower.next(), follower.next()
        assert (notice["type"], notice["session_id"], notice["path"], notice["reason"]) == (
            "notice", number, "", "tidying")
        assert (ended["type"], ended["session_id"]) == ("session_ended", number)
        stock.put(path="/w", value=b"1")
        assert follower.take(1) == [("created", "/w", None)]


def test_people_are_shown_lines_since_a_revision_until_enough_were_shown(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        since = stock.put(path="/p", value=b"1").revision
        last = stock.put(path="/p", value=b"two").revision
    shown = run(cluster, "watch", "/p", "--since", str(since), "--count", "1", "--values")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split() == [str(last), "changed", "/p", "version", "2", "=", "two"]
    assert f"watching /p after revision {since}" in shown.stderr


def test_a_quiet_watch_says_how_far_it_has_come(cluster):
    """Whoever begins again there is told all that came after, and nothing twice."""
    with Stock(cluster.nodes[1].address) as stock:
        stock.put(path="/quiet", value=b"1")
        with Follower(cluster, "/quiet", "--scope", "subtree", "--progress") as follower:
            written = stock.put(path="/loud", value=b"").header.revision
            line = follower.next()
            while line["revision"] < written:  # a poll was answered before
                line = follower.next()
            assert line == {"type": "progress", "revision": line["revision"]}
        stock.put(path="/quiet/b", value=b"2")
        with Follower(cluster, "/quiet", "--scope", "subtree", "--values",
                      "--since", str(line["revision"])) as follower:
            assert follower.take(1) == [("created", "/quiet/b", "2")]


def test_since_the_beginning_shows_what_was_there_before(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        stock.put(path="/before", value=b"1")
    shown = run(cluster, "watch", "/before", "--since", "0", "--count", "1")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split()[1:3] == ["created", "/before"]


def test_a_revision_that_is_yet_to_come_is_called_so(cluster):
    with Stock(cluster.nodes[1].address) as stock:
        now = stock.put(path="/later", value=b"").revision
        servers = ",".join(node.address for node in cluster.nodes.values())
        for since, says in ((now + 1_000, True), (now, False)):
            words = ["watch", "/later", "--servers", servers, "--since", str(since)]
            with subprocess.Popen([str(program("holdfast")), *words], stderr=subprocess.PIPE,
                                  text=True) as process:
                assert process.stderr.readline().endswith(f"after revision {since}\n")
                process.send_signal(signal.SIGTERM)
                told = process.stderr.read()
            assert process.returncode == 0
            assert (f"revision {since} is yet to come" in told) == says, told


def test_one_that_begins_now_is_not_called_so_though_others_write(cluster):
    over = threading.Event()

    def write():
        with Stock(cluster.nodes[1].address) as stock:
            while not over.is_set():
                stock.put(path="/busy", value=b"")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        servers = ",".join(node.address for node in cluster.nodes.values())
        words = ["watch", "/quiet", "--servers", servers]
        with subprocess.Popen([str(program("holdfast")), *words], stderr=subprocess.PIPE,
                              text=True) as process:
            assert "after revision" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.stderr.read() == ""
    finally:
        over.set()
        writer.join()


def put_surely(cluster, value):
    """A write of unknown outcome is done once more."""
    done = run(cluster, "put", "/count", value)
    while done.returncode == 70:
        done = run(cluster, "put", "/count", value)
    assert done.returncode == 0, done.stderr


def test_nothing_is_missed_or_doubled_over_failovers(cluster):
    """The leader is killed three times while a key is written; each write is one version."""
    versions, revisions, value = [], [], ""
    with Follower(cluster, "/count", "--values") as follower:
        for number in range(30):
            victim = cluster.leader() if number % 10 == 5 else None
            if victim:
                victim.kill()
            put_surely(cluster, str(number))
            if victim:
                cluster.start(victim)
                cluster.wait_ready()
        while value != "29":
            line = follower.next()
            versions.append(line["version"])
            revisions.append(line["revision"])
            value = line["value"]
    assert versions == list(range(1, len(versions) + 1))
    assert revisions == sorted(set(revisions))


def test_a_history_that_is_too_short_shows_what_there_is(cluster):
    """Servers keep 100,000 events."""
    with Stock(cluster.nodes[1].address) as stock:
        since = stock.put(path="/h", value=b"1").revision
        stock.put(path="/h", value=b"2")
        again = keys.Operation(put=keys.PutRequest(path="/h", value=b"3"))
        for _ in range(101):
            stock.transact(compares=[], thenOperations=[again] * 1000, otherwiseOperations=[])
    with Follower(cluster, "/h", "--since", str(since), "--values") as follower:
        resync = follower.next()
        assert (resync["type"], resync["entries"]) == ("resync", 1)
        present = follower.next()
        assert (present["type"], present["value"], present["version"]) == ("present", "3", 101_002)


@pytest.mark.parametrize(("line", "says"), [
    ("watch", "a PATH is needed"),
    ("watch /a --scope all", '--scope is "all" but must be node, children or subtree'),
    ("watch /a --since -3", '--since is "-3"'),
    ("watch /a --count many", '--count is "many"'),
    ("watch /a --only made", '--only has "made" but must be of created, changed, removed'),
    ("watch /a --only created,", '--only has "" but must be'),
    ("watch /a --only granted", "--only granted happens to locks: it needs --locks"),
    ("watch /a --locks --only created", "happens to keys: beside --locks it needs --keys"),
])
def test_a_wrong_command_line_is_named(line, says):
    answer = run(None, *line.split(" "))
    assert answer.returncode == 64, answer.stderr
    assert says in answer.stderr


def test_a_refused_watch_says_why(cluster):
    answer = run(cluster, "watch", "/" + "x" * 9000)
    assert answer.returncode == 65
    assert "9001" in answer.stderr and "8192" in answer.stderr
