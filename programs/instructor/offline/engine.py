"""The embedded instructor: an engine behind dspy.LM that answers the instructor's signatures by program analysis, with no model.

It answers the signatures of errata.signatures.teach, told apart by the output fields that are asked for, in the form of DSPy's
ChatAdapter or, when a JSON object is asked for, of JSONAdapter. Any other request raises InstructorError. Tokens are counted as
words, and cost nothing. What is not here: the analysis itself (word_problems/, code, facts, recombine/).
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from ....signatures.errors import InstructorError
from ....signatures.records import Example
from ...samples.calculations import Unreadable
from . import bare_sums, code, facts, several
from .recombine import ORIGIN, extract, label
from .recombine.rows import Rows
from .word_problems import diagnose as sums
from .word_problems import emit

_HEADER = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*$", re.MULTILINE)
PHRASED = "phrased in at least"
"""What a contract says where a program has to ask in more wordings than the error's own."""
RECOMBINED = {"label": label, "json": extract}
"""The kinds that are taught from train rows alone."""


class OfflineEngine:
    """The engine contract of dspy.LM: one attempt, one candidate; holds nothing but the train rows that it recombines."""

    def __init__(self, rows: Rows | None = None):
        self.rows = rows or Rows()

    def complete(self, request: Request) -> Response:
        """Raises InstructorError on a request that asks for something else than a diagnosis or a program."""
        system = _text(request.system)
        answer = self._answer(_fields(request.messages[-1].text or ""), _outputs(system))
        text = _written(answer, "JSON object" in system)
        asked = sum(len(said.split()) for said in (system, *(message.text or "" for message in request.messages)))
        usage = Usage(input_tokens=asked, output_tokens=len(text.split()))
        return Response(id="offline", model=request.model, message=Message.assistant([TextPart(text)]), finish_reason="stop", usage=usage)

    def _answer(self, given: dict[str, str], asked: list[str]) -> dict[str, object]:
        wanted = {"question", "reference", "response"}
        kind = "program" if "program" in asked else "diagnosis" if "misconception" in asked else ""
        if kind and "failures" in given:
            each = several.errors(given["failures"])
            answers = [self._one(kind, {**given, **one}) for one in each]
            ids = [one["failure_id"] for one in each]
            joined = several.program(given.get("skill", ""), answers) if kind == "program" else several.diagnosis(ids, answers)
            return {name: joined.get(name, "") for name in asked}
        if not kind or not wanted <= given.keys():
            missing = ", ".join(sorted(wanted - given.keys())) or "nothing"
            raise InstructorError(
                f"the offline instructor answers diagnoses and programs only; this request asks for {', '.join(asked) or 'no known field'} "
                f"and lacks {missing}: name another instructor for it"
            )
        found = self._both_sides(given) if kind == "program" and given.get("solved") else self._one(kind, given)
        return {name: found.get(name, "") for name in asked}

    def _both_sides(self, given: dict[str, str]) -> dict[str, str]:
        """A program from the solved side to the failed one, of word problems; where it was refused, the failed side alone."""
        if self._kind(given) != "number":
            return self._one("program", given)
        if given.get("complaint") and "\ndef near():" in given.get("rejected", ""):
            return self._one("program", {**given, "complaint": ""})
        near = [] if given.get("complaint") else [self._program({**given, **one}) for one in several.solved(given["solved"])]
        return several.both_sides(given.get("skill", ""), near, self._one("program", given))

    def _kind(self, given: dict[str, str]) -> str:
        """What is taught: as train rows have it, or else by what the contract or the texts show."""
        contract, question = given.get("contract", ""), given["question"]
        if (known := self.rows.kind_of(question)) in RECOMBINED:
            return known
        if '"entry_point"' in contract or (not contract and code.is_code(question, given["reference"])):
            return "code"
        return "choice" if '"choices"' in contract or (not contract and facts.is_choice(question)) else "number"

    def _one(self, kind: str, given: dict[str, str]) -> dict[str, str]:
        """A diagnosis or a program of one error."""
        if given["response"] == "(empty)":
            given = {**given, "response": ""}
        return self._program(given) if kind == "program" else self._diagnosis(given)

    def _diagnosis(self, given: dict[str, str]) -> dict[str, str]:
        shown, solved, kind = (given["question"], given["reference"]), given.get("solved", ""), self._kind(given)
        if known := RECOMBINED.get(kind):
            found, boundary = known.diagnose(self.rows, *shown, given["response"]), known.boundary(self.rows, *shown, solved)
        else:
            teacher = code if kind == "code" else facts if kind == "choice" else sums
            found, boundary = teacher.diagnose(*shown, given["response"]), teacher.boundary(*shown, solved)
        how = "Compared the steps of the response with those of the reference, one by one."
        return {"reasoning": ORIGIN if known else how, **asdict(found), "boundary": boundary}

    def _program(self, given: dict[str, str]) -> dict[str, str]:
        complaint = given.get("complaint", "")
        said = {"reasoning": "Put parameters in place of what the question varies and computed the answer again."}
        if complaint and not (complaint.startswith("telling") and "def wrong(" in given.get("rejected", "")):
            return {**said, "refusal": f"no more careful program is known: {complaint}", "program": ""}
        shown = (given["question"], given["reference"], given["response"], given.get("failure_id", "error"), given.get("skill", ""))
        write = partial(writer(self._kind(given), self.rows), careful=bool(complaint), phrased=PHRASED in given.get("contract", ""))
        try:
            source = write(*shown)
        except Unreadable as reason:
            return {**said, "refusal": str(reason), "program": ""}
        return {**said, "refusal": "", "program": f"```python\n{source}```"}


