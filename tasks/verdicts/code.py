"""Judges code answers by the tests that come with them, without a test ever meeting the answer.

A test is Python text with a function `check(candidate)` that asserts (HumanEval's form). Three runs, each in a fresh sandbox:

1. The test runs alone, with a candidate that writes down its arguments and hands back a hole. Its asserts cannot fail yet.
2. The answer runs alone on those arguments. It sees no expected value and no assert; what it returns comes back as tagged JSON, read by
   the base types' own methods, so that an object which lies about equality, hash or length tells only what it holds.
3. The test runs alone again, with a candidate that replays those values. Now the asserts count.

A test of nothing but `assert candidate(literals) == literal` needs the second run alone: what it asks and expects is read off, and values
are compared here, where they are plain data.

So tolerances, `is True`, set(...) or sorted(...) around a call, loops, random inputs (both runs of a test draw the same ones) and a test's
own helpers work as they were written, and nothing of test or answer runs in this process. Arguments that depend on an earlier result take
another turn of 2 and 3. The first run is kept for each test.

A response is free text: the last fenced block that defines the entry point, else a completion that continues the prompt, else the longest
run of code in the prose. The prompt's own imports and helpers (what stands before the entry point) are put before a whole function.

It does not cover: a test that looks at what the answer did to its arguments (each call gets fresh ones), at printed text or files, or into
objects of the answer's own classes (such an item is unjudged). Modules that the sandbox lacks (numpy) are missing for answers too.
"""

import ast
import re
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...signatures.errors import SandboxError, UsageError
from ...signatures.records import Example, Message, ProgramRun, Verdict
from ..base import Runner

TURNS = 8
"""Most rounds of answer and test, for tests whose arguments depend on earlier results."""
_SHOWN = 300
"""Characters of a reason."""

