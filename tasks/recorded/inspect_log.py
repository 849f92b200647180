"""Logs of inspect: .json, and .eval, which is a zip. What its scores say is taken along (grades), and is no verdict of Errata's."""

import json
import re
import string
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...signatures.errors import TaskError
from ...signatures.toolcalls import as_text
from ..files import Row
from .answer import RecordedAnswer
from .grades import of_inspect
from .replies import finish

Found = Iterator[tuple[Row, RecordedAnswer]]
"""Samples, each with its answer."""
LIMITS = ("token", "context", "message")
"""Limits of inspect that cut a response; of time and the like, the machinery stopped it."""


def from_json(log: Row, path: Path) -> Found:
    """The answers of a .json log."""
    if not isinstance(log["samples"], list) or not log["samples"]:
        raise TaskError(f"{path}: a log of inspect without samples; write it with its samples (`inspect eval` does by default)")
    return _answers(((f"{path}, sample {number}", sample) for number, sample in enumerate(log["samples"], start=1)), _about(log))


def _answers(samples: Iterable[tuple[str, Any]], about: Row) -> Found:
    """The first answer of each sample and epoch, and in how many others it stands; `about` is what the log says of itself."""
    seen: set[tuple[str, str]] = set()
    model, task = (str(about.get(name) or "") for name in ("model", "task"))
    config = about.get("model_generate_config")
    asked = {name: str(value) for name, value in config.items() if value is not None} if isinstance(config, dict) else {}
    for where, sample in samples:
        answer, others = _sample(sample, where, model)
        key = (str(sample.get("id")), str(sample.get("epoch")))
        again = "another answer of the same sample and epoch" if sample.get("id") is not None and key in seen else ""
        seen.add(key)
        yield sample, answer._replace(skipped=again, grades=of_inspect(sample), task=task, settings=asked)
        for _ in range(others):
            yield sample, answer._replace(skipped="a further choice of the same call")


def from_zip(path: Path) -> Found:
    """Samples of a .eval log: a zip with samples/<id>_epoch_<n>.json, and header.json (_journal/start.json where the run was cut off)."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            members = {info.filename: info for info in archive.infolist()}
            header = next((members[name] for name in ("header.json", "_journal/start.json", "start.json") if name in members), None)
            about = _about(_member(file, header, path)) if header else {}
            samples = [name for name in members if name.startswith("samples/") and name.endswith(".json")]
            if not samples:
                raise TaskError(f"{path}: a zip without samples/*.json; give a log of inspect, or `inspect log convert` it to .json")
            yield from _answers(((f"{path}, {name}", _member(file, members[name], path)) for name in samples), about)
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


def _about(log: Any) -> Row:
    """What a log, or its header, says of its task, its model and how that was asked."""
    about = log.get("eval") if isinstance(log, dict) else None
    return about if isinstance(about, dict) else {}


def _sample(sample: Any, where: str, model: str) -> tuple[RecordedAnswer, int]:
    """The answer in a sample of inspect, its first choice without the reasoning that stands apart, and how many others there are."""
    if not isinstance(sample, dict) or "input" not in sample:
        raise TaskError(f"{where}: not a sample of inspect (no 'input'); give a log that `inspect eval` wrote")
    try:
        return _answered(sample, where, model)
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise TaskError(f"{where}: a sample of another shape than inspect's ({error}); give a log that `inspect eval` wrote") from None


def _answered(sample: Row, where: str, model: str) -> tuple[RecordedAnswer, int]:
    attached = sample.get("attachments") or {}
    asked, turns = sample["input"], []
    if isinstance(asked, list):
        messages = [message for message in asked if isinstance(message, dict)]
        users = [message for message in messages if message.get("role") == "user"]
        asked = _content(users[-1].get("content") if users else None, attached, where)
        turns = [{"role": str(one.get("role")), "content": _said(one, attached, where)} for one in messages]
    target = sample.get("target")
    if isinstance(target, list):
        target = target[0] if len(target) == 1 else target
    about = sample.get("metadata") or {}
    item: Row = {"id": sample.get("id"), "task_id": sample.get("id"), **about, "question": _resolved(str(asked), attached)}
    item.setdefault("input", item["question"])
    item |= {"turns": turns} if turns[1:] else {}
    if target is not None:  # the gold is the sample's, whatever the metadata call an answer
        item |= {"answer": target, "target": target}
        item.setdefault("solution", about.get("reasoning"))
    if choices := sample.get("choices"):
        # as each of the tasks with options reads them
        labels = list(string.ascii_uppercase[: len(choices)])
        item |= dict(zip(labels, choices, strict=True)) | {"choices": {"text": choices, "label": labels}, "answerKey": target}
    done = (sample.get("output") or {}).get("choices") or []
    limit = (sample.get("limit") or {}).get("type")
    if sample.get("error") or not done or (limit and limit not in LIMITS):
        fault = f"the recorded run was stopped by its limit of {limit} here" if limit else "the recorded run ended in an error here"
        return RecordedAnswer(where, "inspect", item, None, model=model, fault=fault), 0
    ended = "length" if limit else finish(done[0])
    said = _said(done[0].get("message") or {}, attached, where)
    return RecordedAnswer(where, "inspect", item, said, ended, model), len(done) - 1


def _said(message: Row, attached: dict[str, str], where: str) -> str:
    """The text of a message, with the calls of tools that stand apart from it."""
    called = as_text(message.get("tool_calls"))
    called = re.sub(r'"(attachment://\w+)"', lambda found: json.dumps(_resolved(found[1], attached), ensure_ascii=False), called)
    return "\n".join(filter(None, (_content(message.get("content"), attached, where), called)))


def _content(content: Any, attached: dict[str, str], where: str) -> str:
    """The text of a message: itself a text, or parts, and only those of type `text` count."""
    if isinstance(content, list):
        texts = [part.get("text", "") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "\n".join(_resolved(text, attached) for text in texts)
    if not isinstance(content, str):
        raise TaskError(f"{where}: a message has {type(content).__name__} for its content, not text; leave the sample out")
    return _resolved(content, attached)


def _resolved(text: str, attached: dict[str, str]) -> str:
    """inspect keeps long texts apart, by hash."""
    return attached.get(text.removeprefix("attachment://"), text) if text.startswith("attachment://") else text
