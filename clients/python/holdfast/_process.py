"""Forks: a child process must never use its parent's sockets or speak in its parent's name."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from .errors import ForkedError


class Detachable(Protocol):
    """What wants to know that it now lives in a forked child."""

    def detach(self) -> None:
        """Let go of sockets, taking no lock: a thread that is gone may have held it."""


_detachables: "weakref.WeakSet[Detachable]" = weakref.WeakSet()


def register(detachable: Detachable) -> None:
    """Have ``detachable.detach()`` called in every forked child."""
    _detachables.add(detachable)


def _in_child() -> None:
    for detachable in list(_detachables):
        detachable.detach()


os.register_at_fork(after_in_child=_in_child)


class Home:
    """The process in which an object may be used."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def away(self) -> bool:
        """Is this another process than the object was made in?"""
        return os.getpid() != self._pid

    def check(self, what: str) -> None:
        """Raise :class:`ForkedError` in a forked child."""
        if self.away():
            raise ForkedError(f"this {what} belongs to process {self._pid}; process {os.getpid()} "
                              f"is a fork of it and must open a client and a session of its own")
