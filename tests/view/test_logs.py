"""Answers in the files of others are read with the verdicts that stand beside them, and nothing is judged anew."""

import json
import zipfile

import pytest
from recordings import jsonl, taken

from errata.programs.view.sources import one, outcome, read
from errata.signatures.errors import TaskError, UsageError


def sample(number, right, kind="strict-match", **more):
    """A row of lm-evaluation-harness; what it reads is cut of the response by its filter."""
    read_ = str(2 * number if right else number)
    return {
        "doc_id": number,
        "doc": {"question": f"{number} + {number}?", "answer": f"so\n#### {2 * number}"},
        "target": str(2 * number),
        "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"temperature": 0.0, "until": ["Q"]}}},
        "resps": [[f"It is {read_}."]],
        "filtered_resps": [read_],
        "filter": kind,
        "metrics": ["exact_match"],
        "exact_match": float(right),
        "prompt_hash": f"p{number}",
    } | more


def inspected(number, value, **more):
    done = {"choices": [{"message": {"role": "assistant", "content": "It is 4."}, "stop_reason": "stop"}]}
    score = {"match": {"value": value, "answer": "4"}}
    return {"id": number, "epoch": 1, "input": f"{number} + 2?", "target": str(number + 2), "scores": score, "output": done} | more


def log(*samples):
    about = {"task": "adds", "model": "openai/m", "model_generate_config": {"temperature": 0.7, "top_p": None}}
    return {"version": 2, "eval": about, "samples": list(samples)}


def outcomes(found):
    return [outcome(row) for rows in found.benchmarks.values() for row in rows]


def test_samples_of_the_harness_bring_their_task_and_their_verdict(tmp_path):
    rows = [sample(0, True), sample(1, False), sample(2, False, filtered_resps=["[invalid]"]), sample(3, False, exact_match=0.5)]
    (found,) = read(str(jsonl(tmp_path / "samples_gsm8k_2025-01-31T10-00-00.000.jsonl", *rows)))
    assert list(found.benchmarks) == [("gsm8k", "")]
    assert outcomes(found) == ["right", "wrong", "unread", "unjudged"]
    first, *_, last = found.benchmarks["gsm8k", ""]
    assert (first.example.question, first.example.answer, first.response) == ("0 + 0?", "0", "It is 0.")
    assert first.example.meta["item"] == "0"
    assert last.verdict.reason == "exact_match,strict-match is 0.5, neither right nor wrong"
    assert found.settings == {"temperature": "0.0", "until": "['Q']", "decoding": "greedy", "judged by": "exact_match,strict-match"}


def test_a_metric_that_gives_shares_is_taken_last_and_says_what_it_leaves_out(tmp_path):
    rows = [sample(n, n > 1, metrics=["f1", "em"], f1=(0.0, 0.5, 0.7, 1.0)[n], em=float(n > 1)) for n in range(4)]
    file = jsonl(tmp_path / "samples_t.jsonl", *rows)
    (found,) = read(str(file))
    assert outcomes(found) == ["wrong", "wrong", "right", "right"]
    assert found.title == "graded by em,strict-match, not by f1,strict-match"
    (found,) = read(f"{file}@f1")
    assert outcomes(found) == ["wrong", "unjudged", "unjudged", "right"]
    assert found.title.endswith("; 2 of 4 answers that f1,strict-match gives a share are left out")


def test_a_filter_of_the_harness_is_chosen_by_its_name(tmp_path):
    file = jsonl(tmp_path / "samples_t.jsonl", *(sample(n, n > 1, kind) for kind in ("strict-match", "flex") for n in range(4)))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    jsonl(file, *(row | {"exact_match": 1.0} if row["filter"] == "flex" else row for row in rows))
    assert outcomes(one(str(file))) == ["wrong", "wrong", "right", "right"]
    assert outcomes(one(f"{file}@flex")) == ["right"] * 4
    assert [row.response for row in one(f"{file}@exact_match,flex").benchmarks["t", ""]] == [
        f"It is {n if n < 2 else 2 * n}." for n in range(4)
    ]
    with pytest.raises(UsageError, match=r"holds no 'flexx', only exact_match,strict-match, exact_match,flex"):
        read(f"{file}@flexx")


def test_scored_options_keep_what_the_harness_found(tmp_path):
    row = {"doc_id": 0, "doc": {"question": "Which?", "choices": ["oak", "pine"], "answer": 1}, "target": 1, "filter": "none"}
    row |= {"arguments": [["Q", " oak"], ["Q", " pine"]], "resps": [[[-1.5, "False"]], [[-0.5, "False"]]]}
    row |= {"filtered_resps": [[-1.5, "False"], [-0.5, "False"]], "acc": 1.0, "acc_norm": 0.0}
    (found,) = read(str(jsonl(tmp_path / "samples_trees.jsonl", row)))
    (answer,) = found.benchmarks["trees", ""]
    assert answer.example.answer == "B"
    assert (answer.example.question, answer.response, outcome(answer)) == ("Which?\nA. oak\nB. pine", "pine", "right")
    assert outcomes(one(f"{tmp_path / 'samples_trees.jsonl'}@acc_norm")) == ["wrong"]


