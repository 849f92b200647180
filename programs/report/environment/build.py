"""From a run to an installable package: its kept programs, Errata's own files that draw and judge, adapters, and where all came from.

A program goes out when its answers are numbers, short texts or options, when it uses nothing that reaches outside of Python's arithmetic
and text modules, and when the written package, in a process of its own, gives the rows that the sandbox gives. Code tasks stay in: an
answer there is code that a model wrote, which Errata runs in its sandbox alone.
What is not here: the rows themselves (package/), and the text of README.md (../templates/environment.md.j2).
"""

import ast
import json
import keyword
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ....sandbox import Limits, open_sandbox
from ....signatures.errors import ErrataError, RunError, UsageError
from ....signatures.records import Example, LibraryProgram, Sample, content_hash
from ....tasks import Task, load_task, parts
from ....tasks.table import TableTask
from ....tasks.verdicts import choice, number, short
from ...config import CycleConfig
from ...run import layout
from ...run.directory import read_config, slug, to_json
from ...run.library import PROGRAMS, PROVENANCE, of_run
from ...samples.draw import draw_rows, draws
from ..card import shown_run, shown_task, without_place
from ..markup import render

HOME = Path(__file__).parents[3]
"""Where Errata's own files lie."""
FILES = (
    "signatures/errors.py", "tasks/base.py", "tasks/trace.py", "tasks/verdicts/number.py", "tasks/verdicts/numerals.py",
    "tasks/verdicts/choice.py", "tasks/verdicts/structured.py", "tasks/verdicts/fold.py", "tasks/verdicts/short.py",
    "programs/samples/kind.py", "programs/samples/kinds/number.py", "programs/samples/kinds/choice.py",
    "programs/samples/kinds/text.py",
    "programs/samples/guest/harness.py", "programs/samples/guest/plain.py",
)  # fmt: skip
"""Files of Errata that draw and judge, copied as they are: between them they import the standard library, and records."""
OWN = ("__init__.py", "rows.py", "adapters.py", "taskset.py")
"""Files of package/ at the top of the package; records.py stands among the copied ones."""
MANIFEST = "errata-export.json"
"""Names the files of an export with their hashes, so that only an export is written over."""
JUDGES = {number.judged: "number", choice.judged: "choice", short.judged: "exact"}
MARK = "<question>"
IMPORTS = {
    "__future__", "abc", "bisect", "calendar", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "random", "re", "statistics", "string", "textwrap", "typing",
    "unicodedata",
}  # fmt: skip
"""Modules that a program which goes out may import."""
REACHING = {"open", "exec", "eval", "compile", "__import__", "input", "breakpoint", "globals", "locals", "vars", "getattr", "setattr"}
"""Builtins that it may not name."""
PROOF = 10
"""Rows of each program that the written package must give as the sandbox gives them."""
ROWS = (
    "import importlib, json, sys; sys.path.insert(0, sys.argv[1]); made = importlib.import_module(sys.argv[2] + '.rows'); "
    "rows = [made.draw(*one) for one in json.load(sys.stdin)]; "
    "print(json.dumps([[row, row and made.score(row['answer'], row)] for row in rows]))"
)
"""What the written package is asked in a process of its own."""


