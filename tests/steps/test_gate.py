"""The gate: what it keeps, what it refuses, and that an unjudged item is no evidence."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from errata.programs.config import GateSettings, load_config
from errata.programs.report.figures import outcomes
from errata.programs.report.records import Counts
from errata.programs.run import layout
from errata.programs.stats import change_interval, counts, items_needed, paired, share
from errata.programs.steps import gate
from errata.programs.steps.gate import chosen, decide, forgotten
from errata.programs.steps.session import Session
from errata.signatures.errors import BudgetReached, TargetError, TrainerError
from errata.signatures.records import Attempt, Example, Verdict
from errata.trainers.settings import TargetSettings
from errata.trainers.weights import weights_hash


def rows(pattern):
    """One attempt a letter: r right, w wrong, n no answer, u unjudged."""
    verdicts = {
        "r": Verdict(correct=True, extracted="1", reason="right"),
        "w": Verdict(correct=False, extracted="2", reason="wrong"),
        "n": Verdict(correct=False, extracted=None, reason="no answer"),
        "u": Verdict(correct=None, extracted=None, reason="the gold answer cannot be read"),
    }
    return [
        Attempt(example=Example(task="t", split="dev", question=str(i), answer="1"), response="", verdict=verdicts[letter])
        for i, letter in enumerate(pattern)
    ]


def test_a_gain_beyond_chance_is_kept():
    decision = decide("t", rows("w" * 20 + "r" * 80), rows("r" * 100), {}, GateSettings())
    assert decision.accepted
    assert (decision.fixed, decision.broken) == (20, 0)
    assert decision.p_value == pytest.approx(2 * 0.5**20)
    assert decision.low < 0.2 < decision.high


def test_a_gain_that_may_be_chance_is_refused_with_its_p_value():
    decision = decide("t", rows("w" * 5 + "r" * 5), rows("r" * 9 + "w"), {}, GateSettings())
    assert not decision.accepted
    assert "may be chance: p = 0.219" in decision.reason


def test_a_loss_is_refused():
    assert not decide("t", rows("r" * 40), rows("w" * 40), {}, GateSettings()).accepted


def test_a_guard_that_falls_beyond_the_margin_refuses_the_gain():
    better = (rows("w" * 40), rows("r" * 40))
    fallen = (rows("r" * 100), rows("r" * 97 + "w" * 3))
    decision = decide("t", *better, {"guard": fallen}, GateSettings())
    assert not decision.accepted
    assert decision.reason == "guard guard fell by 3.0 points, more than 2"
    assert decide("t", *better, {"guard": fallen}, GateSettings(margin=0.05)).accepted


def test_a_guard_that_was_not_judged_refuses_the_gain():
    decision = decide("t", rows("w" * 40), rows("r" * 40), {"guard": (rows("uu"), rows("rr"))}, GateSettings())
    assert not decision.accepted
    assert "guard guard has no item that was judged both before and after" in decision.reason


def test_unjudged_items_are_left_out_and_counted_not_wrong():
    before, after = rows("wwwu" + "r" * 6), rows("rrrr" + "r" * 5 + "u")
    told = paired(before, after)
    assert (told["pairs"], told["unjudged"], told["fixed"], told["broken"]) == (8, 2, 3, 0)
    assert counts(before) == {"items": 10, "right": 6, "wrong": 3, "no_answer": 0, "cut": 0, "unjudged": 1}
    assert share(before)["share"] == pytest.approx(6 / 9)


def test_no_readable_answer_is_wrong_and_counted_apart():
    assert counts(rows("rwnn")) == {"items": 4, "right": 1, "wrong": 3, "no_answer": 2, "cut": 0, "unjudged": 0}


def test_wrong_answers_that_looped_are_cut_and_counted_apart():
    found = [
        row.model_copy(update={"finish": finish}) for row, finish in zip(rows("rwww"), ("loop", "loop", "length", "stop"), strict=True)
    ]
    assert counts(found) == {"items": 4, "right": 1, "wrong": 3, "no_answer": 0, "cut": 2, "looped": 1, "unjudged": 0}
    told = outcomes(Counts(**counts(found)))
    assert told == "1 right, 3 wrong (of these 0 without a readable answer, 2 cut at the token limit or, 1 of them, in a loop), 0 unjudged"
    assert "looped" not in counts(rows("rwww"))


def test_nothing_judged_is_no_gain():
    assert not decide("t", rows("uu"), rows("rr"), {}, GateSettings()).accepted


def test_weights_that_are_always_kept_are_told_apart_from_better_ones():
    always = GateSettings(keep="always")
    worse, better = decide("t", rows("r" * 40), rows("w" * 40), {}, always), decide("t", rows("w" * 40), rows("r" * 40), {}, always)
    assert (worse.accepted, worse.unproven) == (True, True)
    assert worse.reason == "kept as gate.keep says, though: no gain on dev: 0 fixed, 40 broken"
    assert (better.accepted, better.unproven) == (True, False)
    assert better.reason == decide("t", rows("w" * 40), rows("r" * 40), {}, GateSettings()).reason


NOT_WORSE = GateSettings(rule="not_worse")
GAIN = (rows("w" * 60 + "r" * 540), rows("r" * 600))


def test_where_a_loss_must_be_ruled_out_a_gain_passes_when_no_interval_reaches_below_the_margin():
    guard = (rows("r" * 900 + "w" * 100), rows("r" * 895 + "w" * 105))
    decision = decide("t", *GAIN, {"guard": guard}, NOT_WORSE)
    assert (decision.accepted, decision.reason) == (True, "gain on dev, p = 1.7e-18; no interval reaches below -2 points")
    assert decision.guards[0]["low"] > -0.02


def test_a_guard_that_did_not_fall_is_refused_where_its_interval_leaves_a_loss_open_and_told_how_many_items_would_do():
    same = {"guard": (rows("r" * 60), rows("r" * 60))}
    assert decide("t", *GAIN, same, GateSettings()).accepted
    decision = decide("t", *GAIN, same, NOT_WORSE)
    assert not decision.accepted
    assert decision.reason == (
        "guard guard may be worse: 0 fixed and 0 broken of 60 items leave an interval (95 %) of -4.5 to +4.5 points, below -2; "
        "with such shares about 137 items would do: raise items.dev"
    )
    few, enough = ({"guard": (rows("r" * count), rows("r" * count))} for count in (136, 137))
    assert (decide("t", *GAIN, few, NOT_WORSE).accepted, decide("t", *GAIN, enough, NOT_WORSE).accepted) == (False, True)


def test_a_guard_whose_fall_is_the_margin_itself_is_helped_by_no_number_of_items():
    decision = decide("t", *GAIN, {"guard": (rows("r" * 100), rows("w" * 2 + "r" * 98))}, NOT_WORSE)
    assert "2 broken of 100 items" in decision.reason and decision.reason.endswith("no number of items changes that")


def test_where_a_loss_must_be_ruled_out_a_gain_beyond_chance_is_still_asked_for():
    some = (rows("w" * 5 + "r" * 5), rows("r" * 9 + "w"))
    assert "may be chance" in decide("t", *some, {}, NOT_WORSE).reason
    anyhow = decide("t", *some, {}, NOT_WORSE.model_copy(update={"alpha": 1.0}))
    assert anyhow.reason.startswith("dev may be worse: 5 fixed and 1 broken of 10 items")
    assert decide("t", rows("w" * 5 + "r" * 495), rows("r" * 500), {}, NOT_WORSE.model_copy(update={"alpha": 1.0})).accepted


def test_the_choice_among_stages_is_paid_for_in_the_intervals():
    guard = {"guard": (rows("r" * 140), rows("r" * 140))}
    assert decide("t", *GAIN, guard, NOT_WORSE).accepted
    decision = decide("t", *GAIN, guard, NOT_WORSE, choices=2)
    assert not decision.accepted and "an interval (97.5 %) of" in decision.reason


@pytest.mark.parametrize(("n", "fixed", "broken"), [(60, 0, 0), (600, 30, 30), (400, 3, 9), (50, 9, 2), (30, 0, 0)])
def test_with_as_many_items_as_are_said_to_be_needed_the_interval_stays_above_the_margin(n, fixed, broken):
    needed = items_needed(n, fixed, broken, 0.02 if broken < 9 else 0.05)
    margin = 0.02 if broken < 9 else 0.05
    at = [change_interval(count, fixed * count / n, broken * count / n)[0] for count in (needed - 1, needed)]
    assert at[0] < -margin <= at[1]


def test_the_intervals_are_the_published_ones():
    # Wilson (1927) for 8 of 10
    found = share(rows("r" * 8 + "w" * 2))
    assert (found["low"], found["high"]) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    # Bonett and Price (2012): (b + 1, c + 1) over n + 2, here b = 9, c = 2, n = 30
    told = paired(rows("w" * 9 + "r" * 2 + "r" * 19), rows("r" * 9 + "w" * 2 + "r" * 19))
    up, down = 10 / 32, 3 / 32
    half = 1.959964 * ((up + down - (up - down) ** 2) / 32) ** 0.5
    assert (told["low"], told["high"]) == pytest.approx((up - down - half, up - down + half), abs=1e-6)


def after(place, pattern, **settings):
    """The decision on the weights after one of two stages; twenty of forty items were right before."""
    guards = {"g": (rows("r" * 100), rows(settings.pop("guard", "r" * 100)))}
    decision = decide("t", rows("w" * 20 + "r" * 20), rows(pattern), guards, GateSettings(**settings), choices=2)
    return decision.model_copy(update={"stage": place})


def test_of_several_stages_the_one_that_gains_most_is_kept():
    decision = chosen([after(0, "w" * 10 + "r" * 30), after(1, "r" * 40)], ("after sft", "after sft and grpo"))
    assert decision.reason.startswith("after sft and grpo: gain on dev")
    assert (decision.accepted, decision.stage, decision.after) == (True, 1, 1.0)
    assert [one["stage"] for one in decision.considered] == [0, 1]


def test_a_later_stage_that_a_guard_refuses_leaves_the_earlier_one_standing():
    decision = chosen([after(0, "w" * 10 + "r" * 30), after(1, "r" * 40, guard="w" * 5 + "r" * 95)], ("after sft", "after sft and grpo"))
    assert (decision.accepted, decision.stage) == (True, 0)
    assert "guard g fell" in decision.considered[1]["reason"]


def test_the_choice_among_stages_is_paid_for_in_the_p_value():
    alone = decide("t", rows("w" * 6 + "r" * 20), rows("r" * 26), {}, GateSettings())
    among = decide("t", rows("w" * 6 + "r" * 20), rows("r" * 26), {}, GateSettings(), choices=2)
    assert alone.accepted
    assert among.p_value == pytest.approx(2 * alone.p_value)
    assert not among.accepted


def test_where_all_is_kept_what_the_gate_would_pass_comes_first():
    decision = chosen(
        [after(0, "w" * 10 + "r" * 30, keep="always"), after(1, "r" * 40, keep="always", guard="w" * 5 + "r" * 95)],
        ("after sft", "after sft and grpo"),
    )
    assert (decision.stage, decision.unproven) == (0, False)


@pytest.mark.parametrize(
    ("before", "after", "guard", "accepted", "found"),
    [
        ("r" * 300 + "w" * 300, "u" * 290 + "r" * 10 + "r" * 10 + "w" * 290, "r" * 300, False, (600, 10, 290)),
        ("w" * 300 + "r" * 300, "r" * 100 + "w" * 200 + "r" * 300, "u" * 299 + "r", False, (600, 100, 0)),
        ("u" * 300 + "r" * 300, "r" * 300 + "u" * 299 + "r", "r" * 300, False, (600, 300, 299)),  # both ways alike
        ("u" * 30 + "r" * 30, "u" * 30 + "r" * 30, "r" * 300, False, (30, 0, 0)),
        ("u" * 30 + "w" * 30, "r" * 30 + "r" * 30, "r" * 300, True, (60, 60, 0)),
    ],
)
def test_answers_that_nobody_can_judge_any_more_are_no_gain(before, after, guard, accepted, found):
    decision = decide("t", rows(before), rows(after), {"g": (rows("r" * 300), rows(guard))}, GateSettings())
    assert decision.accepted is accepted
    assert (decision.pairs, decision.fixed, decision.broken) == found
    assert ("guard g fell by 99.7 points" in decision.reason) is (guard[0] == "u")


# ---- a way back


@pytest.fixture
def backwards(tmp_path, monkeypatch):
    """A function that has the gate choose in a round of these stages; `answers` gives, for each place, dev items fixed and guard items lost
    of a hundred each; a cap on time is reached after so many `steps` back, and a step below 0.5 has a `failure`. Returns the decision, the
    shares that were gone to, and what was said."""

    def choose(stages, answers, steps=9, failure=None, **settings):
        config = load_config(overrides={"train.stages": stages, **{f"gate.{name}": value for name, value in settings.items()}})
        gone, said = [], []
        for place in range(len(stages)):
            made(tmp_path / "run", place, TRAINED | {"base": f"w{place}", "weights": f"w{place + 1}"})

        def go_back(target, start, share, out, in_process):
            if share < 0.5:
                raise failure or TargetError("big does not fit in memory")
            gone.append((target, start, share))
            made(tmp_path / "run", len(stages) + len(gone) - 1, TRAINED | {"base": target, "weights": f"b{len(gone)}", "back": share})

        def decided(run, number, place, choices):
            fixed, lost = answers[place]
            sides = {"g": (rows("r" * 100), rows("w" * lost + "r" * (100 - lost)) if lost is not None else rows("u" * 100))}
            decision = decide("t", rows("w" * 100), rows("r" * fixed + "w" * (100 - fixed)), sides, config.gate, choices)
            return decision.model_copy(update={"stage": place})

        class Run(SimpleNamespace):
            def candidate(self, number, place):
                return f"w{place + 1}"

            def base(self, number):
                return "w0"

        def check_time():
            if len(gone) == steps:
                raise BudgetReached(f"{steps} steps back")

        nothing = SimpleNamespace(check_time=check_time, busy=lambda title: nullcontext())
        run = Run(config=config, path=tmp_path / "run", guards=("g",), ledger=nothing, progress=nothing, in_process=True)
        run.say, run.close_target = said.append, lambda: None
        monkeypatch.setattr(gate, "go_back", go_back)
        monkeypatch.setattr(gate, "_decided", decided)
        return gate.among(run, 1, list(range(len(stages)))), gone, said

    return choose


TRAINED = {"data": "d", "rows_in": 1, "rows_kept": 1, "rows_truncated": 0, "steps": 1, "loss_first": 1, "loss_last": 1, "versions": {}}


def made(path, place, report):
    folder = layout.training(path, 1, place)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"report": report}))


def test_where_a_guard_alone_turns_down_what_gains_most_the_gate_goes_back_until_it_passes(backwards):
    decision, gone, said = backwards(["sft", "grpo"], [(30, 1), (60, 5), (50, 3), (40, 2)])
    assert gone == [("w2", "w0", 0.9), ("w2", "w0", 0.8)]  # from what gains most, though sft passes
    assert (decision.accepted, decision.stage, decision.after) == (True, 3, 0.4)
    assert decision.reason.startswith("at 0.8 of the way to grpo: gain on dev, p = ")
    assert [one["stage"] for one in decision.considered] == [0, 1, 2, 3]
    assert said == [
        "round 1: guard g fell by 5.0 points, more than 2: 0.9 of the way is looked at",
        "round 1: guard g fell by 3.0 points, more than 2: 0.8 of the way is looked at",
    ]


def test_a_lone_stage_has_a_way_back_too_and_the_nearest_that_passes_ends_it(backwards):
    decision, gone, _ = backwards(["sft"], [(60, 5), (50, 2)])
    assert gone == [("w1", "w0", 0.9)]
    assert decision.accepted and decision.reason.startswith("at 0.9 of the way to sft: gain on dev")


def test_where_nothing_on_the_way_passes_what_gains_most_is_told(backwards):
    decision, gone, _ = backwards(["sft"], [(60, 9), (50, 8), (40, 7)])
    assert len(gone) == 2
    assert not decision.accepted and decision.reason == "after sft: guard g fell by 9.0 points, more than 2"


@pytest.mark.parametrize(
    ("answers", "settings"),
    [
        ([(60, 0)], {}),  # it passes
        ([(3, 9)], {}),  # its gain may be chance, whatever the guard says
        ([(60, 9)], {"back": []}),
        ([(60, 9)], {"keep": "always"}),
        ([(60, 9)], {"rule": "not_worse"}),
        ([(60, None)], {}),  # the guard was not judged: other weights do not change that
    ],
)
def test_there_is_no_way_back_where_none_is_asked_for_or_none_helps(backwards, answers, settings):
    decision, gone, said = backwards(["sft"], answers, **settings)
    assert not gone and not said and not decision.considered


def test_the_way_ends_where_the_gain_may_be_chance(backwards):
    decision, gone, _ = backwards(["sft"], [(60, 9), (4, 0)])
    assert len(gone) == 1  # 4 of 100 are not beyond chance, and what lies behind gains less
    assert not decision.accepted


def test_a_gain_on_the_way_is_not_paid_for_again(backwards):
    better, _, _ = backwards(["sft"], [(60, 5), (50, 0)])
    assert better.p_value == pytest.approx(decide("t", rows("w" * 50 + "r" * 50), rows("r" * 100), {}, GateSettings()).p_value)


def test_a_way_that_cannot_be_gone_is_told_and_the_round_is_decided(backwards):
    decision, gone, said = backwards(["sft"], [(60, 9), (50, 8)], back=[0.9, 0.4])
    assert len(gone) == 1 and said[-1] == "round 1: no way back: big does not fit in memory"
    assert not decision.accepted and "guard g fell by 9.0 points" in decision.reason


@pytest.mark.parametrize("steps", [0, 1])
def test_no_step_back_begins_once_the_cap_on_time_is_reached(backwards, tmp_path, steps):
    with pytest.raises(BudgetReached, match=f"{steps} steps back"):
        backwards(["sft"], [(60, 9), (50, 8), (40, 7)], steps)
    assert len(layout.trainings(tmp_path / "run", 1)) == 1 + steps


def test_a_way_that_was_cut_off_decides_nothing_and_is_gone_again(backwards, tmp_path):
    killed = TrainerError("the training process was killed by signal 9 (9 is often the system, out of memory)")
    with pytest.raises(TrainerError, match=r"killed by signal 9 .*; with --set gate\.back=\[\] the round is decided without a way back"):
        backwards(["sft"], [(60, 9), (50, 8)], failure=killed, back=[0.9, 0.4])
    assert layout.decision(tmp_path / "run", 1) is None


def test_where_the_gate_is_asked_again_what_lies_on_the_way_is_no_stage(backwards, tmp_path):
    backwards(["sft"], [(60, 9), (50, 8), (40, 7)])
    assert (layout.trainings(tmp_path / "run", 1), layout.stages(tmp_path / "run", 1), layout.stands(tmp_path / "run", 1)) == (
        [0, 1, 2],
        [0],
        0,
    )


@pytest.fixture
def still(tmp_path):
    """A function that opens a run whose round trained nothing: four right answers of the first weights to train items, two of somebody
    else; and answers to the guard's dev items, of somebody else alone."""
    opened = []

    def start(model="tiny", **overrides):
        class Still(Session):
            def candidate(self, number, place=0):
                return TargetSettings(model=model)

        config = load_config(overrides={f"gate.{name}": value for name, value in overrides.items()})
        run = Still(config, tmp_path / "run", say=lambda line: None).__enter__()
        opened.append(run)
        right, own = Verdict(correct=True, extracted="1", reason="right"), weights_hash(config.target)
        given = [
            [Attempt(example=item, response=item.solution, verdict=right, target=whose) for item, whose in zip(items, owners, strict=True)]
            for items, owners in (
                (run.task.examples("train", 6), [own] * 4 + ["other"] * 2),
                (run.guards[0].examples("dev", 2), ["other"] * 2),
            )
        ]
        for stage, some in zip((run.stage(1, "mine"), layout.evaluation(run.path, own, "sums_plus", "dev")), given, strict=True):
            stage.finish({layout.ATTEMPTS: some}, **counts(some))
        return run

    yield start
    for run in opened:
        run.__exit__(None, None, None)


def test_forgetting_is_measured_on_answers_of_the_first_weights_alone(still):
    replay, guard = forgotten(still(), 1, 0)
    assert (replay.on, replay.prompts, replay.kl, replay.cross_entropy_rise, replay.reason) == ("replay", 4, 0.0, 0.0, "")
    assert (guard.on, guard.kl, guard.reason) == ("sums_plus", None, "not measured: no answer of the first weights is kept")


def test_forgetting_is_measured_on_as_many_answers_as_are_set(still):
    assert forgotten(still(forgetting=3), 1, 0)[0].prompts == 3


def test_forgetting_is_not_measured_where_it_is_switched_off(still):
    assert forgotten(still(forgetting=0), 1, 0) == ()


def test_weights_that_cannot_be_loaded_beside_the_first_ones_leave_a_reason_and_no_error(still):
    for row in forgotten(still(model="./nowhere"), 1, 0):
        assert row.kl is None and row.reason.startswith("not measured: no model folder at ./nowhere")
