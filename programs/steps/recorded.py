"""Answers that a model has already given, as input: read from the forms people have, judged by the task, mined instead of the target's own.

    errata import FILE... --task gsm8k:PATH --run DIR       then: errata generate --run DIR, errata cycle --run DIR --target MODEL

Forms, told apart by their fields:
- `errata`: rows of an attempts.jsonl of Errata's own.
- `lm-eval`: samples_*.jsonl of lm-evaluation-harness `--log_samples`. The response is what the model said (`resps`), never a filter's cut
  of it; a document is logged once a filter, and only the rows of the first filter count. Where options were scored and nothing was said,
  the option of the highest likelihood is the response.
- `inspect`: an eval log of inspect, .json or .eval (a zip, deflated or in Zstandard). A sample that ended in an error is unjudged.
- `models`: rows that hold the answers of several models, each an object {"solution": text} under the model's name.
- `rows`: JSON lines, or a .json list, with a response and a question or an id.

A row that carries its gold answer is read by the task's own reader, and the task needs no data of its own; else the gold is joined from the
task's items by id or by the exact question. An answer to a dev or test item is judged and counted, but stands apart from train: the
instructor never sees it. Duplicates count.

What is not here: chats of several turns, scores by other people's graders (each answer is judged anew), compressed JSON lines, and .json
logs larger than memory.
"""

import hashlib
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pydantic import ValidationError

from ...signatures.errors import RunError, TaskError, UsageError
from ...signatures.records import Attempt, Example, Verdict, content_hash, whole
from ...tasks import Task
from ...tasks.rows import Row, from_path, read_json
from ..run.directory import Stage, write_atomic
from ..run.evaluate import judged
from ..stats import counts

RESPONSES = (
    "response", "completion", "output", "prediction", "generation", "generated_text", "model_answer", "model_output", "model_response",
)  # fmt: skip
"""Names of a row's response; `response` wins, several others without it are ambiguous."""
QUESTIONS = ("question", "prompt", "input", "problem", "query", "instruction", "text")
GOLDS = ("reference", "gold", "target", "ground_truth", "reference_answer", "correct_answer", "expected", "expected_answer")
IDS = ("id", "task_id", "question_id", "doc_id")
CUT = ("length", "max_tokens", "model_length")
"""What logs call a response that the token limit cut."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Answer(NamedTuple):
    """One recorded answer, before it meets the task."""

    where: str
    """File and line, for messages and lineage."""
    form: str
    row: Row
    """The item's own fields, as the task's reader takes them; empty for `errata`."""
    response: str | None
    """None: nothing was recorded, a fault of the machinery."""
    finish: str = "stop"
    model: str = ""
    fault: str = "no response was recorded"
    """Why there is no response."""
    example: Example | None = None
    """The example itself, of rows of Errata's own."""
    target: str = ""
    """Hash of the weights that answered, where Errata recorded it."""
    picked: tuple[int, int] | None = None
    """(index of the option with the highest likelihood, options), where options were scored."""


class Recorded(NamedTuple):
    """What files hold: answers that have met their examples, and what was read of each file."""

    rows: list[tuple[Example, Answer]]
    files: list[dict[str, Any]]


@runtime_checkable
class ReadsRows(Protocol):
    """A task that makes an example of a row that carries its gold."""

    def read(self, row: Row, split: str, where: str) -> Example: ...


def load(
    paths: Sequence[Path], task: Task, source: Path | None = None, fields: dict[str, str] | None = None, model: str | None = None
) -> Recorded:
    """The answers of the files, each with its example. `source` is the task's own data, None where it has none here; `fields` maps our
    names (response, question, answer, id, or one that the task reads) to the file's; `model` keeps the answers of one model.

    Raises TaskError, naming file, line, what is missing and what to do, and UsageError when no answer is of `model`.
    """
    items = _Items(task, source)
    rows, files = [], []
    models: set[str] = set()
    for path in paths:
        kept = skipped = 0
        forms: Counter[str] = Counter()
        for answer in read(path, fields or {}):
            forms[answer.form] += 1
            models.add(answer.model)
            if answer.fault == OTHER_FILTER or model not in (None, answer.model):
                skipped += 1
                continue
            kept += 1
            example = items.example(answer)
            rows.append((example, _spoken(answer._replace(response=whole(answer.response)), example)))
        digest = _sha256(path)
        files.append({"file": str(path), "sha256": digest, "forms": dict(forms), "answers": kept, "left_out": skipped})
    if not rows:
        there = ", ".join(sorted(filter(None, models))) or "none is named"
        raise UsageError(f"no answer is of model {model!r}; models there: {there}")
    return Recorded(rows, files)


