"""A comparison: what its file may say, who runs what, what came of it, and its page."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import steps
from errata.programs.config import settled
from errata.programs.cycle import Cycle
from errata.programs.run import layout
from errata.programs.run.directory import VERSION, Stage, to_json, write_atomic
from errata.programs.studies import compare, compare_page, compared
from errata.programs.studies.compare import VANILLA, Cell, Comparison
from errata.programs.studies.records import Compared, Interval, Price, Spent
from errata.signatures.errors import BudgetReached, BusyError, RunError, TrainerError, UsageError
from errata.signatures.records import Attempt, Example, GateDecision, Rejection, TeachingResult, TrainReport, TrainRow, Verdict, sealed
from errata.trainers.settings import TargetSettings

ARMS = {"Error": {"generate.strategy": "LearnFromError"}, "Contrast": {"generate.strategy": "LearnFromContrast"}}


def written(folder, text):
    path = folder / "compare.yaml"
    path.write_text(text)
    return path


# ---- the file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: [0]", "arms"),
        ("arms: {}", "arms"),
        ("arms: {vanilla: {}}", "no arm is left beside vanilla"),
        ("arms: {vanilla: {generate.rows: 3}}", "has no settings"),
        ("arms: {a/b: {}}", "name of a folder"),
        ("arms: {A: {items.train: 5}}", "arms may differ in fields of generate, train, instructor alone"),
        ("arms: {A: {generate: {rows: 5}}}", "arms may differ in fields of"),
        ("arms: {A: {train.epochs: 5}}", "all arms train for the same steps"),
        ("arms: {A: {generate.strategi: x}}", "arm A: config: there is no field `generate.strategi`; did you mean `generate.strategy`?"),
        ("arms: {A: {}}\ncontrols: [B]", "control 'B' is neither an arm nor a built-in strategy; choose of vanilla, A, LearnFromError, "),
        ("arms: {A: {}}\ncontrols: [GoldOnl]", "did you mean GoldOnly?"),
        ("arms: {vanilla: {}}\ncontrols: [GoldOnly]", "no arm is left beside vanilla"),
        ("arms: {A: {}}\nseeds: [1, 1]", "give different numbers from 0 on"),
        ("arms: {A: {}}\nseeds: [-1]", "give different numbers from 0 on"),
        ("arms: {A: {}}\nround: 2", "there is no field `round`; did you mean `rounds`?"),
        ("arms: {A: {}}\nbase: {seed: 3}", "write `seeds` beside `base`"),
        ("arms: {A: {}}\nbase: {rounds: 3}", "write `rounds` beside `base`"),
        ("arms: {A: {}}\nbase: {gate: {keep: better}}", "write `gate: true` beside `base`"),
        ("arms: {A: {}}\nbase: {errors: recorded}", "recorded errors cannot be compared on"),
        ("arms: {A: {}}\nbase: {item: {}}", "there is no field `item`; did you mean `items`?"),
        ("arms: {A: {}, B: {}}\npairs: [[A, C]]", "pair A - C: 'C' is no arm; choose of A, B, vanilla"),
        ("arms: {A: {}}\nequal: [row]", "equal.0 = 'row' is not usable"),
        ("arms: {A: {}}\nequal: [seconds]", "equal names seconds, but nothing says how many: set base.train.seconds"),
        ("arms: {A: {}}\nequal: [tokens]", "equal names tokens, but nothing says how many: set base.train.rollouts"),
        ("- a", "must be a mapping"),
        ("arms: [", "not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_compared_is_told_in_one_line(tmp_path, text, said):
    with pytest.raises(UsageError) as caught:
        compare.load(written(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_built_in_control_need_not_be_listed_as_an_arm(tmp_path):
    found = compare.load(written(tmp_path, "arms: {A: {}, Mimic: {generate.rows: 9}}\ncontrols: [vanilla, GoldOnly, Mimic, A]"))
    assert found.arms == {"A": {}, "Mimic": {"generate.rows": 9}, "GoldOnly": {"generate.strategy": "GoldOnly"}}
    assert found.config("GoldOnly", 0).generate.strategy == "GoldOnly"
    assert [cell.arm for cell in compare.cells(found)][:4] == ["vanilla", "A", "Mimic", "GoldOnly"]


def test_an_arm_that_cannot_be_run_ends_the_command_before_anything_is_written(tmp_path):
    path = written(tmp_path, "arms: {Good: {generate.strategy: LearnFromError}, Bad: {generate.strategy: LearnFromErrors}}")
    done = CliRunner().invoke(app, ["compare", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("errata: arm Bad: there is no strategy 'LearnFromErrors'")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_not_taken_for_a_comparison(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="holds files but no"):
        compare.begin(Comparison(arms=ARMS), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_all_arms_train_for_the_steps_of_the_whole_training_set_and_keep_what_they_trained(tmp_path):
    base = "base: {generate: {rows: 60, replay: 0.4}, train: {epochs: 2, batch_size: 16, stages: [sft]}}\n"
    text = f"{base}arms: {{A: {{}}, B: {{generate.replay: 0}}}}"
    comparison = compare.load(written(tmp_path, text), {"items.dev": 7})
    # 60 rows and 40 replayed are 7 batches of 16, twice; without replay there are fewer rows and as many steps
    assert [comparison.config(arm, 3).train.steps for arm in ("A", "B", VANILLA)] == [14, 14, 14]
    assert comparison.config("B", 3).generate.replay == 0
    assert (comparison.config("A", 3).seed, comparison.config("A", 3).items.dev) == (3, 7)
    assert comparison.config("A", 3).gate.keep == "always"
    assert comparison.model_copy(update={"gate": True}).config("A", 3).gate.keep == "better"
    staged = comparison.model_copy(update={"arms": {"A": {"train.stages": ["sft", "grpo"]}}})
    assert staged.config("A", 3).gate.keep == "last"
    assert staged.model_copy(update={"gate": True}).config("A", 3).gate.keep == "better"


def test_a_budget_of_time_or_answers_is_shared_out_among_the_stages_of_each_arm(tmp_path):
    text = (
        "base: {train: {seconds: 60, rollouts: 900, epochs: 4, stages: [sft]}}\nequal: [seconds, tokens]\narms:\n"
        "  Rows: {}\n  Both: {train.stages: [sft, grpo]}\n  Three: {train.stages: [sft, grpo, grpo]}\n"
        "  Own: {train.seconds: 90, train.epochs: 9}"
    )
    comparison = compare.load(written(tmp_path, text))
    found = {arm: comparison.config(arm, 0).train for arm in comparison.arms}
    assert {arm: train.seconds for arm, train in found.items()} == {"Rows": 60, "Both": 30, "Three": 20, "Own": 90}
    assert {arm: train.rollouts for arm, train in found.items()} == {"Rows": 900, "Both": 900, "Three": 450, "Own": 900}
    # steps are as epochs say, since they are not to be equal
    assert {arm: (train.steps, train.epochs) for arm, train in found.items()} == dict.fromkeys(("Rows", "Both", "Three"), (None, 4)) | {
        "Own": (None, 9)
    }


def test_the_pages_example_can_be_run(tmp_path):
    page = (Path(__file__).parents[2] / "docs/compare.md").read_text(encoding="utf-8")
    comparison = compare.load(written(tmp_path, page.split("```yaml\n")[1].split("```")[0]))
    assert list(comparison.arms) == ["LearnFromError", "LearnFromContrast", "ReferenceHidden"]
    compare.begin(comparison, tmp_path / "out")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "scripts").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_files_behind_the_evidence_can_be_run(path, tmp_path):
    compare.begin(compare.load(path), tmp_path / "out")


# ---- who runs what


class Fakes:
    """Runs of no work: each notes who ran it, and is done."""

    def __init__(self, out, after=lambda cell: None):
        self.out, self.after, self.ran = out, after, []

    def __call__(self, comparison, cell, out, say):
        with self._lock(out / cell.name):
            if compare.is_done(out, cell):
                return
            self.ran.append(cell)
            self.after(cell)
            write_atomic(out / cell.name / compare.DONE, b"{}")

    def _lock(self, path):
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / "lock", timeout=0)
        try:
            return lock.acquire()
        except TimeoutError:
            raise BusyError("another process is working on it") from None


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(compare, "WAIT", 0.01)
    return Comparison(arms=ARMS, seeds=(0, 1, 2))


def test_two_workers_never_do_the_same_run_and_both_end_when_all_is_done(three, tmp_path, monkeypatch):
    fakes = Fakes(tmp_path, lambda cell: time.sleep(0.01))
    monkeypatch.setattr(compare, "run_cell", fakes)
    workers = [threading.Thread(target=compare.work, args=(three, tmp_path, lambda line: None)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(fakes.ran) == sorted(compare.cells(three))


def test_no_arm_begins_before_the_target_of_its_seed_was_measured(three, tmp_path, monkeypatch):
    fakes = Fakes(tmp_path)
    monkeypatch.setattr(compare, "run_cell", fakes)
    held = FileLock(tmp_path / "vanilla-0" / "lock")
    (tmp_path / "vanilla-0").mkdir()
    with held:
        worker = threading.Thread(target=compare.work, args=(three, tmp_path, lambda line: None))
        worker.start()
        deadline = time.monotonic() + 30
        while len(fakes.ran) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert {cell.seed for cell in fakes.ran} == {1, 2}
    worker.join()
    assert [cell.seed for cell in fakes.ran[6:]] == [0, 0, 0]


def test_a_comparison_that_was_killed_between_runs_goes_on_with_the_others(three, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(cell):
        if cell == Cell("Contrast", 1):
            raise Killed

    first, second = Fakes(tmp_path, kill), Fakes(tmp_path)
    monkeypatch.setattr(compare, "run_cell", first)
    with pytest.raises(Killed):
        compare.work(three, tmp_path, lambda line: None)
    monkeypatch.setattr(compare, "run_cell", second)
    compare.work(three, tmp_path, lambda line: None)
    assert first.ran[:-1] + second.ran == compare.cells(three)
    assert second.ran[0] == Cell("Contrast", 1)


def test_a_run_that_fails_is_told_of_and_the_others_are_done(three, tmp_path, monkeypatch):
    def fail(cell):
        if cell == Cell("Error", 0) or cell == Cell(VANILLA, 2):
            raise TrainerError("the loss is not a number; choose another --run")

    fakes = Fakes(tmp_path, fail)
    monkeypatch.setattr(compare, "run_cell", fakes)
    said = []
    with pytest.raises(RunError, match=r"4 of 9 runs are not done; Error-0: .*choose another --out; the same command goes on"):
        compare.work(three, tmp_path, said.append)
    assert said == [f"{name} failed: the loss is not a number; choose another --run" for name in ("Error-0", "vanilla-2")]
    assert len(fakes.ran) == 7


def test_a_reached_cap_ends_the_comparison_at_once(three, tmp_path, monkeypatch):
    def cap(cell):
        if cell.arm == "Error":
            raise BudgetReached("the cap of 3 calls is reached")

    fakes = Fakes(tmp_path, cap)
    monkeypatch.setattr(compare, "run_cell", fakes)
    with pytest.raises(BudgetReached, match="Error-0: the cap of 3 calls is reached"):
        compare.work(three, tmp_path, lambda line: None)
    assert len(fakes.ran) == 2


@pytest.mark.parametrize("done", [True, False])
def test_what_one_worker_gave_up_and_another_did_later_is_no_failure(three, tmp_path, monkeypatch, done):
    context = MagicMock()
    context.Process.return_value.exitcode = 1
    context.SimpleQueue.return_value.empty.return_value = False
    context.SimpleQueue.return_value.get.return_value = "Error-0: killed", 1
    monkeypatch.setattr(compare.multiprocessing, "get_context", lambda kind: context)
    for cell in compare.cells(three)[not done :]:
        write_atomic(tmp_path / cell.name / compare.DONE, b"{}")
    with nullcontext() if done else pytest.raises(RunError, match="Error-0: killed"):
        compare.work_in_processes(three, tmp_path, 2, lambda line: None)


def test_finished_stages_are_lent_whole_and_none_is_written_over(tmp_path):
    for run, answer in (("vanilla", "old"), ("arm", "own")):
        stage = Stage(tmp_path / run / "evaluate/w/sums-dev")
        stage.finish({"attempts.jsonl": [Rejection(of=answer, kind="sample", check="x", reason="y")]})
    lent = Stage(tmp_path / "vanilla" / "round-1/mine")
    lent.finish({"attempts.jsonl": [Rejection(of="mined", kind="sample", check="x", reason="y")]})
    compare.lend(tmp_path / "vanilla", tmp_path / "arm")
    assert Stage(tmp_path / "arm/round-1/mine").read("attempts.jsonl", Rejection)[0].of == "mined"
    assert Stage(tmp_path / "arm/evaluate/w/sums-dev").read("attempts.jsonl", Rejection)[0].of == "own"


@pytest.mark.parametrize("here", [True, False])
def test_a_training_runs_where_the_comparison_says(tmp_path, monkeypatch, here):
    asked = {}

    def train(rows, *_, in_process, **__):
        asked["here"] = in_process
        raise TrainerError("enough")

    def begin(loop, cell, out):
        row = TrainRow(prompt=(), completion=(), source="s")
        loop.stage(1, "assemble").finish({"rows.jsonl": [row]}, samples=1, replay=0)
        steps.train.train(loop, 1)

    monkeypatch.setattr(steps.train, "fine_tune", train)
    monkeypatch.setattr(compare, "run_open", begin)
    comparison = Comparison(arms=ARMS, in_process=here)
    with pytest.raises(TrainerError, match="enough"):
        compare.run_cell(comparison, Cell("Error", 0), tmp_path, lambda line: None)
    assert asked == {"here": here}


@pytest.mark.parametrize(("stages", "trained"), [(("sft",), []), (("sft", "grpo"), []), (("grpo",), ["grpo"])])
def test_stages_on_own_answers_alone_need_no_rows(tmp_path, monkeypatch, stages, trained):
    ran = []

    def noted(stage):
        def go(rows, target, settings, out, **_):
            ran.append(stage)
            write_atomic(out / "manifest.json", b"{}")
            return TrainReport(
                base="b", weights="w", data="d", rows_in=1, rows_kept=1, rows_truncated=0, steps=3, loss_first=1, loss_last=0, versions={}
            )

        return go

    monkeypatch.setattr(steps.train, "fine_tune", noted("sft"))
    monkeypatch.setattr(steps.train, "practise", noted("grpo"))
    arm = {"generate.strategy": "GoldOnly", "train.stages": list(stages)}
    with Cycle(Comparison(arms={"A": arm}).config("A", 0), tmp_path / "run", lambda line: None) as loop:
        loop.stage(1, "mine").finish({"attempts.jsonl": attempts("sums", "train", [T, F])})
        loop.stage(1, "assemble").finish({"rows.jsonl": [], "samples.jsonl": []}, samples=0, replay=0, shortfall="no row of 8")
        steps.train.train(loop, 1)
    assert ran == trained


TRAINED = {"base": "a", "weights": "b", "data": "d", "rows_in": 1, "rows_kept": 1, "rows_truncated": 0, "steps": 1, "versions": {}}
TRAINED |= {"loss_first": 1.0, "loss_last": 0.5}


@pytest.mark.parametrize(("keep", "measured"), [("always", ["stage 0", "stage 1"]), ("last", ["stage 1"])])
def test_where_the_last_stage_is_kept_no_other_is_measured(tmp_path, monkeypatch, keep, measured):
    arm = {"generate.strategy": "GoldOnly", "train.stages": ["sft", "grpo"]}
    config = Comparison(base={"guards": []}, arms={"A": arm}).config("A", 0)
    config = config.model_copy(update={"gate": config.gate.model_copy(update={"keep": keep})})
    asked = []

    def scores(task, split, target):
        asked.append(target.model)
        return attempts("sums", "dev", [target.model == "stage 0"] * 20)

    monkeypatch.setattr("errata.programs.steps.gate.forgotten", lambda *_: ())
    with Cycle(config, tmp_path / "run", lambda line: None) as loop:
        loop.scores, loop.candidate = scores, lambda number, place: TargetSettings(model=f"stage {place}")
        loop.stage(1, "teach").finish({}, failures=0, programs=0)
        loop.stage(1, "assemble").finish({}, samples=1, replay=0, shortfall="")
        for folder in ("train", "train-2"):
            write_atomic(loop.path / f"round-1/{folder}/manifest.json", json.dumps({"report": TRAINED}).encode())
        steps.gate.gate(loop, 1)
        kept = layout.decision(loop.path, 1)
    assert [name for name in asked if name.startswith("stage")] == measured
    assert (kept.accepted, kept.stage) == (True, keep == "last")  # the first stage is better


# ---- the document and its pages


def example(task, number, skill, split):
    return Example(task=task, split=split, question=f"{task} {split} {number}?", answer="1", skill=skill)


def attempts(task, split, rights):
    """Attempts at items of which `rights` says whether they are solved; the first half is of skill easy, the others hard."""
    names = ["easy" if place < len(rights) / 2 else "hard" for place in range(len(rights))]
    return [
        Attempt(
            example=example(task, number, names[number], split),
            response="r",
            verdict=Verdict(correct=right, extracted="1", reason="right" if right else "wrong"),
        )
        for number, right in enumerate(rights)
    ]


def finished(out, cell, weights, scores, samples=8, calls=2, seconds=5.0, sampled=0):
    """A run as it lies there when it is done: `scores` are, for each weights, the items solved of (task test, guard test, task dev)."""
    path = out / cell.name
    for name, (test, guard, dev) in zip(weights, scores, strict=True):
        for task, split, rights in (
            ("sums", "test", test),
            ("sums_plus", "test", guard),
            ("sums", "dev", dev),
            ("sums_plus", "dev", guard),
        ):
            Stage(path / f"evaluate/{name}/{task}-{split}").finish({"attempts.jsonl": attempts(task, split, rights)})
    for number in range(1, len(weights)):
        taught = TeachingResult(
            failure_ids=("f",),
            diagnosis=None,
            program=None,
            rejections=(Rejection(of="f", kind="diagnosis", check="readable", reason="no"),),
            calls=calls,
        )
        Stage(path / f"round-{number}/teach").finish({"taught.jsonl": [taught]})
        rejections = [Rejection(of=f"{place}", kind="sample", check="unseen", reason="r") for place in range(2)]
        Stage(path / f"round-{number}/assemble").finish({"rejections.jsonl": rejections}, samples=samples, replay=8)
        answers = [row.model_copy(update={"tokens": 10, "target": "v"}) for row in attempts("sums", "train", [T, F, F])]
        Stage(path / f"round-{number}/mine").finish({"attempts.jsonl": answers})
        report = TrainReport(
            base="b", weights="w", data="d", rows_in=16, rows_kept=16, rows_truncated=0, steps=3, loss_first=1, loss_last=0, versions={}
        )
        for folder, tokens in (("train", 0), *([("train-2", sampled)] if sampled else [])):
            told = report.model_copy(update={"generated_tokens": tokens}).model_dump(mode="json")
            write_atomic(path / f"round-{number}/{folder}/manifest.json", to_json({"report": told}))
            write_atomic(path / f"round-{number}/{folder}/seconds.json", to_json({"seconds": seconds}))
        zeros = dict.fromkeys(("pairs", "unjudged", "fixed", "broken"), 0) | dict.fromkeys(
            ("before", "after", "difference", "low", "high", "p_value"), 0.0
        )
        decision = GateDecision(accepted=True, unproven=number == 1, reason="r", task="sums", **zeros)
        Stage(path / f"round-{number}/gate").finish({"decision.jsonl": [decision]})
    evaluations = [["sums", "test"], ["sums_plus", "test"]]
    write_atomic(path / compare.DONE, to_json({"weights": list(weights), "evaluations": evaluations, "in_domain": ["sums"]}))


T, F = True, False


@pytest.fixture
def whole(tmp_path):
    """A comparison of two seeds and two rounds with figures that can be told by heart."""
    comparison = Comparison(
        base=Comparison(arms={"A": {}}).config("A", 0).model_dump(mode="json", exclude={"seed", "rounds"})
        | {"generate": {"rows": 8}, "gate": {}, "train": {"stages": ["sft"]}},
        arms=ARMS,
        controls=("Error",),
        seeds=(0, 1),
        rounds=2,
    )
    for seed in (0, 1):
        base = ([T, T, F, F], [T, F, F, F], [T, T, F, F])
        finished(tmp_path, Cell(VANILLA, seed), ["v"], [base])
        finished(tmp_path, Cell("Error", seed), ["v", "e1", "e2"], [base, ([T, T, T, F], [T, F, F, F], [T, T, F, F]), base])
        best = ([T, T, T, F] if seed else [T, T, T, T], [F, F, F, F], [T, T, T, T])
        finished(tmp_path, Cell("Contrast", seed), ["v", "c1", "c2"], [base, ([T, F, F, T], [T, T, F, F], [T, T, F, F]), best], samples=7)
    configured(comparison, tmp_path)
    return comparison, tmp_path


def configured(comparison, out):
    """Writes the config of each run."""
    for cell in compare.cells(comparison):
        config = settled(comparison.config(cell.arm, cell.seed)).model_dump(mode="json")
        write_atomic(out / cell.name / "run.json", to_json(sealed({"version": VERSION, "config": config, "data": []})))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"arms": ARMS | {"Error": {"generate.strategy": "GoldOnly"}}},
            "Error-0 was made with generate.strategy = 'LearnFromError', not 'GoldOnly'",
        ),
        ({"rounds": 1}, "Error-0 was made with rounds = 2, not 1"),
        ({"base": {"items": {"test": 300}}}, "vanilla-0 was made with items.test = "),
        ({"base": {"target": {"model": "another"}}}, "vanilla-0 was made with target.model = 'tiny', not 'another'"),
        (
            {"base": {"train": {"learning_rate": 0.5}}},
            "Error-0 was made with train.learning_rate = None, not 0.5",
        ),  # vanilla trains nothing
    ],
)
def test_runs_that_are_done_are_not_told_under_another_config(whole, changed, said):
    comparison, out = whole
    base = comparison.base | {name: comparison.base[name] | new for name, new in changed.get("base", {}).items()}
    (out / "compare.json").write_text("{}")
    other = comparison.model_copy(update=changed | {"base": base})
    for told in (compare.begin, compared.build):
        with pytest.raises(RunError, match=re.escape(said) + ".*; give the same config again, or choose another --out"):
            told(other, out)
    assert (out / "compare.json").read_text() == "{}"
    more = comparison.model_copy(update={"arms": ARMS | {"Third": {}}, "seeds": (0, 1, 2)})  # which changes none that is done
    compare.begin(more, out)


def test_the_document_says_how_good_each_arm_is_and_what_it_cost(whole):
    document = compared.build(*whole)
    assert document.benchmarks == {compared.IN: ["sums"], compared.OUT: ["sums_plus"]}
    contrast = document.trained["Contrast"]
    assert contrast.averages[compared.IN][-1].values == [1.0, 0.75]
    assert contrast.average_gains[compared.IN].mean == 0.375
    assert contrast.worst.benchmark == "sums_plus"
    assert contrast.worst.mean == -0.25
    # 2 seeds and 2 rounds of 7 rows and 2 calls, for 37.5 points a seed
    assert (contrast.cost.rows, contrast.cost.calls, contrast.cost.rows_per_call) == (28, 8, 3.5)
    assert contrast.cost.per_point.calls == pytest.approx(8 / 75)
    assert contrast.cost.usd == 0.0
    assert contrast.dropped.row_shares == {"unseen": 8 / 36}
    assert contrast.dropped.failures == {"readable": 4}
    assert [row.gate for row in contrast.rounds] == ["rejected", "accepted"] * 2
    assert document.trained["Error"].cost.per_point == Price(calls=None, tokens=None, usd=None)
    assert document.notes == [
        "Contrast kept fewer rows than asked in 4 of 4 rounds: at least 7 of 8; it saw them more often, as steps are equal"
    ]


def test_each_arm_is_told_with_what_one_run_of_it_took_over_all_stages_of_training(whole):
    comparison, out = whole
    for seed in (0, 1):
        base = ([T, T, F, F], [T, F, F, F], [T, T, F, F])
        finished(out, Cell("Contrast", seed), ["v", "c1", "c2"], [base] * 3, samples=7, seconds=2.0 + seed, sampled=100)
    Stage(out / "Error-1/round-2/pairs").finish({}, tokens=8)
    Stage(out / "Error-1/round-2/words").finish({}, tokens=4)
    arms = compared.build(comparison, out).trained
    # two rounds of 8 rows, 3 steps, 5 s, 3 answers of 10 tokens and 2 calls; in one of four rounds drawn rows and pairs were asked for too
    assert arms["Error"].spent == Spent(rows=16, steps=6, seconds=10, tokens=60 + 12 / 2, calls=4, usd=0)
    # two stages a round, of which the second samples 100 tokens
    assert arms["Contrast"].spent == Spent(rows=14, steps=12, seconds=10, tokens=260, calls=4, usd=0)
    assert [row.steps for row in arms["Contrast"].rounds] == [6] * 4


def test_stages_that_had_nothing_to_train_on_are_told(whole):
    comparison, out = whole
    comparison = comparison.model_copy(update={"arms": ARMS | {"Error": {"train.stages": ["sft", "grpo"]}}})
    configured(comparison, out)
    (said, *_) = compared.build(comparison, out).notes
    assert said == "Error did not train all of sft, grpo in 4 of 4 rounds: a stage had nothing to train on"


def test_arms_that_spent_a_tenth_less_than_another_are_told_under_the_table_of_costs(whole):
    comparison, out = whole
    document = compare_page.write(comparison, out, "errata compare it.yaml")
    said = "arms are not at equal cost: of 16 rows, as Error took, Contrast 14 (88%)"
    assert (document.equal, document.unequal) == (["rows", "steps"], [said])
    table = compare_page.text(document).split("At what cost")[1].split("\n\n")[0]
    assert said in table and "held equal: rows, steps" in table
    assert said in compare_page.markdown(document) and said in compare_page.html(document)
    near = comparison.model_copy(update={"equal": ("steps", "seconds", "tokens")})
    assert compared.build(near, out).unequal == []
    (out / "Contrast-1/round-2/train/seconds.json").unlink()
    kept = compared.build(near, out)
    assert kept.trained["Contrast"].spent.seconds is None
    assert kept.unequal == ["whether arms are at equal cost is not known: the seconds of training of Contrast were not kept"]


def test_each_arm_that_is_no_control_is_tested_against_each_control_on_each_average(whole):
    document = compared.build(*whole)
    assert [(row.arm, row.control, row.average) for row in document.tests] == [
        ("Contrast", "Error", compared.IN),
        ("Contrast", "Error", compared.OUT),
    ]
    inside, outside = document.tests
    assert inside.difference.values == [0.5, 0.25]
    assert (inside.items_won, inside.items_lost) == (3, 0)
    # differences of 0.5 and 0.25: t = 3 with one degree of freedom, p = 0.2048; the other pair's differences are the same, so it has no p
    assert inside.p_seeds == pytest.approx(0.2048, abs=1e-4)
    assert inside.p_seeds_holm == inside.p_seeds
    assert outside.p_seeds is None
    # all three swaps must fall alike, one way or the other
    assert inside.p_items == pytest.approx(0.25, abs=0.02)


def test_pairs_are_tested_beside_what_is_tested_against_controls(whole):
    comparison, out = whole
    against = comparison.model_copy(update={"controls": (VANILLA,), "pairs": (("Contrast", "Error"), ("Contrast", VANILLA))})
    document = compared.build(against, out)
    assert [(row.arm, row.control) for row in document.tests if row.average == compared.IN] == [
        ("Error", VANILLA),
        ("Contrast", VANILLA),
        ("Contrast", "Error"),
    ]
    assert [row.items_won for row in document.tests if (row.control, row.average) == ("Error", compared.IN)] == [3]


def test_weak_skills_are_chosen_on_dev_and_measured_on_test(whole):
    document = compared.build(*whole)
    start, after_one = document.arms["Contrast"].weak
    assert start.skills == [("sums", "hard")]
    assert [course.mean for course in start.test] == [0.0, 0.5, 0.75]
    assert [course.mean for course in start.others] == [1.0, 0.5, 1.0]
    # what was weak on dev after round 1 is hard alone, though easy had fallen on test
    assert after_one.skills == [("sums", "hard")]
    assert after_one.next.values == [0.5, 0.0]


def test_an_unknown_price_stays_unknown_in_every_figure(whole):
    comparison, out = whole
    answer = {"text": "t", "finish": "stop", "tokens_in": 10, "tokens_out": 5, "reported": True, "usd": None, "refusal": ""}
    (out / "Contrast-1" / "answers.jsonl").write_text(json.dumps({"stage": "s", "key": "k", "answer": answer}) + "\n")
    cost = compared.build(comparison, out).trained["Contrast"].cost
    assert (cost.calls, cost.tokens) == (1, 15)
    assert [cost.usd, cost.per_row.usd, cost.per_point.usd] == ["unknown"] * 3


def test_seeds_that_are_not_done_in_all_arms_are_left_out_and_named(whole):
    comparison, out = whole
    (out / "Error-0" / compare.DONE).unlink()
    document = compared.build(comparison, out)
    assert (document.seeds, document.missing_seeds) == ([1], [0])
    assert "Not all is done: seeds 0 are left out" in compare_page.about(document)
    (out / "vanilla-1" / compare.DONE).unlink()
    with pytest.raises(RunError, match="4 of 6 runs are done, and no seed in all arms"):
        compared.build(comparison, out)


def test_items_that_were_not_judged_are_left_out_of_pairs_and_counted(whole):
    comparison, out = whole
    stage = Stage(out / "Contrast-0/evaluate/c2/sums-test")
    rows = attempts("sums", "test", [T, T, T, None])
    stage.finish({"attempts.jsonl": rows})
    document = compared.build(comparison, out)
    assert document.arms["Contrast"].averages[compared.IN][-1].values == [1.0, 0.75]
    assert document.tests[0].unjudged == 1
    stage.finish({"attempts.jsonl": attempts("sums", "test", [None] * 4)})
    with pytest.raises(RunError, match="no item of sums was judged"):
        compared.build(comparison, out)


def test_the_table_and_the_page_say_the_same(whole):
    document = compare_page.write(*whole, "errata compare it.yaml")
    out = whole[1]
    assert json.loads((out / "comparison.json").read_bytes()) == document.model_dump(mode="json")
    told, page = compare_page.text(document), (out / "comparison.md").read_text()
    assert "sums 4, sums_plus 4" in told
    for shown in ("87.5 ± 158.8", "+37.5 ± 158.8", "-25.0 ± 0.0 (sums_plus)"):
        assert (shown in told and shown.replace("_", "\\_") in page) or f"`{shown}`" in page
    assert "Made by `errata compare it.yaml` with Errata" in page
    assert "| `Contrast - Error` | in domain | +37.5 ± 158.8 | 0.2 (0.2) |" in page


def test_the_page_begins_with_what_each_arm_gained_over_whom_how_surely_and_at_what_cost(whole):
    document = compare_page.write(*whole, "errata compare it.yaml")
    (row, *others) = document.tests
    assert row.average == compared.IN
    for chances, said in (
        ({"p_seeds_holm": 0.01}, "surely better than Error"),
        ({"p_seeds_holm": 0.2, "p_items_holm": 0.01}, "better, with these weights only, than Error"),
        ({"p_seeds_holm": None, "p_items_holm": 0.2}, "no sure difference from Error"),
        ({"p_seeds_holm": 0.01, "difference": Interval(mean=-0.1, low=None, high=None, values=[])}, "surely worse than Error"),
    ):
        document = document.model_copy(update={"tests": [row.model_copy(update=chances), *others]})
        (answer,) = compare_page.answers(document)
        assert answer.startswith(f"Contrast: In domain +37.5 ± 158.8 points over vanilla; {said}. Out of domain")
        assert answer.endswith("Cost: 8 calls, USD 0.00.")
        assert answer in compare_page.text(document) and said in compare_page.html(document) and said in compare_page.markdown(document)


def test_names_cannot_break_out_of_the_page(whole):
    comparison, out = whole
    evil = "<script>alert(1)</script>|`x`\x1b[31m"
    found = compare_page.write(comparison, out, evil).model_dump(mode="json")
    found["benchmarks"][compared.OUT] = [evil]
    found["items"][evil] = 3
    for name, arm in found["arms"].items():
        arm["benchmarks"][evil] = arm["benchmarks"]["sums_plus"]
        arm["weak"][0]["skills"] = [[evil, evil]]
        if name != VANILLA:
            arm["worst"]["benchmark"] = evil
            arm["dropped"]["failures"] = {evil: 1}
    document = Compared.model_validate(found)
    told, page = compare_page.text(document), compare_page.markdown(document)
    assert "\x1b" not in told + page
    for line in page.splitlines():
        spans = re.sub(r"\\.", "", line).split("`")  # what stands behind a backslash is text
        assert "<script" not in "".join(spans[::2])
    shown = compare_page.html(document)
    for forbidden in ("<script", "<link", "<img", "http://", "https://", "@import", "url(", "\x1b"):
        assert forbidden not in shown
    assert shown.count("&lt;script&gt;") > 5


def test_help_and_foretelling_start_nothing(tmp_path):
    path = written(tmp_path, "base: {generate: {rows: 60}}\narms: {A: {}}\nseeds: [0, 1]\nrounds: 2")
    done = CliRunner().invoke(app, ["compare", str(path), "--out", str(tmp_path / "out"), "--dry-run", "--json"])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["runs"], document["arms"]["A"]["rows"], document["arms"]["A"]["rounds"]) == (4, 60, 4)
    assert document["arms"]["A"]["estimate"]["calls"]["low"] >= 2
    assert not Path(tmp_path / "out").exists()


SMALL = """
base:
  items: {train: 120, dev: 30, test: 30}
  generate: {failures: 4, rows: 24, probe: 2}
  train: {stages: [sft], steps: 3}
