"""Controls and mixtures: what they are taught from, what the instructor is shown, and how their rows walk back."""

from collections import Counter

import pytest
from dspy.utils import DummyLM

from errata.programs import Cycle, GoldOnly, LearnFromContrast, LearnFromError, Lineage, Mimic, Mix, Uniform, load_config
from errata.programs.config import GenerateSettings
from errata.programs.instructor.chat import instructed_by
from errata.programs.report.trace import as_text
from errata.programs.run import layout
from errata.programs.steps import mine
from errata.programs.steps.assemble import assemble
from errata.programs.steps.mine import train_items
from errata.programs.steps.practice import practice
from errata.programs.steps.probe import probe
from errata.programs.steps.teach import teach
from errata.programs.strategies.named import BUILT_IN, load_strategy
from errata.signatures.errors import UsageError
from errata.signatures.records import Attempt, Failure, Sample, SampleProgram, TeachingResult, Verdict
from errata.tasks import load_task
from errata.trainers.judge import Given

SUMS = load_task("sums")
SMALL = {"items.train": 45, "items.dev": 20, "items.test": 20, "generate.rows": 30}


def answered(item, number):
    """A target that fails every third item."""
    right = number % 3 > 0
    response = item.solution if right else "I guess 1.\n#### 1"
    return Attempt(example=item, response=response, verdict=Verdict(correct=right, extracted="1", reason=""), target="t")


def mined(tmp_path, strategy, **config):
    """A cycle that has mined a round."""
    loop = Cycle(load_config(overrides={**SMALL, "generate.strategy": strategy, **config}), tmp_path / "run", lambda line: None)
    with loop:
        rows = [answered(item, number) for number, item in enumerate(train_items(loop, 1))]
        loop.run_dir.stage("round-1/mine").finish({"attempts.jsonl": rows})
    return loop


def assembled(loop, number=1):
    for step in (teach, probe, assemble):
        step(loop, number)
    return (
        mine.mined(loop, number),
        layout.taught(loop.path, number),
        loop.run_dir.stage(f"round-{number}/assemble").read("samples.jsonl", Sample),
    )


def test_mimic_is_asked_for_a_program_alone_and_sees_neither_error_nor_response():
    failure = Failure(attempt=answered(SUMS.examples("train", 1)[0], 0))
    blank = Failure(attempt=Attempt.unanswered(failure.attempt.example))
    lm = DummyLM([{"refusal": "", "program": "```python\nx = 1\n```"}])
    with instructed_by(lm):
        made = Mimic()(failures=(blank,), brief="sums", prove=lambda program: None)
    (call,) = lm.history
    said = "".join(message["content"] for message in call["messages"])
    assert failure.attempt.example.question in said and "I guess" not in said
    assert not [name for name in ("skill", "misconception", "teach") if f"[[ ## {name} ## ]]" in said]
    assert (made.program.source, made.diagnosis.strategy, made.diagnosis.misconception) == ("x = 1\n", "Mimic", "")


def test_mimic_is_taught_from_as_many_items_as_there_were_errors_solved_ones_among_them(tmp_path):
    loop = mined(tmp_path, "Mimic", **{"generate.failures": 12})
    with loop:
        found, taught, rows = assembled(loop)
    solved = {attempt.example.id for attempt in found.solved}
    assert len(found.failures) == 12
    assert 4 <= sum(failure.attempt.example.id in solved for failure in found.failures) <= 11
    assert all(failure.attempt.response == "" for failure in found.failures)
    kept = [row.program for row in taught if row.program]
    assert kept and not [program for program in kept if "def wrong" in program.source]
    # no probe: whether the target solves the rows is nothing that a control may know
    assert {row.program_id for row in rows} == {program.id for program in kept}
    assert not (tmp_path / "run/round-1/probe").exists()
    document = Lineage(tmp_path / "run").trace(rows[0].id)
    assert document["program"]["errors"][0]["attempt"]["example"]["question"] in [one.attempt.example.question for one in found.failures]


