"""A target behind a server, over real HTTP: the same rows as in this process, each adapter under a new name, faults, refusals, keys."""

import functools
import json
import re
import socket
import threading
from pathlib import Path

import pytest
from openai_server import OpenAIServer, Reply, Scripted, fault
from typer.testing import CliRunner
from vllm_server import VllmServer

import errata.trainers.sft
from errata.cli import app
from errata.programs import Cycle
from errata.programs.config import load_config
from errata.programs.report.export import export
from errata.signatures.calls import Patience
from errata.signatures.errors import RunError, TargetError, UsageError
from errata.trainers import open_target
from errata.trainers.chat import Completion
from errata.trainers.served.target import ServedTarget
from errata.trainers.settings import TargetSettings, vllm_rank
from errata.trainers.target import Target, load_model
from errata.trainers.weights import weights_hash

FAST = Patience(attempts=3, first=0.01, most=5.0)
PROMPTS = [[{"role": "user", "content": f"Ann has {n} apples and buys {n + 3} more. How many apples?"}] for n in range(8)]
KEY = "sk-of-the-target-1234"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def tiny():
    with VllmServer("tiny") as server:
        yield server


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """Two adapters of `tiny` with random weights, of rank 16 and 32: each answers in its own way."""
    import torch
    from peft import LoraConfig, get_peft_model

    folders = {}
    for rank in (16, 32):
        torch.manual_seed(rank)
        lora = LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(load_model(TargetSettings(), torch.device("cpu"), "auto"), lora)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.05)
        folders[rank] = str(tmp_path_factory.mktemp("adapters") / f"r{rank}")
        model.save_pretrained(folders[rank])
    return folders


def alone(server, **more):
    """Settings of a target that only the server has."""
    return TargetSettings(api_base=server.url, served_name="m", **more)


