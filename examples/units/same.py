"""The verdict of examples/units.yaml: an amount is right in any unit, as 5 km are 5000 m."""

import re
from fractions import Fraction

UNITS = {
    "length": {"mm": 1, "cm": 10, "m": 1000, "km": 1_000_000},
    "mass": {"mg": 1, "g": 1000, "kg": 1_000_000, "t": 1_000_000_000},
    "volume": {"ml": 1, "cl": 10, "dl": 100, "l": 1000},
    "time": {"s": 1, "min": 60, "h": 3600},
}
KNOWN = {unit: (dimension, size) for dimension, sizes in UNITS.items() for unit, size in sizes.items()}


def amount(text):
    """What a text measures, and how much in the smallest unit; None for one that is not a number with a unit."""
    found = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*([A-Za-z]+)\.?", text.strip())
    if not found or found[3].lower() not in KNOWN:
        return None
    dimension, size = KNOWN[found[3].lower()]
    return dimension, Fraction(found[1].replace(",", "") + (found[2] or "")) * size


def same(example, prediction):
    """A metric as DSPy takes them."""
    given = amount(prediction.answer)
    return given is not None and given == amount(example.answer)
