"""The options of a question, and which of them is the gold answer, in the forms that data sets have.

Options are a list of texts or numbers, of objects {"label", "text"} or {"key", "value"} or {label: text}, or of [label, text] pairs; one
object {label: text}, or {"text": [...], "label": [...]}; any of these in a text, as JSON or as Python writes it (a cell of a CSV file); or
lines "A) text". Missing values at the end are padding. What could be read in two ways is refused. It does not cover several right options.
"""

import ast
import json
import re
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..signatures.errors import TaskError
from ..signatures.records import Example
from .cells import text_of
from .verdicts.choice import Choices, stem

_TEXTS = ("text", "value", "content", "option", "option_text", "answer", "choice")
_LABELS = ("label", "key", "id", "letter", "option_label", "name")
_NUMBERED = re.compile(r"\s*\(?(\d{1,2})[.)]\s+(\S.*)", re.DOTALL)
_LETTERED = re.compile(r"\s*\(?([A-Za-z]|\d{1,2})\s*[).:]\s*(\S.*)", re.DOTALL)


class Options(NamedTuple):
    """The options of one question."""

    choices: Choices
    """{label: text}."""
    labelled: bool
    """Whether the data give the labels; else they are A, B, C..."""
    numbers: bool
    """Whether options are numbers in the data, and not texts."""
    columns: tuple[str, ...] = ()
    """Names of the columns that held them, by which a gold may name one."""


def options(value: Any, where: str) -> Options:
    """The options in a value. Raises TaskError."""
    pairs = _pairs(value, where)
    while pairs and text_of(pairs[-1][1]) is None and not isinstance(pairs[-1][1], (list, tuple, dict)):
        pairs.pop()
    labelled = any(label is not None for label, _ in pairs)
    if len(pairs) > 26 and not labelled:
        raise TaskError(f"{where}: {len(pairs)} options are more than there are letters; give 26 at most")
    choices: Choices = {}
    for number, (label, words) in enumerate(pairs, start=1):
        name = (text_of(label) or "").strip(" ().:") if labelled else string.ascii_uppercase[number - 1]
        text = None if isinstance(words, (list, tuple, dict)) else text_of(words)
        if not name or text is None or name in choices:
            what = "has no text" if text is None else f"has the label {name!r} of another" if name else "has no label"
            raise TaskError(f"{where}: option {number} {what}, it is {str(words)[:40]!r}; mend or delete the row")
        choices[name] = text.strip()
    if len(choices) < 2:
        raise TaskError(f"{where}: there are {len(choices)} options in {str(value)[:60]!r}; give two or more, as a list or {{label: text}}")
    return Options(choices, labelled, any(isinstance(words, (int, float)) for _, words in pairs))


def _pairs(value: Any, where: str) -> list[tuple[Any, Any]]:
    """(label, text) of each option, the padding still in place."""
    if isinstance(value, str):
        lines = [line for line in value.splitlines() if line.strip()]
        value = lines if len(lines) > 1 and all(map(_LETTERED.match, lines)) else _literal(value)
    if isinstance(value, dict):
        texts = next((value[name] for name in ("text", "texts") if isinstance(value.get(name), list)), None)
        labels = next((value[name] for name in ("label", "labels") if isinstance(value.get(name), list)), None)
        if texts is None and any(isinstance(words, bool) for words in value.values()):
            raise TaskError(f"{where}: the options {str(value)[:60]!r} say which are right; give {{label: text}}, and the answer apart")
        if texts is None:  # a label whose option is missing is no option of this row
            return [(label, words) for label, words in value.items() if text_of(words) is not None or isinstance(words, (list, dict))]
        if labels is not None and len(labels) != len(texts):
            raise TaskError(f"{where}: {len(labels)} labels for {len(texts)} options; mend or delete the row")
        return list(zip(labels or [None] * len(texts), texts, strict=True))
    if not isinstance(value, (list, tuple)):
        raise TaskError(f"{where}: the options must be a list or an object, not {str(value)[:40]!r}; mend or delete the row")
    if value and all(isinstance(one, dict) for one in value):
        one_of_letters = len(value) == 1 and len(value[0]) > 1 and all(len(str(label)) == 1 for label in value[0])
        return _pairs(value[0], where) if one_of_letters else _objects(value, where)
    if value and all(isinstance(one, (list, tuple)) and len(one) == 2 for one in value):
        labels = [str(label) for label, _ in value]
        if labels in [
            list(letters[: len(value)]) for letters in (string.ascii_uppercase, string.ascii_lowercase, "123456789", "012345678")
        ]:
            return list(map(tuple, value))
    said = [match for one in value if isinstance(one, str) and (match := _LETTERED.fullmatch(one))]
    if value and [match[1].upper() for match in said] == list(string.ascii_uppercase[: len(value)]):
        return [(match[1].upper(), match[2].strip()) for match in said]
    said = [match for one in value if isinstance(one, str) and (match := _NUMBERED.fullmatch(one))]
    if value and [match[1] for match in said] == [str(number) for number in range(1, len(value) + 1)]:
        return [(match[1], match[2].strip()) for match in said]
    return [(None, words) for words in value]


