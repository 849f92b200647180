"""One exchange with a model's server, bounded in bytes and in time, and what its reply says: an answer, or why there is none.

Both the instructor's calls (errata.programs.instructor.engine) and a served target's (errata.trainers.served.target) read replies
here. Does NOT cover: repeating a call, streams (one that nobody asked for is a fault), and calls that LiteLLM sends.
"""

import json
import math
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, NamedTuple, TypeVar

import httpx

from .calls import plain
from .records import whole
from .toolcalls import as_text

T = TypeVar("T")
MOST_BYTES = 16_000_000
"""Longest body of a reply; an answer of 16,000 tokens has about 100,000 bytes."""
MOST_TOKENS = 10**9
"""A count of tokens above this is no count."""
SAID = 300
"""Most characters of a server's words in a message."""


class Reply(NamedTuple):
    """A whole reply of a server."""

    status: int
    headers: httpx.Headers
    body: bytes


def exchange(client: httpx.Client, method: str, url: str, seconds: float, most: int = MOST_BYTES, **sent: Any) -> Reply:
    """Send one request and take in the whole reply. Raises httpx.TransportError, also for a reply that is not whole after so many seconds
    or that is longer than `most` bytes, and httpx.DecodingError. Redirects are not followed."""
    end = time.monotonic() + seconds

    def send() -> Reply:
        with client.stream(method, url, **sent) as reply:
            body = bytearray()
            for chunk in reply.iter_bytes():
                body += chunk
                if len(body) > most:
                    raise httpx.ReadError(f"a reply of more than {most // 10**6} MB")
                if time.monotonic() > end:
                    raise httpx.ReadTimeout(f"no whole reply in {seconds:g} s")
        return Reply(reply.status_code, reply.headers, bytes(body))

    try:
        return within(seconds, send)
    except TimeoutError:
        raise httpx.ReadTimeout(f"no whole reply in {seconds:g} s") from None


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; TimeoutError after so many seconds, and what it does then is not waited for."""
    done: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)


def document(body: bytes) -> Any:
    """The JSON of a reply. Raises ValueError when it is not JSON, or is nested too deeply to be read."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


# ---- an answer


class Answered(NamedTuple):
    """What a chat completion holds."""

    text: str
    finish: str
    """`stop`, `length`, or what else the server says."""
    refusal: str
    thought: str
    """The model's reasoning, where the server keeps it apart."""
    usage: dict[str, Any]
    calls: str = ""
    """Calls of tools that the server keeps apart, each in Hermes' form."""


_CUT = ("length", "max_tokens", "max_output_tokens", "model_length", "token_limit", "max_new_tokens")
"""What servers say of an answer that was cut at its limit."""


def answered(body: bytes) -> Answered:
    """What the first choice of a chat completion says. Raises ValueError, in a few words, for a reply that is none."""
    try:
        found = document(body)
    except ValueError:
        if body.lstrip()[:6] in (b"data: ", b"event:"):
            raise ValueError("a stream of events, which was not asked for") from None
        raise ValueError(words(body) or "an empty reply") from None
    choices = found.get("choices") if isinstance(found, dict) else None
    if not isinstance(choices, list) or not choices:
        raise ValueError(words(body) or "no choices")
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    if not isinstance(message, dict):
        raise ValueError("a choice without a message")
    text = _content(message.get("content"))
    if text is None:
        raise ValueError("a message whose content is no text")
    finish = choices[0].get("finish_reason")
    finish = finish.lower() if isinstance(finish, str) and finish else "stop"
    thought = message.get("reasoning_content") or message.get("reasoning")
    refusal = message.get("refusal")
    return Answered(
        text=whole(text),
        finish="length" if finish in _CUT else finish,
        refusal=whole(refusal) if isinstance(refusal, str) else "",
        thought=whole(thought) if isinstance(thought, str) else "",
        usage=counts(found.get("usage")),
        calls=whole(as_text(message.get("tool_calls"))),
    )


