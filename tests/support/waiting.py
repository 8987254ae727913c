"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], within: float = 10.0, every: float = 0.01,
               what: str = "") -> T:
    """The first true value of ``condition``; fails after ``within`` seconds."""
    until = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{what or condition} did not become true within {within:g} s")
        time.sleep(every)
