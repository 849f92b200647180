"""Where a run keeps what: the one file that knows the names of a run's files, and which failures a run holds.

    run.json                              config and data
    form/                                 what the form of answers alone costs, and answers to other ways to ask
    round-N/mine/attempts.jsonl           answers to train items
    round-N/diagnose/diagnosed.jsonl      what is behind each error, where diagnoses were asked for ahead of programs
    round-N/teach/taught.jsonl            what became of each error
    round-N/teach/lent.jsonl              errors of other runs, behind programs that were taken from a library
    round-N/probe/, probe-after/          answers to each program's rows, before and after the training
    round-N/words/                        answers of the target to drawn rows, where it was asked
    round-N/assemble/                     samples, rejections, rows (what is trained on) and the library
    round-N/train/                        weights, the manifest of the training, and its seconds; further stages in train-2/, train-3/, ...,
                                          and behind them weights on a way back
    round-N/practice/                     what a stage was told of the target's own answers
    round-N/pairs/                        right and wrong answers to one question, and what was sampled for them; likewise pairs-2/, ...
    round-N/contexts/                     what the teacher of a stage is shown of each row
    round-N/gate/decision.jsonl           kept or not, and why
    evaluate/<weights>/<task>-<split>/    answers to held-out items
    answers.jsonl, ledger.json            what a paid instructor answered, and its sums
    batches.jsonl                         which requests were sent to it in provider batches
    patterns.yaml                         the patterns of round 1's errors, for a person to edit; Errata writes it once
    chosen.json                           what a person kept of such a file, where one was given
    state.json                            the strategy's state that the run was begun with, where one was given
    served/                               logs of vLLM, where it was started for the run
    seconds.json                          how long each step took; with those of trainings all that differs between two runs of one config
    result.json                           weights and benchmarks to report
    report.{json,md,html}                 the report

What is not here: how a stage is written and read (errata.programs.run.directory).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from ...signatures.records import Attempt, Failure, GateDecision, Rejection, Sample, SampleProgram, Standing, TeachingResult, TrainReport
from ...signatures.rows import unique, where
from .directory import R, Stage, read_json, slug

ATTEMPTS, TAUGHT, LENT, DECISION = "attempts.jsonl", "taught.jsonl", "lent.jsonl", "decision.jsonl"
DIAGNOSED, PATTERNS, CHOSEN, STATE = "diagnosed.jsonl", "patterns.yaml", "chosen.json", "state.json"
SAMPLES, REJECTIONS, ROWS, LIBRARY = "samples.jsonl", "rejections.jsonl", "rows.jsonl", "library.jsonl"
TRIES, SEARCHED, PAIRS, CONTEXTS = "tries.jsonl", "searched.jsonl", "pairs.jsonl", "contexts.jsonl"
ANSWERS, SPENT, BATCHES = "answers.jsonl", "ledger.json", "batches.jsonl"
RESULT, SECONDS, SERVED = "result.json", "seconds.json", "served"


def named(number: int, name: str) -> str:
    """A step of a round as ledger, clock and report name it: its folder in the run directory."""
    return f"round-{number}/{name}"


def numbered(name: str) -> int | None:
    """The round of a folder of the run directory, or of a step in it; None where it is not one of a round."""
    found = re.match(r"round-(\d+)(/|$)", name)
    return int(found[1]) if found else None


def answered(path: Path, mined: bool) -> bool:
    """Whether the target has begun to answer: held-out items, or the train items where those are `mined`."""
    folders = ("evaluate/*/*", *(["round-*/mine"] if mined else []))
    return any(file.stat().st_size for folder in folders for file in path.glob(f"{folder}/{ATTEMPTS}*"))


def step(path: Path, number: int, name: str) -> Stage:
    """The stage `name` of round `number` of the run at `path`."""
    return Stage(path / named(number, name))


def rounds(path: Path) -> list[int]:
    """The numbers of the rounds that were begun, in order."""
    return sorted(number for folder in path.iterdir() if (number := numbered(folder.name))) if path.is_dir() else []


def form(path: Path, way: str = "") -> Stage:
    """What the form of answers costs the target as it came; with a `way` to ask, the answers to it."""
    return Stage(path / "form" / slug(way) if way else path / "form")


def evaluation(path: Path, weights: str, task: str, split: str) -> Stage:
    """The answers of the weights with this hash to a held-out split."""
    return Stage(path / "evaluate" / weights / slug(f"{task}-{split}"))


def evaluations(path: Path, weights: str = "*") -> list[Stage]:
    """All finished evaluations of held-out items, or those of the weights with this hash."""
    return [stage for stage in map(Stage, sorted(path.glob(f"evaluate/{weights}/*"))) if stage.done]


def attempts(path: Path, number: int, name: str = "mine") -> Sequence[Attempt]:
    """The answers of a stage of a round, read one by one as they are asked for; empty where the stage is not finished."""
    stage = step(path, number, name)
    return stage.rows(ATTEMPTS, Attempt) if stage.done else []


def taught(path: Path, number: int) -> list[TeachingResult]:
    """What became of the errors of a round; empty where its teaching is not finished."""
    return _rows(step(path, number, "teach"), TAUGHT, TeachingResult)


def diagnosed(path: Path, number: int) -> list[TeachingResult]:
    """The diagnoses of a round: of all its errors where they were asked for ahead of programs, else of those that were taught."""
    return _rows(step(path, number, "diagnose"), DIAGNOSED, TeachingResult) or taught(path, number)


def source(path: Path, number: int) -> dict[str, Any] | None:
    """The library that a round's programs came from: its path, its hash and what it says of itself; None: they were written here."""
    stage = step(path, number, "teach")
    return stage.facts().get("library") if stage.done else None


