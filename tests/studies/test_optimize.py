"""Prompt optimization on the testbed where wording matters: from a bad start, each optimizer must find what earns the score."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from functools import cache
from pathlib import Path

import dspy
import pytest
from openai_server import OpenAIServer, Reply
from typer.testing import CliRunner
from wording import BAD, ORDERS, Served, asked_for, both

from errata.cli import app
from errata.programs import Cycle, LearnFromError, load_config
from errata.programs.instructor.chat import instructed_by
from errata.programs.rehearse import recorded_failures
from errata.programs.report.records import Bill, Spent
from errata.programs.run.directory import read_json, to_json, write_atomic
from errata.programs.samples.draw import draw_rows, draws
from errata.programs.steps.teach import teach_failures
from errata.programs.strategies.named import load_strategy
from errata.programs.studies import probe_training, scoring
from errata.programs.studies.improvement import Taken, changes, compare
from errata.programs.studies.optimize import Optimization, save, split
from errata.programs.studies.optimize_page import difference, markdown, page
from errata.programs.studies.optimizers import teleprompter
from errata.programs.studies.records import Optimized, Tried
from errata.programs.studies.scoring import PROBE, SEED, Journal, Look, Measure, Score
from errata.programs.studies.settings import OptimizeSettings
from errata.sandbox import Limits
from errata.signatures.errors import BudgetReached, RunError, UsageError
from errata.signatures.records import (
    Attempt,
    Diagnosis,
    Example,
    Failure,
    ProgramRun,
    Rejection,
    SampleProgram,
    TeachingResult,
    Verdict,
    sealed,
)
from errata.signatures.teach import WriteProgram
from errata.tasks import load_task
from errata.trainers import sft
from errata.trainers.chat import Completion

QUIET = lambda line: None  # noqa: E731


class InProcess:
    """Stands in for the sandbox, a hundred times faster: the programs here are the offline instructor's own, and each is run once."""

    def run(self, source, harness, payload, limits):
        return ran(source, harness, json.dumps(payload))

    def map(self, jobs):
        return (self.run(job.source, job.harness, job.payload, job.limits) for job in jobs)

    def close(self):
        pass


@cache
def ran(source, harness, payload):
    program, host = types.ModuleType("program"), types.ModuleType("host")
    try:
        exec(source, program.__dict__)
        exec(harness, host.__dict__)
        return ProgramRun(outcome="ok", rows=tuple(host.main(program, json.loads(payload))))
    except Exception as error:
        return ProgramRun(outcome="error", error=f"{type(error).__name__}: {error}")


class Broken(InProcess):
    def run(self, *_):
        raise ZeroDivisionError("a bug")


def quicken(monkeypatch):
    """Dev and test items, which take seconds to draw, are none; programs run here."""
    monkeypatch.setattr(Cycle, "held_out", ())
    monkeypatch.setattr("errata.programs.steps.session.open_sandbox", lambda **_: InProcess())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    quicken(monkeypatch)


def bad_start(path):
    strategy = LearnFromError(repairs=0)
    strategy.write.write.signature = strategy.write.write.signature.with_instructions(BAD)
    strategy.save(path)
    return path


def mine(run):
    """A run with 24 train errors."""
    with Cycle(load_config(overrides={"errors": "all", "items.train": 24}), run, QUIET) as loop:
        loop.run(until="mine")
    return run


