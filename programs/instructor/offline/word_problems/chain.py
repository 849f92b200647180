"""The arithmetic of a program as Python: `solve`, `sensible`, and the draw of each parameter. No text of the item is in it."""

from collections.abc import Sequence

from ....samples.calculations import Node
from .bounds import EARLY
from .expressions import ONE, leaves_of, parts_of, ratio, source
from .kit import show
from .plan import Parameter, Plan


def chain_source(plan: Plan) -> str:
    """Source of `solve` and `sensible`."""
    names = ", ".join(plan.names)
    early = [rule for rule, why in plan.rules.items() if why in EARLY]
    late: dict[str, list[str]] = {}
    for rule, why in plan.rules.items():
        if why not in EARLY:
            late.setdefault(why, []).append(rule)
    lines = []
    for why, mine in late.items():
        joined = _joined(mine, 8)
        lines.append(joined if "\n" in joined else f"{joined}  # {why}")
    out = [
        f"def solve({names}):",
        '    """The steps of the solution; None where they do not come out whole."""',
        *(f"    {line}" for line in _solve_lines(plan)),
        f"    return {steps_tuple(plan)}",
        "",
        "",
        f"def sensible({names}):",
        '    """Whether the problem and every step of its solution make sense."""',
    ]
    if early:
        out += [f"    if not ({_joined(early, 13)}):", "        return False"]
    out += [f"    steps = solve({names})", "    if steps is None:", "        return False", f"    {steps_tuple(plan)} = steps"]
    if lines:
        out += ["    return (", f"        {lines[0]}", *(f"        and {line}" for line in lines[1:]), "    )"]
    else:
        out.append("    return True")
    return "\n".join(out) + "\n"


def steps_tuple(plan: Plan) -> str:
    """The steps' names as Python's tuple."""
    return ", ".join(f"step{j + 1}" for j in range(len(plan.nodes))) + ("," if len(plan.nodes) == 1 else "")


def exact(node: Node, names: Sequence[str]) -> str:
    """Python text of an expression that computes in fractions."""
    text = source(node, names)
    return f"Fraction({text})" if all(n[0] == "c" for n in leaves_of(node)) and not text.startswith("Fraction(") else text


def _solve_lines(plan: Plan) -> list[str]:
    names = plan.names
    lines = [] if plan.whole else [f"{name} = Fraction(str({name}))" for name in names]
    for j, node in enumerate(plan.nodes):
        top, bottom = ratio(node)
        if not plan.whole:
            for part in parts_of(node):
                if part[0] == "/" and _may_vanish(part[2]):
                    lines += [f"if {source(part[2], names)} == 0:", "    return None"]
            lines.append(f"step{j + 1} = {exact(node, names)}")
        elif bottom == ONE:
            lines.append(f"step{j + 1} = {source(top, names)}")
        else:
            t, b = source(top, names, 2), source(bottom, names, 2, True)
            zero = f"{source(bottom, names)} == 0 or " if _may_vanish(bottom) else ""
            lines += [f"if {zero}{t} % {b}:", "    return None", f"step{j + 1} = {t} // {b}"]
    return lines


def _may_vanish(node: Node) -> bool:
    """Whether a divisor may be zero: parameters and constants are not."""
    return any(leaf[0] == "s" for leaf in leaves_of(node)) or any(part[0] in ("-", "neg") for part in parts_of(node))


def _joined(rules: list[str], indent: int) -> str:
    """The rules joined by "and", in lines of about 90 characters."""
    lines = [""]
    for rule in rules:
        piece = f" and {rule}" if lines[-1] else rule
        if len(lines[-1]) + len(piece) > 90:
            lines.append(f"and {rule}")
        else:
            lines[-1] += piece
    return ("\n" + " " * indent).join(lines)


def pick_source(p: Parameter, names: Sequence[str]) -> str:
    """Source of the expression that draws a parameter."""
    if p.via is not None:
        node, quotient = p.via
        room = f", room={p.room}" if p.room != 1 else ""
        return source(node, [*names, f"pick(rng, level, {show(quotient)}, least={1 if quotient < 2 else 2}{room})"])
    options = {
        "step": "" if p.step == 1 else show(p.step),
        "least": "" if p.least == 2 else show(p.least),
        "most": "" if p.most is None else show(p.most),
        "spread": "CLOSE" if p.close else p.spread or "WIDE" if p.wide else "",
        "room": "" if p.room == 1 else str(p.room),
        "plus": show(p.plus) if p.plus else "",
    }
    return f"pick(rng, level, {show(p.value - p.plus)}" + "".join(f", {name}={text}" for name, text in options.items() if text) + ")"


def order_of(plan: Plan) -> list[int]:
    """Parameters in the order of drawing: those computed from others come last."""
    return sorted(range(len(plan.parameters)), key=lambda i: plan.parameters[i].via is not None)
