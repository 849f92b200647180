"""What of a response is its answer: a thinking model's reasoning trace is set aside, and what is read of the rest is bounded.

A trace is what stands between two tags, or before a closing tag where the prompt held the opening one: `<think>`, `[THINK]`, `◁think▷`,
`<|begin_of_thought|>`, `<seed:think>`, in any case, with attributes, nested; also the channels of gpt-oss, with or without their special
tokens. A trace that is not closed leaves no answer. A tag in quotes, inside a line of code or named in a sentence ("the <think> tag") is
a word. Of the rest, `readable` is what a reader is given: the text inside the last `<answer>...</answer>`, if there is one, without the
tokens that begin and end a turn or the questions that it goes on to ask itself, and of a text of more than MOST characters its end.

It does not cover traces without tags ("Thought: ..."), nor which answer stands in the text (errata.tasks.verdicts).
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

Tag = str | tuple[str, str]
TAGS: tuple[Tag, ...] = ("think", "thinking", "thought", "thoughts", "reason", "reasoning", "rationale", "reflection")
TAGS += ("reflect", "scratchpad", "analysis", "deliberation", "plan", "planning", "monologue", "cot")
"""Words in the names of tags around a trace: `thought` stands for <thought>, <inner_thought> and <|begin_of_thought|> too."""
MOST = 100_000
"""Characters of an answer that are read; of a longer one the last."""
SHOWN = 600
"""Characters of each end of a trace that the instructor is shown."""

_OPEN, _CLOSE = r"(?:<[|｜]?|&lt;|＜|\[|◁)", r"(?:[|｜]?>|&gt;|＞|\]|▷)"
_TAG = (
    rf"(?P<bracket>{_OPEN})[ \t]{{0,4}}(?P<slash>\\?/|\\)?[ \t]{{0,4}}(?P<name>[A-Za-z][\w:▁-]{{1,40}})"
    rf"(?:\s[^<>\[\]=]{{0,60}}=[^<>\[\]]{{0,200}}?)?\s{{0,4}}(?P<empty>/)?\s{{0,4}}{_CLOSE}"
)
_TURN = r"(?:<\|end\|>)?(?:<\|start\|>\s{0,4}assistant)?<\|channel\|>\s{0,4}"
_HEADER = r"[^<\n]{0,100}(?:<\|constrain\|>\w{0,20})?<\|message\|>"
_SPECIAL = {
    "analysis": (
        rf"{_TURN}(?:analysis|commentary){_HEADER}|\A\s{{0,9}}analysis(?=[A-Z\d\"'(\\$])",
        rf"{_TURN}final{_HEADER}|assistantfinal",
    ),
    "thought": (
        r"<\|channel>\s{0,4}thought\b|<unused94>\s{0,4}thought\b|Here(?:'s| is) my thought process:",
        r"<channel\|>|<unused95>|Here(?:'s| is) my response:",
    ),
    "think": (r"<\|im_start\|>\s{0,4}think\b", r"<\|im_start\|>\s{0,4}answer\b"),
    "reasoning": (r"(?!)", r"\[BEGIN FINAL RESPONSE\]"),
}
"""Tag -> patterns of further opening and closing tags of models: gpt-oss, Gemma 4, MedGemma and Granite, s1, Apriel."""
_TAGS = re.compile(_TAG)
_SIDES = {"begin", "start", "end", "of"}
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*$", re.MULTILINE)
_NAMED = re.compile(r"[ -]{0,2}(?:(?i:tags?|tokens?|blocks?|elements?|markers?|sections?|and|or)\b|标签|标记|タグ|태그)|[ ]?[,/]")
"""What follows a tag that is only spoken of."""
_COLUMN = re.compile(r"\s{0,9}(?:[,.;)=<>]|(?:(?i:from)|AS|IS|IN|AND|OR|LIKE|BETWEEN|ASC|DESC)\b)")  # behind one in a query

_ANSWERS = {"answer", "final", "solution", "box", "response", "output", "conclusion"}
_BEGINS = re.compile(
    r"(?:\s*(?:<\|\w{1,40}\|>|<｜[\w▁]{1,40}｜>|<(?:s|bos|start_of_turn)>|\[/?INST\])(?:\s*(?:assistant|model)(?=\s*(?:\n|<)))?)+"
)
_ENDS = re.compile(
    r"<\|\w{1,40}\|>|<｜[\w▁]{1,40}｜>|<(?:end_of_turn|eos|pad|EOT|turn\|)>|\[/?INST\]|\[END FINAL RESPONSE\]|</s>(?=\s*(?:\Z|<))"
)
_TOLD = r"(?!(?:as|below|by|find|first|found|given|here|in|let|to|we)\b)"  # how it is found is no answer
_SAID = re.compile(
    r"(?im)\A[^\w\n]{0,4}(?:[a-z](?:[.):][^\n]{0,80})?|[-$]{0,2}\d[\d.,]{0,20})[^\w\n]{0,4}$"
    r"|####[ ]?\S|\\boxed ?\{|^A:[ ]?\S|^[^\w\n]{0,6}(?:(?:the|my|so|final|correct) ){0,3}answer[*_]{0,3}\s?:[*_]{0,3}\s?"
    rf"{_TOLD}\S[^\n]{{0,60}}$|\banswer[*_]{{0,3}}\sis[*_:]{{0,4}}\s{_TOLD}(?:(?-i:[^a-z\s])|\S{{1,60}}(?:[ ]\S{{1,60}}){{0,2}}[ ]*$)"
)
_NEXT = re.compile(r"\n[*#_ \t]{0,6}(?:Question|Q|Problem|Human|User)[ ]?\d{0,4}[*_]{0,2}:(?=\s*\S)")
"""A short answer, and the next question of a model that goes on to ask and answer itself."""
_BESIDE = re.compile(r"(?i)[\s,;/&]*(?:or|and)?\s*")


class Parted(NamedTuple):
    """A response in its parts."""

    trace: str
    """What was thought; empty where nothing is marked as such."""
    answer: str
    closed: bool = True
    """False: the last trace has no end, so that the answer had not begun."""


class _Mark(NamedTuple):
    start: int
    end: int
    name: str
    """Which tag opens what this one closes."""
    side: str
    """`open`, `close`, or `empty` for <think/>."""


def checked(tags: Sequence[Tag]) -> None:
    """Raise ValueError for what is neither the name of a tag, a tag, nor a pair of texts."""
    for tag in tags:
        if not re.fullmatch(r"[^\W_]+", _word(tag)) if isinstance(tag, str) else not all(map(str.strip, tag)):
            raise ValueError(f"{tag!r} is neither a word such as think nor a pair [OPENING, CLOSING] of texts")


def parted(text: str, tags: Sequence[Tag] = TAGS) -> Parted:
    """The response in its parts. An answer beside which no trace stands keeps all its characters, another loses blank lines at its ends."""
    marks = list(_marks(text, tuple(tags)))
    last = {name: number for number, mark in enumerate(marks) if mark.side == "close" for name in (mark.name, "")}
    fences = _fences(text)
    trace: list[str] = []
    answer: list[str] = []
    at = number = 0
    while number < len(marks):
        mark = marks[number]
        code = _in_code(text, at, mark, fences)
        end = None if code else number if mark.side == "empty" else _end(marks, number, last)
        if end is None and (code or _spoken_of(text, mark)):
            number += 1
            continue
        before = text[at : mark.start]
        if end is None:
            return Parted(_joined([*trace, text[mark.end :]]), _joined([*answer, before]), closed=False)
        if mark.side == "close":  # the prompt held its opening tag
            trace += [*answer, before]
            answer = []
        else:
            answer.append(before)
            trace.append(text[mark.end : marks[end].start])
        at = marks[end].end
        number = end + 1
    return Parted(_joined(trace), _joined([*answer, text[at:]])) if at else Parted("", text)


def _joined(parts: Sequence[str]) -> str:
    return "\n".join(re.sub(r"\A(?:[ \t\r]*\n)+", "", part).rstrip() for part in parts if part.strip())


def _end(marks: Sequence[_Mark], first: int, last: dict[str, int]) -> int | None:
    """The number of the mark that ends the trace which the mark `first` opens: that of its own name which closes as many as were opened;
    else the last of its name, or of any name. Of a closing mark it is that mark."""
    name, depth = marks[first].name, 0
    for number in range(first, last.get(name, -1) + 1):
        if marks[number].name == name:
            depth += {"open": 1, "close": -1, "empty": 0}[marks[number].side]
            if depth <= 0:
                return number
    return last[""] if last.get("", -1) > first else None


@lru_cache(maxsize=8)
def _pattern(tags: tuple[Tag, ...]) -> tuple[re.Pattern[str], set[str]]:
    """All tags: pairs of the config first, then those of single models, then those with a name in brackets; and the words of the last."""
    pairs = [(number, map(re.escape, tag)) for number, tag in enumerate(tags) if not isinstance(tag, str)]
    special = [(number, _SPECIAL[tag]) for number, tag in enumerate(tags) if isinstance(tag, str) and tag in _SPECIAL]
    parts = [f"(?P<{side}{number}>{form})" for number, forms in (*pairs, *special) for side, form in zip("oc", forms, strict=True)]
    return re.compile("|".join([*parts, _TAG])), {_word(tag) for tag in tags if isinstance(tag, str)}


def _marks(text: str, tags: tuple[Tag, ...]) -> Iterator[_Mark]:
    pattern, words = _pattern(tags)
    for match in pattern.finditer(text) if tags else ():
        if match["name"] is None:
            group = str(match.lastgroup)
            yield _Mark(*match.span(), group[1:], "open" if group[0] == "o" else "close")
        elif words & {*(parts := _parts(match)), "".join(parts)} and not _quoted(text, match):
            side = "empty" if match["empty"] else "close" if _closes(match) else "open"
            yield _Mark(*match.span(), "_".join(part for part in parts if part not in _SIDES), side)


def _word(tag: str) -> str:
    """`think` of think and of <think>."""
    match = _TAGS.fullmatch(tag)
    return _parts(match)[-1] if match else tag.lower()


def _parts(match: re.Match[str]) -> list[str]:
    """The words of a tag's name: begin, of, thought; ant, thinking."""
    return [part.lower() for part in re.split(r"[_▁:-]|(?<=[a-z])(?=[A-Z])", match["name"])]


