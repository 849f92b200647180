"""What a run achieved, in four forms of one document: report.json, report.md, report.html and the terminal's table.

- `document`: what was measured, read from the run directory; `records`: its parts. `figures`: figures and verdicts in words and tables.
- `texts`, `page`: the forms. `markup`, `tables`, `plots`, `templates`: pieces of pages, for comparisons and optimizations too.
"""

from pathlib import Path

from ..run.directory import to_json, write_atomic
from .document import Rows, build
from .figures import percent
from .page import html, markdown
from .records import Report
from .texts import as_text
from .trace import Lineage, clearest

__all__ = ["Report", "as_text", "build", "percent", "write"]


def write(path: Path) -> Report:
    """Build the report of a finished run and write report.json, report.md and report.html into its directory."""
    rows = Rows(path)
    report, lineage = build(path, rows), Lineage(path, rows)
    way = clearest(report, lineage)
    write_atomic(path / "report.json", to_json(report.model_dump(mode="json")))
    write_atomic(path / "report.md", markdown(report, way).encode("utf-8", "replace"))
    write_atomic(path / "report.html", html(report, lineage, way).encode("utf-8", "replace"))
    return report
