"""`holdfast snapshot save` while servers load their state."""

import contextlib
import signal

import pytest
from chaos.shim_control import Shim
from snapshot_save_test import Saving, file, nothing_left, verified  # noqa: F401
from support.cluster import Cluster
from support.command import run
from support.stock import Stock
from support.waiting import eventually


@pytest.fixture(scope="module")
def laden():
    """Three servers with thousands of keys."""
    with Cluster(3) as cluster:
        with Stock(cluster.leader().address) as stock:
            for number in range(3_000):
                stock.put(path=f"/config/{number}", value=b"v" * 250, makeParents=True)
        yield cluster


@contextlib.contextmanager
def loads(cluster, node):
    """The server is started anew, and loads its state very slowly as long as this lasts."""
    node.signal(signal.SIGTERM)  # ended in good order, it has all in its snapshot
    assert node.process.wait(30) == 0
    shim = Shim(node.folder / "control", node.folder / "data" / "group-1" / "snapshot")
    shim.set(read_delay_us=50_000)  # a dozen keys; it answers after six of these
    cluster.start_with(node, environment=shim.environment)
    try:
        eventually(lambda: "loads its state" in run(None, "status", nodes=[node]).stderr,
                   within=20, what="it loads")
        yield
    finally:
        shim.heal()
        cluster.wait_ready([node])


def test_one_that_loads_its_state_is_left_for_another(laden, file):
    one, two, _ = laden.nodes.values()
    with loads(laden, one):
        done = run(laden, "snapshot", "save", str(file), nodes=[one, two], timeout=60)
    assert done.returncode == 0, done.stderr
    assert verified(file)["node_id"] == two.node_id


def test_one_that_loads_its_state_is_come_back_to_when_no_other_can_give_one(laden, file):
    one, two, _ = laden.nodes.values()
    two.kill()
    with contextlib.ExitStack() as at_the_end:
        with loads(laden, one):
            saving = at_the_end.enter_context(Saving(file, [one, two], "--timeout", "12s"))
            eventually(lambda: f"beginning anew with {one.admin_address}".encode() in saving.told(),
                       within=60, what="it comes back")
        code, _, err = saving.end()
    laden.start_all()
    assert code == 0, err
    assert verified(file)["node_id"] == one.node_id


def test_one_that_loads_its_state_for_too_long_is_named_and_leaves_nothing(laden, file):
    node = laden.nodes[1]
    with loads(laden, node):
        done = run(laden, "snapshot", "save", str(file), "--timeout", "2s", nodes=[node])
    assert done.returncode == 69 and "loads its state" in done.stderr.splitlines()[-1], done.stderr
    nothing_left(file)
