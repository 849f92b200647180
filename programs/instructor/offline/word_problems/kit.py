"""Helpers whose source the emitted programs carry: drawing a number near an original one, and writing numbers.

They are also run here, while a program is written, to measure how often its draws come out sensible.
"""

import math
from fractions import Fraction

NEAR = {1: (0.4, 0.9), 2: (0.5, 1.2), 3: (0.6, 1.5), 4: (0.8, 1.8), 5: (1.0, 2.0)}
WIDE = {1: (0.2, 0.9), 2: (0.3, 1.4), 3: (0.4, 2.0), 4: (0.6, 2.6), 5: (0.8, 3.2)}
HUGE = {1: (0.3, 2.0), 2: (0.4, 3.0), 3: (0.5, 4.0), 4: (0.7, 5.0), 5: (1.0, 6.0)}
VAST = {1: (0.3, 3.0), 2: (0.4, 6.0), 3: (0.5, 9.0), 4: (0.7, 12.0), 5: (1.0, 15.0)}
CLOSE = {1: (0.7, 1.0), 2: (0.75, 1.1), 3: (0.8, 1.2), 4: (0.9, 1.3), 5: (1.0, 1.35)}
SPREADS = {"NEAR": NEAR, "WIDE": WIDE, "HUGE": HUGE, "VAST": VAST, "CLOSE": CLOSE}
WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)


def pick(rng, level, value, step=1, least=2, most=10**9, spread=NEAR, room=1, plus=0):
    """A multiple of `step` (and `plus`) near `value`: smaller at low levels, larger at high ones, at least `room` steps wide."""
    low, high = spread[level]
    first = math.ceil(max(least, min(value * low, value - room * step * (6 - level) / 3)) / step)
    last = math.floor(min(most, max(value * high, value + room * step * level / 3)) / step)
    found = round(step * rng.randint(first, max(first, last)) + plus, 2)
    return int(found) if found == int(found) else found


def show(number):
    """Digits, with a decimal point only where it is needed."""
    number = Fraction(number)
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6f}".rstrip("0").rstrip(".")


def grouped(number):
    """As `show`, with commas between thousands."""
    whole, point, rest = show(number).partition(".")
    return f"{int(whole):,}" + point + rest


def cents(number):
    """With two decimals."""
    return f"{float(number):.2f}"


PARTS = {3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth", 10: "tenth"}