arms:
  Error: {generate.strategy: LearnFromError}
  Uniform: {generate.strategy: Uniform}
controls: [Uniform]
seeds: [0]
"""


@pytest.mark.slow  # six processes that load torch
@pytest.mark.timeout(1800)
def test_a_comparison_that_is_killed_leaves_no_process_and_ends_as_one_that_was_not(tmp_path):
    path = written(tmp_path, SMALL)

    def command(out):
        return [sys.executable, "-m", "errata.cli", "compare", str(path), "--out", str(out), "--jobs", "2"]

    def alive(out):
        """Processes that work on a folder: the trainings name it, the workers have one of its locks open."""
        told = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
        opened = []
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):  # another user's, or closed by now
                opened.append(str(link.readlink()))
        return [line for line in [*told.splitlines(), *opened] if str(out) in line]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(command(whole), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with subprocess.Popen(command(killed), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while not any(killed.glob("Error-0/round-1/train/job.json")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while alive(killed) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive(killed) == []
    again = subprocess.run(command(killed), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    mine, theirs = (json.loads((folder / "comparison.json").read_bytes()) for folder in (killed, whole))
    for document in (mine, theirs):
        for arm in document["arms"].values():
            arm.pop("seconds", None)
            arm.get("spent", {}).pop("seconds", None)
    assert mine == theirs
    assert mine["arms"]["Error"]["cost"]["calls"] >= 8
    assert mine["arms"]["Uniform"]["cost"]["calls"] == 0
    assert {row["steps"] for arm in ("Error", "Uniform") for row in mine["arms"][arm]["rounds"]} == {3}
    # what the target answered before was measured once, and lent
    lent = [killed / run / "evaluate" / mine["weights"] / "sums-test/attempts.jsonl" for run in ("vanilla-0", "Error-0", "Uniform-0")]
    assert len({file.read_bytes() for file in lent}) == 1
    assert "vanilla-0: evaluate" not in again.stderr


# ---- GPUs of the jobs


@pytest.mark.parametrize(
    ("visible", "base", "jobs", "given", "said"),
    [
        ("0,1,2,3", {}, 4, ["0", "1", "2", "3"], ["GPUs of the 4 jobs: 0 | 1 | 2 | 3"]),
        ("GPU-b,GPU-a", {}, 2, ["GPU-b", "GPU-a"], ["GPUs of the 2 jobs: GPU-b | GPU-a"]),
        (
            "5,7",
            {},
            3,
            ["5", "7", "5"],
            ["GPUs of the 3 jobs: 5 | 7 | 5", "warning: 3 jobs share 2 GPUs, so that memory may run out; --jobs 2 gives each 1 of its own"],
        ),
        ("0,1,2,3,4", {"train": {"devices": 2}}, 2, ["0,1", "2,3"], ["GPUs of the 2 jobs: 0,1 | 2,3"]),
        ("", {}, 2, [None, None], []),
        ("0,1", {"target": {"device": "cuda:1"}}, 2, [None, None], []),
        ("0,1", {"target": {"device": "cpu"}, "train": {"device": "cpu"}}, 2, [None, None], []),
        ("0", {"train": {"devices": 2}}, 2, [None, None], []),
    ],
)
def test_each_job_has_gpus_of_its_own_or_the_log_says_that_they_are_shared(monkeypatch, tmp_path, visible, base, jobs, given, said):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    lines: list[str] = []
    assert compare.gpus_of(Comparison(arms={"A": {}}, base=base), jobs, lines.append) == given
    assert lines == said


@pytest.mark.slow  # two processes that load all of a cycle but torch
def test_a_worker_sees_its_own_gpu_before_anything_is_loaded(monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    found = "os.environ['CUDA_VISIBLE_DEVICES'] + str('torch' in sys.modules)"
    code = f"import os, sys\nopen({str(seen)!r} + f'/{{os.getpid()}}', 'w').write({found})\nraise RuntimeError('seen')\n"
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    comparison = Comparison(arms={"A": {}}, base={"generate": {"strategy": f"{tmp_path}/mine.py:Mine"}}, seeds=(0,))
    with pytest.raises(RunError, match=r"mine\.py"):
        compare.work_in_processes(comparison, tmp_path / "out", 2, lambda line: None, quiet=True)
    assert {file.read_text() for file in seen.iterdir()} == {"GPU-aFalse", "GPU-bFalse"}
