"""A whole `errata generate` against a loopback instructor whose answers stand in a test.

    lesson = Lesson("a part of the train item's question", response="its wrong answer", programs=(FIRST, REPAIRED))
    made = generated("examples/units.yaml", [lesson], tmp_path)
    assert made.code == 0 and not made.refusals

The wrong answers are imported, as answers of another model are, so that no target runs and `wrong` is checked against them. An error is
known by its question, whatever the order of the calls. Not covered: strategies that show several errors in one call.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from openai_server import OpenAIServer, Reply
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.programs.run import layout
from errata.signatures.records import Rejection, Sample, TeachingResult, TrainRow
from errata.tasks import load_task

ROOT = Path(__file__).resolve().parents[1]
ID = '"e1"'
"""Stands in a program's ANCHORS for the id of its error, as in the contracts' examples."""
DIAGNOSIS = {"evidence": "its first words", "verdict": "error", "misconception": "It takes one for the other.", "skill": "telling apart",
             "teach": "vary both"}  # fmt: skip
Fields = dict[str, str]
"""Of a call, or of its answer: field -> text."""


class Lesson(NamedTuple):
    """One error, and what the instructor answers to it."""

    question: str
    """A part of the question of exactly one train item."""
    response: str = ""
    """The wrong answer that the target gave; empty: it was not asked, and `wrong` is not compared with anything."""
    programs: Sequence[str] = ()
    """The program, and the answers to each further call that asks for a repair; behind the last one it refuses."""
    diagnosis: Mapping[str, str] = DIAGNOSIS


class Generated(NamedTuple):
    """What came of it."""

    path: Path
    code: int
    output: str
    """What stood on stderr."""
    told: dict[str, Any]
    """The command's JSON document; empty where it gave none."""
    taught: list[TeachingResult]
    samples: list[Sample]
    """The rows that were kept."""
    rows: dict[str, TrainRow]
    """The same as they are trained on, by the id of the sample."""
    dropped: list[Rejection]
    """Rows, and programs with all their rows, that were refused while rows were drawn."""
    asked: list[Fields]
    """The fields of each call, in order."""

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """Check and complaint of each program, or diagnosis, that was refused before rows were drawn."""
        return [(row.check, row.reason) for result in self.taught for row in result.rejections]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The last message of the prompt and the completion of each generated row."""
        return [(row.prompt[-1]["content"], row.completion[-1]["content"]) for row in self.rows.values()]


def check_refusals(made: Generated, checks: Sequence[str], said: Sequence[str] = ()) -> None:
    """Each of the checks refused one program, all that is `said` stands in the complaints, and two programs passed."""
    assert made.code == 0, made.output
    assert sorted(check for check, _ in made.refusals) == sorted(checks)
    assert sum(result.program is not None for result in made.taught) == 2
    complaints = " ".join(reason for _, reason in made.refusals)
    for text in said:
        assert text in complaints


def generated(
    config: str | Path | Mapping[str, Any],
    lessons: Sequence[Lesson],
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    solve: Callable[[str], str] = lambda question: "none",
    other: Callable[[Fields], Fields | None] = lambda fields: None,
) -> Generated:
    """Import the wrong answers of `lessons` and generate rows, at most 40, in `folder`/run. `config`: a file of the repository, or a config
    as a dict; `settings`: fields over it. `solve`: the answer of an independent solve to a question. `other`: answers a call that is
    neither a diagnosis nor a program nor a solve (a judge's), by its fields."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(config, Mapping):
        (folder / "config.yaml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    file = folder / "config.yaml" if isinstance(config, Mapping) else ROOT / config
    run, asked = folder / "run", []
    with contextlib.chdir(ROOT), OpenAIServer(_script(lessons, solve, other, asked)) as server:
        set_ = {"instructor.model": "openai/loopback", "instructor.api_base": server.url, "generate.rows": 40, "generate.phrasings": 3}
        # the config's files of other tasks need not be there
        set_ |= {"errors": "recorded", "guards": []} | dict(settings or {})
        known = load_config(file, set_)
        answers = folder / "answers.jsonl"
        answers.write_text("".join(json.dumps(row) + "\n" for row in _answers(known, lessons)), encoding="utf-8")
        flags = ["--config", str(file), "--run", str(run)]
        flags += [word for name, value in set_.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        taken = CliRunner().invoke(app, ["import", str(answers), "-q", *flags])
        assert taken.exit_code == 0, taken.output
        done = CliRunner().invoke(app, ["generate", "--json", "-q", *flags])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    stage = layout.step(run, 1, "assemble")
    samples = layout.samples(run, 1)
    rows = {row.source: row for row in stage.read(layout.ROWS, TrainRow)} if stage.done else {}
    return Generated(
        path=run,
        code=done.exit_code,
        output=done.stderr,
        told=json.loads(done.stdout or "{}"),
        taught=layout.taught(run, 1),
        samples=samples,
        rows={sample.id: rows[sample.id] for sample in samples},
        dropped=stage.read(layout.REJECTIONS, Rejection) if stage.done else [],
        asked=asked,
    )


def _answers(config: Any, lessons: Sequence[Lesson]) -> list[dict[str, str]]:
    """The wrong answers as a file to import."""
    items = load_task(config.task, config.table, runner=lambda *_: None, judge=lambda *_: None).examples("train")
    rows = []
    for lesson in lessons:
        (item,) = [item for item in items if lesson.question in item.question]
        rows.append({"id": item.id, "response": lesson.response})
    return rows


def _script(lessons: Sequence[Lesson], solve: Any, other: Any, asked: list[Fields]) -> Callable[[dict[str, Any], int], Reply]:
    """What the instructor answers to each call."""
    written: Counter[str] = Counter()

    def answer(fields: Fields) -> Fields:
        if "questions" in fields:
            parts = re.split(r"\n\n(?=\(\d+\) )", fields["questions"])
            return {"reasoning": "r", "answers": json.dumps([solve(re.sub(r"^\(\d+\) ", "", part)) for part in parts])}
        lesson = next((one for one in lessons if one.question in fields.get("question", "")), None)
        if lesson is None or not {"task", "response"} <= fields.keys():
            said = other(fields)
            assert said is not None, f"nobody answers a call of the fields {', '.join(fields)}"
            return said
        if "failure_id" not in fields:
            return dict(lesson.diagnosis)
        turn = written[lesson.question]
        written[lesson.question] += 1
        if turn >= len(lesson.programs):
            return {"refusal": "that is all", "program": ""}
        source = lesson.programs[turn].replace(ID, json.dumps(fields["failure_id"]))
        return {"refusal": "", "program": f"```python\n{source}\n```"}

    def script(body: dict[str, Any], number: int) -> Reply:
        text = body["messages"][-1]["content"].partition("\n\nRespond with")[0]
        _, *parts = re.split(r"^\[\[ ## (\w+) ## \]\]\n", text, flags=re.MULTILINE)
        fields = {name: value.strip() for name, value in zip(parts[::2], parts[1::2], strict=True)}
        asked.append(fields)
        said = answer(fields)
        return Reply("".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in said.items()) + "[[ ## completed ## ]]")

    return script
