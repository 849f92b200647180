"""Tools of a prompt: shown by the model's own chat template, else told in the system text, and what of a row is learned."""

import json
from collections import Counter
from pathlib import Path

import models
import pytest
from openai_server import OpenAIServer, Reply, fault

from errata.signatures.calls import Patience
from errata.signatures.records import TrainRow
from errata.tasks.settings import TableSettings
from errata.tasks.table import TableTask
from errata.trainers.chat import IGNORED, encoded, render
from errata.trainers.served.target import ServedTarget
from errata.trainers.settings import TargetSettings
from errata.trainers.target import load_tokenizer

# As Qwen2.5's: tools stand in the system turn.
QWEN = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nFunction signatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nFor each call return a json object within <tool_call></tool_call> XML tags.<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
# As Llama 3.1's: tools stand in the first turn of the user.
LLAMA = """\
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + strftime_now("%d %b %Y") + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if tools is not none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message when there's no first user message!") }}
    {%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {{- "Given the following functions, respond with a JSON for a function call.\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
# As Mistral's: no system turn, tools before the last turn of the user.
MISTRAL = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
    {%- if message['role'] == 'user' %}
        {%- if tools is not none and loop.last %}{{- '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{% endif %}
        {{- '[INST] ' + message['content'] + ' [/INST]' }}
    {%- else %}{{- ' ' + message['content'] + eos_token }}{% endif %}
{%- endfor %}
"""
WEATHER = {"name": "get_weather", "description": "", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
SYSTEM = {"role": "system", "content": "Be brief."}
TOLD = "You may call one or more of these functions to help with what the user asks:"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: models.make(kind, root / kind) for kind in ("qwen2", "llama", "mistral", "plain")}


@pytest.fixture
def load(folders):
    def load(kind: str, template: str | None = None):
        tokenizer = load_tokenizer(TargetSettings(model=str(folders.get(kind, kind))))
        tokenizer.chat_template = template or tokenizer.chat_template
        return tokenizer

    return load


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "chat.jsonl").write_text(json.dumps({"question": "Weather in Rome?", "answer": CALL, "tools": [WEATHER]}))
    task = TableTask(f"jsonl:{tmp_path / 'chat.jsonl'}", TableSettings(verdict="tools"))
    return task.prompt(task.examples("train")[0])


def learned(tokenizer, prompt, ends: list[str]) -> tuple[str, str]:
    """What a row reads, and what it learns."""
    row = TrainRow(prompt=tuple(prompt), completion=({"role": "assistant", "content": CALL},), source="s")
    (given,) = encoded([row], tokenizer, tokenizer.convert_tokens_to_ids(ends), None, Counter(), {})
    both = list(zip(given["input_ids"], given["labels"], strict=True))
    parts = [[token for token, label in both if (label == IGNORED) == read] for read in (True, False)]
    read, kept = (tokenizer.decode(part, clean_up_tokenization_spaces=False) for part in parts)
    return read, kept


def test_a_template_of_qwen_shows_the_tools_in_its_system_turn(load, asked):
    tokenizer = load("qwen2", QWEN)
    assert render(tokenizer, asked) == (
        "<|im_start|>system\nYou are a helpful assistant.\n\n# Tools\n\nFunction signatures within <tools></tools> XML tags:\n<tools>\n"
        f"{json.dumps({'type': 'function', 'function': WEATHER})}\n</tools>\n\n"
        "For each call return a json object within <tool_call></tool_call> XML tags.<|im_end|>\n"
        "<|im_start|>user\nWeather in Rome?<|im_end|>\n<|im_start|>assistant\n"
    )
    read, kept = learned(tokenizer, asked, ["<|im_end|>"])
    assert read == render(tokenizer, asked)
    assert kept == f"{CALL}<|im_end|>"
    with_system = render(tokenizer, [asked[0], SYSTEM, *asked[1:]])
    assert with_system.startswith("<|im_start|>system\nBe brief.\n\n# Tools") and with_system.count("get_weather") == 1


def test_a_template_of_llama_shows_the_tools_in_the_first_turn_of_the_user(load, asked):
    tokenizer = load("llama", LLAMA)
    text = render(tokenizer, [asked[0], SYSTEM, *asked[1:]])
    assert text.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\n")
    assert text.index("Today Date: 26 Jul 2024") < text.index("Be brief.") < text.index("<|start_header_id|>user")
    assert text.count("get_weather") == 1 and TOLD not in text
    assert text.index("<|start_header_id|>user") < text.index('"name": "get_weather"') < text.index("Weather in Rome?")
    read, kept = learned(tokenizer, asked, ["<|eot_id|>"])
    assert read == render(tokenizer, asked)
    assert kept == f"{CALL}<|eot_id|>"


