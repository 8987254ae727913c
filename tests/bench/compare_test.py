"""./dev compare without the peers: medians and tables, refusals in one line, nothing left."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "compare"))

import compare  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402

NAMES = {"holdfast": "Holdfast", "zookeeper": "ZooKeeper 3.8.0", "etcd": "etcd 3.4.23"}


def throughput(per_second):
    return {"per_second": per_second, "latency": {"p50_us": 420.0, "p99_us": 12_345.0},
            "servers_cpu_us_per_operation": 95.4, "generator_cpu_us_per_operation": 1.74}


def rows(results):
    """Of the tables, the cells of every line but the headers'."""
    blocks = report.tables(results, NAMES).split("\n\n")
    return [line.strip("| ").split(" | ") for block in blocks for line in block.splitlines()[2:]]


@pytest.mark.parametrize("value, text", [
    (121_234.5, "121,234"), (100, "100"), (99.6, "100"), (12.3, "12"), (1.26, "1.3"),
    (0.421, "0.42"), (0, "0.00"),
])
def test_figures_show_the_digits_that_mean_something(value, text):
    assert report.significant(value) == text


def test_the_median_of_the_runs_is_shown():
    runs = [throughput(n) for n in (900, 50, 1000)]
    assert rows({"writes-1": {"etcd": runs}}) == [
        ["writes, 1 outstanding", "etcd 3.4.23", "900", "0.42", "12", "95", "1.7"]]


def test_a_gap_shows_least_median_and_most():
    runs = [{"longest_gap_ms": gap} for gap in (1_800, 20, 700)]
    assert rows({"failover": {"etcd": runs}})[0][1:] == ["etcd 3.4.23", "20", "700", "1,800"]


def test_watchers_show_how_far_the_runs_lie_apart():
    runs = [{"until_the_last_watcher": {"p50_us": p50, "p99_us": 20_000},
             "servers_cpu_us_per_operation": 9_000, "generator_cpu_us_per_operation": 4_000}
            for p50 in (8_000, 6_000, 9_000)]
    assert rows({"watch-50": {"etcd": runs}}) == [
        ["1,000 watchers on 50 connections", "ZooKeeper 3.8.0"] + 6 * ["-"],
        ["1,000 watchers on 50 connections", "etcd 3.4.23",
         "8.0", "6.0", "9.0", "20", "9.0", "4.0"]]


def test_a_system_that_has_no_such_thing_is_not_asked_for_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(compare, "already_running", lambda: [])
    monkeypatch.setattr(compare, "measure", lambda system, *_: asked.append(system) or [])
    compare.run(compare.parse(["--shapes=watch-50", f"--json={tmp_path / 'figures'}"]))
    assert asked == ["holdfast", "etcd"]


def test_tables_hold_what_was_measured_in_the_order_of_shapes_and_systems():
    text = report.tables({"failover": {"etcd": [{"longest_gap_ms": 5}]},
                          "pairs": {"etcd": [throughput(2)], "holdfast": [throughput(1)]}}, NAMES)
    lines = text.splitlines()
    assert lines[0].startswith("| what | system | per second")
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["Holdfast", "etcd 3.4.23"]
    assert lines[-1].endswith(" | etcd 3.4.23 | 5.0 | 5.0 | 5.0 |")
    assert "\n\n" in text


def test_every_shape_asks_both_generators_for_what_they_know():
    ours = (ROOT / "bench/holdfast_bench.cc").read_text()
    theirs = (ROOT / "bench/compare/peer_bench.cc").read_text()
    known = {name for name in ("commands", "pairs", "handoff", "gets", "watch", "failover")
             if f'{{"{name}", run_peer_{name}}}' in theirs and f'{{"{name}", ' in ours}
    assert {shape.profile for shape in report.SHAPES.values()} == known | {"restart"}
    assert '{"restart", ' in ours and '{"fill", run_peer_fill}' in theirs


