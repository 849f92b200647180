"""Which numbers of a word problem must stay: dates, names, facts of the world, and what the text itself tells."""

import pytest

from errata.programs.instructor.offline.word_problems.fixed import mentions_of


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("He was born in 1987 and has 14 pens.", ["1987"]),
        ("At 5 pm he sold 14 pens.", ["5"]),
        ("The 3rd shop sold 14 pens.", ["3"]),
        ("There are 60 minutes in an hour and 14 pens.", ["60"]),
        ("A dog has 4 legs. He has 14 dogs.", ["4"]),
        ("He has 1 pen and 14 cups.", ["1"]),
        ("He pays with a $20 bill for 14 pens.", ["20"]),
        ("His 8-year plan covers 14 pens.", ["8"]),
        ("He cuts 2 pies, both into 14 slices.", ["2"]),
        ("The shop is open from 9 to 5 and sells 14 pens.", ["9", "5"]),
        ("He lives in room 12 with 14 pens.", ["12"]),
        ("(Remember there are 21 consonants.) He has 14 pens.", ["21"]),
    ],
)
def test_years_times_ordinals_and_facts_do_not_vary(text: str, kept: list[str]) -> None:
    assert [m.text for m in mentions_of(text) if m.fixed] == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The United States flag has 50 stars. He has 14 pens.", ["50"]),
        ("A cat has 9 lives. He has 14 pens.", ["9"]),
        ("All 20 of his baby teeth have fallen out. He has 14 pens.", ["20"]),
        ("A medium cup is $3. She sold $24 worth of medium cups.", ["24"]),
        ("Jill paints her 20 toenails and fingernails, 6 of them purple.", ["20"]),
        ("In a 90-minute soccer game he rested 14 minutes.", ["90"]),
        ("He saves for 4 weeks of the month and has 14 pens.", ["4"]),
        ("He paints 14 pens in 3 groups, purple, yellow, and green.", ["3"]),
        ("There are 12 pens in house 2 and 14 cups.", ["2"]),
        ("An 18-month magazine subscription is $34.", ["18"]),
        ("Melinda, Zoe and Joel want to buy 3 phones at once for $600.", ["3"]),
        ("Tony has 95 degrees and a fever is over 100. He has 14 pens.", ["95", "100"]),
        ("Marcus scored 5 3-point goals and 10 2-point goals.", ["3", "2"]),
        ("A tournament has 8 games in the first round with 5 cans a day.", ["8"]),
        ("The drive from Salt Lake City to Las Vegas is 420 miles. He has 14 pens.", ["420"]),
        ("Every hour after 40 hours is overtime at $12 an hour.", ["40"]),
    ],
)
def test_what_the_world_or_the_text_itself_tells_does_not_vary(text: str, kept: list[str]) -> None:
    assert [m.text for m in mentions_of(text) if m.fixed] == kept
