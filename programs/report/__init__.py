"""What a run achieved, in four forms of one document: report.json, report.md, report.html and the terminal's table.

- `document`: what was measured, read from the run directory. `figures`: figures and verdicts in words.
- `terminal`, `markdown`, `page`: the forms. `markup`, `plots`: pieces of pages, for comparisons too.
"""

from pathlib import Path
from typing import Any

from ..run.directory import to_json, write_atomic
from .document import build, compare
from .figures import outcomes, percent, points
from .markdown import markdown
from .page import run_page
from .terminal import measured, table

__all__ = ["build", "compare", "measured", "outcomes", "percent", "points", "table", "write"]


def write(path: Path) -> dict[str, Any]:
    """Build the report of a finished run and write report.json, report.md and report.html into its directory."""
    report = build(path)
    write_atomic(path / "report.json", to_json(report))
    write_atomic(path / "report.md", markdown(report).encode("utf-8", "replace"))
    write_atomic(path / "report.html", run_page(report, path).encode("utf-8", "replace"))
    return report
