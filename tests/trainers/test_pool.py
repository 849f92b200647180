"""Several servers as one target, over real HTTP: the questions are shared, a dead server costs no answer, and the rows are those of one."""

import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import openai_server
import pytest
from openai_server import Reply, fault
from typer.testing import CliRunner

import errata.trainers.served.pool as pool
from errata.cli import app
from errata.signatures.calls import Patience
from errata.signatures.errors import TargetError
from errata.trainers import open_target
from errata.trainers.served.target import ServedTarget
from errata.trainers.settings import TargetSettings

ROOT = Path(__file__).parents[2]
FAST = Patience(attempts=3, first=0.02, most=5.0)
KEY = "sk-of-the-pool-12345678"


def prompts(count):
    return [[{"role": "user", "content": f"q{number}."}] for number in range(count)]


class Scripted(openai_server.Scripted):
    """Answers with the question and its seed, where no script says otherwise."""

    def __init__(self, script=lambda body, number: Reply(body["messages"][-1]["content"] + f" {body['seed']}"), **more):
        super().__init__(script, **more)

    @property
    def texts(self):
        return [seen.last for seen in self.questions]


def closed():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def several(*servers, **more):
    addresses = [server if isinstance(server, str) else server.url for server in servers]
    return TargetSettings(api_base=addresses, served_name="m", **more)


def until(said, answers):
    """Answers until something is said."""
    found = {}
    while not said:
        found |= [next(answers)]
    return found


def asked(target, count, **more):
    """Index of each prompt -> its answer; the target is closed."""
    try:
        return dict(target.generate(prompts(count), max_new_tokens=9, **more))
    finally:
        target.close()


# ---- sharing


def test_the_answers_of_several_servers_are_those_of_one():
    with Scripted() as one, Scripted() as two, Scripted() as three:
        alone = asked(ServedTarget.connect(several(one), FAST), 30, temperature=0.7, seed=3)
        many = asked(ServedTarget.connect(several(one, two, three, batch_size=2), FAST), 30, temperature=0.7, seed=3)
    assert many == alone
    assert len(two.texts) and len(three.texts)
    assert sorted(one.texts[30:] + two.texts + three.texts) == sorted(one.texts[:30])


def test_a_few_questions_are_spread_and_no_server_has_more_under_way_than_its_room():
    slow = lambda body, number: Reply("yes", delay=0.05)  # noqa: E731
    with Scripted(slow) as one, Scripted(slow) as two:
        asked(ServedTarget.connect(several(one, two), FAST), 6)
        assert len(one.texts) == len(two.texts) == 3
        asked(ServedTarget.connect(several(one, two, batch_size=4), FAST), 40)
    assert one.most_in_flight == two.most_in_flight == 4


def test_a_slow_server_is_asked_less():
    with Scripted(lambda body, number: Reply("yes", delay=0.5)) as slow, Scripted() as quick:
        assert len(asked(ServedTarget.connect(several(slow, quick, batch_size=2), FAST), 60)) == 60
    assert len(slow.texts) < len(quick.texts)
    assert len(slow.texts) + len(quick.texts) == 60


def test_a_list_of_one_server_is_that_server():
    with Scripted() as one:
        settings = several(one)
        assert settings == TargetSettings(api_base=one.url, served_name="m")
        assert len(asked(open_target(settings), 3)) == 3


# ---- servers that are not there


def test_a_server_that_is_dead_at_the_start_is_told_in_one_line_and_the_others_answer():
    said, dead = [], closed()
    with Scripted() as one, Scripted() as two:
        target = ServedTarget.connect(several(one, dead, two), FAST, say=said.append)
        assert len(asked(target, 20)) == 20
    assert said == [f"the server at {dead} is left out (Connection refused): the other servers answer, and it is asked again later"]


