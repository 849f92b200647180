"""The command line: thin commands over errata.programs. Each is one part of the loop over the same run directory.

Heavy imports stand inside the commands, so that `--help` is quick. Exit codes: 0 done, 1 an error that the message explains, 2 wrong
usage, 4 a cap is reached, 130 interrupted, 143 terminated. There are no classes here: `typer cli.py run` loads this file under a name
that is no module's.
"""

import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="errata",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Makes a small local language model better by studying what it gets wrong.",
)

LOOP, DATA, LOOK, SET_UP = "The loop", "Answers and weights", "Looking into a run", "Setting up"
"""Groups of commands in the help."""
RUN, TARGET, TEACHING, CAPS, OUTPUT = "Run", "Target", "Instructor", "Caps", "Output"
"""Groups of options in the help."""

Run = Annotated[
    Path | None,
    typer.Option("--run", help="Run directory; the same one continues. Default: runs/<task>-<strategy>-<config>.", rich_help_panel=RUN),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML config, as errata init writes it; flags win over it.", rich_help_panel=RUN)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any config field, e.g. --set train.epochs=2. May be repeated.", rich_help_panel=RUN),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, and progress as JSON lines on stderr.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.", rich_help_panel=OUTPUT)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the first round's teaching would cost, and stop.", rich_help_panel=CAPS)]
RunArgument = Annotated[Path, typer.Argument(help="Run directory.")]


@app.callback()
def main() -> None:
    """Makes a small local language model better by studying what it gets wrong."""


# ---- options that several commands have: a group is a function from its options to the fields of the config that they name


def of_task(
    task: Annotated[
        str | None, typer.Option("--task", help="What is asked, e.g. sums or gsm8k:PATH; an unknown name lists all.", rich_help_panel=RUN)
    ] = None,
) -> dict[str, Any]:
    return {"task": task}


def of_seed(seed: Annotated[int | None, typer.Option("--seed", help="Seed of every draw.", rich_help_panel=RUN)] = None) -> dict[str, Any]:
    return {"seed": seed}


def of_target(
    target: Annotated[
        str | None, typer.Option("--target", help="tiny, a folder, or the hub id of a causal LM.", rich_help_panel=TARGET)
    ] = None,
    adapter: Annotated[str | None, typer.Option("--adapter", help="PEFT adapter on the target.", rich_help_panel=TARGET)] = None,
    served: Annotated[
        str | None,
        typer.Option(
            "--served",
            metavar="URL",
            help="OpenAI-compatible server that answers for the target; cycle wants vLLM.",
            rich_help_panel=TARGET,
        ),
    ] = None,
) -> dict[str, Any]:
    return {"target.model": target, "target.adapter": adapter, "target.api_base": served}


def of_instructor(
    instructor: Annotated[
        str | None, typer.Option("--instructor", help="offline, or a model name as dspy.LM takes it.", rich_help_panel=TEACHING)
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            help="A built-in strategy, e.g. LearnFromError, or FILE.py:NAME; an unknown name lists all.",
            rich_help_panel=TEACHING,
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--strategy-state", help="JSON of an optimized strategy, as errata optimize writes it.", rich_help_panel=TEACHING),
    ] = None,
) -> dict[str, Any]:
    return {"instructor.model": instructor, "generate.strategy": strategy, "generate.state": state}


def of_time(
    max_time: Annotated[float | None, typer.Option("--max-time", min=0, help="Stop after so many seconds.", rich_help_panel=CAPS)] = None,
) -> dict[str, Any]:
    return {"budget.max_time": max_time}


def of_budget(
    max_calls: Annotated[
        int | None,
        typer.Option("--max-calls", min=0, help="Stop (exit code 4) after so many calls to the instructor.", rich_help_panel=CAPS),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=0, help="Stop after so many tokens in and out of the instructor.", rich_help_panel=CAPS),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, help="Stop after so many USD, where the price is known.", rich_help_panel=CAPS)
    ] = None,
) -> dict[str, Any]:
    return {"budget.max_calls": max_calls, "budget.max_tokens": max_tokens, "budget.max_cost": max_cost}


