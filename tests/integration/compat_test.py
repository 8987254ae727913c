"""Clients that were generated from an older IDL go on working with today's servers."""

import pathlib
import subprocess
import sys

import pytest

COMPAT = pathlib.Path(__file__).resolve().parents[1] / "compat"
FROZEN = sorted(path.name for path in COMPAT.iterdir() if path.is_dir())


def test_there_is_something_to_be_compatible_with():
    assert FROZEN


@pytest.mark.parametrize("idl", FROZEN)
def test_an_old_generated_client_takes_and_gives_back_a_lock(idl, cluster, tmp_path):
    subprocess.run(["thrift", "--gen", "py", "-out", str(tmp_path),
                    str(COMPAT / idl / "holdfast.thrift")], check=True)
    for node in cluster.nodes.values():
        done = subprocess.run([sys.executable, str(COMPAT / "old_client.py"), str(tmp_path),
                               node.address], capture_output=True, text=True, check=False,
                              timeout=60)
        assert (done.returncode, done.stdout) == (0, "compatible\n"), done.stderr
