"""What the embedded instructor teaches of code: functions over a list as chains of steps."""

import random
import re

import dspy
import pytest

from errata.programs import LearnFromError
from errata.programs.instructor.offline import offline_lm
from errata.programs.instructor.offline.code import SPLIT, boundary, diagnose, edit_of, problem_of, write
from errata.programs.instructor.offline.functions import chain_of, telling_of
from errata.programs.samples.calculations import Unreadable
from errata.programs.samples.checks import prove
from errata.programs.samples.kind import guest
from errata.programs.samples.kinds.code import CodeKind
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Failure, ProgramRun
from errata.tasks import load_task
from errata.tasks.world.lists import PRIMITIVES, SKILLS, function, run

SQUARES = (
    "Write a function to find squares of individual elements in a list using lambda function.\nIt must pass these tests:\n"
    "assert square_nums([1, 2, 3]) == [1, 4, 9]",
    "def square_nums(nums):\n    square_nums = list(map(lambda x: x ** 2, nums))\n    return square_nums",
    "def check(candidate):\n    assert square_nums([1, 2, 3]) == [1, 4, 9]\n    assert square_nums([10, 20]) == [100, 400]\n"
    "    assert square_nums([12, 15]) == [144, 225]\n",
)


def nothing(source, harness, payload):
    return ProgramRun(outcome="error", error="nothing is run here")


def items(count, name="lists"):
    return load_task(name, runner=nothing).examples("train", count)


def reference(example):
    return f"{example.answer}{SPLIT}{example.meta['test']}"


def program(question, shown, response=""):
    space: dict = {}
    exec(write(question, shown, response, "e1", "a skill"), space)
    return space


def rows(space, count, level=3):
    """Rows as the sandbox would complete them, without one."""
    harness: dict = {}
    exec(guest(CodeKind.guest), harness)
    found = []
    for index in range(count):
        params = space["draw"](random.Random(f"{index}"), level)
        row = space["make"](**params) | {"wrong": space["wrong"](**params) if "wrong" in space else None}
        found.append(CodeKind().finish(harness["complete"](row), (0, index, level)))
    return found


@pytest.mark.parametrize("name", ["lists", "lists_plus"])
def test_code_and_words_of_an_item_are_read_as_the_same_chain(name):
    for example in items(6 * len(SKILLS), name):
        problem = problem_of(example.question, reference(example))
        assert problem.telling is not None, example.question
        assert problem.telling.steps == problem.chain.steps
        assert function(problem.chain.steps, problem.chain.name, problem.chain.source) == example.answer


@pytest.mark.parametrize(
    ("body", "steps"),
    [
        ("return list(map(lambda x: x ** 2, nums))", [("square", None)]),
        ("return list(filter(lambda n: n % 2 != 0, nums))", [("odd", None)]),
        ("kept = [n for n in nums if not n % 3]\n    kept = [n * n for n in kept]\n    return sum(kept)",
         [("multiple", 3), ("square", None), ("sum", None)]),
        ("out = []\n    for n in nums:\n        if n > 4:\n            out.append(2 * n)\n    return out", [("above", 4), ("times", 2)]),
        ('"""Doc."""\n    return sorted(nums)[::-1][:2]', [("down", None), ("first", 2)]),
        ("return [n + 1 for n in nums if n > 2 and (n + 1) % 2 == 0]", [("above", 2), ("plus", 1), ("even", None)]),
        ("return len([n for n in nums[3:]])", [("skip", 3), ("count", None)]),
    ],
)  # fmt: skip
def test_a_chain_is_read_in_other_spellings(body, steps):
    assert list(chain_of(f"def f(nums):\n    {body}", "f", "numbers").steps) == steps


@pytest.mark.parametrize(
    "body",
    [
        "total = 0\n    for n in nums:\n        total += n\n    return total",
        "if not nums:\n        return 0\n    return max(nums)",
        "return [n for n in other]",
        "return [n // 7 for n in nums]",
        "return [n for n in nums if n > 2 or n < 0]",
        "nums.sort()\n    return nums",
        "pass",
    ],
)
def test_what_is_no_chain_is_refused(body):
    with pytest.raises(Unreadable):
        chain_of(f"def f(nums):\n    {body}", "f", "numbers")


