"""Conversations: the turns that a row holds, and their transcript.

An item of several turns has their transcript for its question, which the instructor reads and whose like a program's `make` returns:

    User: I cannot log in.

    Assistant: What does the page say?

    User: That my password is wrong.

A line of a turn that itself begins with such a word gets a backslash before it, so that the turns can be read from the text again. A
conversation of one turn, the user's, is its text. Here is no verdict and no prompt (errata.tasks.table).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..signatures.errors import TaskError
from ..signatures.records import Message
from .cells import alpaca, at, chat_of, fields_of, read_chat, text_of
from .files import Row

ROLES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
"""A turn's role -> the word before it in a transcript."""
_WORDS = "|".join(ROLES.values())
_TURN = re.compile(rf"^({_WORDS}):[ \n]?", re.MULTILINE)
_LIKE_ONE = re.compile(rf"^(\\*(?:{_WORDS}):)", re.MULTILINE)
_MARKED = re.compile(rf"^\\(\\*(?:{_WORDS}):)", re.MULTILINE)


def transcript(messages: Sequence[Message]) -> str:
    """The conversation as one text, from which `turns` reads it again."""
    if len(messages) == 1 and turns(text := messages[0]["content"]) == list(messages):
        return text
    said = [(ROLES[one["role"]], _LIKE_ONE.sub(r"\\\1", one["content"])) for one in messages]
    return "\n\n".join(f"{word}: {text}" for word, text in said)


def turns(text: str) -> list[Message]:
    """The turns of a transcript, with one line break or two between them; any other text is one turn, the user's."""
    body = text.lstrip()
    found = list(_TURN.finditer(body))
    if not found or found[0].start():
        return [{"role": "user", "content": text}]
    roles = {word: role for role, word in ROLES.items()}
    ends = [one.start() for one in found[1:]] + [len(body)]
    said = [body[one.end() : end] for one, end in zip(found, ends, strict=True)]
    said[:-1] = [one.removesuffix("\n").removesuffix("\n") for one in said[:-1]]
    return [{"role": roles[one[1]], "content": _MARKED.sub(r"\1", part)} for one, part in zip(found, said, strict=True)]


class Conversation(NamedTuple):
    """What a row holds of a conversation."""

    messages: list[Message]
    """The turns up to the one that is to be answered, the last of which is the user's (or a tool's result)."""
    answer: str | None
    """The assistant's last turn, where the row holds it."""


def conversation(row: Row, name: str | None, where: str) -> Conversation | None:
    """The conversation in the column `name`; without a name, in those that usually hold one, also Alpaca's with a history or a system text;
    None: there is none. Raises TaskError for a column that holds no chat, and for a chat that asks nothing."""
    system, before = text_of(row.get("system")), []
    if name is not None:
        try:
            said = read_chat(at(row, name)) or []
        except KeyError:
            raise TaskError(
                f"{where}: field {name!r} is missing (fields there: {fields_of(row)}); mend table.messages or the row"
            ) from None
        if not said:
            raise TaskError(f"{where}: field {name!r} must be a list of turns, each with role and content; mend table.messages or the row")
    else:
        name, said = chat_of(row)
        if name == "prompt":
            said = [*said, *(read_chat(row.get("completion")) or [])]
        if not said and (found := alpaca(row)):
            before = [turn for pair in row.get("history") or [] for turn in _exchange(pair, where)]
            said = [("user", found["question"]), *([("assistant", text)] if (text := text_of(found.get("answer"))) else [])]
    if not said:
        return None
    said = [*([("system", system)] if system and said[0][0] != "system" else []), *before, *said]
    messages = [{"role": role, "content": text} for role, text in said]
    answer = messages.pop()["content"] if messages[-1]["role"] == "assistant" else None
    if odd := [one["role"] for one in messages if one["role"] not in ROLES]:
        raise TaskError(f"{where}: a turn of {odd[0]!r} is not read, only of {', '.join(ROLES)}; mend or delete the row")
    if not messages or messages[-1]["role"] not in ("user", "tool"):
        raise TaskError(f"{where}: the conversation does not end with a turn of the user's and at most one answer; mend or delete the row")
    return Conversation(messages, answer)


def _exchange(pair: object, where: str) -> list[tuple[str, str]]:
    """The two turns of a pair of a history."""
    match pair:
        case [str(asked), str(said)]:
            return [("user", asked), ("assistant", said)]
    raise TaskError(f"{where}: field 'history' must be a list of pairs, what was asked and what was answered; mend or delete the row")


def without(messages: Sequence[Message], system: str) -> list[Message]:
    """The turns but for this system text at their head."""
    return list(messages[1:] if system and messages[0] == {"role": "system", "content": system} else messages)
