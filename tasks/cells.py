"""What stands in a row's fields: a text, a number, or a question in the forms of chats and of Alpaca.

A text is read of what can be read in one way only: a whole float is its integer (18.0 is 18), a list of one, or of one value several times,
is its element, a chat of one turn is its user's words. Missing values (null, NaN, the words that pandas writes for them), infinity and
lists of several are none. It does not cover conversations of several turns (errata.tasks.chat), images, and lists of options
(errata.tasks.options).
"""

import contextlib
import itertools
import json
from datetime import date, time
from decimal import Decimal
from typing import Any

from ..signatures.errors import TaskError
from ..signatures.toolcalls import as_text
from .files import Row

QUESTIONS = ("question", "prompt", "input", "problem", "query", "instruction", "text", "user_input")
"""Names that others give to the question, the likeliest first."""
GOLDS = (
    "reference", "gold", "target", "ground_truth", "reference_answer", "correct_answer", "expected", "expected_answer", "example_answer",
    "expected_output", "ideal",
)  # fmt: skip
"""Names that others give to the gold answer."""
MISSING = ("nan", "NaN", "NAN", "NaT", "<NA>", "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!")
"""How a missing value looks that was written as text, and the errors of a sheet's formulas."""
_ROLES = {
    "human": "user",
    "developer": "system",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
}


def text_of(value: Any) -> str | None:
    """The text of a value; None: it is missing, or not one text."""
    match value:
        case str():
            return value if value.strip() and value.strip() not in MISSING else None
        case bool():
            return str(value).lower()
        case float() | Decimal():
            exact = Decimal(str(value))
            if not exact.is_finite():
                return None
            return str(int(exact)) if exact == exact.to_integral_value() and abs(exact) < 10**16 else str(value)
        case int() | date() | time():
            return str(value)
        case bytes():
            with contextlib.suppress(UnicodeDecodeError):
                return text_of(value.decode())
        case [dict(), *_]:
            chat = read_chat(value)
            return chat[0][1] if chat and [role for role, _ in chat] in (["user"], ["assistant"]) else None
        case [one, *others] if all(other == one for other in others):
            return text_of(one)
    return None


def words(value: Any) -> str:
    """The text of a field that may be missing: a solution, a skill. The texts of a list stand one a line."""
    return "\n".join(filter(None, map(text_of, value))) if isinstance(value, list) else text_of(value) or ""


def read_chat(value: Any) -> list[tuple[str, str]] | None:
    """(role, text) of a chat, written as role and content, or as from and value, also as JSON in a text, calls of tools as texts; None: it
    is none, or holds more than that."""
    if isinstance(value, str) and value.lstrip().startswith("["):  # a cell of a CSV file
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, list) or not value:
        return None
    chat = []
    for turn in value:
        role, content = (turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))) if isinstance(turn, dict) else (0, 0)
        if isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict) and part.get("type") in ("text", "output_text")]
            texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
            content = "\n".join(texts) if len(texts) == len(content) else None
        if called := as_text(turn.get("tool_calls")) if isinstance(turn, dict) and not isinstance(content, list) else "":
            content = f"{content}\n{called}" if isinstance(content, str) and content else called
        if not isinstance(role, str) or not isinstance(content, str):
            return None
        chat.append((_ROLES.get(role.lower(), role.lower()), content))
    return chat


def asked(row: Row) -> Row:
    """The row with `question`, and `answer` where it has none, if it is a chat of one turn (`messages`, `conversations`, a `prompt` of
    messages) or of Alpaca's or Dolly's form (`instruction`, `input` or `context`, `output`); any other as it is."""
    if "question" in row or told_before(row):
        return row
    name, chat = chat_of(row)
    if name == "prompt":
        chat = [*chat, *(read_chat(row.get("completion")) or [])]
    if [role for role, _ in chat] in (["user"], ["user", "assistant"]):
        return {"question": chat[0][1]} | ({"answer": chat[1][1]} if chat[1:] else {}) | row
    return alpaca(row) | row


def alpaca(row: Row) -> Row:
    """The `question`, and the `answer` where there is one, of a row of Alpaca's or Dolly's form; empty for any other."""
    task, more = row.get("instruction"), row.get("input", row.get("context"))
    if isinstance(task, str) and (text_of(more) or not isinstance(more, (list, dict))) and row.keys() & {"input", "output", "context"}:
        both = [part for part in (task.strip(), (text_of(more) or "").strip()) if part not in ("", "<noinput>")]
        found = {"question": ("\n" if "\n" in "".join(both) else " ").join(both)}
        gold = next((name for name in ("output", "response") if name in row), "")
        return found | ({"answer": row[gold]} if gold else {})
    return {}


def told_before(row: Row) -> bool:
    """Whether a row holds a system message or turns that went before, beside its instruction or chat."""
    return bool(("instruction" in row or chat_of(row)[1]) and (text_of(row.get("system")) or row.get("history")))


def chat_of(row: Row) -> tuple[str, list[tuple[str, str]]]:
    """The field of a row that holds a chat, and its turns; empty where none does."""
    return next(
        ((name, chat) for name in ("messages", "conversations", "conversation", "prompt") if (chat := read_chat(row.get(name)))), ("", [])
    )


def at(row: Row, name: str, *default: Any) -> Any:
    """The value of a field; `a.b` is the field b of the object in a. Raises KeyError where there is none and no default is given."""
    head, dot, rest = name.partition(".")
    if name in row or not dot or not isinstance(row.get(head), dict):
        return row.get(name, *default) if default else row[name]
    return at(row[head], rest, *default)


def column(row: Row, name: str, where: str, mend: str = "") -> Any:
    """The value of a field, as `at` finds it. Raises TaskError when the row has no such field."""
    try:
        return at(row, name)
    except KeyError:
        told = name == "question" and (chat_of(row)[1] or told_before(row))
        chat = ", and a chat of several turns or with a system message is read by a table alone" if told else ""
        own = ", or take the file as a table: --task jsonl:PATH" + ("" if told else f" --set table.{name}=COLUMN")
        act = mend or f"add it or delete the row{own if name in ('question', 'answer') else ''}"
        raise TaskError(f"{where}: field {name!r} is missing{chat} (fields there: {fields_of(row)}); {act}") from None


def field(row: Row, name: str, where: str, number: bool = True, mend: str = "") -> str:
    """A field's text; a number counts as text, unless `number` is False. Raises TaskError when the field is missing, empty or neither."""
    value = column(row, name, where, mend)
    text = text_of(value) if number or not isinstance(value, (int, float)) else None
    if text is None:
        many = isinstance(value, list) and len(value) > 1
        what = f"must be one text that is not empty, it is {f'a list of {len(value)}' if many else repr(str(value)[:40])}"
        raise TaskError(f"{where}: field {name!r} {what} (fields there: {fields_of(row)}); mend or delete the row")
    return text


def fields_of(row: Row) -> str:
    """The names of a row's fields, for a message."""
    names = [repr(str(name)[:60]) for name in itertools.islice(row, 20)]
    return ", ".join(names + ([f"{len(row) - 20} more"] if len(row) > 20 else [])) or "none"