CODEC = r"""
import builtins, collections, decimal, fractions, itertools, json, math

class Hole:
    'Stands for a value that is not known yet: whatever is done with it goes well and means nothing.'
    __hash__ = object.__hash__
    def __bool__(self): return True
    def __float__(self): return 0.0
    def __int__(self): return 0
    def __index__(self): return 0
    def __len__(self): return 0
    def __iter__(self): return iter(())
    def __contains__(self, item): return True
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
def _self(self, *others): return self
for _name in ('add sub mul truediv floordiv mod pow matmul and or xor lshift rshift radd rsub rmul rtruediv rfloordiv rmod rpow rand ror '
              'rxor neg pos abs round getitem invert').split():
    setattr(Hole, '__' + _name + '__', _self)
for _name in 'eq ne lt le gt ge'.split():
    setattr(Hole, '__' + _name + '__', lambda self, other: True)

class Depends(BaseException): 'An argument is a value that is not known yet.'
class Unreadable(BaseException): 'A test looked into an object that did not come over.'

class Opaque:
    def __init__(self, name): vars(self)['_name'] = name
    def __repr__(self): return '<' + vars(self)['_name'] + ' object>'
    def __getattr__(self, name):
        if name.startswith('__'): raise AttributeError(name)
        raise Unreadable(vars(self)['_name'])
    def __call__(self, *args, **kwargs): raise Unreadable(vars(self)['_name'])

_dumps, _islice, _finite, _type, _issub = json.dumps, itertools.islice, math.isfinite, type, issubclass
_lost = []
_program = None
_VIEWS = (type({}.keys()), type({}.items()))
MOST = 100000

def encode(value, deep=0):
    kind = _type(value)
    if deep > 50:
        _lost.append('value nested too deeply')
        return ['?', 'value nested too deeply']
    if value is None or kind is bool:
        return value
    if kind is Hole:
        raise Depends
    inner = lambda items: [encode(item, deep + 1) for item in items]
    try:
        if _issub(kind, int):
            number = int.__index__(value)
            return number if -2**53 < number < 2**53 else ['i', hex(number)]
        if _issub(kind, float):
            number = float.__float__(value)
            return number if _finite(number) else ['f', repr(number)]
        if _issub(kind, str):
            text = str.__str__(value)
            try:
                text.encode()
                return text
            except UnicodeEncodeError:
                return ['u', text.encode('utf-8', 'surrogatepass').hex()]
        if _issub(kind, complex): return ['c', encode(complex.real.__get__(value)), encode(complex.imag.__get__(value))]
        if _issub(kind, bytes): return ['b', bytes.hex(value)]
        if _issub(kind, bytearray): return ['B', bytearray.hex(value)]
        if _issub(kind, list): return ['l', *inner(list.__iter__(value))]
        if _issub(kind, tuple): return ['t', *inner(tuple.__iter__(value))]
        if _issub(kind, set): return ['s', *sorted(inner(set.__iter__(value)), key=_dumps)]
        if _issub(kind, frozenset): return ['z', *sorted(inner(frozenset.__iter__(value)), key=_dumps)]
        if _issub(kind, dict): return ['d', *[inner(pair) for pair in dict.items(value)]]
        if _issub(kind, collections.deque): return ['q', *inner(collections.deque.__iter__(value))]
        if kind is range: return ['r', encode(value.start), encode(value.stop), encode(value.step)]
        if kind is fractions.Fraction: return ['F', encode(value.numerator), encode(value.denominator)]
        if kind is decimal.Decimal: return ['D', str(value)]
        if kind is _type and value.__module__ == 'builtins': return ['T', value.__name__]
        if kind in _VIEWS: return ['s', *sorted(inner(value), key=_dumps)]
        if kind.__module__ == 'program' and _type(getattr(value, '__dict__', None)) is dict:
            return ['O', kind.__name__, *[inner(pair) for pair in dict.items(value.__dict__)]]
        if kind is _type({}.values()) or hasattr(kind, '__next__'): return ['n', *inner(_islice(value, MOST))]
    except (TypeError, ValueError, AttributeError):
        if hasattr(kind, '__next__'): raise  # it is the generator's own
    _lost.append(kind.__name__)
    return ['?', kind.__name__]

def decode(value):
    if _type(value) is not list:
        return value
    tag, rest = value[0], value[1:]
    if tag == 'i': return int(rest[0], 16)
    if tag == 'f': return float(rest[0])
    if tag == 'u': return bytes.fromhex(rest[0]).decode('utf-8', 'surrogatepass')
    if tag == 'b': return bytes.fromhex(rest[0])
    if tag == 'B': return bytearray.fromhex(rest[0])
    if tag == 'd': return {decode(key): decode(item) for key, item in rest}
    if tag == 'D': return decimal.Decimal(rest[0])
    if tag == '?': return Opaque(rest[0])
    if tag == 'T': return getattr(builtins, rest[0]) if isinstance(getattr(builtins, rest[0]), type) else Opaque(rest[0])
    if tag == 'O':
        kind = getattr(_program, rest[0], None)
        if not isinstance(kind, type):
            return Opaque(rest[0])
        made = object.__new__(kind)
        vars(made).update((key, decode(item)) for key, item in rest[1:])
        return made
    items = [decode(item) for item in rest]
    if tag == 'l': return items
    if tag == 'c': return complex(*items)
    if tag == 't': return tuple(items)
    if tag == 's': return set(items)
    if tag == 'z': return frozenset(items)
    if tag == 'q': return collections.deque(items)
    if tag == 'r': return range(*items)
    if tag == 'F': return fractions.Fraction(*items)
    if tag == 'n': return iter(items)
    raise ValueError(tag)
"""
"""Values as JSON and back, for both harnesses: a list is a tag and its content, everything else stands for itself."""

ANSWER = (
    CODEC
    + r"""
def main(program, payload):
    global _program
    _program = program
    # Python 3.14 looks at annotations late; before it an unknown name in one is an error where the function is defined.
    for thing in list(vars(program).values()):
        for part in [thing, *(list(vars(thing).values()) if isinstance(thing, type) else [])]:
            if getattr(part, '__module__', None) == 'program' and (isinstance(part, type) or hasattr(part, '__code__')):
                part.__annotations__
    function = getattr(program, payload['entry'])
    for call in payload['calls']:
        args, kwargs = decode(call)
        try:
            row = {'value': encode(function(*args, **kwargs))}
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            row = {'raised': _type(error).__name__, 'error': describe(error)}
        yield row
"""
)
"""Runs beside the answer: one row a call."""

