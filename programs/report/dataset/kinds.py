"""What `errata export` writes of a run beside its weights, by name: pairs, an environment, or all data; with what it prints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import texts


def write(
    kind: str, path: Path, out: Path | None, licence: str | None, push: str | None, public: bool, say: Callable[[str], None]
) -> tuple[dict[str, Any], str]:
    """Write `pairs`, the `environment` or the `data` of the run at `path`: the document of --json, and the text. Each loads its own."""
    if kind == "pairs":
        from ..export import export_pairs

        found = export_pairs(path, out)
        return found, texts.exported_pairs(found)
    if kind == "environment":
        from ..environment.build import export_environment

        found = export_environment(path, out, say)
        return found, texts.exported_environment(found)
    from .folder import export_data

    found = export_data(path, out, licence, push, public, say)
    return found, texts.exported_data(found)
