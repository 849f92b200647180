"""Programs of another run, package or file: proven again, drawn from without an instructor, and refused with their reasons."""

import json
import shutil
from collections import Counter

import pytest
from fake_run import fake_run
from lent import SMALL, errata, small_run

from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.run import layout, library
from errata.programs.run.directory import read_json
from errata.programs.steps.mine import mine
from errata.programs.steps.teach import take_library
from errata.signatures.records import LibraryProgram, Rejection, Sample, Standing

OFF_BY_ONE = """

_make = make


def make(**params):
    row = _make(**params)
    return row | {"answer": row["answer"] + "1"}
"""


@pytest.fixture(scope="module")
def lender(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("lender") / "run")


def written(path, rows):
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    return path


def spoilt(row: LibraryProgram) -> LibraryProgram:
    return row.model_copy(update={"program": row.program.model_copy(update={"source": row.program.source + OFF_BY_ONE})})


@pytest.fixture(scope="module")
def borrower(lender, tmp_path_factory):
    """Another seed mines other items: the errors behind the programs are those that the lender recorded."""
    run = tmp_path_factory.mktemp("borrower") / "run"
    done = errata("generate", *SMALL, "--library", lender, "--seed", 3, "--instructor", "openai/none", "--run", run)
    assert done.exit_code == 0, done.output
    return run


def test_programs_of_another_run_are_proven_again_and_drawn_from_without_an_instructor(lender, borrower):
    said = json.loads(errata("generate", "--run", borrower, "--json").stdout)
    known = {row.program.id for row in library.of_run(lender)}
    assert (said["programs"]["accepted"], said["samples"]) == (len(known), 24)
    assert {row.program.id for row in layout.taught(borrower, 1)} == known
    assert {row.program_id for row in layout.samples(borrower, 1)} <= known
    assert not (borrower / "answers.jsonl").exists()
    source = read_json(borrower / "round-1/teach/manifest.json")["facts"]["library"]
    assert (source["path"], source["hash"]) == (str(lender), library.read(lender).hash)
    assert (source["says"]["task"], source["says"]["instructor"]) == ("sums+facts", "offline")
    assert f"behind the programs of {lender}" in errata("generate", "--run", borrower).stdout
    assert f"taught by programs of {lender}" in errata("runs", borrower).stdout


def test_a_row_is_traced_to_the_error_that_another_run_recorded(lender, borrower):
    sample = layout.samples(borrower, 1)[0]
    found = json.loads(errata("trace", borrower, sample.id, "--json").stdout)["program"]
    (held,) = [row for row in library.of_run(lender) if row.program.id == sample.program_id]
    assert found["library"]["path"] == str(lender)
    assert found["errors"][0]["attempt"]["example"]["question"] == held.errors[0].example.question
    assert f"taken from the library {lender}" in errata("trace", borrower, sample.id).stdout


def test_what_was_borrowed_can_be_lent_on(lender, borrower):
    assert {row.id for row in library.of_run(borrower)} == {row.id for row in library.of_run(lender)}


def test_a_program_that_no_longer_proves_itself_is_refused_and_the_others_are_used(lender, tmp_path):
    first, *others = library.of_run(lender)
    file = written(tmp_path / "programs.jsonl", [spoilt(first), *others])
    run = tmp_path / "run"
    done = errata("generate", *SMALL, "--library", file, "--run", run, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)["programs"]
    assert (said["accepted"], said["refused"]) == (len(others), {"runs": 1})
    assert spoilt(first).program.id not in {row.program_id for row in layout.samples(run, 1)}


def test_a_library_of_which_nothing_passes_ends_with_an_error_that_says_why(lender, tmp_path):
    rows = [spoilt(row) for row in library.of_run(lender)]
    file = written(tmp_path / "programs.jsonl", rows)
    done = errata("generate", *SMALL, "--library", file, "--run", tmp_path / "run")
    assert done.exit_code == 1
    assert f"none of {len(rows)} programs of {file} passed the checks again; refused by runs {len(rows)}" in done.stderr


def test_a_program_whose_error_is_recorded_nowhere_is_refused(lender, tmp_path):
    first, *others = library.of_run(lender)
    file = written(tmp_path / "programs.jsonl", [first.model_copy(update={"errors": ()}), *others])
    run = tmp_path / "run"
    assert errata("generate", *SMALL, "--library", file, "--seed", 3, "--run", run).exit_code == 0
    (row,) = [row for row in layout.taught(run, 1) if row.program is None]
    assert row.rejections[0].check == "anchored"
    assert row.rejections[0].reason.endswith("is recorded neither in the library nor in this run")


