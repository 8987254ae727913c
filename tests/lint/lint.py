#!/usr/bin/python3
"""Runs the project's checks: lint.py [--root DIR] [--all] [CHECK ...]; all without a name."""

import argparse
import functools
import sys
from pathlib import Path
from typing import Callable, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parent))

import banned  # noqa: E402
import docs  # noqa: E402
import idl  # noqa: E402
import includes  # noqa: E402
import sizes  # noqa: E402
import tidy  # noqa: E402
import tools  # noqa: E402
import words  # noqa: E402
from tree import Problem  # noqa: E402

# In the suite clang-tidy may take this long; ./dev lint --all takes what it needs.
TIDY_LIMIT_S = 75.0

Check = Callable[[Path], List[Problem]]
CHECKS: Dict[str, Check] = {
    "includes": includes.check,
    "banned": banned.check,
    "sizes": sizes.check,
    "words": words.check,
    "idl": idl.check,
    "docs": docs.check,
    "format": tools.check_format,
    "shell": tools.check_shell,
    "types": tools.check_types,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--all", action="store_true", help="clang-tidy on every file")
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help=" ".join([*CHECKS, "tidy"]))
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # only the words
    wanted = parser.parse_args()
    limit = float("inf") if wanted.all else TIDY_LIMIT_S
    tidy_check = functools.partial(tidy.check, everything=wanted.all, limit_s=limit)
    checks: Dict[str, Check] = {**CHECKS, "tidy": tidy_check}
    unknown = set(wanted.checks) - set(checks)
    if unknown:
        parser.error(f"no check named {' '.join(sorted(unknown))}")
    if wanted.check:
        return 0
    failed = 0
    for name in wanted.checks or checks:
        problems = checks[name](wanted.root.resolve())
        failed += len(problems)
        for problem in problems:
            print(problem)
        print(f"{name}: {'ok' if not problems else f'{len(problems)} problems'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
