"""Calls of tools that a server or a data set keeps apart from the text, as text. They are read in errata.tasks.verdicts.calls."""

import json
from typing import Any


def as_text(given: Any) -> str:
    """The `tool_calls` of a message of OpenAI's or inspect's, or the parts `tool_use` of Anthropic's, as models write them in Hermes' form,
    the arguments to the letter; empty for none."""
    texts = []
    for one in given if isinstance(given, list) else ():
        function = one.get("function", one) if isinstance(one, dict) else None
        function = {**one, "name": function} if isinstance(function, str) else function  # as inspect writes it
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            arguments = function.get("arguments", function.get("input")) or {}
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            texts.append(f'<tool_call>\n{{"name": {json.dumps(function["name"])}, "arguments": {text}}}\n</tool_call>')
    return "\n".join(texts)
