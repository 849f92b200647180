"""`errata prompt` shows what an instructor is sent, to the letter; an estimate holds; and the shipped contract keeps its own rules."""

import json
import re

import dspy
import pytest
from asking import opened, total
from dspy.utils import DummyLM
from openai_server import OpenAIServer, Reply
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Diagnose, LearnFromContrast, LearnFromError, Strategy, Write, prove
from errata.programs.config import InstructorSettings
from errata.programs.instructor.chat import REASKS, instructed_by
from errata.programs.rehearse import Shown, choose, estimate, prompts, unanswered
from errata.programs.run.ledger import Ledger
from errata.programs.strategies.diagnose import ask, fields_of
from errata.programs.strategies.named import BUILT_IN
from errata.sandbox import Limits, open_sandbox
from errata.signatures.errors import UsageError
from errata.signatures.records import Attempt, Example, Failure, SampleProgram, Verdict
from errata.signatures.teach import DiagnoseError, contract
from errata.tasks import load_task

TASK = load_task("sums")


def errors(count=3):
    return unanswered(TASK.examples("train", count))


def test_the_prompts_shown_are_those_that_are_sent():
    shown = errors(1)[0]
    diagnosis = {"evidence": "5", "verdict": "error", "misconception": "adds", "skill": "sums", "teach": "vary"}
    lm = DummyLM([diagnosis, {"refusal": "", "program": "```python\nx = 1\n```"}])
    with instructed_by(lm):
        taught = LearnFromError()(failures=(shown.failure,), brief=TASK.brief, prove=lambda program: None)
    calls = prompts(LearnFromError(), Shown(shown.failure, taught), TASK.brief)
    assert [call.predictor for call in calls] == ["diagnose.predict", "write.write", "write.repair"]
    assert [call.messages for call in calls[:2]] == [entry["messages"] for entry in lm.history]
    assert "x = 1" in calls[2].messages[-1]["content"]


@pytest.mark.parametrize("strategy", BUILT_IN)
@pytest.mark.parametrize("command", ["prompt", "diagnose"])
def test_a_strategy_without_a_prompt_is_refused_where_one_would_be_shown_or_sent(tmp_path, command, strategy):
    more = (
        ["prompt", strategy] if command == "prompt" else ["diagnose", "--dry-run", "--strategy", strategy, "--run", str(tmp_path / "run")]
    )
    done = CliRunner().invoke(app, [*more, "--task", "sums", "--set", "errors=all", "--set", "items.train=3"])
    refused = strategy in ("GoldOnly", "FormOnly", "Uniform")
    assert (f"errata: strategy {strategy} asks no instructor: it has no prompt\n" in done.stderr) is refused
    assert done.exit_code == (2 if refused else 0), done.output


def test_an_optimized_instruction_and_its_demos_are_shown():
    strategy = LearnFromContrast()
    predictor = strategy.diagnose.predict
    predictor.signature = predictor.signature.with_instructions("Other words.")
    predictor.demos = [dspy.Example(question="a demo's question", verdict="error")]
    first = prompts(strategy, errors(1)[0], TASK.brief)[0]
    assert "Other words." in first.messages[0]["content"]
    assert "a demo's question" in first.messages[1]["content"]
    assert first.tokens > prompts(LearnFromContrast(), errors(1)[0], TASK.brief)[0].tokens


@pytest.mark.parametrize("adapter", ["chat", "json", "xml"])
@pytest.mark.parametrize(("name", "kind"), [("sums", "number"), ("facts", "choice"), ("lists", "code")])
def test_every_adapter_shows_the_contract_of_the_kind_once_a_program_and_its_example_with_the_first(adapter, name, kind):
    task = load_task(name, runner=lambda *_: None)
    (shown,) = unanswered(task.examples("train", 1))
    calls = prompts(LearnFromContrast(), shown, task.brief, adapter)
    said = ["".join(row["content"] for row in call.messages) for call in calls]
    assert [text.count(contract(kind).strip()) for text in said] == [0, 1, 0]
    assert [text.count(contract(kind, example=False).strip()) for text in said] == [0, 1, 1]
    assert all(shown.failure.attempt.example.question in call.messages[-1]["content"] for call in calls)


def test_an_unknown_adapter_or_error_is_a_usage_error():
    with pytest.raises(UsageError, match="there is no adapter 'yaml'; choose chat, json, xml"):
        prompts(LearnFromError(), errors(1)[0], TASK.brief, "yaml")
    with pytest.raises(UsageError, match=r"no train error or item has the id 'nope'; ids look like [0-9a-f]{16}"):
        choose(errors(), "nope")
    with pytest.raises(UsageError, match="begins the ids of 3 errors"):
        choose(errors(), "")
    assert choose(errors(), errors()[1].failure.id[:12]) == errors()[1]


