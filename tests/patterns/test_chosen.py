"""What a person chose among the patterns of a run is taught, by its weights, and nothing else is paid for or drawn."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from openai_server import OpenAIServer, Reply
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.patterns.chosen import kept, names, of_errors
from errata.programs.patterns.file import choose
from errata.programs.run import layout

SKILLS = {"reads the clock": ("seven", "eight"), "counts the carry": ("four", "five", "six")}
ASKED = ("--task", "sums", "--set", "errors=all", "--set", "items.train=6", "--set", "generate.failures=5")
SEVERAL = ("--task", "sums+lists+facts", "--set", "errors=all", "--set", "items.train=9", "--set", "generate.rows=40")
"""Three patterns of three errors each."""


def errata(*args, code=0):
    done = CliRunner().invoke(app, [*map(str, args), "-q"])
    assert done.exit_code == code, done.output + str(done.exception)
    return done


def last(done):
    return done.stderr.strip().splitlines()[-1]


def last_word(done):
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory):
    """A run of the embedded instructor whose errors are diagnosed."""
    path = tmp_path_factory.mktemp("patterns") / "run"
    errata("diagnose", "--run", path, *SEVERAL)
    return path


@pytest.fixture
def run(diagnosed, tmp_path):
    """A copy of it."""
    for file in (one for one in diagnosed.rglob("*") if one.is_file() and one.name != "lock"):
        place = tmp_path / "run" / file.relative_to(diagnosed)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    return tmp_path / "run"


def edited(run, change, name="edited.yaml"):
    """The run's file of patterns after a person's change."""
    data = yaml.safe_load((run / layout.PATTERNS).read_text())
    change(data)
    (run.parent / name).write_text(yaml.safe_dump(data))
    return run.parent / name


def only(*places):
    def change(data):
        for place, row in enumerate(data["patterns"]):
            row["keep"] = place in places

    return change


def rows_by_pattern(run):
    called = names(run)
    return Counter(called[row.program_id] for row in layout.samples(run, 1))


def test_diagnosing_writes_patterns_of_all_diagnosed_errors_and_no_program(diagnosed):
    data = yaml.safe_load((diagnosed / layout.PATTERNS).read_text())
    listed = [error for row in data["patterns"] for error in row["errors"].split()]
    told = [row.diagnosis for row in layout.diagnosed(diagnosed, 1) if row.diagnosis]
    assert sorted(listed) == sorted(error for one in told if one.verdict == "error" for error in one.failure_ids)
    assert sum(row["found"]["size"] for row in data["patterns"]) == data["source"]["diagnosed"] == len(listed)
    assert [row["found"]["size"] for row in data["patterns"]] == sorted((row["found"]["size"] for row in data["patterns"]), reverse=True)
    assert not layout.step(diagnosed, 1, "teach").done


@pytest.mark.slow  # writes and proves the programs of a run, some CPU seconds
def test_a_file_that_nobody_changed_gives_the_rows_of_a_run_without_one(run, diagnosed, tmp_path):
    errata("generate", "--run", run, "--patterns", run / layout.PATTERNS)
    other = tmp_path / "other"
    errata("generate", "--run", other, *SEVERAL)
    for name in (layout.SAMPLES, layout.ROWS):
        mine, theirs = (layout.step(path, 1, "assemble").path / name for path in (run, other))
        assert mine.read_bytes() == theirs.read_bytes()
    assert not (other / layout.CHOSEN).exists()
    assert last_word(errata("diagnose", "--run", other)).startswith("this run drew its rows from all errors")
    assert last_word(errata("diagnose", "--run", run)).startswith("next: errata cycle")


def test_only_what_is_kept_is_taught_and_a_weight_is_a_multiple_of_rows(run):
    def change(data):
        only(0, 1)(data)
        data["patterns"][0] |= {"name": "first of all", "weight": 3}

    file = edited(run, change)
    errata("generate", "--run", run, "--patterns", file)
    choice = kept(run)
    taught = {error for row in layout.taught(run, 1) for error in row.failure_ids}
    assert taught == set(of_errors(run, choice)) == {error for one in choice.patterns for error in one.errors}
    programs = Counter(names(run).values())
    drawn = rows_by_pattern(run)
    assert drawn.total() == 40
    second = choice.patterns[1].name
    assert drawn["first of all"] / drawn[second] == pytest.approx(3 * programs["first of all"] / programs[second], rel=0.25)


@pytest.mark.slow  # writes and proves the programs of a run, some CPU seconds
def test_a_merged_pattern_is_drawn_under_the_name_of_the_other(run):
    def change(data):
        for row in data["patterns"][1:]:
            row["merge_into"] = 1
        data["patterns"][0]["name"] = "everything"

    errata("generate", "--run", run, "--patterns", edited(run, change))
    assert set(rows_by_pattern(run)) == {"everything"}


def test_a_pattern_by_hand_takes_items_or_the_skill_of_items(run):
    rows = layout.attempts(run, 1)
    skill = rows[0].example.skill
    file = run.parent / "hand.yaml"
    by_hand = [{"name": "by skill", "skill": skill}, {"name": "by item", "errors": [rows[1].example.id]}]
    file.write_text(yaml.safe_dump({"patterns": by_hand}))
    errata("generate", "--run", run, "--patterns", file)
    found = {name: one.name for name, one in of_errors(run, kept(run)).items()}
    items = {error.id: error.attempt.example for error in layout.failures(rows).values()}
    assert [items[name].id for name, called in found.items() if called == "by item"] == [rows[1].example.id]
    wanted = {name for name, item in items.items() if item.skill == skill and item.id != rows[1].example.id}
    assert {name for name, called in found.items() if called == "by skill"} == wanted


@pytest.mark.parametrize("left", [{"keep": False}, {"weight": 0}])
@pytest.mark.parametrize("by", ["error", "item"])
def test_a_pattern_of_a_skill_takes_in_no_error_that_is_listed_where_nothing_is_kept(run, left, by):
    errors = layout.failures(layout.attempts(run, 1))
    first, *_ = errors
    skill = errors[first].attempt.example.skill
    listed = first if by == "error" else errors[first].attempt.example.id
    file = run.parent / "hand.yaml"
    file.write_text(yaml.safe_dump({"patterns": [{"name": "by skill", "skill": skill}, {"name": "left", "errors": [listed], **left}]}))
    choice = choose(file)
    assert set(of_errors(run, choice)) == {name for name, one in errors.items() if one.attempt.example.skill == skill and name != first}
    assert choice.hash != choice.model_copy(update={"dropped": ()}).hash


def test_what_is_not_kept_is_no_part_of_a_choice_without_skills(run):
    assert choose(edited(run, only(1))).dropped == ()


def test_errors_of_another_run_and_unknown_skills_are_refused_before_anything_changes(run, tmp_path):
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    strange = edited(run, lambda data: data["patterns"][0].update(errors="0123456789abcdef"))
    assert "0123456789abcdef" in last(errata("generate", "--run", run, "--patterns", strange, code=2))
    skill = edited(run, lambda data: data["patterns"][0].update(skill="no such"))
    assert "has the skill 'no such'" in last(errata("generate", "--run", run, "--patterns", skill, code=2))
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before
    other = ["--run", tmp_path / "other", *SEVERAL, "--set", "seed=3"]
    said = last(errata("generate", *other, "--patterns", run / layout.PATTERNS, code=2))
    assert "the file is of seed 0, here 3" in said
    by_hand = edited(run, lambda data: data["patterns"][0].update(errors=data["patterns"][0]["errors"] + " 0123456789abcdef"))
    assert "; take it out: ids stand in round-1/mine" in last(errata("generate", "--run", run, "--patterns", by_hand, code=2))
    assert "errata: patterns file" in said


@pytest.mark.slow  # writes and proves the programs of a run, some CPU seconds
def test_a_file_may_change_until_rows_are_drawn_and_not_after(run):
    errata("train", "--run", run, "--patterns", edited(run, only(0)), "--set", "budget.max_time=0", code=4)
    errata("generate", "--run", run, "--patterns", edited(run, only(1)))
    name = kept(run).patterns[0].name
    assert set(rows_by_pattern(run)) == {name}
    errata("generate", "--run", run)
    said = last(errata("generate", "--run", run, "--patterns", edited(run, only(0, 1)), code=1))
    assert "rows were drawn by another choice of patterns" in said
    assert kept(run).patterns[0].name == name
    done = CliRunner().invoke(app, ["generate", "--run", str(run)])
    assert done.exit_code == 0 and "edited.yaml has changed since rows were drawn: what the run keeps of it counts" in done.stderr
    assert kept(run).patterns[0].name == name and set(rows_by_pattern(run)) == {name}


def test_a_run_goes_on_without_its_file_of_patterns(run):
    file = edited(run, only(1))
    given = ["diagnose", "--run", str(run), *SEVERAL]
    errata(*given, "--set", f"generate.patterns={file}")
    before = kept(run)
    file.rename(file.with_name("elsewhere.yaml"))
    again = (f"generate.patterns={file.parent}/./{file.name}", f"generate.patterns={file}")
    for words in (given, *([*given, "--set", name] for name in again)):  # as the run knows it, and named again
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0 and f"patterns file {file} is not there: what the run keeps of it counts" in done.stderr, done.output
        assert kept(run) == before
    done = CliRunner().invoke(app, [*given, "--set", "generate.patterns=other.yaml"])  # no file of this run
    assert done.exit_code == 2 and "other.yaml" in done.stderr


@pytest.mark.slow  # writes and proves the programs of a run, some CPU seconds
def test_a_choice_that_takes_in_errors_that_were_left_out_when_programs_were_written_is_not_mixed(run):
    errata("generate", "--run", run, "--patterns", edited(run, only(0)))
    stage = layout.step(run, 1, "assemble").path
    for file in stage.iterdir():
        file.unlink()
    wider = edited(run, only(0, 1))
    said = last(errata("generate", "--run", run, "--patterns", wider, code=1))
    assert "got no program" in said
    assert "delete that folder" in said
    for file in layout.step(run, 1, "teach").path.iterdir():
        file.unlink()
    errata("generate", "--run", run, "--patterns", wider)
    assert len(rows_by_pattern(run)) == 2


def test_an_edited_file_is_never_written_over(run):
    file = run / layout.PATTERNS
    file.write_text(file.read_text().replace("  keep: true", "  keep: false", 1))
    mine = file.read_bytes()
    done = errata("diagnose", "--run", run)
    assert file.read_bytes() == mine
    assert "kept as it was edited" in done.stdout
    file.write_text("patterns: 3")
    assert json.loads(errata("diagnose", "--run", run, "--json").stdout)["edited"] is True
    assert file.read_text() == "patterns: 3"


# ---- money


def script(body, number):
    """A diagnosis by the first number of the question, or no program."""
    asked = body["messages"][-1]["content"]
    if "[[ ## program ## ]]" in asked:
        return Reply("[[ ## refusal ## ]]\nnot today\n\n[[ ## program ## ]]\n\n\n[[ ## completed ## ]]")
    skill = "reads the clock" if len(asked) % 2 else "counts the carry"
    fields = {"verdict": "error", "skill": skill, "misconception": f"It {skill} wrong.", "evidence": "none", "teach": "more"}
    return Reply("\n\n".join([*(f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items()), "[[ ## completed ## ]]"]))


@pytest.fixture
def paid(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    with OpenAIServer(script) as server:
        yield server, ["--instructor", "openai/any", "--set", f"instructor.api_base={server.url}"]


def test_no_diagnosis_is_paid_twice_and_no_program_is_paid_for_what_is_not_kept(paid, tmp_path):
    server, instructor = paid
    run = tmp_path / "run"
    errata("diagnose", "--run", run, *ASKED, *instructor)
    assert len(server.seen) == 5
    data = yaml.safe_load((run / layout.PATTERNS).read_text())
    assert {row["name"] for row in data["patterns"]} <= {"reads the clock", "counts the carry"} | {f"It {one} wrong" for one in SKILLS}
    errata("diagnose", "--run", run)
    assert len(server.seen) == 5
    one = data["patterns"][0]
    errata("generate", "--run", run, "--patterns", edited(run, only(0)), code=1)
    bodies = [json.dumps(seen.body, sort_keys=True) for seen in server.seen]
    assert len(bodies) == len(set(bodies))
    assert sum("## evidence ##" in body and "## program ##" not in body for body in bodies) == 5
    # a second question each, as the first answer holds no program
    assert sum("## program ##" in body for body in bodies) == 2 * one["found"]["size"]
    assert {error for row in layout.taught(run, 1) for error in row.failure_ids} == set(one["errors"].split())


def test_a_dry_run_tells_diagnoses_alone_and_then_the_programs_of_what_is_kept(paid, tmp_path):
    server, instructor = paid
    run = tmp_path / "run"
    told = json.loads(errata("diagnose", "--run", run, *ASKED, *instructor, "--dry-run", "--json").stdout)
    assert (told["calls"]["expected"], told["failures"]) == (5, 5)
    errata("diagnose", "--run", run, *ASKED, *instructor)
    size = yaml.safe_load((run / layout.PATTERNS).read_text())["patterns"][0]["found"]["size"]
    told = json.loads(errata("generate", "--run", run, "--patterns", edited(run, only(0)), "--dry-run", "--json").stdout)
    assert told["failures"] == size
    assert len(server.seen) == 5


@pytest.mark.slow  # writes and proves the programs of a run, some CPU seconds
def test_one_command_without_a_run_directory_goes_on_where_the_other_diagnosed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    errata("diagnose", *ASKED)
    (run,) = Path("runs").iterdir()
    errata("generate", *ASKED, "--patterns", run / layout.PATTERNS)
    assert [one.name for one in Path("runs").iterdir()] == [run.name]
