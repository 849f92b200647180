"""The config of a cycle: one YAML file, flags over the file, the file over these defaults.

The text under each field is its documentation: docs/config.md is drawn from it, and from its first sentence the help of the command line's
flag. Light: no torch, no dspy.

What is not here: what a setting does (the step that reads it), and the fields of target, training and table (trainers/settings.py,
tasks/table.py).
"""

import copy
import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from ..signatures.calls import CEILING, TIMEOUT, WAVE
from ..signatures.errors import UsageError, did_you_mean
from ..signatures.records import whole
from ..signatures.yamls import NO_YAML, read_yaml
from ..tasks.settings import TableSettings
from ..tasks.trace import TAGS, Tag, checked
from ..trainers.settings import TargetSettings, TrainSettings

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def _at_a_time(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not str(value).strip().isdecimal() or int(value) < 1):
        raise ValueError("give a number from 1, or auto")
    return value


AtATime = Annotated[int | Literal["auto"], BeforeValidator(_at_a_time)]


class Items(Settings):
    """How many items of each split are used."""

    train: int | None = Field(default=1500, ge=1)
    """Items of the train split that the target answers in each round, to mine its errors; None: all."""
    dev: int | None = Field(default=600, ge=1)
    """Items of the dev split that the gate decides on, and of each guard; None: all."""
    test: int | None = Field(default=600, ge=0)
    """Items of the test split, and of each guard's, that only the report reads; None: all, 0 leaves the test out."""


class InstructorSettings(Settings):
    """The model that analyses errors and writes programs."""

    model: str = "offline"
    """`offline` (embedded, no key), or a model name as dspy.LM takes it, e.g. `openai/gpt-5-mini`."""
    api_base: str | None = None
    """Address of an OpenAI-compatible server, e.g. `http://localhost:8000/v1`."""
    temperature: float | None = None
    """Sampling temperature; None leaves it to the provider."""
    max_tokens: int = Field(default=16000, ge=1)
    """Most tokens of one answer; OpenAI's reasoning models take no fewer than 16000."""
    in_flight: AtATime = 8
    """Calls under way at the same time; `auto`: from 8 on one more for each answer, up to 256, until rate limits (which halve it) or
    answers that take twice as long say stop. A cap on cost may be passed by as many calls."""
    batch: bool = False
    """Whether calls go in provider batches, at half the price, which take up to a day each: `openai/...`, `anthropic/...`, or a server at
    `api_base` that has OpenAI's. As many errors as are taught at the same time, up to 2000, share a batch."""
    timeout: float = Field(default=TIMEOUT, gt=0)
    """Most seconds for one whole answer; then it is asked for again."""

    @property
    def width(self) -> int:
        """Threads that ask at the same time, at most."""
        if self.batch:
            return WAVE
        return CEILING if self.in_flight == "auto" else self.in_flight


class JudgeSettings(Settings):
    """The language model that judges answers in prose (`table.verdict: judge`)."""

    model: str | None = None
    """Its name, as for the instructor; None: the instructor's, which must not be `offline` then."""
    api_base: str | None = None
    """Address of an OpenAI-compatible server; None: the instructor's where the model is, else the provider's own."""
    temperature: float | None = 0.0
    """Sampling temperature; None, and with OpenAI's reasoning models in any case, leaves it to the provider."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of one verdict with its reason; None: as many as the instructor's answers."""
    in_flight: AtATime = 8
    """Calls under way at the same time; `auto` as for the instructor."""
    twice: float = Field(default=0.1, ge=0, le=1)
    """Share of the answers that are judged a second time, at temperature 1, to tell how often the judge agrees with itself."""

    def of(self, instructor: InstructorSettings) -> InstructorSettings:
        """How the judge is called: as the instructor, but for what is set here."""
        base = self.api_base or (instructor.api_base if self.model in (None, instructor.model) else None)
        more = {"model": self.model or instructor.model, "api_base": base, "temperature": self.temperature, "in_flight": self.in_flight}
        # never in batches: each verdict is waited for while the target answers
        return instructor.model_copy(update=more | {"max_tokens": self.max_tokens or instructor.max_tokens, "batch": False})