def test_a_program_that_was_written_for_an_item_that_is_held_out_here_is_refused(lender, tmp_path):
    first, *others = library.of_run(lender)
    (guard := tmp_path / "guard").mkdir()
    asked = first.errors[0].example
    (guard / "test.jsonl").write_text(json.dumps({"question": asked.question, "answer": asked.answer}) + "\n")
    run, guards = tmp_path / "run", f"guards=[jsonl:{guard}]"
    assert errata("generate", *SMALL, "--library", lender, "--seed", 3, "--set", guards, "--run", run).exit_code == 0
    (row,) = [row for row in layout.taught(run, 1) if row.program is None]
    assert (row.rejections[0].of, row.rejections[0].check) == (first.program.id, "unseen")
    assert row.rejections[0].reason == "it was written for an item that is a dev, test or guard item here"
    assert len([row for row in layout.taught(run, 1) if row.program]) == len(others)


def test_taught_rows_and_bare_programs_are_read_beside_the_answers_that_they_were_written_for(lender, tmp_path):
    known = library.of_run(lender)
    written(tmp_path / "attempts.jsonl", [row for held in known for row in held.errors])
    shutil.copy(lender / "round-1/teach/taught.jsonl", tmp_path)
    assert [row.id for row in library.read(tmp_path).programs] == [row.id for row in known]
    file = written(tmp_path / "bare.jsonl", [held.program for held in known])
    bare = library.read(file).programs
    assert [(row.program, row.errors) for row in bare] == [(row.program, row.errors) for row in known]
    assert [row.diagnosis.skill for row in bare] == [row.program.skill for row in known]


def test_programs_that_retired_or_were_refused_later_are_not_lent(tmp_path):
    run = fake_run(tmp_path / "run", {"sums": ["a", "b", "c"]}, rounds=1)
    retired, refused, kept = [row.program.id for row in layout.taught(run, 1) if row.program]
    figures = {"round": 1, "skill": "a", "probed": 8, "failed": 0, "weight": 0.0, "drawn": 0, "kept": 0}
    stage = layout.step(run, 1, "assemble")
    doubt = Rejection(of=refused, kind="program", check="agreed", reason="independent solves came to 1 of 8")
    stage.finish({layout.LIBRARY: [Standing(program_id=retired, retired="solved", **figures)], layout.REJECTIONS: [doubt]})
    assert [row.program.id for row in library.of_run(run)] == [kept]


def test_another_library_is_not_taken_for_the_one_that_a_run_began_with(lender, tmp_path):
    rows = library.of_run(lender)
    file = written(tmp_path / "programs.jsonl", rows)
    run = tmp_path / "run"
    assert errata("generate", *SMALL, "--library", file, "--run", run).exit_code == 0
    before = (run / "round-1/assemble/rows.jsonl").read_bytes()
    assert errata("generate", "--run", run).exit_code == 0
    assert (run / "round-1/assemble/rows.jsonl").read_bytes() == before
    other = written(tmp_path / "other.jsonl", rows[1:])
    done = errata("generate", *SMALL, "--library", other, "--run", run)
    assert done.exit_code == 1
    assert "was made with generate.library_hash" in done.stderr
    assert "put them back, or leave --library out if round 1 took them" in done.stderr
    assert errata("generate", "--run", run).exit_code == 0
    for words in (("--run", lender, "--library", file), ("--run", run, "--set", "generate.library=null")):
        done = errata("generate", *words)
        assert done.exit_code == 1 and "None" in done.stderr and "give the same config to continue it" in done.stderr


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_text("{"), lambda file: file.rename(f"{file}.old")])
def test_a_run_that_has_taken_the_programs_of_a_library_goes_on_without_it(lender, tmp_path, change):
    file = written(tmp_path / "programs.jsonl", library.of_run(lender))
    words = ("generate", *SMALL, "--library", file, "--run")
    assert errata(*words, tmp_path / "whole").exit_code == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/round-1/assemble")
    change(file)
    assert errata(*words, tmp_path / "run").exit_code == 0
    again, rows = (tmp_path / run / "round-1/assemble/rows.jsonl" for run in ("run", "whole"))
    assert again.read_bytes() == rows.read_bytes()
    shutil.rmtree(tmp_path / "run/round-1/teach")  # as before they were taken
    assert errata(*words, tmp_path / "run").exit_code == 2


