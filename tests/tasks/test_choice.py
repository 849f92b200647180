"""Options read from free text, with counter-cases, and the recorded answers that a letter regex sorted."""

import json
import os
import time
from pathlib import Path

import pytest
from readings import readings

from errata.tasks.verdicts import choice

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
CITIES = {"A": "Paris", "B": "The city of Rome", "C": "Berlin", "D": "None of the above"}
NUMBERS = {"A": "4", "B": "6", "C": "12", "D": "24"}
PLAIN = {"A": "moss", "B": "liverwort", "C": "fern", "D": "mushroom"}


CAPITALS = {"A": "Paris", "B": "Rome", "C": "Berlin", "D": "Madrid"}


@pytest.mark.parametrize(("response", "label"), [*readings("choice"), *readings("choice_more")])
def test_a_choice_is_read_in_every_dress_and_never_guessed(response, label):
    assert choice.read(response, CAPITALS) == label


LABELS = [
    ({"a": "Paris", "b": "Rome"}, "b", ["b", "B", "(b)", "b)", "B.", "The answer is b", "The answer is B", "Answer: (b)", "Rome"]),
    ({"(A)": "Paris", "(B)": "Rome"}, "(B)", ["B", "(B)", "Answer: B", "The answer is (B)."]),
    (
        {"yes": "it is", "no": "it is not"},
        "yes",
        ["Yes", "yes.", "The answer is Yes.", "There is no doubt. Answer: yes", "**Yes**", "Yes, as"],
    ),
    ({"yes": "it is", "no": "it is not"}, "no", ["No, it is not.", "Answer: NO"]),
    ({"yes": "it is", "no": "it is not"}, None, ["Yes or no", "Yes/No", "Perhaps"]),
    (
        {"entailment": "entailment", "neutral": "neutral"},
        "neutral",
        ["Neutral", "The answer is neutral.", "Label: neutral", '{"label":"neutral"}'],
    ),
    (
        {"1": "Paris", "2": "Rome", "3": "Berlin"},
        "2",
        ["2", "(2)", "Answer: 2", "2. Rome", "２", "②", "2️⃣", '{"answer": 2}', "答案是2", "Option 2", "\\boxed{2}", "٢"],
    ),
    ({"А": "Париж", "Б": "Рим"}, "Б", ["Б", "Ответ: Б", "Правильный ответ — Б.", "б", "(Б)", "Рим"]),
    ({"А": "Париж", "Б": "Рим"}, "А", ["A", "Ответ: А"]),
    ({"甲": "巴黎", "乙": "罗马"}, "乙", ["乙", "答案是乙", "答案：乙", "正解は乙です", "罗马", "选乙。"]),
    ({"I": "Paris", "II": "Rome", "III": "Berlin"}, "II", ["II", "Answer: II", "The answer is II.", "Option II", "Ⅱ"]),
    ({"가": "파리", "나": "로마"}, "나", ["나", "정답: 나", "정답은 나입니다"]),
    ({"A": "don't", "B": "do not"}, "A", ["don’t", "The answer is don’t."]),
    ({"A": "10²", "B": "102"}, "B", ["102", "The answer is 102."]),
    ({"A": "Café", "B": "Cafe"}, "A", ["Café", "Cafe\u0301", "café"]),
]


@pytest.mark.parametrize(("choices", "label", "response"), [(row[0], row[1], text) for row in LABELS for text in row[2]])
def test_labels_of_every_kind_are_read_in_any_case(choices, label, response):
    assert choice.read(response, choices) == label


LOOPS = (
    "A ",
    "answers are:\n",
    "is A. ",
    "answer ",
    " ",
    "(A",
    "{",
    '"a" ',
    "A is correct. ",
    "答案是",
    '{"answer": "A", ',
    "A and ",
    "<b ",
)


@pytest.mark.parametrize("loop", LOOPS)
def test_time_is_bounded_however_long_a_response_is(loop):
    def seconds(size):
        begun = time.process_time()
        choice.read((loop * size)[:size], CAPITALS)
        return time.process_time() - begun

    few = max(seconds(12_000), 0.02)
    assert seconds(1_200_000) < 12 * few