class Budget(Settings):
    """Caps on a run. By default there is none. When one is reached the run ends with exit code 4, and what is done is kept."""

    max_calls: int | None = Field(default=None, ge=0)
    """Most calls to instructor and judge over all starts of the run, failed ones too; then it stops with exit code 4. None: unlimited."""
    max_tokens: int | None = Field(default=None, ge=0)
    """Most tokens in and out of instructor and judge over all starts of the run; calls under way are finished. None: unlimited."""
    max_cost: float | None = Field(default=None, ge=0)
    """Most USD over all starts of the run; refused for a model without a known price. None: unlimited."""
    max_time: float | None = Field(default=None, ge=0)
    """Most seconds from the start of the command; a training ends at its next tenth step, with a checkpoint. None: unlimited."""


class GenerateSettings(Settings):
    """How errors become rows."""

    strategy: str = "LearnFromError"
    """A built-in strategy, e.g. `LearnFromError`, or `FILE.py:NAME`, your own subclass of Strategy; an unknown name lists all. Built in are
    `LearnFromError` (each error alone), `LearnFromContrast` (beside similar questions that the target solved), `LearnFromClusters` (similar
    errors together), `Fuse` (as LearnFromError, and programs made of two others), `Mix` (half of the errors by LearnFromError, half by
    LearnFromContrast), and the controls `Mimic` (train items rewritten without a look at errors), `GoldOnly` (the train items that the
    target was asked, as they are), `FormOnly` (the same items with their answers shuffled) and `Uniform` (other train items,
    evenly over skills)."""
    state: str | None = None
    """JSON file with the strategy's instructions and demonstrations, written by `errata optimize` or `Strategy.save`; None: as shipped."""
    state_hash: str | None = None
    """Hash of that file; filled in, so that a run is never continued with another."""
    library: str | None = None
    """Take the programs of another run, of an exported environment, or of a file of programs, prove them again, and ask no instructor.
    None: an instructor writes them."""
    library_hash: str | None = None
    """Hash of these programs; filled in, so that a run is never continued with others."""
    patterns: str | None = None
    """Teach only the errors of the patterns that this file keeps, by its weights (`patterns.yaml` of a run, as `errata diagnose` writes it
    and a person edits it). None: all errors."""
    patterns_hash: str | None = None
    """Hash of what that file keeps; filled in, so that a run is never continued with another choice."""
    failures: int | None = Field(default=120, ge=1)
    """Most errors that the instructor analyses in a round, drawn at random from those found; None: all."""
    contrasts: int = Field(default=3, ge=1)
    """Solved neighbours shown beside an error (LearnFromContrast only)."""
    cluster: int = Field(default=5, ge=1)
    """Most errors shown together (LearnFromClusters only)."""
    reference: bool = True
    """Whether a diagnosis may see the reference solution."""
    repairs: int = Field(default=2, ge=0)
    """How often a refused program goes back to the instructor for repair."""
    completion: Literal["program", "target"] = "program"
    """In whose words a row's solution is: those of the `program`, or of the `target` (its first right one among the answers sampled to the
    question; the program's when none is right)."""
    samples: int = Field(default=4, ge=1)
    """Answers that the target samples to a question, when its own words or a wrong answer to correct are wanted."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of these answers."""
    band: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.0, 0.99)
    """A row is kept when the share of right answers (with right calculations) among the sampled ones lies between these two (completion
    `target` only); by default what the target always solves is dropped."""
    search_tokens: int = Field(default=0, ge=0)
    """Most new tokens that the search for own words takes for each row without a right sampled answer (completion `target` only); 0: no
    search."""
    lesson: dict[Literal["worked", "correction", "hint"], Annotated[float, Field(ge=0)]] = {"worked": 1.0}
    """What rows teach with, and in which shares: the `worked` solution, the `correction` of a wrong answer (the target's own, when one is
    sampled), or a `hint` and then the answer; one name stands for all rows. A row that cannot be made in the wanted form stays worked."""
    rows: int | None = Field(default=None, ge=1)
    """Generated rows of a round's training set; None: 1000, or 8 for each program when `errors` is `all`."""
    levels: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(default=(2, 3, 3, 4), min_length=1)
    """Levels that rows are drawn at, in turn; 3 is as hard as the errors."""
    probe: int = Field(default=8, ge=0)
    """Rows of each program that the target tries before training; 0: the check `targeted` is left out."""
    solved: float = Field(default=0.9, gt=0, le=1)
    """A program is refused as not targeted when the target solves at least this share of its probe."""
    solves: int = Field(default=1, ge=0)
    """How often the instructor solves each row that rests on a fact it asserts (multiple choice; of prose the first 6 rows of a program),
    without seeing the answer; a row is dropped unless most solves come to its answer. 0: the check `agreed` is left out."""
    agreed: float = Field(default=0.7, ge=0, le=1)
    """All rows of a program are dropped when the solves agree with less than this share of its rows that rest on facts."""
    simpler: float = Field(default=0.5, ge=0)
    """A program is refused as simpler when the median of its solutions' steps is less than this share of the steps of its errors' reference
    solutions (a step is a calculation, or a line when there are no calculations; in code, a line)."""
    phrasings: int | None = Field(default=None, ge=1)
    """In how many ways, at least, a program must phrase its questions (names, things, numbers and verbs aside), or the check `diverse`
    refuses it; 1: nothing is asked, and `offline` keeps to the error's own wording. Programs from before version 0.2 need 1. None: 3, but 1
    for `tiny`, which knows few words and gains less from more of them (docs/evidence/onpolicy.md)."""
    skip: tuple[
        Literal["anchored", "deterministic", "formed", "balanced", "diverse", "telling", "simpler", "targeted", "agreed", "distinct"], ...
    ] = ()
    """Checks that are left out, to measure what they are worth; the report says so. `runs` and `unseen` always stay."""
    allocation: Literal["mass", "uniform", "bandit"] = Field(default="mass", validation_alias=AliasChoices("allocation", "budget"))
    """How rows are shared among programs: by the share of its probe that the target fails (`mass`), evenly (`uniform`), or by mass times
    what the rows of the skill moved in the last rounds (`bandit`; in the first round as `mass`). Version 0.1 called it `budget`."""
    trace: Literal["drop", "keep"] = "drop"
    """What becomes of the target's reasoning trace in rows that are in its own words: with `drop` they hold its answer alone."""
    replay: float = Field(default=0.5, ge=0, lt=1)
    """Share of the training set that repeats items which the target already solves, in its own words."""

    @field_validator("lesson", mode="before")
    @classmethod
    def _one_lesson(cls, value: Any) -> Any:
        return {value: 1.0} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not sum(self.lesson.values()):
            raise ValueError("generate.lesson names no lesson with a share above 0")
        if self.band[0] > self.band[1]:
            raise ValueError("generate.band begins above its end")
        return self

    @property
    def ways(self) -> int:
        """How many phrasings are asked for, where a run has settled them."""
        return self.phrasings or 3


