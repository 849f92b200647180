"""From programs to rows: the budget goes by error mass, every row can be made again, and replay is even over skills."""

from collections import Counter

from errata.programs.samples import draw
from errata.programs.samples.draw import Supply, draws, shares
from errata.programs.samples.filters import Distinct, Unseen, each
from errata.programs.samples.harness import run_program
from errata.programs.steps.rows import replay, train_rows
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Example, SampleProgram, Verdict
from errata.tasks import load_task

TASK = load_task("sums")


def program(word, values):
    source = f'''
def draw(rng, level):
    return {{"a": rng.randrange({values}), "level": level}}

def make(a, level):
    return {{"question": f"{word} {{a}} of {{level}}?", "solution": f"{{a}} it is", "answer": str(a)}}

ANCHORS = {{}}
'''
    return SampleProgram(diagnosis_id=word, source=source, anchors=())


RICH, POOR = program("rich", 10**6), program("poor", 2)


def made(sandbox, programs, total, **filters):
    """The rows of the programs that pass the filters, and the refusals; each program has the same mass."""
    supply = Supply({one.id: one for one in programs}, {one.id: 0.5 for one in programs}, total, 7, (2, 3))
    asked = [each(name, check) for name, check in (filters or {"distinct": Distinct()}).items()]
    batches = list(supply.rows(asked, sandbox, Limits()))
    return [row for kept, _ in batches for row in kept], [row for _, refused in batches for row in refused]


def test_rows_are_shared_in_proportion_to_mass_and_sum_to_the_total():
    assert shares({"a": 1.0, "b": 3.0}, 8) == {"a": 2, "b": 6}
    assert sum(shares({"a": 1, "b": 1, "c": 1}, 100).values()) == 100
    assert shares({"a": 0.0}, 5) == {}


def test_what_a_poor_program_cannot_fill_goes_to_the_others(sandbox):
    samples, rejections = made(sandbox, [RICH, POOR], 40)
    assert Counter(sample.program_id for sample in samples) == {RICH.id: 36, POOR.id: 4}
    assert {row.check for row in rejections} == {"distinct"}


def test_what_any_filter_drops_is_drawn_anew_until_the_wanted_number_is_there(sandbox):
    samples, rejections = made(sandbox, [RICH], 60, odd=lambda sample: "odd" if int(sample.example.answer) % 2 else None)
    assert len(samples) == 60 and {int(sample.example.answer) % 2 for sample in samples} == {0}
    assert len(rejections) >= 20 and len({row.of for row in rejections} | {row.id for row in samples}) == 60 + len(rejections)


def test_programs_of_which_nothing_passes_are_given_up(sandbox):
    samples, rejections = made(sandbox, [RICH], 60, never=lambda sample: "no")
    assert samples == [] and 20 <= len(rejections) <= 60


def test_rows_are_the_same_however_many_go_through_the_filters_at_once(sandbox, monkeypatch):
    whole = made(sandbox, [RICH, POOR], 40)
    monkeypatch.setattr(draw, "BATCH", 3)
    assert made(sandbox, [RICH, POOR], 40) == whole


def test_every_row_can_be_made_again_from_its_record_alone(sandbox):
    for sample in made(sandbox, [RICH], 12)[0][::5]:
        again = run_program(sandbox, RICH.source, (), [(sample.seed, sample.index, sample.level)], Limits()).rows[0]
        assert again["question"] == sample.example.question


def test_levels_come_in_turn_and_go_on_where_the_last_draw_ended():
    assert draws(1, (2, 3, 3), 0, 7)[4:] == draws(1, (2, 3, 3), 4, 3)
    assert [level for _, _, level in draws(1, (2, 3, 3), 0, 6)] == [2, 3, 3, 2, 3, 3]


def test_refused_rows_are_kept_with_their_reason_and_never_trained_on(sandbox):
    first, _ = made(sandbox, [RICH], 3)
    held_out = [Example(task="sums", split="test", question=sample.example.question, answer=sample.example.answer) for sample in first]
    samples, rejections = made(sandbox, [RICH], 3, unseen=Unseen(held_out))
    assert len(samples) == 3
    assert not {sample.example.question for sample in samples} & {example.question for example in held_out}
    assert {row.of for row in rejections} >= {sample.id for sample in first}


def solved(skill, number):
    example = Example(task="sums", split="train", question=f"{skill} {number}", answer="1", skill=skill)
    return Attempt(example=example, response="own words\n#### 1", verdict=Verdict(correct=True, extracted="1", reason="right"))


def test_right_answers_that_were_cut_are_not_replayed():
    cut = [solved("cut", 0).model_copy(update={"finish": finish}) for finish in ("length", "loop")]
    assert {row.example.skill for row in replay([*cut, solved("common", 0)], 20, seed=0)} == {"common"}
    assert replay(cut, 1, seed=0) == []


def test_replay_is_even_over_skills_and_in_the_targets_own_words():
    rows = replay([solved("common", n) for n in range(50)] + [solved("rare", n) for n in range(3)], 20, seed=0)
    assert Counter(row.example.skill for row in rows) == {"common": 10, "rare": 10}
    assert len({row.id for row in rows if row.example.skill == "common"}) == 10
    assert replay([], 5, 0) == []
    # one lucky answer does not fill the half of a training set that is replayed
    assert Counter(row.example.skill for row in replay([solved("common", n) for n in range(50)] + [solved("rare", 0)], 40, 0)) == {
        "common": 36,
        "rare": 4,
    }
    trained = train_rows(TASK, [], rows, 0)
    assert {row.completion[0]["content"] for row in trained} == {"own words\n#### 1"}
    assert {row.source for row in trained} == {row.id for row in rows}


def test_programs_of_one_kind_do_not_draw_the_same_rows(sandbox):
    twin = RICH.model_copy(update={"diagnosis_id": "another"})
    samples, rejections = made(sandbox, [RICH, twin], 40)
    assert Counter(sample.program_id for sample in samples) == {RICH.id: 20, twin.id: 20}
    assert rejections == []
