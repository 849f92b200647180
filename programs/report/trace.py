"""`errata trace`: from a training row to the error behind it, from an item that was fixed or broken to the rows of its skill, and from
weights to what they were made of. `clearest`: the one way from an error to a fixed item that the report draws.

Reads the run directory only. What is not here: why a row changed an answer; rows of the item's skill are shown, not proven causes.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Failure, Pair, Record, Rejection, Sample, TeachingResult, TrainReport, TrainRow
from ...signatures.terminal import command
from ..patterns.chosen import kept, names, of_errors
from ..run import layout
from ..run.directory import R, read_config
from ..samples.kinds import KINDS
from ..samples.phrasing import phrasing
from ..stats import grouped
from .document import Rows
from .figures import trained_on
from .markup import render
from .records import Report
from .runs import goes_on


class Made(NamedTuple):
    """A training of a run."""

    round: int
    place: int
    """Of its stage in `train.stages`."""
    report: TrainReport


class Lesson(NamedTuple):
    """A program that rows were drawn from: its round, what became of its error, the error, and the rows."""

    number: int
    taught: TeachingResult
    error: Attempt
    samples: list[Sample]


class Way(NamedTuple):
    """One error's way: the lesson, and a held-out item of the error's skill that was fixed, before and after; None where none was."""

    lesson: Lesson
    fixed: tuple[Attempt, Attempt] | None


class Lineage:
    """All rows of a run that a trace may need, by id."""

    def __init__(self, path: Path, rows: Rows | None = None):
        """`rows`: those of the run at `path`, where they were read already. Raises RunError when `path` is not a run directory or a stage
        is damaged."""
        read_config(path)
        self.path = path
        self.rows = rows or Rows(path)
        self.samples: dict[str, tuple[int, Sample]] = {}
        self.taught: dict[str, TeachingResult] = {}
        self.failures: dict[str, Attempt] = {}
        self.mined: dict[str, Attempt] = {}
        self.made: dict[str, Made] = {}
        """Trainings by the weights that they ended with, in their order."""
        for number in layout.rounds(path):
            attempts = self.rows.attempts(number)
            self.mined |= {row.example.id: row for row in attempts}
            self.failures |= {name: failure.attempt for name, failure in layout.failures(attempts).items()}
            self.failures |= {name: failure.attempt for name, failure in layout.failures(layout.lent(path, number)).items()}
            blank: dict[str, Attempt] = {}
            for taught in self.rows.taught(number):
                if not self.failures.keys() >= set(taught.failure_ids):
                    blank = blank or {name: failure.attempt for name, failure in layout.unanswered(attempts).items()}
                    self.failures |= {name: blank[name] for name in taught.failure_ids if name in blank}
                if taught.program:
                    self.taught[taught.program.id] = taught
            for sample in self.rows.samples(number):
                self.samples[sample.id] = (number, sample)
            for place, report in enumerate(layout.training_reports(path, number)):
                self.made[report.weights] = Made(number, place, report)

    def trace(self, wanted: str) -> dict[str, Any]:
        """The way of a sample, program, error, item or weights whose id begins with `wanted`, as one JSON-able document, which
        `as_text` puts in words. The id of another row of the run stands for what that row is of: an answer's for its error or item, a
        training row's for its sample, a diagnosis's for its program. A refused row has the document of its refusal.

        Raises UsageError when there is none, or several.
        """
        wanted = wanted.strip()
        kinds = self._kinds()
        known = {name: way for ids, way in reversed([*kinds.values()]) for name in ids}
        found = {name for name in known if name.startswith(wanted)}
        found = found or {other for name, other in _parts(self).items() if name.startswith(wanted) and other in known}
        if not found:
            known = {name: way for name, way in self._refusals() if name.startswith(wanted)}
            found = {*known}
        if not found or not wanted:
            held = ", ".join(f"{kind} (e.g. {next(iter(ids))})" for kind, (ids, _) in kinds.items() if ids)
            where = f"ids stand on the page of `{command('view', self.path)}` and in the .jsonl files of the run"
            told = f"it has {held}: {where}" if held else f"it holds no finished answers yet; {goes_on(self.path)}"
            raise UsageError(f"{self.path} holds nothing with the id {wanted!r}; {told}")
        if len(found) > 1:
            first, second, *_ = sorted(found)
            raise UsageError(f"{wanted!r} begins {len(found)} ids, e.g. {first} and {second}; give more of it")
        (name,) = found
        return known[name](name)

    def _kinds(self) -> dict[str, tuple[Iterable[str], Callable[[str], dict[str, Any]]]]:
        """What can be traced, each with its ids and what makes its document; of an id that is of two kinds the first counts."""
        answered = filter(None, (row.target for row in self.mined.values()))
        return {
            "samples": (self.samples, self._sample),
            "programs": (self.taught, self._program),
            "errors": (self.failures, self._wrong),
            "held-out items": (self.items, lambda name: self._told(name, self.items[name])),
            "train items": (self.mined, self._mined),
            "weights": (dict.fromkeys((*self.made, *self._order(), *self.rows.evaluated, *answered)), self._weights),
        }

    def _refusals(self) -> Iterator[tuple[str, Callable[[str], dict[str, Any]]]]:
        """Drawn rows and programs that were refused, each by its id and by that of the refusal, with what makes its document."""
        for number in layout.rounds(self.path):
            for row in _rows(self.path, number, layout.REJECTIONS, Rejection):
                document = {"kind": "refused", "round": number, "refusal": row.model_dump(mode="json")}
                program = row.of if row.kind == "program" else row.program
                way = lambda name, document=document, program=program: {**document, "id": name, "program": self._program(program)}  # noqa: E731
                yield from ((row.of, way), (row.id, way))

    def _sample(self, name: str) -> dict[str, Any]:
        number, sample = self.samples[name]
        used = any(row.source == name for row in _rows(self.path, number, layout.ROWS, TrainRow))
        document = {"kind": "sample", "id": name, "round": number, "sample": sample.model_dump(mode="json"), "trained_on": used}
        if sample.item is None:
            return document | {"program": self._program(sample.program_id)}
        return document | {"program": None, "attempt": _json(self.mined.get(sample.item))}

    def _program(self, name: str) -> dict[str, Any]:
        taught = self.taught.get(name)
        if taught is None or taught.program is None or taught.diagnosis is None:
            return {"kind": "program", "id": name, "program": None, "diagnosis": None, "errors": []}
        errors = [self._error(failure) for failure in taught.program.anchors]
        document = {"kind": "program", "id": name, "program": _json(taught.program), "diagnosis": _json(taught.diagnosis), "errors": errors}
        document |= {"pattern": self.patterns[name]} if name in self.patterns else {}
        document |= {"library": source} if (source := layout.source(self.path, 1)) else {}
        drawn = [row for made in self.made.values() for row in layout.practised(self.path, *made[:2]) if row.get("program") == name]
        if not drawn:
            return document
        return document | {"practised": {"draws": len(drawn), **{key: sum(row[key] for row in drawn) for key in ("tried", "right")}}}

    def _weights(self, name: str) -> dict[str, Any]:
        """By which stages weights were made, from which weights, and what the gate made of them."""
        if name not in self.made:
            return {"kind": "weights", "id": name, "round": 0, "stages": [], "gate": ""}
        number, place, made = self.made[name]
        names = layout.stage_names(self.path, number, read_config(self.path).train.order)
        last = place if made.back is None else self.made[made.base].place
        own = [one for one in self.made.values() if one.round == number]
        before = [(one.place, one.report) for one in own if one.place <= last or one.place == place]
        stages = [{"name": names[at], "report": report.model_dump(mode="json"), "trained_on": trained_on(report)} for at, report in before]
        decision = layout.decision(self.path, number)
        gate = "not decided yet" if decision is None else "not chosen" if decision.stage != place else ""
        gate = gate or ("accepted" if decision and decision.accepted else "rejected")
        return {"kind": "weights", "id": name, "round": number, "stages": stages, "gate": gate}

    def _error(self, name: str) -> dict[str, Any]:
        return {"kind": "error", "id": name, "attempt": _json(self.failures.get(name))}

    def _wrong(self, name: str) -> dict[str, Any]:
        """An error with what became of it, in each round that found it."""
        found = [number for number in layout.rounds(self.path) if name in layout.failures(self.rows.attempts(number))]
        return self._error(name) | {"became": [{"round": number, "told": self._became(name, number)} for number in found]}

    def _became(self, name: str, number: int) -> str:
        """What a round made of an error that it found: a program, a refusal, or why it did not study it."""
        if self.failures[name].example.split != "train":
            return "not studied: it is a held-out item"
        if not layout.step(self.path, number, "teach").done:
            return f"not studied yet; {goes_on(self.path)}"
        taught, config = self.rows.taught(number), read_config(self.path)
        rows = [row for row in taught if name in row.failure_ids or (row.program and name in row.program.anchors)]
        if programs := [row.program.id for row in rows if row.program and name in row.program.anchors]:
            return f"studied; rebuilt by program {' and '.join(programs)}"
        if rows:
            fault = next((row.diagnosis for row in rows if row.diagnosis and row.diagnosis.verdict != "error"), None)
            last = layout.untaught(rows).get(name)
            why = f"{last.check}: {last.reason}" if last else "no check refused one"
            told = f"its item is itself at fault ({fault.verdict}): {fault.evidence}" if fault else f"no program came of it ({why})"
            return f"studied; {told}"
        if library := layout.source(self.path, number):
            return f"not studied: the programs were taken from the library {library['path']}, and none is of this error"
        errors = layout.failures(row for row in self.rows.attempts(number) if row.example.split == "train")
        drawn = {one for row in taught for one in row.failure_ids}
        if not drawn & errors.keys():
            return f"not studied: strategy {config.generate.strategy} is taught from other things than errors"
        if (choice := kept(self.path)) and name not in of_errors(self.path, choice):
            return f"not studied: it is in no pattern that was kept of {choice.file}"
        return f"not studied: {len(drawn & errors.keys())} of its {len(errors)} errors were drawn at random (generate.failures)"

    def _mined(self, name: str) -> dict[str, Any]:
        """A train item that was mined: its error, or the right answer."""
        wrong = [error for error, attempt in self.failures.items() if attempt.example.id == name]
        if wrong:
            return self._wrong(wrong[-1])
        told = self._told(name, [(self.mined[name].target, self.mined[name])])
        answers = {(number, row.id) for number in layout.rounds(self.path) for row in self.rows.attempts(number) if row.example.id == name}
        rounds = {number for number, own in answers if own in (row.source for row in _rows(self.path, number, layout.ROWS, TrainRow))}
        return told | ({"replayed": sorted(rounds)} if rounds else {})

    def _told(self, name: str, attempts: Sequence[tuple[str, Attempt]]) -> dict[str, Any]:
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
    def patterns(self) -> dict[str, str]:
        """Program id -> the chosen patterns that it teaches."""
        return names(self.path)

    @cached_property
    def items(self) -> dict[str, list[tuple[str, Attempt]]]:
        """Evaluated dev and test items, each with (weights, attempt) in the order before, after."""
        order = self._order()
        found = self.rows.evaluated.items()
        rows = [(weights, row) for weights, benchmarks in found for attempts in benchmarks.values() for row in attempts]
        items = grouped(rows, lambda row: row[1].example.id)
        return {name: sorted(rows, key=lambda row: order.get(row[0], len(order))) for name, rows in items.items()}

    @cached_property
    def lessons(self) -> list[Lesson]:
        """The programs that rows were drawn from, in the order in which they were taught."""
        rows = grouped(self.samples.values(), lambda row: row[1].program_id)
        return [
            Lesson(rows[program][0][0], taught, error, [sample for _, sample in rows[program]])
            for program, taught in self.taught.items()
            if program in rows and taught.diagnosis and taught.program and (error := self.failures.get(taught.program.anchors[0]))
        ]

    def _order(self) -> dict[str, int]:
        """Weights in the order in which they came about: what each training began from, then what it gave."""
        names = dict.fromkeys(weights for one in self.made.values() for weights in (one.report.base, one.report.weights))
        return {name: place for place, name in enumerate(names)}

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


def _parts(run: Lineage) -> dict[str, str]:
    """Ids of a run's other rows -> the id of what each is of: answers, training rows, pairs, drawn questions, diagnoses, refused programs,
    standings, trainings and decisions."""
    found: dict[str, str] = {}
    for number in layout.rounds(run.path):
        for row in run.rows.attempts(number):
            found[row.id] = Failure(attempt=row).id if row.verdict.correct is False else row.example.id
        for taught in (*layout.diagnosed(run.path, number), *run.rows.taught(number)):
            error = next(iter(taught.failure_ids), "")
            found |= dict.fromkeys([one.id for one in (*taught.refused, *taught.rejections)] + [one.of for one in taught.rejections], error)
            kept = taught.program.id if taught.program else error
            found |= dict.fromkeys([taught.id, *([taught.diagnosis.id] if taught.diagnosis else [])], kept)
        for row in (row for name in ("probe", "probe-after") for row in layout.attempts(run.path, number, name)):
            found |= dict.fromkeys((row.id, row.example.id), str(row.example.meta.get("program")))
        found |= {sample.example.id: sample.id for sample in run.rows.samples(number)}
        found |= {row.id: row.program_id for row in layout.standings(run.path, number)}
        sources = {row.id: row.source for row in _rows(run.path, number, layout.ROWS, TrainRow)}
        sources |= {pair.id: pair.source for stage in layout.paired(run.path, number) for pair in stage.rows(layout.PAIRS, Pair)}
        found |= {name: found.get(source, source) for name, source in sources.items()}
        reports, decision = layout.training_reports(run.path, number), layout.decision(run.path, number)
        found |= {report.id: report.weights for report in reports}
        found |= {decision.id: reports[decision.stage].weights} if decision and reports else {}
    return found | {row.id: name for name, attempts in run.items.items() for _, row in attempts}


def _rows(path: Path, number: int, name: str, record: type[R]) -> Sequence[R]:
    """Rows that a round assembled; none where it has not."""
    stage = layout.step(path, number, "assemble")
    return stage.rows(name, record) if stage.done else []


def _json(record: Record | None) -> dict[str, Any] | None:
    return record.model_dump(mode="json") if record else None


def clearest(report: Report, lineage: Lineage) -> Way | None:
    """The way of one error that is the easiest to follow; None where no row was drawn of a program.

    First of rounds that were accepted; then one whose kind has a fixed held-out item, phrased like the error where there is one; whose
    answer could be read and which the program's wrong() gives; of these one that the most items were answered like before they were fixed,
    of the commonest misconception, with the fewest letters.
    """
    fixed: dict[tuple[str, ...], tuple[Attempt, Attempt]] = {}
    alike_fixed = Counter[tuple[str, ...]]()
    for evaluation in report.evaluations.values():
        for name in evaluation.fixed:
            attempts = dict(lineage.items[name])
            pair = attempts[report.target.before], attempts[report.target.after]
            kind = pair[0].example.task, pair[0].example.skill
            for key in (kind, (*kind, _asked(pair[0])), (*kind, _asked(pair[0]), _form(pair[0]))):
                fixed[key] = min(pair, fixed.get(key, pair), key=_letters)
                alike_fixed[key] += 1

    told = Counter(_masked(one) for one in lineage.lessons)

    def way(lesson: Lesson) -> tuple[tuple[Any, ...], Way]:
        example, diagnosis, program = lesson.error.example, lesson.taught.diagnosis, lesson.taught.program
        assert diagnosis and program, "a lesson has both"
        kind = example.task, example.skill
        same = (*kind, _asked(lesson.error), _form(lesson.error))
        alike = fixed.get(same) or fixed.get((*kind, _asked(lesson.error)))
        found = alike or fixed.get(kind)
        read = lesson.error.verdict.extracted is not None and lesson.error.finish == "stop"
        proven = "def wrong(" in program.source
        letters = _letters([lesson.error]) + len(diagnosis.misconception) + sum(len(row.example.question) for row in lesson.samples[:2])
        unclear = (lesson.number not in report.accepted, not found, not alike, not read, not proven, len(lesson.samples) < 2)
        return (*unclear, -alike_fixed[same], -told[_masked(lesson)], letters + (_letters(found) if found else 0), program.id), Way(
            lesson, found
        )

    return min(map(way, lineage.lessons), key=lambda one: one[0])[1] if lineage.lessons else None


def _asked(attempt: Attempt) -> str:
    return phrasing(KINDS[attempt.example.kind].stem(attempt.example))


def _form(attempt: Attempt) -> str:
    """An answer with its words and numbers masked, a short one as it is: answers that went the same way have the same."""
    return re.sub(r"\w+", "_", attempt.response) if len(attempt.response.split()) > 3 else attempt.response


def _masked(lesson: Lesson) -> str:
    """A lesson's misconception without the numbers of its error."""
    return re.sub(r"\d+", "#", lesson.taught.diagnosis.misconception) if lesson.taught.diagnosis else ""


def _letters(attempts: Sequence[Attempt]) -> int:
    return sum(len(one.example.question) + len(one.response) for one in attempts)


def excerpt(source: str, most: int = 16) -> tuple[str, int]:
    """What a program asks: its make() and the texts that it fills, at most so many lines, and how many of its lines are left out."""
    lines = source.splitlines()
    body = ast.parse(source).body
    make = next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == "make"), None)
    if make is None or len(lines) <= most:
        return "\n".join(lines[:most]), max(0, len(lines) - most)
    names = {node.id for node in ast.walk(make) if isinstance(node, ast.Name)}
    texts = [node for node in body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names and _is_text(node.value)]
    parts = ["\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in (*texts, make)]
    shown = "\n\n".join(parts).splitlines()[:most]
    return "\n".join(shown), len(lines) - sum(bool(line.strip()) for line in shown)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def as_text(document: dict[str, Any]) -> str:
    """What `Lineage.trace` found, for the terminal (templates/trace.txt.j2)."""
    sample = Sample.model_validate(document["sample"]) if document["kind"] == "sample" else None
    return render("trace.txt.j2", document=document, sample=sample)