class GateSettings(Settings):
    """When new weights are kept."""

    alpha: float = Field(default=0.05, gt=0, le=1)
    """Largest two-sided p-value of the exact McNemar test at which a gain on dev counts."""
    margin: float = Field(default=0.02, ge=0, le=1)
    """Largest fall of a guard's accuracy that is accepted (a share, 0.02 = 2 points)."""
    rule: Literal["better", "not_worse"] = "better"
    """What new weights must show: `better`, a gain on dev beyond chance and no guard whose accuracy fell by more than `margin`;
    `not_worse`, the same gain, and besides no 95 % interval of the change, of dev or of a guard, that reaches below -`margin`
    (non-inferiority): a loss is ruled out then, not only unseen. That takes items: 137 where no answer changes, some 1,000 where one in
    ten does. With `alpha` 1 any gain on dev counts, and the intervals alone stand against chance."""
    back: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.9, 0.8)
    """A way back, where the weights that gain most on dev are turned down because a guard fell, and for nothing else: weights that lie so
    far from those that the round began with to these, tried one after another until one passes, or no longer gains (WiSE-FT, Wortsman et
    al. 2022, arXiv 2109.01903). Each costs answers to dev and guards. `[]`, `keep` other than `better`, and the rule `not_worse`: none."""
    forgetting: int = Field(default=64, ge=0)
    """Most answers, of replayed items and of each guard, on which the distance of new weights from those that the run began with is
    measured (KL and cross-entropy); it decides nothing. 0: not measured."""
    keep: Literal["better", "always", "last"] = "better"
    """Which weights are kept: only those that are `better`, or `always` the trained ones, whatever the gate finds; of a training in stages
    those that it likes best, or with `last` (as in `errata compare`) those after the last stage, and no others are measured."""

    @property
    def way_back(self) -> tuple[float, ...]:
        """The shares at which weights on a way back are looked at, where it comes to that."""
        return self.back if self.keep == "better" and self.rule == "better" else ()

    def candidates(self, stages: int, guarded: bool) -> int:
        """Most weights of a round that are measured, of a training in so many stages."""
        return 1 if self.keep == "last" else stages + len(self.way_back) * guarded


