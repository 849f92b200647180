"""Whose words a row is in: own solutions that the target samples or finds by search, the band of their pass rate, and resuming."""

import json
from collections import Counter

import pytest
from problems import drawn

from errata.programs import Cycle
from errata.programs.config import load_config
from errata.programs.run.directory import Stage
from errata.programs.steps.lessons import own, passed
from errata.programs.steps.search import beginnings, search
from errata.programs.steps.words import Words, ask
from errata.signatures.errors import UsageError
from errata.signatures.records import Example, Rollout, Rollouts
from errata.tasks import load_task
from errata.trainers.chat import Completion
from errata.trainers.target import Target

TASK = load_task("sums")
RIGHT = "The bags hold 3*4=<<3*4=12>>12 pens.\nThen 12-2=<<12-2=10>>10 are left.\n#### 10"
OTHER = "They are 4*3=<<4*3=12>>12.\nNow 12-2=<<12-2=10>>10.\n#### 10"
LUCKY = "The bags hold 3*4=<<3*4=13>>13 pens.\n#### 10"
SHORT = "The bags hold 3*4=<<3*4=12>>12 pens.\n#### 12"


def sample(number, **more):
    question = f"Ann ({number}) has 3 bags of 4 pens and gives 2 away. How many are left?"
    return drawn(number, question=question, solution=RIGHT, answer="10", **more)


class Scripted:
    """Answers each prompt by script(question number, how often it was asked in this call, beginning); counts what it was asked."""

    hash = "w"

    def __init__(self, script, dies_after=None):
        self.script, self.dies_after = script, dies_after
        self.asked = []

    def generate(self, prompts, *, max_new_tokens, temperature=0.0, seed=0, begun=None):
        assert temperature > 0
        seen = Counter()
        for place, prompt in reversed(list(enumerate(prompts))):  # in no fixed order
            if self.dies_after is not None and len(self.asked) == self.dies_after:
                raise KeyboardInterrupt
            number = int(prompt[0]["content"].split("(")[1].split(")")[0])
            start = begun[place] if begun else ""
            text = self.script(number, seen[number], start)
            seen[number] += 1
            self.asked.append(number)
            yield place, text if isinstance(text, Completion) else Completion(text, "stop", 10)


def words(tmp_path, target, **generate):
    settings = load_config(overrides={f"generate.{name}": value for name, value in generate.items()}).generate
    return Words(Stage(tmp_path / "words"), TASK, settings, 0, lambda: target)


def tried(*responses, finish="stop"):
    verdicts = [TASK.verdict(Example(task="sums", split="train", question="q", answer="10"), text) for text in responses]
    tries = [Rollout(response=text, correct=v.correct, reason=v.reason, finish=finish) for text, v in zip(responses, verdicts, strict=True)]
    return Rollouts(question="q", target="w", tries=tuple(tries), tokens=9)


def test_a_row_is_in_the_targets_own_words_where_it_is_right_and_else_in_the_programs(tmp_path):
    target = Scripted(lambda number, turn, start: [SHORT, OTHER][turn % 2] if number == 0 else SHORT)
    kept, refused = words(tmp_path, target, completion="target")([sample(0), sample(1)])
    assert refused == []
    assert [(row.own, row.passed) for row in kept] == [(OTHER, 0.5), (None, 0.0)]
    assert Counter(target.asked) == {0: 4, 1: 4}


def test_own_words_drop_the_reasoning_trace_or_keep_it_and_are_counted(tmp_path):
    thought = f"<think>{LUCKY}</think>\n{OTHER}"
    for trace, own_words in (("drop", OTHER), ("keep", thought)):
        target = Scripted(lambda number, turn, start: [SHORT, thought][turn % 2])
        made = words(tmp_path / trace, target, completion="target", trace=trace)
        kept, _ = made([sample(0)])
        assert ([row.own for row in kept], made.traced) == ([own_words], 1)


def test_the_first_right_answer_counts_that_ended_by_itself_and_calculates_truly():
    assert own(tried(SHORT, LUCKY, OTHER, RIGHT)) == OTHER
    assert own(tried(SHORT, LUCKY)) is None
    assert own(tried(OTHER, finish="length")) is None


def test_a_row_that_the_target_always_solves_is_dropped_and_the_refusal_names_its_program(tmp_path):
    target = Scripted(lambda number, turn, start: RIGHT)
    kept, refused = words(tmp_path / "default", target, completion="target")([sample(0)])
    assert (kept, [(row.check, row.of, row.program) for row in refused]) == ([], [("band", sample(0).id, "p")])
    assert "solves it in 4 of 4 tries" in refused[0].reason
    kept, refused = words(tmp_path / "open", target, completion="target", band=[0.0, 1.0])([sample(0)])
    assert (len(kept), refused) == (1, [])


def test_rows_below_the_band_are_dropped_too(tmp_path):
    target = Scripted(lambda number, turn, start: SHORT)
    kept, refused = words(tmp_path, target, completion="target", band=[0.2, 0.9])([sample(0)])
    assert (kept, len(refused)) == ([], 1)


def test_the_target_is_not_asked_where_rows_are_in_the_programs_words(tmp_path):
    rows = [sample(number) for number in range(8)]
    made = words(tmp_path, None)
    assert made(rows) == (rows, [])
    made.finish()
    assert not (tmp_path / "words").exists()