def export_environment(path: Path, out: Path | None, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Write the kept programs of the run at `path` as a package into `out` (None: its folder `environment`); what `errata export
    --environment --json` prints. Raises RunError where there is nothing to write or `out` is in use, UsageError for a bad name."""
    config = read_config(path)
    name = slug(out.absolute().name if out else f"errata-{config.task.partition(':')[0]}").replace("-", "_").replace("+", "_").lower()
    if not name.isidentifier() or keyword.iskeyword(name) or name in {*sys.stdlib_module_names, "errata", "verifiers", "datasets", "trl"}:
        raise UsageError(f"the package is called as its folder, and {name} is no name for one; give another --out, e.g. --out my-problems")
    out = out or path / "environment"
    _refuse_foreign(out)
    found = of_run(path)
    if not found:
        raise RunError(f"{path} has no kept program to export; `errata generate` and `errata cycle` make programs")
    nobody: Any = lambda *_: None  # noqa: E731  # nothing is judged here
    task = load_task(config.task, config.table, nobody, items=False, tags=config.trace_tags, judge=nobody)
    tasks = {one.name: one for one in parts(task)}
    left: dict[str, str] = {}
    for row in found:
        if reason := _unfit(row, tasks):
            left[row.program.id] = reason
    kept = [row for row in found if row.program.id not in left]
    partial = out.absolute().parent / f".{out.absolute().name}.partial"
    try:
        if kept:
            say(f"write {len(kept)} programs, and draw {PROOF} rows of each in the sandbox and in the package")
            _write(partial / name, config, kept, tasks)
            left |= _other_rows(partial, name, config, kept)
            kept = [row for row in kept if row.program.id not in left]
        reasons = dict(Counter(left.values()).most_common())
        if not kept:
            told = "; ".join(f"{reason}: {count}" for reason, count in reasons.items())
            raise RunError(f"none of the {len(found)} kept programs of {path} can stand in a package ({told})")
        provenance = _provenance(path, config, kept, reasons)
        _write(partial / name, config, kept, tasks, provenance)
        _write_about(partial, name, provenance, kept)
        _put(partial, out)
    except OSError as error:
        raise RunError(f"{out} cannot be written ({error.strerror or error}); mend that, or give another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {"run": str(path), "out": str(out), "package": name, "programs": len(kept), "left_out": reasons, "provenance": provenance}


# ---- which programs


def _unfit(row: LibraryProgram, tasks: dict[str, Task]) -> str:
    """Why a program cannot stand in a package; empty where it can."""
    task = tasks.get(row.program.task)
    if row.program.kind == "code":
        return "its answers are code, which Errata runs in its sandbox alone"
    if row.program.kind == "prose":
        return "its answers are judged by a language model, which no package brings"
    if row.program.kind not in ("number", "text", "choice"):
        return f"its answers are of the kind {row.program.kind}, which no file of the package makes"
    if isinstance(task, TableTask) and task.chats:
        return "its questions are conversations of several turns, which the package does not ask"
    if task is None or _verdict(task) is None or _prompt(task) is None:
        return f"task {row.program.task or 'unknown'} judges or asks in a way that no file of the package has"
    return reaches_out(row.program.source)


def _verdict(task: Task) -> str | None:
    """The name of a task's verdict in the package; None where it has none there."""
    judge: Any = getattr(task.form if isinstance(task, TableTask) else task, "judge", None)
    return JUDGES.get(judge)


def _prompt(task: Task) -> list[dict[str, str]] | None:
    """A task's chat messages with MARK in the place of the question; None where the question stands nowhere or twice."""
    try:
        asked = [task.prompt(Example(task=task.name, split="train", question=text, answer="1")) for text in (MARK, "Why? {x}\n")]
    except KeyError:  # it asks by what an item's meta holds
        return None
    filled = [{**one, "content": one["content"].replace(MARK, "Why? {x}\n")} for one in asked[0]]
    return asked[0] if filled == asked[1] and json.dumps(asked[0]).count(MARK) == 1 else None


def reaches_out(source: str) -> str:
    """What of a program could reach outside of it; empty where nothing is seen. It looks at names, and is no wall."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if bad := [name for name in names if name.partition(".")[0] not in IMPORTS]:
            return f"it imports {bad[0]}"
        if isinstance(node, ast.Name) and node.id in REACHING:
            return f"it names {node.id}"
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            return f"it reads {node.attr}"
    return ""


def _other_rows(place: Path, name: str, config: CycleConfig, kept: Sequence[LibraryProgram]) -> dict[str, str]:
    """Programs of whose rows the package gives others than the sandbox, or does not judge the answer right -> why."""
    wanted = draws(config.seed, config.generate.levels, 0, PROOF)
    asked = json.dumps([[row.program.id, *draw] for row in kept for draw in wanted])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", ROWS, str(place), name], input=asked, capture_output=True, text=True, timeout=600, encoding="utf-8"
        )
        given = json.loads(done.stdout)
    except (ValueError, subprocess.TimeoutExpired) as error:
        raise ErrataError(f"the written package does not run ({type(error).__name__}); please report this as a fault of Errata") from error
    other = {}
    limits = Limits(seconds=config.sandbox.seconds, memory_mb=config.sandbox.memory_mb)
    with open_sandbox(workers=1) as sandbox:
        for place_, row in enumerate(kept):
            rows = given[place_ * PROOF : (place_ + 1) * PROOF]
            mine = [_fields(one) for one in draw_rows(sandbox, limits, row.program, wanted)]
            if mine != [{field: one[field] for field in FIELDS} for one, _ in rows if one]:
                other[row.program.id] = "it gives other rows outside of the sandbox"
            elif any(one and worth != 1.0 for one, worth in rows):
                other[row.program.id] = "its answers are not judged right in the package"
    return other


FIELDS = ("question", "answer", "solution", "wrong", "seed", "index", "level", "task", "kind", "meta")


def _fields(row: Sample) -> dict[str, Any]:
    """A row as the package gives it."""
    made = dict(row.example) | {"seed": row.seed, "index": row.index, "level": row.level, "wrong": row.wrong}
    return {name: made[name] for name in FIELDS}


# ---- what is written


def _write(
    folder: Path, config: CycleConfig, kept: Sequence[LibraryProgram], tasks: dict[str, Task], says: dict[str, Any] | None = None
) -> None:
    """The package's folder; `says`: its provenance."""
    copied = folder / "_errata"
    texts = {folder / one: (Path(__file__).parent / "package" / one).read_text(encoding="utf-8") for one in OWN}
    texts |= {copied / one: (HOME / one).read_text(encoding="utf-8") for one in FILES}
    texts[copied / "signatures" / "records.py"] = (Path(__file__).parent / "package" / "records.py").read_text(encoding="utf-8")
    for inner in (copied, *(path.parent for path in [*texts] if copied in path.parents)):
        texts.setdefault(inner / "__init__.py", '"""Files of Errata, copied as they are."""\n')
    texts[copied / "programs" / "__init__.py"] = texts[copied / "__init__.py"]
    texts[copied / "tasks" / "__init__.py"] = '"""Files of Errata, copied as they are."""\n\nfrom .base import Task as Task\n'
    used = sorted({row.program.task for row in kept})
    asked = {name: {"verdict": _verdict(tasks[name]), "prompt": _prompt(tasks[name]), "tags": config.trace_tags} for name in used}
    texts[folder / "tasks.json"] = json.dumps(asked, indent=1, ensure_ascii=False) + "\n"
    texts[folder / PROGRAMS] = "".join(row.model_dump_json() + "\n" for row in kept)
    texts[folder / PROVENANCE] = json.dumps(says or {"levels": config.generate.levels}, indent=1, ensure_ascii=False) + "\n"
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _provenance(path: Path, config: CycleConfig, kept: Sequence[LibraryProgram], left: dict[str, int]) -> dict[str, Any]:
    seconds = path / layout.SECONDS
    ended = [one.get("ended", "") for one in json.loads(seconds.read_text()).values()] if seconds.exists() else []
    made_by = {"target": config.target.model or config.target.served_name or "", "instructor": config.instructor.model}
    lent = layout.source(path, 1)  # then what is known of the programs is what their library says
    written = (
        lent["says"] if lent else {name: without_place(text) for name, text in made_by.items()} | {"strategy": config.generate.strategy}
    )
    written = {name: written.get(name, "unknown") for name in ("target", "instructor", "strategy")}
    return {
        "task": shown_task(config.task),
        **{field: str(value) for field, value in written.items()},
        "run": shown_run(path, config),
        "run_hash": content_hash((path / "run.json").read_text(encoding="utf-8")),
        "made": max(ended, default=""),
        "exported": datetime.now(UTC).date().isoformat(),
        "errata": _version(),
        "licence_of_the_data": "yours to say",
        "levels": list(config.generate.levels),
        "programs": len(kept),
        "content": content_hash([row.id for row in kept]),
        "left_out": left,
    }


def _version() -> str:
    try:
        return distribution("errata-lm").version
    except PackageNotFoundError:
        return "unknown"


def _write_about(place: Path, name: str, says: dict[str, Any], kept: Sequence[LibraryProgram]) -> None:
    """README.md, pyproject.toml, and the licence of the copied files."""
    imported = {name.partition(".")[0] for row in kept for name in _imports(row.program.source)}
    packages = sorted(path.relative_to(place).as_posix().replace("/", ".") for path in {file.parent for file in place.rglob("*.py")})
    facts = {"name": name, "says": says, "programs": kept, "imports": sorted(imported), "packages": packages}
    (place / "README.md").write_text(render("environment.md.j2", **facts), encoding="utf-8")
    (place / "pyproject.toml").write_text(render("environment.txt.j2", **facts) + "\n", encoding="utf-8")
    try:
        licence = distribution("errata-lm").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        licence = None
    if licence:
        (place / name / "_errata" / "LICENSE").write_text(licence, encoding="utf-8")


def _imports(source: str) -> list[str]:
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [
        name for node in found for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    ]


# ---- where it goes


def _listed(place: Path) -> dict[str, str]:
    """The files of an export -> their hashes; empty where there is none."""
    try:
        found = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["files"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _hash(file: Path) -> str:
    return content_hash(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else ""


def _refuse_foreign(out: Path) -> None:
    """Only an export that nobody has changed since is written over."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    known = _listed(out) if out.is_dir() else {}
    if not known:
        raise RunError(f"{out} is there and is no export of an environment; give another --out")
    if changed := [name for name, digest in known.items() if _hash(out / name) != digest]:
        raise RunError(f"{out / changed[0]} was changed since it was exported; give another --out, or remove the folder")


def _put(partial: Path, out: Path) -> None:
    """The files in their place, an earlier export's removed, the list of them last."""
    for name in (MANIFEST, *_listed(out)):
        (out / name).unlink(missing_ok=True)
    files = sorted(path for path in partial.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    listed = {path.relative_to(partial).as_posix(): _hash(path) for path in files}
    for name in listed:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(out / name)
    (out / MANIFEST).write_bytes(to_json({"files": listed}))
