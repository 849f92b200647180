"""The forms of answer that a table can have, by the verdict that names them: one file for each."""

from .choice import ChoiceForm
from .code import CodeForm
from .form import Form, Helpers
from .json_form import JsonForm
from .label import LabelForm
from .number import NumberForm
from .prose import ProseForm
from .sql import SqlForm
from .text import ContainsForm, ExactForm, MathForm, MetricForm, RegexForm
from .tools import ToolsForm

__all__ = ["FORMS", "Form", "Helpers", "MetricForm"]

FORMS: dict[str, type[Form]] = {
    "exact": ExactForm,
    "contains": ContainsForm,
    "regex": RegexForm,
    "number": NumberForm,
    "choice": ChoiceForm,
    "code": CodeForm,
    "math": MathForm,
    "label": LabelForm,
    "tools": ToolsForm,
    "json": JsonForm,
    "judge": ProseForm,
    "sql": SqlForm,
}
"""The verdicts; any other names a DSPy metric, whose answers are texts."""
