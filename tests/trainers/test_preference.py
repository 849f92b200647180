"""Training on pairs: the reference is the target as it was, right answers gain on wrong ones, ids are those of supervised training, and a
kill costs nothing."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import models
import pytest

from errata.signatures.errors import TrainerError, UsageError
from errata.signatures.records import Pair
from errata.trainers.chat import encoded, fingerprint
from errata.trainers.settings import Job, TargetSettings, TrainSettings
from errata.trainers.sft import check, prefer, train
from errata.trainers.stages.preference import neighboured, paired, two_or_more, unpaired
from errata.trainers.target import Target

ROWS = models.sums(32)


def pairs(rows: Sequence = ROWS) -> list[Pair]:
    made = []
    for row in rows:
        text = row.completion[0]["content"]
        wrong = ({"role": "assistant", "content": text.replace("+", "-") + "1"},)
        made.append(
            Pair(prompt=row.prompt, chosen=row.completion, rejected=wrong, source=row.source, chosen_from="solution", rejected_from="wrong")
        )
    return made


PAIRS = pairs()
FAST = {"learning_rate": 1e-3}
QUICK = TrainSettings(save_steps=2, batch_size=8, blend=1.0, dpo=FAST, kto=FAST)  # 4 steps of dpo, 8 of kto
PLAIN = FAST | {"loss_type": ["sigmoid"]}


def written(rows: Sequence[Pair], path: Path) -> Path:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("preference")


@pytest.fixture(scope="module")
def target(root: Path) -> TargetSettings:
    return TargetSettings(model=str(models.make("llama", root / "llama")))


@pytest.fixture(scope="module")
def file(root: Path) -> Path:
    return written(PAIRS, root / "pairs.jsonl")


@pytest.fixture(scope="module")
def adapted(target: TargetSettings, root: Path) -> TargetSettings:
    """The target with an adapter that changes its answers."""
    train(ROWS, target, TrainSettings(method="lora", learning_rate=1e-2), root / "sft", in_process=True)
    return target.model_copy(update={"adapter": str(root / "sft" / "weights")})


def course(out: Path) -> list[dict[str, float]]:
    return json.loads((out / "course.json").read_text())


def files(folder: Path) -> dict[str, bytes]:
    kept = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("train.log", "seconds.json"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


@pytest.mark.parametrize("method", ["full", "lora", "own adapter"])
def test_the_first_loss_is_that_of_a_target_which_is_its_own_reference(target, adapted, file, tmp_path, method):
    begin = adapted if method == "own adapter" else target
    settings = QUICK.model_copy(update={"method": "full" if method == "full" else "lora", "dpo": PLAIN})
    report = prefer("dpo", file, begin, settings, tmp_path / "out", in_process=True)
    assert report.loss_first == pytest.approx(math.log(2), abs=1e-6)
    assert report.loss_last < report.loss_first
    first, *_, last = course(tmp_path / "out")
    assert (first["margin"], first["accuracy"]) == pytest.approx((0, 0), abs=1e-5)
    assert report.margins == (first["margin"], last["margin"])
    assert last["margin"] > 0


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_right_answers_gain_on_wrong_ones(target, file, tmp_path, stage):
    settings = QUICK.model_copy(update={stage: FAST | {"num_train_epochs": 4}})
    report = prefer(stage, file, target, settings, tmp_path / "out", in_process=True)
    assert (report.rows_in, report.rows_kept) == (32, 32)
    assert report.margins and report.margins[1] > report.margins[0] + 0.5
    assert course(tmp_path / "out")[-1]["margin"] == report.margins[1]
    Target.load(target.model_copy(update={"model": str(tmp_path / "out" / "weights")})).close()


def test_kto_logs_the_kl_to_where_it_began(target, file, tmp_path):
    prefer("kto", file, target, QUICK, tmp_path / "out", in_process=True)
    assert all(step["kl"] >= 0 for step in course(tmp_path / "out"))


def job(target: TargetSettings, file: Path, out: Path, rows: Sequence[Pair] = PAIRS) -> Job:
    return Job(key="k", base="b", data=fingerprint(rows), rows=file, target=target, settings=QUICK, seed=0, out=out, stage="dpo")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "plain"])
def test_ids_are_those_of_supervised_training(file, tmp_path, kind):
    target = TargetSettings(model=str(models.make(kind, tmp_path / kind)))
    loaded = Target.load(target)
    counts: Counter[str] = Counter()
    made = list(paired(job(target, file, tmp_path), loaded.tokenizer, loaded.ends, None, counts))
    known = [row["input_ids"] for row in encoded(ROWS, loaded.tokenizer, loaded.ends, None, Counter(), {})]
    assert [row["prompt_ids"] + row["chosen_ids"] for row in made] == known
    text = loaded.tokenizer.decode(made[5]["rejected_ids"], skip_special_tokens=True)
    assert text.strip() == PAIRS[5].rejected[0]["content"]
    assert all(row[name][-1] in loaded.ends for row in made for name in ("chosen_ids", "rejected_ids"))
    assert counts["rows"] == 32


def test_a_pair_with_an_answer_that_is_too_long_is_left_out(target, tmp_path):
    long = PAIRS[0].model_copy(update={"rejected": ({"role": "assistant", "content": "1 + " * 300},)})
    path = written([*PAIRS, long], tmp_path / "pairs.jsonl")
    report = prefer("dpo", path, target, QUICK, tmp_path / "out", in_process=True)
    assert (report.rows_in, report.rows_kept, report.rows_truncated) == (33, 32, 1)
    short = QUICK.model_copy(update={"max_length": 16})
    with pytest.raises(TrainerError, match="33 of 33 rows are longer than 16 tokens and would be cut"):
        prefer("dpo", path, target, short, tmp_path / "none", in_process=True)


def test_an_answer_that_stands_in_several_pairs_is_one_row_of_kto():
    row = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}
    made = unpaired([row, row | {"rejected_ids": [4]}], seed=0)
    assert sorted((one["completion_ids"], one["label"]) for one in made) == [([2], True), ([3], False), ([4], False)]


def test_without_pairs_nothing_is_trained(target, tmp_path):
    with pytest.raises(TrainerError, match="there are no pairs to train on"):
        prefer("dpo", written([], tmp_path / "pairs.jsonl"), target, QUICK, tmp_path / "out")


def test_a_field_that_is_none_of_the_stages_config_is_refused():
    with pytest.raises(UsageError, match=r"dpo\.betas is not a field of DPOConfig; did you mean beta"):
        check(TrainSettings(dpo={"betas": 3}))
    with pytest.raises(UsageError, match=r"kto\.desirable is not a field of KTOConfig"):
        check(TrainSettings(kto={"desirable": 3}))


@pytest.mark.parametrize(
    "stage, method",
    [("dpo", "full"), *(pytest.param(*one, marks=pytest.mark.slow) for one in (("kto", "full"), ("dpo", "lora"), ("dpo", "own adapter")))],
)
def test_a_training_that_was_interrupted_continues_to_the_same_bytes(target, adapted, file, tmp_path, stage, method):
    def stop(now: dict) -> None:
        if now["step"] == 4:
            raise KeyboardInterrupt

    begin = adapted if method == "own adapter" else target
    settings = QUICK.model_copy(update={"method": "full" if method == "full" else "lora"})
    whole = prefer(stage, file, begin, settings, tmp_path / "whole", in_process=True)
    with pytest.raises(KeyboardInterrupt):
        prefer(stage, file, begin, settings, tmp_path / "again", in_process=True, on_progress=stop)
    assert [path.name for path in (tmp_path / "again" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]
    assert prefer(stage, file, begin, settings, tmp_path / "again", in_process=True) == whole
    assert files(tmp_path / "again") == files(tmp_path / "whole")


@pytest.mark.slow  # a start of a child, 13 seconds
def test_a_training_in_a_child_process_ends_with_the_same_bytes(target, file, tmp_path):
    report = prefer("dpo", file, target, QUICK, tmp_path / "child")
    assert prefer("dpo", file, target, QUICK, tmp_path / "here", in_process=True) == report
    assert files(tmp_path / "child") == files(tmp_path / "here")


@pytest.mark.parametrize(("fits", "rows", "at_once"), [(1, 16, 2), (8, 16, 8), (1, 15, 3), (5, 15, 5), (4, 15, 5), (1, 7, 7), (1, 2, 2)])
def test_kto_computes_two_rows_or_more_at_once_and_an_equal_part_of_a_step(fits, rows, at_once):
    assert two_or_more(fits, rows) == at_once


@pytest.mark.parametrize(("count", "size"), [(8, 4), (9, 4), (7, 3), (3, 2), (2, 8)])
def test_no_row_of_kto_is_compared_with_its_own_answer(count, size):
    rows = [{"completion_ids": [number]} for number in range(count)]
    neighboured(rows, size)
    assert not [row for row in rows if row["KL_completion_ids"] == row["completion_ids"]]
    # but for a row that is alone in the last batch, the answers of a batch are what its rows are compared with
    whole = count - 1 if count % size == 1 else count
    for start in range(0, whole, size):
        batch = rows[start : min(start + size, whole)]
        assert sorted(row["KL_completion_ids"] for row in batch) == [row["completion_ids"] for row in batch]
