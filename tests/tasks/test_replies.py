"""Recorded answers in the envelopes of servers, engines and logs: which text is the answer, and whose fields win."""

import json
from pathlib import Path

import pytest
from recordings import GOLD, PENS, gsm8k, jsonl, taken

from errata.signatures.errors import TaskError
from errata.tasks import load_task
from errata.tasks.recorded import join
from errata.tasks.settings import TableSettings

ITEM = {"question": PENS, "answer": "7"}


def chat(text="7", **more):
    return {"index": 0, "message": {"role": "assistant", "content": text, "reasoning_content": "8"}, "finish_reason": "stop", **more}


COMPLETION = {"id": "c", "object": "chat.completion", "model": "m", "choices": [chat()], "usage": {"total_tokens": 3}}
ANTHROPIC = {
    "id": "a",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "8"}, {"type": "text", "text": "7"}],
    "stop_reason": "end_turn",
}
RESPONSES = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "7"}]},
    ],
}
GEMINI = {"candidates": [{"content": {"parts": [{"text": "8", "thought": True}, {"text": "7"}], "role": "model"}, "finishReason": "STOP"}]}
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "7"}, "done": True, "done_reason": "stop"}
VLLM = {"request_id": "0", "outputs": [{"index": 0, "text": "7", "token_ids": [1], "finish_reason": "stop"}], "finished": True}
ENVELOPES = {"chat": COMPLETION, "anthropic": ANTHROPIC, "responses": RESPONSES, "gemini": GEMINI, "ollama": OLLAMA, "vllm": VLLM}


@pytest.mark.parametrize("name", ENVELOPES)
def test_the_text_of_an_envelope_is_the_answer_as_a_field_and_as_the_whole_row(tmp_path, name):
    reply = ENVELOPES[name]
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | {"response": reply}, {k: v for k, v in reply.items() if k != "id"} | ITEM))
    assert [(row.response, row.verdict.correct, row.finish) for row in rows] == [("7", True, "stop")] * 2


@pytest.mark.parametrize(
    "reply",
    [
        COMPLETION | {"choices": [chat(finish_reason="length")]},
        {"choices": [{"text": "7", "finish_reason": "length", "index": 0}]},
        ANTHROPIC | {"stop_reason": "max_tokens"},
        RESPONSES | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"candidates": [GEMINI["candidates"][0] | {"finishReason": "MAX_TOKENS"}]},
        OLLAMA | {"done_reason": "length"},
        {"generated_text": "7", "details": {"finish_reason": "length"}},
        {"text": "7", "meta_info": {"finish_reason": {"type": "length", "length": 3}}},
        {"outputs": [VLLM["outputs"][0] | {"finish_reason": "length"}]},
    ],
)
def test_a_reply_that_was_cut_is_cut(tmp_path, reply):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | {"response": reply}))
    assert [(row.response, row.finish) for row in rows] == [("7", "length")]


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ("7", "7"),
        (7, "7"),
        (7.0, "7"),
        (["7"], "7"),
        ([{"role": "user", "content": PENS}, {"role": "assistant", "content": "7"}], "7"),
        ({"role": "assistant", "content": [{"type": "text", "text": "7"}]}, "7"),
        ([{"type": "text", "text": "7"}], "7"),
        ([{"generated_text": "7"}], "7"),
        ([{"generated_text": [{"role": "user", "content": PENS}, {"role": "assistant", "content": "7"}]}], "7"),
        ({"choices": [chat(None) | {"message": {"role": "assistant", "content": None, "refusal": "No."}}]}, "No."),
        (None, None),
        ({"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [{}]}}]}, None),
        ({"error": {"message": "too many requests"}}, None),
    ],
)
def test_a_response_is_text_however_it_is_wrapped(tmp_path, response, said):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | {"response": response}))
    assert [(row.response or None, row.verdict.correct is None) for row in rows] == [(said, said is None)]


@pytest.mark.parametrize(
    "reply",
    [
        COMPLETION | {"choices": [chat(None, finish_reason="length")]},
        ANTHROPIC | {"content": [{"type": "thinking", "thinking": "8"}], "stop_reason": "max_tokens"},
        RESPONSES | {"output": [{"type": "reasoning", "summary": []}], "incomplete_details": {"reason": "max_output_tokens"}},
        {"candidates": [{"content": {"parts": [{"text": "8", "thought": True}]}, "finishReason": "MAX_TOKENS"}]},
    ],
)
def test_a_thought_that_came_to_no_text_is_no_answer(tmp_path, reply):
    rows, document = taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | {"response": reply}))
    assert [(row.verdict.correct, row.finish) for row in rows] == [(False, "length")]
    assert (document["no_answer"], document["unjudged"]) == (1, 0)


