"""Strategies: dspy.Modules that turn a failure into a program. Compose one from a Diagnose and a Write.

`LearnFromError` and `LearnFromContrast` are the two of "LLMs-as-Instructors" (arXiv 2407.00497).
"""

import dspy
from dspy.utils.exceptions import AdapterParseError

from ..signatures.errors import UsageError
from ..signatures.records import Failure, Rejection, Taught
from ..signatures.teach import DiagnoseContrast, DiagnoseError
from .config import GenerateSettings
from .diagnose import Diagnose
from .instructor import rejection
from .write import Prove, Write


class Strategy(dspy.Module):
    """Diagnose a failure, then write a program for it. The two predictors inside are what prompt optimizers find."""

    def __init__(self, diagnose: Diagnose, write: Write, contrasts: int = 0):
        """`contrasts`: how many solved neighbours each failure brings along."""
        super().__init__()
        self.diagnose = diagnose
        self.write = write
        self.contrasts = contrasts

    def forward(self, failure: Failure, brief: str, prove: Prove) -> Taught:
        """Both steps. An item that is itself at fault (`reference_wrong`, `ambiguous`) teaches nothing and gets no program."""
        try:
            diagnosis = self.diagnose(failure=failure, brief=brief, strategy=type(self).__name__)
        except AdapterParseError as error:
            return Taught(failure_id=failure.id, diagnosis=None, program=None, rejections=(rejection(failure.id, error),))
        if diagnosis.verdict != "error":
            refusal = Rejection(of=diagnosis.id, kind="diagnosis", check=diagnosis.verdict, reason=diagnosis.misconception)
            return Taught(failure_id=failure.id, diagnosis=diagnosis, program=None, rejections=(refusal,))
        return self.write(failure=failure, diagnosis=diagnosis, brief=brief, prove=prove)


class LearnFromError(Strategy):
    """LE: the failure alone."""

    def __init__(self, reference: bool = True, repairs: int = 2):
        super().__init__(Diagnose(DiagnoseError, reference=reference), Write(repairs=repairs))


class LearnFromContrast(Strategy):
    """LEC: the failure beside the most similar questions that the target solved."""

    def __init__(self, reference: bool = True, repairs: int = 2, contrasts: int = 3):
        super().__init__(Diagnose(DiagnoseContrast, reference=reference), Write(repairs=repairs), contrasts=contrasts)


def load_strategy(settings: GenerateSettings) -> Strategy:
    """The strategy that the config names. Raises UsageError for an unknown name."""
    if settings.strategy == "LearnFromError":
        return LearnFromError(reference=settings.reference, repairs=settings.repairs)
    if settings.strategy == "LearnFromContrast":
        return LearnFromContrast(reference=settings.reference, repairs=settings.repairs, contrasts=settings.contrasts)
    raise UsageError(f"there is no strategy {settings.strategy!r}; choose LearnFromError or LearnFromContrast")
