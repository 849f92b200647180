"""Ids are hashes of content that stay the same when a record is renamed, so that runs and states of earlier versions fit."""

from errata.signatures.records import Rollout, Rollouts, TeachingResult


def test_renamed_records_keep_the_ids_of_their_first_names():
    rollout = Rollout(response="r", correct=True, reason="right")
    assert rollout.id == "92f6cafba4ea25e2"
    assert Rollouts(question="q", target="w", tries=(rollout,), tokens=1).id == "f393a7f7191fc2b9"
    assert TeachingResult(failure_ids=("f",), diagnosis=None, program=None).id == "3741d24f607e7df0"
