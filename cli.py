"""The command line: thin commands over errata.programs. Each is one part of the loop over the same run directory.

Heavy imports stand inside the commands, so that `--help` is quick. Exit codes: 0 done, 1 an error that the message explains, 2 wrong
usage, 4 a cap is reached, 130 interrupted, 143 terminated. No class stands here: `typer cli.py run` loads this file under a name
that is not a module's.

What is not here: options that several commands share (errata.programs.start), and the words of what it prints (errata.programs.report).
"""

import gc
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from errata.programs.config import parse_override
from errata.programs.run.progress import Progress
from errata.programs.start import (
    BUDGET,
    CAPS,
    CONFIG,
    ERRORS,
    LIBRARY,
    PATTERNS,
    ROWS,
    RUN,
    SEARCHING,
    SEED,
    SET,
    SHOWN,
    STARTED,
    STATE,
    TASK,
    TAUGHT,
    TEACHER,
    WEIGHTS,
    Start,
    option,
    setting,
    takes,
    tell_version,
)  # fmt: skip
from errata.signatures.errors import ErrataError, UsageError, did_you_mean
from errata.signatures.terminal import command

gc.set_threshold(50_000, 20, 20)  # what a command reads stays: to look at it again and again took a tenth of a report's time

app = typer.Typer(
    name="errata",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

LOOP, DATA, LOOK, SET_UP = "The loop", "Answers and weights", "Looking into a run", "Setting up"
"""Groups of commands in the help."""


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=tell_version, help="Say which version this is.")] = False,
) -> None:
    """Makes a small local language model better by studying what it gets wrong."""


NODES = option("cluster", str, "--cluster", help="A Ray cluster whose nodes do the runs (docs/scaling.md).", panel=RUN, metavar="ADDRESS")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the first round's teaching would cost, and stop.", rich_help_panel=CAPS)]
RunArgument = Annotated[Path, typer.Argument(help="Run directory.")]


# ---- the loop


@app.command(rich_help_panel=LOOP)
@takes(*TAUGHT, *LIBRARY, *PATTERNS, setting("rounds", RUN))
def cycle(start: Start, dry_run: DryRun = False) -> None:
    """Run the whole loop: find errors, teach, train, and keep the new weights only when they are better."""
    path, _ = ran(start, None, dry_run)
    show_report(start, path, f"\nall answers: {command('view', path)}\nlineage: {command('trace', path, 'ID')}")
    refuse_nothing(path)


@app.command(rich_help_panel=LOOP)
@takes(*TASK, *WEIGHTS, *SEED, *BUDGET, *STARTED)
def evaluate(
    start: Start,
    split: Annotated[str, typer.Option("--split", help="train, dev or test.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Items; default: as the config says.")] = None,
    form: Annotated[bool, typer.Option("--form", help="Say too, on 64 train items, what the form of answers alone costs.")] = False,
) -> None:
    """Measure a target on a task; continues where it was interrupted."""
    known = ("train", "dev", "test")
    if split not in known:
        raise UsageError(f"there is no split {split!r}; choose train, dev or test{did_you_mean(split, known)}")
    if limit:
        start.flags[f"items.{split}"] = limit
    with start.opened("mine") as loop:
        from errata.programs.form.look import ask_form
        from errata.programs.report import measured
        from errata.programs.run import layout

        rows = loop.scores(loop.task, split, loop.config.target)
        stage = layout.evaluation(loop.path, rows[0].target, loop.task.name, split)
        found = measured.measured(stage, rows) | ({"form": ask_form(loop)} if form else {})
        emit(start, found | {"run": str(loop.path)}, measured.text(f"{loop.task.name} {split}", loop.path, found))


@app.command(rich_help_panel=LOOP)
@takes(*TAUGHT, *ERRORS)
def diagnose(start: Start, dry_run: DryRun = False) -> None:
    """Say what a target gets wrong, as named patterns in a file to edit. Asks for no program; `errata cycle --patterns` goes on."""
    from errata.programs.patterns import found
    from errata.programs.rehearse import require_prompt
    from errata.programs.report.rounds import diagnoses
    from errata.programs.report.texts import diagnosed

    require_prompt((loop := start.cycle()).strategy, loop.config)
    path, number = ran(start, "diagnose", dry_run)
    result = diagnoses(path, number) | found.told(path, number)
    emit(start, result, diagnosed(result))
    if result["failures"] and not result["skills"] and not result["at_fault"]:
        raise ErrataError(f"no diagnosis of {result['failures']} errors could be read; the reasons are in {path}/round-{number}/diagnose")


