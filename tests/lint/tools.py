"""Checks that other programs make: clang-format, shellcheck, mypy."""

import subprocess
from pathlib import Path
from typing import List

from sizes import is_shell
from tree import Problem, cpp_files, files


def complaints(command: List[str], root: Path) -> List[Problem]:
    """One problem a line of output if the program failed."""
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return [Problem(command[0], 0, line) for line in lines or [f"exit {done.returncode}"]]


def check_format(root: Path) -> List[Problem]:
    sources = [str(p) for p in cpp_files(root)]
    if not sources:
        return []
    found = complaints(["clang-format", "--dry-run", "-Werror", "--style=file"] + sources, root)
    return [p for p in found if "error:" in p.text]


def check_shell(root: Path) -> List[Problem]:
    scripts = [str(p) for p in files(root) if is_shell(root, p)]
    return complaints(["shellcheck", "--format=gcc"] + scripts, root) if scripts else []


def check_types(root: Path) -> List[Problem]:
    """mypy, strict, a package or folder of scripts at a time."""
    problems = []
    for folder in ("clients/python/holdfast", "tests/lint", "tests/fuzz",
                   "tests/mutants", "tests/scenario", "bench/compare", "deploy/demo"):
        if any((root / folder).glob("*.py")):
            problems += complaints(
                ["mypy", "--strict", "--ignore-missing-imports", "--no-error-summary",
                 "--exclude", "_test.py$", "--cache-dir", "build/mypy", folder], root)
    return problems