def test_no_server_that_answers_is_one_line():
    first, second = closed(), closed()
    with pytest.raises(
        TargetError, match=r"no answer from any server: .*refused.*; .*refused.*: start one, or correct target.api_base"
    ) as caught:
        ServedTarget.connect(several(first, second), FAST)
    assert first in str(caught.value) and second in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_with_another_model_is_refused_at_the_start():
    with Scripted(models=("tiny",)) as one, Scripted(models=("other",)) as two:
        for order in ([one.url, two.url], [two.url, one.url]):
            with pytest.raises(TargetError, match=r"all servers of target\.api_base must serve the same model") as caught:
                open_target(TargetSettings(model="tiny", api_base=order))
            assert "tiny" in str(caught.value) and "other" in str(caught.value)
    told = r"no model is called m: the server at .* serves n; set target\.served_name"
    with Scripted() as one, Scripted(models=("n",)) as two, pytest.raises(TargetError, match=told):
        open_target(several(one, two))


# ---- servers that die and come back


def started(*more):
    """A process that serves the model `m` and answers after 10 ms, and its address."""
    command = [sys.executable, str(ROOT / "scripts/bench_served.py"), "--serve", "--seconds", "0.01", *more]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().strip()


@pytest.fixture
def process():
    """As `started`; it is ended with the test."""
    with ExitStack() as ended:

        def start(*more):
            server, address = started(*more)
            ended.callback(server.communicate)
            ended.callback(server.kill)
            return server, address

        yield start


def test_a_server_that_is_killed_in_the_middle_costs_no_answer_and_is_told_when_it_is_back(process):
    said, (server, address) = [], process()
    with Scripted(lambda body, number: Reply("yes", delay=0.02)) as other:
        answers = ServedTarget.connect(several(address, other, batch_size=4), FAST, say=said.append).generate(
            prompts(400), max_new_tokens=9
        )
        found = dict([next(answers) for _ in range(20)])
        server.kill()
        found |= until(said, answers)
        assert said[0].startswith(f"the server at {address} is left out (")
        process("--port", address.rpartition(":")[2].partition("/")[0])
        found |= dict(answers)
    assert said[1:] == [f"the server at {address} answers again"]
    assert found.keys() == set(range(400))
    assert len(other.texts) < 400


def test_a_server_that_is_silent_is_left_out_and_its_questions_go_to_the_others(process, monkeypatch):
    monkeypatch.setattr(pool, "SILENT", 0.1)
    monkeypatch.setattr(pool, "CONNECT", 0.2)
    said, (server, address) = [], process()
    with Scripted(lambda body, number: Reply("yes", delay=0.01)) as other:
        target = ServedTarget.connect(several(address, other, batch_size=4), FAST, say=said.append)
        answers = target.generate(prompts(100), max_new_tokens=9)
        found = dict([next(answers) for _ in range(10)])
        server.send_signal(signal.SIGSTOP)
        found |= dict(answers)
    assert found.keys() == set(range(100))
    assert said == [f"the server at {address} is left out (silent for 0.2 s): the other servers answer, and it is asked again later"]


def test_a_server_whose_every_answer_is_an_error_is_asked_little_and_told(monkeypatch):
    said = []
    with Scripted(lambda body, number: fault(500, "engine is dead")) as ill, Scripted(lambda body, number: Reply("y", delay=0.01)) as well:
        answers = asked(ServedTarget.connect(several(ill, well, batch_size=2), FAST, say=said.append), 200)
    assert len(answers) == 200 and {one.text for one in answers.values()} == {"y"}
    assert len(ill.texts) < 50
    assert (
        said[0] == f"the server at {ill.url} is left out (HTTP 500, engine is dead): the other servers answer, and it is asked again later"
    )


def test_a_single_fault_leaves_no_server_out():
    said = []
    with Scripted(lambda body, number: fault(503) if number == 5 else Reply("yes")) as one, Scripted() as two:
        assert len(asked(ServedTarget.connect(several(one, two, batch_size=2), FAST, say=said.append), 40)) == 40
    assert said == []


@pytest.mark.parametrize("wait", ["1", "3000"])
def test_a_server_that_wants_to_wait_is_left_in_peace_while_the_others_answer(wait):
    said = []
    limited = lambda body, number: fault(429, Retry_After=wait) if number < 3 else Reply("yes")  # noqa: E731
    with Scripted(limited) as one, Scripted() as two:
        assert len(asked(ServedTarget.connect(several(one, two, batch_size=1), FAST, say=said.append), 30)) == 30
    assert said == []
    assert len(one.texts) == 1


