"""A target on the nodes of a cluster: one more `AnyTarget`.

Chunks of prompts go to the nodes; a worker process there loads the target at its first chunk, keeps it for those that follow, and lets it
go some seconds after the last one. The answers are those of one machine, row by row: prompts that are alike stay together, in their order,
as a sampled answer depends on how often its prompt came before. Greedy answers in float32 are the same in any batch; narrower formats may
differ in a few, here as on one machine with other batches.

A node takes the weights from the same path or hub id where it has them with the same hash; else adapters, and models of a folder that are
not large, come to it as files by Ray's object store, once a node, into the user's cache. Code of a model's own travels with it and runs
only where `target.trust_remote_code` says so.
With `target.api_base: auto` each worker starts a vLLM of its own on its node, asks that, and ends it with the target.
Does NOT cover: servers that run already, which are asked from here (errata.trainers.served).
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from ...signatures.errors import TargetError
from ...signatures.files import cache_folder
from ...trainers import open_target
from ...trainers.chat import Answers, AnyTarget, Completion, Prompts
from ...trainers.served.vllm import Servers
from ...trainers.settings import AUTO, SMALL, TargetSettings, TrainSettings
from ...trainers.weights import adapter_folder, companions, folder_of, hub_id, weights_hash
from .cluster import Cluster, Unfit

PARTS, MOST = 4, 512
"""Chunks for each place on the cluster, and most prompts of one: what a node takes with it when it dies is soon done again."""
SHIPPED = 2 << 30
"""Bytes of a model that is sent to nodes; a larger one must lie there."""
KEPT = 4
"""Sets of weights that a node keeps in its cache."""
IDLE = 5.0
"""Seconds after its last chunk in which a worker lets its target go: a training that starts then needs longer to come to the device."""


class ClusterTarget:
    """A target that the nodes of a cluster hold. It answers as `Target` does. Raises TargetError: no such model here."""

    def __init__(self, cluster: Cluster, settings: TargetSettings):
        self.settings = settings
        self.hash = weights_hash(settings)
        self.on_share: Callable[[float], None] = lambda share: None
        self._cluster = cluster
        folder, nodes = folder_of(settings.model), [node["Resources"] for node in cluster.nodes().values()]
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        self._gpus = 1.0 if settings.device != "cpu" and any(has.get("GPU") for has in nodes) else 0.0
        # a large model, and a vLLM, takes as many threads as the smallest node has; of a small one each CPU holds one
        alone = self._gpus or (size < 4 * SMALL and settings.api_base != AUTO)
        self._cpus = 1.0 if alone else min((has["CPU"] for has in nodes if has.get("CPU", 0) >= 1), default=1.0)
        own = (settings.model == "tiny" or hub_id(settings.model) or size > SHIPPED, not settings.adapter)
        there = settings.model_copy(update={"device": "cuda"} if self._gpus and settings.device.startswith("cuda") else {})
        if settings.model != "tiny" and (path := Path(settings.model).expanduser()).exists():
            there = there.model_copy(update={"model": str(path.absolute())})
        files: dict[str, dict[str, bytes]] = {} if own[0] else {"model": _files(folder)}
        if settings.adapter:
            adapter = adapter_folder(settings.adapter)
            there = there.model_copy(update={"adapter": str(adapter.absolute())})
            files["adapter"] = _files(adapter)
        self._setup = {"settings": there.model_dump_json(), "hash": self.hash, "files": cluster.put(files) if files else None}
        self._places = cluster.places(answers, self._setup, self._cpus, self._gpus)
        each = "a GPU" if self._gpus else f"{self._cpus:g} CPU{'s' * (self._cpus > 1)}"
        self.summary = f"on the cluster, in up to {self._places} {'vLLM' if settings.api_base == AUTO else 'processes'} with {each} each"

    def generate(
        self, prompts: Prompts, *, max_new_tokens: int, temperature: float = 0.0, seed: int = 0, begun: Sequence[str] | None = None
    ) -> Answers:
        """See `AnyTarget`."""
        options = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        places = max(1, self._cluster.places(answers, self._setup, self._cpus, self._gpus))
        chunks = together(prompts, begun, temperature > 0, PARTS * places)
        asked = (
            {"options": options, "prompts": [list(prompts[one]) for one in chunk], "begun": begun and [begun[one] for one in chunk]}
            for chunk in chunks
        )
        done = 0
        with closing(self._cluster.hand_out(answers, self._setup, asked, cpus=self._cpus, gpus=self._gpus)) as found:
            for place, rows in found:
                done += len(rows)
                self.on_share(done / len(prompts))
                for index, row in zip(chunks[place], rows, strict=True):
                    yield index, Completion(**row)

    def close(self) -> None:
        """The nodes let the target go by themselves; its files are no longer held for them."""
        self._setup = self._setup | {"files": None}


def together(prompts: Prompts, begun: Sequence[str] | None, alike: bool, parts: int) -> list[list[int]]:
    """The indices of the prompts in about so many chunks, in their order; with `alike` those of like prompts in one chunk.

    Like are prompts of the same letters, whoever says them: so are at least those that a chat template makes the same text of."""
    groups: dict[Any, list[int]] = {}
    for index, prompt in enumerate(prompts):
        text = "".join(message["content"] for message in prompt) + (begun[index] if begun else "")
        groups.setdefault("".join(text.split()) if alike else index, []).append(index)
    size = min(MOST, -(-len(prompts) // parts))
    chunks: list[list[int]] = []
    for group in groups.values():
        if not chunks or len(chunks[-1]) + len(group) > size:
            chunks.append([])
        chunks[-1] += group
    return chunks


def _files(folder: Path) -> dict[str, bytes]:
    """Path in the folder -> content, of what makes a model or an adapter."""
    paths = {*folder.glob("*.safetensors"), *folder.glob("*.json"), *companions(folder)}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


# ---- on a node

_LOCK = threading.RLock()
_HELD: dict[str, AnyTarget] = {}
"""The one target of this worker, by its settings and hash."""
_SERVERS: list[Servers] = []
"""The vLLM that it asks, where it asks one."""
_TIMERS: list[threading.Timer] = []


def answers(setup: dict[str, Any], chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to a chunk of prompts, in their order, by the target that this process holds."""
    with _LOCK:
        while _TIMERS:
            _TIMERS.pop().cancel()
        try:
            found = dict(_held(setup).generate(chunk["prompts"], begun=chunk["begun"], **chunk["options"]))
        finally:
            _TIMERS.append(threading.Timer(IDLE, _release))
            _TIMERS[0].daemon = True
            _TIMERS[0].start()
    return [found[index]._replace(ids=())._asdict() for index in range(len(chunk["prompts"]))]


