"""Half characters: a lone surrogate stands in valid JSON ("\\ud800") and in no UTF-8. Whatever door one comes by, it ends as U+FFFD or as
one line; the records are the place where all of it passes (errata.signatures.records.whole)."""

import json
from pathlib import Path

import dspy
import pytest
from openai_server import OpenAIServer, Reply
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import LearnFromError
from errata.programs.config import InstructorSettings, load_config, parse_override
from errata.programs.instructor.engine import Patience, open_instructor
from errata.programs.run.directory import Stage
from errata.programs.run.layout import ANSWERS
from errata.programs.run.ledger import Ledger
from errata.signatures.errors import ErrataError, TaskError, UsageError
from errata.signatures.records import Attempt, Diagnosis, Example, SampleProgram, Verdict, whole
from errata.tasks import load_task
from errata.trainers.served.target import ServedTarget
from errata.trainers.settings import TargetSettings

HALF = "a \ud800 b"
MENDED = "a \ufffd b"


def test_a_whole_pair_and_every_other_character_stays():
    text = "\U0001f600 é \u2028 \x00 \ufffd"
    value = {"a": [text, 1, None, {"b": (text,)}], text: 2.5}
    assert whole(value) == value


def test_a_record_of_any_depth_is_written_and_read_back_with_the_same_id(tmp_path):
    example = Example(task="t", split="train", question=HALF, answer="7", meta={HALF: [{"x": (HALF,)}]})
    row = Attempt(example=example, response=HALF, verdict=Verdict(correct=False, extracted=HALF, reason="wrong"))
    assert (row.response, example.meta) == (MENDED, {MENDED: [{"x": (MENDED,)}]})
    stage = Stage(tmp_path / "stage")
    rows = stage.collect("attempts.jsonl", [row], lambda one: one.id, lambda missing: ((one, one) for one in missing), Attempt)
    stage.finish({"attempts.jsonl": rows})
    assert [one.id for one in stage.read("attempts.jsonl", Attempt)] == [row.id]


def test_what_the_instructor_writes_can_be_kept_and_shown_to_it_again(tmp_path):
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": HALF}, "finish_reason": "stop"}]}
    reply = Reply(body=json.dumps(body).encode())
    settings = {"model": "openai/loopback"}
    with OpenAIServer(lambda body, number: reply) as server, Ledger(tmp_path) as ledger:
        lm = open_instructor(InstructorSettings(api_base=server.url, **settings), ledger, "teach", 30.0, Patience(attempts=1))
        (said,) = lm("hi")
        assert said == MENDED
        lm(messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": said}, {"role": "user", "content": "again"}])
    (tmp_path / ANSWERS).read_text(encoding="utf-8")
    assert Diagnosis(failure_ids=("f",), strategy="s", verdict="error", skill=said, misconception="", evidence="", teach="").skill == MENDED
    assert SampleProgram(diagnosis_id="d", source=f"x = '{HALF}'", anchors=()).source == f"x = '{MENDED}'"


def test_what_a_served_target_answers_can_be_written():
    body = {"choices": [{"message": {"content": HALF}, "finish_reason": "stop"}]}
    models = Reply(body=b'{"data": [{"id": "m"}]}')
    with OpenAIServer(lambda asked, number: models if number == 0 else Reply(body=json.dumps(body).encode())) as server:
        target = ServedTarget.connect(TargetSettings(model="", api_base=server.url, served_name="m"), Patience(attempts=1))
        ((_, completion),) = target.generate([[{"role": "user", "content": "hi"}]], max_new_tokens=5)
        target.close()
    assert completion.text == MENDED


@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_data_that_hold_one_are_refused_with_their_place(tmp_path, name):
    row = json.dumps({"question": HALF, "answer": "7"})
    (tmp_path / name).write_text(row if name.endswith("l") else f"[{row}]")
    with pytest.raises(TaskError, match=r"half of a surrogate pair .* is not text"):
        load_task(f"jsonl:{tmp_path / name}", load_config(overrides={"table.verdict": "number"}).table)


def test_an_imported_answer_that_holds_one_is_judged_with_the_sign_for_it(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": HALF, "answer": "7", "response": f"{HALF}\n#### 7"}))
    done = CliRunner().invoke(app, ["import", str(tmp_path / "a.jsonl"), "--task", "gsm8k", "--run", str(tmp_path / "run"), "--json"])
    assert done.exit_code == 0, done.stderr
    (line,) = Path(json.loads(done.stdout)["attempts"]).read_text(encoding="utf-8").splitlines()
    row = Attempt.model_validate_json(line)
    assert (row.example.question, row.response, row.verdict.correct) == (MENDED, f"{MENDED}\n#### 7", True)


@pytest.mark.parametrize("name", ["target.model", "task", "table.ask", "generate.strategy"])
def test_a_config_that_holds_one_is_refused_with_the_field(name):
    with pytest.raises(UsageError, match=f"{name} holds half a character") as caught:
        load_config(overrides=dict([parse_override(f'{name}="\\uD800"')]))
    str(caught.value).encode()


def test_a_strategy_state_that_holds_one_is_taken_without_it(tmp_path):
    path = tmp_path / "state.json"
    strategy = LearnFromError()
    strategy.save(path)
    state = json.loads(path.read_bytes())
    name = next(name for name, one in state.items() if "signature" in one)
    state[name]["signature"]["instructions"] = HALF
    path.write_text(json.dumps(state))
    strategy.load(path)
    found = dict(strategy.named_predictors())[name]
    assert isinstance(found, dspy.Predict) and found.signature.instructions == MENDED


def test_an_error_line_that_holds_one_is_printed(tmp_path):
    done = CliRunner().invoke(app, ["cycle", "--task", "gsm8k:caf\udce9", "--run", str(tmp_path / "run")])
    assert not done.exception or isinstance(done.exception, SystemExit | ErrataError)
    assert done.exit_code == 2
