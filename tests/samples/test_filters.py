"""The filters of rows: what repeats, overlaps a held-out item or tells nothing is refused, and a million rows can be remembered."""

import json
import random
import tracemalloc
from collections import Counter

import pytest
from datasketch import MinHash, MinHashLSH
from problems import drawn

from errata.programs.samples.filters import Distinct, Frame, Unseen, row_filters, tells_apart
from errata.signatures.records import Example, Sample
from errata.tasks import load_task

TASK = load_task("sums")
EXAMPLE = Example(task="sums", split="train", question="Ann has 3 bags of 4 apples and eats 2. How many are left?", answer="10")
WORDS = [f"w{number}" for number in range(50)]


def sample(question, answer="1", wrong=None, index=0):
    return drawn(index, question=question, answer=answer, wrong=wrong)


LONG = (
    "On a cold and windy morning in the far north the old baker carries {} warm loaves of rye bread from the oven to the market "
    "and then she gives every one of her {} neighbours a small loaf before she counts what remains"
)


def test_a_repeated_or_nearly_repeated_row_is_refused():
    check = Distinct()
    assert check(sample(LONG.format(12, 3))) is None
    assert check(sample(LONG.format(12, 3).upper())) is not None
    assert check(sample(LONG.format(12, 3) + " today")) is not None
    assert check(sample(LONG.format(14, 5))) is None