@pytest.mark.parametrize(
    ("response", "label"),
    [
        ("The answer is B", "B"),
        ("The answer is (B).", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("b", "B"),
        ("**B**", "B"),
        ("**Answer:** B", "B"),
        ("Answer: B) liverwort", "B"),
        ("ANSWER: c", "C"),
        (r"Thus the answer is \boxed{C}.", "C"),
        (r"\boxed{\text{C}}", "C"),
        ("It has leaves.\n#### C", "C"),
        (" B. liverwort\n\nExplanation: a moss has none.", "B"),
        ("The correct option is D, because it has gills.", "D"),
        ("Option D is the most suitable answer.", "D"),
        ("B is the correct answer.", "B"),
        ("I would choose C.", "C"),
        ("So it must be option C: fern", "C"),
        ("The organism is most likely a liverwort (B). A moss has none.", "B"),
        ("It is a liverwort.", "B"),
        ('The best description is "fern".', "C"),
        ("The answer is fern.", "C"),
        ("The answer is A because it is small.", "A"),
        ("The answer is:\n\nB. liverwort", "B"),
        ("At first A or C look right.\nFinal answer: C", "C"),
        ("Option A is wrong. Option B is wrong. Option D is wrong. So the answer is C.", "C"),
        ("The answer is A. No, wait: the correct answer is D.", "D"),
        ("A. moss\nB. liverwort\nC. fern\nD. mushroom\n\nThe closest answer is D.", "D"),
        ("C. fern\n\nOption A is not correct because a moss has no veins. Option B is incorrect too.", "C"),
        ("So, B.", "B"),
        ("Hence, C", "C"),
        ("I think it's D", "D"),
        ("[D]", "D"),
        ("The answer is 'C'", "C"),
        ("The answer is clear: C.", "C"),
        ("The correct answer is not A but C.", "C"),
        ("The answer is A. On reflection, I would change it to C.", "C"),
        ("As a moss is ruled out, it is a fern.", "C"),
        ("I hope that it helps. Final Answer: The final answer is $\\boxed{C}$.", "C"),
        ("Between B and C, the better choice is C.", "C"),
        ("None of the options fits well, but the closest answer is B.", "B"),
        ("Answer: A. Note that the common wrong answer is B.", "A"),
        ("The answer is A.\n\nThe incorrect answer is B.", "A"),
        ("The correct answer is A. A wrong choice would be B.", "A"),
        ("The answer is A. The least likely answer is C.", "A"),
        ("Answer: A\nThe worst option is D.", "A"),
        ("The best answer is A; the second best answer is B.", "A"),
        ("The incorrect answer is B and the correct answer is A.", "A"),
        ("B is wrong, so the answer is A.", "A"),
        ("The answer is A. That is wrong. The answer is D.", "D"),
        ("A, B and C are true. The incorrect option is D.", "D"),
        ("The least likely answer is C.", "C"),
        ("The most common answer is B.", "B"),
    ],
)
def test_a_choice_is_read_from_free_text(response, label):
    assert choice.read(response, PLAIN) == label


@pytest.mark.parametrize(
    "response",
    [
        "",
        "I cannot tell.",
        "None of the options A, B, C, or D is correct.",
        "The correct answer is not provided among the given options.",
        "A plant of this kind grows in shade.",
        "A. moss\nB. liverwort\nC. fern\nD. mushroom",
        "Vitamin C helps plants. Group B streptococci do not.",
        "A moss and a fern are plants.",
        "Plants need vitamin C.",
        "B. liverwort is close, but the answer is not among the given choices. The correct answer is an alga.",
        "It is found on Mount A",
    ],
)
def test_no_choice_is_no_answer(response):
    verdict = choice.verdict(PLAIN, "A", response)
    assert (verdict.correct, verdict.extracted, verdict.reason) == (False, None, "no answer")


@pytest.mark.parametrize(
    "response",
    [
        "The answer is A and C.",
        "The answer is either B or C.",
        "The answer is:\nA. moss\nor\nC. fern",
        "Both A and D are the correct answers.",
        "The correct answers are:\nA. moss\nC. fern",
        "A\nC",
        "(A) (C)",
        "Die Antwort ist A oder C.",
        '{"answer": ["A", "C"]}',
    ],
)
def test_several_choices_are_unread_with_that_reason(response):
    verdict = choice.verdict(PLAIN, "A", response)
    assert (verdict.correct, verdict.extracted, verdict.reason) == (False, None, "several answers")


def test_none_of_the_above_is_a_choice_where_an_option_says_so():
    assert choice.read("The answer is none of the above.", CITIES) == "D"
    assert choice.read("None of the above is right.", PLAIN) is None


def test_two_labels_are_one_choice_where_an_option_has_these_words():
    both = {"A": "mass", "B": "charge", "C": "both A and B", "D": "neither A nor B"}
    assert choice.read("C. both A and B\n\nTherefore, both A and B are correct.", both) == "C"
    assert choice.read("The answer is both A and B.", both) == "C"


def test_numbers_are_read_as_words_only_where_the_text_gives_them():
    assert choice.read("The orders are 4 and 6, so the maximum possible order is 12.", NUMBERS) == "C"
    assert choice.read("1 / 4 * 6 = 6 / 4 * 6 = 24 / 4 * 12", NUMBERS) is None


def test_a_label_stands_over_the_words_behind_it():
    assert choice.read("The answer is A. fern", PLAIN) == "A"


def test_digits_and_five_options_are_labels_too():
    assert choice.read("The answer is 3.", {"1": "ice", "2": "steam", "3": "fog"}) == "3"
    assert choice.read("(E)", dict.fromkeys("ABCDE", "x")) == "E"
    assert choice.read("(E)", dict.fromkeys("ABCD", "x")) is None


@pytest.mark.parametrize("loop", [" ", "\n", "the answer ", "A is A and ", "(A", '"a" '])
def test_a_model_in_a_loop_is_read_in_the_end(loop):
    assert choice.read("The answer is B.\n" + loop * 3000 + "\nFinal answer: C", PLAIN) == "C"


def test_an_unlabelled_gold_is_unjudged():
    assert choice.verdict(PLAIN, "E", "The answer is A.").correct is None


def test_the_completion_ends_in_the_answer_once():
    assert choice.completion("It has gills.", "D") == "It has gills.\nAnswer: D"
    assert choice.completion("It has gills.\nAnswer: D", "D") == "It has gills.\nAnswer: D"
    assert choice.read(choice.completion("The answer is A, one may think.", "D"), PLAIN) == "D"


MISSORTED_RIGHT = {32, 73, 92, 96, 100, 138, 141, 181, 223, 225, 234, 285, 321, 347, 349, 417, 487, 530}
"""Rows of mmlu_right.jsonl (from 0) whose response, read by eye, does not choose the gold answer."""
MISSORTED_WRONG = {1, 14, 56, 113, 140, 153, 163, 207, 294, 306, 333, 341, 342}
"""Rows of mmlu_wrong.jsonl whose response, read by eye, chooses the gold answer."""


@pytest.mark.parametrize(("side", "missorted"), [("right", MISSORTED_RIGHT), ("wrong", MISSORTED_WRONG)])
def test_recorded_choices_are_read_as_by_eye(side, missorted):
    file = SHARED / "recorded_mistral7b" / f"mmlu_{side}.jsonl"
    if not file.exists():
        pytest.skip(f"no {file}: set ERRATA_SHARED_DATA to the folder with the public data")
    rows = [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
    verdicts = [choice.verdict({label: row[label] for label in "ABCD"}, row["answer"], row["response"]) for row in rows]
    assert {index for index, verdict in enumerate(verdicts) if verdict.correct != (side == "right")} == missorted
