"""Writes a sample program from a reading: parameters in place of the question's numbers, and the chain recomputed.

The bounds stand in the emitted program as plain code, and so does the source of the helpers that it needs (kit.py). Not covered: changing
names, or what is asked.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .....tasks.verdicts import number as verdicts
from ....samples.calculations import Node, Unreadable
from ..phrasings import fields, phrasings
from ..template import filled
from . import kit
from .chain import chain_source, exact, order_of, pick_source, steps_tuple
from .diagnose import misled
from .expressions import RANK, chain_values, leaf_name, leaves_of, source
from .plan import Plan, over
from .reading import read
from .tune import plan_of

TRIES = 400  # draws that an emitted program makes before it falls back on the original numbers
_FRACTION = re.compile(r"\d\s?/\s?\d|thirds?\b|fourths?\b|quarters?\b|fifths?\b|sixths?\b|sevenths?\b|eighths?\b|ninths?\b|tenths?\b")
Slot = tuple[int, int, str]  # start and end in a text, and the key of what is shown there


def write(question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool = False, phrased: bool = False) -> str:
    """A program for one problem; raises Unreadable. Fractions of the question vary only where its other numbers give too little. `careful`
    leaves `wrong` out; `phrased` asks in other wordings too."""
    try:
        plan = plan_of(read(question, reference))
    except Unreadable as error:
        if not _FRACTION.search(question):
            raise
        try:
            plan = plan_of(read(question, reference, fractions=True))
        except Unreadable:
            raise error from None
    if not careful:
        _mislead(plan, response)
    return emit(plan, failure_id, skill, phrased)


def _mislead(plan: Plan, response: str) -> None:
    """Gives the plan the response's chain as `wrong`, where that chain hangs on what varies and gives what the response gave."""
    nodes = misled(plan.reading, response)
    given = verdicts.extract(response)
    if nodes is None or given is None:
        return
    wrong = [over(node, plan.varying, plan.reading) for node in nodes]
    try:
        last = chain_values(wrong, [p.value for p in plan.parameters])[-1]
    except ZeroDivisionError:
        return
    if last == given == verdicts.read(kit.show(last)) and any(leaf[0] == "q" for node in wrong for leaf in leaves_of(node)):
        plan.wrong = wrong


def emit(plan: Plan, failure_id: str, skill: str, phrased: bool = False) -> str:
    """Source of the whole program."""
    shown, names = _Shown(plan), plan.names
    question, solution, chain = _question(plan, shown), _solution(plan, shown), chain_source(plan)
    fractions = not plan.whole or plan.wrong is not None or any(map(shown.uses, ("show(", "grouped(", "Fraction("))) or "Fraction(" in chain
    helpers = ["pick", *(["show"] if fractions else []), *(name for name in ("grouped", "cents") if shown.uses(f"{name}("))]
    comma = "," if len(names) == 1 else ""
    arguments = ", ".join(names)
    others = phrasings(question) if phrased else []
    worded = fields("QUESTION", others)
    return filled(
        "word_problem",
        **worded,
        asked="PHRASINGS[phrasing]" if others else "QUESTION",
        skill=re.sub(r"[\\\"\s]+", " ", skill).strip(),
        imports="import math" + ("\nfrom fractions import Fraction" if fractions else ""),
        tables="\n".join(_tables(plan, shown)),
        question=_text(question),
        solution=_text(solution),
        helpers="\n\n".join(inspect.getsource(getattr(kit, name)) for name in helpers),
        chain=chain,
        tries=TRIES,
        draws="\n".join(f"        {names[i]} = {pick_source(plan.parameters[i], names)}" for i in order_of(plan)),
        numbers=arguments + comma,
        original=", ".join(kit.show(p.value) for p in plan.parameters) + comma,
        arguments=arguments,
        tells=f" and tells({arguments})" if plan.wrong else "",
        keywords=", ".join(f'"{name}": {name}' for name in names),
        steps=steps_tuple(plan) if len(plan.nodes) > 1 else "(step1,)",
        shown="\n".join(f'        "{key}": {expression},' for key, expression in shown.fields.items()),
        answer=f"{'str' if plan.whole else 'show'}(step{plan.reading.final + 1})",
        wrong=_wrong(plan, plan.wrong, worded["phrasing"]) if plan.wrong else "",
        failure=repr(failure_id),
        anchor="{" + ", ".join(f'"{p.name}": {kit.show(p.value)}' for p in plan.parameters) + "}",
    )


def _tables(plan: Plan, shown: "_Shown") -> Iterator[str]:
    """How far draws go from the original, and the words that are shown."""
    free = [p for p in plan.parameters if not p.close and p.via is None]
    spreads = sorted({p.spread for p in free if p.spread}) or (["WIDE"] if any(p.wide for p in free) else [])
    for name in ("NEAR", *(["CLOSE"] if any(p.close for p in plan.parameters) else []), *spreads):
        yield f"{name} = {kit.SPREADS[name]!r}"
    if shown.uses("PARTS"):
        yield f"PARTS = {kit.PARTS!r}"
    if shown.uses("WORDS["):
        yield f"WORDS = {' '.join(kit.WORDS)!r}.split()"


def _wrong(plan: Plan, wrong: list[Node], phrasing: str) -> str:
    lines = [f"    {name} = Fraction(str({name}))" for name in plan.names]
    lines += [f"    step{j + 1} = {exact(node, plan.names)}" for j, node in enumerate(wrong)]
    arguments, final = ", ".join(plan.names), plan.reading.final
    return filled("word_problem_wrong", arguments=arguments, phrasing=phrasing, lines="\n".join(lines), last=len(wrong), final=final)


