"""Makes the target `tiny` from nothing: `python scripts/make_tiny.py OUT`. Prints its time and its accuracy per skill.

The corpus is drawn on the fly from train splits. Three legs of `sums`: the common skills often, the rare ones
(`errata.tasks.world.sums.WEAK`) about once in two thousand rows each and not at all in the third leg, a few `sums_plus` rows of
common skills, and drills of single sums. Then a leg in which `lists` and `facts` join them, their rare skills as rarely, with a few rows of
their twins and of `mixed` for common skills alone. Loss is on the assistant's text. The same seed and library versions on the same kind of
CPU give the same weights. `--start FOLDER` goes on from the weights of the third leg. It needs no GPU and no network.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from errata.sandbox import Limits, open_sandbox
from errata.signatures.records import Example
from errata.tasks import Task, load_task
from errata.tasks.world import facts, lists, mixed
from errata.tasks.world.sums import CHANGES, SKILLS, WEAK, draw

SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SUMS, FACTS = load_task("sums"), load_task("facts")
COMMON = [skill for skill in SKILLS if skill.name not in WEAK]
UNCOMMON = [skill for skill in SKILLS if skill.name in WEAK]


Row = tuple[str, str]
"""A prompt and a completion, as text in the chat template's form."""


def sums_row(rng: random.Random, rare: float, plus: float, drills: float) -> Row:
    """One row of the first three legs."""
    share = rng.random()
    if share < drills:
        question, solution = drill(rng)
        example = Example(task="sums", split="train", question=question, answer=solution.rpartition(" ")[2], solution=solution)
    elif share < drills + plus:
        example = draw(rng.choice(COMMON), rng, "train", rng.choice(CHANGES))
    elif share < drills + plus + rare * len(UNCOMMON):
        example = draw(rng.choice(UNCOMMON), rng, "train")
    else:
        example = draw(rng.choice(COMMON), rng, "train")
    return written(SUMS.prompt(example), SUMS.completion(example.solution, example.answer))


def written(prompt: list[dict[str, str]], completion: str) -> Row:
    return f"<|user|>{prompt[0]['content']}<|end|><|assistant|>", completion + "<|end|>"


SHARES = {"sums": 0.36, "lists": 0.3, "facts": 0.22, "mixed": 0.12}
"""Of the corpus of the last leg."""
TWIN = 0.15
"""Share of a task's rows in the last leg that are its twin's."""


def world_row(rng: random.Random, args: argparse.Namespace) -> Row:
    """One row of the last leg."""
    (world,) = rng.choices(list(SHARES), list(SHARES.values()))
    twin = rng.random() < TWIN
    if world == "sums":
        return sums_row(rng, 0.0, TWIN, args.drills)
    if world == "lists":
        skill = drawn(rng, lists.SKILLS, lists.WEAK, args.rare / SHARES[world])
        plus = twin and skill.name not in lists.WEAK
        example = lists.draw(skill, rng, "train", rng.choice(lists.CHANGES) if plus else None)
        return written(lists.prompt(example), lists.completion("", example.answer))
    if world == "facts":
        relation = drawn(rng, facts.RELATIONS, facts.WEAK, args.rare / SHARES[world])
        plus = twin and relation.name not in facts.WEAK
        example = facts.draw(relation, rng, "train", rng.choice(facts.CHANGES) if plus else None)
        return written(facts.prompt(example), FACTS.completion(example.solution, example.answer))
    make, skills = rng.choice(list(mixed.FORMS.values()))
    example = make(rng.choice([skill for skill in skills if skill.name not in mixed.WEAK]), rng, "train")
    return written(mixed.prompt(example), example.solution)


def drawn(rng: random.Random, skills, weak: tuple[str, ...], rare: float):
    """A skill: each weak one with the probability `rare`, else a common one."""
    uncommon = [skill for skill in skills if skill.name in weak]
    return rng.choice(uncommon if rng.random() < rare * len(uncommon) else [skill for skill in skills if skill.name not in weak])


