"""The rows of a run as rows of tables, each with the error, diagnosis and program that it came from.

A table is read from the run as it is written out, row by row. Nothing of it says where on this machine anything lies: models and tasks are
named without their paths. What is not here: drawing refused rows again (again.py), and the folder that is written (folder.py).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ....signatures.records import Example, Message, Pair, Rejection, Sample, TrainRow
from ...config import CycleConfig
from ...run import layout
from ..card import shown_run, shown_task, without_place
from .again import redrawn

TEXT, WHOLE = pa.string(), pa.int64()
CHAT = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))
Columns = Mapping[str, tuple[pa.DataType, str]]
"""Name -> its type, and what it holds."""
PROBLEM: Columns = {
    "task": (TEXT, "task that the problem is an item of"),
    "kind": (TEXT, "what an answer is: number, choice, code, text, label, json, sql, tools or prose"),
    "question": (TEXT, "the problem"),
    "answer": (TEXT, "its right answer, computed by the program"),
    "solution": (TEXT, "its worked solution"),
    "wrong": (TEXT, "what the misconception would answer; null where the program does not say"),
}
LINEAGE: Columns = {
    "skill": (TEXT, "what it takes, as the diagnosis names it; of a replayed item as its data do"),
    "misconception": (TEXT, "the mistake that the diagnosis found"),
    "errors": (pa.list_(TEXT), "ids of the errors behind it, which the program rebuilds"),
    "diagnosis": (TEXT, "id of the diagnosis"),
    "program": (TEXT, "id of the program that drew it"),
    "strategy": (TEXT, "how the run makes programs of errors"),
    "instructor": (TEXT, "model that wrote the diagnosis and the program; null where there is no program"),
    "target": (TEXT, "model that made the errors"),
    "weights": (TEXT, "hash of its weights in that round; null where the errors are recorded answers"),
    "run": (TEXT, "name of the run"),
    "round": (WHOLE, "round of the run"),
}
DRAW: Columns = {
    "seed": (WHOLE, "what the program drew it with: seed, index and level give the same row again"),
    "index": (WHOLE, "see seed"),
    "level": (WHOLE, "how hard it is, 1 to 5; 3 is as hard as the errors"),
}
TOOLS: Columns = {"tools": (TEXT, "the functions that may be called, a JSON list; null where there are none")}
TABLES: dict[str, Columns] = {
    "rows": {
        "id": (TEXT, "id of the row, for `errata trace`"),
        "messages": (CHAT, "the chat: the last message is what is trained on"),
        **TOOLS,
        "made": (TEXT, "`generated` by a program; `replayed`: a solved item with the target's own answer; or an `item` of the task"),
        **PROBLEM, **LINEAGE, **DRAW,
    },
    "pairs": {
        "id": (TEXT, "id of the row or error whose question it is, for `errata trace`"),
        "prompt": (CHAT, "what is asked"),
        "chosen": (CHAT, "a right answer"),
        "rejected": (CHAT, "a wrong answer"),
        **TOOLS,
        "chosen_from": (TEXT, "`own`: the target answered so itself; `solution`: the worked solution"),
        "rejected_from": (TEXT, "`own`, or `wrong`: what the program's misconception works out"),
        **LINEAGE,
    },
    "rejected": {
        "id": (TEXT, "id of the refused row"),
        "check": (TEXT, "the check that refused it"),
        "reason": (TEXT, "why"),
        **PROBLEM, **LINEAGE, **DRAW,
    },
}  # fmt: skip
"""The tables of a data set. Of a refused row the problem is drawn again; it is null where that is not to be had."""
HELD_OUT = "unseen"
"""The check that refuses rows which overlap held-out items: their text stays out of what is published."""


class Origin:
    """Where the rows of one run came from."""

    def __init__(self, path: Path, config: CycleConfig):
        self.path, self.config, self.name = path, config, shown_run(path, config)
        self.rounds = layout.rounds(path)
        taught = [row for number in self.rounds for row in layout.taught(path, number)]
        self.programs = {row.program.id: row.program for row in taught if row.program}
        self.diagnoses = {row.program.id: row.diagnosis for row in taught if row.program}
        library = layout.source(path, 1) if self.rounds else None
        self.instructor = without_place(library["says"].get("instructor") or "" if library else config.instructor.model)
        self.target = without_place(config.target.model)
        self.weights = {number: next((row.target for row in layout.attempts(path, number)), "") for number in self.rounds}

    def of(self, number: int, program: str) -> dict[str, Any]:
        """The lineage of a row of a round; of one that no program made the ids are null."""
        known, diagnosis = self.programs.get(program), self.diagnoses.get(program)
        return {
            "skill": (diagnosis.skill if diagnosis else None) or (known.skill if known else None) or None,
            "misconception": diagnosis.misconception if diagnosis else None,
            "errors": list(known.anchors) if known else [],
            "diagnosis": known.diagnosis_id if known else None,
            "program": program or None,
            "strategy": (diagnosis.strategy if diagnosis else None) or without_place(self.config.generate.strategy),
            "instructor": (self.instructor or None) if program else None,
            "target": self.target,
            "weights": self.weights[number] or None,
            "run": self.name,
            "round": number,
        }


class Chat(NamedTuple):
    """A prompt as others read it: the functions that it offers stand apart."""

    tools: str | None
    messages: list[Message]

    @classmethod
    def of(cls, prompt: tuple[Message, ...]) -> "Chat":
        first = prompt[0] if prompt else {}
        return cls(first["content"], list(prompt[1:])) if first.get("role") == "tools" else cls(None, list(prompt))


def rows(origin: Origin) -> Iterator[dict[str, Any]]:
    """What is trained on, in the order of the training sets."""
    for number in origin.rounds:
        stage = layout.step(origin.path, number, "assemble")
        if not stage.done:
            continue
        samples = stage.rows(layout.SAMPLES, Sample)
        places = {row.id: place for place, row in enumerate(samples)}
        answers = layout.attempts(origin.path, number)
        solved = {row.id: place for place, row in enumerate(answers) if row.verdict.correct}
        for row in stage.rows(layout.ROWS, TrainRow):
            tools, prompt = Chat.of(row.prompt)
            made = {"id": row.source, "messages": [*prompt, *row.completion], "tools": tools}
            if (place := places.get(row.source)) is not None:
                sample = samples[place]
                kind = "generated" if sample.program_id else "item"
                yield made | {"made": kind} | origin.of(number, sample.program_id) | _problem(sample.example) | _drawn(sample)
            else:
                item = answers[solved[row.source]].example if row.source in solved else None
                problem = _problem(item) | {"skill": item.skill or None} if item else {}
                yield made | {"made": "replayed"} | origin.of(number, "") | problem


def pairs(origin: Origin) -> Iterator[dict[str, Any]]:
    """The pairs of all stages on preferences."""
    for number in origin.rounds:
        programs = {sample.id: sample.program_id for sample in layout.samples(origin.path, number)}
        programs |= {name: program.id for program in origin.programs.values() for name in program.anchors}
        for stage in layout.paired(origin.path, number):
            for pair in stage.rows(layout.PAIRS, Pair):
                tools, prompt = Chat.of(pair.prompt)
                own = pair.model_dump(mode="json", include={"chosen", "rejected", "chosen_from", "rejected_from"})
                yield {"id": pair.source, "prompt": prompt, "tools": tools} | own | origin.of(number, programs.get(pair.source, ""))


def rejected(origin: Origin) -> Iterator[dict[str, Any]]:
    """The rows that a check refused, drawn again where a program drew them; the text of those that overlap held-out items stays out."""
    for number in origin.rounds:
        stage = layout.step(origin.path, number, "assemble")
        if not stage.done:
            continue
        refused = [row for row in stage.rows(layout.REJECTIONS, Rejection) if row.kind == "sample"]
        wanted = {row.of: row.program for row in refused if row.check != HELD_OUT}
        found = redrawn(origin.path, number, origin.config, wanted) if wanted else {}
        for row in refused:
            sample = found.get(row.of)
            text = _problem(sample.example) | _drawn(sample) if sample else {}
            yield {"id": row.of, "check": row.check, "reason": row.reason} | origin.of(number, row.program) | text


def _problem(item: Example) -> dict[str, Any]:
    fields = item.model_dump(mode="json", include={"kind", "question", "answer", "solution"})
    return {"task": shown_task(item.task)} | {"kind": item.kind} | fields


def _drawn(sample: Sample) -> dict[str, Any]:
    return {"wrong": sample.wrong, "seed": sample.seed, "index": sample.index, "level": sample.level}
