"""holdfast-bench on keys and watches: each profile runs on servers of its own and counts."""

import json
import os
import pathlib
import subprocess

import pytest

BENCH = pathlib.Path(os.environ["HOLDFAST_BUILD_DIR"]) / "bin" / "holdfast-bench"


def bench(*words):
    """A short run on three servers."""
    return subprocess.run([BENCH, "--start_cluster", "--seconds=0.3", "--warmup=0.1", *words],
                          capture_output=True, text=True, timeout=60, check=False)


def figures(*words):
    """Of its one run."""
    done = bench(*words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["runs"][0]


@pytest.mark.parametrize("words", [
    ("--profile=puts",), ("--profile=gets",), ("--profile=gets", "--consistency=local"),
    ("--profile=gets", "--consistency=revision")], ids=" ".join)
def test_calls_are_counted(words):
    run = figures(*words, "--keys=1500", "--outstanding=16")
    assert run["latency"]["count"] > 0
    assert run["servers_cpu_us_per_operation"] > 0


def test_keys_are_loaded_weighed_and_written():
    run = figures("--profile=keys", "--keys=1500")
    assert run["load"]["per_second"] > 0
    assert run["servers_memory_bytes_per_key"] > 0
    assert run["puts"]["latency"]["count"] > 0


def test_a_restart_is_timed_after_each_way_to_end():
    run = figures("--profile=restart", "--keys=1500")
    for way in ("after_sigterm", "after_kill", "snapshot_lost", "empty_and_new"):
        assert 0 < run[way]["ready_after_s"] < run[way]["in_sync_after_s"] < 30, way
        assert run[way]["resident_mib"] > 1 and run[way]["disk_mib"] > 1, way


def test_writes_are_timed_beside_snapshot_backup_and_fetch():
    run = figures("--profile=upkeep", "--keys=1500")
    assert run["quiet"]["count"] > 0
    for work in ("backup", "fetch"):
        assert run[work]["count"] > 0 and run[work]["p99_us"] >= run[work]["p50_us"], work
    assert run["written_bytes_per_put_and_server"] > 0


def test_every_watcher_has_every_put():
    run = figures("--profile=watch", "--watchers=20", "--spread")
    until = run["until_the_last_watcher"]
    assert until["count"] > 0
    assert until["p50_us"] <= until["p99_us"]
    assert "servers_memory_bytes_per_watcher" in run


def test_watchers_of_many_keys_each_have_the_puts_of_theirs():
    run = figures("--profile=watch", "--watchers=40", "--watched_keys=20", "--spread")
    assert run["until_the_last_watcher"]["count"] > 0
    # Of a put, two watchers are told; what is under way when time begins and ends is another's.
    assert 1 < run["per_second"] / run["puts"]["per_second"] < 4


def test_a_put_at_a_time_may_follow_a_rest():
    run = figures("--profile=watch", "--watchers=20", "--outstanding=1", "--rest_ms=20")
    assert 0 < run["until_the_last_watcher"]["count"] <= 16
    assert run["servers_cpu_us_per_operation"] > 0


@pytest.mark.parametrize("words, why", [
    (["--profile=gets", "--consistency=stale"], '"stale" but must be linearizable, local or'),
    (["--profile=puts", "--keys=-1"], "--keys is -1 but must be from 1 to"),
    (["--profile=watch", "--watchers=0"], "--watchers is 0 but must be from 1 to"),
    (["--profile=watch", "--watchers=10", "--watched_keys=3"], "3 but must divide --watchers, 10"),
    (["--profile=puts", "--outstanding=1025"], "--outstanding must be from 1 to 1024"),
    (["--profile=watch", "--rest_ms=-1"], "--rest_ms is -1 but must be from 0 to 10000"),
])
def test_bad_flags_are_named(words, why):
    done = bench(*words)
    assert done.returncode == 1
    assert why in done.stderr
