"""Bad input of any kind ends as one line (an ErrataError) or as a right result, never as another exception.

    ERRATA_FUZZ=20000 pytest -n 0 tests/test_fuzz.py      so many inputs for each property, drawn anew; about 40 of each otherwise

A tenth of them where each needs a server, the sandbox or DSPy. The slow suite runs 110,000. Files are made of JSON of any shape under the
names that readers look for, of whole files that were cut, flipped or filled with noise, and of bare bytes; programs by a grammar of what
Python can do to its host. Attacks that were thought of are in sandbox/test_attacks.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dspy
import pytest
import yaml
from dspy.lm15 import Message, Response, TextPart, Usage
from fake_run import fake_run
from harnesses import CALL, REPEAT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai_server import OpenAIServer, Reply

from errata.programs import LearnFromContrast, LearnFromError
from errata.programs.config import CycleConfig, GenerateSettings, InstructorSettings, fields, load_config, parse_override
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.engine import Patience, open_instructor
from errata.programs.report.runs import listed
from errata.programs.run.directory import RunDir, Stage, read_config, read_json
from errata.programs.strategies.named import load_strategy
from errata.sandbox import Limits
from errata.signatures.errors import ErrataError
from errata.signatures.records import Attempt, Example, Failure, GateDecision, Rejection, Sample, TeachingResult, TrainRow, Verdict
from errata.tasks import load_task
from errata.tasks.answers import FORMS
from errata.tasks.settings import TableSettings

EXAMPLES = int(os.environ.get("ERRATA_FUZZ", "0"))
CHEAP, COSTLY = 5, 4
"""How many properties there are."""
fuzz = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
a_tenth = settings(fuzz, max_examples=EXAMPLES // 10 or 40)

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.sampled_from(
        ["", " ", "7", "#### 7", "A", "\ud800", "\x00", "\ufeff", "{", "{question}", "{a.b}", "{0}", "²", "9" * 5000, "~nobody/x", "NaN"]
    ),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**40, -(10**400), 2**63, 1e308, True, False]))


def words(text):
    return text.split()


def values(names=(), leaves=12):
    """JSON of any shape, whose objects have some of these names."""
    keys = st.one_of(st.sampled_from(names), TEXTS) if names else TEXTS
    grow = lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5))  # noqa: E731
    return st.recursive(st.one_of(st.none(), NUMBERS, TEXTS), grow, max_leaves=leaves)


def rows(names):
    """Objects with some of these names."""
    return st.dictionaries(st.one_of(st.sampled_from(names), TEXTS), values(names, 6), max_size=6)


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
    return draw(st.one_of(st.binary(max_size=40), st.just(b"[" * 1200), st.just(b"1" * 5000), st.just(b"null"), st.just(b"{}\n[]\n")))


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
WHOLE = yaml.safe_dump(CycleConfig().model_dump(mode="json")).encode()
TAGS = st.sampled_from(
    ["!!bool x", "!!int ''", "!!timestamp x", "!!float x", "&a [*a]", "2001-99-99", "!!python/object:os.system x", "{? [a] : b}"]
)


@fuzz
@given(
    st.one_of(
        rows(PARTS).map(dumped),
        rows(PARTS).map(lambda row: yaml.safe_dump(row).encode("utf-8", "replace")),
        damaged(WHOLE),
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
        "verdict": st.sampled_from(sorted({*FORMS} - {"math"})),
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
    "attempts.jsonl": Attempt, "taught.jsonl": TeachingResult, "samples.jsonl": Sample, "rejections.jsonl": Rejection,
    "rows.jsonl": TrainRow, "decision.jsonl": GateDecision,
}  # fmt: skip


def read_all(run):
    """Everything that readers of a run directory take from it."""
    from errata.programs.run.ledger import read_ledger

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
        told = listed(finished.parent)
        assert found is None or after is None or not any("damaged" in run for run in told)
        sealed = name.endswith((".jsonl", "manifest.json", "result.json", "run.json")) and after is not None
        if found is not None and sealed and len(after) == len(before) and name != "run.json":
            assert found[:2] == whole[:2]
    finally:
        (finished / name).write_bytes(before)
        for other in finished.rglob("*.tmp"):
            other.unlink()
    assert read_all(finished)[1] == whole[1]


# ---- a strategy's state

STATE = words("traces train demos signature instructions fields prefix description lm metadata dependency_versions")


@pytest.fixture(scope="module")
def state(place):
    LearnFromError().save(place / "state.json")
    return (place / "state.json").read_bytes()


@a_tenth
@given(st.data())
def test_a_state_of_any_text_is_loaded_or_refused_in_one_line(place, state, data):
    whole = json.loads(state)
    names = [*STATE, *whole, *(name for part in whole.values() if isinstance(part, dict) for name in part)]
    one = st.sampled_from(list(whole))
    text = st.one_of(
        damaged(state), rows(names).map(dumped), st.builds(lambda name, value: dumped({**whole, name: value}), one, values(names))
    )
    (place / "any.json").write_bytes(data.draw(text))
    strategy = one_line(load_strategy, GenerateSettings(state=str(place / "any.json")))
    if strategy is not None:
        assert isinstance(strategy, LearnFromError)


# ---- answers of a server and of an instructor

CHAT = words("choices message content refusal finish_reason usage prompt_tokens completion_tokens error code type id")
ANSWER = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}],
    "usage": {"prompt_tokens": 3},
}


@pytest.fixture(scope="module")
def server():
    replies = [Reply("yes")]
    with OpenAIServer(lambda body, number: replies[-1]) as opened:
        opened.replies = replies
        yield opened


@a_tenth
@given(
    st.one_of(values(CHAT).map(dumped), damaged(dumped(ANSWER)), st.builds(lambda row: dumped(ANSWER | row), rows(CHAT))),
    st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 529]),
    st.sampled_from(["application/json", "text/html", "text/event-stream", "", 'x; charset="\\"']),
    st.sampled_from(
        [{}, {"Retry-After": "0"}, {"Retry-After": "-1"}, {"Retry-After": "soon"}, {"Retry-After": "nan"}, {"Content-Encoding": "gzip"}]
    ),
    st.one_of(st.none(), st.integers(0, 300)),
)
def test_any_answer_of_a_server_is_taken_or_told_in_one_line(server, body, status, kind, headers, cut):
    server.replies.append(Reply(body=body, status=status, content_type=kind, headers=headers, cut=cut))
    lm = open_instructor(InstructorSettings(model="openai/loopback", api_base=server.url), patience=Patience(attempts=1))
    answer = one_line(lm, "hi")
    if answer is not None:
        json.dumps(answer).encode()


FIELDS = words("evidence verdict misconception skill teach refusal program completed reasoning")
PIECES = st.sampled_from([f"[[ ## {name} ## ]]\n" for name in FIELDS])
WORDS = st.sampled_from(
    ["error", "reference_wrong", "ambiguous", "```python\n", "```", "x = 1", "def draw(rng, level): return {}", "{", "\n", "\ud800", "\x00"]
)
ANSWERS = st.lists(st.one_of(PIECES, WORDS, TEXTS), max_size=24).map("".join)


class Saying:
    """An engine that gives these answers in turn, the last one for ever."""

    def __init__(self, answers):
        self.answers = answers

    def complete(self, request):
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Response("any", request.model, Message.assistant([TextPart(text)]), finish_reason="stop", usage=Usage(1, 1))


@a_tenth
@given(st.lists(ANSWERS, min_size=1, max_size=4), st.booleans(), st.sampled_from([LearnFromError, LearnFromContrast]))
def test_any_answer_of_an_instructor_teaches_or_is_refused(answers, proven, kind):
    example = Example(task="sums", split="train", question="Ann has 3 bags of 4 pens and loses 2.", answer="10")
    attempt = Attempt(example=example, response="14", verdict=Verdict(correct=False, extracted="14", reason=""))
    failure = Failure(attempt=attempt, contrasts=(attempt,))

    def prove(program):
        return None if proven else Rejection(of=program.id, kind="program", check="runs", reason="no")

    with instructed_by(dspy.LM("local/any", engine=Saying(answers), cache=False)):
        taught = kind()(failures=(failure,), brief="sums", prove=prove)
    assert (taught.program is None) == bool(taught.rejections) or taught.refused
    assert TeachingResult.model_validate_json(taught.model_dump_json()) == taught


# ---- programs in the sandbox

ATOMS = st.sampled_from(
    words("""
    0 1 -1 2**70 0.5 float('nan') '' '\\ud800' b'x' [] {} () None ... object() x f sys os json builtins __name__ globals() vars()
    sys.modules sys._getframe() __builtins__ type print open iter Evil() Evil
    """)
)
ATTRIBUTES = st.sampled_from(
    words("""
    __class__ __dict__ __subclasses__ __globals__ __init__ __code__ f_back f_globals f_locals path modules stdout system fork kill
    environ listdir _exit loads dumps mro gi_frame settrace exit setrecursionlimit
    """)
)
MODULES = st.sampled_from(words("os socket ctypes subprocess signal threading gc math"))
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({}).{}".format, inner, ATTRIBUTES),
        st.builds("({})({})".format, inner, inner),
        st.builds("({})()".format, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["+", "*", "**", "<<", "%", "//", "@", "==", "in", "and"]), inner),
        st.builds("[{} for x in {}]".format, inner, inner),
        st.builds("{{{}: {}}}".format, inner, inner),
        st.builds("({}, {})".format, inner, inner),
        st.builds("(lambda x: {})".format, inner),
        st.builds("getattr({}, {}, None)".format, inner, ATTRIBUTES.map(repr)),
        st.builds("open({}, 'w')".format, st.sampled_from(["'left'", "'/tmp/left'", "'/proc/self/mem'", "1", "5"])),
        st.builds("__import__({!r})".format, MODULES),
        st.builds("exec({!r})".format, inner),
        st.builds("('x' * ({}))".format, st.sampled_from(["9", "10**6", "10**9"])),
        st.builds("(yield {})".format, inner),
    ),
    max_leaves=8,
)


def within(body):
    return "\n".join("    " + line for line in body.splitlines())


STATEMENTS = st.recursive(
    st.one_of(
        EXPRESSIONS,
        st.builds("x = {}".format, EXPRESSIONS),
        st.builds("return {}".format, EXPRESSIONS),
        st.builds("raise Evil({})".format, EXPRESSIONS),
        st.builds("setattr({}, {!r}, {})".format, EXPRESSIONS, ATTRIBUTES, EXPRESSIONS),
        st.builds("builtins.{} = {}".format, st.sampled_from(["len", "print", "__import__", "isinstance", "Exception"]), EXPRESSIONS),
        st.builds("del {}".format, st.sampled_from(["builtins.len", "sys.modules['json']", "x", "json.dumps"])),
        st.sampled_from(
            ["sys.exit(0)", "os._exit(0)", "sys.stdout = None", "os.write(1, b'x' * 100)", "os.close(0)", "sys.setrecursionlimit(10**9)"]
        ),
    ),
    lambda inner: st.one_of(
        st.builds(lambda body: f"while True:\n{within(body)}", inner),
        st.builds(lambda body: f"try:\n{within(body)}\nexcept BaseException as x:\n    pass", inner),
        st.builds(lambda body: f"try:\n    pass\nfinally:\n{within(body)}", inner),
        st.builds(lambda body, over: f"for x in {over}:\n{within(body)}", inner, EXPRESSIONS),
        st.builds("{}\n{}".format, inner, inner),
    ),
    max_leaves=5,
)
EVIL = st.sampled_from(
    ["__str__", "__repr__", "__eq__", "__hash__", "__del__", "__iter__", "__len__", "__getattr__", "__reduce__", "__float__"]
)


@a_tenth
@given(st.dictionaries(EVIL, STATEMENTS, max_size=3), STATEMENTS, STATEMENTS, st.booleans())
def test_no_program_of_the_grammar_harms_the_host_or_the_next_program(sandbox, methods, body, top, at_top):
    evil = "\n".join(f"    def {name}(self, *x):\n{within(within(one))}" for name, one in methods.items()) or "    pass"
    source = f"import builtins, json, os, sys\nx = 1\nclass Evil(Exception):\n{evil}\ndef f():\n{within(body)}\n    return 1\n"
    source += top if at_top else ""
    before = sorted(Path.cwd().iterdir()), Path("/tmp/left").exists()
    run = sandbox.run(source, REPEAT, 3, Limits(seconds=0.3, memory_mb=64))
    assert run.outcome == "ok" or run.rows == ()
    assert len(run.rows) <= 3 and len(run.stderr_tail) <= 2000 and len(run.error) <= 1000
    assert json.loads(json.dumps(run.rows, allow_nan=False).encode()) == list(run.rows)
    honest = "import json, random\ndef f(): return [json.loads('[1]'), random.random(), len('four')]"
    after = sandbox.run(honest, CALL, 0, Limits(seconds=10, memory_mb=64))
    assert (after.outcome, after.rows) == ("ok", ([[1], 0.8444218515250481, 4],))
    assert (sorted(Path.cwd().iterdir()), Path("/tmp/left").exists()) == before


# ---- all of them, many times


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_110_000_inputs(tmp_path):
    count = 110_000 * 10 // (10 * CHEAP + COSTLY) + 1
    env = {**os.environ, "ERRATA_FUZZ": str(count)}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--timeout=0", "-m", "not slow", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout[-4000:]
    shutil.rmtree(tmp_path, ignore_errors=True)
