"""Reads which option a response chose, and the verdict of tasks whose answer is one of several labelled options.

The first of these that names exactly one option gives the answer:
1. The last claim: "the answer is B", "Answer: (B)", "**B** is correct", "closest to B", "I choose C", "\\boxed{A}", "#### A", and the same
   with the option's own words in place of its letter. A claim that is taken back ("C is not correct") does not count. A sentence that
   claims several ("A and C") says nothing, unless an option has these very words. Of the wrong or the second best one a claim counts alone.
2. A line that begins with a label ("B. ...", "(B)", "**B**", a lone "b"): the first line, the last when it is a lone label, or the only
   label that leads a line. All options, said over, are not a choice.
3. The only label that stands before its own words, in brackets ("a liverwort (B)"), or at the end ("so, C."); else "B is correct" among the
   explanations.
4. An option's words: quoted, or the only ones in the last or the first sentence, where they are not denied.

A JSON object is read by its answer's field. Labels count in any case, in full width, in circles and brackets, as a Cyrillic or Greek letter
that looks alike, and behind the word for "answer" of many languages. What chooses several options is unread, with that reason.

A label wins over words that stand behind it ("A. <words of C>" is A: the letter is what was asked for). "None of the options" takes an
earlier claim back, unless an option says so itself. It does not cover options in pictures, nor ranks or several right options.
"""

import html
import re
from collections.abc import Collection
from functools import lru_cache

from ...signatures.records import SEVERAL, Example, Message, Verdict
from ..base import ended, scored
from . import structured
from .fold import ANSWER, IS, NOT, UNSPACED, signs

Choices = dict[str, str]
"""{label: text}, in the order in which they are shown; labels are A, B, ... or 1, 2, ..."""