def said(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- the same answers


def test_a_served_evaluation_has_the_very_rows_of_the_one_in_process(tiny, tmp_path):
    rows = []
    for name, target in (("here", {}), ("served", {"target.model": "tiny", "target.api_base": tiny.url})):
        with Cycle(load_config(overrides={"items.dev": 30} | target), tmp_path / name, say=lambda line: None) as loop:
            rows.append(list(loop.scores(loop.task, "dev", loop.config.target)))
    assert rows[0] == rows[1]
    assert {row.target for row in rows[1]} == {weights_hash(TargetSettings())}
    assert 0 < sum(row.verdict.correct for row in rows[1]) < 30


def test_answers_are_cut_at_the_limit_and_at_the_context_as_in_process(tiny):
    long = [{"role": "user", "content": "How many? " + "7 " * 430}]
    longer = [{"role": "user", "content": "7 " * 900}]
    prompts = [*PROMPTS[:3], long, longer]
    here = Target.load(TargetSettings())
    served = open_target(TargetSettings(model="tiny", api_base=tiny.url))
    for limit in (8, 600):
        expected = dict(here.generate(prompts, max_new_tokens=limit))
        found = dict(served.generate(prompts, max_new_tokens=limit))
        assert {i: (c.text, c.finish) for i, c in found.items()} == {i: (c.text, c.finish) for i, c in expected.items()}
    assert expected[4] == Completion("", "length", 0)
    assert [expected[i].finish for i in range(4)] == ["stop"] * 3 + ["length"]


def test_each_adapter_answers_under_a_name_made_of_its_weights_and_is_unloaded_again(adapters):
    texts = []
    with VllmServer("tiny", max_lora_rank=32) as server:
        for rank in (16, 32, 16):
            settings = TargetSettings(model="tiny", adapter=adapters[rank], api_base=server.url)
            served = open_target(settings)
            assert served.name == f"errata-{weights_hash(settings)}"
            expected = Target.load(TargetSettings(adapter=adapters[rank])).generate(PROMPTS, max_new_tokens=20)
            texts.append({i: c.text for i, c in served.generate(PROMPTS, max_new_tokens=20)})
            assert texts[-1] == {i: c.text for i, c in expected}
            served.close()
            assert list(server.models) == ["tiny"]
        texts.append(
            {i: c.text for i, c in open_target(TargetSettings(model="tiny", api_base=server.url)).generate(PROMPTS, max_new_tokens=20)}
        )
        first, second, third = server.loaded
    assert first == third != second
    assert texts[0] == texts[2] != texts[1] != texts[3] != texts[0]


def test_an_adapter_that_is_loaded_already_is_used_and_left_there(adapters):
    with VllmServer("tiny") as server:
        settings = TargetSettings(model="tiny", adapter=adapters[16], api_base=server.url)
        first, second = open_target(settings), open_target(settings)
        assert second.name == first.name
        second.close()
        assert len(dict(first.generate(PROMPTS, max_new_tokens=4))) == 8
        assert server.loaded == [first.name]


SMALL = {
    "items.train": 60,
    "items.dev": 24,
    "items.test": 0,
    "guards": [],
    "generate.failures": 4,
    "generate.rows": 32,
    "generate.probe": 2,
    "train.epochs": 1,
    "train.stages": ["sft"],
    "train.learning_rate": 3e-3,
    "gate.alpha": 1.0,
    "target.model": "tiny",
}


def run_cycle(path, **more):
    """A cycle at `path` -> its results: path inside it -> bytes."""
    with Cycle(load_config(overrides=SMALL | more), path, say=lambda line: None) as loop:
        loop.run()
    return results(path)


def results(path):
    found = [file for pattern in ("round-*/*/*.jsonl", "evaluate/*/*/*.jsonl", "result.json") for file in path.glob(pattern)]
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


def trained(path, number):
    """Hash of the weights that a round trained."""
    return json.loads((path / f"round-{number}/train/manifest.json").read_bytes())["report"]["weights"]


@pytest.fixture
def in_process(monkeypatch):
    """Training without the seconds that a child process takes to load its libraries."""
    monkeypatch.setattr(errata.trainers.sft, "train", functools.partial(errata.trainers.sft.train, in_process=True))


@pytest.fixture(scope="module")
def served_run(tmp_path_factory):
    """A finished served cycle of one round, kept whatever it brought, and the adapters that its server was given."""
    path = tmp_path_factory.mktemp("served") / "run"
    with VllmServer("tiny") as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(errata.trainers.sft, "train", functools.partial(errata.trainers.sft.train, in_process=True))
        run_cycle(path, **{"target.api_base": server.url, "gate.keep": "always"})
    return path, server.loaded


def test_a_served_cycle_trains_an_adapter_here_and_measures_it_there_as_one_in_process_would(served_run, tmp_path):
    run, loaded = served_run
    weights = trained(run, 1)
    assert loaded == [f"errata-{weights}"]
    adapter = str(run / "round-1/train/weights")
    with Cycle(load_config(overrides=SMALL | {"target.adapter": adapter}), tmp_path / "here", say=lambda line: None) as loop:
        loop.scores(loop.task, "dev", loop.config.target)
    measured = f"evaluate/{weights}/sums-dev/attempts.jsonl"
    assert (tmp_path / "here" / measured).read_bytes() == (run / measured).read_bytes()


def test_of_a_served_target_the_gate_says_why_forgetting_was_not_measured(served_run):
    decision = json.loads((served_run[0] / "round-1/gate/decision.jsonl").read_bytes())
    told = {row["on"]: (row["kl"], row["reason"]) for row in decision["forgetting"]}
    assert told == {"replay": (None, "not measured: the server gives no distributions")}


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_the_weights_of_a_served_run_are_exported_as_they_were_measured(served_run, tmp_path, form):
    run, (name,) = served_run
    told = export(run, tmp_path / "out", merge=form == "merged")
    out = str(tmp_path / "out")
    exported = TargetSettings(model=out) if form == "merged" else TargetSettings(adapter=out)
    assert (told["form"], f"errata-{told['weights']}") == (form, name)
    with Cycle(load_config(overrides={"items.dev": 24}), tmp_path / "here", say=lambda line: None) as loop:
        here = loop.scores(loop.task, "dev", exported)
    there = (run / f"evaluate/{told['weights']}/sums-dev/attempts.jsonl").read_text().splitlines()
    assert [row.response for row in here] == [json.loads(line)["response"] for line in there]
    page = (tmp_path / "out/README.md").read_text()
    assert "came from a server" in page and "127.0.0.1" not in page
    assert told["scores"]["sums dev"]["after"]["right"] == sum(bool(row.verdict.correct) for row in here)


@pytest.mark.slow  # two cycles of two rounds
def test_a_served_cycle_leaves_the_bytes_of_one_in_process_and_gives_each_adapter_a_new_name(tiny, tmp_path, in_process):
    tiny.loaded.clear()
    alike = {"rounds": 2, "gate.forgetting": 0}  # which a server cannot tell
    served = run_cycle(tmp_path / "served", **alike, **{"target.api_base": tiny.url})
    assert served == run_cycle(tmp_path / "here", **alike, **{"train.method": "lora"})
    assert len(served) > 10
    first, second = (trained(tmp_path / "served", number) for number in (1, 2))
    assert first != second
    assert set(tiny.loaded) == {f"errata-{first}", f"errata-{second}"}
    assert list(tiny.models) == ["tiny"]


@pytest.mark.slow  # a cycle more
def test_a_cycle_with_two_servers_leaves_the_bytes_of_one_and_gives_the_adapter_to_both(served_run, tiny, tmp_path, in_process):
    run, (name,) = served_run
    with VllmServer("tiny") as other:
        tiny.loaded.clear()
        found = run_cycle(tmp_path / "run", **{"target.api_base": [tiny.url, other.url], "gate.keep": "always"})
        assert set(other.loaded) == set(tiny.loaded) == {name}
        assert list(other.models) == list(tiny.models) == ["tiny"]
        assert sum(seen.path.endswith("/chat/completions") for seen in other.seen) > 50
    assert found == results(run)


# ---- how it is asked


def test_a_question_is_greedy_seeded_and_without_the_models_own_sampling_defaults():
    with Scripted(lambda body, number: Reply("yes")) as server:
        served = open_target(alone(server))
        list(served.generate([PROMPTS[0], PROMPTS[0]], max_new_tokens=9))
        list(served.generate([PROMPTS[0]], max_new_tokens=9, temperature=0.7, seed=1))
    first, again, other = sorted((seen.body for seen in server.questions), key=lambda body: body["temperature"])
    assert (first["model"], first["messages"], first["max_tokens"], first["temperature"]) == ("m", PROMPTS[0], 9, 0.0)
    assert other["temperature"] == 0.7
    assert len({body["seed"] for body in (first, again, other)}) == 3
    assert "repetition_penalty" not in first  # a server that is not known to read it may refuse it
    with VllmServer("tiny") as server:
        list(open_target(TargetSettings(model="tiny", api_base=server.url)).generate(PROMPTS[:1], max_new_tokens=2))
    assert server.seen[-1].body["repetition_penalty"] == 1.0


def test_a_server_goes_on_from_the_beginning_of_an_answer_where_it_can():
    with Scripted(lambda body, number: Reply("yes")) as server, pytest.raises(TargetError, match="only vLLM and SGLang can"):
        list(open_target(alone(server)).generate(PROMPTS[:1], max_new_tokens=9, begun=["So\n"]))
    said = ["\n#### 4", "#### 5", "#### 6"]
    with Scripted(lambda body, number: Reply(said[len(body["messages"][-1]["content"]) // 10])) as server:
        served = open_target(alone(server))
        served.fields = {"top_k": -1}  # as a vLLM's
        answers = dict(served.generate(PROMPTS[:2], max_new_tokens=9, begun=["First.\n", "Second it is.\n"]))
    assert {place: answer.text for place, answer in answers.items()} == {0: "First.\n#### 4", 1: "Second it is.\n#### 5"}
    first = next(seen.body for seen in server.questions if seen.body["messages"][-1]["content"] == "First.\n")
    assert first["messages"] == [*PROMPTS[0], {"role": "assistant", "content": "First.\n"}]
    assert (first["continue_final_message"], first["add_generation_prompt"]) == (True, False)


def test_no_more_questions_are_under_way_than_asked_for():
    with Scripted(lambda body, number: Reply("yes", delay=0.05)) as server:
        assert len(dict(open_target(alone(server, batch_size=3)).generate(PROMPTS, max_new_tokens=9))) == 8
    assert server.most_in_flight == 3


def test_the_key_is_read_from_the_variable_that_is_named_and_from_no_other(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-instructor")
    monkeypatch.setenv("MY_SERVER", KEY)
    with Scripted(lambda body, number: Reply("yes")) as server:
        for more in ({}, {"api_key_env": "MY_SERVER"}, {"api_key_env": "NOT_SET"}):
            open_target(alone(server, **more)).close()
    assert [seen.authorization for seen in server.seen] == ["Bearer sk-of-the-instructor", f"Bearer {KEY}", ""]


# ---- faults


PASSING = {
    "429": fault(429),
    "500": fault(500),
    "503": fault(503),
    "reset before the head": Reply("x", cut=0),
    "reset in the body": Reply("hello " * 50, cut=300),
    "slow": Reply("x", delay=1.0),
    "broken JSON": Reply(body=b'{"choices": [{"mess'),
    "other JSON": Reply(body=b"[1, 2]"),
    "no choices": Reply(body=b'{"choices": []}'),
    "deep JSON": Reply(body=b'{"choices": ' + b"[" * 100_000),
    "deep error": Reply(status=500, body=b"[" * 100_000),
    "a number for a text": Reply(body=b'{"choices": [{"message": {"content": 7}}]}'),
    "choices of numbers": Reply(body=b'{"choices": [7]}'),
    "error with status 200": Reply(body=b'{"error": "overloaded"}'),
    "204": Reply(status=204, body=b""),
    "a stream": Reply(body=b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'),
    "no UTF-8": Reply(body=b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "broken gzip": Reply(body=b"nope", headers={"Content-Encoding": "gzip"}),
    "huge headers": Reply("x", headers={"X-Long": "y" * 200_000}),
}


@pytest.mark.parametrize("passing", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_costs_no_answer(passing):
    with Scripted(lambda body, number: passing if number == 2 else Reply("yes")) as server:
        served = ServedTarget.connect(alone(server, batch_size=1), FAST, timeout=0.3)
        assert [completion.text for _, completion in served.generate(PROMPTS, max_new_tokens=9)] == ["yes"] * 8
    assert len(server.questions) == 9


@pytest.mark.parametrize("usage", [[1], "5", None, {"completion_tokens": "many"}, {"completion_tokens": 1e308}, {"completion_tokens": -1}])
def test_an_answer_is_kept_whatever_its_counts_of_tokens_are(usage):
    body = {"choices": [{"message": {"content": "yes, it is"}, "finish_reason": 7}], "usage": usage}
    with Scripted(lambda body_, number: Reply(body=json.dumps(body).encode())) as server:
        served = ServedTarget.connect(alone(server), FAST)
        assert dict(served.generate(PROMPTS[:1], max_new_tokens=9)) == {0: Completion("yes, it is", "stop", 2)}
    assert len(server.questions) == 1


@pytest.mark.parametrize(
    ("message", "finish", "text"),
    [
        ({"content": [{"type": "text", "text": "ye"}, {"type": "text", "text": "s"}]}, "stop", "yes"),
        ({"content": None, "refusal": "I will not."}, "stop", "I will not."),
        ({"content": "yes", "reasoning_content": "hm"}, "stop", "<think>\nhm\n</think>\nyes"),
        ({"content": None, "reasoning": "hm"}, "length", "<think>\nhm"),
        ({"content": None, "tool_calls": [{"id": 7}]}, "tool_calls", ""),
    ],
)
def test_an_answer_is_read_in_parts_and_with_the_reasoning_that_a_server_keeps_apart(message, finish, text):
    body = json.dumps({"choices": [{"message": message, "finish_reason": finish}], "usage": {"completion_tokens": 3}}).encode()
    with Scripted(lambda body_, number: Reply(body=body)) as server:
        answers = dict(ServedTarget.connect(alone(server), FAST).generate(PROMPTS[:1], max_new_tokens=9))
    assert answers == {0: Completion(text, "length" if finish == "length" else "stop", 3)}


def test_a_wait_that_the_server_asks_for_is_kept():
    with Scripted(lambda body, number: fault(429, Retry_After="1") if number == 1 else Reply("yes")) as server:
        served = ServedTarget.connect(alone(server), FAST)
        list(served.generate(PROMPTS[:1], max_new_tokens=9))
    refused, answered = server.questions
    assert answered.at - refused.at >= 1


def test_patience_ends_in_one_line_and_a_continued_evaluation_asks_only_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(ServedTarget, "connect", functools.partial(ServedTarget.connect, patience=FAST))
    down = threading.Event()
    script = lambda body, number: fault(503, "down") if down.is_set() and number > 12 else Reply("#### 7")  # noqa: E731
    with Scripted(script) as server:
        down.set()
        config = load_config(overrides={"items.dev": 30, "target.api_base": server.url, "target.served_name": "m", "target.batch_size": 2})

        def measure():
            with Cycle(config, tmp_path / "run", say=lambda line: None) as loop:
                return loop.scores(loop.task, "dev", config.target)

        with pytest.raises(TargetError, match=r"HTTP 503, down \(tried 3 times\); give the same command again") as caught:
            measure()
        assert "\n" not in str(caught.value)
        (part,) = (tmp_path / "run").rglob("*.part")
        kept = part.read_bytes().count(b"\n")
        assert kept == 12
        down.clear()
        before = len(server.questions)
        assert len(measure()) == 30
        assert len(server.questions) - before == 30 - kept


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_ends_at_once_and_is_not_printed(monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Scripted(lambda body, number: fault(status, f"the key {KEY} is wrong")) as server:
        served = ServedTarget.connect(alone(server), FAST)
        with pytest.raises(TargetError, match="set OPENAI_API_KEY to its key") as caught:
            list(served.generate(PROMPTS[:1], max_new_tokens=9))
    assert KEY not in said(caught)
    assert len(server.questions) == 1


def test_a_question_that_the_server_refuses_ends_with_what_it_said():
    with Scripted(lambda body, number: fault(400, "roles must alternate")) as server:
        served = ServedTarget.connect(alone(server), FAST)
        with pytest.raises(TargetError, match="refused to answer as m: roles must alternate"):
            list(served.generate(PROMPTS[:1], max_new_tokens=9))


def refusing(words):
    """A server that refuses questions with one of these words in them."""
    return lambda body, number: (
        fault(400, "no \x1b[31mroses") if any(w in body["messages"][-1]["content"] for w in words) else Reply("#### 7")
    )


def test_a_question_that_the_server_refuses_stays_unjudged_and_the_others_are_judged(tmp_path):
    config = {"items.dev": 30, "target.served_name": "m"}
    with Cycle(load_config(overrides={"items.dev": 30}), tmp_path / "items", say=lambda line: None) as loop:
        items = loop.task.examples("dev", 30, seed=0)
    asked = [item.question for item in items]
    with Scripted(refusing(asked[:5])) as server:
        said = []
        with Cycle(load_config(overrides=config | {"target.api_base": server.url}), tmp_path / "run", say=said.append) as loop:
            rows = loop.scores(loop.task, "dev", loop.config.target)
    unjudged = {row.example.question: row.verdict.reason for row in rows if row.verdict.correct is None}
    assert unjudged == dict.fromkeys(asked[:5], "the server refused the question: no roses")
    assert len(rows) == 30
    assert any("5 unjudged" in line for line in said)


@pytest.mark.parametrize(("count", "refusals", "ends"), [(6, 0.01, True), (6, 0.5, False), (8, 0.5, True)])
def test_more_refusals_than_the_config_allows_end_the_evaluation(count, refusals, ends):
    prompts = [[{"role": "user", "content": f"q{n}."}] for n in range(12)]
    with Scripted(refusing([f"q{n}." for n in range(count)])) as server:
        served = ServedTarget.connect(alone(server, refusals=refusals, batch_size=1), FAST)
        if ends:
            with pytest.raises(TargetError, match=r"of 12 questions refused, the last one to answer as m: no roses"):
                dict(served.generate(prompts, max_new_tokens=9))
        else:
            assert sum(bool(one.fault) for one in dict(served.generate(prompts, max_new_tokens=9)).values()) == count


@pytest.mark.parametrize("status", [302, 404, 405, 410, 451])
def test_a_refusal_that_is_about_no_question_ends_at_once(status):
    reply = Reply(status=status, body=b'{"message": "gone"}', headers={"Location": "http://elsewhere/v1"})
    with Scripted(lambda body, number: reply) as server:
        served = ServedTarget.connect(alone(server, batch_size=1), FAST)
        with pytest.raises(
            TargetError, match=f"refused \\(HTTP {status}\\) to answer as m: (gone|it has moved to http://elsewhere/v1)"
        ) as caught:
            dict(served.generate(PROMPTS, max_new_tokens=9))
    assert len(server.questions) == 1
    said(caught)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"7", b'{"data": 7}', b'{"data": [7]}', b"<title>hello</title>", b""])
def test_a_list_of_models_that_cannot_be_read_is_told_in_one_line(body):
    with OpenAIServer(lambda body_, number: Reply(body=body)) as server, pytest.raises(TargetError, match="cannot be read") as caught:
        ServedTarget.connect(alone(server), FAST)
    assert len(said(caught)) < 400


# ---- what is told at once


def test_no_server_is_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(TargetError, match=r"no answer from a server at .*refused.*: start it, or correct target.api_base"):
        open_target(TargetSettings(api_base=address, served_name="m"))


def test_an_address_without_v1_is_told(tiny):
    with pytest.raises(TargetError, match=r"lists no models \(HTTP 404\): correct target.api_base, which mostly ends in /v1"):
        open_target(TargetSettings(api_base=tiny.url.removesuffix("/v1") + "/v2", served_name="tiny"))


def test_a_name_that_is_not_served_is_told_with_those_that_are():
    with Scripted(lambda body, number: Reply("yes"), models=("a/b", "c")) as server:
        with pytest.raises(TargetError, match=r"no model is called m: the server at .* serves a/b, c; set target.served_name"):
            open_target(alone(server))
        for model in ("", "tiny"):
            with pytest.raises(TargetError, match="serves a/b, c: say which is the target"):
                open_target(TargetSettings(model=model, api_base=server.url))


@pytest.mark.parametrize(
    ("server", "rank", "advice"),
    [
        ({"runtime_updating": False}, 16, "--enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"),
        ({"enable_lora": False}, 16, "LoRA is not enabled.*--enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"),
        ({}, 32, "greater than max_lora_rank 16.; start it with --max-lora-rank 32 or more"),
        ({"disk": Path("/nowhere")}, 16, "sees no such folder; share the folder with it, and say with target.server_paths"),
    ],
    ids=["no API", "no LoRA", "rank", "folder"],
)
def test_an_adapter_that_is_not_loaded_is_told_with_what_the_server_lacks(adapters, server, rank, advice):
    with VllmServer("tiny", **server) as vllm, pytest.raises(TargetError, match=advice) as caught:
        open_target(TargetSettings(model="tiny", adapter=adapters[rank], api_base=vllm.url))
    assert adapters[rank] in said(caught)
    assert [seen.path for seen in vllm.seen] == ["/v1/models", "/v1/load_lora_adapter"]  # asked again, it would say the same


def test_a_rank_is_named_that_vllm_takes():
    assert [vllm_rank(rank) for rank in (1, 2, 12, 16, 300)] == [1, 8, 16, 16, 320]


def test_a_server_that_sees_the_folder_elsewhere_is_given_its_own_path(adapters, tmp_path):
    folder = Path(adapters[16])
    (tmp_path / "models").symlink_to(folder.parent)
    with VllmServer("tiny", disk=tmp_path) as server:
        paths = (("/nowhere", "/x"), (str(folder.parent), "/models"))
        served = open_target(TargetSettings(model="tiny", adapter=str(folder), api_base=server.url, server_paths=paths))
        assert server.loaded == [served.name]


def test_an_adapter_of_other_weights_is_not_loaded(adapters, tiny, tmp_path):
    import shutil

    folder = shutil.copytree(adapters[16], tmp_path / "adapter")
    (folder / "base.json").write_text('{"base": "0123456789abcdef"}')
    with pytest.raises(TargetError, match="does not belong to tiny: it was trained on the weights 0123456789abcdef"):
        open_target(TargetSettings(model="tiny", adapter=str(folder), api_base=tiny.url))


# ---- runs and the command line


def test_weights_that_are_here_are_known_by_their_content_and_others_by_address_and_name():
    def of(**fields):
        return weights_hash(TargetSettings(**fields))

    here = of()
    assert of(model="tiny", api_base="http://one/v1") == of(model="tiny", api_base="http://two/v1", served_name="x") == here
    names = [("http://one/v1", "x"), ("http://two/v1", "x"), ("http://one/v1", "y")]
    unknown = {of(api_base=address, served_name=name) for address, name in names}
    assert len(unknown | {here}) == 4


def test_a_run_may_follow_its_server_to_another_address_but_not_change_between_here_and_there(tmp_path):
    def opened(**target):
        with Cycle(load_config(overrides={f"target.{name}": value for name, value in target.items()}), tmp_path / "run"):
            (tmp_path / "run/round-1/mine").mkdir(parents=True, exist_ok=True)
            (tmp_path / "run/round-1/mine/attempts.jsonl.part").write_text("[]\n")

    opened(model="tiny", api_base="http://one/v1")
    opened(model="tiny", api_base="http://two/v1")
    with pytest.raises(RunError, match=re.escape("made with target.api_base = 'http://two/v1', not None")):
        opened()
    with pytest.raises(RunError, match="served_name"):
        opened(model="tiny", api_base="http://two/v1", served_name="other")


def test_what_cannot_be_trained_is_told_before_anything_is_asked(tiny, tmp_path):
    served = {"target.api_base": tiny.url}
    with pytest.raises(UsageError, match=r"set train\.method to lora"):
        Cycle(load_config(overrides=served | {"target.model": "tiny", "train.method": "full"}), tmp_path / "full")
    before = len(tiny.seen)
    loop = Cycle(load_config(overrides=served | {"target.served_name": "tiny"}), tmp_path / "run")
    with loop, pytest.raises(UsageError, match="training needs the weights that the server has on this machine too"):
        loop.run()
    assert len(tiny.seen) == before
    with VllmServer("tiny", runtime_updating=False) as plain:
        loop = Cycle(load_config(overrides={"target.api_base": plain.url, "target.model": "tiny"}), tmp_path / "plain")
        with loop, pytest.raises(TargetError, match="cannot be given the adapters that a cycle trains: vLLM loads adapters when"):
            loop.run()
        assert not [seen for seen in plain.seen if seen.path.endswith("/chat/completions")]


def test_evaluate_needs_no_weights_and_says_by_what_the_rows_are_known(tiny, tmp_path):
    run = str(tmp_path / "run")
    command = ["evaluate", "--served", tiny.url, "--split", "dev", "--limit", "10", "--run", run]
    asked = CliRunner().invoke(app, command)
    assert asked.exit_code == 1
    assert "serves tiny: say which is the target with --set target.served_name=NAME" in asked.stderr
    done = CliRunner().invoke(app, [*command, "--set", "target.served_name=tiny", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 10
    assert f"tiny at {tiny.url} is known by its name alone: when the server is given other weights, choose another --run" in done.stderr
    wrong = CliRunner().invoke(app, ["evaluate", "--served", "localhost:8000/v1", "--run", run])
    assert wrong.exit_code == 2
    assert "target.api_base = 'localhost:8000/v1' is not usable" in wrong.stderr
