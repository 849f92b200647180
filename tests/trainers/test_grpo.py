"""Training on own answers: rewards move the target, prompts that teach nothing are exchanged, a kill or a failing judge costs nothing."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import models
import pytest
import torch
from transformers import AutoTokenizer

from errata.signatures.errors import TaskError, TrainerError, UsageError
from errata.trainers.chat import encode, render
from errata.trainers.judge import Given, Prompt
from errata.trainers.settings import Job, TargetSettings, TrainSettings
from errata.trainers.sft import check, practise, train
from errata.trainers.stages.follow import Follow
from errata.trainers.stages.grpo import Rollout

ROWS = models.sums(40)
QUICK = TrainSettings(
    save_steps=2,
    blend=1.0,
    grpo={"max_steps": 4, "num_generations": 4, "per_device_train_batch_size": 16, "learning_rate": 3e-3},
)

TIMED = ("train.log", "seconds.json")
"""Files that hold times."""


class Likes:
    """Rewards answers by a rule; its prompts depend on what it was told."""

    fingerprint = "likes"
    answer_tokens = 6

    def __init__(self, worth: Callable[[str], float | None], before: Callable[[int], None] = lambda step: None, pinned: int = 0):
        self._worth = worth
        self._before = before
        self._pinned = pinned
        self.told: list[tuple[int, str, float | None]] = []
        self.asked: list[tuple[int, int]] = []
        self.rewound: list[int] = []

    def rewind(self, step: int) -> None:
        self.rewound.append(step)
        self.told = [row for row in self.told if row[0] < step]
        self.asked = [row for row in self.asked if row[0] < step]

    def prompts(self, step: int, count: int) -> list[Prompt]:
        self.asked.append((step, count))
        start = len(self.told)
        return [Prompt(f"{start + n}", ROWS[(start + n) % len(ROWS)].prompt, n < self._pinned) for n in range(count)]

    def rewards(self, step: int, answers: Sequence[Given]) -> list[float | None]:
        self._before(step)
        worth = [self._worth(one.text) for one in answers]
        self.told += [(step, one.text, reward) for one, reward in zip(answers, worth, strict=True)]
        return worth


def short(text: str) -> float:
    return float(len(text) < 8)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> TargetSettings:
    return TargetSettings(model=str(models.make("llama", tmp_path_factory.mktemp("models") / "llama")))


@pytest.fixture(scope="module")
def once(target: TargetSettings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Likes, Path]:
    out, judge = tmp_path_factory.mktemp("once") / "out", Likes(short)
    practise(judge, target, QUICK, out, in_process=True)
    return judge, out


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in TIMED}


def test_what_is_rewarded_becomes_more_frequent(target, tmp_path):
    settings = QUICK.model_copy(update={"grpo": QUICK.grpo | {"max_steps": 25, "beta": 0.0}})
    judge = Likes(short)
    practise(judge, target, settings, tmp_path / "out", in_process=True)
    first, last = ([reward for step, _, reward in judge.told if step in steps] for steps in (range(3), range(22, 25)))
    assert sum(last) / len(last) > sum(first) / len(first) + 0.2


@pytest.mark.slow  # another start of a child, 13 seconds
def test_a_training_in_a_child_process_with_a_slow_judge_ends_with_the_same_bytes(once, target, tmp_path):
    judge = Likes(short, lambda step: time.sleep(0.1))
    report = practise(judge, target, QUICK, tmp_path / "out")
    assert files(tmp_path / "out") == files(once[1])
    assert judge.told == once[0].told
    assert practise(judge, target, QUICK, tmp_path / "out") == report  # it is finished: nothing is asked
    assert judge.rewound == [0]


def test_a_judge_that_fails_ends_the_training_which_then_continues_to_the_same_bytes(once, target, tmp_path):
    def fail(step: int) -> None:
        if step == 3:
            raise TaskError("the sandbox is gone")

    with pytest.raises(TaskError, match="the sandbox is gone"):
        practise(Likes(short, fail), target, QUICK, tmp_path / "out", in_process=True)
    again = Likes(short)
    again.told = [row for row in once[0].told if row[0] < 3]  # a judge keeps what it was told
    practise(again, target, QUICK, tmp_path / "out", in_process=True)
    assert again.rewound == [2]
    assert again.told == once[0].told
    assert files(tmp_path / "out") == files(once[1])  # with the tokens of both lives in its manifest


def test_every_sampled_token_is_counted_those_of_exchanged_prompts_too(target, tmp_path):
    settings = QUICK.model_copy(update={"grpo": QUICK.grpo | {"max_steps": 1, "warmup_steps": 0}})
    kept, exchanged = (Likes(lambda text: 1.0, pinned=pinned) for pinned in (4, 0))
    reports = [practise(judge, target, settings, tmp_path / f"{place}", in_process=True) for place, judge in enumerate((kept, exchanged))]
    # 4 prompts with 4 answers of at most 6 tokens; the second time they are exchanged once
    assert 16 <= reports[0].generated_tokens <= 16 * 6
    assert 1.5 * reports[0].generated_tokens < reports[1].generated_tokens <= 32 * 6


@pytest.mark.slow  # two more starts of a child, 15 seconds and more each
def test_what_a_judge_raises_and_a_killed_child_end_the_training_in_one_line(target, tmp_path):
    def fail(step: int) -> None:
        raise TaskError("the sandbox is gone")

    def kill(step: int) -> None:
        child = next(pid for pid in children(os.getpid()) if "errata.trainers.sft" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(child, signal.SIGKILL)

    with pytest.raises(TaskError, match="the sandbox is gone"):
        practise(Likes(short, fail), target, QUICK, tmp_path / "out")
    with pytest.raises(TrainerError, match="was killed by signal 9"):
        practise(Likes(short, kill), target, QUICK, tmp_path / "out")


def children(parent: int) -> list[int]:
    stats = ([*path.read_text().rpartition(")")[2].split(), path.parent.name] for path in Path("/proc").glob("[0-9]*/stat"))
    return [int(stat[-1]) for stat in stats if int(stat[1]) == parent]


def test_prompts_whose_answers_are_all_worth_the_same_are_exchanged(target, tmp_path):
    judge = Likes(lambda text: 0.0)
    practise(judge, target, QUICK, tmp_path / "out", in_process=True)
    assert [count for step, count in judge.asked if step == 0] == [4, 4]  # exchanged once, then taken as they are


def test_pinned_prompts_stay_though_their_answers_are_all_worth_the_same(target, tmp_path):
    judge = Likes(lambda text: 1.0, pinned=4)
    practise(judge, target, QUICK, tmp_path / "out", in_process=True)
    assert [count for step, count in judge.asked if step == 0] == [4]


def test_no_more_answers_are_sampled_than_the_budget_holds(target, tmp_path):
    settings = QUICK.model_copy(update={"rollouts": 40})
    taught, exchanged = Likes(short, pinned=4), Likes(lambda text: 0.0)
    report = practise(taught, target, settings, tmp_path / "taught", in_process=True)
    assert len(taught.told) == report.rollouts == 32
    assert report.stopped == "stopped after 32 of 40 answers, at step 2 of 4"
    with pytest.raises(TrainerError, match=r"nothing was learned before the budget ended: stopped after 32 of 40 answers, at step 1 of 4"):
        practise(exchanged, target, settings, tmp_path / "exchanged", in_process=True)
    assert exchanged.asked == [(0, 4), (0, 4)]  # a second exchange would have been too much
    with pytest.raises(UsageError, match=r"train.rollouts is 15, and a step samples 16 answers"):
        practise(Likes(short), target, QUICK.model_copy(update={"rollouts": 15}), tmp_path / "few", in_process=True)


def test_a_training_that_its_budget_ends_continues_after_a_kill_to_the_same_bytes(target, tmp_path):
    settings = QUICK.model_copy(update={"rollouts": 16 * 3, "save_steps": 1})

    def stop(message: dict) -> None:
        if message["step"] == 3:
            raise KeyboardInterrupt

    practise(Likes(short, pinned=4), target, settings, tmp_path / "whole", in_process=True)
    judge = Likes(short, pinned=4)
    with pytest.raises(KeyboardInterrupt):
        practise(judge, target, settings, tmp_path / "killed", in_process=True, on_progress=stop)
    report = practise(judge, target, settings, tmp_path / "killed", in_process=True)
    assert (report.steps, report.rollouts) == (3, 48)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_step_of_which_no_answer_can_be_judged_ends_the_training(target, tmp_path):
    with pytest.raises(TrainerError, match="none of the 16 answers of step 0 could be judged"):
        practise(Likes(lambda text: None), target, QUICK, tmp_path / "out", in_process=True)


class Long(Likes):
    """Of each draw the first `long` prompts leave no room for an answer."""

    long = 1

    def prompts(self, step: int, count: int) -> list[Prompt]:
        filled = [{"role": "user", "content": "Tom has 4 apples. " * 400}]
        found = super().prompts(step, count)
        return [one._replace(messages=filled) for one in found[: self.long]] + found[self.long :]


def test_prompts_that_fill_the_context_are_exchanged_for_others(target, tmp_path, monkeypatch):
    judge = Long(short)
    practise(judge, target, QUICK, tmp_path / "out", in_process=True)
    assert {step for step, _ in judge.asked} == {0, 1, 2, 3} and len(judge.asked) > 4
    monkeypatch.setattr(Long, "long", 99)
    with pytest.raises(TrainerError, match="there are 0 prompts to practise on"):
        practise(Long(short), target, QUICK, tmp_path / "none", in_process=True)


def test_a_judge_without_prompts_is_told_of(target, tmp_path):
    judge = Likes(short)
    judge.prompts = lambda step, count: []
    with pytest.raises(TrainerError, match="0 prompts to practise on, and a step takes 4"):
        practise(judge, target, QUICK, tmp_path / "out", in_process=True)


class Engine:
    """Stands for TRL's vLLM engine: answers as often with the end token as without."""

    def __init__(self, answers: list[list[int]]):
        self.answers = answers
        self.asked: list[tuple[list[list[int]], int]] = []

    def generate(self, prompts: list[list[int]], images: None, num_generations: int) -> tuple:
        self.asked.append((prompts, num_generations))
        rows = [self.answers[place % len(self.answers)] for place in range(len(prompts))]
        return prompts, rows, [[[-0.5 - place] for place in range(len(row))] for row in rows], None


