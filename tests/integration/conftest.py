"""The paths, and a cluster of three for a whole file: tests that hurt it start their own."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

import pytest  # noqa: E402
from support.cluster import Cluster  # noqa: E402
from support.stock import Stock  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """Three servers, shared by the tests of a file."""
    with Cluster(3) as started:
        yield started


@pytest.fixture
def own():
    """Three servers for one test alone."""
    with Cluster(3) as started:
        yield started


@pytest.fixture
def dial():
    """Stock clients, closed at the end."""
    opened = []

    def connect(node, **options):
        opened.append(Stock(node.address, **options))
        return opened[-1]

    yield connect
    for stock in opened:
        stock.close()
