"""Lessons: corrections whose first wrong step is computed, hints that tell no answer, and what the tokenizer makes of them."""

from collections import Counter

import pytest
from problems import drawn

from errata.programs.config import load_config
from errata.programs.run.directory import Stage
from errata.programs.steps.lessons import ASK, correction, hint, lesson_of, messages, passed
from errata.programs.steps.rows import train_rows
from errata.programs.steps.words import Words
from errata.sandbox import Limits
from errata.signatures.records import Rollout, Rollouts, Sample
from errata.tasks import load_task
from errata.trainers.chat import IGNORED, encoded, render
from errata.trainers.settings import TargetSettings
from errata.trainers.target import load_tokenizer

WORKED = "The jars hold 7*12=<<7*12=84>>84 pens.\nThen 84-38=<<84-38=46>>46 pens are left.\nEach gets 46/2=<<46/2=23>>23 pens."
TASK = load_task("sums")
NUMBER = drawn(question="Will has 7 jars of 12 pens.", solution=WORKED, answer="23")
CHOICE = drawn(
    question="Which planet is closest to the Sun?",
    solution="Mercury is 58 million km away, nearer than Venus.",
    answer="D",
    wrong="B",
    choices={"A": "Earth", "B": "Venus", "C": "Mars", "D": "Mercury"},
)
CODE = drawn(
    question="Write a function that doubles a number.",
    solution="Twice a number is the number and itself.",
    answer="def double(n):\n    return n + n\n",
    wrong="def double(n):\n    return n * n\n",
    entry_point="double",
    tests="def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 6\n",
)


@pytest.fixture(scope="module")
def tasks(sandbox):
    runner = lambda source, harness, payload: sandbox.run(source, harness, payload, Limits())  # noqa: E731
    return {"number": TASK, "choice": load_task("mmlu", items=False), "code": load_task("mbpp", runner=runner, items=False)}


def corrected(mistake):
    return correction(TASK, NUMBER, mistake, "wrong")


LINES = WORKED.splitlines()


@pytest.mark.parametrize(
    ("mistake", "step", "goes_on_at"),
    [
        # the last step is left out
        (f"{LINES[0]}\n{LINES[1]}\n#### 46", 3, 2),
        # a slip of arithmetic
        ("The jars hold 7*12=<<7*12=74>>74 pens.\nThen 74-38=<<74-38=36>>36.\nEach gets 36/2=<<36/2=18>>18.\n#### 18", 1, 0),
        ("7 * 12 = 84\n84 - 38 = 56\n56 / 2 = 28\n#### 28", 2, 1),
        # another computation, after a right one and a sentence
        (f"{LINES[0]}\nTwo friends share.\nThen 84+38=<<84+38=122>>122.\n#### 122", 3, 1),
        # all steps are right, and another number is given as the answer
        (f"{WORKED}\n#### 46", 4, 3),
    ],
)
def test_a_correction_names_the_first_wrong_step_and_goes_on_from_there(mistake, step, goes_on_at):
    assert corrected(mistake) == "\n".join([f"Step {step} is wrong.", *[*LINES, "#### 23"][goes_on_at:]])


@pytest.mark.parametrize(
    "mistake",
    [
        "#### 46",
        "I do not know.",
        # 12-6 is not on the way, and the answer comes back to it: where it went wrong cannot be told
        "Half of 12 is 12/2=<<12/2=6>>6.\nThe jars hold 7*12=<<7*12=84>>84 pens.\n#### 84",
    ],
)
def test_where_the_first_wrong_step_cannot_be_told_there_is_no_correction(mistake):
    assert corrected(mistake) is None


def test_a_correction_repeats_no_false_calculation():
    assert "74" not in corrected("The jars hold 7*12=<<7*12=74>>74 pens.\n#### 74")


@pytest.mark.parametrize(("kind", "sample", "said"), [("choice", CHOICE, "B is wrong."), ("code", CODE, "It is wrong: ")])
def test_what_the_misconception_answers_is_corrected_where_it_is_a_whole_answer(tasks, tmp_path, kind, sample, said):
    settings = load_config(overrides={"generate.lesson": "correction"}).generate
    task = tasks[kind]
    never = Scripted()
    ((row,), refused) = Words(Stage(tmp_path), task, settings, 0, lambda: never)([sample])
    assert refused == []
    assert row.lesson == "correction"
    assert row.mistake == task.completion("", sample.wrong)
    assert row.correction.startswith(said)
    assert task.verdict(row.example, row.correction).correct
    assert task.verdict(row.example, row.mistake).correct is False
    if kind == "code":
        assert "double(3)" in row.correction or "9" in row.correction


class Scripted:
    """A target whose answers say nothing."""

    hash = "w"

    def generate(self, prompts, **_):
        from errata.trainers.chat import Completion

        yield from ((place, Completion("", "stop", 1)) for place in range(len(prompts)))


def solved(sample, solution):
    return sample.model_copy(update={"example": sample.example.model_copy(update={"solution": solution})})


def test_a_hint_is_the_first_step_and_never_the_answer(tasks):
    assert hint(TASK, NUMBER) == LINES[0]
    assert hint(TASK, solved(NUMBER, LINES[2])) is None
    assert hint(TASK, solved(NUMBER, f"{LINES[2]}\nThat is 23*1=<<23*1=23>>23.")) is None
    assert hint(TASK, solved(NUMBER, f"{LINES[2]}\n#### 23")) is None
    assert hint(tasks["choice"], CHOICE) is None
    assert hint(tasks["choice"], solved(CHOICE, "Think of heat.\nMercury is nearest.")) == "Think of heat."
    assert hint(tasks["code"], CODE) == CODE.example.solution
    assert hint(tasks["code"], solved(CODE, "")) is None