class SandboxSettings(Settings):
    """Limits of one run of a generated program."""

    workers: int | None = Field(default=None, ge=1)
    """Worker processes; None: one a core."""
    seconds: float = Field(default=10.0, ge=0.05, le=3600)
    """Wall-clock limit, seconds."""
    memory_mb: int = Field(default=256, ge=32, le=4096)
    """Memory limit, MiB."""

    @model_validator(mode="before")
    @classmethod
    def _one_backend(cls, data: Any) -> Any:
        """Version 0.1.0 had a field `backend`; its `auto` and `wasi` are what there is now."""
        if not isinstance(data, dict) or "backend" not in data:
            return data
        if data["backend"] not in ("auto", "wasi"):
            gone = f"sandbox.backend is {data['backend']!r}, which is gone: programs run in the WASI sandbox alone"
            raise UsageError(f"{gone}; take the field out of the config, or choose another --run for a run that was made with it")
        return {name: value for name, value in data.items() if name != "backend"}


class CycleConfig(Settings):
    """Everything a cycle depends on."""

    task: str = "sums"
    """What is asked, e.g. `sums` or `gsm8k:PATH`; an unknown name lists all tasks."""
    guards: tuple[str, ...] | None = None
    """Tasks that must not get worse; None: the task's out-of-domain twin, if it has one."""
    errors: Literal["target", "all", "recorded"] = "target"
    """Where errors come from: the `target` answers train items; or `all` train items count as errors with an empty response; or round 1
    takes answers that were `recorded` elsewhere and read by `errata import`."""
    rounds: int = Field(default=1, ge=1)
    """Rounds of error analysis and training; each starts from the weights accepted last."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of every draw: items, errors, rows, training."""
    form: Annotated[Literal["say", "off"], BeforeValidator(lambda value: "off" if value is False else value)] = "say"  # as YAML has it
    """Whether a run says at its start what the form of answers alone costs: where a quarter of the first answers to train items cannot be
    read, are cut or loop, other ways to ask are tried on 64 of these items each. It changes nothing that is measured or trained."""
    cluster: str | None = None
    """A Ray cluster whose nodes ask the target and run programs: `ray://HOST:10001`, `HOST:6379` from one of its nodes, or `auto`, the one
    that RAY_ADDRESS names, else one of this machine's CPUs and GPUs. Needs the extra `ray`, and the same Errata on each node. None: this
    process alone."""
    trace_tags: tuple[Tag, ...] = TAGS
    """Tags around a reasoning trace, which is set aside before an answer is read and judged. A word stands for all tags with this word in
    their name: `think` for <think>, [THINK], ◁think▷, <seed:think>; `analysis` for the channels of gpt-oss too. A pair `[OPENING, CLOSING]`
    stands for these two texts. `[]`: all of a response is its answer."""
    table: TableSettings = TableSettings()
    items: Items = Items()
    target: TargetSettings = TargetSettings()
    instructor: InstructorSettings = InstructorSettings()
    judge: JudgeSettings = JudgeSettings()
    budget: Budget = Budget()
    generate: GenerateSettings = GenerateSettings()
    train: TrainSettings = TrainSettings()
    gate: GateSettings = GateSettings()
    sandbox: SandboxSettings = SandboxSettings()

    @field_validator("cluster")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and value != "auto" and not re.fullmatch(r"(ray://)?[^\s/@]+:\d{1,5}", value):
            raise ValueError("give `auto`, `ray://HOST:10001` (Ray's port for clients), or `HOST:6379` on a machine of the cluster")
        return value

    @field_validator("trace_tags")
    @classmethod
    def _known_tags(cls, value: tuple[Tag, ...]) -> tuple[Tag, ...]:
        checked(value)
        return value


