"""The house: floors, rooms and their arrows, sizes, packaging, every way to start, and that reading commands load nothing heavy."""

import ast
import functools
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"signatures": 1, "tasks": 2, "sandbox": 2, "trainers": 2, "programs": 3, "cli": 4}
ROOMS = {
    "run": set(),
    "samples": set(),
    "patterns": {"run"},
    "instructor": {"run", "samples"},
    "strategies": {"instructor", "patterns", "run", "samples"},
    "steps": {"instructor", "patterns", "run", "samples", "strategies"},
    "rehearse": {"instructor", "run", "strategies"},
    "form": {"run"},
    "cycle": {"form", "instructor", "patterns", "rehearse", "run", "samples", "steps"},
    "module": {"cycle", "steps"},
    "start": {"cycle", "run", "strategies", "studies"},
    "doctor": {"cycle", "instructor", "run", "steps"},
    "report": {"patterns", "run", "samples"},
    "view": {"report", "run"},
    "studies": {"cycle", "instructor", "rehearse", "report", "run", "samples", "steps", "strategies"},
}
"""The rooms of programs/, folders and files, and which others each uses; config and stats are open to all."""
OPEN = {"config", "stats", "__init__"}
CORE = ("cycle.py", "config.py", "stats.py", "run", "samples", "instructor", "strategies", "steps")
"""What one must hold in mind to change the loop; of the instructor without the embedded one."""
FILE, FUNCTION, CLASS, FOLDER, PARAMETERS, STRING = 500, 80, 220, 16, 8, 15
"""Most lines of a file, a function, a class; files of a folder; parameters of a function; lines of a string that holds Python."""
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


@functools.cache
def parsed(path):
    """(text, every node of its syntax tree) of a file, read once for all tests."""
    text = path.read_text(encoding="utf-8")
    return text, tuple(ast.walk(ast.parse(text)))


def sources():
    """(place below the root, text, nodes) of each file of the package."""
    for path in modules():
        yield path.relative_to(ROOT).as_posix(), *parsed(path)


def imports(path):
    """(absolute dotted name, whether of this package) of each import in a file, those inside functions too."""
    parts = ("errata", *place(path))
    for node in parsed(path)[1]:
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


def used_rooms():
    """Room of programs/ -> the other rooms that its files import."""
    found = {}
    for path in sorted((ROOT / "programs").rglob("*.py")):
        here = place(path)[1]
        if here not in OPEN:
            names = (name.split(".") for name in imports(path) if name.startswith("errata.programs."))
            found.setdefault(here, set()).update({parts[2] for parts in names} - OPEN - {here})
    return found


def test_rooms_and_arrows_are_those_of_the_table():
    assert {name: used & ROOMS.keys() for name, used in used_rooms().items()} == ROOMS


def test_rooms_stand_on_at_most_eight_floors_without_a_circle():
    arrows = {name: used | {"config"} for name, used in ROOMS.items()} | {"config": set()}
    floors = {}
    while len(floors) < len(arrows):
        next_floor = {name for name, used in arrows.items() if name not in floors and used <= floors.keys()}
        assert next_floor, f"a circle among {sorted(arrows.keys() - floors.keys())}"
        floors |= dict.fromkeys(next_floor, 1 + max(floors.values(), default=0))
    assert max(floors.values()) <= 8, floors


def test_no_module_is_in_a_circle():
    graph = {}
    for path in modules():
        parts = place(path)
        name = ".".join(("errata", *(parts[:-1] if parts[-1] == "__init__" else parts)))
        graph[name] = {found for found in imports(path) if found.startswith("errata")}
    # `from . import x` names the package and its module x; only x is used. A package's own __init__ names its modules lazily
    graph = {
        name: {
            found
            for found in used
            if found in graph and found != name and found.count(".") > 1 and not any(u.startswith(found + ".") and u in graph for u in used)
        }
        for name, used in graph.items()
    }
    while graph:
        free = {name for name, used in graph.items() if not used & graph.keys()}
        assert free, f"a circle among {sorted(graph)}"
        graph = {name: used for name, used in graph.items() if name not in free}


def lines(node):
    return node.end_lineno - node.lineno + 1


def test_files_functions_and_classes_can_be_taken_in_at_a_look():
    large = []
    for name, text, nodes in sources():
        large += [name] if text.count("\n") > FILE else []
        for node in nodes:
            if isinstance(node, ast.ClassDef) and lines(node) > CLASS:
                large.append(f"{name}: class {node.name}")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines(node) > FUNCTION:
                large.append(f"{name}: {node.name}()")
    assert large == []


def test_the_core_of_the_loop_and_the_whole_package_stay_small():
    sizes = {path.relative_to(ROOT): path.read_text(encoding="utf-8").count("\n") for path in modules()}
    core = {
        path: size for path, size in sizes.items() if path.parts[0] == "programs" and path.parts[1] in CORE and "offline" not in path.parts
    }
    # 6,215 when the house was rebuilt at equal features; practice, preference pairs, forgetting, foreign libraries and six kinds of
    # answers are features since; so are clusters (tokens too), several servers and batches, patterns that a person chooses among, and a
    # way back from weights that a guard turns down; last some forty faults that three reviews proved, in 50 lines
    assert sum(core.values()) <= 9_960
    # 24,343 when the house was rebuilt at equal features; raised for features only, never to make room for a patch (last for a attention by
    # matrix products on a CPU), but twice for faults that reviews proved, in 200 and in 80
    assert sum(sizes.values()) <= 46_790