@pytest.mark.parametrize("response", [True, [], {"text": "7"}, [{"text": "7"}], {"choices": ["7"]}, {"a": 1}, [[1, 2]]])
def test_what_is_no_text_and_no_known_envelope_is_refused(tmp_path, response):
    with pytest.raises(TaskError, match=r"'response' must be text.*--field"):
        taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | {"response": response}))


def test_of_several_choices_of_a_call_the_first_counts_and_the_others_are_said(tmp_path):
    rows, document = taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | COMPLETION | {"choices": [chat(), chat("9"), chat("7")]}))
    assert [row.response for row in rows] == ["7"]
    assert document["files"][0]["left_out_because"] == {"a further choice of the same call": 2}


def batch(body, id_="pens", status=200, error=None):
    return {"id": "batch_req_1", "custom_id": id_, "response": {"status_code": status, "request_id": "r", "body": body}, "error": error}


def test_outputs_of_batches_are_joined_by_their_own_ids_and_failed_calls_are_unjudged(tmp_path):
    task = f"gsm8k:{gsm8k(tmp_path / 'data')}"
    file = jsonl(
        tmp_path / "a.jsonl",
        batch(COMPLETION),
        batch(RESPONSES),
        batch({"error": {"message": "the prompt is too long"}}, status=400),
        batch(None) | {"response": None, "error": {"code": "batch_expired", "message": "expired"}},
        {"custom_id": "pens", "result": {"type": "succeeded", "message": ANTHROPIC}},
        {"custom_id": "pens", "result": {"type": "errored", "error": {"type": "error", "error": {"message": "overloaded"}}}},
        {"custom_id": "pens", "response": "7"},
    )
    rows, document = taken(tmp_path, file, task)
    assert [row.verdict.correct for row in rows] == [True, True, None, None, True, None, True]
    assert document["unjudged_reasons"] == {
        f"the recorded call failed: {why}": 1 for why in ("the prompt is too long", "expired", "overloaded")
    }
    assert all("3 + 4" in row.example.solution for row in rows)
    with pytest.raises(TaskError, match=r"no item of this question or id, 'other' \(2 more of 3 answers like it\)"):
        taken(tmp_path / "b", jsonl(tmp_path / "b.jsonl", *[batch(COMPLETION, "other")] * 3), task)
    with pytest.raises(TaskError, match="a request of a batch, not its answer"):
        taken(tmp_path / "c", jsonl(tmp_path / "c.jsonl", {"custom_id": "pens", "method": "POST", "body": {"messages": []}}), task)


