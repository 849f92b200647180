"""Several errors at once: a diagnosis names those of one kind, and their program holds the problem of each as a part.

The errors are looked at one by one; what is shared is the skill that their chains ask for. Not covered: one wording for all of them.
"""

import re
from collections import Counter
from collections.abc import Sequence

from ..nest import nested

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
    fenced = [re.search(r"```python\n(.*)```", one["program"], re.DOTALL) for one in found]
    sources = [block[1] for block in fenced if block]
    if len(sources) < 2:
        return next((one for one, block in zip(found, fenced, strict=True) if block), found[0])
    parts = [nested(f"part_{place}", source) for place, source in enumerate(sources)]
    kept = [(f"part_{place}()", part) for place, part in enumerate(parts) if part is not None]
    text = _PROGRAM.format(
        skill=re.sub(r"[\\\"\s]+", " ", skill), parts="\n\n\n".join(part for _, part in kept), calls=", ".join(call for call, _ in kept)
    )
    if all("\ndef wrong(" in source for source in sources):
        text += _WRONG
    return {**found[0], "refusal": "", "program": f"```python\n{text}```"}
