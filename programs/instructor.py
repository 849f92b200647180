"""Opens the instructor: any dspy.LM, or the embedded `offline`.

`calling` names the party that fails: a bad key, an unreachable server or an unknown model ends the run with one line, while an
answer that cannot be read is the caller's to keep as a Rejection. Answers of a hosted instructor are kept in the run directory as
they arrive (DSPy's disk cache, without unrestricted pickle), so that a continued run repeats no paid call.

What is not here: budgets and the ledger of tokens and cost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dspy
from dspy.utils.exceptions import AdapterParseError, ContextWindowExceededError, LMError

from ..signatures.errors import InstructorError
from .config import InstructorSettings
from .offline import offline_lm

UNREADABLE = (AdapterParseError, ContextWindowExceededError)
"""Failures of one answer, not of the instructor: kept with their text, the run goes on."""


def open_instructor(settings: InstructorSettings, answers: Path | None = None) -> dspy.LM:
    """The instructor that `settings.model` names; `answers` is the folder where a hosted one's answers are kept."""
    if settings.model == "offline":
        return offline_lm()
    if answers is not None:
        dspy.configure_cache(disk_cache_dir=str(answers), enable_memory_cache=False, restrict_pickle=True)
    kwargs = {"api_base": settings.api_base, "temperature": settings.temperature}
    return dspy.LM(settings.model, max_tokens=settings.max_tokens, num_retries=5, **{k: v for k, v in kwargs.items() if v is not None})


@contextmanager
def instructed_by(lm: dspy.LM) -> Iterator[None]:
    """Everything inside calls `lm`, with one call a prediction: an unparsable answer does not buy a second one."""
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        yield


@contextmanager
def calling(lm: dspy.LM) -> Iterator[None]:
    """Turn what ends the run (key, address, model, server) into an InstructorError of one line."""
    try:
        yield
    except UNREADABLE:
        raise
    except LMError as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InstructorError(
            f"instructor {lm.model}: {first[:300]}; check its name, key and address, then give the same command again: nothing done is lost"
        ) from error