def _closes(match: re.Match[str]) -> bool:
    return bool(match["slash"]) or "end" in _parts(match)


def _quoted(text: str, match: re.Match[str]) -> bool:
    """Whether a tag stands in quotes or in code within a line, up to 200 characters to each side."""
    before = text[max(0, match.start() - 200) : match.start()].rpartition("\n")[2]
    after = text[match.end() : match.end() + 200].partition("\n")[0]
    if any(before.count(sign) % 2 and sign in after for sign in '"`'):
        return True
    begun = re.search(r"(?:^|[\s(\[{,=:/rfb])(['“‘«])$", before)
    return begun is not None and re.search("['”’»]", after) is not None


def _fences(text: str) -> list[int]:
    """Where the lines end that open or close a block of code."""
    return [match.end() for match in _FENCE.finditer(text)]


def _in_code(text: str, at: int, mark: _Mark, fences: Sequence[int]) -> bool:
    """Whether a tag behind `at` is a part of the code in a block: something stands before it there, on its line if it closes."""
    first, behind = bisect_left(fences, at), bisect_right(fences, mark.start)
    if (behind - first) % 2 == 0:
        return False
    start = max(fences[behind - 1], mark.start - 200)
    return bool((text[start : mark.start].rpartition("\n")[2] if mark.side == "close" else text[start : mark.start]).strip())


