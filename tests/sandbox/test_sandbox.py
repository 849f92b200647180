"""What the sandbox gives to honest programs, to its callers and to the machine. The attacks are in test_attacks.py."""

import ast
import collections
import hashlib
import json
import lzma
import os
import random
import signal
import statistics
import subprocess
import sys
import textwrap
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errata.sandbox import MODULES, Job, Limits, Sandbox, component, open_sandbox, pool, restrict
from errata.signatures.errors import SandboxError

ECHO = "def main(program, payload): yield payload"
CALL = "def main(program, payload): yield program.f()"


@pytest.fixture(scope="module")
def sandbox():
    with open_sandbox(2) as opened:
        yield opened


def value(sandbox: Sandbox, body: str, **limits):
    """What a program's f() gives, or the whole run when it does not."""
    run = sandbox.run(textwrap.dedent(body), CALL, None, Limits(**limits))
    return run.rows[0] if run.outcome == "ok" else run


def test_rows_come_back_in_order_with_the_payload_that_the_harness_got(sandbox):
    harness = "def main(program, payload):\n    for n in payload['ns']: yield {'n': n, 'twice': program.twice(n)}"
    run = sandbox.run("def twice(n): return 2 * n", harness, {"ns": [3, 1, 2]})
    assert (run.outcome, run.error) == ("ok", "")
    assert run.rows == ({"n": 3, "twice": 6}, {"n": 1, "twice": 2}, {"n": 2, "twice": 4})


def test_the_program_is_a_real_module_so_dataclasses_with_deferred_annotations_work(sandbox):
    source = """
    from __future__ import annotations
    import sys
    from dataclasses import asdict, dataclass, field

    @dataclass
    class Box:
        width: int
        parts: list[str] = field(default_factory=list)

    def f(): return [asdict(Box(3)), Box.__module__, sys.modules["program"].Box is Box]
    """
    assert value(sandbox, source) == [{"width": 3, "parts": []}, "program", True]


def test_every_module_that_is_promised_can_be_imported(sandbox):
    assert value(sandbox, f"import {', '.join(MODULES)}\nfrom urllib.parse import quote\ndef f(): return 1") == 1


@pytest.mark.parametrize(
    "name", ["numpy", "unittest", "asyncio", "concurrent.futures", "sqlite3", "subprocess", "ctypes", "socket", "xml.sax"]
)
def test_another_import_fails_in_pythons_own_words_and_names_the_modules_to_use(sandbox, name):
    missing = name if name == "xml.sax" else name.partition(".")[0]
    run = sandbox.run(f"import {name}", ECHO)
    assert run.outcome == "error"
    assert run.error.startswith(f"ModuleNotFoundError: No module named '{missing}'; ")
    assert all(name in run.error for name in MODULES)
    caught = f"try:\n    import {name}\nexcept ModuleNotFoundError as error:\n    n = error.name\ndef f(): return n"
    assert value(sandbox, caught) == missing


def test_the_list_of_absent_modules_is_what_a_program_meets(sandbox):
    listed = [line for line in Path(pool.__file__).with_name("absent.txt").read_text().split("\n") if line and line[0] != "#"]
    tried = """
    import importlib, sys
    def f():
        absent = []
        for name in sorted(sys.stdlib_module_names):
            try: importlib.import_module(name)
            except ModuleNotFoundError: absent.append(name)
        return [name for name in absent if name[0] != "_"]
    """
    assert value(sandbox, tried) == listed
    assert not set(listed) & set(MODULES)


def test_a_program_that_does_not_load_is_told_the_line_and_what_stands_there(sandbox):
    run = sandbox.run("a = 1\nb = 2\nc = a / (b - 2)\n", ECHO)
    assert (run.outcome, run.rows) == ("error", ())
    assert run.error == "ZeroDivisionError: division by zero (line 3: c = a / (b - 2))"
    run = sandbox.run("def f(:\n    pass\n", ECHO)
    assert run.error.startswith("SyntaxError: ") and run.error.endswith("(line 1: def f(:)")


def test_an_exception_out_of_the_harness_names_the_programs_line_first(sandbox):
    run = sandbox.run("def f():\n    return g()\ndef g():\n    return {}['x']\n", CALL)
    assert (run.outcome, run.error) == ("error", "KeyError: 'x' (line 4: return {}['x'])")
    run = sandbox.run("", "def main(program, payload):\n    yield program.f()")
    assert run.error.endswith("(harness line 2: yield program.f())")


def test_rows_before_a_failure_are_not_handed_out(sandbox):
    run = sandbox.run("", "def main(program, payload):\n    yield 1\n    raise ValueError('late')")
    assert (run.outcome, run.rows) == ("error", ())


