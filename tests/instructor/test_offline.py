"""The embedded instructor: what it reads, what it refuses, what its programs draw, and what it answers through dspy."""

import json
import os
import random
from fractions import Fraction
from pathlib import Path

import dspy
import pytest

from errata.programs.instructor.offline import offline_lm
from errata.programs.instructor.offline.word_problems.diagnose import boundary, diagnose
from errata.programs.instructor.offline.word_problems.emit import write
from errata.programs.instructor.offline.word_problems.fixed import mentions_of
from errata.programs.instructor.offline.word_problems.kit import show
from errata.programs.instructor.offline.word_problems.reading import read
from errata.programs.samples.calculations import Unreadable, body, steps_of
from errata.programs.samples.checks import DRAWS, prove
from errata.sandbox import Limits, open_sandbox
from errata.signatures.records import Attempt, Failure, SampleProgram
from errata.signatures.teach import DiagnoseContrast, DiagnoseError, RepairProgram, WriteProgram, contract
from errata.tasks import load_task
from errata.tasks.verdicts import number

STICKERS = (
    "Mary had 89 stickers. She used 3 large stickers on the front page and 7 stickers each on 6 other pages of her journal. "
    "How many stickers does Mary have remaining?",
    "Mary added 7 stickers/page * 6 pages= <<7*6=42>>42 stickers.\nIn total she added 3 large stickers + 42 stickers = "
    "<<3+42=45>>45 stickers.\nSo she now has 89 - 45 = <<89-45=44>>44 stickers left.\n#### 44",
)
DRIVERS = (
    "A company has 200 employees. 60% of the employees drive to work and 15% walk. How many employees neither drive nor walk?",
    "200*.60=<<200*.60=120>>120 drive.\n200*.15=<<200*.15=30>>30 walk.\nSo 200-120-30=<<200-120-30=50>>50 do neither.\n#### 50",
)
LEFT = (
    "Ann has 12 apples and buys 2 bags of 5 apples. She eats 4. How many apples are left?",
    "She buys 2*5=<<2*5=10>>10 apples.\nThen she has 12+10=<<12+10=22>>22.\nSo 22-4=<<22-4=18>>18 are left.\n#### 18",
)


def program(item: tuple[str, str], response: str = "") -> dict:
    space: dict = {}
    exec(write(*item, response, "e1", "a skill"), space)
    return space


def drawn(space: dict, count: int = 100) -> list[dict]:
    return [space["draw"](random.Random(f"{i}"), 1 + i % 5) for i in range(count)]


def test_a_chain_is_read_over_the_questions_numbers() -> None:
    reading = read(*STICKERS)
    assert [show(step.value) for step in reading.steps] == ["42", "45", "44"]
    assert reading.nodes[1] == ("+", ("q", 1), ("s", 0))
    assert reading.answer == 44


