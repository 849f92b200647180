"""Pairs: which answers stand on the right and the wrong side, from whom, why others are left out, and that a round goes on with them."""

import json

import pytest
from problems import drawn

from errata.programs import Cycle
from errata.programs.config import load_config
from errata.programs.report import texts, write
from errata.programs.report.rounds import nothing_made
from errata.programs.run import layout
from errata.programs.steps.pairs import MOST, Question, imagined, paired, pairs
from errata.signatures.records import GateDecision, Pair, Rollout, Rollouts, TrainRow
from errata.tasks import load_task
from errata.trainers.target import Target

TASK = load_task("sums")
RIGHT = "The bags hold 3*4=<<3*4=12>>12 pens.\nThen 12-2=<<12-2=10>>10 are left.\n#### 10"
OTHER = "They are 4*3=<<4*3=12>>12.\nNow 12-2=<<12-2=10>>10.\n#### 10"
LUCKY = "The bags hold 3*4=<<3*4=13>>13 pens.\n#### 10"
SHORT = "The bags hold 3*4=<<3*4=12>>12 pens.\n#### 12"
WORSE = "The bags hold 3+4=<<3+4=7>>7 pens.\n#### 7"
WORST = "It is 1.\n#### 1"
SAMPLE = drawn(
    1,
    question="Ann has 3 bags of 4 pens and gives 2 away. How many are left?",
    solution=RIGHT.removesuffix("\n#### 10"),
    answer="10",
    wrong="14",
    wrong_solution="The bags hold 3*4=<<3*4=12>>12 pens.\nThen 12+2=<<12+2=14>>14 are left.",
)
WRONG = SAMPLE.wrong_solution + "\n#### 14"


def rollout(text: str, finish: str = "stop") -> Rollout:
    return Rollout.of(text, TASK.verdict(SAMPLE.example, text), finish)


def question(*known: str, solution: str = RIGHT, wrong: str = WRONG) -> Question:
    return Question(SAMPLE.example, SAMPLE.id, solution, wrong, tuple(map(rollout, known)))


def tries(*answers: Rollout | str) -> Rollouts:
    said = tuple(rollout(one) if isinstance(one, str) else one for one in answers)
    return Rollouts(question=SAMPLE.example.id, target="w", tries=said, tokens=9)


def made(asked: Question, found: Rollouts | None = None, keep: bool = False) -> tuple[list[tuple[str, str, str, str]], dict[str, int]]:
    rows, left = paired(TASK, asked, found, keep)
    told = [(row.chosen[0]["content"], row.chosen_from, row.rejected[0]["content"], row.rejected_from) for row in rows]
    return told, dict(left)


def test_both_sides_are_the_targets_own_where_it_gave_both():
    assert made(question(), tries(SHORT, RIGHT, SHORT, RIGHT)) == ([(RIGHT, "own", SHORT, "own")], {})


def test_each_wrong_answer_up_to_some_is_a_pair_with_the_right_ones_in_turn():
    rows, _ = made(question(), tries(SHORT, RIGHT, WORSE, WORST, OTHER))
    assert rows == [(RIGHT, "own", SHORT, "own"), (OTHER, "own", WORSE, "own")]
    assert len(rows) == MOST


def test_the_worked_solution_and_the_misconception_stand_in_for_what_was_not_sampled():
    assert made(question(), tries(SHORT, WORSE))[0] == [(RIGHT, "solution", SHORT, "own"), (RIGHT, "solution", WORSE, "own")]
    assert made(question(), tries(OTHER, RIGHT))[0] == [(OTHER, "own", WRONG, "wrong")]
    assert made(question())[0] == [(RIGHT, "solution", WRONG, "wrong")]


def test_what_was_mined_is_an_own_answer_that_comes_behind_the_sampled_ones():
    assert made(question(SHORT), tries(WORSE, RIGHT))[0] == [(RIGHT, "own", WORSE, "own"), (RIGHT, "own", SHORT, "own")]
    assert made(question(SHORT), tries(RIGHT))[0] == [(RIGHT, "own", SHORT, "own")]


def test_cut_lucky_empty_and_unjudged_answers_stand_on_no_side_and_are_counted():
    unjudged = Rollout(response="?", correct=None, reason="the sandbox is gone")
    found = tries(rollout(SHORT, "length"), LUCKY, rollout(RIGHT, "length"), " ", unjudged)
    assert made(question(wrong=""), found) == ([], {"cut": 3, "right by luck": 1, "unjudged": 1})


def test_a_side_that_is_not_what_it_should_be_makes_no_pair():
    assert made(question(wrong=OTHER)) == ([], {"a wrong() that is not wrong": 1})
    assert made(question(solution=SHORT)) == ([], {"a solution that is not right": 1})
    assert made(question(solution="", wrong=WRONG)) == ([], {})


def test_a_reasoning_trace_is_left_out_unless_it_is_to_be_kept():
    thought = f"<think>3 bags</think>\n{SHORT}"
    assert made(question(), tries(thought, RIGHT))[0][0][2].strip() == SHORT
    assert made(question(), tries(thought, RIGHT), keep=True)[0][0][2] == thought