@pytest.fixture(scope="session")
def mined(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        quicken(monkeypatch)
        return mine(tmp_path_factory.mktemp("mined") / "run")


def config_of(state, **more):
    overrides = {"generate.state": state and str(state), "generate.repairs": 0, "instructor.in_flight": 2, **more}
    return load_config(overrides={name: value for name, value in overrides.items() if value is not None})


@pytest.fixture
def opened(tmp_path):
    def opened(name="optimize", said=None, **more):
        return Cycle(config_of(bad_start(tmp_path / "bad.json"), **more), tmp_path / name, said.append if said is not None else QUIET)

    return opened


def optimized(loop, mined, optimizer, budget=60, sandbox=None, **more):
    return run_of(loop, mined, optimizer, budget, sandbox, both(), both(), **more)


def run_of(loop, mined, optimizer, budget, sandbox=None, lm=None, reflection=None, target=False, **more):
    loop.sandbox = sandbox
    settings = OptimizeSettings(optimizer=optimizer, evaluations=str(budget), target=target, **more)
    return Optimization(loop, [mined], settings, lm, reflection).run()


def ordered(state):
    text = json.loads(state.read_text())["write.write"]["signature"]["instructions"]
    return asked_for(text)


@pytest.mark.parametrize(
    ("instruction", "orders"),
    [
        ("anchors rebuild sensible whole numbers vary distinct", set()),
        ("Good programs have ANCHORS, sensible numbers and distinct problems.", set()),
        ("Do not give ANCHORS. Never vary the numbers! Draw no sensible numbers.", set()),
        ("Give ANCHORS that rebuild the problem of the error.", {"anchors"}),
        ("The program must rebuild the error and please its reader. Always draw whole numbers: vary them.", set(ORDERS)),
        (WriteProgram.instructions, {"anchors"}),
        (BAD, set()),
    ],
)
def test_in_the_testbed_an_order_counts_and_its_words_alone_do_not(instruction, orders):
    assert asked_for(instruction) == orders


def test_gepa_finds_the_wording_from_feedback_and_the_same_command_again_costs_nothing(opened, mined, tmp_path):
    said = []
    with opened(said=said) as loop:
        result = optimized(loop, mined, "gepa")
    assert result.better
    assert (result.programs.before, result.programs.after) == (0.0, 1.0)
    assert ordered(tmp_path / "optimize/optimize/candidate.json") == set(ORDERS)
    assert 60 <= result.search.evaluations < 90 and result.search.best > 0.9
    assert f"optimize: {result.search.evaluations} evaluations, {result.search.strategies} strategies tried" in "\n".join(said)
    journal = (tmp_path / "optimize/optimize/journal.jsonl").read_bytes()
    with opened() as loop:
        again = optimized(loop, mined, "gepa", sandbox=Broken())  # nothing is proven anew
    assert again == result
    assert (tmp_path / "optimize/optimize/journal.jsonl").read_bytes() == journal
    with pytest.raises(RunError, match="was begun with seed = 0, not 1"), opened() as loop:
        optimized(loop, mined, "gepa", seed=1)


def test_without_what_the_checks_said_gepa_finds_nothing(opened, mined, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "feedback", lambda *_: "No.")
    with opened() as loop:
        result = optimized(loop, mined, "gepa", 40)
    assert not result.better
    assert ordered(tmp_path / "optimize/optimize/candidate.json") == set()


@pytest.mark.parametrize(
    ("optimizer", "budget", "options"),
    [
        ("mipro", 145, {}),
        # with demonstrations SIMBA needs no order; slow: it takes twice the evaluations of the others, which keep the same promise
        pytest.param("simba", 300, {"max_demos": 0}, marks=pytest.mark.slow),
        ("dspy:COPRO", 90, {}),
    ],
)
def test_other_optimizers_find_what_earns_the_score_within_their_budget(opened, mined, tmp_path, optimizer, budget, options):
    with opened(**{"instructor.in_flight": 1}) as loop:  # an answer by luck hangs on the order of calls
        result = optimized(loop, mined, optimizer, budget, options=options)
    assert result.better
    assert ordered(tmp_path / "optimize/optimize/candidate.json") == set(ORDERS)
    assert result.search.evaluations <= budget


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        ("dspy:LabeledFewShot", "gave diagnose.predict demonstrations that are not its own answers, with failure"),
        ("dspy:KNNFewShot", "missing 2 required positional arguments: 'k' and 'vectorizer'"),
        ("dspy:Ensemble", "returned EnsembledProgram, whose behaviour is not in its prompts"),
        ("dspy:BootstrapFinetune", "does not have an LM assigned"),
        ("dspy:BetterTogether", "must have a language model set on every predictor"),
        ("dspy.teleprompt:AvatarOptimizer", "no attribute 'TypedPredictor'"),
    ],
)
def test_an_optimizer_that_makes_no_better_prompts_ends_in_one_line(opened, mined, tmp_path, optimizer, said):
    with opened() as loop, pytest.raises(UsageError, match=re.escape(said)) as caught:
        optimized(loop, mined, optimizer, 40)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "optimize/optimize/candidate.json").exists()


