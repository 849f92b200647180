"""A loopback server with vLLM's face, behind which a small model really runs: chat completions, /v1/models, and adapters by API.

    with VllmServer("tiny") as server:
        open_target(TargetSettings(model="tiny", api_base=server.url))

Paths, bodies, status codes and messages are taken from the source of vLLM (frontend/entrypoints, 055e47c). Adapters are applied by
errata.trainers.target, through PEFT. Requests of the same 10 ms are answered as one batch. Not covered: eviction of adapters, sampling
fields that change a greedy answer.
"""

import asyncio
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from openai_server import OpenAIServer, Reply, Seen, document, fault

from errata.trainers.chat import Completion
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target


class VllmServer(OpenAIServer):
    """Serves `model` under `name`. `enable_lora`, `runtime_updating` and `max_lora_rank` are vLLM's own; `disk` is the folder that it
    sees as /. `faults` are what the next chat completions get instead."""

    def __init__(
        self,
        model: str = "tiny",
        name: str | None = None,
        enable_lora: bool = True,
        runtime_updating: bool = True,
        max_lora_rank: int = 16,
        disk: Path = Path("/"),
    ):
        super().__init__(lambda body, number: fault(404))
        self.name = name or model
        self.base = TargetSettings(model=model, device="cpu")
        self.enable_lora, self.runtime_updating, self.max_lora_rank, self.disk = enable_lora, runtime_updating, max_lora_rank, disk
        self.models = {self.name: Target.load(self.base)}
        self.loaded: list[str] = []
        """Every adapter name that was ever loaded, in that order."""
        self.faults: list[Reply] = []
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[Completion]]] = []
        self._thread_of_model = ThreadPoolExecutor(1)

    async def reply(self, request: Seen, number: int) -> Reply:
        path = request.path.removeprefix("/v1")
        if path == "/models":
            return document({"object": "list", "data": self.cards()})
        if path == "/chat/completions":
            return self.faults.pop(0) if self.faults else await self.chat(request.body)
        if path == "/load_lora_adapter" and self.runtime_updating:
            return self.load(request.body["lora_name"], request.body["lora_path"])
        if path == "/unload_lora_adapter" and self.runtime_updating:
            return self.unload(request.body["lora_name"])
        return document({"detail": "Not Found"}, 404)

    def cards(self) -> list[dict[str, Any]]:
        def card(name: str) -> dict[str, Any]:
            return {"id": name, "object": "model", "owned_by": "vllm", "parent": None if name == self.name else self.name}

        return [card(name) for name in self.models]

    async def chat(self, body: dict[str, Any]) -> Reply:
        if body["model"] not in self.models:
            return fault(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        target = self.models[body["model"]]
        (length,) = map(len, target.tokenizer([target.render(body["messages"])], add_special_tokens=False)["input_ids"])
        most = target.context - length
        if most <= 0 or body.get("max_tokens", most) > most:
            asked = body.get("max_tokens", 0)
            return fault(
                400,
                f"This model's maximum context length is {target.context} tokens. However, you requested {asked} output tokens and your "
                f"prompt contains at least {length} input tokens, for a total of at least {asked + length} tokens.",
                "BadRequestError",
            )
        answered: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((body | {"max_tokens": body.get("max_tokens", most)}, answered))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(self._answer()))
        said = await answered
        return Reply(said.text, finish=said.finish, tokens=said.tokens)

    async def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups = defaultdict(list)
        for body, answered in waiting:
            groups[body["model"], body["max_tokens"]].append((body["messages"], answered))
        for (name, limit), group in groups.items():
            prompts = [messages for messages, _ in group]

            def generate(target: Target = self.models[name], prompts: list = prompts, limit: int = limit) -> dict[int, Completion]:
                return dict(target.generate(prompts, max_new_tokens=limit))

            found = await asyncio.get_running_loop().run_in_executor(self._thread_of_model, generate)
            for index, (_, answered) in enumerate(group):
                answered.set_result(found[index])

    def load(self, name: str, path: str) -> Reply:
        if not name or not path:
            return fault(400, "Both 'lora_name' and 'lora_path' must be provided.", "InvalidUserInput")
        if name in self.models:
            return fault(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
        if not self.enable_lora:
            return fault(500, "LoRA is not enabled. Use --enable-lora to enable LoRA.", "InternalServerError")
        folder = self.disk / path.lstrip("/")
        if not (folder / "adapter_config.json").is_file():
            return fault(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
        rank = json.loads((folder / "adapter_config.json").read_text())["r"]
        if rank > self.max_lora_rank:
            return fault(500, f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}.", "InternalServerError")
        self.models[name] = Target.load(self.base.model_copy(update={"adapter": str(folder)}))
        self.loaded.append(name)
        return Reply(body=f"Success: LoRA adapter '{name}' added successfully.".encode(), content_type="text/plain")

    def unload(self, name: str) -> Reply:
        if name == self.name or name not in self.models:
            return fault(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.models[name]
        return Reply(body=f"Success: LoRA adapter '{name}' removed successfully.".encode(), content_type="text/plain")
