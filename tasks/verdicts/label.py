"""Which of several labels a response gives: those of a classification, the same for all items.

The first of these that gives a label counts:
1. A JSON object's field for the answer, or the only value of it that is a label.
2. A first line that is a label and nothing else: what a model writes after it, a next text with its label say, is no answer.
3. The last claim, as in "Label: billing", "The category is **billing**", "I would classify it as billing", or "answer" in another language.
4. Other lines that are a label and nothing else, or begin with one and a colon, a dash or a bracket.
5. The only label in bold, in quotes or in code, else the only one that the text names.

Case, spaces, underscores and hyphens do not count, and a label that is part of another is not read where the other stands. A label that
is denied ("not billing", "billing is wrong") or asked about ("billing?") does not count. What gives several is unread, with that reason.
"4/5" is 4 where the labels are numbers and 5 is the largest, and "no idea" is not the label "no". It does not cover synonyms, inflected
labels, or items with several right labels.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ...signatures.records import SEVERAL
from . import structured
from .fold import ANSWER, IS, NOT, UNSPACED, folded, signs

_LETTER = rf"[^\W_{UNSPACED}]"
_MARKUP = re.compile(
    r"\\(?:text\w{0,2}|mathrm|mathbf|mbox)\s?\{([^{}\n]{0,200})\}|</?[A-Za-z][\w-]{0,30}/?>|\\[()\[\]]|[\u2190-\u21ff\u2600-\u27bf\U0001f000-\U0001faff\ufe0f]"
)
_CALLED = (
    r"(?:answer|label|category|class|classification|intent|topic|type|tag|sentiment|emotion|polarity|tone|language|department|queue|priority"
    r"|severity|decision|verdict|prediction|result|output|response)"
)
_CLAIM = re.compile(
    rf"""(?x)
      \b(?:{_CALLED}|[\w-]{{1,30}}[ _]{_CALLED})\b[*_`"']{{0,3}}\s{{0,4}}
        (?:[:=→]|[-=]>|\b(?:is|would\s+be|should\s+be|must\s+be)\b(?!\s+(?:not|n't)\b)(?:\s+most\s+likely)?\s{{0,3}}:?)
    | ^[ \t#*_]{{0,12}}(?:final\s|predicted\s)?{_CALLED}[ \t*_]{{0,8}}\n
    | \b(?:classif(?:y|ied)|categori[sz]ed?|label(?:l?ed)?|tag(?:ged)?|mark(?:ed)?)\b(?:\s+\w+){{0,3}}?\s+(?:as|with|under|:)
    | \b(?:falls?|belongs?|goes|fits?)\b(?:\s+\w+){{0,2}}?\s+(?:under|into|to|in|with)\b | \#\#\#\#\s | \\f?boxed\s?\{{
    """,
    re.MULTILINE,
)
"""What stands before the label that a response claims. Texts are without case here."""
_FILL = re.compile(r"(?:[\s:=\"'({\[*_`>.~]|-(?!\d)|\b(?:the|an?|is|most|likely|probably|clearly|category|label|class|topic)\b)*")
_JOINED = r"[\s\"'*`)\]}]*(?:[,;/&|+]|\b(?:and|or|und|oder|et|ou|y|o|e|и|или)\b|[和或])[\s\"'*`(\[{]*(?:and\s|or\s|also\s|/\s*)?\s*"
_DENIED = re.compile(
    rf"(?:{NOT.pattern.removeprefix('(?i)')}|n't\b|\b(?:rather than|instead of|neither|nor|cannot|without)\b)[^.,;:!?\n]{{0,25}}$"
)
_SURE = re.compile(r"\b(?:no|without(?: a| any)?) (?:doubt|question)\b|\bnot only\b|\bnot just\b")
_TAKEN_BACK = re.compile(
    r"[\"'*`)]*\s*(?:\?|(?:is|are|was|would be|does|do|can|could be)\s*(?:not\b|n't)|cannot\b|is (?:also )?(?:wrong|incorrect)\b"
    r"|(?:では|じゃ)(?:ない|ありません)|[은는이가]?\s?아니)"
)
_MARKED = re.compile(r"\*\*([^*\n]{1,200})\*\*|`([^`\n]{1,200})`|\"([^\"\n]{1,200})\"|(?<!\w)'([^'\n]{1,200})'(?!\w)")
_NO = (  # but where it says that something is not there
    r"(?<!\bhave )(?<!\b(?:has|had|see) )(?<!\bthere is )(?<!\bthere (?:are|was) )no"
    r"(?!\s+(?:idea|clue|info|information|way|evidence|mention|details?|context|data|indication|sign|proof|answer|reason|need|such|one|longer|more)\b)"
)
_LEAD = r"[\s\"'*`_)\]]*(?:[:.(]|\s-{1,2}\s|\n|$)"
_LONGEST = 400
"""Characters of the longest label."""
_MOST = 20_000
"""Characters that are read of a long response, its last ones."""


