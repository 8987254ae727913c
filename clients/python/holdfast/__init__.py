"""Holdfast for Python: locks, elections, keys and watches that are right by construction.

::

    from holdfast import Client

    with Client(["127.0.0.1:7411"]) as client, \\
            client.session(ttl=10, name="billing-7") as session, \\
            session.lock("/jobs/nightly") as lock:
        print("fencing token", lock.token)
        lock.check()

Log messages go to ``logging.getLogger("holdfast")``. The guide is docs/python.md.
"""

import logging as _logging

from .admin import Admin
from .client import Client
from .election import Election
from .errors import (AccessDenied, BadArgument, BadVersion, ClientClosed, ConditionsFailed,
                     ForkedError, HoldfastError, KeyConflict, KeyExists, LimitExceeded, LockError,
                     LockLost, LockTimeout, NoKey, NoSpace, NotEmpty, NotGranted, NotHeld,
                     OutcomeUnknown, Overloaded, QueueFull, ServerError, SessionClosed,
                     SessionError, SessionExpired, TargetBlocked, TargetGone, Unavailable,
                     Unsupported, WaitTimeout)
from .events import Event, EventKind, Hold, State, WatchInfo
from .keys import Change, Deleted, Entry, Key, KeyKind, Written
from .lock import Leadership, Lock
from .mirror import Mirror
from .session import Session
from .transaction import Step, Transaction
from .types import (Holder, Leader, LockInfo, LockSummary, Member, Mode, Notice, Revocation,
                    SessionInfo, Setting, Status, Tenure, Waiter, Wanted)
from .watch import Subscription, Watch

__version__ = "0.1.0"

__all__ = [
    "AccessDenied", "Admin", "BadArgument", "BadVersion", "Change", "Client", "ClientClosed",
    "ConditionsFailed", "Deleted", "Election", "Entry", "Event", "EventKind", "ForkedError",
    "Hold", "Holder", "HoldfastError", "Key", "KeyConflict", "KeyExists", "KeyKind", "Leader",
    "Leadership", "LimitExceeded", "Lock", "LockError", "LockInfo", "LockLost", "LockSummary",
    "LockTimeout", "Member", "Mirror", "Mode", "NoKey", "NoSpace", "NotEmpty", "NotGranted",
    "NotHeld", "Notice", "OutcomeUnknown", "Overloaded", "QueueFull", "Revocation",
    "ServerError", "Session", "SessionClosed", "SessionError", "SessionExpired", "SessionInfo",
    "Setting", "State", "Status", "Step", "Subscription", "TargetBlocked", "TargetGone",
    "Tenure", "Transaction", "Unavailable", "Unsupported", "WaitTimeout", "Waiter", "Wanted",
    "Watch", "WatchInfo", "Written",
]

_logging.getLogger(__name__).addHandler(_logging.NullHandler())
