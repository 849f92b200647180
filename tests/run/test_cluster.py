"""What is protected: work on a cluster is done once, whatever dies, and a cluster that cannot do it says why in one line."""

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import far
import pytest
from nodes import nodes

from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.run import cluster as clusters
from errata.programs.run.cluster import open_cluster, refuse_absent
from errata.signatures.errors import ClusterError, TargetError, UsageError

CHUNKS = [[number, number + 1] for number in range(30)]
DONE = {number: [2 * number, 2 * number + 2] for number in range(30)}


def test_a_cluster_that_is_not_there_is_refused_in_one_line():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port
        port = held.getsockname()[1]
        for address in (f"ray://127.0.0.1:{port}", f"127.0.0.1:{port}"):
            with pytest.raises(ClusterError, match=rf"no cluster answers at {address} .*ray start --head"):
                refuse_absent(address)


@pytest.mark.parametrize("where", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "ray://127.0.0.1", "127.0.0.1:head"])
def test_a_cluster_that_ray_address_names_and_is_not_there_is_refused_at_once(where, monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        named = where.format(port=held.getsockname()[1])
        monkeypatch.setenv("RAY_ADDRESS", named)
        with pytest.raises(ClusterError, match=f"no cluster answers at {named} .*correct RAY_ADDRESS$"):
            refuse_absent("auto")


@pytest.mark.parametrize("address", ["", "local", "http://head:10001", "head", "ray://user:word@head:10001", "ray://head"])
def test_an_address_that_names_no_cluster_is_a_usage_error(address):
    with pytest.raises(UsageError, match=r"cluster = .* is not usable: .*give `auto`, `ray://HOST:10001`"):
        load_config(None, {"cluster": address})


def test_a_run_is_refused_before_anything_is_written_where_its_cluster_is_not_there(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        config = load_config(None, {"cluster": f"127.0.0.1:{held.getsockname()[1]}", "items.test": 5})
        with pytest.raises(ClusterError, match="no cluster answers"):
            Cycle(config, tmp_path / "run", print).refuse_early("mine")
        Cycle(config, tmp_path / "run", print).refuse_early("mine", dry_run=True)
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_not_ray_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE", 0.3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(ClusterError, match=r"what listens at 127.0.0.1:\d+ is not Ray; start one there"):
            refuse_absent(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("asks", [True, False])
def test_a_token_of_the_user_is_shown_only_to_a_cluster_that_asks_for_one(asks):
    grpc = pytest.importorskip("grpc")

    class Head(grpc.GenericRpcHandler):
        def service(self, call):
            if call.method != "/ray.rpc.NodeInfoGcsService/CheckAlive":
                return None
            refuse = lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")  # noqa: E731
            return grpc.unary_unary_rpc_method_handler(refuse if asks else lambda *_: b"")

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert refuse_absent(f"127.0.0.1:{port}") is asks
    server.stop(None)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs Ray: pip install .*\[ray\]"):
        open_cluster("auto", print)


MISMATCH = "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11.9\nThis process:\n    Ray: 2.60.0"
NO_CLIENT = "Initialization failure from server:\nRuntimeError: Starting Ray client server failed. See ray_client_server.err"
NOT_A_NODE = "Can't find a node with this address"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (MISMATCH, r"the cluster auto has other versions \(.*Ray: 2.50.0 .*\): install the same Ray and Python here$"),
        (NO_CLIENT, r"cannot be joined .*: start its head with --runtime-env-agent-port"),
        (NOT_A_NODE, r"the cluster auto cannot be joined \(Can't find .*: from a machine that is none of its nodes, use ray://HOST:10001$"),
    ],
)
def test_what_ray_says_of_a_cluster_that_cannot_be_joined_is_one_line(said, told, monkeypatch):
    def init(**settings):
        raise RuntimeError(said)

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init, __spec__=ModuleSpec("ray", None)))
    monkeypatch.setitem(sys.modules, "ray._private", SimpleNamespace(worker=SimpleNamespace()))
    with pytest.raises(ClusterError, match=told):
        open_cluster("auto", print)


@pytest.fixture(scope="module")
def three():
    with nodes() as found:
        yield found


@pytest.fixture(scope="module")
def lines():
    return []


@pytest.fixture(scope="module")
def opened(three, lines):
    with open_cluster(three.address, lines.append) as found:
        yield found


@pytest.fixture
def said(lines):
    """What the cluster said since the test began."""
    lines.clear()
    return lines


@pytest.fixture
def cluster(opened, said):
    return opened


pytest_slow = pytest.mark.slow  # a cluster of three nodes takes some ten seconds to be up


@pytest_slow
def test_each_chunk_is_done_once_and_in_order_where_it_is_asked(cluster, said, capfd):
    cluster.greet()
    assert said == [f"cluster {cluster.address}: 3 nodes, 3 CPUs, 0 GPUs"]
    assert sorted(cluster.hand_out(far.doubled, {}, CHUNKS)) == sorted(DONE.items())
    assert list(cluster.hand_out(far.doubled, {"seconds": 0.02}, iter(CHUNKS), ordered=True)) == list(DONE.items())
    assert list(cluster.hand_out(far.doubled, {}, [])) == []
    assert capfd.readouterr() == ("", "")


