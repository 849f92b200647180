"""The language model that judges answers in prose: one call an answer, kept and counted in the ledger under the stage `judge`.

A share of the answers, chosen by a hash of their content, is judged a second time, at temperature 1, so that a verdict which hangs on a
hair shows: how often both agree is told wherever the verdicts are. What a response says cannot stand for the verdict: each of its lines
is quoted, nothing in it looks like a header of a field, and a verdict is read from behind its own header alone.
What is not here: calls, attempts and caps (errata.programs.instructor.engine), and what is asked (errata.signatures.judging).
"""

import re
import threading
from collections.abc import Callable
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from ...signatures.judging import JudgeAnswer
from ...signatures.records import content_hash, whole
from ...tasks import Opinion
from ...tasks.trace import parted
from ..config import InstructorSettings, JudgeSettings
from ..run.ledger import Ledger
from .chat import Chat, UnusableAnswer, calling, reasks
from .engine import open_instructor, settled_on

STAGE = "judge"
LONGEST = 20_000
"""Characters of a field that are shown; of a longer one the beginning and the end."""
AGAIN = {"rollout_id": 1, "temperature": 1.0}
"""How the second judgement of an answer is asked for."""
_HEADER = r"\[\s?\[\s?#{1,4}"
_REASON = re.compile(r"^[*_ ]{0,3}\[\[ ?## ?reason ?## ?\]\][*_:]{0,4}", re.MULTILINE | re.IGNORECASE)
_VERDICT = re.compile(r"^[*_ ]{0,3}\[\[ ?## ?verdict ?## ?\]\]", re.MULTILINE | re.IGNORECASE)
_WORD = re.compile(r"\W{0,9}(pass|fail)\b(?![\s,/]{0,9}(?:or|and|pass|fail)\b)", re.IGNORECASE)


class JudgeChat(Chat):
    """Reads a verdict from behind its header and nowhere else: a response that is repeated may hold JSON, tags and labels."""

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        trace = parted(completion)
        reason, last = _REASON.search(trace.answer), [*_VERDICT.finditer(trace.answer)][-1:]
        word = _WORD.match(trace.answer, last[0].end()) if trace.closed and last else None
        if word is None or reason is None or reason.end() > last[0].start():
            wanted = "it has no [[ ## reason ## ]] and behind it [[ ## verdict ## ]] with pass or fail alone"
            raise AdapterParseError("JudgeChat", signature, completion, wanted)
        return {"reason": trace.answer[reason.end() : last[0].start()].strip(), "verdict": word[1].lower()}


class Judging(dspy.Module):
    """Asks for one verdict. Its one predictor is `judge`, which optimizers rewrite and `load` restores."""

    def __init__(self, signature: type[dspy.Signature] = JudgeAnswer):
        super().__init__()
        self.judge = dspy.Predict(signature)

    def forward(self, rubric: str, question: str, reference: str, response: str, again: bool = False) -> dspy.Prediction:
        """`reason` and `verdict`. Raises UnusableAnswer."""
        quoted = "\n".join(f"> {line}" for line in shown(response).splitlines())
        fields = {"rubric": rubric, "question": shown(question), "reference": shown(reference), "response": quoted}
        return self.judge(**fields, config=AGAIN if again else {})


class LmJudge:
    """A `Judge` (errata.tasks): `settings` says which model, of the `instructor` where they name none. The model is opened when it is first
    asked, as is the `ledger`: a task is made before its run is open."""

    def __init__(self, settings: JudgeSettings, instructor: InstructorSettings, ledger: Callable[[], Ledger]):
        self.settings = settings
        self.lm_settings = settings.of(instructor)
        self.name = self.lm_settings.model
        self.module = Judging()
        self._ledger = ledger
        self._lm: dspy.LM | None = None
        self._lock = threading.Lock()

    def __call__(self, rubric: str, question: str, reference: str, response: str, /) -> Opinion:
        """Raises InstructorError and BudgetReached, which end the run."""
        asked = (rubric, question, reference, response)
        correct, reason = self._asked(asked)
        twice = int(content_hash(["twice", *map(whole, asked)]), 16) < self.settings.twice * 16**16
        return Opinion(correct, reason, self._asked(asked, again=True)[0] if twice and correct is not None else None)

    @property
    def settled(self) -> str:
        """A line on how many calls a growing `judge.in_flight` came to; empty where there is nothing to say."""
        return settled_on(self._lm, "judge") if self._lm else ""

    def _asked(self, asked: tuple[str, str, str, str], again: bool = False) -> tuple[bool | None, str]:
        lm = self._open()
        try:
            with dspy.context(lm=lm, adapter=JudgeChat(reasks(lm)), disable_history=True), calling(lm):
                said = self.module(*asked, again=again)
        except UnusableAnswer as error:
            return None, f"{self.name} gave no verdict ({error.check}): {' '.join(error.message.split())[:200]}"
        return said.verdict == "pass", " ".join(said.reason.split())[:500]

    def _open(self) -> dspy.LM:
        with self._lock:
            if self._lm is None:
                self._lm = open_instructor(self.lm_settings, self._ledger(), STAGE)
                if "max_completion_tokens" in self._lm.kwargs:  # OpenAI's reasoning models take no temperature of one's own
                    self._lm.kwargs["temperature"] = None
            return self._lm


def open_judge(
    settings: JudgeSettings, instructor: InstructorSettings, ledger: Callable[[], Ledger] = lambda: Ledger(None)
) -> LmJudge | None:
    """The judge that a config names; None where that is the embedded instructor, which cannot judge. Without a ledger its answers are kept
    in memory."""
    return None if settings.of(instructor).model == "offline" else LmJudge(settings, instructor, ledger)


def shown(text: str) -> str:
    """A text as it stands in a question: what looks like a header of a field is broken, the middle of what is very long is left out."""
    text = re.sub(_HEADER, lambda header: header[0].replace("[", "("), whole(text))
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST * 4 // 5]}\n[... {len(text) - LONGEST:,} characters left out ...]\n{text[-LONGEST // 5 :]}"
