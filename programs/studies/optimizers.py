"""DSPy's optimizers: which class a name stands for, what is planned for so many evaluations, and what of the result can be kept.

What is not here: the optimization around them (errata.programs.studies.optimize), and the metric (errata.programs.studies.scoring).
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import dspy
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer

from ...signatures.errors import UsageError, with_extra
from ..instructor.chat import Chat
from ..strategies.strategy import Strategy
from .scoring import Lesson, Measure, with_feedback

NAMED = {"gepa": "GEPA", "mipro": "MIPROv2", "bootstrap": "BootstrapFewShotWithRandomSearch", "simba": "SIMBA"}
"""Names of optimizers, and DSPy's class of each; others are given by path."""
REWRITING = ("gepa", "mipro", "simba")
"""Those that ask a model to rewrite instructions."""
DEMOS = 2
"""Most demonstrations a predictor, unless `options` say otherwise: one is the length of a program."""


def teleprompter(name: str) -> Any:
    """The teleprompter's class. Raises UsageError where it cannot be had."""
    if name == "mipro" and importlib.util.find_spec("optuna") is None:
        raise UsageError(f"MIPROv2 needs optuna, which is not installed: {with_extra('optimize')}; or choose --optimizer gepa")
    if name in NAMED:
        return getattr(dspy, NAMED[name])
    module, colon, cls = name.partition(":")
    if not colon:
        raise UsageError(f"there is no optimizer {name!r}; choose {', '.join(NAMED)}, or give one by path: package.module:Class")
    try:
        found = getattr(importlib.import_module(module), cls)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"optimizer {name}: {error}") from error
    if not inspect.isclass(found) or not callable(getattr(found, "compile", None)):
        raise UsageError(f"optimizer {name} is not a teleprompter: it has no compile()")
    return found


def arguments(cls: Any, method: str) -> list[str]:
    """Names of the arguments, those that `**kwargs` hands to a base class among them."""
    found: list[str] = []
    for owner in cls.__mro__:
        if method in vars(owner) and owner is not object:
            parameters = inspect.signature(vars(owner)[method]).parameters.values()
            found += [one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
            if all(one.kind != one.VAR_KEYWORD for one in parameters):
                break
    return [name for name in dict.fromkeys(found) if name != "self"]


def check_options(cls: Any, options: Mapping[str, Any]) -> None:
    """Raise UsageError for an option that the optimizer does not take."""
    known = sorted({*arguments(cls, "__init__"), *arguments(cls, "compile")})
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(f"{cls.__name__} takes no {', '.join(unknown)}; it takes {', '.join(known)}")


def saveable(made: Any, name: str, baseline: Strategy) -> Strategy:
    """The strategy in what an optimizer returned, without models. Raises UsageError when no JSON file could hold it."""
    strategy = getattr(made, "strategy", None)
    if not isinstance(made, Lesson) or type(strategy) is not type(baseline) or "forward" in vars(made):
        raise UsageError(f"{name} returned {type(made).__name__}, whose behaviour is not in its prompts: no JSON state could hold it")
    for place, predictor in strategy.named_predictors():
        predictor.lm = None
        stray = sorted({key for demo in predictor.demos for key in dict(demo)} - {*predictor.signature.fields, "augmented"})
        if stray:
            raise UsageError(f"{name} gave {place} demonstrations that are not its own answers, with {', '.join(stray)}; see --option")
    return strategy


def plan(name: str, evaluations: int, train: int, validation: int, measure: Measure) -> dict[str, Any]:
    """Arguments for an optimizer that may spend so many evaluations, given the numbers of failures to learn from and to choose by.

    Others than those in NAMED go by the names that DSPy's have (COPRO, InferRules, BootstrapFewShot...); what they spend is their own
    matter."""
    reflecting = {"metric": with_feedback}
    # no labelled ones: a failure without diagnosis and program is no demonstration
    showing = {"max_bootstrapped_demos": DEMOS, "max_labeled_demos": 0, "metric_threshold": measure.passing}
    if name == "gepa":
        # by default GEPA's proposer asks for JSON, which not every server gives, and gives up at an answer in another form
        proposer = InstructionProposer(adapter=Chat())
        size = min(3, train)
        return reflecting | {"max_metric_calls": evaluations, "reflection_minibatch_size": size, "instruction_proposer": proposer}
    if name == "simba":
        size, candidates = min(8, train), 4
        steps = max(1, (evaluations - (candidates + 1) * train) // (size * (2 * candidates + 1)))
        return reflecting | {"bsize": size, "num_candidates": candidates, "max_steps": steps, "max_demos": DEMOS}
    if name == "mipro":
        trials = {number: (evaluations - (number - 1) * train) // validation - 1 for number in range(6, 1, -1)}
        candidates = next((number for number in trials if trials[number] >= 2 * number), 2)
        return showing | {"auto": None, "num_candidates": candidates, "num_trials": max(3, trials[candidates]), "minibatch": False}
    if name == "bootstrap":
        sets = max(1, (evaluations - validation) // (validation + train) - 1)
        return showing | {"num_candidate_programs": sets, "restrict": [-3, -1, *range(sets)]}  # -2 is "labels only"
    candidates = max(1, evaluations // validation - 1)
    return showing | {
        "max_metric_calls": evaluations,
        "max_demos": DEMOS,
        "num_candidates": candidates,
        "num_candidate_programs": candidates,
        "depth": 1,
        "breadth": max(2, evaluations // (3 * train)),
    }
