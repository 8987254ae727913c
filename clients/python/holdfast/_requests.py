"""The wire's requests about keys, made of what programs pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Optional

from holdfast_api.keys.ttypes import CreateRequest, LockGuard, PutRequest, RemoveRequest
from holdfast_api.watch.ttypes import KeyKind as WireKeyKind

from . import _arguments
from .errors import BadArgument
from .types import Value, check_path, to_bytes

if TYPE_CHECKING:
    from .lock import Lock

#: What one call may carry: a server cuts off who sends a larger frame (its flag max_frame_bytes,
#: 4 MiB by default), and the call would be repeated in vain.
CALL_BYTES_MAX = 4 << 20
#: Room for everything in a frame but paths and values.
CALL_BYTES_HEAD = 64 << 10
#: A condition or step besides its path and value, at most.
PART_BYTES = 128
#: The wire's expectedVersion of a key that must not exist.
MUST_NOT_EXIST = -1


def path_of(path: str) -> str:
    """The path, if it can be one; the servers judge the rest. "/" is the root of the keys."""
    return path if path == "/" else check_path(path)


def written_path_of(path: str) -> str:
    """The path of a key to be written. No key is the root."""
    if path_of(path) == "/":
        raise BadArgument("path '/' is the root, which is no key")
    return path


def value_of(value: Value) -> bytes:
    """The bytes of a value, if a frame can carry them."""
    data = to_bytes(value)
    limit = CALL_BYTES_MAX - CALL_BYTES_HEAD
    if len(data) > limit:
        raise BadArgument(f"the value has {len(data)} bytes, a call carries at most {limit}, and a "
                          "key's value may have fewer (setting value_bytes_max, 1048576 at most)")
    return data


def check_size(compares: Iterable[Any], *operations: Iterable[Any]) -> None:
    """Refuse a transaction that no frame can carry."""
    parts = [*compares, *(o.put or o.create or o.remove for each in operations for o in each)]
    size = sum(len(part.path.encode()) + len(getattr(part, "value", None) or b"") + PART_BYTES
               for part in parts)
    limit = CALL_BYTES_MAX - CALL_BYTES_HEAD
    if size > limit:
        raise BadArgument(f"the transaction has {size} bytes, a call carries at most {limit}")


def expected(version: Optional[int]) -> Optional[int]:
    """The wire's expectedVersion: None is any, 0 that there is no such key."""
    version = _arguments.whole_or_none("version", version, "any")
    if version is None:
        return None
    if version < 0:
        raise BadArgument(f"version {version} is negative: give None for any, 0 for no key")
    return version or MUST_NOT_EXIST


def check_lock(name: str, lock: "Lock") -> "Lock":
    """The lock, if it is one."""
    from .lock import Lock  # it comes of a session, which is built on this
    return _arguments.instance(name, lock, Lock, "a Lock")


def guard_of(guard: "Optional[Lock]") -> Any:
    """The wire's LockGuard for a lock that is held; raises as :meth:`Lock.check` does."""
    if guard is None:
        return None
    check_lock("guard", guard).check()
    return LockGuard(path=guard.path, holderId=guard.holder_id)


def put(path: str, value: Value, version: Optional[int], parents: bool,
        guard: "Optional[Lock]" = None) -> Any:
    """A PutRequest."""
    _arguments.flag("parents", parents)
    return PutRequest(path=written_path_of(path), value=value_of(value),
                      expectedVersion=expected(version), makeParents=parents or None,
                      guard=guard_of(guard))


def create(path: str, value: Value, *, ephemeral: bool, sequential: bool, container: bool,
           ttl: Optional[float], parents: bool, guard: "Optional[Lock]" = None) -> Any:
    """A CreateRequest."""
    for name, given in (("ephemeral", ephemeral), ("sequential", sequential),
                        ("container", container), ("parents", parents)):
        _arguments.flag(name, given)
    if ttl is not None:
        ttl = _arguments.seconds("ttl", ttl)
    kinds = [kind for wanted, kind in ((ephemeral, WireKeyKind.EPHEMERAL),
                                       (container, WireKeyKind.CONTAINER),
                                       (ttl is not None, WireKeyKind.TTL)) if wanted]
    if len(kinds) > 1:
        raise BadArgument("a key is ephemeral, a container, or has a ttl: one of these at most")
    return CreateRequest(path=written_path_of(path), value=value_of(value),
                         kind=kinds[0] if kinds else None, sequential=sequential or None,
                         ttlMs=None if ttl is None else round(ttl * 1000),
                         makeParents=parents or None, guard=guard_of(guard))


def delete(path: str, version: Optional[int], recursive: bool,
           guard: "Optional[Lock]" = None) -> Any:
    """A RemoveRequest."""
    _arguments.flag("recursive", recursive)
    version = _arguments.whole_or_none("version", version, "any")
    if version is not None and version < 1:
        raise BadArgument(f"version {version} is that of no key: versions begin at 1")
    return RemoveRequest(path=written_path_of(path), expectedVersion=version,
                         recursive=recursive or None, guard=guard_of(guard))
