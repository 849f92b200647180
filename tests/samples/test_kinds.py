"""Programs for each kind of task: what its contract refuses, what the host adds to a row, and a real model's errors taken to rows."""

import ast
import json
import os
import re
from pathlib import Path

import pytest
from openai_server import OpenAIServer, Reply
from problems import drawn
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.programs.report.trace import Lineage, as_text
from errata.programs.run import layout
from errata.programs.run.directory import Stage
from errata.programs.samples.checks import prove
from errata.programs.samples.draw import DRY, POOR, draw_rows, draws
from errata.programs.samples.filters import Distinct, Unseen
from errata.programs.samples.harness import run_program
from errata.programs.samples.kinds import KINDS
from errata.programs.steps.rows import train_rows
from errata.sandbox import Limits
from errata.signatures.errors import TaskError
from errata.signatures.records import Attempt, Failure, Rejection, Sample, SampleProgram, TrainRow
from errata.signatures.teach import contract
from errata.tasks import load_task
from errata.tasks.settings import TableSettings

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))
RECORDED = SHARED / "recorded_instructor/programs.jsonl"
needs_recorded = pytest.mark.skipif(not RECORDED.exists(), reason="needs the recorded programs (ERRATA_SHARED_DATA)")

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
ITEMS = {
    "number": {"question": "Ann has 3 bags of 4 apples and eats 2. How many are left?", "answer": "#### 10"},
    "choice": {"question": "Which planet is closest to the Sun?", "choices": ["Earth", "Venus", "Mars", "Mercury"], "answer": 3},
    "code": {
        "prompt": "def count_multiples_of_3(numbers: list) -> int:\n    '''Count the multiples of 3 in a list.'''\n",
        "entry_point": "count_multiples_of_3",
        "test": "def check(candidate):\n    assert candidate([3, -6, 1]) == 2\n    assert candidate([]) == 0\n",
    },
    "label": {"question": "Wake me when the 40 minutes for the bread are over.", "answer": "timer"},
    "text": {"question": "Take the last letter of each word in 'green apple pie' and join them.", "answer": "nee"},
    "tools": {
        "question": "What will the weather be in Rome in 3 days and in Oslo in 5?",
        "answer": "[get_weather(city='Rome', days=3), get_weather(city='Oslo', days=5)]",
        "tools": [{"name": "get_weather", "parameters": WEATHER}, {"name": "now", "parameters": {"type": "object", "properties": {}}}],
    },
    "json": {
        "question": "A table for 2 adults and 3 children on 4 May at 19:30, please. Ann",
        "answer": {"name": "Ann", "guests": 5, "time": "19:30"},
    },
    "sql": {
        "question": "How many customers placed an order of more than 50?",
        "answer": "SELECT count(DISTINCT customer_id) FROM orders WHERE total > 50;",
    },
}
SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, total INTEGER);
INSERT INTO customers VALUES (1, 'Ann', 'Cork'), (2, 'Luca', 'Turin'), (3, 'Mei', 'Bergen'), (4, 'Omar', 'Cork');
INSERT INTO orders (customer_id, total) VALUES (1, 60), (1, 80), (2, 55), (4, 20), (3, 130), (3, 12);
"""
SAID = {
    "number": "3 * 4 + 2 = 14\n#### 14",
    "choice": "The answer is B.",
    "code": "```python\ndef count_multiples_of_3(numbers):\n    return sum(1 for n in numbers if n % 3 == 0 and n > 0)\n```",
    "label": "alarm",
    "text": "Answer: gap",
    "tools": '<tool_call>\n{"name": "get_weather", "arguments": {"days": 3, "city": "Rome"}}\n</tool_call>',
    "json": 'Here it is:\n{"guests": 2, "name": "Ann", "time": "19:30"}',
    "sql": "```sql\nSELECT COUNT(*) FROM orders WHERE total > 50\n```",
}
EXAMPLES = {kind: contract(kind).partition("Example, for")[2].partition(":\n\n")[2] for kind in KINDS}
"""The complete program that each contract shows."""


@pytest.fixture(scope="module")
def tasks(sandbox, tmp_path_factory):
    def runner(source, harness, payload):
        return sandbox.run(source, harness, payload, Limits())

    names = {"number": "gsm8k", "choice": "mmlu", "code": "mbpp"}
    found = {kind: load_task(name, runner=runner, items=False) for kind, name in names.items()}
    tables = {
        "label": TableSettings(verdict="label", choices=("timer", "alarm", "reminder")),
        "text": TableSettings(),
        "sql": TableSettings(verdict="sql", database=SHOP),
        "tools": TableSettings(verdict="tools"),
        "json": TableSettings(verdict="json"),
    }
    for kind, settings in tables.items():
        file = tmp_path_factory.mktemp("tables") / f"{kind}.jsonl"
        file.write_text(json.dumps(ITEMS[kind]) + "\n", encoding="utf-8")
        found[kind] = load_task(f"jsonl:{file}", settings, runner)
    return found


def failed(task, row, response):
    """The error of a task's row, judged by the task."""
    example = task.read(row, "train", "row 1")
    attempt = Attempt(example=example, response=response, verdict=task.verdict(example, response))
    assert attempt.verdict.correct is False
    return Failure(attempt=attempt)


