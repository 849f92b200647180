"""The sandbox as DSPy's code interpreter, alone and under a real DSPy module."""

import dspy
import pytest
from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreter, CodeInterpreterError, FinalOutput
from dspy.utils.dummies import DummyLM

from errata.programs.instructor.interpreter import SandboxInterpreter
from errata.sandbox import Limits


@pytest.fixture
def session(sandbox):
    with SandboxInterpreter(sandbox, Limits(seconds=10)) as opened:
        yield opened


def test_it_is_a_dspy_code_interpreter(session):
    assert isinstance(session, CodeInterpreter)


def test_names_functions_and_mutated_values_persist_between_cells(session):
    assert session.execute("import math\nxs = []\ndef add(x): xs.append(x); return len(xs)") is None
    assert session.execute("print(add(3))") == "1"
    assert session.execute("add(math.floor(4.5)); print('two')\nprint(xs)") == "two\n[3, 4]"
    assert session.execute("sum(xs)") == "7"


def test_a_cell_that_raises_is_reported_and_what_it_did_before_stays(session):
    session.execute("x = 1")
    with pytest.raises(CodeExecutionError, match=r"ZeroDivisionError: division by zero \(line 2\)"):
        session.execute("x = 2\n1 / 0\nx = 3")
    assert session.execute("x") == "2"


def test_code_that_does_not_parse_is_a_syntax_error_and_leaves_no_trace(session):
    with pytest.raises(SyntaxError):
        session.execute("x = (")
    assert session.execute("print('on')") == "on"


@pytest.mark.parametrize("code", ["while True: pass", "import os; os._exit(0)", "print('x' * 10**7)"])
def test_a_cell_that_breaks_a_limit_is_undone_and_the_session_goes_on(sandbox, code):
    with SandboxInterpreter(sandbox, Limits(seconds=0.7)) as session:
        session.execute("x = 'kept'")
        with pytest.raises(CodeExecutionError):
            session.execute("x = 'lost'\n" + code)
        assert session.execute("x") == "kept"


def test_a_tool_is_called_once_for_each_call_in_the_code_with_its_arguments(session):
    calls = []

    def look(key, times=1):
        calls.append((key, times))
        return {"key": key, "n": len(calls)}

    session.tools["look"] = look
    assert session.execute("a = look('x')\nb = look(key='y', times=2)\nprint(a['n'], b['n'])") == "1 2"
    assert session.execute("print([look(k)['n'] for k in 'pq'], a)") == "[3, 4] {'key': 'x', 'n': 1}"
    assert calls == [("x", 1), ("y", 2), ("p", 1), ("q", 1)]


def test_a_tools_exception_can_be_handled_in_the_code_or_ends_the_cell(session):
    def fail():
        raise LookupError("nothing there")

    session.tools["fail"] = fail
    assert session.execute("try:\n    fail()\nexcept RuntimeError as e:\n    print(e)") == "LookupError: nothing there"
    with pytest.raises(CodeExecutionError, match="nothing there"):
        session.execute("fail()")


def test_code_that_swallows_every_exception_still_gets_its_tools_answer(session):
    session.tools["three"] = lambda: 3
    assert session.execute("try:\n    x = three()\nexcept BaseException:\n    x = 0\nprint(x)") == "3"


def test_an_asynchronous_tool_is_awaited(session):
    async def later(x: int) -> int:
        return x + 1

    session.tools["later"] = later
    assert session.execute("later(4)") == "5"


def test_submit_ends_the_cell_with_the_named_fields(session):
    assert session.execute("SUBMIT(41 + 1)\nprint('never')") == FinalOutput({"output": 42})
    session.output_fields = [{"name": "total", "type": "int"}, {"name": "why"}]
    assert session.execute("SUBMIT(3, why='sum')") == FinalOutput({"total": 3, "why": "sum"})
    with pytest.raises(CodeExecutionError, match="SUBMIT takes total, why"):
        session.execute("SUBMIT(3)")


def test_variables_are_plain_copies_in_every_cell(session):
    text = "a 'quoted' \\ line\n" * 3
    values = {"text": text, "nested": {"xs": [1, 2.5, None, True]}, "big": float("inf")}
    assert session.execute("nested['xs'].append(text)\nprint(len(nested['xs']), big)", values) == "5 inf"
    assert session.execute("print(nested['xs'] == [1, 2.5, None, True], text)", values) == f"True {text}".rstrip("\n")


def test_wrong_names_and_values_are_refused_before_anything_runs(session):
    for variables in ({"not a name": 1}, {"class": 1}, {"SUBMIT": 1}, {"x": object()}):
        with pytest.raises(CodeInterpreterError):
            session.execute("pass", variables)
    assert session.execute("print('on')") == "on"


def test_a_session_that_was_shut_down_cannot_be_used(sandbox):
    session = SandboxInterpreter(sandbox)
    session.execute("x = 1")
    session.shutdown()
    with pytest.raises(CodeInterpreterError):
        session.execute("x")
    assert sandbox.run("", "def main(p, x): yield x", 1).rows == (1,)  # a shared sandbox is left open


def test_a_tool_cannot_execute_in_the_session_that_called_it(session):
    session.tools["again"] = lambda: session.execute("1")
    with pytest.raises(CodeExecutionError, match="cannot execute"):
        session.execute("again()")


def test_sessions_on_one_sandbox_do_not_see_each_other(sandbox):
    with SandboxInterpreter(sandbox) as one, SandboxInterpreter(sandbox) as other:
        one.execute("x = 1")
        with pytest.raises(CodeExecutionError, match="NameError"):
            other.execute("x")


def test_a_dspy_rlm_runs_on_it_with_tools_queries_and_sub_agents():
    asked = []

    def price(item: str) -> int:
        """The price of an item, in cents."""
        asked.append(item)
        return {"pen": 120, "ink": 450}[item]

    lm = DummyLM(
        [
            {"reasoning": "look", "code": "```python\nitems = order.split()\ncosts = [price(item=i) for i in items]\nprint(costs)\n```"},
            {"reasoning": "fail", "code": "print(costs[9])"},
            {"reasoning": "ask", "code": "import dspy\nnote = dspy.Predict('total -> remark')(total=sum(costs)).remark"},
            {"remark": "cheap"},
            {"reasoning": "done", "code": "SUBMIT(total=sum(costs), remark=note)"},
        ]
    )
    with dspy.context(lm=lm, interpreter_factory=SandboxInterpreter, adapter=dspy.ChatAdapter()):
        result = dspy.RLM("order -> total: int, remark: str", tools=[price])(order="pen ink pen")
    assert (result.total, result.remark) == (690, "cheap")
    assert asked == ["pen", "ink", "pen"]
    outputs = [step["output"] for step in result.trajectory]
    assert "[120, 450, 120]" in outputs[0] and "IndexError" in outputs[1]
