"""Calls draw, make and wrong inside the sandbox: one row an anchor, then one a draw; {"error": ...} for one that fails.

Not here: `complete`, which the file of the program's kind beside this one defines.
"""

import json
import random


def _problem(program, params, payload):
    params = json.loads(json.dumps(params, allow_nan=False))
    row = program.make(**params)
    if not isinstance(row, dict):
        raise TypeError("make() must return a dict, not " + type(row).__name__)
    out = {}
    for field in payload["texts"]:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise TypeError("make() must return a non-empty str under %r, not %r" % (field, row.get(field)))
        out[field] = row[field]
    for field in payload["values"]:
        if field not in row:
            raise TypeError("make() must return a JSON value under %r" % field)
        out[field] = _written(row[field], "make() under %r" % field)
    for field in payload["others"]:
        if field in row:
            out[field] = row[field]
    if hasattr(program, "wrong"):
        value = program.wrong(**params)
        if payload["values"]:
            value = None if value is None else _written(value, "wrong()")
        elif isinstance(value, dict):  # with the reasoning
            text, value = value.get("solution"), value.get("answer")
            out["wrong_solution"] = None if text is None else str(text)
        out["wrong"] = None if value is None else str(value)
    return complete(out)


def _written(value, where):
    """A JSON value as its text."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError("%s gives no JSON value: %s" % (where, error)) from None


def _try(build):
    try:
        return build()
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}


def _draw(program, seed, index, level, payload):
    rng = random.Random("%s:%s:%s" % (seed, index, level))
    params = program.draw(rng, level)
    if not isinstance(params, dict):
        raise TypeError("draw() must return a dict, not " + type(params).__name__)
    return _problem(program, params, payload)


def main(program, payload):
    for name in payload["anchors"]:
        yield _try(lambda: _problem(program, program.ANCHORS[name], payload))
    for seed, index, level in payload["draws"]:
        yield _try(lambda: _draw(program, seed, index, level, payload))