CODED = """
import dspy
from errata.programs import Diagnose, Strategy, Write
from errata.signatures.teach import DiagnoseError, WriteProgram

class Bad(WriteProgram):
    '''Write a program.'''

class Coded(Strategy):
    def __init__(self):
        super().__init__(Diagnose(DiagnoseError), Write(repairs=0))
        self.write.write = dspy.Flex(Bad)
"""


class Real(InProcess):
    """What an optimizer wrote runs in the real sandbox; the instructor's programs here."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.cells = []

    def run(self, source, harness, payload, limits):
        if "cells" not in payload:
            return super().run(source, harness, payload, limits)
        self.cells.append(payload["cells"][-1]["code"])
        return self.sandbox.run(source, harness, payload, limits)


@pytest.mark.slow
def test_gepa_rewrites_the_code_of_a_flex_module_which_runs_in_the_sandbox_alone(mined, tmp_path, sandbox):
    (tmp_path / "coded.py").write_text(CODED)
    config = config_of(None, **{"generate.strategy": f"{tmp_path}/coded.py:Coded", "instructor.in_flight": 1})
    real = Real(sandbox)
    with Cycle(config, tmp_path / "optimize", QUIET) as loop:
        result = optimized(loop, mined, "gepa", 20, sandbox=real)
    (changed,) = result.changed
    assert changed.predictor == "write.write" and changed.before.startswith("class BadModule(dspy.Module)")
    assert "Draw sensible numbers only." in changed.after
    assert result.score.after > result.score.before
    assert any("class BadModule" in cell for cell in real.cells)
    state = tmp_path / "optimize/optimize/candidate.json"
    assert (
        load_strategy(config_of(state, **{"generate.strategy": f"{tmp_path}/coded.py:Coded"}).generate).write.write.module_src
        == changed.after
    )

    saved = json.loads(state.read_text())
    for damage, said in (
        ({"module_src": "class ("}, "its code cannot be read"),
        ({"module_src": 7}, "write.write is not a saved predictor"),
    ):
        state.write_text(json.dumps(saved | {"write.write": saved["write.write"] | damage}))
        with pytest.raises(UsageError, match=said):
            load_strategy(config_of(state, **{"generate.strategy": f"{tmp_path}/coded.py:Coded"}).generate)


def test_code_of_an_optimizer_that_fails_is_a_bad_answer_and_no_end_of_the_run(mined, tmp_path, sandbox):
    (tmp_path / "coded.py").write_text(CODED)
    with Cycle(config_of(None, **{"generate.strategy": f"{tmp_path}/coded.py:Coded"}), tmp_path / "run", QUIET) as loop:
        loop.sandbox = Real(sandbox)
        source = "class M(dspy.Module):\n    def forward(self, **inputs):\n        return 1 / 0"
        loop.strategy.write.write.load_state({"module_src": source, "lm": None})
        (taught, *_) = teach_failures(loop, loop.run_dir.stage("t"), [row.failure for row in recorded_failures(mined, 0)][:1], "teach")
    assert taught.program is None and "ZeroDivisionError" in taught.rejections[0].reason


def test_programs_of_the_offline_instructor_are_demonstrations_for_another(opened, mined, tmp_path):
    with opened() as loop:
        result = optimized(loop, mined, "bootstrap", 40, teacher="offline")
    assert result.better and result.programs.after == 1.0
    state = json.loads((tmp_path / "optimize/optimize/candidate.json").read_text())
    demos = state["write.write"]["demos"]
    assert 1 <= len(demos) <= 2 and all("ANCHORS" in demo["program"] for demo in demos)
    assert result.tokens[1] > result.tokens[0] + 300


def test_what_must_end_the_run_ends_the_optimizer_and_is_no_score(opened, mined):
    with opened(**{"budget.max_time": 0.0}) as loop, pytest.raises(BudgetReached):
        optimized(loop, mined, "gepa")

    with opened("other") as loop, pytest.raises(ZeroDivisionError):
        optimized(loop, mined, "bootstrap", sandbox=Broken())


def command(mined, folder, server, *more):
    flags = ["--from", mined, "--run", folder / "run", "--out", folder / "better.json", "--strategy-state", bad_start(folder / "bad.json")]
    flags += ["--instructor", "openai/loopback", "--set", f"instructor.api_base={server.url}", "--set", "generate.repairs=0"]
    return [str(part) for part in ("optimize", *flags, "--no-target", "-q", *more)]


@pytest.mark.slow  # five commands, 20 seconds
def test_a_cap_ends_it_with_exit_code_4_a_higher_one_goes_on_and_generate_and_cycle_teach_with_the_result(mined, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with OpenAIServer(Served()) as server:
        gepa = command(mined, tmp_path, server, "--optimizer", "gepa", "--evaluations", "60", "--set", "instructor.in_flight=2")
        stopped = CliRunner().invoke(app, [*gepa, "--max-calls", "30"])
        assert (stopped.exit_code, server.served) == (4, 30)
        assert "cap of 30 calls is reached" in stopped.stderr and not (tmp_path / "better.json").exists()
        done = CliRunner().invoke(app, [*gepa, "--max-calls", "1000"])
        assert done.exit_code == 0, done.output
        result = json.loads((tmp_path / "run/optimize/comparison.json").read_text())
        assert result["better"] and ordered(tmp_path / "better.json") == set(ORDERS)
        assert result["spent"]["total"]["calls"] == server.served == len({json.dumps(seen.body) for seen in server.seen})
        assert {"optimize/instructor", "optimize/reflection"} == result["spent"]["stages"].keys()

        before = len(server.seen)
        flags = ["--task", "sums", "--as-errors", "--limit", "3", "--run", "taught", "--strategy-state", "better.json", "--json", "-q"]
        flags += ["--instructor", "openai/loopback", "--set", f"instructor.api_base={server.url}", "--set", "generate.repairs=0"]
        taught = CliRunner().invoke(app, ["generate", *flags])
        assert taught.exit_code == 0, taught.output
        assert json.loads(taught.stdout)["programs"]["accepted"] == 3
        sent = [seen.body["messages"][0]["content"] for seen in server.seen[before:]]
        assert sum("Vary the numbers, so that problems are distinct." in text for text in sent) == 3
        few = ["errors=all", "items.train=3", "items.dev=10", "items.test=10", "generate.rows=12", "train.steps=2", "train.batch_size=4"]
        whole = ["cycle", "--run", "whole", *flags[:2], *flags[7:], *(part for field in few for part in ("--set", field))]
        before = len(server.seen)
        cycled = CliRunner().invoke(app, whole)
        assert cycled.exit_code == 0, cycled.output
        assert Path("whole/round-1/gate/manifest.json").exists()
        samples = Path("whole/round-1/assemble/samples.jsonl").read_text()
        assert samples.count("\n") >= 12
        sent = [seen.body["messages"][0]["content"] for seen in server.seen[before:]]
        assert sum("Vary the numbers, so that problems are distinct." in text for text in sent) == 3
        Path("better.json").write_bytes((tmp_path / "bad.json").read_bytes())
        other = CliRunner().invoke(app, ["generate", *flags])
        assert other.exit_code == 1 and "was made with generate.state_hash" in other.stderr


CHILD = "import sys, test_optimize; test_optimize.continued(*sys.argv[1:])"


def continued(mined, folder, url, optimizer, budget):
    """What a process of its own does, that a test kills and starts again."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        quicken(monkeypatch)
        more = {"instructor.model": "openai/loopback", "instructor.api_base": url, "instructor.in_flight": 1}
        with Cycle(config_of(bad_start(Path(folder) / "bad.json"), **more), Path(folder) / "run", QUIET) as loop:
            # a bad start earns no demonstration of its own
            run_of(loop, Path(mined), optimizer, budget, teacher="offline" if optimizer == "bootstrap" else None)


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "budget"), [("gepa", 40), ("mipro", 60), ("bootstrap", 40), ("simba", 100)])
def test_a_killed_optimizer_goes_on_repeats_no_call_and_ends_with_the_same(mined, tmp_path, optimizer, budget):
    def run(folder, kill_at=None):
        folder.mkdir(exist_ok=True)
        served, started = Served(), []

        def script(body, number):
            if number == kill_at:
                os.kill(started[-1].pid, signal.SIGKILL)
                return Reply("")
            return served(body, number)

        with OpenAIServer(script) as server:
            for _ in range(1 if kill_at is None else 2):
                arguments = [sys.executable, "-c", CHILD, str(mined), str(folder), server.url, optimizer, str(budget)]
                env = os.environ | {"OPENAI_API_KEY": "none", "PYTHONPATH": str(Path(__file__).parents[1])}
                started.append(subprocess.Popen(arguments, cwd=Path(__file__).parent, env=env))
                started[-1].wait(300)
        assert [one.returncode for one in started] == ([0] if kill_at is None else [-signal.SIGKILL, 0])
        result = json.loads((folder / "run/optimize/comparison.json").read_text())
        same = {name: result[name] for name in result.keys() - {"run", "candidate", "spent", "search"}}
        return [seen.body for seen in server.seen], (folder / "run/optimize/candidate.json").read_bytes(), same

    asked, state, result = run(tmp_path / "whole")
    again, other_state, other_result = run(tmp_path / "killed", kill_at=len(asked) // 2)
    assert (other_state, other_result) == (state, result)
    at = len(asked) // 2
    assert again[:at] + again[at + 1 :] == asked  # the one that was under way is asked again, no other


def test_an_optimization_of_version_0_1_0_goes_on_with_its_old_name_of_the_evaluations(opened, mined, tmp_path):
    settings = OptimizeSettings(optimizer="bootstrap", evaluations="30", target=False)
    with opened() as loop:
        Optimization(loop, [mined], settings, both())
        path = tmp_path / "optimize/optimize/settings.json"
        path.write_text(path.read_text().replace('"evaluations"', '"budget"'))
        Optimization(loop, [mined], settings, both())
        with pytest.raises(RunError, match="was begun with evaluations = '30', not '40'"):
            Optimization(loop, [mined], settings.model_copy(update={"evaluations": "40"}), both())


def test_a_train_error_whose_question_is_held_out_is_left_out(opened, mined):
    said = []
    with opened(said=said) as loop:
        first = recorded_failures(mined, 0)[0].failure
        loop.held_out = [first.attempt.example.model_copy(update={"split": "dev"})]
        parts = Optimization(loop, [mined], OptimizeSettings(optimizer="bootstrap", target=False), both()).parts
    assert first.id not in {name for part in parts.values() for name in part}
    assert sum(map(len, parts.values())) == 23
    assert said == ["1 errors are left out: their questions are dev, test or guard items too"]


def test_failures_are_split_by_question_and_too_few_are_refused(mined):
    found = {row.failure.id: row.failure for row in recorded_failures(mined, 0)}
    for failure in list(found.values())[:5]:
        again = failure.attempt.model_copy(update={"response": "7"})
        found[Failure(attempt=again).id] = Failure(attempt=again)
    parts = split(found, seed=0)
    questions = [{row.attempt.example.question for row in part.values()} for part in parts.values()]
    assert not questions[0] & questions[1] and not questions[2] & (questions[0] | questions[1])
    assert sum(map(len, parts.values())) == 29
    assert split(found, seed=0) == parts != split(found, seed=1)
    with pytest.raises(UsageError, match="5 train errors of different questions are too few"):
        split(dict(list(found.items())[:5]), seed=0)


def test_errors_of_another_task_are_refused(opened, mined, tmp_path):
    with Cycle(load_config(overrides={"task": "lists", "errors": "all", "items.train": 4}), tmp_path / "lists", QUIET) as loop:
        loop.run(until="mine")
    with opened() as loop, pytest.raises(UsageError, match="lists holds errors of lists, not of sums"):
        Optimization(loop, [mined, tmp_path / "lists"], OptimizeSettings(optimizer="bootstrap", target=False), both())


def score(number, value, passed=True, said="fine"):
    checks = {"runs": True, "anchored": passed}
    scored = Score(
        failure_id=str(number), score=value, passed=passed, checks=checks, drafts=1, tokens=9, missed=None, distinct=None, feedback=said
    )
    failure = Failure(attempt=Attempt.unanswered(Example(task="sums", split="train", question=f"{number}<script>", answer="1")))
    return Taken(failure, scored, SampleProgram(diagnosis_id="d", source="x = '</pre>'", anchors=(failure.id,)) if passed else None)


def achieved(figures, **more):
    spent = Spent(calls=0, cached=0, failed=0, tokens_in=0, tokens_out=0, approximated=0, usd=0.0)
    known = {
        "run": "r",
        "strategy": "LearnFromError",
        "settings": OptimizeSettings(),
        "instructor": "offline",
        "task": "sums",
        "search": Tried(evaluations=60, strategies=3, best=0.9),
        "parts": {"train": 10, "validation": 7, "held": 8},
        "candidate": "c",
        "changed": [],
        "spent": Bill(stages={}, total=spent),
    }
    return Optimized(**dict(figures), **known | more)


def test_a_gain_that_may_be_chance_is_not_better_and_is_saved_only_by_force(tmp_path):
    old = {str(n): score(n, 0.5) for n in range(8)}
    mixed = {str(n): score(n, 0.5 + (0.1 if n < 5 else -0.1)) for n in range(8)}
    assert not compare(old, mixed, 0.05, 0).better
    assert not compare(old, old, 0.05, 0).better
    assert not compare(mixed, {name: score(name, 0.1) for name in mixed}, 0.05, 0).better
    good = compare(old, {str(n): score(n, 0.6) for n in range(8)}, 0.05, 0)
    assert good.better and good.score.p_value == pytest.approx(2 / 2**8)
    (tmp_path / "candidate.json").write_text("{}")
    result = achieved(compare(old, old, 0.05, 0), candidate=str(tmp_path / "candidate.json"))
    assert not save(result, tmp_path / "out.json", force=False) and not (tmp_path / "out.json").exists()
    assert save(result, tmp_path / "out.json", force=True) and (tmp_path / "out.json").exists()


def test_the_pages_tell_figures_by_check_costs_and_the_change_word_by_word_and_run_nothing(tmp_path):
    old = {str(n): score(n, 0.1, passed=False, said="refused <b>") for n in range(8)}
    baseline, candidate = LearnFromError(), LearnFromError()
    predictor = candidate.write.write
    predictor.signature = predictor.signature.with_instructions(predictor.signature.instructions + " Vary <i>names</i>.")
    predictor.demos = [dspy.Example(question="a demo's question", program="x = 1")]
    bill = Spent(calls=3, cached=0, failed=0, tokens_in=10, tokens_out=5, approximated=0, usd="unknown")
    result = achieved(
        compare(old, {str(n): score(n, 0.9) for n in range(8)}, 0.05, 0),
        changed=changes(baseline, candidate),
        spent=Bill(stages={"optimize/reflection": bill}, total=bill),
    )
    text, html = markdown(result), page(result)
    assert re.search(r"\| passed anchored \| 0% \| 100% \| \+100\.0 \[\+\d+, \+100\] \| 8 gained, 0 lost \| p = 0\.0078 \|", text)
    assert "| reflection | 3 | 10 | 5 | unknown |" in text
    assert "## `write.write`: 1 demonstration, before 0" in text and "+ Vary <i>names</i>.\n" in text
    assert "<ins class=better>Vary &lt;i&gt;names&lt;/i&gt;.</ins>" in html and "a demo&#39;s question" in html
    assert "refused &lt;b&gt;" in html and "0.100 to 0.900" in html
    assert "<script" not in html and "default-src 'none'" in html
    assert [sign for sign, _ in difference("One. Two.", "One. Three.")] == [" ", "-", "+"]


def test_the_score_climbs_the_checks_anchored_first_and_then_pays_for_hard_rows(mined, tmp_path):
    failure = recorded_failures(mined, 0)[0].failure
    look = Look(rows=40, distinct=40, tried=8, missed=8)
    journal = Journal(tmp_path / "journal.jsonl")
    measure = Measure(load_task("sums"), {failure.id: failure}, InProcess, Limits(), journal, target=lambda: None)
    names = [*measure.names]
    diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="s", verdict="error", skill="s", misconception="m", evidence="e", teach="t")
    program = SampleProgram(diagnosis_id=diagnosis.id, source="x = 1", anchors=(failure.id,))

    def scored(check=None, seen=look):
        measure.look = lambda program: seen
        refusal = Rejection(of=program.id, kind="program", check=check or "runs", reason="because of x")
        kept = {"program": None, "refused": (program,), "rejections": (refusal,)} if check else {"program": program}
        return measure.score(TeachingResult(failure_ids=(failure.id,), diagnosis=diagnosis, **kept), 1000)

    ladder = [scored(name).score for name in names]
    assert ladder == sorted(ladder) and len(set(ladder)) == len(ladder)
    assert max(ladder) < measure.passing <= scored(seen=Look(rows=0, distinct=0, tried=8, missed=0)).score
    steps = {name: after - before for name, before, after in zip(names, ladder, [*ladder[1:], measure.passing], strict=True)}
    assert max(steps, key=steps.get) == "anchored"
    easy = scored(seen=Look(rows=40, distinct=40, tried=8, missed=2, solved="Ann has 3 pens."))
    assert easy.score < scored().score <= 1
    assert "Ann has 3 pens." in easy.feedback and "fails 2 of 8" in easy.feedback
    assert "refused by the check `anchored`: because of x" in scored("anchored").feedback
    unread = TeachingResult(
        failure_ids=(failure.id,),
        diagnosis=None,
        program=None,
        rejections=(Rejection(of="f", kind="diagnosis", check="readable", reason="?"),),
    )
    assert measure.score(unread, 10).score == 0


