"""The embedded task `mixed`: what one world teaches, asked in a form of another; and tasks joined by a plus."""

import random

import pytest

from errata.signatures.errors import UsageError
from errata.tasks import doctor, load_task, member, parts
from errata.tasks.union import Union
from errata.tasks.world import mixed, sums


@pytest.fixture
def task(sandbox):
    return load_task("mixed", runner=sandbox.run)


def test_the_model_answer_of_every_form_is_right_and_that_of_another_item_is_wrong(task):
    examples = task.examples("test", 40)
    assert {example.meta["form"] for example in examples} == set(mixed.FORMS)
    for example in examples:
        assert task.verdict(example, task.completion(example.solution, example.answer)).correct, example
    for form in mixed.FORMS:
        first, *others = [example for example in examples if example.meta["form"] == form]
        other = next(one for one in others if one.answer != first.answer)
        answer = task.completion(other.solution, other.answer)
        if form == "sums as code":  # under the name that is asked for
            answer = answer.replace(f"def {other.meta['entry_point']}(", f"def {first.meta['entry_point']}(")
        assert not task.verdict(first, answer).correct


def test_an_empty_response_is_no_answer(task):
    for example in task.examples("dev", 4):
        verdict = task.verdict(example, "")
        assert (verdict.correct, verdict.extracted) == (False, None)


def test_a_formula_gives_what_the_steps_of_its_skill_give():
    rng = random.Random(0)
    for skill in sums.SKILLS:
        for _ in range(20):
            values = sums.worked(skill, rng)
            assert eval(sums.formula(skill), {}, dict(values)) == values["result"], (skill.name, values)


def test_every_skill_names_its_form_and_the_skill_that_it_comes_from(task):
    for example in task.examples("dev", 200):
        form, _, skill = example.skill.partition(": ")
        assert skill in {one.name for one in mixed.FORMS[form][1]}


def test_splits_share_no_question(task):
    asked = [{example.question for example in task.examples(split, 400)} for split in ("train", "dev", "test")]
    assert not (asked[0] & asked[1] or asked[0] & asked[2] or asked[1] & asked[2])
    assert task.examples("dev", 40) == task.examples("dev", 80)[:40]


def test_tasks_joined_by_a_plus_take_turns_and_are_each_asked_and_judged_by_their_own(sandbox):
    joined = load_task("sums+facts", runner=sandbox.run)
    assert isinstance(joined, Union)
    assert [task.name for task in parts(joined)] == ["sums", "facts"]
    examples = joined.examples("dev", 11)
    assert [example.task for example in examples] == ["sums", "facts"] * 5 + ["sums"]
    for example in examples:
        own = load_task(example.task)
        assert member(joined, example.task) is joined.members[own.name]
        assert joined.prompt(example) == own.prompt(example)
        assert joined.verdict(example, own.completion(example.solution, example.answer)).correct
    plain = load_task("sums")
    assert member(plain, "anything") is plain


def test_a_plus_inside_a_path_joins_nothing(tmp_path):
    data = tmp_path / "a+b.jsonl"
    data.write_text('{"question": "1+1?", "answer": "2"}\n')
    assert load_task(f"jsonl:{data}").name.endswith("a+b")


def test_the_same_task_twice_and_an_unknown_one_are_refused():
    with pytest.raises(UsageError, match="two tasks of one name"):
        load_task("sums+sums")
    with pytest.raises(UsageError, match=r"joined by \+"):
        load_task("sums+nothing")


def test_doctor_finds_every_gold_of_mixed_and_of_joined_tasks_right(sandbox, task):
    assert doctor(task, 24) == (72, [])
    assert doctor(load_task("sums+facts"), 10) == (30, [])
