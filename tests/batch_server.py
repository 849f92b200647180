"""A loopback server of provider batches, in OpenAI's form and in Anthropic's, which injects faults.

    with BatchServer(lambda body, number: Reply("hello")) as server: ...

Each request of a batch is answered by the script when its batch is over, after `looks` looks at it. `faults` is asked before each step
("upload", "create", "look", "list", "results") and may give another reply; with `after=True` the step is done all the same, and only its
reply is lost. `ends` says how a batch ends, `rows` what becomes of its lines of results. Single calls are answered as by openai_server.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from openai_server import OpenAIServer, Reply, Seen, completion, count


@dataclass
class Batch:
    id: str
    requests: dict[str, dict[str, Any]]
    metadata: dict[str, str] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    looks: int = 0
    status: str = ""
    """How it ended; empty: not yet."""
    rows: list[dict[str, Any]] = field(default_factory=list)


def nothing(step: str, batch: "Batch | None") -> Reply | None:
    return None


class BatchServer(OpenAIServer):
    def __init__(self, script: Callable[[dict[str, Any], int], Reply], looks: int = 1):
        super().__init__(script)
        self.looks = looks
        self.faults: Callable[[str, Batch | None], Reply | None] = nothing
        self.after = False
        self.ends: Callable[[Batch], str] = lambda batch: "completed"
        self.rows: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda rows: rows
        self.batches: list[Batch] = []
        self.files: list[bytes] = []
        self.single = 0
        """Calls that came alone."""
        self.said = "the batch is not valid"

    @property
    def asked(self) -> list[str]:
        """The keys of all requests of all batches."""
        return [key for batch in self.batches for key in batch.requests]

    async def reply(self, request: Seen, number: int) -> Reply:
        path, _, query = request.path.removeprefix("/v1").partition("?")
        if path in ("/chat/completions", "/messages"):
            self.single += 1
            reply = self.script(request.body, number)
            return reply if path == "/chat/completions" else _json(_message(request.body, reply), reply.status)
        step, act = self._step(request, path, query)
        batch = self._named(path)
        fault = self.faults(step, batch)
        if fault is not None and not self.after:
            return fault
        done = act()
        return fault or done

    def _step(self, request: Seen, path: str, query: str) -> tuple[str, Callable[[], Reply]]:
        anthropic = path.startswith("/messages")
        if path == "/files":
            return "upload", lambda: self._upload(request)
        if path in ("/batches", "/messages/batches"):
            if request.method == "GET":
                return "list", lambda: self._list(anthropic, query)
            return "create", lambda: self._create(request, anthropic)
        if path.endswith(("/results", "/content")):
            return "results", lambda: self._results(path)
        return "look", lambda: self._look(path, anthropic)

    def _named(self, path: str) -> Batch | None:
        found = re.search(r"batch_(\d+)", path)
        return self.batches[int(found[1])] if found and int(found[1]) < len(self.batches) else None

    def _upload(self, request: Seen) -> Reply:
        assert b'name="purpose"\r\n\r\nbatch' in request.raw
        self.files.append(request.raw.split(b"\r\n\r\n", 2)[2].rpartition(b"\r\n--")[0])
        return _json({"id": f"file_{len(self.files) - 1}", "purpose": "batch"})

    def _create(self, request: Seen, anthropic: bool) -> Reply:
        name = f"{'msg' if anthropic else ''}batch_{len(self.batches)}"
        if anthropic:
            rows = {row["custom_id"]: row["params"] for row in request.body["requests"]}
            assert set(request.body) == {"requests"}
        else:
            file = self.files[int(request.body["input_file_id"].removeprefix("file_"))]
            lines = [json.loads(line) for line in file.splitlines() if line]
            assert {(line["method"], line["url"]) for line in lines} == {("POST", request.body["endpoint"])}
            rows = {line["custom_id"]: line["body"] for line in lines}
            assert request.body["completion_window"] == "24h"
        self.batches.append(batch := Batch(name, rows, request.body.get("metadata", {})))
        return _json(self._told(batch, anthropic))

    def _list(self, anthropic: bool, query: str) -> Reply:
        """Three a page."""
        rows = list(reversed(self.batches))
        if found := re.search(r"after(?:_id)?=([^&]+)", query):
            rows = rows[[row.id for row in rows].index(found[1]) + 1 :]
        mine = [row for row in rows if row.id.startswith("msg") == anthropic]
        return _json({"data": [self._told(row, anthropic) for row in mine[:3]], "has_more": len(mine) > 3})

    def _look(self, path: str, anthropic: bool) -> Reply:
        batch = self._named(path)
        if batch is None:
            return Reply(status=404, body=b'{"error": {"message": "no such batch"}}')
        batch.looks += 1
        if batch.looks > self.looks and not batch.status:
            self._answer(batch, anthropic)
        return _json(self._told(batch, anthropic))

    def _answer(self, batch: Batch, anthropic: bool) -> None:
        batch.status = self.ends(batch)
        if batch.status == "failed":
            return
        line = _anthropic_row if anthropic else _openai_row
        replies = {key: self.script(body, number) for number, (key, body) in enumerate(batch.requests.items())}
        batch.rows = self.rows([line(key, batch.requests[key], reply) for key, reply in replies.items()])

    def _results(self, path: str) -> Reply:
        batch = self._named(path)
        assert batch is not None
        rows = batch.rows if "error" not in path else [row for row in batch.rows if row.get("error")]
        rows = [row for row in rows if not row.get("error")] if "output" in path else rows
        return Reply(body=b"".join(json.dumps(row).encode() + b"\n" for row in rows))

    def _told(self, batch: Batch, anthropic: bool) -> dict[str, Any]:
        over, size = bool(batch.status), len(batch.requests)
        if anthropic:
            counts = {"processing": 0 if over else size, "succeeded": size if over else 0, "errored": 0, "canceled": 0, "expired": 0}
            made = datetime.fromtimestamp(batch.at, UTC).isoformat()
            found = {"id": batch.id, "type": "message_batch", "request_counts": counts, "created_at": made}
            cancelled = made if batch.status == "cancelled" else None
            return found | {"processing_status": "ended" if over else "in_progress", "cancel_initiated_at": cancelled}
        found = {"id": batch.id, "object": "batch", "created_at": int(batch.at), "metadata": batch.metadata, "status": "in_progress"}
        found["request_counts"] = {"total": size, "completed": size if over else 0, "failed": 0}
        if batch.status == "failed":
            found["errors"] = {"object": "list", "data": [{"code": "invalid", "message": self.said, "line": 1}]}
        elif over:
            found["output_file_id"] = f"output_{batch.id}"
            if any(row.get("error") for row in batch.rows):
                found["error_file_id"] = f"error_{batch.id}"
        return found | ({"status": batch.status} if over else {})


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(body).encode())


def _openai_row(key: str, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    tokens = sum(count(message["content"]) for message in body["messages"])
    data = reply.body if reply.body is not None else completion(body["model"], reply, tokens, count(reply.text or ""))
    return {"id": f"row-{key}", "custom_id": key, "response": {"status_code": reply.status, "body": json.loads(data)}, "error": None}


def _message(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": count(reply.text or "")}
    found = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None, "usage": usage}
    return found | {"content": [{"type": "text", "text": reply.text}], "stop_reason": "end_turn"}


def _anthropic_row(key: str, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    if reply.body is not None:
        return {"custom_id": key, "result": {"type": "errored", "error": {"type": "error", "error": json.loads(reply.body)["error"]}}}
    return {"custom_id": key, "result": {"type": "succeeded", "message": _message(body, reply)}}


def expired(row: dict[str, Any]) -> dict[str, Any]:
    """A line of results whose request was not answered in time."""
    if "result" in row:
        return row | {"result": {"type": "expired"}}
    said = {"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}
    return row | {"response": None, "error": said}


if __name__ == "__main__":
    answer = "\n".join(sys.argv[2:]) or "ok"
    with BatchServer(lambda body, number: Reply(answer)) as server:
        print(server.url, flush=True)
        sys.stdin.read()  # until the parent goes
