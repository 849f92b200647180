"""Pieces of a page of ours: one file, nothing loaded, no JavaScript, readable on a phone, in the dark and on paper.

`Html` is text that is markup; whatever else is put into it is escaped, so that what a model wrote cannot become markup by being forgotten:

    Html("<p>{} of {}").format(sample.question, count)

Characters that are not seen or turn the direction of reading are shown by their number, as one who inspects a row must see them.
What is not here: plots (errata.programs.report.plots), and what a page says.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

# C0 and C1 controls but tab and newline, soft hyphen, directional and other invisible marks, line and paragraph separators, lone
# surrogates; the two joiners stay, which emoji and several scripts are written with
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_COLOURED = {
    Comment: "c",
    String: "s",
    Number: "m",
    Keyword: "k",
    Operator.Word: "k",
    Name.Function: "f",
    Name.Class: "f",
    Name.Builtin: "b",
}


class Html(Markup):
    """Markup. `format`, `join` and `+` escape what is not."""

    __slots__ = ()

    @classmethod
    def escape(cls, s: Any, /) -> "Html":
        if hasattr(s, "__html__"):
            return cls(s)
        return cls(_UNSEEN.sub(lambda found: f"<span class=unseen>U+{ord(found[0]):04X}</span>", str(escape(str(s)))))


NOTHING = Html()


def join(parts: Iterable[Any], by: str = "\n") -> Html:
    """The parts one after another; those that are no markup are escaped."""
    return Html(by).join(parts)


def clip(value: object, most: int = 4000) -> str:
    """The text, or its beginning and how much is left out."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}\n… ({len(text) - most:,} more characters)"


def named(value: object) -> object:
    """A name for a label, a cell or a summary, cut where it is none; markup as it is."""
    return value if isinstance(value, Html) else clip(value, 160)


def prose(value: object) -> Html:
    """What a model or a data set wrote, as it stands, wrapped where it is long."""
    return Html("<pre class=prose dir=auto>{}</pre>").format(clip(value))


def python(source: str) -> Html:
    """Python with its syntax in colours."""
    out = []
    for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(clip(source, 20_000)):
        name = next((name for parent, name in _COLOURED.items() if kind in parent), None)
        out.append(Html("<b class='{}'>{}</b>").format(name, text) if name else Html.escape(text))
    return Html("<pre class=code>{}</pre>").format(join(out, ""))


