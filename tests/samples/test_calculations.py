"""The calculations of a text: which are read as steps, which are false, and what is no calculation."""

from fractions import Fraction

import pytest

from errata.programs.samples.calculations import Unreadable, calculated, final_answer, parse, steps_of


def values(text: str, loose: bool = False) -> list[Fraction]:
    return [step.value for step in steps_of(text, loose)[0]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("She has 48/2 = <<48/2=24>>24 clips.", [24]),
        ("He has 40 pens + 17 pens = 57 pens.", [57]),
        ("7 stickers/page * 6 pages= <<7*6=42>>42 stickers.", [42]),
        ("That is 2(3 + 4) = <<2(3+4)=14>>14.", [14]),
        ("So 6 / 12 * 100% = 50%.", [50]),
        ("He drives 1,200 - 200 = 1,000 miles.", [1000]),
        ("So 3 x 4 = 12 and then 12 ÷ 2 = 6.", [12, 6]),
        ("There are 3 apples and 4 pears.", []),
        ("Let x = 3.", []),
    ],
)
def test_marks_and_plain_equations_are_steps(text: str, found: list[int]) -> None:
    assert values(text) == found


def test_a_false_mark_is_a_slip_and_a_false_equation_is_one_only_to_a_loose_reader() -> None:
    text = "So 2+2 = <<2+2=5>>5. Then 3 + 3 = 7."
    (slip,) = steps_of(text)[1]
    assert (slip.text, slip.value, slip.written) == ("2+2=5", 4, 5)
    assert [slip.written for slip in steps_of(text, loose=True)[1]] == [5, 7]
    assert values(text, loose=True) == [5, 7]
    assert calculated(text) == ([5, 7], True)


def test_a_mark_that_repeats_a_known_number_is_no_step() -> None:
    assert values("5+5 = <<5+5=10>>10. He has <<10=10>>10 left.") == [10]
    assert [step.value for step in steps_of("She has <<25=25>>25 and 25+1=<<25+1=26>>26.", given={Fraction(25)})[0]] == [26]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("<<5+x=7>>7", "step without a computation"), ("<<2+2=many>>", "mark cannot be read"), ("<<4/0=4>>4", "division by zero")],
)
def test_a_mark_that_cannot_be_read_is_refused_and_passed_over_by_a_loose_reader(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        steps_of(text)
    assert steps_of(text, loose=True) == ([], [])


def test_literals_know_where_they_stand() -> None:
    text = "She buys 2*5=<<2*5=10>>10 apples."
    (step,) = steps_of(text)[0]
    assert [text[start:end] for start, end, _ in step.leaves] == ["2", "5"]
    assert step.result and text[slice(*step.result)] == "10"
    assert step.unit == "apple"


@pytest.mark.parametrize("text", ["", "2 +", "(2 + 3", "2 3", "two + 3", "2 // 3", "+ 2"])
def test_what_is_no_arithmetic_is_not_parsed(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(("text", "answer"), [("...\n#### 1,234", 1234), ("A: $2.50", Fraction(5, 2)), ("#### 1/4", Fraction(1, 4))])
def test_the_final_answer_stands_behind_its_sign(text: str, answer: Fraction) -> None:
    assert final_answer(text) == answer
    assert final_answer("It is 3.") is None
