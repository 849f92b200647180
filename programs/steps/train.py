"""Train: the target is fine-tuned on the rows of a round, in a child process."""

from ...trainers.sft import train as fine_tune
from ..run import layout
from ..run.directory import disk_errors
from .session import Session


def train(run: Session, number: int) -> None:
    """Fine-tune the weights that a round starts from on its rows; nothing where it has none."""
    out, target = layout.training(run.path, number), run.base(number)
    assembled = run.stage(number, "assemble")
    facts = assembled.facts()
    count = facts["samples"] + facts["replay"]
    if not count:
        return
    rows = assembled.file(layout.ROWS)  # the trainer reads them from there, one at a time
    settings = run.config.train.model_copy(update={"method": "lora"}) if target.api_base else run.config.train
    if run.stage(number, "train").done:
        fine_tune(rows, target, settings, out, seed=run.config.seed)  # only looks whether what stands there is what was made
        return
    run.ledger.check_time()
    run.close_target()  # its memory is the child's
    title = f"round {number}: train"
    run.say(f"{title} on {count} rows")
    step = lambda now: run.progress.at(title, now["step"], now["steps"], f"loss {now['loss']:.3f}")  # noqa: E731
    with disk_errors(out), run.progress.busy(title):
        report = fine_tune(rows, target, settings, out, seed=run.config.seed, in_process=run.in_process, on_progress=step)
    run.say(f"{title}: {report.steps} steps, loss {report.loss_first:.3f} to {report.loss_last:.3f}")
