"""The stock generated client, with nothing of ours: Thrift's own sockets, framing and protocols.

Only the packaging of arguments is shortened: ``stock.acquire(session, path="/a", waitMs=0)`` calls
acquire(RequestContext, AcquireRequest). What it does not do is retry, renew or interpret.
"""

from __future__ import annotations

import os
from typing import Any, Optional

from support import paths

paths.install()

from holdfast_api.admin import HoldfastAdmin, ttypes as admin_types  # noqa: E402
from holdfast_api.holdfast import ttypes as t  # noqa: E402
from holdfast_api.keys import HoldfastKeys, ttypes as keys_types  # noqa: E402
from thrift.protocol.TBinaryProtocol import TBinaryProtocol  # noqa: E402
from thrift.protocol.TCompactProtocol import TCompactProtocol  # noqa: E402
from thrift.transport.TSocket import TSocket  # noqa: E402
from thrift.transport.TTransport import TFramedTransport  # noqa: E402

SERVICES = {"client": (HoldfastKeys.Client, (keys_types, t)),
            "admin": (HoldfastAdmin.Client, (admin_types,))}


class StockSession:
    """What a client knows of its session: id, secret, and the last sequence used."""

    def __init__(self, session_id: int, secret: bytes) -> None:
        self.id = session_id
        self.secret = secret
        self._last = 0

    def context(self, sequence: Optional[int] = None) -> Any:
        """The head of a command: a new number unless one is given."""
        number = self._last + 1 if sequence is None else sequence
        self._last = max(self._last, number)
        return t.RequestContext(sessionId=self.id, sessionSecret=self.secret, sequence=number)


class Stock:
    """One connection."""

    def __init__(self, address: str, *, protocol: str = "binary", service: str = "client",
                 timeout: float = 10.0) -> None:
        host, _, port = address.rpartition(":")
        socket = TSocket(host, int(port))
        socket.setTimeout(timeout * 1000)
        self.transport = TFramedTransport(socket)
        make = TBinaryProtocol if protocol == "binary" else TCompactProtocol
        client, self._types = SERVICES[service]
        self._client = client(make(self.transport))
        self.transport.open()

    def __enter__(self) -> "Stock":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def open_session(self, ttl_ms: int = 10_000, name: str = "stock",
                     secret: Optional[bytes] = None) -> StockSession:
        """Open a session."""
        secret = secret or os.urandom(16)
        result = self._client.openSession(t.RequestContext(), t.OpenSessionRequest(
            ttlMs=ttl_ms, name=name, attributes={}, secret=secret))
        return StockSession(result.sessionId, secret)

    def call(self, method: str, context: Any = None, **fields: Any) -> Any:
        """Call a method with a context and the fields of its request."""
        name = method[0].upper() + method[1:] + "Request"
        request = next(getattr(types, name) for types in self._types if hasattr(types, name))
        return getattr(self._client, method)(context or t.RequestContext(), request(**fields))

    def __getattr__(self, method: str) -> Any:
        def call(session: Optional[StockSession] = None, sequence: Optional[int] = None,
                 **fields: Any) -> Any:
            context = None if session is None else session.context(sequence)
            return self.call(method, context, **fields)
        return call
