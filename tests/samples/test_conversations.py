"""Conversations from errors to rows: a whole `errata generate` on rows of several turns with a system text and solved examples."""

import json
import re

import pytest
from loopback import Lesson, generated
from samples import lessons_conversations as lessons
from typer.testing import CliRunner

from errata.cli import app
from errata.tasks.chat import turns

SYSTEM = "You keep the books of a shop. Work it out; end with the line #### and the number."
ITEMS = ["pens", "cups", "lamps", "books", "chairs"]


def row(number: int) -> dict:
    a, b, item = 7 * number, 7 * number + 5, ITEMS[(number - 1) % 5]
    said = [
        ("system", SYSTEM),
        ("user", f"I ordered {a} {item} on Monday."),
        ("assistant", "Noted."),
        ("user", f"Then {b} more on Friday. How many {item} is that?"),
        ("assistant", f"Together {a} + {b} = {a + b}.\n#### {a + b}"),
    ]
    return {"messages": [{"role": role, "content": text} for role, text in said]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversations")
    rows = {"train": range(1, 21), "dev": range(21, 26)}
    for split, numbers in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in numbers))
    config = {"task": f"jsonl:{folder}", "table": {"verdict": "number", "shots": 2}}
    return generated(config, lessons.LESSONS, folder / "made")


def test_programs_that_end_otherwise_or_lose_turns_are_refused_and_three_pass(made):
    assert made.code == 0, made.output
    assert [check for check, _ in made.refusals] == ["runs", "anchored"]
    assert "must end with a turn of the user's" in made.refusals[0][1]
    assert "other turns than the error's own conversation" in made.refusals[1][1]
    assert all(result.program for result in made.taught)


def test_rows_are_asked_as_the_task_is_with_its_system_text_and_shots(made):
    assert len(made.rows) == 40
    heads = {json.dumps(one.prompt[:7]) for one in made.rows.values()}
    assert len(heads) == 1  # the system text and two solved examples of three messages each and an answer
    for sample in made.samples:
        messages = made.rows[sample.id].prompt
        assert [one["role"] for one in messages] == ["system", *["user", "assistant"] * 4, *["user", "assistant", "user"]]
        assert messages[0]["content"] == SYSTEM
        assert list(messages[9:]) == turns(sample.example.question)
        a, b = (int(re.search(r"\d+", messages[place]["content"])[0]) for place in (9, 11))
        assert sample.example.answer == str(a + b)
        (learned,) = made.rows[sample.id].completion
        assert learned["content"] == f"Together {a} + {b} = {a + b}.\n#### {a + b}"


def test_the_instructor_reads_what_the_model_reads(made):
    (first, *_) = [fields for fields in made.asked if "contract" in fields]
    assert f"system message first:\n{SYSTEM}" in first["task"]
    assert "2 solved examples" in first["task"] and "#### " in first["task"]
    assert re.fullmatch(r"User: I ordered \d+ \w+ on Monday\.\n\nAssistant: Noted\.\n\nUser: Then \d+ more .*\?", first["question"])


def test_conversations_do_not_go_out_as_a_package_and_the_reason_is_told(made):
    done = CliRunner().invoke(app, ["export", str(made.path), "--environment"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "its questions are conversations of several turns, which the package does not ask: 3" in done.stderr


def test_a_package_asks_with_the_system_text_and_the_shots(tmp_path):
    rows = [
        {"question": f"I ordered {number} pens. Then {number + 5} more. How many is that?", "answer": str(2 * number + 5)}
        for number in range(1, 30)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    config = {"task": f"jsonl:{tmp_path / 'train.jsonl'}", "table": {"verdict": "number", "shots": 2, "system": SYSTEM}}
    lesson = Lesson("I ordered 7 pens", response="#### 12", programs=[lessons.ALONE])
    made = generated(config, [lesson], tmp_path / "made", {"generate.skip": ["agreed"]})
    assert made.code == 0 and not made.refusals, made.output
    done = CliRunner().invoke(app, ["export", str(made.path), "--environment", "--out", str(tmp_path / "pens_env"), "--json"])
    assert done.exit_code == 0, done.output
    (asked,) = json.loads((tmp_path / "pens_env" / "pens_env" / "tasks.json").read_text()).values()
    prompt = next(iter(made.rows.values())).prompt
    assert asked["prompt"][:-1] == list(prompt[:-1]) and [one["role"] for one in prompt] == ["system", *["user", "assistant"] * 2, "user"]