@pytest_slow
def test_chunks_are_read_only_a_few_ahead(cluster):
    read = []

    def chunks():
        for chunk in CHUNKS:
            read.append(chunk)
            yield chunk

    rows = cluster.hand_out(far.doubled, {}, chunks(), ordered=True)
    next(rows)
    assert len(read) <= 3 * clusters.AHEAD + 1
    rows.close()


@pytest_slow
def test_an_error_of_ours_comes_back_as_itself_in_one_line(cluster):
    with pytest.raises(TargetError, match=r"^no \[0, 1\] here \(on node [\d.]+ \(\w{8}\)\)$"):
        list(cluster.hand_out(far.failing, {}, CHUNKS[:1]))


@pytest_slow
def test_a_fault_of_ours_keeps_the_traceback_of_the_node(cluster):
    with pytest.raises(KeyError, match=r"in broken"):
        list(cluster.hand_out(far.broken, {}, [{}]))


@pytest_slow
def test_a_node_that_is_unfit_is_named_once_and_the_others_do_its_work(cluster, said):
    one, *others = cluster.nodes()
    done = [node for _, node in cluster.hand_out(far.unfit, {"nodes": [one]}, range(12))]
    assert len(done) == 12
    assert one not in done
    told = [line for line in said if "left out" in line]
    assert told == [f"cluster: {clusters.called(cluster.nodes()[one])} is left out: it has no model"]
    assert cluster.places(far.unfit, {"nodes": [one]}) == 2
    with pytest.raises(ClusterError, match=r"no node of the cluster \S+ can do the work: it has no model$"):
        list(cluster.hand_out(far.unfit, {"nodes": [one, *others]}, range(12)))


@pytest_slow
def test_a_chunk_that_kills_its_worker_each_time_ends_the_work_in_one_line(cluster):
    with pytest.raises(ClusterError, match=r"part 0 of the work was lost 2 times, the last time by WorkerCrashedError: .*it continues$"):
        list(cluster.hand_out(far.deadly, {}, [0], losses=2))


@pytest_slow
def test_work_that_nobody_waits_for_is_cancelled(cluster, tmp_path):
    rows = cluster.hand_out(far.marked, str(tmp_path), range(7))
    next(rows)
    while len(list(tmp_path.iterdir())) < 3:
        time.sleep(0.02)
    rows.close()
    assert dict(cluster.hand_out(far.doubled, {}, CHUNKS)) == DONE
    assert not list(tmp_path.glob("*.ended"))


@pytest_slow
def test_a_cluster_without_room_for_the_work_says_what_is_missing(cluster, monkeypatch):
    monkeypatch.setattr(clusters, "EMPTY", 0.0)
    with pytest.raises(ClusterError, match="has no node with 1 CPUs and 1 GPUs: start some"):
        list(cluster.hand_out(far.doubled, {}, CHUNKS, gpus=1))


@pytest_slow
def test_other_versions_on_every_node_are_refused_when_the_cluster_is_opened(three, said, monkeypatch):
    monkeypatch.setattr(clusters, "versions", lambda: ("9.9", "3.11"))
    with pytest.raises(
        ClusterError, match=r"can do the work: it has Errata [\w.]+ \(\w{8}\) on Python 3.11, and this process Errata 9.9.*install the same"
    ):
        open_cluster(three.address, said.append)


@pytest_slow
def test_a_node_without_the_package_is_left_out(three, cluster, said, tmp_path):
    (tmp_path / "errata.py").touch()  # another project's module of the name
    name = three.add(env_vars={"PYTHONPATH": str(tmp_path)})
    with open_cluster(three.address, said.append) as other:
        assert said[-1] == f"cluster {cluster.address}: 3 nodes, 3 CPUs, 0 GPUs"
        assert f"({name[:8]}) is left out: Errata " in said[-2]
        assert said[-2].endswith("install it there")
        assert sorted(other.hand_out(far.doubled, {}, CHUNKS)) == sorted(DONE.items())
    three.kill(name)


@pytest_slow
def test_a_node_that_dies_loses_nothing_and_nothing_comes_twice(three, cluster, said):
    name = three.add()
    cluster.nodes(again=True)
    seen = []
    for index, result in cluster.hand_out(far.doubled, {"seconds": 0.3}, CHUNKS):
        seen.append((index, result))
        if len(seen) == 8:
            three.kill(name)
    assert sorted(seen) == sorted(DONE.items())
    while name in cluster.nodes(again=True):  # the cluster itself learns of it some seconds later
        time.sleep(0.1)
    assert any(f"({name[:8]}) is gone; its work is given to the others" in line for line in said)


CLIENT = """import sys, far
from errata.programs.run.cluster import open_cluster
with open_cluster(sys.argv[1], lambda line: None) as cluster:
    print(sorted(cluster.hand_out(far.doubled, {}, [[1], [2]])))"""


@pytest_slow
def test_a_cluster_is_used_from_outside_by_its_port_for_clients():
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0)), other.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    with nodes(1, ray_client_server_port=ports[0], runtime_env_agent_port=ports[1]):  # in a process that is in no cluster
        command = [sys.executable, "-c", CLIENT, f"ray://127.0.0.1:{ports[0]}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("[(0, [2]), (1, [4])]\n", "")
