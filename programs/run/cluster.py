"""A Ray cluster: opened or attached to, and handed chunks of work; the results come back to this process, which alone writes the run.

    with open_cluster("auto", print) as cluster:
        for index, result in cluster.hand_out(work, setup, chunks):
            ...

Ray carries chunks and nothing else. A chunk is a stateless task, and one that a node took with it when it died is given again from here:
actors that Ray itself restarts lost 89 of 200 tasks in a trial, tasks that are handed out again none. Each result comes once.

`work(setup, chunk)` is a function of this package, which the nodes must have installed: it travels by its name, `setup` and chunks are
plain data, and no key is among them (a node's own environment holds its keys). Where a node cannot do the work, `work` raises `Unfit`: the
node is left out, which is told, and the others do its part.

What is not here: targets on nodes (cluster_target.py), programs on nodes (cluster_sandbox.py), starting nodes (`ray start`, or a launcher).
"""

import hashlib
import importlib
import importlib.util
import os
import platform
import signal
import socket
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ...signatures import errors
from ...signatures.errors import ClusterError, ErrataError, UsageError, with_extra

PATIENCE = 10.0
"""Seconds in which a cluster must answer."""
AHEAD = 2
"""Chunks given out for each place that takes one: a place never waits for the next, and few are lost with a node."""
LOSSES = 4
"""How often a chunk may be lost before the run ends: what kills its node each time would kill them all."""
LOOK = 5.0
"""Seconds between two looks at which nodes there are."""
EMPTY = 60.0
"""Seconds that a cluster without any node is waited for."""
NODE = "ray.io/node-id"  # a label that every node has (ray 2.60: ray/util/placement_group.py)
PACKAGE, FLOORS = "errata-lm", ("signatures", "tasks", "sandbox", "trainers", "programs")


class Unfit(ErrataError):
    """Raised on a node that cannot do the work, and by no fault of the work."""


class _Chunk(NamedTuple):
    place: int
    data: Any
    losses: int = 0


