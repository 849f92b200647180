"""How strategies speak with an instructor: DSPy's chat format, and a second question when an answer cannot be used.

A refusal, an answer that was cut at the token limit and one that cannot be read are kept in the ledger, and asked for again at most REASKS
times with a note of what was wrong (`Chat`). Then `UnusableAnswer` is raised; the caller keeps it as a `rejection`. What is not here: the
call itself, its retries and its cost (errata.programs.instructor.engine).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import dspy
from dspy.primitives.code_interpreter import CodeInterpreterError
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError, ContextWindowExceededError, LMError, LMInvalidRequestError

from ...signatures.errors import InstructorError
from ...signatures.reading import is_code, read_answer
from ...signatures.records import Rejection
from ...signatures.replies import SAID
from ...signatures.telling import end, system, without
from ...tasks.trace import parted
from ..run.ledger import Answer
from .engine import Instructor, last_answer

REASKS = 1  # how often an answer that cannot be used (unreadable, refused, cut) is asked for again
REPEATED = 200  # a text of a demonstration that is longer (in characters) and that the question repeats is shown once, in the question

THINKING = "cut inside its reasoning: raise instructor.max_tokens"

_again: ContextVar[tuple[dict[str, str], ...]] = ContextVar("again", default=())


class UnusableAnswer(AdapterParseError):
    """No usable answer, also after asking again. `check` says why: `readable`, `refused`, `truncated`, or `too_long` (the question)."""

    def __init__(self, adapter_name: str, signature: Any, lm_response: str, message: str, check: str):
        super().__init__(adapter_name, signature, lm_response, message)
        self.check = check


UNUSABLE = (AdapterParseError, CodeInterpreterError)
"""What is raised for an answer that cannot be used, and by code of an optimizer (dspy.Flex) that fails."""


def rejection(of: str, error: Exception) -> Rejection:
    """What is kept of an answer that cannot be used: the check, and the reason with the answer's text in it."""
    check = error.check if isinstance(error, UnusableAnswer) else "readable"
    return Rejection(of=of, kind="diagnosis", check=check, reason=str(error)[:2000])


class Chat(dspy.ChatAdapter):
    """DSPy's chat format; an answer that cannot be used is asked for again with a note of what was wrong."""

    def __init__(self, reasks: int = REASKS):
        super().__init__(use_json_adapter_fallback=False)
        self.reasks = reasks

    def format_system_message(self, signature: Any) -> str:
        """Kept for each signature: writing it is a fifth of a call's work here."""
        return system(signature, signature.instructions)

    def user_message_output_requirements(self, signature: Any) -> str:
        return end(signature)

    def format(self, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        """An input that is empty is neither told of nor sent."""
        empty = tuple(name for name in signature.input_fields if inputs.get(name) == "")
        shown = without(signature, signature.instructions, empty)
        return [*super().format(shown, [_demo(shown, demo, inputs) for demo in demos], inputs), *_again.get()]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """Its reasoning trace, if it has one, is no part of an answer."""
        trace = parted(completion)
        if not trace.closed:
            raise UnusableAnswer("Chat", signature, completion, f"the answer was {THINKING}", check="truncated")
        try:
            return read_answer(signature, trace.answer)
        except ValueError as error:
            raise AdapterParseError("Chat", signature, completion, str(error)) from None

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        """Raises UnusableAnswer when `reasks` further calls have not helped."""
        notes: list[dict[str, str]] = []
        for left in reversed(range(self.reasks + 1)):
            token = _again.set(tuple(notes))
            last_answer.set(None)
            values, check, problem, said = None, None, "", ""
            try:
                values = super().__call__(lm, dict(lm_kwargs), signature, demos, inputs)
            except AdapterParseError as error:
                check, problem = error.check if isinstance(error, UnusableAnswer) else "readable", error.message
            except ContextWindowExceededError as error:
                raise UnusableAnswer("Chat", signature, "", f"the question is too long for the model: {error}", check="too_long") from None
            except LMInvalidRequestError as error:
                raise UnusableAnswer("Chat", signature, "", f"the server refuses this question: {error}", check="refused") from None
            finally:
                _again.reset(token)
            if answer := last_answer.get():
                check, said = answer.fault or check, answer.refusal or answer.text
                problem = problem if check == "readable" or not answer.fault else _why(answer)
            if check is None and values is not None:
                return values
            if not left:
                break
            notes += _note(check or "readable", said, problem, list(signature.output_fields))
        raise UnusableAnswer("Chat", signature, said, problem or f"the answer was {check}", check=check or "readable")


def _demo(signature: Any, demo: Any, inputs: Any) -> Any:
    """A demonstration as it is shown: its programs in a fenced block, as they are asked for (DSPy would show them bare), and a long text
    (the contract) only once when the question repeats it."""
    shown = dict(demo)
    for name in signature.input_fields:
        if isinstance(shown.get(name), str) and len(shown[name]) > REPEATED and shown[name] == inputs.get(name):
            shown[name] = "(as below)"
    for name, output in signature.output_fields.items():
        kind: Any = output.annotation
        if shown.get(name) and is_code(kind):
            code: Any = dspy.Code.model_validate(shown[name])
            shown[name] = f"```{str(kind.language).lower()}\n{code.code.strip()}\n```"
    return shown


def _why(answer: Answer) -> str:
    """Why an answer that was refused or cut cannot be used."""
    if answer.fault == "refused":
        return answer.refusal or "the answer was refused"
    thinking = not answer.text.strip() or not parted(answer.text).closed
    return f"the answer was {THINKING if thinking else 'cut at its limit: raise instructor.max_tokens'}"


def _note(check: str, said: str, problem: str, fields: list[str]) -> list[dict[str, str]]:
    """The answer as it was (the beginning of a long one) and what was wrong with it."""
    headers = ", ".join(f"[[ ## {name} ## ]]" for name in fields)
    wrong = {
        "refused": "You declined. This is teaching material about the question above. If you can, answer it",
        "truncated": "Your answer was cut at the limit of its length. Think and write less, and answer again",
        "readable": f"Your answer could not be read{problem and ': ' + problem[:SAID]}. Answer again",
    }[check]
    return [
        {"role": "assistant", "content": said[:2000] or "(empty)"},
        {"role": "user", "content": f"{wrong}, in full, each field under its own header: {headers}, then [[ ## completed ## ]]."},
    ]


@contextmanager
def instructed_by(lm: dspy.LM) -> Iterator[None]:
    """Everything inside calls `lm`. An Instructor is asked again when its answer cannot be used; other LMs are asked once."""
    with dspy.context(lm=lm, adapter=Chat(reasks(lm))):
        yield


def reasks(lm: Any) -> int:
    """How often `lm` is asked again for an answer that cannot be used."""
    return REASKS if isinstance(lm, Instructor) else 0


class Calls(BaseCallback):
    """Counts the calls of LMs: `with dspy.context(callbacks=[Calls()])`."""

    count = 0

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.count += 1


@contextmanager
def calling(lm: dspy.LM) -> Iterator[None]:
    """Turn what an LM other than an Instructor raises into an InstructorError of one line."""
    try:
        yield
    except LMError as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InstructorError(f"instructor {lm.model}: {first[:300]}; check its name, key and address") from error
