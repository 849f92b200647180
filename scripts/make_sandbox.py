"""Build the WASI component that runs untrusted programs: sandbox/guest.wasm.xz, its hash sandbox/guest.sha256, and sandbox/absent.txt.

    pip install componentize-py==0.25.1 && python scripts/make_sandbox.py

Takes about 20 seconds. The component is CPython (the version that componentize-py carries) after it
has imported `sandbox/guest.py` and every module that a program may use. The build is not reproducible bit by bit, so
the artifact is shipped and pinned by the SHA-256 of the unpacked file; run this only when guest.py changes, and commit
the three files together. absent.txt lists the modules of the standard library that no program can import: each is tried in the sandbox.
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

from errata.sandbox import open_sandbox

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

ABSENT = """# Modules of CPython {version}'s standard library that a program in the sandbox cannot import; drawn by scripts/make_sandbox.py.
"""
TRY_ALL = """
import importlib, sys

def main(program, payload):
    yield "%d.%d" % sys.version_info[:2]
    for name in sorted(sys.stdlib_module_names):
        try:
            importlib.import_module(name)
        except ImportError:
            yield name
"""


def absent() -> str:
    """The text of absent.txt: public names, one a line."""
    with open_sandbox(workers=1) as sandbox:
        version, *names = sandbox.run("", TRY_ALL).rows
    return ABSENT.format(version=version) + "".join(f"{name}\n" for name in names if not name.startswith("_"))


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
    (SANDBOX / "absent.txt").write_text(absent())
    print(f"{len(wasm) / 1e6:.1f} MB, packed {len(packed) / 1e6:.1f} MB, sha256 {digest}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
