"""The checks on programs: what each refuses, with a program that is right but for that one thing."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from errata.programs.samples.checks import apart, prove, targeted
from errata.programs.samples.draw import draw_rows
from errata.programs.samples.harness import run_program
from errata.programs.samples.kind import problem_shape
from errata.programs.samples.style import step_count
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Example, Failure, SampleProgram, Verdict
from errata.tasks import load_task

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
TASK = load_task("sums")
EXAMPLE = Example(task="sums", split="train", question="Ann has 3 bags of 4 apples and eats 2. How many are left?", answer="10")
FAILURE = Failure(
    attempt=Attempt(example=EXAMPLE, response="#### 14", verdict=Verdict(correct=False, extracted="14", reason="wrong"), target="t")
)
GOOD = f'''
def draw(rng, level):
    bags, each = rng.randint(2, 4 + 2 * level), rng.randint(3, 4 + 3 * level)
    return {{"bags": bags, "each": each, "eaten": rng.randint(1, bags * each - 1)}}


def make(bags, each, eaten):
    left = bags * each - eaten
    return {{
        "question": f"Ann has {{bags}} bags of {{each}} apples and eats {{eaten}}. How many are left?",
        "solution": f"{{bags}} * {{each}} - {{eaten}} = {{left}}",
        "answer": str(left),
    }}


def wrong(bags, each, eaten):
    return str(bags * each + eaten)


ANCHORS = {{"{FAILURE.id}": {{"bags": 3, "each": 4, "eaten": 2}}}}
'''


def refusal(sandbox, source, seconds=10.0):
    program = SampleProgram(diagnosis_id="d", source=source, anchors=(FAILURE.id,))
    return prove(program, [FAILURE], TASK, sandbox, Limits(seconds=seconds))


def test_a_right_program_passes(sandbox):
    assert refusal(sandbox, GOOD) is None


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_a_row_that_hangs_on_what_was_drawn_before_is_found_at_every_level(sandbox, level):
    made = "{'bags': 2 + COUNT[0] % 17, 'each': 3 + COUNT[0] % 23, 'eaten': 1}"
    kept = f"    if level == {level}:\n        COUNT[0] += 1\n        return {made}\n"
    source = "COUNT = [0]\n" + GOOD.replace("    bags, each = rng", kept + "    bags, each = rng")
    found = refusal(sandbox, source)
    assert found.check == "deterministic" and f"at level {level} gave another" in found.reason


TOLD = GOOD.replace(
    "    return str(bags * each + eaten)",
    '    said = bags * each + eaten\n    return {"answer": str(said), "solution": f"{bags} * {each} + {eaten} = {said}"}',
)


def test_a_misconception_may_be_worked_out_and_then_comes_to_its_own_answer(sandbox):
    assert refusal(sandbox, TOLD) is None
    program = SampleProgram(diagnosis_id="d", source=TOLD, anchors=(FAILURE.id,), task="sums")
    (row,) = draw_rows(sandbox, Limits(), program, [(0, 0, 3)])
    assert row.wrong_solution.endswith(f" = {row.wrong}")
    assert draw_rows(sandbox, Limits(), program.model_copy(update={"source": GOOD}), [(0, 0, 3)])[0].wrong == row.wrong
    other = refusal(sandbox, TOLD.replace("= {said}", "= {said - 1}"))
    assert (other.check, "wrong() does not come to its own answer" in other.reason) == ("telling", True)


LONGER = """Three bags of 4 are 3*4=<<3*4=12>>12 apples.
Then 12-2=<<12-2=10>>10 are left.
Half are 10/2=<<10/2=5>>5.
Twice 5 is 2*5=<<2*5=10>>10."""


def test_a_program_whose_rows_are_much_simpler_than_its_error_is_refused(sandbox):
    failure = FAILURE.model_copy(
        update={"attempt": FAILURE.attempt.model_copy(update={"example": EXAMPLE.model_copy(update={"solution": LONGER})})}
    )
    program = SampleProgram(diagnosis_id="d", source=GOOD, anchors=(failure.id,))
    found = prove(program, [failure], TASK, sandbox, Limits())
    assert found.check == "simpler"
    assert "take 1 steps on the median, its reference takes 4" in found.reason
    assert prove(program, [failure], TASK, sandbox, Limits(), least=0.25) is None
    assert prove(program, [failure], TASK, sandbox, Limits(), skip=("simpler",)) is None


def test_a_check_that_is_skipped_refuses_nothing_and_the_others_still_do(sandbox):
    strays = GOOD.replace('{"bags": 3, "each": 4, "eaten": 2}', '{"bags": 3, "each": 5, "eaten": 2}').replace("def wrong", "def other")
    program = SampleProgram(diagnosis_id="d", source=strays, anchors=(FAILURE.id,))
    assert prove(program, [FAILURE], TASK, sandbox, Limits()).check == "anchored"
    assert prove(program, [FAILURE], TASK, sandbox, Limits(), skip=("anchored",)) is None
    alike = program.model_copy(
        update={"source": strays.replace("rng.randint(2, 4 + 2 * level)", "3").replace("rng.randint(3, 4 + 3 * level)", "4")}
    )
    assert prove(alike, [FAILURE], TASK, sandbox, Limits(), skip=("anchored",)).check == "diverse"


def test_steps_are_calculations_and_lines_where_there_are_none():
    assert step_count(LONGER) == 4
    assert step_count("First 3 * 4 = 12.\nThen 12 - 2 = $10.\n#### 10") == 2
    assert step_count("Venus is hotter.\n\nAnswer: B") == 2
    assert step_count("def f(x):\n    y = 3\n    return x + y", "code") == 3


@pytest.mark.parametrize(
    ("check", "old", "new", "said"),
    [
        ("runs", "import", "import", "SyntaxError"),
        ("runs", "def draw(rng, level):", "import sqlite3\n\n\ndef draw(rng, level):", "No module named 'sqlite3'; the sandbox has these"),
        ("runs", "def draw(rng, level):", "def draw(rng, level):\n    while True: pass", "timeout"),
        ("runs", '"answer": str(left)', '"answer": left', "non-empty str under 'answer'"),
        ("runs", '"answer": str(left)', '"answer": "about " + "a few"', "do not agree"),
        ("runs", 'str(left),\n', 'str(left if eaten != 5 else left + 1),\n', "never comes to the answer"),
        ("anchored", '"eaten": 2}', '"eaten": 3}', "answers '9', but the gold answer is '10'"),
        ("anchored", '"eaten": 2}', '"eats": 2}', "failed: TypeError"),
        ("anchored", "Ann has {bags} bags of {each} apples and eats {eaten}. How many are left?", "{bags} {each} {eaten}", "recognisably"),
        ("anchored", FAILURE.id, "other", "failed: KeyError"),
        ("deterministic", "left = bags * each - eaten", "COUNT.append(1); left = bags * each - eaten + len(COUNT) // 100",
         "when it was drawn again, in another order: '"),
        ("diverse", "rng.randint(2, 4 + 2 * level), rng.randint(3, 4 + 3 * level)", "3, 4", "distinct problems"),
        ("telling", "bags * each + eaten)", "bags * each + eaten + 1)", "but the model answered '14'"),
        ("telling", "bags * each + eaten)", "bags * each - eaten if eaten > 2 else 14)", "cannot tell the misconception"),
    ],
)  # fmt: skip
def test_each_check_refuses_a_program_that_is_wrong_in_that_one_way(sandbox, check, old, new, said):
    source = "COUNT = []\n" + (GOOD + "\ndef broken(:\n" if said == "SyntaxError" else GOOD.replace(old, new))
    found = refusal(sandbox, source, seconds=1.0 if said == "timeout" else 10.0)
    assert found is not None
    assert found.check == check
    assert said in found.reason


@pytest.mark.parametrize(
    ("check", "old", "new", "said"),
    [
        ("deterministic", "left = bags * each - eaten", "COUNT.append(1); left = bags * each - eaten + len(COUNT) // 100",
         r"draw \d+ at level \d gave another 'answer' when it was drawn again, in another order: '-?\d+', then '-?\d+'"),
        ("deterministic", "How many are left?", "{'so' * 30000} {COUNT.append(1) or len(COUNT)} How many are left?", None),
        ("telling", "bags * each + eaten)", "bags * each + eaten + 1)", r"is '15', but the model answered '14'"),
        ("telling", "bags * each + eaten)", "bags * each - eaten if eaten > 2 else 14)",
         r"right answer on \d+ of 200 drawn rows, e.g. '\d+' to 'Ann has \d+ bags"),
        ("runs", "left = bags * each - eaten", "left = bags * each - eaten; 1 // (eaten % 3)",
         r"\d+ of 200 draws failed, \d+ of them \(first draw \d+ at level \d\) with ZeroDivisionError"),
        ("anchored", "Ann has {bags} bags of {each} apples and eats {eaten}. How many are left?", "{bags} {each} {eaten}",
         r"0\.\d\d alike over words, 0.6 are needed: '3 4 2', and the error's own is 'Ann has 3 bags"),
    ],
)  # fmt: skip
def test_a_complaint_names_what_differed_and_where_and_is_short(sandbox, check, old, new, said):
    found = refusal(sandbox, "COUNT = []\n" + GOOD.replace(old, new))
    assert len(found.reason) <= 2000
    assert said is None or (found.check == check and re.search(said, found.reason)), found.reason


def test_two_long_values_are_shown_where_they_differ():
    one, other = apart("a" * 5000 + "x" + "b" * 5000, "a" * 5000 + "y" + "b" * 5000)
    assert "x" in one and "y" in other and len(one) < 300
    assert apart([1], [2]) == ("[1]", "[2]")
    assert apart("a" * 500, "a" * 500 + "b")[1].endswith("b'")


def test_numbers_in_another_order_and_other_names_are_no_new_problem():
    assert problem_shape("Ann has 3 and 4.", "7") == problem_shape("Bob has 4 and 3.", "7")
    assert problem_shape("Ann has 3 and 4.", "7") != problem_shape("Ann has 3 and 5.", "8")


def test_a_sample_depends_on_source_seed_index_and_level_alone(sandbox):
    draws = [(0, index, 3) for index in range(6)]
    forward = run_program(sandbox, GOOD, (), draws, Limits()).rows
    backward = run_program(sandbox, GOOD, (), draws[::-1], Limits()).rows
    assert forward == backward[::-1]
    assert forward[4:5] == run_program(sandbox, GOOD, (), draws[4:5], Limits()).rows


@pytest.mark.parametrize("field", ["question", "solution", "answer"])
def test_a_row_of_endless_text_is_refused_with_that_reason(sandbox, field):
    longer = f"def make(**given):\n    row = short(**given)\n    return row | {{'{field}': row['{field}'] + ' 2' * 12_000}}\n\n\nANCHORS"
    source = GOOD.replace("def make", "def short").replace("ANCHORS", longer)
    (row,) = run_program(sandbox, source, (), [(0, 0, 3)], Limits()).rows
    assert re.fullmatch(rf"24,0\d\d characters came back under '{field}'; at most 20,000 are taken", row["error"])


def test_a_solution_with_a_long_run_of_blanks_is_judged_at_once(sandbox):
    start = time.process_time()
    assert refusal(sandbox, GOOD.replace("= {left}", "= {left}\\n####{' ' * 17_000}x")) is None
    assert time.process_time() - start < 20


def test_rows_that_a_program_forged_are_no_rows(sandbox):
    source = GOOD + "\nimport sys\nclass Lie(dict):\n    pass\nmake = lambda **_: {'question': 'q', 'solution': 's', 'answer': ['1']}\n"
    assert refusal(sandbox, source).check == "runs"


def test_a_program_whose_rows_the_target_solves_has_nothing_to_teach():
    program = SampleProgram(diagnosis_id="d", source=GOOD, anchors=(FAILURE.id,))

    def row(correct):
        return FAILURE.attempt.model_copy(update={"verdict": Verdict(correct=correct, extracted="1", reason="")})

    assert targeted(program, [row(True)] * 9 + [row(False)], 0.9).check == "targeted"
    assert targeted(program, [row(True)] * 8 + [row(False)] * 2, 0.9) is None
    # an unjudged row is no solved row
    assert targeted(program, [row(None)] * 9, 0.9) is None


@pytest.mark.skipif(not (SHARED / "recorded_instructor/programs.jsonl").exists(), reason="needs the recorded programs (ERRATA_SHARED_DATA)")
def test_the_recorded_programs_of_a_strong_instructor_pass(sandbox):
    task = load_task(f"gsm8k:{SHARED / 'gsm8k/train.jsonl'}")
    rows = [json.loads(line) for line in (SHARED / "recorded_instructor/programs.jsonl").read_bytes().split(b"\n") if line]
    rows = [row for row in rows if row["error"]["kind"] == "number"]
    assert len(rows) == 10
    refused = {}
    for row in rows:
        error = row["error"]
        solution, _, answer = error["reference"].rpartition("\nA: ")
        example = Example(task=task.name, split="train", question=error["question"], answer=answer, solution=solution)
        attempt = Attempt(example=example, response=error["response"], verdict=task.verdict(example, error["response"]))
        failure = Failure(attempt=attempt)
        assert attempt.verdict.correct is False
        source = row["program"].replace(f'"{row["id"]}"', f'"{failure.id}"')
        found = prove(SampleProgram(diagnosis_id="d", source=source, anchors=(failure.id,)), [failure], task, sandbox, Limits())
        if found:
            refused[row["id"]] = found
    assert refused == {}
