"""Calls of tools: read out of a response in the forms that models write, and compared with the gold calls.

Read are calls within marks (<tool_call>, [TOOL_CALLS], <|python_tag|>, functools and the like), and else JSON objects with a name and
arguments, or Python calls that stand alone: as the whole text, in a fence, on a line. Where something is marked, nothing else counts.
Values are compared as JSON has them: 5 is 5.0, the order of keys does not count, what is left out has the schema's default. Texts that
the schema leaves free are equal in one typography, as the verdict `json` has it. It does not cover streams and tools that nest calls.
"""

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...signatures.records import Verdict
from ..schema import first_error
from .source import parse
from .values import differs

Schema = Mapping[str, Any]
LONGEST, MOST, DEEPEST = 20_000, 200, 8
"""Characters of a text that is read as Python, brackets that may begin JSON, and lists and objects around a call."""


class Call(NamedTuple):
    """One call of a tool."""

    name: str
    arguments: dict[str, Any]


_MARK = re.compile(
    r"<\|?/?(?:tool_?calls?|function_?calls?|tool_code)(?:_start|_begin|_end)?\|?>|<[|｜]tool[▁_]calls?[▁_](?:section[▁_])?(?:begin|end)[|｜]>"
    r"|\[TOOL_CALLS\]|<\|python_tag\|>|\bfunctools(?=\[)|(?=<function=)|```(?:tool_code|tool_call)\b"
)
"""What stands before calls and behind them."""
_CLOSES = re.compile(r"<\|?/|.*(?:_|▁)end[|｜]>")
_TURN = re.compile(r"<\|(?:im_end|eot_id|eom_id|endoftext)\|>|</s>|<end_of_turn>")
"""What ends a response, where a server or a log leaves it in."""
_NAME = re.compile(
    r"(?<![\w\"'.-])([A-Za-z_][\w.-]*)(?::\d+)?(?:[\s>:='`*]|<[^<>\n]{1,40}>|\[(?:ARGS|CALL_ID)\]|\bjson\b|(?i:\baction[ _]input\b))*$"
)
"""A name before an object of arguments, and what may stand between them."""
_FENCE = re.compile(r"```\w*\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_XML = re.compile(r"<function=([\w.-]+)>(\s*<parameter=.*?|\s*)(?:</function>|\Z)|\A\s*([\w.-]+)\s*(<arg_key>.*)", re.DOTALL)
_PAIR = re.compile(
    r"<parameter=([\w.-]+)>\n?(.*?)\n?(?:</parameter>|\Z)|<arg_key>([^<]*)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)", re.DOTALL
)
"""The calls of Qwen3-Coder and of GLM, and their arguments."""
_NAMES = ("name", "function", "tool_name", "function_name", "tool", "action")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "action_input", "tool_input")
_LISTS = ("tool_calls", "function_calls", "calls")
_WORDS = {"true": True, "false": False, "null": None}
_FIXED = {"enum", "const", "format", "pattern"}
"""A text with one of these in its schema is compared to the letter."""
_BRACKET = re.compile(r"[\[{]")
_JSON = json.JSONDecoder()


# ---- what is judged


def verdict(gold: Sequence[Call], response: str, tools: Mapping[str, Schema]) -> Verdict:
    """`right`, `no answer`, `no call`, or the first fault of the calls. `tools`: {name: schema of its arguments}."""
    if not response.strip():
        return Verdict(correct=False, extracted=None, reason="no answer")
    given = read(response, tools)
    if given is None:
        return Verdict(correct=False, extracted=None, reason="a call that cannot be read")
    fault = _fault(gold, given, tools)
    return Verdict(correct=not fault, extracted=written(given), reason=fault or "right")


def written(calls: Sequence[Call]) -> str:
    """The canonical text of calls: a JSON list of {"name", "arguments"}."""
    return json.dumps([{"name": call.name, "arguments": call.arguments} for call in calls], ensure_ascii=False)


def parsed(text: str) -> list[Call]:
    """The calls of a canonical text. Raises ValueError, TypeError, KeyError or RecursionError for any other."""
    return [Call(one["name"], one["arguments"]) for one in json.loads(text)]


def known(tools: Sequence[Mapping[str, Any]]) -> dict[str, Schema]:
    """{name: schema of its arguments} of tools in OpenAI's form."""
    return {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}


def misfit(call: Call, tools: Mapping[str, Schema]) -> str:
    """What keeps a call from being one of these tools by its JSON Schema; empty: nothing, or a schema that is not one."""
    if call.name not in tools:
        return f"unknown function {call.name[:80]} (there are {', '.join(tools)})"
    schema = tools[call.name]
    properties = schema.get("properties", call.arguments)
    unknown = next((name for name in call.arguments if name not in properties), None)
    if unknown is not None and schema.get("additionalProperties") is not True:
        return f"{call.name} has no argument {unknown[:80]}"
    try:
        error = first_error(schema, call.arguments)
    except Exception:  # what a schema in the wild holds, such as the type "float", is no fault of the call
        return ""
    return f"{call.name}: {'.'.join(map(str, error.path))} {error.message[:200]}".replace(":  ", ": ") if error else ""


