"""The gate: what it keeps, what it refuses, and that an unjudged item is no evidence."""

import pytest

from errata.programs.config import GateSettings
from errata.programs.stats import counts, paired, share
from errata.programs.steps.gate import chosen, decide
from errata.signatures.records import Attempt, Example, Verdict


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


def test_nothing_judged_is_no_gain():
    assert not decide("t", rows("uu"), rows("rr"), {}, GateSettings()).accepted


def test_weights_that_are_always_kept_are_told_apart_from_better_ones():
    always = GateSettings(keep="always")
    worse, better = decide("t", rows("r" * 40), rows("w" * 40), {}, always), decide("t", rows("w" * 40), rows("r" * 40), {}, always)
    assert (worse.accepted, worse.unproven) == (True, True)
    assert worse.reason == "kept as gate.keep says, though: no gain on dev: 0 fixed, 40 broken"
    assert (better.accepted, better.unproven) == (True, False)
    assert better.reason == decide("t", rows("w" * 40), rows("r" * 40), {}, GateSettings()).reason


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
    decision = chosen([after(0, "w" * 10 + "r" * 30), after(1, "r" * 40)], ("sft", "grpo"))
    assert decision.reason.startswith("after sft and grpo: gain on dev")
    assert (decision.accepted, decision.stage, decision.after) == (True, 1, 1.0)
    assert [one["stage"] for one in decision.considered] == [0, 1]


def test_a_later_stage_that_a_guard_refuses_leaves_the_earlier_one_standing():
    decision = chosen([after(0, "w" * 10 + "r" * 30), after(1, "r" * 40, guard="w" * 5 + "r" * 95)], ("sft", "grpo"))
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
        [after(0, "w" * 10 + "r" * 30, keep="always"), after(1, "r" * 40, keep="always", guard="w" * 5 + "r" * 95)], ("sft", "grpo")
    )
    assert (decision.stage, decision.unproven) == (0, False)
