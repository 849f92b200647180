"""The bytes of a run, as hashes: `python tests/golden.py RUN` prints one line a result file, `python tests/golden.py RUN --against FILE`
says which differ from the lines in FILE.

Kept: every file that a stage, a ledger or a report writes. Left out: run.json (it holds paths) and what holds times.
"""

import argparse
import hashlib
import sys
from pathlib import Path

LEFT_OUT = ("run.json", "lock", "answers.jsonl", "seconds.json")


def hashes(run: Path) -> dict[str, str]:
    """Path inside the run -> sha256 of the file, for every result file."""
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.name not in LEFT_OUT and "tracking" not in path.parts)
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--against", type=Path)
    given = parser.parse_args()
    lines = [f"{digest}  {name}" for name, digest in hashes(given.run).items()]
    if given.against is None:
        print("\n".join(lines))
        return 0
    known = given.against.read_text().splitlines()
    different = sorted(set(lines) ^ set(known), key=lambda line: line.split("  ")[1])
    print("\n".join(different) or f"{len(lines)} files, the same bytes")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