@pytest.mark.parametrize("packed", [False, True])
def test_logs_of_inspect_bring_their_scores(tmp_path, packed):
    samples = [inspected(n, value) for n, value in enumerate(("C", "I", "P", "N", float("nan"), 1, False))]
    samples += [inspected(8, "C", error={"message": "out of memory"}, scores={}), inspected(10, "C", scores={})]
    samples.append(inspected(9, "I", output={"choices": [{"message": {"content": "so"}, "stop_reason": "max_tokens"}]}))
    file = tmp_path / "log.json"
    if packed:
        file = tmp_path / "log.eval"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("header.json", json.dumps(log()))
            for number, one_ in enumerate(samples):
                archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(one_))
    else:
        file.write_text(json.dumps(log(*samples)))
    (found,) = read(str(file))
    assert found.title == "openai/m, graded by match"
    assert outcomes(found) == ["right", "wrong", "unjudged", "wrong", "unjudged", "right", "wrong", "unjudged", "unjudged", "cut"]
    assert [row.verdict.reason for row in found.benchmarks["adds", ""]][7:9] == [
        "the recorded run ended in an error here",
        "not graded by match",
    ]
    assert found.settings == {"temperature": "0.7", "decoding": "sampled", "judged by": "match"}
    assert list(found.benchmarks) == [("adds", "")]


def test_a_scorer_of_several_values_is_chosen_by_its_name(tmp_path):
    (tmp_path / "log.json").write_text(json.dumps(log(inspected(1, {"form": "C", "sum": "I"}))))
    assert outcomes(one(f"{tmp_path / 'log.json'}@match/form")) == ["right"]
    assert outcomes(one(f"{tmp_path / 'log.json'}@match/sum")) == ["wrong"]


def test_rows_of_several_models_are_one_source_each(tmp_path):
    rows = [
        {"question": f"{n}?", "ground_truth": "A: 4", **{m: {"solution": "4", "is_correct": m == "big"} for m in ("big", "small")}}
        for n in (1, 2)
    ]
    file = jsonl(tmp_path / "rows.jsonl", *rows)
    assert [(found.source, outcomes(found)) for found in read(str(file))] == [
        (f"{file}@big", ["right"] * 2),
        (f"{file}@small", ["wrong"] * 2),
    ]
    with pytest.raises(UsageError, match="holds answers of several, big, small; name one"):
        one(str(file))


def test_an_import_and_its_copy_of_the_attempts_say_the_same(tmp_path):
    rows = [{"question": "2 + 2?", "answer": "#### 4", "response": said} for said in ("#### 4", "#### 5", "what?")]
    taken(tmp_path, jsonl(tmp_path / "a.jsonl", *rows))
    found = one(str(tmp_path / "run/attempts.jsonl"))
    assert outcomes(found) == ["right", "wrong", "unread"]
    assert list(found.benchmarks) == [("gsm8k", "train")]


def test_a_folder_of_logs_holds_all_its_tasks(tmp_path):
    jsonl(tmp_path / "m/samples_a_2025-01-31T10-00-00.jsonl", sample(1, True))
    jsonl(tmp_path / "m/samples_b.jsonl", sample(1, False))
    (found,) = read(str(tmp_path))
    assert {name: outcome(rows[0]) for name, rows in found.benchmarks.items()} == {("a", ""): "right", ("b", ""): "wrong"}


def test_answers_without_verdicts_are_refused_with_what_judges_them(tmp_path):
    file = jsonl(tmp_path / "rows.jsonl", {"question": "2 + 2?", "answer": "4", "response": "5"})
    with pytest.raises(TaskError, match=r"says of no answer whether it is right; `errata import .*rows.jsonl --task TASK` judges them"):
        read(str(file))


ODD = (None, "", 1, [], {}, [[]], {"a": {}}, "\ud800", 10**400, [{"value": {}}])
"""What stands in others' files in the place of what is expected."""


@pytest.mark.parametrize("name", ["metrics", "filtered_resps", "filter", "arguments", "exact_match", "prompt_hash"])
def test_odd_values_beside_an_answer_of_the_harness_cost_no_other_answer(tmp_path, name):
    rows = [sample(0, True), *(sample(n, True, **{name: odd}) for n, odd in enumerate(ODD, 1))]
    (tmp_path / "samples_t.jsonl").write_text("\n".join(map(json.dumps, rows)))  # half a character stands in JSON as its number
    found = one(str(tmp_path / "samples_t.jsonl"))
    assert outcomes(found)[0] == "right"
    assert set(outcomes(found)) <= {"right", "unread", "unjudged"}


@pytest.mark.parametrize("name", ["scores", "score", "epoch"])
def test_odd_values_beside_an_answer_of_inspect_cost_no_other_answer(tmp_path, name):
    samples = [inspected(0, "C"), *(inspected(n, "C", **{name: odd}) for n, odd in enumerate(ODD, 1))]
    (tmp_path / "log.json").write_text(json.dumps(log(*samples)))
    found = one(str(tmp_path / "log.json"))
    assert found.items == len(samples)
    assert set(outcomes(found)) <= {"right", "unjudged"}