def take(recorded: Recorded, task: Task, stage: Stage, folder: Path) -> dict[str, Any]:
    """Judge the answers into the stage (round 1's `mine`) and copy its rows to <folder>/attempts.jsonl; what `errata import` prints.

    Continues where a kill left it. Raises RunError when the stage holds other answers.
    """
    sources = [content_hash([example.id, answer.response, answer.finish]) for example, answer in recorded.rows]
    if stage.done and stage.facts().get("answers") != content_hash(sources):
        raise RunError(f"{folder} holds other recorded answers; choose another --run")
    rows = stage.collect(
        "attempts.jsonl",
        range(len(sources)),
        lambda index: f"{index}:{sources[index]}",
        lambda missing: _judged(recorded.rows, missing, task),
        Attempt,
    )
    held_out = sum(row.example.split != "train" for row in rows)
    if not stage.done:
        facts = counts(rows) | {"held_out": held_out, "answers": content_hash(sources), "read": recorded.files}
        stage.finish({"attempts.jsonl": rows}, **facts)
    write_atomic(folder / "attempts.jsonl", (stage.path / "attempts.jsonl").read_bytes())
    document = counts(rows) | {"held_out": held_out, "attempts": str(folder / "attempts.jsonl"), "files": recorded.files}
    reasons = Counter(row.verdict.reason for row in rows if row.verdict.correct is None)
    return document | {"unjudged_reasons": dict(reasons.most_common())}


def _judged(rows: Sequence[tuple[Example, Answer]], missing: Iterable[int], task: Task) -> Generator[tuple[int, Attempt]]:
    def judge(index: int) -> tuple[int, Attempt]:
        example, answer = rows[index]
        if answer.response is None:
            verdict = Verdict(correct=None, extracted=None, reason=answer.fault)
        else:
            verdict = task.verdict(example, answer.response)
        said = answer.response or ""
        return index, Attempt(example=example, response=said, verdict=verdict, target=answer.target, finish=answer.finish)

    return judged(task, judge, missing)


def parse_field(text: str) -> tuple[str, str]:
    """Our name and the file's, of --field NAME=FIELD."""
    ours, equals, theirs = text.partition("=")
    if not equals or not ours.strip() or not theirs.strip():
        raise UsageError(f"--field takes NAME=FIELD, e.g. --field response=output, not {text!r}")
    return ours.strip(), theirs.strip()


def source_of(task: str) -> Path | None:
    """The path in a task's name: gsm8k:PATH."""
    kind, _, rest = task.partition(":")
    return Path(rest).expanduser() if rest and kind not in ("hf", "reasoning_gym") else None


# ---- from an answer to its example