def takes(*groups: Callable[..., dict[str, Any]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of these groups. Its first parameter, `flags`, is what they name: config field -> value."""
    parts = [(group, list(inspect.signature(group).parameters.values())) for group in groups]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            flags: dict[str, Any] = {}
            for group, parameters in parts:
                flags |= group(**{one.name: given.pop(one.name) for one in parameters})
            command(flags, **given)

        own = inspect.signature(command)
        _, *rest = own.parameters.values()
        shared = [one for _, parameters in parts for one in parameters]
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in [*shared, *rest]]
        run.__signature__ = own.replace(parameters=keyword)  # type: ignore[attr-defined]
        return run

    return decorate


# ---- the commands


@app.command(rich_help_panel=LOOP)
@takes(of_task, of_target, of_instructor, of_seed, of_budget, of_time)
def cycle(
    flags: dict[str, Any],
    run: Run = None,
    config: Config = None,
    set_: Set = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", help="Rounds, each from the weights accepted last.", rich_help_panel=RUN)
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole loop: find errors, teach, train, and keep the new weights only when they are better."""
    with one_line_errors(), opened(config, flags | {"rounds": rounds}, set_, run, quiet, as_json) as loop:
        from errata.programs import report

        if dry_run:
            foretell(loop, as_json)
            return
        loop.run()
        result = report.write(loop.path)
        folder = loop.path
        emit(
            as_json,
            result | {"run": str(folder)},
            f"{report.table(result)}\n\nreport: {folder}/report.html\nlineage: errata trace {folder} ID",
        )


@app.command(rich_help_panel=LOOP)
@takes(of_task, of_target, of_seed, of_time)
def evaluate(
    flags: dict[str, Any],
    run: Run = None,
    config: Config = None,
    set_: Set = None,
    split: Annotated[str, typer.Option("--split", help="train, dev or test.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Items; default: as the config says.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a target on a task; continues where it was interrupted."""
    with one_line_errors():
        one_of("split", split, ("train", "dev", "test"))
        with opened(config, flags | {f"items.{split}": limit}, set_, run, quiet, as_json, "mine") as loop:
            from errata.programs.report import measured, outcomes
            from errata.programs.stats import by_skill, counts, share

            rows = loop.scores(loop.task, split, loop.config.target)
            shares = {name: share(group) for name, group in {"all": rows, **by_skill(rows)}.items()}
            lines = [f"{loop.task.name} {split}, with 95 % interval", *measured(shares), f"{len(rows)} items: {outcomes(counts(rows))}"]
            emit(as_json, counts(rows) | {"skills": shares, "run": str(loop.path)}, "\n".join(lines))


@app.command(rich_help_panel=LOOP)
@takes(of_task, of_target, of_instructor, of_seed, of_budget, of_time)
def diagnose(
    flags: dict[str, Any],
    run: Run = None,
    config: Config = None,
    set_: Set = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Errors to analyse; default: as the config says.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a target gets wrong, by skill and misconception. Stops after teaching; `errata generate` goes on from there."""
    with one_line_errors(), opened(config, flags | {"generate.failures": limit}, set_, run, quiet, as_json, "teach") as loop:
        from errata.programs.run.summary import diagnoses

        if dry_run:
            foretell(loop, as_json)
            return
        result = diagnoses(loop.path, loop.run(until="teach"))
        lines = [f"round {result['round']}, {result['failures']} errors; {result['at_fault']} of items that are at fault themselves, "]
        lines[0] += f"{result['undiagnosed']} without a diagnosis"
        for skill in result["skills"]:
            lines.append(f"{skill['failures']:5} {skill['skill']}")
            lines += [f"{one['failures']:9} {one['misconception']}" for one in skill["misconceptions"]]
        emit(as_json, result, "\n".join([*lines, f"next: errata generate --run {loop.path}"]))


@app.command(rich_help_panel=LOOP)
@takes(of_task, of_target, of_instructor, of_seed, of_budget, of_time)
def generate(
    flags: dict[str, Any],
    run: Run = None,
    config: Config = None,
    set_: Set = None,
    as_errors: Annotated[
        bool, typer.Option("--as-errors", help="Take every train item as an error without an answer; no target runs.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Errors to analyse; default: as the config says, with --as-errors all.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Rows to draw; default: as the config says, with --as-errors 8 a program.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """From errors to checked samples: diagnose, write programs, prove them, draw rows. Stops before training."""
    flags |= {"generate.failures": limit, "generate.rows": rows}
    if as_errors:
        flags |= {"errors": "all", "items.train": limit}
    nulls = ["items.train", "generate.failures"] if as_errors and limit is None else []
    with one_line_errors(), opened(config, flags, set_, run, quiet, as_json, "assemble", nulls) as loop:
        from errata.programs.run.summary import generated

        if dry_run:
            foretell(loop, as_json)
            return
        result = generated(loop.path, loop.run(until="assemble"))
        programs = result["programs"]
        refused = sum(programs["refused"].values())
        lines = [f"round {result['round']}, {result['failures']} errors: {programs['accepted']} programs accepted, {refused} refused"]
        lines += [f"  refused by {check}: {count}" for check, count in programs["refused"].items()]
        lines += [f"    {reason}: {count}" for reason, count in programs["reasons"].items()]
        if programs["proven"]:
            lines.append(f"  {programs['proven']} diagnoses proven: as code, the misconception gives the target's very answer")
        if result["asserted"]["rows"]:
            lines.append("  {rows} rows rest on facts that the instructor asserts, {agreed} of them confirmed".format(**result["asserted"]))
        lines += [f"{result['samples']} samples: {result['run']}/round-{result['round']}/assemble/samples.jsonl"]
        emit(as_json, result, "\n".join(lines))


@app.command(rich_help_panel=LOOP)
@takes(of_task, of_target, of_instructor, of_seed, of_budget, of_time)
def train(
    flags: dict[str, Any],
    run: Run = None,
    config: Config = None,
    set_: Set = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a round up to its training, without deciding on the weights."""
    with one_line_errors(), opened(config, flags, set_, run, quiet, as_json, "train") as loop:
        from errata.programs.run.summary import trained

        if dry_run:
            foretell(loop, as_json)
            return
        result = trained(loop.path, loop.run(until="train"))
        report = result["report"]
        text = f"round {result['round']}: no program was left to train on"
        if report:
            text = f"round {result['round']}: trained on {report['rows_kept']} rows in {report['steps']} steps, loss "
            text += f"{report['loss_first']:.3f} -> {report['loss_last']:.3f}\nweights: {result['weights']}"
        emit(as_json, result, text if result["decided"] else f"{text}\n`errata cycle --run {loop.path}` decides on them")


@app.command(rich_help_panel=LOOP)
def compare(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file: base, arms, controls, seeds, rounds (docs/compare.md).")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the comparison. Default: runs/compare-<name of CONFIG>.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at the same time, each in a process of its own.")] = 1,
    set_: Set = None,
    so_far: Annotated[bool, typer.Option("--so-far", help="Run nothing; show the seeds that are done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and what teaching would cost.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run strategies and controls at equal rows and steps over several seeds, and test the ones against the others."""
    with one_line_errors():
        from errata.programs.studies import compare as comparing

        comparison = comparing.load(config, given({}, set_))
        out = out or Path("runs") / f"compare-{config.stem}"
        if dry_run:
            document = comparing.foretell(comparison, out)
            emit(as_json, document, comparing.foretold(document))
            return
        from errata.programs.run.progress import teller
        from errata.programs.studies import compare_page as pages

        say = teller(quiet, as_json).say
        if not so_far:
            comparing.begin(comparison, out)
            say(f"folder {out}; the same command continues it, and a second one beside it helps")
            comparing.work_in_processes(comparison, out, jobs, say, quiet)
        told = " ".join(["errata compare", str(config), *(f"--set {one}" for one in set_ or [])])
        result = pages.write(comparison, out, told)
        emit(as_json, result | {"out": str(out)}, f"{pages.text(result)}\n\npages: {out}/comparison.md, {out}/comparison.html")


@app.command("import", rich_help_panel=DATA)
@takes(of_task)
def import_(
    flags: dict[str, Any],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines, lm-evaluation-harness samples, or logs of inspect.")],
    run: Run = None,
    config: Config = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="NAME=FIELD: the file's field for response, question, answer, ... May be repeated.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Take the answers of this model alone.")] = None,
    set_: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take answers that a model has already given, judge them, and let `errata generate` and `errata cycle` go on from there."""
    with one_line_errors():
        from errata.programs.report import outcomes
        from errata.programs.steps import recorded

        if flags["task"] is None and config is None and not (run and (run / "run.json").exists()):
            usage("say what the answers answer, e.g. --task gsm8k, or --task gsm8k:PATH where the gold is in the task's own data")
        fields = dict(recorded.parse_field(text) for text in field or [])
        loop = prepared(config, flags | {"errors": "recorded"}, set_, run, quiet, as_json)
        answers = recorded.load(files, loop.task, recorded.source_of(loop.config.task), fields, model)
        with loop:
            result = recorded.take(answers, loop.task, loop.run_dir.stage("round-1/mine"), loop.path) | {"run": str(loop.path)}
        lines = [
            f"{one['file']}: {one['answers']} answers ({', '.join(one['forms'])}), {one['left_out']} left out" for one in result["files"]
        ]
        lines += [f"{result['items']} answers: {outcomes(result)}; {result['held_out']} of them to dev or test items"]
        lines += [f"  unjudged: {reason}: {count}" for reason, count in result["unjudged_reasons"].items()]
        emit(as_json, result, "\n".join([*lines, f"attempts: {result['attempts']}; next: errata generate --run {loop.path}"]))


@app.command(rich_help_panel=LOOK)
def report(run: RunArgument, as_json: Json = False) -> None:
    """Write a finished run's report again and print its table."""
    with one_line_errors():
        from errata.programs.report import table, write

        result = write(run)
        emit(as_json, result | {"run": str(run)}, f"{table(result)}\n\nreport: {run}/report.html")


@app.command(rich_help_panel=LOOK)
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of runs, or a run.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs: task, target, how far each came, what it gained at what cost, and how to go on."""
    with one_line_errors():
        from errata.programs.report.runs import listed, told

        found = listed(folder)
        emit(as_json, {"runs": found}, told(found) or f"no runs in {folder}; `errata cycle` begins one")


@app.command(rich_help_panel=LOOK)
def trace(
    run: RunArgument,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of a sample, program, error or item, or its beginning.")],
    as_json: Json = False,
) -> None:
    """Print the way from a training row to the error behind it, or from an item to the rows of its skill."""
    with one_line_errors():
        from errata.programs.report.trace import Lineage, told

        document = Lineage(run).trace(id_)
        emit(as_json, document, told(document))


@app.command(rich_help_panel=LOOP)
@takes(of_target, of_instructor, of_seed, of_budget, of_time)
def optimize(
    flags: dict[str, Any],
    sources: Annotated[list[Path], typer.Option("--from", help="Run or import whose train errors are learnt from. May be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="Where the optimized strategy goes, as JSON for --strategy-state.")],
    run: Run = None,
    config: Config = None,
    set_: Set = None,
    optimizer: Annotated[str, typer.Option("--optimizer", help="gepa, mipro, bootstrap, simba, or package.module:Class.")] = "gepa",
    budget: Annotated[str, typer.Option("--budget", help="light, medium, heavy, or a number of evaluations.")] = "light",
    reflection: Annotated[str | None, typer.Option("--reflection", help="Model that rewrites; default: the instructor.")] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Model whose programs become demonstrations, e.g. offline; default: the instructor.")
    ] = None,
    failures: Annotated[int, typer.Option("--failures", min=20, help="Most errors that are used.")] = 60,
    no_target: Annotated[bool, typer.Option("--no-target", help="Do not let the target try the programs' rows.")] = False,
    probe_training: Annotated[
        int, typer.Option("--probe-training", min=0, help="Rows of a short training on each strategy's programs; 0: none.")
    ] = 0,
    alpha: Annotated[float, typer.Option("--alpha", help="Largest p-value at which the optimized strategy counts as better.")] = 0.05,
    option: Annotated[list[str] | None, typer.Option("--option", help="NAME=VALUE: an argument of the optimizer. May be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write --out even when the optimized strategy is not better.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let an optimizer rewrite a strategy's prompts on recorded errors; keep the result when it teaches better on held-out ones."""
    with one_line_errors():
        from errata.programs.config import load_config, parse_override
        from errata.programs.cycle import Cycle
        from errata.programs.run.directory import read_config, slug
        from errata.programs.run.progress import teller
        from errata.programs.studies import optimize as optimizing
        from errata.programs.studies.improvement import markdown

        optimizing.check_place(out)
        base = load_config(config, given(flags, set_), None if config else read_config(sources[0]))
        settings = optimizing.settings_of(
            {
                "optimizer": optimizer,
                "budget": budget,
                "reflection": reflection,
                "teacher": teacher,
                "failures": failures,
                "target": not no_target,
                "probe_training": probe_training,
                "alpha": alpha,
                "seed": base.seed,
                "options": dict(map(parse_override, option or [])),
            }
        )
        path = run or Path("runs") / f"optimize-{slug(base.generate.strategy)}-{optimizing.run_name(base, settings, sources)}"
        with Cycle(base, path, teller(quiet, as_json)) as loop:
            loop.say(f"run directory {path}; the same command continues it")
            result = optimizing.Optimization(loop, sources, settings).run()
        saved = optimizing.save(result, out, force)
        kept = f"saved: {out}" if saved else f"not better, so {out} was not written; it is {result['candidate']}, or give --force"
        emit(as_json, result | {"saved": str(out) if saved else None}, f"{markdown(result)}\n{kept}")


@app.command(rich_help_panel=LOOK)
@takes(of_task)
def prompt(
    flags: dict[str, Any],
    strategy: Annotated[
        str, typer.Argument(help="A built-in strategy, e.g. LearnFromError, or FILE.py:NAME; an unknown name lists all.")
    ] = "LearnFromError",
    failure: Annotated[str | None, typer.Option("--failure", help="Id of an error or item, or its beginning.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Run whose errors and answers are shown; default: a train item.")] = None,
    state: Annotated[str | None, typer.Option("--strategy-state", help="JSON of an optimized strategy.")] = None,
    config: Config = None,
    adapter: Annotated[str, typer.Option("--adapter", help="chat (what Errata sends), json or xml.")] = "chat",
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Print what an instructor would be sent for one error, with its tokens; nothing is sent."""
    with one_line_errors():
        if run is not None and not (run / "run.json").exists():
            usage(f"{run} is not a run directory: it has no run.json; leave --run out to see the prompt for a train item")
        loop = prepared(config, flags | {"generate.strategy": strategy, "generate.state": state}, set_, run, quiet=True)
        from errata.programs.strategies import rehearse as prompts
        from errata.tasks import member

        if run is None:
            found = prompts.unanswered(loop.task.examples("train", loop.config.items.train, seed=loop.config.seed + 1))
        else:
            found = prompts.recorded_failures(run, loop.strategy.contrasts)
        shown = prompts.choose(found, failure)
        calls = prompts.prompts(loop.strategy, shown, member(loop.task, shown.failure.attempt.example.task).brief, adapter)
        document = {"strategy": strategy, "failure": shown.failure.id, "adapter": adapter, "calls": [call._asdict() for call in calls]}
        emit(as_json, document, "\n\n".join([f"error {shown.failure.id}", *map(prompts.text, calls)]))


@app.command(rich_help_panel=DATA)
def export(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write, new or empty. Default: RUN/export.")] = None,
    merge: Annotated[bool, typer.Option("--merge/--adapter", help="Merge a LoRA adapter into its base, or write it alone.")] = True,
    round_: Annotated[int | None, typer.Option("--round", min=1, help="An accepted round; default: the last one.")] = None,
    push: Annotated[str | None, typer.Option("--push", metavar="OWNER/NAME", help="Upload to the hub with its own login; private.")] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: a public repository.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the weights of the last accepted round as a folder that others load, with a model card, and print how to use it."""
    with one_line_errors():
        if public and not push:
            usage("--public says how --push uploads: give --push OWNER/NAME, or leave it out")
        from errata.programs.report.export import export as take_out
        from errata.programs.run.progress import teller

        result = take_out(run, out, round_, merge, push, public, teller(quiet, as_json).say)
        what = {"full": "the whole model", "merged": "base and adapter merged", "adapter": "the adapter"}[result["form"]]
        lines = [f"round {result['round']}: {what}{', ' + result['dtype'] if result['dtype'] else ''}, in {result['out']}"]
        lines += [f"card: {result['out']}/README.md, licence {result['licence']}"]
        lines += [f"pushed: {result['pushed']}"] if push else []
        names = {"vllm": "vLLM", "lm_eval": "lm-evaluation-harness", "inspect": "inspect", "errata": "Errata"}
        lines += [f"\n{names[name]}\n  {line}" for name, line in result["lines"].items()]
        emit(as_json, result, "\n".join(lines))


@app.command(rich_help_panel=SET_UP)
@takes(of_task, of_target, of_instructor)
def init(
    flags: dict[str, Any],
    file: Annotated[Path, typer.Argument(help="YAML file to write; it must not exist.")] = Path("errata.yaml"),
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Write a config for a task and target in which every field is explained, to be edited and given to --config."""
    with one_line_errors():
        from errata.programs.config import commented, load_config
        from errata.programs.run.directory import write_atomic
        from errata.signatures.errors import TaskError
        from errata.tasks import load_task

        loaded = load_config(None, given(flags, set_))
        if file.exists():
            usage(f"{file} is there already, and is not written over; choose another name, or remove it")
        hint = ""
        try:
            load_task(loaded.task, loaded.table, runner=lambda *_: None)  # type: ignore[arg-type]
        except TaskError as error:
            hint = f"\nbefore it runs: {error}"
        write_atomic(file, commented(loaded).encode())
        steps = [f"errata doctor --config {file}", f"errata cycle --config {file} --dry-run", f"errata cycle --config {file}"]
        text = "\n".join([f"wrote {file}; every field is explained in it{hint}", "next:", *(f"  {step}" for step in steps)])
        emit(as_json, {"config": str(file), "next": steps}, text)


@app.command(rich_help_panel=SET_UP)
@takes(of_task, of_target, of_instructor)
def doctor(
    flags: dict[str, Any],
    config: Config = None,
    set_: Set = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Items of each split whose gold is checked; default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is missing for a run, with the command that mends it: gold answers, sandbox, device, memory, disk, keys, extras."""
    with one_line_errors():
        from errata.programs.config import load_config
        from errata.programs.doctor import examine, told

        findings = examine(load_config(config, given(flags, set_)), limit)
        ok = all(finding["ok"] for finding in findings)
        emit(as_json, {"ok": ok, "findings": findings}, told(findings))
        if not ok:
            raise typer.Exit(1)


# ---- what the commands share


@contextmanager
def opened(
    config: Path | None,
    flags: dict[str, Any],
    settings: list[str] | None,
    run: Path | None,
    quiet: bool,
    as_json: bool = False,
    until: str | None = None,
    nulls: list[str] | None = None,
) -> Iterator[Any]:
    """An open Cycle for the config with the flags over it, that can run up to the step `until`; the run directory is locked meanwhile."""
    loop = prepared(config, flags, settings, run, quiet, as_json, nulls)
    loop.refuse_early(until)
    begun = (loop.path / "run.json").exists()
    with loop:
        tell_settings(loop, begun)
        yield loop


def tell_settings(loop: Any, begun: bool) -> None:
    """The run directory and the config: what is set first, and of a new run what stands at its default."""
    from errata.programs.config import as_text, settings

    chosen, default = settings(loop.config)
    loop.progress.fact("settings", run=str(loop.path), set=chosen, default=default)
    loop.say(f"run directory {loop.path}; the same command continues it")
    for line in as_text(loop.config)[: 1 if begun else None]:
        loop.say(line)


def prepared(
    config: Path | None,
    flags: dict[str, Any],
    settings: list[str] | None,
    run: Path | None,
    quiet: bool,
    as_json: bool = False,
    nulls: list[str] | None = None,
) -> Any:
    """A Cycle for the config with the flags over it, not yet open: nothing is written."""
    from errata.programs.config import load_config
    from errata.programs.run.directory import read_config, slug
    from errata.signatures.records import content_hash

    # a run directory that exists brings its own config; what is given must agree with it
    base = read_config(run) if run is not None and config is None and (run / "run.json").exists() else None
    loaded = load_config(config, dict.fromkeys(nulls or []) | given(flags, settings), base)
    if run is None:
        from errata.programs.strategies.strategy import pinned

        loaded = pinned(loaded)
        fixed = loaded.model_dump(mode="json", exclude={"budget"})  # the same command with a higher cap continues
        run = Path("runs") / f"{slug(loaded.task)}-{slug(loaded.generate.strategy)}-{content_hash(fixed)[:6]}"
    from errata.programs.cycle import Cycle
    from errata.programs.run.progress import teller

    return Cycle(loaded, run, teller(quiet, as_json))


def given(flags: dict[str, Any], settings: list[str] | None) -> dict[str, Any]:
    """The fields of the config that flags and --set name; --set wins."""
    from errata.programs.config import parse_override

    return {name: value for name, value in flags.items() if value is not None} | dict(map(parse_override, settings or []))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print what the user can mend in one line and exit with its code; everything else keeps its traceback."""
    from errata.signatures.errors import ErrataError

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    except ErrataError as error:
        typer.echo(f"errata: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != 143:
            raise
        with suppress(OSError):  # nobody may be listening any more
            typer.echo("errata: interrupted; what was done is kept, and the same command continues", err=True)
            sys.stdout.flush()
        # not sys.exit: it would wait for calls to a server that may be silent
        os._exit(130 if isinstance(stop, KeyboardInterrupt) else 143)


def one_of(what: str, word: str, known: tuple[str, ...]) -> None:
    from errata.signatures.errors import did_you_mean

    if word not in known:
        usage(f"there is no {what} {word!r}; choose {', '.join(known[:-1])} or {known[-1]}{did_you_mean(word, known)}")


def foretell(loop: Any, as_json: bool) -> None:
    """What --dry-run prints."""
    config, result = loop.config, loop.estimate().document()
    lines = [f"{result['failures']} errors at most, {config.generate.strategy} with {config.instructor.model}: low, expected, high"]
    for name in ("calls", "tokens_in", "tokens_out"):
        lines.append(f"  {name.replace('_', ' '):12}" + "".join(f"{result[name][side]:>14,}" for side in ("low", "expected", "high")))
    cost = result["usd"]
    lines.append(f"  {'USD':12}" + ("unknown" if cost == "unknown" else "".join(f"{value:>14.2f}" for value in cost.values())))
    emit(as_json, result, "\n".join(lines))


def usage(message: str) -> None:
    from errata.signatures.errors import UsageError

    raise UsageError(message)


def emit(as_json: bool, document: dict[str, Any], text: str) -> None:
    """One JSON document, or the text, on stdout."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False) if as_json else text)


if __name__ == "__main__":
    app()
elif __name__.endswith(".py") and "typer.cli" in sys.modules and sys.argv[2:3] not in (["run"], ["utils"], ["--help"], []):
    # `typer cli.py cycle`: typer's own command line knows only `run` and `utils`; it has loaded this file and nothing else
    app(args=sys.argv[2:], prog_name=f"typer {sys.argv[1]}")
