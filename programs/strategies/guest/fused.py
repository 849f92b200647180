"""How two programs are one. What follows `second` ends every fused program (errata.programs.strategies.fuse), as text.

What stands above is a stand-in for the head of a fused program, which holds its two parts. Not covered: importing this file.
"""

import re

HOW = "sequence"
TRIES = 40


def first(): ...


def second(): ...


FIRST, SECOND = first(), second()
ANCHORS = {name: {"part": part, "own": own} for part, each in enumerate((FIRST, SECOND)) for name, own in each["ANCHORS"].items()}


def whole(text):
    """An answer as a number, None where it is no whole one."""
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def put(question, number, text):
    """The question with `text` in place of the number, None where the number does not stand there exactly once."""
    found = list(re.finditer(rf"(?<![\w.,/:-]){number}(?![\w/:%-]|[.,]\d)", question))
    return question[: found[0].start()] + text + question[found[0].end() :] if len(found) == 1 else None


def hangs(params, name):
    """Whether the parameter stands in the second problem once, and its answer hangs on it."""
    row, other = SECOND["make"](**params), None
    try:
        other = SECOND["make"](**{**params, name: params[name] + 1})
    except Exception:
        return False
    return other["answer"] != row["answer"] and put(row["question"], params[name], str(params[name] + 1)) == other["question"]


def draw(rng, level):
    return sequence(rng, level) if HOW == "sequence" else beside(rng, level)


def sequence(rng, level):
    """Both are drawn until the answer of a first problem is a number of a second one."""
    firsts, wanted = {}, {}
    for _ in range(TRIES):
        first, second = FIRST["draw"](rng, level), SECOND["draw"](rng, level)
        answer = whole(FIRST["make"](**first)["answer"])
        if answer is not None and answer > 1:
            firsts.setdefault(answer, first)
        for name, value in second.items():
            if type(value) is int:
                wanted.setdefault(value, []).append((second, name))
        for value in sorted(firsts.keys() & wanted.keys()):
            for own, name in wanted.pop(value):
                if whole(SECOND["make"](**own)["answer"]) is not None and hangs(own, name):
                    return {"first": firsts[value], "second": own, "link": name}
    raise ValueError("no answer of the first problem is a number of the second")


def beside(rng, level):
    for _ in range(TRIES):
        first, second = FIRST["draw"](rng, level), SECOND["draw"](rng, level)
        left, right = (whole(part["make"](**own)["answer"]) for part, own in ((FIRST, first), (SECOND, second)))
        if left is None or right is None:
            continue
        if HOW == "parallel" and left != right:
            return {"first": first, "second": second, "ask": rng.choice(["sum", "difference"])}
        if HOW == "condition":
            gap = rng.randint(1, 2 + abs(left) // 3)
            limit = left - gap if rng.random() < 0.5 else left + gap
            if limit > 0:
                return {"first": first, "second": second, "limit": limit}
    raise ValueError("no two problems with different whole answers")


def make(part=None, own=None, first=None, second=None, link=None, ask=None, limit=None):
    if part is not None:
        return (FIRST, SECOND)[part]["make"](**own)
    a, b = FIRST["make"](**first), SECOND["make"](**second)
    left, right = int(a["answer"]), int(b["answer"])
    if link is not None:
        name = next(letter for letter in "NXKQ" if not re.search(rf"\b{letter}\b", a["question"] + b["question"]))
        question = f"{a['question']} Call the answer {name}. {put(b['question'], second[link], name)}"
        lines, answer = [a["solution"], f"So {name} is {left}.", b["solution"]], right
    elif ask is not None:
        question = f"Here are two questions. First: {a['question']} Second: {b['question']} "
        high, low = max(left, right), min(left, right)
        answer = left + right if ask == "sum" else high - low
        sum_ = f"{left}+{right}" if ask == "sum" else f"{high}-{low}"
        mark = f"<<{sum_}={answer}>>" if "<<" in a["solution"] + b["solution"] else ""
        question += "What is the sum of the two answers?" if ask == "sum" else "By how much do the two answers differ?"
        told = "The sum of the two answers is" if ask == "sum" else "The two answers differ by"
        lines = [a["solution"], b["solution"], f"{told} {sum_}={mark}{answer}."]
    else:
        question = f"First answer this: {a['question']} If the answer is more than {limit}, it is the final answer. "
        question += f"If it is not, answer this instead: {b['question']}"
        if left > limit:
            lines, answer = [a["solution"], f"{left} is more than {limit}, so the answer is {left}."], left
        else:
            lines, answer = [a["solution"], f"{left} is not more than {limit}.", b["solution"]], right
    said = [line for text in lines for line in text.splitlines() if line.strip() and not line.startswith("####")]
    row = {"question": question, "solution": "\n".join(said), "answer": str(answer)}
    return {**row, "asserted": True} if a.get("asserted") or b.get("asserted") else row
