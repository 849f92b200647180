"""An instructor's answer, read into the fields of its signature, in whatever dress they come.

The prompts ask for `[[ ## name ## ]]` before each field. Models write it indented, bold, in a fence, with too few signs, on one line with
the value, as JSON, as <name> tags or as `Name:`. A field that can be read in two ways, such as a verdict that names two, is not read. Does
NOT cover: a reasoning trace, which is taken off before (errata.tasks.trace), and asking again (errata.programs.instructor.chat).
"""

import ast
import json
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple, get_args, get_origin

import dspy
from dspy.adapters.utils import apply_output_field_defaults, parse_value

END = "completed"
"""The name after the last field."""
TELLINGS = 20
"""Tellings of the fields that are looked at, the last ones."""
Found = list[dict[str, str]]
"""What each telling of the fields says: field -> its text."""


_SEEN = re.compile("[\u200b\u2060\ufeff]")  # signs without width, which stand before headers and inside words


class _Header(NamedTuple):
    start: int
    end: int
    name: str


def is_code(kind: Any) -> bool:
    """Whether an output field of this type is a program."""
    return isinstance(kind, type) and issubclass(kind, dspy.Code)


def read_answer(signature: Any, text: str) -> dict[str, Any]:
    """The value of each output field. Raises ValueError, in words for the one who must answer again, for a text that cannot be read."""
    names = list(signature.output_fields)
    programs = [name for name in names if is_code(signature.output_fields[name].annotation)]
    text = _unfenced(_SEEN.sub("", text).replace("\u00a0", " ").strip(), names)
    best: dict[str, str] = {}
    for stray in (False, True):  # a program may stand behind the last field, or without a header
        for way in _WAYS:
            told = way(text, names)
            for name, one in product(programs, told):
                if stray and not one.get(name, "").strip() and (blocks := _blocks(text)):
                    one[name] = "\n".join(f"```\n{block}\n```" for block in blocks)
            whole = [one for one in told if _complete(signature, one, programs)]
            if whole and (stray or all(whole[-1][name].strip() for name in programs)):
                return _values(signature, whole[-1], told)
            best = max([best, *told], key=len)
    missing = ", ".join(f"[[ ## {name} ## ]]" for name in names if name not in best)
    raise ValueError(f"it has no {missing}" if best else f"no field was found in it, such as [[ ## {names[0]} ## ]]")


def _complete(signature: Any, told: Mapping[str, str], programs: Sequence[str]) -> bool:
    """Whether all is told that must be; beside a program other texts may be missing."""
    if programs and all(told.get(name, "").strip() for name in programs):
        return True
    return apply_output_field_defaults(signature, dict(told)).keys() == signature.output_fields.keys()


def _values(signature: Any, chosen: Mapping[str, str], told: Found) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in signature.output_fields.items():
        kind = field.annotation
        if get_origin(kind) is Literal:
            said = {_choice(one[name], get_args(kind)) for one in told if name in one} - {None}
            if len(said) > 1:
                raise ValueError(f"{name} is given several times: {', '.join(sorted(map(str, said)))}")
        if name in chosen:
            values[name] = _value(name, chosen[name], kind)
        elif kind is str and field.is_required():
            values[name] = ""
    return apply_output_field_defaults(signature, values)


def _value(name: str, text: str, kind: Any) -> Any:
    text = _bare(text)
    if kind is str:
        return text
    if get_origin(kind) is Literal:
        if (choice := _choice(text, get_args(kind))) is None:
            raise ValueError(f"{name} is {text[:100]!r}, where one of {', '.join(map(str, get_args(kind)))} alone is wanted")
        return choice
    if is_code(kind):
        return kind.model_construct(code=_program(name, text))
    if kind == list[str]:
        return _items(text)
    try:
        return parse_value(text, kind)
    except (ValueError, RecursionError, SyntaxError, MemoryError) as error:
        raise ValueError(f"{name} cannot be read: {' '.join(str(error).split())[:200]}") from None


# ---- ways in which fields are told


def _names(names: Sequence[str]) -> str:
    return "|".join(re.escape(name).replace("_", "[ _-]") for name in sorted([*names, END], key=len, reverse=True))


def _key(name: str) -> str:
    return re.sub(r"[ -]", "_", name.strip()).lower()


def _sets(text: str, headers: Sequence[_Header], names: Sequence[str]) -> Found:
    """The texts behind headers; a name that was told already begins another telling. What stands behind other names is left out."""
    found: list[dict[str, str]] = [{}]
    for header, after in zip(headers, [*(one.start for one in headers[1:]), len(text)], strict=False):
        if header.name in found[-1] or END in found[-1]:
            found.append({})
        found[-1][header.name] = text[header.end : after].strip()
    return [{name: one[name] for name in names if name in one} for one in found[-TELLINGS:]]