@pytest.mark.parametrize(
    "row",
    [
        ITEM | {"response": "7", "extra_info": {"index": 0, "solution": "3+4"}},
        ITEM | {"response": "7", "meta": {"solution": "8", "is_correct": False}},
        ITEM | {"response": "7", "doc": {"id": 3}},
        ITEM | {"response": "7", "example": {"id": 3}},
        ITEM | {"response": "7", "resps": ["8"]},
        ITEM | {"response": "7", "choices": ["a", "b"], "metadata": {"answer": 8}},
        ITEM | {"response": "7", "choices": [{"label": "A", "text": "8"}], "message": "m", "result": {"answer": 8}},
        ITEM | {"response": "7", "output": "8", "custom_id": "x", "error": None},
        {"question": PENS, "example_answer": "7", "pred_answer": "7", "reasoning": "8", "answer_exact_match": True},
        ITEM | {"generation": ["7"]},
        ITEM | {"generated_text": "7"},
        ITEM | {"response": "7", "eval": {"by": "me"}, "samples": [{"input": "x"}]},
        ITEM | {"response": "7", "doc": {"question": "other", "answer": "1"}, "resps": [["9"]]},
        ITEM | {"response": "7", "custom_id": "c", "result": {"score": 1}},
        {"user_input": PENS, "response": "7", "reference": "7", "retrieved_contexts": ["x"]},
        {"input": PENS, "actual_output": "7", "expected_output": "7"},
        {"input": [{"role": "user", "content": PENS}], "output": "7", "ideal": "7"},
        ITEM | {"model_output": "7"},
        ITEM | {"generations": ["7"]},
        {
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": PENS}, {"role": "assistant", "content": "7"}],
            "answer": 7,
        },
        {"conversations": [{"from": "human", "value": PENS}, {"from": "gpt", "value": "7"}], "answer": "7"},
        {"prompt": [{"role": "user", "content": PENS}], "completion": [{"role": "assistant", "content": "7"}], "answer": "7"},
    ],
)
def test_fields_of_the_users_own_are_not_taken_for_another_form(tmp_path, row):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", row))
    assert [(row.example.question, row.example.answer, row.response, row.verdict.correct) for row in rows] == [(PENS, "7", "7", True)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ITEM | {"extra_info": {"solution": "7"}}, "no response"),
        (ITEM | {"gpt": {"solution": "7"}, "llama": {"solution": "8"}}, "no response"),
        (ITEM | {"response": "8", "choices": [chat()]}, "may both be the response; say which with --field"),
        (
            {"messages": [{"role": "user", "content": PENS}, {"role": "assistant", "content": "7"}] * 2, "answer": "7"},
            "a chat of several questions, which gsm8k does not read",
        ),
        ({"task_id": "pens", "solution": "7", "question": PENS}, "no response"),
        (
            {"instruction": "Add.", "input": "3 and 4", "response": "7", "answer": "7", "system": "s"},
            "a system message is read by a table alone",
        ),
        (ITEM | {"response": "7", "x": json.loads("[" * 900 + "]" * 900)}, "nested more than 64 deep"),
        ({"results": {"gsm8k": {"exact_match": 0.5}}, "config": {}}, "scores without answers"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path, row, said):
    with pytest.raises(TaskError, match=said):
        taken(tmp_path, jsonl(tmp_path / "a.jsonl", row))


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"instruction": "Add 2 and 3.", "input": "", "response": "5", "answer": "5"}, "Add 2 and 3."),
        ({"instruction": "Add the numbers.", "input": "2 and 3", "response": "5", "answer": "5"}, "Add the numbers. 2 and 3"),
        ({"instruction": "Add the numbers.", "context": "2 and 3", "response": "5", "answer": "5"}, "Add the numbers. 2 and 3"),
        ({"instruction": "Add the numbers.", "input": "2 and 3", "output": "5", "answer": "5"}, "Add the numbers. 2 and 3"),
        ({"instruction": "Add the numbers.", "input": "2 and 3", "output": "5", "response": "5"}, "Add the numbers. 2 and 3"),
    ],
)
def test_an_instruction_is_asked_with_its_input(tmp_path, row, question):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", row))
    assert [(row.example.question, row.example.answer, row.verdict.correct) for row in rows] == [(question, "5", True)]


def test_solutions_for_code_are_answers_where_the_row_is_nothing_else(tmp_path):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"task_id": "pens", "solution": "7"}), f"gsm8k:{gsm8k(tmp_path / 'data')}")
    assert [(row.response, row.verdict.correct) for row in rows] == [("7", True)]


# ---- --field wins


HARNESS = {"doc_id": 0, "doc": ITEM | {"real": "9"}, "target": "7", "resps": [["7"]], "filtered_resps": ["9"], "filter": "none"}


@pytest.mark.parametrize(
    ("row", "fields", "gold", "said"),
    [
        (ITEM | {"response": "8", "other": "7"}, {"response": "other"}, "7", "7"),
        (ITEM | {"response": {"text": "7"}}, {"response": "response.text"}, "7", "7"),
        (ITEM | {"gpt": {"solution": "7", "is_correct": True}}, {"response": "gpt.solution"}, "7", "7"),
        (ITEM | {"response": "7", "choices": [chat("8")]}, {"response": "response"}, "7", "7"),
        ({"question": PENS, "answer": "8", "reward": {"truth": 7}, "response": "7"}, {"answer": "reward.truth"}, "7", "7"),
        (HARNESS, {"response": "filtered_resps"}, "7", "9"),
        (HARNESS, {"answer": "real"}, "9", "7"),
        (
            ITEM | {"gpt": {"solution": "7", "is_correct": 1}, "own": {"solution": "8", "is_correct": 0}},
            {"response": "gpt.solution"},
            "7",
            "7",
        ),
        (HARNESS | {"target": "9"}, {"answer": "target"}, "9", "7"),
    ],
)
def test_a_field_that_is_named_wins_in_every_form(tmp_path, row, fields, gold, said):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", row), fields=fields)
    assert [(row.example.answer, row.response) for row in rows] == [(gold, said)]


# ---- lm-evaluation-harness and inspect


def test_older_harness_logs_write_a_document_once_a_filter_without_naming_it(tmp_path):
    old = {name: value for name, value in HARNESS.items() if name != "filter"}
    other = old | {"doc": {"question": "What is 2 + 2?", "answer": "4"}}
    file = jsonl(tmp_path / "a.jsonl", old, other, old | {"filtered_resps": ["[invalid]"]}, other, old | {"resps": [["8"]]})
    rows, document = taken(tmp_path, file)
    assert [row.response for row in rows] == ["7", "7", "8"]
    assert document["files"][0]["left_out_because"] == {"the same response under another filter": 2}
    flat = old | {"resps": ["7"], "filtered_resps": "7"}
    assert [row.response for row in taken(tmp_path / "flat", jsonl(tmp_path / "flat.jsonl", flat))[0]] == ["7"]


