"""Answers that are calls of tools, one or several in any order, or plain words where no tool is to be called.

A row's tools stand in a column, or `table.tools` names those of all rows. They go to the target as the first message of the prompt, of the
role `tools`; its chat template writes them (errata.trainers.chat). `Example.answer` is a JSON list of {"name", "arguments"}, "[]" where no
call is wanted. Does NOT cover: running tools, and what a tool gave back.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...signatures.errors import TaskError, UsageError
from ...signatures.records import Example, Message, Verdict
from ..cells import column, text_of
from ..files import Row
from ..rows import file_hash
from ..settings import TableSettings
from ..trace import MOST
from ..verdicts import calls
from ..verdicts.calls import Call
from .form import Form, Gold, Helpers, naming

Tool = dict[str, Any]
NO_CALL = "I cannot do that with the functions that I have."
"""What stands for an answer without a call where the data hold no words of it."""


def _json(call: Call, arguments: str = "arguments") -> str:
    return json.dumps({"name": call.name, arguments: call.arguments}, ensure_ascii=False)


def _python(call: Call) -> str:
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


STYLES: dict[str, tuple[str, Callable[[Sequence[Call]], str]]] = {
    "hermes": (r"<tool_call>\s*\{", lambda found: "\n".join(f"<tool_call>\n{_json(call)}\n</tool_call>" for call in found)),
    "smollm": (r"<tool_call>\s*\[", lambda found: f"<tool_call>[{', '.join(map(_json, found))}]</tool_call>"),
    "mistral": (r"\[TOOL_CALLS\]\s*\[", lambda found: f"[TOOL_CALLS] [{', '.join(map(_json, found))}]"),
    "functools": (r"functools\[", lambda found: f"functools[{', '.join(map(_json, found))}]"),
    "python tag": (r"<\|python_tag\|>\s*\{", lambda found: "<|python_tag|>" + "; ".join(_json(call, "parameters") for call in found)),
    "fence": (r"```json\s*[\[{]", lambda found: f"```json\n[{', '.join(map(_json, found))}]\n```"),
    "llama": (r'\A\s*\{"name":[^{]*"parameters":', lambda found: "; ".join(_json(call, "parameters") for call in found)),
    "python list": (r"\A\s*\[\s*[A-Za-z_][\w.]*\(", lambda found: f"[{', '.join(map(_python, found))}]"),
    "python": (r"\A\s*[A-Za-z_][\w.]*\(", lambda found: "\n".join(map(_python, found))),
}
"""How golds that are texts of a form are told, and how calls are written in it; the first is for all others."""


_NO_TOOLS = "name the column with --set table.tools=COLUMN, or a .json file with the tools of all rows"


class ToolsForm(Form):
    """Calls of tools, compared by name and arguments."""

    kind = "tools"
    ask = ""
    brief = (
        "Requests to an assistant that has functions. The response calls one, or several where several things are asked for, in any order, "
        "or says in plain words what is missing or cannot be done, and calls none. Calls are compared by name and arguments."
    )

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        self._column = "tools" if settings.tools is None else settings.tools
        self._shared: list[Tool] = []
        """The tools of all rows; empty: each row has its own."""
        if not isinstance(self._column, str) or self._column.endswith(".json"):
            self._shared = tools_of(_read(self._column), "table.tools", UsageError)
        if isinstance(self._column, str) and self._shared:
            self.data = {self._column: file_hash(Path(self._column).expanduser())}
        self._style = "hermes"

    def read(self, row: Row, where: str, question: str) -> Gold:
        own = [] if self._shared else tools_of(column(row, str(self._column), where, _NO_TOOLS), f"{where}: field {self._column!r}")
        tools = calls.known(own or self._shared)
        said = column(row, self.settings.answer, where, naming(self.settings, row, "answer"))
        found, words, style = _gold(said, tools, where)
        if unknown := next((call.name for call in found if call.name not in tools), None):
            raise TaskError(
                f"{where}: the answer calls {unknown!r}, which is not one of its tools ({', '.join(tools)}); mend or delete the row"
            )
        meta = ({"tools": own} if own else {}) | ({"style": style} if style else {})
        return Gold(question, calls.written(found), meta, words)

    def learn(self, train: Sequence[Example]) -> None:
        styles = Counter(example.meta.get("style", "hermes") for example in train if example.answer != "[]")
        self._style = max(styles, key=lambda style: styles[style], default="hermes")
        self.worked = any(example.solution for example in train if example.answer != "[]")  # words stand before calls
        sets = [example.meta.get("tools") for example in train]
        if sets and sets[0] and all(one == sets[0] for one in sets):
            self._shared, self.settles = sets[0], True
        self._told = json.dumps(self._shared, ensure_ascii=False)  # one text for all prompts
        if self._shared:
            functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in self._shared)
            self.facts = f"The functions:\n{functions}"
        else:
            self.facts = "Each item has functions of its own, which are shown behind its question."

    def settled(self, example: Example) -> Example:
        if not self._shared or example.meta.get("tools") != self._shared:
            return example
        return example.model_copy(update={"meta": {name: value for name, value in example.meta.items() if name != "tools"}})

    def tools(self, example: Example) -> list[Tool]:
        """The tools that an item may call; empty: it has none of its own, and the task has none for all."""
        return example.meta.get("tools") or self._shared

    def before(self, example: Example) -> list[Message]:
        tools = self.tools(example)
        said = self._told if tools is self._shared else json.dumps(tools, ensure_ascii=False)
        return [{"role": "tools", "content": said}] if tools else []

    def readable(self, answer: str) -> str:
        return answer[-MOST:]

    def judge(self, example: Example, response: str) -> Verdict:
        return calls.verdict(calls.parsed(example.answer), response, calls.known(self.tools(example)))

    def doubt(self, example: Example) -> str:
        tools = calls.known(self.tools(example))
        return next((fault for call in calls.parsed(example.answer) if (fault := calls.misfit(call, tools))), "")

    def completion(self, solution: str, answer: str) -> str:
        """The calls in the golds' own style, the words before them where golds have such; without calls, the words alone. An answer that is
        no canonical text stays as it is: another model solved the question in words of its own."""
        try:
            found = calls.parsed(answer)
        except (ValueError, TypeError, KeyError, RecursionError):
            return answer
        if not found:
            return solution or NO_CALL
        written = STYLES[self._style][1](found)
        return f"{solution.rstrip()}\n{written}" if solution.strip() and self.worked else written


def _read(given: Any) -> Any:
    """The tools of `table.tools`, itself or in a file."""
    if not isinstance(given, str):
        return list(given)
    try:
        return json.loads(Path(given).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"table.tools: {given} cannot be read ({' '.join(str(error).split())[:100]}); give a file of JSON") from None


def tools_of(given: Any, where: str, fault: type[Exception] = TaskError) -> list[Tool]:
    """Tools in OpenAI's form, of that form or of bare functions, also as JSON in a text. Raises `fault`."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    given = _bare([given] if isinstance(given, dict) else given)
    tools = []
    for one in given if isinstance(given, list) else ():
        function = one.get("function", one) if isinstance(one, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            break
        schema = function.get("parameters") or {}
        if not isinstance(schema, dict):
            break
        schema = schema if "properties" in schema or "type" in schema else {"type": "object", "properties": schema}
        about = {"name": function["name"], "description": function.get("description") or "", "parameters": schema}
        tools.append({"type": "function", "function": about})
    if not tools or len(tools) < len(given):
        fact = f"{where} must hold tools: a list of functions with name, description and parameters (JSON Schema)"
        raise fault(f"{fact}; write it so, or name another column with table.tools")
    return tools


def _bare(value: Any) -> Any:
    """Without the missing values that tables put into objects whose fields differ."""
    if isinstance(value, dict):
        return {name: _bare(one) for name, one in value.items() if one is not None}
    return list(map(_bare, value)) if isinstance(value, list) else value


def _gold(said: Any, tools: dict[str, calls.Schema], where: str) -> tuple[list[Call], str, str]:
    """The calls of a gold answer, the words beside them, and the style of one that is a text of a form."""
    said = _bare(said)
    if isinstance(said, dict) and said.keys() & {"role", "tool_calls"}:  # a message as servers hand it back
        return list(calls.of_value(said, tools)), text_of(said.get("content")) or "", ""
    if said is None or said == [] or said == "":
        return [], "", ""
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    found = calls.read(text, tools)
    if found is None or not (found or isinstance(said, str)):
        raise TaskError(f"{where}: no calls can be read from the answer {text[:80]!r}; mend or delete the row")
    style = next((name for name, (form, _) in STYLES.items() if re.search(form, text)), "") if isinstance(said, str) else ""
    begin = re.search("|".join(form for form, _ in STYLES.values()) + r"|[\[{]", text)
    return found, (text[: begin.start()] if found and begin else "" if found else text).strip(), style