def test_what_counts_as_nearly_the_same_is_what_datasketch_finds_with_whole_sketches():
    rng = random.Random(3)
    base = [rng.choices(WORDS, k=rng.randint(1, 60)) for _ in range(40)]
    texts = [" ".join(word if rng.random() > 0.03 else "new" for word in rng.choice(base)) for _ in range(400)]
    whole = MinHashLSH(threshold=0.9, num_perm=64)
    check, found = Distinct(), Counter()
    for number, text in enumerate(texts):
        sketch = MinHash(num_perm=64, seed=1)
        words = text.split()
        sketch.update_batch({" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)} or {text.encode()})
        near = bool(whole.query(sketch))
        complaint = check(sample(text))
        assert bool(complaint) == near, text
        if not near:
            whole.insert(number, sketch)
        found[complaint] += 1
    assert min(found.values()) > 20 and len(found) == 3


def test_a_row_that_passed_is_remembered_in_a_few_hundred_bytes():
    check = Distinct()
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS, k=40)) for _ in range(3000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert not any(check(sample(text)) for text in texts)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown / len(texts) < 600


@pytest.mark.parametrize(
    "overlap",
    [
        "ANN has 3 bags, of 4 apples and eats 2: how many are left",
        "Once more: Ann has 3 bags of 4 apples and eats 2. How many are left? Say it.",
    ],
)
def test_a_row_that_overlaps_a_held_out_item_is_refused(overlap):
    assert Unseen([EXAMPLE])(sample(overlap)) is not None


def test_a_row_that_shares_13_words_with_a_held_out_item_is_refused():
    held_out = EXAMPLE.model_copy(update={"question": LONG.format(12, 3)})
    assert Unseen([held_out])(sample("one two " + " ".join(LONG.format(12, 3).split()[4:17]) + " three four")) is not None
    assert Unseen([held_out])(sample("one two " + " ".join(LONG.format(12, 3).split()[4:16]) + " three four")) is None


def test_a_row_that_shares_most_of_a_held_out_item_is_refused_where_a_script_parts_no_words():
    text = "{}在市场上买了{}个苹果和七个梨子，回家以后把其中的三个苹果送给了邻居，晚上又吃掉了两个梨子，请问最后一共还剩下多少个水果？"
    held_out = EXAMPLE.model_copy(update={"question": text.format("小明", 12)})
    assert Unseen([held_out])(sample(text.format("小红", 12))) is not None
    assert Unseen([held_out])(sample("一列火车中午出发，每小时行驶六十公里，下午五点到达，一共行驶了多远？")) is None
    check = Distinct()
    assert check(sample(text.format("小明", 12))) is None
    assert check(sample(text.format("小红", 12))) == "nearly the same question was drawn before"


def test_other_numbers_in_the_same_wording_are_no_overlap():
    assert Unseen([EXAMPLE])(sample("Ann has 5 bags of 6 apples and eats 7. How many are left?")) is None


STORIES = [
    "Ann has 3 bags of 4 apples and eats 2. How many are left?",
    "A train leaves at noon and travels 60 miles an hour until 5. How far does it come?",
    "Omar reads 12 pages a day of a book with 96 pages. After how many days is it finished?",
    "Seven friends pay 84 dollars for a meal and share the bill. What does each of them pay?",
    "Mei plants 5 rows of 9 tulips, and a storm breaks 6 of them. How many still stand?",
    "The tank holds 250 litres; 40 litres flow out every hour. How much is in it after 3 hours?",
]
NEW = "Luca bakes 4 trays of 12 rolls and sells 30 of them at the market. How many does he keep?"
ORDER = (
    "You are a careful assistant for school children who are learning arithmetic in their first years; read the problem below slowly, "
    "think about what is asked, work through it step by step, and give the answer at the very end of it."
)
SHOTS = " ".join(
    f"Q: A shelf holds {n} books and a boy takes {n // 2}. A: That leaves {n} - {n // 2} = {n - n // 2}." for n in range(20, 30)
)
TOPICS = ["sums", "high school physics", "world history", "law", "the arts", "chemistry"]
FRAMES = {
    "before": lambda number, text: f"{ORDER} {text}",
    "behind": lambda number, text: f"{text}\n\n{ORDER}",
    "around": lambda number, text: f"{ORDER[:120]}\n{text}\n{ORDER[120:]}",
    "with a column in it": lambda number, text: (
        f"The following is an exam question about {TOPICS[number % 6]}. Think it through with care.\n{text}"
    ),
    "one of two": lambda number, text: f"{ORDER if number % 2 else ORDER[::-1]} {text}",
    "with solved examples": lambda number, text: f"Here is how such problems are solved. {SHOTS} Now solve this one. {text}",
    "as a chat": lambda number, text: f"### Instruction:\n{ORDER}\n\n### Input:\n{text}\n\n### Response:",
    "none": lambda number, text: text,
}


def test_what_a_held_out_item_asks_is_refused_as_such_however_often_it_is_drawn():
    held_out = [EXAMPLE.model_copy(update={"question": text}) for text in STORIES]
    rows, checks = [sample(STORIES[0]), sample(STORIES[0], index=1), sample(STORIES[1], answer="")], []
    for check in row_filters(TASK, held_out):
        rows, refused = check(rows)
        checks += [row.check for row in refused]
    assert (rows, checks) == ([], ["unseen"] * 3)  # the text of those is not published


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("own", [" {}", "{} Say it in words."])
def test_what_all_items_of_a_task_share_by_their_form_is_no_overlap(frame, own):
    def framed(number, text):
        return EXAMPLE.model_copy(update={"question": FRAMES[frame](number, own.format(text))})

    held_out = [framed(number, text) for number, text in enumerate(STORIES)]
    unseen = row_filters(TASK, held_out, skip=("formed", "telling", "distinct"))[0]
    fresh = sample(framed(4, NEW).question)
    kept, refused = unseen([fresh, sample(held_out[2].question, index=1), sample(STORIES[3], index=2)])
    assert kept == [fresh]
    assert [row.check for row in refused] == ["unseen", "unseen"]
    # a single held-out item shows no frame: other items of its task do
    unseen = row_filters(TASK, held_out[:1], held_out[1:], skip=("formed", "telling", "distinct"))[0]
    assert unseen([fresh])[0] == [fresh]
    assert not unseen([sample(held_out[0].question)])[0]


def test_wording_that_two_held_out_items_share_is_still_compared():
    held_out = [EXAMPLE.model_copy(update={"question": text}) for text in [LONG.format(12, 3), LONG.format(14, 4), *STORIES * 3]]
    unseen = Unseen(held_out, Frame(held_out))
    assert unseen(sample(LONG.format(20, 5))) is not None


def test_rows_in_one_long_frame_are_no_repetitions_of_each_other():
    framed = [EXAMPLE.model_copy(update={"question": f"{ORDER} {ORDER[::-1]} {SHOTS} {text}"}) for text in [*STORIES, "3 + 4", "5 + 4"]]
    assert [Distinct(Frame(framed))(row) for row in map(sample, [one.question for one in framed])] == [None] * 8
    check = Distinct(Frame(framed))
    assert [check(sample(one.question)) for one in framed] == [None] * 8
    assert check(sample(framed[6].question)) is not None
    assert check(sample(f"{ORDER} {LONG.format(12, 3)}")) is None
    assert check(sample(f"{ORDER} {LONG.format(12, 3)} today")) is not None


def test_short_rows_are_told_apart():
    check = Distinct()
    assert [bool(check(sample(text))) for text in ("3 + 4", "5 + 4", "3 + 4", "")] == [False, False, True, False]


def test_a_row_on_which_the_misconception_is_right_is_refused():
    assert tells_apart(TASK, sample("q", answer="4", wrong="4.0")) is not None
    assert tells_apart(TASK, sample("q", answer="4", wrong="5")) is None


def test_a_row_that_is_not_written_as_golds_are_or_is_not_right_for_itself_is_dropped(tmp_path):
    rows = [{"question": f"How far is it to {place}?", "answer": f"{place} km"} for place in range(20)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = load_task(f"jsonl:{tmp_path}/train.jsonl")
    item = task.examples("train")[0]
    answers = ["7 km", "7km", "about 7 km", "8 km", "$8 km", "8 km or 9 km"]
    some = [
        Sample(program_id="p", seed=0, index=index, level=3, example=item.model_copy(update={"answer": answer, "solution": ""}))
        for index, answer in enumerate(answers)
    ]
    own = Sample(program_id="", seed=0, index=9, level=3, example=item.model_copy(update={"answer": "odd"}), item=item.id)
    formed = row_filters(task, [], skip=("unseen", "telling", "distinct"))[0]
    kept, refused = formed([*some, own])
    assert [row.example.answer for row in kept] == ["7 km", "8 km", "odd"]  # the task's own item is what it is
    assert {row.check for row in refused} == {"formed"}
    assert "they are written like '0 km'" in refused[0].reason