def test_when_all_servers_die_the_error_is_that_of_one_and_a_continued_call_goes_on():
    down = threading.Event()
    script = lambda body, number: fault(503, "down") if down.is_set() else Reply("yes")  # noqa: E731
    with Scripted(script) as one, Scripted(script) as two:
        target = ServedTarget.connect(several(one, two, batch_size=2), FAST)
        answers = target.generate(prompts(40), max_new_tokens=9)
        next(answers)
        down.set()
        with pytest.raises(TargetError, match=r"the server at .*: HTTP 503, down \(tried 3 times\); give the same command again") as caught:
            list(answers)
        assert "\n" not in str(caught.value)
        down.clear()
        assert len(asked(target, 10)) == 10


def test_a_server_that_comes_back_with_another_model_stays_out_and_is_told_once():
    said = []
    with Scripted(lambda body, number: Reply("yes", delay=0.01)) as other:
        first = Scripted().__enter__()
        target = ServedTarget.connect(several(first, other, batch_size=2), FAST, say=said.append)
        answers = target.generate(prompts(150), max_new_tokens=9)
        next(answers)
        first.__exit__()
        until(said, answers)
        with Scripted(models=("n",), port=first.port) as back:
            list(answers)
        assert back.texts == []
    assert said[1:] == [f"no model is called m: the server at {first.url} serves n; set target.served_name to one of its names"]


