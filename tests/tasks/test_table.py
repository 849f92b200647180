"""The tasks jsonl:, parquet: and hf: — a column mapping and a verdict of one's own, with counter-cases."""

import json
import os
import signal
import sys
import time
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from readings import judged

from errata.sandbox import Limits, open_sandbox
from errata.signatures.errors import TaskError, UsageError
from errata.signatures.records import Example
from errata.tasks import doctor, load_task
from errata.tasks.answers import FORMS, text
from errata.tasks.settings import VERDICTS, TableSettings


def jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def one(tmp_path: Path, row: dict, runner=None, **settings):
    task = load_task(f"jsonl:{jsonl(tmp_path / 'mine.jsonl', row)}", TableSettings(**settings), runner)
    (example,) = task.examples("train")
    return task, example


CASES = {
    "exact": (
        {"question": "Capital of Italy?", "answer": "Rome"},
        {},
        ["Rome", "rome.", "It lies on a river.\nAnswer: **Rome**", "So the answer is Rome."],
        ["Answer: Milan", "Answer: Rome or Milan", "Not Rome"],
        ["", "It is old.\nIt is large."],
    ),
    "contains": (
        {"question": "Capital of Italy?", "answer": "New  Rome"},
        {},
        ["It is new Rome, I think.", "New\nRome"],
        ["It is New Romeo.", "It is Rome."],
        [""],
    ),
    "regex": (
        {"question": "q", "answer": "7b"},
        {"pattern": r"Result: (\w+)"},
        ["Result: 7b", "Result: 8. No. Result: 7B", "7b"],
        ["Result: 7", "Result: 7b, no, Result: 8"],
        ["The result is 7b"],
    ),
    "number": ({"question": "q", "answer": "so it is\n#### 1,200"}, {}, ["#### 1200", "It is $1,200."], ["#### 120"], ["Many."]),
    "choice": (
        {"question": "q", "options": ["red", "green"], "answer": 1},
        {"choices": "options"},
        ["The answer is B.", "It is green.", "(B)"],
        ["A", "The answer is red."],
        ["Both are nice."],
    ),
}


@pytest.mark.parametrize("verdict", CASES)
def test_each_verdict_reads_right_wrong_and_no_answer(tmp_path, verdict):
    row, settings, right, wrong, none = CASES[verdict]
    task, example = one(tmp_path, row, verdict=verdict, **settings)
    assert [r for r in right if task.verdict(example, r).reason != "right"] == []
    assert [r for r in wrong if task.verdict(example, r).reason != "wrong"] == []
    assert [r for r in none if task.verdict(example, r).reason != "no answer"] == []
    assert doctor(task) == (1, [])


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ({"question": "q", "answer": "3+7=10\n#### 10"}, {}),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "3+7=10\n#### 10"}]}, {}),
        ({"question": "q", "answer": "by heart\n#### 10", "worked": "3+7=10"}, {"solution": "worked"}),
    ],
)
def test_work_that_a_gold_shows_before_its_number_is_the_solution(tmp_path, row, settings):
    task, example = one(tmp_path, row, verdict="number", **settings)
    assert (example.solution, example.answer) == ("3+7=10", "10")
    assert task.completion(example.solution, example.answer) == "3+7=10\n#### 10"


@pytest.mark.parametrize(("verdict", "gold", "response", "reason"), [(v, *row) for v in ("exact", "contains") for row in judged(v)])
def test_texts_are_equal_where_they_differ_by_typography_alone(text_tasks, verdict, gold, response, reason):
    example = Example(task="t", split="train", question="?", answer=gold)
    assert text_tasks[verdict].verdict(example, response).correct is (reason == "right")


@pytest.fixture(scope="module")
def text_tasks(tmp_path_factory):
    file = jsonl(tmp_path_factory.mktemp("text") / "t.jsonl", {"question": "?", "answer": "Rome"})
    return {name: load_task(f"jsonl:{file}", TableSettings(verdict=name)) for name in ("exact", "contains")}


@pytest.mark.parametrize("response", ['{"answer": "Rome", "answer_short": "Milan"}', "It is old.\nIt is large.", '{"answer": null}'])
def test_an_answer_that_may_be_read_in_two_ways_is_unread(text_tasks, response):
    example = Example(task="t", split="train", question="?", answer="Rome")
    assert text_tasks["exact"].verdict(example, response).reason == "no answer"


def test_a_pattern_that_would_run_for_ever_ends_after_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "SECONDS", 0.2)
    task, example = one(tmp_path, {"question": "q", "answer": "x"}, verdict="regex", pattern=r"^(?:a|aa)+$")
    begun = time.process_time()
    found = task.verdict(example, "a" * 60 + "b")
    assert (found.correct, "table.pattern took longer" in found.reason) == (None, True)
    assert time.process_time() - begun < 5