TEST = (
    CODEC
    + r"""
class _Again(BaseException): 'Enough was asked for one turn.'

def main(program, payload):
    global _program
    _program = program
    known, fresh, state = payload['known'], [], {'calls': 0, 'asserts': 0, 'last': None, 'thrown': None}

    def candidate(*args, **kwargs):
        try:
            call = encode([list(args), kwargs])
        except Depends:
            raise _Again
        if _lost:
            raise Unreadable(_lost[0])
        number = state['calls']
        state['calls'] += 1
        if not fresh and number < len(known) and known[number][0] == call:
            row = known[number][1]
            if 'raised' in row:
                state['last'] = 'raised ' + row['error']
                kind = getattr(builtins, row['raised'], Exception)
                state['thrown'] = (kind if isinstance(kind, type) and issubclass(kind, Exception) else Exception)(row['error'])
                raise state['thrown']
            value = decode(row['value'])
            try:
                state['last'] = 'it gave ' + (repr(value) if not hasattr(value, '__next__') else type(value).__name__)[:200]
            except ValueError:  # an integer of thousands of digits
                state['last'] = 'it gave a huge number'
            return value
        if len(fresh) > MOST:
            raise _Again
        fresh.append(call)
        return Hole()

    def check(test, text):
        state['asserts'] += 1
        try:
            held = bool(test())
        except Exception:
            if fresh:
                return
            raise
        if not held and not fresh:
            raise AssertionError(text)

    vars(program).update({payload['entry']: candidate, '__assert__': check})
    failed, unreadable = None, None
    try:
        program.check(candidate)
    except _Again:
        pass
    except Unreadable as error:
        unreadable = str(error)
    except AssertionError as error:
        failed = str(error) or 'an assert'
    except Exception as error:
        failed = describe(error) if error is not state['thrown'] else ''
    yield {
        'kept': state['calls'] - len(fresh), 'calls': fresh, 'asked': state['calls'], 'asserts': state['asserts'],
        'failed': failed, 'unreadable': unreadable, 'last': state['last'],
    }
"""
)
"""Runs beside the test: one row that tells what it asks for, and whether it held."""


_space: dict[str, Any] = {"__name__": "codec"}
exec(CODEC, _space)  # the same text on both sides of the border
_ENCODE, _DECODE = _space["encode"], _space["decode"]


class Case(NamedTuple):
    """One assert of a plain test."""

    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any
    text: str


@dataclass(frozen=True)
class Item:
    """What a code question asks for."""

    prompt: str
    """Signature and docstring that a completion continues; empty where the question is prose."""
    entry: str
    """Name of the function that the test calls."""
    test: str
    """Python text that defines `check(candidate)`."""
    setup: str = ""
    """Python text that both test and answer find before them; empty where there is none."""

    @property
    def preamble(self) -> str:
        """The set-up, and the prompt's imports and helpers: what stands before the entry point. A faulty one (some prompts import what
        is not there) does not take the rest with it."""
        found = re.search(rf"^(?:async\s+)?(?:def|class)\s+{re.escape(self.entry)}\b", self.prompt, re.MULTILINE)
        tree = parse(f"{self.setup}\n{self.prompt[: found.start()] if found else ''}")
        if tree is None or not tree.body:
            return ""
        handler = ast.ExceptHandler(type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[ast.Pass()])
        guarded = ast.Try(body=tree.body, handlers=[handler], orelse=[], finalbody=[])
        return ast.unparse(ast.fix_missing_locations(ast.Module(body=[guarded], type_ignores=[]))) + "\n"