def _spoken_of(text: str, mark: _Mark) -> bool:
    """Whether an opening tag without an end is a word of a sentence, a sentence, or a heading or a column in square brackets."""
    before = text[max(0, mark.start - 40) : mark.start].rpartition("\n")[2]
    if text[mark.start] in "[H" and not text[mark.start : mark.end].isupper():
        return True
    if text[mark.start] == "[" and not mark.name.startswith("think") and (before.strip() or _COLUMN.match(text, mark.end)):
        return True
    return bool(before.strip()) and _NAMED.match(text, mark.end) is not None


def shown(response: str, answer: str) -> str:
    """A response as the instructor is shown it: the answer, behind the first and the last of its trace where it has one."""
    if answer == response:
        return response
    thought = response.removesuffix(answer).strip()
    ends = thought if len(thought) <= 2 * SHOWN else f"{thought[:SHOWN]}\n[...]\n{thought[-SHOWN:]}"
    return f"(its reasoning, which is not judged)\n{ends}\n(its answer)\n{answer or '(empty)'}"


# ---- what is read of an answer


def readable(answer: str, kind: str = "") -> str:
    """What a reader is given of an answer of a kind."""
    text = answer
    if re.search(r"[<＜\[]|&lt;", text):
        text = _unwrapped(text)
        if begun := _BEGINS.match(text):
            text = text[begun.end() :].lstrip("\r\n")
        first = len(text) - len(text.lstrip())
        ends = (match.start() for match in _ENDS.finditer(text, first + 1) if not _quoted(text, match))
        text = text[: next(ends, len(text))]
    if kind not in ("code", "prose") and (said := _SAID.search(text)) and (asked := _NEXT.search(text, said.end())):
        text = text[: asked.start()]
    return text[-MOST:]


def _unwrapped(text: str) -> str:
    """What the last <answer>...</answer> holds, where one holds anything; where another stands directly before it, what both hold."""
    marks = list(_wrappers(text))
    ends = [*(mark.start for mark in marks[1:]), len(text)]
    held = [number for number, mark in enumerate(marks) if mark.side == "open" and text[mark.end : ends[number]].strip()]
    if held:
        *_, before, number = (held[0], *held)
        one, other = (text[marks[this].end : ends[this]].strip("\n") for this in (before, number))
        beside = (
            number - before == 2
            and marks[number].name == marks[before].name
            and _BESIDE.fullmatch(text, marks[before + 1].end, marks[number].start)
        )
        return f"{one} or {other}" if beside and one.strip() != other.strip() else other
    starts = [0, *(mark.end for mark in marks)]
    return " ".join(text[start:end] for start, end in zip(starts, [*(mark.start for mark in marks), len(text)], strict=True))


def _wrappers(text: str) -> Iterator[_Mark]:
    """The tags around an answer; Promise<Response> is none, nor is [answer] without a [/answer]."""
    fences = _fences(text)
    for match in _TAGS.finditer(text):
        parts = _parts(match)
        if not _ANSWERS & set(parts) or parts == ["box"] or _quoted(text, match) or (match["bracket"] == "[" and "[/" not in text):
            continue
        mark = _Mark(*match.span(), parts[-1], "close" if _closes(match) else "open")
        if not _in_code(text, 0, mark, fences) and (mark.side == "close" or not text[mark.start - 1 : mark.start].isalnum()):
            yield mark
