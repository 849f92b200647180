"""Strategies by name: the built-in ones, and those of a file of one's own.

What is not here: how strategies are made (errata.programs.strategies.strategy and the modules that are named below).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...signatures.errors import UsageError, near
from ...signatures.files import module_of
from ..config import GenerateSettings
from .clusters import LearnFromClusters
from .controls import FormOnly, GoldOnly, Mimic, Uniform
from .fuse import Fuse
from .mix import Mix
from .state import held
from .strategy import LearnFromContrast, LearnFromError, Strategy
from .write import Write


def _error(settings: GenerateSettings) -> LearnFromError:
    return LearnFromError(reference=settings.reference, repairs=settings.repairs)


def _contrast(settings: GenerateSettings) -> LearnFromContrast:
    return LearnFromContrast(reference=settings.reference, repairs=settings.repairs, contrasts=settings.contrasts)


BUILT_IN: dict[str, Callable[[GenerateSettings], Strategy]] = {
    "LearnFromError": _error,
    "LearnFromContrast": _contrast,
    "LearnFromClusters": lambda settings: LearnFromClusters(settings.reference, settings.repairs, settings.cluster),
    "Fuse": lambda settings: Fuse(_error(settings)),
    "Mix": lambda settings: Mix([_error(settings), _contrast(settings)]),
    "Mimic": lambda settings: Mimic(repairs=settings.repairs),
    "GoldOnly": lambda settings: GoldOnly(),
    "FormOnly": lambda settings: FormOnly(),
    "Uniform": lambda settings: Uniform(),
}
"""How each is made of the config."""


def load_strategy(settings: GenerateSettings, run: Path | None = None) -> Strategy:
    """The strategy that the config names, with its saved state (`held`): a built-in one, or `FILE.py:NAME`, a subclass of Strategy without
    arguments, or one made of it. The file is yours, and is run like other Python of yours. Raises UsageError for what cannot be used."""
    strategy = _named(settings)
    for _, module in strategy.named_sub_modules(Write):
        module.phrasings = settings.ways
    if settings.state is not None:
        strategy.load(held(settings.state, run))
    return strategy


def _named(settings: GenerateSettings) -> Strategy:
    if settings.strategy in BUILT_IN:
        return BUILT_IN[settings.strategy](settings)
    path, _, name = settings.strategy.rpartition(":")
    if path.endswith(".py"):
        return _from_file(Path(path).expanduser(), name)
    found = near(settings.strategy, BUILT_IN)
    hint = f" did you mean {found}?" if found else ""
    raise UsageError(f"there is no strategy {settings.strategy!r}:{hint} choose {', '.join(BUILT_IN)} or FILE.py:NAME")


def _from_file(path: Path, name: str) -> Strategy:
    if not path.is_file():
        raise UsageError(f"strategy {path}:{name}: there is no file {path}; paths start from where the command runs")
    try:
        module = module_of(path, f"strategy_{path.stem}")
    except Exception as error:
        raise UsageError(f"strategy {path}:{name}: {path} fails with {_line(error)}") from error
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Strategy):
        own: Any = found
        try:
            found = own()
        except Exception as error:
            raise UsageError(f"strategy {path}:{name}: making one fails with {_line(error)}") from error
    if not isinstance(found, Strategy):
        what = "is not there" if found is None else f"is {type(found).__name__}"
        raise UsageError(f"strategy {path}:{name}: {name!r} {what}; give a subclass of errata.programs.Strategy, or one made of it")
    return found


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