def plain(label: str) -> str:
    """What two labels are compared by: their words without case and without what joins them."""
    return "".join(_words(label))


def read(response: str, labels: Sequence[str]) -> str:
    """The label that a response gives; SEVERAL where it gives several, and "" where it gives none."""
    if len(response) <= _LONGEST and (same := [label for label in labels if folded(label) == folded(response)]):
        return same[0]
    reader = _reader(tuple(labels))
    held = _one([label for value in _values(response) if (label := reader.only(_prepared(value)))])
    if held and held != SEVERAL:
        return held
    if (fields := structured.answers(response)) is not None:
        return _one([label for value in fields[:50] if (label := reader.text(_prepared(value)))])
    return held or reader.text(_prepared(response[-_MOST:]))


def _one(found: Sequence[str]) -> str:
    """The one label that was found, SEVERAL for several, and "" for none."""
    different = list(dict.fromkeys(found))
    return different[0] if len(different) == 1 else SEVERAL if different else ""


def _words(label: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", signs(label))
    return [folded(word) for word in re.split(r"[\s_/]+|(?<=\w)-(?=\w)", apart) if word] or [folded(label)]


def _prepared(text: str) -> str:
    """The text in one typography, without case and most markup."""
    dashed = re.sub("[–—―]", " - ", text)
    text = signs(re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", _MARKUP.sub(lambda found: f" {found[1] or ''} ", dashed)))
    return _SURE.sub(" ", text.casefold().replace("i\u0307", "i"))


def _values(response: str) -> list[str]:
    """The texts that a JSON object or list of its own holds."""
    body = re.sub(r"```(?:json5?)?", "", response).strip()
    if not re.match(r"[\[{]", body) or len(body) > _MOST:
        return []
    try:
        value = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        return []
    return [one for one in (value.values() if isinstance(value, dict) else value) if isinstance(one, str)]


@lru_cache(maxsize=16)
def _reader(labels: tuple[str, ...]) -> "_Reader":
    return _Reader(labels)


class _Reader:
    """Finds labels in texts that are prepared."""

    def __init__(self, labels: tuple[str, ...]):
        self._labels = labels
        # the longest first, so that a label is not found inside another
        forms = sorted(((_form(label), place) for place, label in enumerate(labels)), key=lambda form: -len(form[0]))
        self._label = re.compile("|".join(f"(?P<label{place}>{form})" for form, place in forms))
        self._joined = re.compile(f"{_JOINED}(?:{self._label.pattern})")
        most = str(max(map(int, labels))) if len(labels) > 2 and all(map(str.isdecimal, labels)) else "(?!)"
        self._scale = re.compile(rf"(?<![\d/.,-])(\d+)\s{{0,3}}(?:/|\b(?:out\s+)?of\b)\s{{0,3}}{most}(?![\d/]|[.,]\d)")

    def text(self, text: str) -> str:
        text = self._scale.sub(r"\1", text)
        return self.only(text) or self._first(text) or self._claimed(text) or self._lines(text) or self._said(text)

    def only(self, text: str) -> str:
        """The label that a text is, but for signs around it and a mark of a list."""
        text = self._scale.sub(r"\1", text)
        bare = re.sub(r"^(?:(?!-\d)[\W_])*(?:\d{1,2}[.)]\s+(?=\D))?", "", text)
        for one in (text.strip(), bare):
            found = self._label.match(one)
            if found and not re.search(r"[^\W_]", one[found.end() :]):
                return self._name(found)
        return ""

    def _name(self, found: re.Match[str]) -> str:
        return self._labels[int(str(found.lastgroup).removeprefix("label"))]

    def _first(self, text: str) -> str:
        """The label that the first line is, before lines of words; SEVERAL where the lines behind it are others."""
        lines = [line.strip() for line in text.strip().split("\n")]
        if all(self.only(line) or not line for line in lines):
            return ""
        return _one(list(itertools.takewhile(bool, map(self.only, lines))))

    def _claimed(self, text: str) -> str:
        """The label of the last claim that has one."""
        ends = [found.end() for found in _CLAIM.finditer(text) if not re.match("wrong|incorrect|false|worst", found[0])]
        ends += [link.end() for found in ANSWER.finditer(text) if (link := IS.match(text, found.end()))]
        for end in sorted(ends, reverse=True)[:20]:
            start = _FILL.match(text, end).end()  # type: ignore[union-attr]
            if found := self._label.match(text, start):
                if self._joined.match(text, found.end()):
                    return SEVERAL
                if not _TAKEN_BACK.match(text, found.end()):
                    return self._name(found)
            said = re.split(r"\n|[.!?](?:\s|$)", text[start : start + 400], maxsplit=1)[0]
            if label := self._said(said):
                return label
        return ""

    def _lines(self, text: str) -> str:
        """The label that lines are or begin with."""
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        alone = [label for line in lines if (label := self.only(line))]
        if alone or not lines:
            return _one(alone)
        first = re.sub(r"^[\s*_`\"'#>([]+", "", lines[0])
        found = self._label.match(first)
        if found and re.match(_LEAD, first[found.end() :]) and not self.only(first[found.end() :]):
            return self._name(found)
        return ""

    def _said(self, text: str) -> str:
        """The only label that is marked or, where none is, the only one that is named."""
        named = list(self._mentions(text))
        spans = [found.span() for found in _MARKED.finditer(text)]
        marked = [label for label, start, end in named if any(first < start and end < last for first, last in spans)]
        return _one(marked) or _one([label for label, _, _ in named])

    def _mentions(self, text: str) -> Iterator[tuple[str, int, int]]:
        """The labels that are named and not denied, with their places."""
        denied = -40  # where a label ended that was denied
        for found in self._label.finditer(text):
            joined = denied > found.start() - 40 and re.fullmatch(_JOINED, text[denied : found.start()])
            before = re.split(r"\bbut\b|\brather\b(?! than)|\bsondern\b", text[max(0, found.start() - 60) : found.start()])[-1]
            if joined or _DENIED.search(before) or _TAKEN_BACK.match(text, found.end()):
                denied = found.end()
            else:
                yield self._name(found), found.start(), found.end()


def _form(label: str) -> str:
    """A pattern of a label: its words with anything between them that joins words, and no word that goes on."""
    words = _words(label)
    body = _NO if words == ["no"] else r"[\s_/-]{0,3}".join(map(re.escape, words))
    before = rf"(?<!{_LETTER})(?<!{_LETTER}[_-])(?<!\d[.,])" if re.match(_LETTER, words[0]) else ""
    before += "(?<!-)" if words[0][0].isdigit() else ""
    ends = rf"(?!{_LETTER}|[_-]{_LETTER}|\+\+|\#|[.,]\d|[\u0300-\u036f\u0900-\u0903\u093a-\u094f])"
    return before + body + (ends if re.match(_LETTER, words[-1][-1]) else "")
