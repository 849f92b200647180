"""What commands share: options that are declared once, the `Start` that they come to, the Cycle that it means, errors in one line, and
where progress is told: a live line a step on a terminal, plain lines elsewhere, JSON lines for programs, or nowhere.

What is not here: the commands and what is theirs alone (cli.py), and what a Cycle does (errata.programs.cycle).
"""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TextIO

import typer

from ..signatures.errors import ErrataError, UsageError
from ..signatures.records import content_hash
from ..signatures.terminal import visible
from .config import CycleConfig, fields, groups, inline, load_config, parse_override, settings
from .run.progress import Progress, Step, told
from .studies.settings import OptimizeSettings

if TYPE_CHECKING:
    from .cycle import Cycle


class Start(NamedTuple):
    """What a command was given."""

    flags: dict[str, Any]
    """What its flags set: field of the config -> value."""
    run: Path | None = None
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    """What --set was given, each as `NAME=VALUE`; wins over the flags."""
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    teller: Progress = Progress(lambda line: None)
    out: TextIO = sys.stdout
    """Where the result is written, and nothing else."""

    def write(self, text: str) -> None:
        """Write the result of the command."""
        try:
            print(visible(text), file=self.out, flush=True)
        except BrokenPipeError:  # nobody reads on; what is left must not fail again when the file is closed
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())
            raise typer.Exit(1) from None

    def overrides(self) -> dict[str, Any]:
        """The fields of the config that flags and --set name -> values."""
        return self.flags | dict(map(parse_override, self.assignments))

    def load(self, base: CycleConfig | None = None) -> CycleConfig:
        """The config file, or `base` where no file was given, with flags and --set over it."""
        given = self.overrides()
        if "generate.patterns" in given:
            given = {"generate.patterns_hash": None} | given  # what `base` had of another file
        return load_config(self.config, given, base)

    def cycle(self) -> Cycle:
        """The Cycle that is meant, not yet open: nothing is written. Without a run directory it gets the default one."""
        from .cycle import Cycle
        from .run.directory import read_config, slug
        from .strategies.state import pinned

        # a run directory that exists brings its own config; what is given must agree with it
        known = self.run if self.run and not self.config and (self.run / "run.json").exists() else None
        config = self.load(read_config(known) if known else None)
        if self.run:
            return Cycle(config, self.run, self.teller)
        config, patterns = _with(config, None), config.generate.patterns
        config = pinned(config)  # without the choice, which is no part of the name, and whose file may be gone
        # the same command with a higher cap, on more devices, or with a choice of patterns continues
        fixed = config.model_dump(mode="json", exclude={"budget": True, "cluster": True, "train": {"devices"}, "generate": CHOICE})
        name = f"{slug(config.task)}-{slug(config.generate.strategy)}-{content_hash(fixed)[:6]}"
        return Cycle(_with(config, patterns), Path("runs") / name, self.teller)

    @contextmanager
    def opened(self, until: str | None = None, dry_run: bool = False) -> Iterator[Cycle]:
        """The Cycle, open, when it can run up to the step `until`; its run directory is locked meanwhile, and its settings are told. A dry
        run leaves the directory as it was."""
        from .run.directory import write_atomic

        loop = self.cycle()
        loop.refuse_early(until, dry_run)
        file = loop.path / "run.json"
        begun = file.read_bytes() if file.exists() else None
        try:
            with loop:
                chosen, default = settings(loop.config)
                loop.progress.fact("settings", run=str(loop.path), set=chosen, default=default)
                if not dry_run:
                    loop.say(f"run directory {loop.path}; the same command continues it")
                for line in as_text(loop.config, self.verbose)[: 1 if begun and not self.verbose else None]:
                    loop.say(line)
                yield loop
        finally:
            if dry_run and begun and file.read_bytes() != begun:
                write_atomic(file, begun)


def _with(config: CycleConfig, patterns: str | None) -> CycleConfig:
    """The config with this file of patterns."""
    return config.model_copy(update={"generate": config.generate.model_copy(update={"patterns": patterns, "patterns_hash": None})})


CHOICE = {"patterns", "patterns_hash"}
"""Fields of `generate` by which a run is not named: what is chosen among the errors of a run is taught in that run."""

# ---- options

RUN, TARGET, TEACHING, CAPS, OUTPUT, SEARCH = "Run", "Target", "Instructor", "Caps", "Output", "Optimizer"
"""Groups of options in the help."""

