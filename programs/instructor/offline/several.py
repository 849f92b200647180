"""Several problems in one program: errors at once, and an error beside what the target solved.

A diagnosis of several errors names those of one kind, and their program holds the problem of each as a part. The program of an error beside
solved problems holds one of those as its easy levels. Errors are looked at one by one; what is shared is the skill that their chains ask
for. Not covered: one wording for all of them.
"""

import re
from collections import Counter
from collections.abc import Sequence

from ...samples.nest import nested
from .template import filled

_ERROR = re.compile(
    r"^\d+\. id (?P<failure_id>\w+)\nQuestion: (?P<question>.*?)\nReference: (?P<reference>.*?)\nResponse: (?P<response>.*?)"
    r"(?=\n\n\d+\. id \w+\nQuestion: |\Z)",
    re.MULTILINE | re.DOTALL,
)


def solved(text: str) -> list[dict[str, str]]:
    """The solved neighbours of a request, each as an error would be whose reference is what the target answered."""
    found = re.finditer(r"Question: (.*?)\nResponse: (.*?)(?=\n\nQuestion: |\Z)", text, re.DOTALL)
    return [{"question": one[1], "reference": one[2], "response": "", "failure_id": "solved", "complaint": ""} for one in found]


def both_sides(skill: str, near: Sequence[dict[str, str]], far: dict[str, str]) -> dict[str, str]:
    """The program of an error with that of the nearest solved problem that could be written; that of the error alone if none could."""
    sides = [source(one) for one in (*near, far)]
    own = nested("far", sides[-1]) if sides[-1] else None
    beside = next((made for side in sides[:-1] if side and (made := nested("near", side))), None)
    if own is None or beside is None:
        return far
    text = filled("sides", skill=_one_line(skill), near=beside, far=own)
    text += filled("sides_wrong") if "\ndef wrong(" in (sides[-1] or "") else ""
    return {**far, "program": f"```python\n{text}```"}


def source(answer: dict[str, str]) -> str | None:
    """The program of an answer."""
    block = re.search(r"```python\n(.*)```", answer["program"], re.DOTALL)
    return block[1] if block else None


def errors(text: str) -> list[dict[str, str]]:
    """The numbered errors of a request, each with the fields that one alone would have."""
    return [found.groupdict() for found in _ERROR.finditer(text)]


def diagnosis(ids: Sequence[str], found: Sequence[dict[str, str]]) -> dict[str, object]:
    """The commonest skill among errors that are not the item's fault, and who is of it; the words are those of the first."""
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
    parts = {f"part_{place}": nested(f"part_{place}", source) for place, source in enumerate(sources)}
    kept = {name: part for name, part in parts.items() if part is not None}
    calls = ", ".join(f"{name}()" for name in kept)
    text = filled("parts", skill=_one_line(skill), parts="\n\n\n".join(kept.values()), calls=calls)
    if all("\ndef wrong(" in source for source in sources):
        text += filled("parts_wrong")
    return {**found[0], "refusal": "", "program": f"```python\n{text}```"}


def _one_line(skill: str) -> str:
    return re.sub(r"[\\\"\s]+", " ", skill)
