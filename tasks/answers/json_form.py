"""Answers that are a JSON value, compared by value and written as the gold answers are."""

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...signatures.errors import TaskError, UsageError, near
from ...signatures.records import Example, Verdict
from .. import schema
from ..base import ended
from ..cells import column
from ..files import Row
from ..rows import file_hash
from ..settings import TableSettings
from ..verdicts import values
from ..verdicts.values import NotJson
from .form import Form, Gold, Helpers, naming

LOOKED_AT = 50
"""Gold answers from which the way of writing is learned."""
MOST = 5000
"""Gold answers, train's first, whose text is kept until then."""


@dataclass(frozen=True)
class Style:
    """How gold answers are written."""

    before: str = ""
    """What stands around the value, e.g. a fence."""
    behind: str = ""
    dumps: dict[str, Any] = field(default_factory=lambda: {"ensure_ascii": False})
    """Arguments of json.dumps."""

    def write(self, value: Any) -> str:
        return f"{self.before}{json.dumps(value, **self.dumps)}{self.behind}"


class JsonForm(Form):
    """A JSON value: an object with fields, as a rule."""

    kind = "json"
    ask = "Answer with JSON alone."
    brief = "Questions whose answer is JSON. The response is the JSON and nothing else."

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        self.schema = schema.given(settings.schema) if settings.schema is not None else None
        """None: not given, and no train item was seen yet."""
        if isinstance(settings.schema, str):
            self.data = {settings.schema: file_hash(Path(settings.schema).expanduser())}
        self._order: Mapping[str, Any] = {}
        self._numbers: Mapping[str, set[type]] = {}
        self._style = Style()
        self._written: dict[str, str] = {}

    def read(self, row: Row, where: str, question: str) -> Gold:
        name = self.settings.answer
        said = column(row, name, where, naming(self.settings, row, "answer"))
        try:
            value = values.read(said).value if isinstance(said, str) else said
            answer = json.dumps(value, ensure_ascii=False, allow_nan=False)
            if said is None:
                raise ValueError("it is empty; a gold null is the text null")
        except (ValueError, TypeError) as error:
            raise TaskError(f"{where}: field {name!r} holds no JSON value ({error}); mend or delete the row") from None
        if self.settings.schema is not None and (fault := schema.fault(self.schema or {}, value)):
            raise TaskError(f"{where}: the gold answer breaks table.schema ({fault}); mend the row or the schema")
        if isinstance(said, str) and len(self._written) < MOST:
            self._written[answer] = said.strip()
        return Gold(question, answer, {})

    def learn(self, train: Sequence[Example]) -> None:
        super().learn(train)
        golds = [json.loads(example.answer) for example in train]
        self._order = seen = schema.inferred(golds)
        self._numbers = schema.numbers(golds)
        self._style = _style([text for example in train if (text := self._written.get(example.answer))][:LOOKED_AT])
        self._written = {}
        if golds:
            self._refuse_unknown_fields(golds)
        if self.schema is None and golds:
            self.schema = seen
            self.taken = f"the form of answers is that of {len(golds)} train answers, {schema.sketch(seen)}"
            self.setting = f"table.schema: {json.dumps(seen, ensure_ascii=False)}"
        if self.schema:
            first = "Work it out, and end with" if self.worked else "Answer with JSON alone,"
            self.ask = f"{first} {'JSON ' if self.worked else ''}of this form: {schema.sketch(self.schema)}"
            self.facts = f"The JSON Schema of answers: {json.dumps(self.schema, ensure_ascii=False)}{self._compared()}"

    def _refuse_unknown_fields(self, golds: Sequence[Any]) -> None:
        for name in self.settings.fields or ():
            if not any(name in _picked(gold, (name,)) for gold in golds):
                known = list(dict.fromkeys(one for gold in golds if isinstance(gold, dict) for one in gold))
                hint = f"did you mean {close}? " if (close := near(name, known)) else ""
                raise UsageError(
                    f"table.fields names {name!r}, which no gold answer has: {hint}fields are {', '.join(known[:20]) or 'none'}"
                )

    def _compared(self) -> str:
        """What counts where not all does, for the instructor."""
        settings = self.settings
        parts = [f"Of them only {', '.join(settings.fields)} are judged." if settings.fields else ""]
        parts += [f"Numbers may differ by {settings.tolerance:g} of the right one." if settings.tolerance else ""]
        parts += ["The order of lists does not count." if settings.unordered else ""]
        return "".join(f" {part}" for part in parts if part)

    def judge(self, example: Example, response: str) -> Verdict:
        gold = json.loads(example.answer)
        fields = self.settings.fields
        names = fields or (tuple(gold) if isinstance(gold, dict) else ())
        try:
            given = values.read(response, gold).value
        except NotJson as error:
            return Verdict(correct=False, extracted=None, reason=str(error), fields=dict.fromkeys(names, False) or None)
        known, said = (_picked(one, names) for one in (gold, given))
        equal = {
            name: name not in said if name not in known else name in said and not self._differs(known[name], said[name]) for name in names
        }
        fault = self._differs(known, said) if fields else self._differs(gold, given)
        text = json.dumps(given, ensure_ascii=False)
        return Verdict(correct=not fault, extracted=text, reason=fault or "right", fields=equal or None)

    def _differs(self, gold: Any, given: Any) -> str:
        return values.differs(gold, given, self.settings.tolerance, self.settings.unordered)

    def fault(self, answer: str) -> str:
        return f"it breaks the schema: {found}" if (found := schema.fault(self.schema or {}, json.loads(answer))) else ""

    def completion(self, solution: str, answer: str) -> str:
        with contextlib.suppress(ValueError, RecursionError):  # an answer that is not JSON stays as it is
            answer = self._style.write(schema.numbered(schema.ordered(json.loads(answer), self._order), self._numbers))
        return ended(solution, answer) if self.worked else answer


def _picked(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """The fields of an object by name, a field of a field as `outer.inner`; those that it lacks are left out."""
    found = {}
    for name in names:
        inner: Any = value
        for part in [name] if isinstance(value, dict) and name in value else name.split("."):
            if not isinstance(inner, dict) or part not in inner:
                break
            inner = inner[part]
        else:
            found[name] = inner
    return found


def _style(texts: Sequence[str]) -> Style:
    """The way of writing that gives most of the texts byte for byte."""
    found = [values.read(text) for text in texts]
    around = Counter((text[: one.start], text[one.end :]) for text, one in zip(texts, found, strict=True))
    before, behind = next((one for one, count in around.items() if 2 * count > len(texts)), ("", ""))
    ways = itertools.product((None, 2, 4, 1, 3, 8, "\t"), ((", ", ": "), (",", ":"), (",", ": ")), (False, True))
    styles = [Style(before, behind, {"indent": one, "separators": two, "ensure_ascii": three}) for one, two, three in ways]
    return max(styles, key=lambda style: sum(style.write(one.value) == text for text, one in zip(texts, found, strict=True)))