def test_the_hit_rate_is_what_the_target_fails_and_a_row_that_it_solved_is_told(mined, tmp_path):
    class Knows:
        """Answers every second row right."""

        hash = "knows"

        def generate(self, prompts, **_):
            for place, row in enumerate(made):
                yield place, Completion(f"#### {row.example.answer}" if place % 2 else "#### -7", "stop", 5)

    task, failure = load_task("sums"), recorded_failures(mined, 0)[0].failure
    with instructed_by(both()):
        program = LearnFromError()(failures=(failure,), brief=task.brief, prove=lambda program: None).program
    made = draw_rows(InProcess(), Limits(), program, draws(SEED, (2, 3, 3, 4), 0, PROBE))
    measure = Measure(task, {failure.id: failure}, InProcess, Limits(), Journal(tmp_path / "journal.jsonl"), target=Knows)
    look = measure.look(program)
    assert (look.tried, look.missed) == (PROBE, PROBE // 2)
    assert any(f"{row.example.question} Answered: #### {row.example.answer}" == look.solved for row in made[1::2])
    assert look.refusal is None and 1 < look.distinct <= look.rows


def test_probe_training_compares_both_strategies_on_train_items_that_are_no_errors_and_replays_none_of_them(opened, mined, monkeypatch):
    trained, asked = [], {}

    def evaluate(loop, stage, task, items, target, title):
        asked[title] = items
        wrong = {"start": 2, "baseline": 3, "optimized": 4}[stage.path.parts[-1] if "start" in stage.path.parts else stage.path.parts[-2]]
        verdicts = [Verdict(correct=bool(place % wrong), extracted=None, reason="") for place in range(len(items))]
        return [Attempt(example=item, response="r", verdict=verdict) for item, verdict in zip(items, verdicts, strict=True)]

    monkeypatch.setattr(Cycle, "evaluate", evaluate)
    train = sft.train

    def short(rows, *args, **options):
        trained.append(rows)
        return train(rows, *args, **options, in_process=True)

    monkeypatch.setattr(probe_training, "train", short)
    with opened(**{"items.dev": 40, "generate.state": None, "train.steps": 2}) as loop:
        result = run_of(loop, mined, "bootstrap", 20, probe_training=30)
    probe = result.probe_training
    assert probe.items == 20
    errors = {row.failure.attempt.example.question for row in recorded_failures(mined, 0)}
    measured = asked["probe training: baseline"]
    assert measured == asked["probe training: optimized"] == asked["probe training: before"][::2]
    assert not errors & {item.question for item in asked["probe training: before"]}
    assert all(item.split == "train" for item in measured)
    assert len(trained) == 2
    for rows in trained:
        shown = " ".join(message["content"] for row in rows for message in row.prompt)
        assert len(rows) > 30 and not any(item.question in shown for item in measured)
    assert probe.optimized_over_baseline.before == pytest.approx(13 / 20)
    assert probe.optimized_over_baseline.after == pytest.approx(15 / 20)


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--out", "nowhere/out.json"], 2, "--out nowhere/out.json lies in a folder that is not there"),
        (["--strategy", "GoldOnly"], 2, "strategy GoldOnly asks no instructor: it has no prompt"),
        (["--optimizer", "gepo"], 2, "there is no optimizer 'gepo'; choose gepa, mipro, bootstrap, simba"),
        (["--optimizer", "json:JSONDecoder"], 2, "is not a teleprompter: it has no compile()"),
        (["--optimizer", "gepa"], 2, "the embedded instructor cannot; name one with --reflection MODEL"),
        (
            ["--optimizer", "bootstrap", "--evaluations", "huge"],
            2,
            "--evaluations takes light, medium, heavy or a number, not 'huge'",
        ),
        (["--optimizer", "bootstrap", "--option", "max_demo=2"], 2, "BootstrapFewShotWithRandomSearch takes no max_demo; it takes"),
        (["--option", "foo"], 2, "--option takes name=value, e.g. --option max_rounds=2, not 'foo'"),
        (["--option", "foo=["], 2, "--option foo: the value '[' is not valid YAML"),
    ],
)
def test_bad_input_is_one_line_with_its_exit_code(mined, tmp_path, flags, code, said):
    command = ["optimize", "--from", str(mined), "--out", str(tmp_path / "out.json"), "--run", str(tmp_path / "run"), "-q", "--no-target"]
    done = CliRunner().invoke(app, [*command, *flags])
    assert done.exit_code == code, done.output
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_neither_the_library_nor_the_patterns_of_a_source_need_be_there_still(mined, tmp_path):
    source = shutil.copytree(mined, tmp_path / "source")
    made = read_json(source / "run.json")
    made["config"]["generate"] |= {"library": "gone", "library_hash": "a", "patterns": "gone.yaml", "patterns_hash": "b"}
    write_atomic(source / "run.json", to_json(sealed(made)))
    flags = ["--out", str(tmp_path / "out.json"), "--run", str(tmp_path / "run"), "--optimizer", "bootstrap", "--instructor", "offline"]
    done = CliRunner().invoke(app, ["optimize", "--from", str(source), *flags, "--evaluations", "2", "--no-target", "-q"])
    assert done.exit_code == 0, done.output


def test_mipro_without_optuna_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=re.escape("MIPROv2 needs optuna, which is not installed: pip install -e '.[optimize]' in a checkout of Errata")
    ):
        teleprompter("mipro")
