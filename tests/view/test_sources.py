"""What was answered is found from a run directory, under the names that people give to its weights."""

import re
import shutil

import pytest
from fake_run import fake_run

from errata.programs.view.sources import one, outcome, read
from errata.signatures.errors import ErrataError, UsageError
from errata.signatures.records import Attempt, Example, Verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two rounds: the first is accepted, the second rejected."""
    return fake_run(tmp_path_factory.mktemp("runs") / "a@home", {"t": ["one", "two"]}, {"g": ["x"]})


def test_a_run_holds_its_weights_in_the_order_in_which_they_came_about(run):
    found = read(str(run))
    assert [some.source for some in found] == [f"{run}@given", f"{run}@1", f"{run}@2"]
    assert [some.title for some in found] == ["weights as given", "round 1, accepted", "round 2, not accepted"]
    both = [("g", "test"), ("t", "test"), ("g", "dev"), ("t", "dev")]
    assert [list(some.benchmarks) for some in found] == [[*both, ("t", "train")], [*both, ("t", "train")], both[2:]]
    first, later = ([row.verdict.correct for row in some.benchmarks["t", "test"]] for some in found[:2])
    assert first != later


@pytest.mark.parametrize("name", ["given", "1", "2", "1:sft", "1:1", "accepted"])
def test_each_name_of_weights_finds_them_again(run, name):
    (found,) = read(f"{run}@{name}")
    assert found.source == f"{run}@{name}"
    assert name in found.names
    (by_hash,) = read(f"{run}@{found.weights}")
    assert by_hash.weights == found.weights


def test_a_run_without_a_name_means_the_weights_it_came_to(run, tmp_path):
    assert "accepted" in one(str(run)).names
    assert one(str(fake_run(tmp_path / "none", {"t": ["one"]}, accepted=False, items=4))).names == ("given",)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{run}@acepted", "did you mean accepted?"),
        ("{run}@3", "holds no answers of '3', only of given, 1, 2"),
        ("{run}@w", r"begins the hash of .*@given \(w0\) and .*@1 \(w1\) and .*; give more of it, four digits at least"),
        ("{run}/nowhere", "there is no"),
        ("~there-is-no-such-user/x", "there is no ~there-is-no-such-user/x"),
        (f"{'x' * 5000}@given", "there is no x"),
        ("a\0b", "there is no"),
        ("", "a source is empty"),
        ("@given", "names nothing before or behind its @"),
        ("{run}@", "names nothing before or behind its @"),
        ("{parent}", "is neither a run directory, .*; runs near it: {run}$"),
        ("{run}/round-1", "is neither a run directory, .*; runs near it: {run}$"),
    ],
)
def test_a_source_that_is_not_there_is_refused_with_what_is(run, source, said):
    with pytest.raises(UsageError, match=said.replace("{run}", re.escape(str(run)))):
        read(source.format(run=run, parent=run.parent))


def test_the_beginning_of_a_hash_names_its_weights_when_it_is_of_one_alone(run, tmp_path):
    path = shutil.copytree(run, tmp_path / "run")
    (path / "evaluate/w0").rename(path / "evaluate/abcd0")
    shutil.copytree(path / "evaluate/abcd0", path / "evaluate/abcd1")
    with pytest.raises(UsageError, match=r"begins the hash of .*abcd0.* and .*abcd1.*; give more of it"):
        read(f"{path}@abcd")
    assert [some.weights for some in read(f"{path}@abcd0")] == ["abcd0"]


def test_a_folder_without_runs_or_logs_is_neither(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"is neither a run directory, which holds run\.json, nor a folder of logs"):
        read(str(tmp_path))


def test_a_run_without_answers_says_how_it_goes_on(run, tmp_path):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(ErrataError, match="holds no finished answers yet; `errata cycle --run"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("correct", "extracted", "finish", "wanted"),
    [
        (True, "4", "length", "right"),
        (False, "5", "stop", "wrong"),
        (False, None, "stop", "unread"),
        (False, None, "length", "cut"),
        (False, "5", "loop", "cut"),
        (None, None, "length", "unjudged"),
    ],
)
def test_each_answer_has_one_outcome(correct, extracted, finish, wanted):
    item = Example(task="t", split="test", question="2 + 2?", answer="4")
    verdict = Verdict(correct=correct, extracted=extracted, reason="")
    assert outcome(Attempt(example=item, response="", verdict=verdict, finish=finish)) == wanted
