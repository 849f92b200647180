"""Which run may be meant by a place that is none. Not here: what a run directory holds (errata.programs.run.layout)."""

from contextlib import suppress
from pathlib import Path

from ...signatures.errors import did_you_mean


def near(path: Path) -> str:
    """The runs in a place, around it, or beside it, as the end of a message; empty where there are none."""
    found: list[Path] = []
    with suppress(OSError):  # a name that is too long, a folder that may not be looked into
        around = [folder for folder in (*path.parents, *path.absolute().parents) if (folder / "run.json").is_file()]
        inside, beside = (sorted(file.parent for file in folder.glob("*/run.json")) for folder in (path, path.parent))
        found = inside or around[:1] or beside
    more = ", ..." if found[3:] else ""
    told = f"; runs near it: {', '.join(map(str, found[:3]))}{more}" if found else ""
    return told + did_you_mean(path.name, [run.name for run in found])
