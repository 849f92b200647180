"""Provider batches in OpenAI's form and in Anthropic's, as plain requests over HTTP. A request's key is its `custom_id`.

OpenAI's (openai 2.54, types/batch.py and batch_create_params.py): a file of JSON lines is uploaded, a batch names it; answers and failures
lie in two other files, in any order. Metadata find it again.
Anthropic's (anthropic 2.14, types/messages/message_batch.py and batch_create_params.py): one request holds all others; results are lines
in any order. It keeps no metadata: a batch whose id was lost is known by its time and size, and in the end by its keys.

What is not here: when what is sent (errata.signatures.batches.waves), and what an answer says (errata.programs.instructor.engine).
"""

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import httpx

from ..calls import PASSING, asked_wait, known_keys, without_keys
from ..replies import document, exchange, tidied, words
from ..transport import CONNECT, Heard

MARK = "errata_wave"
"""Under this name a batch's metadata hold the name that the run gave it."""
SLACK = 300.0
"""Seconds by which the clocks of provider and this machine may differ."""
LARGEST = 1_000_000_000
"""Bytes of a file of results that are taken in."""
STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
    "request_too_large": 413, "rate_limit_error": 429, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip
"""Anthropic's type of error -> the status that it comes with in a single call; any other is 500."""


class BatchRefused(Exception):
    """The server did not do what it was asked for."""

    def __init__(self, status: int | None, said: str, wait: float | None = None):
        """`status`: None where no whole reply came; `wait`: seconds that the server asks for."""
        super().__init__(said)
        self.status, self.said, self.wait = status, without_keys(said, known_keys()), wait

    @property
    def passes(self) -> bool:
        """Whether it passes by itself."""
        return self.status is None or self.status in PASSING or self.status >= 500


class State(NamedTuple):
    """How far a batch is."""

    over: bool
    done: int
    total: int
    found: dict[str, Any]
    """As the provider tells it."""
    failed: str = ""
    """Why it failed as a whole."""
    cancelled: bool = False


class Form(Protocol):
    """One provider's batches. All raise BatchRefused."""

    base: str

    def create(self, name: str, bodies: Mapping[str, bytes]) -> str:
        """Send requests, by their keys; the batch's id."""

    def find(self, name: str, at: float, size: int, known: Collection[str]) -> str | None:
        """The id of a batch that may have been made at this time (seconds since 1970), with so many requests, and is none of the known."""

    def state(self, batch: str) -> State: ...

    def results(self, state: State) -> Iterator[tuple[str, Heard]]:
        """Each result by its key, as a single call would have been answered; those without one are left out."""