def test_a_harness_can_describe_a_rows_failure_and_go_on(sandbox):
    harness = """
def main(program, payload):
    for n in payload:
        try:
            yield program.inverse(n)
        except Exception as error:
            yield {"error": describe(error)}
"""
    run = sandbox.run("def inverse(n):\n    return 1 / n", harness, [2, 0, 4])
    assert run.rows == (0.5, {"error": "ZeroDivisionError: division by zero (line 2: return 1 / n)"}, 0.25)


def test_what_a_program_prints_is_kept_as_a_tail_and_never_mixes_with_rows(sandbox):
    source = "import sys\nprint('{\"rows\": [666]}')\nsys.stderr.write('w' * 5000 + 'end')\nsys.stdout.buffer.write(b'!')"
    run = sandbox.run(source, ECHO, 1)
    assert run.rows == (1,)
    assert run.stderr_tail.endswith("end!") and len(run.stderr_tail) == 2000


def test_reading_the_standard_input_finds_its_end(sandbox):
    assert value(sandbox, "import sys\ndef f(): return sys.stdin.read()") == ""
    assert "EOFError" in value(sandbox, "def f(): return input()").error


def test_sleeping_costs_no_time_and_waiting_for_the_clock_ends(sandbox):
    source = """
    import time
    def f():
        time.sleep(3600)
        start = time.time()
        while time.time() < start + 0.2: pass
        return "done"
    """
    assert value(sandbox, source, seconds=5) == "done"


NUMBERS = """
import random, statistics, fractions, decimal, hashlib, json, math, string
def f():
    rng = random.Random("seed")
    xs = [rng.normalvariate(10, 3) for _ in range(200)] + [rng.random() for _ in range(50)]
    items = list(range(50)); rng.shuffle(items)
    return json.dumps([
        xs, items, rng.sample(range(10**6), 20), rng.choices("abc", [1, 2, 3], k=9), rng.randint(0, 10**30),
        statistics.fmean(xs), statistics.stdev(xs), statistics.median(xs), str(fractions.Fraction("2.675")), round(2.675, 2),
        str(decimal.Decimal(1) / 7), hashlib.sha256(repr(xs).encode()).hexdigest(), math.log(7), math.sqrt(2), f"{1/3:.20f}",
        random.Random(7).expovariate(2), math.comb(60, 30), 2**200, 1e22, 5e-324, -0.0, "\u00e9\u4e2d",
    ])
"""


def test_numbers_are_byte_identical_to_native_cpython(sandbox):
    native: dict = {}
    exec(NUMBERS, native)
    assert value(sandbox, NUMBERS) == native["f"]()


def test_functions_of_the_c_library_agree_with_native_cpython_to_the_last_digit_but_one(sandbox):
    source = """
    import math, random
    def f():
        rng = random.Random(1)
        xs = [rng.uniform(0, 50) for _ in range(500)]
        calls = [math.sin, math.cos, math.tan, math.exp, math.atan, math.log10, math.erf, math.cbrt, math.gamma]
        return [[call(x) for call in calls] for x in xs]
    """
    native: dict = {}
    exec(textwrap.dedent(source), native)
    for ours, theirs in zip(value(sandbox, source), native["f"](), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-13, abs=0)


def test_the_global_random_is_seeded_so_an_unseeded_program_repeats(sandbox):
    source = "import random\nx = random.random()\ndef f(): return [x, random.randint(0, 10**9)]"
    assert value(sandbox, source) == value(sandbox, source)
    assert value(sandbox, source)[0] == random.Random(0).random()


def test_the_same_program_gives_the_same_bytes_in_every_worker_even_for_clocks_entropy_hashes_and_addresses():
    source = """
    import datetime, os, random, secrets, time, uuid
    def f():
        words = set("the quick brown fox jumps over the lazy dog".split())
        return [time.time(), str(datetime.datetime.now()), time.perf_counter(), str(uuid.uuid4()), os.urandom(9).hex(),
                secrets.token_hex(4), random.SystemRandom().random(), random.Random().random(), list(words), hash("a"), id(words)]
    """
    with open_sandbox(1) as one, open_sandbox(1) as other:
        first = value(one, source)
        assert value(one, "def f(): return list(range(10**5)) and 1") == 1
        assert isinstance(first, list) and value(one, source) == first == value(other, source)


def test_no_row_at_all_is_fine(sandbox):
    run = sandbox.run("", "def main(program, payload): return []")
    assert (run.outcome, run.rows) == ("ok", ())


