"""All watches of one session: registered at the server that is polled, fed by its replies.

Servers keep watches in memory, each for itself. So a watch is registered anew, with the revision it
has come to, at every server that the poll goes to, and at one that was restarted, which its
``serverEpoch`` shows. What a server tells is taken up before the next poll acknowledges it, in the
order in which it comes; replies are read by the poller alone, one connection at a time, so that
none is ever read after the client has polled again.

A thread of its own registers, because a poll is parked on the poller's connection. What arrives for
a watch whose number is still on its way is kept until that is known. If the poll goes elsewhere
while a call is under way, another thread takes over: a server that hangs keeps its call for as long
as it may, and what it answers in the end speaks of a stay that is over.
"""

from __future__ import annotations

import collections
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional, Set, Tuple

from holdfast_api.holdfast.ttypes import HoldfastError as WireError
from holdfast_api.keys.ttypes import UnwatchRequest, WatchRequest

from ._connection import Broken, NotSent
from ._feed import SCOPES, SPACES, Buffer, Feed
from ._router import may_change
from .errors import (HoldfastError, ServerError, SessionError, Unavailable, WaitTimeout,
                     from_wire)

if TYPE_CHECKING:
    from ._core import Core

log = logging.getLogger("holdfast")

#: How long one registration may take, and how soon it is tried again.
CALL_SECONDS = 2.0
RETRY_SECONDS = 0.1
#: Servers of which it is remembered what was left registered there.
EPOCHS_KEPT = 16
#: How soon a parked poll is broken off for somebody who waits for news of a quiet place.
NUDGE_SECONDS_FIRST, NUDGE_SECONDS_MAX = 0.02, 1.0

#: Address and serverEpoch: one process.
Place = Tuple[str, int]


