"""Held-out combinations of `sums`, `lists` and `facts`: the out-of-domain task `mixed`. What one teaches is asked in another's form.

- `sums as choice`: a word problem with four options, as `facts` asks.
- `sums as code`: a word problem over letters, answered by a function, as `lists` asks. It belongs to a split by its wording.
- `facts in words`: a fact without options.
- `lists by hand`: what a chain of `lists` gives for one list, worked out step by step, as `sums` asks.

An item's skill is "<form>: <skill of the task it comes from>". It does not cover questions that need two of the three worlds at once.
"""

import math
import random
import re
from collections.abc import Callable
from typing import Any

from ...signatures.records import Example, Kind, Message, Verdict
from ..base import Runner
from ..verdicts import choice, code, number, short
from . import facts, lists, sums, world

SIZES = {"train": 1800, "dev": 400, "test": 800}


def _item(form: str, skill: str, split: str, question: str, answer: str, solution: str, kind: Kind = "number", **meta: Any) -> Example:
    """`solution` is the whole text of a right response, in its form."""
    meta["form"] = form
    return Example(
        task="mixed", split=split, question=question, answer=answer, solution=solution, skill=f"{form}: {skill}", kind=kind, meta=meta
    )


def _as_choice(skill: sums.Skill, rng: random.Random, split: str) -> Example:
    drawn = sums.draw(skill, rng, split)
    steps = drawn.solution.rpartition("\n")[0]
    right = int(drawn.answer)
    # what earlier steps came to are the options that tempt
    near = {int(value) for value in re.findall(r">>(\d+)", drawn.solution)} | {right + off for off in (-10, -2, -1, 1, 2, 10)}
    wrong = rng.sample(sorted(value for value in near if value > 0 and value != right), 3)
    choices, label = world.options(drawn.answer, list(map(str, wrong)), rng)
    question = choice.question(drawn.question, choices)
    worked = choice.completion(steps, drawn.answer)
    return _item("sums as choice", skill.name, split, question, label, worked, "choice", choices=choices, stem=drawn.question)


def _as_code(skill: sums.Skill, rng: random.Random, split: str) -> Example:
    wordings = sorted(skill.wordings, key=lambda text: world.number_of(f"{skill.name} {text}"))
    text = {"dev": wordings[0], "test": wordings[1]}.get(split) or rng.choice(wordings[2:])
    slots = world.story(rng)
    name = rng.choice(lists.FUNCTIONS)
    names = list(skill.operands)
    question = f"Write {name}({', '.join(names)}): {text.format(**slots, **{each: each for each in names})}"
    answer = f"def {name}({', '.join(names)}):\n    return {sums.formula(skill)}"
    cases = [sums.worked(skill, rng) for _ in range(4)]
    test = code.check(f"assert candidate({', '.join(str(values[each]) for each in names)}) == {values['result']}" for values in cases)
    worked = lists.completion("", answer)
    return _item("sums as code", skill.name, split, question, answer, worked, "code", entry_point=name, test=test)


def _in_words(relation: facts.Relation, rng: random.Random, split: str) -> Example:
    town = rng.choice(list(facts.WORLD))
    text = rng.choice(facts.wordings(relation, town, split)).format(town=town)
    value = facts.WORLD[town][relation.name]
    worked = choice.completion(relation.fact.format(town=town, value=value), value)
    return _item("facts in words", relation.name, split, text, value, worked)


def _by_hand(skill: lists.Skill, rng: random.Random, split: str) -> Example:
    while True:
        steps = tuple(lists.step(kind, skill.over, rng, False) for kind in skill.shape)
        values = rng.sample(range(1, 30), rng.randint(4, 6))
        if lists.split_of(steps) != split or steps[-1][0] == "sum":
            continue
        shown = [lists.run(steps[:count], values) for count in range(1, len(steps) + 1)]
        if all(shown[:-1]) and shown[-1] > 0:
            break
    phrases = ", then ".join(lists.told(step, rng, False) for step in steps)
    question = f"Start from {', '.join(map(str, values))}: {phrases}."
    worked = number.completion("\n".join(", ".join(map(str, part)) for part in shown[:-1]), str(shown[-1]))
    return _item("lists by hand", skill.name, split, question, str(shown[-1]), worked)


FOLDED = tuple(skill for skill in lists.SKILLS if skill.shape[-1] == "fold" and skill.over == "numbers")
DrawsForm = Callable[[Any, random.Random, str], Example]
FORMS: dict[str, tuple[DrawsForm, tuple[Any, ...]]] = {
    "sums as choice": (_as_choice, sums.SKILLS),
    "sums as code": (_as_code, sums.SKILLS),
    "facts in words": (_in_words, facts.RELATIONS),
    "lists by hand": (_by_hand, FOLDED),
}
"""How an item of each form is drawn from a skill, a generator and a split, and the skills that it takes over."""
_TURNS = math.lcm(*(len(skills) for _, skills in FORMS.values()))
IN_TURN = tuple((draw, skills[turn % len(skills)]) for turn in range(_TURNS) for draw, skills in FORMS.values())
"""(how to draw, skill): the forms in turn, and in each form its skills in turn."""
WEAK = frozenset((*sums.WEAK, *lists.WEAK, *facts.WEAK))


def prompt(example: Example) -> list[Message]:
    """As the task asks whose form the item has."""
    match example.meta["form"]:
        case "sums as code":
            return lists.prompt(example)
        case "lists by hand":
            return number.prompt(example)
        case "facts in words":
            return [{"role": "user", "content": f'{example.question}\nAnswer in a sentence; end with the line "Answer: word".'}]
    return [{"role": "user", "content": f'{example.question}\nShow each step; end with the line "Answer: option".'}]


class MixedTask(world.WorldTask):
    """The task `mixed`. Raises UsageError without a runner."""

    kind = "several"
    max_new_tokens = 128
    brief = (
        "Questions about arithmetic, lists and invented towns, each in a form that another kind of question has: a word problem with "
        "options or as a Python function, a fact without options, or a chain of list operations worked out by hand."
    )

    skills, sizes = IN_TURN, SIZES
    prompt = staticmethod(prompt)

    def __init__(self, runner: Runner | None):
        super().__init__("mixed")
        self.twin = None
        self._judge = code.Judge(code.runner_or_refuse(self.name, runner))

    @staticmethod
    def draw(skill: tuple[DrawsForm, Any], rng: random.Random, split: str, change: str | None) -> Example:
        draw, taken = skill
        return draw(taken, rng, split)

    def judge(self, example: Example, response: str) -> Verdict:
        match example.meta["form"]:
            case "sums as code":
                return self._judge.verdict(code.item_of(example), response)
            case "lists by hand":
                return number.judged(example, response)
            case "facts in words":
                return short.verdict(example.answer, short.read(response))
        return choice.judged(example, response)

    def completion(self, solution: str, answer: str) -> str:
        return solution
