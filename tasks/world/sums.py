"""Arithmetic word problems made from a seed: the task `sums` and its out-of-domain twin `sums_plus`.

Each skill is a short chain of sums told in a few wordings. Reference solutions are in GSM8K's form, with calculator marks: "Ann has
3*4=<<3*4=12>>12 pens." and a last line "#### 12". The hash of a skill's operands says which split a problem belongs to, in both tasks, so
that no problem of dev or test is ever met in train with other names. Wordings are short between numbers and names (never 8 fixed words in a
row), so that two problems share long runs of words only when they are nearly the same problem.

It does not cover fractions, units, or numbers with more than four digits.
"""

import random
import re
from dataclasses import dataclass

from ...signatures.records import Example
from ..verdicts import number
from . import world

SIZES = {"train": 1800, "dev": 540, "test": 1080}

CHANGES = ("other wording", "larger numbers", "irrelevant sentence", "reversed question")
"""What `sums_plus` does to a problem of `sums`; `meta["change"]` says which."""


@dataclass(frozen=True)
class Skill:
    """One kind of problem.

    Texts have slots: {A} {B} {C} names, {o} {q} objects, {box} {bag} containers, and the operands. In a step, "[t=n*k]"
    is written out as a marked calculation and its result is named t; the last result is the answer.
    """

    name: str
    operands: dict[str, tuple[int, int]]
    """Lowest and highest value of each operand."""
    steps: tuple[str, ...]
    reverse_steps: tuple[str, ...]
    """Steps to the answer of `reverse`."""
    wordings: tuple[str, ...]
    others: tuple[str, ...]
    """Wordings of `sums_plus`."""
    reverse: str
    """`sums_plus`: a question that gives the result away as {r} and asks for an operand."""
    gives: str = "result"
    """Name of the result that the reversed question gives as {r}."""


def told(ask: str, *stories: str) -> tuple[str, ...]:
    """Wordings that end in one question."""
    return tuple(f"{story} {ask}" for story in stories)


TOGETHER = "How many {o} in all?"
LEFT = "How many {o} does {A} have left?"
NOW = "How many {o} does {A} have now?"
DOLLARS = "How many dollars does {A} have left?"
SHARED = "{m} friends share them. How many {o} each?"
REST = "{m} friends share the rest. How many {o} each?"

