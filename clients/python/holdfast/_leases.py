"""Until when a session's locks may be relied on: arithmetic only, time is handed in.

A renewal that the servers acknowledged counts from when it was *sent*. A reply that carries a
revocation notice renews the session but not the holder that the notice names: that one ends at the
earlier of its last deadline from a reply without the notice, and the notice's time after it
arrived.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from .types import Notice

LOSSES_KEPT = 4096


@dataclasses.dataclass(eq=False)
class Holding:
    """One grant: what a lock handle stands for while held. Guarded by the session's mutex."""

    paths: Tuple[str, ...]
    holder_id: int
    token: int
    #: Of the paths those that others may hold as well, perhaps with the same token.
    shared: Tuple[str, ...] = ()
    on_end: Callable[[str], None] = lambda reason: None
    on_notice: Callable[[Notice], None] = lambda notice: None
    deadline: float = 0.0
    #: No renewal extends it any more, not even one that tells of the notice no longer: then the
    #: lock has been given away.
    under_notice: bool = False
    #: Why it ended without being released, or "".
    loss: str = ""
    #: Given back by this program.
    released: bool = False
    #: A handover is on its way: another may hold the lock already.
    giving_up: bool = False
    #: The program was told that it was lost.
    told: bool = False

    @property
    def live(self) -> bool:
        """Neither lost nor given back, as far as was noticed."""
        return not self.loss and not self.released


@dataclasses.dataclass(frozen=True)
class _Announced:
    notice: Notice
    deadline: float


#: Stands for all holders of the session: a notice without a path announces the session's own end.
EVERYBODY = 0


def concerned(notice: Notice, holding: "Holding") -> bool:
    """Is the holding one that the notice names?"""
    return _key(notice) in (EVERYBODY, holding.holder_id)


def _key(notice: Notice) -> int:
    return notice.holder_id if notice.path else EVERYBODY


class Leases:
    """The lease of one session and the deadlines of its holdings."""

    def __init__(self) -> None:
        self.deadline = 0.0
        self.holdings: Set[Holding] = set()
        #: By holder, then by path: one that holds several locks may be told of each.
        self._announced: Dict[int, Dict[str, _Announced]] = {}
        self._notice_ids: Sequence[int] = []
        self._losses: "collections.OrderedDict[Tuple[int, str], str]" = collections.OrderedDict()

    def renewed(self, sent: float, lease: float, notices: Sequence[Notice],
                now: float) -> List[Notice]:
        """A reply that arrived at ``now`` renewed for ``lease`` seconds. Returns what is news.

        Notices are taken note of even if the reply renewed nothing (``lease`` 0).
        """
        before = self.deadline
        news = []
        # Only a renewal tells of all notices in force; what else arrives may tell of fewer.
        announced = {} if lease > 0 else {k: dict(v) for k, v in self._announced.items()}
        self._notice_ids = sorted(notice.notice_id for notice in notices)
        for notice in notices:
            key = _key(notice)
            known = self._announced.get(key, {}).get(notice.path)
            if known is None or known.notice.notice_id != notice.notice_id:
                # A second notice against the same holder never gives back what the first took.
                bound = min(before, now + notice.notice)
                known = _Announced(notice, min(bound, known.deadline) if known else bound)
                news.append(notice)
            announced.setdefault(key, {})[notice.path] = known
        for key, paths in self._announced.items():
            for path, ended in paths.items():
                # Gone with the tenure: an answer that grants it may still be on its way.
                if path not in announced.get(key, {}) and key != EVERYBODY:
                    self._remember(key, path, "it was revoked with notice: " + ended.notice.reason)
        self._announced = announced
        if lease > 0:
            self.deadline = max(before, sent + lease)
        for holding in self.holdings:
            ending = self._ending(holding.holder_id)
            if ending is not None:
                holding.under_notice = True
                holding.deadline = min(holding.deadline, ending.deadline)
            elif lease > 0 and not holding.under_notice:
                holding.deadline = max(holding.deadline, sent + lease)
        return news

    def add(self, holding: Holding) -> Optional[str]:
        """Put a grant under the lease in force. Returns why it was lost, if it already was."""
        for path in holding.paths:
            reason = self._losses.get((holding.holder_id, path))
            if reason is not None:
                return reason
        ending = self._ending(holding.holder_id)
        holding.under_notice = ending is not None
        holding.deadline = min(self.deadline, ending.deadline) if ending else self.deadline
        self.holdings.add(holding)
        return None

    def notice_for(self, holder_id: int) -> Optional[Notice]:
        """The notice in force against a holder."""
        ending = self._ending(holder_id)
        return ending.notice if ending else None

    def _ending(self, holder_id: int) -> Optional[_Announced]:
        """The announcement that ends this holder first."""
        found = [each for key in (holder_id, EVERYBODY)
                 for each in self._announced.get(key, {}).values()]
        return min(found, key=lambda a: a.deadline) if found else None

    def lost(self, holder_id: int, path: str, reason: str) -> List[Holding]:
        """The servers took a lock away. Returns the holdings it belonged to.

        It is remembered, because the answer that grants it may be read after the news of its loss.
        """
        self._remember(holder_id, path, reason)
        return [h for h in self.holdings if h.holder_id == holder_id and path in h.paths]

    def _remember(self, holder_id: int, path: str, reason: str) -> None:
        self._losses[(holder_id, path)] = reason
        while len(self._losses) > LOSSES_KEPT:
            self._losses.popitem(last=False)

    def due(self, now: float) -> List[Holding]:
        """Holdings whose deadline has passed, or that are over for another reason."""
        return [h for h in self.holdings if h.deadline <= now or not h.live]

    def next_deadline(self) -> Optional[float]:
        """The earliest deadline of a holding."""
        return min((h.deadline for h in self.holdings), default=None)

    def notice_ids(self) -> Sequence[int]:
        """The notices that the last reply told of, to be acknowledged."""
        return self._notice_ids
