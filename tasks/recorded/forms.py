"""From a file to its answers: rows, envelopes of servers, answers of several models, lm-evaluation-harness, Errata's own. A form is known
by several of its fields together. Logs of inspect: inspect_log; what an envelope says: replies.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...signatures.errors import TaskError
from ...signatures.records import Attempt, content_hash
from ..cells import GOLDS, QUESTIONS, asked, at, chat_of, fields_of, read_chat, told_before
from ..files import Row, values
from .answer import Grade, RecordedAnswer
from .grades import of_harness, of_row, right
from .inspect_log import from_json, from_zip
from .replies import Reply, envelope, finish, reply

RESPONSES = (
    "response", "completion", "output", "prediction", "generation", "generated_text", "model_answer", "model_output", "model_response",
    "pred_answer", "responses", "completions", "outputs", "predictions", "generations", "model_outputs", "model_responses", "llm_output",
    "llm_response", "model_prediction", "pred_response", "actual_output", "modelOutput",
)  # fmt: skip
"""Names of a row's response; `response` wins, several others without it are ambiguous."""
FILTERED = "the same response under another filter"
"""Why an answer that is logged once for each filter is left out."""
IDS = ("id", "task_id", "question_id", "doc_id", "custom_id", "request_id", "recordId", "key", "uid", "qid", "idx")


def read(path: Path, fields: dict[str, str]) -> Iterator[RecordedAnswer]:
    """The answers of a file, one after the other. Raises TaskError for a file or row that is of no known form."""
    for raw, answer in _read(path, fields):
        yield from _mapped(answer, raw, fields) if answer.form != "rows" else [answer]


def _read(path: Path, fields: dict[str, str]) -> Iterator[tuple[Row, RecordedAnswer]]:
    """(what the file holds of it, the answer)."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a file of recorded answers") from None
    if magic == b"PK\x03\x04":
        yield from from_zip(path)
        return
    logged: set[str] = set()
    for where, row in _values(path):
        if not isinstance(row, dict):
            raise TaskError(f"{where}: {type(row).__name__} instead of an object; each line must be one JSON object")
        own = {"question", "response"} <= row.keys()  # whatever else the user's own rows hold
        if "eval" in row and "samples" in row and not own:
            yield from from_json(row, path)
        elif isinstance(row.get("example"), dict) and "response" in row and "question" not in row:
            yield row, _attempt(row, where)
        elif not own and ((isinstance(row.get("doc"), dict) and row.keys() & {"resps", "filtered_resps"}) or "resps" in row):
            once = content_hash([row.get("doc_id"), row.get("doc"), row.get("resps", row.get("filtered_resps"))])
            again = f"{once} {row.get('filter')}"
            # a row stands once for each filter, which older logs do not name; the same filter again is another answer
            skip = once in logged and ("filter" not in row or again not in logged)
            yield from ((row, answer) for answer in _harness(row, where, skip))
            logged |= {once} if skip else {once, again}
        elif "response" not in fields and (by_model := _by_model(row)):
            yield from ((row, answer) for answer in _models(row, by_model, where))
        else:
            yield from ((row, answer) for answer in _row(row, where, fields))


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, value) of a file, and of what lm-evaluation-harness returns to Python its samples: {"samples": {task: [...]}}."""
    for _, where, value in values(path):
        inner = value.get("samples") if isinstance(value, dict) and "results" in value else None
        if isinstance(inner, dict) and all(isinstance(rows, list) for rows in inner.values()):
            yield from ((f"{path}, {task}, sample {at}", row) for task, rows in inner.items() for at, row in enumerate(rows, start=1))
        else:
            yield where, value


def _mapped(answer: RecordedAnswer, raw: Row, fields: dict[str, str]) -> Iterator[RecordedAnswer]:
    """The answer with the fields that the user names, which win over those of its form."""
    found = _fields(fields, answer.where, raw, raw.get("doc"), raw.get("metadata"), answer.row)
    if answer.example is not None and found.keys() - {"response"}:
        raise TaskError(f"{answer.where}: a row of Errata's own holds its item; map no field but response, or give rows of another form")
    answer = answer._replace(row=answer.row | {ours: value for ours, value in found.items() if ours != "response"})
    if "response" not in found or answer.skipped:
        yield answer
        return
    for said in _replies(found["response"], fields["response"], answer.where):
        yield answer._replace(response=said.text, finish=said.finish, fault=said.fault, picked=None)


def _fields(fields: dict[str, str], where: str, *places: Any) -> Row:
    """{our name: the value of the file's field}, each from the first place that has it."""
    found: Row = {}
    for ours, theirs in fields.items():
        for place in places:
            with contextlib.suppress(KeyError, TypeError):
                found.setdefault(ours, at(place, theirs))
        if ours not in found:
            said = f"field {theirs!r}, given as --field {ours}={theirs}, is missing (fields there: {fields_of(places[0])})"
            raise TaskError(f"{where}: {said}; name another")
    return found