def _release(servers: bool = True) -> None:
    with _LOCK:
        while _HELD:
            _HELD.popitem()[1].close()
        while servers and _SERVERS:
            _SERVERS.pop().stop()


def _held(setup: dict[str, Any]) -> AnyTarget:
    """The target, opened where another one or none is held. Raises Unfit."""
    key = setup["hash"] + setup["settings"]
    if key not in _HELD:
        try:
            settings = _weights_here(setup)
            _release(servers=settings.api_base != AUTO)  # a vLLM serves other adapters of its model too
            if settings.api_base == AUTO and not _SERVERS:
                _SERVERS.append(Servers(Path(tempfile.mkdtemp(prefix="errata-vllm-")), TrainSettings()))
            _HELD[key] = open_target(_SERVERS[0].serving(settings), away=_SERVERS[0].away) if _SERVERS else open_target(settings)
        except (TargetError, OSError) as error:
            _release()
            raise Unfit(str(error)) from None
    return _HELD[key]


def _weights_here(setup: dict[str, Any]) -> TargetSettings:
    """The settings with the folders in which this node has the weights of the wanted hash."""
    settings, wanted = TargetSettings.model_validate_json(setup["settings"]), setup["hash"]
    try:
        if (found := weights_hash(settings)) == wanted:
            return settings
        lack = TargetError(f"{settings.model} has other weights there ({found}, not {wanted})")
    except TargetError as error:
        lack = error
    if setup["files"] is None:
        raise TargetError(f"{lack}; put the same folder there, or name the model by its hub id")
    folder = _unpacked(setup["files"], wanted)
    here = {name: str(folder / name) for name in ("model", "adapter") if (folder / name).is_dir()}
    settings = settings.model_copy(update=here)
    if (found := weights_hash(settings)) != wanted:
        shutil.rmtree(folder)
        raise TargetError(f"{lack}; with the files that were sent they are {found}: put the same model there")
    return settings


def _unpacked(files: Any, name: str) -> Path:
    """The folder in the user's cache that holds the files that were sent, whole. Raises TargetError."""
    if (own := cache_folder()) is None:
        raise TargetError("there is no cache folder of yours to keep the weights in that were sent: set XDG_CACHE_HOME to one there")
    cache = own / "weights"
    folder = cache / name
    if not folder.is_dir():
        part = cache / f"{name}.{os.getpid()}"
        import ray

        for kind, named in ray.get(files).items():
            for file, content in named.items():
                (part / kind / file).parent.mkdir(parents=True, exist_ok=True)
                (part / kind / file).write_bytes(content)
        with suppress(OSError):  # another worker of this node was quicker
            part.rename(folder)
        shutil.rmtree(part, ignore_errors=True)
    os.utime(folder)
    others = sorted((one for one in cache.iterdir() if one.is_dir() and "." not in one.name), key=lambda one: one.stat().st_mtime)
    for old in others[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder
