"""Numbers read from free text, with counter-cases, and the verdict on recorded solutions."""

import json
import os
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest
from readings import readings

from errata.tasks.verdicts import number

_OWN_FORM = re.compile(r"####|(?i:answer)|boxed|A:|\n|\A\Z|\A#|So |All |ISBN|Adding|asked")
"""Texts that are marked already, or are more than their answer."""
SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def shared_rows(name: str) -> list[dict]:
    file = SHARED / name
    if not file.exists():
        pytest.skip(f"no {file}: set ERRATA_SHARED_DATA to the folder with the public data")
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


@pytest.mark.parametrize(("text", "read"), [*readings("number"), *readings("number_more")])
def test_a_number_is_read_whole_or_not_at_all(text, read):
    value = number.extract(text)
    assert (None if value is None else number.show(value)) == read


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("7.5", "7.5"),
        ("1,200", "1200"),
        ("-3", "-3"),
        ("−3", "-3"),
        ("$-3", "-3"),
        ("-$3", "-3"),
        ("1/2", "0.5"),
        ("1 1/2", "1.5"),
        ("1½ cups", "1.5"),
        ("1/3", "1/3"),
        ("$18.00", "18"),
        ("20 %", "20"),
        ("20%", "20"),
        ("1.2e3", "1200"),
        ("1.2 × 10^3", "1200"),
        ("1\u202f200", "1200"),
        ("160 windows", "160"),
        ("So 5 and 3 make 8 apples.", "8"),
        ("8-5=3", "3"),
        ("It costs $1,234,567.89.", "1234567.89"),
        ("Ann has 3*4=<<3*4=12>>12 pens.\n#### 12", "12"),
        ("#### 72", "72"),
        ("#### $1,200.50", "1200.5"),
        ("#### -4\nThat was 3 steps.", "-4"),
        ("A: 72\n", "72"),
        ("Answer: 72 (not 5)", "72"),
        ("**Answer:** 72, after 5 days", "72"),
        ("The answer is 72. I used 2 steps.", "72"),
        ("The answer is 3 + 4 = 7.", "7"),
        ("The answer is **$72.50**. Check: 5", "72.5"),
        (r"Thus $\boxed{72}$ in 3 steps", "72"),
        (r"\boxed{\frac{1}{2}} of 6", "0.5"),
        (r"\boxed{1{,}200}", "1200"),
        ("#### 1. Add up\n5\nThe answer is 72", "72"),
        ("#### 220 windows.", "220"),
        ("a\u2028b\u0085 #### 5", "5"),
    ],
)
def test_an_answer_is_read_in_every_usual_form(response, value):
    read = number.extract(response)
    assert read is not None
    assert number.show(read) == value


@pytest.mark.parametrize(
    "response",
    [
        "",
        "I do not know.",
        "1,20",
        "12,34",
        "#### 1,20",
        "I had 9. #### 1,20",
        "at 3:30",
        "the answer is 3:30",
        "1.2.3",
        "3/4/2020",
        "1/0",
        "x2",
        "1e999999999",
        "3" * 5000,
    ],
)
def test_what_is_not_one_number_is_no_answer(response):
    verdict = number.verdict("3", response)
    assert (verdict.correct, verdict.extracted) == (False, None)
    assert verdict.reason == "no answer" or verdict.reason.startswith("not one number: ")


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("5", "25"),
        ("25", "5"),
        ("5", "#### 5.5"),
        ("3", "-3"),
        ("20", "0.2"),
        ("0.2", "20 %"),
        ("1200", "1.2"),
        ("33.33", "100/3"),
        ("9007199254740993", "9007199254740992"),
        ("12", "12 and then 13"),
        ("3", "#### 4\nnot 3"[:6]),
    ],
)
def test_a_number_that_only_resembles_the_gold_is_wrong(gold, response):
    verdict = number.verdict(gold, response)
    assert verdict.correct is False
    assert verdict.reason == "wrong"


