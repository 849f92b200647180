"""A whole `errata evaluate` of prose, its target and its judge behind one server: marked, capped, killed, and continued for free."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from openai_server import OpenAIServer, Reply
from samples import lessons_prose as lessons
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import GateSettings
from errata.programs.steps.gate import decide, marked
from errata.signatures.records import Attempt, Example, Verdict

ROOT = Path(__file__).resolve().parents[2]
ROWS = [json.loads(line) for line in (ROOT / "examples/helpdesk/dev.jsonl").read_text().splitlines()]
ITEMS = 24


class Both:
    """Answers as the target, rightly to every other question, and as the judge of these answers."""

    def __init__(self):
        self.judged = Counter()
        """Response and temperature of each call to the judge -> how often it was sent."""
        self.at_call = lambda number: None
        """Is told of each call to the judge."""
        self.rubbish = ""
        """A part of a response to which the judge gives no verdict."""

    def __call__(self, body, number):
        if "messages" not in body:
            return Reply(body=b'{"data": [{"id": "m"}]}')
        text = body["messages"][-1]["content"]
        if body["model"] != "judge":
            place, row = next((place, row) for place, row in enumerate(ROWS) if row["question"] == text)
            return Reply(f"{row['answer']} Regards, {place}" if place % 2 else f"Maybe 777 euros, {place}")
        question = next(row["content"] for row in body["messages"] if row["role"] == "user").partition("\n\nRespond with")[0]
        fields = {part.partition(" ## ]]")[0]: part.partition(" ## ]]\n")[2].strip() for part in question.split("[[ ## ")[1:]}
        self.judged[fields["response"], body["temperature"]] += 1
        self.at_call(self.judged.total())
        if self.rubbish and self.rubbish in fields["response"]:
            return Reply("I cannot say.")
        said = lessons.judge(fields)
        if body["temperature"] == 1.0:
            said["verdict"] = "fail"
        return Reply("".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in said.items()) + "[[ ## completed ## ]]")


def flags(server, run, **more):
    own = {"target.model": "", "target.api_base": server.url, "target.served_name": "m", "judge.model": "openai/judge"}
    own |= {"judge.api_base": server.url, "judge.twice": 0.4, "instructor.model": "offline", "items.dev": ITEMS} | more
    told = [word for name, value in own.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return ["evaluate", "--split", "dev", "--config", "examples/helpdesk.yaml", "--run", str(run), *told]


@pytest.fixture
def both(monkeypatch):
    monkeypatch.chdir(ROOT)
    script = Both()
    with OpenAIServer(script) as server:
        yield script, server


def test_an_evaluation_says_who_judged_and_how_often_the_judge_agrees_with_itself(both, tmp_path):
    script, server = both
    done = CliRunner().invoke(app, [*flags(server, tmp_path / "run"), "--json", "-q"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["items"], found["unjudged"]) == (ITEMS, 0)
    attempts = [json.loads(line) for line in Path(found["answers"]).read_text().splitlines()]
    right = [row["response"].startswith(row["example"]["answer"]) for row in attempts]
    assert [row["verdict"]["correct"] for row in attempts] == right and 0 < sum(right) < ITEMS
    twice = [row["verdict"] for row in attempts if "again" in row["verdict"]]
    agreed = sum(not one["correct"] for one in twice)  # the second time it always says fail
    assert found["judged"] == {"by": ["openai/judge"], "answers": ITEMS, "twice": len(twice), "agreed": agreed}
    assert 0 < agreed < len(twice) < ITEMS
    assert script.judged.total() == ITEMS + len(twice)
    told = CliRunner().invoke(app, flags(server, tmp_path / "run"))
    share = f"{agreed} of {len(twice)} answers that were judged twice were judged alike ({100 * agreed / len(twice):.0f} %)"
    assert f"judged by openai/judge, a language model; {share}" in told.stdout
    assert script.judged.total() == ITEMS + len(twice)
    assert json.loads((tmp_path / "run/ledger.json").read_text())["stages"]["judge"]["calls"] == ITEMS + len(twice)


def test_what_the_judge_cannot_say_is_unjudged_and_counted_with_its_reason(both, tmp_path):
    script, server = both
    script.rubbish = "Maybe"
    done = CliRunner().invoke(app, [*flags(server, tmp_path / "run"), "--json", "-q"])
    found = json.loads(done.stdout)
    wrong = sum(row["response"].startswith("Maybe") for row in map(json.loads, Path(found["answers"]).read_text().splitlines()))
    assert (found["right"], found["wrong"], found["unjudged"]) == (ITEMS - wrong, 0, wrong)
    assert "openai/judge gave no verdict (readable)" in next(iter(found["unjudged_reasons"]))


def test_a_reached_cap_ends_with_4_and_a_kill_and_a_new_start_pay_nothing_twice(both, tmp_path):
    script, server = both
    given = flags(server, tmp_path / "run")
    capped = CliRunner().invoke(app, [*given, "--max-calls", "7", "-q"])
    assert capped.exit_code == 4
    assert "the cap of 7 calls is reached" in capped.stderr
    assert script.judged.total() == 7
    command = [sys.executable, "-m", "errata.cli", *given]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        script.at_call = lambda number: process.kill() if number == 14 else None
        process.wait()
    script.at_call = lambda number: None
    before = script.judged.total()
    assert before >= 14
    done = CliRunner().invoke(app, [*given, "--json", "-q"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["items"] == ITEMS
    assert len(script.judged) == ITEMS + found["judged"]["twice"]
    # only what was under way at the kill, at most 8 calls, was sent again
    assert script.judged.total() - len(script.judged) <= 8
    kept = [json.loads(line) for line in (tmp_path / "run/answers.jsonl").read_text().splitlines()]
    keys = [row["key"] for row in kept if "key" in row]
    assert len(keys) == len(set(keys)) == len(script.judged)


def test_a_dry_run_says_how_many_calls_the_judging_takes_and_a_missing_key_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with contextlib.chdir(ROOT):
        run = ["--config", "examples/helpdesk.yaml", "--run", str(tmp_path / "run")]
        more = ["--set", "items.train=100", "--set", "items.dev=30", "--set", "items.test=20", "--set", "generate.failures=10"]
        told = CliRunner().invoke(app, ["cycle", *run, *more, "--dry-run", "--json"])
        judging = json.loads(told.stdout)["judging"]
        counted = judging["for"]
        assert (counted["train"], counted["test, before and after"], counted["anchors"]) == (100, 40, 20)
        assert counted["independent solves"] == 60 and counted["probe, before and after"] == 160
        assert counted["dev, before and after"] == 30 * 3  # two stages, and no guard that could turn them down
        guarded = CliRunner().invoke(app, ["cycle", *run, *more, "--set", "guards=[sums]", "--dry-run", "--json"])
        assert json.loads(guarded.stdout)["judging"]["for"]["dev, before and after"] == 30 * 5
        assert judging["calls"] == round(1.1 * sum(counted.values()))
        assert 300 < judging["tokens_in"] / judging["calls"] < 1500
        text = CliRunner().invoke(app, ["cycle", *run, *more, "--dry-run"]).stdout
        assert f"judging by openai/gpt-5-mini, a call an answer: about {judging['calls']:,} calls in the first round and the test" in text
        assert "10 % of them twice" in text
        assert not (tmp_path / "run").exists()
        for name in ("cycle", "evaluate"):
            refused = CliRunner().invoke(app, [name, *run])
            assert refused.exit_code == 1
            assert "judge openai/gpt-5-mini needs a key in OPENAI_API_KEY" in refused.stderr
            assert not (tmp_path / "run").exists()


def test_the_embedded_instructor_is_refused_as_a_judge_with_what_to_do(tmp_path):
    with contextlib.chdir(ROOT):
        refused = CliRunner().invoke(app, ["evaluate", "--config", "examples/helpdesk.yaml", "--set", "instructor.model=offline"])
    assert refused.exit_code == 2
    assert "the embedded instructor `offline` cannot judge; name one, e.g. --set judge.model=openai/gpt-5-mini" in refused.stderr


def test_the_gate_says_who_judged_the_dev_items_and_how_often_the_judge_agreed():
    def attempt(index, right, **more):  # another answer to the same item, by other weights
        example = Example(task="t", split="dev", question=f"q{index}", answer="a", kind="prose")
        return Attempt(example=example, response=str(right), verdict=Verdict(correct=right, extracted="r", reason="", **more))

    before = [attempt(index, False, judge="openai/judge") for index in range(10)]
    after = [attempt(index, True, judge="openai/judge", again=index > 0 if index < 4 else None) for index in range(10)]
    decision = marked(decide("t", before, after, {}, GateSettings()), [*before, *after])
    assert decision.accepted
    assert decision.reason == "gain on dev, p = 0.002; judged by openai/judge, alike in 3 of 4 answers that it judged twice"
    assert decision.judged == {"by": ["openai/judge"], "answers": 20, "twice": 4, "agreed": 3}
    assert marked(decision, [attempt(0, True)]) is decision