def _markers(text: str, names: Sequence[str]) -> list[_Header]:
    gap, signs, known = r"[ \t]{0,3}", r"[*_`]{0,3}", _names(names)
    dress = r"(?:^[ \t]{0,40}[>*_`#-]{0,6}[ \t]{0,3}|[*_`]{1,3})?"
    asked = rf"(?:\\?\[){{2}}{gap}(?:\\?#){{1,4}}{gap}(?P<any>\w[\w -]{{0,40}}?){gap}(?:\\?#){{1,4}}{gap}(?:\\?\]){{2}}"
    begin = rf"(?:(?:\\?\[){{1,3}}{gap}(?:\\?#){{1,4}}|(?:\\?\[){{2,3}}|(?<![#\w])#{{1,4}})"
    end = rf"(?:(?:\\?#){{1,4}}(?:{gap}(?:\\?\]){{1,3}})?|(?:\\?\]){{2,3}})"
    alike = rf"{begin}{gap}{signs}(?P<name>{known}){signs}{gap}{end}"
    form = re.compile(rf"{dress}(?:{asked}|{alike}){signs}{gap}[:：]?{signs}", re.IGNORECASE | re.MULTILINE)
    return [_Header(one.start(), one.end(), _key(one["any"] or one["name"])) for one in form.finditer(text)]


def _at_lines(text: str, names: Sequence[str]) -> Found:
    return _sets(text, [one for one in _markers(text, names) if text[one.start - 1 : one.start] in ("", "\n")], names)


def _anywhere(text: str, names: Sequence[str]) -> Found:
    return _sets(text, _markers(text, names), names)


def _json(text: str, names: Sequence[str]) -> Found:
    """An object whose keys are the fields, alone or inside another, in a fence or between other words."""
    start = text.find("{")
    for _ in range(3):
        found = _object(text, start)
        for inner in (found, *(found.values() if isinstance(found, dict) else ())):
            keys = {_key(str(key)): value for key, value in inner.items()} if isinstance(inner, dict) else {}
            if told := {name: _text(keys[name]) for name in names if name in keys}:
                return [told]
        start = text.find("{", start + 1) if start >= 0 else -1
    return []


