"""What `errata doctor` looks at: a task's gold answers, the sandbox, the device. Says what is missing and what mends it."""

from typing import Any

from ..sandbox import open_sandbox
from ..signatures.errors import ErrataError
from ..tasks import Task, doctor, load_task

PROBE = "def answer():\n    return 6 * 7\n"
HARNESS = "def main(program, payload):\n    yield program.answer()\n"


def examine(task: str, limit: int | None = None) -> list[dict[str, Any]]:
    """One finding a check: {"what", "ok", "said"}. Raises UsageError or TaskError when the task cannot be opened at all."""
    opened = load_task(task)
    return [_gold(opened, limit), _sandbox(), _device()]


def _gold(task: Task, limit: int | None) -> dict[str, Any]:
    items, bad = doctor(task, limit)
    said = f"all {items} gold answers pass their own verdict, and changed ones fail it"
    if bad:
        first = bad[0]
        said = f"{len(bad)} of {items} gold answers fail; first {first.example.question[:80]!r}: {first.reason}; mend these items"
    return {"what": f"gold answers of {task.name}", "ok": not bad, "said": said}


def _sandbox() -> dict[str, Any]:
    try:
        with open_sandbox(workers=1) as sandbox:
            run = sandbox.run(PROBE, HARNESS, None)
        ok = run.outcome == "ok" and run.rows == (42,)
        return {"what": "sandbox", "ok": ok, "said": "runs programs" if ok else f"a trivial program ended with {run.outcome}: {run.error}"}
    except ErrataError as error:
        return {"what": "sandbox", "ok": False, "said": str(error)}


def _device() -> dict[str, Any]:
    from ..trainers.target import choose_device

    return {"what": "device", "ok": True, "said": f"targets run on {choose_device('auto')}"}
