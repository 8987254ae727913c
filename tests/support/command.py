"""One invocation of the `holdfast` command."""

import os
import subprocess

from support.paths import program


def run(cluster, *words, timeout=30, nodes=None, environment=None):
    """Its completed process, pointed at the cluster's servers or those given; at none without."""
    more = environment or {}
    nodes = nodes or (list(cluster.nodes.values()) if cluster else [])
    environment = dict(os.environ)
    if nodes:
        environment["HOLDFAST_SERVERS"] = ",".join(node.address for node in nodes)
        environment["HOLDFAST_ADMIN"] = ",".join(node.admin_address for node in nodes)
    environment.update(more)
    return subprocess.run([str(program("holdfast")), *words], env=environment, timeout=timeout,
                          capture_output=True, text=True, check=False)