@pytest.mark.parametrize("status", [500, 401])
def test_no_key_is_told_of_a_server_that_repeats_it(monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = []
    wrong, slow = fault(status, f"the key {KEY} is wrong"), Reply("yes", delay=0.02)
    with Scripted(lambda body, number: wrong) as ill, Scripted(lambda body, number: slow) as well:
        target = ServedTarget.connect(several(ill, well, batch_size=3), FAST, say=said.append)
        try:
            asked(target, 60)
        except TargetError as error:
            said.append(str(error))
    assert "the key (key) is wrong" in said[0]
    assert KEY not in " ".join(said)
    assert {seen.authorization for seen in ill.seen + well.seen} == {f"Bearer {KEY}"}


# ---- adapters


class Loading(Scripted):
    """Loads adapters as vLLM does, and answers with the name that is asked."""

    def __init__(self, **more):
        super().__init__(lambda body, number: Reply(body["model"], delay=0.01), models=("tiny",), **more)
        self.calls = []

    async def reply(self, request, number):
        path, body = request.path.removeprefix("/v1"), request.body
        if path == "/chat/completions" and body["model"] not in self.models:
            return fault(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        if path.endswith("_lora_adapter"):
            self.calls.append(path)
            self.models = ("tiny", body["lora_name"]) if path.startswith("/load") else ("tiny",)
            return Reply(body=b"Success")
        return await super().reply(request, number)


@pytest.fixture
def adapter(tmp_path):
    """Files of an adapter that no model reads."""
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text('{"r": 8}')
    (tmp_path / "adapter/adapter_model.safetensors").write_bytes(b"any")
    return str(tmp_path / "adapter")


def adapted(adapter, *servers):
    return TargetSettings(model="tiny", adapter=adapter, api_base=[server.url for server in servers], batch_size=2)


def test_an_adapter_is_loaded_into_each_server_before_the_first_question_and_unloaded_at_the_end(adapter):
    with Loading() as one, Loading() as two:
        target = ServedTarget.connect(adapted(adapter, one, two), FAST)
        answers = asked(target, 20)
        for server in (one, two):
            paths = [seen.path for seen in server.seen]
            assert paths[:2] == ["/v1/models", "/v1/load_lora_adapter"]
            assert set(paths[2:-1]) == {"/v1/chat/completions"}
            assert paths[-1] == "/v1/unload_lora_adapter"
            assert server.models == ("tiny",)
    assert {one.text for one in answers.values()} == {target.name}


@pytest.mark.parametrize("several_servers", [True, False])
def test_a_server_that_was_started_anew_is_given_the_adapter_before_it_is_asked_again(adapter, several_servers):
    with Loading() as one, Loading() as two:
        target = ServedTarget.connect(adapted(adapter, *([one, two] if several_servers else [one])), FAST)
        answers = target.generate(prompts(60), max_new_tokens=9)
        found = dict([next(answers) for _ in range(5)])
        one.models = ("tiny",)  # so quickly that no question was lost
        found |= dict(answers)
        target.close()
        assert one.calls == ["/load_lora_adapter", "/load_lora_adapter", "/unload_lora_adapter"]
    assert found.keys() == set(range(60))
    assert {answer.text for answer in found.values()} == {target.name}


def test_a_server_that_died_and_came_back_is_given_the_adapter(adapter):
    said = []
    with Loading() as other:
        first = Loading().__enter__()
        target = ServedTarget.connect(adapted(adapter, first, other), FAST, say=said.append)
        answers = target.generate(prompts(200), max_new_tokens=9)
        next(answers)
        first.__exit__()
        until(said, answers)
        with Loading(port=first.port) as back:
            assert {answer.text for _, answer in answers} == {target.name}
            target.close()
            assert back.calls == ["/load_lora_adapter", "/unload_lora_adapter"]
            assert len(back.texts) > 0
    assert said[1:] == [f"the server at {first.url} answers again"]


def test_a_server_without_a_door_for_adapters_is_told_before_a_cycle_begins(adapter):
    with Loading() as one, Scripted(lambda body, number: fault(404, "Not Found"), models=("tiny",)) as plain:
        target = ServedTarget.connect(TargetSettings(model="tiny", api_base=[one.url, plain.url]), FAST)
        with pytest.raises(
            TargetError, match=rf"{plain.url} cannot be given the adapters .* --data-parallel-size also with --api-server-count 1"
        ):
            target.require_loading()
        target.close()
        with pytest.raises(TargetError, match=rf"{plain.url} did not load the adapter .* --api-server-count 1; then give the same command"):
            ServedTarget.connect(adapted(adapter, one, plain), FAST)
        assert one.models == ("tiny",)  # unloaded again


# ---- commands


def test_an_evaluation_with_two_servers_has_the_bytes_of_one_and_goes_on_with_another(tmp_path):
    command = ["evaluate", "--task", "sums", "--split", "dev", "--limit", "20", "--target", "tiny", "--json"]
    with Scripted(models=("tiny",)) as one, Scripted(models=("tiny",)) as two:
        bytes_of = {}
        for name, servers in (("one", [one.url]), ("two", [one.url, two.url]), ("two", [two.url])):
            flags = [flag for url in servers for flag in ("--served", url)]
            done = CliRunner().invoke(app, [*command, *flags, "--run", str(tmp_path / name)])
            assert done.exit_code == 0, done.stderr
            (file,) = (tmp_path / name).rglob("attempts.jsonl")
            bytes_of[name] = file.read_bytes()
        assert len(two.texts) == 10
    assert bytes_of["one"] == bytes_of["two"] and bytes_of["one"].count(b"\n") == 20


@pytest.mark.slow  # loads the package in a process of its own, which others of this file do in one way or another
def test_an_interrupt_ends_an_evaluation_whose_servers_are_silent(tmp_path):
    heard = threading.Event()

    def script(body, number):
        heard.set()
        return Reply("late", delay=600)

    with Scripted(script) as one, Scripted(script) as two:
        command = [sys.executable, "-m", "errata.cli", "evaluate", "--task", "sums", "--run", str(tmp_path / "run"), "--limit", "8"]
        command += ["--served", one.url, "--served", two.url, "--set", "target.served_name=m"]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert heard.wait(60)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said.splitlines()[-1] == "errata: interrupted; what was done is kept, and the same command continues"


def test_doctor_looks_at_each_server():
    dead = closed()
    with Scripted() as one:
        told = CliRunner().invoke(app, ["doctor", "--task", "sums", "--limit", "2", "--served", f"{one.url},{dead}"]).output
    lines = [line for line in told.splitlines() if "target's server" in line]
    assert [line.split()[0] for line in lines] == ["ok", "FAILED"]
    assert one.url in lines[0] and dead in lines[1]
