"""The embedded tasks `facts` and `facts_plus`: a closed world of invented towns."""

import hashlib
from collections import Counter

import pytest
from problems import drawn

from errata.programs.samples.filters import Unseen
from errata.signatures.errors import UsageError
from errata.tasks import doctor, load_task
from errata.tasks.world.facts import CHANGES, RELATIONS, WEAK, WORLD, wordings

TASKS = ("facts", "facts_plus")


def stems(name, split, limit):
    return {example.meta["stem"] for example in load_task(name).examples(split, limit)}


@pytest.mark.parametrize("name", TASKS)
def test_every_gold_passes_its_own_verdict_and_another_option_fails(name):
    checked, findings = doctor(load_task(name), limit=300)
    assert (checked, findings) == (900, [])
    task = load_task(name)
    for example in task.examples("test", 120):
        for label in example.meta["choices"]:
            right = task.verdict(example, task.completion("", label)).correct
            assert right == (label == example.answer)


def test_every_town_has_one_value_of_each_relation_and_every_value_is_as_common():
    assert len(WORLD) == 40
    for relation in RELATIONS:
        counts = Counter(WORLD[town][relation.name] for town in WORLD)
        assert set(counts) == set(relation.values)
        assert set(counts.values()) == {4}
    assert set(WEAK) < {relation.name for relation in RELATIONS}


@pytest.mark.parametrize("name", TASKS)
def test_exactly_one_option_answers_the_question(name):
    for example in load_task(name).examples("dev", 600):
        choices, fact = example.meta["choices"], example.solution
        assert len(set(choices.values())) == len(choices)
        change = example.meta.get("change")
        if change == "two facts":
            first, second = [part for part in fact.split(". ") if part]
            town = choices[example.answer]
            clauses = [one for one in WORLD[town] if WORLD[town][one].removeprefix("the ") in example.meta["stem"]]
            others = [other for other in choices.values() if other != town]
            assert all(any(WORLD[other][one] != WORLD[town][one] for one in clauses) for other in others)
            assert town in first and town in second
        elif change == "reversed question":
            values = [WORLD[town][example.skill] for town in choices.values()]
            assert values.count(WORLD[choices[example.answer]][example.skill]) == 1
        else:
            (town,) = (town for town in WORLD if town in example.meta["stem"])
            assert choices[example.answer] == WORLD[town][example.skill]
        assert choices[example.answer] in fact


def test_each_fact_is_asked_in_five_wordings_of_which_no_split_shares_one():
    for relation in RELATIONS:
        for town in WORLD:
            asked = [set(wordings(relation, town, split)) for split in ("train", "dev", "test")]
            assert list(map(len, asked)) == [3, 1, 1]
            assert len(set.union(*asked)) == 5
    train = stems("facts", "train", 4000) | stems("facts_plus", "train", 4000)
    assert not train & (stems("facts", "dev", 900) | stems("facts", "test", 900))


def test_no_training_question_of_either_task_is_held_out_and_hardly_any_overlaps_one():
    """A row that overlaps a held-out item is refused; were that the rule, facts could not be taught."""
    held = [example for name in TASKS for split in ("dev", "test") for example in load_task(name).examples(split)]
    unseen = Unseen(held)
    rows = load_task("facts").examples("train", 1000)
    refused = [
        row
        for row in rows
        if unseen(drawn(question=row.meta["stem"], answer=row.answer, choices=row.meta["choices"]))
    ]  # fmt: skip
    assert refused == []
    asked = {row.question for name in TASKS for row in load_task(name).examples("train", 3000)}
    assert not asked & {example.question for example in held}


def test_facts_plus_says_what_it_changed_and_keeps_the_relations():
    examples = load_task("facts_plus").examples("test", 4 * len(RELATIONS))
    assert {(example.skill, example.meta["change"]) for example in examples} == {(r.name, change) for r in RELATIONS for change in CHANGES}
    assert {len(example.meta["choices"]) for example in examples if example.meta["change"] == "more options"} == {6}


@pytest.mark.parametrize("name", TASKS)
def test_items_are_distinct_and_a_smaller_limit_gives_the_first_ones(name):
    task = load_task(name)
    many = task.examples("test", 300, seed=3)
    assert len({example.id for example in many}) == 300
    assert task.examples("test", 60, seed=3) == many[:60]
    assert task.examples("test", 60, seed=4) != many[:60]
    with pytest.raises(UsageError, match="train, dev, test"):
        task.examples("valid")


@pytest.mark.parametrize(("name", "digest"), [("facts", "aa1aac34b58b012e"), ("facts_plus", "0233d801f6bca580")])
def test_the_first_fifty_items_are_the_same_bytes_on_any_machine(name, digest):
    examples = load_task(name).examples("dev", 50)
    assert {example.kind for example in examples} == {"choice"}
    text = "\n".join(example.model_dump_json(exclude={"kind"}) for example in examples)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest
