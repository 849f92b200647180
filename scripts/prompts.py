"""The prompts to an instructor: their tokens by kind of task, strategy and call, and docs/prompts.md, which prints them.

    python scripts/prompts.py [--page | --check]

Without an option it prints a table of tokens: those of cl100k_base, from the file that LiteLLM ships; the repair shows a program of 2,000
characters. --page draws the prompts of the page anew, --check writes nothing and has exit code 1 when they are not current. Each shows one
made-up error, with a response as small models write it. Not covered: what an answer takes.
"""

import argparse
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dspy
from dspy.utils import DummyLM

from errata.programs import LearnFromContrast, LearnFromError, Mimic
from errata.programs.instructor.chat import Chat
from errata.programs.rehearse import Shown, prompts
from errata.programs.steps.agree import Agree
from errata.signatures.records import Attempt, Diagnosis, Example, Failure, ProgramRun, Rejection, SampleProgram, TeachingResult, Verdict
from errata.tasks import load_task
from errata.tasks.answers.form import Helpers
from errata.tasks.answers.json_form import JsonForm
from errata.tasks.answers.label import LabelForm
from errata.tasks.answers.sql import SqlForm
from errata.tasks.answers.tools import ToolsForm
from errata.tasks.settings import TableSettings

PAGE = Path(__file__).resolve().parents[1] / "docs/prompts.md"
KNIT = "Mia knits 3 scarves of 120 rows each. She has knitted 45 rows of the first one today. How many rows are left to knit?"
NUMBER = Example(
    task="sums", split="train", question=KNIT, answer="315",
    solution="Three scarves take 3 * 120 = 360 rows.\n360 - 45 = 315 rows are left.",
)  # fmt: skip
CHOICE = Example(
    task="facts", split="train", kind="choice", answer="C",
    question="Which of these gases makes up most of the air?\nA. Oxygen\nB. Carbon dioxide\nC. Nitrogen\nD. Argon",
    meta={"choices": {"A": "Oxygen", "B": "Carbon dioxide", "C": "Nitrogen", "D": "Argon"}},
)  # fmt: skip
RUN = 'def longest_run(numbers: list) -> int:\n    """Length of the longest run of equals.\n    >>> longest_run([1, 1, 2])\n    2\n    """'
TEST = (
    "def check(candidate):\n    assert candidate([1, 1, 2]) == 2\n    assert candidate([]) == 0\n    assert candidate([3, 3, 3, 1]) == 3\n"
)
CODE = Example(
    task="lists", split="train", kind="code", answer="", question=RUN,
    meta={"entry_point": "longest_run", "prompt": "", "test": TEST},
)  # fmt: skip
COUNTS = "def longest_run(numbers):\n    return max([0, *(numbers.count(number) for number in numbers)])"
LABEL = Example(
    task="tickets", split="train", kind="label", answer="refund",
    question="You have taken 49 euros twice in May. The invoice is right, but I want the second payment back.",
)  # fmt: skip
LABELS = ("billing", "refund", "cancellation")
TOOLS = Example(
    task="home", split="train", kind="tools", question="Dim the lamp in the hall to 20 and the one in the kitchen to 40, please.",
    answer='[{"name": "set_light", "arguments": {"room": "hall", "level": 20}}, '
    '{"name": "set_light", "arguments": {"room": "kitchen", "level": 40}}]',
)  # fmt: skip
LAMP = {"type": "object", "properties": {"room": {"type": "string"}, "level": {"type": "integer"}}, "required": ["room", "level"]}
FUNCTION = {"name": "set_light", "description": "Sets a lamp to a level from 0 to 100.", "parameters": LAMP}
JSON = Example(
    task="orders", split="train", kind="json",
    question="My order: three mugs and a tray. Sorry, make that 2 trays.\nOmar",
    answer='{"customer": "Omar", "items": [{"name": "mug", "quantity": 3}, {"name": "tray", "quantity": 2}]}',
)  # fmt: skip
SQL = Example(
    task="shop", split="train", kind="sql", question="How many customers have an open order?",
    answer="SELECT count(DISTINCT customer_id) FROM orders WHERE status = 'open'",
)  # fmt: skip
SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, status TEXT);
INSERT INTO orders VALUES (1, 7, 'open'), (2, 7, 'open'), (3, 8, 'shipped');
"""
SAID = {
    "number": "Mia knits 3 scarves. She has knitted 45 rows, so 120 - 45 = 75 rows are left.\n#### 75",
    "choice": "We breathe oxygen, so the air must be mostly made of oxygen.\nAnswer: A",
    "code": f"```python\n{COUNTS}\n```",
    "label": "billing",
    "tools": '<tool_call>\n{"name": "set_light", "arguments": {"room": "hall", "level": 20}}\n</tool_call>',
    "json": '{"customer": "Omar", "items": [{"name": "mug", "quantity": 3}, {"name": "tray", "quantity": 1}]}',
    "sql": "SELECT count(*) FROM orders WHERE status = 'open'",
}
ERRORS = {"number": NUMBER, "choice": CHOICE, "code": CODE, "label": LABEL, "tools": TOOLS, "json": JSON, "sql": SQL}
WORDS = {
    "evidence": '"120 - 45 = 75": there should stand 3 * 120 = 360 first, and then 360 - 45 = 315.',
    "misconception": "The model works with the amount of one thing where all of them are asked for, and never multiplies by their number.",
    "skill": "multiplying by the number of things",
    "teach": "Vary the things, their number and what is taken away; keep a count that is said once, and a question about the whole.",
}
PROGRAM = "def draw(rng, level):\n" + "    number = rng.randint(2, 9)\n" * 60 + "ANCHORS = {}\n"


def shown(kind: str, boundary: str) -> Shown:
    """The error with a diagnosis, a refused program, and two solved neighbours."""
    example = ERRORS[kind]
    attempt = Attempt(example=example, response=SAID[kind], verdict=Verdict(correct=False, extracted="75", reason="wrong"))
    solved = attempt.model_copy(update={"verdict": Verdict(correct=True, extracted="75", reason="right")})
    failure = Failure(attempt=attempt, contrasts=(solved, solved))
    diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="s", verdict="error", boundary=boundary, **WORDS)
    program = SampleProgram(diagnosis_id=diagnosis.id, source=PROGRAM, anchors=(failure.id,), kind=example.kind)
    complaint = Rejection(of=program.id, kind="program", check="diverse", reason="only 37 distinct problems in 200 draws, 50 are needed")
    return Shown(
        failure, TeachingResult(failure_ids=(failure.id,), diagnosis=diagnosis, program=None, refused=(program,), rejections=(complaint,))
    )


def calls(brief: str, kind: str) -> dict[str, list[dict[str, str]]]:
    """Name of each call -> its messages."""
    found = {}
    strategies = {"LearnFromError": LearnFromError(), "LearnFromContrast": LearnFromContrast(), "Mimic": Mimic()}
    for name, strategy in strategies.items():
        boundary = "It can work with one thing and cannot with several." if name == "LearnFromContrast" else ""
        for call in prompts(strategy, shown(kind, boundary), brief):
            found[f"{name} {call.predictor}"] = call.messages
    found["solve 8 questions"] = solve_prompt([ERRORS[kind].question] * 8, brief)
    return found


class Kept(Chat):
    """Keeps the prompt and answers nothing."""

    messages: list[dict[str, str]]

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        self.messages = self.format(signature, demos, inputs)
        return [{"reasoning": "", "answers": []}]


def solve_prompt(questions: list[str], brief: str) -> list[dict[str, str]]:
    """What the independent solves of these questions are asked with."""
    kept = Kept(0)
    with dspy.context(lm=DummyLM([]), adapter=kept):
        Agree()(questions, brief)
    return kept.messages


def known() -> dict[str, dict[str, list[dict[str, str]]]]:
    """Kind of task -> its calls."""
    names = {"number": "sums", "choice": "facts", "code": "lists"}
    briefs = {kind: load_task(name, runner=lambda *_: ProgramRun(outcome="error")).brief for kind, name in names.items()}
    form = LabelForm("tickets", TableSettings(choices=LABELS), Helpers())
    briefs["label"] = f"{form.brief} {form.facts}"
    tools = ToolsForm("home", TableSettings(tools=(FUNCTION,)), Helpers())
    tools.learn([])
    briefs["tools"] = f"{tools.brief}\n{tools.facts}"
    orders = JsonForm("orders", TableSettings(), Helpers())
    orders.learn([JSON])
    briefs["json"] = f"{orders.brief} {orders.facts}"
    shop = SqlForm("shop", TableSettings(database=SHOP), Helpers())
    briefs["sql"] = f"{shop.brief} {shop.facts}"
    return {kind: calls(brief, kind) for kind, brief in briefs.items()}


def page(text: str) -> str:
    """The page with each `<!-- prompt: KIND CALL -->` drawn anew; of the call `CALL, system` the system message alone."""
    drawn = re.compile(r"(<!-- prompt: (\w+) ([^>]*?)(, system)? -->\n).*?(?=<!-- end -->)", re.DOTALL)
    all_calls = known()

    def draw(found: re.Match[str]) -> str:
        rows = all_calls[found[2]][found[3]][: 1 if found[4] else None]
        said = "\n\n".join(f"---- {row['role']} ----\n{row['content']}" for row in rows)
        return f"{found[1]}~~~~text\n{said}\n~~~~\n"

    return drawn.sub(draw, text)


def table() -> None:
    """Print the tokens of every call."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(str(find_spec("litellm").origin)).parent / "litellm_core_utils" / "tokenizers")
    import tiktoken  # reads the variable

    encoding = tiktoken.get_encoding("cl100k_base")
    print("| kind | call | characters | tokens |\n|---|---|---|---|")
    total = 0
    for kind, found in known().items():
        for name, messages in found.items():
            text = "".join(str(row["content"]) for row in messages)
            tokens = len(encoding.encode(text))
            total += tokens
            print(f"| {kind} | {name} | {len(text):,} | {tokens:,} |")
    print(f"| all | | | {total:,} |")


def main() -> int:
    parser = argparse.ArgumentParser(description="The prompts to an instructor: a table of their tokens, or the page that prints them.")
    parser.add_argument("--page", action="store_true", help="draw the prompts of docs/prompts.md anew")
    parser.add_argument("--check", action="store_true", help="exit code 1 when the page is not current")
    given = parser.parse_args()
    if not given.page and not given.check:
        table()
        return 0
    text = PAGE.read_text(encoding="utf-8")
    current = page(text) == text
    if given.page and not current:
        PAGE.write_text(page(text), encoding="utf-8")
    return int(given.check and not current)


if __name__ == "__main__":
    sys.exit(main())