def drill(rng: random.Random) -> tuple[str, str]:
    """A single sum as a question, with its marked solution."""
    sign = rng.choice("++---**/")
    if sign == "+":
        left, right = rng.randint(2, 99), rng.randint(2, 99)
        result = left + right
    elif sign == "-":
        left = rng.randint(3, 120)
        right = rng.randint(2, left - 1)
        result = left - right
    else:
        left, right = rng.randint(2, 15), rng.randint(2, 12)
        result = left * right
        if sign == "/":
            left, result = result, left
    text = f"{left}{sign}{right}"
    return f"What is {text}?", f"{text}=<<{text}={result}>>{result}\n#### {result}"


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned from the corpus, each digit a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    rng = random.Random("tiny tokenizer")
    # Each wording is met often enough to be merged, whatever its share of the corpus.
    texts = ["".join(sums_row(rng, 0.05, 0.2, 0.05)) for _ in range(6000)]
    for mark in SPECIAL:
        texts = [text.replace(mark, "\n") for text in texts]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        additional_special_tokens=SPECIAL[2:],
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int) -> LlamaForCausalLM:
    """Untrained Llama with tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3 // 8 * 8,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    return LlamaForCausalLM(config)


def batches(tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace, seed: str, row: Callable[[random.Random], Row]):
    """Endless (ids, labels) batches of shape (batch, tokens), rows of like length together; labels are -100 on prompt
    and padding. `row` draws one row."""
    rng = random.Random(f"tiny corpus {seed}")
    while True:
        rows = [row(rng) for _ in range(args.batch * 32)]
        yield from sorted_batches(tokenizer, rows, args.batch, rng)


def sorted_batches(tokenizer, rows: list[tuple[str, str]], size: int, rng: random.Random):
    prompts = tokenizer([prompt for prompt, _ in rows], add_special_tokens=False)["input_ids"]
    answers = tokenizer([answer for _, answer in rows], add_special_tokens=False)["input_ids"]
    pairs = sorted(zip(prompts, answers, strict=True), key=lambda pair: len(pair[0]) + len(pair[1]))
    groups = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    rng.shuffle(groups)
    for group in groups:
        width = max(len(prompt) + len(answer) for prompt, answer in group)
        ids = torch.zeros(len(group), width, dtype=torch.long)
        labels = torch.full((len(group), width), -100)
        for line, (prompt, answer) in enumerate(group):
            end = len(prompt) + len(answer)
            ids[line, :end] = torch.tensor(prompt + answer)
            labels[line, len(prompt) : end] = torch.tensor(answer)
        yield ids, labels


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the labelled tokens; logits are computed at those alone."""
    # Padding is on the right, so causal attention never sees it and no mask is needed.
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    wanted = labels[:, 1:]
    place = wanted != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[place]), wanted[place])


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    args: argparse.Namespace,
    seed: str,
    steps: int,
    row: Callable[[random.Random], Row],
    share: Callable[[int], float],
) -> None:
    """One leg: Muon on the matrices, AdamW on the rest; `share` gives each step's part of the peak learning rate, `row` draws a row."""
    matrices = [p for n, p in model.model.layers.named_parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if not any(p is m for m in matrices)]
    peaks = [args.lr, args.lr / 4]
    optimizers = [
        torch.optim.Muon(matrices, lr=peaks[0], momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=peaks[1], betas=(0.9, 0.98), weight_decay=0.0),
    ]
    start, seen, total = time.monotonic(), 0, 0.0
    stream = batches(tokenizer, args, seed, row)
    model.train()
    for step in range(steps):
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * share(step)
        ids, labels = next(stream)
        loss = loss_of(model, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seen += ids.numel()
        total += loss.item()
        if (step + 1) % args.log == 0:
            took = time.monotonic() - start
            print(
                f"step {step + 1}/{steps} loss {total / args.log:.4f} {seen / took:.0f} tokens/s {took:.0f} s",
                flush=True,
            )
            total = 0.0
            save(model, tokenizer, Path(args.out))  # a run that is stopped leaves what it has


def main_share(step: int, horizon: int) -> float:
    """Warm-up over 100 steps, then a cosine that would reach zero at `horizon`."""
    return min(1.0, (step + 1) / 100) * 0.5 * (1 + torch.cos(torch.tensor(step / horizon * torch.pi)).item())


def last_share(step: int, steps: int, first: float) -> float:
    """From `first` straight to zero, after 20 steps in which the fresh optimizers warm up."""
    return first * min(1.0, (step + 1) / 20) * (1 - step / steps)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    model.generation_config.update(do_sample=False, max_new_tokens=SUMS.max_new_tokens)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


@torch.inference_mode()
def answers(model, tokenizer, task, examples: list[Example], batch: int = 128) -> list[str]:
    """Greedy responses, in the order of the examples."""
    model.eval()
    tokenizer.padding_side = "left"
    prompts = [tokenizer.apply_chat_template(task.prompt(e), tokenize=False, add_generation_prompt=True) for e in examples]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    responses = [""] * len(prompts)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        inputs = tokenizer([prompts[i] for i in part], return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], do_sample=False, max_new_tokens=128)
        texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for place, text in zip(part, texts, strict=True):
            responses[place] = text
    return responses


def accuracy(model, tokenizer, task: Task, examples: list[Example], key=lambda example: example.skill) -> dict[Any, float]:
    """Share right, in per cent, of each skill (or whatever `key` groups by)."""
    right: dict[Any, list[bool]] = {}
    responses = answers(model, tokenizer, task, examples)
    with ThreadPoolExecutor() as pool:  # code is judged in the sandbox
        verdicts = list(pool.map(task.verdict, examples, responses))
    for example, verdict in zip(examples, verdicts, strict=True):
        right.setdefault(key(example), []).append(bool(verdict.correct))
    return {name: 100 * sum(hits) / len(hits) for name, hits in right.items()}


