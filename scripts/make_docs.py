"""Writes the pages of docs/ that are drawn from the code: config.md (fields), cli.md (commands), api.md (docstrings of errata.programs),
and the tables of tasks.md that say how answers are read, drawn from the readings that the tests hold the code to.

    python scripts/make_docs.py [--check]

With --check nothing is written, and the exit code is 1 when a page is not what the code says. Pages drawn from measurements are not here.
"""

import argparse
import inspect
import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

from typer.cli import app as typer_app
from typer.testing import CliRunner

from errata import programs
from errata.programs.report import config_file

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def pages() -> dict[str, str]:
    """Name of each page -> its text."""
    return {"config.md": config_file.page(), "cli.md": cli(), "api.md": api(), "tasks.md": tasks()}


def cli() -> str:
    """Commands and options, as Typer itself writes them."""
    command = ["errata.cli", "utils", "docs", "--name", "errata", "--title", "Commands"]
    done = CliRunner().invoke(typer_app, command, catch_exceptions=False)
    return done.stdout.replace("...`", "`").rstrip() + "\n"


def api() -> str:
    """The public face, name by name."""
    lines = ["# In Python", "", "What `errata.programs` offers, each by `from errata.programs import NAME`."]
    for name in programs.__all__:
        lines += ["", f"## {name}", "", *_entry(name, getattr(programs, name))]
    return "\n".join(lines) + "\n"


def tasks() -> str:
    """The page as it stands, with the table of each `<!-- readings: NAME -->` drawn anew from tests/tasks/readings_NAME.jsonl."""
    page = (DOCS / "tasks.md").read_text(encoding="utf-8")
    drawn = re.compile(r"(<!-- readings: (\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
    return drawn.sub(lambda found: f"{found[1]}\n{_readings(found[2])}\n", page)


def _readings(name: str) -> str:
    """Readings, one a line as [what it is, text, what is read or null], as a table with a line for each thing that they show."""
    told: dict[str, list[str]] = {}
    for line in (ROOT / f"tests/tasks/readings_{name}.jsonl").read_text(encoding="utf-8").splitlines():
        what, text, read = json.loads(line)
        told.setdefault(what, []).append(f"{_code(text)} → {'unread' if read is None else _code(read)}")
    return (
        "\n".join(["| what | text → what is read |", "|---|---|", *(f"| {what} | {' · '.join(all)} |" for what, all in told.items())])
        + "\n"
    )


def _code(text: str) -> str:
    """A text as code in a table's cell; what cannot be seen is named."""
    text = "".join(_sign(sign) for sign in text).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text or text != text.strip() else ""
    return f"{ticks}{pad}{text}{pad}{ticks}" if text else "(nothing)"


def _sign(sign: str) -> str:
    if sign == "\n":
        return "↵"
    return f"[U+{ord(sign):04X}]" if unicodedata.category(sign) in ("Cc", "Cf", "Zs", "Zl", "Zp") and sign != " " else sign


def _entry(name: str, thing: Any) -> list[str]:
    lines = ["```text", f"{name}{_signature(thing)}", "```", "", _text(thing)]
    if not inspect.isclass(thing):
        return lines
    init = vars(thing).get("__init__")
    if init is not None and init.__doc__:
        lines += ["", _text(init)]
    methods = {name: value for name, value in vars(thing).items() if inspect.isfunction(value) and value.__doc__ and name[0] != "_"}
    told = [f"- `{name}{_signature(value)}`: {' '.join(_text(value).split())}" for name, value in methods.items()]
    return [*lines, "", *told] if told else lines


def _signature(thing: Any) -> str:
    """Without the modules of the types, and without `self`."""
    if inspect.isclass(thing) and "__init__" not in vars(thing) and hasattr(thing, "model_fields"):
        return ""  # a config: its fields have a page of their own
    own = vars(thing).get("__init__") if inspect.isclass(thing) else None  # a metaclass may hide it
    try:
        text = str(inspect.signature(own or thing))
    except ValueError:
        return ""
    text = re.sub(r"<(?:function|class) '?(?:\w+\.)*(\w+)[^>]*>", r"\1", text)
    return re.sub(r"\(self(, )?", "(", re.sub(r"\b(?:\w+\.)+(?=[A-Za-z_])", "", text)).replace("'", "").replace("~", "")


def _text(thing: Any) -> str:
    """The docstring; `<` outside of code would be read as HTML."""
    parts = re.split(r"(`[^`]*`)", inspect.cleandoc(thing.__doc__ or ""))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is not current")
    check = parser.parse_args().check
    old = [name for name, text in pages().items() if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != text]
    for name in old:
        print(f"docs/{name} {'is not current: run python scripts/make_docs.py' if check else 'written'}")
        if not check:
            (DOCS / name).write_text(pages()[name], encoding="utf-8")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
