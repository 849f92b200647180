"""A Ray cluster of three nodes in this machine, to be used with `pytest.fixture(scope="module")`: it takes some ten seconds to be up."""

import os
from contextlib import contextmanager
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # else a server for clients, which Ray's proxy forks, dies one time in three (grpc's epoll)
os.environ["RAY_AUTH_MODE"] = "disabled"  # a token that another cluster left in the home folder is none of these
TESTS = str(Path(__file__).parent)
SMALL = {"num_cpus": 1, "object_store_memory": 100 << 20}
"""Of a node; Ray takes a third of the memory for its store by default."""


class Nodes:
    """The nodes, and how to kill one as a machine dies."""

    def __init__(self, cluster):
        self.cluster = cluster

    @property
    def address(self):
        return self.cluster.address

    def add(self, **more):
        """One more node; its id."""
        node = self.cluster.add_node(**SMALL | more)
        self.cluster.wait_for_nodes()
        return node.node_id

    def kill(self, name=None):
        """End a node, by its id or the last one that was added, with all its processes and without a word; its id."""
        node = next(one for one in sorted(self.cluster.worker_nodes, key=id) if name in (None, one.node_id))
        self.cluster.remove_node(node, allow_graceful=False)
        return node.node_id


@contextmanager
def nodes(count=3, **head):
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = TESTS  # so that nodes find tests/far.py
    cluster = Cluster(initialize_head=True, head_node_args=SMALL | {"include_dashboard": False} | head)
    try:
        for _ in range(count - 1):
            cluster.add_node(**SMALL)
        cluster.wait_for_nodes()
        yield Nodes(cluster)
    finally:
        cluster.shutdown()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
