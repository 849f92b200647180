"""Other ways to ask the same: what a program of the embedded instructor may write in place of the error's own wording.

A text is rewritten without being understood, so only what keeps it true is done: plain verbs for others where the words around them allow
it, the question first, a sentence about two people in the other order, a lead-in, an idle fact (true everywhere; one of them with a number
that answers nothing). What a text has in braces stays as it is: drawn numbers stand there. Not covered: other names and things.
"""

import random
import re
from collections.abc import Sequence

COUNT = 7
"""Most phrasings of a program, the error's own among them; it is drawn twice as often as any other."""

_NUMBER = r"(?:\{\w+\}|\d[\d.,]*\d|\d)"
_PRICE = rf"\${_NUMBER}"
_AMOUNT = rf"\$?{_NUMBER}"
_GIVEN = rf"{_AMOUNT} [a-z]+ to [A-Z]|[A-Z][a-z]+ {_AMOUNT} [a-z]+\b(?! (?:more|fewer|less))"
_ENDS = r"(?=[?.,;]|$)"
_REWORDED: tuple[tuple[str, str], ...] = (
    (r"\bbuys\b", "purchases"),
    (r"\bbought\b", "purchased"),
    (r"\b(to|does|did|do|can|could|will|would|they|we|you) buy\b", r"\1 purchase"),
    (rf"\b(?:in all|in total){_ENDS}", "altogether"),
    (r"\bgets (?=\$)", "receives "),
    (r"\bgot (?=\$)", "received "),
    (rf"\bgives (?={_GIVEN})", "hands "),
    (rf"\bgave (?={_GIVEN})", "handed "),
    (rf"\bfinds (?={_AMOUNT})", "comes across "),
    (r"\bearns (?=\$)", "makes "),
    (r"\bearned (?=\$)", "made "),
    (rf"\bhas (?={_AMOUNT} [a-z])", "has got "),
    (r"\beach (?=(?:day|week|month|year|hour|morning|evening)\b)", "every "),
    (rf"({_AMOUNT}(?: [a-z]+)?) an? (day|week|month|year|hour|minute)\b", r"\1 per \2"),
    (r"\bshare (them|the rest)(?! )", r"split \1 evenly"),
    (rf"\bThey cost ({_AMOUNT}) each\.", r"Each of them costs \1."),
    (rf"\bfor ({_PRICE}) each\b", r"at \1 apiece"),
    (r"\bHow many ([a-z]+) altogether\?", r"What is the total number of \1?"),
    (r"\bHow many ([a-z]+) each\?", r"How many \1 does each one get?"),
    (r"\b(does|did|do) (\w+) have (?:left|remaining)\?", r"\1 \2 still have?"),
    (r" have now\?", " have in the end?"),
)
"""(pattern, what stands in its place): a sentence that fits stays a sentence and means the same."""
_COUNTED = (r"\bHow many (?!more\b|less\b|fewer\b)([a-z]+) (does|did|do|will|can) ", r"What number of \1 \2 ")

IDLE = (
    *("Snow is cold.", "Bees make honey.", "Fish live in water.", "The sun rises in the east.", "Wood floats on water."),
    *("Glass breaks easily.", "Grass is green.", "Ice melts when it is warm.", "Birds build nests.", "Iron is heavy."),
    *("Stars shine at night.", "Rain falls from clouds.", "Paper burns easily.", "Cats like to sleep.", "Feathers are light."),
    *("Rivers flow to the sea.", "Owls hunt at night.", "Wool keeps warm."),
)
_NUMBERED = ("A spider has 8 legs.", "A triangle has 3 sides.", "A chessboard has 64 squares.", "A guitar has 6 strings.")
_LEADS = ("Read this and work it out: ", "Here is a problem to solve: ", "Think it through step by step: ", "Try to solve this one: ")
_ASKS = ("Now answer this: ", "The question is this: ", "Find out: ", "Now say: ")
_OPENERS = r"(?:How|What|Which|Who|When|Where|If|In|On|At|By|After|For)\b"
_BEHIND = re.compile(r"(?:Then|So|But|However|And|Also|Now|Therefore|Afterwards?|After (?:that|this)|Instead|Finally|Later)\b")
_PRONOUNS = re.compile(r"(?i)\b(?:he|she|it|they|them|him|her|hers|his|their|theirs|its|this|that|these|those|each)\b")
_BARE = re.compile(r"(?i)\s*(?:calculate|compute|evaluate|solve|work out|what(?:'s| is))?:?\s*"), re.compile(r"\s*=?\s*[?.]?\s*")
_SUMS = (
    ("Work out ", "."),
    ("Find the value of ", "."),
    ("", " comes to which number?"),
    ("How much is ", "?"),
    ("Step by step, what does ", " give?"),
)
_FUNCTIONS = (
    ("Define {name}({source}), which has to ", ", and then ", "."),
    ("There is a list {source}. Make {name}({source}) that does this to it: ", "; ", "."),
    ("Do this with a list {source}: ", ", after that ", ". Call the function {name}({source})."),
    ("First ", ", next ", ": that is what {name}({source}) must do."),
)
_DOCUMENTED = (
    ("Take a list and ", ", and then ", "."),
    ("First ", ", next ", ". This is done to a list."),
    ("What is done to the list: ", "; ", "."),
)
_FACTS = ("Fill the gap: {gap}", "How does this end? {gap}", "Think of the town of {town}. {asked}", "{asked} One of these is right.")
_LEANS = re.compile(
    r"\b(?i:it|they|them|its|their|this|that|these|those)\b|\bHow many (?:are|were|is|was|do|does|did|will|can|have|remain)\b"
)
"""In a question: words that a sentence right before it would be taken for."""
_SHORTENED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|vs|No|oz|lb|ft|in)|\b[A-Za-z]\.[A-Za-z]|\b[A-Z])\.$")


