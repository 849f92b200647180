"""The verdict `label`: which label a response gives, the list of labels and what is wrong with one, and what is asked."""

import json
import time
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from errata.signatures.errors import TaskError, UsageError
from errata.signatures.records import SEVERAL
from errata.tasks import load_task
from errata.tasks.doctor import doubts
from errata.tasks.settings import TableSettings
from errata.tasks.verdicts import label

LINES = (Path(__file__).parent / "readings_label.jsonl").read_text(encoding="utf-8").splitlines()
LABELS = ("billing", "refund", "refund_request", "Technical Issue", "other")


@pytest.mark.parametrize(("what", "text", "read"), [tuple(json.loads(line)) for line in LINES])
def test_label_of_a_response_is_read_as_the_table_says(what, text, read):
    labels = what.split("`")[1].split(", ")
    assert label.read(text, labels) == (read or "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tolerance": 0.1}, "table.tolerance is set, and the verdict label does not read it: only json does; leave it out"),
        ({"rubric": "Be kind."}, "set table.verdict=judge"),
        ({"verdict": "exact", "choices": ["a", "b"]}, "only choice and label do"),
        ({"verdict": "number", "pattern": "x"}, "only regex does"),
    ],
)
def test_a_setting_that_the_verdict_does_not_read_is_refused(tmp_path, settings, said):
    with pytest.raises(UsageError, match=said):
        task(tmp_path, ["a", "b"] * 2, **settings)


def test_what_may_be_a_mistake_in_the_rows_is_told(tmp_path):
    made = task(tmp_path, ["a", "b"] * 3 + ["aa"])
    assert made.form.taken == "the labels are those of 7 train rows: a, aa, b (of one row alone, perhaps by mistake: aa)"
    assert doubts(made) == []
    (tmp_path / "dev.jsonl").write_text(json.dumps({"question": "Text 0 of train", "answer": "b"}), encoding="utf-8")
    (said,) = doubts(load_task(f"jsonl:{tmp_path}", TableSettings(verdict="label")))
    assert said == "one question has several gold answers, e.g. 'Text 0 of train': 'a' (train) and 'b' (dev)"
    rows = [{"question": f"Text {place} of train", "answer": "a"} for place in (0, 2)]
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (said,) = doubts(load_task(f"jsonl:{tmp_path}", TableSettings(verdict="label")))
    assert said == "2 held-out items are asked in train too, e.g. 'Text 0 of train' (dev): there memory is measured"


LOOPS = (
    "billing ",
    "not billing ",
    "label: ",
    "label is ",
    "a-a",
    "a_a ",
    "refund_",
    "{",
    '{"label": ',
    " ",
    "\n",
    "**",
    "Antwort ",
    "technical ",
    "\u2019",
    "(",
    "é",
)


@pytest.mark.parametrize("loop", LOOPS)
def test_time_grows_with_the_length_alone(loop):
    def seconds(size):
        begun = time.process_time()
        label.read((loop * size)[:size], LABELS)
        return time.process_time() - begun

    few = max(seconds(20_000), 0.02)
    assert seconds(80_000) < 12 * few


