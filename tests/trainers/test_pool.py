"""Several servers as one target, over real HTTP: the questions are shared, a dead server costs no answer, and the rows are those of one."""

import socket

import pytest
from openai_server import OpenAIServer, Reply
from vllm_server import document

from errata.signatures.calls import Patience
from errata.signatures.errors import TargetError
from errata.trainers import open_target
from errata.trainers.served.target import ServedTarget
from errata.trainers.settings import TargetSettings

FAST = Patience(attempts=3, first=0.02, most=5.0)
KEY = "sk-of-the-pool-12345678"


def prompts(count):
    return [[{"role": "user", "content": f"q{number}."}] for number in range(count)]


class Scripted(OpenAIServer):
    """Lists `models`, answers questions by script, and can be closed and opened again at its address."""

    def __init__(self, script=lambda body, number: Reply(body["messages"][-1]["content"] + f" {body['seed']}"), models=("m",), port=0):
        super().__init__(script)
        self.models = models
        self.port = port

    async def reply(self, request, number):
        if request.path.endswith("/models"):
            return document({"data": [{"id": name, "object": "model"} for name in self.models]})
        return self.script(request.body, number)

    @property
    def questions(self):
        return [seen.body["messages"][-1]["content"] for seen in self.seen if seen.path.endswith("/chat/completions")]


def closed():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def several(*servers, **more):
    addresses = [server if isinstance(server, str) else server.url for server in servers]
    return TargetSettings(api_base=addresses, served_name="m", **more)


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
    assert len(two.questions) and len(three.questions)
    assert sorted(one.questions[30:] + two.questions + three.questions) == sorted(one.questions[:30])


def test_a_few_questions_are_spread_and_no_server_has_more_under_way_than_its_room():
    slow = lambda body, number: Reply("yes", delay=0.05)  # noqa: E731
    with Scripted(slow) as one, Scripted(slow) as two:
        asked(ServedTarget.connect(several(one, two), FAST), 6)
        assert len(one.questions) == len(two.questions) == 3
        asked(ServedTarget.connect(several(one, two, batch_size=4), FAST), 40)
    assert one.most_in_flight == two.most_in_flight == 4


def test_a_slow_server_is_asked_less():
    with Scripted(lambda body, number: Reply("yes", delay=0.5)) as slow, Scripted() as quick:
        assert len(asked(ServedTarget.connect(several(slow, quick, batch_size=2), FAST), 60)) == 60
    assert len(slow.questions) < len(quick.questions)
    assert len(slow.questions) + len(quick.questions) == 60


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