FIELDS = dict(fields()) | {f"optimize.{name}": field for name, field in fields(OptimizeSettings)}
"""What an option may set: fields of the config, and of an optimization's settings."""
Option = tuple[str, inspect.Parameter]
"""What an option gives to a command: the name of a field of the config, of an optimization's settings or of `Start`; and the option."""


def option(field: str, kind: Any, *names: str, help: str, panel: str, **more: Any) -> Option:
    """An option; its default is None, or False of a switch."""
    default = more.pop("default", False if kind is bool else None)
    kind = kind | None if default is None else kind
    told = typer.Option(*names, help=help, rich_help_panel=panel, **more)
    name = names[0].removeprefix("--").replace("-", "_")
    return field, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, told])


def setting(field: str, panel: str, name: str = "", **more: Any) -> Option:
    """An option that sets a field of the config, with the field's name unless it is given another; its help is the first sentence of the
    field's documentation."""
    known = FIELDS[field]
    first = re.split(r"(?<!e\.g)\.\s", " ".join((known.description or "").split()))[0]
    name = name or f"--{field.rpartition('.')[2].replace('_', '-')}"
    kind = more.pop("kind", known.annotation)
    return option(field, kind, name, help=first.removesuffix(".").replace("`", "") + ".", panel=panel, **more)


WHERE = (
    option("run", Path, "--run", help="Run directory; the same one continues. Default: runs/<task>-<strategy>-<config>.", panel=RUN),
    option("config", Path, "--config", help="YAML config, as errata init writes it; flags win over it.", panel=RUN),
)
CONFIG = WHERE[1:]
SET = (
    option(
        "assignments", list[str], "--set", metavar="NAME=VALUE", panel=RUN,
        help="Any config field, e.g. --set train.epochs=2. May be repeated.",
    ),
)  # fmt: skip
SHOWN = (
    option("as_json", bool, "--json", help="One JSON document on stdout, and progress as JSON lines on stderr.", panel=OUTPUT),
    option("quiet", bool, "--quiet", "-q", help="No progress on stderr.", panel=OUTPUT),
)
ROWS = (
    option("pairs", bool, "--pairs", help="Write the pairs of stages dpo and kto as preference data, JSON lines.", panel="Options"),
    option("data", bool, "--data", help="Write rows, pairs and refused rows as a data set that load_dataset reads.", panel="Options"),
    option("environment", bool, "--environment", help="Write the kept programs as a Python package that needs no Errata.", panel="Options"),
    option("license", str, "--license", metavar="ID", help="With --data: licence, e.g. cc-by-4.0, or other:NAME.", panel="Options"),
)
"""What `errata export` writes of a run beside its weights."""
VERBOSE = option("verbose", bool, "--verbose", "-v", help="Tell the settings that stand at their defaults too.", panel=OUTPUT)
CLUSTER = (setting("cluster", RUN, metavar="ADDRESS"),)
STARTED = (*WHERE, *SET, *CLUSTER, *SHOWN, VERBOSE)

TASK, SEED = (setting("task", RUN),), (setting("seed", RUN),)
WEIGHTS = (
    setting("target.model", TARGET, "--target"),
    setting("target.adapter", TARGET),
    setting("target.api_base", TARGET, "--served", kind=list[str], metavar="URL[,URL]|auto"),
)
STATE = (setting("generate.state", TEACHING, "--strategy-state"),)
TEACHER = (setting("instructor.model", TEACHING, "--instructor"), setting("generate.strategy", TEACHING), *STATE)
TIME = (setting("budget.max_time", CAPS),)
BUDGET = (*(setting(f"budget.max_{what}", CAPS) for what in ("calls", "tokens", "cost")), *TIME)
TAUGHT = (*TASK, *WEIGHTS, *TEACHER, *SEED, *BUDGET, *STARTED)
"""Options of the commands that ask an instructor."""
ERRORS = (setting("generate.failures", RUN, "--limit"),)
PATTERNS = (setting("generate.patterns", RUN, metavar="FILE"),)
LIBRARY = (setting("generate.library", RUN, metavar="RUN_OR_FILE"),)
SEARCHING = tuple(
    setting(f"optimize.{name}", SEARCH, default=FIELDS[f"optimize.{name}"].default)
    for name in ("optimizer", "evaluations", "reflection", "teacher", "failures", "probe_training", "alpha")
)
"""Options of `errata optimize`, which stand at their own defaults."""


# ---- forms of progress, all on stderr: stdout holds the result alone


