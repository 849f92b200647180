"""Lineage: from a training row to the error behind it, and from an item that was fixed or broken to the rows of its skill.

Reads the run directory only. What is not here: why a row changed an answer; rows of the item's skill are shown, not proven causes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Sample, TeachingResult, TrainRow
from ..run.directory import Stage, read_config, read_json
from ..run.layout import failures, unanswered
from ..samples.kinds import asked


class Lineage:
    """All rows of a run that a trace may need, by id."""

    def __init__(self, path: Path):
        """Raises RunError when `path` is no run directory or a stage is damaged."""
        read_config(path)
        self.path = path
        self.rounds: list[Path] = sorted(path.glob("round-[0-9]*"), key=lambda folder: int(folder.name.split("-")[1]))
        self.samples: dict[str, tuple[int, Sample]] = {}
        self.taught: dict[str, TeachingResult] = {}
        self.failures: dict[str, Attempt] = {}
        self.mined: dict[str, Attempt] = {}
        for number, folder in enumerate(self.rounds, 1):
            attempts = list(_rows(folder / "mine", "attempts.jsonl", Attempt))
            self.mined |= {row.example.id: row for row in attempts}
            self.failures |= {name: failure.attempt for name, failure in failures(attempts).items()}
            blank: dict[str, Attempt] = {}
            for taught in _rows(folder / "teach", "taught.jsonl", TeachingResult):
                if not self.failures.keys() >= set(taught.failure_ids):
                    blank = blank or {name: failure.attempt for name, failure in unanswered(attempts).items()}
                    self.failures |= {name: blank[name] for name in taught.failure_ids if name in blank}
                if taught.program:
                    self.taught[taught.program.id] = taught
            for sample in _rows(folder / "assemble", "samples.jsonl", Sample):
                self.samples[sample.id] = (number, sample)

    def trace(self, wanted: str) -> dict[str, Any]:
        """The way of a sample, program, error or item whose id begins with `wanted`, as one JSON-able document; `told` puts it in words.

        Raises UsageError when there is none, or several.
        """
        finders: list[tuple[Iterable[str], Callable[[str], dict[str, Any]]]] = [
            (self.samples, self._sample),
            (self.taught, self._program),
            (self.failures, self._error),
            (self.items, self._item),
        ]
        for known, document in finders:
            found = [name for name in known if name.startswith(wanted)]
            if len(found) == 1:
                return document(found[0])
            if found:
                raise UsageError(f"{wanted!r} begins {len(found)} ids, e.g. {found[0]} and {found[1]}; give more of it")
        raise UsageError(
            f"{self.path} has no sample, program, error or evaluated item {wanted!r}; ids stand in its .jsonl files and its report"
        )

    def _sample(self, name: str) -> dict[str, Any]:
        number, sample = self.samples[name]
        used = any(row.source == name for row in _rows(self.path / f"round-{number}/assemble", "rows.jsonl", TrainRow))
        document = {"kind": "sample", "id": name, "round": number, "sample": sample.model_dump(mode="json"), "trained_on": used}
        if sample.item is None:
            return document | {"program": self._program(sample.program_id)}
        attempt = self.mined.get(sample.item)
        return document | {"program": None, "attempt": attempt.model_dump(mode="json") if attempt else None}

    def _program(self, name: str) -> dict[str, Any]:
        taught = self.taught.get(name)
        if taught is None or taught.program is None or taught.diagnosis is None:
            return {"kind": "program", "id": name, "program": None, "diagnosis": None, "errors": []}
        return {
            "kind": "program",
            "id": name,
            "program": taught.program.model_dump(mode="json"),
            "diagnosis": taught.diagnosis.model_dump(mode="json"),
            "errors": [self._error(failure) for failure in taught.program.anchors],
        }

    def _error(self, name: str) -> dict[str, Any]:
        attempt = self.failures.get(name)
        return {"kind": "error", "id": name, "attempt": attempt.model_dump(mode="json") if attempt else None}

    def _item(self, name: str) -> dict[str, Any]:
        attempts = self.items[name]
        example = attempts[0][1].example
        change = None
        if len(attempts) > 1:
            old, new = attempts[0][1].verdict.correct, attempts[-1][1].verdict.correct
            known = "unchanged" if None not in (old, new) else "unjudged on a side"
            change = "fixed" if (old, new) == (False, True) else "broken" if (old, new) == (True, False) else known
        return {
            "kind": "item",
            "id": name,
            "item": example.model_dump(mode="json"),
            "attempts": [{"weights": weights, "attempt": row.model_dump(mode="json")} for weights, row in attempts],
            "change": change,
            "rows_of_skill": self._rows_of_skill(example.skill),
        }

    @cached_property
    def items(self) -> dict[str, list[tuple[str, Attempt]]]:
        """Evaluated dev and test items, each with (weights, attempt) in the order before, after."""
        order = self._weights()
        items: dict[str, list[tuple[str, Attempt]]] = {}
        for folder in self.path.glob("evaluate/*/*"):
            for row in _rows(folder, "attempts.jsonl", Attempt):
                items.setdefault(row.example.id, []).append((folder.parent.name, row))
        return {name: sorted(rows, key=lambda row: order.get(row[0], len(order))) for name, rows in items.items()}

    def _weights(self) -> dict[str, int]:
        """Weights in the order in which they came about: what each training began from, then what it gave."""
        order: dict[str, int] = {}
        for folder in self.rounds:
            manifest = folder / "train" / "manifest.json"
            if manifest.exists():
                report = read_json(manifest)["report"]
                for name in (report["base"], report["weights"]):
                    order.setdefault(name, len(order))
        return order

    def _rows_of_skill(self, skill: str, most: int = 5) -> dict[str, Any]:
        """Training rows whose error has the item's skill: how many, the first `most`, and the commonest misconceptions behind them."""
        rows = []
        for number, sample in self.samples.values():
            taught = self.taught.get(sample.program_id)
            anchors = taught.program.anchors if taught and taught.program else ()
            skills = {self.failures[name].example.skill for name in anchors if name in self.failures}
            if taught and taught.diagnosis and skill in skills:
                rows.append((number, sample, taught.diagnosis.misconception))
        told = Counter(misconception for _, _, misconception in rows if misconception).most_common(3)
        return {
            "rows": len(rows),
            "samples": [{"round": number, "sample": sample.model_dump(mode="json")} for number, sample, _ in rows[:most]],
            "misconceptions": [{"misconception": text, "rows": count} for text, count in told],
        }


