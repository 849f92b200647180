"""Diagnoses and sample programs for small functions over a list: chains of the primitives of errata.tasks.world.lists.

The reference's code is read as a chain, and the target's as another; the difference is the diagnosis (a step left out, steps in another
order, another step, another constant, no Python), and `wrong` makes the same mistake on new chains. A program draws chains of the same
kinds of steps anew. What is not here: reading (errata.programs.instructor.offline.functions), and other functions, which are refused.
"""

import ast
import builtins
import inspect
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ....tasks.verdicts import code as python
from ....tasks.world import lists
from ....tasks.world.lists import PRIMITIVES, Step
from ...samples.calculations import Unreadable
from . import phrasings
from .functions import Chain, Telling, chain_of, telling_of, wordings
from .template import filled
from .word_problems.diagnose import AT_FAULT, Finding

SPLIT = "\n\nIt must pass:\n"  # between the reference's code and its tests
_TEACH = "Vary the steps within their kinds, the constants and the names; keep the kinds of the steps and their order."


@dataclass(frozen=True)
class Problem:
    """A question that asks for a chain."""

    question: str
    chain: Chain
    over: str  # `numbers` or `words`
    telling: Telling | None  # how the question's words tell it; None if they are not the words of errata.tasks.world.lists
    calls: tuple[list[Any], ...]  # the lists that its tests call it with


def is_code(question: str, reference: str) -> bool:
    """Whether an error is one of code, by what the instructor is shown."""
    shown = "It must pass these tests:" in question or "\ndef " in f"\n{question}"
    return shown or SPLIT.strip() in reference or telling_of(question) is not None


def problem_of(question: str, reference: str) -> Problem:
    """Raises Unreadable when the reference is not a chain of known steps over one list of numbers or of words."""
    answer, _, test = reference.partition(SPLIT)
    telling = telling_of(question)
    calls = _calls(test)
    values = [value for given in calls for value in given]
    if not test and telling:
        over = _over(telling.steps)
    elif values and all(isinstance(value, str) and value for value in values):
        over = "words"
    elif values and all(type(value) in (int, float) for value in values):
        over = "numbers"
    else:
        raise Unreadable("no function of one list: the embedded instructor teaches chains of steps over a list of numbers or of words")
    if answer.strip() == "(hidden)" and telling:
        named = re.search(r"\b(\w+)\((\w+)\)", telling.head) or re.search(r"(\w+) for a list (\w+)", telling.head)
        if not named:
            raise Unreadable("the question names no function")
        return Problem(question, Chain(named[1], named[2], telling.steps), over, telling, calls)
    if not answer.strip():
        raise Unreadable("no reference code: the embedded instructor reads what a function must do from one")
    chain = chain_of(answer, _entry(test, answer), over)
    if not chain.steps:
        raise Unreadable("the function hands its list back as it is")
    if telling and _code(telling.steps) == _code(chain.steps):
        chain = Chain(chain.name, chain.source, telling.steps)
    return Problem(question, chain, over, telling, calls)


def _over(steps: tuple[Step, ...]) -> str:
    kinds = {PRIMITIVES[name].over for name, _ in steps}
    return "words" if "words" in kinds else "numbers"


def _entry(test: str, answer: str) -> str:
    """The function that the answer defines and the test calls, or its first one."""
    tree = python.parse(answer)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] if tree else []
    return next((name for name in names if re.search(rf"\b{name}\(", test)), names[0] if names else "")


def _calls(test: str) -> tuple[list[Any], ...]:
    """The literal lists that a test calls a function of one argument with."""
    tree = python.parse(test)
    found: list[list[Any]] = []
    for node in ast.walk(tree) if tree else ():
        match node:
            case ast.Call(func=ast.Name(), args=[ast.List() as given], keywords=[]):
                with suppress(ValueError):
                    value = ast.literal_eval(given)
                    found += [value] if value not in found else []
    return tuple(found)


def phrase(step: Step) -> str:
    name, constant = step
    return PRIMITIVES[name].wordings[0].format(k=constant)


