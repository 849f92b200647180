"""What runs inside the walls: loads one untrusted program, calls the host's harness on it, and hands back JSON text.

This file is baked into the WASI component by scripts/make_sandbox.py: a change here needs the component made again. It is
plain stdlib, imports nothing of Errata, and is itself untrusted once the program runs: a program can reach and change
everything here. The caps in this file only make an honest program's failure readable; what keeps a hostile one in is
outside (the component's empty imports and the store's limits), and the host believes nothing of what comes back.

Request (JSON): {"source", "harness", "payload", "rows", "output_bytes", "print_bytes"}. Answer (JSON, ASCII):
{"outcome", "rows", "error", "tail"} with outcome `ok`, `error`, `memory` or `output`.
"""

import builtins
import importlib
import io
import json
import os
import random
import sys
import time
import types
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import Any

MODULES = (
    "abc", "argparse", "array", "ast", "base64", "bisect", "calendar", "cmath", "collections", "contextlib", "copy",
    "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "gc", "graphlib",
    "hashlib", "heapq", "hmac", "html", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "locale",
    "logging", "math", "numbers", "operator", "os", "pathlib", "pprint", "queue", "random", "re", "reprlib",
    "secrets", "shlex", "statistics", "string", "struct", "sys", "textwrap", "threading", "time", "timeit",
    "tokenize", "traceback", "types", "typing", "unicodedata", "urllib", "uuid", "warnings", "weakref", "zlib",
)  # fmt: skip
"""The modules that a program may import: all of them work without files, processes or a network."""

# Imported by those at run time, or submodules of them.
_INNER = (
    "__future__", "_pydatetime", "_pydecimal", "_strptime", "builtins", "codecs", "collections.abc", "colorsys",
    "configparser", "contextvars", "copyreg", "dis", "errno", "fnmatch", "getopt", "gettext", "glob",
    "html.entities", "html.parser", "importlib.abc", "importlib.machinery", "importlib.util", "linecache",
    "marshal", "opcode", "optparse", "os.path", "pickle", "platform", "sched", "selectors", "shutil", "stat",
    "string.templatelib", "stringprep", "sysconfig", "tempfile", "token", "trace", "urllib.parse",
    "xml.etree.ElementTree", "encodings.aliases", "encodings.ascii", "encodings.base64_codec", "encodings.cp1252",
    "encodings.cp437", "encodings.hex_codec", "encodings.idna", "encodings.iso8859_1", "encodings.iso8859_15",
    "encodings.latin_1", "encodings.punycode", "encodings.raw_unicode_escape", "encodings.rot_13",
    "encodings.unicode_escape", "encodings.utf_16", "encodings.utf_16_be", "encodings.utf_16_le",
    "encodings.utf_32", "encodings.utf_32_be", "encodings.utf_32_le", "encodings.utf_7", "encodings.utf_8",
    "encodings.utf_8_sig", "encodings.zlib_codec", "re._parser", "zipfile",
)  # fmt: skip

TAIL = 2000
"""Characters of what the program printed that are kept."""

MESSAGE = 700
"""Characters of an exception's message that are kept; the list of modules fits."""

MADE_FROM = ""
"""SHA-256 of this file, filled in when it is baked into the component."""

SOURCE_NAME = "program.py"
HARNESS_NAME = "harness.py"


def load_modules() -> None:
    """Import everything that a program may import: there is no file system to import from later."""
    for name in (*MODULES, *_INNER):
        try:
            importlib.import_module(name)
        except ImportError:  # not in this Python version or build; the program gets the ImportError below
            pass


class _OutputLimit(BaseException):
    """The program printed or yielded more than it may."""


class _Prints(io.RawIOBase):
    """What sys.stdout and sys.stderr write to: a byte count and a tail, shared by both streams."""

    def __init__(self, cap: int) -> None:
        self.left = cap
        self.kept = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        data = bytes(data)
        self.left -= len(data)
        self.kept = (self.kept + data)[-4 * TAIL :]
        if self.left < 0:
            raise _OutputLimit("it printed more than it may")
        return len(data)

    def tail(self) -> str:
        return self.kept.decode("utf-8", "replace")[-TAIL:]


