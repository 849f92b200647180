"""Fusion: two programs in one, whose answers are right, whose anchors hold, and whose lineage names both."""

import re

import pytest

from errata.programs import Fuse, LearnFromError
from errata.programs.samples.checks import prove
from errata.programs.samples.draw import draw_rows, draws
from errata.programs.samples.nest import nested
from errata.programs.strategies.fuse import WAYS, fused
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Diagnosis, Example, Failure, Rejection, SampleProgram, TeachingResult, Verdict
from errata.tasks import load_task

TASK = load_task("sums")


def failure(question, answer):
    example = Example(task="sums", split="train", question=question, answer=answer, solution=f"It is {answer}.")
    return Failure(attempt=Attempt(example=example, response="#### 1", verdict=Verdict(correct=False, extracted="1", reason="wrong")))


EATEN = failure("Ann has 3 bags of 4 apples and eats 2. How many are left?", "10")
PENS = failure("Tom buys 5 boxes of 8 pens. How many pens does Tom have?", "40")
FIRST = f'''"""Left over."""
from __future__ import annotations
import math

NAME = "Ann"

def draw(rng, level):
    bags, each = rng.randint(2, 4 + 2 * level), rng.randint(3, 4 + 3 * level)
    return {{"bags": bags, "each": each, "eaten": rng.randint(1, bags * each - 1)}}

def make(bags: int, each: int, eaten: int):
    all_ = math.prod([bags, each])
    left = all_ - eaten
    return {{
        "question": f"{{NAME}} has {{bags}} bags of {{each}} apples and eats {{eaten}}. How many are left?",
        "solution": f"{{bags}}*{{each}}=<<{{bags}}*{{each}}={{all_}}>>{{all_}}" + chr(10)
        + f"{{all_}}-{{eaten}}=<<{{all_}}-{{eaten}}={{left}}>>{{left}}",
        "answer": str(left),
    }}

def wrong(bags, each, eaten):
    return "1"

ANCHORS = {{"{EATEN.id}": {{"bags": 3, "each": 4, "eaten": 2}}}}
'''
SECOND = f'''
NAME = "Tom"

def draw(rng, level):
    return {{"boxes": rng.randint(2, 9 + level), "pens": rng.randint(2, 9 + level)}}

def make(boxes, pens):
    return {{
        "question": f"{{NAME}} buys {{boxes}} boxes of {{pens}} pens. How many pens does {{NAME}} have?",
        "solution": f"{{boxes}}*{{pens}}=<<{{boxes}}*{{pens}}={{boxes * pens}}>>{{boxes * pens}}",
        "answer": str(boxes * pens),
    }}

ANCHORS = {{"{PENS.id}": {{"boxes": 5, "pens": 8}}}}
'''


def diagnosed(one, skill):
    words = dict.fromkeys(("misconception", "evidence", "teach"), f"{skill}?")
    return Diagnosis(failure_ids=(one.id,), strategy="LearnFromError", verdict="error", skill=skill, **words)


def program(source, one, skill="s"):
    return SampleProgram(diagnosis_id=diagnosed(one, skill).id, source=source, anchors=(one.id,), skill=skill, task="sums")


def taught(source, one, skill="s"):
    return TeachingResult(failure_ids=(one.id,), diagnosis=diagnosed(one, skill), program=program(source, one, skill))


def checked(sandbox, made):
    return prove(made, [EATEN, PENS], TASK, sandbox, Limits())


def solve(question):
    """The two questions of the text above, answered from their words, letters by what they stand for."""
    bags, each, eaten = map(int, re.search(r"(\d+) bags of (\d+) apples and eats (\d+)", question).groups())
    left = bags * each - eaten
    boxes, pens = (left if number == "N" else int(number) for number in re.search(r"(\w+) boxes of (\w+) pens", question).groups())
    return left, boxes * pens