IMPORTED = ("task", "trace_tags", "table", "judge", "errors")
"""What `errata import` fixes; the rest of the config may change until the teaching begins."""
TRAINED = ("target", "train", "gate")
"""What may still change after recorded answers were taught, until a target is measured or trained."""
FREE: tuple[str, ...] = ("rounds", "budget", "cluster", "generate.state", "generate.library", "generate.patterns")
FREE += ("instructor.in_flight", "instructor.batch", "instructor.timeout", "target.vllm_python", "target.vllm_args")
FREE += ("form", "instructor.max_tokens", "judge.in_flight", "judge.max_tokens", "sandbox.workers", "train.devices")
FREE += ("target.batch_size", "target.api_key_env", "target.server_paths", "target.timeout", "target.refusals", "gate.back")
"""Fields that may differ when a run is continued: they change no row that could be made before."""
BACK = {
    "generate.patterns_hash": "rows were drawn by another choice of patterns: leave --patterns out to go on with it",
    "generate.state_hash": "the strategy's state has changed: to go on with what it was, give --strategy-state the state.json of the run",
    "generate.library_hash": "the library holds other programs than it did: put them back, or leave --library out if round 1 took them",
    "train.curriculum": "its rows were written in the order that this asks for: leave train.curriculum as it was",
}
"""What to do about others that differ, where it is not to give the same config: both sides have a value."""
OPEN = ("generate.phrasings", "train.stages")
"""Fields whose default hangs on the target."""


def settled(config: CycleConfig) -> CycleConfig:
    """The config with what it leaves open as its target has it: of `tiny`, what proved best on it (docs/evidence/onpolicy.md)."""
    tiny = config.target.model == "tiny"
    few = tiny and config.errors != "recorded"  # recorded errors may be taught before their target is named
    phrasings = config.generate.phrasings or (1 if few else config.generate.ways)
    stages = config.train.stages or (("sft", "grpo") if tiny else config.train.order)
    generate, train = config.generate.model_copy(update={"phrasings": phrasings}), config.train.model_copy(update={"stages": stages})
    return config.model_copy(update={"generate": generate, "train": train})


def load_config(path: Path | None = None, overrides: dict[str, Any] | None = None, base: CycleConfig | None = None) -> CycleConfig:
    """Read the YAML file at `path` (None: `base`, or the defaults) and lay `overrides` (dotted names to values) over it.

    Raises UsageError in one line for a missing file, broken YAML, an unknown field (with the near word) or a bad value.
    """
    return laid_over(base.model_dump(mode="json") if base and path is None else read_mapping(path), overrides or {}, path)


def read_mapping(path: Path | None, what: str = "config") -> dict[str, Any]:
    """The YAML file at `path`, as messages call it; empty for None. Raises UsageError when it is not a mapping."""
    if path is None:
        return {}
    try:
        data = read_yaml(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror}") from error
    except NO_YAML as error:
        raise UsageError(f"{what} {path} is not valid YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{what} {path} must be a mapping of field names to values, not {type(data).__name__}")
    return data


def _shown(value: Any) -> str:
    """A value as a message shows it, however large it is."""
    return _SHORT.repr(value)[:300]


