"""A module inside a function, so that one program can hold several: each keeps its own names."""

import ast

from ...tasks.verdicts.code import parse


def nested(name: str, source: str) -> str | None:
    """The module as a function called `name` that hands back its draw, make, wrong (None: it has no wrong) and ANCHORS. None when the
    module would not do the same in there: it has global statements or star imports, or it is not valid Python."""
    tree = parse(source)
    if tree is None:
        return None
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    walked = list(ast.walk(tree))
    stars = any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in walked)
    if stars or any(isinstance(node, ast.Global) for node in walked):
        return None
    wrong = "wrong" if any(isinstance(node, ast.FunctionDef) and node.name == "wrong" for node in body) else "None"
    made = parse(f"def {name}():\n    return {{'draw': draw, 'make': make, 'wrong': {wrong}, 'ANCHORS': ANCHORS}}")
    assert made and isinstance(made.body[0], ast.FunctionDef)
    function = made.body[0]
    function.body[:0] = [node for node in body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    return ast.unparse(ast.fix_missing_locations(made))