def test_a_mapped_field_wins_over_the_column_that_a_table_reads(tmp_path):
    data = jsonl(tmp_path / "data.jsonl", {"prompt": PENS, "target": "7"})
    task = load_task(f"jsonl:{data}", TableSettings(question="prompt", answer="target", verdict="number"))
    rows = [{"prompt": PENS, "target": "7", "real": "9", "response": "7"}, {"prompt": PENS, "target": "9", "real": "7", "response": "7"}]
    found = join.load([jsonl(tmp_path / "a.jsonl", *rows)], task, data, {"answer": "real"})
    assert [example.answer for example, _ in found.rows] == ["9", "7"]


def test_the_item_of_a_row_of_erratas_own_is_never_mapped_in_silence(tmp_path):
    taken(tmp_path, jsonl(tmp_path / "a.jsonl", ITEM | {"response": "7"}))
    own = next((tmp_path / "run").rglob("attempts.jsonl"))
    with pytest.raises(TaskError, match="holds its item; map no field but response"):
        taken(tmp_path / "b", own, fields={"answer": "example.split"})


def test_what_the_harness_returns_to_python_holds_its_samples(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"results": {}, "configs": {}, "samples": {"gsm8k": [HARNESS, HARNESS | {"filter": "flexible"}]}}))
    rows, document = taken(tmp_path, file)
    assert [row.response for row in rows] == ["7"]
    assert document["files"][0]["left_out"] == 1


def test_likelihoods_that_are_no_numbers_choose_nothing(tmp_path):
    scores = [[["nan", "False"]], [["-1.0", "False"]]]
    rows, document = taken(tmp_path, jsonl(tmp_path / "a.jsonl", HARNESS | {"resps": scores, "arguments": [[PENS, " 7"], [PENS, " 8"]]}))
    assert [row.verdict.correct for row in rows] == [None]
    assert list(document["unjudged_reasons"]) == ["a likelihood is not a number, so none was chosen"]


def test_what_was_scored_without_a_choice_is_unjudged_and_scores_without_the_question_do_not_count(tmp_path):
    alone = HARNESS | {"resps": [[["-1.0", "True"]]], "arguments": [[PENS, " 7"]]}
    rows, document = taken(tmp_path, jsonl(tmp_path / "a.jsonl", alone))
    assert [row.verdict.correct for row in rows] == [None]
    assert list(document["unjudged_reasons"]) == ["one continuation alone was scored, so none was chosen"]
    pairs = [["q", " iron"], ["q", " water"], ["", " iron"], ["", " water"]]
    scores = [[["-3.0", "False"]], [["-1.0", "False"]], [["-0.1", "False"]], [["-9.0", "False"]]]
    doc = {"question": "What is ice?", "choices": ["iron", "water"], "answer": 1}
    data = jsonl(tmp_path / "data.jsonl", doc)
    task = load_task(f"jsonl:{data}", TableSettings(verdict="choice", choices="choices"))
    found = join.load([jsonl(tmp_path / "b.jsonl", HARNESS | {"doc": doc, "arguments": pairs, "resps": scores})], task, data)
    assert [answer.response for _, answer in found.rows] == ["Answer: B"]


def test_a_question_may_be_named_inside_a_chat_and_an_empty_sample_is_unjudged(tmp_path):
    row = {"type": "sampling", "data": {"prompt": [{"role": "user", "content": PENS}], "sampled": ["7"]}}
    file = jsonl(tmp_path / "a.jsonl", row)
    task = f"gsm8k:{gsm8k(tmp_path / 'data')}"
    rows, _ = taken(tmp_path, file, task, fields={"question": "data.prompt", "response": "data.sampled"})
    assert [(row.example.question, row.verdict.correct) for row in rows] == [(PENS, True)]
    rows, _ = taken(tmp_path / "b", jsonl(tmp_path / "b.jsonl", HARNESS | {"resps": [[None]]}))
    assert [row.verdict.correct for row in rows] == [None]


