"""The embedded tasks `sums` and `sums_plus`."""

import hashlib
import re

import pytest

from errata.signatures.errors import UsageError
from errata.tasks import doctor, load_task
from errata.tasks.world.sums import ASIDES, CHANGES, SKILLS, WEAK
from errata.tasks.world.world import BOXES, NAMES, OBJECTS

TASKS = ("sums", "sums_plus")
MARK = re.compile(r"(\d+)([-+*/])(\d+)=<<\1\2\3=(\d+)>>\4")


def test_sums_has_at_least_twelve_skills_and_every_item_names_one():
    skills = {example.skill for example in load_task("sums").examples("dev", 100)}
    assert len(skills) >= 12
    assert set(WEAK) < skills == {skill.name for skill in SKILLS}


@pytest.mark.parametrize("name", TASKS)
def test_every_gold_passes_its_own_verdict_and_a_wrong_answer_fails(name):
    checked, findings = doctor(load_task(name), limit=400)
    assert checked == 1200
    assert findings == []


@pytest.mark.parametrize("name", TASKS)
def test_every_calculator_mark_is_true_and_the_last_is_the_answer(name):
    for example in load_task(name).examples("train", 680):
        *steps, last = example.solution.split("\n")
        assert 2 <= len(steps) <= 4
        for step in steps:
            mark = MARK.search(step)
            assert mark, step
            left, sign, right, result = mark.groups()
            exact = {"+": int(left) + int(right), "-": int(left) - int(right), "*": int(left) * int(right)}
            assert int(result) == (exact[sign] if sign in exact else int(left) / int(right)), step
            assert int(result) > 0
        assert last == f"#### {example.answer}"
        assert steps[-1].count(f">>{example.answer}") == 1


def test_the_splits_share_no_operands_within_a_skill_in_either_task():
    # The numbers of a solution's first mention are the operands, whatever names and wording stand around them.
    seen: dict[str, set[tuple[str, str]]] = {}
    for split in ("train", "dev", "test"):
        for name in TASKS:
            for example in load_task(name).examples(split, 3600):
                if example.meta.get("change") != "reversed question":
                    sums = " ".join(f"{left}{sign}{right}" for left, sign, right, _ in MARK.findall(example.solution))
                    seen.setdefault(split, set()).add((example.skill, sums))
    assert all(len(pairs) > 1000 for pairs in seen.values())
    assert not seen["train"] & seen["dev"]
    assert not seen["train"] & seen["test"]
    assert not seen["dev"] & seen["test"]


@pytest.mark.parametrize("name", TASKS)
def test_items_are_distinct_and_a_smaller_limit_gives_the_first_ones(name):
    task = load_task(name)
    many = task.examples("test", 500, seed=3)
    assert len({example.id for example in many}) == 500
    assert task.examples("test", 60, seed=3) == many[:60]
    assert task.examples("test", 60, seed=4) != many[:60]
    assert task.examples("test", 0) == []


def fixed_texts():
    """Every wording of the two tasks with its slots in place."""
    for skill in SKILLS:
        yield from (*skill.wordings, *skill.others, skill.reverse)
        for text in skill.wordings:
            head, _, ask = text.rpartition(". ")
            yield from (f"{head}. {aside} {ask}" for aside in ASIDES)


def test_no_wording_holds_eight_fixed_words_in_a_row():
    for text in fixed_texts():
        for run in re.split(r"\{\w+\}", text):
            assert len(re.findall(r"[\w']+", run)) < 8, (run, text)


def test_no_slot_is_left_open_and_names_are_single_words():
    for name in TASKS:
        for example in load_task(name).examples("dev", 340):
            assert not set("{}[]") & set(example.question + example.solution)
    assert all(word.isalpha() for word in (*NAMES, *OBJECTS, *BOXES))


def test_few_training_items_share_thirteen_words_with_dev_or_test():
    """Such a row would be refused as contaminated; when wordings are too long without numbers, most rows are."""

    def grams(example):
        words = re.findall(r"\w+", example.question.lower())
        return {tuple(words[i : i + 13]) for i in range(len(words) - 12)}

    held_out = set().union(*(grams(e) for name in TASKS for split in ("dev", "test") for e in load_task(name).examples(split)))
    train = load_task("sums").examples("train", 1800)
    assert sum(bool(grams(example) & held_out) for example in train) < len(train) / 50


def test_sums_plus_says_what_it_changed_and_keeps_the_skills():
    examples = load_task("sums_plus").examples("test", 4 * len(SKILLS))
    pairs = {(example.skill, example.meta["change"]) for example in examples}
    assert pairs == {(skill.name, change) for skill in SKILLS for change in CHANGES}


def test_an_unknown_split_or_task_is_refused_with_the_near_word():
    with pytest.raises(UsageError, match="train, dev, test"):
        load_task("sums").examples("valid")
    with pytest.raises(UsageError, match="did you mean sums"):
        load_task("sumz")
    with pytest.raises(UsageError, match="gsm8k:PATH"):
        load_task("gsm8k")


@pytest.mark.parametrize(("name", "digest"), [("sums", "5989b5f0dd3140bd"), ("sums_plus", "d3f4914a3e0a4813")])
def test_the_first_fifty_items_are_the_same_bytes_on_any_machine(name, digest):
    text = "\n".join(example.model_dump_json() for example in load_task(name).examples("dev", 50))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest
