"""The text of a model's reply in the envelopes that servers and engines write: chat completions (also in a batch's output), completions,
the Responses API, Anthropic's messages, Gemini, Ollama, vLLM's outputs, text-generation servers, and chats.

An envelope is known by several of its fields together, so that a field of the user's own is not taken for one. The thought that stands
apart from the text is left out. Of several choices the first counts; how many others there were is said.
"""

from typing import Any, NamedTuple

from ...signatures.toolcalls import as_text
from ..cells import read_chat, text_of

CUT = ("length", "max_tokens", "model_length", "max_output_tokens")
"""What servers and logs call a response that the token limit cut."""


class Reply(NamedTuple):
    """What a reply says."""

    text: str | None
    """None: it holds no text, a fault of the machinery."""
    finish: str = "stop"
    fault: str = "no response was recorded"
    others: int = 0
    """Further choices beside the first."""


def reply(value: Any) -> Reply | None:
    """The reply in a value; None when it is none of the known forms."""
    if value is None or isinstance(value, str):
        return Reply(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Reply(text_of(value))
    if isinstance(value, list):
        chat = read_chat(value)
        if chat and chat[-1][0] == "assistant":
            return Reply(chat[-1][1])
        if value and len(parts := [one for one in _dicts(value) if {"type", "text"} <= one.keys()]) == len(value):
            return Reply(_content(parts))
        return reply(value[0]) if len(value) == 1 and isinstance(value[0], (str, dict)) else None
    return envelope(value) if isinstance(value, dict) else None


def envelope(row: dict[str, Any]) -> Reply | None:
    """The reply in an object that is an envelope."""
    if "custom_id" in row and ("response" in row or (isinstance(row.get("result"), dict) and "type" in row["result"])):
        return _batch(row)
    if "error" in row and row.keys() <= {"error", "type", "object", "code", "status_code", "request_id"}:
        return _failed(row["error"])
    choices = [one for name in ("choices", "outputs", "candidates") for one in _dicts(row.get(name))]
    texts = [(one, _words(one)) for one in choices]
    if choices and all(known for _, (known, _) in texts):
        return Reply(texts[0][1][1], finish(choices[0]), others=len(choices) - 1)
    items = [one for one in _dicts(row.get("output")) if one.get("type") in ("message", "reasoning")]
    if items and (items[-1].get("role") == "assistant" or row.get("object") == "response"):
        cut = row.get("incomplete_details")
        said = _content(items[-1].get("content") if items[-1].get("type") == "message" else items)
        return Reply(said, finish({"finish_reason": cut.get("reason")} if isinstance(cut, dict) else {}))
    known, text = _words(row)
    return Reply(text, finish(row)) if known else None


def _batch(row: dict[str, Any]) -> Reply | None:
    """A line of a batch's output, of OpenAI's form or Anthropic's."""
    said, result = row.get("response"), row.get("result")
    if isinstance(result, dict) and "response" not in row:
        return (
            envelope(result["message"]) if isinstance(result.get("message"), dict) else _failed(result.get("error") or result.get("type"))
        )
    body = said.get("body") if isinstance(said, dict) else None
    if row.get("error") or said is None or (isinstance(said, dict) and said.get("status_code", 200) != 200):
        return _failed(row.get("error") or (body.get("error") if isinstance(body, dict) else body) or "no response")
    return envelope(body) if isinstance(body, dict) else None


def _failed(error: Any) -> Reply:
    while isinstance(error, dict) and (error.get("error") or error.get("message")):
        error = error.get("error") or error["message"]
    return Reply(None, fault=f"the recorded call failed: {' '.join(str(error).split())[:120]}")


def _words(one: dict[str, Any]) -> tuple[bool, str | None]:
    """Whether an object is a reply with its text, and the text."""
    message = one.get("message", one.get("content") if "finishReason" in one else None)
    if isinstance(message, dict) and ("content" in message or "parts" in message):
        thought = message.keys() & {"reasoning_content", "reasoning", "thinking"} and ""
        return True, _called(message, _content(message.get("content", message.get("parts")) or message.get("refusal") or thought))
    if one.get("role") == "assistant" and "content" in one:
        return True, _called(one, _content(one["content"]))
    if "text" in one and one.keys() & {"finish_reason", "token_ids", "cumulative_logprob", "logprobs", "meta_info"}:
        return True, _content(one["text"])
    if "generated_text" in one:
        chat = read_chat(one["generated_text"])
        return True, chat[-1][1] if chat else _content(one["generated_text"])
    return False, None


def _called(message: dict[str, Any], text: str | None) -> str | None:
    """The text of a message with the calls of tools that stand apart from it, of OpenAI's form or Anthropic's."""
    given = [*_dicts(message.get("tool_calls")), *(part for part in _dicts(message.get("content")) if part.get("type") == "tool_use")]
    called = as_text(given)
    return "\n".join(filter(None, (text, called))) if called else text


def _content(content: Any) -> str | None:
    """The text of a message's content: itself, or its parts of text."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part for part in _dicts(content) if part.get("type", "text") in ("text", "output_text") and not part.get("thought")]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    thought = any(part.get("type") in ("thinking", "redacted_thinking", "reasoning") or part.get("thought") for part in _dicts(content))
    return "\n".join(texts) if texts or thought else None


def finish(one: dict[str, Any]) -> str:
    """`length` when an object says that a limit cut its text, else `stop`."""
    inner: dict[str, Any] = next((one[name] for name in ("details", "meta_info") if isinstance(one.get(name), dict)), {})
    said = [place.get(name) for place in (one, inner) for name in ("finish_reason", "stop_reason", "finishReason", "done_reason", "finish")]
    said = [word.get("type") if isinstance(word, dict) else word for word in said]
    return "length" if any(isinstance(word, str) and word.lower() in CUT for word in said) else "stop"


def _dicts(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) and all(isinstance(one, dict) for one in value) else []