def test_plain_equations_count_as_steps() -> None:
    reading = read("Tom has 40 pens and gets 17 more. How many?", "He has 40 pens + 17 pens = 57 pens.\n#### 57")
    assert [step.value for step in reading.steps] == [57]


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
    ("question", "reference", "reason"),
    [
        ("How many?", "There are many.\n#### 5", "no computation in the solution"),
        ("He has 12 pens.", "12*3=<<12*3=36>>36\n", "no final answer"),
        ("He has 12 pens and 30 cups. How many?", "12+30=<<12+30=43>>43\n#### 43", "reference arithmetic is false"),
        ("He has 12 pens and 31 cups. How many?", "12+31+5=<<12+31+5=48>>48\n#### 48", "number not found in question"),
        ("He has 10 pens for 3 kids. How many each?", "10/3=<<10/3=3.33>>3.33\n#### 3.33", "intermediate not clean"),
        ("He has 12 pens and 31 cups. How many?", "12+31=<<12+31=43>>43\n#### 44", "final answer is not a step's result"),
        (
            "A shop has 4 rows of 8 cups and 16 rows of 2 bowls. It sells each cup for $3 and each bowl for $5. What does it get?",
            "4*8=<<4*8=32>>32\n16*2=<<16*2=32>>32\n32*3=<<32*3=96>>96\n32*5=<<32*5=160>>160\n96+160=<<96+160=256>>256\n#### 256",
            "ambiguous number",
        ),
        ("He counted one of each.", "1+1=<<1+1=2>>2\n#### 2", "no number may vary"),
        ("He cuts 7 pies in half. How many?", "7*2=<<7*2=14>>14\n#### 14", "draws are too much alike"),
    ],
)
def test_what_cannot_be_read_honestly_is_refused_with_a_stable_reason(question: str, reference: str, reason: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        write(question, reference, "", "e1", "a skill")
    assert str(refusal.value).partition(":")[0] == reason


@pytest.mark.parametrize("item", [STICKERS, DRIVERS, LEFT])
def test_the_anchor_rebuilds_the_question_and_the_gold_answer(item: tuple[str, str]) -> None:
    space = program(item)
    row = space["make"](**space["ANCHORS"]["e1"])
    assert row["question"] == item[0]
    assert row["answer"] == item[1].rpartition("#### ")[2]
    assert row["solution"].split("\n")[-1] != f"#### {row['answer']}"


@pytest.mark.parametrize("item", [STICKERS, DRIVERS, LEFT])
def test_every_equation_of_a_drawn_solution_is_true_and_ends_in_the_answer(item: tuple[str, str]) -> None:
    space = program(item)
    for parameters in drawn(space):
        row = space["make"](**parameters)
        steps, slips = steps_of(row["solution"], loose=True)
        assert not slips
        assert show(steps[-1].value) == row["answer"]


def test_draws_differ_and_depend_on_the_generator_alone() -> None:
    space = program(STICKERS)
    rows = drawn(space, 200)
    assert len({json.dumps(row) for row in rows}) >= 50
    assert len({space["make"](**row)["answer"] for row in rows}) >= 20
    assert rows == drawn(space, 200)


def test_percents_stay_parts_of_a_hundred_and_people_stay_whole() -> None:
    space = program(DRIVERS)
    for row in drawn(space):
        shares = [value for name, value in row.items() if name.startswith("percent")]
        assert sum(shares) < 100
        assert all(step.denominator == 1 and step > 0 for step in space["solve"](**row))


def test_hours_of_a_day_stay_within_the_day() -> None:
    space = program(
        (
            "Nia works 9 hours a day for $14 per hour. She works 8 days. How much does she earn?",
            "She earns 9*14=<<9*14=126>>126 a day.\nIn all 126*8=<<126*8=1008>>1008.\n#### 1008",
        )
    )
    assert max(row["hour"] for row in drawn(space)) <= 12


def test_equal_numbers_of_one_kind_vary_together() -> None:
    space = program(
        (
            "Uki packs 20 cakes on Monday and 20 cakes on Friday at $13 each. How much are they worth?",
            "She packs 20+20=<<20+20=40>>40 cakes.\nThey are worth 40*13=<<40*13=520>>520.\n#### 520",
        )
    )
    row = drawn(space, 1)[0]
    assert space["make"](**row)["question"].count(f"{row['cake']} cakes") == 2


def test_a_number_that_a_word_may_stand_for_stays() -> None:
    question = "Ann has 12 pens for each of her 18 boxes and gives away 3 dozen. How many has she left?"
    space = program(
        (question, "She has 12*18=<<12*18=216>>216.\nShe gives 3*12=<<3*12=36>>36.\nShe has 216-36=<<216-36=180>>180.\n#### 180")
    )
    for row in drawn(space, 20):
        text = space["make"](**row)
        give = int(text["question"].rpartition("away ")[2].split()[0]) * 12
        boxes = int(text["question"].rpartition("her ")[2].split()[0])
        assert int(text["answer"]) == 12 * boxes - give


def test_an_unexplained_number_in_the_words_leaves_only_the_computation() -> None:
    space = program((LEFT[0], LEFT[1].replace("Then she has", "With 99 reasons she has")))
    assert "99" not in space["make"](**space["ANCHORS"]["e1"])["solution"]
    assert "12+10 = <<12+10=22>>22" in space["make"](**space["ANCHORS"]["e1"])["solution"]


@pytest.mark.parametrize(
    ("question", "reference", "lost"),
    [
        (
            "A row is 39 feet long and a tree needs 1.5 feet. A tree costs $8. What does the row cost?",
            "She needs 39/1.5 = <<39/1.5=26>>26 trees.\nSo 26*8 = <<26*8=208>>208.\n#### 208",
            "/1.5 ",
        ),
        (
            "A shop sells 120 cups on Monday and 36 cups on Friday for $4 each. What does it earn?",
            "It sells 120 + 36 = <<156=156>>156 cups.\nIt earns 156*4 = <<156*4=624>>624.\n#### 624",
            "<<156=156>>",
        ),
        (
            "A firm of 840 people hires 25% more. How many are there now?",
            "A quarter is 840*25/100 = <<840*25/100=210>>210.\nThere are 840+210 = <<840+210=1050>>1050.\n#### 1050",
            "quarter",
        ),
        (
            "Bea got four times as many votes as Al. Al got 18 votes and Cy got 13. How many votes are there?",
            "Quadruple that number: 18*4 = <<18*4=72>>72.\nIn all 18+72+13 = <<18+72+13=103>>103.\n#### 103",
            "Quadruple",
        ),
    ],
)
def test_words_and_marks_that_would_turn_false_do_not_stay(question: str, reference: str, lost: str) -> None:
    space = program((question, reference))
    rows = [space["make"](**row) for row in drawn(space, 40)]
    assert not any(lost in row["solution"] for row in rows if row["question"] != question and "1.5 feet" not in row["question"])


WRONG = [
    ("She buys 2*5=<<2*5=10>>10 apples.\nThen she has 12+10=<<12+10=22>>22.\nSo 22+4=<<22+4=26>>26 are left.\n#### 26", "wrong operation"),
    ("She buys 2*5=<<2*5=10>>10 apples.\nThen she has 12+10=<<12+10=22>>22.\n#### 22", "step is missing"),
    ("She buys 2*5=<<2*5=11>>11 apples.\n12+11=<<12+11=23>>23.\n23-4=<<23-4=19>>19\n#### 19", "slip of arithmetic"),
    ("She buys 2*5=<<2*5=10>>10 apples.\n13+10=<<13+10=23>>23.\n23-4=<<23-4=19>>19\n#### 19", "copied wrong"),
]


@pytest.mark.parametrize(("response", "kind"), WRONG)
def test_the_first_departure_is_named(response: str, kind: str) -> None:
    found = diagnose(*LEFT, response)
    assert found.verdict == "error"
    assert kind in found.misconception
    assert found.skill == "multiply, then add, then subtract"


@pytest.mark.parametrize("response", [response for response, _ in WRONG] + ["It is 12 + 2 + 5 - 4 = 15.\n#### 15"])
def test_wrong_gives_the_very_answer_of_the_model_and_never_the_right_one(response: str) -> None:
    space = program(LEFT, response)
    assert space["wrong"](**space["ANCHORS"]["e1"]) == show(number.extract(response) or Fraction(0))
    for row in drawn(space):
        assert space["wrong"](**row) != space["make"](**row)["answer"]


@pytest.mark.parametrize("response", ["", "I do not know", "#### 7"])
def test_an_unexplained_answer_carries_no_wrong(response: str) -> None:
    assert "wrong" not in program(LEFT, response)


def test_a_false_reference_is_the_items_fault() -> None:
    assert diagnose(LEFT[0], LEFT[1].replace("2*5=10>>10", "2*5=15>>15"), "#### 3").verdict == "reference_wrong"


def test_missing_steps_and_missing_answers_are_told_apart() -> None:
    assert "no answer" in diagnose(*LEFT, "").misconception
    assert "No answer can be read" in diagnose(*LEFT, "Well, apples.").misconception
    assert "without showing a step" in diagnose(*LEFT, "#### 9").misconception


def test_the_boundary_names_the_operation_that_the_solved_lack() -> None:
    solved = "Question: 3 and 4?\nResponse: 3+4=<<3+4=7>>7\n#### 7"
    assert boundary(*LEFT, solved) == "It solves chains without a step to multiply or to subtract; this one needs it."


ADAPTERS = [dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter()]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=["chat", "json"])
def test_every_signature_of_the_instructor_is_answered(adapter: dspy.Adapter) -> None:
    item = {"task": "sums", "question": LEFT[0], "reference": LEFT[1], "response": WRONG[0][0]}
    told = {
        "contract": contract("number", ["math"]),
        "failure_id": "e1",
        "skill": "s",
        "misconception": "m",
        "teach": "t",
        "boundary": "",
    }
    with dspy.context(lm=offline_lm(), adapter=adapter):
        assert dspy.Predict(DiagnoseError)(**item).verdict == "error"
        assert dspy.Predict(DiagnoseContrast)(**item, solved="(none)").boundary
        written = dspy.Predict(WriteProgram)(**item, **told)
        assert written.refusal == "" and "def wrong(" in written.program.code
        source = written.program.code
        repaired = dspy.Predict(RepairProgram)(**item, **told, rejected=source, complaint="telling: wrong() gives the right answer")
        assert repaired.refusal == "" and "def wrong(" not in repaired.program.code
        given_up = dspy.Predict(RepairProgram)(**item, **told, rejected=source, complaint="runs: timeout")
        assert given_up.refusal.endswith("runs: timeout") and not given_up.program.code.strip()
        refused = dspy.Predict(WriteProgram)(**{**item, "reference": "nothing\n#### 5"}, **told)
        assert refused.refusal == "no computation in the solution"


