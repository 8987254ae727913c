"""What can go wrong, as exceptions. All of them are :class:`HoldfastError`.

Which one to catch:

* :class:`LockLost` - the lock ended under you. Stop what it protected.
* :class:`NotGranted` and :class:`LockTimeout` - you did not get it; the message says who has it.
* :class:`KeyConflict` - a key is not as you expected: read it again, then decide.
* :class:`SessionExpired` - the servers ended the session; open another.
* :class:`Unavailable`, :class:`Overloaded`, :class:`NoSpace` - try again later.
* :class:`OutcomeUnknown` - a command without a session may or may not have been applied. Commands
  within a session never raise it: they are repeated under the same number until the outcome is
  known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, Sequence, Type

if TYPE_CHECKING:
    from .types import Holder


class HoldfastError(Exception):
    """The base of all errors of this package.

    ``code`` is the server's name of the error ("BAD_ARGUMENT", ...), or "" if no server said it.
    ``retry_after`` is how many seconds the server asked to wait before trying again.
    ``maybe_applied``: the server that refused the call did not ask whether an earlier copy of it,
    whose answer was lost, has been applied; or nobody can tell any more, since the session is over
    or the client was closed. Of an acquire that is refused: it has had its place, or even the lock.
    ``refuser`` is the address of the server whose refusal ended the call, or "" if none did.
    """

    code: str = ""
    retry_after: float = 0.0
    maybe_applied: bool = False
    refuser: str = ""


class BadArgument(HoldfastError, ValueError):
    """A value can never be right; the message names it and its limit."""


class LimitExceeded(HoldfastError):
    """A limit that the cluster's settings set would be passed; the message names it."""


class Unsupported(HoldfastError):
    """The server does not know this call or value."""


class AccessDenied(HoldfastError):
    """Credentials are missing, wrong or not sufficient."""


class Unavailable(HoldfastError, ConnectionError):
    """No server could answer within the time allowed. Nothing was changed by this call."""


class Overloaded(Unavailable):
    """The servers refused at once because a queue is full; wait ``retry_after`` seconds."""


class NoSpace(Unavailable):
    """A quorum of the servers has no disk space; only what frees or keeps alive is admitted."""


class OutcomeUnknown(HoldfastError):
    """The fate of a command without a session was lost: it may or may not have been applied."""


class ServerError(HoldfastError):
    """A bug or damaged data on the server's side; the message helps to report it."""


class ForkedError(HoldfastError, RuntimeError):
    """This object belongs to the process that made it, and this is a fork of that process."""


class ClientClosed(HoldfastError):
    """This program closed the client."""


class SessionError(HoldfastError):
    """The session cannot be used."""


class SessionExpired(SessionError):
    """A server said that the session has ended; its locks and queue places are gone."""


class SessionClosed(SessionError):
    """This program closed the session."""


class LockError(HoldfastError):
    """Something about one lock."""


class LockLost(LockError):
    """The lock ended without being released. Whatever it protected must stop now."""


class NotHeld(LockError):
    """The lock is not held by this handle: never acquired, or released already."""


class TargetGone(LockError):
    """The waiter named in a handover no longer waits; the lock is still held."""


class TargetBlocked(LockError):
    """The waiter named in a handover waits, but could not hold the lock; it is still held."""


class KeyConflict(HoldfastError):
    """The keys are not as the call expects them. Nothing was changed by it."""


class NoKey(KeyConflict, LookupError):
    """The key, or the parent that it needs, does not exist."""


class KeyExists(KeyConflict):
    """The key that was to be created exists."""


class BadVersion(KeyConflict):
    """The key has another version than the caller expects."""


class NotEmpty(KeyConflict):
    """The key that was to be deleted has children."""


class ConditionsFailed(KeyConflict):
    """The conditions of a transaction did not hold, and it has nothing to do otherwise."""


class WaitTimeout(HoldfastError, TimeoutError):
    """What was waited for did not come within the time given."""


class NotGranted(LockError):
    """The lock was not granted, and no place in its queue is left behind.

    ``holders`` are those who had it, at most 16.
    """

    holders: Sequence["Holder"] = ()


class LockTimeout(NotGranted, TimeoutError):
    """The lock was not granted within the timeout."""


class QueueFull(NotGranted):
    """The lock's queue already has as many waiters as this acquire, or the cluster, allows."""


_BY_CODE: Dict[str, Type[HoldfastError]] = {
    "BAD_ARGUMENT": BadArgument,
    "TOO_LARGE": BadArgument,
    "LIMIT_EXCEEDED": LimitExceeded,
    "UNSUPPORTED": Unsupported,
    "UNAUTHENTICATED": AccessDenied,
    "PERMISSION_DENIED": AccessDenied,
    "NO_LEADER": Unavailable,
    "TIMEOUT": Unavailable,
    "OVERLOADED": Overloaded,
    "NO_SPACE": NoSpace,
    "SHUTTING_DOWN": Unavailable,
    "OUTCOME_UNKNOWN": OutcomeUnknown,
    "SESSION_EXPIRED": SessionExpired,
    "SESSION_UNKNOWN": SessionError,
    "NOT_HELD": NotHeld,
    "STALE_TOKEN": LockLost,
    "NO_KEY": NoKey,
    "KEY_EXISTS": KeyExists,
    "BAD_VERSION": BadVersion,
    "NOT_EMPTY": NotEmpty,
    "CORRUPT": ServerError,
    "INTERNAL": ServerError,
}


#: Fields of the wire that a message may name, and the arguments that they come from.
_ARGUMENTS = {"ttlMs": "ttl in ms", "waitMs": "timeout in ms", "maxWaitMs": "timeout in ms",
              "noticeMs": "notice in ms", "lockDelayMs": "lock_delay in ms",
              "maxQueue": "max_queue", "expectedVersion": "version", "holderId": "holder_id",
              "minRevision": "min_revision", "sinceRevision": "since",
              "afterRevision": "after", "raiseLevel": "level", "fromNode": "from_node"}
_NAMED = re.compile(r"(?<![\w./\"'])(" + "|".join(_ARGUMENTS) + r")(?![\w./\"'])")


def as_passed(message: str) -> str:
    """A message about a request, with the arguments by the names that programs pass them by."""
    return _NAMED.sub(lambda found: _ARGUMENTS[found.group()], message)


def from_wire(error: Any) -> HoldfastError:
    """The exception that stands for a server's error."""
    code = error.codeName or ""
    kind = _BY_CODE.get(code, HoldfastError)
    message = as_passed(error.message or "") if kind is BadArgument else error.message
    raised = kind(f"{message} [{code}]")
    raised.code = code
    raised.retry_after = (error.retryAfterMs or 0) / 1000
    return raised


def not_granted(kind: Type[NotGranted], text: str, holders: Sequence["Holder"]) -> NotGranted:
    """A refusal whose message names the holders."""
    named = ", ".join(str(holder) for holder in holders[:3])
    more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
    raised = kind(f"{text}: held by {named}{more}" if named else text)
    raised.holders = tuple(holders)
    return raised
