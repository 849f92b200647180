"""The kinds of problems by name."""

from ..kind import Kind
from .choice import ChoiceKind
from .code import CodeKind
from .json_kind import JsonKind
from .label import LabelKind
from .number import NumberKind
from .prose import ProseKind
from .sql import SqlKind
from .text import TextKind
from .tools import ToolsKind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        NumberKind(),
        ChoiceKind(),
        CodeKind(),
        TextKind(),
        LabelKind(),
        SqlKind(),
        ProseKind(),
        ToolsKind(),
        JsonKind(),
    )
}
