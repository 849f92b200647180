"""The kinds of problems by name, and which of them an item or a sample is."""

from ...signatures.records import Example, Sample
from ...tasks import Task, member
from ...tasks.verdicts import choice
from .choice import ChoiceKind
from .code import CodeKind
from .kind import Kind
from .number import NumberKind

KINDS: dict[str, Kind] = {kind.name: kind for kind in (NumberKind(), ChoiceKind(), CodeKind())}


def kind_of(example: Example) -> Kind:
    """The kind of an item, told by what its task keeps in `meta`."""
    return KINDS["code" if "test" in example.meta else "choice" if "choices" in example.meta else "number"]


def example_of(task: Task, sample: Sample) -> Example:
    """A sample as an item of the task that it was made for."""
    return kind_of_sample(sample).example(member(task, sample.task), sample.model_dump())


def sample_of(example: Example, seed: int, index: int) -> Sample:
    """An item of the task as a row to train on, where no program made it."""
    return Sample(program_id="", seed=seed, index=index, level=3, task=example.task, item=example.id, **kind_of(example).fields(example))


def asked(sample: Sample) -> str:
    """The question of a sample as it is shown, with its options."""
    return choice.question(sample.question, sample.choices) if sample.choices else sample.question


def kind_of_sample(sample: Sample) -> Kind:
    return KINDS["code" if sample.tests is not None else "choice" if sample.choices is not None else "number"]