def program(kind, failure, source=None):
    source = (source or EXAMPLES[kind]).replace('"e1"', f'"{failure.id}"')
    return SampleProgram(diagnosis_id="d", source=source, anchors=(failure.id,), kind=kind)


@pytest.fixture(scope="module")
def failures(tasks):
    return {kind: failed(tasks[kind], ITEMS[kind], SAID[kind]) for kind in ITEMS}


@pytest.mark.parametrize("kind", list(ITEMS))
def test_the_program_that_a_contract_shows_keeps_it_and_proves_its_diagnosis(sandbox, tasks, failures, kind):
    failure = failures[kind]
    shown = program(kind, failure)
    assert prove(shown, [failure], tasks[kind], sandbox, Limits()) is None
    anchor = run_program(sandbox, shown.source, shown.anchors, (), Limits(), kind).anchors[0]
    assert anchor["wrong"] is not None


@pytest.mark.parametrize(
    ("kind", "check", "old", "new", "said"),
    [
        ("choice", "runs", '"choices": planets', '"choices": planets[:1] * 2', "two options are the same"),
        ("choice", "runs", '"choices": planets', '"choices": None', "a list of 2 to 10 str"),
        ("choice", "runs", '"answer": answer', '"answer": "the Moon"', "none of the options"),
        ("choice", "runs", '"choices": planets', '"choices": [*planets, "A and B"]', "names others by letter"),
        ("choice", "runs", "return other if", "return 'the Moon' if", "none of the options"),
        ("choice", "runs", "So it is {answer}.", "So the answer is C.", "name them by their words"),
        ("choice", "anchored", '"closest to the Sun", "planets": ["E', '"coldest", "planets": ["E', "but the gold answer is 'Mercury'"),
        ("choice", "anchored", '"Mars", "Mercury"],', '"Saturn", "Mercury"],', "but the error's own are"),
        ("choice", "anchored", "Which planet is {}?", "Near?", "recognisably"),
        ("choice", "diverse", '"told": rng.randrange(3)}', '"told": 0} | {"ask": "closest to the Sun"}',
         "only 5 different questions with their right"),
        ("choice", "telling", 'return other if other != pick(ask, planets) else None', 'return "Earth" if "Earth" in planets else None',
         "but the model answered 'Venus'"),
        ("text", "runs", '"solution": f"', '"solution": 7, "no": f"', "a str under 'solution'"),
        ("text", "runs", '"answer": "".join(', '"answer": chr(10).join(', "is not judged right for itself: 'w' is read"),
        ("text", "runs", '"answer": "".join(word[-1] for word in words), "solution"', '"answer": chr(10).join(words), "idea"',
         "is not judged right for itself"),
        ("text", "anchored", "word[-1] for word in words)", "word[0] for word in words)", "answers 'gap', but the gold answer is 'nee'"),
        ("text", "anchored", "Take the last letter of each word in '{text}' and join them.", "Last letters of '{text}'?", "recognisably"),
        ("text", "diverse", "rng.sample(WORDS, level)", "WORDS[:level]", "only 15 distinct problems"),
        ("text", "telling", 'return "".join(word[0] for', 'return "".join(word[1] for', "but the model answered 'gap'"),
        ("text", "telling", "# takes the first letters", "\n    if words[0] != 'green': return make(words, told)['answer']",
         "wrong() gives the right answer on"),
        ("code", "runs", "return {JOBS[job][1]}(", "return {JOBS[job][1]}.nothing(", "the solution fails on"),
        ("code", "runs", "return {JOBS[job][1]}(", "print(", "returns None on every call"),
        ("code", "runs", "for numbers in lists]", "for numbers in lists][:2]", "at least 3 str under 'calls'"),
        ("code", "runs", "[repr(numbers) for", '["numbers" for', "numbers' is not defined"),
        ("code", "runs", "{PHRASINGS[told].format(JOBS[job][0].format(divisor))}",
         "{JOBS[job][0].format(divisor)}\\n    >>> 1 + 1\\n    3\\n    ", "gives 2, not 3"),
        ("code", "anchored", "% {divisor} == 0\")", "% {divisor} == 1\")", "does not pass the error's own tests"),
        ("code", "diverse", 'rng.choice(sorted(JOBS)), "divisor": divisor', '"count", "divisor": 3',
         "only 1 different solutions, 6 are needed"),
        ("label", "runs", '"answer": label', '"answer": label.title()', "write it as the task does: 'alarm'"),
        ("label", "runs", '"answer": label', '"answer": "wake"', "'wake' is not one of the task's labels"),
        ("label", "runs", '"answer": label', '"answer": label, "solution": 3', "a str under 'solution', or leave it out"),
        ("label", "anchored", '{"label": "timer", "told": 0', '{"label": "alarm", "told": 0', "but the gold answer is 'timer'"),
        ("label", "anchored", "Wake me when the {minutes} minutes for the {thing} are over.", "Call.", "recognisably"),
        ("label", "balanced", "rng.choice(list(TEXTS))", '"timer"', "only 0 of 200 draws have the label 'alarm', 40 are needed"),
        ("label", "balanced", "rng.choice(list(TEXTS))", '"timer" if rng.random() < 0.9 else "alarm"', "draws have the label 'alarm'"),
        ("label", "diverse", '"told": rng.randrange(3)', '"told": 0', "are worded in only 1 way, 3 are needed"),
        ("label", "telling", 'return "alarm" if', 'return "reminder" if', "but the model answered 'alarm'"),
        ("label", "telling", 'if label == "timer" else None', 'or label', "gives the right answer on"),
        ("label", "telling", '"alarm" if label == "timer" else None', '"alarm" if rest["told"] == 0 else "clock"',
         "the answer 'clock' is not one of the task's labels"),
        ("tools", "runs", '"answer": calls}', '"answer": str(calls[0])}', "a list of {'name': str, 'arguments': dict of JSON values}"),
        ("tools", "runs", '"answer": calls}', '"answer": []}', "return the words of the answer under 'solution'"),
        ("tools", "runs", '"answer": calls}', '"answer": calls, "tools": [1]}', "must hold tools: a list of functions"),
        ("tools", "runs", '"get_weather",', '"weather",', "unknown function weather (there are get_weather, now)"),
        ("tools", "runs", '"days": count}}', '"days": str(count)}}', "' is not of type 'integer'"),
        ("tools", "runs", '"city": city, "days"', '"town": city, "days"', "get_weather has no argument town"),
        ("tools", "runs", ', "days": count}}', '}}', "get_weather: 'days' is a required property"),
        ("tools", "anchored", '"days": [3, 5]', '"days": [3, 6]', "get_weather: argument days is wrong"),
        ("tools", "anchored", '"cities": ["Rome", "Oslo"]', '"cities": ["Rome"]', "get_weather is not called"),
        ("tools", "anchored", "What will the weather be {places}?", "{cities[0]}, please?", "recognisably"),
        ("tools", "diverse", '"told": rng.randrange(3)}', '"told": 0}', "phrased"),
        ("tools", "diverse", "rng.sample(range(2, 15), count)", "[3, 5, 7][:count]", "distinct problems in 200 draws"),
        ("tools", "telling", "calls[:1] if", "calls[1:] if", '"city": "Oslo"'),
        ("tools", "telling", "if len(calls) > 1 else None", "", "gives the right answer on"),
        ("tools", "runs", "calls[:1] if", "'the first' if", "wrong() must give a list of"),
        ("json", "runs", '"guests": guests', '"guests": str(guests)', "breaks the schema: guests: "),
        ("json", "runs", '"guests": guests', '"guests": float("nan")', "make() under 'answer' gives no JSON value: Out of range"),
        ("json", "runs", '"guests": guests', '"guests": NAMES.sort', "gives no JSON value: Object of type builtin"),
        ("json", "runs", '"answer": answered(adults + children, name, time)', '"gold": 1', "must return a JSON value under 'answer'"),
        ("json", "runs", '"time": time}', '"time": time, "day": 4}', "Additional properties are not allowed"),
        ("json", "runs", '"question": text,', '"question": text, "solution": 3,', "a str under 'solution', or leave it out"),
        ("json", "anchored", "adults + children", "adults + children + 1", "the gold answer is "),
        ("json", "anchored", "A table for {adults} adults and {children} children on {day} May at {time}, please. {name}", "{name}",
         "recognisably"),
        ("json", "diverse", 'rng.randint(2, 3 + level), "children": rng.randint(2, 2 + level), "day": rng.randint(1, 28)',
         '2, "children": 3, "day": 4', "distinct problems in 200 draws"),
        ("json", "diverse", '"told": rng.randrange(3)', '"told": 0', "are all phrased the same way, 3 are needed"),
        ("json", "telling", "return answered(adults, name, time)", "return answered(children, name, time)",
         'the model answered \'{"guests": 2, "name": "Ann", "time": "19:30"}\' (guests is 3, not 2)'),
        ("json", "telling", "return answered(adults, name, time)", "return answered(adults if day == 4 else adults + children, name, time)",
         "gives the right answer on"),
        ("code", "telling", "number > 0 and", "number > 6 and", "otherwise than the model's"),
        ("code", "telling", "number > 0 and", "True and", "behaves like the solution"),
        ("sql", "runs", "SELECT {count} FROM", "SELECT {count} FORM", "not SQL: near"),
        ("sql", "runs", "SELECT {count} FROM", "DELETE FROM", "only reading is allowed"),
        ("sql", "runs", "SELECT {count} FROM", "SELECT 1 WHERE 0 AND 0 = (SELECT {count} FROM", "not SQL: incomplete input"),
        ("sql", "runs", '"COUNT(DISTINCT customer_id)", city, amount),', '"total", city, 900),', "gives no row on the database and"),
        ("sql", "runs", "INSERT INTO orders", "INSERT INTO order_list", "no such table: order_list"),
        ("sql", "runs", "DELETE FROM orders WHERE", "DROP TABLE orders --", "only INSERT, UPDATE and DELETE"),
        ("sql", "runs", '[f"{more}; {more}", ', '["", ', "at most 5 str under 'variations'"),
        ("sql", "anchored", '"amount": 50', '"amount": 90', "1 row with other values"),
        ("sql", "anchored", ' placed an order of more than {}?", "Of', ' spent {}?", "Of', "recognisably"),
        ("sql", "diverse", "rng.randint(5, 40 + 20 * level)", "50", "distinct problems"),
        ("sql", "telling", '"COUNT(*)", city', '"COUNT(DISTINCT customer_id)", city', "does not give what the model's query gives"),
        ("sql", "telling", 'query("COUNT(*)", city, amount)', "'SELECT COUNT(*) FROM orders WHERE totals > 50'", "totals"),
        ("sql", "telling", 'return query("COUNT(*)", city, amount)', 'return query("COUNT(*)" if amount == 50 else "COUNT(DISTINCT city)" '
         'if city else "COUNT(DISTINCT orders.customer_id)", city, amount)', "gives the right answer on"),
    ],
)  # fmt: skip
def test_a_program_that_breaks_its_contract_in_one_way_is_refused_for_it(sandbox, tasks, failures, kind, check, old, new, said):
    assert old in EXAMPLES[kind]
    found = prove(program(kind, failures[kind], EXAMPLES[kind].replace(old, new)), [failures[kind]], tasks[kind], sandbox, Limits(), ways=3)
    assert found is not None
    assert (found.check, said in found.reason) == (check, True), found