def lent(path: Path, number: int) -> list[Attempt]:
    """The errors of other runs that the programs of a library rebuild."""
    return step(path, number, "teach").read(LENT, Attempt) if source(path, number) else []


def samples(path: Path, number: int) -> list[Sample]:
    """The generated rows of a round; empty where none were assembled."""
    return _rows(step(path, number, "assemble"), SAMPLES, Sample)


def standings(path: Path, number: int) -> list[Standing]:
    """How each program fared in a round; empty where none were assembled."""
    return _rows(step(path, number, "assemble"), LIBRARY, Standing)


def decision(path: Path, number: int) -> GateDecision | None:
    """What the gate decided; None where it has not."""
    return next(iter(_rows(step(path, number, "gate"), DECISION, GateDecision)), None)


def _rows(stage: Stage, name: str, record: type[R]) -> list[R]:
    return stage.read(name, record) if stage.done else []


def training(path: Path, number: int, place: int = 0) -> Path:
    """The folder of a round's training: of the stage at this place of `train.stages`."""
    return path / named(number, _placed("train", place))


def _placed(name: str, place: int) -> str:
    return name if place == 0 else f"{name}-{place + 1}"


def trainings(path: Path, number: int) -> list[int]:
    """The places of the stages of a round's training that are finished, in order, and of what lies on a way back behind them."""
    return list(takewhile(lambda place: _manifest(path, number, place).exists(), count()))


def stands(path: Path, number: int) -> int:
    """The place of the stage whose weights the gate chose in a round, or would be asked about last."""
    decided = decision(path, number)
    return decided.stage if decided else max(0, len(stages(path, number)) - 1)


def weights(path: Path, number: int, place: int) -> Path:
    """The folder of the weights, or of the adapter, that a stage of a round trained."""
    return training(path, number, place) / "weights"


def practice(path: Path, number: int, place: int) -> Path:
    """The journal of a stage that trains on the target's own answers."""
    return path / named(number, "practice") / f"stage-{place + 1}.jsonl"


def journals(path: Path) -> list[Path]:
    """The journals of all stages of a run that trained on own answers."""
    return sorted(path.glob("round-*/practice/*.jsonl"))


def practised(path: Path, number: int, place: int) -> list[dict[str, Any]]:
    """What the journal of a stage on own answers says, one row a question: its step, arm, skill, program or item, and how many of the
    answers that were judged were right. Empty where the stage keeps none."""
    journal = practice(path, number, place)
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()] if journal.exists() else []


def course(path: Path, number: int, place: int) -> list[dict[str, float]]:
    """What a stage logged on the way, by step; empty where it left none."""
    file = training(path, number, place) / "course.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


def pairs(path: Path, number: int, place: int) -> Stage:
    """The pairs that a stage of a round trains on."""
    return step(path, number, _placed("pairs", place))


def paired(path: Path, number: int) -> list[Stage]:
    """The finished stages of pairs of a round, in order."""
    folders = sorted((path / named(number, "")).glob("pairs*"), key=lambda folder: (len(folder.name), folder.name))
    return [stage for stage in map(Stage, folders) if stage.done]


def _manifest(path: Path, number: int, place: int) -> Path:
    return training(path, number, place) / "manifest.json"


