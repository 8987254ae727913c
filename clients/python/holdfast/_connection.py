"""One connection to one server, closed for good at the first trouble.

The stock Thrift classes for Python neither number calls nor check the number in the reply: after a
timeout the next call on the same connection would read the reply of the one before. So whatever
goes wrong, the connection is closed and never used again.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from typing import Any, Iterator, Tuple

from holdfast_api.admin import HoldfastAdmin
from holdfast_api.holdfast.ttypes import HoldfastError as WireError
from holdfast_api.keys import HoldfastKeys
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.Thrift import TApplicationException, TType

from . import _arguments
from ._address import parse_address
from ._dial import dial
from ._frames import Frames, Sluggish
from .errors import BadArgument, Unsupported, as_passed

DEFAULT_PORT = 7411
DEFAULT_ADMIN_PORT = 7413
STRING_BYTES_MAX = 16 << 20
CONTAINER_ITEMS_MAX = 1 << 20

SERVICES = {"client": HoldfastKeys.Client, "admin": HoldfastAdmin.Client}


class NotSent(Exception):
    """The request never left: the server could not be reached."""


class Broken(Exception):
    """The connection failed during the call: the request may have arrived or not."""


#: A value that is sent: its name, what it is in (" of put of thenOperations[1]"), kind and itself.
Leaf = Tuple[str, str, int, Any]


def _leaves(name: str, of: str, kind: int, inner: Any, value: Any) -> Iterator[Leaf]:
    """All numbers and texts in a field. ``kind`` and ``inner`` are the wire's description of it."""
    if kind == TType.STRUCT and value is not None:
        yield from _fields(value, f" of {name}{of}")
    elif kind in (TType.LIST, TType.SET):
        for number, item in enumerate(value or ()):
            yield from _leaves(f"{name}[{number}]", of, inner[0], inner[1], item)
    elif kind == TType.MAP:
        for key, item in (value or {}).items():
            yield f"a key of {name}", of, inner[0], key
            yield from _leaves(f"{name}[{key!r}]", of, inner[2], inner[3], item)
    else:
        yield name, of, kind, value


def _fields(struct: Any, of: str = "") -> Iterator[Leaf]:
    for spec in struct.thrift_spec or ():
        if spec:
            yield from _leaves(spec[2], of, spec[1], spec[3], getattr(struct, spec[2], None))


def _unfit(request: Any) -> str:
    """The value that the wire has no room for, by its name."""
    for name, of, kind, value in _fields(request):
        bits = {TType.I32: 32, TType.I64: 64}.get(kind)
        if bits and isinstance(value, int) and not -1 << (bits - 1) <= value < 1 << (bits - 1):
            return f"{name} {value}{of} does not fit into {bits} bits"
        if isinstance(value, str) and not _arguments.is_unicode(value):
            return f"{name} {value!r}{of} is not Unicode text"
    return ""


class Connection:
    """A connection for one call at a time."""

    def __init__(self, address: str, service: str, connect_timeout: float) -> None:
        """Connect; raises :class:`NotSent`."""
        self.address = address
        host, port = parse_address(address, DEFAULT_PORT)
        try:
            self._socket = dial(host, port, connect_timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise NotSent(f"{address}: {error}") from error
        self._frames = Frames(self._socket)
        self._client = SERVICES[service](TBinaryProtocolAccelerated(
            self._frames, string_length_limit=STRING_BYTES_MAX,
            container_length_limit=CONTAINER_ITEMS_MAX))

    def call(self, method: str, context: Any, request: Any, timeout: float) -> Any:
        """Call ``method`` and return its result, which echoes the sequence of ``context``.

        Raises the wire's own HoldfastError, or :class:`Broken` if the fate of the request is open.
        """
        try:
            self._frames.begin(max(timeout, 0.001))
            self._send(method, context, request)
            result = getattr(self._client, f"recv_{method}")()
            self._check_echo(context, result.header)
            return result
        except (WireError, Broken, BadArgument):
            raise
        except TApplicationException as error:
            self.close()
            if error.type == TApplicationException.UNKNOWN_METHOD:
                raise Unsupported(f"{self.address} does not know the call {method}") from error
            if error.type == TApplicationException.PROTOCOL_ERROR:  # no server would read them
                raise BadArgument(f"{self.address}: {error}") from error
            raise Broken(f"{self.address} did not answer {method}: {error}") from error
        except Exception as error:
            self.close()
            if isinstance(error, TimeoutError):
                why = f": {error}" if isinstance(error, Sluggish) else ""
                raise Broken(f"{self.address} did not answer {method} within "
                             f"{timeout:.3g} s{why}") from error
            raise Broken(f"{self.address} broke off {method}: {error!r}") from error
        except BaseException:
            self.close()
            raise

    def _send(self, method: str, context: Any, request: Any) -> None:
        try:
            getattr(self._client, f"send_{method}")(context, request)
        except (OverflowError, ValueError, TypeError, AttributeError, struct.error) as error:
            # A frame leaves when it is whole: nothing was sent. No server would fare better.
            self.close()
            unfit = as_passed(_unfit(request) or _unfit(context))
            raise BadArgument(f"{method} cannot be sent: {unfit or error}") from error

    def _check_echo(self, context: Any, header: Any) -> None:
        echoed = (header.sequence or 0) if header else 0
        if echoed != (context.sequence or 0):
            self.close()
            raise Broken(f"{self.address} answered sequence {echoed} to {context.sequence}")

    def idle(self) -> bool:
        """Open, and silent as it must be between calls: what is readable now is an end."""
        if self._socket.fileno() < 0:
            return False
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | select.POLLPRI)
        return not poller.poll(0)

    def is_open(self) -> bool:
        """Has the connection not been closed by this side?"""
        return self._socket.fileno() >= 0

    def abort(self) -> None:
        """Make a call that another thread is blocked in fail now."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this process's end."""
        with contextlib.suppress(OSError):
            self._socket.close()
