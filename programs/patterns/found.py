"""The patterns among the diagnosed errors of a round: how large, what fixing them would be worth, and the file in which a person chooses.

What is not here: which diagnoses are put together (errata.programs.patterns.group), and how the file is read
(errata.programs.patterns.file).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ...signatures.errors import ErrataError, UsageError
from ...signatures.records import Diagnosis, Failure, GateDecision, TeachingResult
from ...signatures.terminal import command
from ..config import CycleConfig, inline
from ..run import layout
from ..run.directory import read_config, write_atomic
from ..stats import counts, wilson
from .file import Effect, Found, Pattern, PatternsFile, Shown, Source, choose, chosen_of
from .group import groups, names

LONG = 600
"""Characters of a text of an example, beyond which it is cut."""


class Earlier(NamedTuple):
    """What rounds before this one did to errors."""

    rounds: int
    rate: float
    """Of the dev items that were wrong before their training, the share that was right after it, less those that it broke; at least 0."""


def patterns(path: Path, number: int) -> PatternsFile | None:
    """The patterns of a round's diagnosed errors, largest first; None where no diagnosis tells of an error."""
    config, rows = read_config(path), layout.diagnosed(path, number)
    members, placed = _placed(rows)
    if not placed:
        return None
    errors = layout.failures(layout.attempts(path, number)) | layout.failures(layout.lent(path, number))
    tally = counts(row for row in layout.attempts(path, number) if row.example.split == "train")  # recorded ones are held-out too
    own = config.errors != "all" and not layout.source(path, number)  # those behind programs of a library are another run's
    wrong_share = tally["wrong"] / judged if (judged := tally["right"] + tally["wrong"]) and own else None
    earlier = _earlier(path, config)
    sizes = Counter(placed.values())
    everyone = {error for row in rows for error in row.failure_ids}
    at_fault = {error for row in rows if row.diagnosis and row.diagnosis.verdict != "error" for error in row.failure_ids} - placed.keys()
    ordered = sorted((row for row in members.items() if sizes[row[0]]), key=lambda row: (-sizes[row[0]], row[0]))
    found = []
    for place, (name, some) in enumerate(ordered, 1):
        size = sizes[name]
        effect = _effect(size, len(placed) + len(at_fault), wrong_share, earlier)
        skills = tuple(skill for skill, _ in Counter(one.skill for one in some if one.skill).most_common(3))
        ids = tuple(error for error, mine in placed.items() if mine == name)
        example = _example(some, {error: errors[error] for error in ids if error in errors})
        facts = Found(size=size, share=round(size / len(placed), 4), skills=skills, effect=effect, example=example)
        found.append(Pattern(number=place, name=name, errors=ids, found=facts))
    known = {"run": str(path), "round": number, "task": config.task, "seed": config.seed, "target": config.target.title}
    many = {"errors": max(len(everyone), tally["wrong"]), "diagnosed": len(placed), "at_fault": len(at_fault)}
    basis = "the errors are not answers of this target, so what they are worth is not known" if wrong_share is None else _basis(earlier)
    left = {"undiagnosed": len(everyone - placed.keys() - at_fault), "basis": basis}
    return PatternsFile(source=Source.model_validate(known | many | left), patterns=tuple(found))


def named(path: Path, number: int) -> dict[str, str]:
    """Error id -> the name of its pattern, of a round's diagnosed errors."""
    return _placed(layout.diagnosed(path, number))[1]


def _placed(rows: Sequence[TeachingResult]) -> tuple[dict[str, list[Diagnosis]], dict[str, str]]:
    """Name of a pattern -> its diagnoses; and error id -> the name of its pattern: of several the first."""
    told = [row.diagnosis for row in rows if row.diagnosis and row.diagnosis.verdict == "error" and row.diagnosis.strategy != "Fuse"]
    members = [[told[place] for place in places] for places in groups(told)]
    called = dict(zip(names(members), members, strict=True))
    placed: dict[str, str] = {}
    for name, some in called.items():
        for error in (error for one in some for error in one.failure_ids):
            placed.setdefault(error, name)
    return called, placed


def _effect(size: int, judged: int, wrong_share: float | None, earlier: Earlier | None) -> Effect | None:
    """Of the share of items that are wrong, the part that this pattern is, in points. `judged`: the errors of which a diagnosis says whose
    fault they are; those of items that are themselves at fault can not be mended by any pattern."""
    if wrong_share is None:
        return None
    low, high = (100 * wrong_share * bound for bound in wilson(size, judged))
    most = 100 * wrong_share * size / judged
    expected = None if earlier is None else round(most * earlier.rate, 2)
    return Effect(at_most=round(most, 2), low=round(low, 2), high=round(high, 2), expected=expected)


