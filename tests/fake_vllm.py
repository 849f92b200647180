"""Poses as the Python of an environment with vLLM: serves the OpenAI protocol with adapters at the flags that it is given, by script.

    fake(folder, dies="OutOfMemoryError: ...")      # in a test: the path of a Python whose vLLM does so

Like vLLM it has a child of its own, which ends with nobody. What it does is told by a JSON file beside the program, `script.json`:
`dies`: what it says at the start, and then it ends; `silent`: it never answers; `ends_after`: so many answers, and then it ends, in its
first start only; `always`: in every start; `delay`: seconds before each answer; `has`: whether vLLM is there. Each start writes a line into
`starts.jsonl` beside it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from openai_server import OpenAIServer, Reply, fault

ENGINE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


def fake(folder: Path, **script: Any) -> str:
    """Writes the program and what it does into a folder; the path of the program."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.json").write_text(json.dumps(script))
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).absolute()} {folder} "$@"\n')
    program.chmod(0o755)
    return str(program)


def starts(folder: Path) -> list[dict[str, Any]]:
    """Of each start: `pid`, `engine` (of the child), `args` and `gpus`."""
    file = folder / "starts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(folder: Path, seconds: float = 20.0) -> bool:
    """Whether all processes of all starts are gone, or go in time."""
    end = time.monotonic() + seconds
    pids = [start[name] for start in starts(folder) for name in ("pid", "engine")]
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(pids) and not any(map(alive, pids))


class Fake(OpenAIServer):
    """vLLM's face without a model."""

    def __init__(self, name: str, port: int, most: int | None, delay: float):
        super().__init__(lambda body, number: fault(404), port)
        self.names, self.most, self.delay = [name], most, delay

    async def reply(self, request: Any, number: int) -> Reply:
        if request.path == "/health":
            return Reply(body=b"")
        if request.authorization != f"Bearer {os.environ['VLLM_API_KEY']}":
            return Reply(status=401, body=b'{"error": "Unauthorized"}')
        path, body = request.path.removeprefix("/v1"), request.body
        if path == "/models":
            cards = [{"id": name, "owned_by": "vllm", "parent": None if name == self.names[0] else self.names[0]} for name in self.names]
            return Reply(body=json.dumps({"data": cards}).encode())
        if path == "/load_lora_adapter":
            if not body["lora_name"]:
                return fault(400, "Both 'lora_name' and 'lora_path' must be provided.")
            self.names.append(body["lora_name"])
            return Reply(body=b"Success")
        if path == "/unload_lora_adapter":
            self.names.remove(body["lora_name"])
            return Reply(body=b"Success")
        if body["model"] not in self.names:
            return fault(404, f"The model `{body['model']}` does not exist.")
        if path == "/chat/completions" and self.most is not None and self.served >= self.most:
            print("(EngineCore pid=1) ERROR 07-01 12:00:00 [core.py:1] RuntimeError: CUDA error: launch failure", flush=True)
            os._exit(1)
        return Reply("7\n#### 7", delay=self.delay) if path == "/chat/completions" else Reply("7")


def main(folder: Path, args: list[str]) -> int:
    script = json.loads((folder / "script.json").read_text())
    if args[0] == "-c":
        print(*(["True", "vllm", "0.32.0"] if script.get("has", True) else ["False"]))
        return 0
    engine = subprocess.Popen([sys.executable, "-S", "-c", ENGINE])
    first = not starts(folder)
    with (folder / "starts.jsonl").open("a") as file:
        print(
            json.dumps({"pid": os.getpid(), "engine": engine.pid, "args": args, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}), file=file
        )
    if "dies" in script:
        print(script["dies"], flush=True)
        return 1
    value = lambda flag: args[args.index(flag) + 1]  # noqa: E731
    if script.get("silent"):
        time.sleep(300)
    most = script.get("ends_after") if first or script.get("always") else None
    with Fake(value("--served-model-name"), int(value("--port")), most, script.get("delay", 0.0)):
        time.sleep(300)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
