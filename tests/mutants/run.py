#!/usr/bin/python3
"""Applies each mutant to a scratch copy of the tree, builds, and shows which test caught it.

One scratch tree and one build in it serve all mutants, so that each costs only what it changed. A
mutant's tests run in the order of its header until one fails: that one caught it. Exit 0 only if
every mutant was caught.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutants import BadMutant, Mutant, all_mutants, git_apply  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TEST_LIMIT_S = 300
# What the tests in Python start or import.
STARTED = ["holdfastd", "holdfast", "alter-snapshot", "chaos-shim", "hf_thrift_generated"]


class Verdict(NamedTuple):
    """What became of a mutant; `caught_by` is empty if it survived, or could not be tried."""

    caught_by: str
    why: str
    build_s: float
    test_s: float


class Failed(Exception):
    """The scratch tree cannot be used: it does not build, or its own tests fail."""


def program_of(test: str) -> Optional[str]:
    """The build target of a ctest name; nothing for tests in Python."""
    if test.startswith("simulation/"):
        return "simulate"
    if test == "scenario":
        return "raftlab"
    if test.startswith(("unit/python", "integration")):
        return None
    return test.replace("/", "_") + "_test"


def copy_tree(target: Path) -> None:
    """Brings the scratch tree up to date; what did not change keeps its time, for ninja."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout.split("\0")
    wanted = {name for name in listed if name and (ROOT / name).is_file()}
    for name in wanted:
        source, copy = ROOT / name, target / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    for path in target.rglob("*"):
        inside = path.relative_to(target)
        if path.is_file() and inside.parts[0] != "build" and str(inside) not in wanted:
            path.unlink()


class Scratch:
    """The copy of the tree, its build, and the tests that run in it."""

    def __init__(self, home: Path, jobs: int) -> None:
        self.tree = home / "tree"
        self.build = self.tree / "build"
        self.jobs = jobs
        self.tree.mkdir(parents=True, exist_ok=True)
        self.alone = open(home / "lock", "w", encoding="ascii")  # held until the process ends
        try:
            fcntl.flock(self.alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"{home} is in use by another run; --home names another place") from None
        copy_tree(self.tree)
        if not (self.build / "build.ninja").exists():
            self._must(["cmake", "--preset", "release", "-DBUILD_TESTING=ON"])

    def _must(self, command: List[str]) -> None:
        done = subprocess.run(command, cwd=self.tree, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-4000:]}")

    def compile(self, tests: List[str]) -> None:
        targets = [t for t in map(program_of, tests) if t]
        if len(targets) < len(tests):
            targets += STARTED
        self._must(["ninja", "-C", str(self.build), "-j", str(self.jobs), *targets])

    def test(self, name: str) -> Tuple[bool, str]:
        """Runs one test of ctest; whether it passed, and the first sign of why not."""
        done = subprocess.run(
            ["ctest", "--test-dir", str(self.build), "-R", f"^{re.escape(name)}$",
             "--no-tests=error", "--output-on-failure", "--timeout", str(TEST_LIMIT_S)],
            capture_output=True, text=True, errors="replace", check=False)  # tests show bytes, too
        return done.returncode == 0, first_sign(done.stdout)

    def judge(self, mutant: Mutant) -> Verdict:
        git_apply(self.tree, mutant.path)
        try:
            start = time.monotonic()
            try:
                self.compile(mutant.tests)
            except Failed as error:
                print(error)
                return Verdict("", "it does not build", time.monotonic() - start, 0.0)
            built = time.monotonic()
            for name in mutant.tests:
                passed, why = self.test(name)
                if not passed:
                    return Verdict(name, why, built - start, time.monotonic() - built)
            survived = f"SURVIVED {' '.join(mutant.tests)}"
            return Verdict("", survived, built - start, time.monotonic() - built)
        finally:
            git_apply(self.tree, mutant.path, "--reverse")


def first_sign(output: str) -> str:
    """The failed GoogleTest case, the simulation's broken invariant, or pytest's failed test."""
    for pattern in (r"^\[  FAILED  \] (\S+)", r"^(seed \d+: .*)", r"^FAILED (\S+)",
                    r"(Check failed.*)", r"^.*(\*\*\*\w+)"):
        found = re.search(pattern, output, re.MULTILINE)
        if found:
            return found.group(1)[:100]
    return output.strip().splitlines()[-1][:100] if output.strip() else "no output"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="MUTANT", help="only these; without, all")
    parser.add_argument("--shard", metavar="I/N", default="1/1",
                        help="the I-th of N parts, to divide the work or to resume it")
    parser.add_argument("--list", action="store_true", help="what each one breaks, and no more")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compiler processes")
    parser.add_argument("--home", type=Path, default=ROOT / "build" / "mutants",
                        help="where the scratch tree is kept")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # only the words
    return parser.parse_args()


def chosen(wanted: argparse.Namespace) -> List[Mutant]:
    known = all_mutants()
    unknown = set(wanted.names) - {m.name for m in known}
    if unknown:
        raise BadMutant(f"no mutant named '{sorted(unknown)[0]}'; --list names them")
    part = re.fullmatch(r"(\d+)/(\d+)", wanted.shard)
    if not part or not 1 <= int(part.group(1)) <= int(part.group(2)):
        raise BadMutant(f"--shard={wanted.shard}: it is I/N with I from 1 to N")
    mine = [m for m in known if not wanted.names or m.name in wanted.names]
    return mine[int(part.group(1)) - 1::int(part.group(2))]


def unbroken(scratch: Scratch, mutants: List[Mutant]) -> None:
    """A test that fails anyway catches nothing."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    scratch.compile(tests)
    for name in tests:
        passed, why = scratch.test(name)
        if not passed:
            raise Failed(f"{name} fails without any mutant: {why}")
    print(f"the tree as it is passes {' '.join(tests)}", flush=True)


def run(mutants: List[Mutant], scratch: Scratch) -> int:
    survivors = []
    for number, mutant in enumerate(mutants, 1):
        verdict = scratch.judge(mutant)
        told = (f"caught in {verdict.test_s:5.1f} s by {verdict.caught_by}: {verdict.why}"
                if verdict.caught_by else verdict.why)
        print(f"{number:3d}/{len(mutants)}  {mutant.name:34} built in {verdict.build_s:5.1f} s, "
              f"{told}", flush=True)
        if not verdict.caught_by:
            survivors.append(mutant.name)
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants caught")
    for name in survivors:
        print(f"not caught: {name}")
    return 1 if survivors else 0


def main() -> int:
    wanted = parse_arguments()
    try:
        mutants = chosen(wanted)
        if not mutants:
            raise BadMutant("there is no mutant in this part: nothing would be checked")
        if wanted.check:
            return 0
        if wanted.list:
            for mutant in mutants:
                print(f"{mutant.name:34} {mutant.breaks} [{mutant.source}]")
            return 0
        scratch = Scratch(wanted.home, wanted.jobs)
        unbroken(scratch, mutants)
        return run(mutants, scratch)
    except (BadMutant, Failed) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
