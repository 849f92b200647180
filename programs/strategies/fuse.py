"""Fusion: two kept numeric programs become one, whose problems need both.

After MathFusion (arXiv 2503.16212), which has an LLM fuse problems. Here programs are fused, so that answers stay computed, and no
instructor is asked. Three ways:

- sequence: the answer of the first problem is a number of the second. Nothing is forced: both are drawn until they fit.
- parallel: both are asked, then added or compared.
- condition: whether the second problem must be solved hangs on the answer of the first.

A fused program holds both parents whole, each inside a function of its own, and rebuilds the anchors of both; so the check `anchored`
proves that each part still does what it did. What is not here: programs for choice and code, and a wording other than this page's.
"""

from collections.abc import Sequence

import dspy

from ...signatures.records import Diagnosis, Example, Failure, Rejection, SampleProgram, TeachingResult
from ...tasks import Task
from ..samples.nest import nested
from .strategy import Strategy
from .write import Prove

WAYS = ("sequence", "parallel", "condition")
SOURCE = '''"""Practice for: {skill}. Two programs in one ({how}): each part is the program that was written for its own error."""

import re

HOW = {how!r}
TRIES = 40


{first}


{second}


FIRST, SECOND = first(), second()
ANCHORS = {{name: {{"part": part, "own": own}} for part, each in enumerate((FIRST, SECOND)) for name, own in each["ANCHORS"].items()}}


def whole(text):
    """An answer as a number, None where it is no whole one."""
    return int(text) if re.fullmatch(r"-?\\d+", text) else None


def put(question, number, text):
    """The question with `text` in place of the number, None where the number does not stand there exactly once."""
    found = list(re.finditer(rf"(?<![\\w.,/:-]){{number}}(?![\\w/:%-]|[.,]\\d)", question))
    return question[: found[0].start()] + text + question[found[0].end() :] if len(found) == 1 else None


def hangs(params, name):
    """Whether the parameter stands in the second problem once, and its answer hangs on it."""
    row, other = SECOND["make"](**params), None
    try:
        other = SECOND["make"](**{{**params, name: params[name] + 1}})
    except Exception:
        return False
    return other["answer"] != row["answer"] and put(row["question"], params[name], str(params[name] + 1)) == other["question"]


def draw(rng, level):
    return sequence(rng, level) if HOW == "sequence" else beside(rng, level)


def sequence(rng, level):
    """Both are drawn until the answer of a first problem is a number of a second one."""
    firsts, wanted = {{}}, {{}}
    for _ in range(TRIES):
        first, second = FIRST["draw"](rng, level), SECOND["draw"](rng, level)
        answer = whole(FIRST["make"](**first)["answer"])
        if answer is not None and answer > 1:
            firsts.setdefault(answer, first)
        for name, value in second.items():
            if type(value) is int:
                wanted.setdefault(value, []).append((second, name))
        for value in sorted(firsts.keys() & wanted.keys()):
            for own, name in wanted.pop(value):
                if whole(SECOND["make"](**own)["answer"]) is not None and hangs(own, name):
                    return {{"first": firsts[value], "second": own, "link": name}}
    raise ValueError("no answer of the first problem is a number of the second")


def beside(rng, level):
    for _ in range(TRIES):
        first, second = FIRST["draw"](rng, level), SECOND["draw"](rng, level)
        left, right = (whole(part["make"](**own)["answer"]) for part, own in ((FIRST, first), (SECOND, second)))
        if left is None or right is None:
            continue
        if HOW == "parallel" and left != right:
            return {{"first": first, "second": second, "ask": rng.choice(["sum", "difference"])}}
        if HOW == "condition":
            gap = rng.randint(1, 2 + abs(left) // 3)
            limit = left - gap if rng.random() < 0.5 else left + gap
            if limit > 0:
                return {{"first": first, "second": second, "limit": limit}}
    raise ValueError("no two problems with different whole answers")


def make(part=None, own=None, first=None, second=None, link=None, ask=None, limit=None):
    if part is not None:
        return (FIRST, SECOND)[part]["make"](**own)
    a, b = FIRST["make"](**first), SECOND["make"](**second)
    left, right = int(a["answer"]), int(b["answer"])
    if link is not None:
        name = next(letter for letter in "NXKQ" if not re.search(rf"\\b{{letter}}\\b", a["question"] + b["question"]))
        question = f"{{a['question']}} Call the answer {{name}}. {{put(b['question'], second[link], name)}}"
        lines, answer = [a["solution"], f"So {{name}} is {{left}}.", b["solution"]], right
    elif ask is not None:
        question = f"Here are two questions. First: {{a['question']}} Second: {{b['question']}} "
        high, low = max(left, right), min(left, right)
        answer = left + right if ask == "sum" else high - low
        sum_ = f"{{left}}+{{right}}" if ask == "sum" else f"{{high}}-{{low}}"
        mark = f"<<{{sum_}}={{answer}}>>" if "<<" in a["solution"] + b["solution"] else ""
        question += "What is the sum of the two answers?" if ask == "sum" else "By how much do the two answers differ?"
        told = "The sum of the two answers is" if ask == "sum" else "The two answers differ by"
        lines = [a["solution"], b["solution"], f"{{told}} {{sum_}}={{mark}}{{answer}}."]
    else:
        question = f"First answer this: {{a['question']}} If the answer is more than {{limit}}, it is the final answer. "
        question += f"If it is not, answer this instead: {{b['question']}}"
        if left > limit:
            lines, answer = [a["solution"], f"{{left}} is more than {{limit}}, so the answer is {{left}}."], left
        else:
            lines, answer = [a["solution"], f"{{left}} is not more than {{limit}}.", b["solution"]], right
    said = [line for text in lines for line in text.splitlines() if line.strip() and not line.startswith("####")]
    row = {{"question": question, "solution": "\\n".join(said), "answer": str(answer)}}
    return {{**row, "asserted": True}} if a.get("asserted") or b.get("asserted") else row
'''


