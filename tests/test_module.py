"""A dspy.Module with a target inside: its errors are those that the target itself makes, and the loop goes on from them."""

import json

import dspy
import pytest
from dspy import lm15
from dspy.utils import DummyLM

from errata.programs import Cycle, PlainAdapter, answers, load_config, mine_module, target_lm
from errata.programs.module import FAULTS, metric, trainset
from errata.programs.run.evaluate import attempts
from errata.signatures.errors import TargetError, UsageError
from errata.tasks import load_task
from errata.trainers.provider import TargetEngine
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target

SUMS = load_task("sums")


def config(**more):
    return load_config(overrides={"task": "sums", "guards": [], "errors": "recorded", "items.train": 24, **more})


def test_a_modules_errors_are_mined_in_batches_and_the_loop_teaches_from_them(tmp_path, batches):
    lm = target_lm("tiny", TargetEngine(window=600.0, width=12), max_tokens=SUMS.max_new_tokens)
    with Cycle(config(), tmp_path / "run") as loop:
        rows = mine_module(loop, dspy.Predict("question -> answer"), lm, PlainAdapter())
        assert batches == [12, 12]
        examples = [row.example for row in rows]
        own = {example.id: attempt for example, attempt in attempts(loop.task, examples, Target.load(TargetSettings()))}
        # but for the tokens, which only a target counts: a module may ask a model more than once
        assert rows == [own[example.id].model_copy(update={"tokens": None}) for example in examples]
        wrong = sum(not row.verdict.correct for row in rows)
        assert 0 < wrong < len(rows)
        loop.run(until="teach")
        facts = json.loads((tmp_path / "run/round-1/teach/manifest.json").read_text())["facts"]
        assert facts["failures"] == wrong
        assert facts["programs"] > 0


def test_mining_goes_on_where_it_was_cut_off_and_asks_nothing_twice(tmp_path):
    class Breaks(dspy.Module):
        def __init__(self, after):
            super().__init__()
            self.asked, self.after = [], after

        def forward(self, question):
            if len(self.asked) == self.after:
                raise KeyboardInterrupt
            self.asked.append(question)
            return dspy.Prediction(answer="#### 1")

    first, second = Breaks(10), Breaks(99)
    with Cycle(config(), tmp_path / "run") as loop:
        with pytest.raises(KeyboardInterrupt):
            mine_module(loop, first, threads=1)
        rows = mine_module(loop, second, threads=1)
        assert mine_module(loop, second, threads=1) == rows
    assert len(rows) == 24
    assert len(first.asked) == 10
    assert sorted(first.asked + second.asked) == sorted(item.question for item in trainset(SUMS, [row.example for row in rows]))


def test_a_loop_that_mines_its_own_errors_takes_no_modules(tmp_path):
    with Cycle(config(errors="target"), tmp_path / "run") as loop, pytest.raises(UsageError, match="set it to recorded"):
        mine_module(loop, dspy.Predict("question -> answer"))


def test_a_response_that_cannot_be_read_is_wrong_and_keeps_its_text():
    lm = DummyLM([{"nothing": "no field of the signature"}])
    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    ((_, attempt),) = answers(dspy.Predict("question -> answer"), SUMS, SUMS.examples("train", 1), lm, adapter)
    assert attempt.verdict.correct is False
    assert "no field of the signature" in attempt.response
    assert attempt.target == ""


def test_reasoning_and_answer_are_both_kept_and_the_answer_is_judged():
    (example,) = SUMS.examples("train", 1)
    lm = DummyLM([{"reasoning": "I count 1, 2, 3.", "answer": f"#### {example.answer}"}])
    ((_, attempt),) = answers(dspy.ChainOfThought("question -> answer"), SUMS, [example], lm)
    assert attempt.verdict.correct
    assert attempt.response == f"I count 1, 2, 3.\n#### {example.answer}"


class Fails(dspy.Module):
    """Raises on the first `count` items."""

    def __init__(self, count):
        super().__init__()
        self.left = count

    def forward(self, question):
        self.left -= 1
        if self.left >= 0:
            raise KeyError("steps")
        return dspy.Prediction(answer="#### 1")


def test_items_on_which_a_module_raises_are_unjudged_until_there_are_too_many():
    examples = SUMS.examples("train", 20)
    rows = [row for _, row in answers(Fails(FAULTS), SUMS, examples, threads=1)]
    assert sum(row.verdict.correct is None for row in rows) == FAULTS
    assert rows[-1].verdict.reason == "the module failed: KeyError: 'steps'"
    with pytest.raises(KeyError):
        list(answers(Fails(FAULTS + 1), SUMS, examples, threads=1))


def test_what_the_target_says_of_itself_ends_the_mining_at_once(monkeypatch):
    def fail(self, prompts, **options):
        raise TargetError("memory ran out")

    monkeypatch.setattr(Target, "generate", fail)
    with pytest.raises(TargetError, match="memory ran out"):
        list(answers(dspy.Predict("question -> answer"), SUMS, SUMS.examples("train", 4), target_lm("tiny"), PlainAdapter()))


def test_plain_asks_with_the_inputs_alone_and_takes_the_whole_response():
    signature = dspy.Signature("question -> answer")
    adapter = PlainAdapter()
    demo = {"question": "1+1", "answer": "2"}
    assert adapter.format(signature, [demo], {"question": "2+2"}) == [
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2+2"},
    ]
    told = adapter.format(signature.with_instructions("Add."), [], {"question": "2+2"})
    assert told == [{"role": "system", "content": "Add."}, {"role": "user", "content": "2+2"}]
    assert adapter.parse(dspy.Signature("question -> answer: int"), " 4\n") == {"answer": 4}
    with pytest.raises(UsageError, match="PlainAdapter reads one output"):
        adapter.format(dspy.Signature("question -> reasoning, answer"), [], {"question": "2+2"})


def test_an_empty_response_is_an_empty_answer():
    class Silent:
        def complete(self, request):
            return lm15.Response(None, request.model, lm15.Message.assistant([lm15.TextPart("")]), "stop", lm15.Usage())

    with dspy.context(lm=dspy.LM("local/silent", engine=Silent(), cache=False), adapter=PlainAdapter()):
        assert dspy.Predict("question -> answer")(question="2+2").answer == ""


def test_a_tasks_items_and_verdict_serve_dspys_own_evaluate():
    examples = trainset(SUMS, SUMS.examples("train", 2))
    judge = metric(SUMS)
    assert judge(examples[0], dspy.Prediction(answer=f"#### {examples[0].answer}"))
    assert not judge(examples[0], dspy.Prediction(answer="#### 12345"))
    assert examples[0].inputs().keys() == ["question"]
    assert examples[0].question == SUMS.prompt(examples[0].item)[-1]["content"]