def test_a_template_without_tools_has_them_told_in_the_system_text(load, asked):
    tokenizer = load("tiny")
    read, kept = learned(tokenizer, asked, [tokenizer.eos_token])
    assert read == render(tokenizer, asked) == render(tokenizer, [{"role": "system", "content": said_of_tools(asked)}, *asked[1:]])
    assert json.dumps({"type": "function", "function": WEATHER}) in read and read.count(TOLD) == 1
    assert kept == f"{CALL}{tokenizer.eos_token}"
    text = render(tokenizer, [asked[0], SYSTEM, *asked[1:]])
    assert text.index("Be brief.") < text.index(TOLD) < text.index("Weather in Rome?")


def said_of_tools(asked) -> str:
    tool = json.dumps({"type": "function", "function": WEATHER})
    form = '<tool_call>\n{"name": <name of the function>, "arguments": <object of arguments>}\n</tool_call>'
    told = "For each call write a JSON object with the function's name and its arguments within <tool_call></tool_call>:"
    return f"{TOLD}\n<tools>\n{tool}\n</tools>\n{told}\n{form}"


def test_a_template_with_tools_and_without_a_system_turn_keeps_both(load, asked):
    text = render(load("mistral", MISTRAL), [asked[0], SYSTEM, *asked[1:]])
    tool = json.dumps([{"type": "function", "function": WEATHER}])
    assert text == f"<s>[AVAILABLE_TOOLS] {tool}[/AVAILABLE_TOOLS][INST] Be brief.\n\nWeather in Rome? [/INST]"


def test_a_template_with_neither_has_both_in_the_users_turn(load, asked):
    text = render(load("mistral"), [asked[0], SYSTEM, *asked[1:]])
    assert text.startswith(f"<s>[INST] Be brief.\n\n{TOLD}") and text.endswith("</tool_call>\n\nWeather in Rome? [/INST]")


def test_the_name_of_a_tool_in_the_users_words_is_not_taken_for_the_tools(load, asked):
    asked = [asked[0], {"role": "user", "content": "Use get_weather for Rome."}]
    assert TOLD in render(load("tiny"), asked)


def test_without_a_template_the_tools_stand_first(load, asked):
    assert render(load("plain"), asked) == f"{said_of_tools(asked)}\n\nWeather in Rome?\n\n"


def test_of_named_templates_the_one_for_tools_is_used(load, asked):
    tokenizer = load("qwen2")
    tokenizer.chat_template = {"default": tokenizer.chat_template, "tool_use": QWEN}
    assert "# Tools" in render(tokenizer, asked)
    assert "# Tools" not in render(tokenizer, asked[1:])


def test_what_has_no_tools_is_rendered_as_before(load, asked):
    for kind, template in (("qwen2", QWEN), ("llama", LLAMA), ("mistral", MISTRAL), ("tiny", None)):
        text = render(load(kind, template), asked[1:])
        assert "Weather in Rome?" in text and "tools" not in text.lower() and "ipython" not in text


RESULT = [
    {"role": "user", "content": "Weather in Rome?"},
    {"role": "assistant", "content": CALL},
    {"role": "tool", "content": '{"sky": "blue"}'},
    {"role": "assistant", "content": "It is sunny."},
    {"role": "user", "content": "And in Oslo?"},
]


def test_what_a_tool_gave_back_is_shown_by_the_template_or_as_a_turn_of_the_users(load, asked):
    own = render(load("qwen2", QWEN), [asked[0], *RESULT])
    assert own.count('<|im_start|>user\n<tool_response>\n{"sky": "blue"}\n</tool_response><|im_end|>') == 1
    said = '[INST] <tool_response>\n{"sky": "blue"}\n</tool_response> [/INST]'
    told = render(load("mistral", MISTRAL), [asked[0], SYSTEM, *RESULT])  # refuses the role
    assert told.startswith("<s>[INST] Be brief.\n\nWeather in Rome? [/INST]") and told.count(said) == 1 and "[AVAILABLE_TOOLS]" in told
    drops = "{% for m in messages %}{% if m['role'] != 'tool' %}<{{ m['content'] }}>{% endif %}{% endfor %}"
    assert '<<tool_response>\n{"sky": "blue"}\n</tool_response>>' in render(load("qwen2", drops), RESULT)
    escapes = "{% for m in messages %}{{ m['role'] }} {{ m['content'] | tojson if m['role'] == 'tool' else m['content'] }}{% endfor %}"
    assert "tool_response" not in render(load("llama", escapes), RESULT)  # as Llama 3.1's


# ---- at a server


class Served(OpenAIServer):
    """A server that knows `tool_choice` in `takes`, refuses tools with others, and shows the model what it is told to show."""

    def __init__(self, takes=("none", "auto"), shows=("none", "auto"), reply=None, status=400, usage=True):
        super().__init__(lambda body, number: reply(body) if reply else Reply(CALL))
        self.takes, self.shows, self.status, self.usage = takes, shows, status, usage
        self.told: list[str] = []
        """What its model reads of each request."""

    async def reply(self, request, number):
        if request.path.endswith("/models"):
            return Reply(body=json.dumps({"data": [{"id": "m"}]}).encode())
        choice = request.body.get("tool_choice")
        if choice and choice not in self.takes:
            return fault(self.status, "m does not support tools")
        shown = json.dumps(request.body["tools"]) if choice in self.shows else ""
        self.told.append(shown + "".join(message["content"] for message in request.body["messages"]))
        said = self.script(request.body, number)
        usage = {"prompt_tokens": len(self.told[-1].split()), "completion_tokens": 1} if self.usage else {}
        message = {"role": "assistant", "content": said.text} | (json.loads(said.body) if said.body else {})
        body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        return Reply(body=json.dumps(body).encode())


