"""Takes recorded answers through `errata import` and `errata generate` with the offline instructor, and writes what came of it.

    python scripts/recorded_mistral.py FOLDER        # about 3 minutes on one core

The recordings are public and lie outside the repository: answers of Mistral-7B-Instruct-v0.2 to GSM8K, MMLU and MBPP, and GSM8K's published
solutions of fine-tuned GPT-3. No target runs and nothing is trained. Writes docs/evidence/recorded_mistral.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from errata.programs.run.directory import Stage
from errata.signatures.records import Attempt, Failure, Sample, TeachingResult

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "recorded_mistral.md"
MISTRAL = "recorded_mistral7b"
SETS = {
    "Mistral-7B, GSM8K": ("gsm8k", [f"{MISTRAL}/gsm8k_right.jsonl"], None),
    "Mistral-7B, MMLU": ("mmlu", [f"{MISTRAL}/mmlu_right.jsonl", f"{MISTRAL}/mmlu_wrong.jsonl"], None),
    "Mistral-7B, MBPP": ("mbpp", [f"{MISTRAL}/mbpp_right.jsonl", f"{MISTRAL}/mbpp_wrong.jsonl"], None),
    "GPT-3, GSM8K test": ("gsm8k", ["gsm8k/recorded_gpt3_solutions.jsonl"], 200),
}
"""Name -> (task, files, most errors that are analysed)."""
SHOWN = {"Mistral-7B, GSM8K": 3, "Mistral-7B, MMLU": 4, "Mistral-7B, MBPP": 3}
"""Errors of each set on the page, evenly spaced over all of them."""


def errata(*args: object, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "errata.cli", *map(str, args), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def short(text: str, most: int = 300) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else f"{words[: most // 2]} [...] {words[-most // 2 :]}"


def story(number: int, attempt: Attempt, taught: TeachingResult, sample: Sample | None) -> list[str]:
    """One error, and what the instructor made of it."""
    example = attempt.example
    gold = example.answer or "its tests"
    read = "" if example.task == "mbpp" else f", read as {attempt.verdict.extracted}"
    lines = [f"### {number}. {example.task}{f', {example.skill}' if example.skill else ''}", ""]
    lines += [f"- asked: {short(example.question)}", f"- gold: {gold}; judged: {attempt.verdict.reason}{read}"]
    lines += [f"- the response ends: {short(attempt.response[-160:])}"]
    if taught.program is None:
        last = taught.rejections[-1]
        return [*lines, f"- **refused** by the check `{last.check}`: {last.reason}", ""]
    assert taught.diagnosis is not None
    lines += [f"- diagnosis: {taught.diagnosis.skill}. {short(taught.diagnosis.misconception)}"]
    if sample is None:
        return [*lines, "- **a program passed**, and no row of it was kept", ""]
    return [*lines, f"- **a program passed**; one of its rows: {short(sample.example.question, 400)} Answer: {sample.example.answer}", ""]


def wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 140))


def spread(rows: list[TeachingResult], count: int) -> list[TeachingResult]:
    return [rows[index * len(rows) // count] for index in range(min(count, len(rows)))]


def main(folder: Path) -> None:
    table, refusals, ten = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for index, (name, (task, files, most)) in enumerate(SETS.items()):
            run = Path(place) / str(index)
            read = errata("import", *files, "--task", task, "--run", run, folder=folder)
            limit = f"generate.failures={most or 'null'}"
            made = errata("generate", "--run", run, "--set", limit, "--set", "generate.rows=400", folder=folder)
            taught = Stage(run / "round-1/teach").read("taught.jsonl", TeachingResult)
            rows = Stage(run / "round-1/assemble").read("samples.jsonl", Sample)
            attempts = {Failure(attempt=row).id: row for row in Stage(run / "round-1/mine").read("attempts.jsonl", Attempt)}
            accepted, refused = made["programs"]["accepted"], sum(made["programs"]["refused"].values())
            counted = (read[key] for key in ("items", "right", "wrong", "no_answer", "unjudged"))
            table.append((name, *counted, made["failures"], accepted, refused, made["samples"]))
            refusals += [(name, f"{check}", count) for check, count in made["programs"]["refused"].items() if check != "instructor"]
            refusals += [(name, f"instructor: {reason}", count) for reason, count in made["programs"]["reasons"].items()]
            for row in spread(taught, SHOWN.get(name, 0)):
                sample = next((sample for sample in rows if row.program and sample.program_id == row.program.id), None)
                ten += story(len(ten and [line for line in ten if line.startswith("###")]) + 1, attempts[row.failure_ids[0]], row, sample)
            print(*table[-1], file=sys.stderr)
    mistral = [row for row in table if row[0].startswith("Mistral")]
    (gpt3,) = (row for row in table if row[0].startswith("GPT-3"))
    errors, passed = sum(row[6] for row in mistral), sum(row[7] for row in mistral)
    lines = [
        "# Recorded answers through import and generate",
        "",
        f"Of Mistral's {errors} different errors the embedded instructor taught {passed}; of GPT-3's {gpt3[6]} on GSM8K {gpt3[7]}.",
        "",
        wrapped(
            "Made by `python scripts/recorded_mistral.py FOLDER`. Answers that Mistral-7B-Instruct-v0.2 had given, and GSM8K's published "
            "solutions of fine-tuned GPT-3, went through `errata import` and `errata generate` with the embedded `offline` instructor. No "
            "model ran."
        ),
        "",
        "| recording | answers | right | wrong | of these no answer | unjudged | errors analysed | programs | refused | rows drawn |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join(map(str, row)) + " |" for row in table),
        "",
        wrapped(
            f"Of Mistral's {errors} different errors the offline instructor could teach {passed}. It is an instructor for arithmetic word "
            "problems whose worked solution it can read: facts (MMLU) and code (MBPP) are beyond it, and it refuses each one. A hosted "
            "instructor has to serve them. The recording of GSM8K holds answers that its makers "
            "had sorted as right, so that few errors are left in it; the wrong answers of GPT-3 (a random draw of them) show what the "
            "offline instructor does with errors of its own kind. They answer GSM8K's *test* questions: with the task's own data at hand "
            "(`--task gsm8k:FOLDER`) the import sees that, counts them as held out, and nothing is taught from them. Here the task came "
            "without its data, and such a run cannot be trained on."
        ),
        "",
        wrapped(
            "Duplicates count as answers, and as one error. The diagnosis that the instructor leaves beside a refusal of facts or code is "
            "that of an arithmetic chain, and means nothing; and of prose without calculator marks it says that no step is shown."
        ),
        "",
        "| recording | refused because | errors |",
        "|---|---|---|",
        *("| " + " | ".join(map(str, row)) + " |" for row in refusals),
        "",
        "## Ten of Mistral's errors",
        "",
        "All of GSM8K's, and evenly spaced ones of the others.",
        "",
        *ten,
    ]
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder with gsm8k/ and recorded_mistral7b/")
    folder = parser.parse_args().folder.resolve()
    missing = [file for _, files, _ in SETS.values() for file in files if not (folder / file).is_file()]
    if missing:
        parser.error(f"{folder} holds no {missing[0]}")
    main(folder)