def _object(text: str, start: int) -> Any:
    """The object that begins there, as JSON or, where it is the last one, as Python writes it; None where there is none."""
    if start < 0:
        return None
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text[start : text.rfind("}") + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tags(text: str, names: Sequence[str]) -> Found:
    """<name>value</name>"""
    found = {}
    for name in names:
        opening = re.compile(f"<(?:{_names([name])})>", re.IGNORECASE).search(text)
        closing = opening and re.compile(f"</(?:{_names([name])})>", re.IGNORECASE).search(text, opening.end())
        if opening and closing:
            found[name] = text[opening.end() : closing.start()].strip()
    return [found]


def _labels(text: str, names: Sequence[str]) -> Found:
    """`Name:` at the beginning of a line, or a heading that is the name alone; in a block of code it is none."""
    mark = r"^[ \t]{0,12}(?:(?:[-*+•>]|\d{1,2}[.)])[ \t]{1,3})?"
    head = r"(?P<head>(?:[#*_`]{1,6}[ \t]{0,3}){1,2})?"
    form = rf"{mark}{head}(?P<name>{_names(names)})[*_`#]{{0,6}}[ \t]{{0,3}}(?P<colon>[:：])?[*_`]{{0,3}}"
    spans = _spans(text)
    if len(spans) == 1 and text.startswith(("```", "~~~")) and text[spans[0][1] :].strip() in ("", "```", "~~~"):  # a fence around all
        text, spans = text[slice(*spans[0])], []
    starts = [start for start, _ in spans]
    found = []
    for one in re.compile(form, re.IGNORECASE | re.MULTILINE).finditer(text):
        block = bisect_right(starts, one.start()) - 1
        alone = one["head"] and re.compile(r"[ \t]{0,9}$", re.MULTILINE).match(text, one.end())
        if (one["colon"] or alone) and not (block >= 0 and one.start() < spans[block][1]):
            found.append(_Header(one.start(), one.end(), _key(one["name"])))
    return _sets(text, found, names)


_WAYS: tuple[Callable[[str, Sequence[str]], Found], ...] = (_at_lines, _anywhere, _json, _tags, _labels)


# ---- values


def _spans(text: str) -> list[tuple[int, int]]:
    """From where to where each block between fences runs. A fence that stands further in than the opening one is a part of the block; a
    block that is not closed runs to the end."""
    found, begun = [], None
    for line in _fence_lines(text):
        if begun is None:
            begun = line
        elif len(line["in"]) <= len(begun["in"]) and not line["language"].strip():
            found.append((begun.end(), line.start()))
            begun = None
    return [*found, (begun.end(), len(text))] if begun else found


def _fence_lines(text: str) -> Iterator[re.Match[str]]:
    return re.compile(r"^(?P<in>[ \t]{0,12})(?:```+|~~~+)(?P<language>[^\n`]*)$", re.MULTILINE).finditer(text)


def _blocks(text: str) -> list[str]:
    return [block.strip("\n") for start, end in _spans(text) if (block := text[start:end]).strip()]


def _unfenced(text: str, names: Sequence[str]) -> str:
    """The text without a fence around the whole answer."""
    lines = [*_fence_lines(text)]
    if len(lines) < 2 or len(lines) % 2 or lines[0].start() or lines[-1].end() < len(text):
        return text
    headers = [header for header in _markers(text, names) if header.name in (*names, END)]
    return text[lines[0].end() : lines[-1].start()].strip() if headers and headers[0].start < lines[1].start() else text


def _bare(text: str) -> str:
    """The text without signs that wrap it whole."""
    text = text.strip()
    for sign in ("```", "**", "__", "`", '"'):
        inner = text[len(sign) : -len(sign)]
        if len(text) > 2 * len(sign) and text == f"{sign}{inner}{sign}" and sign not in inner and "\n" not in text:
            return inner.strip()
    return text


def _program(name: str, text: str) -> str:
    """The one program of a field. Several blocks are one where none defines again what another does."""
    spans = _spans(text)
    inside = spans and re.match(r"(?:def|class|import|from)\s|[@#]|\"\"\"|'''|\w+ *=", text)  # a program begins, which quotes a fence
    blocks = _blocks(text) or [text]
    if inside and (_parses(text) or not all(map(_parses, blocks))):  # else what begins like one is a heading, or words
        blocks = [text]
    defined = [set(re.findall(r"^(?:def|class) +(\w+)", block, re.MULTILINE)) for block in blocks]
    if len(set().union(*defined)) < sum(map(len, defined)):
        raise ValueError(f"{name} holds {len(blocks)} programs that define the same names, where one is wanted")
    return "\n\n".join(blocks)


def _parses(code: str) -> bool:
    try:
        return bool(ast.parse(code).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


_LEAD = (
    r"(?:(?:the|my|final|overall)\s+){0,3}(?:verdict|judge?ment|answer|decision|result|classification|label|category)"
    r"\s*(?:is|would be)?\s*(?:[:=]|->|→)?\s*|(?:it|this|that)\s+i?s\s+|i\s+(?:d\s+|would\s+)?(?:judge|say|choose)\s+"
)
_SIGNS = re.compile(r"\\boxed(?:\{\\text)?\b|[*_`\"'“”‘’«»\[\]{}<>#$\\]+")


def _choice(text: str, allowed: Sequence[Any]) -> Any:
    """The one allowed value that a text names, at its beginning or behind words such as `the verdict is`; None: none, or several."""
    blocks = _blocks(text) if text.startswith(("```", "~~~")) else []
    text = unicodedata.normalize("NFKC", (blocks[0] if len(blocks) == 1 else text)[:2000].strip())
    plain = " ".join(_SIGNS.sub(" ", text.replace("\n", " ; ")).split()).lower()
    forms = {" ".join(_SIGNS.sub(" ", str(one)).split()).lower(): one for one in allowed}
    either = "|".join(re.escape(form).replace(r"\ ", "[ -]?") for form in sorted(forms, key=len, reverse=True))
    number, behind = r"(?:\d{1,2}|[a-z])[.)]", r"-(?!\w)|[–—:.;,!/|(=]|[^\w?]*$|(?:because|since|as|and|or)\b"
    found = re.match(rf"\W*(?:{number}\s*)?(?:{_LEAD})?(?:an?\s+)?(?P<one>{either})(?=\s*(?:{behind}))", plain)
    another = rf"[\s,;./&+|(-]*(?:(?:(?:and|or|maybe|perhaps|also)\b|{number})[\s,]*){{0,3}}(?:{either})\b"
    if found is None or re.match(another, plain[found.end() :]):
        return None
    return {form.replace(" ", "").replace("-", ""): one for form, one in forms.items()}[re.sub("[ -]", "", found["one"])]


def _items(text: str) -> list[str]:
    """A list as JSON, as Python, with other words around it, as objects that each hold one item, a line each, or between commas."""
    inner = ("\n".join(_blocks(text)) or text).strip()
    if start := re.match(r"(?:[^\[\](){}\n]{0,60}:\s{0,9})?[*_`]{0,3}(?=[\[({])", inner):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(inner[start.end() :].rstrip(" *_`."))
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, dict):  # by number, or inside an object that names the list
                found = next((one for one in found.values() if isinstance(one, list)), [*found.values()])
            if isinstance(found, list | tuple):
                return [_text(_inner(one)) for one in found]
    lines = [line for line in inner.removeprefix("[").removesuffix("]").splitlines() if line.strip()]
    parts = lines if len(lines) > 1 else re.split(r",\s+|;\s*", lines[0]) if lines else []
    return [re.sub(r"^\s*(?:[-*+•]\s+)?(?:\(?\d{1,3}[.):]{1,2}\s+)?", "", one).strip().rstrip(",").strip("'\"`* ") for one in parts]


def _inner(one: Any) -> Any:
    """The answer of an object that holds a question or its number beside it; another object is itself an answer."""
    keys = {str(key).lower(): value for key, value in one.items()} if isinstance(one, dict) else {}
    for name, beside in (("answer", {"id"}), ("id", {"reason", "why"})):
        if name in keys and keys.keys() != {"answer"} and keys.keys() <= {name, "question", "number", "no", "nr", "index", *beside}:
            return keys[name]
    return one