def _fault(gold: Sequence[Call], given: Sequence[Call], tools: Mapping[str, Schema]) -> str:
    """Why the calls are not the gold ones, in whatever order; empty where they are."""
    if not given or not gold:
        return "no call" if gold else f"{given[0].name} is called, and no call is wanted" if given else ""
    left, others = list(gold), []
    for call in given:
        if tools and call.name not in tools:
            return f"unknown function {call.name[:80]}"
        mate = next((place for place, one in enumerate(left) if one.name == call.name and not _differs(one, call, tools)), None)
        others += [call] if mate is None else []
        left[:] = left if mate is None else left[:mate] + left[mate + 1 :]
    for call in others:
        if mates := [one for one in left if one.name == call.name]:
            return f"{call.name}: {_differs(mates[0], call, tools)}"
    return f"{left[0].name} is not called" if left else f"{others[0].name} is called, and that is not wanted" if others else ""


def _differs(gold: Call, given: Call, tools: Mapping[str, Schema]) -> str:
    """What is wrong with the arguments of a call; empty: nothing."""
    schema = tools.get(gold.name, {})
    theirs, mine = _filled(gold.arguments, schema), _filled(given.arguments, schema)
    properties = _properties(schema)
    for name, value in theirs.items():
        if name not in mine:
            return f"argument {name} is missing"
        if not _same(value, mine[name], properties.get(name, {})):
            return f"argument {name} is wrong"
    more = next((name for name in mine if name not in theirs), None)
    return "" if more is None else f"argument {more[:80]} is not wanted" if more in properties else f"unknown argument {more[:80]}"


