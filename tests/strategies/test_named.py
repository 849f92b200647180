"""Strategies by name: built-in ones, and those of a file of one's own."""

import pytest
from scripted import DIAGNOSIS, program, taught

from errata.programs.config import GenerateSettings
from errata.programs.strategies.named import load_strategy
from errata.signatures.errors import UsageError


def test_an_unknown_strategy_is_a_usage_error():
    with pytest.raises(UsageError, match="there is no strategy 'Learn'"):
        load_strategy(GenerateSettings(strategy="Learn"))


MINE = """
from __future__ import annotations

from errata.programs import Diagnose, Strategy, Write
from errata.signatures.teach import DiagnoseError, WriteProgram

class InAnalogies(DiagnoseError):
    '''Explain the error by an analogy.'''

class Analogy(Strategy):
    def __init__(self, repairs=1):
        super().__init__(Diagnose(InAnalogies), Write(repairs=repairs), contrasts=2)

patient = Analogy(repairs=5)

class Picky(Analogy):
    def __init__(self, taste):
        super().__init__()
"""


def test_a_strategy_of_ones_own_is_named_by_file_and_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    found = load_strategy(GenerateSettings(strategy=f"{file}:Analogy"))
    assert (type(found).__name__, found.contrasts, found.write.repairs) == ("Analogy", 2, 1)
    assert load_strategy(GenerateSettings(strategy=f"{file}:patient")).write.repairs == 5
    result, calls = taught(found, [DIAGNOSIS, program("x = 1")])
    assert result.diagnosis.strategy == "Analogy"
    assert "Explain the error by an analogy." in calls[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine.py:Picky", "making one fails with TypeError: .*taste"),
        ("mine.py:Absent", "'Absent' is not there"),
        ("mine.py:InAnalogies", "'InAnalogies' is SignatureMeta"),
        ("mine.py:", "'' is not there"),
        ("none.py:Analogy", "there is no file .*none.py"),
        ("broken.py:Analogy", "broken.py fails with ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_told_in_one_line(tmp_path, name, said):
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import nowhere\n", encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        load_strategy(GenerateSettings(strategy=str(tmp_path / name)))
    assert "\n" not in str(caught.value)
