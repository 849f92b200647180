"""Whatever reads a text takes time in proportion to its length: texts made to mislead each reader, at one length and at four times that.

The times are CPU seconds. Four times the text may take eight times as long (it would be sixteen if time grew with the square), and what is
fast at the longer length is not measured further.
"""

import time

import pytest

from errata.programs.report import markup
from errata.programs.samples import calculations, style
from errata.programs.samples.filters import Distinct, Unseen
from errata.programs.samples.kind import problem_shape, words_of
from errata.programs.samples.kinds import KINDS
from errata.signatures import reading, replies, teach
from errata.signatures.records import Example, Sample
from errata.signatures.terminal import visible
from errata.tasks import load_task, trace
from errata.tasks.sets.gsm8k import refused
from errata.tasks.verdicts import choice, number, short
from errata.tasks.verdicts.code import item_of
from errata.tasks.verdicts.source import extract

pytestmark = pytest.mark.slow  # two dozen readers, a minute of CPU

LONG, FAST, GROWTH = 16_000, 0.05, 8.0
"""Characters of the longer text; CPU seconds that are no cause for concern; how often longer the longer text may take."""

UNITS = [
    " ", "\n", "\t", " \n", "\u00a0", "\u200b", "x", "A", "a ", "A ", "A. ", "(A) ", "A:\n", "B or ", "is A. ", "answer ", "answer is ",
    "answers are:\n", "Answer: ", "the answer is not A. ", "\\boxed{", "\\boxed{2}", "\\frac{", "\\frac{1}{2}", "\\text{", "\\", "\\\\",
    "####", "#### ", "#### 2\n", "2", "2 ", "2\n", "1,", "1,000,", "1 000 ", "-", "--", "- 2\n", "2-", "2/", "2^", "2^{", "²", "½", "７",
    "٣", "=", "= ", "=2", "5=", "2+", "(2+", "2*(", "1+1=2 ", "<<", "<<1+1=2>>", "<<1+1=", ">>", "<", ">", "<b>", "<think>", "</think>",
    "<think></think>", "[THINK]", "<|channel|>analysis<|message|>", "<answer>", "~~", "~~2~~", "*", "**", "**A** ", "_", "`", "```",
    "```\n", "```python\n", "'''", "\"\"\"", "\"", "'", "(", ")", "[", "{", "}", "{\"a\":", "{\"answer\": 2}\n", "[[ ## ",
    "[[ ## verdict ## ]]\n", "## verdict ##\n", "verdict: error\n", ".", ". ", "...", "$", "$ ", "%", ":", ";", "|", "> ", "def f():\n",
    "    return 1\n", "class A:\n", "import a\n", "é", "你", "답", "😀", "<a href='", "&lt;", "\u001b[1m", "http://a.b/",
]  # fmt: skip
FORMS = ["{}", "#### Answer: {}x"]
OPTIONS = {"A": "red", "B": "a red fox", "C": "blue", "D": "2"}
ITEM = Example(task="sums", split="train", question="What is 2 and 2?", answer="4")
ADD = {"entry_point": "add", "test": "assert add(1, 2) == 3", "prompt": "def add(a, b):\n"}
CODE = item_of(Example(task="mbpp", split="train", question="Add.", answer="", kind="code", meta=ADD))
SUMS = load_task("sums")


def sample(text: str) -> Sample:
    return Sample(program_id="p", seed=0, index=0, level=1, example=ITEM.model_copy(update={"question": text}))


def consistent(text: str) -> None:
    KINDS["number"].consistent(SUMS, ITEM.model_copy(update={"solution": text}))


READERS = {
    "number": lambda text: number.verdict("4", text),
    "number of a gold": number.read,
    "refused": refused,
    "choice": lambda text: choice.verdict(OPTIONS, "A", text),
    "short": lambda text: short.verdict("red fox", short.read(text)),
    "trace": trace.parted,
    "wrappers": trace.readable,
    "code": lambda text: extract(CODE, text),
    "calculations": calculations.calculated,
    "final answer": calculations.final_answer,
    "body": calculations.body,
    "style": style.step_count,
    "words": words_of,
    "shape": lambda text: problem_shape(text, "4"),
    "solution": consistent,
    "distinct": lambda text: Distinct()(sample(text)),
    "unseen": lambda text: Unseen([ITEM])(sample(text)),
    "instructor": lambda text: _whatever(reading.read_answer, teach.DiagnoseError, text),
    "server": lambda text: replies.words(text.encode()),
    "terminal": visible,
    "markup": lambda text: markup.Html("{}").format(text),
    "markdown": lambda text: markup.Markdown("{}").format(text),
    "code in a page": markup.python,
    "prose in a page": markup.prose,
}


def _whatever(read, *given):
    """An answer that cannot be read is refused, in time."""
    try:
        read(*given)
    except ValueError:
        pass


def seconds(read, text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start


def grows(read, form: str, unit: str) -> str | None:
    """What the time of a reader does that it should not; None where all is well."""
    text = form.replace("{}", unit * (LONG // len(unit)))
    if seconds(read, text) < FAST:
        return None
    shorter = form.replace("{}", unit * (LONG // 4 // len(unit)))
    few, many = (min(seconds(read, one) for _ in range(2)) for one in (shorter, text))
    return f"{form!r} of {unit!r}: {few:.3f} s and {many:.3f} s" if many > GROWTH * few else None


@pytest.mark.parametrize("name", READERS)
def test_the_time_of_a_reader_grows_with_the_length_of_its_text_alone(name):
    read = READERS[name]
    read("2")  # what is made once
    assert [told for form in FORMS for unit in UNITS if (told := grows(read, form, unit))] == []