def test_ids_that_pandas_made_floats_join_and_missing_ones_do_not(tmp_path):
    data = jsonl(tmp_path / "data.jsonl", {"id": 1, "question": PENS, "answer": "7"}, {"id": None, "question": "1 + 1?", "answer": "2"})
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"id": 1.0, "response": "7"}), f"gsm8k:{data}")
    assert rows[0].example.question == PENS
    with pytest.raises(TaskError, match="no item of this question or id"):
        taken(tmp_path / "b", jsonl(tmp_path / "b.jsonl", {"id": float("nan"), "response": "7"}), f"gsm8k:{data}")


def test_a_folder_of_harness_samples_is_read_whole(tmp_path):
    jsonl(tmp_path / "out/m/samples_gsm8k_2026-01-01.jsonl", HARNESS)
    (tmp_path / "out/m/results_2026-01-01.json").write_text("{}")
    rows, document = taken(tmp_path, tmp_path / "out")
    assert (len(rows), len(document["files"])) == (1, 1)
    (tmp_path / "none").mkdir()
    with pytest.raises(TaskError, match="a folder without samples_"):
        taken(tmp_path / "b", tmp_path / "none")


def sample(id_=1, said="7", target="7", **more):
    return {"id": id_, "epoch": 1, "input": PENS, "target": target, "metadata": {}, "output": {"choices": [chat(said)]}} | more


def log(path: Path, *samples) -> Path:
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {"model": "m"}, "samples": list(samples)}))
    return path


def test_the_gold_of_an_inspect_sample_is_its_target_and_its_solution_the_tasks_own(tmp_path):
    file = log(tmp_path / "log.json", sample(metadata={"answer": 3, "reasoning": "3 + 4 = 7"}), sample(2, target=["7"]))
    rows, _ = taken(tmp_path, file)
    assert [(row.example.answer, row.example.solution, row.verdict.correct) for row in rows] == [("7", "3 + 4 = 7", True), ("7", "", True)]
    rows, _ = taken(tmp_path / "b", file, f"gsm8k:{gsm8k(tmp_path / 'data')}")
    assert [row.example.solution for row in rows] == [GOLD[PENS]] * 2
    for fields, gold in [({"answer": "metadata.answer"}, "3"), ({"answer": "other"}, "9")]:
        row = sample(metadata={"answer": 3, "other": "9"})
        rows, _ = taken(tmp_path / gold, log(tmp_path / f"{gold}.json", row), fields=fields)
        assert rows[0].example.answer == gold
    rows, _ = taken(
        tmp_path / "c", log(tmp_path / "c.json", sample(scores={"match": {"answer": "8"}})), fields={"response": "scores.match.answer"}
    )
    assert rows[0].response == "8"


def test_one_answer_counts_a_sample_and_epoch_and_limits_are_told_apart(tmp_path):
    two = sample(2, output={"choices": [chat("7"), chat("8")]})
    limited = sample(3, limit={"type": "token", "limit": 9}), sample(4, limit={"type": "time", "limit": 9})
    file = log(tmp_path / "log.json", sample(), sample(said="8"), sample(epoch=2, said="8"), two, *limited)
    rows, document = taken(tmp_path, file)
    assert [(row.response, row.finish) for row in rows] == [("7", "stop"), ("8", "stop"), ("7", "stop"), ("7", "length"), ("", "stop")]
    assert document["files"][0]["left_out_because"] == {
        "another answer of the same sample and epoch": 1,
        "a further choice of the same call": 1,
    }
    assert document["unjudged_reasons"] == {"the recorded run was stopped by its limit of time here": 1}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"eval": {}, "samples": []}, "a log of inspect without samples"),
        ({"eval": {}, "samples": None}, "a log of inspect without samples"),
        ({"version": 2, "status": "success", "eval": {}, "results": {}}, "neither a log of inspect with its samples"),
        ({"eval": {}, "samples": [sample(target=["7", "8"])]}, "a list of 2"),
        ({"eval": {}, "samples": [{"id": 1}]}, "not a sample of inspect"),
    ],
)
def test_logs_of_inspect_that_hold_no_answer_or_no_gold_are_refused(tmp_path, document, said):
    (tmp_path / "log.json").write_text(json.dumps(document))
    with pytest.raises(TaskError, match=said):
        taken(tmp_path, tmp_path / "log.json")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl.gz", "a.json"])
def test_answers_are_read_from_the_containers_that_tasks_are_read_from(tmp_path, name):
    import gzip

    text = json.dumps(ITEM | {"response": "7"})
    text = (
        f"question,answer,response\n{PENS},7,7\n"
        if "csv" in name
        else text
        if "json" in name
        else f"question\tanswer\tresponse\n{PENS}\t7\t7\n"
    )
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    rows, _ = taken(tmp_path, tmp_path / name)
    assert [(row.response, row.verdict.correct) for row in rows] == [("7", True)]