def fused(first: SampleProgram, second: SampleProgram, how: str, diagnosis: Diagnosis) -> SampleProgram | None:
    """Both programs as one, joined in one of WAYS; None where one of them cannot be put into a function."""
    parts = nested("first", first.source), nested("second", second.source)
    if None in parts:
        return None
    return SampleProgram(
        diagnosis_id=diagnosis.id,
        source=SOURCE.format(skill=diagnosis.skill.replace('"', "'"), how=how, first=parts[0], second=parts[1]),
        anchors=first.anchors + second.anchors,
        skill=diagnosis.skill,
        task=first.task,
        parents=(first.id, second.id),
    )


class Fuse(Strategy):
    """Teaches with another strategy, and adds programs that are fused of those that were kept."""

    def __init__(self, base: Strategy, share: float = 0.5):
        """`share`: fused programs for each one that can be fused; at most 1."""
        dspy.Module.__init__(self)
        self.base = base
        self.share = min(1.0, share)
        self.source = base.source
        self.contrasts = base.contrasts

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        return self.base.groups(failures)

    def forward(self, failures: Sequence[Failure], brief: str, prove: Prove) -> TeachingResult:
        """As the strategy that it rests on."""
        taught: TeachingResult = self.base(failures=failures, brief=brief, prove=prove)
        return taught

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        return self.base.items(task, mined, count, seed)

    def derive(self, taught: Sequence[TeachingResult], prove: Prove) -> list[TeachingResult]:
        """Pairs of programs of one task, each program in two of them at most; the ways are taken in turn, the next where one is refused."""
        rows = self.base.derive(taught, prove)
        kept = [row for row in [*taught, *rows] if row.program and row.program.kind == "number" and not row.program.parents]
        tasks = sorted({row.program.task for row in kept if row.program})
        for task in tasks:
            # by id: at random, and always the same
            ring = sorted(
                (row for row in kept if row.program and row.program.task == task), key=lambda row: row.program.id if row.program else ""
            )
            for place in range(round(self.share * len(ring)) if len(ring) > 2 else len(ring) - 1):
                rows.append(self._joined(ring[place], ring[(place + 1) % len(ring)], place, prove))
        return rows

    def _joined(self, one: TeachingResult, other: TeachingResult, turn: int, prove: Prove) -> TeachingResult:
        assert one.program and other.program and one.diagnosis and other.diagnosis
        refused: list[SampleProgram] = []
        rejections: list[Rejection] = []
        ids = one.program.anchors + other.program.anchors
        for how in WAYS[turn % len(WAYS) :] + WAYS[: turn % len(WAYS)]:
            diagnosis = Diagnosis(
                failure_ids=ids,
                strategy=type(self).__name__,
                verdict="error",
                skill=f"{how}: {one.program.skill}; {other.program.skill}",
                misconception=" And: ".join(filter(None, (one.diagnosis.misconception, other.diagnosis.misconception))),
                evidence="",
                teach="Both at once: what was failed alone is part of a longer problem.",
            )
            program = fused(one.program, other.program, how, diagnosis)
            if program is None:
                reason = "one of the two programs cannot be put into a function: it has global statements or star imports"
                rejections.append(Rejection(of=diagnosis.id, kind="diagnosis", check="fuse", reason=reason))
                break
            refusal = prove(program)
            if refusal is None:
                return TeachingResult(
                    failure_ids=ids, diagnosis=diagnosis, program=program, refused=tuple(refused), rejections=tuple(rejections)
                )
            refused.append(program)
            rejections.append(refusal)
        return TeachingResult(failure_ids=ids, diagnosis=diagnosis, program=None, refused=tuple(refused), rejections=tuple(rejections))