QUESTION = "Write f(xs): take the first 4, then keep the even numbers."
GOLD = (("first", 4), ("even", None))
TEST = "def check(candidate):\n" + "".join(
    f"    assert candidate({given}) == {run(GOLD, given)}\n" for given in ([1, 2, 3, 4, 6, 8], [2, 2, 5, 5, 5, 4], [7, 8, 9, 9, 2], [])
)
SHOWN = function(GOLD, "f", "xs") + SPLIT + TEST


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ("def f(xs):\n    return [x for x in xs if x % 2 == 0]", 'it leaves out "take the first 4"'),
        ("def f(xs):\n    return [x for x in xs if x % 2 == 0][:4]",
         'in the wrong order: it does "keep the even numbers, then take the first 4"'),
        ("def f(xs):\n    return [x for x in xs[:3] if x % 2 == 0]", 'it does "take the first 3" where "take the first 4" is asked'),
        ("def f(xs):\n    return [x for x in xs[:4] if x % 2 == 1]",
         'it does "keep the odd numbers" where "keep the even numbers" is asked'),
        ("def f(xs):\n    return [x for x in xs[:4] if x % 2 == 0", "Its code is no Python: '[' was never closed"),
        ("def f(xs):\n    return [x for x in ys[:4] if x % 2 == 0]", "It uses the name 'ys'"),
        ("def g(xs):\n    return xs", "It defines no function 'f'"),
        ("I do not know.", "There is no code in it"),
        ("", "There is no answer"),
        ("def f(xs):\n    return xs.pop()", "something else than the chain of steps"),
    ],
)  # fmt: skip
def test_the_departure_of_the_code_is_named(response, said):
    found = diagnose(QUESTION, SHOWN, response)
    assert found.verdict == "error"
    assert said in found.misconception
    assert found.skill == "list of numbers: cut, then keep"
    # without the reference, from the question's own words
    assert said in diagnose(QUESTION, "(hidden)", response).misconception or "It defines" in said


def test_a_reference_that_does_something_else_than_its_question_is_the_items_fault():
    found = diagnose("Write f(xs): take the first 5, then keep the even numbers.", SHOWN, "")
    assert found.verdict == "reference_wrong"
    with pytest.raises(Unreadable):
        write("Write f(xs): take the first 5, then keep the even numbers.", SHOWN, "", "e1", "a skill")


def test_the_boundary_tells_the_failed_chain_from_the_solved():
    one = "Question: Write g(ys): keep odd ones, then take the last 2.\nResponse: def g(ys): ..."
    assert boundary(QUESTION, SHOWN, one).startswith("It solves chains to keep, then to cut; this one asks to cut, then to keep")
    assert "one of which has a step to cut" in boundary(QUESTION, SHOWN, "Question: Write g(ys): keep odd ones.\nResponse: no")
    assert "cannot be compared" in boundary(QUESTION, SHOWN, "(none)")


def test_the_anchor_rebuilds_question_and_code_of_the_error():
    for name in ("lists", "lists_plus"):
        for example in items(2 * len(SKILLS), name):
            space = program(example.question, reference(example))
            row = space["make"](**space["ANCHORS"]["e1"])
            assert row["question"] == example.question
            assert row["answer"] == example.answer
            assert row["entry_point"] == example.meta["entry_point"]


def test_every_drawn_row_means_what_its_words_say():
    """The words are read back, and what they mean is computed by the primitives, which the code of the row never touches."""
    checked = 0
    for example in items(len(SKILLS)):
        space = program(example.question, reference(example))
        for level in (1, 2, 3, 4, 5):
            for row in rows(space, 3, level):
                told = telling_of(row["question"])
                assert told is not None, row["question"]
                for line in re.findall(r"assert (candidate\(.*)", row["tests"]):
                    given, _, expected = line.partition(") == ")
                    values = eval(given.removeprefix("candidate("))
                    assert run(told.steps, values) == eval(expected), (row["question"], line)
                    checked += 1
    assert checked > 1000


