"""The calls about keys, as a client and as a session have them."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Optional

from holdfast_api.keys.ttypes import (GetManyRequest, GetRequest, ListKeysRequest,
                                      WaitForChangeRequest)

from . import _arguments, _reads, _requests
from ._core import Core
from ._reads import read
from ._router import Router
from .errors import BadArgument, LockLost, NotHeld, ServerError
from .keys import Change, Deleted, Key, Written
from .transaction import Transaction
from .types import Value, check_number

if TYPE_CHECKING:
    from .lock import Lock

PAGE_SIZE = 500
#: What one getMany may ask for (thrift/keys.thrift).
PATHS_MAX = 1000
#: How long a server holds one wait for a change; then it is asked anew.
WAIT_SECONDS = 5.0
#: How long after a wait's timeout a server's answer is still waited for: enough for another one to
#: be asked, and for another leader to be elected.
LATE_SECONDS = 3.0


def pages(router: Router, path: str, subtree: bool, values: bool, local: bool, timeout: float,
          min_revision: int = 0) -> Iterator[Any]:
    """The wire's answers to listKeys, page by page."""
    request = ListKeysRequest(path=_requests.path_of(path), subtree=subtree, withValues=values,
                              page="", pageSize=PAGE_SIZE, consistency=_reads.consistency(local))
    while True:
        result = read(router, "listKeys", request, timeout, min_revision=min_revision)
        yield result
        request.page = result.nextPage or ""
        if not request.page:
            return


class KeyReads:
    """What clients and sessions read of keys. ``local=True`` lets any server answer from its own
    state, which may lag, but is never behind what this client has seen before, nor behind
    ``min_revision``: the revision, say, of a write that another program has told of. Until a server
    has come that far the read waits; in the end it raises :class:`Unavailable`."""

    _router: Router
    _timeout: float

    def _check(self) -> None:
        raise NotImplementedError

    def _read(self, method: str, request: Any, min_revision: int) -> Any:
        return read(self._router, method, request, self._timeout,
                    min_revision=check_number("min_revision", min_revision))

    @property
    def revision(self) -> int:
        """The newest revision that this client has seen in any answer."""
        return self._router.newest

    def get(self, path: str, *, local: bool = False, min_revision: int = 0) -> Optional[Key]:
        """A key, or None if there is no such key."""
        self._check()
        request = GetRequest(path=_requests.path_of(path), consistency=_reads.consistency(local))
        result = self._read("get", request, min_revision)
        return Key.of(result.key, result.header.revision or 0) if result.found else None

    def get_many(self, paths: Iterable[str], *, local: bool = False,
                 min_revision: int = 0) -> List[Optional[Key]]:
        """Up to 1,000 keys in the order asked for, None for those that do not exist.

        All are read at one revision as long as they fit into 1 MiB; the rest is read later. The
        keys' ``read_revision`` tells.
        """
        self._check()
        left = [_requests.path_of(path) for path in _arguments.many("paths", paths, "paths")]
        if len(left) > PATHS_MAX:
            raise BadArgument(f"paths names {len(left)} keys, getMany reads at most {PATHS_MAX}")
        wanted = _reads.consistency(local)
        check_number("min_revision", min_revision)
        found: List[Optional[Key]] = []
        while left:
            request = GetManyRequest(paths=left, consistency=wanted)
            result = self._read("getMany", request, min_revision)
            found += [Key.of(lookup.key, result.header.revision or 0) if lookup.found else None
                      for lookup in result.keys or ()]
            if not result.keys:
                raise ServerError("getMany answered none of the keys that it was asked for")
            left = left[len(result.keys):]
        return found

    def exists(self, path: str, *, local: bool = False, min_revision: int = 0) -> bool:
        """Is there such a key?"""
        self._check()
        request = GetRequest(path=_requests.path_of(path), statOnly=True,
                             consistency=_reads.consistency(local))
        return bool(self._read("get", request, min_revision).found)

    def list(self, path: str, *, subtree: bool = False, values: bool = False,
             local: bool = False, min_revision: int = 0) -> Iterator[Key]:
        """The children of a key, or all keys below it, without the key itself.

        In the order of path segments, each key before its children. The first page is read by the
        call, which raises :class:`NoKey` if there is no such key, the others as they are needed: a
        key that is there all the time comes once, one that comes or goes meanwhile may be in it or
        not. Without ``values`` the keys' values are empty.
        """
        self._check()
        _arguments.flag("subtree", subtree)
        _arguments.flag("values", values)
        found = pages(self._router, path, subtree, values, local, self._timeout,
                      check_number("min_revision", min_revision))
        first = next(found)  # what is wrong with the call is raised by the call

        def keys() -> Iterator[Key]:
            for page in itertools.chain((first,), found):
                for key in page.keys or ():
                    yield Key.of(key, page.header.revision or 0)
        return keys()

    def wait_for_change(self, path: str, after: int, timeout: Optional[float] = None) -> Change:
        """Wait until a key is newer than revision ``after``, and return what it is then.

        The key need not exist. ``after`` is commonly ``read_revision`` of a key or ``revision`` of
        the last change. When ``timeout`` seconds have passed, ``changed`` of the answer is False.
        If no server can say that, because none answers or none has come to ``after``, it raises
        :class:`Unavailable`, 3 s or the client's timeout after ``timeout`` at the latest, whichever
        is less. A key that does not exist may be told as changed though it did not exist before
        either: a server cannot always tell.
        """
        self._check()
        check_number("after", after)
        _arguments.timeout(timeout)
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            request = WaitForChangeRequest(path=_requests.path_of(path), afterRevision=after)
            result = self._wait_once(request, until)
            after = max(after, result.header.revision or 0)
            key = Key.of(result.key, after) if result.found else None
            changed = bool(result.changed) and (key is None
                                                or key.modify_revision > request.afterRevision)
            if changed or time.monotonic() >= until:
                return Change(changed, key, after)

    def _wait_once(self, request: Any, until: float) -> Any:
        """The answer of the server that is asked, or of the next for what is left of the wait."""
        began = time.monotonic()
        wait = max(0.0, min(WAIT_SECONDS, until - began))

        def hold() -> float:
            left = max(0.0, began + wait - time.monotonic())
            request.maxWaitMs = math.ceil(left * 1000)
            return left

        latest = max(0.0, until - began) + min(LATE_SECONDS, self._timeout)
        return read(self._router, "waitForChange", request, min(latest, wait + self._timeout), hold)