class Cluster:
    """An open cluster; made by `open_cluster`. `hand_out` may be called from several threads."""

    def __init__(self, ray: Any, address: str, say: Callable[[str], None], own: bool):
        self.address = address
        self._ray, self._say, self._own = ray, say, own
        self.carrier = _carrier()
        """The only code that travels."""
        self._task = ray.remote(max_retries=0, max_calls=0)(self.carrier)  # by default a GPU's task would end its process, and the model
        self._lock = threading.Lock()
        self._alive: dict[str, dict[str, Any]] = {}
        self._looked = 0.0
        self._foreign: dict[str, str] = {}
        """Node -> why it can do nothing."""
        self._unfit: dict[str, dict[str, str]] = {}
        """Kind of work -> node -> why it cannot do it."""

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._own and self._ray.is_initialized():
            self._ray.shutdown()

    def nodes(self, again: bool = False) -> dict[str, dict[str, Any]]:
        """The nodes that are alive by their id, as Ray describes them, seen in the last seconds."""
        with self._lock:
            if again or time.monotonic() - self._looked > LOOK:
                alive = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
                for name in self._alive.keys() - alive.keys():
                    self._say(f"cluster: {called(self._alive[name])} is gone; its work is given to the others")
                self._alive, self._looked = alive, time.monotonic()
            return self._alive

    def put(self, value: Any) -> Any:
        """A reference to a value that is held in the cluster once; in `setup` or a chunk it travels as a few bytes, and the node's
        `ray.get` gives the value."""
        return self._ray.put(value)

    def places(self, work: Callable[..., Any], setup: Any, cpus: float = 1.0, gpus: float = 0.0) -> int:
        """How many chunks the nodes that are fit for the work take at the same time."""
        out = self._left_out(_named(work), setup)
        found = 0
        for name, node in self.nodes().items():
            has = node["Resources"]
            shares = [has.get(kind, 0) / needed for kind, needed in (("CPU", cpus), ("GPU", gpus)) if needed]
            found += 0 if name in out else int(min(shares))
        return found

    def hand_out(
        self,
        work: Callable[[Any, Any], Any],
        setup: Any,
        chunks: Iterable[Any],
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        ordered: bool = False,
        losses: int = LOSSES,
    ) -> Generator[tuple[int, Any]]:
        """(index of a chunk, `work(setup, chunk)`), each chunk once, as they are done or in the order of the chunks.

        A chunk takes `cpus` and `gpus` of its node. Chunks are read as they are needed, a few ahead; what is under way when the caller
        stops is cancelled. Raises what the work raised of Errata's own errors, and ClusterError: a chunk was lost `losses` times, or no
        node is left that can do the work.
        """
        task, given = _named(work), (_Chunk(index, data) for index, data in enumerate(chunks))
        again: deque[_Chunk] = deque()
        under: dict[Any, _Chunk] = {}
        ready: dict[int, Any] = {}
        following, more, empty = 0, True, time.monotonic()
        try:
            while True:
                places = self.places(work, setup, cpus, gpus)
                empty = time.monotonic() if places else empty
                if time.monotonic() - empty > EMPTY or (not places and self._all_left_out(task, setup)):
                    raise self._none_left(task, setup, cpus, gpus)
                while again or (more and len(under) + len(ready) < max(1, AHEAD * places)):
                    chunk = again.popleft() if again else next(given, None)
                    if chunk is None:
                        more = False
                        break
                    under[self._begin(task, setup, chunk.data, cpus, gpus)] = chunk
                if not under:
                    return
                done, _ = self._ray.wait(list(under), timeout=LOOK)
                for reference in done:
                    chunk = under.pop(reference)
                    try:
                        ready[chunk.place] = self._result(task, setup, reference)
                    except _Again as lost:
                        again.append(self._lost(chunk, lost, losses))
                while ready and (not ordered or following in ready):
                    index = following if ordered else next(iter(ready))
                    following = index + 1
                    yield index, ready.pop(index)
        except ConnectionError as error:
            raise self._gone(error) from None
        finally:
            for reference in under:
                with suppress(Exception):  # the cluster may be gone
                    self._ray.cancel(reference, force=True)

    def seat(self, kind: type, *args: Any, cpus: float = 1.0, gpus: float = 0.0) -> "Seat":
        """An object of a class of this package on a node that has the room, for work that tells on the way what it made; `args` are plain
        data."""
        task = _named(kind)
        actor = self._ray.remote(max_restarts=0, max_task_retries=0)(kind)

        def require() -> None:
            if not self.places(kind, None, cpus, gpus):
                raise self._none_left(task, None, cpus, gpus)

        try:
            return Seat(self._ray, actor.options(**self._options(task, None, cpus, gpus)).remote(*args), require)
        except ConnectionError as error:
            raise self._gone(error) from None

    def greet(self) -> None:
        """Ask each node once which versions it has, and tell what there is. Raises ClusterError where none is like this process."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        places = [NodeAffinitySchedulingStrategy(name, soft=False) for name in self.nodes()]
        asked = [self._task.options(num_cpus=0, scheduling_strategy=place).remote(versions(), None, None, None) for place in places]
        for reference in self._ray.wait(asked, num_returns=len(asked), timeout=EMPTY)[0]:
            with suppress(_Again):
                self._result(None, None, reference)
        fit = [node["Resources"] for name, node in self.nodes().items() if name not in self._foreign]
        if not fit:
            raise self._none_left(None, None, 1, 0)
        cpus, gpus = (sum(int(has.get(kind, 0)) for has in fit) for kind in ("CPU", "GPU"))
        self._say(f"cluster {self.address}: {len(fit)} nodes, {cpus} CPUs, {gpus} GPUs")

    # ---- one chunk

    def _begin(self, task: str, setup: Any, data: Any, cpus: float, gpus: float) -> Any:
        options = self._options(task, setup, cpus, gpus) | {"name": task.rpartition(":")[2]}
        return self._task.options(**options).remote(versions(), task, setup, data)

    def _options(self, task: str, setup: Any, cpus: float, gpus: float) -> dict[str, Any]:
        """What the work needs, and where it cannot be done."""
        out = self._left_out(task, setup).keys() & self.nodes().keys()
        where = {"label_selector": {NODE: f"!in({','.join(sorted(out))})"}} if out else {}
        return {"num_cpus": cpus, "num_gpus": gpus} | where

    def _result(self, task: str | None, setup: Any, reference: Any) -> Any:
        """What came of a chunk. Raises _Again where it must be given again."""
        try:
            node, outcome, value = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:  # a fault of ours keeps its traceback, the node's in it
            raise
        except self._ray.exceptions.RayError as error:
            raise _Again(type(error).__name__, counts=True) from None
        if outcome == "failed":
            name, message = value
            raise getattr(errors, name)(f"{message} (on {self._called(node)})")
        if outcome in ("unfit", "foreign"):
            place = self._foreign if outcome == "foreign" else self._unfit.setdefault(f"{task} {setup!r}", {})
            if node not in place:
                place[node] = value
                self._say(f"cluster: {self._called(node)} is left out: {value}")
            raise _Again(value, counts=False)
        return value

    def _lost(self, chunk: _Chunk, lost: "_Again", losses: int) -> _Chunk:
        """The chunk as it is given again. Raises ClusterError when it was lost too often."""
        if not lost.counts:
            return chunk
        self.nodes(again=True)
        if chunk.losses + 1 >= losses:
            why = f"part {chunk.place} of the work was lost {losses} times, the last time by {lost}"
            raise ClusterError(
                f"{why}: look for what ends processes on the nodes (memory, mostly), then give the same command: it continues"
            )
        return chunk._replace(losses=chunk.losses + 1)

    def _left_out(self, task: str | None, setup: Any) -> dict[str, str]:
        return self._foreign | self._unfit.get(f"{task} {setup!r}", {})

    def _all_left_out(self, task: str, setup: Any) -> bool:
        alive = self.nodes().keys()
        return bool(alive) and alive <= self._left_out(task, setup).keys()

    def _none_left(self, task: str | None, setup: Any, cpus: float, gpus: float) -> ClusterError:
        reasons = Counter(self._left_out(task, setup).values())
        if reasons:
            return ClusterError(f"no node of the cluster {self.address} can do the work: {'; '.join(reasons)}")
        needs = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        act = "start some (`ray start --address=...`), then give the same command: it continues"
        return ClusterError(f"the cluster {self.address} has no node with {needs}: {act}")

    def _gone(self, error: ConnectionError) -> ClusterError:
        """What Ray's client says when the cluster it was connected to is not there any more."""
        why = " ".join(str(error).split())[:200]
        return ClusterError(f"the cluster {self.address} answers no more ({why}): give the same command when it does, and it continues")

    def _called(self, node: str) -> str:
        return called(self._alive[node]) if node in self._alive else f"node {node[:8]}"


