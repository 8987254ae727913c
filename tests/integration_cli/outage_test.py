"""The `holdfast` command while the cluster has no leader: it waits, and says what it knows."""

import time

import pytest
from support.command import run
from support.waiting import eventually


def without_quorum(cluster):
    """One server is left, which knows that nobody leads. It did not lead: what a leader has taken
    into its log may still be applied, and it says so."""
    last = cluster.followers()[0]
    for node in cluster.nodes.values():
        if node is not last:
            node.kill()
    eventually(lambda: last.status().leaderId == 0, within=20, what="a server without a leader")
    return last


@pytest.mark.parametrize("words", [
    ("lock", "revoke", "/a"), ("session", "expire", "5"), ("settings", "locks_max=7"),
    ("locks",), ("lock", "describe", "/a")], ids=" ".join)
def test_without_a_quorum_the_command_waits_its_timeout_and_says_that_nobody_leads(cluster, words):
    last = without_quorum(cluster)
    began = time.monotonic()
    done = run(cluster, *words, "--timeout", "4s", nodes=[last])
    assert done.returncode == 69, done.stderr
    assert "[NO_LEADER]" in done.stderr
    assert 3 < time.monotonic() - began < 6


def test_a_revocation_outlasts_a_failover(cluster):
    cluster.leader().kill()
    done = run(cluster, "lock", "revoke", "/a", "--timeout", "20s")
    assert done.returncode == 0, done.stderr
    assert "nobody holds /a" in done.stdout
