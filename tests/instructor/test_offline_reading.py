"""What the embedded instructor reads of a worked solution, and which references it refuses."""

from fractions import Fraction

import pytest
from word_problems import STICKERS

from errata.programs.instructor.offline.word_problems.kit import show
from errata.programs.instructor.offline.word_problems.reading import read
from errata.programs.samples.calculations import Unreadable


def test_a_chain_is_read_over_the_questions_numbers() -> None:
    reading = read(*STICKERS)
    assert [show(step.value) for step in reading.steps] == ["42", "45", "44"]
    assert reading.nodes[1] == ("+", ("q", 1), ("s", 0))
    assert reading.answer == 44


def test_plain_equations_count_as_steps() -> None:
    reading = read("Tom has 40 pens and gets 17 more. How many?", "He has 40 pens + 17 pens = 57 pens.\n#### 57")
    assert [step.value for step in reading.steps] == [57]


@pytest.mark.parametrize(
    ("question", "reference", "reason"),
    [
        (
            "Kate's hair is half as long as Emily's hair. Emily's hair is 6 inches longer than Logan's hair. If Logan hair is 20 inches, "
            "how many inches is Kate's hair?",
            "Emily's hair is 20-6 = <<20-6=14>>14 inches long.\nKate's hair 14/2= <<14/2=7>>7 inches long.\n#### 7",
            "a comparison is computed backwards",
        ),
        (
            "There are four times as many apples as oranges in a basket with 15 apples. How many oranges are there?",
            "There are 15*4=<<15*4=60>>60 oranges.\n#### 60",
            "a comparison is computed backwards",
        ),
        (
            "Tim is 5 years less than twice John's age. If Tim is 79, how old is John?",
            "That is 79-5=<<79-5=74>>74.\nJohn is 74/2=<<74/2=37>>37.\n#### 37",
            "a comparison is computed backwards",
        ),
        (
            "Rick drove twice the distance of Al, who drove half the distance of Bo. Bo drove 40 miles, and Cy twice the amount of Rick.",
            "Al drove 40/2=<<40/2=20>>20.\nRick drove 20*2=<<20*2=40>>40.\nTogether 40+40=<<40+40=80>>80.\n#### 80",
            "fewer doublings",
        ),
        (
            "Her house is a 20-mile round trip from school. The supermarket is 10 miles farther away. How far is the supermarket?",
            "It is 10 + 10 = <<10+10=20>>20 miles away.\n#### 20",
            "a number is added to itself",
        ),
        (
            "His cones are $5 each and his expenses are 80% of sales. How many cones bring a profit of $200?",
            "Sales are 200*5=<<200*5=1000>>1000.\nThat is 1000/5=<<1000/5=200>>200 cones.\n#### 200",
            "a percent is not used",
        ),
    ],
)
def test_a_reference_that_does_not_follow_the_question_is_refused(question: str, reference: str, reason: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        read(question, reference, fractions=True)
    assert str(refusal.value).startswith(reason)


def test_legs_of_an_animal_are_no_number_of_the_question() -> None:
    reading = read(
        "At the pet shop, there were 3 birds, 5 dogs, 4 snakes, and 1 spider for sale. How many legs were there in total?",
        "The birds have 3 * 2 = <<3*2=6>>6 legs.\nThe 5 dogs have 5 * 4 = <<5*4=20>>20 legs.\nA spider has 8 legs.\n"
        "In all 6+20+8=<<6+20+8=34>>34.\n#### 34",
    )
    assert reading.nodes[1] == ("*", ("q", 1), ("c", Fraction(4)))


def test_a_computation_written_once_more_is_no_equation() -> None:
    assert read("He has 28 pens and gives half away.", "He gives 1/2 * 28 = 28/2 = <<1/2*28=14>>14.\n#### 14").answer == 14
