"""Answers in the files of others, with the verdicts that stand beside them: samples of lm-evaluation-harness, logs of inspect, rows that
say whether they are right, and Errata's own attempts.jsonl.

A log may hold several models and several graders: one model is one `Answered`, and FILE@NAME chooses a model, a grader, or a filter of
lm-evaluation-harness. Nothing is judged here: `errata import` judges anew, by the rules of a task. Not here: the forms of files
(errata.tasks.recorded).
"""

import json
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...signatures.errors import TaskError, UsageError, did_you_mean
from ...signatures.records import Attempt, Example, Kind, Verdict
from ...signatures.rows import grouped
from ...signatures.terminal import command
from ...tasks.cells import text_of
from ...tasks.files import Row
from ...tasks.recorded import forms, join
from ...tasks.recorded.answer import Grade, RecordedAnswer
from .answered import Answered, Benchmark

FIRST = ("exact_match", "acc", "pass@1", "Errata")
"""Graders that are taken before others where nobody chooses."""
SKILLS = ("skill", "subject", "category", "subtask", "type")
"""Fields of an item that say its skill."""
_STAMP = re.compile(r"_\d{4}-\d\d-\d\dT[\d.:-]+$")
Found = tuple[Benchmark, RecordedAnswer]


def read(path: Path, name: str = "") -> list[Answered]:
    """What each model answered, or what `name` means: one model, or all under one grader. Raises TaskError for what is of no known form or
    holds no verdicts, and UsageError for an unknown name."""
    try:
        answers = [(benchmark, answer) for file in files(path) for benchmark, answer in _answers(file)]
    except TaskError as error:
        act = (
            "give a run, samples of lm-evaluation-harness, a log of inspect or rows with verdicts, or take the file in with `errata import`"
        )
        raise TaskError(f"{error.parts[0]}; {act}") from None
    graders = list(dict.fromkeys(grade.by for _, answer in answers for grade in answer.grades))
    if not graders:
        judge = command("import", path, "--task", "TASK")
        raise TaskError(f"{path} says of no answer whether it is right; `{judge}` judges them, and its run can be given in its place")
    models = list(dict.fromkeys(answer.model for _, answer in answers))
    chosen = [grader for grader in graders if name in (grader, *grader.split(","))]
    if name and not chosen and name not in models:
        known = [*filter(None, models), *graders]
        raise UsageError(f"{path} holds no {name!r}, only {', '.join(known)}{did_you_mean(name, known)}")
    kept = [(benchmark, answer) for benchmark, answer in answers if chosen or not name or answer.model == name]
    found = []
    for model, some in grouped(kept, lambda one: one[1].model).items():
        source = f"{path}@{name or model}" if name or len(models) > 1 else str(path)
        found.append(_answered(source, model, some, chosen))
    return found


def files(path: Path) -> list[Path]:
    """The file, or those that lm-evaluation-harness and inspect write into a folder, three levels deep; none where there are none."""
    if not path.is_dir():
        return [path]
    some = (file for depth in ("*", "*/*", "*/*/*") for file in path.glob(depth))  # not a whole disk, where a folder is mistaken
    return sorted(file for file in some if join.LOGS.fullmatch(file.name))


def _answers(file: Path) -> Iterator[Found]:
    """The answers of a file, with the task that each is of."""
    own = _STAMP.sub("", file.stem.removeprefix("samples_"))
    for answer in forms.read(file, {}):
        if answer.example is not None:
            yield (answer.example.task, answer.example.split), answer
        else:
            inner = re.fullmatch(rf"{re.escape(str(file))}, (.+), sample \d+", answer.where)
            yield (answer.task or (inner[1] if inner else own), ""), answer


def _answered(source: str, model: str, answers: Sequence[Found], chosen: Sequence[str]) -> Answered:
    """What a model answered, under one grader for each benchmark."""
    benchmarks, others = {}, set()
    by: dict[str, None] = {}
    left: list[str] = []
    for benchmark, some in grouped(answers, lambda one: one[0]).items():
        there = list(dict.fromkeys(grade.by for _, answer in some for grade in answer.grades))
        shares = Counter(grade.by for _, answer in some for grade in answer.grades if _is_share(grade))
        of = sorted(filter(chosen.__contains__, there) if chosen else there, key=lambda name: (name in shares, _rank(name)))
        grader = next(iter(of), None)
        if grader is not None:
            by[grader] = None
            if shares[grader]:  # what is left is not a fair sample
                left.append(f"{shares[grader]} of {len(some)} answers that {grader} gives a share are left out")
            others |= {*there} - {grader}
            benchmarks[benchmark] = list(_graded(some, benchmark, grader))
    told = f"graded by {', '.join(by)}" + (f", not by {', '.join(sorted(others))}" if others else "")
    told += "".join(f"; {one}" for one in left)
    settings = {name: value for _, answer in answers[:1] for name, value in answer.settings.items() if name != "prompt_hash"}
    if settings.keys() & {"temperature", "do_sample"}:
        cold = settings.get("do_sample") == "False" or settings.get("temperature") in ("0", "0.0")
        settings["decoding"] = "greedy" if cold else "sampled"
    targets = {answer.target for _, answer in answers}
    return Answered(
        source,
        f"{model}, {told}" if model else told,
        targets.pop() if len(targets) == 1 else "",
        benchmarks,
        (model,) if model else (),
        settings=settings | {"judged by": ", ".join(by)},
    )


