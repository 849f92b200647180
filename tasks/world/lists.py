"""Small Python functions over a list, made from a seed: the task `lists` and its out-of-domain twin `lists_plus`.

A problem is a chain of one to three primitives (keep some, change each, order, cut, fold into one value) over numbers or words, told in one
line: "Write f(xs): keep the even numbers, then add 3 to each." The answer is one expression. What is expected is computed from the
primitives, and never from that code. The calls of a test are chosen so that each near miss (a step left out, two steps in the other order,
another constant) fails at least one of them. The hash of a chain's expression says which split it belongs to, in both tasks, so that no
chain of dev or test is ever met in train in other words.

It does not cover several arguments, nested lists, loops, or values that a function must refuse.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ...signatures.records import Example, Message, Verdict
from ..base import Runner
from ..verdicts import code
from . import world

FUNCTIONS = ("f", "g", "h", "go", "run", "fn")
LISTS = ("xs", "ys", "zs", "ns", "vs", "ts")
LETTERS = "bcdefghklmnoprstuw"
WORDS = (
    "tree", "cat", "house", "sun", "moon", "go", "banana", "stone", "up", "river", "dog", "leaf", "cloud", "kettle", "owl", "bridge",
    "me", "window", "fern", "pebbles", "mountain", "sock", "bird", "lighthouse", "wheel", "drum", "hut", "goldfish",
)  # fmt: skip
SIZES = {"train": 1800, "dev": 540, "test": 1080}
CHANGES = ("other wording", "larger constants", "one more step", "other values")
"""What `lists_plus` does to a problem of `lists`; `meta["change"]` says which. `other values`: words where the skill has numbers, and the
reverse."""

Constant = int | str | None
Step = tuple[str, Constant]
"""A primitive's name and its constant."""


@dataclass(frozen=True)
class Primitive:
    """One thing that is done to a list.

    `code` has slots: {x} the element, {t} the element in parentheses where it needs them, {l} a list, {g} a list or generator alone in
    its parentheses, {k} the constant.
    """

    name: str
    kind: str
    """`keep` and `change` look at one element, `order`, `cut` and `fold` at the whole list; after a fold nothing can follow."""
    over: str
    """`numbers`, `words`, or `any`."""
    code: str
    does: Callable[[Any, Any], Any]
    """What it gives for an element or a list, and the constant."""
    wordings: tuple[str, ...]
    other: str
    """Wording of `lists_plus`."""
    constants: tuple[int, int] | str | None = None
    """Lowest and highest constant, letters to choose from, or None."""


