"""The threads that keep a session: one polls, one watches the deadlines, one tidies up.

The poll is the only thing that renews. It is parked at a server for a quarter of the TTL; when its
reply is a sixteenth of the TTL overdue, the connection is closed and another server is asked to
renew at once. The watcher never touches a socket, so it is on time whatever the network does.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any, Callable, Optional, Set, Tuple

from holdfast_api.holdfast.ttypes import HoldfastError as WireError
from holdfast_api.holdfast.ttypes import PollRequest

from ._clock import boot
from ._connection import Broken, Connection, NotSent
from ._core import Core
from ._router import Undecided
from .errors import HoldfastError, SessionError, from_wire
from .types import end_reason

log = logging.getLogger("holdfast")

PARK_SECONDS_MAX = 60.0
OVERDUE_SECONDS_MIN = 0.25
ROUND_PAUSE_SECONDS = 0.1
#: The watcher looks at least this often: a suspended machine's other clocks stand still.
WATCH_SECONDS = 1.0
#: A parked poll is broken off no more often than this.
NUDGE_SECONDS = 0.02
#: A server that answers empty polls faster than this is asked no more often.
EMPTY_POLL_SECONDS = 0.05
#: The first pause after an answer that says there is more and brings nothing; it doubles up to the
#: one above.
MORE_SECONDS_FIRST = 0.002
#: Background work that servers without room admit.
FREES = {"release", "releaseAll", "cancelAcquire", "withdrawal", "question"}


class Poller:
    """Renews the session by long polls and passes on what they tell."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._park = min(core.ttl / 4, PARK_SECONDS_MAX)
        self._overdue = max(core.ttl / 16, OVERDUE_SECONDS_MIN)
        self._connection: Optional[Connection] = None
        self._tried: Set[str] = set()
        self._failures = 0
        self._server_id = 0
        self._delivery = 0
        self._polls = 0
        self._answered_by = ""
        self._renew_now = False
        self._nudged = False
        self._nudged_at = 0.0
        self._more_pause = MORE_SECONDS_FIRST
        self._go_back_to: Optional[str] = None

    def run(self) -> None:
        """Until the session is over."""
        while not self._core.over.is_set():
            try:
                self._turn()
            except Exception:
                log.exception("the keeper of session %d stumbled", self._core.session_id)
                self._fail()
        self._disconnect()

    def abort(self) -> None:
        """Wake the thread from its poll."""
        connection = self._connection
        if connection is not None:
            connection.abort()

    def nudge(self) -> None:
        """Have the parked poll answered now: break it off, and ask the same server again.

        What it may have told already is not acknowledged, so it is told again.
        """
        connection = self._connection
        if connection is None or self._renew_now or boot() - self._nudged_at < NUDGE_SECONDS:
            return
        self._nudged, self._nudged_at = True, boot()
        connection.abort()

    def _turn(self) -> None:
        try:
            connection = self._connection or self._connect()
            sent = boot()
            result = connection.call("poll", self._core.context(), self._request(),
                                     self._patience())
        except (NotSent, Broken) as error:
            # A session that ends breaks its own poll off.
            if not self._core.over.is_set():
                log.info("poll of session %d: %s", self._core.session_id, error)
            self._fail()
        except WireError as error:
            self._refused(error)
        except HoldfastError as error:
            log.warning("poll of session %d: %s", self._core.session_id, error)
            self._fail()
        else:
            self._answered(sent, result)

    def _request(self) -> Any:
        # Numbers of replies mean something to the one server that gave them.
        here = self._connection is not None and self._connection.address == self._answered_by
        self._polls += 1
        return PollRequest(acknowledgedDelivery=self._delivery if here else 0,
                           maxWaitMs=int(self._park * 1000), renewNow=self._renew_now,
                           pollNumber=self._polls,
                           acknowledgedNotices=list(self._core.leases.notice_ids()) or None)

    def _patience(self) -> float:
        """How long to wait for the reply: less when it should come at once."""
        if not self._renew_now:
            return self._park + self._overdue
        return min(self._overdue * (2 + self._failures / 2), self._park + self._overdue)

    def _connect(self) -> Connection:
        router = self._core.router
        address, self._go_back_to = self._go_back_to or router.next_server(self._tried), None
        if address is None:
            self._tried.clear()
            self._core.over.wait(ROUND_PAUSE_SECONDS)
            address = router.candidates()[0]
        self._tried.add(address)
        try:
            self._connection = router.connect(address, self._overdue * 2)
        except NotSent:
            router.avoid(address)
            raise
        if self._core.over.is_set():  # who ended it may have found nothing to break off
            raise NotSent("the session is over")
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._nudged = False
        if connection is not None:
            self._core.router.drop(connection)

    def _fail(self) -> None:
        """Go to another server, which is asked to renew at once."""
        if self._connection is not None and self._nudged:
            self._go_back_to, self._nudged, self._renew_now = self._connection.address, False, True
            self._disconnect()
            return
        if self._connection is not None and not self._core.over.is_set():
            self._core.router.avoid(self._connection.address)
        self._disconnect()
        self._failures += 1
        self._renew_now = True

    def _refused(self, error: Any) -> None:
        self._core.router.learn_header(error.header)
        self._core.see_header(error.header)
        raised = from_wire(error)
        if isinstance(raised, SessionError):
            self._core.end(raised)
            return
        log.info("poll of session %d refused: %s", self._core.session_id, raised)
        self._disconnect()
        self._failures += 1
        self._renew_now = True
        pause = min(raised.retry_after, self._core.ttl / 16)
        self._core.over.wait(max(pause, 0.01))

    def _answered(self, sent: float, result: Any) -> None:
        core = self._core
        core.router.learn_header(result.header)
        core.see_header(result.header)
        for loss in result.losses or ():
            core.lost(loss.holderId or 0, loss.path or "",
                      f"the servers took it away: {end_reason(loss.reason)}")
        news = core.renewed(sent, result.leaseMs or 0, result.revocations)
        address = self._connection.address if self._connection is not None else ""
        core.watches.answered(address, result)
        for grant in result.grants or ():
            core.hint(grant.acquireSequence or 0)
        elsewhere = result.header.serverId != self._server_id or self._failures > 0
        self._server_id, self._delivery = result.header.serverId, result.delivery or 0
        self._answered_by = address
        self._renew_now, self._failures = False, 0
        self._tried.clear()
        if elsewhere:
            core.moved()
        brought = news or result.losses or result.grants or result.watches or elsewhere
        if brought or not result.more:
            self._more_pause = MORE_SECONDS_FIRST
        if brought or boot() - sent >= EMPTY_POLL_SECONDS:
            return
        pause = EMPTY_POLL_SECONDS
        if result.more:
            pause = self._more_pause
            self._more_pause = min(pause * 2, EMPTY_POLL_SECONDS)
        core.over.wait(pause)


