"""How a command starts: what it was given, and the Cycle in the run directory that it means.

What is not here: options and their help (cli.py), and what a Cycle does (errata.programs.cycle).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..signatures.records import content_hash
from .config import CycleConfig, as_text, load_config, parse_override, settings
from .run.directory import read_config, slug
from .run.progress import Progress, teller

if TYPE_CHECKING:
    from .cycle import Cycle


class Start(NamedTuple):
    """What a command was given."""

    flags: dict[str, Any]
    """What its flags set: field of the config -> value."""
    run: Path | None = None
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    """What --set was given, each as `NAME=VALUE`; wins over the flags."""
    as_json: bool = False
    quiet: bool = False

    def progress(self) -> Progress:
        return teller(self.quiet, self.as_json)

    def overrides(self) -> dict[str, Any]:
        """The fields of the config that flags and --set name -> values."""
        return self.flags | dict(map(parse_override, self.assignments))

    def load(self, base: CycleConfig | None = None) -> CycleConfig:
        """The config file, or `base` where no file was given, with flags and --set over it."""
        return load_config(self.config, self.overrides(), base)

    def cycle(self) -> Cycle:
        """The Cycle that is meant, not yet open: nothing is written. Without a run directory it gets the default one."""
        from .cycle import Cycle
        from .strategies.state import pinned

        # a run directory that exists brings its own config; what is given must agree with it
        known = self.run is not None and self.config is None and (self.run / "run.json").exists()
        config = self.load(read_config(self.run) if self.run and known else None)
        path = self.run
        if path is None:
            config = pinned(config)
            fixed = config.model_dump(mode="json", exclude={"budget"})  # the same command with a higher cap continues
            path = Path("runs") / f"{slug(config.task)}-{slug(config.generate.strategy)}-{content_hash(fixed)[:6]}"
        return Cycle(config, path, self.progress())

    @contextmanager
    def opened(self, until: str | None = None) -> Iterator[Cycle]:
        """The Cycle, open, when it can run up to the step `until`; its run directory is locked meanwhile, and its settings are told."""
        loop = self.cycle()
        loop.refuse_early(until)
        begun = (loop.path / "run.json").exists()
        with loop:
            chosen, default = settings(loop.config)
            loop.progress.fact("settings", run=str(loop.path), set=chosen, default=default)
            loop.say(f"run directory {loop.path}; the same command continues it")
            for line in as_text(loop.config)[: 1 if begun else None]:  # the defaults are told once, when the run begins
                loop.say(line)
            yield loop