class _Missing:
    """The last finder on sys.meta_path: says it in Python's own words, and what can be imported instead."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}; the sandbox has these: {', '.join(MODULES)}", name=name)


def describe(error: BaseException) -> str:
    """One line about an exception: its type, its message, and the program's line that it came from. Given to harnesses
    too."""
    try:
        text = " ".join(str(error).split())[:MESSAGE]
    except BaseException:  # __str__ may be the program's own
        text = "(its message cannot be read)"
    where = ""
    if isinstance(error, SyntaxError) and error.filename == SOURCE_NAME:
        text = str(error.msg)[:MESSAGE]
        where = f" (line {error.lineno}: {str(error.text or '').strip()[:200]})"
    else:
        line, name = _last_line(error)
        if line:
            source = _SOURCES.get(name, ())
            shown = source[line - 1].strip()[:200] if line <= len(source) else ""
            where = f" ({'' if name == SOURCE_NAME else 'harness '}line {line}: {shown})"
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"


_SOURCES: dict[str, tuple[str, ...]] = {}


def _last_line(error: BaseException) -> tuple[int, str]:
    """The deepest traceback line in the program, or in the harness when none is there; (0, "") when neither."""
    found = {SOURCE_NAME: 0, HARNESS_NAME: 0}
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in found:
            found[name] = trace.tb_lineno
        trace = trace.tb_next
    for name, line in found.items():
        if line:
            return line, name
    return 0, ""


def _not_json(value: Any) -> None:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# What JSONEncoder(allow_nan=False) uses; it makes a new one for every call, which takes a tenth of a program's time.
_make_encoder = vars(json.encoder)["c_make_encoder"]
_chunks = _make_encoder({}, _not_json, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, False)


def _module(name: str, filename: str, source: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = filename
    vars(module).update(names)
    sys.modules[name] = module  # a dataclass with deferred annotations looks its module up here
    _SOURCES[filename] = tuple(source.split("\n"))
    exec(compile(source, filename, "exec", dont_inherit=True), vars(module))
    return module


def _rows(request: dict[str, Any]) -> str:
    """The rows as JSON text, "[...]"."""
    chunks = _chunks
    # The harness is loaded first, so that its names are bound before the program can patch anything; and the program gets
    # builtins of its own to patch.
    main: Callable[[Any, Any], Any] = vars(_module("harness", HARNESS_NAME, request["harness"], describe=describe))["main"]
    own = types.ModuleType("builtins")
    vars(own).update(vars(builtins))
    sys.modules["builtins"] = own
    random.seed(0)
    program = _module("program", SOURCE_NAME, request["source"], __builtins__=own)
    texts: list[str] = []
    size = 2
    for row in main(program, request["payload"]):
        if len(texts) >= request["rows"]:
            raise _OutputLimit(f"it yielded more than {request['rows']} rows")
        try:
            text = "".join(chunks(row, 0))
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"row {len(texts)} is not JSON: {error}") from None
        size += len(text) + 2
        if size > request["output_bytes"]:
            raise _OutputLimit(f"its rows take more than {request['output_bytes']} bytes")
        texts.append(text)
    return "[" + ", ".join(texts) + "]"


def run(text: str) -> str:
    """Run one request; never raises for what the program does, except where the interpreter itself is destroyed."""
    dumps = json.JSONEncoder().encode
    request = json.loads(text)
    prints = _Prints(request["print_bytes"])
    raw: Any = prints  # unbuffered: TextIOWrapper's type wants a buffer, its code does not
    nothing = io.TextIOWrapper(io.BytesIO(b""), "utf-8")
    printed = io.TextIOWrapper(raw, "utf-8", "replace", write_through=True)
    streams = {"stdin": nothing, "stdout": printed, "stderr": printed}
    vars(sys).update(streams, **{f"__{name}__": stream for name, stream in streams.items()})
    sys.argv = [SOURCE_NAME]
    os.environ.clear()
    time.sleep = lambda seconds: None
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, _Missing()]
    outcome, rows, error = "ok", "[]", ""
    try:
        rows = _rows(request)
    except _OutputLimit as caught:
        outcome, error = "output", str(caught)
    except MemoryError as caught:
        outcome, error = "memory", describe(caught)
    except BaseException as caught:  # SystemExit and KeyboardInterrupt are the program's failure too
        outcome, error = "error", describe(caught)
    if outcome == "ok" and prints.left < 0:  # it caught the exception and went on
        outcome, rows, error = "output", "[]", "it printed more than it may"
    head = dumps({"outcome": outcome, "error": error, "tail": prints.tail()})
    return f'{head[:-1]}, "rows": {rows}}}'
