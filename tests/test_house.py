"""The house: floors, packaging, every way to start, and that `--help` loads nothing heavy."""

import ast
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"signatures": 1, "tasks": 2, "sandbox": 2, "trainers": 2, "programs": 3, "cli": 4}
ARROWS = {
    "run": set(),
    "samples": set(),
    "instructor": {"run", "samples"},
    "strategies": {"instructor", "run", "samples"},
    "steps": {"instructor", "run", "samples", "strategies"},
    "report": {"run", "samples"},
    "cycle": {"instructor", "run", "samples", "steps", "strategies"},
    "module": {"cycle", "run", "steps"},
    "start": {"cycle", "run", "strategies"},
    "doctor": {"instructor", "run"},
    "studies": {"cycle", "instructor", "report", "run", "samples", "start", "steps", "strategies"},
}
"""The rooms of programs/ and which others each may use; config and stats are open to all."""
HEAVY = {"dspy", "torch", "trl", "peft", "transformers", "datasets", "sklearn", "scipy", "wasmtime", "litellm"}
MAY_IMPORT = {
    "torch": {"trainers"},
    "transformers": {"trainers"},
    "trl": {"trainers"},
    "peft": {"trainers"},
    "wasmtime": {"sandbox"},
    "dspy": {"signatures", "programs", "trainers/provider"},
}


def modules():
    for folder in FLOORS:
        yield from [ROOT / "cli.py"] if folder == "cli" else sorted((ROOT / folder).rglob("*.py"))


def place(path):
    return path.relative_to(ROOT).with_suffix("").parts


def imports(path):
    """(absolute dotted name, whether of this package) of each import in a file, those inside functions too."""
    parts = ("errata", *place(path))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: "/".join(place(path)))
def test_imports_only_point_down_and_floor_two_is_three_separate_rooms(path):
    here = place(path)[0]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "errata" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != here:
            assert FLOORS[parts[1]] < FLOORS[here], f"{path} imports {name}"
        if parts[0] in MAY_IMPORT:
            assert {here, "/".join(place(path))} & MAY_IMPORT[parts[0]], f"{path} imports {name}"


def room(parts):
    """The room of programs/ that a dotted name lies in; None for what is open to all."""
    return parts[1] if len(parts) > 1 and parts[0] == "programs" and parts[1] in ARROWS else None


@pytest.mark.parametrize("path", sorted((ROOT / "programs").rglob("*.py")), ids=lambda path: "/".join(place(path)))
def test_rooms_of_programs_use_only_the_rooms_that_their_arrows_name(path):
    here = room(place(path))
    if here is None:
        return
    for name in imports(path):
        there = room(name.split(".")[1:]) if name.startswith("errata.") else None
        assert there in (None, here, *ARROWS[here]), f"{path} imports {name}"


def test_no_module_is_in_a_circle():
    graph = {}
    for path in modules():
        parts = place(path)
        name = ".".join(("errata", *(parts[:-1] if parts[-1] == "__init__" else parts)))
        graph[name] = {found for found in imports(path) if found.startswith("errata")}
    # `from . import x` names the package and its module x; only x is used
    graph = {
        name: {
            found for found in used if found in graph and found != name and not any(u.startswith(found + ".") and u in graph for u in used)
        }
        for name, used in graph.items()
    }

    def visit(name, way):
        assert name not in way, " -> ".join([*way, name])
        for used in graph[name]:
            # a package's own __init__ names its modules lazily
            if used.count(".") > 1 or used == "errata.cli":
                visit(used, [*way, name])

    for name in graph:
        visit(name, [])


def test_every_package_of_the_tree_is_packaged():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in modules() if path.name == "__init__.py"}
    wanted = {"errata", *(f"errata.{'.'.join(folder.parts)}" for folder in folders)}
    assert set(config["packages"]) == wanted == set(config["package-dir"])


COMMANDS = (
    "cycle", "evaluate", "diagnose", "import", "generate", "train", "compare", "report",
    "runs", "trace", "export", "optimize", "prompt", "init", "doctor",
)  # fmt: skip


def test_help_of_every_command_loads_nothing_heavy():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom errata.cli import app\n"
        f"for name in [[], *[[c] for c in {COMMANDS}]]:\n"
        "    done = CliRunner().invoke(app, [*name, '--help'])\n    assert done.exit_code == 0, (name, done.output)\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "[]", done.stderr


def test_every_command_of_the_command_line_is_tested_for_its_help():
    import errata.cli

    assert sorted(COMMANDS) == sorted(command.name or command.callback.__name__ for command in errata.cli.app.registered_commands)


def test_every_script_has_help():
    scripts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "scripts").glob("*.py")}
    assert scripts
    assert not [name for name, text in scripts.items() if ".ArgumentParser(" not in text]


WAYS = {
    "errata": [str(Path(sys.executable).with_name("errata"))],
    "typer cli.py": [str(Path(sys.executable).with_name("typer")), "cli.py"],
    "typer cli.py run": [str(Path(sys.executable).with_name("typer")), "cli.py", "run"],
    "python cli.py": [sys.executable, "cli.py"],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_all_ways_to_start_run_the_same_code_and_give_its_exit_codes(way):
    def start(*args):
        return subprocess.run([*way, *args], cwd=ROOT, capture_output=True, text=True)

    shown = start("cycle", "--help")
    assert shown.returncode == 0
    assert "Run the whole loop" in shown.stdout
    wrong = start("cycle", "--task", "sumz")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].startswith("errata: no task is called 'sumz': did you mean sums?")
    assert start("cycel").returncode == 2


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in tracked.decode().split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith((".types", "tests", "docs")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(out), str(source)]
    subprocess.run(command, check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_installs_in_an_empty_environment_and_runs_from_an_empty_folder(wheel, tmp_path):
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"errata"}
    for needed in (
        "errata/trainers/tiny/model.safetensors",
        "errata/sandbox/guest.wasm.xz",
        "errata/programs/samples/guest/code.py",
        "errata/programs/report/templates/report.html.j2",
        "errata/programs/report/templates/style.css",
        "errata/signatures/contracts/number.md",
        "errata/cli.py",
    ):
        assert needed in names
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True
    )
    # the dependencies are lent by a path; an editable install beside them stays invisible, as only the top level's .pth files are read
    lent = next((home / "lib").glob("python*/site-packages")) / "lent.pth"
    lent.write_text(sysconfig.get_paths()["purelib"] + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*args):
        return subprocess.run([str(home / "bin" / "errata"), *args], cwd=empty, env=env, capture_output=True, text=True)

    shown = run("--help")
    assert shown.returncode == 0, shown.stderr
    assert "cycle" in shown.stdout
    where = subprocess.run(
        [str(python), "-c", "import errata.cli; print(errata.cli.__file__)"], cwd=empty, env=env, capture_output=True, text=True
    )
    assert str(home) in where.stdout
    # the package's own data is found there too: the tiny target, the sandbox's guest
    checked = run("doctor", "--task", "sums", "--limit", "20")
    assert checked.returncode == 0, checked.stdout + checked.stderr
