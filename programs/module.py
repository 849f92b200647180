"""Any dspy.Module over a task's items with a target inside: its answers as attempts, and its errors mined for the loop.

    with Cycle(load_config(overrides={"errors": "recorded"}), Path("runs/mine")) as loop:
        mine_module(loop, dspy.Predict("question -> answer"), target_lm("tiny"), PlainAdapter())
        loop.run()

The task judges; a DSPy metric judges through a task whose verdict it is (`jsonl:PATH` with table.verdict `module:function`). `trainset` and
`metric` hand a task to DSPy's optimizers.
What is not here: the LM itself and its training (errata.trainers.provider), answers of a bare target (errata.programs.run.evaluate).
"""

from collections.abc import Callable, Generator, Sequence
from types import SimpleNamespace
from typing import Any

import dspy
from dspy.adapters.utils import format_field_value, parse_value
from dspy.utils.exceptions import AdapterParseError, LMError

from ..signatures.calls import in_flight
from ..signatures.errors import ErrataError, UsageError
from ..signatures.records import Attempt, Example, Verdict
from ..tasks import Task
from ..trainers.provider import weights_of
from .cycle import Cycle
from .steps.mine import train_items

FAULTS = 10
"""Items on which a module may raise, which are unjudged then; one more is raised to the caller."""


class PlainAdapter(dspy.ChatAdapter):
    """Asks as a small model is asked: the inputs alone are the message (instructions of a signature's own the system message), the whole
    response is the one output. Raises UsageError for a signature of several outputs."""

    def __init__(self) -> None:
        super().__init__(use_json_adapter_fallback=False)

    def format(self, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        _output(signature)
        return [message for message in super().format(signature, demos, inputs) if message["content"]]

    def format_system_message(self, signature: Any) -> str:
        bare = dspy.Signature(signature.fields).instructions
        return "" if signature.instructions == bare else signature.instructions

    def format_user_message_content(
        self, signature: Any, inputs: dict[str, Any], prefix: str = "", suffix: str = "", main_request: bool = False
    ) -> str:
        said = [format_field_value(info, inputs[name]) for name, info in signature.input_fields.items() if name in inputs]
        return "\n\n".join(filter(None, (prefix, *said, suffix)))

    def format_assistant_message_content(self, signature: Any, outputs: dict[str, Any], missing_field_message: str | None = None) -> str:
        name = _output(signature)
        return format_field_value(signature.output_fields[name], outputs.get(name, missing_field_message))

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        name = _output(signature)
        try:
            return {name: parse_value(completion.strip(), signature.output_fields[name].annotation)}
        except ValueError as error:
            raise AdapterParseError("PlainAdapter", signature, completion, str(error)) from None

    def _call_postprocess(self, processed_signature: Any, original_signature: Any, outputs: list[Any], *_: Any) -> list[dict[str, Any]]:
        # DSPy takes an empty response for one that cannot be read, and BootstrapFinetune ends on a response that cannot be read
        texts = (output.get("text") if isinstance(output, dict) else output for output in outputs)
        return [self.parse(processed_signature, text or "") for text in texts]


def _output(signature: Any) -> str:
    names = list(signature.output_fields)
    if len(names) != 1:
        raise UsageError(f"PlainAdapter reads one output, and the signature has {', '.join(names)}: use dspy.ChatAdapter for it")
    return names[0]


def as_question(task: Task, example: Example) -> dict[str, Any]:
    """The module's inputs: what the task itself would ask, its answer form included, as `question`."""
    return {"question": task.prompt(example)[-1]["content"]}


def trainset(task: Task, examples: Sequence[Example]) -> list[dspy.Example]:
    """The items as DSPy's optimizers take them: the input `question`, the gold `answer`, and the item itself for `metric`."""
    return [dspy.Example(**as_question(task, item), answer=item.answer, item=item).with_inputs("question") for item in examples]


def metric(task: Task) -> Callable[..., bool]:
    """The task's verdict as a DSPy metric over a `trainset`; what cannot be judged is not right."""

    def judge(gold: dspy.Example, prediction: dspy.Prediction, trace: Any = None, *_: Any) -> bool:
        return bool(task.verdict(gold.item, as_response(prediction)).correct)

    return judge


def as_response(prediction: dspy.Prediction) -> str:
    """All that a module predicts, one field after the other: reasoning, then answer."""
    return "\n".join(str(value) for value in prediction.toDict().values())


def answers(
    module: dspy.Module,
    task: Task,
    examples: Sequence[Example],
    lm: dspy.LM | None = None,
    adapter: dspy.Adapter | None = None,
    inputs: Callable[[Task, Example], dict[str, Any]] = as_question,
    response: Callable[[dspy.Prediction], str] = as_response,
    threads: int = 16,
) -> Generator[tuple[Example, Attempt]]:
    """What the module answers to each example, judged, as they finish; `lm` serves predictors without one of their own.

    A response that the adapter cannot read is a wrong answer. An item on which the module raises is unjudged; the `FAULTS + 1`st raises
    what was raised there. Raises what the LM says of itself (TargetError: no such model) at once."""
    faults: list[tuple[Example, Exception]] = []

    def one(example: Example) -> Attempt | Exception:
        calls = SimpleNamespace(history=[])  # DSPy writes each call down for whoever called
        with dspy.context(lm=lm or dspy.settings.lm, adapter=adapter or dspy.settings.adapter, caller_modules=[calls]):
            try:
                said = response(module(**inputs(task, example)))
            except AdapterParseError as error:
                said = error.lm_response or ""
            except ErrataError:
                raise
            except Exception as error:
                if isinstance(error, LMError) and isinstance(error.__cause__, ErrataError):
                    raise error.__cause__ from None
                return error
        return _attempt(example, said, task.verdict(example, said), calls.history)

    for example, done in in_flight(one, examples, threads):
        if isinstance(done, Attempt):
            yield example, done
            continue
        faults.append((example, done))
        if len(faults) > FAULTS:
            raise done
    for example, error in faults:
        reason = f"the module failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        yield example, _attempt(example, "", Verdict(correct=None, extracted=None, reason=reason), [])


def mine_module(
    loop: Cycle, module: dspy.Module, lm: dspy.LM | None = None, adapter: dspy.Adapter | None = None, **more: Any
) -> list[Attempt]:
    """The module's attempts at the loop's train items, kept as those of round 1, from which `loop.run()` goes on; continues where a kill
    left it. `more` goes to `answers`. Raises UsageError when the loop mines its own errors (`errors` is not `recorded`)."""
    if loop.config.errors != "recorded":
        raise UsageError(f"errors is {loop.config.errors!r}, so that the loop mines its own: set it to recorded to give it a module's")
    ask = lambda missing: answers(module, loop.task, missing, lm, adapter, **more)  # noqa: E731
    return list(loop.attempts(loop.stage(1, "mine"), train_items(loop, 1), ask, "mine errors of a module"))


def _attempt(example: Example, said: str, verdict: Verdict, calls: list[dict[str, Any]]) -> Attempt:
    weights = {weights_of(call["model"]) for call in calls}
    cut = any(getattr(part, "finish_reason", "") == "length" for call in calls for part in _parts(call["response"]))
    target, finish = weights.pop() if len(weights) == 1 else "", "length" if cut else "stop"
    return Attempt(example=example, response=said, verdict=verdict, target=target, finish=finish)


def _parts(response: Any) -> Sequence[Any]:
    """The candidates of a call: DSPy's own responses, or the choices of LiteLLM's."""
    return response if isinstance(response, list | tuple) else getattr(response, "choices", ())
