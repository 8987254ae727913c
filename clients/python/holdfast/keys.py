"""Keys and what calls about them answer, as plain immutable records.

Times of day are the leader's wall clock in seconds since 1970, for people. Values are bytes;
whatever takes a value takes text, too, and sends it as UTF-8; ``text`` reads it back.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

from holdfast_api.watch.ttypes import KeyKind as WireKeyKind

from ._kinds import Kind


class KeyKind(Kind):
    """What a key is bound to."""

    PERSISTENT = WireKeyKind.PERSISTENT
    EPHEMERAL = WireKeyKind.EPHEMERAL
    CONTAINER = WireKeyKind.CONTAINER
    TTL = WireKeyKind.TTL


@dataclasses.dataclass(frozen=True)
class Entry:
    """A key as watches and mirrors know it.

    ``value`` is empty where values were not asked for. ``modify_revision`` never repeats: two
    entries of one path with the same are the same write. ``ephemeral_owner`` is the session that an
    ephemeral key goes with, else 0.
    """

    path: str
    value: bytes
    version: int
    create_revision: int
    modify_revision: int
    ephemeral_owner: int

    @property
    def text(self) -> str:
        """The value as text; what is not UTF-8 is shown as U+FFFD."""
        return self.value.decode(errors="replace")

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Key(Entry):
    """A key as reads answer it, with all there is to know.

    ``read_revision`` is the revision at which it was read: a watch or wait goes on from it.
    ``ttl`` is None unless it is a TTL key; ``size`` are the bytes of the value, asked for or not.
    """

    kind: KeyKind
    children: int
    children_version: int
    children_revision: int
    created: float
    modified: float
    size: int
    ttl: Optional[float]
    read_revision: int

    @classmethod
    def of(cls, wire: Any, revision: int) -> "Key":
        """From the wire's KeyEntry."""
        stat = wire.stat
        return cls(wire.path or "", wire.value or b"", stat.version or 0, stat.createRevision or 0,
                   stat.modifyRevision or 0, stat.ephemeralOwner or 0,
                   KeyKind(stat.kind or WireKeyKind.PERSISTENT), stat.childCount or 0,
                   stat.childrenVersion or 0, stat.childrenRevision or 0,
                   (stat.createdUnixMs or 0) / 1000, (stat.modifiedUnixMs or 0) / 1000,
                   stat.valueBytes or 0, stat.ttlMs / 1000 if stat.ttlMs else None, revision)


@dataclasses.dataclass(frozen=True)
class Written:
    """What a put or create did. ``path`` has the number of a sequential key; ``revision`` is the
    key's ``modify_revision`` now."""

    path: str
    version: int
    revision: int


@dataclasses.dataclass(frozen=True)
class Deleted:
    """What a delete did: how many keys went, at which revision."""

    count: int
    revision: int


@dataclasses.dataclass(frozen=True)
class Change:
    """What a wait for a change came to.

    ``key`` is the present state, None if there is no such key. Pass ``revision`` as ``after`` to
    wait for the next change.
    """

    changed: bool
    key: Optional[Key]
    revision: int
