"""Mutants: patches that break one rule each, and the tests that must notice.

A patch file begins with a header, a field a line, a continuation line indented:

    Breaks: the rule, in a sentence
    Source: figure, section, promise, or the system that had this bug
    Caught by: ctest names, the quickest first

then comes a unified diff. read() refuses a file of another form.
"""

import re
import subprocess
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

FIELDS = ("Breaks", "Source", "Caught by")
HERE = Path(__file__).resolve().parent


class BadMutant(Exception):
    """A patch file that does not parse, or that does not apply."""


class Mutant(NamedTuple):
    name: str
    path: Path
    breaks: str
    source: str
    tests: List[str]


def _header(path: Path) -> Dict[str, str]:
    fields: Dict[str, str] = {}
    last: Optional[str] = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("diff --git "):
            return fields
        named = re.fullmatch(r"([A-Z][a-z ]+): (.+)", line)
        if named and named.group(1) in FIELDS:
            last = named.group(1)
            fields[last] = named.group(2).strip()
        elif last is not None and line.startswith("  "):
            fields[last] += " " + line.strip()
        elif line.strip():
            raise BadMutant(f"{path.name}:{number}: '{line}' is no field of a mutant's header")
    raise BadMutant(f"{path.name}: there is no diff")


def read(path: Path) -> Mutant:
    fields = _header(path)
    missing = [name for name in FIELDS if not fields.get(name)]
    if missing:
        raise BadMutant(f"{path.name}: the header says nothing under '{missing[0]}'")
    tests = fields["Caught by"].split()
    for name in tests:
        # ctest fails where it finds no such test, which would look as if one had noticed.
        if not re.fullmatch(r"[\w/-]+", name):
            raise BadMutant(f"{path.name}: '{name}' is no name of a test")
    return Mutant(path.stem, path, fields["Breaks"], fields["Source"], tests)


def all_mutants(folder: Path = HERE) -> List[Mutant]:
    return [read(path) for path in sorted(folder.glob("*.patch"))]


def git_apply(tree: Path, patch: Path, *options: str) -> None:
    """Applies a mutant's diff to a tree that need not be a repository of its own."""
    # In a repository that ignores the tree, git would skip every file of it without a word.
    no_repository_above = {"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(["git", "apply", "--recount", *options, str(patch)], cwd=tree,
                          env=no_repository_above, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BadMutant(f"{patch.name} does not apply: {done.stderr.strip()}")
