"""The task `humaneval` (from the hub) or `humaneval:PATH`: Python functions from signature and docstring, judged by their own tests.

Rows hold `prompt`, `entry_point`, `test`, and mostly `canonical_solution` (the body that continues the prompt). On the hub all of it is a
test split. How an answer is read and judged: errata.tasks.code.
"""

from pathlib import Path

from ...signatures.records import Example, Message, Verdict
from ..base import Runner
from ..rows import Row, RowTask, field
from ..verdicts import code


class CodeTask(RowTask):
    """What code tasks have in common. Answers run behind `runner` alone."""

    kind = "code"
    max_new_tokens = 768
    brief = (
        "Python functions to be written from a signature and a docstring with examples, or from a sentence; judged by tests that call "
        "them. The response holds the whole function with its imports in one ```python block."
    )

    def __init__(self, path: Path | None = None, runner: Runner | None = None):
        self._judge = code.Judge(code.runner_or_refuse(self.name, runner))
        super().__init__(path)

    def read(self, row: Row, split: str, where: str) -> Example:
        prompt = field(row, "prompt", where)
        meta = {name: field(row, name, where) for name in ("entry_point", "test")} | {"prompt": prompt}
        body = str(row.get("canonical_solution") or "")
        answer = prompt + body if body.strip() else ""
        if "task_id" in row:
            meta["task_id"] = str(row["task_id"])
        return Example(task=self.name, split=split, question=prompt.strip(), answer=answer, meta=meta)

    def prompt(self, example: Example) -> list[Message]:
        """One user message: the question and the answer form."""
        return code.prompt(example)

    def verdict(self, example: Example, response: str) -> Verdict:
        return self._judge.verdict(code.item_of(example), response)

    def completion(self, solution: str, answer: str) -> str:
        return code.completion(solution, answer)


class HumanEval(CodeTask):
    """HumanEval. A bad file raises TaskError when the task is made, a missing runner UsageError."""

    name = "humaneval"
    hub = ("openai/openai_humaneval", None, {"test": "test"})