def _example(members: Sequence[Diagnosis], errors: dict[str, Failure]) -> Shown | None:
    """Of a pattern's errors the first of its most central diagnosis that has any."""
    found = next(((errors[name], one.misconception) for one in members for name in one.failure_ids if name in errors), None)
    if found is None:
        return None
    error, said = found
    item = error.attempt.example
    texts = {"question": item.question, "answer": item.answer, "response": error.attempt.answered, "misconception": said}
    return Shown(error=error.id, **{name: text if len(text) <= LONG else f"{text[:LONG]} […]" for name, text in texts.items()})


def _earlier(path: Path, config: CycleConfig) -> Earlier | None:
    """What the rounds of this run, and of runs beside it with the same task and target, did to the dev items that were wrong."""
    made = list(_decisions(path, config))
    wrong = sum((1 - one.before) * one.pairs for one in made)
    if not wrong:
        return None
    return Earlier(len(made), max(0.0, sum(one.fixed - one.broken for one in made) / wrong))


def _decisions(path: Path, config: CycleConfig) -> Iterator[GateDecision]:
    for run in sorted(file.parent for file in path.absolute().parent.glob("*/run.json")):
        try:
            other = read_config(run)
            if (other.task, other.target.model, other.target.api_base) == (config.task, config.target.model, config.target.api_base):
                yield from (one for number in layout.rounds(run) if (one := layout.decision(run, number)) and one.pairs)
        except ErrataError:  # damaged, or another version's: it tells nothing here
            continue


def _basis(earlier: Earlier | None) -> str:
    if earlier is None:
        return "no round was decided yet for this task and target here, so only the most that a pattern is worth is known"
    what = f"{earlier.rounds} {'round' if earlier.rounds == 1 else 'rounds'} of this task and target here"
    return f"{what} fixed {100 * earlier.rate:.0f} % of the dev errors on balance, whatever their pattern"


# ---- the file


def told(path: Path, number: int) -> dict[str, Any]:
    """What `errata diagnose` prints of a round's patterns. Of round 1 they are written into the run as patterns.yaml, unless it is there:
    a person may have edited it, which `edited` tells; `drawn`: rows were drawn without a choice, so that none can be made in this run."""
    found, file = patterns(path, number), path / layout.PATTERNS
    if found is None or number > 1:
        return {"patterns": found and found.model_dump(mode="json"), "file": None, "edited": False, "drawn": False}
    if not file.exists():
        write_atomic(file, as_yaml(path, found).encode())
    try:
        edited = choose(file).patterns != chosen_of(found, file)
    except UsageError:
        edited = True
    drawn = layout.step(path, 1, "assemble").done and not (path / layout.CHOSEN).exists()
    return {"patterns": found.model_dump(mode="json"), "file": str(file), "edited": edited, "drawn": drawn}


def as_yaml(path: Path, found: PatternsFile) -> str:
    """The file with notes for the one who edits it."""
    file = path / layout.PATTERNS
    lines = [
        "# Patterns among the errors. Edit, then let the same run go on; what is not kept is neither paid for nor drawn:",
        f"#   {command('cycle', '--run', path, '--patterns', file)}",
        "# keep: true or false. weight: 2 gives twice the rows that the errors alone would get. name: free, it stands in reports.",
        "# merge_into: the number or name of another pattern that these errors belong to. smallest: leaves out what has fewer errors.",
        "# A pattern by hand: a name, and `errors` (ids of errors or items) or `skill` (labels of the task's items).",
        "# source and found are for reading; a change there does nothing.",
        "",
        f"source: {inline(found.source.model_dump()) if found.source else 'null'}",
        f"smallest: {found.smallest}",
        "patterns:",
    ]
    for row in found.patterns:
        lines += ["", f"- number: {row.number}"]
        lines += [f"  {name}: {inline(getattr(row, name))}" for name in ("name", "keep", "weight", "merge_into")]
        if row.found:
            facts = row.found.model_dump(mode="json")
            shown = facts.pop("example") or {}
            lines += ["  found:", *(f"    {name}: {inline(value)}" for name, value in facts.items())]
            lines += ["    example:", *(f"      {name}: {_quoted(value)}" for name, value in shown.items())] if shown else []
        lines += _ids(row.errors)
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A text on one line, whatever is in it."""
    return yaml.safe_dump(text, default_style='"', width=10**9, allow_unicode=True).strip()


def _ids(errors: Sequence[str]) -> list[str]:
    """One text of many lines: a value each would be too many for one file."""
    return ["  errors: >-", *(f"    {' '.join(errors[start : start + 7])}" for start in range(0, len(errors), 7))]
