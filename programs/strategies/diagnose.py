"""The step from a failure, or from several of one kind, to a diagnosis, as a dspy.Module over a signature of errata.signatures.teach.

Here is also what an instructor is shown of failures, for this step and for the next one (errata.programs.strategies.write).
"""

import json
from collections.abc import Mapping, Sequence

import dspy

from ...signatures.records import Diagnosis, Example, Failure
from ...signatures.teach import DiagnoseError
from ...tasks import trace


def fields_of(failures: Sequence[Failure], brief: str, reference: bool = True) -> dict[str, str]:
    """What a signature may name: `task`; `question`, `reference` and `response` of the first failure; `solved`, its solved neighbours; and
    `failures`, all of them, numbered, each with its id. `reference`: whether the reference solution is shown."""
    shown = [
        {
            "question": _question(one.attempt.example),
            "reference": _reference(one) if reference else "(hidden)",
            "response": trace.shown(one.attempt.response, one.attempt.answered) or "(empty)",
        }
        for one in failures
    ]
    solved = [f"Question: {row.example.question}\nResponse: {row.answered}" for row in failures[0].contrasts]
    numbered = [
        f"{number}. id {one.id}\nQuestion: {texts['question']}\nReference: {texts['reference']}\nResponse: {texts['response']}"
        for number, (one, texts) in enumerate(zip(failures, shown, strict=True), 1)
    ]
    return {"task": brief, **shown[0], "solved": "\n\n".join(solved) or "(none)", "failures": "\n\n".join(numbered)}


def ask(predict: dspy.Predict, fields: Mapping[str, str]) -> dspy.Prediction:
    """One call, with those of the fields that the signature names. Raises AdapterParseError when the answer cannot be read."""
    wanted = predict.signature.input_fields
    return predict(**{name: value for name, value in fields.items() if name in wanted})


def _question(example: Example) -> str:
    """The question as the instructor reads it, with the functions that this item alone has."""
    if not (tools := example.meta.get("tools")):
        return example.question
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return f"{example.question}\n\n(The functions of this item, no part of the question:\n{functions})"


def _reference(failure: Failure) -> str:
    """The reference solution and answer as the instructor reads them; of code the tests too."""
    example = failure.attempt.example
    if example.kind == "code":
        return f"{example.answer}\n\nIt must pass:\n{example.meta['test']}".strip()
    if example.kind == "prose":
        why = f"\n\nThe judge says of the response: {failure.attempt.verdict.reason}" if failure.attempt.verdict.judge else ""
        return f"{example.answer or '(none; the rubric alone decides)'}{why}"
    last = f"#### {example.answer}" if example.kind in ("number", "choice") else example.answer
    return example.solution if example.solution.endswith(last) else f"{example.solution}\n{last}".strip()


class Diagnose(dspy.Module):
    """Asks the instructor what is behind a failure. Give it a subclass of DiagnoseError to ask in other words or for more. A signature
    reads those of `fields_of` that it names. One that gives `members`, a list of ids, says of which failures the diagnosis is."""

    def __init__(self, signature: type[dspy.Signature] = DiagnoseError, reference: bool = True):
        """`reference`: whether the instructor may see the reference solution while it diagnoses."""
        super().__init__()
        self.predict = dspy.Predict(signature)
        self.reference = reference

    def forward(self, failures: Sequence[Failure], brief: str, strategy: str) -> Diagnosis:
        """One call. `brief` tells what the task is. Raises AdapterParseError when the answer cannot be read."""
        answer = ask(self.predict, fields_of(failures, brief, self.reference))
        return Diagnosis(
            failure_ids=tuple(one.id for one in failures if one.id in answer.get("members", [one.id])) or (failures[0].id,),
            strategy=strategy,
            verdict=answer.verdict,
            skill=answer.skill.strip(),
            misconception=answer.misconception.strip(),
            evidence=answer.evidence.strip(),
            teach=answer.teach.strip(),
            boundary=(answer.get("boundary") or "").strip(),
        )
