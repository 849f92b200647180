"""The answer in a response that is, or holds, a JSON object: {"reasoning": "...", "answer": "B"}, in a fence, nested, with single quotes.

Of the fields the one that is named after an answer counts. It does not cover what the value says, nor objects without such a field.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

_NAMED: tuple[set[str], ...] = (
    {"answer"},
    {"choice", "option", "letter", "label", "selection", "selected", "answers"},
    {"final", "prediction", "result", "response", "output"},
)
"""Words in the name of an answer's field; the first group that a field is of counts, the last one only in an object that stands alone."""
_OTHER = {"explanation", "reason", "reasoning", "confidence", "score", "question", "type", "wrong", "incorrect", "rationale", "not"}
_PAIR = re.compile(
    r"(?i)[\"']?\b((?:[a-z]{1,20}[_ ])?(?:answer|choice|option|letter|label))[\"']?\s{0,4}:\s{0,4}(?:[\"']([^\"'\n]{1,200})[\"']"
    r"|(?!null\b|none\b|true\b|false\b)([A-Za-z]\w{0,11})(?=\s*[,}]))"
)
_MOST = 20_000


def answers(text: str) -> list[str] | None:
    """The values of the answer's field, one but for lists and for several such fields; None: the text holds no object that has one."""
    start, end = text.find("{"), text.rfind("}")
    body = text[start : end + 1]
    body = body[1:-1] if body.startswith("{{") and body.endswith("}}") else body  # copied from a template
    if start < 0 or not re.match(r"\{\s*[\"'\w]", body) or len(body) > _MOST:
        return None
    alone = re.search(r"\w{4}", re.sub(r"```(?:json5?|python)?", "", text[:start] + text[end + 1 :])) is None
    groups = _NAMED if alone else _NAMED[:2]
    try:
        found = list(_values(json.loads(body, strict=False), groups))
    except (ValueError, RecursionError):
        try:
            found = list(_values(ast.literal_eval(body), groups))
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            found = [quoted or bare for _, quoted, bare in _PAIR.findall(body)]
    return found or None


def _values(value: Any, groups: Sequence[set[str]]) -> Iterator[str]:
    if isinstance(value, dict):
        named = {name: set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name)).lower())) for name in value}
        for words in groups:
            if kept := [name for name in value if words & named[name] and not _OTHER & named[name]]:
                for name in kept:
                    yield from _said(value[name], groups)
                return
        if len(value) > 1 and all(isinstance(said, bool) for said in value.values()) and sum(value.values()) == 1:
            yield next(str(name) for name in value if value[name])  # {"A": false, "B": true}
            return
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict | list):
            yield from _values(inner, groups)


def _said(value: Any, groups: Sequence[set[str]]) -> Iterator[str]:
    """The texts of an answer's field: its own, or those of what it holds."""
    if isinstance(value, dict) and len(value) == 1 and not list(_values(value, groups)):
        yield ": ".join(map(str, next(iter(value.items()))))  # {"B": "Rome"}
    elif isinstance(value, dict):
        yield from _values(value, groups)
    elif isinstance(value, list):
        for one in value:
            yield from _said(one, groups)
    else:
        yield "" if value is None else str(value)