class Door:
    """Sends to one server, with the headers of a request to its models."""

    def __init__(self, base: str, headers: list[tuple[str, str]], seconds: float):
        self.base, self._seconds = base, seconds
        self._headers = [(name, value) for name, value in headers if not name.lower().startswith("content-")]
        self._client = httpx.Client(timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT)))

    def ask(self, method: str, path: str, **sent: Any) -> bytes:
        """`path`: below the base, or a whole address at the same server."""
        url = path if path.startswith(self.base) else self.base + path
        try:
            reply = exchange(self._client, method, url, self._seconds, LARGEST, headers=self._headers, **sent)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise BatchRefused(None, str(error) or type(error).__name__) from None
        if reply.status >= 300:
            said = words(reply.body) or "no word of why"
            raise BatchRefused(reply.status, f"HTTP {reply.status}: {said}", asked_wait(reply.headers.get("retry-after")))
        return reply.body

    def document(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        try:
            found = document(self.ask(method, path, **sent))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BatchRefused(None, "a reply that is no JSON document")
        return found

    def made(self, path: str, **sent: Any) -> str:
        """The id of what a POST made."""
        found = self.document("POST", path, **sent).get("id")
        if not isinstance(found, str) or not found:
            raise BatchRefused(None, "a reply without an id")
        return found

    def listed(self, path: str, turn: str) -> Iterator[dict[str, Any]]:
        """Rows of a list, those made last first. `turn`: the parameter that names the last row of the page before."""
        after = ""
        for _ in range(50):
            try:
                page = self.document("GET", f"{path}?limit=100{after}")
            except BatchRefused as error:
                if error.status in (404, 405):  # a server that lists none
                    return
                raise
            rows = [row for row in page.get("data") or [] if isinstance(row, dict)]
            yield from rows
            if not rows or not page.get("has_more"):
                return
            after = f"&{turn}={rows[-1].get('id')}"


class OpenAIForm:
    def __init__(self, door: Door):
        self.door, self.base = door, door.base

    def create(self, name: str, bodies: Mapping[str, bytes]) -> str:
        url = "/v1/chat/completions"
        rows = [{"custom_id": key, "method": "POST", "url": url, "body": document(body)} for key, body in bodies.items()]
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        files = {"file": (f"errata-{name}.jsonl", data, "application/jsonl")}
        file = self.door.made("/files", data={"purpose": "batch"}, files=files)
        sent = {"input_file_id": file, "endpoint": url, "completion_window": "24h", "metadata": {MARK: name}}
        return self.door.made("/batches", json=sent)

    def find(self, name: str, at: float, size: int, known: Collection[str]) -> str | None:
        for row in self.door.listed("/batches", "after"):
            if (row.get("metadata") or {}).get(MARK) == name and row["id"] not in known:
                return str(row["id"])
            if float(row.get("created_at") or at) < at - SLACK:
                break
        return None

    def state(self, batch: str) -> State:
        found = self.door.document("GET", f"/batches/{batch}")
        status, counts = found.get("status"), found.get("request_counts") or {}
        over = status in ("completed", "failed", "expired", "cancelled")
        done = int(counts.get("completed") or 0) + int(counts.get("failed") or 0)
        failed = words(json.dumps(found.get("errors") or "no word of why").encode()) if status == "failed" else ""
        return State(over, done, int(counts.get("total") or 0), found, without_keys(failed, known_keys()), status == "cancelled")

    def results(self, state: State) -> Iterator[tuple[str, Heard]]:
        for name in ("output_file_id", "error_file_id"):
            if file := state.found.get(name):
                for row in _rows(self.door.ask("GET", f"/files/{file}/content")):
                    key, response = str(row.get("custom_id")), row.get("response")
                    if isinstance(response, dict) and response.get("body") is not None:
                        status = int(response.get("status_code") or 200)
                        body = tidied(status, json.dumps(response["body"]).encode(), chat=True)
                        yield key, Heard(status, [], body)
                    elif row.get("error"):  # it expired, say
                        yield key, Heard(503, [], tidied(503, json.dumps({"error": row["error"]}).encode(), chat=True))


class AnthropicForm:
    def __init__(self, door: Door):
        self.door, self.base = door, door.base

    def create(self, name: str, bodies: Mapping[str, bytes]) -> str:
        rows = [{"custom_id": key, "params": document(body)} for key, body in bodies.items()]
        return self.door.made("/messages/batches", json={"requests": rows})

    def find(self, name: str, at: float, size: int, known: Collection[str]) -> str | None:
        found = []
        for row in self.door.listed("/messages/batches", "after_id"):
            made = _seconds(row.get("created_at")) or at
            if made < at - SLACK:
                break
            if row.get("id") not in known and sum(_counts(row).values()) == size:
                found.append((abs(made - at), str(row["id"])))
        return min(found)[1] if found else None

    def state(self, batch: str) -> State:
        found = self.door.document("GET", f"/messages/batches/{batch}")
        counts = _counts(found)
        total = sum(counts.values())
        over = found.get("processing_status") == "ended"
        return State(over, total - counts.get("processing", 0), total, found, cancelled=bool(found.get("cancel_initiated_at")))

    def results(self, state: State) -> Iterator[tuple[str, Heard]]:
        for row in _rows(self.door.ask("GET", f"/messages/batches/{state.found.get('id')}/results")):
            result = row["result"] if isinstance(row.get("result"), dict) else {}
            kind = result.get("type")
            if kind == "succeeded":
                yield str(row.get("custom_id")), Heard(200, [], tidied(200, json.dumps(result.get("message")).encode(), chat=False))
            elif kind == "errored":
                error = result.get("error") or {}
                inner = error["error"] if isinstance(error.get("error"), dict) else error
                status = STATUS.get(str(inner.get("type")), 500)
                yield str(row.get("custom_id")), Heard(status, [], tidied(status, json.dumps({"error": inner}).encode(), chat=False))


def _rows(data: bytes) -> list[dict[str, Any]]:
    """JSON lines; one that cannot be read is left out. Raises BatchRefused where none can."""
    rows = []
    for line in data.split(b"\n"):
        try:
            row = document(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    if data.strip() and not rows:
        raise BatchRefused(None, f"results that are none: {words(data)}")
    return rows


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    return {name: count for name, count in (row.get("request_counts") or {}).items() if isinstance(count, int)}


def _seconds(at: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except ValueError:
        return None


def form_of(url: str, headers: list[tuple[str, str]], seconds: float) -> Form:
    """The batches of the server that a request to a model goes to at `url`."""
    where = url.partition("?")[0]
    if where.endswith("/chat/completions"):
        return OpenAIForm(Door(where.removesuffix("/chat/completions"), headers, seconds))
    return AnthropicForm(Door(where.removesuffix("/messages"), headers, seconds))