def _filled(given: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Arguments with the defaults of what is left out, and without null where it may be left out."""
    properties, required = _properties(schema), schema.get("required") or ()
    kept = {name: value for name, value in given.items() if value is not None or name in required}
    return {name: one["default"] for name, one in properties.items() if one.get("default") is not None} | kept


def _same(gold: Any, given: Any, schema: Schema) -> bool:
    if isinstance(gold, bool) or isinstance(given, bool):
        return gold is given
    if isinstance(gold, int | float) and isinstance(given, int | float):
        return gold == given or (isinstance(gold, float) and isinstance(given, float) and math.isclose(gold, given))
    if isinstance(gold, str) and isinstance(given, str):
        return gold == given or (not _FIXED & schema.keys() and not differs(gold, given))
    if isinstance(gold, list) and isinstance(given, list):
        inner = schema.get("items")
        inner = inner if isinstance(inner, dict) else {}
        return len(gold) == len(given) and all(_same(one, other, inner) for one, other in zip(gold, given, strict=True))
    if isinstance(gold, dict) and isinstance(given, dict):
        theirs, mine, inside = _filled(gold, schema), _filled(given, schema), _properties(schema)
        return theirs.keys() == mine.keys() and all(_same(theirs[name], mine[name], inside.get(name, {})) for name in theirs)
    return gold is None and given is None


def _properties(schema: Schema) -> dict[str, dict[str, Any]]:
    found = schema.get("properties")
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


# ---- what is read


def read(text: str, tools: Mapping[str, Schema]) -> list[Call] | None:
    """The calls in a text, empty where it has none; None where it begins calls that cannot be read."""
    text = _TURN.split(text, maxsplit=1)[0]
    marks = list(_MARK.finditer(text))
    if not marks:
        return _unmarked(text, tools)
    found: list[Call] = []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        part = text[mark.end() : end].strip()
        part = part.partition("```")[0] if mark[0].startswith("```") else part
        if _CLOSES.match(mark[0]) or not part:
            continue
        calls = _within(part, tools)
        if not calls and re.match(r"[\[{<]|\w+\(", part):
            return None
        found += calls
    return found or None


def _within(part: str, tools: Mapping[str, Schema]) -> list[Call]:
    """The calls of a marked part, whatever tools they name."""
    if tagged := [_of_tags(one[1] or one[3], one[2] or one[4] or "", tools) for one in _XML.finditer(part)]:
        return tagged
    return _python(part, tools) or list(_json(part, tools, True)) or list(of_value(_literal(part), tools))


def _unmarked(text: str, tools: Mapping[str, Schema]) -> list[Call]:
    if found := _python(text, tools) or list(_json(text, tools, False)) or list(of_value(_literal(text), tools)):
        return found
    begins = re.compile(rf"\b(?:{'|'.join(map(re.escape, tools)) or '(?!)'})\s*\(")
    for parts in (_FENCE.findall(text), text.split("\n")):
        alone = [part.strip().strip("`*").removeprefix("- ") for part in parts if begins.search(part)]
        if calls := [call for part in alone for call in _python(part, tools)]:
            return calls
    return []


def _json(text: str, tools: Mapping[str, Schema], marked: bool) -> Iterator[Call]:
    """The calls among the JSON values of a text. A name before an object makes it a call where it is `marked` or a tool's name."""
    place = 0
    for _ in range(MOST):
        begin = _BRACKET.search(text, place)
        if not begin:
            return
        place = begin.end()
        try:
            value, place = _JSON.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            continue
        calls = list(of_value(value, tools))
        if not calls and isinstance(value, dict) and (named := _NAME.search(text, max(0, begin.start() - 120), begin.start())):
            name = named[1].removeprefix("functions.")
            calls = [Call(name, value)] if marked or name in tools else []
        yield from calls


def of_value(value: Any, tools: Mapping[str, Schema], depth: int = 0) -> Iterator[Call]:
    """The calls in a value of JSON: an object with name and arguments, {tool: arguments}, or lists of them, as servers hand them back."""
    if isinstance(value, list) and depth < DEEPEST:
        for one in value:
            yield from of_value(one, tools, depth + 1)
    if not isinstance(value, dict):
        return
    inner = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
    inner += [value["function"]] if isinstance(value.get("function"), dict) else []
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given = _object(next((value[key] for key in _ARGUMENTS if key in value), {} if name in tools else None))
    if inner and depth < DEEPEST:
        yield from of_value(inner, tools, depth + 1)
    elif value and tools.keys() >= value.keys() and all(isinstance(one, dict) for one in value.values()):
        yield from (Call(key, one) for key, one in value.items())
    elif name and given is not None:
        yield Call(name.removeprefix("functions."), given)


def _object(given: Any) -> dict[str, Any] | None:
    """Arguments as an object; None: they are not one. OpenAI writes them as a text of JSON."""
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except (ValueError, RecursionError):
            return None
    return given if isinstance(given, dict) else None


def _literal(text: str) -> Any:
    """A value written in Python's way: {'name': 'f', 'arguments': {}}."""
    tree = parse(text.strip()) if len(text) < LONGEST else None
    try:
        return _value(tree.body[0].value) if tree and len(tree.body) == 1 else None  # type: ignore[attr-defined]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _of_tags(name: str, body: str, tools: Mapping[str, Schema]) -> Call:
    """A call whose arguments are texts between tags: what the schema does not say to be a text is read as JSON."""
    arguments: dict[str, Any] = {}
    for key, value in ((one[1] or one[3], one[2] or one[4] or "") for one in _PAIR.finditer(body)):
        try:
            text = _properties(tools.get(name, {})).get(key, {}).get("type") == "string"
            arguments[key] = value if text else json.loads(value)
        except (ValueError, RecursionError):
            arguments[key] = value
    return Call(name, arguments)


def _python(text: str, tools: Mapping[str, Schema]) -> list[Call]:
    """The calls of a text that is nothing but Python calls of literals, alone or in lists; empty where it is anything else."""
    tree = parse(text.strip()) if "(" in text and len(text) < LONGEST else None
    try:
        return [call for line in tree.body for call in _expressions(getattr(line, "value", None), tools)] if tree else []
    except (ValueError, TypeError, RecursionError):
        return []


def _expressions(node: ast.expr | None, tools: Mapping[str, Schema]) -> Iterator[Call]:
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        for one in node.elts:
            yield from _expressions(one, tools)
        return
    if not isinstance(node, ast.Call) or any(word.arg is None for word in node.keywords):
        raise ValueError("not a call with named arguments")
    name = ast.unparse(node.func).removesuffix(".call").removeprefix("functions.")
    places = list(_properties(tools.get(name, {})))
    if len(node.args) > len(places):
        raise ValueError("arguments without names")
    given = dict(zip(places, node.args, strict=False)) | {str(word.arg): word.value for word in node.keywords}
    yield Call(name, {key: _value(value) for key, value in given.items()})


def _value(node: ast.expr) -> Any:
    """A literal; true, false and null are those of JSON."""
    match node:
        case ast.Name(id=word) if word in _WORDS:
            return _WORDS[word]
        case ast.List(elts=inner) | ast.Tuple(elts=inner):
            return [_value(one) for one in inner]
        case ast.Dict(keys=keys, values=values):
            return {str(ast.literal_eval(key)): _value(value) for key, value in zip(keys, values, strict=True) if key}
    return json.loads(json.dumps(ast.literal_eval(node)))