def diagnose(question: str, reference: str, response: str) -> Finding:
    """Verdict, skill and misconception of one wrong response. Never raises: what cannot be read is said to be so."""
    try:
        problem = problem_of(question, reference)
    except Unreadable as reason:
        text = f"It cannot be told where it departs: {reason}."
        return Finding("error", "write a function", text, _line(response), "Nothing that is known here.")
    skill = f"list of {problem.over}: {', then '.join(PRIMITIVES[name].kind for name, _ in problem.chain.steps)}"
    told = problem.telling
    if told and _code(told.steps) != _code(problem.chain.steps) and _over(told.steps) == problem.over:
        text = f"The reference does not do what is asked: {_code(problem.chain.steps)} is not: {_then(told.steps)}."
        return Finding("reference_wrong", skill, text, _code(problem.chain.steps), AT_FAULT)
    text, evidence = _departure(problem, response)
    return Finding("error", skill, text, evidence, _TEACH)


def _code(steps: tuple[Step, ...]) -> str:
    return lists.expression(steps, "xs")


def _line(text: str) -> str:
    return " ".join(text.split())[:160] or "(empty)"


def given_of(problem: Problem, response: str) -> Chain:
    """The chain that a response computes. Raises Unreadable."""
    source = _source(problem, response)
    if source is None:
        raise Unreadable("There is no code in it: the whole function is missing")
    chain = chain_of(source, problem.chain.name, problem.over)
    alike = {_code((step,)): step for step in problem.chain.steps}
    return Chain(chain.name, chain.source, tuple(alike.get(_code((step,)), step) for step in chain.steps))


def _departure(problem: Problem, response: str) -> tuple[str, str]:
    """(where the response departs, its words there)."""
    if not response.strip():
        return "There is no answer: the whole function is missing.", "(empty)"
    source = _source(problem, response)
    if source is None:
        return "There is no code in it: the whole function is missing.", _line(response)
    tree = python.parse(source)
    if tree is None:
        return f"Its code is no Python: {_fault(source)}.", _line(source)
    if not python.defines(tree, problem.chain.name):
        return f"It defines no function {problem.chain.name!r}, which is what is asked for.", _line(source)
    unknown = _unknown(tree)
    if unknown:
        return f"It uses the name {unknown!r}, which nothing defines: the list is called {problem.chain.source!r}.", _line(source)
    try:
        given = given_of(problem, response)
    except Unreadable as reason:
        return f"It does something else than the chain of steps that is asked for: {reason}.", _line(source)
    return _difference(problem.chain.steps, given.steps), _line(source.rpartition("return ")[2])


def _source(problem: Problem, response: str) -> str | None:
    """The code in a response."""
    return python.extract(python.Item("", problem.chain.name, ""), response)


def _fault(source: str) -> str:
    try:
        ast.parse(source)
    except SyntaxError as error:
        line = (error.text or "").strip()[:80]
        return f"{error.msg} in {line!r}" if line else str(error.msg)
    except ValueError as error:
        return str(error)
    return "it cannot be read"


