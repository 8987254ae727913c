"""The client: where the servers are."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Type, Union

from holdfast_api.holdfast.ttypes import (CheckTokenRequest, ListLocksRequest, RevokeLockRequest)

from . import _arguments, _process, _reads
from ._connection import DEFAULT_ADMIN_PORT, DEFAULT_PORT
from ._core import call_apart
from ._keycalls import ClientKeys
from ._router import Router
from .admin import Admin
from .election import Election
from .errors import ClientClosed
from .session import OnExpired, Session
from .types import LockInfo, LockSummary, Revocation, check_number, check_path, check_prefix

DEFAULT_SERVERS = (f"127.0.0.1:{DEFAULT_PORT}",)
PAGE_SIZE = 500


class Client(ClientKeys):
    """A client of one cluster. Thread-safe; a forked child must make its own.

    ::

        with Client(["a:7411", "b:7411", "c:7411"]) as client, \\
                client.session(ttl=10, name="billing-7") as session, \\
                session.lock("/jobs/nightly") as lock:
            run_job(fence=lock.token)

    :param servers: addresses "host:port"; one is enough to find the others. The port may be
        left out. By default those of ``HOLDFAST_SERVERS`` in the environment, as for the
        ``holdfast`` command, which sets it for what it runs under a lock; else 127.0.0.1:7411.
    :param timeout: seconds after which a call without a session gives up (:class:`Unavailable`).
    :param connect_timeout: seconds for one attempt to connect, with the resolution of the name.
    :param discover: learn the other servers' addresses from the cluster. False where those cannot
        be reached from here, e.g. behind a proxy: then only ``servers`` are used.
    """

    def __init__(self, servers: Union[str, Iterable[str], None] = None, *,
                 timeout: float = 15.0, connect_timeout: float = 2.0,
                 discover: bool = True) -> None:
        if servers is None:
            servers = os.environ.get("HOLDFAST_SERVERS") or DEFAULT_SERVERS
        given = servers.split(",") if isinstance(servers, str) else [
            _arguments.text("each of servers", server)
            for server in _arguments.many("servers", servers, "addresses, or one str")]
        self._timeout = _arguments.positive("timeout", _arguments.seconds("timeout", timeout))
        _arguments.positive("connect_timeout",
                            _arguments.seconds("connect_timeout", connect_timeout))
        _arguments.flag("discover", discover)
        self._router = Router(given, discover=discover, connect_timeout=connect_timeout)
        self._mutex = threading.Lock()
        self._closed = False
        self._sessions: List[Session] = []
        self._admins: Dict[str, Admin] = {}
        self._home = self._router.home
        _process.register(self)

    def _check(self) -> None:
        self._router.check_open()

    @property
    def servers(self) -> Iterable[str]:
        """The addresses known now, the one asked next first."""
        return tuple(self._router.candidates())

    def session(self, ttl: float = 10.0, name: Optional[str] = None, *,
                attributes: Optional[Mapping[str, str]] = None,
                on_expired: Optional[OnExpired] = None,
                timeout: Optional[float] = None) -> Session:
        """Open a session and keep it alive in the background.

        :param ttl: seconds that the session, and with it its locks, outlives the last renewal: how
            long a crashed program keeps others waiting, and how long an outage it survives. 4 s (a
            server's flag) to 24 h; refused outside.
        :param name: what operators see; program, process and host by default.
        :param attributes: more for operators; at most 4,096 bytes in all.
        :param on_expired: called on a thread of its own when a server ended the session.
        :param timeout: seconds to try for; the client's timeout by default.
        """
        self._home.check("client")
        _arguments.timeout(timeout, none="the client's")
        session = Session(self._router, ttl=ttl, name=name, attributes=attributes,
                          on_expired=on_expired,
                          timeout=self._timeout if timeout is None else timeout)
        try:
            session._begin()
        finally:  # one whose opening was broken off may have to be closed
            with self._mutex:
                self._sessions = [s for s in self._sessions if not s._is_over()] + [session]
                closed = self._closed
        if closed:  # while it was being opened
            session.close()
            raise ClientClosed("this client is closed")
        return session

    def election(self, path: str) -> Election:
        """An election as seen by those who do not stand in it."""
        return Election(path, self._router, self._timeout)

    def check_token(self, path: str, token: int, *, local: bool = False) -> bool:
        """Does a present holder of the lock have this fencing token? For resources.

        ``local``: let any server answer from its own state, which may lag behind.
        """
        self._home.check("client")
        request = CheckTokenRequest(path=check_path(path), token=_arguments.whole("token", token),
                                    consistency=_reads.consistency(local))
        return bool(_reads.read(self._router, "checkToken", request, self._timeout).current)

    def describe(self, path: str, *, local: bool = False, min_revision: int = 0) -> LockInfo:
        """Who holds a lock, who waits for it, and why earlier tenures ended."""
        self._home.check("client")
        return _reads.describe(self._router, path, self._timeout, local,
                               check_number("min_revision", min_revision))

    def locks(self, prefix: str = "", *, local: bool = False) -> Iterator[LockSummary]:
        """All locks whose path begins with ``prefix``, such as "/jobs/", sorted by path."""
        self._home.check("client")
        return self._locks(check_prefix(prefix), _reads.consistency(local))

    def _locks(self, prefix: str, consistency: int) -> Iterator[LockSummary]:
        page = ""
        while True:
            request = ListLocksRequest(prefix=prefix, page=page, pageSize=PAGE_SIZE,
                                       consistency=consistency)
            result = _reads.read(self._router, "listLocks", request, self._timeout)
            yield from (LockSummary.of(lock) for lock in result.locks or ())
            page = result.nextPage or ""
            if not page:
                return

    def revoke(self, path: str, *, holder_id: int = 0, notice: float = 10.0, reason: str = "",
               force: bool = False) -> Revocation:
        """Take a lock away from a holder (of every holder, without ``holder_id``).

        The holder has ``notice`` seconds after it took note; one that does not answer loses the
        lock a TTL after the announcement. ``force`` takes it at once: then only tokens protect.
        """
        self._home.check("client")
        request = RevokeLockRequest(
            path=check_path(path), holderId=_arguments.whole("holder_id", holder_id),
            noticeMs=round(_arguments.seconds("notice", notice, 0) * 1000),
            reason=_arguments.text("reason", reason), force=_arguments.flag("force", force))
        result = _reads.ask(self._router, "revokeLock", request, self._timeout, repeatable=False)
        return Revocation(result.noticeId or 0, result.holders or 0)

    def admin(self, address: Optional[str] = None) -> Admin:
        """The administration of one server, on a port of its own (7413).

        Without an address it is that of ``HOLDFAST_ADMIN`` in the environment, as for the
        ``holdfast`` command, else 127.0.0.1:7413. Of several addresses, which stand there apart by
        commas, one that answers is asked: to look at one server, name it.
        """
        self._home.check("client")
        if address is None:
            given = os.environ.get("HOLDFAST_ADMIN") or f"127.0.0.1:{DEFAULT_ADMIN_PORT}"
            addresses = given.split(",")
        else:
            given = _arguments.text("address", address)
            addresses = [given]
        with self._mutex:
            if self._closed:
                raise ClientClosed("this client is closed")
            if given not in self._admins:
                self._admins[given] = Admin(addresses, self._timeout)
            return self._admins[given]

    def close(self) -> None:
        """Close all sessions of this client, then its connections."""
        self._home.check("client")
        try:
            self._close()
        except BaseException:  # as in Session.close
            call_apart("close", self._close)
            raise

    def _close(self) -> None:
        with self._mutex:
            self._closed = True
            sessions, admins = list(self._sessions), list(self._admins.values())
        for session in sessions:
            session.close()
        self._router.close()
        for admin in admins:
            admin.close()

    def detach(self) -> None:
        """In a forked child: let go of the parent's connections. Called by itself."""
        self._router.detach()
        for admin in self._admins.values():
            admin.detach()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if not self._home.away():
            self.close()

    def __repr__(self) -> str:
        return f"<Client of {', '.join(self.servers)}>"