@pytest.mark.parametrize("how", WAYS)
def test_a_fused_program_passes_every_check_and_each_of_its_answers_is_right(sandbox, how):
    made = fused(program(FIRST, EATEN), program(SECOND, PENS), how, diagnosed(EATEN, how))
    assert made.anchors == (EATEN.id, PENS.id)
    assert checked(sandbox, made) is None
    rows = draw_rows(sandbox, Limits(), made, draws(0, (1, 3, 5), 0, 60))
    assert len(rows) == 60
    seen = set()
    for row in rows:
        left, all_ = solve(row.example.question)
        limit = re.search(r"more than (\d+), it is the final", row.example.question)
        if how == "sequence":
            kind, answer = re.search("N (boxes|pens)", row.example.question)[1], all_
        elif how == "parallel":
            kind, answer = "sum" in row.example.question, left + all_ if "sum" in row.example.question else abs(left - all_)
        else:
            kind, answer = left > int(limit[1]), left if left > int(limit[1]) else all_
        seen.add(kind)
        assert row.example.answer == str(answer)
        assert f"{answer}" in row.example.solution.splitlines()[-1]
        # every calculation that is shown is a true one
        assert all(eval(mark) == int(result) for mark, result in re.findall(r"<<([\d+*-]+)=(\d+)>>", row.example.solution))
    assert len(seen) == 2


def test_a_part_that_no_longer_rebuilds_its_own_error_is_refused(sandbox):
    made = fused(program(FIRST, EATEN), program(SECOND.replace('"pens": 8}', '"pens": 9}'), PENS), "parallel", diagnosed(EATEN, "s"))
    refusal = checked(sandbox, made)
    assert (refusal.check, PENS.id in refusal.reason) == ("anchored", True)


def test_answers_that_never_fit_are_no_sequence(sandbox):
    big = SECOND.replace("rng.randint(2, 9 + level)", "rng.randint(1000, 2000)")
    made = fused(program(FIRST, EATEN), program(big, PENS), "sequence", diagnosed(EATEN, "s"))
    refusal = checked(sandbox, made)
    assert (refusal.check, "no answer of the first problem is a number of the second" in refusal.reason) == ("runs", True)


@pytest.mark.parametrize("source", ["COUNT = 0\ndef draw(rng, level):\n    global COUNT\n", "from math import *\n", "def broken(:\n"])
def test_a_module_that_would_not_do_the_same_inside_a_function_is_not_fused(source):
    assert nested("first", source) is None


def test_fuse_adds_programs_of_those_that_were_kept_and_falls_to_the_next_way_where_one_is_refused():
    asked = []

    def prove(made):
        asked.append(re.search(r'HOW = "?\'?(\w+)', made.source)[1])
        refused = asked[-1] == "sequence"
        return Rejection(of=made.id, kind="program", check="runs", reason="no") if refused else None

    rows = [
        taught(FIRST, EATEN, "eating"),
        taught(SECOND, PENS, "buying"),
        TeachingResult(failure_ids=("x",), diagnosis=None, program=None),
    ]
    (made,) = Fuse(LearnFromError()).derive(rows, prove)
    assert asked == ["sequence", "parallel"]
    assert set(made.program.parents) == {row.program.id for row in rows[:2]}
    assert made.failure_ids == made.program.anchors == made.diagnosis.failure_ids
    assert set(made.failure_ids) == {EATEN.id, PENS.id}
    assert made.diagnosis.skill in ("parallel: eating; buying", "parallel: buying; eating")
    assert [row.check for row in made.rejections] == ["runs"]
    assert len(made.refused) == 1
    # what is fused is not fused again, and choice and code are not fused at all
    assert Fuse(LearnFromError()).derive([made, rows[0]], prove) == []
    code = rows[1].model_copy(update={"program": rows[1].program.model_copy(update={"kind": "code"})})
    assert Fuse(LearnFromError()).derive([code, rows[0]], prove) == []
    assert Fuse(LearnFromError(), share=0).derive([*rows, taught(SECOND, PENS, "third")], prove) == []