def rows_of(sandbox, shown, count=12):
    return draw_rows(sandbox, Limits(), shown, draws(7, (2, 3, 4), 0, count))


def completions(task, samples):
    return {row.source: (row.prompt[0]["content"], row.completion[0]["content"]) for row in train_rows(task, samples, [], 0)}


GENES = """
CROSSES = {"recessive": ("aa", "AA"), "dominant and pure": ("AA", "Aa"), "mixed": ("Aa", "aa")}

def draw(rng, level):
    return {"kind": rng.choice(sorted(CROSSES)), "plants": rng.randint(2, 99)}

def make(kind, plants):
    question = f"Which genotype do {plants} plants have that are all {kind}?"
    return {"question": question, "solution": f"It is {kind}.", "answer": CROSSES[kind][0], "choices": ["AA", "Aa", "aa", "A"]}

def wrong(kind, plants):
    return CROSSES[kind][1]

ANCHORS = {"e1": {"kind": "recessive", "plants": 3}}
"""


@pytest.mark.parametrize(
    ("source", "said"), [(GENES, ""), (GENES.replace('("aa", "AA")', '("aa", "Aa")'), "is 'Aa', but the model answered 'AA'")]
)
def test_options_that_differ_in_case_alone_are_told_apart_where_the_errors_own_do(sandbox, tasks, source, said):
    row = {"question": "Which genotype do 3 plants have that are all recessive?", "choices": ["Aa", "AA", "aa", "A"], "answer": 2}
    failure = failed(tasks["choice"], row, "The answer is B.")
    found = prove(program("choice", failure, source), [failure], tasks["choice"], sandbox, Limits(), skip=("diverse",))
    assert (found.reason if found else "").endswith(said) and bool(found) == bool(said)


