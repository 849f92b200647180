"""Lineage: from a training row to the error behind it, and from an item that was fixed or broken to the rows of its skill.

Reads the run directory only. What is not here: why a row changed an answer; rows of the item's skill are shown, not proven causes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ..signatures.errors import UsageError
from ..signatures.records import Attempt, Failure, Sample, Taught, TrainRow
from .rundir import Stage, read_config, read_json


class Lineage:
    """All rows of a run that a trace may need, by id."""

    def __init__(self, path: Path):
        """Raises RunError when `path` is no run directory or a stage is damaged."""
        read_config(path)
        self.path = path
        self.rounds: list[Path] = sorted(path.glob("round-[0-9]*"), key=lambda folder: int(folder.name.split("-")[1]))
        self.samples: dict[str, tuple[int, Sample]] = {}
        self.taught: dict[str, Taught] = {}
        self.failures: dict[str, Attempt] = {}
        for number, folder in enumerate(self.rounds, 1):
            for row in _rows(folder / "mine", "attempts.jsonl", Attempt):
                if row.verdict.correct is False:
                    self.failures[Failure(attempt=row).id] = row
            for taught in _rows(folder / "teach", "taught.jsonl", Taught):
                if taught.program:
                    self.taught[taught.program.id] = taught
            for sample in _rows(folder / "assemble", "samples.jsonl", Sample):
                self.samples[sample.id] = (number, sample)

    def trace(self, wanted: str) -> str:
        """The way of a sample, program, or item whose id begins with `wanted`. Raises UsageError when there is none, or several."""
        finders: list[tuple[dict[str, object], Callable[[str], str]]] = [
            (dict(self.samples), self._sample),
            (dict(self.taught), self._program),
            (dict(self.failures), lambda name: self._error(name)),
            (dict(self._items()), self._item),
        ]
        for known, show in finders:
            found = [name for name in known if name.startswith(wanted)]
            if len(found) == 1:
                return show(found[0])
            if found:
                raise UsageError(f"{wanted!r} begins {len(found)} ids, e.g. {found[0]} and {found[1]}; give more of it")
        raise UsageError(
            f"{self.path} has no sample, program, error or evaluated item {wanted!r}; ids stand in its .jsonl files and its report"
        )

    def _sample(self, name: str) -> str:
        number, sample = self.samples[name]
        lines = [
            f"sample {name}: round {number}, seed {sample.seed}, index {sample.index}, level {sample.level}",
            _block("question", sample.question),
            _block("solution", sample.solution),
            f"  answer: {sample.answer}" + (f" (the misconception answers {sample.wrong})" if sample.wrong is not None else ""),
        ]
        used = [row for row in _rows(self.path / f"round-{number}/assemble", "rows.jsonl", TrainRow) if row.source == name]
        lines.append(f"  trained on in round {number}: {'yes' if used else 'no'}")
        return "\n".join(lines) + "\n" + self._program(sample.program_id)

    def _program(self, name: str) -> str:
        taught = self.taught.get(name)
        if taught is None or taught.program is None or taught.diagnosis is None:
            return f"program {name}: not of this run"
        diagnosis = taught.diagnosis
        lines = [
            f"program {name}: {'first writing' if not taught.program.attempt else f'repair {taught.program.attempt}'}, "
            f"{len(taught.program.source.splitlines())} lines",
            f"diagnosis {diagnosis.id} ({diagnosis.strategy})",
            f"  skill: {diagnosis.skill}",
            f"  misconception: {diagnosis.misconception}",
            f"  evidence: {diagnosis.evidence}",
        ]
        if diagnosis.boundary:
            lines.append(f"  boundary: {diagnosis.boundary}")
        return "\n".join(lines) + "\n" + "\n".join(self._error(failure) for failure in diagnosis.failure_ids)

    def _error(self, name: str) -> str:
        attempt = self.failures.get(name)
        if attempt is None:
            return f"error {name}: its item is not among the attempts of this run"
        example = attempt.example
        return "\n".join(
            [
                f"error {name}: item {example.id} of {example.task} {example.split}"
                + (f", skill {example.skill}" if example.skill else ""),
                _block("question", example.question),
                _block("the target answered", attempt.response),
                f"  read as: {attempt.verdict.extracted} ({attempt.verdict.reason}); gold answer: {example.answer}",
            ]
        )

    def _items(self) -> dict[str, list[tuple[str, Attempt]]]:
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

    def _item(self, name: str) -> str:
        attempts = self._items()[name]
        example = attempts[0][1].example
        lines = [
            f"item {name} of {example.task} {example.split}" + (f", skill {example.skill}" if example.skill else ""),
            _block("question", example.question),
            f"  gold answer: {example.answer}",
        ]
        for weights, row in attempts:
            lines.append(f"  weights {weights}: {row.verdict.reason}, read as {row.verdict.extracted}")
            lines.append(_block("answered", row.response))
        if len(attempts) > 1:
            old, new = attempts[0][1].verdict.correct, attempts[-1][1].verdict.correct
            known = "unchanged" if None not in (old, new) else "unjudged on a side"
            word = "fixed" if (old, new) == (False, True) else "broken" if (old, new) == (True, False) else known
            lines.append(f"  {word} between the first and the last of these")
        lines.append(self._rows_of_skill(example.skill))
        return "\n".join(lines)

    def _rows_of_skill(self, skill: str, most: int = 5) -> str:
        """Training rows whose error has the item's skill."""
        rows = []
        for number, sample in self.samples.values():
            taught = self.taught.get(sample.program_id)
            attempt = self.failures.get(taught.failure_id) if taught else None
            if taught and taught.diagnosis and attempt and attempt.example.skill == skill:
                rows.append((number, sample, taught.diagnosis.misconception))
        if not rows:
            return f"no training row comes from an error of skill {skill!r}"
        told = Counter(misconception for _, _, misconception in rows).most_common(3)
        lines = [f"{len(rows)} training rows come from errors of skill {skill!r}, for example"]
        lines += [f"  sample {sample.id} (round {number}): {sample.question} -> {sample.answer}" for number, sample, _ in rows[:most]]
        lines += [f"  misconception behind {count} of them: {text}" for text, count in told]
        return "\n".join(lines)


def _rows(folder: Path, name: str, record: type) -> Iterator:
    stage = Stage(folder)
    if stage.done:
        yield from stage.read(name, record)


def _block(title: str, text: str) -> str:
    return f"  {title}: " + text.strip().replace("\n", "\n    ")
