"""Diagnoses and sample programs for the closed world of errata.tasks.world.facts, whose knowledge base the embedded instructor owns.

A program holds the whole relation that the failed question asks about as a table, and asks it of every town, in the wordings that are
train's. What is not here: questions that go from a value to its town or join two facts, and any other knowledge, which are refused.
"""

import re
from contextlib import suppress
from dataclasses import dataclass

from ....tasks.verdicts import choice
from ....tasks.world.facts import RELATIONS, WORLD, Relation, wordings
from ...samples.calculations import Unreadable
from . import phrasings
from .template import filled
from .word_problems.diagnose import AT_FAULT, Finding

_OPTION = re.compile(r"^([A-J])\. (.+)$", re.MULTILINE)
_TEACH = "Ask the relation of every town, in several wordings; take distractors from the values that the model confuses."


@dataclass(frozen=True)
class Problem:
    """A question about one fact of the world."""

    relation: Relation
    town: str
    wording: str
    others: bool  # whether it is asked in a wording of `facts_plus`
    options: dict[str, str]

    @property
    def value(self) -> str:
        return WORLD[self.town][self.relation.name]


def is_choice(question: str) -> bool:
    """Whether an error is one of choice, by what the instructor is shown."""
    return len(_OPTION.findall(question)) >= 2


def problem_of(question: str) -> Problem:
    """Raises Unreadable unless the question asks for one fact that the embedded instructor owns."""
    options = dict(_OPTION.findall(question))
    stem = choice.stem(question, options)
    for relation in RELATIONS:
        for others, texts in ((False, relation.wordings), (True, relation.others)):
            for text in texts:
                found = re.fullmatch(re.escape(text).replace(re.escape("{town}"), r"(\w+)"), stem)
                if found and found[1] in WORLD:
                    return Problem(relation, found[1], text, others, options)
    if any(re.search(rf"\b{town}\b", question) for town in WORLD):
        raise Unreadable("the embedded instructor teaches questions about one fact of one town alone")
    raise Unreadable("no question about the towns of `facts`: other knowledge is beyond the embedded instructor")


def diagnose(question: str, reference: str, response: str) -> Finding:
    """Verdict, skill and misconception of one wrong response. Never raises: what cannot be read is said to be so."""
    evidence = " ".join(response.split())[-160:] or "(empty)"
    try:
        problem = problem_of(question)
    except Unreadable as reason:
        return Finding("error", "know a fact", f"It cannot be told what is not known: {reason}.", evidence, "Nothing that is known here.")
    skill = f"know the {problem.relation.name} of a town"
    fact = problem.relation.fact.format(town=problem.town, value=problem.value)
    gold = re.search(r"#### ([A-J])\s*$", reference)
    if gold and problem.options.get(gold[1]) != problem.value:
        text = f"The reference gives {problem.options.get(gold[1])!r}, but: {fact}"
        return Finding("reference_wrong", skill, text, gold[0], AT_FAULT)
    taken = taken_of(problem, response)
    if taken is None:
        text = f"No option can be read from its answer. {fact}"
    else:
        name = problem.relation.name
        holders = " and ".join([town for town, facts in WORLD.items() if facts[name] == taken][:2]) or "no town"
        text = f"It takes the {name} of {problem.town} to be {taken}, which is that of {holders}. {fact}"
    return Finding("error", skill, text, evidence, _TEACH)


def taken_of(problem: Problem, response: str) -> str | None:
    """The wrong option that a response chose, as text."""
    label = choice.read(response, problem.options) if response.strip() else None
    taken = problem.options[label] if label else None
    return None if taken == problem.value else taken


def boundary(question: str, reference: str, solved: str) -> str:
    """What the failed question asks for that the solved neighbours do not; one sentence."""
    mine, known = None, set()
    for part in re.split(r"(?m)^Question: ", solved):
        with suppress(Unreadable):
            known.add(problem_of(part.partition("\nResponse:")[0].strip()).relation.name)
    with suppress(Unreadable):
        mine = problem_of(question)
    if mine is None or not known:
        return "What the solved questions ask for cannot be compared with this one."
    if mine.relation.name in known:
        return f"It knows the {mine.relation.name} of some towns, and not that of {mine.town}."
    return f"It knows the {' and the '.join(sorted(known))} of towns, and not the {mine.relation.name}."


def write(question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool = False, phrased: bool = False) -> str:
    """The program's source. `careful`: without `wrong`; `phrased`: in frames of other words too. Raises Unreadable with the reason why no
    honest program is known."""
    problem = problem_of(question)
    relation = problem.relation
    if problem.value not in problem.options.values():
        raise Unreadable("none of the options is the right one")
    texts = relation.others if problem.others else relation.wordings
    numbers = {text: number for number, text in enumerate(texts)}
    table = {town: tuple(sorted(numbers[text] for text in wordings(relation, town, "train", problem.others))) for town in WORLD}
    taken = taken_of(problem, response)
    worded = phrasings.fields('"{asked}"', phrasings.facts(question) if phrased else [])
    asked = "WORDINGS[wording].format(town=town)"
    if phrased:
        asked = f'PHRASINGS[phrasing].format(asked={asked}, town=town, gap=FACT.format(town=town, value="___"))'
    return filled(
        "facts",
        **worded,
        asked=asked,
        skill=re.sub(r"[^\w ,:-]", "", skill),
        table="\n".join(f"    {town!r}: ({WORLD[town][relation.name]!r}, {asked!r})," for town, asked in table.items()),
        wordings=texts,
        fact=repr(relation.fact),
        confused=[taken] if taken else [],
        count=len(problem.options) - 1,
        wrong=filled("facts_wrong", phrasing=worded["phrasing"]) if taken and not careful else "",
        failure=repr(failure_id),
        anchor={"town": problem.town, "wording": numbers[problem.wording], "options": list(problem.options.values())},
    )
