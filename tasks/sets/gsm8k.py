"""Grade school word problems: the tasks `gsm8k:PATH` and `gsm_plus`.

`gsm8k` reads local files in GSM8K's form, `question` and `answer` ending in "#### 72" (or "A: 72", as OpenAI's recordings end); a field
`extracted_answer`, where there is one, is the gold, and `type` the skill. `gsm_plus` (from the hub, a test split alone) or `gsm_plus:PATH`
asks GSM8K's test questions, changed in eight ways, which are the skills (arXiv 2402.19255): train on `gsm8k`, and guard with this. It reads
the hub's rows (`question`, `solution`, `answer`, `perturbation_type`) and rows like those of `gsm8k`. Its golds are messy, and read thus:
- one number, with unit, sign of currency or percent, or as a fraction: "160 windows", "$18.50", "20 %", "3/2";
- a decimal with two places or more may have been rounded ("33.33", "5.333"): an answer that has more places, or is a fraction, counts when
  it rounds to the gold. "23" and "11.7" are exact, and "33" is not "33.33";
- "None", where a change made the question unanswerable: right is a response that says so in place of a number.
"""

import re
from collections.abc import Iterable
from fractions import Fraction

from ...signatures.errors import TaskError
from ...signatures.records import Example, Message, Verdict
from ..base import scored
from ..cells import words
from ..rows import Row, RowTask, field
from ..verdicts import number, short

_GOLD = re.compile(r"(?:####|(?:^|\n)A:)([^\n#]*)\s*\Z")


class Gsm8k(RowTask):
    """GSM8K. A bad file raises TaskError when the task is made. Without a path it reads rows and judges, and has no items."""

    name = "gsm8k"
    kind = "number"
    max_new_tokens = 400
    dev_share = 26 / 256
    prompt, judge, completion = staticmethod(number.prompt), staticmethod(number.judged), staticmethod(number.completion)
    brief = (
        "Grade school arithmetic word problems of two to eight steps. The response works through the steps, each with a "
        'calculator mark such as "48/2=<<48/2=24>>24 clips", and its last line is "#### " and the answer, '
        "a bare number without its unit."
    )

    def load(self, found: Iterable[tuple[str, str, Row]], one_file: bool = False) -> None:
        """An item's `meta` holds its line in the file."""
        numbered = ((split, where, row | {"line": int(where.rpartition(" ")[2])}) for split, where, row in found)
        super().load(numbered, one_file)

    def read(self, row: Row, split: str, where: str) -> Example:
        question, text = field(row, "question", where, number=False), field(row, "answer", where)
        marked = _GOLD.search(text)
        gold = (str(row["extracted_answer"]) if "extracted_answer" in row else marked[1] if marked else text).strip()
        if number.read(gold) is None:
            raise TaskError(
                f"{where}: no number can be read from the answer {gold[-40:]!r}; "
                'an answer ends in "#### " and one number, mend or delete the line'
            )
        solution, skill = text if text.strip() != gold else "", words(row.get("skill", row.get("type")))
        meta = {"line": row["line"]} if "line" in row else {}
        return Example(task=self.name, split=split, question=question, answer=gold, solution=solution, skill=skill, meta=meta)


UNANSWERABLE = "None"
_CANNOT = re.compile(
    r"(?i)\b(?:none|unanswerable|undetermined|undeterminable|indeterminate|unknown|not\s+(?:possible|enough|sufficient|specified|given|provided"
    r"|determinable|known|solvable|stated|clear)|insufficient|cannot|can't|can\s+not|impossible|unable|missing|lacks?|n/?a|need\s+more)\b"
)


class GsmPlus(RowTask):
    """GSM-Plus. A bad file raises TaskError when the task is made."""

    name = "gsm_plus"
    kind = "number"
    max_new_tokens = 400
    brief = (
        "Grade school arithmetic word problems with changed numbers, added or irrelevant sentences, or the question turned round. The "
        'response works through the steps; its last line is "#### " and the answer, a bare number, or "#### None" where the question '
        "cannot be answered."
    )
    hub = ("qintongli/GSM-Plus", None, {"test": "test"})

    def read(self, row: Row, split: str, where: str) -> Example:
        published = "extracted_answer" not in row
        gold = row.get("answer" if published else "extracted_answer")
        gold = UNANSWERABLE if gold is None else str(gold).strip()
        if gold.lower() in ("none", "n/a", "null"):
            gold = UNANSWERABLE
        elif number.read(gold) is None:
            raise TaskError(f"{where}: no single number can be read from the answer {gold[-40:]!r}; mend or delete the row")
        question, solution = field(row, "question", where), words(row.get("solution" if published else "answer"))
        skill = words(row.get("perturbation_type" if published else "type"))
        return Example(task=self.name, split=split, question=question, answer=gold, solution=solution, skill=skill)

    def prompt(self, example: Example) -> list[Message]:
        ask = 'Show each step; end with the line "#### number", or "#### None" if the question cannot be answered.'
        return [{"role": "user", "content": f"{example.question}\n{ask}"}]

    def judge(self, example: Example, response: str) -> Verdict:
        """`right`, `wrong`, or `no answer`."""
        if refused(response):
            return scored(example.answer == UNANSWERABLE, UNANSWERABLE)
        given = number.extract(response)
        if example.answer == UNANSWERABLE:
            return scored(False, None if given is None else number.show(given))
        verdict = number.verdict(example.answer, response, example.question)
        if verdict.reason == "wrong" and given is not None and _rounds_to(given, example.answer):
            return verdict.model_copy(update={"correct": True, "reason": "right"})
        return verdict

    def completion(self, solution: str, answer: str) -> str:
        """The steps without the marks that stand in the middle of some published solutions, and "#### answer"."""
        return number.completion(re.sub(r"\s*####\s*", " ", solution).strip(), answer)


def refused(response: str) -> bool:
    """Whether a response's last line says that there is no answer ("#### None", "it cannot be known"), and no answer is marked before."""
    tail = response.rstrip().rpartition("\n")[2].rpartition("####")[2]
    return _CANNOT.search(tail) is not None and all(number.extract(said) is None for said in (tail, short.read(response) or ""))


def _rounds_to(given: Fraction, gold: str) -> bool:
    """Whether a number with more places than a gold of two places or more rounds to it."""
    places = len(gold_digits[1]) if (gold_digits := re.search(r"\d*\.(\d+)", gold)) else 0
    unit = Fraction(1, 10**places)
    expected = number.read(gold)
    return places >= 2 and expected is not None and (given / unit).denominator != 1 and abs(given - expected) * 2 <= unit
