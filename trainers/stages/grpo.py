"""Trains a target on its own answers in this process with TRL's GRPOTrainer (Shao et al. 2024, arXiv 2402.03300).

At each step the judge gives prompts, the target answers each several times, and what the judge says of the answers moves the weights. A
group of answers that are all worth the same moves nothing: its prompt is exchanged for another one (the dynamic sampling of DAPO, Yu et al.
2025, arXiv 2503.14476), but for prompts that the judge pins, on which the KL term holds the target to where it started.
With `use_vllm` the answers come from the vLLM engine that TRL runs on the same GPU (`colocate`), which is given the weights of each step;
what it samples is not the same in two runs. This path was tested with a stand-in for the engine, and not yet run on a GPU.
Does NOT cover: the child process and the manifest (sft.py), several GPUs, a vLLM server of its own, rewards (judge.py).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from ...signatures.errors import TrainerError
from ...signatures.records import Message, TrainReport
from ..chat import Completion, encode, render
from ..fit import finish, given_to_all, learner, opened, report, sampled, shared_arguments
from ..judge import Given, Judge, Prompt
from ..settings import GRPO_ANSWERS, GRPO_STEPS, SMALL, Job, OnProgress
from .follow import followed, last_checkpoint

GRPO: dict[str, Any] = {
    "max_steps": GRPO_STEPS,
    "num_generations": 8,
    "learning_rate": 1e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 5,
    "temperature": 1.0,
}
BETA = {"full": 0.5, "lora": 0.1}
"""Weight of the KL term, by method."""
AT_ONCE, PROMPT = 8, 256
"""Answers that a target which is not small learns from together, and tokens that are counted for the prompt before each."""
REDRAWS = 1
"""How often the prompts of a step that teach nothing are exchanged."""
_PLACEHOLDER = [{"role": "user", "content": ""}]


class Group(NamedTuple):
    """A prompt with the answers that were sampled to it."""

    prompt: Prompt
    answers: list[Completion]
    rewards: list[float | None]
    chances: list[list[float]]
    """The log-probability of each token of each answer, where an engine tells it; its numbers are not quite the model's own."""

    @property
    def teaches(self) -> bool:
        """Whether its answers are not all worth the same, or are to hold the target where it is."""
        return self.prompt.pinned or len({reward for reward in self.rewards if reward is not None}) > 1


