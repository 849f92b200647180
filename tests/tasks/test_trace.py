"""A reasoning trace is no answer: what is set aside before any reader, what is kept in the record, and what a trained row holds."""

import json
import time

import pytest
from readings import readings
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.programs.stats import counts
from errata.programs.steps.rows import replay_row
from errata.programs.strategies.diagnose import fields_of
from errata.signatures.errors import UsageError
from errata.signatures.records import Attempt, Example, Failure
from errata.tasks import load_task
from errata.tasks.settings import TableSettings
from errata.tasks.trace import MOST, parted, readable

SUMS = load_task("sums")
ITEM = Example(task="sums", split="train", question="How many?", answer="72")


def read(text):
    found = parted(text)
    return readable(found.answer) if found.closed else None


@pytest.mark.parametrize(("text", "answer"), readings("trace"))
def test_what_is_thought_is_set_aside_before_an_answer_is_read(text, answer):
    assert read(text) == answer


@pytest.mark.parametrize("text", ["", "72", "So 3 < 4 and 5 > 2.\n\n#### 72\n", "    return x\n\n", "a[0] <b>72</b>"])
def test_a_response_without_a_trace_keeps_every_character(text):
    assert parted(text) == ("", text, True)
    assert readable(text) == text
    assert SUMS.verdict(ITEM, text).answer is None


def test_an_unclosed_trace_is_no_answer_and_counted_apart():
    verdicts = [SUMS.verdict(ITEM, text) for text in ("<think>#### 72", "many", "<think>#### 70</think>#### 72")]
    assert [(one.correct, one.reason) for one in verdicts] == [(False, "unclosed reasoning"), (False, "no answer"), (True, "right")]
    found = counts([Attempt(example=ITEM, response="", verdict=one) for one in verdicts])
    assert (found["wrong"], found["no_answer"], found["unclosed"]) == (2, 1, 1)


def test_the_tags_are_the_configs():
    text = "<<70>>#### 70<</>>\n#### 72\n<think>71</think>"
    own = load_config(overrides={"trace_tags": [["<<70>>", "<</>>"], "<think>"]}).trace_tags
    assert load_task("sums", tags=own).verdict(ITEM, text).correct is True
    assert load_task("sums", tags=["plan"]).verdict(ITEM, "#### 72\n<plan>#### 70</plan>").correct is True
    assert load_task("sums", tags=[]).verdict(ITEM, "#### 72\n<think>#### 70</think>").correct is False
    for bad in (["two words"], [["<a>", " "]], [""]):
        with pytest.raises(UsageError, match="trace_tags"):
            load_config(overrides={"trace_tags": bad})


@pytest.mark.parametrize("task", ["sums", "sums+facts"])
def test_the_record_holds_the_whole_response_and_says_what_was_answered(task):
    response = "<think>#### 70</think>\n\n#### 72"
    attempt = Attempt(example=ITEM, response=response, verdict=load_task(task).verdict(ITEM, response))
    again = Attempt.model_validate_json(attempt.model_dump_json())
    assert (again.response, again.answered, again.verdict.correct) == (response, "#### 72", True)
    assert load_task(task).answered(response) == "#### 72"


def test_rows_in_the_targets_words_drop_its_trace_or_keep_it():
    response = "<think>36 * 2</think>\n#### 72"
    attempt = Attempt(example=ITEM, response=response, verdict=SUMS.verdict(ITEM, response))
    assert replay_row(SUMS, attempt).completion[0]["content"] == "#### 72"
    assert replay_row(SUMS, attempt, "keep").completion[0]["content"] == response


def test_the_instructor_sees_the_answer_and_the_ends_of_the_trace():
    response = f"<think>{'begin ' * 300}{'middle ' * 300}{'end ' * 300}</think>\n#### 70"
    attempt = Attempt(example=ITEM, response=response, verdict=SUMS.verdict(ITEM, response))
    shown = fields_of([Failure(attempt=attempt)], "brief")["response"]
    assert "begin" in shown and "end" in shown and "middle" not in shown
    assert shown.endswith("(its answer)\n#### 70")
    assert len(shown) < 1500


def test_an_import_reads_behind_the_trace_and_its_run_knows_the_tags(tmp_path):
    said = ["<think>#### 70</think>#### 72", "<think>#### 72"]
    rows = [{"question": f"{number}?", "answer": "72", "response": text} for number, text in enumerate(said)]
    file = tmp_path / "said.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["import", str(file), "--task", "gsm8k", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--json"])
    found = json.loads(done.stdout)
    assert (found["right"], found["unclosed"]) == (1, 1)
    assert "1 with unclosed reasoning" in CliRunner().invoke(app, command).stdout
    other = CliRunner().invoke(app, [*command, "--set", "trace_tags=[]"])
    assert (other.exit_code, "trace_tags" in other.stderr) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        'def f(xs):\n    """The answer is 0.\n\n    Problem: xs may be empty.\n    """\n\n    # A: 0\n# Q: why?\n    return sum(xs)',
        "The answer is: 0.\n\nProblem: sum a list.\n\n```python\ndef f(xs):\n    return sum(xs)\n```",
        "Q: How long do I have?\nA: 30 days.\n\nQ: Who pays the postage?\nA: We do.",
    ],
)
def test_code_and_prose_may_ask_and_answer(tmp_path, text):
    (tmp_path / "train.jsonl").write_text(
        json.dumps({"question": "?", "answer": "x", "test": "def check(f): pass", "entry_point": "f"}) + "\n"
    )
    prose = load_task(f"jsonl:{tmp_path}", table=TableSettings(verdict="judge", rubric="r"), judge=lambda *asked: None)
    code = load_task(f"jsonl:{tmp_path}", table=TableSettings(verdict="code"), runner=lambda *asked: None)
    for task in (prose, code, load_task("lists", runner=lambda *asked: None)):
        assert task.readable(text) == text
        assert task.readable(f"<|im_start|>assistant\n{text}<|im_end|>") == text
    assert SUMS.readable(text) != text


def test_of_a_very_long_answer_the_end_is_read():
    assert readable("x" * MOST + "y") == "x" * (MOST - 1) + "y"


LOOPS = ("<think>", "<think></think>", "</think>", "`<think>` ", "```\nx <think>\n", "<answer>A</answer> or ", "[THINK]", '<a b="c" ')
LOOPS += ("<|im_end|>", '"<|x|>" ', "<", "&lt;", " ", "\n", "<|channel|>analysis", "the <think> tag ", "```\n", "<a=")


@pytest.mark.parametrize("loop", LOOPS)
def test_time_grows_with_the_length_alone(loop):
    def seconds(count):
        begun = time.process_time()
        read(loop * count)
        return time.process_time() - begun

    few = max(seconds(6_000), 0.02)
    assert seconds(24_000) < 12 * few