class _Items:
    """Finds the example that an answer belongs to."""

    def __init__(self, task: Task, source: Path | None):
        self._task = task
        self._source = source
        self._known = source is not None or not isinstance(task, ReadsRows) or task.name.startswith("hf:")
        self._by_question: dict[str, list[Example]] | None = None
        self._by_id: dict[str, Example] | None = None

    def example(self, answer: Answer) -> Example:
        """Raises TaskError when the row neither carries its gold nor is found among the task's items."""
        if answer.example is not None:
            return self._placed(answer.example, answer)
        example = self._own(answer)
        if isinstance(example, TaskError):
            fact = str(example).rpartition(";")[0] or str(example)
            found = self._joined(answer)
            if found is None and self._known:
                raise TaskError(f"{fact}, and {self._task.name} has no item of this question or id; mend the row, or --field answer=NAME")
            if found is None:
                name = f"{self._task.name}:PATH"
                raise TaskError(f"{fact}; map the gold with --field answer=NAME, or give the task with its data, {name}")
            example = found
        return self._placed(example, answer)

    def _own(self, answer: Answer) -> Example | TaskError:
        """The example that the row itself carries, or why it carries none."""
        row = answer.row
        if isinstance(self._task, ReadsRows):
            try:
                return self._task.read(row, "train", answer.where)
            except TaskError as error:
                return error
        if self._task.kind == "number" and row.get("question") and row.get("answer") is not None:
            text = str(row["answer"])
            return Example(
                task=self._task.name,
                split="train",
                question=str(row["question"]),
                answer=text.rpartition("####")[2].strip(),
                solution=text if "####" in text else "",
                skill=str(row.get("skill") or ""),
            )
        return TaskError(f"{answer.where}: the row carries no item of {self._task.name}")

    def _joined(self, answer: Answer) -> Example | None:
        """The one item with the row's id, or else with its question; an id that is another question's says nothing."""
        if not self._known:
            return None
        row, ids = answer.row, self._ids()
        question = _key(str(row["question"])) if row.get("question") is not None else ""
        named = [ids[str(row[name])] for name in IDS if str(row.get(name)) in ids]
        found = [example for example in named if question in _key(example.question)] or self._questions().get(question, [])
        if len({example.id for example in found}) > 1:
            raise TaskError(f"{answer.where}: several items of {self._task.name} have this question; give the whole row, or its id")
        return found[0] if found else None

    def _placed(self, example: Example, answer: Answer) -> Example:
        """The example in the split that its question has in the task, with where it was recorded."""
        split = example.split
        if self._known:
            same = self._questions().get(_key(example.question), [])
            split = next((other.split for other in same if other.split != "train"), split)
        meta = example.meta
        if answer.example is None:
            meta = meta | {"recorded": answer.where} | ({"model": answer.model} if answer.model else {})
        return example.model_copy(update={"split": split, "meta": meta})

    def _questions(self) -> dict[str, list[Example]]:
        """Items by the words of their question, as it is shown and, for options, without them."""
        if self._by_question is None:
            self._by_question = {}
            for split in ("train", "dev", "test"):
                for example in self._task.examples(split):
                    for text in {_key(example.question), _key(str(example.meta.get("stem", example.question)))}:
                        self._by_question.setdefault(text, []).append(example)
        return self._by_question

    def _ids(self) -> dict[str, Example]:
        """Items by id: the data's own ids, and those of Errata's examples."""
        if self._by_id is None:
            self._by_id = {example.id: example for found in self._questions().values() for example in found}
            if self._source is not None and isinstance(self._task, ReadsRows):
                for split, where, row in from_path(self._source):
                    for name in IDS:
                        if row.get(name) is not None:
                            self._by_id[str(row[name])] = self._task.read(row, split, where)
        return self._by_id


def _key(question: str) -> str:
    return " ".join(question.split())


def _spoken(answer: Answer, example: Example) -> Answer:
    """Where options were scored, the label of the likeliest one is the response: its words may be part of another option's."""
    choices = example.meta.get("choices") or {}
    if answer.picked is None or len(choices) != answer.picked[1]:
        return answer
    return answer._replace(response=f"Answer: {list(choices)[answer.picked[0]]}")


# ---- from a file to its answers

OTHER_FILTER = "the same response under another filter"