class Rollout:
    """TRL's `rollout_func`: prompts of the judge, the target's answers, and their rewards."""

    def __init__(self, job: Job, judge: Judge, tokenizer: Any, ends: Sequence[int], temperature: float, size: int):
        """`size` answers are sampled to each prompt; `ends` are the ids of the tokens that end one."""
        self._job = job
        self._judge = judge
        self._tokenizer = tokenizer
        self._ends = ends
        self._temperature = temperature
        self._size = size

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """As many groups as TRL asks for, of whose prompts only the number counts. Raises TrainerError when there are not so many, or none
        of their answers can be judged."""
        step, wanted = trainer.state.global_step, len(prompts) // self._size
        spent, most = followed(trainer).spent, self._job.settings.rollouts
        found: list[Group] = []
        kept = flat = 0
        for draw in range(1 + REDRAWS):
            drawn = self._drawn(trainer, step, draw, wanted - kept)
            found += drawn
            spent.tokens += sum(answer.tokens for group in drawn for answer in group.answers)
            spent.rollouts += sum(len(group.answers) for group in drawn)
            kept = sum(group.teaches for group in found)
            flat = flat if draw else len(drawn) - kept
            if kept == wanted or not drawn or (most is not None and spent.rollouts + (wanted - kept) * self._size > most):
                break
        groups = sorted(found, key=lambda group: not group.teaches)[:wanted]
        if len(groups) < wanted:
            raise TrainerError(f"there are {len(groups)} prompts to practise on, and a step takes {wanted}: give more items or programs")
        if all(reward is None for group in groups for reward in group.rewards):
            raise TrainerError(f"none of the {len(prompts)} answers of step {step} could be judged: run the task's verdict on one by hand")
        ids = encode(self._tokenizer, [render(self._tokenizer, group.prompt.messages) for group in groups])
        return {
            "prompt_ids": [row for row in ids for _ in range(self._size)],
            "completion_ids": [list(answer.ids) for group in groups for answer in group.answers],
            "logprobs": [chances for group in groups for chances in group.chances] if trainer.use_vllm else None,
            "reward": [reward for group in groups for reward in group.rewards],
            "flat": flat / wanted,
        }

    def _drawn(self, trainer: Any, step: int, draw: int, count: int) -> list[Group]:
        """`count` prompts, or as many as there are, answered and judged, without those that fill the context and so get no answer."""
        prompts = self._judge.prompts(step, count)
        asked = [prompt.messages for prompt in prompts for _ in range(self._size)]
        seed = (self._job.seed * 1_000_003 + step) * (1 + REDRAWS) + draw
        if trainer.use_vllm:
            answers, chances = self._by_engine(trainer, asked)
        else:
            answers, chances = sampled(trainer, self._job, asked, self._job.answer_tokens, self._temperature, seed), []
        parts = [slice(place * self._size, (place + 1) * self._size) for place in range(len(prompts))]
        given = [Given(prompt.key, one.text, one.finish) for prompt, part in zip(prompts, parts, strict=True) for one in answers[part]]
        rewards = self._judge.rewards(step, given)  # all at once: one question to the parent, whose sandbox judges several side by side
        groups = [Group(prompt, answers[part], rewards[part], chances[part]) for prompt, part in zip(prompts, parts, strict=True)]
        return [group for group in groups if all(answer.ids for answer in group.answers)]

    def _by_engine(self, trainer: Any, asked: Sequence[Sequence[Message]]) -> tuple[list[Completion], list[list[float]]]:
        """One answer a prompt of TRL's vLLM engine, which TRL has given the weights of this step, and its tokens' log-probabilities."""
        prompts = encode(self._tokenizer, [render(self._tokenizer, messages) for messages in asked])
        _, ids, chances, _ = trainer.vllm_generation.generate(prompts=prompts, images=None, num_generations=self._size)
        answers = []
        for row in ids:
            stopped = bool(row) and row[-1] in self._ends
            text = self._tokenizer.decode(row[: len(row) - stopped], skip_special_tokens=True, clean_up_tokenization_spaces=False)
            answers.append(Completion(text, "stop" if stopped else "length", len(row), tuple(row)))
        return answers, [[tokens[0] for tokens in row] for row in chances]


def fit(job: Job, tell: OnProgress, judge: Judge | None) -> TrainReport:
    """Trains as the job says, on what the judge gives, and leaves `weights` in its folder. Raises TrainerError, TargetError."""
    assert judge is not None, "who practises has a judge"
    device, tokenizer, config, ends = opened(job)
    model, method = learner(job, device, AT_ONCE, PROMPT + job.answer_tokens)
    at_once = GRPO_ANSWERS if model.num_parameters() < SMALL else AT_ONCE
    given = shared_arguments(job, method, device, model.num_parameters()) | GRPO
    given |= {"learning_rate": job.settings.strength(method, "grpo")[0], "beta": BETA[method]}
    given |= {"max_completion_length": job.answer_tokens, "shuffle_dataset": False}
    given |= {"per_device_train_batch_size": at_once, "gradient_accumulation_steps": GRPO_ANSWERS // at_once}
    args: Any = GRPOConfig(**given | job.settings.grpo)
    answers = args.max_steps * args.generation_batch_size
    trainer = GRPOTrainer(
        model=model,
        args=args,
        reward_funcs=_told,
        train_dataset=Dataset.from_list([{"prompt": _PLACEHOLDER}] * (answers // args.num_generations)),
        rollout_func=Rollout(job, judge, tokenizer, ends, args.temperature, args.num_generations),
        **given_to_all(job, method, tokenizer, tell),
    )
    last = last_checkpoint(job)
    judge.rewind(int(last.name.rpartition("-")[2]) if last else 0)
    batches = f"on {device} with {args.per_device_train_batch_size} answers of up to {args.max_completion_length} tokens at once"
    finish(trainer, job, method, last, config, batches)
    taken = trainer.state.global_step * args.generation_batch_size
    return report(job, method, trainer, {"rows": taken}, taken)


def _told(reward: Sequence[float | None], flat: Sequence[float], log_metric: Callable[[str, float], None], **_: Any) -> list[float | None]:
    """What the judge said already; TRL logs beside it the share of first groups whose answers were all worth the same."""
    log_metric("groups_without_spread", flat[0])
    return list(reward)