def test_the_example_of_the_contract_passes_its_own_checks():
    text = contract("number")
    question, told = re.search(r'for the error "(.*?)" answered with (\d+):', text).groups()
    example = Example(task="sums", split="train", question=question, answer="10")
    verdict = Verdict(correct=False, extracted=told, reason="wrong")
    failure = Failure(attempt=Attempt(example=example, response=told, verdict=verdict))
    source = text[text.index("NAMES =") :].replace('"e1"', f'"{failure.id}"')
    program = SampleProgram(diagnosis_id="d", source=source, anchors=(failure.id,))
    with open_sandbox(workers=1) as sandbox:
        assert prove(program, [failure], TASK, sandbox, Limits()) is None


def test_the_command_prints_prompts_and_tokens_of_a_train_item_and_one_document():
    done = CliRunner().invoke(app, ["prompt", "LearnFromContrast", "--task", "sums"])
    assert done.exit_code == 0, done.output
    assert done.output.count("tokens (3.5 characters each)") == 3
    assert "similar questions that it answered right" in done.output
    document = json.loads(CliRunner().invoke(app, ["prompt", "--task", "sums", "--json"]).stdout)
    assert document["calls"][0]["tokens"] == round(sum(len(row["content"]) for row in document["calls"][0]["messages"]) / 3.5)
    wrong = CliRunner().invoke(app, ["prompt", "--task", "sums", "--run", "nowhere"])
    assert (wrong.exit_code, wrong.stdout) == (1 + 1, "")


def attempt(number):
    example = Example(task="sums", split="train", question=f"Ann has {number} pens and loses 2.", answer=str(number - 2))
    return Attempt(example=example, response="14", verdict=Verdict(correct=False, extracted="14", reason="wrong"))


FAILURES = [Failure(attempt=attempt(number), contrasts=(attempt(90),)) for number in range(3, 8)]


@pytest.mark.parametrize("strategy", [LearnFromError(repairs=2), LearnFromContrast(repairs=2)])
def test_a_real_run_stays_between_low_and_high(strategy):
    diagnosis = {"verdict": "error", "skill": "loss", "misconception": "adds", "evidence": "14", "teach": "vary", "boundary": "none"}
    text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in diagnosis.items())
    written = "[[ ## refusal ## ]]\n\n[[ ## program ## ]]\n```python\n" + "x = 1\n" * 900 + "```\n\n[[ ## completed ## ]]"

    def script(body, number):
        return Reply(written if "[[ ## contract ## ]]" in body["messages"][-1]["content"] else text, usage=False)

    settings = InstructorSettings(model="openai/loopback", max_tokens=4000)
    before = estimate(strategy, FAILURES, lambda example: "sums", settings)
    assert before.calls[0::2] == (10, 5 * 4 * (1 + REASKS))
    assert before.usd is None
    with OpenAIServer(script) as server, Ledger(None) as ledger, instructed_by(opened(server, ledger, max_tokens=4000)):
        for failure in FAILURES:
            assert strategy(failures=(failure,), brief="sums", prove=lambda program: None).program
        spent = total(ledger)
    assert (spent["calls"], spent["approximated"]) == (10, 10)
    for name in ("calls", "tokens_in", "tokens_out"):
        span = getattr(before, name)
        assert span.low <= spent[name] <= span.high, name
        assert span.low <= span.expected <= span.high, name


def test_an_estimate_scales_to_the_failures_and_knows_listed_prices():
    settings = InstructorSettings(model="openai/gpt-4o-mini")
    one, ten = (estimate(LearnFromError(), FAILURES, lambda example: "sums", settings, count) for count in (5, 50))
    assert ten.calls == tuple(10 * calls for calls in one.calls)
    assert ten.usd[1] == pytest.approx(10 * one.usd[1], rel=0.01)
    assert 0 < one.usd[0] < one.usd[1] < one.usd[2]
    assert one.document()["usd"]["low"] > 0
    other = estimate(LearnFromError(), FAILURES, lambda example: "sums", InstructorSettings(model="openai/never-heard-of"))
    assert other.document()["usd"] == "unknown"


def test_a_strategy_whose_answers_hold_numbers_is_rehearsed_too():
    class Sure(DiagnoseError):
        """Say how sure you are."""

        sure: float = dspy.OutputField()

    class Diagnosing(Diagnose):
        def forward(self, failures, brief, strategy):
            assert ask(self.predict, fields_of(failures, brief)).sure <= 1
            return super().forward(failures, brief, strategy)

    strategy = Strategy(Diagnosing(Sure), Write())
    assert len(prompts(strategy, errors(1)[0], TASK.brief)) == 4
    assert estimate(strategy, FAILURES, lambda example: "sums", InstructorSettings()).calls.low == 15
