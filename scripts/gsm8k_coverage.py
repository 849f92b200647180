"""How much of a GSM8K training file the offline instructor can turn into sound programs, and ten of them to read.

    python scripts/gsm8k_coverage.py PATH/train.jsonl [--limit N] [--page docs/evidence/gsm8k_coverage.md] [--jobs N]

Each row is taken as an error with an empty response: the instructor writes a program, and the model-free checks of
errata.programs.samples.checks
judge it in the sandbox, as they do in a cycle. Prints the share that passes, refusals by reason, and the share of drawn rows that the
check `distinct` keeps. Takes about four minutes for 1000 rows on one core. With --recorded FILE (GSM8K's published example model
solutions) it also says how many programs for real wrong responses carry `wrong`.
"""

import argparse
import json
import multiprocessing
import random
import re
import time
from collections import Counter
from pathlib import Path

from errata.programs.instructor.offline.word_problems.diagnose import diagnose
from errata.programs.instructor.offline.word_problems.emit import write
from errata.programs.samples.calculations import Unreadable
from errata.programs.samples.checks import DRAWS, good, prove
from errata.programs.samples.draw import samples
from errata.programs.samples.filters import Distinct
from errata.programs.samples.harness import run_program
from errata.sandbox import Limits, open_sandbox
from errata.signatures.records import Attempt, Failure, SampleProgram
from errata.signatures.teach import PHRASINGS
from errata.tasks import load_task
from errata.tasks.verdicts import number

LEVELS = (1, 3, 5)


def program_for(example, response: str, phrasings: int = PHRASINGS) -> tuple[Failure, SampleProgram]:
    """A failure and its program; raises Unreadable."""
    verdict = number.verdict(example.answer, response)
    failure = Failure(attempt=Attempt(example=example, response=response, verdict=verdict))
    reference = f"{example.solution}\n#### {example.answer}"
    skill = diagnose(example.question, reference, response).skill
    source = write(example.question, reference, response, failure.id, skill, phrased=phrasings > 1)
    return failure, SampleProgram(diagnosis_id="coverage", source=source, anchors=(failure.id,), skill=skill)


def page(found: list, counts: Counter, distinct: float, rows: int, read: str) -> str:
    """The markdown page: figures, refusals, what was read by eye (kept from the page as it stands), ten programs with samples."""
    accepted = counts["accepted"]
    lines = [
        "# GSM8K coverage of the offline instructor",
        "",
        f"- programs that pass every model-free check: {accepted} of {rows} ({100 * accepted / rows:.1f} %)",
        f"- of 200 draws of a program, the check `distinct` keeps {100 * distinct:.0f} % on the average",
        "",
        f"Made by `python scripts/gsm8k_coverage.py` on {rows} training rows of GSM8K, each taken as an error with an empty response.",
        "",
        "| refused because | rows |",
        "|---|---|",
    ]
    lines += [f"| {reason} | {count} |" for reason, count in counts.most_common() if reason != "accepted"]
    lines += ["", *([read.rstrip(), ""] if read else []), "## Ten programs", ""]
    for program, drawn in found:
        lines += [f"### {program.skill}", "", "```python", program.source.strip(), "```", ""]
        for row, level in drawn:
            solution = row["solution"].replace("\n", "  \n> ")
            lines += [f"Level {level}: {row['question']}", "", f"> {solution}  ", f"> **{row['answer']}**", ""]
    return "\n".join(lines)


def recorded(path: Path, limit: int | None) -> None:
    """Counts programs that carry `wrong` among real wrong responses."""
    from errata.signatures.records import Example

    counts: Counter = Counter()
    for line in path.read_text(encoding="utf-8").split("\n")[:limit]:
        if not line.strip():
            continue
        row = json.loads(line)
        solution, _, answer = row["ground_truth"].rpartition("\nA:")
        example = Example(task="gsm8k", split="train", question=row["question"], answer=answer.strip(), solution=solution)
        for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            if row[model]["is_correct"]:
                continue
            counts["wrong responses"] += 1
            try:
                _, program = program_for(example, row[model]["solution"])
            except Unreadable:
                continue
            counts["programs"] += 1
            counts["with wrong"] += "def wrong(" in program.source
    print(
        f"{counts['wrong responses']} recorded wrong responses: {counts['programs']} programs, {counts['with wrong']} of them carry wrong()"
    )


_mine: dict = {}
"""Task, sandbox and number of phrasings of a worker process."""


def _start(name: str, phrasings: int) -> None:
    _mine.update(phrasings=phrasings, task=load_task(name), sandbox=open_sandbox())


def _judge(example) -> tuple[str, SampleProgram | None]:
    """`accepted` and the program, or why there is none."""
    try:
        failure, program = program_for(example, "", _mine["phrasings"])
    except Unreadable as error:
        return "instructor: " + str(error).partition(":")[0], None
    refusal = prove(program, [failure], _mine["task"], _mine["sandbox"], Limits(), ways=_mine["phrasings"])
    if refusal:
        return f"{refusal.check}: " + re.sub(r"\d+|'.*", "N", refusal.reason)[:80], None
    return "accepted", program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0, help="which rows --limit takes, and which ten programs are shown")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--recorded", type=Path)
    parser.add_argument("--phrasings", type=int, default=PHRASINGS, help="in how many ways each program must ask; 1: the row's own")
    args = parser.parse_args()
    if args.recorded:
        recorded(args.recorded, args.limit)
    name = f"gsm8k:{args.file}"
    task = load_task(name)
    examples = list(task.examples("train", None))
    rng = random.Random(args.seed)
    rng.shuffle(examples)
    examples = examples[: args.limit]
    counts: Counter = Counter()
    kept: list[float] = []
    shown = []
    started = time.perf_counter()
    with open_sandbox() as sandbox, multiprocessing.get_context("spawn").Pool(args.jobs, _start, (name, args.phrasings)) as pool:
        for reason, program in pool.imap(_judge, examples, chunksize=4):
            counts[reason] += 1
            if program is not None and counts["accepted"] % 10 == 1:
                drawn = run_program(sandbox, program.source, (), DRAWS, Limits())
                distinct = Distinct()
                kept.append(sum(distinct(s) is None for s in samples(program, DRAWS, drawn.rows)) / len(DRAWS))
                if len(shown) < 10:
                    pairs = zip(good(drawn.rows), DRAWS, strict=False)
                    shown.append((program, [next((r, d[2]) for r, d in pairs if d[2] == level) for level in LEVELS]))
    seconds = time.perf_counter() - started
    share = sum(kept) / max(1, len(kept))
    print(f"{counts['accepted']} of {len(examples)} accepted ({100 * counts['accepted'] / len(examples):.1f} %), {seconds:.0f} s")
    for reason, count in counts.most_common():
        print(f"{count:6d}  {reason}")
    print(f"distinct keeps {100 * share:.0f} % of 200 draws on the average")
    if args.page:
        args.page.parent.mkdir(parents=True, exist_ok=True)
        old = args.page.read_text(encoding="utf-8") if args.page.exists() else ""
        read = re.search(r"^## Read by eye\n.*?(?=^## Ten programs)", old, re.MULTILINE | re.DOTALL)
        args.page.write_text(page(shown, counts, share, len(examples), read[0] if read else ""), encoding="utf-8")


if __name__ == "__main__":
    main()
