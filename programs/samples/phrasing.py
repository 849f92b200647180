"""How a question is phrased: its words for asking and its sentences, with everything else masked.

Two questions are phrased the same way when they differ in names, things, numbers, verbs and small words alone, so that one text with slots
counts once whatever stands in the slots ("1 pen", "2 red pens and a box of chalk"). Not covered: other verbs in the same sentences, which
are another wording too, but cannot be told from drawn ones; words for asking of languages that are not in _ASKING.
"""

import re
from collections import Counter
from collections.abc import Iterable

from .kind import likeness

COMMON = 0.02  # least share of the questions that a phrasing is used for; rarer ones are taken for slips of the masking
WORDED = 0.5  # least likeness of two texts that are worded the same way
_UNSPACED = "如果|多少|为什么|什么|因为|以后|之后|以前|哪|谁|几|いくつ|いくら|何|なぜ|もし|とき"
_ASKING = frozenset(
    [
        *("how", "what", "which", "who", "whom", "whose", "where", "when", "why", "many", "much", "do"),
        *("if", "then", "than", "because", "while", "before", "after"),
        *("wie", "viel", "viele", "welche", "welcher", "welches", "wer", "wo", "wann", "warum", "wenn", "weil", "bevor", "nachdem"),
        *("combien", "quel", "quelle", "quels", "quelles", "qui", "où", "quand", "pourquoi", "si", "après", "avant", "hoeveel", "als"),
        *("qué", "cuál", "quién", "dónde", "cuándo", "cuánto", "cuántos", "cuánta", "cuántas", "cómo", "porque", "después", "antes"),
        *("quanto", "quanti", "quante", "quanta", "quantos", "quantas", "quale", "qual", "chi", "dove", "quando", "se", "dopo", "depois"),
        *("сколько", "какой", "какая", "какое", "кто", "где", "когда", "почему", "если", "после"),
        *_UNSPACED.split("|"),
    ]
)
_ENDS = str.maketrans({"。": ". ", "？": "? ", "！": "! ", "：": ": ", "؟": "? ", "।": ". "})
_DO = {"does": "do", "did": "do", "whats": "what", "what's": "what"}
_CODE = re.compile(
    r"^[ \t]*>>> .*\n.*$|^[ \t]*(?:async +)?(?:def|class) .*?:(?=\s*(?:$|\"\"\"|'''))|^(?:from \S+ )?import .*$"
    r"|\bIt must pass these tests:[\s\S]*",
    re.MULTILINE,
)
"""What a question that asks for a function has beside words: heads of definitions, and the examples that the host shows."""
_SHORTENED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|[ap]\.m)\.")


def phrasing(question: str) -> str:
    """The masked question: `_` for any run of other words, and how each sentence ends."""
    text = re.sub(rf"({_UNSPACED})", r" \1 ", _SHORTENED.sub("_", _CODE.sub("", question)).translate(_ENDS).lower())
    words = re.findall(r"[.?!:]+(?=[\s\"']|$)|\w[\w']*", text)
    said: list[str] = []
    for word in words:
        word = _DO.get(word, word)
        kept = word if word in _ASKING else "_" if word[0] not in ".?!:" else "?" if "?" in word else word[-1].replace("!", ".")
        if kept != "_" or said[-1:] != ["_"]:
            said.append(kept)
    return " ".join(said)


def phrasings(questions: Iterable[str]) -> Counter[str]:
    """How many of the questions are phrased in each way, without the ways that are rare."""
    found = Counter(map(phrasing, questions))
    return Counter({way: count for way, count in found.items() if count >= COMMON * found.total()})


def foreign(question: str) -> bool:
    """Whether a question is in another language than English and has no word for asking that is known here."""
    return re.search(r"[^\W\d_a-z]", question.lower()) is not None and _ASKING.isdisjoint(phrasing(question).split())


def wordings(texts: Iterable[str], most: int) -> int:
    """In how many ways texts are worded that ask nothing, at most `most`: each way shares less than half of its words, in their order,
    with each other. Not covered: scripts without blanks, where a sentence is one word."""
    found: list[str] = []
    for text in dict.fromkeys(texts):
        if len(found) < most and all(likeness(text, other) < WORDED for other in found):
            found.append(text)
    return len(found)
