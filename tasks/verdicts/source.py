"""Finds the program that a response stands for: in fences, among prose, or as the body of the prompt's function.

The last block that defines the function counts, since a later one revises; blocks that define what it lacks are put before it. Examples of
its use, outputs and other languages are left out. What stands in a string or a comment ends no fence. Each step reads the text once.
It does not cover diffs, notebooks and numbered lines, and mends no code: what is not Python as it stands is wrong.
"""

import ast
import builtins
import html
import json
import re
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_PARSING = threading.Lock()


def tree_of(source: str) -> ast.Module:
    """As ast.parse, one thread at a time: CPython before 3.11.8 counts the depth of all threads' trees together (gh-106905)."""
    with _PARSING, warnings.catch_warnings(action="ignore"):
        return ast.parse(source)


def parse(source: str) -> ast.Module | None:
    """The tree of a source; None when it is not Python. Nothing of it is run."""
    try:
        return tree_of(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_literal(text: str) -> bool:
    """Whether a text is a Python literal. Nothing of it is run."""
    try:
        with _PARSING:
            ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# Names ------------------------------------------------------------------------------------------------------------------


def _outside(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module that stand in no function and no class."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that nodes bind, "*" for all of a module. Only Python's own modules have something to import by name."""
    names: set[str] = set()
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                names.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Import(names=aliases):
                names.update(alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases) if module.partition(".")[0] in sys.stdlib_module_names:
                names.update(alias.asname or alias.name for alias in aliases)
    return names


def defines(tree: ast.Module, name: str) -> bool:
    """Whether a module binds a name: a function, a class, an assignment or an import, also under an `if` or `try`."""
    return name in _bound(_outside(tree))


def _loaded(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _lacks(tree: ast.Module) -> set[str]:
    """Names that a module uses and that neither it nor Python binds."""
    return _loaded(ast.walk(tree)) - _bound(ast.walk(tree)) - vars(builtins).keys()


# What a question asks for, and the program that answers it --------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """What a code question asks for."""

    prompt: str
    """Signature and docstring that a completion continues; empty: the question is prose."""
    entry: str
    """Name of the function that the test calls."""
    test: str
    """Python text that defines `check(candidate)`."""
    setup: str = ""
    """Python text that both test and answer find before them; empty: nothing."""
    owner: str = ""
    """The class whose method the entry is; empty: a function is asked for."""

    @property
    def preamble(self) -> str:
        """The set-up, and what stands in the prompt before the entry point. A faulty one does not take the rest with it."""
        begins = rf"^(?:async\s+)?(?:def|class)\s+{re.escape(self.owner or self.entry)}\b"
        found = re.search(begins, self.prompt, re.MULTILINE)
        tree = parse(f"{self.setup}\n{self.prompt[: found.start()] if found else ''}")
        if tree is None or not tree.body:
            return ""
        handler = ast.ExceptHandler(type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[ast.Pass()])
        guarded = ast.Try(body=tree.body, handlers=[handler], orelse=[], finalbody=[])
        return ast.unparse(ast.fix_missing_locations(ast.Module(body=[guarded], type_ignores=[]))) + "\n"


_ENTITIES = {"lt", "gt", "amp", "quot"}
_UNSEEN: dict[int, str | None] = {0xFEFF: None, 0x200B: None, 0x2060: None, 0xAD: None, 0xA0: " "}
"""Signs that a reader does not see and Python does not take; the last is a web page's space."""


def extract(item: Item, response: str) -> str | None:
    """The program that a response stands for, without the preamble; None when there is no code in it."""
    text = response.replace("\r\n", "\n").replace("\r", "\n")
    found = _callable(item, _read(item, text))
    shown = html.unescape(text).translate(_UNSEEN)  # as a page would show it: only for a text that does not work as it stands
    if shown != text and not (found and (tree := parse(found)) and defines(tree, item.entry) and not _lacks(tree) & _ENTITIES):
        return _callable(item, _read(item, shown)) or found
    return found


def _callable(item: Item, source: str | None) -> str | None:
    """The source, with a method under the name by which it is called."""
    tree = parse(source) if source else None
    holder = _holder(item, tree) if tree else None
    if tree is None or holder is None or (defines(tree, item.entry) and not item.owner):
        return source
    return f"{source}\n\n{item.entry} = {holder}().{item.entry}\n"


def _read(item: Item, text: str) -> str | None:
    whole = [_piece(text)] if re.search("`{3}|~{3}", text) else []
    if found := _program(item, whole) or _continued(item, whole):
        return found  # all of it is code: what looks like a fence stands in a string
    blocks = [block for inner in _unwrapped(text) or [text] for block in _blocks(inner)]
    blocks += [block for held in blocks if held.rank != 1 for inner in _unwrapped(held.text) for block in _blocks(inner)]
    fenced, prose, other = [[piece for block in blocks if block.rank == rank for piece in _pieces(block)] for rank in range(3)]
    for pieces in (list(_joined(fenced)), prose):
        if found := _program(item, pieces) or _broken(item, pieces) or _continued(item, pieces):
            return found
    if found := _program(item, other):
        return found
    if item.prompt and prose and not fenced and prose[0].margin:
        return item.prompt + prose[0].raw
    written = [p.code for p in fenced or prose if p.tree and not all(isinstance(n, ast.Expr) or _is_said(n) for n in p.tree.body)]
    return written[-1] if written else None


def _unwrapped(text: str) -> list[str]:
    """The texts of a JSON document, a list of lines as one; none when it is not JSON."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return []
    texts: list[str] = []
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return []
    while waiting:
        match waiting.pop():
            case str(line):
                texts.append(line)
            case [*lines] if all(isinstance(line, str) for line in lines):
                texts.append("\n".join(lines))
            case [*values]:
                waiting.extend(reversed(values))
            case {**fields}:
                waiting.extend(reversed(fields.values()))
    return texts


# A program of pieces ----------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """Lines of a response that belong together."""

    raw: str
    """As they were written: of a body, the indentation counts."""
    code: str
    """From column 0 on."""
    tree: ast.Module | None = None
    """None: they are no module, be it that they are a body."""
    body: str = ""
    """What can stand in a function, from column 0 on; empty: nothing that need stand in one."""

    @property
    def margin(self) -> int:
        """Indentation of the first line."""
        return len(self.raw[: len(self.raw) - len(self.raw.lstrip())].rpartition("\n")[2])


def _piece(raw: str) -> _Piece:
    flat, level = textwrap.dedent(raw), textwrap.dedent(_levelled(raw))
    for code in dict.fromkeys((raw, flat, level)):
        if tree := parse(code):
            alone = code in (raw, flat) and not _loose(tree)
            return _Piece(raw, code, tree if alone else None, "" if alone and code == raw else code)
    return _Piece(raw, flat)


def _levelled(raw: str) -> str:
    """The first line set under the least indented of the others: an answer that was stripped has lost its first indentation."""
    first, line, rest = raw.lstrip("\n").partition("\n")
    margins = [other[: len(other) - len(other.lstrip())] for other in rest.split("\n") if other.strip()]
    return min(margins, key=len, default="") + first.lstrip() + line + rest


def _loose(tree: ast.Module) -> bool:
    """Whether something stands outside of functions that may stand inside alone."""
    return any(isinstance(node, ast.Return | ast.Yield | ast.YieldFrom | ast.Await) for node in _outside(tree))


def _is_said(node: ast.stmt) -> bool:
    """Whether a statement does nothing, as words do that happen to be Python."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None  # "Answer: B"
    return isinstance(node, ast.Expr) and not any(isinstance(part, ast.Call | ast.Constant) for part in ast.walk(node))


def _program(item: Item, pieces: Sequence[_Piece]) -> str | None:
    """The last piece that defines the entry point, after those that define what it lacks. None: no piece defines it."""
    known = [(piece.code, piece.tree, _bound(_outside(piece.tree))) for piece in pieces if piece.tree]
    makers = [place for place, (_, tree, names) in enumerate(known) if item.entry in names or _holder(item, tree)]
    if not makers:
        return None
    main = next((place for place in reversed(makers) if not _is_stub(item, known[place][1])), makers[-1])
    # an example of the function's use may define something too: it is asked last, and stands behind the function that it calls
    uses = {place for place, (_, tree, _) in enumerate(known) if place != main and item.entry in _loaded(_outside(tree))}
    order = sorted(range(len(known)), key=lambda place: (place not in uses, place))
    where = {name: place for place in order if place != main and not _imports(item, known[place][1]) for name in known[place][2]}
    given = parse(item.preamble)
    settled = _bound(_outside(given)) if given else set()
    needed, waiting = {main}, [main]
    while waiting:
        for name in _lacks(known[waiting.pop()][1]) - settled:
            settled.add(name)
            if (place := where.get(name, where.get("*", main))) not in needed:
                needed.add(place)
                waiting.append(place)
    here = set().union(*(known[place][2] for place in needed))
    last = sorted(needed, key=lambda place: (place in uses, place == main, place))
    return "\n\n".join(_without_own(known[place], here) for place in last)


def _without_own(part: tuple[str, ast.Module, set[str]], here: set[str]) -> str:
    """The code without its imports of what other pieces define: the files that a response shows are one program here."""
    code, tree, own = part
    lines = code.split("\n")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and all(not one.asname and one.name in here - own for one in node.names):
            lines[node.lineno - 1 : node.end_lineno] = [""] * len(lines[node.lineno - 1 : node.end_lineno])
    return "\n".join(lines)


def _holder(item: Item, tree: ast.Module) -> str | None:
    """The class whose method the entry point is: the one that is asked for, `Solution`, or the only one that has it."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    having = [node.name for node in classes if any(isinstance(part, ast.FunctionDef) and part.name == item.entry for part in node.body)]
    asked = [node.name for node in classes if having and node.name in (item.owner, "Solution")]
    return asked[-1] if asked else having[0] if len(having) == 1 else None


def _is_stub(item: Item, tree: ast.Module) -> bool:
    """Whether the entry point is only announced, with a body that does nothing."""
    body = _body(tree, item.entry)
    nothing = all(isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)
    return bool(body) and (nothing or (isinstance(body[-1], ast.Raise) and "NotImplementedError" in ast.unparse(body[-1])))


def _imports(item: Item, tree: ast.Module) -> bool:
    """Whether a module imports the entry point, as an example of its use does that stands in a file of its own."""
    return any(item.entry in [alias.name for alias in node.names] for node in _outside(tree) if isinstance(node, ast.ImportFrom))


def _body(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The statements of the last function of that name."""
    found = [node.body for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name]
    return found[-1] if found else []


def _broken(item: Item, pieces: Sequence[_Piece]) -> str | None:
    """The last piece that begins to define the entry point and is not Python."""
    begins = re.compile(rf"^(?:async\s+)?(?:def|class)\s+{re.escape(item.entry)}\b|^{re.escape(item.entry)}\s*=", re.MULTILINE)
    broken = [piece.code for piece in reversed(pieces) if not piece.tree and not piece.body]
    return next((code[found.start() :] for code in broken if (found := begins.search(code))), None)


def _continued(item: Item, pieces: Sequence[_Piece]) -> str | None:
    """The prompt and the first piece that goes on inside the prompt's function, set under its signature where that was lost."""
    if not item.prompt.strip():
        return None
    prompt = parse(item.prompt)
    begun = _body(prompt, item.entry) if prompt else []
    last = item.prompt.rstrip().rpartition("\n")[2]
    margin = last[: len(last) - len(last.lstrip())] + "    "
    if begun:
        margin = item.prompt.split("\n")[begun[0].lineno - 1][: begun[0].col_offset]
    for piece in pieces:
        wholes = [item.prompt + piece.raw] if piece.margin > 1 or piece.raw.lstrip("\n").startswith("\t") else []
        wholes += [f"{item.prompt.rstrip()}\n{textwrap.indent(piece.body, margin)}"] if piece.body else []
        for whole in wholes:
            tree = parse(whole)
            if tree and not _loose(tree) and not all(map(_is_said, _body(tree, item.entry)[len(begun) :])):
                return whole
    return None


def _joined(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """The pieces; those that go on inside the function of the one before are one with it."""
    groups: list[list[_Piece]] = []
    for piece in pieces:
        if groups and piece.margin and piece.body:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    for group in groups:
        whole = _piece("\n".join(piece.raw.rstrip() for piece in group)) if len(group) > 1 else group[0]
        yield from [whole] if whole.tree else group


# Pieces of a response ---------------------------------------------------------------------------------------------------


class _Block(NamedTuple):
    """What stands in a fence, or between fences."""

    text: str
    rank: int
    """0: in a fence that says Python or nothing; 1: among prose; 2: in a fence that says something else."""
    language: str = ""
    closed: bool = False


_OPEN = re.compile(r"^(?:(?P<lead>[^\n`]*+)(?P<ticks>`{3,}+)|(?P<margin>[ \t>]*+)(?P<waves>~{3,}+))(?P<info>[^\n`]*+)$", re.MULTILINE)
_MARKS = re.compile(r"[ \t]*(?:(?:>|[-*+•]|\d{1,3}[.)])[ \t]*)*")
"""What may stand before a fence and says nothing: indentation, quotes, marks of a list."""
_FENCE = r"(?P<line>^[ \t>]*+(?P<mark>`{3,}+|~{3,}+)(?P<info>[^\n`]*+)$)|(?P<inner>`{3,}+)"
_FENCES = re.compile(_FENCE, re.MULTILINE)
_STRINGS = r"""#[^\n]*+|(?P<quote>\"{3}|'{3})(?:\\.|(?!(?P=quote)).)*+(?P<shut>(?P=quote))?|"(?:\\.|[^"\\\n])*+"?|'(?:\\.|[^'\\\n])*+'?"""
_FENCES_OF_CODE = re.compile(f"{_STRINGS}|{_FENCE}", re.MULTILINE | re.DOTALL)
_STATEMENT = re.compile(r"(?:from\s+[\w.]+\s+import|import\s+\w|(?:async\s+)?def\s+\w|class\s+\w|@\w|\w+\s*=\s*lambda\b)")
_LANGUAGE = re.compile(r"[{.:( ]*([\w+-]*)\S*\s*")


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks of a text and what stands between them, in order."""
    start, aware = 0, True
    while opened := _OPEN.search(text, start):
        lead, fence, info = opened["lead"] or opened["margin"] or "", opened["ticks"] or opened["waves"], opened["info"].strip()
        marks = lead if _MARKS.fullmatch(lead) else ""
        yield _Block(text[start : opened.start() + len(lead) - len(marks)], 1)
        said = _LANGUAGE.match("" if _STATEMENT.match(info) else info)
        language, rest = ("", info) if said is None else (said[1].lower(), info[said.end() :])
        python = language.startswith(("py", "ipy", "code", "tool_code")) or ".py" in info
        begin = min(opened.end() + 1, len(text))
        stop, start, aware = _end(text, begin, fence, "python" if python else language, aware)
        code = _unmarked(text[begin:stop], marks)
        yield _Block(f"{rest}\n{code}" if _STATEMENT.match(rest) else code, 0 if python or not language else 2, language, stop < len(text))
    yield _Block(text[start:], 1)


def _end(text: str, begin: int, fence: str, language: str, aware: bool) -> tuple[int, int, bool]:
    """Where a block ends and what follows it begins, and whether strings are looked at from here on.

    Of code, any fence outside of strings and comments is an end, for it is not Python. A fence that names a language begins another
    block wherever it stands. Strings are given up for all of the text once one does not end, so that it is read at most twice.
    """
    said = _BLANK.match(text, begin)
    first = said.end() if said else begin
    for found in (_FENCES_OF_CODE if aware and language in ("", "python") else _FENCES).finditer(text, begin):
        kind, place = found.lastgroup, found.start()
        if kind == "quote":
            return _end(text, begin, fence, language, aware=False)
        if kind == "inner" and language in ("", "python"):
            return place, found.end(), aware
        if kind == "line":
            mark, info = found["mark"], found["info"].strip()
            if re.fullmatch(r"[\w{.]\S*", info) or info.lower().startswith("python") or (place <= first and len(mark) < len(fence)):
                return place, place, aware
            if language == "python" or (mark[0] == fence[0] and len(mark) >= len(fence)):
                return place, found.start("info"), aware
    return len(text), len(text), aware


_BLANK = re.compile(r"\s*+")


def _unmarked(text: str, marks: str) -> str:
    """Lines without what stands before their fence: as many signs of a quote, as much of its indentation as all of them have."""
    if quotes := marks.count(">"):
        return re.sub(rf"^(?:[ \t]*>){{1,{quotes}}} ?", "", text, flags=re.MULTILINE)
    margins = [len(line) - len(line.lstrip()) for line in text.split("\n") if line.strip()]
    width = min([len(marks), *margins])
    return "\n".join(line[width:] for line in text.split("\n"))


_TAG = re.compile(
    r"<!\[CDATA\[|\]\]>|</?[A-Za-z_][\w.-]*+(?:[ \t][^<>\n]{0,200})?/?>|<[|\uff5c][^<>\n]{1,40}[|\uff5c]>"
    r"|(?<!\w)\[/?(?:PYTHON|BEGIN|DONE|END|CODE|SOLUTION|ANSWER|INST)\]|\\(?:begin|end)\{\w+\}(?:\[[^\]\n]{0,200}\]|\{\w+\})*"
)
"""What wraps an answer: markup, special tokens, the marks of few-shot prompts, LaTeX."""
_SPAN = re.compile(r"(`{1,3}+)(?:(?:python|py)\b[ \t]*)?((?:def\s|\w+\s*=\s*lambda\b)[^`\n]++)\1")
_SESSION = re.compile(r"^[ \t]*(?:>>>|\.\.\.:?|In \[\d{1,6}\]:)(?: |$)(.*)$", re.MULTILINE)
_LINES = re.compile(
    r"(?:def|class|async|from|import|return|yield|raise|assert|del|global|nonlocal|pass|break|continue)\b|[@#)\]}]"
    r"|(?:if|elif|else|for|while|with|try|except|finally|match|case)\b.*:\s*(?:#.*)?$"
    r"|[A-Za-z_(\[*][\w.\[\](), *'\"]{0,120}[-+*/%&|^]{0,2}=(?!=)|[a-z_]\w*: [\w\[\], .|]{1,80}=|[\w.]+\(.*\)$"
)
"""How a line of code begins, or looks as a whole."""


def _pieces(block: _Block) -> Iterator[_Piece]:
    """All of a block where that is Python; else what is wrapped in it, and, where its end is not known, its lines of code."""
    whole = _piece(block.text)
    yield whole
    if not block.text.strip() or whole.body or (whole.tree and not any(_is_said(node) for node in whole.tree.body)):
        return
    session = [line[1] for line in _SESSION.finditer(block.text)]
    if any(map(_STATEMENT.match, session)):
        yield _piece("\n".join(session))
    parts = _TAG.split(block.text)
    for part in [block.text, *parts] if len(parts) > 1 else parts:
        inner = _piece(part)
        if inner.tree or inner.body:
            yield inner
        if not block.closed:
            yield from (_piece(span[2]) for span in _SPAN.finditer(part))
            quoted = re.sub(r"^[ \t]*>(?!>) ?", "", part, flags=re.MULTILINE)
            yield from (piece for run in _runs(quoted.split("\n")) for piece in _salvaged(run))


def _runs(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines of code that follow each other, among lines of prose."""
    run: list[str] = []
    margin, quote = 0, ""
    for number, line in enumerate(lines):
        bare = line.strip()
        indent = len(line) - len(bare) if line[:1].isspace() else 0
        begins = _LINES.match(bare) is not None or (number == 0 and indent > 1)
        if begins or quote or (run and (not bare or indent > margin)):
            if bare and not quote:
                margin = min(margin, indent) if run else indent
            run.append(line)
            for mark in ('"""', "'''"):
                if quote in ("", mark) and line.count(mark) % 2:
                    quote = "" if quote else mark
        elif run:
            yield run
            run = []
    if run:
        yield run


def _salvaged(run: list[str]) -> Iterator[_Piece]:
    """The pieces of lines that look like code, without the statements that are none; a few of those are passed, not more."""
    for _ in range(8):
        text = "\n".join(run)
        piece = _piece(text)
        if piece.tree or piece.body:
            yield piece
            return
        fault = max(_fault(textwrap.dedent(text)), _fault(textwrap.dedent(_levelled(text)))) - 1
        margin = min((len(line) - len(line.lstrip()) for line in run if line.strip()), default=0)
        starts = [place for place, line in enumerate(run) if line.strip() and not line[margin : margin + 1].isspace()]
        before = max((place for place in starts if place <= fault), default=0)
        after = min((place for place in starts if place > fault), default=len(run))
        if before:
            yield _piece("\n".join(run[:before]))
        yield _piece("\n".join(run[before:after]))
        run = run[after:]


def _fault(source: str) -> int:
    """The line at which a source stops being Python, from 1."""
    try:
        tree_of(source)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return source.count("\n") + 2