def test_answers_of_a_vllm_engine_are_judged_and_trained_on_with_its_own_probabilities(target, tmp_path):
    """TRL is not part of it: what it hands to `rollout_func`, and takes back."""
    tokenizer = AutoTokenizer.from_pretrained(target.model)
    end, ids = tokenizer.eos_token_id, tokenizer("19", add_special_tokens=False)["input_ids"]
    job = Job(key="", base="", data="", rows=tmp_path, target=target, settings=QUICK, seed=0, out=tmp_path, answer_tokens=6)
    judge, engine, follow = Likes(lambda text: float(text == "19"), pinned=2), Engine([[*ids, end], [*ids, *ids]]), Follow(print, job)
    judge.rewards = lambda step, answers: judged.extend(answers) or [float(one.finish == "stop") for one in answers]
    judged: list[Given] = []
    trainer = SimpleNamespace(
        state=SimpleNamespace(global_step=0), use_vllm=True, vllm_generation=engine, callback_handler=SimpleNamespace(callbacks=[follow])
    )
    out = Rollout(job, judge, tokenizer, [end], 1.0, 2)([{}] * 4, trainer)
    (prompts, size), asked = engine.asked[0], encode(tokenizer, [render(tokenizer, ROWS[place].prompt) for place in (0, 0, 1, 1)])
    assert (prompts, size) == (asked, 2) == (out["prompt_ids"], 2)
    assert out["completion_ids"] == [[*ids, end], [*ids, *ids]] * 2
    assert out["logprobs"] == [[-0.5 - place for place in range(len(row))] for row in out["completion_ids"]]
    assert [(one.text, one.finish) for one in judged] == [("19", "stop"), (tokenizer.decode([*ids, *ids]), "length")] * 2
    assert out["reward"] == [1.0, 0.0, 1.0, 0.0]
    assert (follow.spent.rollouts, follow.spent.tokens) == (4, sum(map(len, out["completion_ids"])))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_vllm_is_refused_in_one_line_where_it_cannot_run():
    with pytest.raises(UsageError, match=r"grpo.use_vllm needs a CUDA device, and the training has none: leave it out"):
        check(TrainSettings(grpo={"use_vllm": True}))
    with pytest.raises(UsageError, match="vllm_mode can only be colocate"):
        check(TrainSettings(grpo={"use_vllm": True, "vllm_mode": "server"}))


