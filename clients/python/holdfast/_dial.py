"""Connecting to a host within a time that includes the resolution of its name.

The C library's resolver takes no limit, and may wait for name servers that are down for much longer
than a caller has: a thread waits for it, and of each name one only.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Dict, List, Optional, Tuple


class _Lookup:
    """One name that is being resolved, for all who want it meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        self._name = (host, port)
        self._done = threading.Event()
        self._found: List[Any] = []
        self._error: Optional[OSError] = None
        threading.Thread(target=self._run, name=f"holdfast resolves {host}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._found = socket.getaddrinfo(*self._name, type=socket.SOCK_STREAM)
        except OSError as error:
            self._error = error
        finally:
            with _mutex:
                _lookups.pop(self._name, None)
            self._done.set()

    def wait(self, seconds: float) -> List[Any]:
        """What was found; raises OSError, TimeoutError if that takes longer."""
        if not self._done.wait(seconds):
            raise TimeoutError(f"its name was not resolved within {seconds:.3g} s")
        if self._error is not None:
            raise self._error
        return self._found


_mutex = threading.Lock()
_lookups: Dict[Tuple[str, int], _Lookup] = {}


def _in_child() -> None:
    global _mutex
    _mutex = threading.Lock()
    _lookups.clear()


os.register_at_fork(after_in_child=_in_child)


def _resolve(host: str, port: int, seconds: float) -> List[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                  flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no name of a host: {error}") from error
    except OSError:
        pass  # a name
    with _mutex:
        lookup = _lookups.get((host, port))
        if lookup is None:
            try:
                lookup = _lookups[host, port] = _Lookup(host, port)
            except RuntimeError as error:  # out of threads
                raise OSError(str(error)) from error
    return lookup.wait(seconds)


def dial(host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes it; raises OSError.

    Each address has its share of what is left of the time.
    """
    until = time.monotonic() + seconds
    found = _resolve(host, port, seconds)
    last: Optional[OSError] = None
    for number, (family, kind, protocol, _, address) in enumerate(found):
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:  # of a family that this machine does not have
            last = error
            continue
        try:
            connection.settimeout(left / (len(found) - number))
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            last = error
        except BaseException:
            connection.close()
            raise
    raise last or TimeoutError("timed out")