def test_draws_are_of_the_errors_shape_and_hold_its_examples_back():
    example = next(e for e in items(len(SKILLS)) if e.skill == "cut_keep")
    space = program(example.question, reference(example))
    for row in rows(space, 20):
        told = telling_of(row["question"])
        assert [PRIMITIVES[name].kind for name, _ in told.steps] == ["cut", "keep"]
        assert "assert" not in row["question"]
    assert len({row["answer"] for row in rows(space, 40)}) > 30
    longer = telling_of(rows(space, 1, level=5)[0]["question"])
    assert len(longer.steps) == 3


def test_wrong_does_on_new_chains_what_the_model_did():
    order = function(GOLD[::-1], "f", "xs")
    space = program(QUESTION, SHOWN, order)
    assert space["wrong"](**space["ANCHORS"]["e1"]) == order
    params = space["draw"](random.Random("1"), 3)
    steps = tuple(map(tuple, params["steps"]))
    assert space["wrong"](**params) == function(steps[::-1], params["name"], params["source"])
    assert "wrong" not in program(QUESTION, SHOWN, "def f(xs):\n    return xs.pop()")
    assert "wrong" not in program(QUESTION, SHOWN, "")


def test_a_mistake_is_told_by_the_smallest_change():
    assert edit_of(GOLD, GOLD[1:]).kind == "missing"
    assert edit_of(GOLD, GOLD[::-1]).order == (1, 0)
    assert edit_of(GOLD, (("first", 6), GOLD[1])).by == 2
    assert edit_of(GOLD, (("last", 4), GOLD[1])).step == ("last", 4)
    assert edit_of(GOLD, (("last", 3), ("odd", None))).kind == "several"


def test_a_one_liner_in_other_words_is_taught_in_them():
    question, answer, test = SQUARES
    space = program(question, f"{answer}{SPLIT}{test}", "def square_nums(nums):\n    return nums")
    row = space["make"](**space["ANCHORS"]["e1"])
    assert row["question"].strip() == question.partition("\n")[0]
    assert row["calls"] == ["[1, 2, 3]", "[10, 20]", "[12, 15]"]
    drawn = rows(space, 10)
    assert all(row["question"].startswith("Write a function square_nums(nums) for a list of numbers: ") for row in drawn)
    assert all("It must pass these tests:\nassert square_nums([" in row["question"] for row in drawn)


def test_code_that_is_no_chain_is_refused_with_a_reason():
    for answer, said in (
        ("def f(n):\n    return n + 1", "fewer than|list of numbers"),
        ("def f(xs):\n    return xs", "as it is"),
        ("", "no reference code"),
    ):
        with pytest.raises(Unreadable, match=said):
            problem_of(
                "Write f.",
                f"{answer}{SPLIT}def check(candidate):\n    assert candidate({'[1]' if 'xs' in answer or not answer else 1}) == 2\n",
            )


def test_a_program_for_an_error_passes_every_check(sandbox):
    task = load_task("lists", runner=sandbox.run)
    example = next(e for e in task.examples("train", len(SKILLS)) if e.skill == "cut_keep")
    steps = problem_of(example.question, reference(example)).chain.steps
    response = function(steps[::-1], example.meta["entry_point"], "xs")
    verdict = task.verdict(example, response)
    assert verdict.correct is False
    failure = Failure(attempt=Attempt(example=example, response=response, verdict=verdict))
    with dspy.context(lm=offline_lm()):
        taught = LearnFromError()(
            failures=[failure], brief=task.brief, prove=lambda program: prove(program, [failure], task, sandbox, Limits(seconds=60))
        )
    assert taught.rejections == ()
    assert taught.program.kind == "code"
    assert "def wrong(" in taught.program.source
    assert "wrong order" in taught.diagnosis.misconception
