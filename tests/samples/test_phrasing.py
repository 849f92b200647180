"""How questions are told apart by their phrasing: one text with slots is one phrasing, whatever stands in the slots."""

import random

import pytest

from errata.programs.samples.checks import prove
from errata.programs.samples.phrasing import phrasing, phrasings
from errata.sandbox import Limits, open_sandbox
from errata.signatures.records import Attempt, Example, Failure, SampleProgram
from errata.tasks import load_task

SLOTS = {
    "who": ["Ann", "Omar", "Mr. Lee", "the old baker", "Ann's sister"],
    "what": ["pen", "pens", "red pens", "boxes of chalk", "a pair of shoes", "kg of sugar and flour"],
    "count": ["1", "2", "1,200", "3.5", "a dozen", "twenty-one"],
    "when": ["on Monday", "at 5 p.m.", "by 8:30", "yesterday"],
}


@pytest.mark.parametrize(
    "text",
    [
        "{who} has {count} {what} and buys {count} more {when}. How many {what} does {who} have now?",
        "{when} {who} sells {count} {what}. What is earned?",
        "Which of these does {who} need for {count} {what}?",
        "{who} hat {count} {what}. Wie viele bleiben übrig, wenn {who} {count} verliert?",
        "{who}有{count}{what}，丢了{count}。还剩多少？",
        "def f(xs):\n    '''Return {count} {what} of {who}.'''\n    >>> f([1])\n    [2]\n",
        "Write f(x): {count} {what} of {who}, {when}.\nIt must pass these tests:\nassert f(1) == 2\nassert f(2) == 3",
    ],
)
def test_one_text_with_slots_is_one_phrasing(text: str) -> None:
    rng = random.Random(0)
    drawn = [text.format(**{name: rng.choice(values) for name, values in SLOTS.items()}) for _ in range(200)]
    assert len(set(drawn)) > 100
    assert len(phrasings(drawn)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann has 3 pens. How many are left?", "How many are left? Ann has 3 pens."),
        ("Ann has 3 pens. She loses 2. How many are left?", "Ann has 3 pens and loses 2. How many are left?"),
        ("Ann has 3 pens. How many are left?", "Snow is cold. Ann has 3 pens. How many are left?"),
        ("Ann has 3 pens. How many are left?", "Work this out: Ann has 3 pens. How many are left?"),
        ("Which river is the longest?", "What is the longest river?"),
        ("Wie viele Stifte bleiben Anna von 3?", "Wenn Anna 3 Stifte hat, wie viele bleiben?"),
        ("安有3支笔，丢了1支。还剩多少支？", "如果安有3支笔，丢了1支，还剩多少支？"),
    ],
)
def test_another_order_other_sentences_or_another_way_to_ask_is_another_phrasing(one: str, other: str) -> None:
    assert phrasing(one) != phrasing(other)


def test_a_phrasing_that_hardly_ever_comes_does_not_count() -> None:
    assert len(phrasings(["Ann has 3 pens."] * 197 + ["Why so?"] * 3)) == 1
    assert len(phrasings(["Ann has 3 pens."] * 196 + ["Why so?"] * 4)) == 2


PROGRAM = """
TOLD = {told}

def draw(rng, level):
    return {{"has": rng.randint(20, 99), "loses": rng.randint(1, 19), "told": rng.randrange(len(TOLD))}}

def make(has, loses, told):
    left = has - loses
    question = TOLD[told].format(has=has, loses=loses)
    return {{"question": question, "solution": f"{{has}} - {{loses}} = {{left}}", "answer": str(left)}}

ANCHORS = {{"{failure}": {{"has": 30, "loses": 12, "told": 0}}}}
"""
TOLD = [
    "Ann has {has} pens and loses {loses}. How many are left?",
    "How many pens are left if Ann has {has} and loses {loses}?",
    "Ann has {has} pens. Ann loses {loses} pens. How many are left?",
    "Ann owns {has} pens and drops {loses}. How many remain?",
]


POLISH = [
    "Anna ma {has} długopisów i gubi {loses}, podaj resztę.",
    "Z pudełka, w którym leży {has} rzeczy, wyjęto {loses}.",
    "Oblicz różnicę liczb {has} oraz {loses}, proszę.",
]


@pytest.mark.parametrize(
    ("told", "needed", "complaint"),
    [
        (TOLD[:1], 1, None),
        (TOLD[:1], 3, "the 200 questions are all phrased the same way, 3 are needed, e.g. 'Ann has "),
        (TOLD[:2], 3, "the 200 questions are phrased in only 2 ways, 3 are needed"),
        ([TOLD[0], TOLD[1], TOLD[3]], 3, "are phrased in only 2 ways"),
        (TOLD[:3], 3, None),
        (POLISH, 3, None),
        (POLISH[:1], 3, "the 200 questions are all phrased the same way"),
    ],
)
def test_a_program_with_too_few_phrasings_is_refused_with_what_to_do(told: list[str], needed: int, complaint: str | None) -> None:
    task = load_task("sums")
    question = told[0].format(has=30, loses=12)
    example = Example(task="sums", split="train", question=question, answer="18", solution="30 - 12 = 18")
    failure = Failure(attempt=Attempt(example=example, response="7", verdict=task.verdict(example, "7")))
    program = SampleProgram(diagnosis_id="d", source=PROGRAM.format(told=told, failure=failure.id), anchors=(failure.id,), task="sums")
    with open_sandbox(workers=1) as sandbox:
        refusal = prove(program, [failure], task, sandbox, Limits(), ways=needed)
    if complaint is None:
        assert refusal is None
    else:
        assert refusal and refusal.check == "diverse" and complaint in refusal.reason
        assert "let draw() choose among so many phrasings for make() to write" in refusal.reason