def test_gold_only_trains_on_the_mined_items_themselves_and_each_row_walks_back_to_its_item(tmp_path):
    loop = mined(tmp_path, "GoldOnly", **{"instructor.model": "openai/none-such"})
    with loop:
        found, taught, rows = assembled(loop)
    items = {item.id: item for item in found.items}
    assert (len(items), len(rows), taught) == (45, 30, [])
    assert len({row.item for row in rows}) == 30
    for row in rows:
        assert row.example == items[row.item]
    assert Counter(row.item in {attempt.example.id for attempt in found.solved} for row in rows)[True] > 10
    said = as_text(Lineage(tmp_path / "run").trace(rows[0].id))
    assert f"item {rows[0].item} of sums train" in said and "no program made it" in said and "the target answered" in said


def test_uniform_trains_on_other_items_evenly_over_skills(tmp_path):
    loop = mined(tmp_path, "Uniform", **{"generate.rows": 36})
    with loop:
        found, _, rows = assembled(loop)
        held_out = {item.question for item in loop.held_out}
    asked = {row.example.question for row in rows}
    assert len(asked) == 36
    assert not asked & held_out and not asked & {item.question for item in found.items}
    pool = {item.id: item.skill for item in Uniform().items(SUMS, found.items, 36, 1)}
    skills = Counter(pool[row.item] for row in rows)
    assert len(skills) == 18 and set(skills.values()) == {2}
    assert "which the target was not asked" in as_text(Lineage(tmp_path / "run").trace(rows[0].id))


def test_a_task_that_has_no_more_items_of_its_own_gives_what_it_has_and_says_so(tmp_path):
    said = []
    loop = mined(tmp_path, "GoldOnly", **{"generate.rows": 60})
    loop.say = said.append
    with loop:
        _, _, rows = assembled(loop)
    assert 40 <= len(rows) <= 45
    assert f"round 1: {len(rows)} of 60 rows: task sums has no more items of its own to give; dropped by none" in said


FAILURES = [Failure(attempt=answered(item, 0)) for item in SUMS.examples("train", 200)]


