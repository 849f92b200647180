"""The task `bbh:PATH`: BIG-Bench Hard from a local folder in its published form, three worked examples before each question.

The folder holds one JSON file a subtask, {"examples": [{"input", "target"}]}, in itself or in its `bbh/`; `cot-prompts/NAME.txt` beside
them gives the worked examples, else the first three examples do. Examples that are shown are not asked. The data have no splits: by a hash
of the question, half is train, a fifth dev, the rest test. The subtask is the skill. A target says how an answer is compared: "(B)" by the
options in the question, "Yes" or "valid" by the word, a number as a number, brackets and words in a row by their sequence, without regard
to commas, spaces and case.
"""

import re
from pathlib import Path

from ...signatures.errors import TaskError
from ...signatures.records import Example, Message, Verdict
from ..base import ended, scored
from ..files import Row, rows
from ..rows import RowTask, field, file_hashes, share
from ..verdicts import choice, number

SHOTS = 3
_CUE = "Let's think step by step."
_OPTION = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(.*)$", re.MULTILINE)
_SAID = re.compile(r"(?i)\b(?:answer|result|conclusion)\b[^\n:.]{0,40}?(?:\bis\b|:|=)\s*|\bsorted\s+(?:list|order)\b[^\n:]{0,20}:\s*")
_PAIRS = (("yes", "no"), ("true", "false"), ("valid", "invalid"), ("plausible", "implausible"))
_ONES = {word for pair in _PAIRS for word in pair}
_BRACKETS = "()[]{}<>"


class Bbh(RowTask):
    """BIG-Bench Hard. A bad folder raises TaskError when the task is made."""

    name = "bbh"
    kind = "text"
    max_new_tokens = 768
    brief = (
        "Puzzles of logic, language and arithmetic in 27 kinds. The response thinks step by step; its last sentence is "
        '"So the answer is X.", with X an option like (B), a word, a number, or a sequence, as the question asks.'
    )

    def __init__(self, path: Path):
        folder = path / "bbh" if (path / "bbh").is_dir() else path
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        if not files:
            raise TaskError(f"{path}: holds no JSON files; give the published folder, one file a subtask")
        cots = next((place for place in (path / "cot-prompts", path.parent / "cot-prompts") if place.is_dir()), None)
        prompts = {file.stem: shown for file in files if cots and (shown := cots / f"{file.stem}.txt").is_file()}
        self._shots: dict[str, str] = {}
        rows: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
        for file in files:
            examples = self._read_file(file)
            if file.stem in prompts:
                text = prompts[file.stem].read_text(encoding="utf-8")
                self._shots[file.stem] = text.partition("-----\n")[2].strip() or text.strip()
                examples = [row for row in examples if row.question not in text]
            else:
                first = [f"Q: {row.question}\nA: {_CUE} So the answer is {row.answer}." for row in examples[:SHOTS]]
                self._shots[file.stem] = "\n\n".join(first)
                examples = examples[SHOTS:]
            for row in examples:
                part = share(row.question)
                split = "train" if part < 0.5 else "dev" if part < 0.7 else "test"
                rows[split].append(row.model_copy(update={"split": split}))
        self.keep(rows)
        self.data = file_hashes(path, [*files, *prompts.values()])

    def _read_file(self, file: Path) -> list[Example]:
        found = list(rows(file))
        if not all("input" in row for _, _, row in found):
            raise TaskError(f'{file}: must hold {{"examples": [{{"input", "target"}}]}}; mend it or take it out of the folder')
        return [self.read(row | {"skill": file.stem}, "train", where) for _, where, row in found]

    def read(self, row: Row, split: str, where: str) -> Example:
        question, answer = field(row, "input", where), field(row, "target", where).strip()
        return Example(task=self.name, split=split, question=question, answer=answer, skill=str(row.get("skill", "")))

    def prompt(self, example: Example) -> list[Message]:
        """One user message: the worked examples of its subtask (a program's row has none), and the question in their form."""
        asked = f"Q: {example.question}\nA: {_CUE}"
        shots = self._shots.get(example.skill)
        return [{"role": "user", "content": f"{shots}\n\n{asked}" if shots else asked}]

    def judge(self, example: Example, response: str) -> Verdict:
        """`right`, `wrong`, or `no answer`."""
        # A model without a stop word goes on to ask itself the next question.
        response = re.split(r"\n\s*Q:", response)[0]
        options = dict(_OPTION.findall(example.question))
        gold = re.fullmatch(r"\(?([A-Z])\)?", example.answer)
        if gold and gold[1] in options:
            return choice.verdict(options, gold[1], response)
        given = _read(response, example.answer)
        return scored(given == _plain(example.answer, example.answer), given)

    def completion(self, solution: str, answer: str) -> str:
        """The steps, and "So the answer is X." at the end."""
        return ended(solution, f"So the answer is {answer}.", alone=False)


def _read(response: str, gold: str) -> str | None:
    """What a response answers, in the plain form of answers like `gold`; None: nothing of this kind."""
    said = [response[match.end() :] for match in _SAID.finditer(response)]
    lines = [line for line in response.split("\n") if line.strip()]
    words = number.read(gold) is None and gold.lower() not in _ONES and gold.strip(" " + _BRACKETS)
    # without "the answer is", words in a row are an answer only when nothing stands beside them
    rest = lines[-1:] if len(lines) == 1 or not words else []
    for text in [*(text.lstrip().split("\n")[0] for text in reversed(said)), *rest]:
        if found := _plain(text, gold):
            return found
    return None


def _plain(text: str, gold: str) -> str:
    """The answer in a text, made plain: a number's value, a word of the gold's family, or a sequence; "": nothing of this kind."""
    text = text.replace("**", "").strip().strip("\"'`")
    if number.read(gold) is not None and re.fullmatch(r"-?[\d.,/]+", gold):
        value = number.extract(text)
        return "" if value is None else number.show(value)
    if gold.strip(" " + _BRACKETS) == "":
        found = re.findall(rf"[{re.escape(_BRACKETS)}](?:\s*[{re.escape(_BRACKETS)}])*", text)
        return "".join(found[-1].split()) if found else ""
    pair = next((pair for pair in _PAIRS if gold.lower() in pair), None)
    if pair:
        said = re.findall(rf"(?i)\b({pair[0]}|{pair[1]})\b", re.sub(rf"(?i)\bnot\s+{pair[0]}\b", pair[1], text))
        return said[0].lower() if said else ""
    return " ".join(re.sub(r"[,;]", " ", text.rstrip(" .")).lower().split())
