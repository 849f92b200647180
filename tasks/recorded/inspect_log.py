"""Logs of inspect: .json, and .eval, which is a zip. It does not cover scores: each answer is judged anew."""

import json
import string
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...signatures.errors import TaskError
from ..rows import Row
from .answer import CUT, RecordedAnswer


def from_json(log: dict[str, Any], path: Path) -> Iterator[RecordedAnswer]:
    """The answers of a .json log."""
    model = _model(log)
    for number, sample in enumerate(log["samples"], start=1):
        yield _sample(sample, f"{path}, sample {number}", model)


def from_zip(path: Path) -> Iterator[RecordedAnswer]:
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


def _sample(sample: Any, where: str, model: str) -> RecordedAnswer:
    """The answer in a sample of inspect: its first choice, without the reasoning that stands apart from it."""
    if not isinstance(sample, dict) or "input" not in sample:
        raise TaskError(f"{where}: not a sample of inspect (no 'input'); give a log that `inspect eval` wrote")
    try:
        return _answered(sample, where, model)
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise TaskError(f"{where}: a sample of another shape than inspect's ({error}); give a log that `inspect eval` wrote") from None


def _answered(sample: Row, where: str, model: str) -> RecordedAnswer:
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
        labels = list(string.ascii_uppercase[: len(choices)])
        item |= dict(zip(labels, choices, strict=True)) | {"choices": {"text": choices, "label": labels}, "answerKey": target}
    done = (sample.get("output") or {}).get("choices") or []
    if sample.get("error") or not done:
        return RecordedAnswer(where, "inspect", item, None, model=model, fault="the recorded run ended in an error here")
    finish = "length" if done[0].get("stop_reason") in CUT else "stop"
    said = _content((done[0].get("message") or {}).get("content"), attached, where)
    return RecordedAnswer(where, "inspect", item, said, finish, model)


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
