"""Enumerations that are shown by their names: what stands behind them is the wire's affair."""

from __future__ import annotations

import enum


class Kind(enum.Enum):
    """``str()`` is the bare name, ``repr()`` what a program writes for it."""

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"
