"""Calls that survive the death of servers, made with the stock client: what a careful user of
generated code does by hand.
"""

from __future__ import annotations

from typing import Any, Optional

from support.cluster import Cluster
from support.stock import Stock, StockSession, t
from support.waiting import eventually


def anywhere(cluster: Cluster, method: str, session: Optional[StockSession] = None,
             sequence: Optional[int] = None, **fields: Any) -> Any:
    """Ask one server after the other until one answers. The sequence is the same each time."""
    def attempt() -> Any:
        for node in cluster.nodes.values():
            if not node.running:
                continue
            try:
                with Stock(node.address, timeout=2) as stock:
                    return stock.call(method, session.context(sequence) if session else None,
                                      **fields)
            except t.HoldfastError as error:
                if not error.retryable:
                    raise
            except Exception as error:  # a broken connection
                assert not isinstance(error, AssertionError)
        return None
    return eventually(attempt, within=15, every=0.05, what=f"an answer to {method}")


def open_anywhere(cluster: Cluster, name: str, ttl_ms: int = 20_000) -> StockSession:
    """Open a session; its secret follows from the name, so that a repeated call finds it."""
    secret = name.encode().ljust(16, b".")[:16]
    node = next(n for n in cluster.nodes.values() if n.running)

    def attempt() -> Optional[StockSession]:
        try:
            with Stock(node.address, timeout=3) as stock:
                return stock.open_session(ttl_ms, name, secret)
        except t.HoldfastError as error:
            assert error.retryable, error
            return None
    opened = eventually(attempt, within=15)
    assert opened is not None
    return opened
