"""The task `gsm8k:PATH`: grade school word problems from local files in GSM8K's form, `question` and `answer` ending in
"#### 72" (or "A: 72", as OpenAI's recordings end).

A folder holds train.jsonl and test.jsonl, and dev.jsonl if it has one of its own; without it, dev is every tenth or so
train row, chosen by a hash of its question, and train is the rest. A lone file is all train. Rows with a field
`extracted_answer` (GSM-Plus) take their gold from there, and their `type` as skill. It does not download anything.
"""

import hashlib
import random
import re
from pathlib import Path

from ...signatures.errors import TaskError, UsageError
from ...signatures.records import Example, Message, Verdict
from ..base import SPLITS
from ..jsonl import read_jsonl
from ..rows import Row, field, file_hashes
from ..verdicts import number

_GOLD = re.compile(r"(?:####|(?:^|\n)A:)([^\n#]*)\s*\Z")


class Gsm8k:
    """GSM8K from a file or folder. A bad file raises TaskError when the task is made, not an hour later. Without a path it reads rows
    and judges, and has no items."""

    name = "gsm8k"
    kind = "number"
    twin = None
    max_new_tokens = 400
    brief = (
        "Grade school arithmetic word problems of two to eight steps. The response works through the steps, each with a "
        'calculator mark such as "48/2=<<48/2=24>>24 clips", and its last line is "#### " and the answer, '
        "a bare number without its unit."
    )

    def __init__(self, path: Path | None = None):
        self.path = path
        files: dict[str, Path] = {}
        if path is None:
            rows = {}
        elif path.is_dir():
            files = {split: file for split in SPLITS if (file := path / f"{split}.jsonl").exists()}
            rows = {split: self._read(file, split) for split, file in files.items()}
            if not rows:
                raise TaskError(f"{path}: holds neither train.jsonl nor test.jsonl; give a folder that does, or one JSONL file")
            if "dev" not in rows and "train" in rows:
                dev = [row for row in rows["train"] if _is_dev(row)]
                rows["train"] = [row for row in rows["train"] if not _is_dev(row)]
                rows["dev"] = [row.model_copy(update={"split": "dev"}) for row in dev]
        else:
            files = {"train": path}
            rows = {"train": self._read(path, "train")}
        self._rows = rows
        self.data = file_hashes(path, files.values()) if path else {}

    def _read(self, file: Path, split: str) -> list[Example]:
        rows = read_jsonl(file, ("question", "answer"))
        return [self.read(row, split, f"{file}, line {line}").model_copy(update={"meta": {"line": line}}) for line, row in rows]

    def read(self, row: Row, split: str, where: str) -> Example:
        """The example that a row holds; `where` names it in errors. Raises TaskError."""
        question, text = field(row, "question", where), field(row, "answer", where)
        marked = _GOLD.search(text)
        gold = str(row["extracted_answer"]) if "extracted_answer" in row else marked[1] if marked else text
        gold = gold.strip()
        if number.read(gold) is None:
            raise TaskError(
                f"{where}: no number can be read from the answer {gold[-40:]!r}; "
                'an answer ends in "#### " and one number, mend or delete the line'
            )
        return Example(
            task=self.name,
            split=split,
            question=question,
            answer=gold,
            solution=text if text.strip() != gold else "",
            skill=str(row.get("skill", row.get("type", ""))),
        )

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        """Rows of a split, in the file's order for seed 0 and shuffled by any other; none for a split that the path
        lacks."""
        if split not in SPLITS:
            raise UsageError(f"gsm8k has no split {split!r}: use one of {', '.join(SPLITS)}")
        if self.path is None:
            raise UsageError("task gsm8k needs its data: write gsm8k:PATH, a JSONL file or a folder with train.jsonl and test.jsonl")
        rows = list(self._rows.get(split, []))
        if seed:
            random.Random(f"gsm8k {split} {seed}").shuffle(rows)
        return rows[:limit]

    def prompt(self, example: Example) -> list[Message]:
        """One user message: the question and the answer form."""
        return number.prompt(example.question)

    def verdict(self, example: Example, response: str) -> Verdict:
        return number.verdict(example.answer, response)

    def completion(self, solution: str, answer: str) -> str:
        return number.completion(solution, answer)


def _is_dev(example: Example) -> bool:
    return hashlib.sha256(example.question.encode()).digest()[0] < 26