@pytest.mark.parametrize(
    ("kind", "answer", "solution", "told"),
    [
        ("label", "refund", "They want their money back.\nThat is a refund.", "They want their money back."),
        ("label", "refund", "They ask for a refund.", None),
        ("sql", "SELECT 1", "Count all.\nThen: SELECT 1", "Count all."),
        ("sql", "SELECT 1", "It is SELECT 1.", None),
        ("json", '{"a": 1}', 'It is {"a": 1}.', None),
        ("tools", '[{"name": "f", "arguments": {}}]', "I look it up.", "I look it up."),
        ("tools", "[]", "I cannot do that.", None),
    ],
)
def test_a_hint_of_another_kind_never_holds_the_answer(kind, answer, solution, told):
    example = NUMBER.example.model_copy(update={"kind": kind, "answer": answer, "solution": solution})
    assert hint(TASK, NUMBER.model_copy(update={"example": example})) == told


def test_lessons_fall_to_rows_by_their_ids_in_the_shares_that_are_asked_for():
    rows = [NUMBER.model_copy(update={"index": index}) for index in range(1000)]
    rows = [Sample(**row.model_dump(exclude={"id"})) for row in rows]
    shares = {"worked": 0.7, "correction": 0.2, "hint": 0.1}
    found = Counter(lesson_of(row, shares) for row in rows)
    assert found == Counter(lesson_of(row, shares) for row in reversed(rows))
    assert {name: round(count / 1000, 1) for name, count in found.items()} == shares


MISTAKE = f"{LINES[0]}\n#### 84"
CORRECTION = Sample(
    **NUMBER.model_dump(exclude={"id"}) | {"lesson": "correction", "mistake": MISTAKE, "correction": "Step 2 is wrong.\n#### 23"}
)
HINT = Sample(**NUMBER.model_dump(exclude={"id"}) | {"lesson": "hint"})
OWN = Sample(**NUMBER.model_dump(exclude={"id"}) | {"own": "My way.\n#### 23"})


@pytest.mark.parametrize(
    ("sample", "prompt_holds", "answer"),
    [
        (NUMBER, [NUMBER.example.question], f"{WORKED}\n#### 23"),
        (OWN, [NUMBER.example.question], "My way.\n#### 23"),
        (HINT, [NUMBER.example.question, f"Hint: {LINES[0]}"], f"{WORKED}\n#### 23"),
        (CORRECTION, [NUMBER.example.question, MISTAKE, ASK], "Step 2 is wrong.\n#### 23"),
    ],
)
def test_what_is_learned_is_the_answer_alone_and_the_prompt_is_in_the_targets_chat_form(sample, prompt_holds, answer):
    tokenizer = load_tokenizer(TargetSettings())
    (row,) = train_rows(TASK, [sample], [], 0)
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    counts = Counter()
    ((ids, labels),) = (kept.values() for kept in encoded([row], tokenizer, [end], 512, counts, {}))
    assert tokenizer.decode([label for label in labels if label != IGNORED]) == f"{answer}<|end|>"
    asked = tokenizer.decode([token for token, label in zip(ids, labels, strict=True) if label == IGNORED])
    assert asked == render(tokenizer, messages(TASK, sample))
    assert all(text in asked for text in prompt_holds)
    assert (counts["rows"], counts["truncated"], counts["lost"]) == (1, 0, 0)


def test_a_correction_comes_from_the_targets_own_wrong_answer(tmp_path):
    class Wrong(Scripted):
        def generate(self, prompts, **_):
            from errata.trainers.chat import Completion

            said = [f"{WORKED}\n#### 23", "#### 4", MISTAKE, f"{LINES[0]}\n{LINES[1]}\n#### 46"]
            yield from ((place, Completion(said[place], "stop", 9)) for place in range(len(prompts)))

    settings = load_config(overrides={"generate.lesson": "correction"}).generate
    ((row,), _) = Words(Stage(tmp_path), TASK, settings, 0, Wrong)([NUMBER])
    assert (row.lesson, row.mistake, row.passed) == ("correction", MISTAKE, 0.25)
    assert row.correction == "\n".join(["Step 2 is wrong.", *LINES[1:], "#### 23"])
    assert row.own is None


def test_a_row_without_a_wrong_answer_to_correct_stays_worked(tmp_path):
    settings = load_config(overrides={"generate.lesson": "correction"}).generate
    ((row,), _) = Words(Stage(tmp_path), TASK, settings, 0, Scripted)([NUMBER])
    assert (row.lesson, row.passed) == ("worked", 0.0)


def test_the_pass_rate_is_of_judged_tries_and_luck_passes_nothing():
    tries = [Rollout(response="", correct=correct, reason="") for correct in (True, None, False, False)]
    assert passed(Rollouts(question="q", target="w", tries=tuple(tries), tokens=1)) == pytest.approx(1 / 3)
    assert passed(Rollouts(question="q", target="w", tries=(tries[1],), tokens=1)) is None
    lucky = Rollout(response="Each gets 26/4=<<26/4=7>>7 pears.\n#### 7", correct=True, reason="right")
    assert passed(Rollouts(question="q", target="w", tries=(lucky, lucky), tokens=1)) == 0.0
