"""The embedded instructor `offline`: diagnoses and sample programs by program analysis, for arithmetic word problems, for small functions
over a list, and for the facts of a closed world."""

from .engine import OfflineEngine, offline_lm

__all__ = ["EMBEDDED", "OfflineEngine", "offline_lm"]

EMBEDDED = ("lists", "lists_plus", "facts", "facts_plus")
"""The tasks of code and of choice that it teaches; of other tasks with numbers for answers it reads what it can."""
