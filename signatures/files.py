"""Files that are written whole or not at all. Does NOT cover what stands in them, and words for a full disk."""

import os
from pathlib import Path


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