def test_a_misconception_without_its_way_is_no_answer_beside_a_worked_one():
    assert imagined(TASK, SAMPLE) == WRONG
    assert imagined(TASK, SAMPLE.model_copy(update={"wrong_solution": None})) == ""
    assert imagined(TASK, SAMPLE.model_copy(update={"wrong": None})) == ""


SMALL = {
    "items.train": 120,
    "items.dev": 40,
    "items.test": 0,
    "generate.failures": 8,
    "generate.rows": 30,
    "generate.probe": 0,
    "train.epochs": 1,
    "train.save_steps": 2,
    "train.samples": 2,
    "gate.alpha": 1.0,
    "gate.margin": 1.0,
}


def cycle(path, lines=None, **more):
    with Cycle(load_config(overrides=SMALL | more), path, say=(lines if lines is not None else []).append) as loop:
        loop.in_process = True
        loop.run()
    return path / "round-1"


@pytest.mark.slow  # a round with two trainings, 20 seconds
def test_a_cycle_in_stages_trains_on_pairs_of_the_weights_before_and_survives_an_interrupt(tmp_path, monkeypatch):
    lines: list[str] = []
    stages = {"train.stages": ["sft", "dpo"]}
    whole = cycle(tmp_path / "whole", lines, **stages)
    rows = [Pair.model_validate_json(line) for line in (whole / "pairs-2/pairs.jsonl").read_text().splitlines()]
    sampled = [Rollouts.model_validate_json(line) for line in (whole / "pairs-2/tries.jsonl").read_text().splitlines()]
    after_sft = json.loads((whole / "train/manifest.json").read_text())["report"]["weights"]
    assert {row.target for row in sampled} == {after_sft}
    asked = [row.prompt for row in map(TrainRow.model_validate_json, (whole / "assemble/rows.jsonl").read_text().splitlines())]
    assert any(row.prompt in asked for row in rows)
    facts = json.loads((whole / "pairs-2/manifest.json").read_text())["facts"]
    assert facts["pairs"] == len(rows) == sum(facts["chosen"].values()) == sum(facts["rejected"].values())
    assert any(line.endswith(facts["told"]) for line in lines)
    report = json.loads((whole / "train-2/manifest.json").read_text())["report"]
    assert (report["base"], report["rows_in"]) == (after_sft, len(rows))
    decision = GateDecision.model_validate_json((whole / "gate/decision.jsonl").read_text())
    assert [row["stage"] for row in decision.considered] == [0, 1]

    generate, given = Target.generate, []

    def dying(self, prompts, **options):
        for answer in generate(self, prompts, **options):
            given.append(options.get("temperature", 0))
            if sum(map(bool, given)) == 20:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(Target, "generate", dying)
    with pytest.raises(KeyboardInterrupt):
        cycle(tmp_path / "again", **stages)
    monkeypatch.setattr(Target, "generate", generate)
    again = cycle(tmp_path / "again", **stages)
    for name in ("pairs-2/pairs.jsonl", "pairs-2/tries.jsonl", "pairs-2/manifest.json", "train-2/manifest.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes(), name


def test_without_a_pair_the_round_says_why_and_is_not_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr("errata.programs.steps.pairs.questions", lambda run, number: [])
    lines: list[str] = []
    found = cycle(tmp_path / "run", lines, **{"train.stages": ["dpo"], "items.train": 60, "items.dev": 10})
    assert any("no dpo, and no stage behind it: none of 0 questions has a right and a wrong answer" in line for line in lines)
    decision = GateDecision.model_validate_json((found / "gate/decision.jsonl").read_text())
    assert (decision.accepted, decision.reason) == (False, "nothing to train on: none of 0 questions has a right and a wrong answer")
    assert layout.trainings(tmp_path / "run", 1) == []
    told = texts.as_text(write(tmp_path / "run"))
    assert "sums dev not measured" in told and "0.0 -> 0.0" not in told
    assert "<dd>not measured" in (tmp_path / "run/report.html").read_text()
    assert nothing_made(tmp_path / "run") == "nothing was made to train on: none of 0 questions has a right and a wrong answer"


def test_pairs_that_came_to_nothing_are_made_again_where_more_answers_are_asked_for(tmp_path):
    none, asked = {"train.stages": ["dpo"], "items.train": 20, "items.dev": 10, "train.samples": 0}, []

    def until(samples):
        with Cycle(load_config(overrides=SMALL | none | {"train.samples": samples}), tmp_path / "run", say=asked.append) as loop:
            loop.in_process = True
            loop.run("assemble")
            return pairs(loop, 1, 0).facts()

    first = until(0)
    assert until(0) == first and sum("pairs of" in line for line in asked) == 1
    assert until(2)["tokens"] > first["tokens"] == 0
    assert until(2)["samples"] == 2 and sum("pairs of" in line for line in asked) == 2
