"""Two sources are compared on the items that both answered, and what makes the comparison doubtful is said."""

import json

import pytest
from fake_run import fake_run
from pages import HOSTILE
from recordings import jsonl
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import report
from errata.programs.run.directory import Stage
from errata.programs.stats import mcnemar
from errata.programs.view.diff import as_text, diff
from errata.programs.view.page import View
from errata.programs.view.pairing import content, paired, renamed
from errata.programs.view.sources import one
from errata.signatures.errors import UsageError
from errata.signatures.records import Attempt, Example, Verdict
from errata.signatures.terminal import visible


def row(number, right, *, gold="4", said=None, **more):
    """A row of others that says whether it is right."""
    return {"question": f"{number}: 2 + 2?", "answer": gold, "response": said or (gold if right else "5"), "is_correct": right} | more


def log(path, outcomes, **more):
    return one(str(jsonl(path, *(row(number, right, **more) for number, right in enumerate(outcomes)))))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Round 1 fixes and breaks items of a task and a guard."""
    path = fake_run(tmp_path_factory.mktemp("runs") / "run", {"t": ["one", "two"]}, {"g": ["x"]}, items=60)
    return path, report.write(path)


def test_given_against_accepted_says_what_the_report_says(run):
    path, said = run
    found = diff(one(f"{path}@given"), one(f"{path}@accepted"))
    assert found.split == "test"
    for name in ("t", "g"):
        known = said.evaluations[f"{name} test"]
        assert {k: v for k, v in found.benchmarks[name].change if k != "p_holm"} == {k: v for k, v in known.change if k != "p_holm"}
        assert [flip.id for flip in found.fixed if flip.benchmark == name] == known.fixed
        assert [flip.id for flip in found.broken if flip.benchmark == name] == known.broken
    whole = found.all.change
    assert whole.fixed == sum(one_.change.fixed for one_ in found.benchmarks.values())
    assert whole.p_value == mcnemar(whole.fixed, whole.broken)
    both = [one(f"{path}@{name}").items for name in ("given", "accepted")]
    assert [found.matched.only_a + found.matched.items, found.matched.only_b + found.matched.items] == both


def test_the_other_way_round_turns_every_figure(run):
    path, _ = run
    there, back = (diff(one(f"{path}@{a}"), one(f"{path}@{b}")) for a, b in (("given", "accepted"), ("accepted", "given")))
    assert (back.all.a, back.all.b) == (there.all.b, there.all.a)
    assert back.all.change.difference == -there.all.change.difference
    assert [flip.id for flip in back.broken] == [flip.id for flip in there.fixed]
    assert (back.all.items_needed, back.all.least_difference) == (there.all.items_needed, there.all.least_difference)


def test_p_values_of_skills_are_corrected_together_and_benchmarks_by_themselves(run):
    path, _ = run
    found = diff(one(f"{path}@given"), one(f"{path}@accepted"))
    assert sorted(found.skills) == ["t: one", "t: two"]
    for some in (found.skills, found.benchmarks):
        values = sorted((one_.change.p_value, one_.change.p_holm) for one_ in some.values())
        assert values[0][1] == min(1.0, 2 * values[0][0])


def test_logs_of_two_forms_are_matched_by_what_their_items_say(tmp_path):
    item = lambda n: {"question": f"{n}:  2 + 2?", "answer": "so\n#### 1,004"}  # noqa: E731
    samples = ({"doc": item(n), "resps": [["4"]], "filtered_resps": ["4"], "acc": float(n > 3)} for n in range(8))
    a = one(str(jsonl(tmp_path / "samples_adds.jsonl", *samples)))
    b = log(tmp_path / "b.jsonl", [True] * 6, gold="1004")
    found = diff(a, b)
    assert found.matched.model_dump() == {"items": 6, "by_content": 6, "only_a": 2, "only_b": 0, "repeated_a": 0, "repeated_b": 0}
    assert (found.all.change.fixed, found.all.change.broken) == (4, 0)
    assert any("judged by acc in A, is_correct in B" in note for note in found.notes)


def test_a_choice_is_the_same_item_however_it_is_laid_out():
    options = {"A": "oak", "B": "pine"}
    shown = Example(task="arc", split="test", question="Which?\nA. oak\nB. pine", answer="B", meta={"choices": options, "stem": "Which?"})
    turned = Example(
        task="x", split="", question="which? (A) Pine (B) Oak", answer="A", meta={"choices": {"A": "Pine", "B": "Oak"}, "stem": "which?"}
    )
    other = shown.model_copy(update={"answer": "A"})
    assert content(shown) == content(turned) != content(other)


@pytest.mark.parametrize("splits", [("test", "train"), ("train", "test")])
def test_an_item_that_one_side_learned_from_is_a_train_item(tmp_path, splits):
    sides = []
    for name, split in zip("ab", splits, strict=True):
        item = Example(task="t", split=split, question="2 + 2?", answer="4")
        verdict = Verdict(correct=name == "b", extracted="4", reason="")
        rows = [Attempt(example=item, response="4", verdict=verdict).model_dump(mode="json")]
        sides.append(one(str(jsonl(tmp_path / f"{name}.jsonl", *rows))))
    found = diff(*sides)
    assert found.split == "train" and any("these are train items" in note for note in found.notes)


def test_items_that_say_the_same_twice_are_not_guessed_at(tmp_path):
    a = one(str(jsonl(tmp_path / "a.jsonl", row(1, True), row(1, False))))
    b = log(tmp_path / "b.jsonl", [True, True])
    assert paired(a, b).repeated == (1, 0)
    twice = [row(1, True) | {"question": text} for text in ("1: 2 + 2?", "1:  2 + 2?")]
    with pytest.raises(UsageError, match=r"no item was answered in both: .* holds c; .* holds b; take the logs in"):
        paired(one(str(jsonl(tmp_path / "c.jsonl", *twice))), b)


def test_unjudged_pairs_count_on_neither_side_and_cut_ones_are_told(tmp_path):
    a = log(tmp_path / "a.jsonl", [True, False, True], finish_reason="length")
    rows = [row(0, True), row(1, True), row(2, True, is_correct=None, response=None)]
    found = diff(a, one(str(jsonl(tmp_path / "b.jsonl", *rows))))
    assert (found.all.change.pairs, found.all.a.right, found.all.b.right) == (1 + 1, 1, 2)
    assert "1 pair with an unjudged side left out" in found.notes
    assert any(note.startswith("cut answers: 1 of A, 0 of B") for note in found.notes)


def test_what_was_asked_otherwise_is_said(tmp_path):
    def samples(name, temperature, prompt):
        asked = {"arguments": [["Q", {"temperature": temperature}]], "resps": [["4"]], "filtered_resps": ["4"], "acc": 1.0}
        rows = ({"doc": {"question": f"{n}?", "answer": "4"}, "prompt_hash": f"{prompt}{n}", **asked} for n in range(3))
        return one(str(jsonl(tmp_path / name / "samples_t.jsonl", *rows)))

    notes = diff(samples("a", 0.0, "p"), samples("b", 0.7, "q")).notes
    assert notes[0].endswith("alike, which may make the difference: temperature 0.0 in A, 0.7 in B; decoding greedy in A, sampled in B")
    assert notes[1].startswith("the prompts differ on 3 of 3 items")
    assert notes[2].startswith("B sampled: other answers of the same weights would differ too")
    assert diff(samples("a", 0.0, "p"), samples("c", 0.0, "p")).notes == []


def test_the_same_answers_twice_are_refused_and_the_same_weights_elsewhere_are_told(run, tmp_path):
    path, _ = run
    with pytest.raises(
        UsageError, match=r"cannot be compared: both mean the weights \w+ of .*; name two that differ, e.g. of .*@given, .*@1"
    ):
        diff(one(f"{path}@1"), one(f"{path}@accepted"))
    again = fake_run(tmp_path / "again", {"t": ["one", "two"]}, {"g": ["x"]}, items=60)
    found = diff(one(f"{path}@given"), one(f"{again}@given"))
    assert found.same_weights
    assert found.notes[0].startswith("A and B are the same weights, ")
    assert (found.verdict, found.all.change.difference, found.all.items_needed) == ("same", 0.0, None)
    assert "no difference: every item came out alike" in as_text(found)


def test_a_run_whose_rounds_were_rejected_names_what_they_trained(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1, items=6, accepted=False)
    other = fake_run(tmp_path / "other", {"t": ["adds"]}, rounds=1, items=6)
    told = f"no round of {path} was accepted, so it means {path}@given; what its rounds trained: {path}@1"
    assert f"! {told}" in as_text(diff(one(str(path)), one(str(other)), "dev"))
    with pytest.raises(UsageError, match=f"no round of {path} was accepted.*name two that differ, e.g. of {path}@given, {path}@1"):
        diff(one(str(path)), one(f"{path}@given"))
    assert told not in as_text(diff(one(f"{path}@given"), one(f"{path}@1")))


def test_train_items_are_compared_only_where_they_are_asked_for_or_nothing_else_is_shared(run, tmp_path):
    path, _ = run
    train = Stage(path / "round-1/mine").read("attempts.jsonl", Attempt)
    file = jsonl(tmp_path / "attempts.jsonl", *(attempt.model_dump(mode="json") for attempt in train))
    found = diff(one(f"{path}@given"), one(str(file)))
    assert found.split == "train"
    assert any("they do not measure what was gained" in note for note in found.notes)
    with pytest.raises(UsageError, match="no item of split 'dev' was answered in both, only of train"):
        diff(one(f"{path}@given"), one(str(file)), "dev")
    assert diff(one(f"{path}@given"), one(f"{path}@accepted"), "dev").split == "dev"


def test_the_command_prints_text_and_one_json_document(run):
    path, _ = run
    shown = CliRunner().invoke(app, ["diff", f"{path}@given", str(path), "--limit", "1", "-q"])
    assert shown.exit_code == 0, shown.output
    assert f"errata trace {path} ID" in shown.output
    assert "the first 1 (--limit, --json: all)" in shown.output
    printed = CliRunner().invoke(app, ["diff", f"{path}@given", str(path), "--json", "-q"])
    document = json.loads(printed.stdout)
    assert len(document["fixed"]) == document["all"]["change"]["fixed"] > 1
    refused = CliRunner().invoke(app, ["diff", str(path), f"{path}@nobody", "-q"])
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1


def test_hostile_text_stays_on_its_line(tmp_path):
    hostile = f"{HOSTILE}\x1b[2J\n\n\x07"
    a, b = (
        log(tmp_path / name, [True, right, True], gold=f"{hostile}4", said=hostile)
        for name, right in (("a.jsonl", False), ("b.jsonl", True))
    )
    text = as_text(diff(a, b))
    assert visible(text) == text
    assert "fixed: 1 item" in text


def test_of_long_answers_the_end_is_told(tmp_path):
    long = "first 2 and 2 make a sum, " * 9
    a, b = (
        log(tmp_path / name, [True, right], said=f"{long}{said}") for name, right, said in (("a.jsonl", False, 5), ("b.jsonl", True, 4))
    )
    line = next(line for line in as_text(diff(a, b)).splitlines() if "1: 2 + 2?" in line)
    assert line.endswith("a sum, 4")
    assert "a sum, 5, B …" in line
    assert len(line) < 220


def test_an_answer_that_is_not_read_is_told_as_that(tmp_path):
    item = Example(task="t", split="test", question="2 + 2?", answer="4")
    sides = []
    for name, said in (("a", None), ("b", "4")):
        verdict = Verdict(correct=said == "4", extracted=said, reason="")
        sides.append(
            one(str(jsonl(tmp_path / f"{name}.jsonl", Attempt(example=item, response=f"{said}", verdict=verdict).model_dump(mode="json"))))
        )
    assert as_text(diff(*sides)).endswith("gold 4, A nothing read, B 4\n\nbroken: 0 items")


def test_a_page_of_several_sources_shows_an_item_once_whatever_each_calls_it(run, tmp_path):
    path, _ = run
    rows = list(one(f"{path}@given").benchmarks["t", "test"])[:5]
    told = ({"question": row.example.question, "answer": "4", "response": "5", "is_correct": False} for row in rows)
    file = jsonl(tmp_path / "theirs.jsonl", *told, row(99, True))
    sides = [one(f"{path}@given"), one(str(file))]
    first, second = renamed(sides)
    assert first == {}
    assert {earlier for _, earlier in second.items()} == {(("t", "test"), row.example.id) for row in rows}
    shown = View([f"{path}@given", str(file)])
    assert len(shown.items) == sides[0].items + 1
    assert [len(shown.texts(item)[3]) - shown.texts(item)[3].count(None) for item in shown.items].count(2) == 5
