"""What the embedded instructor teaches of facts: the closed world of `facts`."""

import random

import dspy
import pytest
from problems import drawn

from errata.programs import Cycle, CycleConfig, LearnFromError
from errata.programs.instructor.offline import offline_lm
from errata.programs.instructor.offline.facts import boundary, diagnose, problem_of, write
from errata.programs.samples.calculations import Unreadable
from errata.programs.samples.checks import prove
from errata.programs.samples.filters import Unseen
from errata.programs.samples.kinds.choice import ChoiceKind
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Failure
from errata.tasks import load_task
from errata.tasks.world.facts import RELATIONS, WORLD, wordings

FACTS = load_task("facts")
ITEMS = FACTS.examples("train", 2 * len(RELATIONS))


def wrong_label(example):
    return next(label for label in example.meta["choices"] if label != example.answer)


def reference(example):
    return f"{example.solution}\n#### {example.answer}"


def program(example, response=""):
    space: dict = {}
    exec(write(example.question, reference(example), response, "e1", "a skill"), space)
    return space


def rows(space, count, level=3):
    found = []
    for index in range(count):
        params = space["draw"](random.Random(f"{index}"), level)
        row = space["make"](**params) | ({"wrong": space["wrong"](**params)} if "wrong" in space else {})
        found.append(ChoiceKind().finish(row, (0, index, level)))
    return found


def test_a_question_is_read_as_its_relation_and_town():
    for example in ITEMS:
        problem = problem_of(example.question)
        assert problem.relation.name == example.skill
        assert problem.value == example.meta["choices"][example.answer]


def test_the_diagnosis_names_the_relation_and_what_was_taken_for_it():
    example = ITEMS[0]
    label = wrong_label(example)
    found = diagnose(example.question, reference(example), f"So it is.\nAnswer: {label}")
    assert found.verdict == "error"
    assert found.skill == f"know the {example.skill} of a town"
    assert f"to be {example.meta['choices'][label]}" in found.misconception
    assert example.solution in found.misconception
    assert "No option can be read" in diagnose(example.question, reference(example), "hm").misconception
    assert diagnose(example.question, f"#### {label}", "hm").verdict == "reference_wrong"


def test_every_row_is_a_true_fact_in_a_wording_of_train_with_one_right_option():
    for example in ITEMS[: len(RELATIONS)]:
        relation = next(one for one in RELATIONS if one.name == example.skill)
        allowed = {text.format(town=town): WORLD[town][relation.name] for town in WORLD for text in wordings(relation, town, "train")}
        for row in rows(program(example, f"Answer: {wrong_label(example)}"), 100):
            assert allowed[row["question"]] == row["choices"][row["answer"]]
            assert len(set(row["choices"].values())) == len(row["choices"]) == 4
            assert row["solution"] == relation.fact.format(town=problem_town(row, relation), value=row["choices"][row["answer"]])
            assert row["wrong"] != row["answer"]


def problem_town(row, relation):
    return next(town for town in WORLD if town in row["question"])


def test_the_anchor_has_the_errors_own_options_and_wrong_picks_the_models():
    example = ITEMS[3]
    label = wrong_label(example)
    space = program(example, f"Answer: {label}")
    row = space["make"](**space["ANCHORS"]["e1"])
    assert row["question"] == example.meta["stem"]
    assert row["choices"] == list(example.meta["choices"].values())
    assert space["wrong"](**space["ANCHORS"]["e1"]) == example.meta["choices"][label]
    assert "wrong" not in program(example, "hm")


def test_what_the_model_confuses_is_met_more_often_at_higher_levels():
    example = ITEMS[0]
    taken = example.meta["choices"][wrong_label(example)]
    space = program(example, f"Answer: {wrong_label(example)}")
    met = [sum(taken in row["choices"].values() for row in rows(space, 300, level)) for level in (1, 5)]
    assert met[0] + 60 < met[1]


def test_rows_are_hardly_ever_held_out_questions():
    unseen = Unseen([e for name in ("facts", "facts_plus") for split in ("dev", "test") for e in load_task(name).examples(split)])
    refused = total = 0
    for example in ITEMS[: len(RELATIONS)]:
        for index, row in enumerate(rows(program(example), 50)):
            fields = {name: row[name] for name in ("question", "solution", "answer", "choices")}
            refused += unseen(drawn(index, **fields)) is not None
            total += 1
    assert refused < total / 20


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Which planet is closest to the Sun?\nA. Mars\nB. Venus\nC. Mercury", "other knowledge is beyond"),
        ("Which town is on the Vey?\nA. Tarby\nB. Besden", "one fact of one town"),
    ],
)
def test_other_knowledge_is_refused(question, said):
    with pytest.raises(Unreadable, match=said):
        problem_of(question)
    found = diagnose(question, "#### A", "Answer: B")
    assert said in found.misconception


def test_the_boundary_names_the_relations_that_are_known():
    solved = f"Question: {ITEMS[1].question}\nResponse: Answer: {ITEMS[1].answer}"
    assert boundary(ITEMS[0].question, "", solved) == f"It knows the {ITEMS[1].skill} of towns, and not the {ITEMS[0].skill}."
    assert "cannot be compared" in boundary(ITEMS[0].question, "", "(none)")


def test_a_program_for_an_error_passes_every_check(sandbox):
    example = ITEMS[7]
    response = f"The founder is someone.\nAnswer: {wrong_label(example)}"
    failure = Failure(attempt=Attempt(example=example, response=response, verdict=FACTS.verdict(example, response)))
    with dspy.context(lm=offline_lm()):
        taught = LearnFromError()(
            failures=[failure], brief=FACTS.brief, prove=lambda program: prove(program, [failure], FACTS, sandbox, Limits(seconds=60))
        )
    assert taught.rejections == ()
    assert taught.program.kind == "choice"


def test_a_cycle_on_lists_and_facts_needs_no_other_instructor(tmp_path):
    cycle = Cycle(CycleConfig(task="sums+lists+facts"), tmp_path / "run")
    cycle.refuse_early("teach")
    assert not (tmp_path / "run").exists()