def training_report(path: Path, number: int) -> dict[str, Any] | None:
    """What the stage of a round's training whose weights stand says of itself; None where there was none."""
    manifest = _manifest(path, number, stands(path, number))
    return read_json(manifest)["report"] if manifest.exists() else None


def training_reports(path: Path, number: int) -> list[TrainReport]:
    """What the finished stages of a round's training say of themselves, by their places."""
    return [TrainReport.model_validate(read_json(_manifest(path, number, place))["report"]) for place in trainings(path, number)]


def stages(path: Path, number: int) -> list[int]:
    """The places of the finished stages of a round's training, in order, without what lies on a way back."""
    return [place for place in trainings(path, number) if read_json(_manifest(path, number, place)).get("report", {}).get("back") is None]


def stage_names(path: Path, number: int, order: Sequence[str]) -> list[str]:
    """What each of a round's weights come from, by their places: a stage of `train.stages`, the `order`, or a place on a way back."""
    names: list[str] = []
    reports = training_reports(path, number)
    for place, report in enumerate(reports):
        if report.back is None:
            names.append(order[place])
        else:
            end = next((name for name, one in zip(names, reports, strict=False) if one.weights == report.base), report.base)
            names.append(f"{report.back:g} of the way to {end}")
    return names


def training_seconds(path: Path, number: int) -> float | None:
    """Seconds of the steps of a round's training, of all its stages, as the trainer counts them; None: made before they were kept."""
    files = [training(path, number, place) / SECONDS for place in stages(path, number)]
    return sum(read_json(file)["seconds"] for file in files) if all(file.exists() for file in files) else None


def training_peak(out: Path) -> int | None:
    """Most bytes that the training in `out` held, in its last start; None: it was not told."""
    return read_json(out / SECONDS).get("peak_bytes") if (out / SECONDS).exists() else None


def generated_tokens(path: Path, number: int) -> int | None:
    """New tokens of the target's answers in a round: to train items, to probes and drawn rows, for pairs, and those that a training
    sampled. Answers that are only measured, on dev and test and after the training, do not count. None: made before they were kept."""
    given = [row.tokens for name in ("mine", "probe") for row in attempts(path, number, name) if row.target]
    words = step(path, number, "words")
    sampled = sum(report.generated_tokens for report in training_reports(path, number))
    asked = sum(stage.facts()["tokens"] for stage in (*([words] if words.done else []), *paired(path, number)))
    known = [tokens for tokens in given if tokens is not None]
    return sum(known) + asked + sampled if len(known) == len(given) else None


# ---- which failures a run holds


def wrong(rows: Sequence[Attempt]) -> Sequence[Attempt]:
    """The wrong attempts, one of each failure, held as `rows` are."""
    return unique(where(rows, lambda row: row.verdict.correct is False), lambda row: Failure(attempt=row).id)


def failures(rows: Iterable[Attempt]) -> dict[str, Failure]:
    """The wrong attempts as failures, by id. Unjudged attempts are not failures."""
    return {failure.id: failure for row in rows if row.verdict.correct is False for failure in [Failure(attempt=row)]}


def unanswered(rows: Iterable[Attempt]) -> dict[str, Failure]:
    """The items of attempts as errors without an answer, by id: what a strategy is taught from that takes `train` items."""
    return {failure.id: failure for row in rows for failure in [Failure(attempt=Attempt.unanswered(row.example))]}


def library(path: Path, number: int) -> dict[str, SampleProgram]:
    """The programs that passed the checks in rounds 1 to `number`, by id."""
    rows = (row for earlier in range(1, number + 1) for row in taught(path, earlier))
    return {row.program.id: row.program for row in rows if row.program}


def untaught(rows: Sequence[TeachingResult]) -> dict[str, Rejection | None]:
    """The failures that no kept program rebuilds, by id, each with the refusal that had the last word."""
    claimed = {name for row in rows if row.program for name in row.program.anchors}
    return {name: row.rejections[-1] if row.rejections else None for row in rows for name in row.failure_ids if name not in claimed}


def refusals(rows: Sequence[TeachingResult]) -> dict[str, int]:
    """How many failures got no program, by the check that had the last word, most frequent first."""
    return dict(Counter(last.check for last in untaught(rows).values() if last).most_common())


def retired(path: Path, number: int) -> dict[str, str]:
    """The programs that retired before round `number`, and why."""
    rows = (row for earlier in range(1, number) for row in standings(path, earlier))
    return {row.program_id: row.retired for row in rows if row.retired}
