"""The task `arc` (ARC-Challenge, from the hub) or `arc:PATH`: science questions of school exams with three to five options.

Labels are the exam's own, A..E or 1..5. Forms that are read: rows with one field a label, listed in `label`, and the right one in
`answer`; the hub's, with `choices` {"text": [...], "label": [...]} and `answerKey`; the published JSONL, with `question`
{"stem": ..., "choices": [{"text", "label"}]} and `answerKey`.
"""

from typing import Any

from ...signatures.errors import TaskError
from ...signatures.records import Example
from ..rows import Row, field
from .mmlu import ChoiceTask


class Arc(ChoiceTask):
    """ARC-Challenge. A bad file raises TaskError when the task is made."""

    name = "arc"
    brief = (
        "Science questions of school exams with three to five labelled options, exactly one of them right. "
        'The response reasons briefly; its last line is "Answer: " and the label.'
    )
    hub = ("allenai/ai2_arc", "ARC-Challenge", {"train": "train", "dev": "validation", "test": "test"})

    def read(self, row: Row, split: str, where: str) -> Example:
        question: Any = row.get("question")
        if isinstance(question, dict):
            found = [(option.get("label"), option.get("text")) for option in question.get("choices", [])]
            text = field(question, "stem", where)
        elif isinstance(row.get("choices"), dict):
            found = list(zip(row["choices"].get("label", []), row["choices"].get("text", []), strict=False))
            text = field(row, "question", where)
        else:
            labels = row.get("label")
            if not isinstance(labels, list):
                raise TaskError(f"{where}: field 'label' must list the labels of the options, it is {str(labels)[:40]!r}; add it")
            found = [(label, field(row, str(label), where)) for label in labels]
            text = field(row, "question", where)
        choices = {str(label): str(words) for label, words in found}
        gold = field(row, "answerKey" if "answerKey" in row else "answer", where).strip()
        return self.example(where, split=split, text=text, choices=choices, gold=gold)
