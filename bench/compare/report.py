"""What the figures become: medians of the runs, and the tables. Pure."""

import statistics
from typing import Any, Dict, List, NamedTuple, Sequence

SYSTEMS = ("holdfast", "zookeeper", "etcd")


class Shape(NamedTuple):
    """One thing that is measured: its title, and the profile and flags of the generators."""

    title: str
    profile: str
    flags: Sequence[str] = ()


SHAPES: Dict[str, Shape] = {
    "writes-1": Shape("writes, 1 outstanding", "commands", ["--outstanding=1"]),
    "writes-16": Shape("writes, 16 outstanding", "commands", ["--outstanding=16"]),
    "writes-256": Shape("writes, 256 outstanding", "commands", ["--outstanding=256"]),
    "pairs": Shape("acquire + release, 256 clients", "pairs", ["--clients=256"]),
    "handoff": Shape("hand-off, 32 waiters", "handoff", ["--waiters=32"]),
    "failover": Shape("longest gap of writes, leader killed (-9)", "failover"),
}

Results = Dict[str, Dict[str, List[Dict[str, Any]]]]  # shape, system, runs

HEADER = ("what", "system", "per second", "p50 ms", "p99 ms", "servers' CPU us each",
          "generator's CPU us each")


def significant(value: float) -> str:
    """Two digits that mean something below 100, whole numbers above, thousands set apart."""
    if value >= 100:
        return f"{round(value):,}"
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def median(runs: List[Dict[str, Any]], *path: str) -> float:
    """Of the figure that `path` leads to in every run."""
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        values.append(float(value))
    return statistics.median(values)


def throughput_row(title: str, system: str, runs: List[Dict[str, Any]]) -> List[str]:
    figures = (median(runs, "per_second"), median(runs, "latency", "p50_us") / 1000,
               median(runs, "latency", "p99_us") / 1000,
               median(runs, "servers_cpu_us_per_operation"),
               median(runs, "generator_cpu_us_per_operation"))
    return [title, system, *(significant(figure) for figure in figures)]


def gap_row(title: str, system: str, runs: List[Dict[str, Any]]) -> List[str]:
    gaps = sorted(float(run["longest_gap_ms"]) for run in runs)
    return [title, system, *(significant(g) for g in (gaps[0], statistics.median(gaps), gaps[-1]))]


def markdown(header: Sequence[str], rows: List[List[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(results: Results, names: Dict[str, str]) -> str:
    """One table of throughput and one of gaps, as far as there are figures for them."""
    throughput: List[List[str]] = []
    gaps: List[List[str]] = []
    for key, shape in SHAPES.items():
        for system in SYSTEMS:
            runs = results.get(key, {}).get(system)
            if runs and shape.profile == "failover":
                gaps.append(gap_row(shape.title, names[system], runs))
            elif runs:
                throughput.append(throughput_row(shape.title, names[system], runs))
    found = []
    if throughput:
        found.append(markdown(HEADER, throughput))
    if gaps:
        found.append(markdown(("what", "system", "least ms", "median ms", "most ms"), gaps))
    return "\n\n".join(found)


def chosen(text: str, known: Sequence[str], flag: str) -> List[str]:
    """The names of a comma-separated list, in the order of `known`; all if it is empty. Raises
    ValueError with one line that names what is unknown."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise ValueError(f"{flag} has '{name}', which is none of {', '.join(known)}")
    return [name for name in known if not names or name in names]