def read(path: Path, fields: dict[str, str]) -> Iterator[Answer]:
    """The answers of a file, one after the other. Raises TaskError for a file or row that is of no known form."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a file of recorded answers") from None
    if magic == b"PK\x03\x04":
        yield from _eval_log(path)
        return
    if magic[:2] == b"\x1f\x8b":
        raise TaskError(f"{path}: is compressed; unpack it with gunzip first")
    if path.suffix == ".json":
        data = read_json(path)
        if isinstance(data, dict) and isinstance(data.get("samples"), list):
            model = _model(data)
            for number, sample in enumerate(data["samples"], start=1):
                yield _sample(sample, f"{path}, sample {number}", model)
            return
        if not isinstance(data, list) or not data:
            raise TaskError(f"{path}: neither a log of inspect (`samples` is missing) nor a list of rows; give JSON lines, or such a log")
        lines: Iterable[tuple[str, Any]] = ((f"{path}, row {number}", row) for number, row in enumerate(data, start=1))
    else:
        lines = _lines(path)
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


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, value) a line. Lines end at "\\n" alone: U+2028 and its like may stand inside strings."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not line.strip():
                continue
            try:
                yield where, json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise TaskError(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
            except (ValueError, RecursionError) as error:
                what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
                raise TaskError(f"{where}: not JSON ({what}); each line must be one JSON object, mend or delete this one") from None


def _attempt(row: Row, where: str) -> Answer:
    try:
        attempt = Attempt.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise TaskError(f"{where}: not an attempt of Errata's ({name}: {first['msg']}); mend or delete the line") from None
    return Answer(where, "errata", {}, attempt.response, attempt.finish, example=attempt.example, target=attempt.target)


def _harness(row: Row, where: str, counted: bool) -> Iterator[Answer]:
    """Answers of a row of lm-evaluation-harness: one a repeat."""
    doc = row.get("doc")
    if not isinstance(doc, dict):
        raise TaskError(f"{where}: field 'doc' is missing, so there is no question; log the samples again with --log_samples")
    item = _item(doc, where) | ({} if row.get("doc_id") is None or any(name in doc for name in IDS) else {"doc_id": row["doc_id"]})
    if item.get("answer") is None and row.get("target") is not None:
        item["answer"] = row["target"]
    if not counted:
        yield Answer(where, "lm-eval", item, None, fault=OTHER_FILTER)
        return
    said = row.get("resps", row.get("filtered_resps"))
    if not isinstance(said, list) or not said:
        raise TaskError(f"{where}: field 'resps' must be a list that is not empty, it is {str(said)[:40]!r}; log the samples again")
    scores = [_likelihood(one) for one in said]
    if all(score is not None for score in scores):
        best = max(range(len(scores)), key=lambda index: scores[index] or 0.0)
        yield Answer(where, "lm-eval", item, _continuation(row.get("arguments"), best, where), picked=(best, len(scores)))
        return
    for text in _flat(said):
        if not isinstance(text, str):
            raise TaskError(f"{where}: field 'resps' holds {type(text).__name__}, neither text nor scored options; leave the line out")
        yield Answer(where, "lm-eval", item, text)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    else:
        yield value


def _likelihood(value: Any) -> float | None:
    """The log-likelihood in [[-3.5, false]], also as text and without the outer list; None for a response."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and len(value) == 2 and str(value[1]) in ("True", "False"):
        try:
            return float(value[0])
        except (TypeError, ValueError):
            return None
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


def _models(row: Row, by_model: dict[str, Row], where: str) -> Iterator[Answer]:
    item = _item({name: value for name, value in row.items() if name not in by_model}, where)
    for name, value in by_model.items():
        yield Answer(where, "models", item, _text(value["solution"], f"{name}.solution", where), model=name)


def _row(row: Row, where: str, fields: dict[str, str]) -> Iterator[Answer]:
    for ours, theirs in fields.items():
        if theirs not in row:
            raise TaskError(f"{where}: field {theirs!r}, given as --field {ours}={theirs}, is missing (fields there: {_there(row)})")
    mapped = row | {ours: row[theirs] for ours, theirs in fields.items()}
    name = fields.get("response") or _response_name(row, where)
    item = {key: value for key, value in mapped.items() if key != "response" and (key != name or key in fields)}
    item = _item(item, where)
    finish = next((str(row[key]) for key in ("finish_reason", "stop_reason", "finish") if row.get(key) is not None), "stop")
    value = row[name]
    for one in value if isinstance(value, list) else [value]:
        yield Answer(where, "rows", item, _text(one, name, where), "length" if finish in CUT else "stop", model=str(row.get("model") or ""))


def _response_name(row: Row, where: str) -> str:
    found = [name for name in RESPONSES if name in row]
    if "response" in found or len(found) == 1:
        return found[0]
    if found:
        raise TaskError(f"{where}: {' and '.join(map(repr, found))} may both be the response; say which with --field response=NAME")
    if "answer" in row and any(name in row for name in GOLDS):
        return "answer"
    raise TaskError(f"{where}: no response (fields there: {_there(row)}); name the field that holds it with --field response=NAME")


def _item(row: Row, where: str) -> Row:
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


def _there(row: Row) -> str:
    return ", ".join(map(repr, row)) or "none"


# ---- logs of inspect