def laid_over(data: dict[str, Any], overrides: Mapping[str, Any], path: Path | None = None) -> CycleConfig:
    """The config of nested fields `data` with `overrides` (dotted names to values) over them; `path` is where they were read.

    Raises UsageError in one line for an unknown field (with the near word) or a bad value.
    """
    # a group whose fields are all commented out is None
    data = {name: value for name, value in copy.deepcopy(data).items() if value is not None or name not in groups(CycleConfig)}
    for name, value in overrides.items():
        *parents, leaf = name.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise UsageError(f"{name} cannot be set: `{parent}` is not a group of fields")
        place[leaf] = value
    try:
        config = CycleConfig.model_validate(data)
    except ValidationError as error:
        raise UsageError(explain(error, path)) from error
    _refuse_texts(config, f"config {path}" if path else "config")
    return config


def _refuse_texts(config: CycleConfig, where: str) -> None:
    """Raise UsageError for a text that cannot stand in a file or a request, and for a password, which run.json would show."""
    try:
        values = json.dumps(config.model_dump(mode="json"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: a value holds itself, is nested too deeply or is not valid text ({str(error)[:100]})") from error
    for sign, what in (("\\ud", "half a character (a lone surrogate)"), ("\\u0000", "a zero byte")):
        found = [name for name, _ in fields() if sign in values and _holds(value_of(config, name), sign)]
        if found:
            raise UsageError(f"{where}: {found[0]} holds {what}, which is not valid text; take it out")
    addresses = [("target.api_base", one) for one in config.target.servers]
    addresses += [(f"{party}.api_base", value_of(config, f"{party}.api_base") or "") for party in ("instructor", "judge")]
    for name, address in addresses:
        if "@" in urlsplit(address).netloc:
            held = f"{where}: {name} holds a user or password before its @, which the run directory would show"
            raise UsageError(f"{held}; leave them out and give a key by an environment variable")


def _holds(value: Any, sign: str) -> bool:
    return whole(value) != value if sign == "\\ud" else sign in json.dumps(value)


def parse_override(text: str, flag: str = "--set", example: str = "train.epochs=3") -> tuple[str, Any]:
    """Read `name=value` of --set, or of another flag; the value is YAML, so 3, 0.1, true, [2, 3] and {lr: 1} mean what they look like."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{flag} takes name=value, e.g. {flag} {example}, not {_shown(text)}")
    try:
        return name.strip(), read_yaml(value)
    except NO_YAML as error:
        raise UsageError(f"{flag} {name[:100]}: the value {_shown(value)} is not valid YAML") from error


def explain(error: ValidationError, path: Path | None, model: type[BaseModel] = CycleConfig) -> str:
    """What is wrong with a config, in one line."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])[:100]
    where = f"config {path}: " if path else "config: "
    if first["type"] != "extra_forbidden":
        return f"{where}{name} = {_shown(first['input'])} is not usable: {first['msg'][:300]}"
    return f"{where}there is no field `{name}`{did_you_mean(name, [*groups(model), *dict(fields(model))], '`')}"


def groups(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The fields of a config that hold fields of their own."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def fields(model: type[BaseModel] = CycleConfig, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field by its dotted name, in order."""
    for name, field in model.model_fields.items():
        if group := groups(model).get(name):
            yield from fields(group, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def value_of(config: CycleConfig, name: str) -> Any:
    """The value of a field by its dotted name, as JSON has it."""
    return reduce(getitem, name.split("."), config.model_dump(mode="json"))


def settings(config: CycleConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields whose value is not the default (which may hang on the target), and those that stand at it, by dotted name."""
    default, usual = CycleConfig(), settled(CycleConfig(target=config.target, errors=config.errors))
    values = {name: value_of(config, name) for name, _ in fields()}
    chosen = {name: value for name, value in values.items() if value != value_of(default, name)}
    chosen = {name: value for name, value in chosen.items() if name not in OPEN or value != value_of(usual, name)}
    return chosen, {name: value for name, value in values.items() if name not in chosen}


def inline(value: Any) -> str:
    """A value as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
