"""Keys with nothing but the generated code: every command keeps its sequence until it is known."""

from __future__ import annotations

from typing import Any

from holdfast_api.holdfast import ttypes as t
from holdfast_api.keys import ttypes as k
from holdfast_api.watch import ttypes as w

from chaos.key_kinds import ACCOUNTS, COUNTERS
from chaos.stock_client import StockClient

CONFLICTS = ("NO_KEY", "KEY_EXISTS", "BAD_VERSION", "NOT_EMPTY", "NOT_HELD")


class StockKeys(StockClient):
    """A session that writes keys in turn."""

    def turn(self) -> None:
        """One small step."""
        step = self._random.choice([self._count, self._move, self._come, self._guard, self._look])
        try:
            step()
        except t.HoldfastError as error:
            if error.codeName not in CONFLICTS:
                raise
        self._over.wait(self._random.uniform(0, 0.1))

    def _get(self, path: str) -> Any:
        return self._until_known("get", path=path)

    def _count(self) -> None:
        path = f"/counters/{self._random.randrange(COUNTERS)}"
        there = self._get(path)
        number = int(there.key.value) + 1 if there.found else 0
        self._command("put", path=path, value=str(number).encode(),
                      expectedVersion=there.key.stat.version if there.found else -1)

    def _move(self) -> None:
        source, target = self._random.sample(ACCOUNTS, 2)
        has, gets = (each.key for each in self._until_known(
            "getMany", paths=[source, target]).keys)
        if int(has.value) == 0:
            return
        same = [k.Compare(target=k.CompareTarget.MODIFY_REVISION, path=key.path,
                          number=key.stat.modifyRevision) for key in (has, gets)]
        puts = [k.PutRequest(path=key.path, value=str(int(key.value) + by).encode())
                for key, by in ((has, -1), (gets, 1))]
        moved = [k.Operation(put=put) for put in puts]
        self._command("transact", compares=same, thenOperations=moved)

    def _come(self) -> None:
        made = self._command("create", path="/presence/stock-", value=self._name.encode(),
                             kind=w.KeyKind.EPHEMERAL, sequential=True)
        self._until_known("listKeys", path="/presence", withValues=True)
        self._command("remove", path=made.path)

    def _guard(self) -> None:
        """A write under a lock that is held, and one with the same guard after the release."""
        self._sequence += 1
        granted = self._until_known("acquire", self._sequence, path="/guards/1",
                                    mode=t.LockMode.EXCLUSIVE, waitMs=0)
        if granted.status != t.AcquireStatus.GRANTED:
            return
        guard = k.LockGuard(path="/guards/1", holderId=granted.holderId)
        self._command("put", path="/guarded/2", value=f"{self._name} {self._sequence}".encode(),
                      guard=guard)
        self._command("release", path="/guards/1", holderId=granted.holderId)
        self._command("put", path="/guarded/2", value=b"never", guard=guard)

    def _look(self) -> None:
        self._until_known("listKeys", path="/", subtree=True, withValues=True,
                          consistency=self._random.choice([None, t.Consistency.LOCAL]))
