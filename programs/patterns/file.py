"""The file of patterns: what `errata diagnose` writes into a run as patterns.yaml, a person edits, and `--patterns FILE` takes.

What is not here: how patterns are found (errata.programs.patterns.found), and which errors of a round are theirs
(errata.programs.patterns.chosen).
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from ...signatures.errors import UsageError, did_you_mean
from ...signatures.records import content_hash
from ..config import Settings, read_mapping


def _words(value: Any) -> Any:
    """Ids in one text are several: thousands of them would else be too many values for a file of YAML."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


Ids = Annotated[tuple[str, ...], BeforeValidator(_words)]
Texts = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class Shown(Settings):
    """One error of a pattern, as an example."""

    error: str
    """Its id."""
    question: str
    answer: str
    """The gold answer."""
    response: str
    misconception: str


class Effect(Settings):
    """What fixing a pattern would be worth, in points of accuracy on train items."""

    at_most: float
    """If all of its errors were fixed and nothing broke: its share of the errors that were diagnosed, those of items at fault among them,
    times the share of items that are wrong."""
    low: float
    high: float
    """95 % interval of that, as it rests on a sample of items (Wilson)."""
    expected: float | None = None
    """`at_most` times the share of errors that earlier rounds fixed on balance; None: there were none."""


class Found(Settings):
    """What was found of a pattern. Only for reading: a change here does nothing."""

    size: int
    """Its errors among those that were diagnosed."""
    share: float
    """Of the diagnosed errors, 0 to 1."""
    skills: tuple[str, ...] = ()
    """The skills that its diagnoses name, most frequent first."""
    effect: Effect | None = None
    """None: the errors are not answers of a target."""
    example: Shown | None = None


class Pattern(Settings):
    """Errors that have the same behind them."""

    number: int | None = None
    """A short name for `merge_into`."""
    name: str = Field(min_length=1)
    """What it is called in reports and traces. Free."""
    keep: bool = True
    """Whether it is taught."""
    weight: float = Field(default=1.0, ge=0)
    """Its rows, as a multiple of what its errors would get; 0: none."""
    merge_into: int | str | None = None
    """Number or name of the pattern that its errors belong to; None: it stands for itself."""
    skill: Texts = ()
    """Skill labels of the task's items: every error of such an item that no pattern lists belongs here. Of patterns made by hand."""
    errors: Ids = ()
    """Ids of errors, or of items."""
    found: Found | None = None


class Source(Settings):
    """What the errors are of: another run with the same has the same errors."""

    run: str
    round: int
    task: str
    seed: int
    target: str
    errors: int
    """Errors of the round that were found."""
    diagnosed: int
    """Of these, the ones that a diagnosis tells of, and that are in a pattern."""
    at_fault: int
    """Errors whose item is itself at fault; they are in no pattern."""
    undiagnosed: int
    """Errors that no diagnosis could be read for; they are in no pattern."""
    basis: str = ""
    """Where `effect.expected` comes from."""


class PatternsFile(Settings):
    """patterns.yaml."""

    source: Source | None = None
    smallest: int = Field(default=1, ge=1)
    """Patterns of fewer errors are left out."""
    patterns: tuple[Pattern, ...] = Field(min_length=1)


class Chosen(Settings):
    """A pattern that is taught, as a run keeps it: what was merged into it is in it."""

    name: str
    weight: float
    errors: tuple[str, ...]
    skill: tuple[str, ...]


class Choice(Settings):
    """What a file of patterns keeps, as chosen.json holds it."""

    file: str
    source: Source | None
    patterns: tuple[Chosen, ...]
    dropped: tuple[str, ...] = ()
    """Ids that patterns list which are not kept: no skill takes them in. Empty where no pattern is of a skill."""

    @property
    def hash(self) -> str:
        """Of what it means; notes, figures and the order of ids are no part of it."""
        meant = [(one.name, one.weight, sorted(one.errors), sorted(one.skill)) for one in self.patterns]
        return content_hash([*meant, sorted(self.dropped)] if self.dropped else meant)