def _objects(value: Sequence[dict[str, Any]], where: str) -> list[tuple[Any, Any]]:
    if all(len(one) == 1 and next(iter(one)) not in _TEXTS for one in value):
        return [pair for one in value for pair in one.items()]
    found = []
    for one in value:
        texts, labels = ([one[name] for name in names if name in one] for names in (_TEXTS, _LABELS))
        if len(texts) != 1 or len(labels) > 1:
            raise TaskError(f"{where}: an option is {str(one)[:60]!r}; give each as {{'label': 'A', 'text': '...'}}, or as its text")
        found.append((labels[0] if labels else None, texts[0]))
    return found


def _literal(text: str) -> Any:
    """The list or object that a text holds, as JSON or as Python or NumPy writes it; else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        literal = text.strip().startswith(("[", "{", "(", "array(")) and len(text) < 100_000
        return ast.literal_eval(_Plain().visit(ast.parse(text.strip(), mode="eval"))) if literal else text
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


class _Plain(ast.NodeTransformer):
    """Takes the list out of array([...], dtype=object), as pandas writes cells, and reads nan as missing."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        known = isinstance(node.func, ast.Name) and node.func.id == "array" and node.args
        return self.visit(node.args[0]) if known else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(None) if node.id == "nan" else node


def gold(value: Any, found: Options, where: str) -> str:
    """The label of the right option, of its label, its text, or its index from 0. Raises TaskError when it is none, or may be several."""
    choices = found.choices
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return gold(value[0], found, where)
    text = None if isinstance(value, (list, tuple, dict)) else text_of(value)
    if text is None:
        raise TaskError(f"{where}: the answer is {str(value)[:40]!r}, which names no option; give the label of one, or delete the row")
    text, match = text.strip(), _LETTERED.fullmatch(text)
    index = int(float(text)) if re.fullmatch(r"[0-9]{1,3}(\.0)?", text) else len(choices)
    readings = {
        "label": [label for label in choices if text.strip(" ().:").casefold() == label.casefold()],
        "text": [label for label, words in choices.items() if words.strip() == text]
        or [label for label, words in choices.items() if words.strip().casefold() == text.casefold()],
        "both": [label for label, words in choices.items() if match and (match[1].upper(), match[2].strip()) == (label, words.strip())],
        "index": list(choices)[index : index + 1],
        # option1, option_b: by the column's name, or the number at its end
        "column": [
            label for label, name in zip(choices, found.columns, strict=False) if text in (name, name[len(name.rstrip(string.digits)) :])
        ],
    }
    if found.labelled and readings["label"]:
        readings = {"label": readings["label"]}
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and not found.numbers:
        readings = {"index": readings["index"]}  # a text would be written as the options are
    named = list(dict.fromkeys(label for labels in readings.values() for label in labels))
    if len(named) > 1:
        raise TaskError(f"{where}: the answer {text[:40]!r} may be {' or '.join(named)}; give the option's label, or its whole text")
    if not named:
        raise TaskError(f"{where}: the answer {text[:40]!r} is not one of the options {', '.join(choices)}; mend or delete the row")
    return named[0]


def asked(example: Example) -> str:
    """What an item asks: the same in another case, with other blanks, and with its options in another order."""
    choices = example.meta.get("choices")
    texts = [stem(example.question, choices), *sorted(choices.values())] if isinstance(choices, dict) else [example.question]
    return " ".join(" ".join(texts).casefold().split())
