"""What is older goes on working: clients generated from an earlier IDL, and directories that the
servers of an earlier program left."""

import json
import pathlib
import subprocess
import sys
import tarfile

import pytest
from support.cluster import Cluster
from support.stock import Stock, StockSession, t

COMPAT = pathlib.Path(__file__).resolve().parents[1] / "compat"
FROZEN = sorted(path.name for path in COMPAT.iterdir() if path.is_dir())
FROZEN_KEYS = [name for name in FROZEN if (COMPAT / name / "keys.thrift").exists()]
FROZEN_ADMIN = [name for name in FROZEN if (COMPAT / name / "admin.thrift").exists()]


def test_there_is_something_to_be_compatible_with():
    assert FROZEN and FROZEN_KEYS and FROZEN_ADMIN


def run_old(script, idl, cluster, folder, addresses=lambda node: [node.address]):
    """Runs a script with a client generated from a frozen IDL, at each server."""
    subprocess.run(["thrift", "-r", "--gen", "py", "-out", str(folder), str(idl)], check=True)
    for node in cluster.nodes.values():
        done = subprocess.run([sys.executable, str(COMPAT / script), str(folder), *addresses(node)],
                              capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (0, "compatible\n"), done.stderr


@pytest.mark.parametrize("idl", FROZEN)
def test_an_old_generated_client_takes_and_gives_back_a_lock(idl, cluster, tmp_path):
    run_old("old_client.py", COMPAT / idl / "holdfast.thrift", cluster, tmp_path)


@pytest.mark.parametrize("idl", FROZEN_KEYS)
def test_an_old_generated_client_writes_reads_and_watches_keys(idl, cluster, tmp_path):
    run_old("old_keys_client.py", COMPAT / idl / "keys.thrift", cluster, tmp_path)


@pytest.mark.parametrize("idl", FROZEN_ADMIN)
def test_an_old_generated_client_administers(idl, cluster, tmp_path):
    run_old("old_admin_client.py", COMPAT / idl / "admin.thrift", cluster, tmp_path,
            lambda node: [node.admin_address, node.address])


RECORDED = sorted(COMPAT.glob("data_*.tar.xz"))


def test_something_is_recorded():
    assert RECORDED


@pytest.fixture
def unpacked(request, tmp_path):
    """Servers on what those of an earlier program left, killed, and what must be found there."""
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path)
    cluster = Cluster(3)
    for node in cluster.nodes.values():
        (tmp_path / f"node{node.node_id}").rename(node.folder / "data")
    with cluster:
        yield cluster, json.loads((tmp_path / "known.json").read_text())


@pytest.mark.parametrize("unpacked", RECORDED, indirect=True, ids=lambda path: path.name)
def test_the_state_of_an_earlier_program_is_served(unpacked):
    cluster, known = unpacked
    holder = StockSession(known["session"], bytes.fromhex(known["secret"]))
    for node in cluster.nodes.values():
        with Stock(node.address) as stock:
            for number in range(known["keys"]):
                assert stock.get(path=f"/config/k{number}").key.value == b"%d" % number
            again = stock.call("acquire", holder.context(1), path="/jobs/held", waitMs=0,
                               value=b"here")
            assert (again.status, again.token) == (t.AcquireStatus.GRANTED, known["token"])
            lock = stock.describeLock(path="/jobs/held").lock
            assert [h.value for h in lock.holders] == [b"here"] and len(lock.waiters) == 1
    with Stock(cluster.leader().address) as stock:
        later = stock.call("acquire", holder.context(4), path="/jobs/ended", waitMs=0)
        assert later.status == t.AcquireStatus.GRANTED and later.token > known["revision"]
        stock.call("release", holder.context(5), path="/jobs/held", holderId=known["holder_id"])
        assert [h.sessionName for h in stock.describeLock(path="/jobs/held").lock.holders] == [
            "waiter"]
