"""The numbers of a session's commands, and which results have arrived.

A command keeps its number through all retries; the servers keep its result until the client says
that it has it. What is said is a list of ranges: commonly one, [1, n].
"""

from __future__ import annotations

import bisect
import collections
import threading
from typing import Deque, List, Tuple

RANGES_MAX = 64
RECENT_MAX = RANGES_MAX // 2


class Sequences:
    """Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._last = 0
        self._done: List[List[int]] = []  # disjoint inclusive ranges, ascending, never adjacent
        self._recent: Deque[int] = collections.deque(maxlen=RECENT_MAX)
        self._cursor = 0  # where the next turn around all ranges goes on

    def take(self) -> int:
        """The next number, from 1 on."""
        with self._mutex:
            self._last += 1
            return self._last

    def finish(self, sequence: int) -> None:
        """The outcome of ``sequence`` is known: the servers may forget it."""
        with self._mutex:
            self._recent.append(sequence)
            at = bisect.bisect_left(self._done, [sequence + 1])
            if at > 0 and self._done[at - 1][1] >= sequence:
                return
            joins_left = at > 0 and self._done[at - 1][1] == sequence - 1
            joins_right = at < len(self._done) and self._done[at][0] == sequence + 1
            if joins_left and joins_right:
                self._done[at - 1][1] = self._done[at][1]
                del self._done[at]
            elif joins_left:
                self._done[at - 1][1] = sequence
            elif joins_right:
                self._done[at][0] = sequence
            else:
                self._done.insert(at, [sequence, sequence])

    def acknowledged(self) -> List[Tuple[int, int]]:
        """What to tell the servers: everything, or if that is long the first, the latest, and a
        part of the rest that is another one each time, so that all are told in the end."""
        with self._mutex:
            if len(self._done) <= RANGES_MAX:
                return [(first, last) for first, last in self._done]
            chosen = {0}
            chosen.update(bisect.bisect_left(self._done, [s + 1]) - 1 for s in self._recent)
            for _ in range(RANGES_MAX - len(chosen)):
                self._cursor = (self._cursor + 1) % len(self._done)
                chosen.add(self._cursor)
            return [(self._done[at][0], self._done[at][1]) for at in sorted(chosen)]