@pytest.mark.parametrize("words, why", [
    (["--systems=consul"], "'consul', which is none of holdfast, zookeeper, etcd"),
    (["--shapes=pairs,renewals"], "'renewals', which is none of"),
    (["--seconds=0"], "--seconds is 0 but must be from 0.1 to 60"),
    (["--seconds=61"], "--seconds is 61 but must be"),
    (["--runs=0"], "--runs is 0 but must be from 1 to 100"),
])
def test_bad_options_are_named_with_the_limit(words, why, capsys):
    with pytest.raises(SystemExit) as end:
        compare.parse(words)
    assert end.value.code == 2
    assert why in capsys.readouterr().err


def test_filters_keep_the_order_of_the_tables():
    options = compare.parse(["--systems=etcd,holdfast", "--shapes=failover,writes-1"])
    assert options.systems == ["holdfast", "etcd"]
    assert options.shapes == ["writes-1", "failover"]
    assert compare.parse([]).systems == list(report.SYSTEMS)


def test_a_restart_shows_seconds_and_memory():
    runs = [{"before": {"resident_mib": 900}, "after_sigterm": {"ready_after_s": s,
                                                                "resident_mib": 700}}
            for s in (2, 9, 3)]
    assert rows({"restart": {"etcd": runs}})[0][1:] == [
        "etcd 3.4.23", "2.0", "3.0", "9.0", "900", "700"]


class StandIn(peers.Etcd):
    """Servers that are another program; the leader is the second."""

    program = ["sleep", "100"]

    def command(self, index):
        super().command(index)
        return self.program

    def leads(self, index):
        return index == 1 and self.processes[index].poll() is None


def test_the_leader_comes_first_and_stopping_leaves_nothing():
    servers = StandIn()
    servers.start()
    flags = dict(flag.split("=") for flag in servers.generator_flags())
    pids = [process.pid for process in servers.processes]
    servers.stop()
    assert flags["--pids"] == f"{pids[1]},{pids[0]},{pids[2]}"
    assert flags["--servers"].split(",")[0] == f"127.0.0.1:{servers.client_ports[1]}"
    assert [process.returncode for process in servers.processes] == [-signal.SIGKILL] * 3
    assert not servers.home.exists()


def test_a_follower_that_is_restarted_is_another_process():
    class Restarted(StandIn):
        def follows(self, index):
            return self.processes[index].poll() is None
    servers = Restarted()
    servers.start()
    before = [process.pid for process in servers.processes]
    servers.wait_for_rest(0)
    assert servers.follower() == 0 and servers.restart(0) < peers.START_LIMIT_S
    after = [process.pid for process in servers.processes]
    assert servers.resident_mib(0) > 0
    servers.stop()
    assert before[0] != after[0] and before[1:] == after[1:]


def test_a_server_that_ends_at_once_is_quoted():
    class Broken(StandIn):
        program = ["sh", "-c", "echo bad flag >&2; exit 2"]

        def leads(self, index):
            return False
    servers = Broken()
    with pytest.raises(peers.Refused) as refused:
        servers.start()
    servers.stop()
    assert "ended: bad flag" in str(refused.value) and "\n" not in str(refused.value)


def test_zookeeper_is_told_of_its_peers_and_to_answer_who_leads():
    servers = peers.ZooKeeper()
    servers.data(0).mkdir()
    command = servers.command(0)
    config = Path(command[-1]).read_text()
    servers.stop()
    assert "-Dzookeeper.forceSync=yes" in command
    assert f"clientPort={servers.client_ports[0]}\n" in config
    assert config.count("server.") == 3 and "4lw.commands.whitelist=srvr" in config
    ports = servers.client_ports + servers.peer_ports + servers.election_ports
    assert len(set(ports)) == 9


def test_a_peer_that_somebody_else_runs_is_refused(tmp_path, capsys, monkeypatch):
    etcd = tmp_path / "etcd"
    etcd.symlink_to("/usr/bin/sleep")
    stranger = subprocess.Popen([str(etcd), "100"])
    monkeypatch.setattr(sys, "argv", ["compare"])
    monkeypatch.setattr(compare, "measure", lambda *_: pytest.fail("something was measured"))
    try:
        # A process has no words for a moment after it was started.
        assert peers.wait_until(Path(f"/proc/{stranger.pid}/cmdline").read_bytes, 5)
        assert compare.main() == 1
    finally:
        stranger.kill()
        stranger.wait()
    said = capsys.readouterr().err
    assert "stop what runs here already: " in said and f"etcd (process {stranger.pid})" in said
