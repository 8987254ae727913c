"""Transactions: conditions, and several writes in one revision."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type

from holdfast_api.keys.ttypes import (Compare, CompareRelation, CompareTarget, Operation,
                                      TransactRequest)

from . import _arguments, _requests
from .errors import BadArgument, ConditionsFailed, HoldfastError
from .types import Value, check_number

if TYPE_CHECKING:
    from .lock import Lock

_RELATIONS = {"==": CompareRelation.EQUAL, "!=": CompareRelation.NOT_EQUAL,
              "<": CompareRelation.LESS, ">": CompareRelation.GREATER}


class Step:
    """One write of a transaction. What it came to stands here after the commit, if it was done."""

    def __init__(self, path: str) -> None:
        #: Done: its conditions chose its side.
        self.done = False
        #: The path; of a sequential key with its number, after the commit.
        self.path = path
        #: put and create: the key's version now.
        self.version = 0
        #: delete: how many keys went.
        self.deleted = 0

    def _came_to(self, wire: Any) -> None:
        self.done = True
        self.path = wire.path or self.path
        self.version, self.deleted = wire.version or 0, wire.removed or 0


class Steps:
    """What a transaction does on one side, in order."""

    def __init__(self) -> None:
        self._operations: List[Any] = []
        self._steps: List[Step] = []

    def put(self, path: str, value: Value = b"", version: Optional[int] = None, *,
            parents: bool = False) -> Step:
        """As the call put."""
        return self._add(path, Operation(put=_requests.put(path, value, version, parents)))

    def create(self, path: str, value: Value = b"", *, ephemeral: bool = False,
               sequential: bool = False, container: bool = False, ttl: Optional[float] = None,
               parents: bool = False) -> Step:
        """As the call create; ``ephemeral`` only in a session's transaction."""
        return self._add(path, Operation(create=_requests.create(
            path, value, ephemeral=ephemeral, sequential=sequential, container=container, ttl=ttl,
            parents=parents)))

    def delete(self, path: str, version: Optional[int] = None, *, recursive: bool = False) -> Step:
        """As the call delete."""
        return self._add(path, Operation(remove=_requests.delete(path, version, recursive)))

    def _add(self, path: str, operation: Any) -> Step:
        step = Step(path)
        self._operations.append(operation)
        self._steps.append(step)
        return step

    def _came_to(self, results: Any) -> None:
        for step, result in zip(self._steps, results or ()):
            step._came_to(result)


class Transaction(Steps):
    """Conditions and writes that are done all together or not at all, in one revision.

    Made by ``transact()`` of a client or a session::

        with session.transact() as tx:
            tx.check_version("/a", 3)
            tx.put("/a", "new")
            tx.delete("/b")

    The ``with`` commits at its end, and not at all if its body raises. If the conditions do not
    hold it raises :class:`ConditionsFailed`, unless something is to be done ``otherwise``::

        with session.transact() as tx:
            tx.check_exists("/a", False)
            tx.create("/a")
            tx.otherwise.put("/a/last-seen", "now")
        print("created" if tx.succeeded else "was there")

    A step that cannot be done (no such key, another version) is an error of the whole, which names
    it; then nothing was done.
    """

    def __init__(self, send: Callable[[Any], Any], session: object = None) -> None:
        """Use :meth:`holdfast.Client.transact` or :meth:`holdfast.Session.transact` instead."""
        super().__init__()
        self._send = send
        self._session = session
        self._compares: List[Any] = []
        self._otherwise: Optional[Steps] = None
        self._result: Any = None
        self._sent = False

    # ------------------------------------------------------------------------------ conditions

    def check_version(self, path: str, version: int, relation: str = "==") -> None:
        """The key's version is ``version``; a key that does not exist has version 0.

        ``relation`` is "==", "!=", "<" or ">": what is there stands on its left.
        """
        self._number(CompareTarget.VERSION, path, check_number("version", version), relation)

    def check_revision(self, path: str, revision: int, relation: str = "==") -> None:
        """The key's ``modify_revision``, 0 if there is no such key: unlike a version it tells a key
        from one that was made again at the same path."""
        self._number(CompareTarget.MODIFY_REVISION, path, check_number("revision", revision),
                     relation)

    def check_created(self, path: str, revision: int, relation: str = "==") -> None:
        """The key's ``create_revision``, 0 if there is no such key."""
        self._number(CompareTarget.CREATE_REVISION, path, check_number("revision", revision),
                     relation)

    def check_exists(self, path: str, exists: bool = True) -> None:
        """The key exists, or does not."""
        wanted = _arguments.flag("exists", exists)
        self._number(CompareTarget.EXISTS, path, 1, "==" if wanted else "!=")

    def check_value(self, path: str, value: Value, relation: str = "==") -> None:
        """The key's value, bytewise; of a key that does not exist no comparison holds."""
        self._compares.append(Compare(target=CompareTarget.VALUE, relation=_relation(relation),
                                      path=_requests.path_of(path),
                                      value=_requests.value_of(value)))

    def holds(self, lock: "Lock") -> None:
        """The session still holds this lock when the transaction is applied.

        Raises as :meth:`holdfast.Lock.check` does if it is known to have ended.
        """
        _requests.check_lock("lock", lock)
        if self._session is None or lock._core is not self._session:
            raise BadArgument(f"lock {lock.path} belongs to another session than the transaction")
        guard = _requests.guard_of(lock)
        for path in lock.paths:
            self._number(CompareTarget.HOLDS, path, guard.holderId, "==")

    def _number(self, target: int, path: str, number: int, relation: str) -> None:
        self._compares.append(Compare(target=target, relation=_relation(relation),
                                      path=_requests.path_of(path), number=number))

    @property
    def otherwise(self) -> Steps:
        """What is done if a condition does not hold. Naming it is enough to have nothing raised."""
        if self._otherwise is None:
            self._otherwise = Steps()
        return self._otherwise

    # ---------------------------------------------------------------------------------- commit

    def commit(self) -> bool:
        """Do it now, once. Did the conditions hold? Never raises :class:`ConditionsFailed`.

        Also one whose commit raised is not sent again, nor by the end of its ``with``: without a
        session nobody knows whether it was done.
        """
        if self._sent:
            raise HoldfastError("this transaction was committed already; make another")
        other = self._otherwise or Steps()
        _requests.check_size(self._compares, self._operations, other._operations)
        self._sent = True
        self._result = self._send(TransactRequest(
            compares=self._compares, thenOperations=self._operations,
            otherwiseOperations=other._operations))
        (self if self.succeeded else other)._came_to(self._result.results)
        return self.succeeded

    @property
    def succeeded(self) -> bool:
        """Did the conditions hold?"""
        return bool(self._answer().succeeded)

    @property
    def revision(self) -> int:
        """The revision of the transaction."""
        return int(self._answer().revision or 0)

    def _answer(self) -> Any:
        if self._result is None:
            raise HoldfastError("this transaction was not committed yet")
        return self._result

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if kind is not None or self._sent:
            return
        if not self.commit() and self._otherwise is None:
            paths = ", ".join(compare.path for compare in self._compares)
            raise ConditionsFailed(f"a condition on {paths} did not hold at revision "
                                   f"{self.revision}: nothing was done")


def _relation(relation: str) -> int:
    try:
        return int(_RELATIONS[_arguments.text("relation", relation)])
    except KeyError:
        raise BadArgument(f"relation {relation!r} is none of "
                          f"{', '.join(_RELATIONS)}") from None
