"""The embedded tasks `lists` and `lists_plus`."""

import ast
import hashlib
import random
import re
from collections import Counter, defaultdict

import pytest
from problems import drawn

from errata.programs.samples.filters import Unseen
from errata.signatures.errors import UsageError
from errata.signatures.records import ProgramRun
from errata.tasks import doctor, load_task
from errata.tasks.verdicts.code import instrumented, item_of
from errata.tasks.world.lists import (
    CHANGES,
    PRIMITIVES,
    SKILLS,
    WEAK,
    check_of,
    completion,
    draw,
    expression,
    function,
    near_misses,
    run,
    split_of,
)

TASKS = ("lists", "lists_plus")


def nothing(source, harness, payload):
    return ProgramRun(outcome="error", error="nothing is run here")


def load(name, runner=nothing):
    return load_task(name, runner=runner)


def holds(test: str, answer: str, entry: str) -> bool:
    """Whether an answer of this repository's own making passes its test, in this process."""
    space: dict = {}
    exec(answer, space)
    exec(test, space)
    try:
        space["check"](space[entry])
    except Exception:
        return False
    return True


def chains(skill, count, change=None, split="train"):
    """Drawn problems with their chains, which the task does not hand out."""
    found = []
    rng = random.Random(f"{skill.name} {change}")
    for _ in range(count):
        example = draw(skill, rng, split, change)
        found.append((example, parsed(example)))
    return found


def parsed(example):
    """The chain behind a question of `lists`, from its words alone."""
    steps = []
    for phrase in re.split(r", then ", example.question.partition(": ")[2].rstrip(".")):
        for primitive in PRIMITIVES.values():
            for wording in primitive.wordings:
                pattern = re.escape(wording).replace(r"\{k\}", r"(\w+)")
                if match := re.fullmatch(pattern, phrase):
                    constant = match[1] if match.groups() else None
                    steps.append((primitive.name, int(constant) if isinstance(primitive.constants, tuple) else constant))
    return tuple(steps)


@pytest.mark.parametrize("name", TASKS)
def test_every_gold_passes_its_own_verdict_and_a_wrong_answer_fails(name, sandbox):
    checked, findings = doctor(load(name, sandbox.run), limit=5)
    assert checked == 15
    assert findings == []


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_the_code_of_a_chain_does_what_its_primitives_do_one_after_the_other(change):
    for skill in SKILLS:
        rng = random.Random(f"gold {skill.name}")
        for _ in range(4):
            example = draw(skill, rng, "train", change)
            assert holds(example.meta["test"], example.answer, example.meta["entry_point"]), example


def test_an_answer_with_a_missing_step_or_two_steps_in_the_other_order_is_wrong():
    told = Counter()
    for skill in SKILLS:
        for example, steps in chains(skill, 5):
            assert len(steps) == len(skill.shape), example.question
            for missing, other in near_misses(steps):
                try:
                    wrong = not holds(example.meta["test"], function(other, "f", "xs"), "f")
                except (KeyError, SyntaxError):
                    wrong = True
                assert wrong or not missing, (example.question, other)
                told[missing, wrong] += 1
    assert told[True, True] > 100
    # Some other orders and constants give the same on any list ("keep even ones, then sort").
    assert told[False, True] > 3 * told[False, False]


def test_the_verdict_tells_a_missing_step_from_the_whole(sandbox):
    task = load("lists", sandbox.run)
    example = next(e for e in task.examples("train", len(SKILLS)) if e.skill == "keep_change_fold")
    steps = parsed(example)
    right = function(steps, example.meta["entry_point"], "xs")
    less = function(steps[1:], example.meta["entry_point"], "xs")
    assert task.verdict(example, right).correct
    assert task.verdict(example, f"Sure:\n```python\n{right}\n```").correct
    assert task.verdict(example, less).correct is False
    assert task.verdict(example, right.replace(")", "", 1)).correct is False
    assert task.verdict(example, "I cannot.").reason == "no answer"


def test_each_test_calls_with_four_to_six_lists_the_empty_one_among_them():
    for name in TASKS:
        for example in load(name).examples("dev", 4 * len(SKILLS)):
            calls = re.findall(r"candidate\((.*?)\) == (.*)", example.meta["test"])
            lists = [ast.literal_eval(given) for given, _ in calls]
            assert 4 <= len(lists) <= 6
            assert lists[-1] == []
            assert len({str(given) for given in lists}) == len(lists)
            assert len({expected for _, expected in calls}) >= 2
            assert "assert" in instrumented(item_of(example))


