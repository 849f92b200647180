"""Clusters: what is put together, what one diagnosis and one program are of, and what is left to be taught alone."""

import re

from dspy.utils import DummyLM

from errata.programs import LearnFromClusters
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.offline import offline_lm
from errata.programs.samples.checks import prove
from errata.programs.steps.allocation import stands_for
from errata.programs.strategies.clusters import clusters
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Failure, Verdict
from errata.tasks import load_task

TASK = load_task("sums")
ITEMS = TASK.examples("train", 18 * 6, seed=5)


def failure(item, response):
    verdict = TASK.verdict(item, response)
    assert verdict.correct is False
    return Failure(attempt=Attempt(example=item, response=response, verdict=verdict, target="t"))


def added(item):
    """The model adds where it should multiply, in the first step."""
    numbers = list(map(int, re.findall(r"\d+", item.question)))
    return failure(
        item, f"It is {numbers[0]}+{numbers[1]}=<<{numbers[0]}+{numbers[1]}={sum(numbers[:2])}>>{sum(numbers[:2])}\n#### {sum(numbers[:2])}"
    )


SHARES = [added(item) for item in ITEMS if item.skill == "packs_share"]
TOTALS = [failure(item, "It rains.\n#### 1") for item in ITEMS if item.skill == "total"]


def test_errors_that_are_alike_are_put_together_at_most_so_many_and_always_the_same():
    groups = clusters([*SHARES, *TOTALS], 4)
    assert sorted(one.id for group in groups for one in group) == sorted(one.id for one in [*SHARES, *TOTALS])
    assert 1 < max(map(len, groups)) <= 4
    assert all(len({one.attempt.example.skill for one in group}) == 1 for group in groups)
    assert clusters([*SHARES, *TOTALS], 4) == groups
    assert [len(group) for group in clusters(SHARES, 1)] == [1] * len(SHARES)
    assert clusters([], 4) == []


def test_items_of_different_tasks_are_never_put_together():
    class Same:
        def encode(self, texts):
            return [[1.0] for _ in texts]

    other = [
        Failure(attempt=one.attempt.model_copy(update={"example": one.attempt.example.model_copy(update={"task": "other"})}))
        for one in SHARES
    ]
    groups = clusters([*SHARES, *other], 100, Same())
    assert [len(group) for group in groups] == [len(SHARES), len(other)]


def test_the_diagnosis_names_its_members_and_the_program_is_asked_for_those_alone():
    a, b, c = SHARES[:3]
    words = {"verdict": "error", "skill": "s", "misconception": "m", "evidence": "e", "teach": "t"}
    written = {"refusal": "", "program": f"```python\nANCHORS = {{'{c.id}': 1}}\n```"}
    lm = DummyLM([words | {"members": f'["{a.id}", "{c.id}", "unknown"]'}, written])
    with instructed_by(lm):
        made = LearnFromClusters()(failures=(a, b, c), brief="sums", prove=lambda program: None)
    assert made.failure_ids == made.diagnosis.failure_ids == (a.id, c.id)
    assert made.program.anchors == (c.id,)
    asked = [call["messages"][-1]["content"] for call in lm.history]
    assert (b.attempt.example.question in asked[0], b.attempt.example.question in asked[1]) == (True, False)


def test_the_embedded_instructor_writes_one_program_for_errors_of_one_kind_that_rebuilds_each_of_them(sandbox):
    shown = (TOTALS[0], *SHARES[:3])

    def check(program):
        return prove(program, shown, TASK, sandbox, Limits())

    with instructed_by(offline_lm()):
        made = LearnFromClusters()(failures=shown, brief=TASK.brief, prove=check)
    assert made.rejections == ()
    assert set(made.program.anchors) == {one.id for one in SHARES[:3]}
    assert stands_for(made.program) == 3
    # the misconception is proven of every one of them
    assert re.search(r"^def wrong\(", made.program.source, re.MULTILINE)


def test_an_item_whose_reference_is_wrong_is_left_to_be_looked_at_alone():
    item = SHARES[0].attempt.example
    wrong = item.model_copy(update={"solution": "There are 2*3=<<2*3=7>>7.\n#### 7", "answer": "7"})
    bad = Failure(attempt=Attempt(example=wrong, response="#### 6", verdict=Verdict(correct=False, extracted="6", reason="wrong")))
    with instructed_by(offline_lm()):
        made = LearnFromClusters()(failures=(bad, SHARES[1], SHARES[2]), brief=TASK.brief, prove=lambda program: None)
        alone = LearnFromClusters()(failures=(bad,), brief=TASK.brief, prove=lambda program: None)
    assert bad.id not in made.failure_ids and len(made.failure_ids) == 2
    assert (alone.program, alone.diagnosis.verdict) == (None, "reference_wrong")
