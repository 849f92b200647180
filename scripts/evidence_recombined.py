"""Labels and JSON taught by the embedded instructor from train rows alone. Behind docs/evidence/recombined.md.

    python scripts/evidence_recombined.py WORK_FOLDER [--tasks tickets home] [--seeds 0 1 2]

Two tasks: examples/tickets, and wishes to a house as JSON, which are made here. For each task and seed a Llama of 0.2 million parameters
is made from nothing and learns from 60 train items the form of an answer and a part of the skill. Then one round of the cycle with the
embedded instructor, and beside it the control that trains on all train items as they are, for as many steps. Prints the table of the page.
What is done is kept: the same command continues. Needs no GPU and no network.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from make_tiny import TEMPLATE, loss_of, make_model, save, sorted_batches, written
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

from errata.programs.config import CycleConfig, load_config
from errata.programs.cycle import Cycle
from errata.programs.report import write
from errata.signatures.records import Example, GateDecision
from errata.tasks import Task, load_task

ROOT = Path(__file__).parents[1]
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


class Plan(NamedTuple):
    """How a task's target is made, and how it is taught."""

    steps: int  # of the first training, 16 rows each
    rate: float  # its peak learning rate
    settings: dict[str, Any]


SHARED = {
    "train.stages": ["sft"],
    "train.learning_rate": 2e-3,
    "train.blend": 1.0,
    "train.noise": 0,
    "generate.probe": 0,
    "sandbox": {"workers": 1, "seconds": 60},
}
PLANS = {
    "tickets": Plan(150, 3e-3, {"generate.failures": 24, "generate.rows": 600, "train.epochs": 3}),
    "home": Plan(300, 3e-3, {"generate.failures": 16, "generate.rows": 1500, "train.epochs": 4}),
}
KNOWN = 60
"""Train items that a target first learns from: it has the form of an answer then, and a part of the skill."""
DEVICES = ("lamp", "heater", "fan", "blind", "radio", "fountain", "screen", "humidifier")
ROOMS = ("kitchen", "hall", "attic", "bathroom", "office", "garage", "nursery", "cellar")
WISHES = (
    "Set the {device} in the {room} to {level} percent{at}.",
    "In the {room}, I would like the {device} at {level}{at}, please.",
    "{device} {level} {room}{at}",
    "It is {level} that I want from the {device} of the {room}{at}.",
    "Could you put the {room} {device} on {level}{at}?",
    "{level} percent for the {device}{at}! The one in the {room}.",
)
ARMS = {"recombined": {}, "train items": {"generate.strategy": "GoldOnly"}}


def tokenizer(texts: list[str], vocabulary: int = 1500) -> PreTrainedTokenizerFast:
    """Byte-level BPE of the train texts, each digit a token of its own: most words are one token."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|end|>", additional_special_tokens=SPECIAL[2:])
    made.model_max_length, made.clean_up_tokenization_spaces, made.chat_template = 512, False, TEMPLATE
    return made


def first(task: Task, seed: int) -> tuple[Any, Any, list[Example]]:
    """A Llama of 0.2 million parameters from nothing, its tokenizer, and the few train items that it first learns from."""
    items = task.examples("train", None, seed=seed)
    tokens = tokenizer([text for item in items for text in (task.prompt(item)[-1]["content"], task.completion("", item.answer))])
    torch.manual_seed(seed)
    return make_model(tokens, 64, 2), tokens, items[:KNOWN]


def write_home(folder: Path) -> None:
    """The JSON task: wishes to a house, as texts and documents; 160 of train, 150 each of dev and test, no text twice."""
    rng, texts = random.Random("home"), dict[str, str]()
    while len(texts) < 460:
        device, room, level = rng.choice(DEVICES), rng.choice(ROOMS), rng.choice(range(10, 100, 5))
        hour = rng.choice([None, None, *range(6, 23)])
        text = rng.choice(WISHES).format(device=device, room=room, level=level, at=f" at {hour}:00" if hour else "")
        texts[text] = json.dumps({"device": device, "room": room, "level": level, "at": f"{hour}:00" if hour else None})
    rows = [json.dumps({"question": text, "answer": document}) for text, document in texts.items()]
    folder.mkdir(parents=True, exist_ok=True)
    for split, some in (("train", rows[:160]), ("dev", rows[160:310]), ("test", rows[310:])):
        (folder / f"{split}.jsonl").write_text("\n".join(some) + "\n", encoding="utf-8")


def target(name: str, task: Task, folder: Path, seed: int) -> Path:
    """The target with its first training, saved in `folder`; made once."""
    if (folder / "tokenizer.json").exists():
        return folder
    plan, rng = PLANS[name], random.Random(seed)
    model, tokens, items = first(task, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20) * (1 - step / plan.steps))
    for _ in range(plan.steps):
        rows = [written(task.prompt(item), task.completion(item.solution, item.answer)) for item in rng.choices(items, k=16)]
        (batch,) = sorted_batches(tokens, rows, 16, rng)
        loss_of(model, *batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rates.step()
        optimizer.zero_grad(set_to_none=True)
    save(model, tokens, folder)
    return folder


def config(work: Path, name: str, arm: str, seed: int, weights: Path) -> CycleConfig:
    plan = PLANS[name]
    steps = -(-plan.settings["generate.rows"] * plan.settings["train.epochs"] // 16)
    own = {"seed": seed, "target.model": str(weights), "train.steps": steps}
    if name == "home":
        own |= {"task": f"jsonl:{work / name}", "guards": [], "table.verdict": "json", "table.max_new_tokens": 60, "table.ask": "As JSON:"}
        return load_config(None, SHARED | plan.settings | own | ARMS[arm])
    return load_config(ROOT / f"examples/{name}.yaml", SHARED | plan.settings | own | ARMS[arm])


class Found(NamedTuple):
    """What one run came to."""

    programs: int
    rows: int
    decision: GateDecision
    before: float  # per cent right on test
    after: float

    def line(self, name: str, arm: str, seed: int) -> str:
        decision = self.decision
        dev = f"{100 * decision.before:.1f} -> {100 * decision.after:.1f}"
        test = f"{self.before:.1f} -> {self.after:.1f}" if decision.accepted else f"{self.before:.1f}, rejected"
        return f"| {name} | {arm} | {seed} | {self.programs} | {self.rows} | {dev} | {decision.p_value:.1g} | {test} |"


def cycle(work: Path, name: str, arm: str, seed: int) -> Found:
    """One round to its end."""
    if name == "home":
        write_home(work / name)
    settings = config(work, name, arm, seed, work)
    weights = target(name, load_task(settings.task, settings.table), work / f"{name}-{seed}", seed)
    path = work / f"{name}-{arm.replace(' ', '-')}-{seed}"
    with Cycle(config(work, name, arm, seed, weights), path) as loop:
        loop.in_process = True
        loop.run()
    document = write(path)
    (row,) = document.rounds
    (test,) = document.evaluations.values()
    before, after = (100 * one.right / one.items for one in (test.before, test.after))
    return Found(row.programs, row.samples, row.decision, before, after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(PLANS), choices=list(PLANS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    logging.disable_progress_bar()
    print("| task | rows from | seed | programs | rows | dev, % | p | test, % |\n|---|---|---|---|---|---|---|---|")
    for name in asked.tasks:
        for seed in asked.seeds:
            for arm in asked.arms:
                print(cycle(asked.work, name, arm, seed).line(name, arm, seed), flush=True)


if __name__ == "__main__":
    main()
