"""The verdict `tools`: which calls are read from what models write, and which of them are right."""

import json
from pathlib import Path

import pytest
from readings import readings

from errata.programs.samples.kinds import KINDS
from errata.programs.strategies.diagnose import fields_of
from errata.signatures.errors import TaskError, UsageError
from errata.signatures.records import Attempt, Failure
from errata.tasks import doctor, load_task
from errata.tasks.doctor import doubts
from errata.tasks.recorded.replies import reply
from errata.tasks.settings import TableSettings
from errata.tasks.verdicts import calls

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "default": 1},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "at": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}},
            "tags": {"type": "array", "items": {"type": "string"}},
            "hourly": {"type": "boolean"},
        },
        "required": ["city"],
    },
}
NOW = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}}
TOOLS = [WEATHER, NOW]
PARIS = {"name": "get_weather", "arguments": {"city": "Paris"}}
HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def table(tmp_path: Path, *golds, column=TOOLS, **settings):
    """A task with an item for each gold."""
    rows = [{"question": f"Question {number}?", "answer": gold} for number, gold in enumerate(golds)]
    rows = [row | ({"tools": column} if column else {}) for row in rows]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_task(f"jsonl:{tmp_path / 'chat.jsonl'}", TableSettings(verdict="tools", **settings))


@pytest.mark.parametrize(("text", "read"), readings("tools"))
def test_calls_are_read_in_the_forms_that_models_write(text, read):
    schemas = {"get_weather": WEATHER["parameters"], "now": {}}
    found = calls.read(text, schemas)
    assert (None if found is None else calls.written(found)) == read