def task(tmp_path: Path, golds, dev=(), **settings):
    for split, some in (("train", golds), ("dev", dev or golds[:1])):
        rows = "".join(json.dumps({"question": f"Text {number} of {split}", "answer": gold}) + "\n" for number, gold in enumerate(some))
        (tmp_path / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    return load_task(f"jsonl:{tmp_path}", TableSettings(**{"verdict": "label", **settings}))


def test_labels_of_the_config_are_asked_for_told_and_judged_in_their_spelling(tmp_path):
    made = task(tmp_path, ["Billing", "refund request"], ["other"], choices=LABELS)
    first, second = made.examples("train")
    assert (first.kind, first.answer, second.answer) == ("label", "billing", "refund_request")
    (message,) = made.prompt(first)
    told = "billing, refund, refund_request, Technical Issue, other"
    assert message == {"role": "user", "content": f"Text 0 of train\nAnswer with one of these labels alone: {told}."}
    assert told in made.brief and told in task(tmp_path, ["other"], choices=LABELS, brief="Tickets of a shop.").brief
    assert made.completion("They were charged twice.", "billing") == "billing"
    assert made.verdict(first, "Label: billing").correct
    wrong = made.verdict(second, "refund")
    assert (wrong.correct, wrong.extracted, wrong.reason) == (False, "refund", "wrong")
    several = made.verdict(first, "billing or refund")
    assert (several.correct, several.extracted, several.reason) == (False, None, SEVERAL)
    assert made.verdict(first, "shipping").reason == "no answer"


def test_labels_are_those_of_the_train_rows_where_the_config_names_none(tmp_path):
    made = task(tmp_path, ["spam", "ham"] * 3, ["ham"])
    assert made.brief.endswith("The 2 labels: ham, spam.")
    assert made.form.taken == "the labels are those of 6 train rows: ham, spam"
    assert yaml.safe_load(made.form.setting) == {"table.choices": ["ham", "spam"]}
    assert made.prompt(made.examples("dev")[0])[0]["content"].endswith("one of these labels alone: ham, spam.")


def test_labels_may_be_numbers_and_words_that_yaml_reads_otherwise_are_refused(tmp_path):
    made = task(tmp_path, [1, -1, 0.5], choices=[1, -1, 0.5])
    assert [example.answer for example in made.examples("train")] == ["1", "-1", "0.5"]
    with pytest.raises(ValidationError, match="yes, no, on, off, true and false are not texts in YAML: put each in quotes"):
        TableSettings(verdict="label", choices=yaml.safe_load("[yes, no]"))
    assert task(tmp_path, [True, False], choices=["true", "false"]).examples("train")[0].answer == "true"


def test_reasons_may_be_trained_on_before_the_label(tmp_path):
    made = task(tmp_path, ["other"], choices=LABELS, completion="{solution}\nLabel: {answer}")
    assert (
        made.completion("They ask for billing first, then for more.", "other") == "They ask for billing first, then for more.\nLabel: other"
    )
    assert made.verdict(made.examples("train")[0], made.completion("They ask for billing first.", "other")).correct
    assert "one of these labels: billing" in made.prompt(made.examples("train")[0])[0]["content"]


@pytest.mark.parametrize(
    ("golds", "dev", "choices", "told"),
    [
        (
            ["spam", "ham"] * 2,
            ["eggs"],
            None,
            r"dev.jsonl, line 1: the answer 'eggs' is not one of the labels of the train rows",
        ),
        (
            ["spam", "eggs"],
            [],
            ["spam", "ham"],
            r"line 2: the answer 'eggs' is not one of the labels of table.choices \(spam, ham\)",
        ),
        (["spam", "ham"] * 2, ["Ham"], None, "dev.jsonl, line 1: the answer 'Ham' is written 'ham' in train"),
        (["spam", "Spam", "ham", "ham", "ham", "ham"], [], None, "the label 'spam' differs from 'Spam' only in how it is written"),
        (["Rome", "Paris", "Oslo"], [], None, "3 different answers in 3 train rows are too many to be taken for labels"),
        ([f"{number % 60}" for number in range(200)], [], None, "60 different answers in 200 train rows are too many"),
        (["spam"] * 4, [], None, r"two or more texts that are not empty, not of \['spam'\]"),
        (["spam"], [], ["spam"], r"two or more texts that are not empty, not of \['spam'\]"),
        (["spam"], [], ["spam", ""], "two or more texts that are not empty"),
        (["spam"], [], ["spam", "ham", "spam"], "the label 'spam' stands twice in the list"),
        (["spam"], [], "label", "'label' is one text; the verdict `label` takes a list of labels"),
    ],
)
def test_labels_that_cannot_be_are_told_in_one_line(tmp_path, golds, dev, choices, told):
    with pytest.raises((TaskError, UsageError), match=told) as error:
        task(tmp_path, golds, dev, choices=choices)
    assert "\n" not in str(error.value)