SKILLS = (
    Skill("total", {"a": (2, 50), "b": (2, 40), "c": (2, 30)}, ("First there are [t=a+b] {o}.", "In all there are [t+c] {o}."),
        ("First there are [t=a+b] {o}.", "{C} has [r-t] {o}."),
        ("{A} has {a} {o}, {B} has {b} {o} and {C} has {c} {o}. How many {o} in all?",
        "{A} has {a} {o}. {B} gives {A} {b} {o} and {C} gives {A} {c} {o}. How many {o} does {A} have now?",
        "{A} finds {a} {o}, then {b} {o} and then {c} {o}. How many {o} in all?"),
        ("On one day {A} picked {a} {o}, on the next {b}, on the last {c}. What is the number of {o} picked?",
        "There are {a} {o} on a table, {b} on a chair and {c} on the floor. Count the {o}."),
        "{A} has {a} {o}, {B} has {b} {o}, and {C} has some too. The three have {r} {o}. How many {o} does {C} have?"),
    Skill("left", {"a": (20, 99), "b": (2, 40), "c": (2, 40)}, ("First [t=a-b] {o} are left.", "Then [t-c] {o} are left."),
        ("{A} gives [t=b+c] {o} away.", "{A} had [t+r] {o}."), told(LEFT, "{A} has {a} {o}. {A} gives {b} {o} to {B} and {c} {o} to {C}.",
        "{A} has {a} {o}. {A} loses {b} {o} and sells {c} {o}.", "{A} has {a} {o}. {B} takes {b} {o} and {C} takes {c} {o}."),
        ("Of the {a} {o} in a shop, {b} are sold and {c} broken. What number of {o} remains?",
        "Out of {a} {o}, {A} ate {b} and {B} ate {c}. How many {o} were not eaten?"),
        "{A} has some {o}. {A} gives {b} {o} to {B} and {c} {o} to {C}. {A} has {r} {o} left. How many {o} did {A} have?"),
    Skill("packs_plus", {"n": (2, 9), "k": (3, 12), "c": (2, 40)}, ("The {box} hold [t=n*k] {o}.", "In all there are [t+c] {o}."),
        ("The {box} hold [t=r-c] {o}.", "One holds [t/n] {o}."), told(NOW, "{A} has {n} {box} of {k} {o}. {A} finds {c} {o} more.",
        "{A} buys {n} {box} of {k} {o}. {B} gives {A} {c} {o}.", "{A} has {c} {o}. {A} buys {n} {box} of {k} {o}."),
        ("With {k} {o} in each of {n} {box}, and {c} loose, what is the number of {o}?",
        "Beside {c} loose {o} stand {n} {box}, each with {k} {o}. Count the {o}."),
        "{A} has {n} {box} of {o}, all alike. {A} finds {c} {o} more and now has {r} {o}. How many {o} are in one?"),
    Skill("packs_minus", {"n": (2, 9), "k": (3, 12), "c": (2, 40)}, ("The {box} hold [t=n*k] {o}.", "Then [t-c] {o} are left."),
        ("The {box} hold [t=r+c] {o}.", "One holds [t/n] {o}."), told(LEFT, "{A} has {n} {box} of {k} {o}. {A} gives {c} {o} to {B}.",
        "{A} buys {n} {box} of {k} {o}. {A} loses {c} {o}.", "{A} has {n} {box} of {k} {o}. {B} takes {c} {o}."),
        ("A shop got {n} {box}, each with {k} {o}, and sold {c} {o}. What number of {o} remains?",
        "With {k} {o} in each of {n} {box}, {A} ate {c}. How many {o} were not eaten?"),
        "{A} has {n} {box} of {o}, all alike. {A} gives {c} {o} to {B} and has {r} {o} left. How many {o} were in one?"),
    Skill("change", {"p": (20, 99), "n": (2, 9), "k": (2, 12)}, ("The {o} cost [t=n*k] dollars.", "{A} has [p-t] dollars left."),
        ("The {o} cost [t=p-r] dollars.", "One costs [t/n] dollars."), told(DOLLARS, "{A} has ${p}. {A} buys {n} {o} for ${k} each.",
        "{A} has ${p} and buys {n} {o}. They cost ${k} each.", "{A} gets ${p} from {B}. {A} buys {n} {o} for ${k} each."),
        ("At ${k} for one, {A} paid for {n} {o} out of ${p}. What money remains?",
        "From a purse with ${p}, {A} paid for {n} {o} at ${k}. What money is in the purse?"),
        "{A} has ${p}. {A} buys {n} {o} and has ${r} left. How many dollars does one cost?"),
    Skill("sum_share", {"a": (2, 50), "b": (2, 50), "m": (2, 9)}, ("First there are [t=a+b] {o}.", "Each gets [t/m] {o}."),
        ("The friends get [t=m*r] {o}.", "{B} had [t-a] {o}."), told(SHARED, "{A} has {a} {o} and {B} has {b} {o}.",
        "{A} has {a} {o}. {B} gives {A} {b} {o}.", "{A} finds {a} {o} and {B} finds {b} {o}."),
        ("Into {m} equal heaps go {a} {o} from {A} and {b} from {B}. What is in one heap?",
        "A class of {m} splits {a} {o} and then {b} more evenly. What number of {o} has one child?"),
        "{A} has {a} {o} and {B} has some. {m} friends share them, {r} {o} each. How many {o} did {B} have?"),
    Skill("packs_share", {"n": (2, 9), "k": (3, 12), "m": (2, 9)}, ("The {box} hold [t=n*k] {o}.", "Each gets [t/m] {o}."),
        ("The friends get [t=m*r] {o}.", "One holds [t/n] {o}."), told(SHARED, "{A} has {n} {box} of {k} {o}.",
        "{A} buys {n} {box} of {k} {o}.", "{A} and {B} have {n} {box} of {k} {o}."),
        ("Into {m} equal heaps go all {o} of {n} {box} with {k} {o} each. What is in one heap?",
        "A class of {m} splits {n} {box}, each with {k} {o}, evenly. What number of {o} has one child?"),
        "{A} has {n} {box} of {o}, all alike. {m} friends share them, {r} {o} each. How many {o} were in one of the {box}?"),
    Skill("left_share", {"a": (10, 99), "c": (2, 40), "m": (2, 9)}, ("First [t=a-c] {o} are left.", "Each gets [t/m] {o}."),
        ("The friends get [t=m*r] {o}.", "{A} had [t+c] {o}."), told(REST, "{A} has {a} {o}. {A} gives {c} {o} to {B}.",
        "{A} has {a} {o}. {A} loses {c} {o}.", "{A} has {a} {o}. {B} takes {c} {o}."),
        ("Of {a} {o}, {c} are broken, the others go into {m} equal heaps. What is in one heap?",
        "{A} ate {c} of {a} {o}, and a class of {m} split the others evenly. What number of {o} has one child?"),
        "{A} has some {o}. {A} gives {c} {o} to {B} and {m} friends share the rest, {r} {o} each. How many {o} did {A} have?"),
    Skill("more_total", {"a": (2, 45), "b": (2, 40)}, ("{B} has [t=a+b] {o}.", "Together they have [a+t] {o}."),
        ("{A} has [t=r-b] {o}.", "Together they have [r+t] {o}."), told(TOGETHER, "{A} has {a} {o}. {B} has {b} more {o} than {A}.",
        "{A} finds {a} {o}. {B} finds {b} more {o} than {A}.", "{A} buys {a} {o}. {B} buys {b} more {o} than {A}."),
        ("{A} picked {a} {o}, and {B} beat that by {b}. What is the number of {o} picked?",
        "A shop with {a} {o} and one with {b} {o} more mix them. Count the {o}."),
        "{B} has {b} more {o} than {A}. {B} has {r} {o}. " + TOGETHER, "t"),
    Skill("fewer_total", {"a": (8, 60), "b": (2, 50)}, ("{B} has [t=a-b] {o}.", "Together they have [a+t] {o}."),
        ("{A} has [t=r+b] {o}.", "Together they have [r+t] {o}."), told(TOGETHER, "{A} has {a} {o}. {B} has {b} fewer {o} than {A}.",
        "{A} finds {a} {o}. {B} finds {b} fewer {o} than {A}.", "{A} buys {a} {o}. {B} buys {b} fewer {o} than {A}."),
        ("{A} picked {a} {o}, and {B} was {b} short of that. What number of {o} is that?",
        "A shop with {a} {o} and one with {b} {o} less mix them. Count the {o}."),
        "{B} has {b} fewer {o} than {A}. {B} has {r} {o}. " + TOGETHER, "t"),
    Skill("times_total", {"a": (3, 15), "k": (2, 6)}, ("{B} has [t=k*a] {o}.", "Together they have [a+t] {o}."),
        ("{A} has [t=r/k] {o}.", "Together they have [r+t] {o}."), told(TOGETHER, "{A} has {a} {o}. {B} has {k} times as many {o} as {A}.",
        "{A} finds {a} {o}. {B} finds {k} times as many {o} as {A}.", "{A} buys {a} {o}. {B} buys {k} times as many {o} as {A}."),
        ("{A} picked {a} {o}, and {B} picked that {k} times. What is the number of {o} picked?",
        "A shop with {a} {o} and one with {k} times that mix them. Count the {o}."),
        "{B} has {k} times as many {o} as {A}. {B} has {r} {o}. " + TOGETHER, "t"),
    Skill("earn", {"k": (3, 12), "n": (2, 9), "c": (2, 40)}, ("{A} earns [t=n*k] dollars.", "{A} has [t-c] dollars left."),
        ("{A} earns [t=r+c] dollars.", "That is [t/n] dollars a day."), told(DOLLARS, "{A} earns ${k} a day for {n} days and spends ${c}.",
        "{A} earns ${k} a day. After {n} days {A} gives ${c} to {B}.", "{A} works {n} days and earns ${k} a day. {B} takes ${c}."),
        ("At ${k} for one day, {A} worked {n} days and paid ${c} for {o}. What money remains?",
        "A purse got ${k} daily for {n} days, then {A} took ${c} out. What money is in the purse?"),
        "{A} works {n} days and earns the same each day. {A} spends ${c} and has ${r} left. How many dollars a day?"),
    Skill("plus_packs", {"a": (2, 30), "b": (2, 30), "n": (2, 9), "k": (3, 9)}, ("First there are [t=a+b] {o}.",
        "The {box} hold [u=n*k] {o}.", "In all there are [t+u] {o}."),
        ("First there are [t=a+b] {o}.", "The {box} hold [u=r-t] {o}.", "One holds [u/n] {o}."),
        told(NOW, "{A} has {a} {o}. {B} gives {A} {b} {o}. {A} buys {n} {box} of {k} {o}.",
        "{A} has {a} {o}. {A} finds {b} {o} more. {B} gives {A} {n} {box} of {k} {o}.",
        "{A} has {a} {o}. {B} gives {A} {b} {o}. {A} finds {n} {box} of {k} {o}."),
        ("With {k} {o} in each of {n} {box}, {a} loose and {b} on a table, what number of {o} is there?",
        "Beside {a} loose {o} and {b} on a chair stand {n} {box}, each with {k} {o}. Count the {o}."),
        "{A} has {a} {o}. {B} gives {A} {b} {o}. {A} buys {n} {box} of {o}, all alike, and now has {r} {o}. How many {o} are in one?"),
    Skill("gift_change", {"p": (10, 60), "c": (2, 30), "n": (2, 9), "k": (2, 9)}, ("First {A} has [t=p+c] dollars.",
        "The {o} cost [u=n*k] dollars.", "{A} has [t-u] dollars left."),
        ("First {A} has [t=p+c] dollars.", "The {o} cost [u=t-r] dollars.", "One costs [u/n] dollars."),
        told(DOLLARS, "{A} has ${p} and gets ${c} from {B}. {A} buys {n} {o} for ${k} each.",
        "{A} has ${p}. {B} gives {A} ${c}. {A} buys {n} {o} for ${k} each.",
        "{A} has ${p} and finds ${c}. {A} buys {n} {o} for ${k} each."),
        ("At ${k} for one, {A} paid for {n} {o} out of ${p} and a gift of ${c}. What money remains?",
        "From a purse with ${p}, and ${c} put in, {A} paid for {n} {o} at ${k}. What money is in the purse?"),
        "{A} has ${p} and gets ${c} from {B}. {A} buys {n} {o} and has ${r} left. How many dollars does one cost?"),
    Skill("two_packs", {"n": (2, 9), "k": (3, 9), "m": (2, 9), "j": (3, 9)}, ("The {box} hold [t=n*k] {o}.", "The {bag} hold [u=m*j] {o}.",
        "In all there are [t+u] {o}."),
        ("The {box} hold [t=n*k] {o}.", "The {bag} hold [u=r-t] {o}.", "One holds [u/m] {o}."),
        told(NOW, "{A} has {n} {box} of {k} {o}. {A} buys {m} {bag} of {j} {o}.",
        "{A} buys {n} {box} of {k} {o}. {B} gives {A} {m} {bag} of {j} {o}.",
        "{A} has {n} {box} of {k} {o}. {A} finds {m} {bag} of {j} {o}."),
        ("With {k} {o} in each of {n} {box}, and {j} in each of {m} {bag}, what is the number of {o}?",
        "Beside {m} {bag}, each with {j} {o}, stand {n} {box}, each with {k} {o}. Count the {o}."),
        "{A} has {n} {box} of {k} {o} and {m} {bag} of {o}, all alike. {A} has {r} {o}. How many are in one of the {bag}?"),
    Skill("packs_left_share", {"n": (2, 9), "k": (3, 12), "c": (2, 40), "m": (2, 9)}, ("The {box} hold [t=n*k] {o}.",
        "Then [u=t-c] {o} are left.", "Each gets [u/m] {o}."),
        ("The friends get [t=m*r] {o}.", "The {box} hold [u=t+c] {o}.", "One holds [u/n] {o}."),
        told(REST, "{A} has {n} {box} of {k} {o}. {A} gives {c} {o} to {B}.", "{A} buys {n} {box} of {k} {o}. {A} loses {c} {o}.",
        "{A} has {n} {box} of {k} {o}. {B} takes {c} {o}."),
        ("Of the {o} in {n} {box} with {k} each, {c} are broken, the others go into {m} equal heaps. What is in one heap?",
        "{A} ate {c} {o} out of {n} {box} with {k} each, and a class of {m} split the others evenly. What number of {o} has one child?"),
        "{A} has {n} {box} of {o}, all alike. {A} gives {c} {o} to {B} and {m} friends share the rest, {r} {o} each. How many "
        "{o} were in one?"),
    Skill("fewer_share", {"a": (8, 50), "b": (2, 40), "m": (2, 9)}, ("{B} has [t=a-b] {o}.", "Together they have [u=a+t] {o}.",
        "Each gets [u/m] {o}."),
        ("{A} has [t=r+b] {o}.", "Together they have [u=r+t] {o}.", "Each gets [u/m] {o}."),
        told(SHARED, "{A} has {a} {o}. {B} has {b} fewer {o} than {A}.", "{A} finds {a} {o}. {B} finds {b} fewer {o} than {A}.",
        "{A} buys {a} {o}. {B} buys {b} fewer {o} than {A}."),
        ("{A} picked {a} {o}, and {B} was {b} short of that. All go into {m} equal heaps. What is in one heap?",
        "A class of {m} splits {a} {o} and then a heap {b} smaller evenly. What number of {o} has one child?"),
        "{B} has {b} fewer {o} than {A}. {B} has {r} {o}. " + SHARED, "t"),
    Skill("change_two", {"p": (40, 99), "n": (2, 6), "k": (2, 9), "m": (2, 6), "j": (2, 9)}, ("The {o} cost [t=n*k] dollars.",
        "{A} has [u=p-t] dollars left.", "The {q} cost [v=m*j] dollars.", "{A} has [u-v] dollars left."),
        ("The {o} cost [t=n*k] dollars.", "{A} had [u=p-t] dollars left.", "The {q} cost [v=u-r] dollars.", "One costs [v/m] dollars."),
        told(DOLLARS, "{A} has ${p}. {A} buys {n} {o} for ${k} each and {m} {q} for ${j} each.",
        "{A} has ${p} and buys {n} {o}. They cost ${k} each. {A} buys {m} {q} for ${j} each.",
        "{A} gets ${p} from {B}. {A} buys {n} {o} for ${k} each and {m} {q} for ${j} each."),
        ("At ${k} for one, {A} paid for {n} {o}, and for {m} {q} at ${j}, out of ${p}. What money remains?",
        "From a purse with ${p}, {A} paid for {n} {o} at ${k} and {m} {q} at ${j}. What money is in the purse?"),
        "{A} has ${p}. {A} buys {n} {o} for ${k} each and {m} {q}, and has ${r} left. What does one of the {q} cost?"),
)  # fmt: skip