def _eval_log(path: Path) -> Iterator[Answer]:
    """Samples of a .eval log: a zip with samples/<id>_epoch_<n>.json, and header.json (_journal/start.json where the run was cut off)."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            members = {info.filename: info for info in archive.infolist()}
            header = next((members[name] for name in ("header.json", "_journal/start.json", "start.json") if name in members), None)
            model = _model(_member(file, header, path)) if header else ""
            samples = [name for name in members if name.startswith("samples/") and name.endswith(".json")]
            if not samples:
                raise TaskError(f"{path}: a zip without samples/*.json; give a log of inspect, or `inspect log convert` it to .json")
            for name in samples:
                yield _sample(_member(file, members[name], path), f"{path}, {name}", model)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise TaskError(f"{path}: not a whole zip file ({error}); copy the log again") from None


def _member(file: Any, info: zipfile.ZipInfo, path: Path) -> Any:
    """The JSON of a member. Python's zipfile reads no Zstandard, which inspect writes, before 3.14: Arrow's does."""
    import pyarrow

    try:
        file.seek(info.header_offset)
        head = file.read(30)
        names, extra = struct.unpack("<26xHH", head)
        file.seek(names + extra, 1)
        data = file.read(info.compress_size)
        if info.compress_type == 93:
            data = pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            data = zlib.decompress(data, -15)
        elif info.compress_type != zipfile.ZIP_STORED:
            raise TaskError(f"{path}, {info.filename}: packed in a way that is not read; `inspect log convert` it to .json")
        return json.loads(data)
    except (ValueError, OSError, zlib.error, struct.error, RecursionError) as error:
        raise TaskError(f"{path}, {info.filename}: cannot be unpacked ({' '.join(str(error).split())[:80]}); copy the log again") from None


def _model(log: Any) -> str:
    """The model that a log, or its header, names."""
    about = log.get("eval") if isinstance(log, dict) else None
    return str(about.get("model") or "") if isinstance(about, dict) else ""


def _sample(sample: Any, where: str, model: str) -> Answer:
    """The answer in a sample of inspect: its first choice, without the reasoning that stands apart from it."""
    if not isinstance(sample, dict) or "input" not in sample:
        raise TaskError(f"{where}: not a sample of inspect (no 'input'); give a log that `inspect eval` wrote")
    try:
        return _answered(sample, where, model)
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise TaskError(f"{where}: a sample of another shape than inspect's ({error}); give a log that `inspect eval` wrote") from None


def _answered(sample: Row, where: str, model: str) -> Answer:
    attached = sample.get("attachments") or {}
    asked = sample["input"]
    if isinstance(asked, list):
        users = [message for message in asked if isinstance(message, dict) and message.get("role") == "user"]
        asked = _content(users[-1].get("content") if users else None, attached, where)
    target = sample.get("target")
    if isinstance(target, list):
        target = target[0] if len(target) == 1 else None
    item: Row = {"id": sample.get("id"), **(sample.get("metadata") or {}), "question": _resolved(str(asked), attached)}
    item.setdefault("task_id", sample.get("id"))
    item.setdefault("input", item["question"])
    if sample.get("choices") or (target is not None and "answer" not in item):
        item["answer"] = item["target"] = target
    if choices := sample.get("choices"):
        # as each of the tasks with options reads them
        labels = list(LETTERS[: len(choices)])
        item |= dict(zip(labels, choices, strict=True)) | {"choices": {"text": choices, "label": labels}, "answerKey": target}
    done = (sample.get("output") or {}).get("choices") or []
    if sample.get("error") or not done:
        return Answer(where, "inspect", item, None, model=model, fault="the recorded run ended in an error here")
    finish = "length" if done[0].get("stop_reason") in CUT else "stop"
    said = _content((done[0].get("message") or {}).get("content"), attached, where)
    return Answer(where, "inspect", item, said, finish, model)


def _content(content: Any, attached: dict[str, str], where: str) -> str:
    """The text of a message: a text, or parts of which those of type `text` count."""
    if isinstance(content, list):
        texts = [part.get("text", "") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "\n".join(_resolved(text, attached) for text in texts)
    if not isinstance(content, str):
        raise TaskError(f"{where}: a message has {type(content).__name__} for its content, not text; leave the sample out")
    return _resolved(content, attached)


def _resolved(text: str, attached: dict[str, str]) -> str:
    """inspect keeps long texts apart, by hash."""
    return attached.get(text.removeprefix("attachment://"), text) if text.startswith("attachment://") else text


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