@app.command(rich_help_panel=LOOP)
@takes(*TAUGHT, *LIBRARY, *ERRORS, *PATTERNS, setting("generate.rows", RUN))
def generate(
    start: Start,
    as_errors: Annotated[
        bool, typer.Option("--as-errors", help="Take every train item, or --limit of them, as an error without an answer; no target runs.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """From errors to checked samples: diagnose, write programs, prove them, draw rows. Stops before training."""
    if as_errors:
        most = start.flags.setdefault("generate.failures", None)  # without --limit all
        start.flags.update({"errors": "all", "items.train": most})
    from errata.programs.report import rounds, texts

    path, number = ran(start, "assemble", dry_run)
    result = rounds.generated(path, number)
    emit(start, result, texts.generated(result))
    refuse_nothing(path)


@app.command(rich_help_panel=LOOP)
@takes(*TAUGHT, *PATTERNS)
def train(start: Start, dry_run: DryRun = False) -> None:
    """Run a round up to its training, without deciding on the weights."""
    from errata.programs.report import rounds, texts

    path, number = ran(start, "train", dry_run)
    result = rounds.trained(path, number)
    emit(start, result, texts.trained(result))
    refuse_nothing(path)


@app.command(rich_help_panel=LOOP)
@takes(*SET, NODES, *SHOWN)
def compare(
    start: Start,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file: base, arms, controls, seeds, rounds (docs/compare.md).")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the comparison. Default: runs/compare-<name of CONFIG>.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Runs at the same time, each a process. Default: 1; as many as fit on a cluster.")
    ] = None,
    so_far: Annotated[bool, typer.Option("--so-far", help="Run nothing; show the seeds that are done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and what teaching would cost.")] = False,
) -> None:
    """Run methods and controls at equal cost over several seeds, and test the ones against the others."""
    from errata.programs.run.cluster import open_cluster
    from errata.programs.studies import compare as comparing
    from errata.programs.studies import compare_page as pages
    from errata.programs.studies.compare_cluster import work_on_cluster

    comparison = comparing.load(config, start.overrides())
    out = out or Path("runs") / f"compare-{config.stem}"
    if dry_run:
        document = comparing.foretell(comparison, out)
        emit(start, document, pages.foretold(document))
        return
    say = start.teller.say
    if not so_far:
        comparing.begin(comparison, out, elsewhere=comparison.cluster is not None)
        say(f"folder {out}; the same command continues it, and a second one beside it helps")
        try:
            if comparison.cluster:
                with open_cluster(comparison.cluster, say) as cluster:
                    work_on_cluster(comparison, out, cluster, jobs, say)
            else:
                comparing.work_in_processes(comparison, out, jobs or 1, say, start.quiet)
        except ErrataError:
            comparing.forget(out)
            raise
    settings = [word for one in start.assignments for word in ("--set", one)]
    result = pages.write(comparison, out, command("compare", config, *settings))
    emit(
        start,
        result.model_dump(mode="json") | {"out": str(out)},
        f"{pages.text(result)}\n\npages: {out}/comparison.md, {out}/comparison.html",
    )


@app.command(rich_help_panel=LOOP)
@takes(*WEIGHTS, *TEACHER, *SEED, *BUDGET, *STARTED, *SEARCHING)
def optimize(
    start: Start,
    sources: Annotated[list[Path], typer.Option("--from", help="Run or import whose train errors are learnt from. May be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="Where the optimized strategy goes, as JSON for --strategy-state.")],
    no_target: Annotated[bool, typer.Option("--no-target", help="Do not let the target try the programs' rows.")] = False,
    options: Annotated[list[str] | None, typer.Option("--option", help="NAME=VALUE: optimizer argument. May be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write --out even when the optimized strategy is not better.")] = False,
) -> None:
    """Let an optimizer rewrite a strategy's prompts on recorded errors; keep the result when it teaches better on held-out ones."""
    from errata.programs.cycle import Cycle
    from errata.programs.run.directory import read_config
    from errata.programs.studies import optimize as optimizing
    from errata.programs.studies.optimize_page import markdown

    optimizing.check_place(out)
    own = {field.removeprefix("optimize."): start.flags.pop(field) for field in [*start.flags] if field.startswith("optimize.")}
    own |= {"target": not no_target, "options": dict(parse_override(one, "--option", "max_rounds=2") for one in options or [])}
    config = start.load(None if start.config else read_config(sources[0]))
    lent = dict.fromkeys(("library", "library_hash", "patterns", "patterns_hash"))  # of the source alone, and their files may be gone
    config = config.model_copy(update={"generate": config.generate.model_copy(update=lent)})
    settings = optimizing.settings_of(own | {"seed": config.seed})
    path = start.run or optimizing.default_run(config, settings, sources)
    with Cycle(config, path, start.teller) as loop:
        loop.say(f"run directory {loop.path}; the same command continues it")
        result = optimizing.Optimization(loop, sources, settings).run()
    saved = optimizing.save(result, out, force)
    kept = f"saved: {out}" if saved else f"not better, so {out} was not written; it is {result.candidate}, or give --force"
    emit(start, result.document() | {"saved": str(out) if saved else None}, f"{markdown(result)}\n{kept}")


# ---- answers and weights


@app.command("import", rich_help_panel=DATA)
@takes(*TASK, *STARTED)
def import_(
    start: Start,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines, lm-evaluation-harness samples, or logs of inspect.")],
    field: Annotated[
        list[str] | None, typer.Option("--field", help="NAME=FIELD: the file's field for response, question, answer, ... May be repeated.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Take the answers of this model alone.")] = None,
) -> None:
    """Take answers that a model has already given, judge them, and let `errata generate` and `errata cycle` go on from there."""
    from errata.programs.report import texts
    from errata.programs.run.recorded import take
    from errata.tasks.recorded import join

    if "task" not in start.flags and start.config is None and not (start.run and (start.run / "run.json").exists()):
        raise UsageError("say what the answers answer, e.g. --task gsm8k, or --task gsm8k:PATH where the gold is in the task's own data")
    start.flags["errors"] = "recorded"
    named = dict(join.parse_field(text) for text in field or [])
    loop = start.cycle()
    answers = join.load(files, loop.task, join.source_of(loop.config.task), named, model)
    with loop:
        result = take(answers, loop.task, loop.stage(1, "mine"), loop.path) | {"run": str(loop.path)}
    emit(start, result, texts.imported(result))


@app.command(rich_help_panel=DATA)
@takes(*SHOWN, *ROWS)
def export(
    start: Start,
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write, new or empty (of --pairs a file). Default: in RUN.")] = None,
    merge: Annotated[bool, typer.Option("--merge/--adapter", help="Merge a LoRA adapter into its base, or write it alone.")] = True,
    round_: Annotated[int | None, typer.Option("--round", min=1, help="An accepted round; default: the last one.")] = None,
    push: Annotated[str | None, typer.Option("--push", metavar="OWNER/NAME", help="Upload to the hub with its own login; private.")] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: a public repository.")] = False,
) -> None:
    """Write the weights of the last accepted round as a folder that others load, with a model card; or programs, pairs of answers, or all
    data."""
    others = {"pairs": "pairs of answers", "environment": "programs", "data": "rows"}
    kinds = [name for name in others if start.flags[name]]
    licence, data = start.flags.get("license"), kinds == ["data"]
    if licence and not data:
        raise UsageError("--license is the licence of a data set: give --data, or leave it out")
    if len(kinds) > 1 or (kinds and (round_ or not merge or (push and not data))):
        left = ", ".join([*(["--push"] if not data else []), *(f"--{name}" for name in kinds[1:]), "--round"])
        raise UsageError(f"--{kinds[0]} writes {others[kinds[0]]}, no weights: leave {left} and --adapter out")
    if public and not push:
        raise UsageError("--public says how --push uploads: give --push OWNER/NAME, or leave it out")
    if kinds:
        from errata.programs.report.dataset.kinds import write

        emit(start, *write(kinds[0], run, out, licence, push, public, start.teller.say))
        return
    from errata.programs.report import texts
    from errata.programs.report.export import export as take_out

    result = take_out(run, out, round_, merge, push, public, start.teller.say)
    emit(start, result, texts.exported(result))


# ---- looking into a run


@app.command(rich_help_panel=LOOK)
@takes(*SHOWN)
def report(start: Start, run: RunArgument) -> None:
    """Write a finished run's report again and print its table; of another run print what was measured so far."""
    from errata.programs.report.measured import so_far
    from errata.programs.run import layout
    from errata.programs.run.directory import read_config

    read_config(run)
    if (run / layout.RESULT).exists():
        show_report(start, run)
    else:
        emit(start, *so_far(run))


@app.command(rich_help_panel=LOOK)
@takes(*SHOWN)
def view(
    start: Start,
    sources: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories, RUN@NAME for some weights, files of answers.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page. Default: view.html in RUN, or here of several.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show it from a local server, as is done with very many answers.")] = False,
) -> None:
    """Make a page of all items and answers, side by side, to search, filter and look into; no server is needed."""
    from errata.programs.view.show import show

    show(sources, out, serve, lambda document, text: emit(start, document, text))


@app.command(rich_help_panel=LOOK)
@takes(*SHOWN)
def runs(
    start: Start,
    folder: Annotated[Path, typer.Argument(help="Folder of runs, or a run.")] = Path("runs"),
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking, and show what changes, until Ctrl-C.")] = False,
) -> None:
    """List runs: task, target, how far each came, whether a process works on it, what it gained at what cost, and how to go on."""
    from errata.programs.report.runs import as_text, listed
    from errata.programs.report.runs import watch as look

    if watch:
        look(folder, start.out, start.write, start.as_json)
        return
    found = listed(folder)
    emit(start, {"runs": found}, as_text(found) or f"no runs in {folder}; `errata cycle` begins one")


@app.command(rich_help_panel=LOOK)
@takes(*SHOWN)
def trace(
    start: Start,
    run: RunArgument,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of a sample, program, error, item or weights, or its beginning.")],
) -> None:
    """Print the way from a training row to its error, from an item to the rows of its skill, or from weights to what made them."""
    from errata.programs.report.trace import Lineage, as_text

    document = Lineage(run).trace(id_)
    emit(start, document, as_text(document))


@app.command(rich_help_panel=LOOK)
@takes(*SHOWN)
def diff(
    start: Start,
    a: Annotated[str, typer.Argument(help="Run, weights in it (RUN@given, RUN@1:grpo, RUN@accepted), or a log of another harness.")],
    b: Annotated[str, typer.Argument(help="What A is compared with.")],
    split: Annotated[str | None, typer.Option("--split", help="test, dev or train; default: the first that both answered.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="Most fixed and broken items that are told.")] = None,
) -> None:
    """Compare the answers of any two on the items they share: which is better, how sure that is, and which items changed."""
    from errata.programs.view import diff as comparing
    from errata.programs.view.sources import one

    found = comparing.diff(one(a), one(b), split, limit)
    emit(start, found.model_dump(mode="json"), comparing.as_text(found, limit))


@app.command(rich_help_panel=LOOK)
@takes(*TASK, *STATE, *CONFIG, *SET, *SHOWN)
def prompt(
    start: Start,
    strategy: Annotated[
        str, typer.Argument(help="A built-in strategy, e.g. LearnFromError, or FILE.py:NAME; an unknown name lists all.")
    ] = "LearnFromError",
    failure: Annotated[str | None, typer.Option("--failure", help="Id of an error or item, or its beginning.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Run whose errors and answers are shown; default: a train item.")] = None,
    adapter: Annotated[str, typer.Option("--adapter", help="chat (what Errata sends), json or xml.")] = "chat",
) -> None:
    """Print what an instructor would be sent for one error, with its tokens; nothing is sent."""
    start.flags["generate.strategy"] = strategy
    loop = start._replace(run=run, teller=Progress(lambda line: None)).cycle()
    from errata.programs import rehearse as prompts
    from errata.tasks import member

    prompts.require_prompt(loop.strategy, loop.config)
    if run is None:
        found = prompts.unanswered(loop.task.examples("train", loop.config.items.train, seed=loop.config.seed + 1))
    else:
        found = prompts.recorded_failures(run, loop.strategy.contrasts)
    shown = prompts.choose(found, failure)
    calls = prompts.prompts(loop.strategy, shown, member(loop.task, shown.failure.attempt.example.task).brief, adapter)
    document = {"strategy": strategy, "failure": shown.failure.id, "adapter": adapter, "calls": [call._asdict() for call in calls]}
    emit(start, document, "\n\n".join([f"error {shown.failure.id}", *map(prompts.text, calls)]))


# ---- setting up


@app.command(rich_help_panel=SET_UP)
@takes(*TASK, *WEIGHTS, *TEACHER, *SET, *SHOWN)
def init(start: Start, file: Annotated[Path, typer.Argument(help="YAML file to write; it must not exist.")] = Path("errata.yaml")) -> None:
    """Write a config for a task and target in which every field is explained, to be edited and given to --config."""
    from errata.programs.report.config_file import commented
    from errata.programs.run.directory import write_atomic
    from errata.signatures.errors import TaskError
    from errata.tasks import load_task

    loaded = start.load()
    if file.exists():
        raise UsageError(f"{file} is there already, and is not written over; choose another name, or remove it")
    hint = ""
    try:
        nobody: Any = lambda *_: None  # noqa: E731  # nothing is judged here
        load_task(loaded.task, loaded.table, nobody, judge=nobody)
    except TaskError as error:
        hint = f"\nbefore it runs: {error}"
    write_atomic(file, commented(loaded).encode())
    steps = [command("doctor", "--config", file), command("cycle", "--config", file, "--dry-run"), command("cycle", "--config", file)]
    text = "\n".join([f"wrote {file}; every field is explained in it{hint}", "next:", *(f"  {step}" for step in steps)])
    emit(start, {"config": str(file), "next": steps}, text)


@app.command(rich_help_panel=SET_UP)
@takes(*TASK, *WEIGHTS, *TEACHER, *CONFIG, *SET, *SHOWN)
def doctor(
    start: Start,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Items of each split whose gold is checked; default: all.")] = None,
) -> None:
    """Say what is missing for a run, with the command that mends it: gold answers, sandbox, device, memory, disk, keys, extras."""
    from errata.programs.doctor import as_text, examine

    findings = examine(start.load(), limit)
    ok = all(finding.ok for finding in findings)
    emit(start, {"ok": ok, "findings": [finding._asdict() for finding in findings]}, as_text(findings))
    if not ok:
        raise typer.Exit(1)


# ---- what the commands share


def show_report(start: Start, run: Path, more: str = "") -> None:
    """Write the report of a finished run and print its table."""
    from errata.programs.report import texts, write

    result = write(run)
    emit(start, result.model_dump(mode="json") | {"run": str(run)}, f"{texts.as_text(result)}\n\nreport: {run}/report.html{more}")


def refuse_nothing(run: Path) -> None:
    """A command that was to make rows and made none ends with exit code 1 and the reason."""
    from errata.programs.report.rounds import nothing_made

    if reason := nothing_made(run):
        raise ErrataError(reason)


def ran(start: Start, until: str | None, dry_run: bool) -> tuple[Path, int]:
    """Run up to a step: the run directory, and the round that it came to. With --dry-run only what teaching would cost is printed."""
    with start.opened(until, dry_run) as loop:
        if not dry_run:
            return loop.path, loop.run(until)
        from errata.programs.report.texts import foretold

        result = loop.estimate(until).document()
        title = f"{result['failures']} errors at most, {loop.config.generate.strategy} with {loop.config.instructor.model}"
        emit(start, result, foretold(title, result))
        raise typer.Exit


def emit(start: Start, document: dict[str, Any], text: str) -> None:
    """One JSON document, or the text, on stdout."""
    start.write(json.dumps(document, indent=1, ensure_ascii=False) if start.as_json else text)


if __name__ == "__main__":
    app()
elif __name__.endswith(".py") and "typer.cli" in sys.modules and sys.argv[2:3] not in (["run"], ["utils"], ["--help"], []):
    # `typer cli.py cycle`: typer's own command line knows only `run` and `utils`; it has loaded this file and nothing else
    app(args=sys.argv[2:], prog_name=f"typer {sys.argv[1]}")
