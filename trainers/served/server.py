"""One server of a target: what it is asked, which models it has, and the adapters that are loaded into it by vLLM's API.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve Qwen/Qwen2.5-0.5B-Instruct --enable-lora

An adapter is loaded under a name made of the hash of its weights, so that no name ever stands for two sets of weights.
Does NOT cover: which question a server gets, and repeating one (pool.py); loading adapters into servers other than vLLM.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ...signatures.calls import PASSING, asked_wait, known_keys, plain, without_keys
from ...signatures.errors import TargetError
from ...signatures.replies import document, words
from ..settings import TargetSettings, vllm_rank
from ..weights import adapter_folder
from .client import Connections, NoReply

T = TypeVar("T")
Read = Callable[[bytes], T]
LOADING = (
    "vLLM loads adapters when it is started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; "
    "with --data-parallel-size also with --api-server-count 1"
)
"""vLLM sets api_server_count to the size of data parallel, and ends with `VLLM_ALLOW_RUNTIME_LORA_UPDATING cannot be used with
api_server_count > 1` (its entrypoints/cli/serve.py). Without the variable it has no door for adapters, and says 404."""


class Passing(Exception):
    """A failure that may be gone at the next attempt; `asked` is the wait in seconds that the server wants."""

    def __init__(self, message: str, asked: float | None = None, ill: bool = True):
        super().__init__(message)
        self.asked, self.ill = asked, ill
        """`ill`: whether it tells of a server that is not well; a limit of its rate does not."""


class Refused(Exception):
    """The server's final word on one request."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Server:
    """A server, asked inside one event loop."""

    def __init__(self, address: str, settings: TargetSettings, key: str, seconds: float):
        """`seconds`: longest time of a whole reply."""
        self.settings, self.address = settings, address.rstrip("/")
        self._keys = sorted({*known_keys(), *([key] if key else [])}, key=len, reverse=True)
        self._connections = Connections(self.address, {"Authorization": f"Bearer {key}"} if key else {}, seconds)
        self.faults = 0
        """Faults one after another, without an answer between them."""
        self.out = False
        """Whether it is left out, and asked nothing but how it is."""
        self.looks, self.look_at = 0, 0.0
        """Looks in vain at one that is left out, and when it is looked at again, time.monotonic()."""
        self.told = ""
        """What was last said of it."""
        self.not_before = 0.0
        """When it wants to be asked again, time.monotonic()."""
        self.heard = time.monotonic()
        """When it last answered, or was asked after a rest, time.monotonic()."""
        self.under_way = 0
        self.ours, self.loads = "", 0
        """The adapter that was loaded here, and how often."""
        self.restoring = asyncio.Lock()

    @property
    def open(self) -> bool:
        """Whether it may be asked now."""
        return not self.out and self.not_before <= time.monotonic()

    async def ask(self, path: str, body: dict[str, Any] | None, read: Read[T], seconds: float | None = None, final: int | None = None) -> T:
        """One attempt; with a body a POST. A status of `final` is an answer. Raises Passing, Refused, and TargetError for a wrong key."""
        sent = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        try:
            reply = await self._connections.exchange(f"{self.address}{path}", sent, seconds)
        except NoReply as error:
            raise Passing(self.clean(str(error))) from None
        except ValueError as error:
            why = self.clean(str(error))
            raise TargetError(f"the address {self.address} is not usable ({why}): correct target.api_base") from None
        self.heard = time.monotonic()
        status, said = reply.status, self.clean(words(reply.body)) if reply.status != 200 else ""
        if status != final and (status in PASSING or status >= 500):
            asked = asked_wait(reply.headers.get("retry-after"))
            self.not_before = max(self.not_before, time.monotonic() + (asked or 0.0))  # holds for all, and is never cut short
            raise Passing(f"HTTP {status}, {said}".rstrip(", "), asked, ill=status not in PASSING)
        if status in (401, 403):
            act = f"set {self.settings.api_key_env} to its key, or target.api_key_env to the name of another variable"
            raise TargetError(f"the server at {self.address} wants another key (HTTP {status}, {said}): {act}")
        if not 200 <= status < 300:
            moved = f"it has moved to {self.clean(reply.headers.get('location', ''))[:200]}" if 300 <= status < 400 else ""
            raise Refused(status, moved or said or f"HTTP {status} without a word")
        try:
            return read(reply.body)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            shown = self.clean(str(error))[:100] if isinstance(error, ValueError) else ""
            raise Passing(f"a reply that cannot be read: {shown or self.clean(words(reply.body))[:100]!r}") from None

    async def models(self, seconds: float | None = None) -> list[dict[str, Any]]:
        """Its models, as it describes them. Raises Passing, and TargetError when it lists none."""
        try:
            return await self.ask("/models", None, _cards, seconds)
        except Refused as refused:
            act = "correct target.api_base, which mostly ends in /v1"
            raise TargetError(f"the server at {self.address} lists no models (HTTP {refused.status}): {act}") from None

    def own_name(self, cards: Sequence[dict[str, Any]]) -> str:
        """The name of the model without adapters: as set, or as `target.model` is written, or the only one there is."""
        wanted, names = self.settings.served_name, [card["id"] for card in cards]
        there = f"the server at {self.address} serves {self.clean(', '.join(names[:50])) or 'nothing'}"
        if wanted is not None:
            if wanted not in names:
                raise TargetError(f"no model is called {wanted}: {there}; set target.served_name to one of its names")
            return wanted
        bases = [card["id"] for card in cards if not card.get("parent")]
        if self.settings.model in bases:
            return self.settings.model
        if len(bases) != 1 or not self.settings.model:
            raise TargetError(f"{there}: say which is the target with --set target.served_name=NAME")
        return bases[0]

    async def load(self, name: str) -> None:
        """Load the adapter under this name. Raises Passing, and TargetError when the server does not take it."""
        path = self._path_there()
        try:
            # 500 is what vLLM makes of every complaint of its engine about an adapter (load_lora_adapter in its openai/models/serving.py,
            # 055e47c; earlier ones said 400): trying again does not help
            await self.ask("/load_lora_adapter", {"lora_name": name, "lora_path": path}, lambda body: None, final=500)
        except Refused as refused:
            if "already been loaded" in str(refused):  # another process of Errata was quicker, with the same weights
                return
            why = self._why_not_loaded(refused)
            raise TargetError(f"the server at {self.address} did not load the adapter {path}: {why}; then give the same command") from None
        self.ours, self.loads = name, self.loads + 1

    async def unload(self) -> None:
        """Unload the adapter that was loaded here, and close the connections."""
        if self.ours:
            try:
                await self.ask("/unload_lora_adapter", {"lora_name": self.ours}, lambda body: None, seconds=5.0)
            except (Passing, Refused, TargetError):
                pass  # the name may stay with the server: it never stands for other weights
            self.ours = ""
        await self._connections.drop()

    async def require_loading(self) -> None:
        """Raises Passing, and TargetError when the server has no door for adapters, so that nothing is trained for it in vain."""
        try:
            await self.ask("/load_lora_adapter", {"lora_name": "", "lora_path": ""}, lambda body: None)
        except Refused as refused:  # vLLM: both must be provided
            if refused.status in (404, 405):
                raise TargetError(f"the server at {self.address} cannot be given the adapters that a cycle trains: {LOADING}") from None

    async def drop(self) -> None:
        """Close the connections: what is under way on them fails."""
        await self._connections.drop()

    def _why_not_loaded(self, refused: Refused) -> str:
        said = str(refused).lower()
        if "max_lora_rank" in said:
            rank = json.loads((adapter_folder(self.settings.adapter or "") / "adapter_config.json").read_text(encoding="utf-8"))["r"]
            return f"{refused}; start it with --max-lora-rank {vllm_rank(rank)} or more"
        if "no adapter found" in said or "no such file" in said:
            return "it sees no such folder; share the folder with it, and say with target.server_paths where it sees it"
        if refused.status in (404, 405) or "not enabled" in said:
            return f"{refused}; {LOADING}"
        return f"{refused} (HTTP {refused.status}); repair that"

    def _path_there(self) -> str:
        """The adapter's folder as the server sees it."""
        folder = adapter_folder(self.settings.adapter or "").absolute()
        for here, there in sorted(self.settings.server_paths, key=lambda pair: -len(pair[0])):
            if folder.is_relative_to(base := Path(here).expanduser().absolute()):
                return f"{there.rstrip('/')}/{folder.relative_to(base).as_posix()}"
        return str(folder)

    def unkeyed(self, text: str) -> str:
        """A text without the keys."""
        return without_keys(text, self._keys)

    def clean(self, text: str) -> str:
        """A server's words as one line without keys."""
        return plain(self.unkeyed(text))


def _cards(body: bytes) -> list[dict[str, Any]]:
    return [{**card, "id": str(card["id"])} for card in document(body)["data"]]