def _content(content: Any) -> str | None:
    """The text of a message, as one text or in parts; None for what is neither."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(part for part in parts if isinstance(part, str))


def counts(usage: Any) -> dict[str, Any]:
    """The counts of tokens of a reply, without those that are none: a whole number, also written as text."""
    if not isinstance(usage, dict):
        return {}
    found = {name: counts(value) if isinstance(value, dict) else tokens(value) for name, value in usage.items()}
    return {name: value for name, value in found.items() if value is not None and value != {}}


def tokens(value: Any) -> int | None:
    """A count of tokens; None for what is none: negative, not whole, a truth value, beyond MOST_TOKENS."""
    if isinstance(value, str) and len(value) < 20:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= MOST_TOKENS and value == int(value) else None


# ---- an error


_WORDS = (
    "error", "errors", "message", "faultstring", "detail", "details", "msg", "reason", "error_description", "error_message", "errormessage",
    "status_msg", "fault", "description", "title", "base_resp", "text", "raw", "metadata", "data", "type", "code", "status",
)  # fmt: skip
"""Fields in which servers say what is wrong, those that say most first; in any case of letters."""
_HTML = re.compile(r"\s{0,99}<(?:!doctype|\?xml|[a-z][\w:-]{0,20}[\s>/])", re.IGNORECASE)


def words(body: bytes) -> str:
    """What a server says of an error, in any of the envelopes in use, as one line of at most SAID characters; empty when it says nothing.
    Of a page the title."""
    try:
        said = _said(document(body[:MOST_BYTES]))
    except ValueError:
        text = body[:20_000].decode("utf-8", "replace")
        if _HTML.match(text):
            text = _page(text)
        elif text.count("\ufffd") > len(text) / 10:
            text = f"{len(body)} bytes that are no text"
        said = text
    return plain(said[:20_000])[:SAID].strip()


def _said(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        inner = value.strip()
        if inner[:1] in "{[" and depth < 6:
            try:
                return _said(document(inner.encode("utf-8", "surrogatepass")), depth + 1) or value
            except ValueError:
                return value
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if depth > 6:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(one, depth + 1) for one in value[:5])))
    if not isinstance(value, dict):
        return ""
    low = {str(name).lower(): inner for name, inner in list(value.items())[:100]}
    # a bare number says least: {"error": 1, "msg": "..."}
    for name in sorted(_WORDS, key=lambda name: isinstance(low.get(name), int | float)):
        if said := _said(low.get(name), depth + 1).strip():
            place = low.get("loc")  # FastAPI says beside it where in the request
            more = low.get("metadata") if name == "message" else None  # OpenRouter: what the provider behind it said
            said += f" ({inner})" if isinstance(more, dict) and (inner := _said(more.get("raw"), depth + 1)) else ""
            return f"{'.'.join(map(str, place[:5]))}: {said}" if isinstance(place, list) and name != "loc" else said
    return "; ".join(f"{name}: {said}" for name, inner in list(low.items())[:3] if (said := _said(inner, depth + 1)))


def _page(text: str) -> str:
    """The title of a page, or its first heading, or its text."""
    for tag in ("title", "h1", "message"):
        start = re.search(rf"<{tag}\b[^>]*>", text, re.IGNORECASE)
        end = text.lower().find(f"</{tag}", start.end()) if start else -1
        if start and end >= 0 and (found := text[start.end() : end].strip()):
            return found
    return re.sub(r"<[^<>]*>", " ", text)


class Limit(NamedTuple):
    """A limit on tokens that a request breaks."""

    most: int | None
    """The server's number, where it names one."""
    by_answer: bool
    """Whether the most tokens that were asked for are the cause; if not, it is the length of the question."""


