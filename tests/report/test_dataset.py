"""`errata export --data`: what a run trained on, and what it refused, as a data set that others load; its card and the push to the hub."""

import json
import re
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow.parquet as parquet
import pytest
import yaml
from fake_run import SOURCE, fake_run
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.programs.patterns.chosen import keep
from errata.programs.patterns.file import Choice, Chosen
from errata.programs.report.dataset import folder
from errata.programs.report.dataset.folder import export_data, loading
from errata.programs.run import layout
from errata.programs.run.directory import RunDir, slug
from errata.programs.samples.draw import Supply
from errata.programs.samples.filters import each
from errata.sandbox import Limits
from errata.signatures.errors import RunError, UsageError
from errata.signatures.records import (
    Attempt,
    Diagnosis,
    Example,
    Failure,
    Pair,
    Rejection,
    Sample,
    SampleProgram,
    Standing,
    TeachingResult,
    TrainRow,
    Verdict,
)

NASTY = "gaps | `rm -rf` </table><script>alert(1)</script> [x](http://evil.example) \u202e\n---\n# a head\n"


def load(out: Path, name: str, cache: Path) -> list[dict]:
    return datasets.load_dataset(str(out), name, split="train", cache_dir=str(cache)).to_list()


def error(text: str = "2 + 2?") -> Attempt:
    item = Example(task="sums", split="train", question=text, answer="4", skill="plus")
    return Attempt(example=item, response="5", verdict=Verdict(correct=False, extracted="5", reason="wrong"), target="w0")


def begun(path: Path, source: str = SOURCE, **config) -> tuple[RunDir, SampleProgram, Diagnosis, Attempt]:
    """A run with one error and its program; the caller writes what was assembled."""
    run = RunDir(
        path, load_config(overrides={"target.model": "/srv/secret/models/mine", "instructor.model": "openai//srv/llama", **config})
    )
    solved = error("1 + 3?").model_copy(update={"response": "It is 4.", "verdict": Verdict(correct=True, extracted="4", reason="right")})
    failure = Failure(attempt=error())
    words = {"skill": "adding", "misconception": "it subtracts", "evidence": "", "teach": ""}
    diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="LearnFromError", verdict="error", **words)
    program = SampleProgram(diagnosis_id=diagnosis.id, source=source, anchors=(failure.id,), task="sums")
    run.stage("round-1/mine").finish({layout.ATTEMPTS: [failure.attempt, solved]}, items=2)
    result = TeachingResult(failure_ids=(failure.id,), diagnosis=diagnosis, program=program)
    run.stage("round-1/teach").finish({layout.TAUGHT: [result]}, failures=1)
    return run, program, diagnosis, solved


def assembled(
    run: RunDir,
    program: SampleProgram,
    samples: list[Sample],
    refused: list[Rejection],
    rows: list[TrainRow],
    wanted: int,
    left: tuple = (),
) -> None:
    standing = Standing(
        program_id=program.id, round=1, skill="", probed=0, failed=0, weight=1, drawn=len(samples) + len(refused), kept=len(samples)
    )
    files = {layout.SAMPLES: samples, layout.REJECTIONS: refused, layout.ROWS: rows, layout.LIBRARY: [*left, standing]}
    run.stage("round-1/assemble").finish(files, samples=len(samples), wanted=wanted, replay=len(rows) - len(samples))


def as_row(sample: Sample, prompt: tuple = ()) -> TrainRow:
    asked = (*prompt, {"role": "user", "content": sample.example.question})
    return TrainRow(prompt=asked, completion=({"role": "assistant", "content": sample.example.solution},), source=sample.id)