WEAK = ("two_packs", "packs_left_share", "fewer_share", "change_two")
"""Skills that are rare in the corpus of the target `tiny` and that it fails: each joins pieces that the other skills drill."""

ASIDES = (
    "{D} is {z} years old.", "{D} has {z} pets.", "It rains for {z} hours.", "{D} can sing.", "{D} has a dog.", "It is {z} o'clock.",
)  # fmt: skip

_MARK = re.compile(r"\[(?:(\w)=)?(\w+)([-+*/])(\w+)\]")
_HIGHEST = 200
"""No result of `sums` is above it."""


def _results(steps: tuple[str, ...], values: dict[str, int], highest: int) -> dict[str, int] | None:
    """Values, the named results of the steps, and the last one as `result`; None when one is not a whole number in 1..highest."""
    values = dict(values)
    for step in steps:
        for name, left, sign, right in _MARK.findall(step):
            result = _apply(values[left], sign, values[right])
            if result is None or not 1 <= result <= highest:
                return None
            if name:
                values[name] = result
            values["result"] = result
    return values


def _apply(left: int, sign: str, right: int) -> int | None:
    if sign == "/":
        return left // right if left % right == 0 else None
    return {"+": left + right, "-": left - right, "*": left * right}[sign]


def _write(steps: tuple[str, ...], values: dict[str, int], slots: dict[str, str]) -> str:
    """The worked solution, one marked calculation a line, ending in "#### answer"."""

    def marked(match: re.Match[str]) -> str:
        _, left, sign, right = match.groups()
        sum_ = f"{values[left]}{sign}{values[right]}"
        result = _apply(values[left], sign, values[right])
        return f"{sum_}=<<{sum_}={result}>>{result}"

    lines = [_MARK.sub(marked, step).format(**slots) for step in steps]
    return "\n".join([*lines, f"#### {values['result']}"])