_LIMIT = re.compile(
    r"context.{0,20}?(?:length|size|window|limit)|(?:model|sequence|seq)_?.?len|token.?limit|too many tokens|exceed_context"
    r"|(?:prompt|input|request|message)s?\b.{0,40}?\b(?:is|are) too (?:long|large)|(?:prompt|input)s?.{0,40}?longer than"
    r"|(?:exceed|longer).{0,80}?tokens?\b"
    r"|tokens?\b.{0,80}?(?:exceed|maximum|at most|less than|limit)|less than \d+ tokens|input length",
    re.IGNORECASE | re.DOTALL,
)
_TOO_MUCH = re.compile(r"max_?\w{0,12}tokens\b[^.\n]{0,40}?(?:too (?:large|high|big|many)|out of range)", re.IGNORECASE)
_SUM = re.compile(r"(?:requested|total|sum)\b(?:(?!exceed|most|than|limit|maximum|[<>])[^\d\n]){0,60}$", re.IGNORECASE)
_ASKED = re.compile(r"max(?:imum)?_?.?(?:new_?.?|completion_?.?|output_?.?)?tokens|completion|output tokens", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.-])\d{1,9}(?:,\d{3})*(?![\w]|[.]\d|-\d*[A-Za-z])")
_BOUND = re.compile(r"(?:max\w*|context|limit|window|at most|less than|equal to|<=|>)[^\d\n]{0,40}$", re.IGNORECASE)


def broken_limit(said: str, asked: int) -> Limit | None:
    """Which limit a server's words speak of, of a request that asked for at most so many tokens; None when they speak of none. The answer's
    length is the cause where it alone is too much, or is named and the question takes less than half of the limit."""
    numbers = [(int(match[0].replace(",", "")), match.start()) for match in _NUMBER.finditer(said[:2000])]
    known = {number for number, _ in numbers}
    sums = {number for number, at in numbers if number > asked and _SUM.search(said[max(0, at - 80) : at])}
    total = any(number == asked + other for number in known for other in known)
    named = asked in known or total or bool(_TOO_MUCH.search(said) or (_ASKED.search(said) and any(number > 16 for number in known)))
    if not _LIMIT.search(said) and not (named and _ASKED.search(said)):
        return None
    rest = [(number, at) for number, at in numbers if number > 16 and number != asked and number - asked not in known]
    if others := [one for one in rest if one[0] not in sums]:
        named = named or any(0 < number - asked <= asked for number in sums)
        rest = others + [(number - asked, -1) for number in sums]
    bounds = [number for number, at in rest if _BOUND.search(said[max(0, at - 60) : max(0, at)])] or [number for number, _ in rest]
    most = max(bounds, default=None)
    question = max((number for number, _ in rest if number != most), default=0)
    return Limit(most, named and (most is None or asked >= most or question <= most / 2))


# ---- a reply put in order


def tidied(status: int, body: bytes, chat: bool) -> bytes:
    """A reply in the form that its protocol has: an error with its words where they are looked for, counts of tokens that are counts, and a
    chat completion with one choice and a text. What is none of these is an error."""
    try:
        found = document(body)
    except ValueError:
        found = None
    if status >= 400:
        return _error(found, words(body) or f"HTTP {status} without a word")
    if chat:
        try:
            return _completion(found, answered(body))
        except ValueError as error:
            return _error(found, f"the reply is not a chat completion: {error}")
    if not isinstance(found, dict):
        return body
    return json.dumps(found | {name: counts(found[name]) for name in ("usage", "usageMetadata") if name in found}).encode()


def _error(found: Any, said: str) -> bytes:
    first = found[0] if isinstance(found, list) and found else found
    outer = first if isinstance(first, dict) else {}
    detail = outer["error"] if isinstance(outer.get("error"), dict) else outer
    kept = {name: detail[name] for name in ("code", "type", "status") if isinstance(detail.get(name), str | int)}
    return json.dumps({"type": "error", "error": kept | {"message": said}}).encode()


def _completion(found: dict[str, Any], said: Answered) -> bytes:
    message = {"role": "assistant", "content": said.text, "refusal": said.refusal or None, "reasoning_content": said.thought or None}
    kept = {name: found[name] for name in ("id", "model", "created") if isinstance(found.get(name), str | int)}
    choice = {"index": 0, "message": message, "finish_reason": said.finish}
    return json.dumps(kept | {"object": "chat.completion", "choices": [choice], "usage": said.usage}).encode()