def _unknown(tree: ast.Module) -> str | None:
    """The first name that is read and never bound."""
    nodes = list(ast.walk(tree))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)} | {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    bound |= {alias.asname or alias.name for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}
    read = (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return next((name for name in read if name not in bound and not hasattr(builtins, name)), None)


@dataclass(frozen=True)
class Edit:
    """The one mistake that makes a chain another."""

    kind: str  # `missing`, `order`, `constant`, `step` (another one), or `several`
    at: int = 0
    order: tuple[int, ...] = ()
    by: int = 0  # what is added to the constant
    step: Step = ("", None)  # what stands in its place


def edit_of(right: tuple[Step, ...], given: tuple[Step, ...]) -> Edit:
    for i in range(len(right)):
        if right[:i] + right[i + 1 :] == given:
            return Edit("missing", i)
    if len(right) == len(given) and Counter(right) == Counter(given):
        order: list[int] = []
        for step in given:
            order.append(next(i for i, one in enumerate(right) if one == step and i not in order))
        return Edit("order", order=tuple(order))
    apart = [i for i, pair in enumerate(zip(right, given, strict=False)) if pair[0] != pair[1]]
    if len(right) == len(given) and len(apart) == 1:
        (name, constant), (other, instead) = right[apart[0]], given[apart[0]]
        if name == other and isinstance(constant, int) and isinstance(instead, int):
            return Edit("constant", apart[0], by=instead - constant)
        return Edit("step", apart[0], step=(other, instead))
    return Edit("several", apart[0] if apart else min(len(right), len(given)))


def _then(steps: tuple[Step, ...]) -> str:
    return ", then ".join(map(phrase, steps))


def _difference(right: tuple[Step, ...], given: tuple[Step, ...]) -> str:
    edit = edit_of(right, given)
    if edit.kind == "missing":
        return f'A step is missing: it leaves out "{phrase(right[edit.at])}".'
    if edit.kind == "order":
        return f'The steps are right, but in the wrong order: it does "{_then(given)}".'
    if edit.kind in ("constant", "step"):
        return f'The wrong {edit.kind}: it does "{phrase(given[edit.at])}" where "{phrase(right[edit.at])}" is asked.'
    if right == given:
        return "Its steps are those of the reference; what is wrong cannot be told from its code."
    wanted = f'"{phrase(right[edit.at])}"' if edit.at < len(right) else "nothing more"
    done = f'"{phrase(given[edit.at])}"' if edit.at < len(given) else "nothing more"
    return f"It departs at step {edit.at + 1}: it does {done} where {wanted} is asked, and other steps differ too."


def boundary(question: str, reference: str, solved: str) -> str:
    """What the failed chain has that the solved neighbours' chains lack; one sentence."""
    shape: list[str] = []
    with suppress(Unreadable):
        shape = [PRIMITIVES[name].kind for name, _ in problem_of(question, reference).chain.steps]
    told = [telling_of(part.partition("\nResponse:")[0].strip()) for part in re.split(r"(?m)^Question: ", solved)]
    shapes = [[PRIMITIVES[name].kind for name, _ in one.steps] for one in told if one]
    if not shape or not shapes:
        return "The functions of the solved questions cannot be compared with this one."
    new = [kind for kind in dict.fromkeys(shape) if not any(kind in other for other in shapes)]
    known = " or ".join(sorted({"to " + ", then to ".join(other) for other in shapes}))
    if new:
        return f"It solves chains {known}, none of which has a step to {new[0]}; this one needs it."
    if len(shape) > max(map(len, shapes)):
        return f"It solves chains of up to {max(map(len, shapes))} steps; this one has {len(shape)}."
    return f"It solves chains {known}; this one asks to {', then to '.join(shape)}."


def write(question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool = False, phrased: bool = False) -> str:
    """The program's source. `careful`: without `wrong`; `phrased`: in other wordings too. Raises Unreadable with the reason why no honest
    program is known."""
    problem = problem_of(question, reference)
    told, name, source, steps = problem.telling, problem.chain.name, problem.chain.source, problem.chain.steps
    if told and _code(told.steps) != _code(steps):
        raise Unreadable("the reference does not do what the question asks")
    shape = tuple(PRIMITIVES[step].kind for step, _ in steps)
    if any(kind == "fold" for kind in shape[:-1]):
        raise Unreadable("a step behind one that ends in a single value is beyond the embedded instructor")
    if len(problem.calls) < 3:
        raise Unreadable("its tests call it with fewer than three lists that can be read")
    known = [one for one in PRIMITIVES.values() if one.over in (problem.over, "any") and one.kind in {*shape, "cut", "order"}]
    words = list(told.words) if told else [0 for _ in steps]
    anchor: dict[str, Any] = {"name": name, "source": source, "steps": [*map(list, steps)], "words": words, "lists": [*problem.calls]}
    head, joint, end = _form(problem)
    # its own words, without the tests that the host writes, where they are not those of errata.tasks.world.lists
    own = None if told else problem.question.partition("\nIt must pass these tests:")[0].strip() + "\n"
    if own is not None:
        anchor["told"] = own
    others = any(word == len(PRIMITIVES[step].wordings) for (step, _), word in zip(steps, words, strict=True))
    forms = phrasings.functions((head, joint, end), question) if phrased else []
    worded = phrasings.fields("(HEAD, JOINT, END)", forms)
    telling = "HEAD.format(name=name, source=source) + JOINT.join(phrases) + END"
    if forms:
        telling = "(head + joint.join(phrases) + end).format(name=name, source=source)"
    more = (", told=None" if own is not None else "") + worded["phrasing"]
    wrong = "" if careful else _wrong(problem, response, more)
    return filled(
        "lists",
        **worded,
        unpacked="\n    head, joint, end = PHRASINGS[phrasing]" if forms else "",
        skill=re.sub(r"[^\w ,:-]", "", skill),
        primitives="\n".join(f"    {one.name!r}: Primitive{(one.kind, one.code, wordings(one), one.constants)!r}," for one in known),
        shape=shape,
        own=tuple(dict.fromkeys(step for step, _ in steps)),
        over=repr(problem.over),
        head=repr(head),
        joint=repr(joint),
        end=repr(end),
        functions=tuple(dict.fromkeys((*lists.FUNCTIONS, name) if told else (name,))),
        names=tuple(dict.fromkeys((*lists.LISTS, source) if told else (source,))),
        words=lists.WORDS if problem.over == "words" else (),
        expression=inspect.getsource(lists.expression),
        loop=inspect.getsource(lists.comprehension),
        values=inspect.getsource(lists.a_list),
        word=inspect.getsource(lists.a_word),
        styles="(-1,)" if others else "(0, 1)",
        more=more,
        question=f"told or {telling}" if own is not None else telling,
        examples=told is None,
        wrong=wrong,
        and_mistake="; where careful, whether the mistake shows too" if wrong else "",
        more_chains=" + [chain for chain in [mistaken(steps)] if careful and chain is not None]" if wrong else "",
        failure=repr(failure_id),
        anchor=anchor,
    )


def _form(problem: Problem) -> tuple[str, str, str]:
    """What a drawn question has before, between and behind its phrases: the question's own, with names in place."""
    told, chain = problem.telling, problem.chain
    if told is None:
        kind = "of numbers" if problem.over == "numbers" else "of words"
        if "def " in problem.question:
            return f'def {{name}}({{source}}):\n    """For a list {kind}: ', ", then ", '."""\n'
        return f"Write a function {{name}}({{source}}) for a list {kind}: ", ", then ", "."
    head = told.head.replace("{", "{{").replace("}", "}}")
    head = re.sub(rf"\b{re.escape(chain.source)}\b", "{source}", re.sub(rf"\b{re.escape(chain.name)}\b", "{name}", head))
    return head, told.joint, told.end


def _wrong(problem: Problem, response: str, more: str) -> str:
    """`wrong`, which makes the response's mistake on other chains; empty if it makes several. `more`: arguments that it takes too."""
    try:
        given = given_of(problem, response)
    except Unreadable:
        return ""
    edit = edit_of(problem.chain.steps, given.steps)
    i, unless = edit.at, ""
    if edit.kind == "missing":
        edited = f"steps[:{i}] + steps[{i + 1}:]"
    elif edit.kind == "order":
        edited = f"[steps[i] for i in {edit.order}]"
    elif edit.kind == "constant":
        edited = f"[*steps[:{i}], [steps[{i}][0], steps[{i}][1] + {edit.by}], *steps[{i + 1}:]]"
        unless = f" or not isinstance(steps[{i}][1], int) or steps[{i}][1] + {edit.by} < 1"
    elif edit.kind == "step":
        name, constant = edit.step
        kept = f"steps[{i}][1]" if constant == problem.chain.steps[i][1] and constant is not None else repr(constant)
        edited = f"[*steps[:{i}], [{name!r}, {kept}], *steps[{i + 1}:]]"
        unless = f" or steps[{i}][0] != {problem.chain.steps[i][0]!r}"
    else:
        return ""
    if any(PRIMITIVES[name].kind == "fold" for name, _ in given.steps[:-1]):
        return ""
    says = _difference(problem.chain.steps, given.steps).replace('"', "'").replace("\\", "")
    return filled("lists_wrong", says=says, unless=unless, edited=edited, more=more)
