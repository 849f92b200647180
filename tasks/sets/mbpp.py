"""Python functions, judged by the tests that come with them: the tasks `mbpp` and `humaneval`, each from the hub or from a path.

`humaneval` asks by signature and docstring. Rows hold `prompt`, `entry_point`, `test`, and mostly `canonical_solution` (the body that
continues the prompt). On the hub all of it is a test split. `mbpp` asks by a sentence, with three tests each. It reads the published rows
(`text` or `prompt`, the gold in `code`, `test_list` of asserts, `test_setup_code` or `test_imports`), where the question shows the tests as
is usual, because they fix the function's name; and HumanEval's form. How an answer is read and judged: errata.tasks.verdicts.code.
"""

import ast
from pathlib import Path

from ...signatures.errors import TaskError
from ...signatures.records import Example, Verdict
from ..base import Runner
from ..cells import words
from ..rows import Row, RowTask, field
from ..verdicts import code


class CodeTask(RowTask):
    """What code tasks have in common. Answers run behind `runner` alone."""

    kind = "code"
    prompt, completion = staticmethod(code.prompt), staticmethod(code.completion)
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
        body = words(row.get("canonical_solution"))
        answer = prompt + body if body.strip() else ""
        if "task_id" in row:
            meta["task_id"] = str(row["task_id"])
        return Example(task=self.name, split=split, question=prompt.strip(), answer=answer, kind="code", meta=meta)

    def judge(self, example: Example, response: str) -> Verdict:
        return self._judge.verdict(code.item_of(example), response)


class HumanEval(CodeTask):
    """HumanEval. A bad file raises TaskError when the task is made, a missing runner UsageError."""

    name = "humaneval"
    hub = ("openai/openai_humaneval", None, {"test": "test"})


class Mbpp(CodeTask):
    """MBPP. A bad file raises TaskError when the task is made, a missing runner UsageError."""

    name = "mbpp"
    hub = ("google-research-datasets/mbpp", "full", {"train": "train", "dev": "validation", "test": "test"})

    def read(self, row: Row, split: str, where: str) -> Example:
        if "test_list" not in row:
            return super().read(row, split, where)
        asserts = row["test_list"]
        if not isinstance(asserts, list) or not asserts or not all(isinstance(text, str) for text in asserts):
            raise TaskError(f"{where}: field 'test_list' must be a list of asserts that is not empty; mend or delete the row")
        gold = field(row, "code", where).replace("\r\n", "\n").replace("\t", "    ")
        setup = "\n".join([*(row.get("test_imports") or ()), words(row.get("test_setup_code"))]).replace("\r\n", "\n").strip()
        test = code.check(line for text in asserts for line in text.strip().replace("\r\n", "\n").split("\n"))
        text = field(row, "text" if "text" in row else "prompt", where)
        question = "\n".join([text.strip(), "It must pass these tests:", *asserts])
        meta = {"entry_point": _entry(test, gold, where), "test": test, "setup": setup, "task_id": str(row.get("task_id", ""))}
        return Example(task=self.name, split=split, question=question, answer=gold, kind="code", meta=meta)


def _entry(test: str, gold: str, where: str) -> str:
    """The function that the tests call and the gold defines. Raises TaskError when they call no such function."""
    tree, written = code.parse(test), code.parse(gold)
    if tree is not None and written is not None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and code.defines(written, node.func.id):
                return node.func.id
    raise TaskError(f"{where}: the tests call no function that `code` defines; mend or delete the row")