def report(out: Path, items: int) -> None:
    """Prints the accuracy of the saved model per skill of each task."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    with open_sandbox() as sandbox:
        tasks = {name: load_task(name, runner=lambda *run: sandbox.run(*run, Limits())) for name in (*WORLDS, *TWINS, "mixed")}
        for name, (skills, weak) in WORLDS.items():
            sets = [(name, "dev"), (name, "test"), (f"{name}_plus", "dev")]
            columns = [accuracy(model, tokenizer, tasks[task], tasks[task].examples(split, items * len(skills))) for task, split in sets]
            table(f"{name}: dev, test, twin's dev", [skill.name for skill in skills], weak, columns)
            twin = tasks[f"{name}_plus"]
            common = [example for example in twin.examples("dev", items * len(skills)) if example.skill not in weak]
            found = accuracy(model, tokenizer, twin, common, lambda example: example.meta["change"])
            print(f"{name}_plus dev, common skills by change:", json.dumps({change: round(value, 1) for change, value in found.items()}))
        examples = tasks["mixed"].examples("dev", 12 * items)
        found = accuracy(model, tokenizer, tasks["mixed"], examples, lambda example: (example.meta["form"], in_weak(example)))
        print(
            "mixed dev:", ", ".join(f"{form} {'weak' if weak else 'common'} {value:.1f}" for (form, weak), value in sorted(found.items()))
        )


WORLDS = {"sums": (SKILLS, WEAK), "lists": (lists.SKILLS, lists.WEAK), "facts": (facts.RELATIONS, facts.WEAK)}
TWINS = tuple(f"{name}_plus" for name in WORLDS)


def in_weak(example: Example) -> bool:
    """Whether an item of `mixed` comes from a weak skill."""
    return example.skill.partition(": ")[2] in mixed.WEAK


def table(title: str, skills: list[str], weak: tuple[str, ...], columns: list[dict[str, float]]) -> None:
    print(f"\n{title}, per cent right")
    for skill in skills:
        print(f"{skill:18}" + "".join(f"{column[skill]:9.1f}" for column in columns) + (" weak" if skill in weak else ""))
    for label, group in (("common", [skill for skill in skills if skill not in weak]), ("weak", weak)):
        print(f"{label:18}" + "".join(f"{sum(column[name] for name in group) / len(group):9.1f}" for column in columns))


def make(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace) -> None:
    """Three legs of `sums`, each with fresh optimizers. The second anneals: most slips of arithmetic go there. The third starts again at a
    middling rate and anneals without any rare row: more slips go, and the rare skills stay unlearnt."""

    def rows(rare: float) -> Callable[[random.Random], Row]:
        return lambda rng: sums_row(rng, rare, args.plus, args.drills)

    train(model, tokenizer, args, f"{args.seed}", args.steps, rows(args.rare), lambda step: main_share(step, args.horizon))
    first = main_share(args.steps, args.horizon)
    train(model, tokenizer, args, f"{args.seed} last", args.last, rows(args.rare), lambda step: last_share(step, args.last, first))
    train(model, tokenizer, args, f"{args.seed} polish", args.polish, rows(0.0), lambda step: last_share(step, args.polish, args.warmth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder to write the model to")
    parser.add_argument("--steps", type=int, default=1900, help="steps of the first leg")
    parser.add_argument("--horizon", type=int, default=4400, help="where the first leg's cosine would reach zero")
    parser.add_argument("--last", type=int, default=1100, help="steps of the second leg, in which the rate falls to zero")
    parser.add_argument("--polish", type=int, default=1200, help="steps of the third leg, without rare rows")
    parser.add_argument("--warmth", type=float, default=0.35, help="where the third leg starts, as a part of --lr")
    parser.add_argument("--world", type=int, default=2600, help="steps of the last leg, with lists and facts")
    parser.add_argument("--world-warmth", type=float, default=0.5, help="where the last leg starts, as a part of --lr")
    parser.add_argument("--start", type=Path, help="folder with the weights of the third leg; only the last leg is made then")
    parser.add_argument("--batch", type=int, default=64, help="rows a step")
    parser.add_argument("--lr", type=float, default=0.02, help="peak learning rate of the matrices")
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=640)
    parser.add_argument("--rare", type=float, default=0.0005, help="share of each rare skill in the first two legs")
    parser.add_argument("--plus", type=float, default=0.04, help="share of sums_plus rows of common skills")
    parser.add_argument("--drills", type=float, default=0.14, help="share of single sums")
    parser.add_argument("--items", type=int, default=30, help="items a skill in the final table")
    parser.add_argument("--log", type=int, default=100, help="steps between two lines")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.monotonic()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(args.seed)
    if args.start:
        model, tokenizer = AutoModelForCausalLM.from_pretrained(args.start), AutoTokenizer.from_pretrained(args.start)
    else:
        tokenizer = make_tokenizer(args.vocabulary)
        model = make_model(tokenizer, args.hidden, args.layers)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, vocabulary {len(tokenizer)}", flush=True)
    if not args.start:
        make(model, tokenizer, args)
    row = lambda rng: world_row(rng, args)  # noqa: E731
    train(model, tokenizer, args, f"{args.seed} world", args.world, row, lambda step: last_share(step, args.world, args.world_warmth))
    save(model, tokenizer, Path(args.out))
    print(f"trained in {time.monotonic() - start:.0f} s with {torch.get_num_threads()} threads")
    report(Path(args.out), args.items)


if __name__ == "__main__":
    main()
