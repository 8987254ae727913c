"""A cluster of three, and the `holdfast` command pointed at it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

import pytest  # noqa: E402
from support.cluster import Cluster  # noqa: E402


@pytest.fixture
def cluster():
    """Three servers for one test."""
    with Cluster(3) as started:
        started.wait_ready()
        yield started