def test_many_threads_each_get_their_own_answers(sandbox):
    count, answers = 40, {}

    def ask(n):
        answers[n] = sandbox.run(f"N = {n}", "def main(program, payload): yield [program.N, payload]", n).rows

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: ([n, n],) for n in range(count)}


def test_map_keeps_the_order_and_reads_jobs_as_it_needs_them(sandbox):
    read = []

    def jobs():
        for n in range(200):
            read.append(n)
            yield Job(f"N = {n}", "def main(program, payload): yield program.N")

    runs = sandbox.map(jobs())
    assert [next(runs).rows for _ in range(3)] == [(0,), (1,), (2,)]
    assert len(read) < 20
    runs.close()


@pytest.mark.parametrize("field, wrong", [("seconds", 0), ("seconds", float("inf")), ("memory_mb", 1), ("rows", -1)])
def test_senseless_limits_are_refused_at_construction(field, wrong):
    with pytest.raises(SandboxError, match=f"the limit {field} is"):
        Limits(**{field: wrong})


def test_a_worker_that_was_killed_while_idle_costs_no_program_its_answer(sandbox):
    with open_sandbox(1) as alone:
        (pid,) = alone.pids
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        assert alone.run("", ECHO, 1).rows == (1,)


def test_a_worker_that_is_killed_from_outside_costs_the_program_in_it_no_answer():
    with open_sandbox(1) as alone, ThreadPoolExecutor(1) as thread:
        (pid,) = alone.pids
        run = thread.submit(alone.run, "sum(number * number for number in range(4_000_000))", ECHO, 1, Limits(seconds=60))
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        assert (run.result().outcome, run.result().rows) == ("ok", (1,))
        assert alone.pids != [pid]


def test_a_closed_sandbox_says_so_and_leaves_no_process():
    opened = open_sandbox(1)
    (pid,) = opened.pids
    found = []

    def ask():
        try:
            opened.run("while True: pass", ECHO, None, Limits(seconds=30))
        except SandboxError as error:
            found.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    opened.close()
    thread.join(20)
    assert len(found) == 1 and "closed" in found[0]
    assert opened.pids == [] and gone(pid)
    with pytest.raises(SandboxError, match="closed"):
        opened.run("", ECHO)


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that waits for its reaper has."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_worker_outlives_a_parent_that_is_killed_even_with_a_program_running():
    script = """
import os, sys, threading, time
from errata.sandbox import Limits, open_sandbox
box = open_sandbox(1)
threading.Thread(target=box.run, args=("while True: pass", "def main(p, x): yield x", None, Limits(seconds=60)), daemon=True).start()
time.sleep(1)
print(*box.pids, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert pids and not any(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z" for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert all(gone(pid) for pid in pids)


def test_workers_do_not_run_the_parents_script_again(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from errata.sandbox import open_sandbox\n"
        "print('started')\n"
        "with open_sandbox(2) as box: print(*box.run('', 'def main(p, x): yield x', 5).rows)\n"
    )
    out = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["started", "5"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told_to_open_its_own(sandbox):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sandbox.run("", ECHO)
        except SandboxError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    assert b"open another one there" in os.read(read, 1000)
    os.close(read)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_that_ends_takes_no_worker_of_its_parent_with_it():
    code = """
import os, sys
from errata.sandbox import open_sandbox
box = open_sandbox(1)
pids = box.pids
if os.fork() == 0:
    sys.exit()
os.wait()
print(box.run("", "def main(p, x): yield x", 1).rows, box.pids == pids)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "(1,) True"


def test_the_shipped_component_is_the_pinned_one():
    folder = Path(pool.__file__).parent
    data = lzma.decompress((folder / "guest.wasm.xz").read_bytes())
    assert hashlib.sha256(data).hexdigest() == (folder / "guest.sha256").read_text().strip()


def test_the_shipped_component_was_made_from_the_guest_that_stands_here(sandbox):
    made_from = value(sandbox, "import sys\ndef f(): return sys.modules['guest'].MADE_FROM")
    guest = Path(pool.__file__).with_name("guest.py").read_bytes()
    assert made_from == hashlib.sha256(guest).hexdigest(), "guest.py has changed: run scripts/make_sandbox.py"


@pytest.mark.skipif(not restrict.supported(), reason="no kernel's walls are known for this machine")
def test_the_wasi_worker_is_walled_in_by_the_kernel_too(sandbox):
    worker = component.Component().start()
    try:
        assert worker.walls == "landlock,seccomp"
    finally:
        worker.drop()
    for pid in sandbox.pids:
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


