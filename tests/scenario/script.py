"""A scenario file, taken apart: comments, steps, their expected output, asserted outcomes.

    # A comment tells the story.
    deliver 1 2             a command of raftlab, or a shorthand that begins with @
      node 2: term 1        two blanks: what the step shows; --rewrite writes these lines
    ? 2 term = 1            an outcome that must hold; nothing but a person writes these
"""

from pathlib import Path
from typing import List, NamedTuple, Optional

from outcome import BadOutcome, Outcome, parse_outcome

INDENT = "  "
SHORTHANDS = ("@settle", "@elect", "@lose")


class BadScenario(Exception):
    """What is wrong with a file, and in which line."""

    def __init__(self, path: Path, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}")


class Step(NamedTuple):
    """One command or shorthand, and what stands below it."""

    line: int
    command: str
    expected: List[str]
    outcomes: List[Outcome]


class Scenario(NamedTuple):
    """The lines of a file as they are, and its steps in order."""

    path: Path
    lines: List[str]
    steps: List[Step]


def _read_outcome(path: Path, number: int, line: str) -> Outcome:
    try:
        return parse_outcome(number, line[1:].strip())
    except BadOutcome as bad:
        raise BadScenario(path, number, str(bad)) from None


def _step(path: Path, number: int, line: str) -> Step:
    if line.startswith("@") and line.split()[0] not in SHORTHANDS:
        raise BadScenario(path, number, f"no shorthand is called {line.split()[0]}; there are "
                                        + ", ".join(SHORTHANDS))
    return Step(number, line, [], [])


def _check(path: Path, lines: List[str], steps: List[Step]) -> None:
    if not lines or not lines[0].startswith("# "):
        raise BadScenario(path, 1, "a scenario begins with a comment that names it")
    if not steps:
        raise BadScenario(path, len(lines), "a scenario has steps")
    if not any(step.outcomes for step in steps):
        raise BadScenario(path, steps[-1].line, "the scenario asserts nothing")
    if not steps[-1].outcomes:
        raise BadScenario(path, steps[-1].line, "nothing is asserted of the last step")


def parse(path: Path) -> Scenario:
    """Raises BadScenario if the file is not one."""
    lines = path.read_text(encoding="utf-8").splitlines()
    steps: List[Step] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        below: Optional[Step] = steps[-1] if steps else None
        if line.startswith((INDENT, "?")) and below is None:
            raise BadScenario(path, number, "there is no step above")
        if line.startswith(INDENT) and below is not None:
            if below.outcomes:
                raise BadScenario(path, number, "expected output stands above asserted outcomes")
            below.expected.append(line[len(INDENT):])
        elif line.startswith("?") and below is not None:
            below.outcomes.append(_read_outcome(path, number, line))
        elif line[0].isspace():
            raise BadScenario(path, number, "expected output is indented by two blanks")
        else:
            steps.append(_step(path, number, line))
    _check(path, lines, steps)
    return Scenario(path, lines, steps)


def rewritten(scenario: Scenario, shown: List[List[str]]) -> str:
    """The file with what its steps really show; everything else, outcomes above all, stays."""
    output = {step.line: said for step, said in zip(scenario.steps, shown)}
    text: List[str] = []
    for number, line in enumerate(scenario.lines, 1):
        if line.startswith(INDENT):
            continue
        text.append(line)
        text.extend(INDENT + said for said in output.get(number, []))
    return "\n".join(text) + "\n"
