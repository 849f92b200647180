"""`errata runs`: the runs in a folder, how far each came, what came of it, what it cost, and the command that goes on with it.

Reads run directories only, killed ones too. One that cannot be read is listed as damaged and hides no other. Does NOT tell whether a
process is working on a run now.
"""

from pathlib import Path
from typing import Any

from ...signatures.errors import ErrataError, RunError, UsageError
from ...signatures.records import GateDecision
from ...signatures.terminal import command
from ..run import layout
from ..run.directory import STEPS, read_config, read_json
from ..run.ledger import read_ledger
from .figures import many
from .markup import plain

MEASURED = "measured"
"""How a run is listed that did nothing but evaluate."""


def listed(folder: Path) -> list[dict[str, Any]]:
    """One dict a run in `folder` or one folder below, newest first; see `_run`. Raises UsageError where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; runs lie in runs/ where they were begun, or give their folder")
    found = {path.parent for depth in ("run.json", "*/run.json", "*/*/run.json") for path in folder.glob(depth)}
    newest = sorted(found, key=lambda path: (-(path / "run.json").stat().st_mtime, str(path)))
    return [_safely(path) for path in newest]


def _safely(path: Path) -> dict[str, Any]:
    try:
        return _run(path)
    except ErrataError as error:
        return {"run": str(path), "damaged": str(error)}


def _run(path: Path) -> dict[str, Any]:
    config = read_config(path)
    finished = (path / layout.RESULT).exists()
    decisions = {number: found for number in range(1, config.rounds + 1) if (found := layout.decision(path, number))}
    reached = f"finished after {many(config.rounds, 'round')}" if finished else _reached(path, config.rounds)
    spent = read_ledger(path)["total"]
    return {
        "run": str(path),
        "task": config.task,
        "target": config.target.title or None,
        "adapter": config.target.adapter,
        "instructor": config.instructor.model,
        "strategy": config.generate.strategy,
        "library": config.generate.library,
        "rounds": config.rounds,
        "reached": reached,
        "finished": finished,
        "accepted": [number for number, decision in decisions.items() if decision.accepted],
        "gain": _gain(path, decisions),
        "cost": {"calls": spent["calls"], "tokens": spent["tokens_in"] + spent["tokens_out"], "usd": spent["usd"]},
        "next": command("report", path) if finished or reached.startswith(MEASURED) else command("cycle", "--run", path),
    }


def _reached(path: Path, rounds: int) -> str:
    for number in range(rounds, 0, -1):
        for step in reversed(STEPS):
            stage = layout.step(path, number, step)
            if stage.done:
                return f"round {number} of {rounds}: {step} done"
            if stage.path.is_dir() and any(stage.path.iterdir()):
                return f"round {number} of {rounds}: {step} under way"
    if (path / "optimize").is_dir():
        return "an optimization"
    measured = sorted({stage.path.name for stage in layout.evaluations(path)})
    return f"{MEASURED} {', '.join(measured)}" if measured else "nothing done yet"


def _gain(path: Path, decisions: dict[int, GateDecision]) -> dict[str, Any] | None:
    """What the report says of the task's held-out items, or else the last gate of dev."""
    names = ("before", "after", "difference", "low", "high", "p_value")
    if (path / "report.json").exists():
        try:
            on, evaluation = next(iter(read_json(path / "report.json")["evaluations"].items()))
            return {"on": on} | {name: evaluation["change"][name] for name in names}
        except (KeyError, TypeError, AttributeError, StopIteration) as error:
            raise RunError(f"{path}/report.json is damaged; `{command('report', path)}` writes it again") from error
    if not decisions:
        return None
    last = max(decisions)
    return {"on": f"{decisions[last].task} dev, round {last}"} | {name: getattr(decisions[last], name) for name in names}


def as_text(runs: list[dict[str, Any]]) -> str:
    """The list in words, a few short lines a run."""
    return "\n\n".join(map(_text, runs))


def _text(run: dict[str, Any]) -> str:
    if "damaged" in run:
        return "\n".join([run["run"], f"  cannot be read: {run['damaged']}"])
    gain, cost = run["gain"], run["cost"]
    beside = f" + {run['adapter']}" if run["adapter"] else ""
    accepted = f", accepted {', '.join(map(str, run['accepted']))}" if run["accepted"] else ", none accepted" if gain else ""
    by = f"programs of {run['library']}" if run["library"] else f"{run['instructor']} with {run['strategy']}"
    lines = [f"{run['task']}, {run['target']}{beside} taught by {by}", f"{run['reached']}{accepted}"]
    if gain:
        change = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.0f}, {100 * gain['high']:+.0f}]"
        lines.append(f"{plain(gain['on'])}: {100 * gain['before']:.1f} -> {100 * gain['after']:.1f} %, {change}")
    if cost["calls"]:
        lines.append(f"{cost['calls']:,} calls, {cost['tokens']:,} tokens, USD {cost['usd']}")
    return "\n".join([run["run"], *(f"  {plain(line, 300)}" for line in lines), f"  {run['next']}"])
