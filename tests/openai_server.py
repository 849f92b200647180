"""A loopback server that speaks the OpenAI chat protocol over real HTTP, answers by script and injects faults.

    with OpenAIServer(lambda body, number: Reply("hello")) as server:
        dspy.LM("openai/any", api_base=server.url, api_key="any")

One asyncio loop in a thread (or, for benchmarks, `python tests/openai_server.py SECONDS` as a process of its own, which prints its
address). It keeps what it saw and what it served, with its own clock. Every path is answered by the script; vllm_server.py knows more of
them. Not covered: streaming, TLS.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    text: str | None = ""
    finish: str = "stop"
    refusal: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent instead of a chat completion."""
    content_type: str = "application/json"
    delay: float = 0.0
    """Seconds before the head is sent."""
    cut: int | None = None
    """Close the connection after so many bytes of the whole reply; 0: before the first."""
    stall: float = 0.0
    """Seconds of silence in the middle of the body."""
    usage: bool = True
    """Whether tokens are reported."""
    tokens: int | None = None
    """How many came out; None: `count` tells."""


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    at: float
    """time.monotonic() of the server."""
    path: str
    authorization: str
    body: dict[str, Any]
    method: str = "POST"
    raw: bytes = b""

    @property
    def last(self) -> str:
        """The text of the last message."""
        return self.body["messages"][-1]["content"]


def fault(status: int, message: str = "scripted fault", code: str | None = None, **headers: str) -> Reply:
    """An error in OpenAI's envelope. Header names are written with underscores."""
    body = json.dumps({"error": {"message": message, "type": code, "param": None, "code": code}}).encode()
    return Reply(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def count(text: object) -> int:
    """Tokens of a text, as this server bills them: words."""
    return len(str(text).split())


class OpenAIServer:
    """`script(body, number)` gives the reply to the request that came in as the `number`th, from 0."""

    def __init__(self, script: Callable[[dict[str, Any], int], Reply], port: int = 0):
        self.script, self.port = script, port
        self.seen: list[Seen] = []
        self.served = 0
        """Chat completions that were sent to the last byte."""
        self.tokens_in = 0
        self.tokens_out = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "OpenAIServer":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=512))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; False when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        body = json.loads(raw or b"{}") if "multipart" not in headers.get("content-type", "") else {}
        number = len(self.seen)
        method, path = head[0].split()[:2]
        key = headers.get("authorization", "") or headers.get("x-api-key", "")
        self.seen.append(Seen(time.monotonic(), path, key, body, method, raw))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = await self.reply(self.seen[number], number)
            if reply.delay:
                await asyncio.sleep(reply.delay)
            return await self._send(writer, body, reply)
        finally:
            self.in_flight -= 1

    async def reply(self, request: Seen, number: int) -> Reply:
        return self.script(request.body, number)

    async def _send(self, writer: asyncio.StreamWriter, body: dict[str, Any], reply: Reply) -> bool:
        tokens_in = sum(count(message["content"]) for message in body.get("messages", []))
        tokens_out = count(reply.text or "") if reply.tokens is None else reply.tokens
        data = reply.body if reply.body is not None else completion(body.get("model", ""), reply, tokens_in, tokens_out)
        headers = {"Content-Type": reply.content_type, "Content-Length": str(len(data))} | reply.headers
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        whole = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data
        if reply.cut is not None:
            writer.write(whole[: reply.cut])
            await writer.drain()
            return False
        if reply.stall:
            half = len(whole) - len(data) // 2
            writer.write(whole[:half])
            await writer.drain()
            await asyncio.sleep(reply.stall)
            whole = whole[half:]
        if reply.status == 200 and reply.body is None:  # before the write: a client may have the last byte when it returns
            self.served += 1
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
        writer.write(whole)
        await writer.drain()
        return True


def completion(model: str, reply: Reply, tokens_in: int, tokens_out: int) -> bytes:
    """A chat completion as OpenAI writes it."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.refusal is not None:
        message["refusal"] = reply.refusal
    body: dict[str, Any] = {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
    }
    if reply.usage:
        body["usage"] = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    return json.dumps(body).encode()


def document(value: Any, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode())


class Scripted(OpenAIServer):
    """Lists `models` and answers questions by script; at a `port` of its own it can be closed and opened again."""

    def __init__(self, script: Callable[[dict[str, Any], int], Reply], models: tuple[str, ...] = ("m",), port: int = 0):
        super().__init__(script, port)
        self.models = models

    async def reply(self, request: Seen, number: int) -> Reply:
        if request.path.endswith("/models"):
            return document({"data": [{"id": name, "object": "model"} for name in self.models]})
        return self.script(request.body, number)

    @property
    def questions(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.path.endswith("/chat/completions")]


if __name__ == "__main__":
    seconds = float(sys.argv[1])
    answer = "\n".join(sys.argv[2:]) or "ok"
    with OpenAIServer(lambda body, number: Reply(answer, delay=seconds)) as server:
        print(server.url, flush=True)
        sys.stdin.read()  # until the parent goes
        print(len(server.seen), server.most_in_flight, flush=True)
