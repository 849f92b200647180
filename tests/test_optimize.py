"""Prompt optimization on the testbed where wording matters: from a bad start, each optimizer must find what earns the score."""

import importlib.util
import json
import re
import types

import pytest
from dspy.lm15 import Message, Request
from openai_server import OpenAIServer, Reply
from typer.testing import CliRunner
from wording import ASKED, BAD, Careless, Reflecting, careless, reflecting

from errata.cli import app
from errata.programs import Cycle, LearnFromError, load_config
from errata.programs.optimize import Optimization, OptimizeSettings, _optimizer, compare, save, split
from errata.programs.prompt import recorded_failures
from errata.programs.scoring import Journal, Look, Measure, Score
from errata.sandbox import Limits
from errata.signatures.errors import BudgetReached, RunError, UsageError
from errata.signatures.records import Diagnosis, Failure, ProgramRun, Rejection, SampleProgram, Taught
from errata.tasks import load_task

QUIET = lambda line: None  # noqa: E731


class InProcess:
    """Stands in for the sandbox, a hundred times faster: the programs here are the offline instructor's own."""

    def run(self, source, harness, payload, limits):
        program, host = types.ModuleType("program"), types.ModuleType("host")
        try:
            exec(source, program.__dict__)
            exec(harness, host.__dict__)
            return ProgramRun(outcome="ok", rows=tuple(host.main(program, payload)))
        except Exception as error:
            return ProgramRun(outcome="error", error=f"{type(error).__name__}: {error}")

    def close(self):
        pass


class Broken(InProcess):
    def run(self, *_):
        raise ZeroDivisionError("a bug")


def bad_start(path):
    strategy = LearnFromError(repairs=0)
    strategy.write.write.signature = strategy.write.write.signature.with_instructions(BAD)
    strategy.save(path)
    return path


@pytest.fixture(scope="session")
def mined(tmp_path_factory):
    """A run with 24 train errors."""
    run = tmp_path_factory.mktemp("mined") / "run"
    config = load_config(overrides={"errors": "all", "items.train": 24})
    with Cycle(config, run, QUIET) as loop:
        loop.run(until="mine")
    return run


@pytest.fixture
def opened(tmp_path):
    def opened(name="optimize", **more):
        state = str(bad_start(tmp_path / "bad.json"))
        overrides = {"generate.state": state, "generate.repairs": 0, "instructor.in_flight": 2, **more}
        return Cycle(load_config(overrides=overrides), tmp_path / name, QUIET)

    return opened


def optimized(loop, mined, optimizer, budget=60, sandbox=None, **more):
    return run_of(loop, mined, optimizer, budget, sandbox, careless(), reflecting(), **more)


def run_of(loop, mined, optimizer, budget, sandbox=None, lm=None, reflection=None, **more):
    loop._sandbox = sandbox or InProcess()
    settings = OptimizeSettings(optimizer=optimizer, budget=str(budget), target=False, **more)
    return Optimization(loop, [mined], settings, lm, reflection).run()


def asked_for(state):
    text = json.loads(state.read_text())["write.write"]["signature"]["instructions"]
    return {name for name, words in ASKED.items() if words.search(text)}


def test_gepa_finds_the_wording_from_feedback_and_the_same_command_again_costs_nothing(opened, mined, tmp_path):
    with opened() as loop:
        result = optimized(loop, mined, "gepa")
    assert result["better"]
    assert (result["programs"]["before"], result["programs"]["after"]) == (0.0, 1.0)
    assert asked_for(tmp_path / "optimize/optimize/candidate.json") == set(ASKED)
    page = (tmp_path / "optimize/optimize/report.md").read_text()
    assert "LearnFromError by gepa: better" in page and "passed `anchored` | 0% | 100%" in page
    journal = (tmp_path / "optimize/optimize/journal.jsonl").read_bytes()
    with opened() as loop:
        again = optimized(loop, mined, "gepa", sandbox=Broken())  # nothing is proven anew
    assert again == result
    assert (tmp_path / "optimize/optimize/journal.jsonl").read_bytes() == journal
    with pytest.raises(RunError, match="was begun with seed = 0, not 1"), opened() as loop:
        optimized(loop, mined, "gepa", seed=1)


def test_programs_of_the_offline_instructor_are_demonstrations_for_another(opened, mined, tmp_path):
    with opened() as loop:
        result = optimized(loop, mined, "bootstrap", 40, teacher="offline")
    assert result["better"] and result["programs"]["after"] == 1.0
    state = json.loads((tmp_path / "optimize/optimize/candidate.json").read_text())
    demos = state["write.write"]["demos"]
    assert 1 <= len(demos) <= 2 and all("ANCHORS" in demo["program"] for demo in demos)
    assert result["tokens"][1] > result["tokens"][0] + 300


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "budget"), [("mipro", 100), ("simba", 300)])
def test_the_other_optimizers_find_what_earns_the_score(opened, mined, tmp_path, optimizer, budget):
    if optimizer == "mipro":
        pytest.importorskip("optuna")
    with opened() as loop:
        result = optimized(loop, mined, optimizer, budget)
    assert result["better"]
    assert asked_for(tmp_path / "optimize/optimize/candidate.json") == set(ASKED)


def test_what_must_end_the_run_ends_the_optimizer_and_is_no_score(opened, mined):
    with opened(**{"budget.max_time": 0.0}) as loop, pytest.raises(BudgetReached):
        optimized(loop, mined, "gepa")

    with opened("other") as loop, pytest.raises(ZeroDivisionError):
        optimized(loop, mined, "bootstrap", sandbox=Broken())


