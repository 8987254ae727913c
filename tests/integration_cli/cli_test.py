"""The `holdfast` command against real servers."""

import json
import os
import signal
import subprocess

from support.paths import program


def run(cluster, *words, timeout=30):
    """One invocation; its completed process."""
    nodes = cluster.nodes.values()
    environment = dict(os.environ,
                       HOLDFAST_SERVERS=",".join(node.address for node in nodes),
                       HOLDFAST_ADMIN=",".join(node.admin_address for node in nodes))
    return subprocess.run([str(program("holdfast")), *words], env=environment, timeout=timeout,
                          capture_output=True, text=True, check=False)


def test_a_command_under_a_lock_finds_its_token_and_its_exit_code_passes_through(cluster):
    done = run(cluster, "lock", "/jobs/a", "--", "sh", "-c", "echo $HOLDFAST_TOKEN; exit 7")
    assert done.returncode == 7
    told = json.loads(run(cluster, "lock", "describe", "/jobs/a", "--json").stdout)
    assert told["tenures"][0]["token"] == int(done.stdout)


def test_a_try_at_a_held_lock_does_not_run_the_command(cluster):
    inner = [str(program("holdfast")), "lock", "/jobs/a", "--try", "--", "echo", "ran"]
    done = run(cluster, "lock", "/jobs/a", "--", *inner)
    assert done.returncode == 75
    assert "ran" not in done.stdout
    assert "held by" in done.stderr


def test_a_command_that_ignores_sigterm_is_killed_when_no_server_can_be_reached(cluster):
    pids = " ".join(str(node.process.pid) for node in cluster.nodes.values())
    script = f"trap 'echo told' TERM; kill -STOP {pids}; while :; do sleep 0.1; done"
    try:
        done = run(cluster, "lock", "/jobs/a", "--ttl", "4s", "--", "sh", "-c", script)
    finally:
        for node in cluster.nodes.values():
            node.signal(signal.SIGCONT)
    assert done.returncode == 76
    assert "told" in done.stdout
    assert "killing" in done.stderr


def test_an_unknown_flag_is_an_error_that_names_it(cluster):
    done = run(cluster, "locks", "--bogus")
    assert done.returncode == 64
    assert "--bogus" in done.stderr


def test_status_says_which_server_leads(cluster):
    servers = json.loads(run(cluster, "status", "--json").stdout)
    assert len(servers) == 3
    leader = servers[0]["leader_id"]
    assert [s["node_id"] for s in servers if s["role"] == "leader"] == [leader]
