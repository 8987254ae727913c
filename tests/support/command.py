"""One invocation of the `holdfast` command."""

import os
import subprocess

from support.paths import program


def _environment(cluster, nodes, more):
    nodes = nodes or (list(cluster.nodes.values()) if cluster else [])
    environment = dict(os.environ)
    if nodes:
        environment["HOLDFAST_SERVERS"] = ",".join(node.address for node in nodes)
        environment["HOLDFAST_ADMIN"] = ",".join(node.admin_address for node in nodes)
    environment.update(more)
    return environment


def run(cluster, *words, timeout=30, nodes=None, environment=None):
    """Its completed process, pointed at the cluster's servers or those given; at none without."""
    environment = _environment(cluster, nodes, environment or {})
    return subprocess.run([str(program("holdfast")), *words], env=environment, timeout=timeout,
                          capture_output=True, text=True, check=False)


def start(cluster, *words):
    """The same while it runs, with its output in pipes."""
    return subprocess.Popen([str(program("holdfast")), *words],
                            env=_environment(cluster, None, {}), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