LOOPS = ("answer ", "answer is ", "Antwort ", "a b ", "\u2019", "{", '{"answer": ', " ", "\n", "1,000", "\\text{", "$", "7 ", "é")


@pytest.mark.parametrize("verdict", ["exact", "contains"])
@pytest.mark.parametrize("loop", LOOPS)
def test_time_grows_with_the_length_alone(text_tasks, verdict, loop):
    example = Example(task="t", split="train", question="?", answer="1800" if loop[0] in "17" else "ab a b")

    def seconds(size):
        begun = time.process_time()
        text_tasks[verdict].verdict(example, (loop * size)[:size])
        return time.process_time() - begun

    few = max(seconds(20_000), 0.02)
    assert seconds(80_000) < 12 * few


def test_columns_are_mapped_and_a_question_may_join_several(tmp_path):
    row = {"context": "Rome is in Italy.", "q": "Where is Rome?", "gold": "Italy", "why": "It says so.", "topic": "maps"}
    task, example = one(tmp_path, row, question="{context}\n\n{q}", answer="gold", solution="why", skill="topic", ask="One word.")
    assert example.question == "Rome is in Italy.\n\nWhere is Rome?"
    assert (example.answer, example.solution, example.skill) == ("Italy", "It says so.", "maps")
    assert task.prompt(example)[0]["content"].endswith("Where is Rome?\nOne word.")
    assert task.completion(example.solution, example.answer) == "It says so.\nAnswer: Italy"


@pytest.mark.parametrize(
    ("row", "choices"),
    [
        ({"q": "?", "o": ["x", "y"], "a": "B"}, "o"),
        ({"q": "?", "o": ["x", "y"], "a": 1}, "o"),
        ({"q": "?", "o": ["x", "y"], "a": "y"}, "o"),
        ({"q": "?", "o": {"A": "x", "B": "y"}, "a": "B"}, "o"),
        ({"q": "?", "o": {"text": ["x", "y"], "label": ["A", "B"]}, "a": "B"}, "o"),
        ({"q": "?", "x1": "x", "x2": "y", "a": "b"}, ("x1", "x2")),
    ],
)
def test_options_are_read_in_every_usual_form(tmp_path, row, choices):
    _, example = one(tmp_path, row, verdict="choice", question="q", answer="a", choices=choices)
    assert (example.question, example.answer) == ("?\nA. x\nB. y", "B")


def test_code_is_judged_by_the_rows_own_test(tmp_path):
    row = {
        "text": "Write double.",
        "name": "double",
        "tests": "def check(candidate):\n    assert candidate(2) == 4\n",
        "gold": "double = lambda x: 2 * x",
    }
    settings = {"verdict": "code", "question": "text", "entry_point": "name", "test": "tests", "answer": "gold"}
    with open_sandbox(workers=1) as sandbox:
        task, example = one(tmp_path, row, lambda *job: sandbox.run(*job, Limits(seconds=3)), **settings)
        assert doctor(task) == (1, [])
        assert task.verdict(example, "```python\ndef double(x):\n    return x * x + x - 2\n```").correct is True
        assert task.verdict(example, "```python\ndef double(x):\n    return x\n```").correct is False
    with pytest.raises(UsageError, match="runner"):
        one(tmp_path, row, **settings)


@pytest.fixture
def metrics(monkeypatch):
    module = types.ModuleType("my_metrics")

    def close(example, prediction, trace=None):
        return abs(float(example.answer) - float(prediction.answer)) / example.tolerance

    def exact(example, prediction, trace=None):
        return example["answer"] == prediction["response"]

    module.near = lambda *args: close(*args) <= 1
    module.close, module.exact, module.number = close, exact, 5
    module.pair = lambda example, prediction: example.answer == prediction.answer
    module.gepa = lambda gold, prediction, trace, name, steps: SimpleNamespace(score=gold.answer == prediction.answer, feedback="because")
    module.lone = lambda example: True
    monkeypatch.setitem(sys.modules, "my_metrics", module)


def test_a_dspy_metric_judges_with_the_rows_columns(tmp_path, metrics):
    row = {"question": "q", "answer": "10", "tolerance": 2}
    task, example = one(tmp_path, row, verdict="my_metrics:near")
    assert task.verdict(example, "Answer: 11.5").reason == "right"
    assert task.verdict(example, "Answer: 13").reason == "wrong"
    assert task.verdict(example, "").reason == "no answer"
    failed = task.verdict(example, "Answer: ten")
    assert (failed.correct, "ValueError" in failed.reason) == (None, True)
    task, example = one(tmp_path, row, verdict="my_metrics:exact")
    assert task.verdict(example, "10").correct is True
    task, example = one(tmp_path, row, verdict="my_metrics:close", full_score=3)
    assert task.verdict(example, "Answer: 16").correct is True
    assert task.verdict(example, "Answer: 15").correct is False