class ClientKeys(KeyReads):
    """Keys without a session: a write is sent at most once.

    If its reply is lost it raises :class:`OutcomeUnknown`: it may or may not have been applied.
    Give a ``version``, and it may simply be tried again. Writes of a session are never in doubt.
    """

    def _send(self, method: str, request: Any) -> Any:
        self._check()
        return _reads.ask(self._router, method, request, self._timeout, repeatable=False)

    def put(self, path: str, value: Value = b"", version: Optional[int] = None, *,
            parents: bool = False) -> Written:
        """Replace a key's value, or create a persistent key.

        :param version: the version that the key must have, else :class:`BadVersion`; 0: it must not
            exist; None: it does not matter.
        :param parents: create missing parents, else :class:`NoKey`.
        """
        result = self._send("put", _requests.put(path, value, version, parents))
        return Written(path, result.version or 0, result.revision or 0)

    def create(self, path: str, value: Value = b"", *, sequential: bool = False,
               container: bool = False, ttl: Optional[float] = None,
               parents: bool = False) -> Written:
        """Create a key; :class:`KeyExists` if it is there.

        :param sequential: append the parent's next number, 20 digits, never given twice.
        :param container: it goes when the last of its children has gone.
        :param ttl: it goes when it was not written for so many seconds, 1 s to 30 days.
        :param parents: create missing parents, else :class:`NoKey`.
        """
        result = self._send("create", _requests.create(
            path, value, ephemeral=False, sequential=sequential, container=container, ttl=ttl,
            parents=parents))
        return Written(result.path or path, 1, result.revision or 0)

    def delete(self, path: str, version: Optional[int] = None, *,
               recursive: bool = False) -> Deleted:
        """Delete a key; :class:`NoKey` if there is none, :class:`NotEmpty` if it has children.

        :param version: the version that it must have, else :class:`BadVersion`.
        :param recursive: with all below it, at most 10,000 keys.
        """
        result = self._send("remove", _requests.delete(path, version, recursive))
        return Deleted(result.removed or 0, result.revision or 0)

    def transact(self) -> Transaction:
        """Conditions and several writes in one revision: see :class:`Transaction`."""
        self._check()
        return Transaction(lambda request: self._send("transact", request))


