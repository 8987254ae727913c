"""Every example of docs/python.md, as it stands, on a real single-node cluster."""

import re

import pytest
from support import paths
from support.cluster import Cluster

GUIDE = (paths.ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^(#+ [^\n]*)|^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def examples():
    """Each block with the heading it stands under."""
    title = ""
    for heading, code in EXAMPLES:
        title = heading.lstrip("# ") or title
        if code:
            yield pytest.param(code, id=title)


@pytest.fixture(scope="module")
def server():
    """One server."""
    with Cluster(1) as cluster:
        yield cluster.nodes[1]


@pytest.mark.parametrize("code", examples())
def test_the_example_runs(server, code):
    assert "7411" in code
    here = code.replace("7411", str(server.client_port))
    exec(compile(here, "docs/python.md", "exec"), {"__name__": "example"})