def worked(skill: Skill, rng: random.Random) -> dict[str, int]:
    """Operands of a skill, whatever their split, with its `result`."""
    while True:
        drawn = {name: rng.randint(low, high) for name, (low, high) in skill.operands.items()}
        if values := _results(skill.steps, drawn, _HIGHEST):
            return values


def formula(skill: Skill) -> str:
    """A skill's steps as one Python expression over its operands."""
    known: dict[str, str] = {}

    def term(name: str, tight: bool) -> str:
        text = known.get(name, name)
        return f"({text})" if tight and " + " in text.replace(" - ", " + ") else text

    text = ""
    for step in skill.steps:
        for name, left, sign, right in _MARK.findall(step):
            tight = sign in "*/"
            text = f"{term(left, tight)} {'//' if sign == '/' else sign} {term(right, tight or sign == '-')}"
            known[name] = text
    return text


def split_of(skill: str, operands: tuple[int, ...]) -> str:
    """The one split that a skill's operand tuple may appear in: 8 of 10 in train, 1 in dev, 1 in test."""
    return world.split_of(f"{skill} {' '.join(map(str, operands))}")


def draw(skill: Skill, rng: random.Random, split: str, change: str | None = None) -> Example:
    """One new problem of a skill in a split; `change` is one of `CHANGES` for `sums_plus`, None for `sums`."""
    highest = _HIGHEST if change != "larger numbers" else 1000
    while True:
        operands = {
            name: rng.randint(high // 2 + 1, high * 2) if change == "larger numbers" else rng.randint(low, high)
            for name, (low, high) in skill.operands.items()
        }
        if split_of(skill.name, tuple(operands.values())) == split:
            values = _results(skill.steps, operands, highest)
            if values is not None:
                break
    slots = world.story(rng)
    steps = skill.steps
    text = rng.choice(skill.others if change == "other wording" else skill.wordings)
    if change == "irrelevant sentence":
        head, _, ask = text.rpartition(". ")
        text = f"{head}. {rng.choice(ASIDES)} {ask}"
    elif change == "reversed question":
        text, steps = skill.reverse, skill.reverse_steps
        values = _results(steps, {**operands, "r": values[skill.gives]}, highest)
        assert values is not None, f"the reversed steps of {skill.name} do not lead back"
    solution = _write(steps, values, slots)
    shown = {name: str(value) for name, value in values.items()}
    question, answer = text.format(**slots, **shown, z=rng.randint(2, 9)), solution.rpartition("#### ")[2]
    return world.item("sums", change, {}, split=split, question=question, answer=answer, solution=solution, skill=skill.name)


class SumsTask(world.WorldTask):
    """The task `sums`, or its twin `sums_plus`."""

    kind = "number"
    prompt, judge, completion = staticmethod(number.prompt), staticmethod(number.judged), staticmethod(number.completion)
    max_new_tokens = 192
    brief = (
        "Arithmetic word problems of two to four steps with whole numbers. The response works through the steps, each "
        'with a calculator mark such as "Ann has 3*4=<<3*4=12>>12 pens.", and its last line is "#### " and the answer.'
    )

    skills, sizes, changes, draw = SKILLS, SIZES, CHANGES, staticmethod(draw)
