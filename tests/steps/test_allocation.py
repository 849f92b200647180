"""The library and the budget: what is kept of each program, when it retires, and how rows go where they move most."""

import pytest

from errata.programs.config import load_config
from errata.programs.report.document import summed
from errata.programs.run.directory import RunDir
from errata.programs.run.layout import retired
from errata.programs.steps.allocation import Arm, Trained, arms, thompson, weights
from errata.programs.steps.assemble import standings
from errata.programs.steps.gate import decide
from errata.programs.steps.probe import Probed
from errata.signatures.records import Attempt, Example, Rejection, SampleProgram, Verdict

SKILLS = {"a": "add", "b": "add", "c": "cut"}
LIBRARY = {name: SampleProgram(diagnosis_id=name, source="", anchors=(), skill=skill) for name, skill in SKILLS.items()}


def probe(program, *outcomes):
    rows = []
    for number, correct in enumerate(outcomes):
        example = Example(task="sums", split="train", question=f"{program} {number}", answer="1", meta={"program": program})
        rows.append(Attempt(example=example, response="", verdict=Verdict(correct=correct, extracted=None, reason="")))
    return rows


def test_an_arm_counts_failed_probe_rows_that_were_solved_after_its_rows_and_those_that_were_not():
    one = Trained(
        before=[*probe("a", False, False, True), *probe("b", False), *probe("c", False, False)],
        after=[*probe("a", True, False, False), *probe("b", True), *probe("c", None, False)],
        rows={"a": 30, "b": 10, "c": 5},
    )
    assert arms([one], SKILLS) == {"add": Arm(fixed=2, left=1, rows=40), "cut": Arm(fixed=0, left=1, rows=5)}
    assert arms([one, one], SKILLS)["add"] == Arm(4, 2, 80)


def test_rows_go_by_mass_until_an_arm_has_shown_something():
    masses = {"a": 0.5, "b": 0.25, "c": 1.0}
    assert thompson(masses, SKILLS, {}, 0) == masses
    assert thompson({}, SKILLS, {"add": Arm(1, 0, 5)}, 0) == {}


def test_a_row_goes_where_a_row_moved_most():
    masses = dict.fromkeys("abc", 0.5)
    known = {"add": Arm(fixed=1, left=99, rows=100), "cut": Arm(fixed=99, left=1, rows=100)}
    given = thompson(masses, SKILLS, known, 0)
    assert given["c"] == 1.0
    assert given["a"] == given["b"] < 0.2
    # the same fall for a tenth of the rows is worth ten times as much
    cheap = thompson(masses, SKILLS, {"add": Arm(900, 100, 100), "cut": Arm(900, 100, 1000)}, 0)
    assert cheap["c"] / cheap["a"] == pytest.approx(0.1, rel=0.1)


def test_what_is_little_known_is_still_tried_and_the_draw_is_seeded():
    masses = dict.fromkeys("ac", 0.5)
    known = {"add": Arm(fixed=60, left=40, rows=100)}
    firsts = [max(thompson(masses, SKILLS, known, seed).items(), key=lambda item: item[1])[0] for seed in range(40)]
    assert {firsts.count(name) > 5 for name in "ac"} == {True}
    assert thompson(masses, SKILLS, known, 7) == thompson(masses, SKILLS, known, 7)


def test_the_mass_of_a_program_counts_within_its_arm():
    given = thompson({"a": 0.2, "b": 0.8}, SKILLS, {"add": Arm(5, 5, 10)}, 0)
    assert given == {"a": 0.25, "b": 1.0}


def test_a_uniform_budget_gives_each_program_the_same(tmp_path):
    with RunDir(tmp_path / "run", load_config()) as run_dir:
        assert weights("uniform", run_dir.path, 2, LIBRARY, {"a": 0.1, "c": 0.9}, 0) == {"a": 1.0, "c": 1.0}
        assert weights("mass", run_dir.path, 2, LIBRARY, {"a": 0.1, "c": 0.9}, 0) == {"a": 0.1, "c": 0.9}


