"""Calls of tools from errors to rows: a whole `errata generate` on examples/assistant."""

import json
import re
from collections import Counter

import pytest
from loopback import ROOT, check_refusals, generated
from samples import lessons_tools as lessons

from errata.programs.config import load_config
from errata.tasks import load_task
from errata.tasks.verdicts import calls


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated("examples/assistant.yaml", lessons.LESSONS, tmp_path_factory.mktemp("tools"), {"budget.max_cost": None})


@pytest.fixture(scope="module")
def task(made):
    config = load_config(ROOT / "examples/assistant.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return load_task(config.task, config.table)


def test_each_check_refuses_its_program_and_two_pass(made):
    said = (
        "set_heating: degrees",
        "is not of type 'number'",
        "gave another 'answer' when it was drawn again",
        "set_light: argument percent is wrong",
        "phrased the same way",
        '"kitchen", "percent": 40',
    )
    check_refusals(made, lessons.CHECKS, said)


def test_rows_are_right_and_in_the_form_of_the_golds(made, task):
    assert len(made.samples) == 40
    functions = json.loads((ROOT / "examples/assistant/tools.json").read_text())
    for sample in made.samples:
        row, item = made.rows[sample.id], sample.example
        first, *turns = row.prompt
        assert first["role"] == "tools" and json.loads(first["content"]) == functions
        answer = row.completion[0]["content"]
        assert re.fullmatch(r"(<tool_call>\n\{.*\}\n</tool_call>\n?)+", answer)
        found = [json.loads(part) for part in re.findall(r"<tool_call>\n(.*)\n</tool_call>", answer)]
        assert found == json.loads(item.answer)
        assert not any(calls.misfit(calls.Call(**one), calls.known(functions)) for one in found)
        assert task.verdict(item, answer).correct and task.verdict(item, sample.wrong).correct is False
        last = turns[-1]["content"]
        assert turns[-1]["role"] == "user"
        if len(found) == 2:
            assert [turn["role"] for turn in turns] == ["user"]
            timer, heating = sorted(found, key=lambda one: one["name"], reverse=True)
            minutes, dish = timer["arguments"]["minutes"], timer["arguments"]["label"]
            assert re.search(rf"\b{minutes} minutes\b", last) and dish in last and heating["arguments"]["room"] in last
        else:
            assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "assistant", "user"]
            ((_, old), (_, new)) = (list(one["arguments"].items())[1] for one in (json.loads(sample.wrong)[0], found[0]))
            assert str(new) in last and str(old) in turns[0]["content"] and old != new
        assert not (sample.asserted or sample.agreed)
    assert set(Counter(len(json.loads(sample.example.answer)) for sample in made.samples)) == {1, 2}


def test_the_instructor_is_told_the_functions_once_and_the_form_of_conversations(made):
    (first, *_) = [fields for fields in made.asked if "contract" in fields]
    assert first["task"].count('"name": "set_heating"') == 1
    assert "A question may be a conversation of several turns" in first["task"]
    assert "[]" in first["contract"]