def test_a_request_of_another_kind_gets_one_line_that_says_so() -> None:
    with dspy.context(lm=offline_lm(), adapter=ADAPTERS[0]), pytest.raises(Exception, match="answers diagnoses and programs only"):
        dspy.Predict("city -> country")(city="Rome")


def test_demos_before_the_request_do_not_change_the_answer() -> None:
    predict = dspy.Predict(DiagnoseError)
    item = {"task": "sums", "question": LEFT[0], "reference": LEFT[1], "response": WRONG[0][0]}
    with dspy.context(lm=offline_lm(), adapter=ADAPTERS[0]):
        plainly = predict(**item)
        predict.demos = [
            dspy.Example(
                task="t",
                question="1 and 1?",
                reference="#### 2",
                response="3",
                verdict="error",
                skill="add",
                misconception="m",
                evidence="e",
                teach="t",
            )
        ]
        assert predict(**item).toDict() == plainly.toDict()


def chain(question: str, reference: str) -> dict:
    return program((question, reference))


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


def test_what_was_less_stays_less_and_parts_fit_in_the_rest() -> None:
    space = chain(
        "There are 28 gnomes in a yard. Three-fourths of them have red hats, and the rest have blue hats. Half the gnomes have big noses. "
        "If 6 gnomes with blue hats have big noses, how many gnomes with red hats have small noses?",
        "Half is 28 / 2 = <<28/2=14>>14 gnomes.\nThree-quarters are 28 * 3 / 4 = <<28*3/4=21>>21 gnomes.\n"
        "So 14 - 6 = <<14-6=8>>8 gnomes are red with big noses.\nThus 21 - 8 = <<21-8=13>>13 gnomes.\n#### 13",
    )
    for row in drawn(space):
        total, blue = row["gnome"], row["gnome_2"]
        assert blue <= total / 4


