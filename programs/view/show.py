"""What `errata view` does: a page where the answers fit into one, else a server. Not here: both of them (page, server)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...signatures.errors import UsageError
from ..report.figures import many
from . import page
from .page import PAGE, View


def show(names: Sequence[str], out: Path | None, serve: bool, tell: Callable[[dict[str, Any], str], None]) -> None:
    """Write the page of these sources, or serve it until Ctrl-C; `tell` is handed what the command prints. Raises UsageError where a page
    is asked for that would be too large."""
    view = View(names)
    if not view.items:
        raise UsageError(f"{' and '.join(names)}: no item was answered")
    document = {"items": len(view.items), "sides": [side.source for side in view.sides]}
    if serve or view.size > PAGE:
        if out:
            why = "--serve writes no page" if serve else f"{view.size / 1e6:.0f} million characters are too much for a page"
            raise UsageError(f"{why}; leave --out out, and open the address that is printed")
        from .server import Server

        server = Server(lambda: View(names))
        tell(document | {"address": server.address}, f"{_told(view)}\n{server.address}\nopen it in a browser; Ctrl-C ends it")
        server.run()
        return
    path = page.place(view, out)
    page.write(view, path)
    tell(document | {"page": str(path)}, f"{_told(view)}\npage: {path}")


def _told(view: View) -> str:
    lines = [f"{many(len(view.items), 'item')}, answers of {len(view.sides)}: {', '.join(side.source for side in view.sides)}"]
    return "\n".join([*lines, *(note["text"] for note in view.notes())])
