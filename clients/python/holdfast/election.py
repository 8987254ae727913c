"""Elections: an exclusive lock whose holder publishes a value."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Iterator, Optional, Tuple

from . import _arguments, _reads
from ._router import Router
from .errors import SessionError, Unavailable
from .lock import Leadership, OnLost, OnRevoke
from .types import Leader, Value, check_path

if TYPE_CHECKING:
    from .session import Session


class Election:
    """An election; made by :meth:`holdfast.Session.election` or :meth:`holdfast.Client.election`.

    ::

        election = session.election("/services/billing/leader")
        with election.campaign("10.0.0.7:8080") as leadership:   # blocks until elected
            serve(fence=leadership.token, still_leader=leadership.check)
    """

    def __init__(self, path: str, router: Router, patience: float,
                 session: "Optional[Session]" = None) -> None:
        self._path = check_path(path)
        self._router = router
        self._patience = patience
        self._session = session

    @property
    def path(self) -> str:
        """The path of the election's lock."""
        return self._path

    def campaign(self, value: Value = b"", *, timeout: Optional[float] = None,
                 lock_delay: float = 0.0, on_lost: Optional[OnLost] = None,
                 on_revoke: Optional[OnRevoke] = None) -> Leadership:
        """A candidacy: ``with`` it, or call its ``acquire()``, to wait for being elected.

        ``value``, commonly an address, is what others see while this candidate leads. The rest as
        in :meth:`holdfast.Session.lock`.
        """
        if self._session is None:
            raise SessionError("a candidate needs a session: use session.election(path)")
        return self._session._leadership(self._path, timeout, value, lock_delay, on_lost, on_revoke)

    def leader(self) -> Optional[Leader]:
        """The present leader, or None."""
        holder = _reads.describe(self._router, self._path, self._patience).holder
        if holder is None:
            return None
        return Leader(holder.value, holder.token, holder.holder_id, holder.session_name)

    def observe(self, interval: float = 1.0) -> Iterator[Optional[Leader]]:
        """The present leader, then every change that is seen by asking every ``interval`` seconds.

        Yields None while nobody leads. A change and its reversal between two questions are missed;
        a time without servers is waited out. End it by leaving the loop.
        """
        return self._changes(_arguments.positive("interval",
                                                 _arguments.seconds("interval", interval)))

    def _changes(self, interval: float) -> Iterator[Optional[Leader]]:
        told: Tuple[Optional[Leader], ...] = ()
        while True:
            try:
                now = self.leader()
            except Unavailable:
                pass
            else:
                if told != (now,):
                    told = (now,)
                    yield now
            time.sleep(interval)
