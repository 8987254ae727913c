"""What programs pass, judged where they pass it.

Of a wrong type the wire would complain far from the call, in its own words, or not at all:
``bytes(3)`` are three zero bytes, and the letters of one path are iterable like a list of paths.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, Iterable, List, Mapping, Optional, Type, TypeVar

from .errors import BadArgument

T = TypeVar("T")

#: Some 30 years: less than the clocks, threads and sockets of Python can wait for.
SECONDS_MAX = 1_000_000_000


def shown(value: object) -> str:
    """What was given, as a message has it."""
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


def wrong(name: str, value: object, expected: str) -> TypeError:
    """The error: which argument, what was given, what is expected."""
    return TypeError(f"{name} must be {expected}, not {type(value).__name__} {shown(value)}")


def instance(name: str, value: Any, kind: Type[T], what: str) -> T:
    """An object of the class."""
    if isinstance(value, kind):
        return value
    raise wrong(name, value, what)


def text(name: str, value: Any) -> str:
    """A str."""
    if isinstance(value, str):
        return value
    raise wrong(name, value, "a str")


def is_unicode(value: str) -> bool:
    """Can the text be sent? Half of a surrogate pair is no character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if isinstance(value, bool):
        return value
    raise wrong(name, value, "True or False")


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def whole(name: str, value: Any) -> int:
    """An int."""
    if _is_whole(value):
        return int(value)
    raise wrong(name, value, "an int")


def whole_or_none(name: str, value: Any, none: str) -> Optional[int]:
    """An int, or None; ``none`` says what that means."""
    if value is None or _is_whole(value):
        return None if value is None else int(value)
    raise wrong(name, value, f"an int, or None ({none})")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _not_too_long(name: str, value: Any) -> float:
    if value > SECONDS_MAX:
        raise BadArgument(f"{name} {shown(value)} is more than {SECONDS_MAX} seconds")
    return float(value)


def seconds(name: str, value: Any, least: Optional[float] = None) -> float:
    """A finite number of seconds, ``least`` at least."""
    if not _is_number(value):
        raise wrong(name, value, "a number of seconds")
    if value != value or value in (math.inf, -math.inf):
        raise ValueError(f"{name} {value} is no number of seconds")
    if least is not None and value < least:
        raise ValueError(f"{name} is {shown(value)}, it must be {least:g} or more")
    return _not_too_long(name, value)


def positive(name: str, value: float) -> float:
    """More than nothing."""
    if value <= 0:
        raise ValueError(f"{name} is {value:g}, it must be more than 0")
    return value


def timeout(value: Any, name: str = "timeout", none: str = "no limit") -> Optional[float]:
    """A number of seconds from 0 on, or None."""
    if value is None:
        return None
    if not _is_number(value):
        raise wrong(name, value, f"a number of seconds, or None ({none})")
    if value != value:
        raise ValueError(f"{name} {value} is no number of seconds")
    if value < 0 or value == math.inf:
        raise ValueError(f"{name} {value} is neither None nor a number of seconds from 0 on")
    return _not_too_long(name, value)


def function(name: str, value: Any) -> Any:
    """What can be called, or None."""
    if value is None or callable(value):
        return value
    raise wrong(name, value, "a function, or None")


def value_bytes(value: Any, name: str = "value") -> bytes:
    """Bytes, or the UTF-8 of a text."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise wrong(name, value, "bytes or a str")


def many(name: str, value: Any, what: str) -> List[Any]:
    """Several of something, but not one text, which is several letters."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise wrong(name, value, f"a list of {what}")
    return list(value)


def mapping(name: str, value: Any, what: str) -> Mapping[Any, Any]:
    """A dict or the like; of None an empty one."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise wrong(name, value, f"a dict of {what}")