def _is_share(grade: Grade) -> bool:
    """Whether it is a number between or beyond right and wrong, as those of f1 or bleu are: its 0 and 1 alone are no verdicts of all."""
    try:
        return grade.right is None and math.isfinite(float(grade.said))
    except ValueError:
        return False


def _rank(grader: str) -> int:
    metric = grader.partition(",")[0]
    return FIRST.index(metric) if metric in FIRST else len(FIRST)


def _graded(answers: Sequence[Found], benchmark: Benchmark, grader: str) -> Iterator[Attempt]:
    """The answers that the grader has graded, and those that nobody could grade."""
    for _, answer in answers:
        grade = next((one for one in answer.grades if one.by == grader), None)
        filtered = answer.skipped == forms.FILTERED  # the same response once more, under the filter that may be the wanted one
        if (answer.skipped and not filtered) or (grade is None and (filtered or answer.grades)):
            continue
        example = answer.example or _example(answer, benchmark)
        said = answer.response or ""
        yield Attempt(example=example, response=said, verdict=_verdict(answer, grade, grader), target=answer.target, finish=answer.finish)


def _verdict(answer: RecordedAnswer, grade: Grade | None, grader: str) -> Verdict:
    if answer.response is None or grade is None:
        return Verdict(correct=None, extracted=None, reason=answer.fault if answer.response is None else f"not graded by {grader}")
    if answer.form == "errata":
        return Verdict(correct=grade.right, extracted=grade.read, reason=grade.said)
    neither = f"{grade.by} is {grade.said}, neither right nor wrong"
    reason = neither if grade.right is None else "right" if grade.right else f"wrong by {grade.by}"
    unread = grade.read is None and answer.form == "lm-eval" and answer.picked is None
    return Verdict(correct=grade.right, extracted=None if unread else grade.read or answer.response, reason=reason)


def _example(answer: RecordedAnswer, benchmark: Benchmark) -> Example:
    """The item as the log tells it."""
    row, (task, split) = answer.row, benchmark
    question = text_of(row.get("question")) or _told({name: value for name, value in row.items() if name not in ("answer", "target")})
    gold = row.get("answer", row.get("target"))
    gold = _told(gold) if (text := text_of(gold)) is None else text
    gold, solution = (gold.rpartition("####")[2].strip(), gold) if "####" in gold else (gold.strip(), "")
    meta: dict[str, Any] = {"recorded": answer.where}
    if options := _options(row):
        gold = _label(options, gold)
        meta |= {"choices": options, "stem": question}
        if not all(option in question for option in options.values()):
            question = "\n".join([question, *(f"{label}. {option}" for label, option in options.items())])
    meta |= {"item": item} if (item := next((text for name in forms.IDS if (text := text_of(row.get(name)))), "")) else {}
    meta |= {"prompt_hash": answer.settings["prompt_hash"]} if "prompt_hash" in answer.settings else {}
    skill = next((text for name in SKILLS if (text := text_of(row.get(name)))), "")
    kind: Kind = "choice" if options else "text"
    return Example(task=task, split=split, question=question, answer=gold, solution=solution, skill=skill, kind=kind, meta=meta)


def _options(row: Row) -> dict[str, str]:
    """{label: words} of a row's options; empty where it has none."""
    found = row.get("choices")
    words, labels = (found.get("text"), found.get("label")) if isinstance(found, dict) else (found, None)
    if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
        return {}
    named = isinstance(labels, list) and len(labels) == len(words)
    return dict(zip(map(str, labels) if named and labels else string.ascii_uppercase, words, strict=False))


def _label(options: Mapping[str, str], gold: str) -> str:
    """The label of the right option, which may be written as its place or in its words."""
    if gold not in options and gold.isdecimal() and int(gold) < len(options):
        return [*options][int(gold)]
    return next((label for label, words in options.items() if gold == words and gold not in options), gold)


def _told(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