def test_a_killed_stage_asks_only_what_is_missing_and_ends_with_the_same_bytes(tmp_path):
    script = lambda number, turn, start: [SHORT, OTHER, LUCKY, RIGHT][(number + turn) % 4]  # noqa: E731
    rows = [sample(number) for number in range(5)]

    def run(path, target):
        made = words(path, target, completion="target")
        kept = made(rows[:3])[0] + made(rows[3:])[0]
        made.finish()
        return kept, {file.name: file.read_bytes() for file in sorted((path / "words").iterdir())}

    whole = run(tmp_path / "whole", Scripted(script))
    killed = Scripted(script, dies_after=9)  # two questions are done, one is under way
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", killed)
    again = Scripted(script)
    assert run(tmp_path / "killed", again) == whole
    assert Counter(again.asked) == {0: 4, 3: 4, 4: 4}
    assert run(tmp_path / "killed", None) == whole
    assert sorted(whole[1]) == ["manifest.json", "tries.jsonl"]
    assert json.loads(whole[1]["manifest.json"])["facts"] == {"found": 0, "items": 20, "questions": 5, "right": 5, "tokens": 200}


SMALL = {
    "items.train": 36,
    "items.dev": 18,
    "items.test": 0,
    "guards": [],
    "generate.failures": 4,
    "generate.rows": 10,
    "generate.probe": 2,
    "generate.completion": "target",
    "generate.search_tokens": 300,
    "generate.lesson": {"worked": 0.4, "correction": 0.4, "hint": 0.2},
}


@pytest.mark.slow  # two rounds, 13 seconds
def test_a_round_killed_while_the_target_is_asked_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    def run(path):
        with Cycle(load_config(overrides=SMALL), path, say=lambda line: None) as loop:
            loop.run(until="assemble")
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.glob("*/**/*.json*"))}

    whole = run(tmp_path / "whole")
    generate, sampled = Target.generate, []

    def dying(self, prompts, **options):
        for answer in generate(self, prompts, **options):
            if options.get("temperature"):
                sampled.append(answer)
                if len(sampled) == 30:
                    raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(Target, "generate", dying)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed")
    assert (tmp_path / "killed/round-1/words/tries.jsonl.part").stat().st_size
    assert run(tmp_path / "killed") == whole
    rows = [json.loads(line) for line in whole["round-1/assemble/samples.jsonl"].splitlines()]
    assert len(rows) == 10
    assert {row.get("lesson", "worked") for row in rows} > {"worked"}
    facts = json.loads(whole["round-1/words/manifest.json"])["facts"]
    assert facts["questions"] >= 10


def test_answers_of_one_question_come_together_in_the_order_of_sampling():
    target = Scripted(lambda number, turn, start: f"#### {turn}")
    examples = [Example(task="sums", split="train", question=f"q ({n})", answer="2") for n in range(3)]
    rows = {example.question: tries for example, tries in ask(TASK, examples, target, 3, 1.0, 0)}
    assert {question: [one.response for one in tries.tries] for question, tries in rows.items()} == {
        f"q ({n})": ["#### 2", "#### 1", "#### 0"]
        for n in range(3)  # this target answers the last prompt first
    }
    assert all(passed(tries) == pytest.approx(1 / 3) for tries in rows.values())


# ---- search


def pending(solution=RIGHT):
    return [(Example(task="sums", split="train", question="q (0)", answer="10", solution=solution), tried(SHORT, "#### 7"))]


def test_an_answer_is_cut_at_its_line_ends():
    lines = RIGHT.splitlines(keepends=True)
    assert beginnings(RIGHT) == ["", lines[0], lines[0] + lines[1]]
    assert beginnings("#### 7") == [""]


def test_search_goes_on_from_the_beginning_that_comes_nearest_to_the_worked_solution():
    first = RIGHT.splitlines(keepends=True)[0]
    target = Scripted(lambda number, turn, start: RIGHT if start == first else SHORT)
    ((_, found),) = search(TASK, pending(), target, 1280, 1.0, 0)
    assert found.found == RIGHT
    assert found.tokens == 9 + 10 * len(target.asked)
    assert len(target.asked) == 4


def test_search_ends_with_its_budget_and_says_that_nothing_was_found():
    target = Scripted(lambda number, turn, start: Completion(SHORT, "stop", 100))
    ((_, found),) = search(TASK, pending(), target, 1000, 1.0, 0)
    assert found.found is None
    assert found.tokens <= 9 + 1000
    assert len(target.asked) == 9  # another answer could take 128 tokens and only 100 are left
    ((_, none),) = search(TASK, pending(), target, 100, 1.0, 0)
    assert (none.found, none.tokens) == (None, 9)


def test_search_takes_no_answer_that_is_right_by_luck():
    target = Scripted(lambda number, turn, start: LUCKY)
    ((_, found),) = search(TASK, pending(), target, 1280, 1.0, 0)
    assert found.found is None


def test_what_search_finds_is_the_rows_own_words_and_rows_with_a_right_try_are_not_searched(tmp_path):
    def script(number, turn, start):
        return RIGHT if start or (number == 1 and turn == 2) else SHORT

    made = words(tmp_path, Scripted(script), completion="target", search_tokens=600)
    kept, _ = made([sample(0), sample(1)])
    assert [(row.own, row.passed) for row in kept] == [(RIGHT, 0.0), (RIGHT, 0.25)]
    assert [made.asked[name].found for name in made.asked] == [RIGHT, None]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lesson", {"worked": 0.0}, "names no lesson with a share above 0"),
        ("lesson", "worked out", "generate.lesson"),
        ("band", [0.9, 0.1], "begins above its end"),
        ("skip", ["unseen"], "generate.skip"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(name, value, said):
    with pytest.raises(UsageError, match=said):
        load_config(overrides={f"generate.{name}": value})


def test_one_lesson_stands_for_all_rows():
    assert load_config(overrides={"generate.lesson": "hint"}).generate.lesson == {"hint": 1.0}
