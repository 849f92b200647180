"""Bad input of any kind ends as one line (an ErrataError) or as a right result, never as another exception.

    ERRATA_FUZZ=20000 pytest -n 0 tests/test_fuzz.py      so many inputs for each property, drawn anew; about 40 of each otherwise

The slow suite runs 110,000. Files are made of JSON of any shape under the names that readers look for, of whole files that were cut,
flipped or filled with noise, and of bare bytes. Not covered: the sandbox, which has attacks of its own (test_sandbox_attacks.py).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_run import fake_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errata.programs.config import CycleConfig, commented, fields, load_config, parse_override
from errata.programs.rundir import RunDir, Stage, read_config, read_json
from errata.programs.runs import listed
from errata.signatures.errors import ErrataError
from errata.signatures.records import Attempt, GateDecision, Rejection, Sample, Taught, TrainRow
from errata.tasks import load_task
from errata.tasks.table import KINDS, TableSettings

EXAMPLES = int(os.environ.get("ERRATA_FUZZ", "0"))
PROPERTIES = 5
fuzz = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.sampled_from(
        ["", " ", "7", "#### 7", "A", "\ud800", "\x00", "\ufeff", "{", "{question}", "{a.b}", "{0}", "²", "9" * 5000, "~nobody/x", "NaN"]
    ),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**40, -(10**400), 2**63, 1e308, True, False]))


def values(names=(), leaves=12):
    """JSON of any shape, whose objects have some of these names."""
    keys = st.one_of(st.sampled_from(names), TEXTS) if names else TEXTS
    grow = lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5))  # noqa: E731
    return st.recursive(st.one_of(st.none(), NUMBERS, TEXTS), grow, max_leaves=leaves)


def rows(names):
    """Objects with some of these names."""
    return st.dictionaries(st.one_of(st.sampled_from(names), TEXTS), values(names), max_size=len(names))


@st.composite
def damaged(draw, whole):
    """A file that was cut, a byte flipped, replaced by noise, or emptied."""
    way, place = draw(st.sampled_from(["cut", "flip", "noise", "insert"])), draw(st.integers(0, max(0, len(whole) - 1)))
    if way == "cut":
        return whole[:place]
    if way == "flip" and whole:
        return whole[:place] + bytes([whole[place] ^ draw(st.integers(1, 255))]) + whole[place + 1 :]
    if way == "insert":
        return whole[:place] + draw(st.binary(max_size=8)) + whole[place:]
    return draw(st.one_of(st.binary(max_size=40), st.just(b"[" * 3000), st.just(b"1" * 5000), st.just(b"null"), st.just(b"{}\n[]\n")))


def one_line(work, *args, **kwargs):
    """What `work` gives; None where it says in one line that it cannot."""
    try:
        return work(*args, **kwargs)
    except ErrataError as error:
        assert " ".join(str(error).split())
        return None


def dumped(value):
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# ---- config

NAMES = [name for name, _ in fields()]
PARTS = sorted({part for name in NAMES for part in name.split(".")})
COMMENTED = commented(CycleConfig()).replace("\n#", "\n").replace("  #", "  ").encode()
TAGS = st.sampled_from(
    ["!!bool x", "!!int ''", "!!timestamp x", "!!float x", "&a [*a]", "2001-99-99", "!!python/object:os.system x", "{? [a] : b}"]
)


@fuzz
@given(
    st.one_of(
        rows(PARTS).map(dumped),
        rows(PARTS).map(lambda row: yaml.safe_dump(row).encode("utf-8", "replace")),
        damaged(COMMENTED),
        TAGS.map(str.encode),
    )
)
def test_a_config_of_any_text_is_taken_or_refused_in_one_line(place, data):
    (place / "config.yaml").write_bytes(data)
    config = one_line(load_config, place / "config.yaml")
    if config is not None:
        assert CycleConfig.model_validate_json(json.dumps(config.model_dump(mode="json"))) == config


@fuzz
@given(st.one_of(st.sampled_from(NAMES), TEXTS), st.one_of(TAGS, TEXTS, values(PARTS).map(json.dumps)))
def test_a_setting_of_any_text_is_taken_or_refused_in_one_line(name, value):
    given_ = one_line(parse_override, f"{name}={value}")
    if given_ is not None:
        one_line(load_config, None, dict([given_]))


# ---- data

COLUMNS = [
    "question", "answer", "solution", "skill", "choices", "text", "label", "answerKey", "id", "task_id", "prompt", "test", "entry_point",
    "canonical_solution", "code", "test_list", "A", "B", "C", "D", "subject", "input", "target", "examples", "data", "test_imports",
    "perturbation_questions", "perturbation_type", "seed_question", "seed_solution", "seed_answer", "test_setup_code",
]  # fmt: skip
TASKS = ["gsm8k", "gsm_plus", "mmlu", "arc", "mbpp", "humaneval", "bbh", "jsonl"]
GOOD = [
    {"question": "What is 3 + 4?", "answer": "3+4=<<3+4=7>>7\n#### 7"},
    {"question": "Which is it?", "A": "one", "B": "two", "C": "three", "D": "four", "answer": "B", "subject": "s"},
    {"task_id": 1, "text": "f", "code": "def f(): return 1", "test_list": ["assert f() == 1"], "prompt": "f", "test_setup_code": ""},
]
FILES = st.one_of(
    st.lists(st.one_of(rows(COLUMNS), st.sampled_from(GOOD), values(COLUMNS)), max_size=4).map(lambda all_: b"\n".join(map(dumped, all_))),
    st.lists(rows(COLUMNS), max_size=3).map(lambda all_: b"\xef\xbb\xbf" + b"\r\n".join(map(dumped, all_))),
    values([*COLUMNS, "data"]).map(dumped),
    damaged(b"\n".join(map(dumped, GOOD))),
)
TABLES = st.fixed_dictionaries(
    {},
    optional={
        "verdict": st.sampled_from(sorted(set(KINDS) - {"math"})),
        "question": st.one_of(st.sampled_from(COLUMNS), TEXTS),
        "answer": st.sampled_from(COLUMNS),
        "skill": st.sampled_from(COLUMNS),
        "choices": st.one_of(st.sampled_from(COLUMNS), st.tuples(st.sampled_from(COLUMNS), st.sampled_from(COLUMNS))),
        "pattern": st.sampled_from(["x(.*)", "(", "7"]),
    },
)


@fuzz
@given(st.sampled_from(TASKS), st.sampled_from([".jsonl", ".json", ".parquet"]), FILES, TABLES)
def test_a_data_file_of_any_text_becomes_items_or_one_line(place, name, ending, data, table):
    file = place / f"data{ending}"
    file.write_bytes(data)

    def read():
        task = load_task(f"{name}:{file}", TableSettings(**table), runner=lambda *_: None)
        return task, task.examples("train")

    if (found := one_line(read)) is not None:
        task, items = found
        for item in items:
            assert type(item).model_validate_json(item.model_dump_json()).id == item.id
            json.dumps(task.prompt(item)).encode()
            if task.kind != "code":
                for response in (item.answer, item.solution, "", "7"):
                    assert task.verdict(item, response).reason


@fuzz
@given(st.lists(rows(COLUMNS), min_size=1, max_size=3), TABLES)
def test_a_parquet_file_of_any_columns_becomes_items_or_one_line(place, found, table):
    import pyarrow
    import pyarrow.parquet

    try:
        made = pyarrow.Table.from_pylist(found)
        pyarrow.parquet.write_table(made, place / "data.parquet")
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
        return  # no table at all
    task = one_line(load_task, f"parquet:{place / 'data.parquet'}", TableSettings(**table), runner=lambda *_: None)
    for item in task.examples("train") if task else []:
        item.model_dump_json()


# ---- a run directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("runs") / "run", {"sums": ["a", "b"]}, {"sums_plus": ["a"]}, rounds=2, items=4)


KINDS_OF_ROWS = {
    "attempts.jsonl": Attempt, "taught.jsonl": Taught, "samples.jsonl": Sample, "rejections.jsonl": Rejection, "rows.jsonl": TrainRow,
    "decision.jsonl": GateDecision,
}  # fmt: skip


def read_all(run):
    """Everything that readers of a run directory take from it."""
    from errata.programs.ledger import read_ledger

    config = read_config(run)
    with RunDir(run, config):
        pass
    rows = {}
    for path in sorted(run.rglob("*.jsonl")):
        if path.name in KINDS_OF_ROWS:
            rows[path.relative_to(run).as_posix()] = Stage(path.parent).read(path.name, KINDS_OF_ROWS[path.name])
    facts = {path.relative_to(run).as_posix(): read_json(path) for path in sorted(run.rglob("manifest.json"))}
    return config, rows, facts, read_json(run / "result.json"), read_ledger(run)


@fuzz
@given(st.data())
def test_a_run_directory_with_one_damaged_file_reads_as_before_or_is_told_of_in_one_line(place, finished, data):
    whole = read_all(finished)
    names = sorted(path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file() and path.name != "lock")
    name = data.draw(st.sampled_from(names))
    before = (finished / name).read_bytes()
    after = data.draw(st.one_of(damaged(before), st.none()))
    try:
        if after is None:
            (finished / name).unlink()
        else:
            (finished / name).write_bytes(after)
        found = one_line(read_all, finished)
        assert all(("damaged" in run) == (found is None) or "damaged" in run or run["run"] for run in listed(finished.parent))
        sealed = name.endswith((".jsonl", "manifest.json", "result.json", "run.json")) and after is not None
        if found is not None and sealed and len(after) == len(before) and name != "run.json":
            assert found[:2] == whole[:2]
    finally:
        (finished / name).write_bytes(before)
        for other in finished.rglob("*.tmp"):
            other.unlink()
    assert read_all(finished)[1] == whole[1]


# ---- all of them, many times


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_110_000_inputs(tmp_path):
    count = 110_000 // PROPERTIES
    env = {**os.environ, "ERRATA_FUZZ": str(count)}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--timeout=0", "-m", "not slow", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout[-4000:]
    shutil.rmtree(tmp_path, ignore_errors=True)
