"""The pages of docs/: their links lead somewhere, and the tests that they name exist."""

import re
from pathlib import Path
from typing import List, Set

from tree import Problem, files, line_of, read

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST)\((\w+),\s*(\w+)\)", re.MULTILINE)
_NAMED_TEST = re.compile(r"`([A-Z]\w+\.[A-Z]\w+)`")
_NAMED_PYTHON = re.compile(r"`(\w+_test\.py)::(\w+)`")
_NAMED_MUTANTS = re.compile(r"mutants? ((?:`[\w-]+`(?:, | and )?)+)")

#: Pages whose names of tests are checked; elsewhere `Suite.Case` may be anything.
PAGES_OF_TESTS = ("docs/historic-bugs.md", "docs/testing.md")


def _links(root: Path, page: Path, text: str) -> List[Problem]:
    prose = _CODE.sub(lambda block: re.sub(r"[^\n]", " ", block.group(0)), text)
    return [Problem(str(page), line_of(text, found.start()), f"'{found.group(1)}' is not there")
            for found in _LINK.finditer(prose)
            if "://" not in found.group(1) and not (root / page.parent / found.group(1)).exists()]


def _cases(root: Path) -> Set[str]:
    return {f"{suite}.{case}" for path in files(root, ["_test.cc"])
            for suite, case in _TEST.findall(read(root, path))}


def _python_cases(root: Path) -> Set[str]:
    return {f"{path.name}::{case}" for path in files(root, ["_test.py"])
            for case in re.findall(r"^def (test_\w+)\(", read(root, path), re.MULTILINE)}


def _names(root: Path, page: Path, text: str) -> List[Problem]:
    known = _cases(root) | _python_cases(root)
    mutants = {path.stem for path in files(root, [".patch"])}
    named = [(m.start(), m.group(1), known) for m in _NAMED_TEST.finditer(text)]
    named += [(m.start(), f"{m.group(1)}::{m.group(2)}", known)
              for m in _NAMED_PYTHON.finditer(text)]
    for group in _NAMED_MUTANTS.finditer(text):
        named += [(group.start(), name, mutants) for name in re.findall(r"`([\w-]+)`",
                                                                        group.group(1))]
    return [Problem(str(page), line_of(text, at), f"there is no test or mutant '{name}'")
            for at, name, there in named if name not in there]


def check(root: Path) -> List[Problem]:
    problems = []
    for page in files(root, [".md"]):
        text = read(root, page)
        problems += _links(root, page, text)
        if str(page) in PAGES_OF_TESTS:
            problems += _names(root, page, text)
    return problems
