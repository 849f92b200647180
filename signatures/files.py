"""Files that are written whole or not at all, the user's cache, and Python files of the user's own. Does NOT cover what stands in them, and
words for a full disk."""

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from types import ModuleType


def write_whole(path: Path, data: bytes) -> None:
    """To a temporary name beside it, which no other thread or process takes, synced, then renamed; once more where that was taken for a
    leftover of a kill and removed. Raises OSError, and leaves nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
    for last in (False, True):
        try:
            temporary.write_bytes(data)
            sync(temporary)
            temporary.replace(path)
            return
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if last or not isinstance(error, FileNotFoundError):
                raise


def foreign(folder: Path, first: str, *ours: str) -> bool:
    """Whether a folder holds files of others: not the one that is written `first`. It is looked for last, for a process may be writing."""
    held = folder.is_dir() and any(path.name not in ours and path.suffix != ".tmp" for path in folder.iterdir())
    return held and not (folder / first).exists()


def sync(path: Path) -> None:
    """Waits until the file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def cache_folder() -> Path | None:
    """The user's cache folder for Errata, made private; None when there is none to be trusted or written."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base or "~/.cache").expanduser() / "errata"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            folder.chmod(0o700)
            if folder.stat().st_uid != os.getuid():  # it holds code and weights: whoever can write them owns us
                return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return None


def sha256(path: Path) -> str:
    """Of the content, as hex digits; kept by size and time of change, as a run asks for that of the same gigabytes many times."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def module_of(path: Path, name: str) -> ModuleType:
    """What a Python file defines; it is run as other Python of the user's, and may raise anything."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader  # of a name that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations that are strings are looked up there
    spec.loader.exec_module(module)
    return module