def fold(summary: object, *body: object, open: bool = False, paper: bool = False) -> Html:
    """What opens at a touch. `paper`: it is printed whether it is open or not."""
    flags = Html(" open" if open else "") + Html(" class=paper" if paper else "")
    return Html("<details{}><summary>{}</summary>{}</details>").format(flags, named(summary), join(body))


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose first column is text and the others figures; it scrolls by itself where the screen is narrow."""
    top = join((Html("<th>{}").format(named(cell)) for cell in head), "")
    lines = join(Html("<tr>{}").format(join((Html("<td>{}").format(named(cell)) for cell in row), "")) for row in rows)
    return Html("<div class=wide tabindex=0><table><thead><tr>{}<tbody>{}</table></div>").format(top, lines)


def facts(pairs: Iterable[tuple[object, object]]) -> Html:
    """Names and what is known of each."""
    return Html("<dl>{}</dl>").format(join(Html("<dt>{}<dd>{}").format(name, value) for name, value in pairs))


def toned(value: object, tone: str) -> Html:
    """A figure in the colour of its `tone`: `better`, `worse`, or any other word for none."""
    return Html("<span class='{}'>{}</span>").format(tone, value) if tone in ("better", "worse") else Html.escape(value)


def section(title: object, *body: object, name: str = "") -> Html:
    """A part of the page under a heading; `name` is what links lead to."""
    place = Html(" id='{}'").format(name) if name else NOTHING
    return Html("<section{}><h2>{}</h2>{}</section>").format(place, title, join(body))


def page(title: str, *body: object) -> str:
    """A whole page. Its policy forbids to run or to load anything, whatever stands in it."""
    return Html(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content='width=device-width, initial-scale=1'>\n"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'\">\n<meta name=referrer content=no-referrer>\n<title>{}</title>\n<style>{}</style>\n<body>\n<h1>{}</h1>\n{}\n"
    ).format(title, STYLE, title, join(body))


STYLE = Html("""
:root{color-scheme:light dark;--page:#fff;--ink:#1c1e21;--soft:#5b6270;--line:#d8dae0;--box:#f5f6f8;--old:#8a93a3;--new:#1769aa;
--better:#1a7f4b;--worse:#b3261e;--keyword:#8250df;--string:#0a6b3d;--number:#0550ae;--name:#953800}
@media(prefers-color-scheme:dark){:root{--page:#17181b;--ink:#e8e9ec;--soft:#a3aab6;--line:#3a3d44;--box:#202226;--old:#8b94a5;
--new:#6db3f2;--better:#5fc08d;--worse:#f2877f;--keyword:#c8a6ff;--string:#8fd6a8;--number:#8fc1ff;--name:#f0b380}}
@media print{:root{color-scheme:light;--page:#fff;--ink:#000;--soft:#444;--line:#bbb;--box:#fff;--old:#777;--new:#1769aa;
--better:#1a7f4b;--worse:#b3261e;--keyword:#5a2ca0;--string:#0a6b3d;--number:#0550ae;--name:#953800}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;margin:0 auto;padding:1.25rem;
overflow-wrap:anywhere;-webkit-text-size-adjust:100%}
h1{font-size:1.35rem;margin:0 0 1rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}p{margin:.5rem 0}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem;margin:1rem 0}a{color:var(--new)}
.answer{border:1px solid var(--line);border-left:6px solid var(--old);background:var(--box);padding:.7rem 1rem;border-radius:4px}
.answer.better{border-left-color:var(--better)}.answer.worse{border-left-color:var(--worse)}.answer.mixed{border-left-color:var(--name)}
.answer,.answer.better,.answer.worse{color:var(--ink)}.answer .big{font-size:1.15rem;margin-top:0}
.better{color:var(--better)}.worse{color:var(--worse)}.soft,.told{color:var(--soft)}.soft{font-size:.9rem}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}.wide{overflow-x:auto}
th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
th{font-weight:600}th:first-child,td:first-child{text-align:left;white-space:normal;min-width:8rem;padding-left:0;unicode-bidi:isolate}
pre{border:1px solid var(--line);background:var(--box);border-radius:4px;padding:.6rem .8rem;margin:.4rem 0;
font-size:.8rem;line-height:1.45;overflow-x:auto;tab-size:4;unicode-bidi:isolate}pre.prose{white-space:pre-wrap}.code b{font-weight:inherit}
.code .c{color:var(--soft);font-style:italic}.code .s{color:var(--string)}.code .m{color:var(--number)}.code .k{color:var(--keyword)}
.code .f,.code .b{color:var(--name)}.unseen{color:var(--worse);border:1px solid;border-radius:3px;font-size:.75em;padding:0 .2em}
details{margin:.35rem 0}summary{cursor:pointer;padding:.2rem 0;unicode-bidi:isolate}details details{margin-left:1rem}
details>:not(summary){margin-left:.2rem}dl{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.2rem 1rem;margin:.6rem 0}
dt{color:var(--soft)}dd{margin:0;unicode-bidi:isolate}
.plot{margin:.6rem 0}.row{display:grid;grid-template-columns:minmax(7rem,13rem) 1fr minmax(6rem,12rem);gap:0 .9rem;align-items:center;
break-inside:avoid}.row .label{text-align:right;font-size:.9rem;unicode-bidi:isolate}.row .told{font-size:.85rem;
font-variant-numeric:tabular-nums}.row svg,.course svg{display:block;width:100%;overflow:visible}
svg text{fill:var(--soft);font-size:11px}svg .grid{stroke:var(--line)}svg .zero{stroke:var(--soft)}
.key{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;font-size:.85rem;color:var(--soft);margin:.3rem 0}
.key span{display:inline-flex;align-items:center;gap:.4rem}.key svg{width:14px;height:12px}
.courses{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem 1.6rem}.course{break-inside:avoid}
.course figcaption{font-size:.9rem}figure{margin:0}
@media(max-width:40rem){body{padding:.8rem}.row{grid-template-columns:1fr auto;gap:0 .6rem;margin:.25rem 0}.row .label{text-align:left}
.row svg{grid-column:1/-1;grid-row:2}.row .told{text-align:right}.row:not(.labelled) .label{display:none}dl{display:block}
dd{margin:0 0 .4rem}details details{margin-left:.5rem}}
@media print{body{max-width:none;padding:0;font-size:10.5pt}nav{display:none}pre{white-space:pre-wrap;overflow:visible}
.wide{overflow:visible}details.paper::details-content{content-visibility:visible;display:block;height:auto}h2,h3,summary{break-after:avoid}tr{break-inside:avoid}}
""")