def test_options_are_shown_in_random_order_and_the_completion_ends_in_the_right_label(sandbox, tasks, failures):
    task = tasks["choice"]
    samples = rows_of(sandbox, program("choice", failures["choice"]), 40)
    texts = completions(task, samples)
    for sample in samples:
        prompt, completion = texts[sample.id]
        item = sample.example
        right = re.search(r"So it is (\w+)\.$", item.solution)[1]
        assert f"\n{item.answer}. {right}\n" in prompt
        assert prompt.startswith(f"{item.meta['stem']}\nA. ")
        assert completion == f"{item.solution}\nAnswer: {item.answer}"
        assert task.verdict(item, completion).correct
        assert sample.wrong != item.answer
        assert sample.asserted
    assert {sample.example.answer for sample in samples} == set("ABCD")
    again = rows_of(sandbox, program("choice", failures["choice"]), 40)
    assert [sample.model_dump() for sample in again] == [sample.model_dump() for sample in samples]


def test_all_of_the_above_stays_below(sandbox, failures):
    source = EXAMPLES["choice"].replace('"choices": planets', '"choices": ["None of the above", *planets]')
    for sample in rows_of(sandbox, program("choice", failures["choice"], source), 20):
        assert list(sample.example.meta["choices"].values()).index("None of the above") == 4