class _Again(Exception):
    """A chunk must be given again; `counts` as a loss."""

    def __init__(self, why: str, counts: bool):
        super().__init__(why)
        self.counts = counts


class SeatLost(Exception):
    """The node that an object was on, or its process there, is gone, and the object with it."""


class Seat(AbstractContextManager["Seat"]):
    """An object on a node, made by `Cluster.seat`: Ray neither starts it again nor asks it twice. It ends with the `with`."""

    def __init__(self, ray: Any, actor: Any, require: Callable[[], None]):
        """`require` raises where no node has the room."""
        self._ray, self._actor, self._require = ray, actor, require

    def ask(self, method: str, *args: Any, going: Callable[[], None]) -> Any:
        """What a method of the object returns. `going` is called every second, and may raise. Raises SeatLost, and ClusterError where
        for long no node has the room."""
        began = time.monotonic()
        try:
            reference = getattr(self._actor, method).remote(*args)
            while not self._ray.wait([reference], timeout=1)[0]:
                going()
                if time.monotonic() - began > EMPTY:
                    self._require()
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # a fault of ours keeps its traceback
            raise (error.cause if isinstance(error.cause, ErrataError) else error) from None
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise SeatLost(f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:200]}") from None

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # the cluster may be gone
            self._ray.kill(self._actor)


def here() -> str:
    """How the node that this runs on is named in a message."""
    import ray

    return called({"NodeManagerAddress": ray.util.get_node_ip_address(), "NodeID": ray.get_runtime_context().get_node_id()})


def called(node: dict[str, Any]) -> str:
    """How a node is named in a message."""
    return f"node {node['NodeManagerAddress']} ({node['NodeID'][:8]})"


def _named(work: Callable[..., Any]) -> str:
    return f"{work.__module__}:{work.__qualname__}"


# ---- on a node


@cache
def versions() -> tuple[str, str]:
    """Of Errata, with the beginning of a hash of its code, and of Python: what must be the same on every node. Ray sees to its own."""
    try:
        own = version(PACKAGE)
    except PackageNotFoundError:
        own = "from source"
    code, home = hashlib.sha256(), Path(__file__).parents[2]
    for path in sorted(path for floor in FLOORS for path in (home / floor).rglob("*.py")):
        code.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return f"{own} ({code.hexdigest()[:8]})", ".".join(platform.python_version_tuple()[:2])