@pytest.mark.parametrize("name", ["my_metrics:pair", "my_metrics:gepa"])
def test_metrics_for_evaluate_and_for_gepa_judge_alike(tmp_path, metrics, name):
    task, example = one(tmp_path, {"question": "q", "answer": "10"}, verdict=name)
    assert task.verdict(example, "Answer: 10").reason == "right"
    assert task.verdict(example, "Answer: 11").reason == "wrong"


def test_a_metric_of_dspy_itself_runs(tmp_path):
    task, example = one(tmp_path, {"question": "q", "answer": "The Rome"}, verdict="dspy.evaluate:answer_exact_match")
    assert task.verdict(example, "Answer: rome").correct is True
    assert task.verdict(example, "Answer: Milan").correct is False


def test_a_metric_may_lie_in_a_file(tmp_path):
    file = tmp_path / "my metric.py"
    file.write_text("def same(example, prediction, trace=None):\n    return example.answer == prediction.answer\n")
    task, example = one(tmp_path, {"question": "q", "answer": "10"}, verdict=f"{file}:same")
    assert [task.verdict(example, said).correct for said in ("Answer: 10", "Answer: 11")] == [True, False]
    known = task.data[str(file)]
    file.write_text("def same(example, prediction, trace=None):\n    return True\n")
    changed, _ = one(tmp_path, {"question": "q", "answer": "10"}, verdict=f"{file}:same")
    assert changed.data[str(file)] != known  # so that a run is not continued with another verdict
    file.with_name("broken.py").write_text("import nothing_of_this_name\n")
    for name, said in [("other", "AttributeError"), ("broken", "ModuleNotFoundError"), ("none", "FileNotFoundError")]:
        verdict = f"{file}:{name}" if name == "other" else f"{tmp_path / name}.py:same"
        with pytest.raises(UsageError, match=said):
            one(tmp_path, {"question": "q", "answer": "10"}, verdict=verdict)


@pytest.mark.parametrize("name", ["my_metrics:absent", "absent_module:f", "my_metrics:number", "my_metrics:lone"])
def test_a_metric_that_is_not_there_is_one_line(tmp_path, metrics, name):
    with pytest.raises(UsageError) as caught:
        one(tmp_path, {"question": "q", "answer": "a"}, verdict=name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"verdict": "exactly"}, {"splits": {"training": "train"}}, {"max_new_tokens": 0}, {"colum": "x"}])
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ValidationError):
        TableSettings(**settings)


def test_solution_and_skill_may_lie_in_objects_as_question_and_answer_may(tmp_path):
    row = {"q": {"t": "2 + 2?"}, "m": {"s": "sums", "w": "2 + 2 = 4", "none": None}, "a": {"g": "4"}}
    columns = {"question": "q.t", "answer": "a.g", "skill": "m.s", "solution": "m.w", "verdict": "number"}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    task = load_task(f"jsonl:{tmp_path}", TableSettings(**columns))
    (example,) = task.examples("train")
    assert (example.question, example.answer, example.skill, example.solution) == ("2 + 2?", "4", "sums", "2 + 2 = 4")
    assert "no row has a column" not in task.form.taken
    for name, told in (("none", False), ("gone", True)):
        task = load_task(f"jsonl:{tmp_path}", TableSettings(**columns | {"skill": f"m.{name}"}))
        assert task.examples("train")[0].skill == ""
        assert (f"no row has a column 'm.{name}', which table.skill names" in task.form.taken) is told