def test_a_library_that_was_moved_or_changed_before_its_programs_were_taken(lender, tmp_path):
    file = written(tmp_path / "programs.jsonl", library.of_run(lender))
    assert errata("generate", *SMALL, "--library", file, "--run", tmp_path / "run").exit_code == 0
    for name in ("assemble", "teach"):
        shutil.rmtree(tmp_path / "run/round-1" / name)
    moved = file.rename(tmp_path / "moved.jsonl")
    done = errata("generate", "--run", tmp_path / "run")
    assert done.exit_code == 2 and f"library {file} is not there: " in done.stderr
    assert errata("generate", *SMALL, "--library", moved, "--run", tmp_path / "run").exit_code == 0
    shutil.rmtree(tmp_path / "run/round-1/teach")
    written(moved, library.of_run(lender)[1:])
    done = errata("generate", "--run", tmp_path / "run")
    assert done.exit_code == 1 and "the library holds other programs than it did: put them back, or leave --library out" in done.stderr


def test_a_second_round_needs_no_library(lender, tmp_path):
    file = written(tmp_path / "programs.jsonl", library.of_run(lender))
    config = load_config(overrides={"task": "sums+facts", "errors": "all", "items.train": 4, "generate.library": str(file)})
    with Cycle(config, tmp_path / "run", lambda line: None) as loop:
        for number in (1, 2):
            mine(loop, number)
            take_library(loop, loop.stage(number, "teach"), number)
            file.unlink(missing_ok=True)
    first, second = (layout.source(tmp_path / "run", number) for number in (1, 2))
    assert first == second and layout.taught(tmp_path / "run", 1) and not layout.taught(tmp_path / "run", 2)


def test_a_proof_that_was_interrupted_goes_on_and_ends_with_the_same_bytes(lender, tmp_path, monkeypatch):
    from errata.programs.steps import teach

    words = ("generate", *SMALL, "--library", lender, "--run")
    assert errata(*words, tmp_path / "whole").exit_code == 0
    proof, count = teach.proof, Counter()

    def stopped(run, program, failures):
        count["proofs"] += 1
        if count["proofs"] > 2:
            raise KeyboardInterrupt
        return proof(run, program, failures)

    with monkeypatch.context() as patch:
        patch.setattr(teach, "proof", stopped)
        patch.setattr("os._exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
        assert errata(*words, tmp_path / "cut").exit_code == 130
    assert errata(*words, tmp_path / "cut").exit_code == 0
    for name in ("teach/taught.jsonl", "teach/lent.jsonl", "assemble/rows.jsonl"):
        assert (tmp_path / "cut/round-1" / name).read_bytes() == (tmp_path / "whole/round-1" / name).read_bytes()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path / "none", "is not there"),
        (lambda path: path, "holds no programs"),
        (lambda path: text(path / "a.md", "# words"), "is not a file of JSON objects"),
        (lambda path: text(path / "a.jsonl", '{"question": "1 + 1?", "answer": "2"}\n'), "line 1, is not a program"),
        (lambda path: text(path / "a.jsonl", ""), "has no kept program"),
    ],
)
def test_what_is_no_library_is_refused_in_one_line(make, said, tmp_path):
    done = errata("generate", *SMALL, "--library", make(tmp_path), "--run", tmp_path / "run")
    assert done.exit_code == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("broken", [b"{", b"\xff", b"[1]", b"[" * 100_000])
def test_what_a_library_tells_of_itself_is_texts_or_refused_in_one_line(lender, tmp_path, broken):
    programs, beside = written(tmp_path / "programs.jsonl", library.of_run(lender)), tmp_path / "provenance.json"
    beside.write_bytes(broken)
    done = errata("generate", *SMALL, "--library", programs, "--run", tmp_path / "run")
    assert done.exit_code == 2 and "its provenance.json is not a JSON object; " in done.stderr and done.stderr.count("\n") == 1
    beside.write_text('{"target": "tiny", "instructor": {"a": [1]}, "levels": [1, 2]}')
    assert library.read(programs).says == {"target": "tiny"}


def text(path, words):
    path.write_text(words)
    return path


def test_a_library_for_another_form_of_answer_is_refused(lender, tmp_path):
    numbers = written(tmp_path / "programs.jsonl", [row for row in library.of_run(lender) if row.program.kind == "number"])
    done = errata("generate", "--task", "facts", "--as-errors", "--library", numbers, "--run", tmp_path / "run")
    assert done.exit_code == 2
    assert "holds programs for number, and facts asks for choice" in done.stderr


def test_rows_of_a_library_are_rows_of_the_runs_own_task(lender, tmp_path):
    run = tmp_path / "run"
    numbers = written(tmp_path / "programs.jsonl", [row for row in library.of_run(lender) if row.program.kind == "number"])
    done = errata("generate", "--task", "sums_plus", *SMALL[2:], "--library", numbers, "--run", run)
    assert done.exit_code == 0, done.output
    rows: list[Sample] = layout.samples(run, 1)
    assert {row.example.task for row in rows} == {"sums_plus"}
