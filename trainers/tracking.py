"""The figures of a cycle, sent to the trackers that `train.sft.report_to` names, beside the curves of its trainings.

Goes through the callbacks that transformers has for trackio, wandb, mlflow, tensorboard and others, so that their own environment variables
(WANDB_PROJECT, MLFLOW_TRACKING_URI, ...) hold here too. A tracker that fails ends no run. Does NOT cover files and models as artefacts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Tracker:
    """Opens its trackers at the first figures; loads nothing when no tracker is named."""

    def __init__(self, report_to: Any, folder: Path, name: str, say: Callable[[str], None], config: Mapping[str, Any] | None = None):
        """`report_to` as SFTConfig takes it; `folder` is where a tracker without a server writes, `name` what it calls the run, `config`
        its settings."""
        self.report_to = None if report_to in ("none", [], ["none"]) else report_to
        self.folder = folder
        self.name = name
        self.say = say
        self.config = dict(config or {})
        self._callbacks: list[Any] | None = None

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Send the figures of round `step`; they are told apart from those of a training by `eval/`."""
        if self.report_to is None:
            return
        if self._callbacks is None:
            from transformers.integrations import get_reporting_integration_callbacks

            kinds = self._try(get_reporting_integration_callbacks, self.report_to) or []
            self._callbacks = [callback for kind in kinds if (callback := self._try(kind)) is not None]
            self._each("on_train_begin", step)
        self._each("on_log", step, logs={f"eval_{name}": value for name, value in figures.items()})

    def close(self) -> None:
        if self._callbacks:
            self._each("on_train_end", 0)
        self._callbacks = None

    def _each(self, event: str, step: int, **more: Any) -> None:
        from transformers import TrainerControl, TrainerState, TrainingArguments

        arguments = TrainingArguments(output_dir=str(self.folder), report_to="none", run_name=self.name, use_cpu=True)
        arguments.to_dict = lambda: self.config  # type: ignore[method-assign]  # these are made up; the run's own are told
        for callback in self._callbacks or []:
            state = TrainerState(global_step=step)
            self._try(getattr(callback, event), arguments, state, TrainerControl(), model=None, **more)

    def _try(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            self.say(f"tracker {self.report_to}: {' '.join(f'{type(error).__name__}: {error}'.split())[:200]}; the run goes on without it")
            return None