REACHES = """
import os, socket
from errata.sandbox import restrict
restrict.{wall}()
reached = []
for name, attempt in (
    ("a file", lambda: os.open("/etc/hosts", os.O_RDONLY)),
    ("a directory", lambda: os.listdir("/")),
    ("a socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    ("a process", os.fork),
):
    try:
        got = attempt()
    except PermissionError:
        continue
    if name == "a process" and got == 0:
        os._exit(0)
    reached.append(name)
os.write(1, ", ".join(reached).encode())
"""


@pytest.mark.skipif(not restrict.supported(), reason="no kernel's walls are known for this machine")
@pytest.mark.parametrize(
    ("wall", "reached"),
    [("supported", "a file, a directory, a socket, a process"), ("deny_files", "a socket, a process"), ("deny_calls", "")],
)
def test_each_wall_refuses_what_can_be_reached_without_it(wall, reached):
    code = REACHES.format(wall=wall)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == reached


def test_without_wasmtime_the_sandbox_refuses_in_one_line_with_the_command_that_mends_it(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(component.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(
            SandboxError, match=r"^the sandbox needs wasmtime, which is not installed here: pip install .*'wasmtime>=50,<51'$"
        ):
            open_sandbox(1)


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is told by XDG_CACHE_HOME")
def test_a_broken_wasmtime_is_told_in_one_line_with_the_command_that_mends_it(tmp_path, monkeypatch):
    (tmp_path / "wasmtime.py").write_text("raise ImportError('its library is of another machine')\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(component.importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin=tmp_path / "x" / "wasmtime.py"))
    with pytest.raises(SandboxError, match=r"^[^\n]* pip install --force-reinstall 'wasmtime>=50,<51'$"):
        open_sandbox(1)


def test_importing_the_package_starts_nothing_heavy():
    code = "import sys, errata.sandbox; print([m for m in ('wasmtime', 'dspy', 'torch', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_nothing_in_the_sandbox_imports_dspy_or_torch():
    found = collections.Counter()
    for path in Path(pool.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found.update(name.partition(".")[0] for name in names)
    assert not {"dspy", "torch", "transformers"} & set(found)


# The compile cache --------------------------------------------------------------------------------------------------


def opened_with(cache: str | Path) -> list[str]:
    """Open a sandbox in a process with this cache folder; [rows, seconds]."""
    code = "from errata.sandbox import open_sandbox\nwith open_sandbox(1) as box: print(box.run('', 'def main(p, x): yield x', 3).rows)"
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is told by XDG_CACHE_HOME")
def test_the_cache_is_private_made_by_racing_processes_and_made_again_when_damaged(tmp_path):
    threads = [threading.Thread(target=opened_with, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = tmp_path / "errata"
    (compiled,) = folder.glob("*.cwasm")
    assert folder.stat().st_mode & 0o777 == 0o700 and compiled.stat().st_mode & 0o777 == 0o600
    assert sorted(path.suffix for path in folder.iterdir()) == [".cwasm", ".sha256"]

    for age in range(1, 6):  # of other versions, only the newest stay
        old = folder / f"guest-{age}.cwasm"
        for path in (old, old.with_suffix(".sha256")):
            path.write_text("old")
            os.utime(path, (time.time() - 1000 * age,) * 2)

    whole = compiled.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:5000] + bytes(100) + whole[5100:], b""):
        compiled.write_bytes(damaged)
        assert opened_with(tmp_path) == ["(3,)"]
        assert hashlib.sha256(compiled.read_bytes()).hexdigest() == compiled.with_suffix(".sha256").read_text()
    assert sorted(path.stem for path in folder.iterdir() if path.suffix == ".cwasm") == sorted([compiled.stem, "guest-1", "guest-2"])
    assert len(list(folder.iterdir())) == 6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is told by XDG_CACHE_HOME")
def test_without_a_cache_that_can_be_written_it_works_all_the_same(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert opened_with(blocked) == ["(3,)"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_thousands_of_programs():
    with open_sandbox(1) as box:
        (pid,) = box.pids
        statm = Path(f"/proc/{pid}/statm")
        pages = []
        for n in range(3000):
            assert box.run(f"x = list(range({n % 7 * 10_000}))", ECHO, n).rows == (n,)
            if n in (500, 2999):
                pages.append(int(statm.read_text().split()[1]))
        assert pages[1] - pages[0] < 1024  # 4 MiB


def test_statistics_of_a_realistic_program_are_json(sandbox):
    run = sandbox.run("import statistics", "def main(p, x): yield p.statistics.pstdev(x)", [1, 2, 3, 4])
    assert run.rows == (statistics.pstdev([1, 2, 3, 4]),)
    assert json.dumps(run.rows[0])
