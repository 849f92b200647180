"""The child process of errata.tasks.verdicts.mathverify: reads [gold, response] a line, and writes what math-verify says of it.

An answer is [whether the gold could be read, what was read from the response or null, whether they are equal], or the library's fault as
text. It has no time limit of its own: the parent kills it.
"""

import json
import logging
import sys
from typing import Any

from math_verify import parse, verify


def judged(gold: str, response: str) -> list[Any]:
    # A gold without marks, such as \frac{1}{2}, is LaTeX for the library only between dollar signs.
    marked = gold if "$" in gold or "\\boxed" in gold else f"${gold}$"
    expected = parse(marked, parsing_timeout=None)
    given = parse(response, parsing_timeout=None)
    return [bool(expected), str(given[0]) if given else None, bool(given) and verify(expected, given, timeout_seconds=None)]


def main() -> None:
    logging.disable(logging.CRITICAL)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        answer: list[Any] | str
        try:
            answer = judged(*json.loads(line))
        except Exception as error:
            answer = str(error) or type(error).__name__
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