class SessionKeys(KeyReads):
    """Keys within a session: a write is applied exactly once, and repeated until that is known.

    It goes on for as long as the session lives. If the session ends meanwhile, SessionExpired says
    so, and the write may have been applied before.
    """

    _core: Core

    def _send(self, method: str, request: Any) -> Any:
        self._check()
        return self._core.settle(method, request, self._core.sequences.take())

    def _guarded(self, guard: "Optional[Lock]") -> "contextlib.AbstractContextManager[None]":
        if guard is None:
            return contextlib.nullcontext()
        if _requests.check_lock("guard", guard)._core is not self._core:
            raise BadArgument(f"lock {guard.path} belongs to another session than the write")
        if len(guard.paths) > 1:  # the wire's guard names one
            raise BadArgument(f"guard holds {len(guard.paths)} locks, a write can be bound to one: "
                              f"use a transaction, whose Transaction.holds checks them all")
        return _lost_if_not_held(guard)

    def put(self, path: str, value: Value = b"", version: Optional[int] = None, *,
            guard: "Optional[Lock]" = None, parents: bool = False) -> Written:
        """Replace a key's value, or create a persistent key.

        :param version: the version that the key must have, else :class:`BadVersion`; 0: it must not
            exist; None: it does not matter.
        :param guard: a lock of this session: written only if it is held when the write is applied,
            else :class:`LockLost`, or :class:`NotHeld` if this program gave it back. No later
            holder's write is ever overwritten. For several locks at once use
            :meth:`Transaction.holds`.
        :param parents: create missing parents, else :class:`NoKey`.
        """
        with self._guarded(guard):
            result = self._send("put", _requests.put(path, value, version, parents, guard))
        return Written(path, result.version or 0, result.revision or 0)

    def create(self, path: str, value: Value = b"", *, ephemeral: bool = False,
               sequential: bool = False, container: bool = False, ttl: Optional[float] = None,
               guard: "Optional[Lock]" = None, parents: bool = False) -> Written:
        """Create a key; :class:`KeyExists` if it is there.

        :param ephemeral: it goes with this session, in the same moment as the session's locks.
        :param sequential: append the parent's next number, 20 digits, never given twice.
        :param container: it goes when the last of its children has gone.
        :param ttl: it goes when it was not written for so many seconds, 1 s to 30 days.
        :param guard: as in :meth:`put`.
        :param parents: create missing parents, else :class:`NoKey`.
        """
        with self._guarded(guard):
            result = self._send("create", _requests.create(
                path, value, ephemeral=ephemeral, sequential=sequential, container=container,
                ttl=ttl, parents=parents, guard=guard))
        return Written(result.path or path, 1, result.revision or 0)

    def delete(self, path: str, version: Optional[int] = None, *, recursive: bool = False,
               guard: "Optional[Lock]" = None) -> Deleted:
        """Delete a key; :class:`NoKey` if there is none, :class:`NotEmpty` if it has children.

        :param version: the version that it must have, else :class:`BadVersion`.
        :param recursive: with all below it, at most 10,000 keys.
        :param guard: as in :meth:`put`.
        """
        with self._guarded(guard):
            result = self._send("remove", _requests.delete(path, version, recursive, guard))
        return Deleted(result.removed or 0, result.revision or 0)

    def transact(self) -> Transaction:
        """Conditions and several writes in one revision: see :class:`Transaction`."""
        self._check()
        return Transaction(lambda request: self._send("transact", request), self._core)


@contextlib.contextmanager
def _lost_if_not_held(guard: "Lock") -> Iterator[None]:
    try:
        yield
    except NotHeld as error:
        if not error.code:  # the handle itself knows that it was given back
            raise
        guard._gone(str(error))
        raise LockLost(f"{guard.path} was lost before the write: {error}") from error