def test_a_large_puzzle_stays_dearer_than_a_small_one() -> None:
    space = chain(
        "A large puzzle costs $15. A small puzzle and a large puzzle together cost $23. How much are 1 large and 3 small ones?",
        "A small puzzle costs $23 - $15 = $<<23-15=8>>8.\n3 small puzzles cost $8 x 3 = $<<8*3=24>>24.\n"
        "So all cost $24 + $15 = $<<24+15=39>>39.\n#### 39",
    )
    for row in drawn(space):
        steps = space["solve"](**row)
        assert steps[0] < row["dollars"]


def test_the_hundred_of_a_percent_is_no_result() -> None:
    space = chain(
        "Alicia has 20 gumballs. Pedro has 80 gumballs. They put them in a bowl, and Pedro takes out 40% of them. How many does he take?",
        "In the bowl are 20 + 80 = <<20+80=100>>100 gumballs.\nPedro takes out 40/100 * 100 gumballs = <<40/100*100=40>>40.\n#### 40",
    )
    for row in drawn(space):
        total, taken = space["solve"](**row)
        assert taken * 100 == total * row["percent"]


def test_legs_of_an_animal_are_no_number_of_the_question() -> None:
    reading = read(
        "At the pet shop, there were 3 birds, 5 dogs, 4 snakes, and 1 spider for sale. How many legs were there in total?",
        "The birds have 3 * 2 = <<3*2=6>>6 legs.\nThe 5 dogs have 5 * 4 = <<5*4=20>>20 legs.\nA spider has 8 legs.\n"
        "In all 6+20+8=<<6+20+8=34>>34.\n#### 34",
    )
    assert reading.nodes[1] == ("*", ("q", 1), ("c", Fraction(4)))


