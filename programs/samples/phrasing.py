"""How a question is phrased: its words for asking and its sentences, with everything else masked.

Two questions are phrased the same way when they differ in names, things, numbers, verbs and small words alone, so that one text with slots
counts once whatever stands in the slots ("1 pen", "2 red pens and a box of chalk"). Not covered: other verbs in the same sentences, which
are another wording too, but cannot be told from drawn ones.
"""

import re
from collections import Counter
from collections.abc import Iterable

from .kind import likeness

COMMON = 0.02  # least share of the questions that a phrasing is used for; rarer ones are taken for slips of the masking
WORDED = 0.5  # least likeness of two texts that are worded the same way
_ASKING = frozenset(
    [
        *("how", "what", "which", "who", "whom", "whose", "where", "when", "why", "many", "much", "do"),
        *("if", "then", "than", "because", "while", "before", "after"),
    ]
)
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
    words = re.findall(r"[.?!:]+(?=[\s\"']|$)|\w[\w']*", _SHORTENED.sub("_", _CODE.sub("", question)).lower())
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


def wordings(texts: Iterable[str], most: int) -> int:
    """In how many ways texts are worded that ask nothing, at most `most`: each way shares less than half of its words, in their order,
    with each other. Not covered: scripts without blanks, where a sentence is one word."""
    found: list[str] = []
    for text in dict.fromkeys(texts):
        if len(found) < most and all(likeness(text, other) < WORDED for other in found):
            found.append(text)
    return len(found)