@dataclass
class _Shown:
    """How each number is shown: keys of the templates, with Python expressions."""

    plan: Plan
    fields: dict[str, str] = field(default_factory=dict)

    def uses(self, text: str) -> bool:
        return any(text in expression for expression in self.fields.values())

    def key(self, name: str, text: str, style: str, node: Node) -> str:
        """Registers how a number is shown, in the style of the original text, and returns its key."""
        ending, expression = self._form(self._expression(name, node), text, style, node)
        key = name + ending
        while self.fields.setdefault(key, expression) != expression:
            key += "_b"
        return key

    def _expression(self, name: str, node: Node) -> str:
        if node[0] in ("q", "s"):
            return name
        names = self.plan.names
        expression = source(node, names)
        if "/" in expression:
            inner = leaf_name(next(n for n in leaves_of(node) if n[0] != "c"), names)
            expression = expression.replace(inner, f"Fraction({inner})", 1)
        return expression

    def _form(self, expression: str, text: str, style: str, node: Node) -> tuple[str, str]:
        """What is added to the key, and the expression of the text that is shown."""
        plain = node[0] in ("q", "s")
        if style == "part":
            parts = '(PARTS | {4: "quarter"})' if text.lower().startswith("quarter") else "PARTS"
            return "_part", f"{parts}[{expression}]" + (' + "s"' if text.endswith("s") else "")
        if style == "word" and node[0] == "q" and (self.plan.parameters[node[1]].most or 99) <= 20:
            upper = text[0].isupper()
            return "_Word" if upper else "_word", f"WORDS[{expression}]" + (".capitalize()" if upper else "")
        if style == "decimal" and re.search(r"\.\d\d$", text) and plain:
            return "_cents", f"cents({expression})" + (".lstrip('0')" if text[0] == "." else "")
        if text[0] == "." and plain:
            return "_point", f"show(str({expression})).lstrip('0')"
        whole = self.plan.whole and plain
        if style == "commas" and "." in text:
            return "_grouped", f'f"{{float({expression}):,.{len(text.rpartition(".")[2])}f}}"'
        if style == "commas":
            return "_grouped", f'f"{{{expression}:,}}"' if whole else f"grouped({expression})"
        fraction = f"str({expression})" if node[0] == "q" else expression
        return "", expression if whole else f"show({fraction})"


def _question(plan: Plan, shown: _Shown) -> str:
    places = [(i, p, plan.reading.mentions[k]) for i, p in enumerate(plan.parameters) for k in p.mentions]
    slots = [(m.start, m.end, shown.key(p.name, m.text, m.style, ("q", i))) for i, p, m in places]
    return _template(plan.reading.question, slots)


def _solution(plan: Plan, shown: _Shown) -> str:
    """The solution's template; a line with an unexplained number keeps its computations only."""
    reading = plan.reading
    slots = []
    for start, end, node in reading.slots:
        varying = over(node, plan.varying, reading)
        if varying[0] != "c":
            text = reading.solution[start:end]
            style = "word" if text[0].isalpha() else "commas" if "," in text else "digits"
            slots.append((start, end, shown.key(_slot_name(varying, plan.names), text, style, varying)))
    if not reading.bare:
        return _template(reading.solution, slots)
    lines, start = [], 0
    for line in reading.solution.split("\n"):
        end = start + len(line)
        if not any(a <= start < b or a == start for a, b in reading.bare):
            lines.append(_template(line, [(a - start, b - start, key) for a, b, key in slots if start <= a and b <= end]))
        else:
            inside = [j for j, step in enumerate(reading.steps) if start <= step.start and step.end <= end]
            lines += [_computation(plan, j, slots, shown.key(f"step{j + 1}", "0", "digits", ("s", j))) for j in inside]
        start = end + 1
    return "\n".join(line for line in lines if line.strip())


def _slot_name(node: Node, names: list[str]) -> str:
    if node[0] in ("q", "s"):
        return leaf_name(node, names)
    ending = {"/": "share", "-": "rest", "+": "raised", "*": "percent"}.get(node[0], "kin")
    return leaf_name(next(n for n in leaves_of(node) if n[0] != "c"), names) + "_" + ending


def _template(text: str, slots: list[Slot]) -> str:
    out, at = [], 0
    for start, end, key in sorted(slots):
        if start >= at:
            out += [_escaped(text[at:start]), "{" + key + "}"]
            at = end
    return "".join([*out, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _computation(plan: Plan, j: int, slots: list[Slot], key: str) -> str:
    """A step as "3*4 = <<3*4=12>>12", over the fields of its numbers."""
    step = plan.reading.steps[j]
    keys = {(a, b): "{" + key + "}" for a, b, key in slots}
    leaves = [keys.get((a, b), kit.show(value)) for a, b, value in step.leaves]

    def infix(node: Node, above: int = 0, right: bool = False) -> str:
        if node[0] == "leaf":
            return leaves[node[1]]
        if node[0] in ("pct", "neg"):
            return infix(node[1], 3) + "%" if node[0] == "pct" else "-" + infix(node[1], 3)
        rank = RANK[node[0]]
        text = f"{infix(node[1], rank)}{node[0]}{infix(node[2], rank, True)}"
        return f"({text})" if rank < above or (rank == above and right) else text

    left = infix(step.node)
    return f"{left} = <<{left}={{{key}}}>>{{{key}}}"


def _text(template: str) -> str:
    """A string literal over several lines, one a line of the text."""
    pieces = [line + "\n" for line in template.split("\n")]
    pieces[-1] = pieces[-1][:-1]
    wrapped: list[str] = []
    for piece in pieces:
        wrapped += re.findall(r"(?:.|\n){1,100}(?:(?<=\s)|$)|(?:.|\n){1,100}", piece) or [piece]
    literal = "\n".join("    " + repr(piece) for piece in wrapped if piece)
    return f"(\n{literal}\n)"