@pytest.mark.parametrize(("gold", "response"), [("20", "20 %"), ("1/4", "0.25"), ("8", "$8.00"), ("2,125", "A: 2125"), ("40/1", "40")])
def test_equal_numbers_in_other_forms_are_right(gold, response):
    assert number.verdict(gold, response).correct is True


def test_any_text_is_read_without_a_fault():
    words = "\\frac \\boxed ½ ² answer is #### and to kg million \\sqrt 10^ ٣ ７ << {1}"
    parts = [*" 0123456789.,-/^{}()[]=$%×xe~'_*`#\n", *words.split()]
    rng = random.Random(1)
    for _ in range(2000):
        text = "".join(rng.choice(parts) for _ in range(rng.randint(1, 40)))
        assert number.verdict("5", text).correct in (True, False)
        number.read(text)


def test_the_reason_tells_what_is_not_one_number_from_nothing_said():
    assert number.verdict("5", "I do not know.").reason == "no answer"
    assert number.verdict("5", "#### 5-7").reason == "not one number: '5-7'"
    assert number.verdict("5", "#### seven").reason == "not one number: 'seven'"


def test_a_word_that_multiplies_is_a_unit_where_the_question_counts_in_it():
    assert number.verdict("2", "#### 2 million").correct is False
    assert number.verdict("2000000", "#### 2 million", "How many million stars?").correct is True
    verdict = number.verdict("2", "#### 2 million", "How many million stars?")
    assert (verdict.correct, verdict.extracted) == (True, "2")


@pytest.mark.parametrize(
    "form", ["#### {}", "The answer is {}.", "Answer: {}", "\\boxed{{{}}}", "**Answer:** **{}**", "I first had 9.\n#### {}"]
)
def test_a_marked_number_is_read_as_a_bare_one(form):
    told = [(text, read) for text, read in readings("number") if not _OWN_FORM.search(text)]
    values = [number.extract(form.format(text)) for text, _ in told]
    assert [(text, None if value is None else number.show(value)) for (text, _), value in zip(told, values, strict=True)] == told
    assert len(told) > 300


def test_nothing_read_never_equals_nothing():
    assert not number.same(None, None)
    assert not number.same(None, Fraction(1))


@pytest.mark.parametrize("gold", ["", "unknown", "3:30", "5 or 6"])
def test_an_unreadable_gold_leaves_the_response_unjudged(gold):
    for response in ("", "#### 5"):
        verdict = number.verdict(gold, response)
        assert verdict.correct is None
        assert "gold" in verdict.reason


def test_a_completion_ends_in_the_answer_once():
    assert number.completion("3+4=7", "7") == "3+4=7\n#### 7"
    assert number.completion("3+4=7\n#### 7", "7") == "3+4=7\n#### 7"
    assert number.completion("3+4=7\n#### 7\n", "7") == "3+4=7\n#### 7"
    assert number.completion("", "7") == "#### 7"
    assert number.completion("we get 17", "7") == "we get 17\n#### 7"


def test_verdict_agrees_with_2640_published_verdicts():
    kinds = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    disagreements, judged = [], 0
    for row in shared_rows("gsm8k/recorded_gpt3_solutions.jsonl"):
        for kind in kinds:
            verdict = number.verdict(row["ground_truth"].rpartition("A:")[2], row[kind]["solution"])
            judged += 1
            if verdict.correct is not row[kind]["is_correct"]:
                disagreements.append((kind, row["question"]))
    assert judged == 2640
    assert disagreements == []


@pytest.mark.parametrize("file", ["gsm8k/train.jsonl", "gsm8k/test.jsonl", "gsm_plus/test.jsonl"])
def test_every_gold_answer_of_the_public_sets_is_read(file):
    for row in shared_rows(file):
        gold = row.get("extracted_answer") or row["answer"].rpartition("####")[2]
        assert number.verdict(gold, f"so\n#### {gold.strip()}").correct is True, gold
