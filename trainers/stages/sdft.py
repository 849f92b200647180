"""Trains a target to answer without a hint as it answers with one, with TRL's SDFTTrainer (Shenfeld et al. 2026, arXiv 2601.19897).

The target answers each question as it is asked in a task. The same model, shown a worked solution and what goes wrong there, says what it
would have written at each token of that answer, and the target is moved towards this. The one that is shown it stays as it was at the
start (`teacher_model_kind: base`); of an adapter that is trained on, it goes along (`live`), as TRL has no other copy of it.
A small model does not use what it is shown, so it is refused. Does NOT cover: what is shown (errata.programs.steps.rows), the child
process and the manifest (sft.py), several GPUs.
"""

import random
from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple, cast

import torch
from datasets import Dataset
from trl.experimental.sdft import SDFTConfig, SDFTTrainer
from trl.experimental.sdft.sdft_trainer import DemonstrationTeacherContextBuilder
from trl.trainer.utils import pad

from ...signatures.errors import UsageError
from ...signatures.records import ContextRow, Message, TrainReport
from ..chat import check_ids, encode, given_rows, render
from ..fit import finish, given_to_all, learner, longest_row, opened, refuse_cut, report, sampled
from ..fit import shared_arguments as shared
from ..judge import Judge
from ..settings import SMALL, Job, OnProgress, too_small
from .follow import followed, last_checkpoint

SDFT: dict[str, Any] = {"num_generations": 1, "warmup_steps": 0.05}
"""The settings that are ours."""
AT_ONCE = 4
"""Answers of a model that is not small that are computed together: each is read twice, with all the vocabulary's logits."""


class Row(NamedTuple):
    """A question, asked without its context and with it."""

    asked: Sequence[Message]
    student: list[int]
    """Token ids of the prompt as the target is asked."""
    teacher: list[int]
    """Those of the prompt with the context."""


class Contexts(DemonstrationTeacherContextBuilder):
    """What the teacher reads: the prompt with the context, and behind it the student's answer."""

    def __init__(self, trainer: SDFTTrainer, rows: Sequence[Row], padding: int):
        super().__init__(trainer)
        self._rows = rows
        self._padding = padding

    def build(
        self, prompts: list[Any], privileged_contexts: list[Any], completion_ids: torch.Tensor, completion_mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Of rows, whose places are the `prompts`, with answers (B, S) and their mask."""
        ids, mask = padded([self._rows[place].teacher for place in prompts], self._padding, "left", completion_ids.device)
        return {
            "teacher_input_ids": torch.cat([ids, completion_ids], 1),
            "teacher_attention_mask": torch.cat([mask, completion_mask], 1),
        }


class Trainer(SDFTTrainer):
    """Asks with the very tokens that the target is asked with in a task, and takes its answers from `Target`."""

    job: Job
    rows: Sequence[Row]

    def sample_rollouts(self, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Answers to the rows whose places stand in `prompt`."""
        rows, args = [self.rows[one["prompt"]] for one in inputs], cast(SDFTConfig, self.args)
        seed, most = self.job.seed * 1_000_003 + self.state.global_step, cast(int, args.max_completion_length)
        answers = sampled(self, self.job, [row.asked for row in rows], most, args.temperature, seed)
        spent = followed(self).spent
        spent.rollouts += len(rows)
        spent.tokens += sum(answer.tokens for answer in answers)
        said, padding, device = [list(one.ids) for one in answers], cast(Any, self.processing_class).pad_token_id, self.accelerator.device
        prompts, answered = padded([row.student for row in rows], padding, "left", device), padded(said, padding, "right", device)
        return {
            "prompt_ids": prompts[0],
            "prompt_mask": prompts[1],
            "completion_ids": answered[0],
            "completion_mask": answered[1],
            "raw_completion_lengths": torch.tensor([len(ids) for ids in said], device=device),
        }


def padded(rows: Sequence[Sequence[int]], padding: int, side: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids as (B, S), and the mask of those that are no padding."""
    ids = [torch.tensor(row) for row in rows]
    masks = [torch.ones_like(row) for row in ids]
    return pad(ids, padding, side).to(device), pad(masks, 0, side).to(device)


def fit(job: Job, tell: OnProgress, judge: Judge | None = None) -> TrainReport:
    """Trains as the job says, on its rows alone, and leaves `weights` in its folder. Raises TrainerError, TargetError, UsageError."""
    settings = job.settings
    device, tokenizer, config, _ = opened(job)
    limit, counts = longest_row(job, config), Counter[str]()
    rows = _rows(job, tokenizer, limit, counts)
    refuse_cut(job, counts, limit)
    check_ids(tokenizer, (ids for row in rows for ids in (row.student, row.teacher)), config.get_text_config().vocab_size)
    model, method = learner(job, device, AT_ONCE, None)
    if reason := too_small(model.num_parameters(), settings):
        raise UsageError(reason)
    given = shared(job, method, device, model.num_parameters()) | SDFT
    most = settings.batch_size if model.num_parameters() < SMALL else AT_ONCE
    at_once = max(size for size in range(1, most + 1) if settings.batch_size % size == 0)
    given |= {
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": settings.batch_size // at_once,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.steps or -1,
        "max_completion_length": job.answer_tokens,
        "teacher_model_kind": "live" if job.target.adapter else "base",
        "trust_remote_code": job.target.trust_remote_code,
        "shuffle_dataset": False,
    }
    args: Any = SDFTConfig(**given | settings.sdft)
    questions = args.generation_batch_size // args.num_generations
    args.max_steps = args.max_steps if args.max_steps > 0 else ceil(len(rows) * args.num_train_epochs / questions)
    data = Dataset.from_list([{"prompt": place} for place in _order(len(rows), args.max_steps * questions, job.seed)])
    trainer = Trainer(model=model, args=args, train_dataset=data, **given_to_all(job, method, tokenizer, tell))
    trainer.job, trainer.rows = job, rows
    trainer.teacher_context_builder = Contexts(trainer, rows, tokenizer.pad_token_id)
    batches = f"on {device} with {args.per_device_train_batch_size} answers of up to {args.max_completion_length} tokens at once"
    finish(trainer, job, method, last_checkpoint(job), config, batches)
    return report(job, method, trainer, counts, len(rows))


def _rows(job: Job, tokenizer: Any, limit: int | None, counts: Counter[str]) -> list[Row]:
    """The job's rows as tokens, without those whose context leaves no room for an answer: `truncated` and `lost` of the `rows`."""
    given = list(given_rows(job, ContextRow))
    shown = [[*row.prompt[:-1], row.prompt[-1] | {"content": f"{row.prompt[-1]['content']}\n\n{row.context}"}] for row in given]
    texts = [[render(tokenizer, one) for one in some] for some in ([row.prompt for row in given], shown)]
    both = zip(given, *(encode(tokenizer, some) for some in texts), strict=True)
    found = []
    for row, student, teacher in both:
        counts["rows"] += 1
        if limit is not None and len(teacher) + job.answer_tokens > limit:
            counts.update(("truncated", "lost"))
        else:
            found.append(Row(row.prompt, student, teacher))
    return found


def _order(rows: int, wanted: int, seed: int) -> list[int]:
    """Places of as many rows as are wanted, all of them at random before any comes again."""
    rng, order = random.Random(f"sdft:{seed}"), list[int]()
    while len(order) < wanted:
        order += rng.sample(range(rows), rows)
    return order[:wanted]
