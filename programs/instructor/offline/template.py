"""Texts of sample programs, in templates/: Python with a $name at each place that is filled in.

Not covered: programs of word problems, which are put together line by line (word_problems/emit.py).
"""

import string
from pathlib import Path

_FOLDER = Path(__file__).with_name("templates")


def filled(name: str, **values: object) -> str:
    """The program of a template, with the values put in as they print."""
    return string.Template((_FOLDER / f"{name}.py.txt").read_text(encoding="utf-8")).substitute(values)