class Judge:
    """Judges answers in a sandbox. Thread-safe where its runner is."""

    def __init__(self, runner: Runner):
        self._run = runner
        self._first: dict[tuple[str, str], ProgramRun] = {}
        self._lock = threading.Lock()

    def verdict(self, item: Item, response: str) -> Verdict:
        """`right`; wrong with `no answer` (no code was found) or what failed; unjudged when the sandbox or the item's test fails."""
        if not item.entry.isidentifier() or parse(item.test) is None:
            return Verdict(correct=None, extracted=None, reason="the item's own test is not Python: mend or leave out the item")
        source = extract(item, response)
        if source is None:
            return Verdict(correct=False, extracted=None, reason="no answer")
        try:
            correct, reason = self.judge(item, source)
        except SandboxError as error:
            correct, reason = None, f"the sandbox failed: {error}"
        return Verdict(correct=correct, extracted=source, reason=" ".join(reason.split())[:_SHOWN])

    def judge(self, item: Item, source: str) -> tuple[bool | None, str]:
        """(whether source passes the item's test, which must be Python, reason). Raises SandboxError."""
        tree = parse(source)
        if not (item.prompt and source.startswith(item.prompt)) and "from __future__" not in source:
            source = item.preamble + source
        if tree and not defines(tree, item.entry):
            return False, f"defines no function {item.entry!r}"
        plain = plain_cases(item)
        if plain is not None:
            return self._plainly(item, source, plain)
        test = instrumented(item)
        known: list[list[Any]] = []
        for _ in range(TURNS):
            seen = self._ask(item, test, known)
            if seen.outcome != "ok" and known:
                return False, f"its values break the test: {seen.outcome}: {seen.error}"
            if seen.outcome != "ok":
                return None, f"the item's own test fails to run: {seen.outcome}: {seen.error}"
            row = seen.rows[0]
            if row["unreadable"] is not None:
                return None, f"the item's test needs an object of type {row['unreadable']}, which the sandbox does not hand over"
            if not row["asked"] or (not row["asserts"] and not row["calls"] and row["failed"] is None):
                return None, "the item's own test asks nothing of the function"
            if not row["calls"]:
                return _outcome(row)
            calls = [call for call, _ in known[: row["kept"]]] + row["calls"]
            run = self._run(source, ANSWER, {"entry": item.entry, "calls": calls})
            if run.outcome != "ok":
                return False, f"{run.outcome}: {run.error}"
            if len(run.rows) != len(calls) or not all(map(_well_formed, run.rows)):
                return False, "what it handed back is not what was asked for"
            known = [list(pair) for pair in zip(calls, run.rows, strict=True)]
        return None, f"the item's own test asks for more than {TURNS} results that depend on each other"

    def _plainly(self, item: Item, source: str, cases: Sequence[Case]) -> tuple[bool, str]:
        """One run of the answer alone; its values, which hold nothing but data, are compared here."""
        calls = [[case.args, case.kwargs] for case in cases]
        run = self._run(source, ANSWER, {"entry": item.entry, "calls": [_ENCODE(call) for call in calls]})
        if run.outcome != "ok":
            return False, f"{run.outcome}: {run.error}"
        if len(run.rows) != len(calls) or not all(map(_well_formed, run.rows)):
            return False, "what it handed back is not what was asked for"
        for case, row in zip(cases, run.rows, strict=True):
            if "raised" in row:
                return False, f"{case.text[: _SHOWN // 2]}: raised {row['error']}"
            try:
                value = _DECODE(row["value"])
                if value == case.expected:
                    continue
                shown = repr(value)[:200]
            except Exception:  # a forged row is no value
                return False, "what it handed back is not what was asked for"
            return False, f"{case.text[: _SHOWN // 2]}: it gave {shown}"
        return True, "right"

    def _ask(self, item: Item, test: str, known: list[list[Any]]) -> ProgramRun:
        payload = {"entry": item.entry, "known": known}
        if known:
            return self._run(test, TEST, payload)
        with self._lock:
            kept = self._first.get((item.entry, test))
        if kept is None:
            kept = self._run(test, TEST, payload)
            if kept.outcome == "ok":
                with self._lock:
                    self._first[item.entry, test] = kept
        return kept