def test_functions_take_few_parameters():
    many = []
    for name, _, nodes in sources():
        if name.endswith("word_problems/kit.py"):
            continue  # emitted with programs, whose ids are hashes of their text
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len([one for one in taken if one.arg not in ("self", "cls")]) > PARAMETERS:
                    many.append(f"{name}: {node.name}()")
    assert many == []


def test_folders_hold_few_files_and_programs_directly_no_more_than_eight():
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules())
    assert [name for name, count in folders.items() if count > FOLDER] == []
    assert folders["programs"] <= 8


def docstrings(nodes):
    return {
        node.body[0].value
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body and isinstance(node.body[0], ast.Expr)
    }


def test_no_string_holds_python_that_no_tool_sees():
    held = []
    for name, _, nodes in sources():
        told = docstrings(nodes)
        for node in nodes:
            text = node.value if isinstance(node, ast.Constant) and node not in told else None
            if isinstance(text, str) and text.count("\n") > STRING and "def " in text:
                held.append(f"{name}:{node.lineno}")
    assert held == []


NAMES = (
    "round-", "attempts.jsonl", "taught.jsonl", "samples.jsonl", "rejections.jsonl", "rows.jsonl", "library.jsonl", "decision.jsonl",
    "tries.jsonl", "searched.jsonl", "result.json", "seconds.json", "answers.jsonl", "ledger.json",
    "batches.jsonl",
)  # fmt: skip


def test_names_of_a_runs_files_stand_in_layout_alone():
    named = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, NAMES))})")
    spelled = []
    for name, _, nodes in sources():
        if not name.startswith("programs/") or name == "programs/run/layout.py":
            continue
        inner = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            parts = node.values if isinstance(node, ast.JoinedStr) else [] if node in inner else [node]
            text = "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
            if named.search(text) and " " not in text:  # what holds a blank is a message or a docstring
                spelled.append(f"{name}:{node.lineno} {text}")
    assert spelled == []


PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit", "_attn_implementation", "_can_compile_fullgraph"}
"""Names that begin with an underscore and are meant to be used: of named tuples, os._exit, and two flags of transformers' models."""


def private_names(path):
    """(line, name) of each use of a private attribute that the file itself does not define."""
    _, nodes = parsed(path)
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or not re.match(r"_(?!_)", node.attr) or node.attr in PUBLIC | own:
            continue
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            yield node.lineno, node.attr


@pytest.mark.parametrize("folder", [*FLOORS, "tests", "scripts"])
def test_nobody_reads_a_private_attribute_of_another_file(folder):
    paths = [ROOT / "cli.py"] if folder == "cli" else sorted((ROOT / folder).rglob("*.py"))
    assert [f"{path.relative_to(ROOT)}:{line} {name}" for path in paths for line, name in private_names(path)] == []


def test_every_package_of_the_tree_is_packaged():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in modules() if path.name == "__init__.py"}
    wanted = {"errata", *(f"errata.{'.'.join(folder.parts)}" for folder in folders)}
    assert set(config["packages"]) == wanted == set(config["package-dir"])


COMMANDS = (
    "cycle", "evaluate", "diagnose", "import", "generate", "train", "compare", "report",
    "runs", "view", "trace", "diff", "export", "optimize", "prompt", "init", "doctor",
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


SLOW = {"typer cli.py run": pytest.mark.slow}
"""It goes the way of `typer cli.py`, with one word more."""


@pytest.mark.parametrize("way", [pytest.param(way, marks=SLOW.get(name, ()), id=name) for name, way in WAYS.items()])
def test_all_ways_to_start_run_the_same_code_and_give_its_exit_codes(way):
    def start(*args):
        return subprocess.run([*way, *args], cwd=ROOT, capture_output=True, text=True)

    shown = start("cycle", "--help")
    assert shown.returncode == 0
    assert "Run the whole loop" in shown.stdout
    wrong = start("cycle", "--set", "train.epoch=1")
    assert wrong.returncode == 2
    assert "did you mean `train.epochs`?" in wrong.stderr.splitlines()[-1]
    assert wrong.stderr.splitlines()[-1].startswith("errata: ")
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


@pytest.mark.slow  # builds, installs and starts it, 12 seconds
def test_the_wheel_installs_in_an_empty_environment_and_runs_from_an_empty_folder(wheel, tmp_path):
    import zipfile

    names = (packed := zipfile.ZipFile(wheel)).namelist()
    assert packed.read("errata/sandbox/guest.wasm.xz") == (ROOT / "sandbox/guest.wasm.xz").read_bytes()
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
    # what the sandbox compiles of the guest is shared with other tests, a fifth of a minute
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": cache}

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