class JsonLines(Progress):
    """One JSON object a line: {"event": "said" | "step" | "settings" | "round", ...}."""

    every = 1.0

    def say(self, line: str) -> None:
        self.fact("said", text=line)

    def step(self, title: str, step: Step, now: float) -> None:
        rate, seconds = step.rate(), {"seconds_left": step.left(now), "seconds": now - step.first}
        self.fact("step", title=title, done=step.done, total=step.total, per_second=rate, note=step.note, **seconds)

    def fact(self, event: str, **fields: Any) -> None:
        self.tell(visible(json.dumps({"event": event} | fields, ensure_ascii=False)))


class Live(Progress):
    """On a terminal: a step's line moves while it lasts, with a bar, its rate and the time left, and what is said stays above it."""

    def __init__(self, stream: TextIO):
        from rich import progress as bars
        from rich.console import Console
        from rich.table import Column

        self.console = Console(file=stream)
        super().__init__(self._print)
        column = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        title = bars.TextColumn("{task.description}", markup=False, table_column=column)
        told = bars.TextColumn("{task.fields[told]}", markup=False)
        bar = [bars.BarColumn(30)] if self.console.width >= 100 else []
        self._bars = bars.Progress(title, *bar, told, console=self.console, transient=True, expand=True)
        self._shown: dict[str, Any] = {}

    def _print(self, line: str) -> None:
        from rich.text import Text

        text = Text(line)
        text.highlight_regex(r"^[^:;]{1,60}:(?= )", "bold")
        self.console.print(text, soft_wrap=True, highlight=False)

    def step(self, title: str, step: Step, now: float) -> None:
        line = "  ".join(told(step, now))
        if title not in self._shown:
            self._shown[title] = self._bars.add_task(title, total=step.total, told=line)
            self._bars.start()
        self._bars.update(self._shown[title], completed=step.done, total=step.total, told=line)

    def beat(self) -> None:
        """Let the times of all lines go on."""
        with self._lock:
            for title, step in self._steps.items():
                self.step(title, step, time.monotonic())

    def end(self, title: str) -> None:
        title = visible(title)
        with self._lock:
            super().end(title)
            if title in self._shown:
                self._bars.remove_task(self._shown.pop(title))
            if not self._shown:
                self._bars.stop()


def teller(quiet: bool, as_json: bool) -> Progress:
    """What suits this process's stderr: nowhere when `quiet`, JSON lines, a live display on a terminal that can draw one, else lines."""
    stream = sys.stderr
    write = lambda line: None if quiet else print(line, file=stream, flush=True)  # noqa: E731
    if stream.isatty() and not quiet and not as_json:
        from rich.console import Console

        if not Console(file=stream).is_dumb_terminal:
            return Live(stream)
    return JsonLines(write) if as_json and not quiet else Progress(write)


# ---- commands


def tell_version(wanted: bool) -> None:
    """`errata --version`."""
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"errata-lm {version('errata-lm')}")
        except PackageNotFoundError:
            typer.echo("errata-lm, not installed: run from its source")
        if told := namesake():
            typer.echo(f"errata: {told}", err=True)
        raise typer.Exit


def namesake() -> str:
    """What to tell a user who has the index's distribution `errata` beside this one; empty where it is not there. Both bring a package and
    a command of that name, so that what is installed last writes over files of the other, and removing one takes the command of both.

    Not covered: an editable install of ours, which Python does not look at once it has found the other's package.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        other = version("errata")
    except PackageNotFoundError:
        return ""
    mend = "pip uninstall -y errata, then pip install --force-reinstall --no-deps . in a checkout of Errata"
    return (
        f"two distributions are installed whose package and command are called errata: errata-lm, which you started, and errata {other}, "
        f"another project that introspects exceptions; they write over each other's files: {mend}"
    )


def takes(*options: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command these options. Its first parameter, a `Start`, is what they were given; its errors are told in one line."""
    names = {parameter.name: field for field, parameter in options}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            given = {name: _at_home(value) for name, value in given.items()}
            values = {field: given.pop(name) for name, field in names.items()}
            own = {name: values.pop(name) for name in Start._fields if name in values}
            own["assignments"] = tuple(own.get("assignments") or ())
            flags = {field: value for field, value in values.items() if value is not None}
            flags |= {field: value[0] for field, value in flags.items() if isinstance(value, list) and len(value) == 1}  # as in YAML
            with results_alone() as out, one_line_errors(_named([*given.values(), *values.values()])):
                progress = teller(own.get("quiet", False), own.get("as_json", False))
                if told := namesake():
                    progress.say(told)
                with progress.within(f"errata {command.__name__.rstrip('_')}"):
                    command(Start(flags, **own, teller=progress, out=out), **given)

        signature = inspect.signature(command)
        _, *rest = signature.parameters.values()
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in [*(parameter for _, parameter in options), *rest]]
        run.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
        return run

    return decorate


