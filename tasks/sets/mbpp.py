"""The task `mbpp` (from the hub) or `mbpp:PATH`: short Python functions from a sentence, judged by three tests each.

Forms that are read: the published rows (`text` or `prompt`, the gold in `code`, `test_list` of asserts, `test_setup_code` or
`test_imports`), where the question shows the tests as is usual, because they fix the function's name; and HumanEval's form (`prompt`,
`test`, `entry_point`), which often has no gold. How an answer is read and judged: errata.tasks.code.
"""

import ast

from ...signatures.errors import TaskError
from ...signatures.records import Example
from ..rows import Row, field
from ..verdicts.code import defines, parse
from .humaneval import CodeTask


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
        setup = "\n".join([*(row.get("test_imports") or ()), str(row.get("test_setup_code") or "")]).replace("\r\n", "\n").strip()
        lines = [line for text in asserts for line in text.strip().replace("\r\n", "\n").split("\n")]
        test = "\n".join(["def check(candidate):", *(f"    {line}" for line in lines)]) + "\n"
        text = field(row, "text" if "text" in row else "prompt", where)
        return Example(
            task=self.name,
            split=split,
            question="\n".join([text.strip(), "It must pass these tests:", *asserts]),
            answer=gold,
            meta={"entry_point": _entry(test, gold, where), "test": test, "setup": setup, "task_id": str(row.get("task_id", ""))},
        )


def _entry(test: str, gold: str, where: str) -> str:
    """The function that the tests call and the gold defines. Raises TaskError when there is none."""
    tree, written = parse(test), parse(gold)
    if tree is not None and written is not None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and defines(written, node.func.id):
                return node.func.id
    raise TaskError(f"{where}: the tests call no function that `code` defines; mend or delete the row")
