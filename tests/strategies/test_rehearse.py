"""`errata prompt` shows what an instructor is sent, to the letter, and the shipped contract keeps its own rules."""

import json
import re

import dspy
import pytest
from dspy.utils import DummyLM
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import LearnFromContrast, LearnFromError, prove
from errata.programs.instructor.chat import instructed_by
from errata.programs.strategies.rehearse import Shown, choose, prompts, unanswered
from errata.sandbox import MODULES, Limits, open_sandbox
from errata.signatures.errors import UsageError
from errata.signatures.records import Attempt, Example, Failure, SampleProgram, Verdict
from errata.signatures.teach import contract
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
def test_every_adapter_shows_the_whole_contract_of_the_kind_once_a_program(adapter, name, kind):
    task = load_task(name, runner=lambda *_: None)
    (shown,) = unanswered(task.examples("train", 1))
    calls = prompts(LearnFromContrast(), shown, task.brief, adapter)
    assert ["".join(row["content"] for row in call.messages).count(contract(kind, MODULES).strip()) for call in calls] == [0, 1, 1]
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
    text = contract("number", [])
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
    assert "similar questions that the model answered right" in done.output
    document = json.loads(CliRunner().invoke(app, ["prompt", "--task", "sums", "--json"]).stdout)
    assert document["calls"][0]["tokens"] == round(sum(len(row["content"]) for row in document["calls"][0]["messages"]) / 3.5)
    wrong = CliRunner().invoke(app, ["prompt", "--task", "sums", "--run", "nowhere"])
    assert (wrong.exit_code, wrong.stdout) == (1 + 1, "")