PRIMITIVES = {
    primitive.name: primitive
    for primitive in (
        Primitive("even", "keep", "numbers", "{t} % 2 == 0", lambda x, k: x % 2 == 0,
                   ("keep the even numbers", "keep even ones"), "drop each odd one"),
        Primitive("odd", "keep", "numbers", "{t} % 2 == 1", lambda x, k: x % 2 == 1,
                   ("keep the odd numbers", "keep odd ones"), "drop each even one"),
        Primitive("above", "keep", "numbers", "{x} > {k}", lambda x, k: x > k,
                   ("keep numbers above {k}", "keep those over {k}"), "drop all up to {k}", (0, 20)),
        Primitive("below", "keep", "numbers", "{x} < {k}", lambda x, k: x < k,
                   ("keep numbers below {k}", "keep those under {k}"), "drop all from {k} up", (1, 20)),
        Primitive("multiple", "keep", "numbers", "{t} % {k} == 0", lambda x, k: x % k == 0,
                   ("keep multiples of {k}", "keep those divisible by {k}"), "drop what {k} does not divide", (3, 12)),
        Primitive("not", "keep", "numbers", "{x} != {k}", lambda x, k: x != k,
                   ("keep all but {k}", "drop every {k}"), "leave out each {k}", (1, 20)),
        Primitive("plus", "change", "numbers", "{t} + {k}", lambda x, k: x + k,
                   ("add {k} to each", "raise each by {k}"), "make each {k} larger", (1, 20)),
        Primitive("minus", "change", "numbers", "{t} - {k}", lambda x, k: x - k,
                   ("subtract {k} from each", "lower each by {k}"), "make each {k} smaller", (1, 20)),
        Primitive("times", "change", "numbers", "{t} * {k}", lambda x, k: x * k,
                   ("multiply each by {k}", "scale each by {k}"), "put {k} times each in its place", (2, 12)),
        Primitive("mod", "change", "numbers", "{t} % {k}", lambda x, k: x % k,
                   ("take each modulo {k}", "reduce each mod {k}"), "put each one's remainder by {k} in its place", (3, 12)),
        Primitive("square", "change", "numbers", "{t} ** 2", lambda x, k: x * x,
                   ("square each", "take each squared"), "multiply each by itself"),
        Primitive("negate", "change", "numbers", "-{t}", lambda x, k: -x,
                   ("negate each", "flip the sign of each"), "put a minus before each"),
        Primitive("long", "keep", "words", "len({x}) > {k}", lambda x, k: len(x) > k,
                   ("keep words longer than {k}", "keep those over {k} letters"), "drop words up to {k} letters", (2, 8)),
        Primitive("short", "keep", "words", "len({x}) < {k}", lambda x, k: len(x) < k,
                   ("keep words shorter than {k}", "keep those under {k} letters"), "drop words from {k} letters up", (3, 9)),
        Primitive("starts", "keep", "words", "{t}.startswith('{k}')", lambda x, k: x[: len(k)] == k,
                   ("keep words starting with '{k}'", "keep those that begin with '{k}'"), "drop those without '{k}' at first", LETTERS),
        Primitive("ends", "keep", "words", "{t}.endswith('{k}')", lambda x, k: x[-len(k) :] == k,
                   ("keep words ending in '{k}'", "keep those that end with '{k}'"), "drop those without '{k}' at last", LETTERS),
        Primitive("has", "keep", "words", "'{k}' in {x}", lambda x, k: x.count(k) > 0,
                   ("keep words with '{k}'", "keep those that contain '{k}'"), "drop words without any '{k}'", LETTERS),
        Primitive("lacks", "keep", "words", "'{k}' not in {x}", lambda x, k: x.count(k) == 0,
                   ("drop words with '{k}'", "drop those that contain '{k}'"), "keep words without any '{k}'", LETTERS),
        Primitive("upper", "change", "words", "{t}.upper()", lambda x, k: x.upper(),
                   ("uppercase each", "put each in capitals"), "make each letter a capital"),
        Primitive("length", "change", "words", "len({x})", lambda x, k: sum(1 for _ in x),
                   ("take the length of each", "turn each into its length"), "count the letters of each"),
        Primitive("initial", "change", "words", "{t}[0]", lambda x, k: next(iter(x)),
                   ("take the first letter of each", "cut each to its initial"), "put its initial in each one's place"),
        Primitive("final", "change", "words", "{t}[-1]", lambda x, k: next(reversed(x)),
                   ("take the last letter of each", "cut each to its end letter"), "put its final letter in each one's place"),
        Primitive("backwards", "change", "words", "{t}[::-1]", lambda x, k: "".join(reversed(x)),
                   ("spell each backwards", "reverse each word"), "write each from back to front"),
        Primitive("suffix", "change", "words", "{t} + '{k}'", lambda x, k: "".join((x, k)),
                   ("add '{k}' to each", "put '{k}' after each"), "end each with one more '{k}'", LETTERS),
        Primitive("prefix", "change", "words", "'{k}' + {x}", lambda x, k: "".join((k, x)),
                   ("put '{k}' before each", "begin each with '{k}'"), "write one more '{k}' at the front of each", LETTERS),
        Primitive("repeat", "change", "words", "{t} * {k}", lambda x, k: "".join(x for _ in range(k)),
                   ("repeat each {k} times", "write each {k} times"), "put {k} copies of each in its place", (2, 9)),
        Primitive("head", "change", "words", "{t}[:{k}]", lambda x, k: "".join(c for i, c in enumerate(x) if i < k),
                   ("cut each to {k} letters", "take {k} letters of each"), "shorten each to {k} letters", (2, 6)),
        Primitive("sort", "order", "any", "sorted({g})", lambda xs, k: sorted(xs),
                   ("sort them", "sort ascending"), "put them in rising order"),
        Primitive("down", "order", "any", "sorted({l}, reverse=True)", lambda xs, k: sorted(xs)[::-1],
                   ("sort descending", "sort downwards"), "put them in falling order"),
        Primitive("reverse", "order", "any", "{l}[::-1]", lambda xs, k: list(reversed(xs)),
                   ("reverse the list", "turn the list around"), "go from back to front"),
        Primitive("unique", "order", "any", "list(dict.fromkeys({g}))", lambda xs, k: [x for i, x in enumerate(xs) if x not in xs[:i]],
                   ("drop repeats", "keep one of each"), "leave out what was met before"),
        Primitive("first", "cut", "any", "{l}[:{k}]", lambda xs, k: [x for i, x in enumerate(xs) if i < k],
                   ("take the first {k}", "keep the first {k}"), "stop after {k} of them", (2, 9)),
        Primitive("last", "cut", "any", "{l}[-{k}:]", lambda xs, k: [x for i, x in enumerate(xs) if len(xs) - i <= k],
                   ("take the last {k}", "keep the last {k}"), "use the final {k} alone", (2, 9)),
        Primitive("skip", "cut", "any", "{l}[{k}:]", lambda xs, k: [x for i, x in enumerate(xs) if i >= k],
                   ("skip the first {k}", "drop the first {k}"), "leave out {k} at the front", (2, 9)),
        Primitive("chop", "cut", "any", "{l}[:-{k}]", lambda xs, k: [x for i, x in enumerate(xs) if len(xs) - i > k],
                   ("skip the last {k}", "drop the last {k}"), "leave out {k} at the end", (2, 9)),
        Primitive("sum", "fold", "numbers", "sum({g})", lambda xs, k: sum(xs),
                   ("add them up", "give the sum"), "total them"),
        Primitive("count", "fold", "any", "len({l})", lambda xs, k: sum(1 for _ in xs),
                   ("count them", "say how many"), "give their number"),
        Primitive("largest", "fold", "numbers", "max({l}, default=0)", lambda xs, k: sorted(xs)[-1] if xs else 0,
                   ("give the largest or 0", "give the maximum or 0"), "find the highest, 0 if none is there"),
        Primitive("smallest", "fold", "numbers", "min({l}, default=0)", lambda xs, k: sorted(xs)[0] if xs else 0,
                   ("give the smallest or 0", "give the minimum or 0"), "find the lowest, 0 if none is there"),
        Primitive("join", "fold", "words", "''.join({g})", lambda xs, k: "".join(xs),
                   ("join them", "write them as one word"), "glue them together"),
        Primitive("letters", "fold", "words", "len(''.join({g}))", lambda xs, k: sum(len(x) for x in xs),
                   ("count all letters", "say how many letters in all"), "give the number of their letters"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Skill:
    """One kind of chain, named by the kinds of its steps, in order, and by `word` where it is over words."""

    name: str

    @property
    def over(self) -> str:
        return "words" if self.name.endswith("_word") else "numbers"

    @property
    def shape(self) -> tuple[str, ...]:
        return tuple(self.name.removesuffix("_word").split("_"))


SKILLS = tuple(Skill(name) for name in (
    "keep", "change", "keep_change", "keep_fold", "change_fold", "change_order", "keep_cut", "keep_order", "order_cut", "cut_change",
    "keep_word", "change_word", "keep_change_word", "keep_fold_word", "change_keep", "cut_keep", "keep_order_cut", "keep_change_fold",
))  # fmt: skip

WEAK = ("change_keep", "cut_keep", "keep_order_cut", "keep_change_fold")
"""Skills that are rare in the corpus of the target `tiny` and that it fails: each joins pieces that the other skills drill."""


# What a chain gives and how it is written ---------------------------------------------------------------------------------


def run(steps: tuple[Step, ...], values: list[Any]) -> Any:
    """What a chain gives for a list, one primitive after the other. Raises TypeError where a step does not fit what the last one gave."""
    for name, constant in steps:
        primitive = PRIMITIVES[name]
        if primitive.kind == "keep":
            values = [x for x in values if primitive.does(x, constant)]
        elif primitive.kind == "change":
            values = [primitive.does(x, constant) for x in values]
        else:
            values = primitive.does(values, constant)
    return values


def expression(steps: tuple[Step, ...], source: str) -> str:
    """A chain as one Python expression over the list called `source`."""
    element, condition = "x", ""
    for name, constant in steps:
        primitive = PRIMITIVES[name]
        tight = f"({element})" if " " in element or element.startswith("-") else element
        if primitive.kind == "keep":
            found = primitive.code.format(x=element, t=tight, k=constant)
            condition = f"{condition} and {found}" if condition else found
        elif primitive.kind == "change":
            element = primitive.code.format(x=element, t=tight, k=constant)
        else:
            loop = comprehension(element, condition, source)
            whole = f"[{loop}]" if loop else source
            source = primitive.code.format(l=whole, g=loop or source, k=constant)
            element, condition = "x", ""
    loop = comprehension(element, condition, source)
    return f"[{loop}]" if loop else source


def comprehension(element: str, condition: str, source: str) -> str:
    """The inside of a comprehension; empty when it would copy its source."""
    if element == "x" and not condition:
        return ""
    return f"{element} for x in {source}" + (f" if {condition}" if condition else "")


def function(steps: tuple[Step, ...], name: str, source: str) -> str:
    """The whole answer."""
    return f"def {name}({source}):\n    return {expression(steps, source)}"


def split_of(steps: tuple[Step, ...]) -> str:
    """The one split that a chain may appear in: 8 of 10 in train, 1 in dev, 1 in test. Chains of the same code share it."""
    return world.split_of(expression(steps, "xs"))


# Tests --------------------------------------------------------------------------------------------------------------------


def near_misses(steps: tuple[Step, ...]) -> Iterator[tuple[bool, tuple[Step, ...]]]:
    """(whether a step is missing, chain) of what a wrong answer is likely to compute instead."""
    for i, (name, constant) in enumerate(steps):
        yield True, steps[:i] + steps[i + 1 :]
        if i:
            yield False, (*steps[: i - 1], steps[i], steps[i - 1], *steps[i + 1 :])
        if isinstance(constant, int):
            for other in (constant - 1, constant + 1):
                if other > 0:
                    yield False, (*steps[:i], (name, other), *steps[i + 1 :])


def _value(steps: tuple[Step, ...], values: list[Any]) -> Any:
    try:
        return run(steps, values)
    except (TypeError, AttributeError):
        return TypeError


def calls(steps: tuple[Step, ...], over: str, rng: random.Random) -> list[tuple[list[Any], Any]] | None:
    """Four to six lists and what the chain gives for each, the empty list last; None when no list can tell a missing step, when the chain
    fails, or when it gives the same for nearly all."""
    pool = [a_list(steps, over, rng) for _ in range(16)]
    right = [_value(steps, values) for values in pool]
    empty = _value(steps, [])
    if TypeError in (*right, empty) or sum(result != empty for result in right) < len(pool) / 3:
        return None
    told = []
    for missing, other in near_misses(steps):
        tells = {i for i, values in enumerate(pool) if _value(other, values) != right[i]}
        if missing and not tells:
            return None
        if tells:
            told.append(tells)
    chosen: list[int] = []
    while len(chosen) < 5 and (len(chosen) < 3 or any(tells.isdisjoint(chosen) for tells in told)):
        left = [i for i in range(len(pool)) if i not in chosen and all(pool[i] != pool[j] for j in chosen)]
        if not left:
            return None
        chosen.append(max(left, key=lambda i: (sum(i in tells for tells in told if tells.isdisjoint(chosen)), right[i] != empty)))
    return [*((pool[i], right[i]) for i in chosen), ([], empty)]


def a_list(steps: tuple[Step, ...], over: str, rng: random.Random) -> list[Any]:
    """A list on which the constants of a chain matter."""
    size = max((k for name, k in steps if PRIMITIVES[name].kind == "cut" and isinstance(k, int)), default=2) + rng.randint(0, 4)
    if over == "words":
        return [a_word(steps, rng) for _ in range(size)]
    edges = [k + off for name, k in steps if isinstance(k, int) and PRIMITIVES[name].kind != "cut" for off in (-1, 0, 1)]
    edges += [k * rng.randint(-2, 3) for name, k in steps if name in ("multiple", "mod") and isinstance(k, int)]
    edges += [k * rng.randint(-2, 3) + off for name, k in steps if isinstance(k, int) and PRIMITIVES[name].kind == "keep" for off in (0, 1)]
    return [rng.choice(edges) if edges and rng.random() < 0.4 else rng.randint(-9, 29) for _ in range(size)]


def a_word(steps: tuple[Step, ...], rng: random.Random) -> str:
    word = rng.choice(WORDS)
    for name, k in steps:
        if isinstance(k, str) and rng.random() < 0.6:
            word = rng.choice([f"{k}{word}", f"{word}{k}", f"{word[:1]}{k}{word[1:]}"])
        elif isinstance(k, int) and name in ("long", "short", "head") and rng.random() < 0.5:
            word = (word * 20)[: max(1, k + rng.randint(-1, 1))]
    return word


def check_of(cases: list[tuple[list[Any], Any]]) -> str:
    """`check(candidate)` over lists and what is expected for each."""
    return code.check(f"assert candidate({values!r}) == {result!r}" for values, result in cases)


# Problems -----------------------------------------------------------------------------------------------------------------


def draw(skill: Skill, rng: random.Random, split: str, change: str | None = None) -> Example:
    """One new problem of a skill in a split; `change` is one of `CHANGES` for `lists_plus`, None for `lists`."""
    over, shape = skill.over, skill.shape
    if change == "other values":
        over = "numbers" if over == "words" else "words"
    while True:
        kinds = _longer(shape, rng) if change == "one more step" else shape
        steps = tuple(step(kind, over, rng, change == "larger constants") for kind in kinds)
        if split_of(steps) != split:
            continue
        cases = calls(steps, over, rng)
        if cases is not None:
            break
    name, source = rng.choice(FUNCTIONS), rng.choice(LISTS)
    phrases = [told(step, rng, change == "other wording") for step in steps]
    if change == "other wording":
        question = f"Define {name} for a list {source}. It should {'; after that, '.join(phrases)}."
    else:
        question = f"Write {name}({source}): {', then '.join(phrases)}."
    answer, meta = function(steps, name, source), {"entry_point": name, "test": check_of(cases)}
    return world.item("lists", change, meta, split=split, question=question, answer=answer, skill=skill.name, kind="code")


def step(kind: str, over: str, rng: random.Random, larger: bool) -> Step:
    choices = [p for p in PRIMITIVES.values() if p.kind == kind and p.over in (over, "any")]
    if larger:
        choices = [p for p in choices if p.constants] or choices
    primitive = rng.choice(choices)
    if primitive.constants is None:
        return primitive.name, None
    if isinstance(primitive.constants, str):
        return primitive.name, "".join(rng.sample(primitive.constants, 2 if larger else 1))
    low, high = primitive.constants
    if larger:
        low, high = high + 1, high * (2 if over == "words" or kind == "cut" else 5)
    return primitive.name, rng.randint(low, high)


def _longer(shape: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """The shape with one more step: at its end, or before everything where it ends in one value."""
    if shape[-1] == "fold":
        return (rng.choice(("cut", "order")) if shape[0] == "change" else "cut", *shape)
    return (*shape, rng.choice([kind for kind in ("order", "cut") if kind != shape[-1]]))


def told(step: Step, rng: random.Random, other: bool) -> str:
    primitive = PRIMITIVES[step[0]]
    return (primitive.other if other else rng.choice(primitive.wordings)).format(k=step[1])


def prompt(example: Example) -> list[Message]:
    """One user message: the question and the answer form."""
    return [{"role": "user", "content": f"{example.question}\nAnswer in Python."}]


def completion(solution: str, answer: str) -> str:
    """The code alone, without prose or a fence."""
    return answer.strip("\n")


class ListsTask(world.WorldTask):
    """The task `lists`, or its twin `lists_plus`. Raises UsageError without a runner."""

    kind = "code"
    max_new_tokens = 128
    brief = (
        "Small Python functions over a list of numbers or of words, each one a chain of one to three things to do: keep some, change each, "
        'order, cut, or fold into one value. A question is one line such as "Write f(xs): keep the even numbers, then add 3 to each.", '
        "without examples. The response is the function alone, without prose or a fence: a def line and one line that returns one "
        "expression. It is judged by calls with lists, the empty one among them."
    )

    skills, sizes, changes, draw = SKILLS, SIZES, CHANGES, staticmethod(draw)
    prompt, completion = staticmethod(prompt), staticmethod(completion)

    def __init__(self, name: str, runner: Runner | None):
        super().__init__(name)
        self._judge = code.Judge(code.runner_or_refuse(name, runner))

    def judge(self, example: Example, response: str) -> Verdict:
        return self._judge.verdict(code.item_of(example), response)