class Tidier:
    """Does one thing after the other, on a thread that begins with the first."""

    def __init__(self, core: Core, name: str) -> None:
        self._core = core
        self._name = name
        self._tasks: "queue.SimpleQueue[Optional[Tuple[str, Callable[[], object]]]]"
        self._tasks = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def add(self, what: str, task: Callable[[], object]) -> None:
        """Have something done."""
        self._tasks.put((what, task))
        with self._core.mutex:
            if self._thread is None and not self._core.over.is_set():
                thread = threading.Thread(target=self._run, daemon=True,
                                          name=f"holdfast-{self._name}-{self._core.session_id}")
                try:
                    thread.start()
                except RuntimeError:  # out of threads; the next thing to be done tries again
                    log.exception("%s in the background has to wait", what)
                else:
                    self._thread = thread

    def stop(self) -> None:
        """The session is over: what is left is in vain."""
        self._tasks.put(None)

    def _run(self) -> None:
        while not self._core.over.is_set():
            item = self._tasks.get()
            if item is None:
                return
            what, task = item
            try:
                task()
            except (HoldfastError, Undecided) as error:
                log.info("%s in the background: %s", what, error)
            except Exception:
                log.exception("%s in the background failed", what)


class Keeper:
    """The background threads of one session."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.poller = Poller(core)
        self._tidiers = {True: Tidier(core, "free"), False: Tidier(core, "tidy")}
        core.later = self.later
        core.nudge = self.poller.nudge

    def start(self) -> None:
        """Begin to renew and to watch."""
        for name, run in (("poll", self.poller.run), ("watch", self._watch)):
            threading.Thread(target=run, name=f"holdfast-{name}-{self._core.session_id}",
                             daemon=True).start()

    def stop(self) -> None:
        """The session is over: wake the threads so that they end."""
        self.poller.abort()
        for tidier in self._tidiers.values():
            tidier.stop()

    def later(self, what: str, task: Callable[[], object]) -> None:
        """Have something done in the background, in order. What frees does not wait for writes,
        which servers without room refuse for as long as they have none."""
        self._tidiers[what in FREES].add(what, task)

    def _watch(self) -> None:
        core = self._core
        while not core.over.is_set():
            core.expire()
            with core.changed:
                deadline = core.leases.next_deadline()
                if core.over.is_set():
                    break
                core.changed.wait(None if deadline is None
                                  else max(0.0, min(deadline - boot(), WATCH_SECONDS)))
        self.stop()