# ---- in words


def told(document: dict[str, Any]) -> str:
    """What `Lineage.trace` found, for the terminal."""
    words = {"sample": _told_sample, "program": _told_program, "error": _told_error, "item": _told_item}
    return words[document["kind"]](document)


def _told_sample(document: dict[str, Any]) -> str:
    sample = Sample.model_validate(document["sample"])
    lines = [
        f"sample {document['id']}: round {document['round']}, seed {sample.seed}, index {sample.index}, level {sample.level}",
        _block("question", asked(sample)),
        _block("solution", sample.solution),
        *([f"  lesson: {sample.lesson}"] if sample.lesson != "worked" else []),
        *([_block("the target's wrong answer, shown", sample.mistake)] if sample.mistake else []),
        *([_block("correction", sample.correction)] if sample.correction else []),
        *([_block("in the target's own words", sample.own)] if sample.own else []),
        _block("answer", sample.answer) + (f" (the misconception answers {sample.wrong})" if sample.wrong is not None else ""),
        *([f"  it rests on a fact that the instructor asserts, {_confirmed(sample)}"] if sample.asserted else []),
        f"  trained on in round {document['round']}: {'yes' if document['trained_on'] else 'no'}",
        _told_program(document["program"]) if sample.item is None else _told_own(document),
    ]
    return "\n".join(lines)


def _told_own(document: dict[str, Any]) -> str:
    """Of a row that no program made."""
    attempt = document["attempt"]
    if attempt is None:
        return f"item {document['sample']['item']} of the task itself, which the target was not asked; no program made it"
    said = f"  the target answered, read as {attempt['verdict']['extracted']} ({attempt['verdict']['reason']})"
    lines = [f"item {attempt['example']['id']} of {_place(attempt['example'])}; no program made it", said]
    return "\n".join([*lines, _block("response", attempt["response"])])


def _confirmed(sample: Sample) -> str:
    return "and independent solves came to it too" if sample.agreed else "which no independent solve has confirmed"


def _told_program(document: dict[str, Any]) -> str:
    program, diagnosis = document["program"], document["diagnosis"]
    if program is None:
        return f"program {document['id']}: not of this run"
    writing = f"repair {program['attempt']}" if program["attempt"] else "first writing"
    lines = [
        f"program {document['id']}: {writing}, {len(program['source'].splitlines())} lines",
        f"diagnosis {diagnosis['id']} ({diagnosis['strategy']})",
        *(f"  {name}: {diagnosis[name]}" for name in ("skill", "misconception", "evidence")),
    ]
    if program.get("parents"):
        lines.insert(1, f"  fused of the programs {' and '.join(program['parents'])}")
    if diagnosis["boundary"]:
        lines.append(f"  boundary: {diagnosis['boundary']}")
    return "\n".join([*lines, *map(_told_error, document["errors"])])


def _told_error(document: dict[str, Any]) -> str:
    attempt = document["attempt"]
    if attempt is None:
        return f"error {document['id']}: its item is not among the attempts of this run"
    example, verdict = attempt["example"], attempt["verdict"]
    lines = [
        f"error {document['id']}: item {example['id']} of {_place(example)}",
        _block("question", example["question"]),
        _block("the target answered", attempt["response"]),
        f"  read as: {verdict['extracted']} ({verdict['reason']}); gold answer: {example['answer']}",
    ]
    return "\n".join(lines)


def _told_item(document: dict[str, Any]) -> str:
    item, skill = document["item"], document["rows_of_skill"]
    lines = [f"item {document['id']} of {_place(item)}", _block("question", item["question"]), f"  gold answer: {item['answer']}"]
    for one in document["attempts"]:
        verdict = one["attempt"]["verdict"]
        lines.append(f"  weights {one['weights']}: {verdict['reason']}, read as {verdict['extracted']}")
        lines.append(_block("answered", one["attempt"]["response"]))
    if document["change"]:
        lines.append(f"  {document['change']} between the first and the last of these")
    if not skill["rows"]:
        return "\n".join([*lines, f"no training row comes from an error of skill {item['skill']!r}"])
    lines.append(f"{skill['rows']} training rows come from errors of skill {item['skill']!r}, for example")
    for one in skill["samples"]:
        sample = one["sample"]
        lines.append(f"  sample {sample['id']} (round {one['round']}): {sample['question']} -> {sample['answer']}")
    lines += [f"  misconception behind {one['rows']} of them: {one['misconception']}" for one in skill["misconceptions"]]
    return "\n".join(lines)


def _place(example: dict[str, Any]) -> str:
    return f"{example['task']} {example['split']}" + (f", skill {example['skill']}" if example["skill"] else "")


def _rows(folder: Path, name: str, record: type) -> Iterator:
    stage = Stage(folder)
    if stage.done:
        yield from stage.read(name, record)


def _block(title: str, text: str) -> str:
    return f"  {title}: " + text.strip().replace("\n", "\n    ")
