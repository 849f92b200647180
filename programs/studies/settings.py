"""Settings of an optimization: what `errata optimize` sets beside the config of its run. Light: no torch, no dspy.

What is not here: what they do (errata.programs.studies.optimize).
"""

from typing import Any

from pydantic import AliasChoices, Field

from ..config import Settings

LEAST = 20
"""Fewest questions among the failures: of six held out, all must gain for p = 0.03; with fewer, no gain could count."""


class OptimizeSettings(Settings):
    """What an optimization depends on, beside the run's config."""

    optimizer: str = "gepa"
    """`gepa`, `mipro`, `bootstrap` (BootstrapFewShotWithRandomSearch), `simba`, or a teleprompter by path, `package.module:Class`."""
    evaluations: str = Field(default="light", validation_alias=AliasChoices("evaluations", "budget"))
    """`light`, `medium` or `heavy` (6, 12 or 24 evaluations for each failure), or a number of evaluations, which optimizers plan for."""
    reflection: str | None = None
    """Model that rewrites instructions (GEPA, MIPROv2, SIMBA), as dspy.LM takes it; None: the instructor itself."""
    teacher: str | None = None
    """Model whose programs become demonstrations (bootstrap, MIPROv2), e.g. `offline`; None: the instructor itself."""
    failures: int | None = Field(default=60, ge=LEAST)
    """Most failures that are used, drawn at random; None: all."""
    target: bool = True
    """Whether the target tries rows of each program that passes, so that the score knows what it fails."""
    probe_training: int = Field(default=0, ge=0)
    """Rows of a short training on each strategy's held-out programs, compared on train items that are not among the errors; 0: none."""
    alpha: float = Field(default=0.05, gt=0, le=1)
    """Largest two-sided p-value of the paired permutation test of the scores at which the optimized strategy counts as better."""
    seed: int = 0
    """Seed of the parts, of the optimizer and of the tests."""
    options: dict[str, Any] = {}
    """Arguments of the optimizer's constructor or of its compile, which win over what is chosen here."""
