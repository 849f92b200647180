"""Completes a row of a code problem, inside the sandbox: runs the solution on the program's calls.

Not here: the tests and examples that the host writes from the results.
"""

import cmath
import functools
import re


@functools.lru_cache(1000)
def _compiled(call):
    return compile(call, "<call>", "eval", dont_inherit=True)  # asked again of the wrong solution


def _show(value, hashed=False):
    """The value as a literal, the same on every machine. A frozenset is shown as the set that it equals, where a set may stand: not
    in another set, nor as a key (`hashed`)."""
    kind = type(value)
    if kind in (float, complex) and not cmath.isfinite(value):
        raise ValueError("it gave %r, which has no literal form" % value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return repr(value)
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (_show(key, True), _show(item)) for key, item in value.items())
    if isinstance(value, list):
        return "[%s]" % ", ".join(map(_show, value))
    if isinstance(value, tuple):
        inner = [_show(item, hashed) for item in value]
        return "(%s)" % (inner[0] + "," if len(inner) == 1 else ", ".join(inner))
    if isinstance(value, (set, frozenset)) and not hashed:
        return "{%s}" % ", ".join(sorted(_show(item, True) for item in value)) if value else "set()"
    raise ValueError("it gave an object of type %s, which has no literal form here" % kind.__name__)


def _results(source, entry, calls):
    """What the function gives on each call: ["value", literal, whether it is a float] or ["raised", error]."""
    space = {"__name__": "solution"}
    try:
        exec(compile(source, "solution.py", "exec", dont_inherit=True), space)
        space[entry]
    except (Exception, SystemExit) as error:
        return [["raised", "%s: %s" % (type(error).__name__, error)]] * len(calls), space
    rows = []
    for call in calls:
        try:
            value = eval(_compiled("%s(%s)" % (entry, call)), space)
            rows.append(["value", _show(value), type(value) is float])
        except (Exception, SystemExit) as error:
            rows.append(["raised", "%s: %s" % (type(error).__name__, error)])
    return rows, space


def _equals(told, value, space):
    try:
        return bool(eval(told, space) == value)
    except Exception:
        return False


def _arguments(call, entry):
    call = str(call).strip()
    inner = re.fullmatch(re.escape(entry) + r"\((.*)\)", call, re.DOTALL)
    return inner[1].strip() if inner else call


def complete(row):
    entry = row["entry_point"]
    if not isinstance(row.get("calls"), list):
        raise TypeError("make() must return a list of str under 'calls', not %r" % (row.get("calls"),))
    row["calls"] = [_arguments(call, entry) for call in row["calls"]]
    row["results"], space = _results(row["answer"], entry, row["calls"])
    for call, result in zip(row["calls"], row["results"]):
        if result[0] == "raised":
            raise ValueError("the solution fails on %s(%s): %s" % (entry, call, result[1]))
    for line, told in re.findall(r"^[ \t]*>>> (.+)\n[ \t]*(.+)", row["question"], re.MULTILINE):
        value = eval(line, space)
        if told.strip() != repr(value) and not _equals(told, value, space):
            raise ValueError("the question's example %s gives %r, not %s; leave examples to the host" % (line, value, told.strip()))
    if row.get("wrong") is not None:
        row["wrong_results"], _ = _results(row["wrong"], entry, row["calls"])
    return row