def answers(server: Served, prompts) -> list[str]:
    target = ServedTarget.connect(TargetSettings(model="", served_name="m", api_base=server.url), Patience(attempts=2, first=0.01))
    found = dict(target.generate(prompts, max_new_tokens=32))
    target.close()
    return [found[place].text for place in range(len(prompts))]


def test_a_server_gets_the_tools_and_answers_in_text(asked):
    with Served() as server:
        assert answers(server, [asked, asked[1:]]) == [CALL, CALL]
        bodies = [seen.body for seen in server.seen if seen.path.endswith("/chat/completions")]
    first, second = (body for body in bodies if body["max_tokens"] == 32)
    assert [body["max_tokens"] for body in bodies].count(1) == len(bodies) - 2 == 3
    (one, other) = (first, second) if "tools" in first else (second, first)
    assert one["tools"] == [{"type": "function", "function": WEATHER}] and one["tool_choice"] == "none"
    assert one["messages"] == asked[1:] == other["messages"] and "tools" not in other


@pytest.mark.parametrize(
    ("how", "way"),
    [
        ({"shows": ("auto",)}, "auto"),  # as SGLang
        ({"takes": ("auto",)}, "auto"),
        ({"takes": ()}, ""),  # as Ollama with a model whose template knows no tools
        ({"takes": (), "status": 500}, ""),  # as llama.cpp without --jinja
        ({"shows": ()}, ""),
        ({"usage": False}, ""),
    ],
)
def test_the_model_reads_the_tools_once_whatever_its_server_does_with_them(asked, how, way):
    with Served(**how) as server:
        assert answers(server, [[asked[0], SYSTEM, *asked[1:]]] * 3) == [CALL] * 3
        bodies, told = [seen.body for seen in server.seen if seen.path.endswith("/chat/completions")][-3:], server.told[-3:]
    assert [body.get("tool_choice", "") for body in bodies] == [way] * 3
    assert [text.count("get_weather") for text in told] == [1] * 3
    assert [TOLD in text for text in told] == [not way] * 3
    assert all("Be brief." in text for text in told)
    assert all(message["role"] != "tools" for body in bodies for message in body["messages"])


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_fault_while_the_way_of_tools_is_looked_for_hides_no_tools(asked, place):
    class Faulty(Served):
        async def reply(self, request, number):
            self.asked = getattr(self, "asked", 0) + request.path.endswith("/chat/completions")
            ill = self.asked == place and request.body
            return fault(500, "CUDA error") if ill else await super().reply(request, number)

    with Faulty(shows=("auto",)) as server:
        assert answers(server, [asked] * 3) == [CALL] * 3
    assert all("get_weather" in text and TOLD not in text for text in server.told[-3:])


@pytest.mark.parametrize("bare", [True, False])
def test_a_prompt_that_is_too_long_says_nothing_of_how_tools_are_shown(asked, bare):
    class Short(Served):
        async def reply(self, request, number):
            long = request.body and "long" in request.body["messages"][-1]["content"] and (bare or "tools" in request.body)
            words = "This model's maximum context length is 2048 tokens. However, your prompt contains 3000 input tokens."
            return fault(400, words) if long else await super().reply(request, number)

    with Short() as server:
        target = ServedTarget.connect(TargetSettings(model="", served_name="m", api_base=server.url, batch_size=1))
        found = dict(target.generate([[asked[0], {"role": "user", "content": "A long one."}], asked], max_new_tokens=32))
        target.close()
    assert (found[1].text, TOLD in server.told[-1], "get_weather" in server.told[-1]) == (CALL, False, True)


def test_calls_that_a_server_keeps_apart_are_part_of_the_answer(asked):
    def apart(*arguments, content=None):
        calls = [{"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": one}} for one in arguments]
        return lambda body: Reply(body=json.dumps({"content": content, "tool_calls": calls}).encode())

    with Served(reply=apart('{"city": "Rome"}')) as server:
        assert answers(server, [asked]) == [CALL]
    with Served(reply=apart({"city": "Rome"}, '{"city": "Rome"}', content="I look.")) as server:
        assert answers(server, [asked]) == [f"I look.\n{CALL}\n{CALL}"]
    with Served(reply=apart('{"city": ')) as server:
        assert answers(server, [asked]) == ['<tool_call>\n{"name": "get_weather", "arguments": {"city": }\n</tool_call>']
