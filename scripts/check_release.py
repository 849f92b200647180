"""Whether a release can go out: sdist and wheel are built and looked into, and a small cycle runs from the wheel alone on each Python.

    python scripts/check_release.py                       # all, on Python 3.11, 3.12 and 3.13
    python scripts/check_release.py --python 3.12         # on one
    python scripts/check_release.py --quick               # no environments: build, twine, contents

Needs the extra `test`. Everything lies under --out; what passed is not done again while the tree stays as it is: the same command goes on
where it stopped. Each environment takes what torch takes (gigabytes where its build brings CUDA). A Python that is not on this machine is
told, and it is asked whether all pinned packages have wheels for it. Nothing is uploaded.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
SMALL = {
    "items.train": 80, "items.dev": 40, "items.test": 20, "generate.failures": 8, "generate.rows": 60, "train.stages": "[sft]",
    "train.epochs": 1, "gate.keep": "always",
}  # fmt: skip
"""Settings of a cycle that takes seconds."""


class Failed(Exception):
    """What is wrong, in a line or a few."""


def ran(*command: object, cwd: Path = ROOT, clean: bool = False) -> str:
    """What a command prints. `clean`: without this process's Python paths. Raises Failed with its last lines."""
    environment = {name: value for name, value in os.environ.items() if not (clean and name.startswith(("PYTHON", "VIRTUAL_ENV")))}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{last}")
    return done.stdout


def tracked() -> list[str]:
    """The files of the tree that git knows, or would."""
    names = ran("git", "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file() and not name.startswith((".types", "tests", "docs")))


def tree() -> str:
    """A hash of them."""
    found = hashlib.sha256()
    for name in tracked():
        found.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return found.hexdigest()[:16]


# ---- the steps


def build(out: Path) -> None:
    """The sdist from a copy of the tree, in which nothing built before lies, and the wheel from the sdist."""
    source, dist = out / "source", out / "dist"
    for folder in (source, dist):
        shutil.rmtree(folder, ignore_errors=True)
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    ran(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, source)


def made(out: Path, kind: str) -> Path:
    """The sdist (`*.tar.gz`) or the wheel (`*.whl`)."""
    (found,) = (out / "dist").glob(kind)
    return found


def described(out: Path) -> None:
    """Twine takes the description of both."""
    ran(sys.executable, "-m", "twine", "check", "--strict", made(out, "*.tar.gz"), made(out, "*.whl"))


def contents(out: Path) -> None:
    """The wheel holds the package alone, each file of its folders, and the version of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(made(out, "*.whl")) as wheel:
        held = set(wheel.namelist())
        told = wheel.read(next(name for name in held if name.endswith(".dist-info/METADATA"))).decode()
    if f"\nVersion: {project['version']}\n" not in told or f"\nRequires-Python: {project['requires-python']}\n" not in told:
        raise Failed("the wheel's metadata are not those of pyproject.toml")
    inside = ("programs/", "sandbox/", "signatures/", "tasks/", "trainers/", "cli.py", "py.typed")
    wanted = {f"errata/{name}" for name in tracked() if name.startswith(inside)} - {"errata/sandbox/absent.txt"}  # a test reads it
    found = {name for name in held if ".dist-info/" not in name}
    if wanted != found:
        raise Failed(f"missing in the wheel: {sorted(wanted - found)}; more than it should hold: {sorted(found - wanted)}")


def interpreter(version: str) -> str | None:
    """A Python of this version on this machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    for name in (f"python{version}", *sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)):
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([shutil.which(name) or str(name), "-c", code], capture_output=True, text=True) if shutil.which(name) else None
        if done and done.stdout.strip() == version:
            return str(name)
    return None


def installed(out: Path, version: str) -> str:
    """A small cycle from the wheel alone, in an empty environment and an empty folder; what it ended with."""
    home, empty, wheel = out / f"env-{version}", out / f"empty-{version}", made(out, "*.whl")
    python = interpreter(version)
    pip = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", ROOT / "constraints.txt")
    if python is None:
        other = ("--dry-run", "--ignore-installed", "--only-binary=:all:", "--python-version", version, "--target", out / "none")
        ran(sys.executable, *pip, *other, wheel)
        return f"no Python {version} on this machine; all that is pinned has wheels for it"
    if not (home / "bin/python").exists():
        ran(python, "-m", "venv", home, clean=True)
    ran(home / "bin/python", *pip, wheel, cwd=out, clean=True)
    ran(home / "bin/python", *pip, "--force-reinstall", "--no-deps", wheel, cwd=out, clean=True)
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    errata = lambda *words: ran(home / "bin/errata", *words, cwd=empty, clean=True)  # noqa: E731
    where = ran(home / "bin/python", "-c", "import errata.cli; print(errata.cli.__file__)", cwd=empty, clean=True).strip()
    if not where.startswith(str(home)):
        raise Failed(f"errata is read from {where}, not from {home}")
    version_said = errata("--version").strip()
    errata("doctor", "--task", "sums", "--limit", 20)
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    errata("cycle", "-q", "--run", "run", *settings)
    pages = ("report.html", "report.md", "report.json", "result.json")
    if gone := [name for name in pages if not (empty / "run" / name).is_file()]:
        raise Failed(f"the cycle wrote no {', '.join(gone)}")
    rows = json.loads(errata("export", "run", "--data", "--json", "-q"))["tables"]["rows"]
    return f"{version_said} on {version}: a cycle, its report, and {rows} rows as a data set"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build/release", help="folder for all that is made")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="may be repeated; default: each")
    parser.add_argument("--quick", action="store_true", help="build, twine and contents alone")
    given = parser.parse_args()
    out = given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    steps: dict[str, Callable[[], str | None]] = {
        "build": lambda: build(out),
        "twine": lambda: described(out),
        "contents": lambda: contents(out),
    }
    for version in () if given.quick else given.python or PYTHONS:
        steps[f"python {version}"] = lambda version=version: installed(out, version)  # type: ignore[misc]
    state, now = out / "state.json", tree()
    known = json.loads(state.read_text()) if state.exists() else {}
    passed: dict[str, str] = known["passed"] if known.get("tree") == now else {}
    failed = 0
    for name, step in steps.items():
        if name not in passed:
            try:
                passed[name] = step() or "ok"
            except Failed as error:
                failed += 1
                print(f"{name}: FAILED: {error}", flush=True)
                if name == "build":
                    break
                continue
            state.write_text(json.dumps({"tree": now, "passed": passed}, indent=1))
        print(f"{name}: {passed[name]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