def test_no_chain_of_dev_or_test_is_met_in_train_in_either_task():
    # An answer with its names taken out is the chain, however it was told.
    seen = defaultdict(set)
    for split in ("train", "dev", "test"):
        for name in TASKS:
            for example in load(name).examples(split, 12 * len(SKILLS)):
                entry, source = re.match(r"def (\w+)\((\w+)\)", example.answer).groups()
                seen[split].add(re.sub(rf"\b{source}\b", "xs", example.answer.replace(f"def {entry}", "def f")))
    assert all(len(found) > 300 for found in seen.values())
    assert not seen["train"] & seen["dev"]
    assert not seen["train"] & seen["test"]
    assert not seen["dev"] & seen["test"]


def test_each_skill_has_several_chains_in_each_split_and_draws_seldom_repeat():
    count = 0
    for skill in SKILLS:
        for split in ("dev", "test"):
            answers = {example.answer.partition("return")[2] for example, _ in chains(skill, 25, split=split)}
            assert len(answers) >= 6, (skill.name, split)
        count += len({steps for _, steps in chains(skill, 25)})
    assert count > 18 * 20


def test_a_chain_is_told_in_words_that_name_it():
    for skill in SKILLS:
        for example, steps in chains(skill, 5):
            entry, source = re.match(r"def (\w+)\((\w+)\)", example.answer).groups()
            assert example.answer == function(steps, entry, source)
            assert example.question.startswith(f"Write {entry}({source}): ")
            assert split_of(steps) == "train"


def test_prompt_and_answer_are_short():
    task = load("lists")
    sizes = sorted(len(task.prompt(e)[0]["content"]) + len(completion("", e.answer)) for e in task.examples("train", 20 * len(SKILLS)))
    assert sizes[len(sizes) // 2] < 140
    assert sizes[-1] < 200


def test_a_chain_gives_what_is_written_out_by_hand():
    steps = (("even", None), ("plus", 3))
    most = (("down", None), ("first", 2), ("negate", None), ("sum", None))
    assert run(steps, [1, 2, 4]) == [5, 7]
    assert function(steps, "f", "xs") == "def f(xs):\n    return [x + 3 for x in xs if x % 2 == 0]"
    assert run(steps[::-1], [1, 2, 4]) == [4]
    assert expression(steps[::-1], "xs") == "[x + 3 for x in xs if (x + 3) % 2 == 0]"
    assert expression(most, "v") == "sum(-x for x in sorted(v, reverse=True)[:2])"
    assert run((("long", 2), ("initial", None), ("join", None)), ["ox", "cat", "dog"]) == "cd"
    assert check_of([([1], [2]), ([], [])]) == "def check(candidate):\n    assert candidate([1]) == [2]\n    assert candidate([]) == []\n"


@pytest.mark.parametrize("name", TASKS)
def test_items_are_distinct_and_a_smaller_limit_gives_the_first_ones(name):
    task = load(name)
    many = task.examples("test", 120, seed=3)
    assert len({example.id for example in many}) == 120
    assert task.examples("test", 30, seed=3) == many[:30]
    assert task.examples("test", 30, seed=4) != many[:30]
    assert task.examples("test", 0) == []


def test_few_rows_that_are_drawn_anew_are_refused_for_a_held_out_item():
    held_out = [e for name in TASKS for split in ("dev", "test") for e in load(name).examples(split, 15 * len(SKILLS))]
    unseen = Unseen(held_out)
    rng = random.Random("rows")
    rows = [draw(skill, rng, "train") for skill in SKILLS for _ in range(15)]
    samples = [drawn(i, question=e.question, answer=e.answer, entry_point="f", tests="t") for i, e in enumerate(rows)]
    assert sum(unseen(sample) is not None for sample in samples) < len(samples) / 20


def test_lists_plus_says_what_it_changed_and_keeps_the_skills():
    examples = load("lists_plus").examples("test", 4 * len(SKILLS))
    assert {(e.skill, e.meta["change"]) for e in examples} == {(skill.name, change) for skill in SKILLS for change in CHANGES}
    assert set(WEAK) < {skill.name for skill in SKILLS}


def test_lists_without_a_runner_or_with_an_unknown_split_is_refused():
    with pytest.raises(UsageError, match="runner"):
        load_task("lists")
    with pytest.raises(UsageError, match="train, dev, test"):
        load("lists").examples("valid")


@pytest.mark.parametrize(("name", "digest"), [("lists", "4742c4fbac73a3c1"), ("lists_plus", "b205594a505c9ec1")])
def test_the_first_items_are_the_same_bytes_on_any_machine(name, digest):
    examples = load(name).examples("dev", 40)
    assert {example.kind for example in examples} == {"code"}
    text = "\n".join(example.model_dump_json(exclude={"kind"}) for example in examples)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest
