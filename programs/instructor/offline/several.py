"""Several problems in one program: errors at once, and an error beside what the target solved.

A diagnosis of several errors names those of one kind, and their program holds the problem of each as a part. The program of an error beside
solved problems holds one of those as its easy levels. Errors are looked at one by one; what is shared is the skill that their chains ask
for. Not covered: one wording for all of them.
"""

import re
from collections import Counter
from collections.abc import Sequence

from ...samples.nest import nested

_ERROR = re.compile(
    r"^\d+\. id (?P<failure_id>\w+)\nQuestion: (?P<question>.*?)\nReference: (?P<reference>.*?)\nResponse: (?P<response>.*?)"
    r"(?=\n\n\d+\. id \w+\nQuestion: |\Z)",
    re.MULTILINE | re.DOTALL,
)
_PROGRAM = '''"""Practice for: {skill}. Problems of one kind: each part is the problem of one error, with its numbers drawn anew."""


{parts}


PARTS = [{calls}]
ANCHORS = {{name: {{"part": part, "own": own}} for part, each in enumerate(PARTS) for name, own in each["ANCHORS"].items()}}


def draw(rng, level):
    part = rng.randrange(len(PARTS))
    return {{"part": part, "own": PARTS[part]["draw"](rng, level)}}


def make(part, own):
    return PARTS[part]["make"](**own)
'''
_WRONG = """

def wrong(part, own):
    return PARTS[part]["wrong"](**own)
"""


_SIDES = '''"""Practice for: {skill}. Levels 1 and 2 are like a problem that was solved, 3 to 5 like the one that was not."""


{near}


{far}


NEAR, FAR = near(), far()
ANCHORS = {{name: {{"solved": False, "own": own}} for name, own in FAR["ANCHORS"].items()}}


def draw(rng, level):
    return {{"solved": level < 3, "own": (NEAR if level < 3 else FAR)["draw"](rng, level)}}


def make(solved, own):
    return (NEAR if solved else FAR)["make"](**own)
'''
_SIDES_WRONG = """

def wrong(solved, own):
    return None if solved else FAR["wrong"](**own)
"""


def solved(text: str) -> list[dict[str, str]]:
    """The solved neighbours of a request, each as an error would be whose reference is what the target answered."""
    found = re.finditer(r"Question: (.*?)\nResponse: (.*?)(?=\n\nQuestion: |\Z)", text, re.DOTALL)
    return [{"question": one[1], "reference": one[2], "response": "", "failure_id": "solved", "complaint": ""} for one in found]


def both_sides(skill: str, near: Sequence[dict[str, str]], far: dict[str, str]) -> dict[str, str]:
    """The program of an error with that of the nearest solved problem that could be written; as it is where there is none."""
    sides = [source(one) for one in (*near, far)]
    own = nested("far", sides[-1]) if sides[-1] else None
    beside = next((made for side in sides[:-1] if side and (made := nested("near", side))), None)
    if own is None or beside is None:
        return far
    text = _SIDES.format(skill=re.sub(r"[\\\"\s]+", " ", skill), near=beside, far=own)
    text += _SIDES_WRONG if "\ndef wrong(" in (sides[-1] or "") else ""
    return {**far, "program": f"```python\n{text}```"}


def source(answer: dict[str, str]) -> str | None:
    """The program of an answer."""
    block = re.search(r"```python\n(.*)```", answer["program"], re.DOTALL)
    return block[1] if block else None


def errors(text: str) -> list[dict[str, str]]:
    """The numbered errors of a request, each with the fields that one alone would have."""
    return [found.groupdict() for found in _ERROR.finditer(text)]


def diagnosis(ids: Sequence[str], found: Sequence[dict[str, str]]) -> dict[str, object]:
    """The commonest skill among errors that are no fault of the item, and who is of it; the words are those of the first."""
    skills = Counter(one["skill"] for one in found if one["verdict"] == "error")
    if not skills:
        return {**found[0], "members": []}
    skill = skills.most_common(1)[0][0]
    members = [place for place, one in enumerate(found) if one["verdict"] == "error" and one["skill"] == skill]
    return {**found[members[0]], "members": [ids[place] for place in members]}


def program(skill: str, found: Sequence[dict[str, str]]) -> dict[str, str]:
    """One program of all that could be written; that of one error stays as it is."""
    sources = [text for one in found if (text := source(one))]
    if len(sources) < 2:
        return next((one for one in found if source(one)), found[0])
    parts = [nested(f"part_{place}", source) for place, source in enumerate(sources)]
    kept = [(f"part_{place}()", part) for place, part in enumerate(parts) if part is not None]
    text = _PROGRAM.format(
        skill=re.sub(r"[\\\"\s]+", " ", skill), parts="\n\n\n".join(part for _, part in kept), calls=", ".join(call for call, _ in kept)
    )
    if all("\ndef wrong(" in source for source in sources):
        text += _WRONG
    return {**found[0], "refusal": "", "program": f"```python\n{text}```"}
