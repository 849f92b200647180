"""The embedded instructor `offline`: diagnoses and sample programs by program analysis, for arithmetic word problems, for small functions
over a list, for the facts of a closed world, and, from train rows alone, for labels and JSON documents."""

from .engine import RECOMBINED, OfflineEngine, offline_lm
from .reach import Reach, reach

__all__ = ["RECOMBINED", "OfflineEngine", "Reach", "offline_lm", "reach"]