def sample(program: SampleProgram, index: int = 0, **fields) -> Sample:
    item = Example(task="sums", split="train", question=f"{index} + 2?", solution=f"It is {index + 2}.", answer=str(index + 2))
    return Sample(**{"program_id": program.id, "seed": 1, "index": index, "level": 3, "example": item} | fields)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two rows, one of them replayed, and a pair of which the tools stand in the prompt; and its data."""
    path = tmp_path_factory.mktemp("runs") / "my run"
    run, program, diagnosis, solved = begun(path)
    one = sample(program)
    tools = ({"role": "tools", "content": '[{"type": "function"}]'},)
    replayed = TrainRow(
        prompt=({"role": "user", "content": "1 + 3?"},), completion=({"role": "assistant", "content": "It is 4."},), source=solved.id
    )
    assembled(run, program, [one], [], [as_row(one, tools), replayed], 1)
    right, wrong = ({"role": "assistant", "content": "4"},), ({"role": "assistant", "content": "5"},)
    asked = {"prompt": (*tools, {"role": "user", "content": "2 + 2?"}), "source": Failure(attempt=error()).id}
    pair = Pair(**asked, chosen=right, rejected=wrong, chosen_from="solution", rejected_from="own")
    run.stage("round-1/pairs").finish({layout.PAIRS: [pair]}, questions=1, pairs=1)
    run.__exit__(None, None, None)
    out = path.parent / "out"
    return path, export_data(path, out, "cc-by-4.0"), out, (program, diagnosis, one, solved)


def test_rows_are_chats_that_load_dataset_reads_each_with_what_it_came_from(made, tmp_path):
    _, told, out, (program, diagnosis, one, solved) = made
    assert told["tables"] == {"rows": 2, "pairs": 1}
    generated, replayed = load(out, "rows", tmp_path)
    assert generated["messages"] == [{"role": "user", "content": "0 + 2?"}, {"role": "assistant", "content": "It is 2."}]
    assert (generated["tools"], generated["made"], generated["id"]) == ('[{"type": "function"}]', "generated", one.id)
    whence = {"errors": list(program.anchors), "diagnosis": diagnosis.id, "program": program.id, "strategy": "LearnFromError"}
    whence |= {"skill": "adding", "misconception": "it subtracts", "instructor": "openai/llama", "target": "mine", "weights": "w0"}
    whence |= {"run": "my run", "round": 1, "seed": 1, "index": 0, "level": 3, "answer": "2"}
    assert generated.items() >= whence.items()
    assert replayed["messages"][-1]["content"] == "It is 4."
    assert (replayed["made"], replayed["id"], replayed["program"], replayed["question"]) == ("replayed", solved.id, None, "1 + 3?")


def test_pairs_are_as_trl_reads_preferences(made, tmp_path):
    _, _, out, (program, *_) = made
    (pair,) = load(out, "pairs", tmp_path)
    assert pair["prompt"] == [{"role": "user", "content": "2 + 2?"}]
    assert [pair[side][0]["content"] for side in ("chosen", "rejected")] == ["4", "5"]
    assert (pair["tools"], pair["program"], pair["chosen_from"]) == ('[{"type": "function"}]', program.id, "solution")


def test_the_card_says_licence_files_counts_and_columns(made):
    _, told, out, _ = made
    _, head, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    front = yaml.safe_load(head)
    assert (told["licence"], front["license"]) == ("cc-by-4.0", "cc-by-4.0")
    assert [one["config_name"] for one in front["configs"]] == ["rows", "pairs"]
    assert all((out / one["data_files"][0]["path"]).is_file() for one in front["configs"])
    for line in loading("path/to/my_run-data", told["tables"]).values():
        assert f"\n{line}\n" in body
    assert "Replayed rows are train items as the task has them, and were not compared" in body
    for column in parquet.read_schema(out / "rows/train.parquet").names:
        assert f"- `{column}`: " in body
    assert "| 1 | 1 | 1 | 1 | 1 | 1 | 2 | 1 |" in body  # errors, programs, drawn, kept, replayed, trained on, pairs


def test_no_path_of_this_machine_stands_in_what_is_written(made):
    path, _, out, _ = made
    files = [file for file in out.rglob("*") if file.is_file()]
    text = json.dumps([parquet.read_table(file).to_pylist() for file in files if file.suffix == ".parquet"])
    text += "".join(file.read_text(encoding="utf-8") for file in files if file.suffix != ".parquet")
    assert len(files) == 4
    for place in (str(path.parent), str(out.parent), "/srv", str(Path.home()) + "/"):
        assert place not in text


def test_a_run_that_is_named_by_the_place_of_its_data_is_told_without_it(tmp_path):
    config = {"task": "jsonl:/srv/clients/tickets.jsonl", "generate.strategy": "/srv/clients/own.py:Mine"}
    path = tmp_path / "-".join([*map(slug, config.values()), "1a2b3c"])  # as errata.programs.start names it
    assert "clients" in path.name
    run, program, *_ = begun(path, **config)
    one = sample(program)
    assembled(run, program, [one], [], [as_row(one)], 1)
    run.__exit__(None, None, None)
    out = tmp_path / "out"
    export_data(path, out)
    (row,) = parquet.read_table(out / "rows/train.parquet").to_pylist()
    assert row["run"] == "jsonl_tickets.jsonl-own.py_Mine-1a2b3c"
    assert not [file for file in out.rglob("*") if file.is_file() and b"clients" in file.read_bytes()]


@pytest.mark.parametrize("chosen", [True, False])
def test_refused_rows_are_drawn_again_with_the_reason_but_for_those_that_overlap_held_out_items(tmp_path, sandbox, chosen):
    """Also where a choice of patterns left out a program that stands before theirs."""
    run, program, _, _ = begun(tmp_path / "run")
    small = each("distinct", lambda row: "its answer is odd" if int(row.example.answer) % 2 else None)
    near = each("unseen", lambda row: "it overlaps" if row.index % 5 == 0 else None)
    drawn, offered = [], {}

    def watch(rows):
        offered.update({row.id: row for row in rows})
        return list(rows), []

    supply = Supply({program.id: program}, {program.id: 1.0}, 30, 1, load_config().generate.levels)
    refused = []
    for kept, some in supply.rows([watch, near, small], sandbox, Limits()):
        drawn += kept
        refused += some
    left = Standing(program_id="another", round=1, skill="", probed=0, failed=0, weight=0, drawn=0, kept=0)
    assembled(run, program, drawn, refused, [as_row(row) for row in drawn], 30, (left,) if chosen else ())
    choice = Choice(file="patterns.yaml", source=None, patterns=(Chosen(name="kept", weight=1, errors=program.anchors, skill=()),))
    keep(tmp_path / "run", choice if chosen else None, "", print)
    run.__exit__(None, None, None)
    told = export_data(tmp_path / "run")
    table = parquet.read_table(tmp_path / "run/data/rejected/train.parquet").to_pylist()
    assert told["tables"] == {"rows": 30, "rejected": len(refused)}
    assert {row["check"] for row in table} == {"distinct", "unseen"}
    for row in table:
        known = offered[row["id"]]
        assert row["reason"] == ("it overlaps" if row["check"] == "unseen" else "its answer is odd")
        wanted = (known.example.question, known.example.answer, known.index) if row["check"] == "distinct" else (None, None, None)
        assert (row["question"], row["answer"], row["index"]) == wanted


def test_hostile_texts_and_numbers_of_any_length_stay_text(tmp_path):
    run = fake_run(tmp_path / "run", {"sums": ["plus"]}, text=NASTY)
    told = export_data(run, tmp_path / "out")
    (first, *_) = load(tmp_path / "out", "rows", tmp_path / "cache")
    assert first["question"].startswith(NASTY)
    assert told["tables"]["rejected"] == 14
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "<script" not in card and "\u202e" not in card
    begin, program, _, _ = begun(tmp_path / "long")
    long = "9" * 6000
    item = Example(task="sums", split="train", question="q", answer=long, meta={"n": 10**400})
    row = sample(program, example=item, wrong=f"-{long}")
    assembled(begin, program, [row], [], [as_row(row)], 1)
    begin.__exit__(None, None, None)
    export_data(tmp_path / "long", tmp_path / "long-out")
    (read,) = load(tmp_path / "long-out", "rows", tmp_path / "cache")
    assert (read["answer"], read["wrong"]) == (long, f"-{long}")


def test_a_number_that_no_table_takes_is_told_in_one_line_and_leaves_nothing(tmp_path):
    run, program, _, _ = begun(tmp_path / "run")
    row = sample(program, seed=10**30)
    assembled(run, program, [row], [], [as_row(row)], 1)
    run.__exit__(None, None, None)
    with pytest.raises(RunError, match=r"^[^\n]*holds a row that no table takes[^\n]*$"):
        export_data(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_without_rows_is_refused_in_one_line_with_the_reason(tmp_path):
    run, program, _, _ = begun(tmp_path / "run")
    run.__exit__(None, None, None)
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--data"])
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "holds no row to export: " in done.stderr
    with RunDir(
        tmp_path / "run", load_config(overrides={"target.model": "/srv/secret/models/mine", "instructor.model": "openai//srv/llama"})
    ) as run:
        assembled(run, program, [], [], [], 5)
    with pytest.raises(RunError, match="nothing was made to train on: 1 programs passed"):
        export_data(tmp_path / "run")
    assert not (tmp_path / "run/data").exists()


def test_a_place_in_use_a_wrong_licence_and_options_that_do_not_go_together_are_refused(made, tmp_path):
    path, _, out, _ = made
    with pytest.raises(RunError, match="exists and is not an empty folder"):
        export_data(path, out)
    with pytest.raises(UsageError, match="takes an id of the hub's"):
        export_data(path, tmp_path / "new", "MIT or whatever\nlicense: x")
    for name in ("foo", "other", "other:", "other:a b", "cc-by", "apache"):
        done = CliRunner().invoke(app, ["export", str(path), "--data", "--license", name, "--out", str(tmp_path / "new")])
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1) and repr(name) in done.stderr, name
    for words in (["--data", "--pairs"], ["--data", "--round", "1"], ["--data", "--adapter"], ["--data", "--public"], ["--license", "mit"]):
        done = CliRunner().invoke(app, ["export", str(path), *words])
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), words
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "license", "name"),
    [("Apache-2.0", "apache-2.0", None), ("other:Our-Terms_1.0", "other", "Our-Terms_1.0"), (None, "unknown", None)],
)
def test_a_licence_is_an_id_of_the_hubs_or_another_with_its_name(made, tmp_path, given, license, name):
    told = export_data(made[0], tmp_path / "new", given)
    front = yaml.safe_load((tmp_path / "new/README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (front["license"], front.get("license_name"), told["licence"]) == (license, name, name or license)


def test_a_disk_that_is_full_leaves_no_half_data_set(made, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.parquet.ParquetWriter, "write_table", full)
    with pytest.raises(RunError, match="cannot be written"):
        export_data(made[0], tmp_path / "new")
    assert not list(tmp_path.iterdir())


class Hub:
    """What `export --data --push` uses of huggingface_hub.HfApi."""

    def __init__(self):
        self.calls = []

    def whoami(self):
        return {"name": "me"}

    def repo_info(self, repo, repo_type):
        self.calls.append((repo, repo_type))
        return type("Info", (), {"private": True})()

    def create_repo(self, repo, repo_type, private, exist_ok):
        self.calls.append((repo, repo_type, private))
        return f"https://huggingface.co/datasets/{repo}"

    def upload_folder(self, repo_id, repo_type, folder_path, commit_message, delete_patterns):
        self.calls.append((repo_id, repo_type, sorted(path.name for path in Path(folder_path).iterdir())))


def test_a_push_makes_a_private_data_set_on_the_hub(made, tmp_path, monkeypatch):
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    done = CliRunner().invoke(app, ["export", str(made[0]), "--data", "--out", str(tmp_path / "out"), "--push", "me/errors"])
    assert done.exit_code == 0, done.output
    names = ["README.md", "dataset_info.json", "pairs", "rows"]
    assert hub.calls == [("me/errors", "dataset"), ("me/errors", "dataset", True), ("me/errors", "dataset", names)]
    assert "pushed: https://huggingface.co/datasets/me/errors" in done.stdout
    assert 'load_dataset("me/errors", "rows", split="train")' in (tmp_path / "out/README.md").read_text()


def test_llama_factory_is_told_of_the_file_and_its_fields(made):
    described = json.loads((made[2] / "dataset_info.json").read_text())["rows"]
    assert (made[2] / described["file_name"]).is_file()
    row = parquet.read_table(made[2] / described["file_name"]).to_pylist()[0]
    assert row.keys() >= set(described["columns"].values())
    assert row["messages"][0].keys() == {described["tags"]["role_tag"], described["tags"]["content_tag"]}


def test_the_line_for_unsloth_gives_each_chat_with_its_functions_to_the_template(made):
    class Tokenizer:
        def apply_chat_template(self, messages, tools, tokenize):
            assert tokenize is False
            return json.dumps([messages, tools])

    functions = [{"type": "function", "function": {"name": "weather"}}]
    chat = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    rows = datasets.Dataset.from_list([{"messages": chat, "tools": None}, {"messages": chat, "tools": json.dumps(functions)}])
    names = {"load_dataset": lambda *where, split: rows, "tokenizer": Tokenizer(), "json": json}
    found = eval(loading("path", made[1]["tables"])["Unsloth"], names)
    assert [json.loads(text) for text in found["text"]] == [[chat, None], [chat, functions]]


@pytest.mark.slow  # it loads TRL and trains tiny for a step
def test_trl_trains_on_the_line_that_is_printed_on_the_answer_alone(made, tmp_path):
    from trl import SFTConfig, SFTTrainer

    from errata.trainers.weights import folder_of

    told = loading(str(made[2]), made[1]["tables"])
    rows = eval(told["TRL"], {"load_dataset": lambda *args, **more: datasets.load_dataset(*args, **more, cache_dir=str(tmp_path))})
    config = SFTConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, max_steps=1, report_to=[], save_strategy="no")
    trainer = SFTTrainer(str(folder_of("tiny")), args=config, train_dataset=rows)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    learnt = trainer.processing_class.decode([token for token in batch["labels"][0].tolist() if token >= 0])
    assert re.sub(r"\s", "", learnt).startswith("Itis2.")
    assert trainer.train().global_step == 1