def test_words_about_a_fixed_number_do_not_follow_a_result_that_equals_it() -> None:
    space = chain(
        "Penelope has 5 M&M candies for every 3 Starbursts candies. If she has 25 M&M candies, how many Starbursts candies does she have?",
        "Let 5 M&M candies be a unit.\n5 M&M candies make one unit so 25 make 25/5 = <<25/5=5>>5 units.\n"
        "She has 5*3 = <<5*3=15>>15 Starbursts candies.\n#### 15",
    )
    for row in drawn(space, 20):
        text = space["make"](**row)["solution"]
        assert "Let" not in text and "5 M&M candies make one unit" in text


@pytest.mark.parametrize(
    ("question", "reference", "reason"),
    [
        (
            "Emily has 4 dogs. Each one eats 250 grams of food per day. She goes on vacation for 14 days. How many kilograms of food "
            "should she buy?",
            "They eat 4 x 250 grams = <<4*250=1000>>1000 grams of food per day.\nThat is a kilogram.\n"
            "So 14 days x 1 kg of food/day = <<14*1=14>>14 kg.\n#### 14",
            "the answer does not hang on a number: 4",
        ),
        (
            "Bea's mom planted 50 Mahogany and 30 Narra trees. A total of 5 trees fell. One more Mahogany tree fell than Narra trees. She "
            "then planted twice as much as the Narra and thrice the Mahogany trees that fell. How many trees are now there?",
            "There were 50 + 30 = <<50+30=80>>80 trees.\nThis means there were 2 Narra and 2 + 1 = <<2+1=3>>3 Mahogany trees that fell.\n"
            "She planted 2 x 2 = <<2*2=4>>4 Narra trees.\nShe planted 3 x 3 = <<3*3=9>>9 Mahogany trees.\n"
            "That is 4 + 9 = <<4+9=13>>13 more.\nThere were 80 - 5 = <<80-5=75>>75 left.\nNow there are 75 + 13 = <<75+13=88>>88.\n#### 88",
            "a number is told by nothing: 2",
        ),
        (
            "A laptop costs $1000. A shop accepts payment in installments of $65 per month if a 20% down payment is made. If Tara pays an "
            "additional $24 for the down payment and $4 each month, how much does she pay for 6 months?",
            "She makes a $1000 x 20/100 = $<<1000*20/100=200>>200 down payment.\nHer down payment is $200 + $24 = $<<200+24=224>>224.\n"
            "So 1000 - 224 = $<<1000-224=776>>776 remain.\nWith fees 776 + 4 = $<<776+4=780>>780.\n"
            "She pays $780 / 12 = $<<780/12=65>>65 a month.\nIn 6 months $65 x 6 = $<<65*6=390>>390.\n#### 390",
            "a result is told by the question: 65",
        ),
    ],
)
def test_a_gap_that_only_the_original_numbers_bridge_is_refused(question: str, reference: str, reason: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        chain(question, reference)
    assert str(refusal.value) == reason


def test_a_total_and_the_numbers_in_a_row_that_make_it_stay() -> None:
    with pytest.raises(Unreadable, match="no number may vary"):
        chain(
            "A restaurant gets 18 reviews: six 5-star reviews, seven 4-star reviews, four 3-star reviews, and one 2-star review. "
            "What is the average rating?",
            "The 5-stars are 6 x 5 = <<6*5=30>>30.\nThe 4-stars are 7 x 4 = <<7*4=28>>28.\nThe 3-stars are 4 x 3 = <<4*3=12>>12.\n"
            "The 2-star is 1 x 2 = <<1*2=2>>2.\nAll are 30 + 28 + 12 + 2 = <<30+28+12+2=72>>72.\nSo 72 / 18 = <<72/18=4>>4.\n#### 4",
        )


def test_two_and_two_stay_where_the_text_speaks_of_all_four() -> None:
    space = chain(
        "Her garden has 2 large beds on top with 2 medium beds below. A large bed holds 4 rows of 25 seeds and a medium bed 3 rows of 20. "
        "How many seeds can she plant in all four beds?",
        "A large bed holds 4*25 = <<4*25=100>>100 seeds.\nSo 100*2 = <<100*2=200>>200 seeds.\n"
        "A medium bed holds 3*20 = <<3*20=60>>60 seeds.\nSo 60*2 = <<60*2=120>>120 seeds.\n"
        "In all 200+120 = <<200+120=320>>320 seeds.\n#### 320",
    )
    for row in drawn(space, 30):
        assert "2 large beds on top with 2 medium beds" in space["make"](**row)["question"]


def test_no_way_between_three_places_is_longer_than_the_way_around() -> None:
    space = chain(
        "The park is 5 miles from her house. Then she goes to a store 3 miles away from the park and 8 miles from her home. "
        "How many miles does she drive from home and back?",
        "She drives 5 + 3 = <<5+3=8>>8 miles.\nIn all 8+8 = <<8+8=16>>16 miles.\n#### 16",
    )
    for row in drawn(space):
        assert max(row.values()) <= sum(row.values()) - max(row.values()) + 3


def test_a_result_stays_on_its_side_of_a_price_that_no_step_uses() -> None:
    space = chain(
        "A subscription is $34. Each of the 36 issues is $0.25 cheaper now. How many dollars cheaper is the subscription?",
        "It is 36 * 0.25 = $<<36*.25=9>>9 cheaper.\n#### 9",
    )
    assert max(space["solve"](**row)[0] for row in drawn(space)) < 34


def test_a_wage_of_more_than_once_stays_more_than_once() -> None:
    space = chain(
        "He earns 1.5 times his wage on Sundays. His wage is $12 and he works 6 Sundays. What does he earn?",
        "He earns 12*1.5=$<<12*1.5=18>>18.\nSo 18*6=$<<18*6=108>>108.\n#### 108",
    )
    assert min(Fraction(str(row["time"])) for row in drawn(space)) > 1


def test_no_more_of_them_is_sold_than_was_bought() -> None:
    space = chain(
        "Jen buys candy bars for 80 cents each and sells them for 100 cents. If she buys 50 candy bars and sells 48 of them, how much "
        "profit does she make in cents?",
        "She spends 50 * 80 = <<50*80=4000>>4000 cents.\nShe makes 100 * 48 = <<100*48=4800>>4800 cents.\n"
        "Her profit is 4800 - 4000 = <<4800-4000=800>>800 cents.\n#### 800",
    )
    assert all(row["count"] < row["candy"] for row in drawn(space))


def test_points_per_ten_dollars_count_whole_tens() -> None:
    space = chain(
        "She gets 50 points per $10 spent and a 250 point bonus. She buys 3 pounds of beef for $11 each and other groceries for $87. "
        "How many points does she get?",
        "The beef costs $11 * 3 = $<<11*3=33>>33.\nIn all she spends $33 + $87 = $<<33+87=120>>120.\n"
        "That is 120 / 10 * 50 = <<120/10*50=600>>600 points.\nWith the bonus 600 + 250 = <<600+250=850>>850.\n#### 850",
    )
    for row in drawn(space):
        assert space["solve"](**row)[1] % row["dollars"] == 0


def test_a_number_that_the_solution_only_repeats_is_no_step() -> None:
    space = chain(
        "LaDonna picked up 25 cans of the 85 cans. Prikya picked up twice as many as LaDonna. Yoki picked up the rest. How many did Yoki?",
        "LaDonna = <<25=25>>25 cans\nPrikya has twice as many = 2*25 = <<2*25=50>>50\nYoki has 85 - 25 - 50 = <<85-25-50=10>>10\n#### 10",
    )
    for row in drawn(space, 10):
        assert "LaDonna" not in space["make"](**row)["solution"]
    with pytest.raises(Unreadable, match="step without a computation"):
        read("Five and 20 pens, 380 cups.", "19*x=380\nx=<<20=20>>20\nSo 20*5=<<20*5=100>>100\n#### 100")


def test_a_computation_written_once_more_is_no_equation() -> None:
    assert read("He has 28 pens and gives half away.", "He gives 1/2 * 28 = 28/2 = <<1/2*28=14>>14.\n#### 14").answer == 14


def test_numbers_that_the_text_multiplies_stay_together() -> None:
    with pytest.raises(Unreadable):
        chain(
            "Edna made 150 cookies so her 15 neighbors could get 10 cookies each. The last one told her that only 8 cookies were left. "
            "If all but Sarah took the right number, how many did Sarah take?",
            "So 15-1-1 = <<15-1-1=13>>13 neighbors took 10 cookies each.\nThat is 13*10 = <<13*10=130>>130 cookies.\n"
            "In all 150-8 = <<150-8=142>>142 were taken.\nSo Sarah took 142-130 = <<142-130=12>>12.\n#### 12",
        )


def test_drawn_numbers_are_never_the_original_ones() -> None:
    space = program(LEFT)
    assert space["ANCHORS"]["e1"] not in drawn(space)


def accepted(items: list[tuple[str, str]], task_name: str) -> float:
    task = load_task(task_name)
    passed = 0
    with open_sandbox() as sandbox:
        for example in items:
            failure = Failure(attempt=Attempt(example=example, response="", verdict=number.verdict(example.answer, "")))
            try:
                source = write(example.question, f"{body(example.solution)}\n#### {example.answer}", "", failure.id, "s")
            except Unreadable:
                continue
            passed += (
                prove(SampleProgram(diagnosis_id="d", source=source, anchors=(failure.id,)), [failure], task, sandbox, Limits()) is None
            )
    return passed / len(items)


def test_nearly_all_of_sums_becomes_programs_that_pass_the_checks() -> None:
    assert len(DRAWS) == 200
    assert accepted(load_task("sums").examples("train", 60), "sums") >= 0.9


def test_most_of_gsm8k_becomes_programs_that_pass_the_checks() -> None:
    data = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
    file = data / "gsm8k" / "train.jsonl"
    if not file.exists():
        pytest.skip(f"{file} is absent; set ERRATA_SHARED_DATA to a folder with gsm8k/train.jsonl")
    name = f"gsm8k:{file}"
    assert accepted(load_task(name).examples("train", seed=3)[:80], name) >= 0.5
