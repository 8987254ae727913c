"""Calls that reach the world are made only where a port is implemented.

Clock, disk, network and entropy are parameters, so that the simulator can supply its own. Each rule
below names what is banned and the files that implement the port: the list is the whole exception.
"""

import fnmatch
import re
from pathlib import Path
from typing import List, NamedTuple, Tuple

from includes import PURE_ROOMS
from tree import Problem, bare_code, cpp_files, line_of, read


class Rule(NamedTuple):
    what: str
    pattern: "re.Pattern[str]"
    allowed: Tuple[str, ...]
    in_tests: bool


def _call(*names: str) -> "re.Pattern[str]":
    """A call of a plain or ::-qualified C function, not of a member or of another namespace's."""
    return re.compile(r"(?<![\w.>:])(?:::)?(?:std::)?(?:" + "|".join(names) + r")\s*\(")


RULES = (
    Rule("a clock", re.compile(r"\b(?:steady_clock|system_clock|high_resolution_clock)\b"),
         ("base/clock.cc",), True),
    Rule("a clock", _call("clock_gettime", "gettimeofday", "time"),
         ("base/clock.cc",), True),
    Rule("randomness", re.compile(r"\b(?:random_device|mt19937(?:_64)?|default_random_engine)\b"),
         ("base/entropy.cc",), True),
    Rule("randomness", _call("rand", "srand", "random", "drand48", "getrandom", "getentropy"),
         ("base/entropy.cc",), True),
    Rule("sleep", re.compile(r"\bsleep_(?:for|until)\b|\b(?:usleep|nanosleep)\s*\("), (), True),
    Rule("sleep", _call("sleep"), (), True),
    Rule("a thread", re.compile(r"\bstd::(?:jthread|thread|async)\b|\bpthread_create\b"),
         ("raft/storage/threaded_log_writer.*", "raft/storage/threaded_room_keeper.h",
          "coordinator/snapshot/threaded_span_writer.h", "coordinator/snapshot/side_thread.*",
          "coordinator/snapshot/background.h",
          "base/net/frame_dial.cc", "clients/cpp/loop_thread.h", "bench/load/upkeep.cc",
          "coordinator/server/io_thread.h"), False),
    Rule("the disk", _call("open", "openat", "creat", "fopen", "fsync", "fdatasync", "pread",
                           "pwrite", "pwritev", "rename", "renameat", "unlink", "ftruncate",
                           "fallocate", "posix_fallocate", "mkdir", "opendir"),
         ("raft/storage/posix_file_system.cc", "bench/*",
          "clients/cli/output.cc"), False),  # a pipe that it has already
    Rule("the disk", re.compile(r"\bstd::(?:[io]?fstream|filesystem)\b"),
         ("coordinator/server/flag_parser.cc", "clients/cli/key_args.cc", "bench/*"), False),
    Rule("the network", _call("socket", "connect", "accept4?", "recvmsg", "sendmsg", "recvfrom",
                              "sendto", "getaddrinfo", "epoll_create1", "epoll_wait"),
         ("base/net/*.cc", "bench/*"), False),
)

_UNORDERED = re.compile(r"\bunordered_(?:flat_)?(?:multi)?(?:map|set)\s*<.*>\s*&?\s*(\w+)\s*[;={]")


# A type before a name makes it a declaration of our own, not a call; these words are no types.
_DECLARED = re.compile(r"([\w>&*]+)[ \n]+$")
_NO_TYPE = {"return", "co_return", "throw", "else", "do", "case", "not", "and", "or"}


def declares(code: str, offset: int) -> bool:
    before = _DECLARED.search(code, max(0, offset - 80), offset)
    return before is not None and before.group(1) not in _NO_TYPE | {"&", "&&", ">"}


def is_own_member(code: str, call: str) -> bool:
    """A file that defines Thing::open calls its own when it says open(...) without ::."""
    return "::" not in call and re.search(r"\b[A-Z]\w*::" + call + r"\s*\(", code) is not None


def excused(path: Path, patterns: Tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path.as_posix(), pattern) for pattern in patterns)


def check_calls(path: Path, code: str) -> List[Problem]:
    problems = []
    for rule in RULES:
        if excused(path, rule.allowed) or (path.parts[0] == "tests" and not rule.in_tests):
            continue
        for match in rule.pattern.finditer(code):
            call = match.group(0).strip().rstrip("(").strip()
            if declares(code, match.start()) or is_own_member(code, call):
                continue
            problems.append(Problem(str(path), line_of(code, match.start()),
                                    f"{call}: {rule.what} is reached only through its port"))
    return problems


def check_hash_order(root: Path, room: str) -> List[Problem]:
    """A pure room's result may not depend on the order of a hash table: none is walked there."""
    sources = [(p, bare_code(read(root, p))) for p in cpp_files(root)
               if p.parent.as_posix() == room]
    names = {name for _, code in sources for name in _UNORDERED.findall(code)}
    problems = []
    for path, code in sources:
        for name in sorted(names):
            walk = re.compile(r"for\s*\([^;)]*:\s*[\w.>-]*\b" + name + r"\s*\)|\b" + name
                              + r"\s*\.\s*c?begin\s*\(")
            problems += [Problem(str(path), line_of(code, m.start()),
                                 f"{name} is a hash table: its order is not the same everywhere")
                         for m in walk.finditer(code)]
    return problems


def check(root: Path) -> List[Problem]:
    problems = []
    for path in cpp_files(root):
        problems += check_calls(path, bare_code(read(root, path)))
    for room in PURE_ROOMS:
        problems += check_hash_order(root, room)
    return problems