def phrasings(text: str) -> list[str]:
    """Other texts that ask the same, three at least; the same ones at any time."""
    rng = random.Random(text)
    first, second, counted = (_apart(rng, facts, text) for facts in (IDLE[::2], IDLE[1::2], _NUMBERED))
    lead, ask = rng.choice(_LEADS), rng.choice(_ASKS)
    other = reworded(text.strip())
    if rng.random() < 0.5:
        other = re.sub(*_COUNTED, other)
    story, question = parted(text)
    said, asked = parted(other)
    if story and said:
        made = [
            f"{_swapped(said)} {asked}",
            _question_first(story, question),
            f"{first} {said} {asked}",
            f"{_swapped(story)} {ask}{_lower(question)}",
            f"{_question_first(said, asked)} {second}",
            f"{counted} {story} {question}" if _LEANS.search(question) else f"{story} {counted} {question}",
            f"{lead}{other}",
        ]
    else:
        last = f"{other} {second}" if other[-1] in ".?!" else f"{second} {counted} {other}"
        made = [f"{lead}{other}", f"{first} {other}", last, f"{counted} {lead}{text.strip()}", other]
    return [one for one in dict.fromkeys(made) if one != text][: COUNT - 1]


def sums(before: str, after: str) -> list[tuple[str, str]]:
    """Other words before and behind a sum; where those that stand there say more than that it is to be computed, they stay."""
    text = f"{before}{{sum}}{after}"
    if _BARE[0].fullmatch(before) and _BARE[1].fullmatch(after):
        return [words for words in _SUMS if words != (before, after)]
    return [(head, tail) for one in phrasings(text) for head, _, tail in [one.partition("{sum}")]]


def functions(own: tuple[str, str, str], question: str) -> list[tuple[str, str, str]]:
    """What may stand before, between and behind the steps that a function takes."""
    head, joint, end = own
    idle = random.Random(question).choice(IDLE)
    if head.startswith("def "):
        before = head[: head.index('"""') + 3]
        return [(before + first, then, f'{last}"""\n') for first, then, last in _DOCUMENTED]
    return [*_FUNCTIONS, (f"{idle} {head}", joint, end)]


def facts(question: str) -> list[str]:
    """Frames around a question about a town; {gap} is the fact with a gap in place of its value."""
    return [*_FACTS, f"{random.Random(question).choice(IDLE)} {{asked}}"]


def reworded(text: str) -> str:
    """The text with other plain words wherever one is known to fit."""
    for pattern, instead in _REWORDED:
        text = re.sub(pattern, instead, text)
    return text


def parted(text: str) -> tuple[str, str]:
    """A text of one paragraph as what is told and the one question at its end; two empty texts where it is not of that form."""
    text = text.strip()
    ends = [*re.finditer(r"(?<=[.!])\s+(?=[A-Z{$\d])", text)]
    if not ends or "\n" in text or text.count("?") != 1 or not text.endswith("?"):
        return "", ""
    story, question = text[: ends[-1].start()], text[ends[-1].end() :]
    return ("", "") if _SHORTENED.search(story) or _BEHIND.match(question) else (story, question)


def _lower(question: str) -> str:
    return question[0].lower() + question[1:] if re.match(_OPENERS, question) else question


def _question_first(story: str, question: str) -> str:
    """A question with a pronoun says first that what it speaks of comes later."""
    if _PRONOUNS.search(question):
        return f"We ask: {_lower(question)} Here are the facts: {story}"
    return f"{question} {story}"


def _swapped(story: str) -> str:
    """What is told of two people in the other order, where the one does not hang on the other in time."""
    compared = r"(?<!\S)(([A-Z][a-z]+) [^.?!]+\.) ((?!\2)[A-Z][a-z]+ [^.?!]+ (?:than|as) \2\.)"
    for found in re.finditer(compared, story):
        if not _PRONOUNS.search(found[0]):
            return f"{story[: found.start()]}{found[3]} {found[1]}{story[found.end() :]}"
    both = rf"(?<!\S)([A-Z][a-z]+ (\w+) {_AMOUNT} [a-z]+) and ([A-Z][a-z]+ \2 {_AMOUNT} [a-z]+)\."
    return re.sub(both, r"\3 and \1.", story, count=1)


def _apart(rng: random.Random, facts: Sequence[str], text: str) -> str:
    """A fact about nothing that the text speaks of."""
    words = {word[:4] for word in re.findall(r"[a-z]{3,}", text.lower())}
    clear = [fact for fact in facts if not words & {word[:4] for word in re.findall(r"[a-z]{3,}", fact.lower())} - {"the", "are", "has"}]
    return rng.choice(clear or facts)


def fields(own: str, others: Sequence[object]) -> dict[str, str]:
    """What the templates have for phrasings: `own` is code for the error's own, which stands alone where there are no others."""
    if not others:
        return dict.fromkeys(("phrasings", "drawn_phrasing", "phrasing"), "")
    table = "".join(f"    {one!r},\n" for one in others)
    return {
        "phrasings": f"\nPHRASINGS = (\n    {own},\n{table})",
        "drawn_phrasing": ', "phrasing": max(0, rng.randrange(-1, len(PHRASINGS)))',
        "phrasing": ", phrasing=0",
    }
