"""From a file to its answers: rows, answers of several models, lm-evaluation-harness, Errata's own. Logs of inspect: inspect_log."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...signatures.errors import TaskError
from ...signatures.records import Attempt
from ..rows import Row, fields_of, json_lines, read_json
from .answer import CUT, OTHER_FILTER, RecordedAnswer
from .inspect_log import from_json, from_zip

RESPONSES = (
    "response", "completion", "output", "prediction", "generation", "generated_text", "model_answer", "model_output", "model_response",
)  # fmt: skip
"""Names of a row's response; `response` wins, several others without it are ambiguous."""
QUESTIONS = ("question", "prompt", "input", "problem", "query", "instruction", "text")
GOLDS = ("reference", "gold", "target", "ground_truth", "reference_answer", "correct_answer", "expected", "expected_answer")
IDS = ("id", "task_id", "question_id", "doc_id")


def read(path: Path, fields: dict[str, str]) -> Iterator[RecordedAnswer]:
    """The answers of a file, one after the other. Raises TaskError for a file or row that is of no known form."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a file of recorded answers") from None
    if magic == b"PK\x03\x04":
        yield from from_zip(path)
        return
    if magic[:2] == b"\x1f\x8b":
        raise TaskError(f"{path}: is compressed; unpack it with gunzip first")
    if path.suffix == ".json":
        data = read_json(path)
        if isinstance(data, dict) and isinstance(data.get("samples"), list):
            yield from from_json(data, path)
            return
        if not isinstance(data, list) or not data:
            raise TaskError(f"{path}: neither a log of inspect (`samples` is missing) nor a list of rows; give JSON lines, or such a log")
        lines: Iterable[tuple[str, Any]] = ((f"{path}, row {number}", row) for number, row in enumerate(data, start=1))
    else:
        lines = json_lines(path)
    first_filter: str | None = None
    empty = True
    for where, row in lines:
        empty = False
        if not isinstance(row, dict):
            raise TaskError(f"{where}: {type(row).__name__} instead of an object; each line must be one JSON object")
        if isinstance(row.get("example"), dict):
            yield _attempt(row, where)
        elif isinstance(row.get("doc"), dict) or "resps" in row or "filtered_resps" in row:
            used = str(row.get("filter", ""))
            first_filter = used if first_filter is None else first_filter
            yield from _harness(row, where, used == first_filter)
        elif by_model := {name: value for name, value in row.items() if isinstance(value, dict) and "solution" in value}:
            yield from _models(row, by_model, where)
        else:
            yield from _row(row, where, fields)
    if empty:
        raise TaskError(f"{path}: holds no rows; give a file of recorded answers")


def _attempt(row: Row, where: str) -> RecordedAnswer:
    try:
        attempt = Attempt.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise TaskError(f"{where}: not an attempt of Errata's ({name}: {first['msg']}); mend or delete the line") from None
    return RecordedAnswer(where, "errata", {}, attempt.response, attempt.finish, example=attempt.example, target=attempt.target)


def _harness(row: Row, where: str, counted: bool) -> Iterator[RecordedAnswer]:
    """Answers of a row of lm-evaluation-harness: one a repeat."""
    doc = row.get("doc")
    if not isinstance(doc, dict):
        raise TaskError(f"{where}: field 'doc' is missing, so there is no question; log the samples again with --log_samples")
    item = _item(doc) | ({} if row.get("doc_id") is None or any(name in doc for name in IDS) else {"doc_id": row["doc_id"]})
    if item.get("answer") is None and row.get("target") is not None:
        item["answer"] = row["target"]
    if not counted:
        yield RecordedAnswer(where, "lm-eval", item, None, fault=OTHER_FILTER)
        return
    said = row.get("resps", row.get("filtered_resps"))
    if not isinstance(said, list) or not said:
        raise TaskError(f"{where}: field 'resps' must be a list that is not empty, it is {str(said)[:40]!r}; log the samples again")
    scores = [_likelihood(one) for one in said]
    if all(score is not None for score in scores):
        best = max(range(len(scores)), key=lambda index: scores[index] or 0.0)
        yield RecordedAnswer(where, "lm-eval", item, _continuation(row.get("arguments"), best, where), picked=(best, len(scores)))
        return
    for text in _flat(said):
        if not isinstance(text, str):
            raise TaskError(f"{where}: field 'resps' holds {type(text).__name__}, neither text nor scored options; leave the line out")
        yield RecordedAnswer(where, "lm-eval", item, text)


def _flat(value: Any) -> list[Any]:
    return [one for inner in value for one in _flat(inner)] if isinstance(value, list) else [value]


def _likelihood(value: Any) -> float | None:
    """The log-likelihood in [[-3.5, false]], also as text and without the outer list; None for a response."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and len(value) == 2 and str(value[1]) in ("True", "False"):
        with contextlib.suppress(TypeError, ValueError):
            return float(value[0])
    return None


def _continuation(arguments: Any, index: int, where: str) -> str:
    """The option that was scored: `arguments` is [[context, option], ...] or {"gen_args_0": {"arg_0": context, "arg_1": option}, ...}."""
    try:
        one = arguments[f"gen_args_{index}"] if isinstance(arguments, dict) else arguments[index]
        text = one["arg_1"] if isinstance(one, dict) else one[1]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise TaskError(f"{where}: field 'arguments' does not name the option that was scored; log the samples again with --log_samples")
    return text.strip()


def _models(row: Row, by_model: dict[str, Row], where: str) -> Iterator[RecordedAnswer]:
    item = _item({name: value for name, value in row.items() if name not in by_model})
    for name, value in by_model.items():
        yield RecordedAnswer(where, "models", item, _text(value["solution"], f"{name}.solution", where), model=name)


def _row(row: Row, where: str, fields: dict[str, str]) -> Iterator[RecordedAnswer]:
    for ours, theirs in fields.items():
        if theirs not in row:
            raise TaskError(f"{where}: field {theirs!r}, given as --field {ours}={theirs}, is missing (fields there: {fields_of(row)})")
    mapped = row | {ours: row[theirs] for ours, theirs in fields.items()}
    name = fields.get("response") or _response_name(row, where)
    item = _item({key: value for key, value in mapped.items() if key != "response" and (key != name or key in fields)})
    ended = next((str(row[key]) for key in ("finish_reason", "stop_reason", "finish") if row.get(key) is not None), "stop")
    finish, model = "length" if ended in CUT else "stop", str(row.get("model") or "")
    for one in row[name] if isinstance(row[name], list) else [row[name]]:
        yield RecordedAnswer(where, "rows", item, _text(one, name, where), finish, model)


def _response_name(row: Row, where: str) -> str:
    found = [name for name in RESPONSES if name in row]
    if "response" in found or len(found) == 1:
        return found[0]
    if found:
        raise TaskError(f"{where}: {' and '.join(map(repr, found))} may both be the response; say which with --field response=NAME")
    if "answer" in row and any(name in row for name in GOLDS):
        return "answer"
    raise TaskError(f"{where}: no response (fields there: {fields_of(row)}); name the field that holds it with --field response=NAME")


def _item(row: Row) -> Row:
    """A row with its question under `question` and its gold under `answer`, where it has them under other names."""
    item = dict(row)
    for ours, names in (("question", QUESTIONS), ("answer", GOLDS)):
        name = next((name for name in names if item.get(name) is not None), None)
        if item.get(ours) is None and name is not None:
            item[ours] = item[name]
    return item


def _text(value: Any, name: str, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise TaskError(f"{where}: field {name!r} must be text, it is {json.dumps(value)[:40]}; mend the row, or map another by --field")