def _outcome(row: dict[str, Any]) -> tuple[bool | None, str]:
    if row["failed"] is None:
        return True, "right"
    return False, ": ".join(part for part in (row["failed"][: _SHOWN // 2], row["last"]) if part)


def _well_formed(row: Any) -> bool:
    """Untrusted code shares its interpreter with the harness, so the host looks at each row again."""
    if not isinstance(row, dict):
        return False
    return set(row) == {"value"} or (set(row) == {"raised", "error"} and all(isinstance(text, str) for text in row.values()))


# Source -----------------------------------------------------------------------------------------------------------------


def parse(source: str) -> ast.Module | None:
    """The tree of a source; None when it is not Python. Nothing of it is run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def defines(tree: ast.Module, name: str) -> bool:
    """Whether a module binds a name: a function, a class, an assignment or an import, also under an `if` or `try`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            return True
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) == name:
            return True
    return False


class _Asserts(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        call = ast.Call(
            func=ast.Name(id="__assert__", ctx=ast.Load()),
            args=[ast.Lambda(args=nothing, body=node.test), ast.Constant(value=f"assert {ast.unparse(node.test)}")],
            keywords=[],
        )
        return ast.Expr(value=call)


def plain_cases(item: Item) -> list[Case] | None:
    """The asserts of a test that holds nothing but `assert candidate(literals) == literal`, so that no run is needed to know what it asks
    and expects; None for any other test, or one with a set-up. The test is Python."""
    body = ast.parse(item.test).body
    if item.setup or len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or body[0].name != "check" or body[0].decorator_list:
        return None
    names = [arg.arg for arg in body[0].args.args]
    cases = []
    for line in body[0].body:
        if any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(line)):
            return None  # a literal that does not cross
        match line:
            case ast.Assert(ast.Compare(ast.Call(ast.Name(name), args, keywords), [ast.Eq()], [expected]), None) if [name] == names and all(
                word.arg for word in keywords
            ):
                try:
                    given = [ast.literal_eval(arg) for arg in args]
                    named = {str(word.arg): ast.literal_eval(word.value) for word in keywords}
                    cases.append(Case(given, named, ast.literal_eval(expected), ast.unparse(line)))
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    return None
            case _:
                return None
    return cases


def instrumented(item: Item) -> str:
    """The preamble and the test, each assert a call that the harness answers. The test is Python."""
    tree = ast.parse(item.test)
    return item.preamble + ast.unparse(ast.fix_missing_locations(_Asserts().visit(tree)))


_TAG = re.compile(r"\[/?(?:BEGIN|DONE|PYTHON)\]")
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+.-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_CODE_LINE = re.compile(r"^(?:from\s+\w|import\s+\w|(?:async\s+)?def\s+\w|class\s+\w|@\w)", re.MULTILINE)


def extract(item: Item, response: str) -> str | None:
    """The program that a response stands for, without the preamble; None when there is no code in it."""
    text = _TAG.sub("\n```\n", response) if _TAG.search(response) else response
    blocks = [code for language, code in _FENCE.findall(text) if language.lower() in ("", "python", "py", "python3", "python2")]
    begins = re.compile(rf"^(?:async\s+)?(?:def|class)\s+{re.escape(item.entry)}\b|^{re.escape(item.entry)}\s*=", re.MULTILINE)
    for block in reversed(blocks):
        if (tree := parse(block)) and defines(tree, item.entry):
            return block
    for block in reversed(blocks):
        if begins.search(block):
            return block
    for block in blocks or [text]:
        if (whole := _continued(item, block)) is not None:
            return whole
    if blocks:
        return next((block for block in reversed(blocks) if block.strip() and parse(block)), None)
    return _among_prose(item, text, begins)


def _continued(item: Item, text: str) -> str | None:
    """The prompt and the text, when the text goes on inside the prompt's function."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    if not item.prompt or not re.match(r"[ ]{2,}|\t", first):
        return None
    whole = item.prompt + text
    return (_longest(whole, len(item.prompt)) or whole) if parse(item.prompt) else whole


def _longest(whole: str, least: int) -> str | None:
    """The longest run of whole lines from the start that is Python and goes past `least` characters; None when there is none."""
    lines = whole.split("\n")[:2000]
    fixed = whole[:least].count("\n")
    while len(lines) > fixed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ast.parse("\n".join(lines))
            except SyntaxError as error:
                # Nothing before the faulty line can be saved by what follows it, so lines after it go first.
                del lines[min(len(lines) - 1, max(fixed, error.lineno or 0)) :]
            except (ValueError, RecursionError, MemoryError):
                return None
            else:
                return "\n".join(lines) if "\n".join(lines[fixed:]).strip() else None
    return None


def _among_prose(item: Item, text: str, begins: re.Pattern[str]) -> str | None:
    """The code in a text without fences, from its first line of code on."""
    starts = [match.start() for match in _CODE_LINE.finditer(text)]
    for start in starts:
        code = _longest(text[start:], 0)
        if code and (tree := parse(code)) and defines(tree, item.entry):
            return code
    found = begins.search(text)
    if found:
        return text[found.start() :]
    tree = parse(text)
    return text if tree and any(not isinstance(node, ast.Expr) for node in tree.body) else None


# What code tasks share ----------------------------------------------------------------------------------------------------


def runner_or_refuse(name: str, runner: Runner | None) -> Runner:
    """The runner. Raises UsageError where there is none: nothing of an answer is run here."""
    if runner is None:
        raise UsageError(f"task {name} runs its answers: hand load_task a runner, e.g. load_task({name!r}, runner=sandbox.run)")
    return runner


def item_of(example: Example) -> Item:
    """What an example of a code task asks for."""
    meta = example.meta
    return Item(meta.get("prompt", ""), meta["entry_point"], meta["test"], meta.get("setup", ""))


def prompt(example: Example) -> list[Message]:
    """One user message: the question and the answer form."""
    if example.meta.get("prompt"):
        text = f"Complete this function. Answer with the whole function in one ```python block.\n\n```python\n{example.question}\n```"
    else:
        entry = example.meta["entry_point"]
        text = f"{example.question}\nAnswer with the whole function `{entry}` in one ```python block."
    return [{"role": "user", "content": text}]


def completion(solution: str, answer: str) -> str:
    """The solution's prose and the answer in a fenced block."""
    block = f"```python\n{answer.strip(chr(10))}\n```"
    prose = "" if solution.strip() == answer.strip() else solution.strip()
    return f"{prose}\n\n{block}" if prose else block
