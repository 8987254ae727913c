"""Who may include what: the link lines of CMakeLists.txt are the table, any other edge fails.

A room (and a program) may include itself and the rooms and libraries on its own link line, not what
those stand on. A test may include everything behind what it links. Pure rooms may not even include
the standard headers that lead out of them (threads, files, clocks).
"""

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set

from tree import Problem, bare_code, cpp_files, line_of, read

# Header prefix -> the name that must stand on the link line. The first match decides.
LIBRARIES = (
    ("event2/", "PkgConfig::libevent"),
    ("glog/", "glog::glog"),
    ("gflags/", "gflags"),
    ("nlohmann/", "nlohmann_json::nlohmann_json"),
    ("xxhash", "PkgConfig::xxhash"),
    ("openssl/", "OpenSSL::"),
    ("prometheus/", "PkgConfig::prometheus"),
    ("sqlite3", "PkgConfig::sqlite"),
    ("thrift/", "thrift"),
    ("gtest/", "GTest"),
    ("gmock/", "GTest"),
    ("benchmark/", "benchmark"),
    ("nghttp2/", "PkgConfig::nghttp2"),
)

PURE_ROOMS = ("raft/core", "session", "lockmgr", "coordinator/tree", "coordinator/watch",
              "coordinator/rsm")
# What a pure room has no business with: each leads to I/O, a clock, a thread or a global generator.
IMPURE_HEADERS = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|atomic|semaphore|latch|barrier|random"
    r"|iostream|fstream|filesystem|cstdio|stdio\.h|ctime|time\.h|unistd\.h|fcntl\.h|signal\.h"
    r"|csignal|poll\.h|sys/.*|netinet/.*|arpa/.*|base/clock\.h|base/net/.*)$")

# Generated from the IDL of commands and peer messages, which no client may come to depend on.
REPLICATED_IDL = re.compile(r"^gen/cpp/(command|peer)_")

_CALL = re.compile(r"^(hf_room|hf_program|hf_suite)\(([^)]*)\)", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


class Unit(NamedTuple):
    """One target: what it is called, which sources it owns and what it links."""

    kind: str
    name: str
    owns: List[str]
    links: List[str]


def table(root: Path) -> Dict[str, Unit]:
    """Every target that the build files define, by name; hf_idl() defines "thrift"."""
    units = {"thrift": Unit("hf_room", "thrift", [], ["base"])}
    for build_file in ("CMakeLists.txt", "cmake/tests.cmake"):
        if not (root / build_file).is_file():
            continue
        text = re.sub(r"#[^\n]*", "", (root / build_file).read_text())
        for kind, body in _CALL.findall(text):
            words = body.split()
            if not words or "${" in words[0]:
                continue
            split = words.index("LINK") if "LINK" in words else len(words)
            unit = Unit(kind, words[0], words[1:split], words[split + 1:])
            units[unit.name] = unit
    return units


def closure(units: Dict[str, Unit], links: List[str]) -> Set[str]:
    seen: Set[str] = set()
    waiting = list(links)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in units:
            waiting.extend(units[name].links)
    return seen


def cycle(units: Dict[str, Unit]) -> Optional[str]:
    """A room that stands on itself, if there is one."""
    return next((name for name, unit in units.items() if name in closure(units, unit.links)), None)


def owner(units: Dict[str, Unit], path: Path) -> Optional[str]:
    """The target that a source belongs to: its folder's room, else the program that names it."""
    folder = path.parent.as_posix()
    for name, unit in units.items():
        if unit.kind == "hf_program" and any(path.match(pattern) for pattern in unit.owns):
            return name
    for name, unit in units.items():
        if unit.kind == "hf_room" and folder == name:
            return name
        if unit.kind == "hf_suite" and folder == f"tests/{name}":
            return name
    return None


def allowed(units: Dict[str, Unit], name: str) -> Set[str]:
    unit = units[name]
    if unit.kind == "hf_suite":
        return closure(units, unit.links) | {"GTest", "benchmark"}
    return set(unit.links) | {name}


def wanted_by(units: Dict[str, Unit], header: str, quoted: bool) -> Optional[str]:
    """The table entry that an include needs; None for a standard header."""
    if quoted:
        return "thrift" if header.startswith("gen/") else Path(header).parent.as_posix()
    return next((link for prefix, link in LIBRARIES if header.startswith(prefix)), None)


def may_include(units: Dict[str, Unit], path: Path, links: Set[str], wanted: str) -> bool:
    if wanted.endswith("::"):
        return any(link.startswith(wanted) for link in links)
    if wanted in links or wanted == path.parent.as_posix():
        return True
    return path.parts[0] == wanted.split("/")[0] and path.parts[0] in ("tests", "bench")


def check_file(root: Path, units: Dict[str, Unit], path: Path) -> List[Problem]:
    raw = read(root, path)
    unit = owner(units, path)
    shared_test_code = unit is None and path.parts[0] == "tests"
    if unit is None and not shared_test_code:
        return [Problem(str(path), 0, "belongs to no room of CMakeLists.txt")]
    links = set(units) | {link for _, link in LIBRARIES} if unit is None else allowed(units, unit)
    problems = []
    code_lines = bare_code(raw).splitlines()
    for match in _INCLUDE.finditer(raw):
        line = line_of(raw, match.start(1))
        if "include" not in code_lines[line - 1]:
            continue
        header, quoted = match.group(2), match.group(1) == '"'
        wanted = wanted_by(units, header, quoted)
        if quoted and not header.startswith("gen/") and not (root / header).is_file():
            problems.append(Problem(str(path), line, f'"{header}" is no path from the root'))
        elif wanted is not None and not may_include(units, path, links, wanted):
            problems.append(Problem(
                str(path), line, f"{header} needs {wanted}, which {unit} does not link"))
        if REPLICATED_IDL.match(header) and path.parts[0] not in ("coordinator", "tests"):
            problems.append(Problem(str(path), line, f"{header} is between servers only"))
        if unit in PURE_ROOMS and IMPURE_HEADERS.match(header):
            problems.append(Problem(str(path), line, f"{header} has no place in a pure room"))
    return problems


def check(root: Path) -> List[Problem]:
    units = table(root)
    looped = cycle(units)
    if looped:
        return [Problem("CMakeLists.txt", 0, f"{looped} stands on itself")]
    return [p for path in cpp_files(root) for p in check_file(root, units, path)]
