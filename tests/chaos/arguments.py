"""The command line of ./dev chaos. By itself it judges one, runs nothing and needs no build."""

from __future__ import annotations

import argparse
import random
import sys
from typing import List, NoReturn

MINUTES_MAX = 1440.0
SEED_MAX = (1 << 63) - 1
EXIT_USAGE = 64


class OneLine(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        print(f"chaos: {message}", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= MINUTES_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to {MINUTES_MAX:g}")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value <= SEED_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {SEED_MAX}")
    return value


def arguments(given: List[str]) -> argparse.Namespace:
    """The command line."""
    parser = OneLine(prog="./dev chaos", allow_abbrev=False,
                     description="hurts real servers and judges what their clients saw")
    parser.add_argument("--minutes", type=_minutes, default=1.0,
                        help="how long faults go on, above 0; default 1")
    parser.add_argument("--seed", type=_seed, default=random.SystemRandom().randrange(1 << 32),
                        help="gives the same faults in the same order; default: a new one")
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3,
                        help="how many servers; default 3")
    return parser.parse_args(given)


if __name__ == "__main__":
    arguments(sys.argv[1:])
