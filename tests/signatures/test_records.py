"""Ids are hashes of content that stay the same when a record is renamed, so that runs and states of earlier versions fit."""

from errata.signatures.records import Attempt, Example, Rejection, Rollout, Rollouts, TeachingResult, Verdict


def test_renamed_records_keep_the_ids_of_their_first_names():
    rollout = Rollout(response="r", correct=True, reason="right")
    assert rollout.id == "92f6cafba4ea25e2"
    assert Rollouts(question="q", target="w", tries=(rollout,), tokens=1).id == "f393a7f7191fc2b9"
    assert TeachingResult(failure_ids=("f",), diagnosis=None, program=None).id == "3741d24f607e7df0"


def test_the_kind_of_an_item_changes_neither_its_id_nor_that_of_an_answer_to_it():
    example = Example(task="facts", split="train", question="Which?\nA. x\nB. y", answer="A", kind="choice", meta={"choices": {"A": "x"}})
    attempt = Attempt(example=example, response="Answer: B", verdict=Verdict(correct=False, extracted="B", reason="wrong"))
    assert (example.id, attempt.id) == ("68eb33ae44f68943", "7eca0d0655f0c173")


def test_a_reason_of_a_refusal_is_bounded_and_keeps_its_beginning_and_end():
    reason = "first " + "x" * 4_000_000 + " last"
    kept = Rejection(of="1", kind="program", check="runs", reason=reason).reason
    assert len(kept) <= 2000
    assert kept.startswith("first ") and kept.endswith(" last")
    assert "characters left out" in kept
    assert Rejection(of="1", kind="program", check="runs", reason="x" * 2000).reason == "x" * 2000
