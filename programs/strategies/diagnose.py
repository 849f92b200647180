"""The step from a failure, or from several of one kind, to a diagnosis, as a dspy.Module over a signature of errata.signatures.teach."""

from collections.abc import Sequence

import dspy

from ...signatures.records import Attempt, Diagnosis, Failure
from ...signatures.teach import DiagnoseError


def reference_text(failure: Failure) -> str:
    """The reference solution and answer as the instructor reads them; of code the tests too."""
    example = failure.attempt.example
    if "test" in example.meta:
        return f"{example.answer}\n\nIt must pass:\n{example.meta['test']}".strip()
    last = f"#### {example.answer}"
    return example.solution if example.solution.endswith(last) else f"{example.solution}\n{last}".strip()


def failures_text(failures: Sequence[Failure], reference: bool = True) -> str:
    """Several failures as the instructor reads them, numbered, each under its id."""
    parts = []
    for number, failure in enumerate(failures, 1):
        asked = f"Question: {failure.attempt.example.question}\nReference: {reference_text(failure) if reference else '(hidden)'}"
        parts.append(f"{number}. id {failure.id}\n{asked}\nResponse: {failure.attempt.response or '(empty)'}")
    return "\n\n".join(parts)


def solved_text(contrasts: tuple[Attempt, ...]) -> str:
    """The solved neighbours and what the target answered to them."""
    return "\n\n".join(f"Question: {row.example.question}\nResponse: {row.response}" for row in contrasts) or "(none)"


class Diagnose(dspy.Module):
    """Asks the instructor what is behind a failure. Hand it a subclass of DiagnoseError to ask in other words or for more.

    A signature reads those of the fields that it names: `task`, `question`, `reference` and `response` of the first failure, `solved` (its
    solved neighbours), and `failures` (all of them, numbered, each with its id). One that gives `members`, a list of ids, says which of
    them the diagnosis is of."""

    def __init__(self, signature: type[dspy.Signature] = DiagnoseError, reference: bool = True):
        """`reference`: whether the instructor may see the reference solution while it diagnoses."""
        super().__init__()
        self.predict = dspy.Predict(signature)
        self.reference = reference

    def forward(self, failures: Sequence[Failure], brief: str, strategy: str) -> Diagnosis:
        """One call. `brief` tells what the task is. Raises AdapterParseError when the answer cannot be read."""
        failure = failures[0]
        shown = {
            "task": brief,
            "question": failure.attempt.example.question,
            "reference": reference_text(failure) if self.reference else "(hidden)",
            "response": failure.attempt.response or "(empty)",
            "solved": solved_text(failure.contrasts),
            "failures": failures_text(failures, self.reference),
        }
        wanted = self.predict.signature.input_fields
        answer = self.predict(**{name: value for name, value in shown.items() if name in wanted})
        return Diagnosis(
            failure_ids=tuple(one.id for one in failures if one.id in answer.get("members", [one.id])) or (failure.id,),
            strategy=strategy,
            verdict=answer.verdict,
            skill=answer.skill.strip(),
            misconception=answer.misconception.strip(),
            evidence=answer.evidence.strip(),
            teach=answer.teach.strip(),
            boundary=(answer.get("boundary") or "").strip(),
        )
