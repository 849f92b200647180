"""How a signature is told to an instructor: its instruction, what is given, and the form of the answer, each once.

DSPy's own text names every field two or three times. Does NOT cover: reading the answer (errata.signatures.reading).
"""

from functools import lru_cache, reduce
from inspect import cleandoc
from typing import Any, Literal, get_args, get_origin

from dspy.adapters.utils import translate_field_type

from .reading import is_code

FORM = "Your answer has this form:"


@lru_cache(maxsize=256)
def system(signature: Any, instructions: str) -> str:
    """The system message. `instructions` is part of the key because it alone can change in a signature that is in use."""
    given = [f"- {name}: {_desc(name, info)}" for name, info in signature.input_fields.items()]
    form = [f"[[ ## {name} ## ]]\n{{{_wanted(_desc(name, info), info)}}}" for name, info in signature.output_fields.items()]
    return "\n\n".join([cleandoc(instructions), "You are given:\n" + "\n".join(given), FORM, *form, "[[ ## completed ## ]]"])


def end(signature: Any) -> str:
    """How a question ends: the form stands in the system message, here is where it begins."""
    return f"Respond with the fields from [[ ## {next(iter(signature.output_fields))} ## ]] to [[ ## completed ## ]]."


@lru_cache(maxsize=256)
def without(signature: Any, instructions: str, names: tuple[str, ...]) -> Any:
    """The signature without these fields; itself where there are none."""
    return reduce(lambda shorter, name: shorter.delete(name), names, signature)


def _desc(name: str, info: Any) -> str:
    """A field's description; DSPy's stand-in for a missing one is the name."""
    return str(info.json_schema_extra["desc"]).replace(f"${{{name}}}", name)


def _wanted(said: str, info: Any) -> str:
    """What an output field holds, in words."""
    kind = info.annotation
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}; {said}"
    if kind is str or is_code(kind):
        return said
    note = translate_field_type("", info).partition("the value you produce ")[2]
    return f"{said}; it {note}" if note else said
