"""What `errata doctor` looks at: a task's gold answers, the sandbox, the device. Says what is missing and what mends it."""

from typing import Any

from ..sandbox import Sandbox, open_sandbox
from ..signatures.errors import ErrataError
from ..tasks import Task, doctor, load_task
from ..tasks.table import TableSettings

PROBE = "def answer():\n    return 6 * 7\n"
HARNESS = "def main(program, payload):\n    yield program.answer()\n"


def examine(task: str, limit: int | None = None, table: TableSettings | None = None) -> list[dict[str, Any]]:
    """One finding a check: {"what", "ok", "said"}. Raises UsageError or TaskError when the task cannot be opened at all."""
    try:
        sandbox = open_sandbox()
    except ErrataError as error:
        missing = {"what": "sandbox", "ok": False, "said": str(error)}
        return [_gold(load_task(task, table), limit), missing, _device()]
    with sandbox:
        return [_gold(load_task(task, table, sandbox.run), limit), _sandbox(sandbox), _device()]


def _gold(task: Task, limit: int | None) -> dict[str, Any]:
    items, bad = doctor(task, limit)
    said = f"all {items} gold answers pass their own verdict, and changed ones fail it"
    if bad:
        first = bad[0]
        said = f"{len(bad)} of {items} gold answers fail; first {first.example.question[:80]!r}: {first.reason}; mend these items"
    return {"what": f"gold answers of {task.name}", "ok": not bad, "said": said}


def _sandbox(sandbox: Sandbox) -> dict[str, Any]:
    run = sandbox.run(PROBE, HARNESS)
    ok = run.outcome == "ok" and run.rows == (42,)
    said = f"runs programs ({sandbox.backend})" if ok else f"a trivial program ended with {run.outcome}: {run.error}"
    return {"what": "sandbox", "ok": ok, "said": said}


def _device() -> dict[str, Any]:
    from ..trainers.target import choose_device

    return {"what": "device", "ok": True, "said": f"targets run on {choose_device('auto')}"}
