"""Where a server is, in words: the rules of base/net/address, but that the port may be left out."""

from __future__ import annotations

import re
import socket
from typing import Tuple

_FORM = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:]*))(?::(?P<port>[0-9]{1,5}))?")
_NO_HOST = re.compile(r"[\s,=/@]")
HOST_CHARACTERS_MAX = 255


def _is_v6(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, host)
    except (OSError, ValueError):
        return False
    return True


def parse_address(text: str, default_port: int) -> Tuple[str, int]:
    """Host and port of "host:port", "host", "[v6]:port", "[v6]" or "v6"."""
    given = text.strip()
    if _is_v6(given):
        return given, default_port
    form = _FORM.fullmatch(given)
    if form is None:
        raise _bad(text)
    host, port = form["host"] or form["v6"] or "", int(form["port"] or default_port)
    named = bool(host) and len(host) <= HOST_CHARACTERS_MAX and not _NO_HOST.search(host)
    if not named or not 0 < port < 65536 or (form["v6"] and not _is_v6(host)):
        raise _bad(text)
    return host, port


def _bad(text: str) -> ValueError:
    shown = repr(text) if len(text) <= 200 else repr(text[:200]) + "..."
    if not text.strip():
        return ValueError(f"address {shown} is not host:port, it is empty; of several in one text "
                          f"each stands between commas")
    return ValueError(f"address {shown} is not host:port with a port from 1 to 65535, nor "
                      f"[ipv6]:port")


def format_address(host: str, port: int) -> str:
    """The inverse of :func:`parse_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def can_be(text: str) -> bool:
    """Is this an address? One that a server tells of is not believed to be."""
    try:
        parse_address(text, 1)
    except ValueError:
        return False
    return True
