"""Practice: what is asked follows how often the target succeeds, a journal brings it back, and only a right way earns a reward."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
from problems import drawn

from errata.programs.config import load_config
from errata.programs.steps.practice import Arm, Practice, Rows
from errata.programs.steps.practice import practice as made
from errata.programs.steps.session import Session
from errata.signatures.records import Attempt, Example, Sample, SampleProgram, TeachingResult, Verdict
from errata.tasks import load_task
from errata.trainers.judge import Given


def item(name: str, answer: str = "7") -> Example:
    return Example(task="sums", split="train", question=f"{name}?", answer=answer, skill=name.split()[0])


def program(name: str) -> SampleProgram:
    return SampleProgram(diagnosis_id="d", source=name, anchors=(), skill=name)


def rows(program: SampleProgram, level: int, index: int) -> Example | None:
    return None if program.source == "empty" else item(f"{program.source} {level} {index}")


def arms() -> list[Arm]:
    failed = Arm("failed", items=[item("failed 1"), item("failed 2")])
    return [Arm("easy", [program("easy")], 1), Arm("hard", [program("hard")], 3), failed, kept("solved"), kept("old")]


def kept(name: str) -> Arm:
    """An arm of items that the target solved."""
    return Arm(name, items=[item(f"{name} {number}") for number in range(20)], solved=True)


@pytest.fixture
def practice(tmp_path):
    return Practice(load_task("sums"), arms, rows, tmp_path / "practice" / "stage-1.jsonl", seed=3)


def asked(practice: Practice, step: int, count: int = 8) -> list[str]:
    return [prompt.messages[-1]["content"].split("?")[0] for prompt in practice.prompts(step, count)]


def tell(practice: Practice, step: int, right: dict[str, int], tries: int = 8) -> None:
    """Prompts of a step, answered; `right` answers of `tries` to those whose question begins with a word."""
    for prompt in practice.prompts(step, 8):
        count = right.get(prompt.messages[-1]["content"].split()[0], 0)
        practice.rewards(step, [Given(prompt.key, f"#### {7 if number < count else 8}", "stop") for number in range(tries)])


def test_a_part_of_the_first_prompts_are_solved_items_that_stay(practice):
    prompts = practice.prompts(0, 8)
    assert [prompt.pinned for prompt in prompts] == [True] * 3 + [False] * 5
    assert all(prompt.messages[-1]["content"].startswith(("solved", "old")) == prompt.pinned for prompt in prompts)
    assert not any(prompt.pinned for prompt in practice.prompts(0, 8))  # those that are exchanged


def test_what_the_target_always_solves_is_asked_less_than_what_it_solves_half_of_the_time(practice):
    for step in range(12):
        tell(practice, step, {"easy": 8, "hard": 4})
    seen = Counter(text.split()[0] for step in range(12, 32) for text in asked(practice, step))
    assert seen["hard"] > 4 * seen["easy"] > 0


def test_a_solved_skill_that_begins_to_fail_is_asked_more_than_one_that_holds(practice):
    for step in range(12):
        tell(practice, step, {"solved": 4, "old": 8})
    seen = Counter(text.split()[0] for step in range(12, 52) for text in asked(practice, step))
    assert seen["solved"] > 2 * seen["old"] > 0


def test_each_prompt_of_a_program_is_a_draw_that_was_not_asked_before(practice):
    texts = [text for step in range(20) for text in asked(practice, step) if text.startswith(("easy", "hard"))]
    assert len(texts) == len(set(texts)) > 50


def test_the_journal_names_the_program_and_its_skill_or_the_item(practice, tmp_path):
    prompts = practice.prompts(0, 8)
    practice.rewards(0, [Given(prompt.key, "#### 0", "stop") for prompt in prompts])
    rows = [json.loads(line) for line in (tmp_path / "practice" / "stage-1.jsonl").read_text().splitlines()]
    known = {program(name).id: name for name in ("easy", "hard")}
    assert {known[row["program"]] for row in rows if "program" in row} <= {row["skill"] for row in rows}
    assert all(row["skill"] == known[row["program"]] for row in rows if "program" in row)
    assert all("item" in row for row in rows if row.get("solved"))
    assert {"program", "item"} <= {name for row in rows for name in row}


def test_after_a_kill_the_journal_brings_back_what_would_have_been_asked(practice, tmp_path):
    right = {"easy": 8, "hard": 3, "failed": 1}
    for step in range(4):
        tell(practice, step, right)
    later = [asked(practice, step) for step in (4, 5)]
    again = Practice(load_task("sums"), arms, rows, tmp_path / "copy" / "stage-1.jsonl", seed=3)
    for step in range(6):  # it went on further than the checkpoint that it comes back to
        tell(again, step, right)
    again = Practice(load_task("sums"), arms, rows, tmp_path / "copy" / "stage-1.jsonl", seed=3)  # another process
    again.rewind(4)
    assert [asked(again, step) for step in (4, 5)] == later


def test_after_a_kill_a_question_that_was_drawn_twice_in_a_step_was_taken_twice(tmp_path):
    one, again = (Practice(load_task("sums"), arms, rows, tmp_path / "stage-1.jsonl", seed=11) for _ in range(2))
    one.rewind(0)
    for step in range(4):
        tell(one, step, {"easy": 4, "hard": 1, "solved": 8, "old": 8, "failed": 3})
    again.rewind(4)
    assert asked(again, 4) == asked(one, 4)


def test_an_answer_earns_by_a_right_way_to_its_end(practice):
    prompt = practice.prompts(0, 1)[0]
    answers = ["3 + 4 = 7\n#### 7", "#### 8", "3 + 3 = 7\n#### 7", "no number"]
    given = [Given(prompt.key, text, "stop") for text in answers] + [Given(prompt.key, "#### 7", "length")]
    assert practice.rewards(0, given) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_an_answer_that_cannot_be_judged_has_no_reward(tmp_path):
    broken = [item("broken", answer="many")]
    practice = Practice(load_task("sums"), lambda: [Arm("failed", items=broken)], rows, tmp_path / "stage-1.jsonl", seed=0)
    prompt = practice.prompts(0, 1)[0]
    assert practice.rewards(0, [Given(prompt.key, "#### 7", "stop")]) == [None]


def test_a_program_without_rows_gives_way_to_others(tmp_path):
    both = lambda: [Arm("a", [program("empty"), program("full")], 2)]  # noqa: E731
    practice = Practice(load_task("sums"), both, rows, tmp_path / "stage-1.jsonl", seed=0)
    assert [text.split()[0] for text in asked(practice, 0, 3)] == ["full"] * 3


def test_where_nothing_is_left_fewer_prompts_are_given(tmp_path):
    few = lambda: [Arm("a", [program("empty")], 2), Arm("failed", items=[item("failed 1")])]  # noqa: E731
    assert len(Practice(load_task("sums"), few, rows, tmp_path / "stage-1.jsonl", seed=0).prompts(0, 8)) == 1
    assert len(Practice(load_task("sums"), list, rows, tmp_path / "stage-2.jsonl", seed=0).prompts(0, 8)) == 0


def judge_of(path, **changed):
    """The judge of a run whose target failed two items and solved one, and whose strategy chose one that it solved and a fresh one."""
    tried = [
        Attempt(example=item(name), response="r", verdict=Verdict(correct=right, extracted="7", reason="r"))
        for name, right in (("failed 1", False), ("failed 2", False), ("solved 1", True))
    ]
    own = [Sample(program_id="", seed=0, index=0, level=3, example=one, item=one.id) for one in (item("solved 1"), item("fresh 1"))]
    taught = TeachingResult(failure_ids=(), diagnosis=None, program=program("made"))
    with Session(load_config(overrides=changed), path, lambda line: None) as run:
        run.stage(1, "mine").finish({"attempts.jsonl": tried})
        run.stage(1, "teach").finish({"taught.jsonl": [taught]})
        run.stage(1, "assemble").finish({"samples.jsonl": own})
        return made(run, 1, 0)


@pytest.mark.parametrize("strategy", ["GoldOnly", "LearnFromError"])
def test_practice_on_items_alone_asks_what_the_target_was_asked_and_what_the_strategy_chose_whatever_it_is(tmp_path, strategy):
    judge = judge_of(tmp_path / "run", **{"train.practice": "items", "generate.strategy": strategy, "generate.failures": 1})
    assert set(asked(judge, 0)) == {"failed 1", "failed 2", "fresh 1", "solved 1"}  # all that failed, however many are taught from
    assert [prompt.pinned for prompt in judge.prompts(1, 4)] == [True, False, False, False]


def test_recorded_errors_on_what_a_guard_holds_out_are_not_practised_on(tmp_path, monkeypatch):
    held_out = [item("FAILED  1").model_copy(update={"split": "test", "task": "guard"})]
    monkeypatch.setattr(Session, "held_out", held_out)
    judge = judge_of(tmp_path / "run", **{"train.practice": "items", "errors": "recorded"})
    assert set(asked(judge, 0)) == {"failed 2", "fresh 1", "solved 1"}


def test_practice_on_programs_alone_asks_no_item(tmp_path, monkeypatch):
    monkeypatch.setattr("errata.programs.steps.practice.Rows", lambda run: rows)
    drawn = asked(judge_of(tmp_path / "run", **{"train.practice": "programs"}), 0)
    assert len(drawn) == 8 and all(text.startswith("made") for text in drawn)
    both = {text for step in range(3) for text in asked(judge_of(tmp_path / f"{step}"), step)}
    assert {text.split()[0] for text in both} >= {"made", "solved"}


def test_the_fingerprint_says_what_prompts_are_made_of(practice, tmp_path):
    same = Practice(load_task("sums"), arms, rows, tmp_path / "other.jsonl", seed=3)
    other = Practice(load_task("sums"), lambda: arms()[:2], rows, tmp_path / "other.jsonl", seed=3)
    assert same.fingerprint == practice.fingerprint != other.fingerprint


def test_words_that_all_questions_of_a_task_begin_with_refuse_no_row(monkeypatch):
    begin = "You are a careful assistant of a small shop. Read the message of the customer with care, and say how many pieces are meant. "
    held_out = [Example(task="t", split="test", question=begin + f"I want {n} boxes of {n + 3} pens.", answer="1") for n in range(30)]
    made = drawn(0, question=begin + "We ordered 7 crates with 12 mugs in each of them."), drawn(1, question=held_out[3].question)
    monkeypatch.setattr("errata.programs.steps.practice.draw_rows", lambda *given: list(made))
    rows = Rows(SimpleNamespace(held_out=held_out, sandbox=None, limits=None))
    assert [rows(program("p"), 1, index) for index in range(2)] == [made[0].example] * 2
