#!/usr/bin/python3
"""Holdfast beside ZooKeeper and etcd, on this machine, in one run (./dev compare).

Each system's three servers are started alone for each shape, measured by a generator on the same
network code, and stopped. The table comes on standard output, every figure in the JSON file.
"""

import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

from peers import PEERS, ROOT, Peers, Refused, already_running
from report import SHAPES, SYSTEMS, Results, Shape, chosen, tables

from cluster import die_with_parent  # peers has put its folder on the path

BINARIES = ROOT / "build" / "bin"
PACKAGES = {"zookeeper": "zookeeper", "etcd": "etcd-server"}
TITLES = {"holdfast": "Holdfast", "zookeeper": "ZooKeeper", "etcd": "etcd"}
WARMUP_S = 2  # of the shape itself, before each run
# A JVM compiles what is called often: before the first run on fresh servers it is called as often
# as it can answer, with each kind of request. Seconds of each.
JVM_WARMUP_S = 8
JVM_WARMUP = ("writes-256", "pairs")
# Profiles with kinds of requests that those have not, and seconds of them: watchers rest meanwhile.
JVM_WARMUP_OF_ITS_OWN_S = {"watch": 24, "gets": 8}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def generate(program: str, flags: List[str]) -> List[Dict[str, Any]]:
    """The runs that a generator measured."""
    command = [str(BINARIES / program), *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, preexec_fn=die_with_parent)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise Refused(f"{shlex.join(command)}: {lines[-1] if lines else 'no word'}")
    runs: List[Dict[str, Any]] = json.loads(done.stdout)["runs"]
    return runs


def measure_holdfast(shape: Shape, flags: List[str], runs: int) -> List[Dict[str, Any]]:
    """A restart leaves its keys behind, so it wants a new cluster for every run."""
    at_once = 1 if shape.profile == "restart" else runs
    found: List[Dict[str, Any]] = []
    while len(found) < runs:
        found += generate("holdfast-bench", [*flags, "--start_cluster", f"--repeat={at_once}",
                                             f"--warmup={WARMUP_S}"])
    return found


def warm_up(servers: Peers, measured: Shape) -> None:
    shapes = [(SHAPES[key], JVM_WARMUP_S) for key in JVM_WARMUP]
    if measured.profile in JVM_WARMUP_OF_ITS_OWN_S:
        shapes.append((measured, JVM_WARMUP_OF_ITS_OWN_S[measured.profile]))
    for shape, seconds in shapes:
        generate("peer-bench", [f"--profile={shape.profile}", *shape.flags,
                                *servers.generator_flags(), f"--seconds={seconds}"])


def measure_restart(servers: Peers, shape: Shape) -> Dict[str, Any]:
    """As holdfast-bench's result has it."""
    generate("peer-bench", ["--profile=fill", *shape.flags, *servers.generator_flags()])
    index = servers.follower()
    servers.wait_for_rest(index)
    before = servers.resident_mib(index)
    took = servers.restart(index)
    return {"before": {"resident_mib": before},
            "after_sigterm": {"ready_after_s": took, "resident_mib": servers.resident_mib(index)}}


def measure_peer(system: str, shape: Shape, flags: List[str], runs: int) -> List[Dict[str, Any]]:
    """A failover wants fresh servers for every run, as it kills one, and so does a restart."""
    found: List[Dict[str, Any]] = []
    while len(found) < runs:
        servers = PEERS[system]()
        try:
            servers.start()
            if shape.profile == "restart":
                found.append(measure_restart(servers, shape))
                continue
            if system == "zookeeper":
                warm_up(servers, shape)
            while len(found) < runs:
                found += generate("peer-bench",
                                  [*flags, *servers.generator_flags(), f"--warmup={WARMUP_S}"])
                if shape.profile == "failover":
                    break
        finally:
            servers.stop()
    return found


def measure(system: str, shape: Shape, seconds: float, runs: int) -> List[Dict[str, Any]]:
    flags = [f"--profile={shape.profile}", *shape.flags, f"--seconds={seconds}"]
    if system == "holdfast":
        return measure_holdfast(shape, flags, runs)
    return measure_peer(system, shape, flags, runs)


def versions(systems: List[str]) -> Dict[str, str]:
    """The name of each system as the tables have it."""
    names = {"holdfast": "Holdfast"}
    for system, package in PACKAGES.items():
        if system in systems:
            version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                                     capture_output=True, text=True, check=False).stdout
            names[system] = f"{TITLES[system]} {version.split('-')[0]}".strip()
    return names


def fdatasync_ms() -> float:
    """The median time of overwriting 4 KiB with fdatasync, where the servers have their data."""
    block, blocks = b"x" * 4096, 200
    spent = []
    with tempfile.TemporaryFile() as file:
        os.write(file.fileno(), block * blocks)
        os.fsync(file.fileno())
        for at in range(blocks):
            began = time.monotonic()
            os.pwrite(file.fileno(), block, at * len(block))
            os.fdatasync(file.fileno())
            spent.append(time.monotonic() - began)
    return 1000 * statistics.median(spent)


def machine() -> Dict[str, Any]:
    cpus = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return {"cpu": cpus[0] if cpus else "unknown", "cores": os.cpu_count(),
            "memory_gib": round(memory), "fdatasync_4k_ms": round(fdatasync_ms(), 3)}


def parse(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev compare", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=5, help="how long each run is measured")
    parser.add_argument("--runs", type=int, default=3, help="runs of each shape; medians are shown")
    parser.add_argument("--systems", default="", help=f"only these of {','.join(SYSTEMS)}")
    parser.add_argument("--shapes", default="", help=f"only these of {','.join(SHAPES)}")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "compare.json",
                        help="where every figure is written")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # only the words
    options = parser.parse_args(argv)
    try:
        options.systems = chosen(options.systems, SYSTEMS, "--systems")
        options.shapes = chosen(options.shapes, list(SHAPES), "--shapes")
    except ValueError as error:
        parser.error(str(error))
    if not 0.1 <= options.seconds <= 60:
        parser.error(f"--seconds is {options.seconds:g} but must be from 0.1 to 60")
    if not 1 <= options.runs <= 100:
        parser.error(f"--runs is {options.runs} but must be from 1 to 100")
    return options


def run(options: argparse.Namespace) -> None:
    others = already_running()
    if others:
        raise Refused(f"stop what runs here already: {', '.join(others)}")
    results: Results = {}
    names = versions(options.systems)
    facts = {"machine": machine(), "systems": names, "seconds": options.seconds,
             "results": results}
    for key in options.shapes:
        for system in options.systems:
            if system in SHAPES[key].absent:
                continue
            say(f"{SHAPES[key].title}: {TITLES[system]}")
            results.setdefault(key, {})[system] = measure(system, SHAPES[key], options.seconds,
                                                          options.runs)
            # Each time: a run that is cut short keeps what it has.
            options.json.write_text(json.dumps(facts, indent=2) + "\n")
    print(tables(results, names))
    say(f"Every figure: {options.json}")


def interrupt(*_: object) -> None:
    """A polite end stops the servers, too."""
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupt)
    options = parse(sys.argv[1:])
    if options.check:
        return 0
    try:
        run(options)
    except Refused as refused:
        say(f"./dev compare: {refused}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