def _named(values: Iterable[Any]) -> tuple[str, ...]:
    """The places among what a command was given, from the root on."""
    some = (one for value in values for one in (value if isinstance(value, list | tuple) else [value]))
    return tuple(str(Path(one).absolute()) for one in some if isinstance(one, str | Path) and str(one))


def _at_home(value: Any) -> Any:
    """A path, or each of several, with its `~` expanded: a shell leaves it in `--run=~/x`."""
    if isinstance(value, list | tuple):
        return [_at_home(one) for one in value]
    try:
        return value.expanduser() if isinstance(value, Path) else value
    except RuntimeError:
        raise typer.BadParameter(f"there is no home folder for {value}") from None


@contextmanager
def results_alone() -> Iterator[TextIO]:
    """Gives stdout as it was. What trackers and other libraries print meanwhile, or when the process ends, goes to stderr."""
    out = sys.stdout
    with suppress(OSError, ValueError, AttributeError):  # in a test it is no file, and stderr may be closed
        if out.fileno() == 1:
            kept = os.fdopen(os.dup(1), "w", encoding=out.encoding, errors="backslashreplace")
            os.dup2(2, 1)
            out = kept
    with redirect_stdout(sys.stderr):
        yield out


GRACE = 15.0
"""Seconds in which an interrupted command must end by itself. A library may lose what a signal raises; then the command is ended, which
loses nothing, as a run can be killed at any moment."""


NO_PLACE = (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""What a system says of a name that can be no file's or folder's."""
SHUT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""What it says of a place that may not be read or written, or is full."""

NO_HOME = "Could not determine home directory."
"""What Path.expanduser says of `~no.such.user/x`."""


@contextmanager
def one_line_errors(places: tuple[str, ...] = ()) -> Iterator[None]:
    """Print what the user can mend in one line and exit with its code; everything else keeps its traceback. `places`: files and folders
    that the user named, from the root on."""

    def stop(number: int, _: object) -> None:
        late = threading.Timer(GRACE, _leave, [128 + number])
        late.daemon = True
        late.start()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except ErrataError as error:
        typer.echo(f"errata: {visible(' '.join(str(error).split()))}", err=True)
        raise typer.Exit(error.exit_code) from None
    except RuntimeError as error:
        if str(error) != NO_HOME:
            raise
        typer.echo("errata: a path begins with ~ and a name that has no home folder; give the path in full", err=True)
        raise typer.Exit(UsageError.exit_code) from None
    except OSError as error:
        at = str(Path(error.filename).absolute()) if isinstance(error.filename, str | Path) else ""
        if error.errno not in (*NO_PLACE, *SHUT) or not at.startswith(places):  # what is written first stands beside a file, under its name
            raise
        typer.echo(f"errata: {visible(f'{error.filename} cannot be used ({error.strerror}); name another place')}", err=True)
        raise typer.Exit(UsageError.exit_code if error.errno in NO_PLACE else 1) from None
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != 143:
            raise
        _leave(130 if isinstance(ended, KeyboardInterrupt) else 143)
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(code: int) -> None:
    """End the process at once."""
    with suppress(OSError):  # nobody may be listening any more
        typer.echo("errata: interrupted; what was done is kept, and the same command continues", err=True)
    # not sys.exit: it would wait for calls to a server that may be silent
    os._exit(code)


def as_text(config: CycleConfig, verbose: bool = False) -> list[str]:
    """The settings in lines: what is set, then how many stand at their defaults, or each of these, a line for each group. `table` is left
    out when the task reads no table."""
    chosen, default = settings(config)
    lines = [f"set: {_pairs(chosen)}" if chosen else "set: nothing, all stands at its default"]
    if not verbose:
        return [*lines, f"defaults: {len(default)} other settings stand at theirs; run.json holds them, -v tells them"]
    table = config.task.partition(":")[0] in ("jsonl", "parquet", "hf")
    for group in ("", *groups(CycleConfig)):
        inside = {name.rpartition(".")[2]: value for name, value in default.items() if name.rpartition(".")[0] == group}
        if inside and (group != "table" or table):
            lines.append(f"{f'default {group}'.rstrip()}: {_pairs(inside)}")
    return lines


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {inline(value)}" for name, value in values.items())
