#!/usr/bin/python3
"""Runs golden scenarios against raftlab.

    run.py --raftlab build/bin/raftlab              all scenarios beside this file
    run.py --raftlab ... --rewrite NAME.txt         writes what the steps show into the file
    run.py --raftlab ... --commands NAME.txt        prints it as a plain script of raftlab

What a step shows must be as written, every asserted outcome must hold, and what raftlab refuses
must be asserted as refused. --rewrite leaves outcomes alone, and a file whose outcomes do not hold.
"""

import argparse
import difflib
import sys
from pathlib import Path
from typing import List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Lab, LabFailed  # noqa: E402
from outcome import fault  # noqa: E402
from script import BadScenario, Scenario, Step, parse, rewritten  # noqa: E402
from story import tell  # noqa: E402

HERE = Path(__file__).resolve().parent


class Run(NamedTuple):
    """What a scenario did: lines shown by each step, the commands sent, and what is wrong."""

    shown: List[List[str]]
    commands: List[str]
    faults: List[str]


def outcome_faults(scenario: Scenario, step: Step, lab: Lab, printed: List[str]) -> List[str]:
    faults = []
    for outcome in step.outcomes:
        why = fault(outcome, lab.status, printed)
        if why is not None:
            faults.append(f"{scenario.path}:{outcome.line}: ? {outcome.text}: {why}")
    refusal = any(line.startswith("error ") for line in printed)
    if refusal and not any(outcome.kind == "refused" for outcome in step.outcomes):
        faults.append(f"{scenario.path}:{step.line}: refused, which nothing below it asserts: "
                      + printed[0])
    return faults


def play(scenario: Scenario, program: Path) -> Run:
    """Stops at the first step that breaks raftlab itself."""
    run = Run([], [], [])
    with Lab(program) as lab:
        for step in scenario.steps:
            before = lab.status
            try:
                printed = lab.run(step.command)
            except LabFailed as failed:
                run.faults.append(f"{scenario.path}:{step.line}: {failed}")
                break
            run.shown.append(printed + tell(before, lab.status))
            run.faults.extend(outcome_faults(scenario, step, lab, printed))
        run.commands.extend(lab.commands)
    return run


def shown_faults(scenario: Scenario, run: Run) -> List[str]:
    """Where the steps show something else than the file says."""
    faults = []
    for step, shown in zip(scenario.steps, run.shown):
        if shown != step.expected:
            lines = difflib.unified_diff(step.expected, shown, "expected", "shown", n=1,
                                         lineterm="")
            faults.append("\n    ".join([f"{scenario.path}:{step.line}: {step.command}", *lines]))
    return faults


def treat(path: Path, wanted: argparse.Namespace) -> List[str]:
    """Plays one file; what is wrong with it."""
    try:
        scenario = parse(path)
    except BadScenario as bad:
        return [str(bad)]
    run = play(scenario, wanted.raftlab)
    if wanted.commands:
        print("\n".join(run.commands))
        return run.faults
    if not wanted.rewrite:
        return run.faults + shown_faults(scenario, run)
    if not run.faults:
        path.write_text(rewritten(scenario, run.shown), encoding="utf-8")
    return run.faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raftlab", type=Path, required=True, help="the program")
    parser.add_argument("--rewrite", action="store_true", help="write what the steps show")
    parser.add_argument("--commands", action="store_true", help="print a plain script")
    parser.add_argument("files", nargs="*", type=Path, help="all beside this program if none")
    wanted = parser.parse_args()
    paths = wanted.files or sorted(HERE.glob("*.txt"))
    failed = 0
    for path in paths:
        faults = treat(path, wanted)
        failed += bool(faults)
        for text in faults:
            print(text)
    if not wanted.commands:
        print(f"{len(paths)} scenarios, {failed} failed")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
