"""Whose words a row is in, and what it teaches with: the target is asked the drawn questions before it is trained on them.

Several solutions are sampled to each question and judged by the task against the computed answer (rejection sampling, as in RFT, arXiv
2308.01825). Their pass rate is kept with the row; rows outside `generate.band` are dropped. With `generate.completion` at `target` the
first solution that solves the question is trained on in place of the program's; where there is none, a search may follow
(errata.programs.steps.search), and else the program's stands. Wrong ones are what corrections (errata.programs.steps.lessons) start from.
The answers to each question are a row of a stage. A sampled text depends on the weights, the question and the seed alone; that a server
answers the same to the same seed is its own promise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ...signatures.records import Example, Rejection, Rollout, Rollouts, Sample
from ...tasks import Task, member
from ...trainers.chat import AnyTarget
from ..config import GenerateSettings
from ..run import layout
from ..run.directory import Stage
from .lessons import correction, hint, lesson_of, own, passed, solves
from .search import Asked, sampled, search


def ask(task: Task, examples: Sequence[Example], target: AnyTarget, count: int, temperature: float, seed: int) -> Asked:
    """`count` sampled and judged answers to each example; an example is given when all of its answers are there."""
    found: dict[int, dict[int, tuple[Rollout, int]]] = {}
    repeated = [example for example in examples for _ in range(count)]
    for place, one, tokens in sampled(task, repeated, target, temperature, seed):
        item, number = divmod(place, count)
        found.setdefault(item, {})[number] = one, tokens
        if len(found[item]) == count:
            tries, spent = zip(*(row for _, row in sorted(found.pop(item).items())), strict=True)
            yield examples[item], Rollouts(question=examples[item].id, target=target.hash, tries=tries, tokens=sum(spent))


@dataclass
class Words:
    """A filter: drawn rows by what the target makes of them. One stage of a round."""

    stage: Stage
    task: Task
    settings: GenerateSettings
    seed: int
    open_target: Callable[[], AnyTarget]
    """Is called only when an answer is missing."""
    watch: Callable[[Asked, int], Asked] = lambda rows, total: rows
    """Sees answers go by."""
    files: dict[str, dict[str, Rollouts]] = field(default_factory=dict)
    """Rows of each file of the stage, by the id of the question as an item."""
    traced = 0
    """Rows in own words whose answer had a reasoning trace."""

    @property
    def asked(self) -> dict[str, Rollouts]:
        """What came of each question, by its id: of the search, where there was one."""
        return {name: row for found in self.files.values() for name, row in found.items()}

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Rejection]]:
        """The rows that stay, in the target's words and with their lesson, and the refusals of the others."""
        settings, own_words = self.settings, self.settings.completion == "target"
        lessons = {sample.id: lesson_of(sample, settings.lesson) for sample in samples}
        corrected = {name for name, lesson in lessons.items() if lesson == "correction"}
        asked_of = (one for one in samples if own_words or (one.id in corrected and one.example.kind != "prose"))
        examples = {sample.id: sample.example for sample in asked_of}
        wanted = list({example.id: example for example in examples.values()}.values())
        asked = partial(ask, self.task, count=settings.samples, temperature=settings.temperature, seed=self.seed)
        self._collect(layout.TRIES, wanted, lambda missing: asked(missing, target=self.open_target()))
        if own_words and settings.search_tokens:
            tried = self.files.get(layout.TRIES, {})
            searched = partial(search, self.task, budget=settings.search_tokens, temperature=settings.temperature, seed=self.seed)
            unsolved = [item for item in wanted if own(tried[item.id]) is None]
            pending = lambda missing: [(example, tried[example.id]) for example in missing]  # noqa: E731
            self._collect(layout.SEARCHED, unsolved, lambda missing: searched(pending(missing), target=self.open_target()))
        known = self.asked
        kept, refused = [], []
        for sample in samples:
            tries = known[sample.example.id] if sample.id in examples else None
            if refusal := self._outside(sample, tries):
                refused.append(refusal)
            else:
                kept.append(self._settled(sample, lessons[sample.id], tries))
        return kept, refused

    def finish(self) -> None:
        """Write the stage, once all rows of a training set were drawn."""
        if self.asked and not self.stage.done:
            rows = list(self.asked.values())
            self.stage.finish(
                {name: list(found.values()) for name, found in self.files.items()},
                questions=len(rows),
                items=sum(len(row.tries) for row in rows),
                right=sum(any(map(solves, row.tries)) for row in rows),
                found=sum(row.found is not None for row in rows),
                tokens=sum(row.tokens for row in rows),
            )

    def _collect(self, name: str, items: list[Example], produce: Callable[[list[Example]], Asked]) -> None:
        if items:
            watched = lambda missing: self.watch(produce(missing), len(missing))  # noqa: E731
            rows = self.stage.collect(name, items, lambda example: example.id, watched, Rollouts)
            self.files.setdefault(name, {}).update({row.question: row for row in rows})

    def _outside(self, sample: Sample, tries: Rollouts | None) -> Rejection | None:
        share = passed(tries) if tries and self.settings.completion == "target" else None
        low, high = self.settings.band
        if tries is None or share is None or low <= share <= high:
            return None
        count = sum(map(solves, tries.tries))
        reason = f"the target solves it in {count} of {len(tries.tries)} tries, which is outside [{low:g}, {high:g}]"
        return Rejection(of=sample.id, kind="sample", check="band", reason=reason, program=sample.program_id)

    def _settled(self, sample: Sample, lesson: str, tries: Rollouts | None) -> Sample:
        """The row with what can be had of its lesson and of the target's words."""
        found: dict[str, object] = {"passed": passed(tries)} if tries else {}
        if lesson == "hint" and hint(self.task, sample) is not None:
            return sample.model_copy(update=found | {"lesson": "hint"})
        if lesson == "correction" and (told := self._corrected(sample, tries)):
            return sample.model_copy(update=found | {"lesson": "correction", "mistake": told[0], "correction": told[1]})
        if tries and self.settings.completion == "target":
            found["own"] = self._worded(own(tries))
        return sample.model_copy(update=found) if found else sample

    def _worded(self, response: str | None) -> str | None:
        """The target's own answer as it is trained on, with or without its reasoning trace."""
        answer = None if response is None else self.task.answered(response)
        self.traced += answer != response
        return response if self.settings.trace == "keep" else answer

    def _corrected(self, sample: Sample, tries: Rollouts | None) -> tuple[str, str] | None:
        """The first wrong answer whose first wrong step can be told, and the correction of it; the misconception's comes last."""
        example = sample.example
        wrong = [(one.answered, one.reason) for one in (tries.tries if tries else ()) if one.correct is False and one.finish == "stop"]
        if sample.wrong is not None and example.kind not in ("number", "prose"):
            response = member(self.task, example.task).completion("", sample.wrong)
            wrong.append((response, self.task.verdict(example, response).reason))
        told = ((response, correction(self.task, sample, response, reason)) for response, reason in wrong)
        return next(((response, text) for response, text in told if text is not None), None)