class _AsyncEngine:
    def __init__(self, rows: Rows):
        self._engine = OfflineEngine(rows)

    async def complete(self, request: Request) -> Response:
        return self._engine.complete(request)


def offline_lm(load: Callable[[], Iterable[Example]] | None = None) -> dspy.LM:
    """The offline instructor as a dspy.LM; deterministic, so nothing is cached. `load` gives the train items of the tasks of labels and of
    JSON, which are taught from these alone; it is called once, when the first of them is asked about."""
    rows = Rows(load)
    return dspy.LM("local/offline", engine=OfflineEngine(rows), async_engine=_AsyncEngine(rows), cache=False)


def writer(kind: str, rows: Rows) -> Callable[..., str]:
    """What writes programs of a kind: (question, reference, response, failure id, skill, careful, phrased) -> source, or Unreadable."""
    if known := RECOMBINED.get(kind):
        return partial(known.write, rows)
    return code.write if kind == "code" else facts.write if kind == "choice" else _sums


def _text(system: str | Sequence[object] | None) -> str:
    if system is None or isinstance(system, str):
        return system or ""
    return "\n".join(part.text for part in system if isinstance(part, TextPart))


def _outputs(system: str) -> list[str]:
    """Names of the output fields that the adapter's system prompt lists: DSPy's own adapters number them, Errata's shows their headers."""
    listed = system.partition("Your output fields are:")[2].partition("All interactions")[0]
    form = system.rpartition("Your answer has this form:")[2]
    return re.findall(r"^\d+\. `(\w+)`", listed, re.MULTILINE) or [name for name in _HEADER.findall(form) if name != "completed"]


def _fields(message: str) -> dict[str, str]:
    """The input fields of the last user message."""
    headers = list(_HEADER.finditer(message))
    ends = [*(h.start() for h in headers[1:]), len(message)]
    found = {h[1]: message[h.end() : end].strip() for h, end in zip(headers, ends, strict=True)}
    if headers:
        last = headers[-1][1]
        found[last] = re.split(r"\n\s*Respond with (?:the (?:corresponding output )?fields|a JSON object)", "\n" + found[last])[0].strip()
    return found


def _sums(question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool, phrased: bool) -> str:
    bare = bare_sums.write(question, reference, failure_id, skill, phrased)
    return bare or emit.write(question, reference, response, failure_id, skill, careful, phrased)


def _written(answer: dict[str, object], as_json: bool) -> str:
    if as_json:
        return json.dumps(answer, ensure_ascii=False)
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in answer.items()) + "[[ ## completed ## ]]"
