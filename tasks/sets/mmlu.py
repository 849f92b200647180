"""Questions with labelled options, one of them right: the tasks `mmlu` and `arc`, each from the hub or from a path.

`mmlu` has four options over 57 subjects, the subject as skill. It reads rows with `question`, `A`..`D` and a letter in `answer`; the hub's,
with a list `choices` and the right one's index in `answer`; and the published folder of CSV files without headers (`test/anatomy_test.csv`:
question, four options, letter), where auxiliary_train is train, val is dev, and the published dev (five worked items a subject) is left
out.

`arc` (ARC-Challenge) has three to five options with the exam's own labels, A..E or 1..5. It reads rows with one field a label, listed in
`label`, and the right one in `answer`; the hub's, with `choices` {"text": [...], "label": [...]} and `answerKey`; and the published JSONL,
with `question` {"stem": ..., "choices": [{"text", "label"}]} and `answerKey`.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...signatures.errors import TaskError
from ...signatures.records import Example
from ..cells import words
from ..options import gold as right
from ..options import options
from ..rows import Row, RowTask, field, file_hashes
from ..verdicts import choice

LABELS = "ABCD"
_FOLDERS = {"train": "auxiliary_train", "dev": "val", "test": "test"}


class ChoiceTask(RowTask):
    """What tasks with labelled options have in common: the prompt, the verdict and the form of an answer."""

    kind = "choice"
    prompt, judge, completion = staticmethod(choice.prompt), staticmethod(choice.judged), staticmethod(choice.completion)
    max_new_tokens = 512

    def example(self, where: str, *, split: str, text: str, choices: choice.Choices, gold: str, skill: str = "") -> Example:
        """An example with its options in `meta`. Raises TaskError when there are fewer than two, or the gold is not one of them."""
        if len(choices) < 2:
            raise TaskError(f"{where}: holds {len(choices)} options; give at least two")
        if gold not in choices:
            raise TaskError(f"{where}: the answer {gold!r} is not one of the options {', '.join(choices)}; mend or delete the row")
        shown = choice.question(text, choices)
        meta = {"choices": choices, "stem": text}
        return Example(task=self.name, split=split, question=shown, answer=gold, skill=skill, kind="choice", meta=meta)


class Mmlu(ChoiceTask):
    """MMLU. A bad file raises TaskError when the task is made."""

    name = "mmlu"
    brief = (
        "Questions of knowledge and reasoning with four options, A to D, exactly one of them right. "
        'The response reasons briefly; its last line is "Answer: " and the letter.'
    )
    hub = ("cais/mmlu", "all", {"train": "auxiliary_train", "dev": "validation", "test": "test"})

    def __init__(self, path: Path | None = None):
        if path and any((path / folder).is_dir() for folder in _FOLDERS.values()):
            self.load(_published(path))
            self.data = file_hashes(path, _published_files(path))
        else:
            super().__init__(path)

    def read(self, row: Row, split: str, where: str) -> Example:
        if isinstance(row.get("train"), dict):  # the hub's auxiliary_train wraps its rows
            row = row["train"]
        if "choices" in row:
            found, answer = options(row["choices"], where), row.get("answer")
            if list(found.choices) != list(LABELS) or (isinstance(answer, int) and not 0 <= answer < len(LABELS)):
                raise TaskError(
                    f"{where}: needs four `choices` and the index 0..3 of the right one in `answer`, not {answer!r}; mend the row"
                )
            choices, gold = found.choices, right(answer, found, where)
        else:
            choices = {label: field(row, label, where) for label in LABELS}
            gold = field(row, "answer", where).strip().upper()
        skill = words(row.get("subject"))
        return self.example(where, split=split, text=field(row, "question", where), choices=choices, gold=gold, skill=skill)


def _published_files(path: Path, *folders: str) -> list[Path]:
    """The CSV files of some of the folders, by default of all."""
    return [file for folder in folders or _FOLDERS.values() for file in sorted((path / folder).glob("*.csv"))]


def _published(path: Path) -> Iterator[tuple[str, str, Row]]:
    for split, folder in _FOLDERS.items():
        for file in _published_files(path, folder):
            subject = file.stem.removesuffix("_test").removesuffix("_val")
            try:
                rows = list(csv.reader(io.StringIO(file.read_bytes().decode("utf-8"), newline="")))
            except (UnicodeDecodeError, csv.Error) as error:
                raise TaskError(f"{file}: not a CSV file in UTF-8 ({error}); save it as one") from None
            for number, cells in enumerate(rows, start=1):
                if len(cells) != 6:
                    raise TaskError(f"{file}, row {number}: {len(cells)} cells; a row is a question, four options and a letter")
                row = dict(zip(("question", *LABELS, "answer"), cells, strict=True))
                yield split, f"{file}, row {number}", row | {"subject": subject}


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
            found, text = options(question.get("choices"), where), field(question, "stem", where)
        elif "choices" in row:
            found, text = options(row["choices"], where), field(row, "question", where)
        else:
            labels = row.get("label")
            if not isinstance(labels, list):
                raise TaskError(f"{where}: field 'label' must list the labels of the options, it is {str(labels)[:40]!r}; add it")
            found, text = options({str(label): field(row, str(label), where) for label in labels}, where), field(row, "question", where)
        gold = right(row.get("answerKey", row.get("answer")), found, where)
        return self.example(where, split=split, text=text, choices=found.choices, gold=gold)