def test_an_answer_given_by_its_label_keeps_the_order_of_the_options(sandbox, failures):
    source = EXAMPLES["choice"].replace('"answer": answer', '"answer": "ABCD"[planets.index(answer)], "asserted": False')
    for sample in rows_of(sandbox, program("choice", failures["choice"], source)):
        assert re.findall(r"(\w+): ", sample.example.solution) == list(sample.example.meta["choices"].values())
        right = sample.example.meta["choices"][sample.example.answer]
        assert right in sample.example.solution.rpartition("So it is ")[2]
        assert not sample.asserted


def test_the_host_writes_examples_and_tests_that_the_solution_passes_and_the_misconception_fails(sandbox, tasks, failures):
    task = tasks["code"]
    samples = rows_of(sandbox, program("code", failures["code"]), 4)
    texts = completions(task, samples)
    for sample in samples:
        prompt, completion = texts[sample.id]
        namespace = {}
        exec(sample.example.answer, namespace)  # the contract's own program, not an instructor's
        shown = re.findall(r"^    >>> (.+)\n    (.+)$", prompt, re.MULTILINE)
        assert len(shown) == 3
        assert all(eval(call, namespace) == ast.literal_eval(value) for call, value in shown)
        assert ast.get_docstring(ast.parse(sample.example.question).body[0]).startswith(("Count", "Add", "A list"))
        assert sample.example.meta["test"].count("assert") == 6
        assert completion == f"{sample.example.solution}\n\n```python\n{sample.example.answer.strip()}\n```"
        item = sample.example
        assert task.verdict(item, completion).correct is True
        assert task.verdict(item, f"```python\n{sample.wrong}\n```").correct is False


def test_prose_questions_get_asserts_and_floats_leave_room(sandbox, tasks):
    source = """
def draw(rng, level):
    return {"by": rng.randint(2, 90)}

def make(by):
    return {"question": f"Write a function to divide a number by {by}.", "entry_point": "divide",
            "answer": f"def divide(number):\\n    return number / {by}\\n", "calls": ["1", "divide(2.5)", "number=7"]}
"""
    sample = rows_of(sandbox, SampleProgram(diagnosis_id="d", source=source, anchors=(), kind="code"), 1)[0]
    by = int(re.search(r"by (\d+)", sample.example.question)[1])
    assert sample.example.question.endswith(f"It must pass these tests:\nassert divide(1) == {1 / by}\nassert divide(2.5) == {2.5 / by}\n"
                                    f"assert divide(number=7) == {7 / by}")  # fmt: skip
    item = sample.example
    assert tasks["code"].verdict(item, f"```python\ndef divide(number):\n    return number * (1 / {by})\n```").correct is True
    assert tasks["code"].verdict(item, f"```python\ndef divide(number):\n    return number // {by}\n```").correct is False


def test_a_program_cannot_forge_the_results_that_tests_are_made_of(sandbox, tasks, failures):
    forged = EXAMPLES["code"] + "\nimport sys\nsys.modules['harness']._results = lambda *_: ([['value', '__import__(1)', False]] * 5, {})\n"
    found = prove(program("code", failures["code"], forged), [failures["code"]], tasks["code"], sandbox, Limits())
    assert (found.check, "the program changed what the host computes" in found.reason) == ("runs", True)


def test_rows_that_teach_the_same_again_are_refused_after_four():
    def row(index, answer, kind):
        more = {"choices": {"A": "x", "B": f"y{index}"}} if kind == "choice" else {"entry_point": "f", "tests": "t"}
        question = "Which one?" if kind == "choice" else f"def f(): give {index} and {index * 7} of {'very ' * index} many"
        return drawn(index, question=question, answer=answer, **more)

    for kind in ("choice", "code"):
        check = Distinct()
        assert [bool(check(row(index, "A", kind))) for index in range(6)] == [False] * 4 + [True] * 2
        assert check(row(9, "B", kind)) is None