_WRAPPED = re.compile(
    r"\\(?:text\w{0,2}|math(?:rm|bf|sf|it|bb|cal)|boldsymbol|bf|rm|[mf]box|operatorname|underline|emph)\s?\{([^{}\n]{0,200})\}"
)
_MARKUP = re.compile(
    r"\*\*|__|(?<!\w)_(?=[^\W_]{1,12}_(?!\w))|(?<=[^\W_])_(?!\w)|`"
    r"|~~[^~\n]{1,200}~~|\[[xX ]\]|\\(?:bf|rm|it|sf|displaystyle)\b|\\[()\[\]]|\\(?=\.)|\$(?!\d)"
    r"|</?[A-Za-z]\w{0,15}(?:\s[^<>\n]{0,200})?/?>"
)
_SQUARES = {0x1F150: 26, 0x1F170: 26, 0x1F1E6: 26}
"""Where letters in circles and squares begin that have no plain form in Unicode."""
_LETTERS: dict[int, str | None] = {start + place: letter for start in _SQUARES for place, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_LETTERS |= dict.fromkeys(map(ord, "【「『《〈⟨⟦〔❨«［｛（"), "(") | dict.fromkeys(map(ord, "】」』》〉⟩⟧〕❩»］｝）"), ")")
_LETTERS |= {ord("。"): ". ", ord("、"): ", ", ord("।"): ". "}
_PICTURES = re.compile("[\u2190-\u21ff\u2460-\u2bff\u20e3\U0001f000-\U0001faff]+")
_BOXED = re.compile(r"(?<![\w\\])[\[{(]{1,3} ?(\w{1,12}) ?[\]})]{1,3}")
_ARROW = re.compile("(?<=\\w)\\s?[→⇒➜➡⟶👉]\ufe0f?")
_TWINS = dict(zip("АВСЕНІЈКМОРЅТХΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABCEHIJKMOPSTXABEZHIKMNOPTX", strict=True))
"""Cyrillic and Greek letters -> the Latin ones that look alike."""
_LINKS = {"es", "ist", "est", "это", "é", "è", "la", "el", "le", "das", "die", "der", "to", "jest", "het", "is", "it", "s", "x", "so"}
_LINKS |= {"thus", "hence", "probably", "maybe", "perhaps", "definitely", "surely", "是", "번", "です", "입니다"}
"""Words beside which a label still stands alone."""
_HEDGE = re.compile(r"\b(?:i (?:think|guess|believe|suppose)|c'(?=est\b))")
_NOTHING = "-"
_MOST = 12_000
"""Characters that are read of a long response: a quarter at its begin, the rest at its end."""

_IS = r"\b(?:is|are|was|be|being|seems?\s+to\s+be|appears?\s+to\s+be|remains)\b(?!\s+not\b)"
_GOOD = (
    r"(?:correct|right|best|suitable|appropriate|likely|closest|nearest|plausible|reasonable|fitting|accurate|logical|probable|relevant"
    r"|applicable|consistent|favou?rable|preferred|final)"
)
_MARKER = re.compile(
    rf"""(?ix)
      \b(?:answer|choice|option|response|letter|solution|conclusion)\b
          (?:\s+(?!is\b|are\b|not\b)\(?[\w'/,-]+\)?){{0,12}}? (?:\s*[:=]|\s+{_IS}) \s*[:=]?
    | \bans\s*[:=]
    | \b{_GOOD}\s+(?:answer|choice|option|statement|one)\b (?:\s+(?!is\b|not\b)[\w'/,-]+){{0,12}}? (?:\s*[:=]|\s+{_IS}) \s*[:=]?
    | \b(?:the|my|final)\s+answer\s+(?=\(?[A-Z1-9]\b)
    | \b(?:I|we)\s+(?:(?:would|will)\s+)?(?:choose|chose|pick|select|go\s+with|say|answer(?:\s+with)?)\b \s*:?
    | \(answer\) | \bclosest\s+to\b | \bnot\s+\(?[A-Z]\)?,?\s+but(?:\s+rather)?\b | \bchange\s+(?:it|my\s+answer)\s+to\b
    | \\f?boxed\s*[{{(]? | \#\#\#\#
    """
)
_FILL = re.compile(
    r"(?i)(?:[\s:\"'({\[*.-]|\b(?:the|an?|most|likely|either|both|clearly|clear|obvious|simply|thus|therefore|indeed|probably|best|correct|suitable|final|that"
    r"|option|choice|answer|letter|statement)\b)*"
)
_TAKEN_BACK = re.compile(
    r"(?i)\s*[\"')]*\s*,?\s*(?:(?:is|are|was|would\s+be|can\s*be|does|do|could\s+be)\s*(?:not|n't)|cannot|can't"
    r"|is\s+(?:also\s+)?(?:incorrect|wrong))\b"
)
_NONE = re.compile(
    r"(?i)\b(?:none|neither)\s+of\s+(?:the|these|those)\s+(?:(?:given|provided|other|above|listed|available|answer)\s+)*"
    r"(?:options?|choices?|answers?|above)\b(?P<labels>[^.\n]{0,25})"
    r"|\b(?:answer|option)\s+is\s+not\s+(?:provided|listed|included|given|present|among|one\s+of)\b(?P<missing>)"
)
_LESSER = re.compile(
    r"(?i)\b(?:wrong|incorrect|false|worst|least|second|(?<!most )common)(?:[\s-]+(?!(?:the|my|our|is|so)\b)\w+){0,3}?[\s-]+"
    r"(?:answer|choice|option|response|letter|solution|conclusion|statement|one)\b"
)
_LIST = re.compile(r"(?i)\b(?:answers|(?:correct|right|true)\s+\w+s)\s+are\s*:?\s*\n")
_JOIN = re.compile(
    r"(?i)[\s.):\"'\]]*(?:,\s*(?:and|or)?|\b(?:and|or|und|oder|et|ou|y|o|e|en|of|i|lub|и|или|або|ve|veya|أو|או|या|và|hoặc|dan|atau|och|eller|og)\b"
    r"|[或和与及と]|または|또는|[&/;|+])\s*(?:either\s+|also\s+)?(?:option\s+|choice\s+|answer\s+)?"
)
_CLAUSE = re.compile(r"[,;!?\n]|\.(?:\s|$)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])|\n+")


def read(response: str, choices: Choices) -> str | None:
    """Label of the option that a response chose; None when it chose none, or several."""
    found = _read(response, choices)
    return found if found in choices else None


def _read(response: str, choices: Choices) -> str:
    """As `read`, but SEVERAL for several, and "" for none."""
    own = {_bare(label): label for label in choices}
    if len(own) < len(choices) or "" in own:
        own = {label: label for label in choices}
    known = {label: _option(choices[given], tuple(own)) for label, given in own.items()}
    said = structured.answers(response) or [response]
    found = {_Reader(_prepared(one, own), known).chosen() for one in said[:50]}
    label = found.pop() if len(found) == 1 else SEVERAL
    return own.get(label, label.removeprefix(_NOTHING))


def _bare(label: str) -> str:
    """`A` of a, (A), A. and [a]: what of a label is looked for."""
    bare = signs(label).strip(" \t()[]{}.:")
    return bare.upper() if len(bare) == 1 and len(bare.upper()) == 1 else bare


def _prepared(response: str, labels: Collection[str]) -> str:
    """A response or an option in one typography, without markup and pictures."""
    text = response if len(response) <= _MOST else f"{response[: _MOST // 4]}\n{response[-3 * _MOST // 4 :]}"
    text = html.unescape(text) if "&" in text else text
    if re.search(r"[❌✗✘☐]|\[ \]", text):
        text = "\n".join(line for line in text.split("\n") if re.search(r"[✅✓✔☑]|\[[xX]\]", line)) or text
    if not text.isascii():
        text = signs(_ARROW.sub(" =", text).translate(_LETTERS))
        text = _PICTURES.sub(" ", text)
        text = re.sub(rf"(?<=[{UNSPACED}])(?=[A-Za-z0-9(])|(?<=[A-Za-z0-9)])(?=[{UNSPACED}])", " ", text)
    if not (text + "".join(labels)).isascii():
        twins = {one: other for pair in _TWINS.items() for one, other in (pair, pair[::-1]) if one not in labels and other in labels}
        text = re.sub(r"(?<![^\W\d_])[^\W\d_](?![^\W\d_])", lambda match: twins.get(match[0], match[0]), text)
        text = re.sub(rf"(?<=[是为為选選はが은는\s:])({'|'.join(map(re.escape, labels))})(?=で|だ|입|이|[.,]|\s|$)", r" \1 ", text)
    text = re.sub(r"(?m)(?<=\n)A:(?=\s*\(?\w{1,2}\b\)?[.\s]*$)", "Answer:", text) if re.match(r"\s*Q(?:uestion)?:", text) else text
    text = re.sub(r"<{1,2}(\w{1,12})>{1,2}", lambda tag: f"({tag[1]})" if tag[1] in labels and f"</{tag[1]}>" not in text else tag[0], text)
    text = re.sub(r"\}\s?\$?\s?(or|and|,)\s?\$?\s?\\boxed\s?\{", r" \1 ", text)
    text = _MARKUP.sub("", _WRAPPED.sub(r"\1", _WRAPPED.sub(r"\1", _BOXED.sub(r"(\1)", text))))
    # a model in a loop writes runs of blanks, on which the patterns would take quadratic time
    return re.sub(r"\n\s*\n", "\n\n", re.sub(r"[^\S\n]+", " ", text))


@lru_cache(1024)  # the rows of a program share options, and each row is read twice
def _option(words: str, labels: tuple[str, ...]) -> str:
    return _prepared(words, labels)


class _Patterns:
    """What options look like in a text."""

    def __init__(self, choices: Choices):
        self.choices = choices
        self._words = {label: _plain(words) for label, words in choices.items()}
        self._cases = {label.casefold(): label for label in choices}
        labels = "|".join(re.escape(label) if len(label) == 1 else f"(?i:{re.escape(label)})" for label in choices)
        # A label ends at punctuation or a space; "A+", "C-reactive", "D = 3", "A's" are not labels.
        self._label = re.compile(rf"\(?\s*(?<!\w)(?<!\w')(?P<label>{labels})(?![\w+^]|'\w|-\w|\s*[+*^=<>×])\)?")
        self._small = re.compile(rf"[(\[]?\s*(?P<label>(?i:{labels}))(?:[)\]]|\.?\s*$)", re.MULTILINE)
        self._lead = re.compile(rf"(?:(?:option|choice|answer)\s+)?[(\[]?(?P<label>{labels})(?:\s*[).:\]-]|\s*$|,\s)", re.IGNORECASE)
        self._end = re.compile(
            r"(?:^|\b(?:it's|it\s+is|so|hence|thus|therefore|with|to|be|choose|pick|say|ans(?:wer)?|option|choice|letter)\b|[,:>-])"
            rf"[\s:,'\"(\[-]*(?P<label>{labels})[\s'\")\].!]*$",
            re.IGNORECASE,
        )
        option = r"(?:option|choice|answer|statement|situation|scenario)"
        self._praise = re.compile(
            rf"(?<![\w'])(?:(?P<noun>{option})\s+\(?)?(?P<open>\()?(?P<label>{labels})(?![\w'])(?P<close>\))?[\"']?(?P<words>[.):,]?[^.\n;]{{0,200}}?)"
            rf"\s*,?\s*(?:\b(?:would|could|should|might)\s+be|\b(?:is|are|seems?\s+to\s+be|appears?\s+to\s+be|remains))\s+"
            rf"(?:(?:therefore|thus|indeed|likely|clearly|also|probably)\s+)*"
            rf"(?:(?:the|a)\s+(?:(?:more|most|only|single|one)\s+)*{_GOOD}(?:\s+\w+)?\s+(?:answer|choice|option|one|statement|response)"
            rf"|(?:the|my)\s+(?:answer\b|only\s+(?:one|option|answer)|(?:correct|right|best)\s*(?:[.,;\n]|$))"
            rf"|(?P<bare>(?:most\s+)?(?:correct|right)\s*(?:[.;\n]|$|because|since|as\b)))",
            re.IGNORECASE,
        )

    def _known(self, label: str) -> str:
        return self._cases[label.casefold()]

    def _sure(self, label: str) -> bool:
        """Whether a label is written as it was shown; of a word the case does not count."""
        return label in self.choices or len(label) > 1

    @staticmethod
    def _is_article(label: str, after: str) -> bool:
        """Whether "A" or "I" is an English word here: a word in lower case follows that does not go on after a choice."""
        if label not in ("A", "I") or not re.match(r"\s+[a-z]", after):
            return False
        return not re.match(r"\s+(?:because|since|as|is|for|due|with|which|and|or|but|in|on|by)\b", after)


class _Reader(_Patterns):
    """One response. The readers give a label, SEVERAL, _NOTHING for none on purpose, or "" where nothing is said."""

    def __init__(self, text: str, choices: Choices):
        super().__init__(choices)
        self.text = text

    def chosen(self) -> str:
        words = set(re.findall(r"\w+", _HEDGE.sub(" ", self.text.casefold()))) if len(self.text) < 200 else set()
        alone = words & self._cases.keys()
        if alone and words <= self._cases.keys() | _LINKS:
            return SEVERAL if len(alone) > 1 else self._known(alone.pop())
        return self.claimed() or self.led() or self.pointed() or self.worded()

    def claimed(self) -> str:
        """The last claim; one of the wrong or the second best option, which may be what is asked for, where there is no other."""
        found = [(match.end(), self._behind(match.end())) for match in _MARKER.finditer(self.text) if not self._described(match)]
        found += self._stated() + self._praised(bare=False) + self._refused() + self._listed() + self._translated()
        last = sorted((not _LESSER.search(_CLAUSE.split(self.text[max(0, at - 80) : at])[-1]), at, label) for at, label in found)
        return next((label for _, _, label in reversed(last) if label), "")

    def _behind(self, at: int) -> str:
        """What stands behind a claim's marker: a label, an option's words, SEVERAL for several, "" for neither."""
        rest = self.text[at : at + 700]
        for start in dict.fromkeys((0, len(rest) - len(rest.lstrip(" \n\t:\"'([{")), _FILL.match(rest).end())):  # type: ignore[union-attr]
            tail = rest[start:]
            match = self._label.match(tail) or self._small.match(tail)
            if match and not self._is_article(match["label"], tail[match.end() :]):
                label = self._known(match["label"])
                if self._joined(label, tail[match.end() :]):
                    return self._begun(tail) or SEVERAL
                if _TAKEN_BACK.match(tail[match.end() :]):
                    return ""
                return label
            if begun := self._begun(tail):
                return begun
        return ""

    def _described(self, marker: re.Match[str]) -> bool:
        """Whether a marker names an option and its own words follow: "option A is Paris" says what A is, not that it is right."""
        named = re.fullmatch(r"(?i)(?:option|choice|answer|letter)\s+\(?(\w+)\)?\s+(?:is|was)\s*", marker[0])
        label = named and self._cases.get(named[1].casefold())
        return bool(label) and self._begun(self.text[marker.end() : marker.end() + 700]) == label

    def _joined(self, label: str, after: str) -> bool:
        """Whether another label is joined to this one: "A and C", "A. <words>\nor\nC."."""
        body = after.lstrip(" \t.):,-\"'")
        words = self.choices[label].strip()
        if words and body.lower().startswith(words.lower()):
            after = body[len(words) :]
        join = _JOIN.match(after)
        other = join and self._label.match(after, join.end())
        return bool(other and self._known(other["label"]) != label and not self._is_article(other["label"], after[other.end() :]))

    def _listed(self) -> list[tuple[int, str]]:
        """Several options, listed one a line behind "the correct answers are:"."""
        found = []
        for match in _LIST.finditer(self.text):
            labels = set()
            end = match.end()
            for line in self.text[match.end() :].split("\n"):
                lead = self._lead.match(line.strip())
                if not lead and line.strip():
                    break
                labels |= {lead["label"]} if lead else set()
                end += len(line) + 1
            if len(labels) > 1:
                found.append((end, SEVERAL))
        return found

    def _translated(self) -> list[tuple[int, str]]:
        """Claims around a word for "answer" in another language: the first label behind it in its sentence, or the only one before it."""
        found = []
        for match in ANSWER.finditer(self.text):
            before = _CLAUSE.split(self.text[max(0, match.start() - 80) : match.start()])[-1]
            rest = self.text[match.end() : match.end() + 160].lstrip(" :=\n-")
            clause = _CLAUSE.split(rest)[0]
            first = {self._known(one["label"]) for one in self._label.finditer(before)}
            link = IS.match(self.text, match.end())
            small = self._small.match(self.text[link.end() : link.end() + 20]) if link else self._small.match(rest)
            sentence = clause if first else re.split(r"[;!?\n]|\.(?:\s|$)", rest)[0]
            label = small or self._label.search(sentence)
            if label:
                name, tail = self._known(label["label"]), rest[label.end() :]
                if not NOT.search(rest[: label.start()]) and not NOT.match(tail.lstrip(" ,")):
                    found.append((match.end(), SEVERAL if self._joined(name, tail) else name))
            elif (named := first or self._named(clause)) and not NOT.search(before + clause):
                found.append((match.end(), named.pop() if len(named) == 1 else SEVERAL))
        return found

    def _stated(self) -> list[tuple[int, str]]:
        """Claims without a marker: "... is B. <the words of B>", "... would be (C)."."""
        found = []
        link = rf"(?:{_IS}|\b(?:was|were|to|with|as|of|about|approximately)\b)\s*:?\s*(?:likely\s+|option\s+)?"
        for match in re.finditer(link, self.text):
            tail = self.text[match.end() : match.end() + 700]
            label = self._label.match(tail)
            if label and not self._joined(self._known(label["label"]), tail[label.end() :]):
                after = tail[label.end() :]
                own = self._owns(self._known(label["label"]), after)
                closed = match[0].split()[0].lower() in ("is", "be") and re.match(r"\s*(?:[.:]|\)\.|,\s+not\b)(?:\s|$)", after)
                if own or closed:
                    found.append((match.end(), self._known(label["label"])))
        return found

    def _praised(self, bare: bool) -> list[tuple[int, str]]:
        """Claims whose label comes first: "B is the correct answer"; `bare` ones say less: "B is correct"."""
        found = []
        for match in self._praise.finditer(self.text) if re.search(r"(?i)\b(?:is|are|be|seems?|appears?|remains)\b", self.text) else ():
            if bool(match["bare"]) != bare:
                continue
            label, words = self._known(match["label"]), match["words"]
            if not self._sure(match["label"]) or re.search(r"(?i)\bnot\b|n't\b|\bincorrect|\bnone\b|\bif\b|\bwhether\b|\bbut\b", words):
                continue
            if not match["noun"] and not match["open"] and self._is_article(label, words):
                continue
            if any(self._known(other["label"]) != label for other in self._label.finditer(words)):
                found.append((match.end(), SEVERAL if re.match(r"\s*(?:,|and|or)\b", words) else ""))
                continue
            before = re.search(r"(?<![\w'])(\w)\)?,?\s*(?:and|or)\s+$", self.text[max(0, match.start() - 12) : match.start()])
            found.append((match.end(), SEVERAL if before and before[1] in self.choices else label))
        return found

    def _refused(self) -> list[tuple[int, str]]:
        """The words "none of the options is correct", unless an option says so or it speaks of some of the options alone."""
        found = []
        for match in _NONE.finditer(self.text):
            named = {self._known(label["label"]) for label in self._label.finditer(match["labels"] or "")}
            plain = _plain(match[0])
            option = any(words and words in plain for words in self._words.values())
            if not option and (not named or len(named) == len(self.choices)):
                found.append((match.end(), _NOTHING))
        return found

    def led(self) -> str:
        """The label that leads the first line; else the only label that leads any line, or the last line's lone label."""
        lines = [line.strip(" \t\"'*#>|·-") for line in self.text.split("\n") if line.strip()]
        found = []
        for line in lines:
            match = self._lead.match(line) or self._small.fullmatch(line)
            # a label in lower case stands alone or in brackets
            if match and (self._sure(match["label"]) or match.start("label") > 2 or self._small.fullmatch(line)):
                label = self._known(match["label"])
                found.append(SEVERAL if self._joined(label, line[match.end("label") :]) else label)
            else:
                found.append("")
        distinct = set(found) - {""}
        if [label for label in found if label] == list(self.choices):
            return _NOTHING  # the options, said over
        if found and found[0]:
            return SEVERAL if all(found) and len(distinct) > 1 else found[0]
        if found and found[-1] and len(lines[-1]) <= 4:
            return found[-1]
        return distinct.pop() if len(distinct) == 1 else ""

    def pointed(self) -> str:
        """The only label that stands before its own words ("statement D. <words> is false"), the only one in brackets, one that the text
        ends in ("so, C."), or the last "B is correct"."""
        every = [(self._known(match["label"]), match) for match in self._label.finditer(self.text)]
        own = {label for label, match in every if self._owns(label, self.text[match.end() : match.end() + 700])}
        bracketed = {label for label, match in every if match[0].startswith("(") and match[0].endswith(")")}
        for found in (own, bracketed):
            if len(found) == 1:
                return found.pop()
        last = _SENTENCE.split(self.text.strip())[-1]
        end = self._end.search(last[-200:])
        if end and self._sure(end["label"]) and len(self._label.findall(last)) == 1:
            return self._known(end["label"])
        return next((label for _, label in sorted(self._praised(bare=True), reverse=True) if label), "")

    def _owns(self, label: str, after: str) -> bool:
        """Whether a label's own words stand behind it, set off ("A moss" is not a label), and are not merely possible."""
        words = self._words[label]
        if not words or not re.match(r"\s*[.):,;\"'(\]-]|\s*\n", after):
            return False
        plain = _plain(after[: 2 * len(self.choices[label]) + 60])
        return plain.startswith(words) and re.match(r"(?!\S)(?! (?:could|may|might)\b)", plain[len(words) :]) is not None

    def _begun(self, tail: str) -> str:
        """The option whose words a text begins with, the longest; "": it begins with no option."""
        plain = _plain(tail[:600])
        fits = [(len(words), label) for label, words in self._words.items() if words and f"{plain} ".startswith(f"{words} ")]
        return max(fits)[1] if fits else ""

    def worded(self) -> str:
        """The option whose words are quoted, or stand alone in the last or the first sentence."""
        whole = _plain(self.text)
        if len(only := [label for label, words in self._words.items() if words and words == whole]) == 1:
            return only[0]
        pieces = {_plain(piece) for piece in re.findall(r'"([^"\n]{1,300})"', self.text)}
        quoted = {label for label, words in self._words.items() if words in pieces}
        if len(quoted) == 1:
            return quoted.pop()
        sentences = [sentence for sentence in _SENTENCE.split(self.text.strip()) if sentence.strip()]
        first = sentences[:1] if len(sentences) > 1 and not sentences[0].rstrip().endswith("?") else []  # "Paris? No, Rome."
        for sentence in (*sentences[-1:], *first):
            if len(named := self._named(sentence)) == 1:
                return named.pop()
        return ""

    def _named(self, sentence: str) -> set[str]:
        """Options whose words a sentence holds and does not deny; words inside another option's count for the longer alone."""
        sentence = re.sub(r"(?i)\bno,\s", "", sentence)  # "No, Rome"
        plain = _plain(re.split(r"(?i)\b(?:rather than|instead of|as opposed to|unlike|while|whereas|although)\b", sentence)[0])
        if len(plain.split()) > 60:
            return set()
        spans = [
            (match.start(), match.end(), label)
            for label, words in self._words.items()
            if words and words in plain  # else nothing is compiled
            for match in re.finditer(rf"(?<!\S){re.escape(words)}(?!\S)", plain)
            if not _in_sum(plain, match.start(), match.end())
        ]
        whole = [a for a in spans if not any(b[0] <= a[0] and a[1] <= b[1] and b[1] - b[0] > a[1] - a[0] for b in spans)]
        denied = re.compile(r"(?:\b(?:not|never|neither|than|no|rather|without)|n't)(?: \w+){0,3} $")
        after = re.compile(
            r" (?:\w+ )?(?:is|are|was|were|would|does|do|can|could) (?:\w+ )?(?:not|n't|incorrect|wrong|excluded|out|eliminated)\b"
            r"| (?:is|are)n't\b"
        )
        return {label for start, end, label in whole if not denied.search(plain[:start]) and not after.match(plain[end:])}


def _in_sum(plain: str, start: int, end: int) -> bool:
    """Whether a number in a text is an operand, or one that the text does not end in: only "... is 12" gives an answer."""
    if not re.fullmatch(r"[\d.,$%-]+", plain[start:end]):
        return False
    given = re.search(r"(?:\b(?:is|be|was|equals?|of|to|approximately|about)|=) $", plain[:start])
    return not given or re.match(r" [-+*/=^×<>]", plain[end:]) is not None


def _plain(text: str) -> str:
    """Lower case, single spaces, without quotes, commas and closing punctuation; numbers keep their points."""
    text = re.sub(r"[\"'`,;:!?()\[\]{}]|\.(?=\s|$)", " ", text.lower())
    return " ".join(text.split())


def verdict(choices: Choices, gold: str, response: str) -> Verdict:
    """`right`, `wrong`, `no answer` or `several answers`; unjudged when the gold is not one of the labels."""
    found = _read(response, choices)
    given = found if found in choices else None
    if gold not in choices:
        return Verdict(correct=None, extracted=given, reason=f"the gold answer {gold!r} is not one of the options {', '.join(choices)}")
    if found == SEVERAL:
        return Verdict(correct=False, extracted=None, reason=SEVERAL)
    return scored(given == gold, given)


def judged(example: Example, response: str) -> Verdict:
    return verdict(example.meta["choices"], example.answer, response)


def question(text: str, choices: Choices) -> str:
    """The question with its options, one a line."""
    return "\n".join([text.strip(), *(f"{label}. {words}" for label, words in choices.items())])


def stem(shown: str, choices: Choices) -> str:
    """A question as `question` makes it, without its options."""
    return shown.removesuffix(question("", choices)).rstrip()


def prompt(example: Example) -> list[Message]:
    """One user message: the question with its options, and the answer form."""
    ask = 'Think it through; end with the line "Answer: " and the letter of the one right option.'
    return [{"role": "user", "content": f"{example.question}\n{ask}"}]


def completion(solution: str, answer: str) -> str:
    """The reasoning, and "Answer: B" as its last line."""
    return ended(solution, f"Answer: {answer}")
