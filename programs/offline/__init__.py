"""The embedded instructor `offline`: diagnoses and sample programs for arithmetic word problems, by program analysis."""

from .engine import OfflineEngine, offline_lm

__all__ = ["OfflineEngine", "offline_lm"]
