"""A server that loads its state is a voter meanwhile: others may need it for their quorum."""

import urllib.error
import urllib.request

from chaos.shim_control import Shim
from support.cluster import Cluster
from support.stock import Stock
from support.waiting import eventually

SMALL = ("--snapshot_log_bytes=65536", "--snapshot_interval_s=1")
KEYS = 1_500
VALUE = b"v" * 1_000
SLOW_READ_US = 10_000  # three or four keys


def page(node, path):
    """What the server answers there, whatever its status is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}{path}", timeout=5) as got:
            return got.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def snapshot_index(node):
    """The revision that its snapshot has, as of a second ago."""
    for line in page(node, "/metrics").splitlines():
        if line.startswith("holdfast_snapshot_index "):
            return int(float(line.split()[1]))
    return 0


def test_a_server_votes_and_stores_the_log_before_its_state_is_loaded(dial):
    with Cluster(3, flags=SMALL) as servers:
        leader = servers.leader()
        away, third = servers.followers()
        stock = dial(leader)
        for number in range(KEYS):
            last = stock.put(path=f"/config/{number}", value=VALUE, makeParents=True).revision
        eventually(lambda: snapshot_index(away) >= last, within=30, what="a snapshot of all")
        away.kill()
        leader.kill()
        shim = Shim(away.folder / "control", away.folder / "data" / "group-1" / "snapshot")
        shim.set(read_delay_us=SLOW_READ_US)
        servers.start_with(away, environment=shim.environment)
        # One of three is down, one loads: the last one leads, and what it is told is kept.
        servers.wait_ready([third])
        with Stock(third.address) as after:
            kept = after.put(path="/config/after", value=b"1").revision
        assert "loads its state, and votes meanwhile" in page(away, "/ready")
        shim.heal()
        servers.wait_ready([away])
        third.kill()
        servers.start(leader)
        servers.wait_ready([away, leader])
        with dial(servers.leader(among=[away, leader])) as again:
            assert again.get(path="/config/after").key.stat.modifyRevision == kept


def test_a_server_that_is_told_to_stop_while_it_loads_does(dial):
    with Cluster(1, flags=SMALL) as servers:
        alone = servers.leader()
        stock = dial(alone)
        for number in range(KEYS // 5):
            last = stock.put(path=f"/config/{number}", value=VALUE, makeParents=True).revision
        eventually(lambda: snapshot_index(alone) >= last, within=30, what="a snapshot of all")
        alone.kill()
        shim = Shim(alone.folder / "control", alone.folder / "data" / "group-1" / "snapshot")
        shim.set(read_delay_us=3 * SLOW_READ_US)
        servers.start_with(alone, environment=shim.environment)
        eventually(lambda: "loads its state" in alone_says(alone), what="it loads")
        alone.process.terminate()
        assert alone.process.wait(30) == 0
        servers.start(alone)
        servers.wait_ready([alone])
        assert dial(alone).get(path="/config/1").key.value == VALUE


def alone_says(node):
    """Its readiness; nothing as long as nobody listens."""
    try:
        return page(node, "/ready")
    except urllib.error.URLError:
        return ""
