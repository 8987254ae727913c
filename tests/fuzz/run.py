#!/usr/bin/python3
"""Runs a fuzzer on the tree's corpus: ./dev fuzz TARGET [--minutes N] [--keep], and the suite.

Kept crashes are replayed first. What the fuzzer finds goes to a scratch corpus in the build, where
the next run goes on; --keep adds those that reach something new to the tree's corpus, up to a
limit. A crash ends the run with exit code 1 and the command that replays it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, List, NoReturn, Optional, Tuple

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "fuzz"
BUILD = ROOT / "build" / "fuzz"
# What each target does is said at the head of tests/fuzz/TARGET.cc.
TARGETS = ("dispatch", "recovery", "commands", "core")
MINUTES_MAX = 7 * 24 * 60
# One input may take this long, sanitizers included, on a busy machine.
INPUT_LIMIT_S = 20
BYTES_MAX = 4096
MEMORY_LIMIT_MB = 2048
PROGRESS_EVERY_S = 5.0
TAIL_LINES = 60
KEPT_FILES_MAX = 60
KEPT_BYTES_MAX = 512

STATE = re.compile(r"#(\d+)\s.*\bcov: (\d+).*\bcorp: (\d+)/.*\bexec/s: (\d+)")
ARTIFACT = re.compile(r"Test unit written to (\S+)")


def refuse(text: str) -> NoReturn:
    print(f"fuzz: {text}", file=sys.stderr)
    sys.exit(2)


class Arguments(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        refuse(f"{message}; targets are {', '.join(TARGETS)}")


def minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MINUTES_MAX:
        refuse(f"--minutes={text}: it is a number above 0, up to {MINUTES_MAX}; "
               f"targets are {', '.join(TARGETS)}")
    return value


def parse_arguments(words: List[str]) -> argparse.Namespace:
    parser = Arguments(prog="./dev fuzz", description="feeds a fuzzer with inputs")
    parser.add_argument("target", nargs="?", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=minutes, default=1.0, help="how long; default 1")
    parser.add_argument("--keep", action="store_true",
                        help="add inputs that reach something new to the tree's corpus")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # only the words
    wanted = parser.parse_args(words)
    if wanted.target not in TARGETS:
        given = "no target given" if wanted.target is None else f"no target named '{wanted.target}'"
        refuse(f"{given}; targets are {', '.join(TARGETS)}")
    return wanted


def program(target: str) -> Path:
    path = BUILD / "bin" / f"fuzz-{target}"
    if not path.is_file():
        refuse(f"{path} is not built: ./dev fuzz {target} builds it")
    return path


def files_of(folder: Path) -> List[Path]:
    return sorted(p for p in folder.glob("*") if p.is_file()) if folder.is_dir() else []


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def replay(target: str) -> bool:
    """Whether what once crashed runs through."""
    crashes = files_of(HERE / "crashes" / target)
    if not crashes:
        return True
    done = subprocess.run([program(target), f"-timeout={INPUT_LIMIT_S}", *crashes],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print("\n".join(done.stderr.splitlines()[-TAIL_LINES:]))
        print(f"fuzz {target}: a kept crash is back")
        return False
    print(f"fuzz {target}: {len(crashes)} kept crashes run through")
    return True


class Progress:
    """Reads what the fuzzer says and shows a line of it now and then."""

    def __init__(self, target: str, limit_s: float) -> None:
        self.target = target
        self.limit_s = limit_s
        self.start = time.monotonic()
        self.told = self.start
        self.last: Optional[Tuple[str, ...]] = None
        self.artifact = ""
        self.tail: List[str] = []

    def read(self, stream: IO[str]) -> None:
        for line in stream:
            state = STATE.search(line)
            if state:
                self.last = state.groups()
                if time.monotonic() - self.told >= PROGRESS_EVERY_S:
                    self.told = time.monotonic()
                    print(self.line(), flush=True)
                continue
            artifact = ARTIFACT.search(line)
            if artifact:
                self.artifact = artifact.group(1)
            self.tail = (self.tail + [line.rstrip()])[-TAIL_LINES:]

    def line(self) -> str:
        spent = time.monotonic() - self.start
        head = f"fuzz {self.target}: {spent:4.0f} s of {self.limit_s:.0f}"
        if self.last is None:
            return head
        runs, branches, corpus, pace = self.last
        return f"{head}, {runs} inputs ({pace} a second), {branches} branches, {corpus} kept"


def fuzz(target: str, limit_s: float, scratch: Path) -> int:
    crashes = BUILD / "crashes" / target
    crashes.mkdir(parents=True, exist_ok=True)
    progress = Progress(target, limit_s)
    command = [str(program(target)), f"-max_total_time={max(1, round(limit_s))}",
               f"-timeout={INPUT_LIMIT_S}", f"-max_len={BYTES_MAX}",
               f"-rss_limit_mb={MEMORY_LIMIT_MB}", f"-artifact_prefix={crashes}/",
               str(scratch), str(HERE / "corpus" / target)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as child:
        assert child.stderr is not None
        progress.read(child.stderr)
        status = child.wait()
    print(progress.line())
    if status == 0:
        return 0
    print("\n".join(progress.tail))
    if not progress.artifact:
        print(f"fuzz {target}: it ended with {status} and left no input")
        return 1
    path = shown(Path(progress.artifact))
    print(f"fuzz {target}: crash, the input is {path}\n"
          f"replay it: {shown(program(target))} {path}\n"
          f"once it is fixed, keep it: cp {path} tests/fuzz/crashes/{target}/")
    return 1


def keep(target: str, scratch: Path) -> None:
    """The tree's corpus stays small: few files, short ones, and of these the longest reach most."""
    corpus = HERE / "corpus" / target
    known = {path.read_bytes() for path in files_of(corpus)}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(program(target)), "-merge=1", f"-max_len={KEPT_BYTES_MAX}", folder,
                        str(corpus), str(scratch)], check=True, capture_output=True)
        found = [path for path in files_of(Path(folder)) if path.read_bytes() not in known]
        chosen = sorted(found, key=lambda path: -path.stat().st_size)
        chosen = chosen[:max(0, KEPT_FILES_MAX - len(known))]
        for path in chosen:
            shutil.copy(path, corpus / path.name[:16])
    print(f"fuzz {target}: {len(chosen)} of {len(found)} new inputs added to {shown(corpus)}, "
          f"which holds up to {KEPT_FILES_MAX}")


def main() -> int:
    wanted = parse_arguments(sys.argv[1:])
    if wanted.check:
        return 0
    scratch = BUILD / "corpus" / wanted.target
    scratch.mkdir(parents=True, exist_ok=True)
    if not replay(wanted.target):
        return 1
    status = fuzz(wanted.target, wanted.minutes * 60, scratch)
    if status == 0 and wanted.keep:
        keep(wanted.target, scratch)
    return status


if __name__ == "__main__":
    sys.exit(main())
