"""Build the WASI component that runs untrusted programs: sandbox/guest.wasm.xz and its hash, sandbox/guest.sha256.

    pip install componentize-py==0.25.1 && python scripts/make_sandbox.py

Takes about 20 seconds. The component is CPython (the version that componentize-py carries) after it
has imported `sandbox/guest.py` and every module that a program may use. The build is not reproducible bit by bit, so
the artifact is shipped and pinned by the SHA-256 of the unpacked file; run this only when guest.py changes, and commit
both files together.
"""

import argparse
import hashlib
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SANDBOX = Path(__file__).resolve().parent.parent / "sandbox"

APP = """
import gc

import guest
import wit_world

guest.MADE_FROM = "{source}"
guest.load_modules()
gc.collect()
gc.freeze()  # what is loaded now is never garbage: collections in the program need not look at it


class WitWorld(wit_world.WitWorld):
    def run(self, request: str) -> str:
        return guest.run(request)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = hashlib.sha256((SANDBOX / "guest.py").read_bytes()).hexdigest()
        (folder / "app.py").write_text(APP.replace("{source}", source))
        shutil.copy(SANDBOX / "guest.py", folder / "guest.py")
        tool = Path(sys.executable).with_name("componentize-py")
        subprocess.run(
            [
                tool,
                "-d",
                SANDBOX / "guest.wit",
                "-w",
                "runner",
                "componentize",
                "-p",
                folder,
                "app",
                "-o",
                folder / "guest.wasm",
            ],
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        wasm = (folder / "guest.wasm").read_bytes()
    digest = hashlib.sha256(wasm).hexdigest()
    packed = lzma.compress(wasm, preset=9)
    (SANDBOX / "guest.wasm.xz").write_bytes(packed)
    (SANDBOX / "guest.sha256").write_text(digest + "\n")
    print(f"{len(wasm) / 1e6:.1f} MB, packed {len(packed) / 1e6:.1f} MB, sha256 {digest}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
