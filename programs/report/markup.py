"""What makes a text safe to show: one printable line, Markdown, HTML; and `render`, which fills the templates beside this file.

Whatever is put into a template or into `Html("<p>{}").format(...)` is escaped: what a model wrote cannot become markup by being forgotten.
Pages load nothing and run nothing, and can be read on a phone, in the dark and on paper. Characters that are not seen or turn the direction
of reading are shown there by their number, since a reader who inspects a row must see them.

What is not here: tables (errata.programs.report.tables), plots (errata.programs.report.plots), and what a page says (templates/).
"""

import builtins
import keyword
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ...signatures.terminal import UNSEEN


class Name(str):
    """A name that data, a config or a model brought along: a code span in Markdown, in which nothing is read as markup."""


class Figures(str):
    """Figures and words of ours, in which Markdown finds no markup."""

    tone: str
    """Its colour on a page: `better`, `worse`, or empty."""

    def __new__(cls, text: str, tone: str = "") -> "Figures":
        made = super().__new__(cls, text)
        made.tone = tone
        return made

    def __html__(self) -> str:
        """What Markup shows of it."""
        shown = Html.escape(str(self))
        return Html("<span class='{}'>{}</span>").format(self.tone, shown) if self.tone else shown


class Html(Markup):
    """Markup. `format`, `join` and `+` escape what is not."""

    __slots__ = ()

    @classmethod
    def escape(cls, s: Any, /) -> "Html":
        if isinstance(s, (Markup, Figures)):
            return cls(s)
        return cls(UNSEEN.sub(lambda found: f"<span class=unseen>U+{ord(found[0]):04X}</span>", str(escape(str(s)))))


class Markdown(Markup):
    """Text in which Markdown and HTML find only our own markup."""

    __slots__ = ()

    @classmethod
    def escape(cls, s: Any, /) -> "Markdown":
        if isinstance(s, (Markup, Figures)):
            return cls(str(s))
        if isinstance(s, Name):
            return cls(str(code(s)).replace("|", "\\|"))
        return cls("".join(f"\\{c}" if c in "\\`*_{}[]<>#|~&" else c for c in plain(s, 2000)))


def plain(value: object, most: int = 120) -> str:
    """One printable line."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def code(value: object) -> Markdown:
    """A code span: neither Markdown nor HTML is read in it."""
    return Markdown(f"`{plain(value).replace('`', chr(39)) or '(none)'}`")


def join(parts: Iterable[Any], by: str = "\n") -> Html:
    """The parts one after another; those that are not markup are escaped."""
    return Html(by).join(parts)


def clip(value: object, most: int = 4000) -> str:
    """The text, or its beginning and how much is left out."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}\n… ({len(text) - most:,} more characters)"


def named(value: object) -> object:
    """A name for a label, a cell or a summary, cut where it is long; markup and figures as they are."""
    return value if isinstance(value, (Markup, Figures)) else clip(value, 160)


def prose(value: object) -> Html:
    """What a model or a data set wrote, as it stands, wrapped where it is long."""
    return Html("<pre class=prose dir=auto>{}</pre>").format(clip(value))


_TEXT = r"(?:\b[rbfRBF]{1,2})?(?:'{3}[\s\S]*?'{3}|\"{3}[\s\S]*?\"{3}|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")"
_SYNTAX = re.compile(
    rf"(?P<c>#[^\n]*)|(?P<s>{_TEXT})|(?P<m>\b\d[\d_.]*)|(?:(?<=def )|(?<=class ))(?P<f>\w+)"
    rf"|\b(?P<k>{'|'.join(keyword.kwlist)})\b|\b(?P<b>{'|'.join(name for name in dir(builtins) if name.isalpha())})\b"
)


def python(source: str) -> Html:
    """Python with its syntax in colours. A lexer of its own would take half of a report's time."""
    text, out, end = clip(source, 20_000), [], 0
    for found in _SYNTAX.finditer(text):
        out += [Html.escape(text[end : found.start()]), f"<b class='{found.lastgroup}'>{Html.escape(found[0])}</b>"]
        end = found.end()
    return Html("<pre class=code>{}</pre>").format(Html("".join([*out, Html.escape(text[end:])])))


# ---- templates


@cache
def environment(markup: type[Html] | type[Markdown] | type[str]) -> Environment:
    """Where templates are read and filled: each value is escaped as `markup` does (str: not at all), and an unknown name raises."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=issubclass(markup, Markup),
        finalize=markup.escape if issubclass(markup, Markup) else str,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["Html"] = Html
    made.filters |= {"clip": clip, "named": named, "prose": prose, "python": python, "code": code, "cell": Name, "verbatim": Figures}
    return made


def render(template: str, **values: Any) -> str:
    """The template `NAME.html.j2`, `NAME.md.j2` or `NAME.txt.j2` (for the terminal, without a last line end), filled."""
    markup = {"html": Html, "md": Markdown, "txt": str}[template.split(".")[-2]]
    text = environment(markup).get_template(template).render(values)
    return text.removesuffix("\n") if markup is str else text
