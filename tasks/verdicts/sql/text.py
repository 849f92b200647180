"""SQL as text: the query in a response, where its outermost ORDER BY ends, and what two queries are alike by.

Quotes, comments and brackets are told apart, no more: nothing is parsed. It does not cover a line of prose directly behind a query that has
no semicolon, which is read as part of it.
"""

import json
import re
from collections.abc import Iterator

from ....signatures.records import SEVERAL

_TOKEN = re.compile(
    r"(?P<blank>\s+|--[^\n]*|/\*(?:(?!\*/).)*(?:\*/)?)|(?P<text>'(?:[^']|'')*'?)|(?P<name>\"(?:[^\"]|\"\")*\"?|`[^`]*`?|\[[^\]]*\]?)"
    r"|(?P<word>[^\W\d]\w*)|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<sign>.)",
    re.DOTALL,
)
_QUERY = (
    r"(?:\(\s*)*(?:SELECT\b|VALUES\s*\(|WITH\s+(?:RECURSIVE\s+)?[\w\"`\[\]]+\s*(?:\([^()]*\)\s*)?AS\s*(?:(?:NOT\s+)?MATERIALIZED\s*)?\()"
)
_OTHER = (
    r"(?:(?:INSERT|REPLACE)\s+(?:OR\s+\w+\s+)?INTO\b|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\b|(?:CREATE|DROP|ALTER)\s+(?:TABLE|VIEW|INDEX)\b"
    r"|(?:PRAGMA|ATTACH|EXPLAIN|VACUUM)\b)"
)
_BEGIN = re.compile(rf"(?i){_QUERY}|{_OTHER}")
_FENCE = re.compile(r"(?:```|~~~)(?:[ \t]*(?:\w*sql\w*|sqlite\d?)\b)?\s*(.*?)(?:```|~~~|\Z)", re.DOTALL | re.IGNORECASE)
_MARK = re.compile(
    r"^[ \t#*_>-]{0,12}(?:(?:final|the|my)\s+){0,2}(?:(?:sql|sqlite)(?:\s+(?:query|answer))?|query|answer)[ \t*_]*(?:is\s*)?[:：][ \t*_]*"
    rf"(?=\s*(?:(?:```|~~~)\w*\s*|`)?(?:{_QUERY}))",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(r'"(?:sql|query|sql_query|answer|final_answer)"\s*:\s*("(?:[^"\\]|\\.)*")', re.IGNORECASE)
_LINE = re.compile(rf"(?im)^[ \t>]*(?={_QUERY}|{_OTHER})(?![^\n]*[.:][ \t\r]*$)")  # "Select the rows that ..." is a sentence
_GOES_ON = re.compile(r"(?i)(?:FROM|WHERE|GROUP|ORDER|HAVING|LIMIT|UNION|INTERSECT|EXCEPT|JOIN|LEFT|INNER|CROSS|AND|OR|ON|WINDOW)\b|[,()]")
"""What goes on with a query behind a blank line."""
_OPEN = {
    ",",
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "BY",
    "UNION",
    "ALL",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
    "ON",
    "AND",
    "OR",
    "AS",
    "RECURSIVE",
}
"""What no query ends in."""
_INLINE = re.compile(rf"(?i)(?:[:：]\s*|`)(?={_QUERY})|(?<!\w)(?-i:(?=(?:SELECT|WITH)\b))(?={_QUERY})")


def tokens(text: str, start: int = 0) -> Iterator[tuple[str, str, int]]:
    """(kind, text, end) of each token: `blank` (comments too), `text`, `name` (quoted), `word`, `number`, `sign`."""
    for match in _TOKEN.finditer(text, start):
        yield str(match.lastgroup), match[0], match.end()


def read(response: str) -> tuple[str | None, str]:
    """The one query of a response; or None and why: `no answer`, or `several answers`."""
    text = response
    if fields := _FIELD.findall(text):
        said = json.loads(fields[-1], strict=False)
        text = said if _BEGIN.match(said.lstrip()) else text
    if marks := list(_MARK.finditer(text)):
        text = text[marks[-1].end() :]
    found: dict[str, str] = {}
    for query in _candidates(text):
        found.setdefault(plain(query), query)
    asked = [query for query in found.values() if not re.match(r"(?i)CREATE|INSERT", query)] or list(found.values())
    if len(asked) > 1:
        return None, SEVERAL
    return (asked[0], "") if asked else (None, "no answer")


def _candidates(text: str) -> list[str]:
    """What may be the answer: statements in fences, else those that begin a line, else one inside a sentence."""
    fenced = [query for body in _FENCE.findall(text) for query in _statements(body) if _BEGIN.match(query)]
    if fenced:
        return fenced
    ends, lines = 0, []
    for match in _LINE.finditer(text):
        start = match.end()
        while start >= ends and (start == match.end() or _BEGIN.match(text, start)):  # another one may stand directly behind it
            query, ends = _first(text, start)
            lines.append(query)
            start = re.compile(r"[;\s]*").match(text, ends).end()  # type: ignore[union-attr]
    if lines:
        return lines
    found = _INLINE.search(text)
    return [_first(text, found.end(), "`" if found[0].endswith("`") else "")[0]] if found else []


def _statements(text: str) -> list[str]:
    found, start = [], 0
    for kind, sign, end in tokens(text):
        if kind == "sign" and sign == ";":
            found.append(text[start:end])
            start = end
    return [query for one in (*found, text[start:]) if (query := bare(one))]


def _first(text: str, start: int, quote: str = "") -> tuple[str, int]:
    """The statement that begins at `start`, to its semicolon, a blank line outside of brackets, or the quote; and where it ends."""
    if quote:
        end = text.find(quote, start)
        return bare(text[start : end if end >= 0 else len(text)]), len(text)
    depth, end, last = 0, start, ""
    for kind, token, stop in tokens(text, start):
        depth += {"(": 1, ")": -1}.get(token, 0) if kind == "sign" else 0
        apart = kind == "blank" and depth <= 0 and last not in _OPEN and re.search(r"\n[ \t\r]*\n", token)
        if (kind == "sign" and token == ";") or (apart and not _GOES_ON.match(text, stop)):
            break
        last, end = token.upper() if kind != "blank" else last, stop
    return bare(text[start:end]), end


def bare(text: str) -> str:
    """A statement without the comments and blanks around it, and without its semicolon or the point of a sentence."""
    kept = [(end - len(token), end) for kind, token, end in tokens(text) if kind != "blank" and (kind != "sign" or token not in ";")]
    while kept and text[kept[-1][0] : kept[-1][1]] == ".":
        kept.pop()
    return text[kept[0][0] : kept[-1][1]] if kept else ""


def tail(query: str) -> int | None:
    """Where further terms of the outermost ORDER BY would stand; None: the query orders nothing."""
    depth, last, end, ordered = 0, "", 0, False
    for kind, token, stop in tokens(query):
        if kind == "blank":
            continue
        word = token.upper() if kind == "word" and not depth else ""
        depth += {"(": 1, ")": -1}.get(token, 0) if kind == "sign" else 0
        if ordered and (word in ("LIMIT", "OFFSET") or token == ";"):
            return end
        ordered = ordered or (last == "ORDER" and word == "BY")
        last, end = word, stop
    return end if ordered else None


def plain(query: str, masked: bool = False) -> str:
    """What queries are the same by: blanks, comments and the case of words do not count; `masked`: nor do texts and numbers."""
    rest = [(kind, token) for kind, token, _ in tokens(bare(query)) if kind != "blank"]
    return " ".join("?" if masked and kind in ("text", "number") else token.lower() if kind == "word" else token for kind, token in rest)