@pytest.mark.parametrize(
    ("row", "settings", "error", "words"),
    [
        ({"text": "q", "answer": "a"}, {}, TaskError, "'question' is missing"),
        ({"question": "q", "answer": ""}, {}, TaskError, "not empty"),
        ({"question": "q", "answer": "few"}, {"verdict": "number"}, TaskError, "no single number"),
        ({"question": "q", "answer": "a"}, {"verdict": "choice"}, UsageError, "table.choices"),
        ({"question": "q", "answer": "a", "o": 3}, {"verdict": "choice", "choices": "o"}, TaskError, "list or an object"),
        ({"question": "q", "answer": "Z", "o": ["x", "y"]}, {"verdict": "choice", "choices": "o"}, TaskError, "not one of the options"),
        ({"question": "q", "answer": "a"}, {"verdict": "regex"}, UsageError, "table.pattern"),
        ({"question": "q", "answer": "a"}, {"verdict": "regex", "pattern": "("}, UsageError, "not a regular expression"),
        ({"question": "q", "answer": "a"}, {"question": "{q}"}, TaskError, "'q' is missing"),
    ],
)
def test_a_mapping_that_does_not_fit_is_one_line(tmp_path, row, settings, error, words):
    with pytest.raises(error) as caught:
        one(tmp_path, row, **settings)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_parquet_and_json_files_and_folders_are_read(tmp_path):
    import pyarrow
    import pyarrow.parquet

    rows = [{"question": f"q{n}", "answer": str(n)} for n in range(3)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "test.parquet")
    (tmp_path / "train.json").write_text(json.dumps(rows))
    task = load_task(f"parquet:{tmp_path}", TableSettings(verdict="number"))
    assert [example.answer for example in task.examples("test")] == ["0", "1", "2"]
    assert len([*task.examples("train"), *task.examples("dev")]) == 3
    assert len(load_task(f"parquet:{tmp_path / 'test.parquet'}", TableSettings(verdict="number")).examples("train")) == 3


def test_hub_names_are_taken_apart_and_their_splits_mapped(monkeypatch):
    import datasets

    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        return datasets.Dataset.from_list([{"question": f"{split} q", "answer": "#### 3"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    settings = TableSettings(verdict="number", splits={"train": "train[:90%]", "dev": "train[90%:]", "test": "test"})
    task = load_task("hf:some/gsm8k[main]", settings)
    assert asked == [("some/gsm8k", "main", "train[:90%]"), ("some/gsm8k", "main", "train[90%:]"), ("some/gsm8k", "main", "test")]
    assert [task.examples(split)[0].question for split in ("train", "dev", "test")] == ["train[:90%] q", "train[90%:] q", "test q"]
    load_task("hf:plain", TableSettings(splits={"test": "validation"}))
    assert asked[-1] == ("plain", None, "validation")
    assert sorted(task.data) == ["dev (hub)", "test (hub)", "train (hub)"]
    assert load_task("hf:some/gsm8k[main]", settings).data == task.data
    other = load_task("hf:some/gsm8k[main]", settings.model_copy(update={"splits": {"train": "train", "test": "test"}}))
    assert other.data["test (hub)"] == task.data["test (hub)"] and other.data["train (hub)"] != task.data["train (hub)"]
    with pytest.raises(UsageError, match="NAME"):
        load_task("hf:a[b")


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    import datasets

    def load_dataset(name, config, split):
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for name in ("hf:some/data", "mmlu", "arc", "gsm_plus"):
        with pytest.raises(TaskError) as caught:
            load_task(name)
        assert "no route" in str(caught.value) and "\n" not in str(caught.value)


def test_math_without_its_library_is_one_line(tmp_path, monkeypatch):
    import errata.tasks.verdicts.mathverify

    monkeypatch.setattr(errata.tasks.verdicts.mathverify.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"\[math\]"):
        one(tmp_path, {"question": "q", "answer": "1"}, verdict="math")


def test_mathematics_is_compared_by_value_and_from_any_thread(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    pytest.importorskip("math_verify", reason="needs the extra math")
    task, example = one(tmp_path, {"question": "q", "answer": "\\frac{1}{2}"}, verdict="math")
    responses = [r"so \boxed{0.5}", r"It is $\frac{2}{4}$.", r"\boxed{\frac{1}{3}}", "I do not know"]
    with ThreadPoolExecutor(4) as threads:
        reasons = [verdict.reason for verdict in threads.map(lambda response: task.verdict(example, response), responses)]
    assert reasons == ["right", "right", "wrong", "no answer"]
    assert doctor(task) == (1, [])
    task, example = one(tmp_path, {"question": "q", "answer": "x^2 + 2x + 1"}, verdict="math")
    assert task.verdict(example, r"$(x+1)^2$").correct is True


def test_mathematics_that_takes_too_long_is_unjudged_and_the_next_is_judged(monkeypatch):
    from errata.tasks.verdicts import mathverify

    pytest.importorskip("math_verify", reason="needs the extra math")
    judge = mathverify.MathVerify()
    assert judge.verdict("2", r"\boxed{2}").correct is True
    child = judge.child.process
    os.kill(child.pid, signal.SIGSTOP)  # as one that simplifies for ever
    monkeypatch.setattr(mathverify, "SECONDS", 0.3)
    assert judge.verdict("2", r"\boxed{2}").correct is None
    assert child.poll() is not None
    monkeypatch.setattr(mathverify, "SECONDS", 60.0)
    assert judge.verdict("2", r"\boxed{2}").correct is True


def test_each_verdict_that_has_a_name_has_a_form():
    assert set(FORMS) == set(VERDICTS)
