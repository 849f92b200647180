"""What the form of answers alone costs: told at the start of a run where it is poor, with settings that can be pasted; silent, and free of
cost, where it is well."""

import json
import shlex

import pytest

from errata.programs import Cycle, load_config
from errata.programs.config import parse_override
from errata.programs.form.look import SAMPLE, form_of
from errata.programs.report.figures import form as form_apart
from errata.programs.report.records import Sides
from errata.programs.run import layout
from errata.programs.stats import paired, share
from errata.signatures.records import Attempt, Example, Verdict
from errata.tasks import load_task
from errata.trainers.chat import Completion

LOOP = "#### " * 200


class Scripted:
    """A target that answers a prompt as `answer` says, and keeps what it was asked."""

    hash, settings, on_share = "t", None, staticmethod(lambda share: None)

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def generate(self, prompts, **_):
        for place, prompt in enumerate(prompts):
            self.asked.append(prompt)
            text = self.answer(prompt)
            yield place, Completion(text, "length" if text == LOOP else "stop", len(text.split()))


def shown_how(prompt):
    """Loops on the marks of the form, unless worked examples stand before the question."""
    return LOOP if len(prompt) == 1 else "It is 7.\n#### 7"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in {"train": 90, "dev": 4, "test": 4}.items():
        rows = [{"question": f"{split} {n}: what is 3 plus {n % 8}?", "answer": f"3+{n % 8}\n#### {3 + n % 8}"} for n in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def looked(tmp_path, task, answer, said, **config):
    """A run whose target has answered its train items."""
    config = load_config(overrides={"task": task, "guards": [], "items.train": 80} | config)
    loop = Cycle(config, tmp_path / "run", said.append)
    target = Scripted(answer)
    loop.open_target = lambda settings, *_: target
    with loop:
        loop.run("mine")
    return loop, target


def test_a_form_that_worked_examples_mend_is_told_in_two_lines_with_the_settings_that_use_them(tmp_path, data):
    said = []
    loop, target = looked(tmp_path, f"jsonl:{data}", shown_how, said, **{"table.verdict": "number"})
    first, second = [line for line in said if " lack " in line or " have it" in line]
    assert "64 of 64 answers to train items lack the form that is asked (64 unread, 64 cut, 64 looping); 0 right" in first
    assert "form hides skill: with 3 worked examples" in second
    words = shlex.split(second.partition("in another --run: ")[2])
    assert words == ["--set", "table.shots=3"]
    # what is told is what was tried: the same prompts
    table = loop.config.table.model_copy(update={"shots": 3})
    task = load_task(f"jsonl:{data}", table)
    asked = [row.example for row in layout.attempts(loop.path, 1)][:64]
    tried = [prompt for prompt in target.asked if len(prompt) > 1]
    assert tried == [task.prompt(item) for item in asked if item.question not in {one.question for one in task.prefix.shots}]
    # 80 that are mined, and at most 64 for each of the two other ways
    assert len(target.asked) <= 80 + 2 * SAMPLE


def test_what_was_found_is_kept_and_asked_once(tmp_path, data):
    said = []
    loop, target = looked(tmp_path, f"jsonl:{data}", shown_how, said, **{"table.verdict": "number"})
    count = len(target.asked)
    with loop:
        found = form_of(loop, layout.attempts(loop.path, 1))
    assert len(target.asked) == count
    ways = {way["name"]: way for way in found["jsonl:data"]["ways"]}
    best = ways["3 worked examples"]
    assert best["found"]["formed"] == best["found"]["items"] > 60 and best["given"]["formed"] == 0
    assert 0 < best["found"]["right"] < best["found"]["items"]
    assert ways["the question alone"]["found"]["formed"] == 0


def test_where_answers_have_their_form_nothing_is_told_asked_or_kept(tmp_path, data):
    said = []
    loop, target = looked(tmp_path, f"jsonl:{data}", lambda prompt: "I think so.\n#### 1", said, **{"table.verdict": "number"})
    assert len(target.asked) == 80 and not layout.form(loop.path).path.exists()
    assert not [line for line in said if "form" in line]


def test_a_run_that_sets_form_off_asks_nothing_more(tmp_path, data):
    said = []
    loop, target = looked(tmp_path, f"jsonl:{data}", shown_how, said, **{"table.verdict": "number", "form": "off"})
    assert len(target.asked) == 80 and not layout.form(loop.path).path.exists()


def test_form_may_be_switched_off_in_a_run_that_goes_on(tmp_path, data):
    loop, _ = looked(tmp_path, f"jsonl:{data}", shown_how, [], **{"table.verdict": "number"})
    with Cycle(loop.config.model_copy(update={"form": "off"}), loop.path, lambda line: None):
        pass


def test_gsm8k_is_told_as_the_table_that_asks_the_same(tmp_path, data):
    said = []
    looked(tmp_path, f"gsm8k:{data}", shown_how, said)
    (line,) = [line for line in said if "in another --run: " in line]
    flags = dict(parse_override(word) for word in shlex.split(line.partition("in another --run: ")[2]) if word != "--set")
    told = load_config(overrides=flags)
    task = load_task(told.task, told.table)
    item = next(one for one in task.examples("train") if one.question not in {shot.question for shot in task.prefix.shots})
    plain = load_task(f"gsm8k:{data}")
    asked = Example(task="gsm8k", split="train", question=item.question, answer=item.answer)
    assert task.prompt(item)[-1:] == plain.prompt(asked) and len(task.prompt(item)) == 7
    assert task.prompt(item)[1]["content"].startswith("3+")  # the work is shown too
    assert (task.max_new_tokens, task.kind) == (plain.max_new_tokens, plain.kind)


def test_the_question_alone_is_asked_without_words_for_the_form(tmp_path, data):
    said = []
    alone = lambda prompt: LOOP if "Show each step" in prompt[-1]["content"] else "7"  # noqa: E731
    looked(tmp_path, f"jsonl:{data}", alone, said, **{"table.verdict": "number"})
    (line,) = [line for line in said if "in another --run: " in line]
    flags = dict(parse_override(word) for word in shlex.split(line.partition("in another --run: ")[2]) if word != "--set")
    assert flags == {"table.ask": " "}
    task = load_task(f"jsonl:{data}", load_config(overrides=flags | {"task": f"jsonl:{data}", "table.verdict": "number"}).table)
    (item,) = task.examples("dev", 1)
    assert task.prompt(item) == [{"role": "user", "content": item.question}]


def test_a_looser_verdict_reads_the_answers_that_are_there(tmp_path):
    folder = tmp_path / "cities"
    folder.mkdir()
    for split in ("train", "dev"):
        rows = [{"question": f"{split} {n}: capital?", "answer": "Rome"} for n in range(80)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = []
    words = "Well, that is a good question. One may think of Rome, I suppose.\nOr not.\nWho knows?"
    loop, _ = looked(tmp_path, f"jsonl:{folder}", lambda prompt: words, said)
    found = layout.form(loop.path).facts()["jsonl:cities"]
    (looser,) = [way for way in found["ways"] if way["name"] == "the verdict contains"]
    assert looser["found"]["right"] == 64 and looser["set"] == ["table.verdict=contains"]
    assert not layout.form(loop.path, "jsonl:cities-the verdict contains").path.exists()


def test_a_poor_form_that_nothing_mends_is_said_to_be_so(tmp_path, data):
    said = []
    looked(tmp_path, f"jsonl:{data}", lambda prompt: LOOP, said, **{"table.verdict": "number"})
    assert [line for line in said if "no other way to ask helps" in line] and not [line for line in said if "in another --run" in line]


def test_a_form_that_can_be_had_without_more_right_answers_is_told_as_a_lack_of_skill(tmp_path, data):
    said = []
    wrong = lambda prompt: LOOP if len(prompt) == 1 else "#### 99"  # noqa: E731
    looked(tmp_path, f"jsonl:{data}", wrong, said, **{"table.verdict": "number"})
    (line,) = [line for line in said if "in another --run: " in line]
    assert "the form needs no training, the skill does: with 3 worked examples" in line
    assert " have it, 0 right (as asked 0, 0 right)" in line


def test_right_answers_that_others_were_lost_for_are_told_as_skill_only_beyond_chance(tmp_path, data):

    def unsure(prompt):
        number = int(prompt[-1]["content"].split()[1].rstrip(":"))
        if len(prompt) == 1:
            return f"#### {number % 8 + 3}" if number % 9 < 2 else LOOP
        return f"#### {number % 8 + 3}" if 2 <= number % 9 < 5 else "#### 99"

    said = []
    loop, _ = looked(tmp_path, f"jsonl:{data}", unsure, said, **{"table.verdict": "number"})
    (examples,) = [way for way in layout.form(loop.path).facts()["jsonl:data"]["ways"] if way["name"] == "3 worked examples"]
    assert examples["fixed"] - examples["broken"] >= 6 and examples["p_value"] > 0.05, examples
    (line,) = [line for line in said if "in another --run: " in line]
    assert "the form needs no training, the skill does: with 3 worked examples" in line


def test_recorded_answers_are_looked_at_and_no_target_is_asked(tmp_path, data):
    said = []
    config = load_config(overrides={"task": f"gsm8k:{data}", "guards": [], "errors": "recorded"})
    loop = Cycle(config, tmp_path / "run", said.append)
    items = load_task(f"gsm8k:{data}").examples("train", 20)
    verdict = Verdict(correct=False, extracted=None, reason="no answer")
    with loop:
        loop.stage(1, "mine").finish({layout.ATTEMPTS: [Attempt(example=item, response=LOOP, verdict=verdict) for item in items]})
        loop.run("mine")
    (line,) = [line for line in said if line.startswith("form")]
    assert "20 of 20" in line and layout.form(loop.path).facts()["gsm8k"]["ways"] == []


def attempt(number, right, read, finish="stop"):
    item = Example(task="t", split="test", question=str(number), answer="1")
    verdict = Verdict(correct=right, extracted="1" if read else None, reason="")
    return Attempt(example=item, response="", verdict=verdict, finish=finish)


def test_a_report_tells_form_apart_from_skill_where_answers_were_unread():
    before = [attempt(n, n < 2, n < 10, "stop" if n < 10 else "length") for n in range(40)]
    after = [attempt(n, n < 8, True) for n in range(40)]
    sides = Sides(before=share(before), after=share(after), change=paired(before, after))
    (line,) = form_apart("t test", sides)
    assert "answers read 10 -> 40 of 40 (cut 30 -> 0); right among those read 20.0 % -> 20.0 %" in line
    assert form_apart("t test", Sides(before=share(after), after=share(after), change=paired(after, after))) == []
