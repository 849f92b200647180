"""Files that are written whole or not at all, and Python files of the user's own. Does NOT cover what stands in them, and words for a full
disk."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def write_whole(path: Path, data: bytes) -> None:
    """To a temporary name beside it, synced, then renamed. Raises OSError, and leaves nothing behind."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Waits until the file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def module_of(path: Path, name: str) -> ModuleType:
    """What a Python file defines; it is run as other Python of the user's, and may raise anything."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader  # of a name that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations that are strings are looked up there
    spec.loader.exec_module(module)
    return module
