"""The paths, and a fake cluster that every test ends with no thread left behind it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from support import paths  # noqa: E402

paths.install()

import pytest  # noqa: E402
from support.fake_server import FakeCluster  # noqa: E402

import holdfast  # noqa: E402


@pytest.fixture
def cluster():
    """Three fake servers."""
    made = FakeCluster(3)
    yield made
    made.stop()


@pytest.fixture
def client(cluster):
    """A client of the fake cluster."""
    made = holdfast.Client(cluster.seeds, timeout=5)
    yield made
    made.close()


@pytest.fixture
def session(client):
    """A session of 4 s."""
    return client.session(ttl=4, name="tester")