def _attempt(row: Row, where: str) -> RecordedAnswer:
    try:
        attempt = Attempt.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise TaskError(f"{where}: not an attempt of Errata's ({name}: {first['msg']}); mend or delete the line") from None
    verdict = attempt.verdict
    grade = (Grade("Errata", verdict.correct, verdict.extracted, verdict.reason),)
    return RecordedAnswer(
        where, "errata", {}, attempt.response, attempt.finish, example=attempt.example, target=attempt.target, grades=grade
    )


def _harness(row: Row, where: str, skip: bool) -> Iterator[RecordedAnswer]:
    """Answers of a row of lm-evaluation-harness: one a repeat."""
    doc = row.get("doc")
    if not isinstance(doc, dict):
        raise TaskError(f"{where}: field 'doc' is missing, so there is no question; log the samples again with --log_samples")
    item = _item(doc) | ({} if row.get("doc_id") is None or any(name in doc for name in IDS) else {"doc_id": row["doc_id"]})
    if item.get("answer") is None and row.get("target") is not None:
        item["answer"] = row["target"]
    grades, settings = of_harness(row), _asked(row)
    for answer in _responses(row, where, item):
        yield answer._replace(grades=grades, settings=settings, skipped=FILTERED if skip else "")
        if skip:  # it is counted once, however often it was sampled
            return


def _asked(row: Row) -> dict[str, str]:
    """How the harness asked: what it told the model of generation, and a hash of the prompt."""
    first = row.get("arguments")
    first = first.get("gen_args_0") if isinstance(first, dict) else first[0] if isinstance(first, list) and first else None
    told = first.get("arg_1") if isinstance(first, dict) else first[1] if isinstance(first, list) and len(first) > 1 else None
    found = {name: str(value) for name, value in told.items()} if isinstance(told, dict) else {}
    return found | ({"prompt_hash": str(row["prompt_hash"])} if row.get("prompt_hash") else {})


def _responses(row: Row, where: str, item: Row) -> Iterator[RecordedAnswer]:
    said = row.get("resps", row.get("filtered_resps"))
    if not isinstance(said, list) or not said:
        raise TaskError(f"{where}: field 'resps' must be a list that is not empty, it is {str(said)[:40]!r}; log the samples again")
    scores = [_likelihood(one) for one in said]
    if scores == [scores[0]] and scores[0] is not None:
        yield RecordedAnswer(where, "lm-eval", item, None, fault="one continuation alone was scored, so none was chosen")
        return
    if any(score is not None and math.isnan(score) for score in scores):
        yield RecordedAnswer(where, "lm-eval", item, None, fault="a likelihood is not a number, so none was chosen")
        return
    if all(score is not None for score in scores):
        names = [_option(row, index, where) for index in range(len(scores))]
        half = len(names) // 2
        many = half if half > 1 and names[:half] == names[half:] else len(names)  # the second half was scored without the question
        best = max(range(many), key=lambda index: scores[index] or 0.0)
        yield RecordedAnswer(where, "lm-eval", item, names[best], picked=(best, many))
        return
    for text in _flat(said):
        if not isinstance(text, str | None):
            raise TaskError(f"{where}: field 'resps' holds {type(text).__name__}, neither text nor scored options; leave the line out")
        yield RecordedAnswer(where, "lm-eval", item, text)


def _flat(value: Any) -> list[Any]:
    return [one for inner in value for one in _flat(inner)] if isinstance(value, list) else [value]