def _explained(error: ValidationError) -> str:
    """What is wrong with a file, first of all."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a mistyped name is often a missing field too
    place, *rest = first["loc"] or ("it",)
    where = str(place) if not rest else f"pattern {int(rest[0]) + 1 if isinstance(rest[0], int) else rest[0]}"
    name = str(rest[1] if len(rest) > 1 else place)
    if first["type"] == "extra_forbidden":
        known = Pattern.model_fields if len(rest) > 1 else PatternsFile.model_fields
        return f"{where}: there is no field `{name[:100]}`{did_you_mean(name, known, '`')}"
    if first["type"] in ("missing", "too_short"):
        return f"{where}: `{name}` is missing or empty; fill it in, or let `errata diagnose` write the file anew where there is none"
    return f"{where}: {name} = {str(first['input'])[:100]!r} is not usable: {first['msg'][:200]}"


def read(path: Path) -> PatternsFile:
    """The file at `path`. Raises UsageError in one line where it is none."""
    data = read_mapping(path, "patterns file")
    try:
        return PatternsFile.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"patterns file {path}: {_explained(error)}") from error


def choose(path: Path) -> Choice:
    """What the file at `path` keeps. Raises UsageError for a file that is none, says two things, or keeps nothing."""
    file = read(path.expanduser())
    patterns = chosen_of(file, path)
    left = {name for row in file.patterns for name in row.errors} - {name for one in patterns for name in one.errors}
    dropped = tuple(sorted(left)) if any(one.skill for one in patterns) else ()
    return Choice(file=str(path), source=file.source, patterns=patterns, dropped=dropped)


def chosen_of(file: PatternsFile, path: Path) -> tuple[Chosen, ...]:
    """What a file keeps, merged, in its order. Raises UsageError, in which `path` names it, where it says two things or keeps nothing."""
    rows, wrong = file.patterns, lambda what: UsageError(f"patterns file {path}: {what}")
    for what, names in (("name", [row.name for row in rows]), ("number", [row.number for row in rows if row.number is not None])):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise wrong(f"two patterns have the {what} {twice[0]!r}; give one another {what}, or merge it by merge_into")
    known: dict[Any, Pattern] = {row.number: row for row in rows if row.number is not None} | {row.name: row for row in rows}
    home: dict[str, Pattern] = {}
    for row in rows:
        home[row.name], way = row, [row.name]
        while (into := home[row.name].merge_into) is not None:
            if into not in known:
                raise wrong(f"{way[-1]!r} is merged into {into!r}, which is no pattern{did_you_mean(str(into), map(str, known))}")
            home[row.name] = known[into]
            way.append(known[into].name)
            if len(set(way)) < len(way):
                raise wrong(f"{' -> '.join(map(repr, way))} is merged into itself; take one merge_into out")
        if row.merge_into is not None and (not row.keep or row.weight != 1):
            raise wrong(f"{row.name!r} is merged, and has a keep or weight of its own; set them at {home[row.name].name!r}")
    place: dict[str, str] = {}
    for row in rows:
        if not row.errors and not row.skill and home[row.name] is row and row not in [home[one.name] for one in rows if one is not row]:
            raise wrong(f"{row.name!r} has neither errors nor a skill; list ids under `errors`, or labels of the task under `skill`")
        for name in (*row.errors, *(f"skill {label}" for label in row.skill)):
            if place.setdefault(name, row.name) != row.name:
                raise wrong(f"{name} is in {place[name]!r} and in {row.name!r}; list it once")
    chosen = []
    for row in rows:
        members = [one for one in rows if home[one.name] is row]
        errors = tuple(dict.fromkeys(name for one in members for name in one.errors))
        skill = tuple(dict.fromkeys(label for one in members for label in one.skill))
        if row.keep and row.weight and (skill or len(errors) >= file.smallest) and members:
            chosen.append(Chosen(name=row.name, weight=row.weight, errors=errors, skill=skill))
    if not chosen:
        raise wrong("nothing is kept; set `keep: true` and a weight above 0 on at least one pattern that has `smallest` errors or more")
    return tuple(chosen)
