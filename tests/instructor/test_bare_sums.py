"""The embedded instructor on bare sums: what it takes for one, and what its programs draw."""

import random

import pytest

from errata.programs.instructor.offline.bare_sums import write
from errata.programs.samples.checks import prove
from errata.sandbox import Limits, open_sandbox
from errata.signatures.records import Attempt, Example, Failure, Message, SampleProgram, Verdict
from errata.tasks.verdicts import number

ASK = "State the final answer to the following arithmetic problem: {} ="


class Sums:
    """A task whose answers are numbers."""

    name, kind = "sums", "number"

    def prompt(self, example: Example) -> list[Message]:
        return number.prompt(example)

    def fault(self, answer: str) -> str:
        return ""

    def verdict(self, example: Example, response: str) -> Verdict:
        return number.verdict(example.answer, response)

    def completion(self, solution: str, answer: str) -> str:
        return number.completion(solution, answer)


@pytest.mark.parametrize("chain", ["5 + 0", "7 - 7", "40 - 94", "3 - 8 + 1 - 1 + 1 + 1", "9183 - 8320 + 10", "78 - -96 + -52"])
def test_programs_of_bare_sums_pass_every_check(chain: str) -> None:
    example = Example(task="sums", split="train", question=ASK.format(chain), answer=str(eval(chain)))
    failure = Failure(attempt=Attempt(example=example, response="", verdict=Verdict(correct=False, extracted=None, reason="no answer")))
    source = write(example.question, f"\n#### {example.answer}", failure.id, "add, then subtract")
    assert source is not None
    with open_sandbox(workers=1) as sandbox:
        assert prove(SampleProgram(diagnosis_id="d", source=source, anchors=(failure.id,)), [failure], Sums(), sandbox, Limits()) is None


def test_rows_are_true_and_keep_the_digits_and_at_level_3_the_length() -> None:
    space: dict = {}
    exec(write(ASK.format("20 - 41 + 35"), "#### 14", "e", "a skill") or "", space)
    for seed in range(50):
        row = space["make"](**space["draw"](random.Random(seed), 3))
        chain = row["question"].removeprefix(ASK.partition("{")[0]).removesuffix(" =")
        assert [len(term) for term in chain.replace("- ", "+ ").split(" + ")] == [2, 2, 2]
        assert eval(chain) == int(row["answer"])
        for line in row["solution"].split("\n"):
            left, mark, shown = line.replace(">>", "<<").split("<<")
            assert eval(left.removesuffix(" = ")) == eval(mark.partition("=")[0]) == int(shown)
        assert shown == row["answer"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("The score was 5 - 3. By how much did they win?", "2"),  # asks for no sum
        ("What is 5 - 3 * 2?", "-1"),
        ("What is (5 - 3) * 2?", "4"),
        ("What is 2 * 5 - 3?", "7"),
        ("What is 1.5 - 3?", "-1.5"),
        ("What is 5 - 3 to the power of 2?", "2"),
        ("What is 5 - 3?", "8"),  # the reference says otherwise
        ("Compare 5 - 3 and 4 - 1: what is 5 - 3?", "2"),
        ("He was born on 2001-02-03.", "1996"),
    ],
)
def test_what_is_no_bare_sum_is_left_to_others(question: str, answer: str) -> None:
    assert write(question, f"#### {answer}", "e", "a skill") is None
