"""The tasks mmlu, arc, gsm_plus and bbh: every published form of their files, their verdicts, and counter-cases."""

import json
import os
from pathlib import Path

import pytest

from errata.signatures.errors import TaskError, UsageError
from errata.tasks import doctor, load_task
from errata.tasks.verdicts import number

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def jsonl(path: Path, *rows: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


FLAT = {"question": "What is ice?", "A": "water", "B": "iron", "C": "salt", "D": "sand", "answer": "A", "subject": "chemistry"}
HUB = {"question": "What is ice?", "choices": ["water", "iron", "salt", "sand"], "answer": 0, "subject": "chemistry"}


def test_mmlu_is_read_in_its_three_forms(tmp_path):
    (tmp_path / "csv" / "test").mkdir(parents=True)
    (tmp_path / "csv" / "test" / "chemistry_test.csv").write_text('What is ice?,water,iron,salt,sand,A\n"Is 1, 2?",a,b,c,d,D\n')
    forms = [
        load_task(f"mmlu:{jsonl(tmp_path / 'flat.jsonl', FLAT)}").examples("train"),
        load_task(f"mmlu:{jsonl(tmp_path / 'hub.jsonl', HUB)}").examples("train"),
        load_task(f"mmlu:{tmp_path / 'csv'}").examples("test")[:1],
    ]
    for (example,) in forms:
        assert (example.answer, example.skill) == ("A", "chemistry")
        assert example.question == "What is ice?\nA. water\nB. iron\nC. salt\nD. sand"
    assert list(load_task(f"mmlu:{tmp_path / 'csv'}").data) == ["test/chemistry_test.csv"]


def test_a_csv_file_that_is_not_utf8_is_one_line(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test/x_test.csv").write_bytes(b"What is \xe9?,a,b,c,d,A\n")
    with pytest.raises(TaskError, match=r"x_test\.csv: not a CSV file in UTF-8"):
        load_task(f"mmlu:{tmp_path}")


def test_parquet_files_are_read_as_jsonl_is(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([HUB]), tmp_path / "test.parquet")
    (example,) = load_task(f"mmlu:{tmp_path}").examples("test")
    assert example.answer == "A"
    (tmp_path / "test.parquet").write_bytes(b"PAR")
    with pytest.raises(TaskError, match="not a parquet file"):
        load_task(f"mmlu:{tmp_path}")


ARC = {
    "flat": {"question": "Ice?", "answer": "2", "1": "iron", "2": "water", "3": "salt", "label": ["1", "2", "3"]},
    "hub": {"question": "Ice?", "choices": {"text": ["iron", "water", "salt"], "label": ["1", "2", "3"]}, "answerKey": "2"},
    "published": {
        "question": {
            "stem": "Ice?",
            "choices": [{"text": "iron", "label": "1"}, {"text": "water", "label": "2"}, {"text": "salt", "label": "3"}],
        },
        "answerKey": "2",
    },
}


@pytest.mark.parametrize("form", ARC)
def test_arc_is_read_in_its_three_forms(tmp_path, form):
    task = load_task(f"arc:{jsonl(tmp_path / 'x.jsonl', ARC[form])}")
    (example,) = task.examples("train")
    assert example.question == "Ice?\n1. iron\n2. water\n3. salt"
    assert task.verdict(example, "Ice is frozen water, so the answer is 2.").correct
    assert task.verdict(example, "The answer is salt.").reason == "wrong"
    assert task.verdict(example, "Hm.").reason == "no answer"
    assert doctor(task) == (1, [])


BAD = {
    "no option": ("mmlu", {k: v for k, v in FLAT.items() if k != "C"}, "'C' is missing"),
    "gold": ("mmlu", FLAT | {"answer": "E"}, "not one of the options"),
    "index": ("mmlu", HUB | {"answer": 4}, "index 0..3"),
    "missing option": ("mmlu", HUB | {"choices": ["a", "b", None, "d"]}, "option 3 has no text"),
    "padding": ("mmlu", HUB | {"choices": ["a", "b", "c", None]}, "needs four"),
    "missing gold": ("mmlu", HUB | {"answer": float("nan")}, "names no option"),
    "labels": ("arc", {k: v for k, v in ARC["flat"].items() if k != "label"}, "'label'"),
    "number": ("gsm_plus", {"question": "x", "answer": "y", "extracted_answer": "some"}, "no single number"),
    "entry": ("humaneval", {"prompt": "def f(): pass", "test": "def check(c): pass"}, "'entry_point' is missing"),
    "asserts": ("mbpp", {"text": "x", "code": "def f(): pass", "test_list": []}, "test_list"),
    "function": ("mbpp", {"text": "x", "code": "def f(): pass", "test_list": ["assert g() == 1"]}, "call no function"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_one_line_that_names_file_and_fault(tmp_path, case):
    task, row, words = BAD[case]
    file = jsonl(tmp_path / "bad.jsonl", row)
    with pytest.raises(TaskError) as caught:
        load_task(f"{task}:{file}", runner=lambda *job: None)
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message and "line 1" in message and words in message


def test_unknown_names_get_the_near_word():
    for name, near in [
        ("mmul:x", "mmlu[:PATH]"),
        ("gsmplus", "gsm_plus[:PATH]"),
        ("human-eval:x", "humaneval[:PATH]"),
        ("json:x", "jsonl:PATH"),
    ]:
        with pytest.raises(UsageError) as caught:
            load_task(name)
        assert f"did you mean {near}?" in str(caught.value)
    with pytest.raises(UsageError, match="known tasks are"):
        load_task("zzzz")
    for name in ("bbh", "jsonl:", "hf", "gsm8k"):
        with pytest.raises(UsageError, match=r"write|PATH"):
            load_task(name)


def test_a_folder_without_dev_gives_a_tenth_of_train_and_no_item_twice(tmp_path):
    rows = [FLAT | {"question": f"What is {n}?"} for n in range(300)]
    jsonl(tmp_path / "train.jsonl", *rows, *rows[:50])
    jsonl(tmp_path / "validation.jsonl.not", rows[0])
    task = load_task(f"mmlu:{tmp_path}")
    train, dev = task.examples("train"), task.examples("dev")
    assert len(train) + len(dev) == 300
    assert 10 < len(dev) < 60
    assert not {e.question for e in train} & {e.question for e in dev}
    jsonl(tmp_path / "validation.jsonl", rows[0])
    assert len(load_task(f"mmlu:{tmp_path}").examples("dev")) == 1


def plus(tmp_path: Path, gold, solution: str = "x"):
    task = load_task(f"gsm_plus:{jsonl(tmp_path / 'plus.jsonl', {'question': 'q', 'solution': solution, 'answer': gold})}")
    (example,) = task.examples("train")
    return task, example


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("160 windows", ["#### 160", "160 windows", "It is 160."], ["#### 16", "#### 1600", ""]),
        ("$18.50", ["#### 18.5", "$18.50"], ["#### 18.05"]),
        ("20 %", ["#### 20", "20%"], ["#### 0.2"]),
        ("3/2", ["#### 1.5", "1 1/2", "3/2"], ["#### 3", "#### 2"]),
        (
            "33.33",
            ["#### 33.33", "#### 33.3333", "#### 100/3", "The answer is 33.33%"],
            ["#### 33", "#### 33.3", "#### 33.34", "#### 33.336"],
        ),
        ("2.67", ["#### 8/3", "#### 2.6667"], ["#### 2.66", "#### 2.7", "#### 3"]),
        ("11.7", ["#### 11.70"], ["#### 11.72", "#### 12"]),
        ("23", ["#### 23.0"], ["#### 23.4", "#### 22.999"]),
        ("40/1", ["#### 40"], ["#### 1"]),
    ],
)
def test_messy_golds_of_gsm_plus_are_read(tmp_path, gold, right, wrong):
    task, example = plus(tmp_path, gold)
    assert [response for response in right if not task.verdict(example, response).correct] == []
    assert [response for response in wrong if task.verdict(example, response).correct is not False] == []
    assert doctor(task) == (1, [])


@pytest.mark.parametrize("gold", ["None", None])
def test_an_unanswerable_question_is_answered_by_saying_so(tmp_path, gold):
    task, example = plus(tmp_path, gold)
    for response in (
        "#### None",
        "We do not know the price.\n#### None",
        "The number of eggs is missing, so the question cannot be answered.",
        "It is not possible to determine the total.",
    ):
        assert task.verdict(example, response).reason == "right", response
    assert task.verdict(example, "So he has\n#### 12").reason == "wrong"
    assert task.verdict(example, "It cannot be known exactly, but about 12.\n#### 12").reason == "wrong"
    assert task.verdict(example, "").reason == "no answer"
    assert doctor(task) == (1, [])


def test_saying_that_there_is_no_answer_is_wrong_where_there_is_one(tmp_path):
    task, example = plus(tmp_path, "5")
    verdict = task.verdict(example, "#### None")
    assert (verdict.correct, verdict.extracted) == (False, "None")
    assert task.verdict(example, "Nobody knows").reason == "no answer"


CLOSED = ["#### 5\nNote that the price is not given, but it does not matter.", "#### 5\n\nSo she cannot buy the bike."]
CLOSED += ["The answer is 5.\nHe has not enough money for more.", "So \\boxed{5}.\nShe lacks the rest."]


@pytest.mark.parametrize("response", CLOSED)
def test_a_sentence_behind_an_answer_does_not_take_it_back(tmp_path, response):
    for gold, reason in (("5", "right"), ("6", "wrong"), ("None", "wrong")):
        task, example = plus(tmp_path, gold)
        verdict = task.verdict(example, response)
        assert (verdict.extracted, verdict.reason) == ("5", reason)
        assert task.verdict(example, "#### 5\nNo, that is not given.\n#### None").extracted == "None"


def test_gsm_plus_counts_in_millions_where_the_question_does(tmp_path):
    task, example = plus(tmp_path, "26")
    asked = example.model_copy(update={"question": "It covers 13 million miles a day. How many million miles in two days?"})
    assert task.verdict(asked, "#### 26 million").correct
    assert not task.verdict(example, "#### 26 million").correct


def test_the_mark_inside_a_published_solution_does_not_spoil_its_completion(tmp_path):
    task, example = plus(tmp_path, "220", "In total, Hannah smashes 160 + 60 = #### 220 windows of 3 cars.")
    assert task.verdict(example, task.completion(example.solution, example.answer)).correct


def bbh(folder: Path, **files: list[tuple[str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(
            json.dumps({"canary": "x", "examples": [{"input": text, "target": target} for text, target in rows]})
        )
    return folder


def one(tmp_path: Path, question: str, target: str):
    rows = [(f"{question} {n}" if "Options" not in question else f"{n} {question}", target) for n in range(4)]
    task = load_task(f"bbh:{bbh(tmp_path / 'bbh', puzzle=rows)}")
    (example,) = [row for split in ("train", "dev", "test") for row in task.examples(split)]
    return task, example


DATES = "When?\nOptions:\n(A) 01/02/2020\n(B) 02/03/2021\n(C) 03/04/2022"


@pytest.mark.parametrize(
    ("question", "target", "right", "wrong", "none"),
    [
        (DATES, "(B)", ["So the answer is (B).", "(B)", "It is B.", "The answer is 02/03/2021."], ["So the answer is (A)."], ["Hm."]),
        ("Is it? Options:\n- Yes\n- No", "No", ["So the answer is No.", "no", "**No**, since"], ["So the answer is yes."], ["Maybe."]),
        ("Valid?", "invalid", ["So the answer is invalid.", "The argument is not valid."], ["It is valid."], ["Who can say."]),
        ("not ( True ) is", "False", ["So the answer is False."], ["So the answer is True."], [""]),
        ("1 - 26 =", "-25", ["So the answer is -25.", "1 - 26 = -25"], ["So the answer is 25."], ["Unknown."]),
        ("[ { [", "] } ]", ["So the answer is ] } ].", "] } ]", "The answer is: ]}]"], ["So the answer is ] ] }."], ["I do not know."]),
        (
            "Sort: b a c",
            "a b c",
            ["So the answer is a b c.", "Sorted list: a, b, c", "a b c"],
            ["The answer is a c b."],
            ["First a.\nThen b."],
        ),
    ],
)
def test_bbh_compares_by_the_kind_of_its_target(tmp_path, question, target, right, wrong, none):
    task, example = one(tmp_path, question, target)
    assert [r for r in right if not task.verdict(example, r).correct] == []
    assert [r for r in wrong if task.verdict(example, r).reason != "wrong"] == []
    assert [r for r in none if task.verdict(example, r).reason != "no answer"] == []
    assert doctor(task) == (1, [])


def test_bbh_shows_three_examples_and_does_not_ask_them(tmp_path):
    rows = [(f"{n} + 1 =", str(n + 1)) for n in range(40)]
    task = load_task(f"bbh:{bbh(tmp_path / 'bbh', sums=rows)}")
    asked = [row for split in ("train", "dev", "test") for row in task.examples(split)]
    assert len({row.question for row in asked}) == 37
    text = task.prompt(asked[0])[0]["content"]
    assert text.count("So the answer is") == 3
    assert not any(f"Q: {row.question}\n" in text for row in asked[1:])
    assert text.endswith(f"Q: {asked[0].question}\nA: Let's think step by step.")
    drawn = task.prompt(asked[0].model_copy(update={"skill": ""}))[0]["content"]  # a program's row
    assert text.endswith(drawn) and drawn.startswith("Q: ")


def test_bbh_takes_its_worked_examples_from_cot_prompts_where_they_lie(tmp_path):
    rows = [(f"{n} + 1 =", str(n + 1)) for n in range(10)]
    bbh(tmp_path / "bbh", sums=rows)
    (tmp_path / "cot-prompts").mkdir()
    (tmp_path / "cot-prompts" / "sums.txt").write_text(
        "canary\n-----\nAdd.\n\nQ: 3 + 1 =\nA: Let's think step by step. So the answer is 4.\n"
    )
    for path in (tmp_path, tmp_path / "bbh"):
        task = load_task(f"bbh:{path}")
        asked = [row for split in ("train", "dev", "test") for row in task.examples(split)]
        assert {row.question for row in asked} == {text for text, _ in rows} - {"3 + 1 ="}
        assert task.prompt(asked[0])[0]["content"].startswith("Add.\n\nQ: 3 + 1 =")
        assert sorted(Path(name).name for name in task.data) == ["sums.json", "sums.txt"]


def test_bbh_does_not_read_the_next_question_that_a_model_asks_itself(tmp_path):
    task, example = one(tmp_path, "1 + 1 =", "2")
    assert task.verdict(example, " So the answer is 2.\n\nQ: 3 + 3 =\nA: So the answer is 6.").correct


def test_a_bbh_folder_without_its_files_is_refused(tmp_path):
    with pytest.raises(TaskError, match="no JSON files"):
        load_task(f"bbh:{tmp_path}")
    (tmp_path / "x.json").write_text('{"rows": []}')
    with pytest.raises(TaskError, match="must hold"):
        load_task(f"bbh:{tmp_path}")


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("So he has $72 left ($144 - $72).", 72),
        ("The loss is -$72.", -72),
        ("Calculate the answer:\n\nmilk = 30,000 gallons - 1,020 gallons\nmilk = 28,980 gallons\nSo it is 28,980 gallons.", 28980),
        ("The answer is 3 + 4 = 7", 7),
    ],
)
def test_a_number_in_a_sum_is_not_the_answer_but_its_result_is(response, value):
    assert number.extract(response) == value


def test_recorded_prose_is_read_as_by_eye():
    file = SHARED / "recorded_mistral7b" / "gsm8k_right.jsonl"
    if not file.exists():
        pytest.skip(f"no {file}: set ERRATA_SHARED_DATA to the folder with the public data")
    rows = [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
    judged = [number.verdict(r["answer"].rpartition("####")[2].strip(), r["response"], r["question"]) for r in rows]
    # the four whose last words give another answer, or none; 188 says "a total of 25 singers (15 + 10)" where 10 is asked for
    assert [i for i, verdict in enumerate(judged) if not verdict.correct] == [188, 618, 887, 906]


@pytest.mark.parametrize("name", ["gsm_plus", "mmlu", "arc_challenge"])
def test_every_gold_of_the_public_files_passes_its_own_verdict(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {SHARED / name}: set ERRATA_SHARED_DATA to the folder with the public data")
    checked, findings = doctor(load_task(f"{name.removesuffix('_challenge')}:{SHARED / name}"))
    assert checked > 900
    assert findings == []