def _carrier() -> Callable[..., tuple[str, str, Any]]:
    """The one function that Ray pickles. As it is no module's, it goes by value, and so can say that the package is missing."""

    def carried(wanted: tuple[str, str], task: str | None, setup: Any, chunk: Any) -> tuple[str, str, Any]:
        import sys

        import ray

        node = ray.get_runtime_context().get_node_id()
        try:
            from errata.programs.run import cluster as here
        except ImportError as error:
            why = f"Errata {wanted[0]} is not installed there, in the environment of its Ray ({sys.prefix}; {error})"
            return node, "foreign", f"{why}: install it there"
        if (found := here.versions()) != wanted:
            told = "it has Errata {} on Python {}, and this process Errata {} on Python {}".format(*found, *wanted)
            return node, "foreign", f"{told}: install the same there"
        return (node, *here.perform(task, setup, chunk)) if task else (node, "done", None)

    return carried


def perform(task: str, setup: Any, chunk: Any) -> tuple[str, Any]:
    """Do one chunk here: (`done`, result), (`unfit`, why), or (`failed`, (name of our error, message)), as plain data."""
    module, _, name = task.partition(":")
    try:
        return "done", getattr(importlib.import_module(module), name)(setup, chunk)
    except Unfit as error:
        return "unfit", str(error)
    except ErrataError as error:
        return "failed", (errors.kind_of(error), str(error))


# ---- opening


def refuse_absent(address: str) -> bool:
    """Whether the cluster at the address may want a token. One that wants none takes a process that asks for one for dead, when it calls it
    back (Ray 2.60). Raises UsageError where Ray is not installed, and ClusterError where nothing there may be Ray; loads no Ray."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError(f"cluster {address} needs Ray: {with_extra('ray')}")
    given, address = address, _meant(address)
    if address in ("local", "auto"):
        return False
    place = urlsplit(address if "://" in address else f"//{address}")
    act = f"start one there (`ray start --head`), or correct {'RAY_ADDRESS' if given == 'auto' else '--cluster'}"
    try:
        socket.create_connection((place.hostname or "", place.port or 0), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:  # a port that is no number, in RAY_ADDRESS
        raise ClusterError(f"no cluster answers at {address} ({getattr(error, 'strerror', None) or error}); {act}") from None
    if os.environ.get("RAY_USE_TLS", "0") == "0":  # Ray itself would wait for minutes for a server that is another's
        import grpc

        with grpc.insecure_channel(place.netloc) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=PATIENCE)
                if "://" not in address:  # else a proxy
                    channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=PATIENCE)
                    return False
            except grpc.FutureTimeoutError:
                raise ClusterError(f"what listens at {address} is not Ray; {act}") from None
            except grpc.RpcError:  # it asks for a token
                pass
    return True


def _meant(address: str) -> str:
    """Where Ray is to look. Its own `auto` would join whatever was started here last, by anybody."""
    return address if address != "auto" else os.environ.get("RAY_ADDRESS", "").strip() or "local"


def open_cluster(address: str, say: Callable[[str], None]) -> Cluster:
    """The cluster at an address, or `auto`: the one that RAY_ADDRESS names, else one of this machine alone, started here and ended with the
    process. A process that is in a cluster already stays in it. Raises UsageError, ClusterError."""
    wants = refuse_absent(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if wants and (os.environ.get("RAY_AUTH_TOKEN") or (Path.home() / ".ray/auth_token").is_file()):
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # `ray start` does so by itself (2.60), and who joins would wait for minutes
    import ray

    own = not ray.is_initialized()
    if own:
        with _own_handlers(), _in_one_line(address):
            _connect(ray, address)
    cluster = Cluster(ray, address, say, own)
    try:
        cluster.greet()
    except BaseException:
        cluster.close()
        raise
    return cluster


def _connect(ray: Any, address: str) -> None:
    from ray._private import worker

    worker._worker_logs_enabled = False  # also with log_to_driver=False it prints on stdout that a node died, with 20 lines of its log
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    address = _meant(address)
    ray.init(address=address, **quiet | ({"include_dashboard": False} if address == "local" else {}))


@contextmanager
def _in_one_line(address: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # ray raises RuntimeError, ConnectionError, ValueError and its own
        said = " ".join(str(error).split())
        if "ersion mismatch" in said:
            raise ClusterError(f"the cluster {address} has other versions ({said[:300]}): install the same Ray and Python here") from None
        act = "from a machine that is none of its nodes, use ray://HOST:10001"
        if "client server failed" in said:  # seen with Ray 2.60: its proxy for clients is told the port 0 of another part of Ray's
            act = "start its head with --runtime-env-agent-port 20000 (a free port, none of its workers' 10002 to 19999) and with "
            act += "GRPC_ENABLE_FORK_SUPPORT=0 in its environment, else what its proxy starts for a client dies now and then"
        raise ClusterError(f"the cluster {address} cannot be joined ({said[:300]}): {act}") from None


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself (ray 2.60: ray/_private/worker.py, init); here the command line has it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