def test_lora_trains_an_adapter(target, tmp_path):
    practise(Likes(short), target, QUICK.model_copy(update={"method": "lora"}), tmp_path / "out", in_process=True)
    assert (tmp_path / "out" / "weights" / "adapter_config.json").is_file()


def test_a_field_that_is_none_of_grpos_is_refused():
    with pytest.raises(UsageError, match=r"grpo\.max_step is not a field of GRPOConfig; did you mean max_steps"):
        check(TrainSettings(grpo={"max_step": 3}))


def test_a_training_of_one_step_has_no_warm_up_and_learns(target, tmp_path):
    settings = QUICK.model_copy(update={"grpo": QUICK.grpo | {"max_steps": 1}})
    reports = [practise(Likes(short), target, settings, tmp_path / "grpo", in_process=True)]
    for name, few in (
        ("steps", TrainSettings(steps=1)),
        ("epochs", TrainSettings(epochs=1)),
        ("lora", TrainSettings(method="lora", epochs=1)),
    ):
        reports.append(train(ROWS[:8], target, few, tmp_path / name, in_process=True))
    assert all(report.steps == 1 and report.weights != report.base for report in reports)
    rates = [json.loads((tmp_path / name / "course.json").read_text())[0]["learning_rate"] for name in ("grpo", "steps", "epochs", "lora")]
    assert min(rates) > 0
