"""The other wordings of the embedded instructor's programs: they ask the same, keep every number, and are the same at any time."""

import random
import re
from collections import Counter

import pytest
from word_problems import DRIVERS, LEFT, STICKERS

from errata.programs.instructor.offline import bare_sums, code, facts
from errata.programs.instructor.offline.phrasings import IDLE, parted, phrasings, reworded, sums
from errata.programs.instructor.offline.word_problems.emit import write
from errata.programs.samples.phrasing import phrasings as counted
from errata.tasks import load_task

NAMES = "Ann|Ben|Cara|Dan|Eva|Finn|Gina|Hugo|Iris|Jack|Kate|Leo|Mia|Nora|Omar|Paul|Rosa|Sam|Tara|Uma|Vera|Will|Yara|Zoe"
TEXTS = [
    "Ann has {bag} bags of {apple} apples. She eats {eat}. How many are left?",
    "Mr. Lee sold {cup} cups at $3.50 each. He earned {dollar} dollars more.\nHow much did he earn?",
    "If a train runs {mile} miles in {hour} hours, how far does it run in an hour?",
    "Find the sum of {a} and {b}. Is it even? Give the sum alone",
    "She waits for Mr. {n} Lee. How long?",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_other_text_keeps_each_number_and_none_is_the_own_one(text: str) -> None:
    found = phrasings(text)
    assert found == phrasings(text) and len(found) == len(set(found)) >= 3 and text not in found
    for other in found:
        assert Counter(re.findall(r"\{\w+\}", other)) == Counter(re.findall(r"\{\w+\}", text))
        assert other.count("?") == text.count("?")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (
            "Ann buys {n} pens for ${m} each. How many pens in all?",
            "Ann purchases {n} pens at ${m} apiece. What is the total number of pens?",
        ),
        ("Ann has {n} pens and gives {m} pens to Ben.", "Ann has got {n} pens and hands {m} pens to Ben."),
        ("He earned $8 an hour each day. How much did he have left?", "He made $8 per hour every day. How much did he still have?"),
        ("She gave {n} more talks. Each of the kids has to buy it.", "She gave {n} more talks. Each of the kids has to purchase it."),
        ("They had a best buy in all the rooms.", "They had a best buy in all the rooms."),
    ],
)
def test_words_are_changed_only_where_the_words_around_them_allow_it(text: str, other: str) -> None:
    assert reworded(text) == other


@pytest.mark.parametrize(
    "text",
    [
        "How many pens are in {n} boxes?",
        "Ann has {n} pens. Then how many are left?",
        "Ann has {n} pens. Is it a lot? How many are left?",
        "Ann waits for Dr. {n} Who is he?",
        "Ann has {n} pens.\nHow many are left?",
    ],
)
def test_a_question_that_cannot_be_told_from_its_story_stays_where_it_is(text: str) -> None:
    assert parted(text) == ("", "")
    assert all(text in re.sub(r"\s+$", "", other) for other in phrasings(text) if reworded(text) == text)


def test_a_sum_is_asked_freely_only_where_nothing_else_is_said_of_it() -> None:
    assert ("Work out ", ".") in sums("What is ", "?")
    assert all("Answer in words: " in head for head, _ in sums("Answer in words: ", " ="))


def programs() -> dict[str, tuple[dict, str, str]]:
    """(the program as a namespace, the error's own question, the question's place in a row) by family."""
    lists, towns = load_task("lists", runner=lambda *_: None).examples("train")[0], load_task("facts").examples("train")[0]
    coded = f"{lists.answer}\n\nIt must pass:\n{lists.meta['test']}"
    sources = {
        "stickers": (write(*STICKERS, "", "e", "s", phrased=True), STICKERS[0]),
        "drivers": (write(*DRIVERS, "", "e", "s", phrased=True), DRIVERS[0]),
        "left": (write(*LEFT, "", "e", "s", phrased=True), LEFT[0]),
        "bare": (bare_sums.write("What is 5 - 3?", "#### 2", "e", "s", phrased=True), "What is 5 - 3?"),
        "lists": (code.write(lists.question, coded, "", "e", "s", phrased=True), lists.question),
        "facts": (facts.write(towns.question, f"#### {towns.answer}", "", "e", "s", phrased=True), towns.meta["stem"]),
    }
    spaces: dict = {}
    for name, (source, question) in sources.items():
        space: dict = {}
        exec(source or "", space)
        spaces[name] = (space, question)
    return spaces


@pytest.mark.parametrize("family", ["stickers", "drivers", "left", "bare", "lists", "facts"])
def test_a_program_asks_in_three_ways_and_more_and_its_anchor_in_the_errors_own(family: str) -> None:
    space, question = programs()[family]
    assert space["make"](**space["ANCHORS"]["e"])["question"].strip() == question.strip()
    drawn = [space["draw"](random.Random(f"{place}"), 1 + place % 5) for place in range(300)]
    assert len(counted(space["make"](**row)["question"] for row in drawn)) >= 3
    assert {row["phrasing"] for row in drawn} == set(range(len(space["PHRASINGS"])))
    for row in drawn[:50]:
        own = space["make"](**row | {"phrasing": 0})
        made = space["make"](**row)
        assert {name: value for name, value in made.items() if name != "question"} == {
            name: value for name, value in own.items() if name != "question"
        }


def masked(question: str) -> str:
    return re.sub(r"\d+", "0", re.sub(rf"\b(?:{NAMES})\b", "N", question))


def test_no_wording_is_that_of_the_twin_that_measures_other_wordings() -> None:
    rng = random.Random(0)
    twin = {masked(item.question) for split in ("dev", "test") for item in load_task("sums_plus").examples(split)}
    sentences = {sentence for text in twin for sentence in re.split(r"(?<=[.?])\s+", text)}
    assert not sentences & {masked(fact) for fact in IDLE}
    plain = {masked(item.question) for split in ("dev", "test") for item in load_task("sums").examples(split)}
    known = {sentence for text in plain for sentence in re.split(r"(?<=[.?])\s+", text)}
    for item in rng.sample(load_task("sums").examples("train"), 200):
        for other in phrasings(item.question):
            assert masked(other) not in twin, other
    assert sentences - known, "the twin has wordings of its own"
