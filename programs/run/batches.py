"""Which requests of a run were sent in provider batches: one append-only file in the run directory, so that none is sent twice.

A batch is written down before it is sent (its name here and the keys of its requests), again with the id that the provider gave it before
it is waited for, and once more when it has ended, with the keys that got no answer. What it answered lies in the ledger.
What is not here: sending and waiting (errata.signatures.batches.waves).
"""

import json
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...signatures.batches import Sent
from ...signatures.records import sealed, unsealed
from .directory import Lines


class Batches:
    """The batches of one run. Thread-safe."""

    def __init__(self, path: Path | None):
        """None keeps them in memory. Raises RunError when a line is damaged."""
        self.sent: dict[str, Sent] = {}
        self.holds: dict[str, str] = {}
        """Key of a request -> the batch that holds it, or its answer."""
        self._lock = threading.Lock()
        take = lambda line, _: self._take(json.loads(line))  # noqa: E731
        self._lines = Lines(path, take, "delete that line (what it names may be asked for again)") if path else None

    @property
    def ids(self) -> set[str]:
        """The provider's ids of all that are known."""
        return {sent.batch for sent in self.sent.values() if sent.batch}

    def begin(self, name: str, keys: Collection[str]) -> None:
        self._write({"name": name, "at": time.time(), "keys": list(keys)})

    def made(self, name: str, batch: str | None) -> None:
        self._write({"name": name, "batch": batch})

    def end(self, name: str, lost: Collection[str]) -> None:
        """`lost`: the keys that got no answer. Those of the others are on their way into the ledger; after a kill they come again."""
        self._write({"name": name, "lost": list(lost)})
        self._forget(name, self.sent[name].keys)

    def close(self) -> None:
        if self._lines:
            self._lines.close()

    def _take(self, line: dict[str, Any]) -> None:
        line = unsealed(line)
        if "keys" in line:
            self.sent[line["name"]] = Sent(line["at"], tuple(line["keys"]))
            self.holds |= dict.fromkeys(line["keys"], line["name"])
        elif "batch" in line:
            self.sent[line["name"]].batch = line["batch"]
        else:
            self._forget(line["name"], line["lost"])

    def _forget(self, name: str, keys: Collection[str]) -> None:
        for key in keys:
            if self.holds.get(key) == name:
                del self.holds[key]

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            if self._lines:
                self._lines.add(json.dumps(sealed(line)).encode())
            self._take(sealed(line))
