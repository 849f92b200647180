"""Programs of word problems: anchors rebuild the original, draws make sense, and what cannot be varied honestly is refused."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from word_problems import DRIVERS, LEFT, STICKERS, chain, drawn, program

from errata.programs.instructor.offline.word_problems.emit import write
from errata.programs.instructor.offline.word_problems.kit import show
from errata.programs.instructor.offline.word_problems.reading import read
from errata.programs.samples.calculations import Unreadable, body, steps_of
from errata.programs.samples.checks import DRAWS, prove
from errata.sandbox import Limits, open_sandbox
from errata.signatures.records import Attempt, Failure, SampleProgram
from errata.tasks import load_task
from errata.tasks.verdicts import number


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
    assert accepted(load_task("sums").examples("train", 36), "sums") >= 0.9


@pytest.mark.slow  # proves about 50 programs, 20 seconds; the items of sums above hold the promise by default
def test_most_of_gsm8k_becomes_programs_that_pass_the_checks() -> None:
    data = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
    file = data / "gsm8k" / "train.jsonl"
    if not file.exists():
        pytest.skip(f"{file} is absent; set ERRATA_SHARED_DATA to a folder with gsm8k/train.jsonl")
    name = f"gsm8k:{file}"
    assert accepted(load_task(name).examples("train", seed=3)[:80], name) >= 0.5
