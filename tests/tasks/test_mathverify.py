"""The verdict `math`: values and expressions in every usual dress, and long texts in bounded time."""

import time

import pytest

from errata.tasks.verdicts.mathverify import SECONDS, MathVerify


@pytest.fixture(scope="module")
def judge():
    pytest.importorskip("math_verify", reason="needs the extra math")
    return MathVerify()


@pytest.mark.parametrize(
    ("gold", "response", "right"),
    [
        ("-1/2", r"\boxed{-\frac{1}{2}}", True),
        (r"-\frac{1}{2}", "The answer is $-0.5$", True),
        (r"-\frac12", r"\boxed{-\dfrac{1}{2}}", True),
        ("1/2", r"\boxed{-\frac{1}{2}}", False),
        ("1/2", "½", True),
        ("-1/2", "-½", True),
        ("1/2", "-½", False),
        ("5", r"\boxed{5\text{ cm}}", True),
        (r"5\text{ cm}", r"\boxed{5}", True),
        (r"\text{red}", r"\boxed{\text{red}}", True),
        (r"\text{red}", r"\boxed{\text{blue}}", False),
        ("12500", r"\boxed{12{,}500}", True),
        ("12500", "#### 12 500", True),
        ("12", "#### 12 500", False),
        ("1024", r"\boxed{2^{10}}", True),
        ("x+1", "$1+x$", True),
        ("72", "７２", True),
        ("72", "72<|im_end|>", True),
        ("5", "5\u200b", True),
        ("50%", r"\boxed{50\%}", True),
        ("(3,4)", r"\boxed{(3,4)}", True),
        ("5", "I do not know", False),
    ],
)
def test_mathematics_is_read_in_every_usual_dress(judge, gold, response, right):
    assert judge.verdict(gold, response).correct is right


@pytest.mark.parametrize("unit", ["(", "2+", "\\frac{", "9", "2^", "$1", "\\boxed{", " ", "1,"])
def test_a_long_text_is_judged_or_given_up_in_time(judge, unit):
    start = time.monotonic()
    verdict = judge.verdict("5", unit * (200_000 // len(unit)))
    assert verdict.correct is not True
    assert len(verdict.extracted or "") <= 500
    assert time.monotonic() - start < 2 * SECONDS
