"""Holdfast for Python: locks, semaphores and elections that are right by construction.

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
from .errors import (AccessDenied, BadArgument, ClientClosed, ForkedError, HoldfastError,
                     LimitExceeded, LockError, LockLost, LockTimeout, NoSpace, NotGranted, NotHeld,
                     OutcomeUnknown, Overloaded, QueueFull, ServerError, SessionClosed,
                     SessionError, SessionExpired, TargetBlocked, TargetGone, Unavailable,
                     Unsupported)
from .lock import Leadership, Lock
from .session import Session
from .types import (Holder, Leader, LockInfo, LockSummary, Member, Mode, Notice, Revocation,
                    SessionInfo, Setting, Status, Tenure, Waiter, Wanted)

__version__ = "0.1.0"

__all__ = [
    "AccessDenied", "Admin", "BadArgument", "Client", "ClientClosed", "Election", "ForkedError",
    "Holder", "HoldfastError", "Leader", "Leadership", "LimitExceeded", "Lock", "LockError",
    "LockInfo", "LockLost", "LockSummary", "LockTimeout", "Member", "Mode", "NoSpace",
    "NotGranted", "NotHeld", "Notice", "OutcomeUnknown", "Overloaded", "QueueFull", "Revocation",
    "ServerError", "Session", "SessionClosed", "SessionError", "SessionExpired", "SessionInfo",
    "Setting", "Status", "TargetBlocked",
    "TargetGone", "Tenure", "Unavailable", "Unsupported", "Waiter", "Wanted",
]

_logging.getLogger(__name__).addHandler(_logging.NullHandler())
