"""What a report says was measured: each round, each item, each diagnosed kind of error."""

import json
import re
import shutil

import pytest
from fake_run import attempt, fake_run

from errata.programs import report
from errata.programs.report import document, figures, records, rounds
from errata.programs.report.trace import Lineage, as_text
from errata.programs.run import layout
from errata.programs.run.directory import Stage, to_json
from errata.signatures.errors import RunError
from errata.signatures.records import Failure, Rejection, TrainRow


class Line:
    """A row as it stands in a file."""

    def __init__(self, line):
        self.line = line

    def model_dump_json(self):
        return self.line.decode()


def test_each_round_is_measured_on_dev_and_only_accepted_weights_on_test(several):
    course = several[1].course
    assert [(row.round, row.kept, row.parent) for row in course["bench0 dev"]] == [
        (0, True, None),
        (1, True, 0),
        (2, True, 1),
        (3, False, 2),
    ]
    assert [row.round for row in course["bench3 test"]] == [0, 1, 2]
    assert course["bench0 dev"][0].skills["skill 0.7"].items == 1


def test_error_mass_is_what_the_target_fails_of_its_probe_before_and_after_the_training(several):
    (first, *_) = several[1].rounds[0].masses
    assert (first.programs, first.before.share, first.after.share) == (first.before.items // 4, 0.25, 0.75)
    assert first.before.mass == pytest.approx(0.75 * first.programs)
    assert first.after.mass == pytest.approx(0.25 * first.programs)


def test_an_error_that_two_programs_rebuild_is_one_error(tmp_path):
    run = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1, items=6)
    (was,) = document.build(run).rounds[0].masses
    taught, probe = layout.taught(run, 1), list(layout.attempts(run, 1, "probe"))
    first = taught[0].program
    twin = first.model_copy(update={"source": f"{first.source}# once more"})
    taught.append(taught[0].model_copy(update={"program": twin}))
    again = [row for row in probe if row.example.meta["program"] == first.id]
    meta = {"meta": {"program": twin.id}}
    again = [row.model_copy(update={"example": row.example.model_copy(update=meta)}) for row in again[1:2] * 4]  # it fails them all
    layout.step(run, 1, "teach").finish({layout.TAUGHT: taught})
    stage = layout.step(run, 1, "probe")
    stage.finish({layout.ATTEMPTS: [*probe, *again]}, **stage.facts())
    (now,) = document.build(run).rounds[0].masses
    assert (now.programs, now.errors) == (was.programs + 1, was.errors)
    assert now.before.mass == pytest.approx(was.before.mass - 0.75 + (0.75 + 1) / 2)


