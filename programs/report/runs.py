"""`errata runs`: the runs in a folder, how far each came, what came of it, what it cost, and the command that goes on with it.

Reads run directories only, killed ones too. One that cannot be read is listed as damaged and hides no other. Whether a process is working
on a run now is told by its lock, which a file system that machines share may not tell of another machine.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

from ...signatures.errors import ErrataError, RunError, UsageError
from ...signatures.records import GateDecision
from ...signatures.terminal import command, visible
from ..run import layout
from ..run.directory import STEPS, read_config, read_json, worked_on
from ..run.ledger import read_ledger
from .figures import many
from .markup import plain

MEASURED, OPTIMIZED = "measured", "an optimization"
"""How runs are listed that began no round: one that did nothing but evaluate, and one that optimized a strategy."""


def listed(folder: Path) -> list[dict[str, Any]]:
    """One dict a run in `folder` or one folder below, newest first; see `_run`. Raises UsageError where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; runs lie in runs/ where they were begun, or give their folder")
    found = {path.parent for depth in ("run.json", "*/run.json", "*/*/run.json") for path in folder.glob(depth)}
    return [_safely(path) for path in sorted(found, key=lambda path: (-_changed(path / "run.json"), str(path)))]


def _changed(file: Path) -> float:
    with suppress(OSError):  # removed meanwhile
        return file.stat().st_mtime
    return 0.0


def _safely(path: Path) -> dict[str, Any]:
    try:
        return _run(path)
    except ErrataError as error:
        return {"run": str(path), "damaged": str(error)}
    except OSError as error:  # also what a process that works on it took away meanwhile
        return {"run": str(path), "damaged": f"{error.filename or path} ({error.strerror}); look again"}


def _run(path: Path) -> dict[str, Any]:
    config = read_config(path)
    finished = (path / layout.RESULT).exists()
    decisions = {number: found for number in range(1, config.rounds + 1) if (found := layout.decision(path, number))}
    reached = f"finished after {many(config.rounds, 'round')}" if finished else _reached(path, config.rounds)
    working = worked_on(path)
    measuring = _measuring(path) if working else ""
    spent = read_ledger(path)["total"]
    act = goes_on(path, busy=False) if reached == OPTIMIZED else command("cycle", "--run", path)
    return {
        "run": str(path),
        "task": config.task,
        "target": config.target.title or None,
        "adapter": config.target.adapter,
        "instructor": config.instructor.model,
        "strategy": config.generate.strategy,
        "library": config.generate.library,
        "rounds": config.rounds,
        "reached": reached + measuring,
        "finished": finished,
        "working": working,
        "accepted": [number for number, decision in decisions.items() if decision.accepted],
        "gain": _gain(path, decisions),
        "cost": {"calls": spent["calls"], "tokens": spent["tokens_in"] + spent["tokens_out"], "usd": spent["usd"]},
        "next": command("report", path) if finished or reached.startswith(MEASURED) else act,
    }


def _reached(path: Path, rounds: int) -> str:
    for number in range(rounds, 0, -1):
        for step in reversed(STEPS):
            stage = layout.step(path, number, step)
            if stage.done:
                return f"round {number} of {rounds}: {step} done"
            if stage.path.is_dir() and any(stage.path.iterdir()):
                return f"round {number} of {rounds}: {step} under way{_so_far(stage.path)}"
    if (path / "optimize").is_dir():
        return OPTIMIZED
    measured = sorted({stage.path.name for stage in layout.evaluations(path)})
    return f"{MEASURED} {', '.join(measured)}" if measured else "nothing done yet"


def _measuring(path: Path) -> str:
    """Which held-out items are being answered."""
    folders = sorted({part.parent for part in path.glob("evaluate/*/*/*.part")})
    return "".join(f"; measuring {folder.name}{_so_far(folder)}" for folder in folders)


def _so_far(folder: Path) -> str:
    """How many rows a step has written that is not finished."""
    rows = 0
    for part in folder.glob("*.part"):
        with suppress(OSError), part.open("rb") as file:
            rows += sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return f", {rows:,} rows so far" if rows else ""


def goes_on(path: Path, busy: bool = True) -> str:
    """How a run goes on that has not come to its end, or the report of an optimization; `busy`: that a process works on it is told."""
    if busy and worked_on(path):
        return "a process is working on it now: give the same command again later"
    if _reached(path, read_config(path).rounds) == OPTIMIZED:
        page = path / "optimize/report.html"
        return f"its report is {page}" if page.exists() else "the same errata optimize command continues it"
    return f"`{command('cycle', '--run', path)}` continues it"


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
    now = "; a process is working on it now" if run["working"] else ""
    lines = [f"{run['task']}, {run['target']}{beside} taught by {by}", f"{run['reached']}{accepted}{now}"]
    if gain:
        change = f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.0f}, {100 * gain['high']:+.0f}]"
        lines.append(f"{plain(gain['on'])}: {100 * gain['before']:.1f} -> {100 * gain['after']:.1f} %, {change}")
    if cost["calls"]:
        lines.append(f"{cost['calls']:,} calls, {cost['tokens']:,} tokens, USD {cost['usd']}")
    return "\n".join([run["run"], *(f"  {plain(line, 300)}" for line in lines), f"  {run['next']}"])


# ---- watching

EVERY = 2.0
"""Seconds between two looks."""


def watch(folder: Path, out: TextIO, write: Callable[[str], None], as_json: bool = False, looks: float = float("inf")) -> None:
    """The list, drawn again as it changes, until Ctrl-C or for so many looks. On a terminal it stays in one place; elsewhere `write` is
    handed the time and the line of each run that changed, and with `as_json` a JSON document whenever a run did. Raises as `listed`."""
    last: list[dict[str, Any]] | None = None
    live = _Live(out) if out.isatty() and not as_json else None
    with suppress(KeyboardInterrupt), live or nullcontext():
        while looks > 0:
            found = listed(folder)
            if found != last and live:
                live.show(as_text(found) or f"no runs in {folder} yet")
            elif found != last and as_json:
                write(json.dumps({"runs": found}, ensure_ascii=False))
            else:
                for run in found:
                    if run not in (last or []):
                        write(f"{time.strftime('%H:%M:%S')} {_line(run)}")
            last, looks = found, looks - 1
            if looks > 0:
                time.sleep(EVERY)


def _line(run: dict[str, Any]) -> str:
    """A run on one line."""
    lines = _text(run).splitlines()
    return plain(": ".join([lines[0], *(line.strip() for line in lines[2:3] or lines[1:2])]), 300)


class _Live:
    """A text on a terminal that is drawn again in its place; what does not fit is cut off at its end."""

    def __init__(self, out: TextIO):
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=out), auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, text: str) -> None:
        from rich.text import Text

        self._live.update(Text(visible(text)), refresh=True)