class Watches:
    """Thread-safe. The mutex guards every feed, too."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self.home = core.home
        self.mutex = threading.Lock()
        #: Notified whenever a feed has got something, or has ended.
        self.changed = threading.Condition(self.mutex)
        self._work = threading.Condition(self.mutex)
        self._feeds: Set[Feed] = set()
        self._place: Optional[Place] = None
        self._registered: Dict[int, Feed] = {}
        self._wanting: "collections.OrderedDict[Feed, None]" = collections.OrderedDict()
        self._in_flight: Optional[Feed] = None
        self._orphans: List[Any] = []
        self._unwatch: Deque[int] = collections.deque()
        #: Numbers at this place that are nobody's any more, and of which the server is still to be
        #: told. (One that is told of after that is told of once more.)
        self._disowned: Set[int] = set()
        self._left_behind: "collections.OrderedDict[int, Set[int]]" = collections.OrderedDict()
        #: Feeds whose handle was garbage: a finalizer may run anywhere, so it only leaves a note.
        self.abandoned: Deque[Feed] = collections.deque()
        self._registrar: Optional[threading.Thread] = None
        #: The registrar asks the server, or waits until it may ask again.
        self._calling = False
        self._jobs: "queue.SimpleQueue[Optional[Callable[[], None]]]" = queue.SimpleQueue()
        self._caller: Optional[threading.Thread] = None

    # ------------------------------------------------------------------------ for the programs

    def add(self, feed: Feed, timeout: float) -> None:
        """Begin a watch; returns when a server has it, so that nothing is missed from then on."""
        self._core.check_alive()
        try:
            with self.mutex:
                self._feeds.add(feed)
                self._want(feed)
                if self._registrar is None:
                    self._registrar = self._start("watches", self._register_all)
                until = time.monotonic() + timeout
                while not (feed.begun or feed.error or feed.closed):
                    left = until - time.monotonic()
                    if left <= 0:
                        raise Unavailable(f"no server took the watch of {feed.spec.path} within "
                                          f"{timeout:g} s")
                    self.changed.wait(left)
                if feed.error:
                    raise renewed(feed.error)
        except BaseException:
            self.close(feed)
            raise

    def close(self, feed: Feed) -> None:
        """The watch is over."""
        with self.mutex:
            self._close(feed)

    def after_read(self, feed: Buffer) -> None:
        """With the mutex held: something was taken out of a buffer."""
        if feed.parked and feed.drained() and not feed.closed:
            feed.parked = False
            self._want(feed)

    def reach(self, feed: Feed, revision: int, timeout: Optional[float]) -> None:
        """Wait until the feed has come to a revision. Raises WaitTimeout, or what ended it."""
        until = None if timeout is None else time.monotonic() + timeout
        pause = NUDGE_SECONDS_FIRST
        with self.mutex:
            while feed.assembly.position < revision or feed.assembly.resyncing or not feed.begun:
                self.check(feed)
                left = pause if until is None else min(pause, until - time.monotonic())
                if left <= 0:
                    raise WaitTimeout(f"{feed.spec.path} has come to revision "
                                      f"{feed.assembly.position}, not yet to {revision}")
                if not self.changed.wait(left):
                    # Nothing may ever happen there: only the answer to a poll says how far it is.
                    self._core.nudge()
                    pause = min(pause * 2, NUDGE_SECONDS_MAX)

    def check(self, feed: Feed) -> None:
        """With the mutex held: raise what ended the feed."""
        if feed.error is not None:
            raise renewed(feed.error)
        if feed.closed:
            raise HoldfastError(f"the watch of {feed.spec.path} was closed by this program")

    def call_later(self, job: Callable[[], None]) -> None:
        """Have a program's function called on the session's thread for that, in order."""
        self._jobs.put(job)
        if self._caller is None:
            self._caller = self._start("events", self._call_all)

    # --------------------------------------------------------------------------- for the poller

    def answered(self, address: str, result: Any) -> None:
        """Take up what the answer to a poll tells."""
        with self.mutex:
            place = (address, result.serverEpoch or 0)
            if place != self._place:
                self._move(place)
            while self.abandoned:
                self._close(self.abandoned.popleft())
            for delivery in result.watches or ():
                self._deliver(delivery)
            self._progress(result.progressRevision or 0, result.progressWatchId or 0)
            if self._feeds:
                self.changed.notify_all()

    def ended(self, error: SessionError) -> None:
        """The session is over, and so are its watches."""
        with self.mutex:
            for feed in self._feeds:
                feed.error = feed.error or error
            self._feeds.clear()
            self._registered.clear()
            self.changed.notify_all()
            self._work.notify_all()
        self._jobs.put(None)

    def _move(self, place: Place) -> None:
        """Another process answers: there, all is to be registered anew."""
        if self._place is not None:
            left = self._left_behind.setdefault(self._place[1], set())
            left.update(self._registered, self._disowned)
            self._left_behind.move_to_end(self._place[1])
            while len(self._left_behind) > EPOCHS_KEPT:
                self._left_behind.popitem(last=False)
        self._place = place
        self._registered, self._in_flight, self._orphans = {}, None, []
        self._disowned = self._left_behind.pop(place[1], set())
        self._unwatch = collections.deque(sorted(self._disowned))
        for feed in self._feeds:
            feed.assembly.restart()
            feed.watch_id = 0
            if not feed.parked:
                self._want(feed)
        if self._calling:
            self._take_over()
        self._work.notify_all()

    def _deliver(self, delivery: Any) -> None:
        watch_id = delivery.watchId or 0
        feed = self._registered.get(watch_id)
        if feed is not None:
            try:
                self._feed(feed, delivery)
            except Exception as error:  # must never reach the poll, which keeps the session
                log.exception("the watch of %s cannot go on", feed.spec.path)
                feed.error = ServerError(f"what was told of {feed.spec.path} is not understood: "
                                         f"{error!r}")
                self._feeds.discard(feed)
                self._leave(feed)
        elif self._in_flight is not None and watch_id not in self._disowned:
            self._orphans.append(delivery)
        else:
            self._disown(watch_id)

    def _feed(self, feed: Feed, delivery: Any) -> None:
        group = feed.assembly.take(delivery)
        if group is not None:
            feed.take(group)
            if feed.full():
                self._park(feed)

    def _progress(self, revision: int, newest: int) -> None:
        if not revision:
            return
        for watch_id, feed in self._registered.items():
            if watch_id <= newest:
                feed.assembly.progress(revision)

    def _disown(self, watch_id: int) -> None:
        if watch_id not in self._disowned:
            self._disowned.add(watch_id)
            self._unwatch.append(watch_id)
            self._work.notify_all()

    def _leave(self, feed: Feed) -> None:
        """The server need not keep it any longer."""
        if feed.watch_id:
            self._registered.pop(feed.watch_id, None)
            self._disown(feed.watch_id)
            feed.watch_id = 0
        feed.assembly.restart()

    def _park(self, feed: Feed) -> None:
        """Nobody reads it: from here on the server's history keeps what happens."""
        log.info("the watch of %s is not read: it rests at revision %d", feed.spec.path,
                 feed.assembly.position)
        feed.parked = True
        self._leave(feed)

    def _close(self, feed: Feed) -> None:
        feed.closed = True
        self._feeds.discard(feed)
        self._leave(feed)
        self.changed.notify_all()

    def _want(self, feed: Feed) -> None:
        self._wanting[feed] = None
        self._work.notify_all()

    # ------------------------------------------------------------------------------ registering

    def _start(self, what: str, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, daemon=True,
                                  name=f"holdfast-{what}-{self._core.session_id}")
        thread.start()
        return thread

    def _take_over(self) -> None:
        """Whoever registers is occupied with the place before: another begins with this one."""
        try:
            self._registrar = self._start("watches", self._register_all)
        except RuntimeError:  # out of threads; the one that there is goes on here, only later
            log.exception("watches of session %d have to wait", self._core.session_id)

    def _register_all(self) -> None:
        while True:
            with self.mutex:
                if self._registrar is not threading.current_thread():
                    return
                self._calling = False
                job = self._next_job()
                self._calling = True
            if job is None:
                return
            place, feed, watch_id = job
            done = False
            try:
                done = (self._register(place, feed) if feed is not None else
                        self._unregister(place, watch_id))
            except (NotSent, Broken) as error:
                log.info("watches of session %d at %s: %s", self._core.session_id, place[0], error)
            except Exception:
                log.exception("the watches of session %d stumbled", self._core.session_id)
            if not done:
                self._core.over.wait(RETRY_SECONDS)

    def _next_job(self) -> Optional[Tuple[Place, Optional[Feed], int]]:
        """What to ask of which server: begin a watch, or end one; None at the session's end."""
        while not self._core.over.is_set():
            if self._place is not None:
                if self._unwatch:
                    return self._place, None, self._unwatch.popleft()
                while self._wanting:
                    feed, _ = self._wanting.popitem(last=False)
                    if not (feed.closed or feed.parked or feed.watch_id):
                        self._in_flight, self._orphans = feed, []
                        return self._place, feed, 0
            self._work.wait()
        return None

    def _call(self, place: Place, method: str, request: Any, min_revision: int = 0) -> Any:
        context = self._core.context()
        context.minRevision = min_revision or None
        return self._core.router.attempt(place[0], method, context, request, CALL_SECONDS)

    def _unregister(self, place: Place, watch_id: int) -> bool:
        done = False
        try:
            self._call(place, "unwatch", UnwatchRequest(watchId=watch_id))
            done = True
        except WireError as error:
            done = not may_change(error)
        finally:
            with self.mutex:
                if self._place is place:
                    if done:
                        self._disowned.discard(watch_id)
                    else:
                        self._unwatch.append(watch_id)
        return done

    def _register(self, place: Place, feed: Feed) -> bool:
        spec, since = feed.spec, feed.assembly.position
        request = WatchRequest(path=spec.path, scope=SCOPES[spec.scope], space=SPACES[spec.space],
                               sinceRevision=since or None, withValues=spec.values or None,
                               filter=[kind.value for kind in spec.kinds] or None)
        result = None
        try:
            # "From now on" is not before what this program has seen of another server.
            result = self._call(place, "watch", request, 0 if since else self._core.router.newest)
        except WireError as error:
            self._refused(place, feed, error)
        except HoldfastError as error:  # an older server
            self._fail(place, feed, error)
        finally:
            with self.mutex:
                done = self._registration_over(place, feed, result)
        return done

    def _registration_over(self, place: Place, feed: Feed, result: Any) -> bool:
        """False if it is to be tried again."""
        # Only the very same stay counts: a poll that went elsewhere and came back may have been
        # told, and have acknowledged, what came before this answer.
        stays = place is self._place
        orphans: List[Any] = []
        if stays:
            self._in_flight = None
            orphans, self._orphans = self._orphans, []
        if result is not None:
            epoch, watch_id = result.serverEpoch or 0, result.watchId or 0
            if not stays or epoch != place[1] or feed.closed:
                self._left_behind_at(epoch, watch_id)
            else:
                feed.assembly.position = feed.assembly.position or result.revision or 0
                feed.watch_id, feed.begun = watch_id, True
                self._registered[watch_id] = feed
                self.changed.notify_all()
        for delivery in orphans:
            self._deliver(delivery)
        done = not stays or bool(feed.watch_id or feed.closed or feed.error or feed.parked)
        if not done:
            self._want(feed)
        return done

    def _left_behind_at(self, epoch: int, watch_id: int) -> None:
        if self._place is not None and epoch == self._place[1]:
            self._disown(watch_id)
        else:
            self._left_behind.setdefault(epoch, set()).add(watch_id)

    def _refused(self, place: Place, feed: Feed, wire: Any) -> None:
        error = from_wire(wire)
        if isinstance(error, SessionError):
            self._core.end(error)
        elif may_change(wire):
            self._core.over.wait(max(error.retry_after, RETRY_SECONDS))
        else:
            self._fail(place, feed, error)

    def _fail(self, place: Place, feed: Feed, error: HoldfastError) -> None:
        with self.mutex:
            if place is not self._place:
                return  # another server is asked, and judges for itself
            log.warning("the watch of %s has ended: %s", feed.spec.path, error)
            feed.error = error
            self._feeds.discard(feed)
            self.changed.notify_all()

    # ------------------------------------------------------------------------------ calling back

    def _call_all(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            except Exception:
                log.exception("a function that watches failed")


def renewed(error: HoldfastError) -> HoldfastError:
    """A copy to raise: a traceback belongs to one raise."""
    copy = type(error)(*error.args)
    copy.code, copy.retry_after = error.code, error.retry_after
    return copy