def test_what_was_not_measured_after_the_training_is_none_and_the_page_says_so(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    (path / "round-1/probe-after/manifest.json").unlink()
    result = report.write(path)
    assert [row.after for row in result.rounds[0].masses] == [None]
    assert "After this training they were not measured." in (path / "report.html").read_text()


def test_fixed_and_broken_items_are_named(several):
    evaluation = several[1].evaluations["bench1 test"]
    assert len(evaluation.fixed) == evaluation.change.fixed > 0
    assert len(evaluation.broken) == evaluation.change.broken > 0
    assert not set(evaluation.fixed) & set(evaluation.broken)


def test_cost_is_told_by_stage(several):
    result = several[1]
    assert result.work["round-1/train"] == {"steps": 12, "rows": 9}
    assert result.work["round-2/probe"] == {"answers": 4 * 68}
    page_ = (several[0] / "report.html").read_text()
    assert re.search(r"<td>round-1/teach<td>1<td>1,200<td>340<td>0.01<td>0<td>0", page_)


def test_nothing_paid_stands_as_in_the_lines_above_it(several):
    bill = several[1].instructor
    free = bill.model_copy(update={"stages": {}, "total": bill.total.model_copy(update={"usd": 0.0})})
    assert {str(line[4]) for line in figures.stages(several[1].model_copy(update={"instructor": free})).rows} == {"0"}


def test_counts_of_thousands_have_their_comma():
    told = figures.outcomes(records.Counts(items=3400, right=1164, wrong=2236, no_answer=1001, cut=1002, unjudged=0))
    assert told == "1,164 right, 2,236 wrong (of these 1,001 without a readable answer, 1,002 cut at the token limit), 0 unjudged"


def test_a_round_with_fewer_rows_than_wanted_says_which_filter_took_how_many_in_every_form(tmp_path):
    short = "9 of 20 rows: 3 programs have no more to give; dropped by distinct 7, unseen 4"
    path = fake_run(tmp_path / "run", {"t": ["add"]}, rounds=1, short=short)
    document = report.write(path)
    assert document.rounds[0].shortfall == short
    assert short in report.as_text(document)
    assert short in (path / "report.md").read_text()
    assert short in (path / "report.html").read_text()


def answers(skills):
    """Attempts before and after: skill -> (items, fixed)."""
    sides = ([], [])
    for skill, (items, fixed) in skills.items():
        for number in range(items):
            sides[0].append(attempt("t", "test", number, skill, number >= fixed, "w0"))
            sides[1].append(attempt("t", "test", number, skill, True, "w1"))
    return sides


def test_of_many_skills_one_is_surely_better_only_beyond_what_their_number_explains():
    same = {f"same {number}": (10, 0) for number in range(18)}
    found = document.compare(*answers(same | {"perhaps": (10, 6), "surely": (20, 14)})).skills
    perhaps, surely = found["perhaps"].change, found["surely"].change
    assert (perhaps.p_value, perhaps.p_holm) == (0.03125, 19 * 0.03125)
    assert (figures.sure(perhaps), figures.tone(perhaps)) == ("same", "")
    assert surely.p_holm == 20 * surely.p_value < 0.05
    assert (figures.sure(surely), figures.tone(surely)) == ("better", "better")
    alone = document.compare(*answers({"perhaps": (10, 6)}))
    assert alone.skills["perhaps"].change.p_holm is None
    assert figures.sure(alone.skills["perhaps"].change) == figures.sure(alone.change) == "better"


def test_every_form_names_the_run_and_when_it_was_done(tmp_path):
    path = fake_run(tmp_path / "run", {"sums": ["add", "left"]}, rounds=1)
    steps = {"round-1/mine": 700.0, "test": 80.0, "whole": 9000.0}
    ended = "2026-11-28T20:38:{}+00:00"
    seconds = {name: {"wall": wall, "cpu": 1.0, "ended": ended.format(10 + place)} for place, (name, wall) in enumerate(steps.items())}
    (path / "seconds.json").write_text(json.dumps(seconds))
    result = report.write(path)
    assert result.when.model_dump() == {"finished": ended.format(12), "seconds": 780.0}
    known = {"target": "tiny", "task": "sums", "instructor": "openai/some", "strategy": "LearnFromError"}
    known |= {"finished": "2026-11-28 20:38:12 UTC", "time taken": "13 min", "paid": "USD 0.01"}
    assert figures.about(result) == known
    for text in (report.as_text(result), (path / "report.md").read_text(), (path / "report.html").read_text()):
        assert all(name in text and value in text for name, value in known.items())


def assembled(path, change):
    """Write the assembled rows of round 1 again, the lines of each file as `change(name, lines)` gives them."""
    (samples,) = path.glob("round-1/assemble/samples.jsonl")
    stage = Stage(samples.parent)
    lines = {file.name: file.read_bytes().splitlines() for file in sorted(stage.path.glob("*.jsonl"))}
    stage.finish({name: [Line(line) for line in change(name, found)] for name, found in lines.items()}, **stage.facts())


def test_the_number_of_programs_is_that_of_the_kept_ones_in_every_form(tmp_path):
    path = fake_run(tmp_path / "run", {"sums": [f"skill {number}" for number in range(9)]}, rounds=1)
    programs = [row.program.id for row in layout.taught(path, 1) if row.program]
    late = [Rejection(of=of, kind="program", check=check, reason="") for of, check in zip(programs, ("targeted", "agreed"), strict=False)]
    more = [one.model_dump_json().encode() for one in late]
    assembled(path, lambda name, lines: [*lines, *(more if name == "rejections.jsonl" else [])])
    result = report.write(path)
    (row,) = result.rounds
    assert row.kept == row.programs - 2 > 0
    told = figures.many(row.kept, "program")
    assert f", {told}, " in report.as_text(result)
    assert f"{told} kept" in (path / "report.md").read_text()
    assert f"<dd>{row.kept} kept of {row.programs} that passed" in (path / "report.html").read_text()
    found = rounds.generated(path, 1)["programs"]
    assert found["accepted"] == row.kept
    assert found["refused"] == row.lost
    assert found["refused"]["targeted"] == found["refused"]["agreed"] == 1


def test_skills_without_rows_share_one_fold(tmp_path):
    path = fake_run(tmp_path / "run", {"sums": [f"skill {number}" for number in range(9)]}, rounds=1, items=180)
    assembled(path, lambda name, lines: lines[:3] if name == "samples.jsonl" else lines)
    report.write(path)
    page = (path / "report.html").read_text()
    assert page.count("held-out items: ") == 2
    assert "<b>8 skills without rows</b>: 0 programs, 0 rows" in page


# ---- stages


def test_a_round_in_stages_is_compared_with_the_weights_that_it_began_with(practised):
    result = practised[1]
    assert [(row.round, row.parent) for row in result.course["t dev"]] == [(0, None), (1, 0), (2, 1)]
    first = result.rounds[0]
    assert first.dev.before.share == result.course["t dev"][0].all.share != first.dev.after.share
    assert [(stage.name, stage.stands, stage.found) for stage in first.stages] == [
        ("sft", False, "no gain on dev"),
        ("grpo", True, "so it is"),
    ]
    assert first.train == first.stages[1].report


def test_sampled_answers_are_told_by_skill_by_program_and_among_the_costs(practised):
    path, result = practised
    assert result.work["round-1/train"] == {"steps": 12, "rows": 9}
    assert result.work["round-1/train-2"] == {"steps": 12, "answers": 96}
    rows = {(one.skill, one.solved): (one.answers, one.first, one.last) for one in result.rounds[0].stages[1].practised}
    assert rows == {("adds", False): (96, 0.25, 0.75), ("adds", True): (48, 1.0, 1.0)}
    assert (result.rounds[0].library.practised, result.rounds[0].library.rewarded) == (96, 48)
    lineage = Lineage(path)
    program = as_text(lineage.trace(next(iter(lineage.taught))))
    assert "practised on 12 draws of it: 24 of 48 sampled answers were right" in program


def test_a_training_row_is_traced_as_its_sample(practised):
    lineage = Lineage(practised[0])
    rows = layout.step(practised[0], 1, "assemble").read(layout.ROWS, TrainRow)
    row = next(row for row in rows if row.source in lineage.samples)
    assert row.id != row.source and lineage.trace(row.id) == lineage.trace(row.source)


def test_a_program_that_was_refused_when_rows_were_drawn_is_traced_to_the_reason(several, tmp_path):
    run = shutil.copytree(several[0], tmp_path / "run")
    stage, (sample, *_) = layout.step(run, 1, "assemble"), layout.samples(run, 1)
    refusals = [
        Rejection(of=sample.program_id, kind="program", check="targeted", reason="mastered"),
        Rejection(of="drawn", kind="sample", check="unseen", reason="seen", program=sample.program_id),
    ]
    rows = {layout.ROWS: stage.read(layout.ROWS, TrainRow), layout.SAMPLES: list(layout.samples(run, 1))}
    stage.finish(rows | {layout.LIBRARY: layout.standings(run, 1), layout.REJECTIONS: refusals})
    lineage = Lineage(run)
    told = [as_text(lineage.trace(one.id)).splitlines()[:3] for one in refusals]
    assert told[0][:2] == [f"program {sample.program_id}: refused in round 1 by check targeted", "  reason: mastered"]
    assert told[1][:2] == ["row drawn: refused in round 1 by check unseen, so it was not trained on", "  reason: seen"]
    assert all(lines[2].startswith(f"program {sample.program_id}: first writing") for lines in told)
    assert lineage.trace(sample.program_id)["kind"] == "program"


def test_programs_of_a_round_before_that_retire_are_no_refusals_of_this_round(several, tmp_path):
    run = shutil.copytree(several[0], tmp_path / "run")
    stage = layout.step(run, 2, "assemble")
    ids = [[row.program.id for row in layout.taught(run, number) if row.program] for number in (1, 2)]
    kept = several[1].rounds[1].kept
    assert not {*ids[0]} & {*ids[1]}
    for names, lost in ((ids[0], 0), (ids[1][:1], 1)):
        refusals = [Rejection(of=name, kind="program", check="targeted", reason="mastered") for name in names]
        rows = {layout.ROWS: stage.read(layout.ROWS, TrainRow), layout.SAMPLES: list(layout.samples(run, 2))}
        stage.finish(
            rows | {layout.LIBRARY: layout.standings(run, 2), layout.REJECTIONS: refusals}, **layout.step(several[0], 2, "assemble").facts()
        )
        assert report.write(run).rounds[1].kept == kept - lost


@pytest.fixture
def found(several, tmp_path):
    """A run with an error that was studied in round 1, one whose program was refused, and one that was not drawn: their ids."""
    run = shutil.copytree(several[0], tmp_path / "run")
    stage, taught = layout.step(run, 1, "mine"), layout.taught(run, 1)
    old = list(layout.attempts(run, 1))
    wrong = next(row for row in old if row.verdict.correct is False)
    other = wrong.model_copy(update={"response": "It is 17."})
    stage.finish({layout.ATTEMPTS: [*old, other, attempt("bench0", "train", 500, "s", True, "w0")]})
    refusal = Rejection(of="p", kind="program", check="runs", reason="it does not load")
    taught[1] = taught[1].model_copy(update={"program": None, "rejections": (refusal,)})
    layout.step(run, 1, "teach").finish({layout.TAUGHT: taught})
    return run, [taught[0].failure_ids[0], taught[1].failure_ids[0], Failure(attempt=other).id]


def test_an_error_says_what_became_of_it_or_why_it_was_not_studied(found):
    run, names = found
    texts = [as_text(Lineage(run).trace(name)) for name in names]
    assert f"in round 1: studied; rebuilt by program {layout.taught(run, 1)[0].program.id}" in texts[0]
    assert "in round 1: studied; no program came of it (runs: it does not load)" in texts[1]
    errors = len(layout.failures(layout.attempts(run, 1)))
    assert f"in round 1: not studied: {errors - 1} of its {errors} errors were drawn at random (generate.failures)" in texts[2]


def test_recorded_answers_to_held_out_items_are_not_mined_and_their_errors_not_studied(found):
    run, names = found
    stage, rows = layout.step(run, 1, "mine"), list(layout.attempts(run, 1))
    stage.finish({layout.ATTEMPTS: rows}, items=len(rows))
    was, told = document.build(run).rounds[0].mined, as_text(Lineage(run).trace(names[2]))
    held = attempt("bench0", "test", 900, "s", False, "w0")
    stage.finish({layout.ATTEMPTS: [*rows, held]}, items=len(rows) + 1)
    assert document.build(run).rounds[0].mined == was
    assert as_text(Lineage(run).trace(names[2])) == told
    assert "in round 1: not studied: it is a held-out item" in as_text(Lineage(run).trace(Failure(attempt=held).id))


def test_an_error_of_a_round_that_is_not_taught_yet_says_how_it_goes_on(found):
    run, names = found
    (run / "round-1/teach/manifest.json").unlink()
    assert "in round 1: not studied yet; `errata cycle --run" in as_text(Lineage(run).trace(names[2]))


def test_a_train_item_is_traced_to_its_error_or_its_right_answer(found):
    run, names = found
    lineage = Lineage(run)
    attempt = lineage.failures[names[0]]
    assert lineage.trace(attempt.example.id)["kind"] == "error"
    right = next(row for row in layout.attempts(run, 1) if row.verdict.correct)
    assert [one["attempt"]["response"] for one in lineage.trace(right.example.id)["attempts"]] == [right.response]


def test_a_run_whose_answers_to_held_out_items_are_gone_is_told_in_one_line(several, tmp_path):
    run = shutil.copytree(several[0], tmp_path / "run")
    shutil.rmtree(run / "evaluate")
    with pytest.raises(RunError, match=r"its answers to bench0 .* are gone from .*/run/evaluate; put that folder back"):
        document.build(run)


def test_weights_are_traced_to_the_stages_that_made_them(practised):
    text = as_text(Lineage(practised[0]).trace("w1")).splitlines()
    assert text == [
        "weights w1: made in round 1 by sft and grpo; the gate: accepted",
        "  sft from weights w0: 9 of 9 rows; 12 steps, loss 1.000 to 0.500",
        "  grpo from weights sft-w1: 96 sampled answers of 3,000 tokens; 12 steps, reward 0.250 to 0.750",
    ]


@pytest.fixture
def backwards(practised, tmp_path):
    """The same run, whose weights of round 1 are not those after grpo but lie on the way back from there."""
    run = shutil.copytree(practised[0], tmp_path / "run")
    manifest = run / "round-1/train-2/manifest.json"
    own = json.loads(manifest.read_bytes())
    nothing = {"rows_in": 0, "rows_kept": 0, "rows_truncated": 0, "steps": 0, "loss_first": 0, "loss_last": 0, "versions": {}, "data": "d"}
    (run / "round-1/train-3").mkdir()
    (run / "round-1/train-3/manifest.json").write_bytes(to_json({"report": nothing | {"base": "far", "weights": "w1", "back": 0.9}}))
    manifest.write_bytes(to_json(own | {"report": own["report"] | {"weights": "far"}}))
    decision = layout.decision(run, 1)
    said = (*decision.considered, {"stage": 2, "reason": "gain on dev", "forgetting": []})
    decision = decision.model_copy(update={"stage": 2, "considered": said})
    layout.step(run, 1, "gate").finish({layout.DECISION: [decision]}, accepted=True)
    return run, report.write(run)


def test_weights_on_a_way_back_are_told_as_what_they_are(backwards):
    run, result = backwards
    first = result.rounds[0]
    assert [(stage.name, stage.stands) for stage in first.stages] == [
        ("sft", False),
        ("grpo", False),
        ("0.9 of the way to grpo", True),
    ]
    assert first.train == first.stages[2].report
    assert "round-1/train-3" not in result.work
    assert as_text(Lineage(run).trace("w1")).splitlines() == [
        "weights w1: made in round 1 by sft and grpo and 0.9 of the way to grpo; the gate: accepted",
        "  sft from weights w0: 9 of 9 rows; 12 steps, loss 1.000 to 0.500",
        "  grpo from weights sft-w1: 96 sampled answers of 3,000 tokens; 12 steps, reward 0.250 to 0.750",
        "  0.9 of the way to grpo from weights far: no training, but a way back to the weights that the round began with",
    ]
    page = (run / "report.html").read_text()
    assert "<dt>the gate after grpo<dd>" in page and "<dt>the gate at 0.9 of the way to grpo<dd>gain on dev" in page


def test_the_page_draws_the_course_of_each_stage(practised):
    text = (practised[0] / "report.html").read_text()
    drawn = text.partition("<h3>grpo, rounds 1, 2</h3>")[2].partition("<h3>")[0]
    for measure in (
        "reward",
        "KL to the start, nats a token",
        "questions without a spread",
        "entropy, nats a token",
        "length of answers, tokens",
    ):
        assert f"<figcaption>{measure}</figcaption>" in drawn
    assert "<figcaption>loss</figcaption>" not in drawn
    assert "29 % to 75 %; 29 % to 75 %" in drawn
    assert "<figcaption>loss</figcaption>" in text.partition("<h3>sft, rounds 1, 2</h3>")[2].partition("<h3>")[0]


def test_how_far_weights_went_is_told_of_each_round_and_of_each_stage(practised, several):
    for path, lines in ((practised[0], ["1, sft", "1, grpo", "2, rejected, sft"]), (several[0], ["1", "2", "3, rejected"])):
        page, text = ((path / name).read_text() for name in ("report.html", "report.md"))
        for number, line in enumerate(lines, 1):
            kl = f"{0.0123 * (number if path == several[0] else 1 + (number == 3)):.4f}"
            assert f"| {line} | `replay` | 64 | 640 | {kl} | -0.0010 |" in text
            assert f"<tr><td>{line}<td>replay<td>64<td>640<td>{kl}<td>-0.0010" in page
    assert "| 1 | `guard` | 0 | 0 | not measured: " in text
