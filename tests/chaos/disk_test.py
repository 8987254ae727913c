"""A server whose disk fails or is full ends with the documented code, says why, and comes back."""

import errno

import pytest
from support.stock import Stock, t

from chaos.arena import EXIT_DISK_FULL, EXIT_WRITE_FAILED, Arena


@pytest.fixture
def arena():
    started = Arena(3, 1, may_mount=False)
    try:
        for node in started.nodes.values():
            started.start(node)
        started.wait_ready()
        yield started
    finally:
        started.stop()


def work(arena, session, number):
    """One command, which appends to every server's log."""
    with Stock(arena.leader().address) as stock:
        context = session.context(number)
        assert stock.call("acquire", context, path=f"/{number}", waitMs=0).status \
            == t.AcquireStatus.GRANTED


def last_line(node):
    return node.log().rstrip().rpartition("\n")[2]


@pytest.mark.parametrize("fault, code, said", [
    ({"sync_errno": errno.EIO}, EXIT_WRITE_FAILED, "sync of"),
    ({"write_errno": errno.EIO}, EXIT_WRITE_FAILED, "write of"),
    ({"write_errno": errno.ENOSPC}, EXIT_DISK_FULL, "No space left on device"),
])
def test_a_bad_disk_ends_the_server_and_a_good_one_brings_it_back(arena, fault, code, said):
    with Stock(arena.leader().address) as stock:
        session = stock.open_session(20_000, "disk")
    victim = arena.followers()[0]
    arena.shims[victim.node_id].set(**fault)
    work(arena, session, 1)
    arena.wait_end(victim, code, 20)
    assert last_line(victim).startswith("holdfastd: ") and said in last_line(victim)
    work(arena, session, 2)
    arena.shims[victim.node_id].heal()
    arena.revive()
    with Stock(victim.address) as stock:
        for number in (1, 2):
            assert stock.describeLock(path=f"/{number}").lock.holders
