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


def test_every_watcher_has_every_put():
    run = figures("--profile=watch", "--watchers=20", "--spread")
    until = run["until_the_last_watcher"]
    assert until["count"] > 0
    assert until["p50_us"] <= until["p99_us"]


@pytest.mark.parametrize("words, why", [
    (["--profile=gets", "--consistency=stale"], '"stale" but must be linearizable, local or'),
    (["--profile=puts", "--keys=-1"], "--keys is -1 but must be from 1 to"),
    (["--profile=watch", "--watchers=0"], "--watchers is 0 but must be from 1 to"),
])
def test_bad_flags_are_named(words, why):
    done = bench(*words)
    assert done.returncode == 1
    assert why in done.stderr
