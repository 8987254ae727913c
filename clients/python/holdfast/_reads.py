"""Reads and commands without a session."""

from __future__ import annotations

import time
from typing import Any, Callable

from holdfast_api.holdfast.ttypes import Consistency, DescribeLockRequest, RequestContext

from . import _arguments
from ._router import Router, Undecided, as_error
from .types import LockInfo, check_path


def ask(router: Router, method: str, request: Any, timeout: float, *, repeatable: bool = True,
        min_revision: int = 0, hold: Callable[[], float] = lambda: 0.0) -> Any:
    """One answer from any server, or Unavailable after ``timeout`` seconds.

    ``hold`` as in :meth:`Router.call`.
    """
    def context() -> RequestContext:
        return RequestContext(minRevision=min_revision or None)

    try:
        return router.call(method, context, request, until=time.monotonic() + timeout,
                           repeatable=repeatable, hold=hold)
    except Undecided as undecided:
        raise as_error(undecided, method, timeout) from undecided


def read(router: Router, method: str, request: Any, timeout: float,
         hold: Callable[[], float] = lambda: 0.0, min_revision: int = 0) -> Any:
    """A read that never goes back in time, whichever server answers."""
    return ask(router, method, request, timeout, min_revision=max(min_revision, router.newest),
               hold=hold)


def consistency(local: bool) -> int:
    """The wire's word."""
    return int(Consistency.LOCAL if _arguments.flag("local", local) else Consistency.LINEARIZABLE)


def describe(router: Router, path: str, timeout: float, local: bool = False,
             min_revision: int = 0) -> LockInfo:
    """Everything about one lock."""
    request = DescribeLockRequest(path=check_path(path), consistency=consistency(local))
    result = read(router, "describeLock", request, timeout, min_revision=min_revision)
    return LockInfo.of(result.lock, result.header.revision or 0)