@pytest.mark.parametrize("accepted", [True, False])
def test_the_bandit_learns_from_accepted_rounds_alone(tmp_path, accepted):
    masses = {"a": 0.5, "c": 0.5}
    decision = decide("sums", [], [], {}, load_config().gate).model_copy(update={"accepted": accepted})
    with RunDir(tmp_path / "run", load_config()) as run_dir:
        run_dir.stage("round-1/probe").finish({"attempts.jsonl": [*probe("a", *[False] * 40), *probe("c", *[False] * 40)]})
        run_dir.stage("round-2/probe").finish({"attempts.jsonl": [*probe("a", *[False] * 40), *probe("c", *[True] * 40)]})
        run_dir.stage("round-1/gate").finish({"decision.jsonl": [decision]})
        rows = standings(1, LIBRARY, Probed({}, []), masses, {"a": 9, "c": 9}, {})
        run_dir.stage("round-1/assemble").finish({"library.jsonl": rows})
        given = weights("bandit", run_dir.path, 2, LIBRARY, masses, 0)
        assert weights("bandit", run_dir.path, 1, LIBRARY, masses, 0) == masses
    assert (given["a"] < 0.3 and given["c"] == 1.0) if accepted else given == masses


def test_what_a_program_showed_before_it_retired_counts_for_its_skill(tmp_path):
    decision = decide("sums", [], [], {}, load_config().gate).model_copy(update={"accepted": True})
    gone = Rejection(of="c", kind="program", check="targeted", reason="the target solves all")
    left = {name: program for name, program in LIBRARY.items() if name != "c"}
    with RunDir(tmp_path / "run", load_config()) as run_dir:
        run_dir.stage("round-1/probe").finish({"attempts.jsonl": [*probe("a", *[False] * 40), *probe("c", *[False] * 40)]})
        run_dir.stage("round-2/probe").finish({"attempts.jsonl": [*probe("a", *[False] * 40), *probe("c", *[True] * 40)]})
        run_dir.stage("round-1/gate").finish({"decision.jsonl": [decision]})
        rows = standings(1, LIBRARY, Probed({}, [gone]), {"a": 0.5}, {"a": 9}, {})
        run_dir.stage("round-1/assemble").finish({"library.jsonl": rows})
        new = left | {"d": LIBRARY["c"].model_copy(update={"diagnosis_id": "another"})}
        given = weights("bandit", run_dir.path, 2, new, {"a": 0.5, "d": 0.5}, 0)
    assert given["a"] < 0.3 and given["d"] == 1.0


def test_a_program_of_several_errors_has_the_mass_of_each(tmp_path):
    several = LIBRARY | {"a": LIBRARY["a"].model_copy(update={"anchors": ("e1", "e2", "e3")})}
    with RunDir(tmp_path / "run", load_config()) as run_dir:
        assert weights("mass", run_dir.path, 1, several, {"a": 0.5, "c": 0.5}, 0) == {"a": 1.5, "c": 0.5}
        assert weights("uniform", run_dir.path, 1, several, {"a": 0.5, "c": 0.5}, 0) == {"a": 1.0, "c": 1.0}


def test_a_program_that_the_probe_refuses_retires_and_its_acceptance_is_kept(tmp_path):
    refused = [Rejection(of="c", kind="program", check="targeted", reason="the target solves 2 of 2 of its rows: nothing to teach")]
    tried = [*probe("a", False, True, None), *probe("c", True, True)]
    dropped = {"a": {"distinct": 2, "band": 1}}
    rows = standings(1, LIBRARY, Probed({}, refused, tried), {"a": 0.5, "b": 0.5}, {"a": 2, "b": 1}, dropped)
    first, second, third = rows
    assert (first.probed, first.failed, first.drawn, first.kept, first.refused) == (2, 1, 5, 2, {"band": 1, "distinct": 2})
    assert (second.probed, second.drawn, second.kept, second.weight) == (0, 1, 1, 0.5)
    assert (third.weight, third.kept, third.retired) == (0.0, 0, "the target solves 2 of 2 of its rows: nothing to teach")
    found = summed(rows)
    assert (found.programs, found.retired, found.drawn, found.kept) == (3, 1, 6, 3)
    assert list(found.skills) == ["add", "cut"]
    with RunDir(tmp_path / "run", load_config()) as run_dir:
        run_dir.stage("round-1/assemble").finish({"library.jsonl": rows})
        assert retired(run_dir.path, 1) == {}
        assert retired(run_dir.path, 2) == {"c": third.retired}