def _likelihood(value: Any) -> float | None:
    """The log-likelihood in [[-3.5, false]], also as text and without the outer list; None for a response."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and len(value) == 2 and str(value[1]) in ("True", "False"):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(value[0])
    return None


def _option(row: Row, index: int, where: str) -> str:
    """The option that was scored: `arguments` is [[context, option], ...] or {"gen_args_0": {"arg_0": context, "arg_1": option}, ...}."""
    arguments: Any = row.get("arguments")
    try:
        one = arguments[f"gen_args_{index}"] if isinstance(arguments, dict) else arguments[index]
        return str((one["arg_1"] if isinstance(one, dict) else one[1]).strip())
    except (KeyError, IndexError, TypeError, AttributeError):
        what = "field 'arguments' does not name the option that was scored"
        raise TaskError(f"{where}: {what}; log the samples again with --log_samples") from None


def _by_model(row: Row) -> dict[str, Row]:
    """{model: its answer} of a row whose objects are all answers of models."""
    inside = {name: value for name, value in row.items() if isinstance(value, dict)}
    return inside if not _named(row) and all({"solution", "is_correct"} <= value.keys() for value in inside.values()) else {}


def _models(row: Row, by_model: dict[str, Row], where: str) -> Iterator[RecordedAnswer]:
    item = _item({name: value for name, value in row.items() if name not in by_model})
    for name, value in by_model.items():
        grade = (Grade("is_correct", right(value["is_correct"]), None, str(value["is_correct"])),)
        for said in _replies(value["solution"], f"{name}.solution", where):
            yield RecordedAnswer(where, "models", item, said.text, model=name, grades=grade)


def _row(row: Row, where: str, fields: dict[str, str]) -> Iterator[RecordedAnswer]:
    """Answers of a row in which the response is a field, or which is itself a server's envelope."""
    found = _fields(fields, where, row)
    if "response" in found:
        name, said = fields["response"], found["response"]
    else:
        name, said = _response(row, where)
    rest = {key: value for key, value in row.items() if key not in ("response", name)}
    own = read_chat(row.get(name)) or []
    chat = (own[:-1] if own and own[-1][0] == "assistant" else own) or chat_of(rest)[1]  # the last turn may be the response
    mapped = {ours: value for ours, value in found.items() if ours != "response"}
    item = _item(turns_of(chat) | rest | mapped)
    for one in [said] if isinstance(said, Reply) else _replies(said, name, where):
        ended = "length" if "length" in (one.finish, finish(row)) else "stop"
        yield RecordedAnswer(where, "rows", item, one.text, ended, str(row.get("model") or ""), one.fault, grades=of_row(row))
        yield from [RecordedAnswer(where, "rows", item, None, skipped="a further choice of the same call")] * one.others


def _named(row: Row) -> list[str]:
    """Fields of a row that have the name of a response."""
    return [name for name in RESPONSES if name in row]


def _response(row: Row, where: str) -> tuple[str, Any]:
    """The name of a row's response, and what it holds; a reply, where the whole row is an envelope."""
    found = _named(row)
    whole = None if "text" in row else envelope(row)
    if whole and (not found or "custom_id" in row or row[found[0]] == whole.text or not isinstance(row[found[0]], str)):
        return "", whole
    if whole:
        raise TaskError(f"{where}: {found[0]!r} and the reply of a server may both be the response; say which with --field response=NAME")
    if "response" in found or len(found) == 1:
        return found[0], row[found[0]]
    if found:
        raise TaskError(f"{where}: {' and '.join(map(repr, found))} may both be the response; say which with --field response=NAME")
    if "answer" in row and any(name in row for name in GOLDS):
        return "answer", row["answer"]
    name, chat = chat_of(row)
    if chat and chat[-1][0] == "assistant":
        return name, chat[-1][1]
    if "task_id" in row and isinstance(row.get("solution"), str) and not row.keys() & {*QUESTIONS, *GOLDS, "answer"}:
        return "solution", row["solution"]
    if isinstance(row.get("results"), dict) or isinstance(row.get("eval"), dict):
        mend = "give samples_*.jsonl beside it, which lm_eval writes with --log_samples"
        raise TaskError(f"{where}: scores without answers, neither a log of inspect with its samples nor rows; {mend}")
    if {"custom_id", "body"} <= row.keys():
        raise TaskError(f"{where}: a request of a batch, not its answer; give the batch's output file")
    raise TaskError(f"{where}: no response (fields there: {fields_of(row)}); name the field that holds it with --field response=NAME")


def _replies(value: Any, name: str, where: str) -> list[Reply]:
    """The replies in a field: one, or one for each element of a list."""
    whole = reply(value)
    many = [whole] if whole or not isinstance(value, list) else [reply(one) for one in value]
    found = [one for one in many if one]
    if not found or len(found) < len(many):
        inside = f"name the text in it with --field response={name}.FIELD"
        mend = inside if isinstance(value, dict) else "mend the row, or map another by --field"
        raise TaskError(f"{where}: field {name!r} must be text, it is {json.dumps(value, default=str)[:40]}; {mend}")
    return found


def turns_of(chat: list[tuple[str, str]]) -> Row:
    """What a chat that was asked says of its item: its `turns` where there are several, its question, and an answer at its end."""
    *asked, (role, text) = chat or [("", "")]
    gold = {"answer": text} if role == "assistant" else {}
    asked = asked if gold else chat
    users = [text for role, text in asked if role == "user"]
    turns = [{"role": role, "content": text} for role, text in asked]
    return gold | ({"turns": turns} if turns[1:] else {}) | ({"question": users[0]} if len(users) == 1 else {})


def _item(row: Row) -> Row:
    """A row with its question under `question` and its gold under `answer`, where it has them under other names."""
    item = dict(asked(row))
    for ours, names in (("question", QUESTIONS), ("answer", GOLDS)):
        name = next((name for name in names if item.get(name) is not None), None)
        alone = ours != "question" or not told_before(row)  # else a part of what was asked would be lost
        if item.get(ours) is None and name is not None and alone:
            item[ours] = item[name]
    return item