def test_a_cap_on_calls_ends_it_and_a_higher_one_goes_on_without_repeating_a_call(opened, mined):
    def answer(body, number):
        system, asked = body["messages"][0]["content"], body["messages"][-1]["content"]
        request = Request("m", [Message.user(asked)], system=system)
        return Reply((Reflecting() if "new_instruction" in system else Careless()).complete(request).message.parts[0].text)

    with OpenAIServer(answer) as server:
        more = {"instructor.model": "openai/loopback", "instructor.api_base": server.url}
        with opened(**more, **{"budget.max_calls": 30}) as loop, pytest.raises(BudgetReached, match="cap of 30 calls"):
            run_of(loop, mined, "gepa", 40)
        assert server.served == 30
        with opened(**more) as loop:
            result = run_of(loop, mined, "gepa", 40)
        assert result["better"]
        assert result["spent"]["calls"] == server.served == len({json.dumps(seen.body) for seen in server.seen})


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


def score(number, value, passed=True):
    checks = {"runs": True, "anchored": passed}
    return Score(
        failure_id=str(number), score=value, passed=passed, checks=checks, drafts=1, tokens=9, missed=None, distinct=None, feedback=""
    )


def test_a_gain_that_may_be_chance_is_not_better_and_is_saved_only_by_force(tmp_path):
    old = {str(n): (score(n, 0.5), None) for n in range(8)}
    mixed = {str(n): (score(n, 0.5 + (0.1 if n < 5 else -0.1)), None) for n in range(8)}
    assert not compare(old, mixed, 0.05, 0)["better"]
    assert not compare(old, old, 0.05, 0)["better"]
    assert not compare(mixed, {name: (score(name, 0.1), None) for name in mixed}, 0.05, 0)["better"]
    good = compare(old, {str(n): (score(n, 0.6), None) for n in range(8)}, 0.05, 0)
    assert good["better"] and good["score"]["p_value"] == pytest.approx(2 / 2**8)
    (tmp_path / "candidate.json").write_text("{}")
    result = {"better": False, "candidate": str(tmp_path / "candidate.json")}
    assert not save(result, tmp_path / "out.json", force=False) and not (tmp_path / "out.json").exists()
    assert save(result, tmp_path / "out.json", force=True) and (tmp_path / "out.json").exists()


def test_the_score_climbs_the_checks_anchored_first_and_then_pays_for_hard_rows(mined, tmp_path):
    failure = recorded_failures(mined, 0)[0].failure
    look = Look(rows=40, distinct=40, tried=8, missed=8)
    journal = Journal(tmp_path / "journal.jsonl")
    measure = Measure(load_task("sums"), {failure.id: failure}, InProcess, Limits(), journal, target=lambda: None)
    names = [*measure.names]
    diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="s", verdict="error", skill="s", misconception="m", evidence="e", teach="t")
    program = SampleProgram(diagnosis_id=diagnosis.id, source="x = 1", anchors=(failure.id,))

    def scored(check=None, seen=look):
        measure._look = lambda program: seen
        refusal = Rejection(of=program.id, kind="program", check=check or "runs", reason="because of x")
        kept = {"program": None, "refused": (program,), "rejections": (refusal,)} if check else {"program": program}
        return measure.score(Taught(failure_ids=(failure.id,), diagnosis=diagnosis, **kept), 1000)

    ladder = [scored(name).score for name in names]
    assert ladder == sorted(ladder) and len(set(ladder)) == len(ladder)
    assert max(ladder) < measure.passing <= scored(seen=Look(rows=0, distinct=0, tried=8, missed=0)).score
    steps = {name: after - before for name, before, after in zip(names, ladder, [*ladder[1:], measure.passing], strict=True)}
    assert max(steps, key=steps.get) == "anchored"
    easy = scored(seen=Look(rows=40, distinct=40, tried=8, missed=2, solved="Ann has 3 pens."))
    assert easy.score < scored().score <= 1
    assert "Ann has 3 pens." in easy.feedback and "fails 2 of 8" in easy.feedback
    assert "refused by the check `anchored`: because of x" in scored("anchored").feedback
    unread = Taught(
        failure_ids=(failure.id,),
        diagnosis=None,
        program=None,
        rejections=(Rejection(of="f", kind="diagnosis", check="readable", reason="?"),),
    )
    assert measure.score(unread, 10).score == 0


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--out", "nowhere/out.json"], 2, "--out nowhere/out.json lies in a folder that is not there"),
        (["--optimizer", "gepo"], 2, "there is no optimizer 'gepo'; choose gepa, mipro, bootstrap, simba"),
        (["--optimizer", "json:JSONDecoder"], 2, "is no teleprompter: it has no compile()"),
        (["--optimizer", "gepa"], 2, "the embedded instructor cannot; name one with --reflection MODEL"),
        (["--optimizer", "bootstrap", "--budget", "huge"], 2, "--budget takes light, medium, heavy or a number of evaluations, not 'huge'"),
        (["--optimizer", "bootstrap", "--option", "max_demo=2"], 2, "BootstrapFewShotWithRandomSearch takes no max_demo; it takes"),
    ],
)
def test_bad_input_is_one_line_with_its_exit_code(mined, tmp_path, flags, code, said):
    command = ["optimize", "--from", str(mined), "--out", str(tmp_path / "out.json"), "--run", str(tmp_path / "run"), "-q", "--no-target"]
    done = CliRunner().invoke(app, [*command, *flags])
    assert done.exit_code == code, done.output
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_mipro_without_optuna_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=re.escape("MIPROv2 needs optuna, which is not installed: pip install 'errata[optimize]'")):
        _optimizer("mipro")