class Named(LearnFromError):
    """Says which member was asked."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, failures, brief, prove):
        ids = tuple(failure.id for failure in failures)
        return TeachingResult(failure_ids=ids, diagnosis=None, program=SampleProgram(diagnosis_id=self.name, source="", anchors=ids))


def test_mix_hands_each_failure_to_one_member_by_shares_always_the_same():
    mix = Mix([Named("a"), Named("b")], [3, 1])
    groups = mix.groups(FAILURES)
    assert sorted(one.id for group in groups for one in group) == sorted(one.id for one in FAILURES)
    to = {group[0].id: mix(failures=group, brief="", prove=None).program.diagnosis_id for group in groups}
    assert 0.65 < Counter(to.values())["a"] / 200 < 0.85
    again = Mix([Named("a"), Named("b")], [3, 1])
    assert {one.id: again(failures=(one,), brief="", prove=None).program.diagnosis_id for one in FAILURES[:50]} == {
        one.id: to[one.id] for one in FAILURES[:50]
    }


def test_mix_gives_members_without_an_instructor_their_share_of_rows(tmp_path):
    mix = Mix([LearnFromError(), GoldOnly()], [2, 1])
    assert mix.source == "errors"
    assert 0.5 < len(mix.groups(FAILURES)) / 200 < 0.83
    loop = mined(tmp_path, "LearnFromError", **{"generate.probe": 0})
    loop.strategy = mix
    with loop:
        _, _, rows = assembled(loop)
    assert Counter(row.item is not None for row in rows) == {True: 10, False: 20}


@pytest.mark.parametrize(
    ("members", "shares", "said"),
    [
        ([LearnFromError(), Mimic()], None, r"LearnFromError \(errors\), Mimic \(train\)"),
        ([LearnFromError()], [1, 2], "one share, 0 or more, for each of its 1 members"),
        ([LearnFromError(), GoldOnly()], [1, -1], "one share, 0 or more"),
        ([], None, "each of its 0 members"),
    ],
)
def test_a_mix_that_would_be_silently_wrong_is_refused_when_it_is_made(members, shares, said):
    with pytest.raises(UsageError, match=said):
        Mix(members, shares)


def test_a_saved_mix_is_loaded_member_by_member(tmp_path):
    assert Mix([LearnFromError(), LearnFromContrast(contrasts=2)]).contrasts == 2
    mix = load_strategy(GenerateSettings(strategy="Mix"))
    predict = mix.members[1].diagnose.predict
    predict.signature = predict.signature.with_instructions("Other words.")
    mix.save(tmp_path / "state.json")
    loaded = load_strategy(GenerateSettings(strategy="Mix", state=str(tmp_path / "state.json")))
    assert loaded.members[1].diagnose.predict.signature.instructions == "Other words."


def test_every_built_in_strategy_is_made_of_the_config_and_an_unknown_name_lists_them_all_with_the_nearest():
    for name in BUILT_IN:
        assert type(load_strategy(GenerateSettings(strategy=name))).__name__ == name
    with pytest.raises(UsageError, match="did you mean GoldOnly") as caught:
        load_strategy(GenerateSettings(strategy="goldonly"))
    assert all(name in str(caught.value) for name in BUILT_IN)


def test_form_only_has_the_questions_and_answers_of_gold_only_in_other_pairs(tmp_path):
    items = SUMS.examples("train", 40, seed=3)
    settings = GenerateSettings(strategy="FormOnly")
    rows = load_strategy(settings).items(SUMS, items, 40, seed=1)
    assert Counter(row.question for row in rows) == Counter(item.question for item in items)
    assert Counter((row.answer, row.solution) for row in rows) == Counter((item.answer, item.solution) for item in items)
    own = {item.question: item.answer for item in items}
    assert sum(own[row.question] == row.answer for row in rows) < 12
    assert not [row for row in rows if row.meta["answer_of"] in {item.id for item in items if item.question == row.question}]
    assert load_strategy(settings).items(SUMS, items[:1], 40, seed=1) == []  # alone, it would be taught its own
    # each says whose answer it was given, and is written in the form that is asked
    source = {item.id: item for item in items}
    assert all(source[row.meta["answer_of"]].answer == row.answer for row in rows)
    assert all(SUMS.verdict(row, SUMS.completion(row.solution, row.answer)).correct for row in rows)
    assert rows == load_strategy(settings).items(SUMS, items, 40, seed=1) != load_strategy(settings).items(SUMS, items, 40, seed=2)


def test_form_only_stays_within_each_task_and_gives_a_choice_one_of_its_own_options():
    mixed = load_task("sums+facts")
    rows = load_strategy(GenerateSettings(strategy="FormOnly")).items(mixed, mixed.examples("train", 40, seed=3), 40, seed=1)
    assert {row.task for row in rows} == {"sums", "facts"}
    assert all(row.answer in row.meta["choices"] for row in rows if row.kind == "choice")
    assert all(row.answer.lstrip("-").replace(".", "").isdigit() for row in rows if row.task == "sums")


def test_items_are_practised_with_their_own_answers_alone(tmp_path):
    loop = mined(tmp_path, "FormOnly", **{"train.practice": "items"})
    own = {item.question: item.answer for item in SUMS.examples("train", 45, seed=1)}
    with loop:
        _, taught, rows = assembled(loop)
        judge = practice(loop, 1, 0)
        prompts = judge.prompts(0, 24)
        told = [Given(one.key, f"#### {own[one.messages[-1]['content'].partition(chr(10))[0]]}", "stop") for one in prompts]
        assert judge.rewards(0, told) == [1.0] * len(prompts) and len(prompts) == 24
    assert not taught and len(rows) == 30 and all(row.item for row in rows)
