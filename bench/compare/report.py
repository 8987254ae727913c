"""What the figures become: medians of the runs, and the tables. Pure."""

import statistics
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

SYSTEMS = ("holdfast", "zookeeper", "etcd")


class Shape(NamedTuple):
    """One thing that is measured: its title, the profile and flags of the generators, and the
    systems that have no such thing."""

    title: str
    profile: str
    flags: Sequence[str] = ()
    absent: Sequence[str] = ()


def watch(connections: int, absent: Sequence[str] = ()) -> Shape:
    return Shape(f"1,000 watchers on {connections:,} connections", "watch",
                 ["--spread", f"--connections={connections}", "--outstanding=1", "--rest_ms=20"],
                 absent)


SHAPES: Dict[str, Shape] = {
    "writes-1": Shape("writes, 1 outstanding", "commands", ["--outstanding=1"]),
    "writes-16": Shape("writes, 16 outstanding", "commands", ["--outstanding=16"]),
    "writes-256": Shape("writes, 256 outstanding", "commands", ["--outstanding=256"]),
    "pairs": Shape("acquire + release, 256 clients", "pairs", ["--clients=256"]),
    "handoff": Shape("hand-off, 32 waiters", "handoff", ["--waiters=32"]),
    "watch-1000": watch(1000),
    # A session of ZooKeeper is a connection, and is told once.
    "watch-50": watch(50, absent=["zookeeper"]),
    "reads": Shape("linearizable reads, 256 outstanding", "gets", ["--outstanding=256"]),
    "reads-local": Shape("local reads, 256 outstanding", "gets",
                         ["--outstanding=256", "--consistency=local"]),
    "restart": Shape("a follower with 500,000 keys, stopped by SIGTERM", "restart",
                     ["--keys=500000"]),
    "failover": Shape("longest gap of writes, leader killed (-9)", "failover"),
}

Results = Dict[str, Dict[str, List[Dict[str, Any]]]]  # shape, system, runs

def significant(value: float) -> str:
    """Two digits that mean something below 100, whole numbers above, thousands set apart."""
    if value >= 100:
        return f"{round(value):,}"
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def sorted_figures(runs: List[Dict[str, Any]], *path: str) -> List[float]:
    """The figure that `path` leads to in every run, the least first."""
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        values.append(float(value))
    return sorted(values)


def median(runs: List[Dict[str, Any]], *path: str) -> float:
    return statistics.median(sorted_figures(runs, *path))


def throughput_figures(runs: List[Dict[str, Any]]) -> List[float]:
    return [median(runs, "per_second"), median(runs, "latency", "p50_us") / 1000,
            median(runs, "latency", "p99_us") / 1000,
            median(runs, "servers_cpu_us_per_operation"),
            median(runs, "generator_cpu_us_per_operation")]


def watch_figures(runs: List[Dict[str, Any]]) -> List[float]:
    p50 = sorted_figures(runs, "until_the_last_watcher", "p50_us")
    return [figure / 1000 for figure in (
        statistics.median(p50), p50[0], p50[-1], median(runs, "until_the_last_watcher", "p99_us"),
        median(runs, "servers_cpu_us_per_operation"),
        median(runs, "generator_cpu_us_per_operation"))]


def gap_figures(runs: List[Dict[str, Any]]) -> List[float]:
    gaps = sorted_figures(runs, "longest_gap_ms")
    return [gaps[0], statistics.median(gaps), gaps[-1]]


def restart_figures(runs: List[Dict[str, Any]]) -> List[float]:
    took = sorted_figures(runs, "after_sigterm", "ready_after_s")
    return [took[0], statistics.median(took), took[-1], median(runs, "before", "resident_mib"),
            median(runs, "after_sigterm", "resident_mib")]


class Table(NamedTuple):
    """Which profiles it shows, and the figures of a row."""

    profiles: Sequence[str]
    header: Sequence[str]
    figures: Callable[[List[Dict[str, Any]]], List[float]]


TABLES = (
    Table(("commands", "pairs", "handoff", "gets"),
          ("what", "system", "per second", "p50 ms", "p99 ms", "servers' CPU us each",
           "generator's CPU us each"), throughput_figures),
    Table(("watch",),
          ("until the last is told, at rest", "system", "p50 ms", "least p50", "most p50", "p99 ms",
           "servers' CPU ms each", "generator's CPU ms each"), watch_figures),
    Table(("restart",),
          ("from its start until it answers", "system", "least s", "median s", "most s",
           "resident MiB before", "resident MiB then"), restart_figures),
    Table(("failover",), ("what", "system", "least ms", "median ms", "most ms"), gap_figures),
)


def rows_of(table: Table, results: Results, names: Dict[str, str]) -> List[List[str]]:
    """Of an absent system, if it is among those measured, a dash for every figure."""
    rows = []
    shown = {key: shape for key, shape in SHAPES.items() if shape.profile in table.profiles}
    for key, shape in shown.items():
        for system in SYSTEMS:
            runs = results.get(key, {}).get(system)
            if runs:
                rows.append([shape.title, names[system], *map(significant, table.figures(runs))])
            elif key in results and system in shape.absent and system in names:
                rows.append([shape.title, names[system], *"-" * (len(table.header) - 2)])
    return rows


def markdown(header: Sequence[str], rows: List[List[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(results: Results, names: Dict[str, str]) -> str:
    """As far as there are figures for them."""
    found = ((table.header, rows_of(table, results, names)) for table in TABLES)
    return "\n\n".join(markdown(header, rows) for header, rows in found if rows)


def chosen(text: str, known: Sequence[str], flag: str) -> List[str]:
    """The names of a comma-separated list, in the order of `known`; all if it is empty. Raises
    ValueError with one line that names what is unknown."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise ValueError(f"{flag} has '{name}', which is none of {', '.join(known)}")
    return [name for name in known if not names or name in names]