def test_a_row_of_a_held_out_question_with_its_right_option_is_refused_in_any_order_of_options(tasks):
    held = tasks["choice"].read(ITEMS["choice"], "dev", "row 1")
    question = "Which planet is closest to the Sun?"
    same = drawn(question=question, answer="A", choices={"A": "Mercury", "B": "Saturn"})
    other = drawn(question=question, answer="B", choices={"A": "Neptune", "B": "Saturn"})
    assert Unseen([held])(same) is not None
    assert Unseen([held])(other) is None


def test_samples_of_numbers_hold_their_items_and_keep_their_ids():
    sample = drawn(1, question="q", answer="1")
    assert list(json.loads(sample.model_dump_json())) == ["program_id", "seed", "index", "level", "example", "wrong", "id"]
    item = ["task", "split", "question", "answer", "solution", "skill", "meta", "id"]
    assert list(json.loads(sample.example.model_dump_json())) == item
    shown = SampleProgram(diagnosis_id="d", source="x", anchors=("a",))
    assert list(json.loads(shown.model_dump_json())) == ["diagnosis_id", "source", "anchors", "skill", "attempt", "id"]
    assert (sample.id, shown.id) == ("1aed8fe1891a5fef", "37758c2b47afd2eb")


# ---- a real model's errors


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("kind", ["choice", "code"])
def test_the_embedded_instructor_refuses_kinds_that_it_cannot_teach(tmp_path, kind):
    task = {"choice": "mmlu", "code": "mbpp"}[kind]
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ITEMS[kind] | {"response": SAID[kind]}) + "\n", encoding="utf-8")
    assert invoke("import", file, "--task", task, "--run", tmp_path / "run")["wrong"] == 1
    done = CliRunner().invoke(app, ["generate", "--run", str(tmp_path / "run"), "--json", "--quiet"])
    assert done.exit_code == 1
    assert "nothing was made to train on: none of 1 errors got a program; refused by instructor 1" in done.stderr
    made = json.loads(done.stdout)
    assert made["programs"]["reasons"] == {{"choice": "no question about the towns of `facts`", "code": "no function of one list"}[kind]: 1}
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text(json.dumps(ITEMS[kind]) + "\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["generate", "--task", f"{task}:{data}", "--run", str(tmp_path / "other")])
    assert done.exit_code == 2
    assert f"the embedded instructor can teach none of 1 train items of {task}" in done.stderr
    assert not (tmp_path / "other").exists()


def invoke(*args):
    done = CliRunner().invoke(app, [*map(str, args), "--json", "--quiet"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


CALLS = """

_made = make


def make(**params):
    import ast
    row = dict(_made(**params))
    tests = row.pop("tests")
    return row | {"calls": [test[len("assert ") : ast.parse(test).body[0].test.left.end_col_offset] for test in tests]}
"""
"""Gives a recorded code program, which computed its own tests, the `calls` of today's contract."""


def recorded(kind):
    rows = [json.loads(line) for line in RECORDED.read_bytes().split(b"\n") if line]
    return [row for row in rows if row["error"]["kind"] == kind]


def instructor(kind, solved):
    """A script for the loopback server: diagnoses and programs as recorded, and `solved` {question: label} for bare questions."""
    known = recorded(kind)

    def answer(body, number):
        text = body["messages"][-1]["content"]
        if "[[ ## questions ## ]]" in text:
            given = text.partition("[[ ## questions ## ]]")[2].partition("\n\nRespond with")[0]
            return {"reasoning": "r", "answers": json.dumps([chosen(part) for part in re.split(r"\n\n(?=\(\d+\) )", given.strip())])}
        row = max((row for row in known if row["error"]["question"].strip() in text), key=lambda row: len(row["error"]["question"]))
        if "[[ ## failure_id ## ]]" not in text:
            verdict = "reference_wrong" if "misjudged" in row["misconception"] else "error"
            return {"verdict": verdict, "skill": row["skill"], "misconception": row["misconception"], "evidence": "e", "teach": "t"}
        name = re.search(r"\[\[ ## failure_id ## \]\]\n(\w+)", text)[1]
        source = row["program"].replace(f'"{row["id"]}"', f'"{name}"') + (CALLS if kind == "code" else "")
        return {"refusal": "", "program": f"```python\n{source}\n```"}

    def chosen(part):
        return solved.get(re.sub(r"^\(\d+\) ", "", part), "none")

    def script(body, number):
        fields = answer(body, number)
        return Reply("".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items()) + "[[ ## completed ## ]]")

    return script


def real_errors(kind, folder):
    """The answers of Mistral-7B to the questions of the recorded programs, as a file to import."""
    name = {"choice": "mmlu", "code": "mbpp"}[kind]
    wanted = {row["error"]["response"].strip() for row in recorded(kind)}
    lines = (SHARED / f"recorded_mistral7b/{name}_wrong.jsonl").read_bytes().split(b"\n")
    rows = [row for row in map(json.loads, filter(None, lines)) if row.get("completion", row["response"]).strip() in wanted]
    folder.mkdir(exist_ok=True)
    file = folder / "errors.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def no_hub(monkeypatch):
    def absent(*_):
        raise TaskError("the hub cannot be reached")

    monkeypatch.setattr("errata.tasks.rows.from_hub", absent)
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def generated(kind, run, solved, *flags):
    """What `errata import` and `errata generate` made of the recorded errors."""
    name = {"choice": "mmlu", "code": "mbpp"}[kind]
    invoke("import", real_errors(kind, run.parent), "--task", name, "--run", run)
    with OpenAIServer(instructor(kind, solved)) as server:
        base = ["--instructor", "openai/loopback", "--set", f"instructor.api_base={server.url}", "--set", "generate.rows=60"]
        base += ["--set", "generate.phrasings=1"]  # they were not asked for more
        made = invoke("generate", "--run", run, *base, *flags)
    samples = {row.id: row for row in Stage(run / "round-1/assemble").read("samples.jsonl", Sample)}
    rows = {row.source: row for row in Stage(run / "round-1/assemble").read("rows.jsonl", TrainRow)}
    assert rows.keys() >= samples.keys()  # the others are replayed
    return made, samples, rows


@needs_recorded
@pytest.mark.usefixtures("no_hub")
def test_recorded_errors_of_facts_become_rows_that_independent_solves_confirm(tmp_path, sandbox):
    made, samples, _ = generated("choice", tmp_path / "open/run", {}, "--set", "generate.solves=0")
    assert made["programs"]["accepted"] == 9
    assert made["programs"]["refused"] == {"reference_wrong": 1}
    assert made["asserted"] == {"rows": 60, "agreed": 0}
    doubted = next(iter(samples.values())).program_id
    # what each program gives, as often as it is asked
    known = {}
    for place, program in enumerate(layout.library(tmp_path / "open/run", 1).values()):
        wanted = draws(1, load_config().generate.levels, place * (1 + POOR) * (60 + DRY), 60)
        if program.id != doubted:
            known |= {row.example.question: row.example.answer for row in draw_rows(sandbox, Limits(), program, wanted)}

    run = tmp_path / "run"
    made, kept, rows = generated("choice", run, known)
    # what the doubted program does not give, the others give
    assert made["samples"] == 60
    assert made["asserted"] == {"rows": 60, "agreed": 60}
    refused = Stage(run / "round-1/assemble").read("rejections.jsonl", Rejection)
    assert [(row.of, row.check) for row in refused if row.kind == "program"] == [(doubted, "agreed")]
    for name, sample in kept.items():
        assert rows[name].prompt[0]["content"].startswith(sample.example.meta["stem"] + "\nA. ")
        assert rows[name].completion[0]["content"].endswith(f"\nAnswer: {sample.example.answer}")
    lineage = as_text(Lineage(run).trace(next(iter(kept))))
    assert "it rests on a fact that the instructor asserts, and independent solves came to it too" in lineage


@needs_recorded
@pytest.mark.usefixtures("no_hub")
def test_a_dry_run_counts_the_independent_solves(tmp_path):
    invoke("import", real_errors("choice", tmp_path), "--task", "mmlu", "--run", tmp_path / "run")
    flags = ["--dry-run", "--instructor", "openai/loopback", "--set", "generate.rows=60"]
    none, three = (invoke("generate", "--run", tmp_path / "run", *flags, "--set", f"generate.solves={count}") for count in (0, 3))
    assert three["calls"]["expected"] - none["calls"]["expected"] == 3 * 8  # 60 rows, 8 in a call
    assert three["tokens_in"]["expected"] > none["tokens_in"]["expected"] + 24 * 500


@needs_recorded
@pytest.mark.usefixtures("no_hub")
def test_recorded_errors_of_code_become_rows_with_tests_of_their_own(tmp_path, tasks):
    made, samples, rows = generated("code", tmp_path / "run", {}, "--set", "generate.failures=4", "--set", "generate.rows=24")
    assert made["failures"] == made["programs"]["accepted"] == 4
    assert made["samples"] == 24
    for name, sample in list(samples.items())[::8]:
        item = sample.example
        assert f"```python\n{item.question}\n```" in rows[name].prompt[0]["content"]
        assert tasks["code"].verdict(item, rows[name].completion[0]["content"]).correct is True
        assert tasks["code"].verdict(item, f"```python\ndef {item.meta['entry_point']}(*args):\n    return ()\n```").correct is False


LITERALS = {
    "set()": "set()", "{3, 1}": "{1, 3}", "frozenset()": "set()", "frozenset([2])": "{2}", "[set(), {1}]": "[set(), {1}]",
    "{'a': set()}": "{'a': set()}", "(set(),)": "(set(),)", "{(1, 2)}": "{(1, 2)}", "b'x'": "b'x'", "{b'x'}": "{b'x'}", "1 + 2j": "(1+2j)",
    "[]": "[]", "()": "()", "{}": "{}", "''": "''", "(1,)": "(1,)", "[None, True]": "[None, True]",
    "[-0.5]": "[-0.5]", "{1: (2, [3])}": "{1: (2, [3])}",
    "__import__('collections').Counter('aab')": "{'a': 2, 'b': 1}", "__import__('collections').OrderedDict(a=1)": "{'a': 1}",
    "__import__('collections').namedtuple('P', 'x y')(1, 2)": "(1, 2)",
}  # fmt: skip
NO_LITERALS = {
    "{frozenset([1])}": "frozenset", "{frozenset([1]): 2}": "frozenset", "float('inf')": "inf", "complex('nan')": "nan",
    "range(3)": "range",
    "bytearray(b'x')": "bytearray", "object()": "object", "[object()]": "object", "iter([1])": "list_iterator", "len": "builtin",
    "__import__('fractions').Fraction(1, 2)": "Fraction",
}  # fmt: skip


def returning(value):
    """A row whose solution returns this."""
    answer = f"def f(x):\n    return {value} if x else 0\n"
    return {"question": "def f(x: int):\n    '''Give it.'''\n", "entry_point": "f", "answer": answer, "calls": ["1", "0", "2"]}


def test_every_value_that_has_a_literal_form_may_be_returned_and_is_tested_for(sandbox, tasks):
    source = f"ROWS = {[returning(value) for value in [*LITERALS, *NO_LITERALS]]!r}\ndef make(row):\n    return ROWS[row]\n"
    source += f"ANCHORS = {{str(row): {{'row': row}} for row in range({len(LITERALS) + len(NO_LITERALS)})}}\n"
    names = [str(row) for row in range(len(LITERALS) + len(NO_LITERALS))]
    rows = run_program(sandbox, source, names, (), Limits(), "code").anchors
    for row, shown in zip(rows, LITERALS.values(), strict=False):
        assert "error" not in row, row
        assert f"assert candidate(1) == {shown}\n" in row["tests"]
    made = [KINDS["code"].example("mbpp", row) for row in rows[: len(LITERALS)]]
    assert [one.answer for one in made if not tasks["code"].verdict(one, tasks["code"].completion("", one.answer)).correct] == []
    for row, (value, named) in zip(rows[len(LITERALS) :], NO_LITERALS.items(), strict=True):
        assert "no literal form" in row["error"] and named in row["error"], (value, row)


@pytest.mark.parametrize(
    ("said", "mine", "accepted"),
    [
        ("return sum(1 for n in numbers) if", "return sum(1 for n in numbers) if", True),  # no Python, either of them
        ("return sum(1 for n in numbers) if", "return len(numbers)(:)", True),  # another fault of grammar
        ("return undefined + 1", "return other_name", True),  # both fail on every call
        ("return sum(1 for n in numbers) if", "return len(numbers)", False),  # the model's is no Python, wrong() runs
        ("return len(numbers)", "return len(numbers) if", False),  # the other way round
        ("return len(numbers)", "return len(numbers)", True),
        ("return len(numbers)", "return len(numbers) + 1", False),
    ],
)
def test_wrong_code_that_fails_as_the_models_does_is_what_the_model_answered(sandbox, tasks, said, mine, accepted):
    head = "def count_multiples_of_3(numbers):\n    "
    failure = failed(tasks["code"], ITEMS["code"], f"```python\n{head}{said}\n```")
    source = EXAMPLES["code"].partition("def wrong(")[0]
    source += f"def wrong(job, divisor, lists, told):\n    return f'def {{job}}_multiples_of_{{divisor}}(numbers):\\n    {mine}\\n'\n"
    source += "ANCHORS =" + EXAMPLES["code"].partition("ANCHORS =")[2]
    found = prove(program("code", failure, source), [failure], tasks["code"], sandbox, Limits())
    assert (found is None) == accepted, found
    if not accepted:
        assert found.check == "telling" and "run on the model's code, end with" in found.reason