@pytest.mark.parametrize(
    "gold",
    [
        PARIS,
        [PARIS],
        json.dumps([PARIS]),
        HERMES,
        'get_weather(city="Paris")',
        {"name": "get_weather", "arguments": json.dumps({"city": "Paris"})},
        [{"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}],
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
        [{"name": "get_weather", "arguments": {"city": "Paris", "days": None}}],  # as a table writes objects whose fields differ
    ],
)
def test_a_gold_is_read_in_any_form_and_passes_its_own_verdict(tmp_path, gold):
    task = table(tmp_path, gold)
    (item,) = task.examples("train")
    assert item.answer == json.dumps([PARIS])
    assert doctor(task) == (1, [])


@pytest.mark.parametrize("gold", ["", [], None, "I cannot do that.", {"role": "assistant", "content": "I cannot do that."}])
def test_a_gold_without_a_call_wants_words(tmp_path, gold):
    task = table(tmp_path, gold)
    (item,) = task.examples("train")
    assert item.answer == "[]"
    assert doctor(task) == (1, [])
    assert task.verdict(item, "That is not possible.").reason == "right"
    assert task.verdict(item, HERMES).reason == "get_weather is called, and no call is wanted"
    assert task.completion(item.solution, item.answer) == (
        "I cannot do that." if gold and "cannot" in str(gold) else task.completion("", "[]")
    )


GIVEN = {"city": "New York", "days": 3, "at": {"lat": 1, "lon": 2.5}, "tags": ["a", "b"], "hourly": True}
FULL = {"name": "get_weather", "arguments": GIVEN}
JUDGED = [
    ({}, "right"),
    ({"days": 3.0, "at": {"lon": 2.5, "lat": 1.0}}, "right"),
    ({"city": " New  York"}, "right"),
    ({"city": "new york"}, "get_weather: argument city is wrong"),
    ({"city": "New York."}, "get_weather: argument city is wrong"),
    ({"unit": None}, "right"),
    ({"days": "3"}, "get_weather: argument days is wrong"),
    ({"days": True}, "get_weather: argument days is wrong"),
    ({"hourly": "true"}, "get_weather: argument hourly is wrong"),
    ({"hourly": 1}, "get_weather: argument hourly is wrong"),
    ({"city": "York"}, "get_weather: argument city is wrong"),
    ({"city": ["New York"]}, "get_weather: argument city is wrong"),
    ({"at": {"lat": 1}}, "get_weather: argument at is wrong"),
    ({"tags": ["b", "a"]}, "get_weather: argument tags is wrong"),
    ({"tags": None}, "get_weather: argument tags is missing"),
    ({"unit": "C"}, "get_weather: argument unit is not wanted"),
    ({"country": "US"}, "get_weather: unknown argument country"),
]


@pytest.mark.parametrize(("changed", "reason"), JUDGED)
def test_arguments_are_compared_by_value(tmp_path, changed, reason):
    task = table(tmp_path, FULL)
    (item,) = task.examples("train")
    said = task.verdict(item, json.dumps(FULL | {"arguments": GIVEN | changed}))
    assert (said.reason, said.correct) == (reason, reason == "right")


def test_what_the_schema_gives_by_default_counts_as_given(tmp_path):
    task = table(tmp_path, PARIS, {"name": "get_weather", "arguments": {"city": "Paris", "days": 1}})
    for item in task.examples("train"):
        assert task.verdict(item, 'get_weather(city="Paris")').correct
        assert task.verdict(item, 'get_weather(city="Paris", days=1)').correct
        assert task.verdict(item, 'get_weather(city="Paris", days=2)').reason == "get_weather: argument days is wrong"


def test_a_text_of_a_fixed_set_is_compared_to_the_letter(tmp_path):
    task = table(tmp_path, {"name": "get_weather", "arguments": {"city": "Paris", "unit": "C"}})
    (item,) = task.examples("train")
    assert task.verdict(item, 'get_weather(city="Paris", unit="C")').correct
    assert task.verdict(item, 'get_weather(city="Paris", unit="c")').reason == "get_weather: argument unit is wrong"


@pytest.mark.parametrize(
    ("gold", "given"),
    [("x**2", "x2"), ("$HOME", "HOME"), ("<b>x</b>", "x"), ("3.10", "3.1"), ("/Home/A", "/home/a"), ("p@ss.", "P@SS"), ("a*b**c", "a*bc")],
)
def test_a_text_keeps_its_signs_and_its_case(tmp_path, gold, given):
    task = table(tmp_path, {"name": "get_weather", "arguments": {"city": gold}})
    (item,) = task.examples("train")
    said = [task.verdict(item, json.dumps({"name": "get_weather", "arguments": {"city": city}})) for city in (f" {gold} ", given)]
    assert [one.reason for one in said] == ["right", "get_weather: argument city is wrong"]


def test_calls_are_right_in_any_order_and_each_once(tmp_path):
    rome = {"name": "get_weather", "arguments": {"city": "Rome"}}
    task = table(tmp_path, [PARIS, rome, {"name": "now", "arguments": {}}])
    (item,) = task.examples("train")

    def said(*names: str) -> str:
        return task.verdict(item, "\n".join(names)).reason

    paris, to_rome = 'get_weather(city="Paris")', 'get_weather(city="Rome")'
    assert said("now()", to_rome, paris) == "right"
    assert said(paris, to_rome) == "now is not called"
    assert said(paris, "now()") == "get_weather is not called"
    assert said(paris, paris, "now()") == "get_weather: argument city is wrong"
    assert said(paris, to_rome, "now()", "now()") == "now is called, and that is not wanted"
    assert said(f"[{paris}, {to_rome}, fly()]") == "unknown function fly"


@pytest.mark.parametrize(
    ("response", "reason", "read"),
    [
        ("", "no answer", None),
        ("  \n", "no answer", None),
        ("It is sunny.", "no call", "[]"),
        ('<tool_call>\n{"name": "get_weather", "arguments": {"city": \n</tool_call>', "a call that cannot be read", None),
        ("<think>get_weather(city='Rome')</think>\n" + HERMES, "right", json.dumps([PARIS])),
        ("<|python_tag|>" + json.dumps(PARIS) + "<|eom_id|>", "right", json.dumps([PARIS])),
        ("I look it up.<|python_tag|>" + json.dumps(PARIS), "right", json.dumps([PARIS])),
    ],
)
def test_what_is_no_call_says_why(tmp_path, response, reason, read):
    task = table(tmp_path, PARIS)
    verdict = task.verdict(task.examples("train")[0], response)
    assert (verdict.reason, verdict.extracted) == (reason, read)


def called(name: str, **arguments) -> dict:
    return {"type": "function", "id": "c", "function": {"name": name, "arguments": json.dumps(arguments)}}


def test_a_conversation_may_hold_calls_and_what_they_gave_and_end_in_the_gold_ones(tmp_path):
    turns = [
        {"role": "user", "content": "Weather in Rome?"},
        {"role": "assistant", "content": None, "tool_calls": [called("get_weather", city="Rome")]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "And in Paris, and what is the time?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [called("get_weather", city="Paris"), called("now")]},
    ]
    rows = [{"messages": turns, "tools": TOOLS}, {"messages": [turns[0], {"role": "assistant", "content": "Who asks?"}], "tools": TOOLS}]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = load_task(f"jsonl:{tmp_path / 'chat.jsonl'}", TableSettings(verdict="tools"))
    one, other = task.examples("train")
    assert json.loads(one.answer) == [PARIS, {"name": "now", "arguments": {}}] and one.solution == "I look."
    assert (other.answer, other.solution) == ("[]", "Who asks?")
    tools, *asked = task.prompt(one)
    assert tools["role"] == "tools" and [turn["role"] for turn in asked] == ["user", "assistant", "tool", "assistant", "user"]
    assert asked[1]["content"] == HERMES.replace("Paris", "Rome")
    assert "tools" not in one.meta, "what all rows share is not kept with each"
    assert doctor(task) == (2, [])


def test_rows_with_tools_of_their_own_are_judged_and_asked_by_these(tmp_path):
    rows = [{"question": "Time?", "answer": "now()", "tools": [NOW]}, {"question": "Rome?", "answer": PARIS, "tools": [WEATHER]}]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = load_task(f"jsonl:{tmp_path / 'chat.jsonl'}", TableSettings(verdict="tools"))
    time, weather = task.examples("train")
    assert task.verdict(weather, "[now()]").reason == "unknown function now"
    assert task.verdict(time, "now()").correct
    assert [json.loads(task.prompt(item)[0]["content"])[0]["function"]["name"] for item in (time, weather)] == ["now", "get_weather"]
    assert "get_weather" not in task.brief
    made = time.model_copy(update={"meta": {}})
    assert KINDS["tools"].consistent(task, made).startswith("make() must return the functions of the problem under 'tools'")
    (failure,) = [Failure(attempt=Attempt(example=time, response="", verdict=task.verdict(time, "")))]
    assert '"name": "now"' in fields_of([failure], task.brief)["question"]


def test_a_gold_call_that_its_functions_schema_does_not_allow_is_told(tmp_path):
    task = table(tmp_path, PARIS, [called("get_weather", city=7)])
    assert doctor(task) == (2, [])
    (said,) = doubts(task)
    assert said.startswith("1 gold answer cannot be taught, e.g. that to ") and "7 is not of type 'string'" in said


@pytest.mark.parametrize(
    "recorded",
    [
        {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [called("get_weather", city="Paris")]}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "get_weather", "input": {"city": "Paris"}}]},
        [
            {"role": "user", "content": "Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [called("get_weather", city="Paris")]},
        ],
    ],
)
def test_recorded_replies_with_calls_apart_are_read(recorded):
    assert reply(recorded).text == HERMES


STYLES = [
    HERMES,
    '<tool_call>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</tool_call>',
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    'functools[{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}',
    '{"name": "get_weather", "parameters": {"city": "Paris"}}',
    '```json\n[{"name": "get_weather", "arguments": {"city": "Paris"}}]\n```',
    "[get_weather(city='Paris')]",
    "get_weather(city='Paris')",
]


@pytest.mark.parametrize("gold", STYLES)
def test_what_is_trained_on_is_written_as_the_golds_are(tmp_path, gold):
    task = table(tmp_path, gold)
    assert task.completion("", json.dumps([PARIS])) == gold
    two = json.dumps([PARIS, {"name": "get_weather", "arguments": {"city": "O'Hara", "days": 2, "hourly": False}}])
    item = task.examples("train")[0].model_copy(update={"answer": two})
    assert task.verdict(item, task.completion("", two)).correct


def test_golds_that_are_data_are_written_as_hermes_has_it(tmp_path):
    assert table(tmp_path, PARIS, json.dumps([PARIS])).completion("Let me see.", json.dumps([PARIS])) == HERMES


def test_words_before_a_call_are_trained_on_where_golds_have_them(tmp_path):
    task = table(tmp_path, f"I look it up.\n{HERMES}")
    (item,) = task.examples("train")
    assert item.solution == "I look it up."
    assert task.completion(item.solution, item.answer) == f"I look it up.\n{HERMES}"


def test_a_schema_of_anybodys_fetches_nothing_and_holds_nothing_up(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("a schema was looked for elsewhere"))
    misfit = lambda inner, value: calls.misfit(calls.Call("f", {"a": value}), {"f": {"type": "object", "properties": {"a": inner}}})  # noqa: E731
    assert misfit({"$ref": "http://example.com/other.json"}, 1) == ""
    assert misfit({"type": "string", "pattern": "^(a|aa)+$"}, "a" * 60 + "!") == "f: a the pattern '^(a|aa)+$' took longer than 1 s"
    assert misfit({"pattern": "^a+$"}, "b") == "f: a 'b' does not match '^a+$'"
    assert misfit({"pattern": "(", "type": "string"}, "b") == ""


@pytest.mark.parametrize("said", ["none", "3", "null", "", '{"name": "now"}', '[{"name": "now"}]', "[[1]]", "[" * 100_000])
def test_an_answer_of_another_model_that_is_no_list_of_calls_stays_as_it_is(tmp_path, said):
    task = table(tmp_path, PARIS, HERMES)
    assert task.completion("", said) == said
    assert not task.verdict(task.examples("train")[0], said).correct
    asked = 'get_weather(city="Paris")'
    assert task.verdict(task.examples("train")[0], task.completion("", asked)).correct


@pytest.mark.parametrize("how", ["column", "text", "file", "inline"])
def test_tools_stand_in_a_column_in_a_file_or_in_the_config(tmp_path, how):
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    given = {
        "column": {},
        "text": {"column": json.dumps(TOOLS)},
        "file": {"column": None, "settings": {"tools": str(tmp_path / "tools.json")}},
        "inline": {"column": None, "settings": {"tools": tuple(TOOLS)}},
    }[how]
    task = table(tmp_path, PARIS, "", column=given.get("column", TOOLS), **given.get("settings", {}))
    for item in task.examples("train"):
        first, last = task.prompt(item)
        assert first["role"] == "tools" and last == {"role": "user", "content": item.question}
        assert [tool["function"]["name"] for tool in json.loads(first["content"])] == ["get_weather", "now"]
        assert {tool["type"] for tool in json.loads(first["content"])} == {"function"}
    assert '"name": "now"' in task.brief, "the instructor is told of tools that all items share"


@pytest.mark.parametrize(
    ("golds", "settings", "error", "message"),
    [
        (
            [{"name": "fly", "arguments": {}}],
            {},
            TaskError,
            r"line 1.*the answer calls 'fly', which is not one of its tools \(get_weather, now\)",
        ),
        ([{"city": "Paris"}], {}, TaskError, "no calls can be read from the answer"),
        (["<tool_call>{"], {}, TaskError, "no calls can be read from the answer"),
        ([PARIS], {"tools": ()}, UsageError, "table.tools must hold tools: a list of functions"),
        ([PARIS], {"tools": ({"description": "no name"},)}, UsageError, "table.tools must hold tools: a list of functions"),
        ([PARIS], {"tools": ({"name": "f", "parameters": [1]},)}, UsageError, "table.tools must hold tools: a list of functions"),
        ([PARIS], {"tools": "nowhere.json"}, UsageError, "nowhere.json cannot be read"),
        ([PARIS], {"tools": "functions"}, TaskError, r"field 'functions' is missing.*--set table.tools=COLUMN"),
    ],
)
def test_what_cannot_be_judged_is_one_line(tmp_path, golds, settings, error, message):
    with pytest.raises(error, match=message) as told:
        table(tmp_path, *golds, **settings)
    assert "\n" not in str(told.value)
