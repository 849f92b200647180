"""Compares Errata's verdicts with published ones on recorded answers, and writes docs/evidence/agreement.md.

    python scripts/agreement.py FOLDER        # about 5 minutes on one core

Each disagreement must be explained below, by someone who read the row; one that is not fails the script. The data are public and lie
outside the repository: GSM8K's recorded solutions of fine-tuned GPT-3 with `is_correct`, and answers of Mistral-7B-Instruct-v0.2 to GSM8K,
MMLU and MBPP that were sorted into right and wrong ones.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from errata.sandbox import open_sandbox
from errata.tasks import doctor, load_task
from errata.tasks.verdicts import choice, code, number

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "agreement.md"

GSM8K = {
    188: 'the response comes to "a total of 25 singers (15 + 10)"; the gold is 10, its last number by chance',
    618: 'the response ends in "it is not possible for Jon to earn the same amount"; the gold is 4',
    887: 'the response ends in "The exact amount of savings would be $140"; the gold is 120',
    906: 'the response ends in "there seems to be a mistake in the problem statement"; the gold is 4',
}
"""Rows of gsm8k_right.jsonl (from 0) that we judge wrong."""

LOST = "the response imports {}; the sorter kept the function's body alone and lost the line, so its run failed on the name"
MBPP = {
    518: LOST.format("`sqrt`"),
    562: "the prompt's own signature uses `List` without importing it; the response's whole function imports it",
    607: LOST.format("`re`"),
    621: LOST.format("`re`"),
    640: LOST.format("`re`"),
    658: LOST.format("`Counter`"),
    683: LOST.format("`sqrt`"),
    685: "the response defines a helper `is_prime` above the function; the sorter kept the function's body alone",
    725: LOST.format("`re`"),
    830: LOST.format("`ceil`"),
    857: "the prompt's docstring ends in two quotes instead of three, so that no completion of it is Python; the whole function is",
    860: LOST.format("`re`"),
    880: LOST.format("`math`"),
    913: LOST.format("`re`"),
    928: LOST.format("`datetime`"),
    937: LOST.format("`Counter`"),
    940: LOST.format("`heapq`"),
    946: LOST.format("`Counter`"),
    848: "the response imports `Float` from typing, which does not exist: its code fails; the sorter lost the faulty line",
    931: "the response imports `Int` from typing, which does not exist: its code fails; the sorter lost the faulty line",
}
"""MBPP task ids whose whole response we judge otherwise than its body was judged."""

MMLU_RIGHT = {
    32: 'says that "none of the options A, B, C, or D" fits',
    73: 'ends in "the answer is C"; the gold is D',
    92: 'ends in "the answer is either B or C"',
    96: 'chooses C ("is C. k[A]2[B]"); the gold is A, a letter of the formula',
    100: 'answers "B. ... or C. ..."',
    138: 'ends in "None of the above", which is no option',
    141: "a run of fractions that is cut off and never comes to an answer",
    181: "says that none of the options is exact",
    223: "names the doctrine of bias, option C, without a letter and in words that deny; the gold is A",
    225: 'chooses "B. Codification ossifies the law."; the gold is A',
    234: "says that it cannot be determined",
    285: "says that no option can be right",
    321: "weighs A and D, and says that it cannot choose",
    347: 'ends in "The closest answer is C"; the gold is A',
    349: 'ends in "The correct answer is B, $0"; the gold is C, named earlier and taken back',
    417: "begins with C, and calls it incorrect later; the gold is B",
    487: 'ends in "the most likely answer is B", and doubts it; the gold is C',
    530: 'ends in "The closest option is C"; the gold is A, a letter of the formula',
}
"""Rows of mmlu_right.jsonl (from 0) whose response does not choose the gold answer."""

MMLU_WRONG = {
    1: 'without a letter: "the maximum possible order is 12", option C',
    14: 'without a letter: "the feature ... not listed is drowsiness", option D',
    56: 'ends in "the closest option to the actual estimate is B (1.7 g)"',
    113: 'without a letter: quotes "self-fulfilling prophecy", option B',
    140: "begins with C, and discusses the other letters afterwards",
    153: 'begins with "C. both A and B"',
    163: "begins with A, and discusses the other letters afterwards",
    207: "begins with C, and discusses the other letters afterwards",
    294: 'ends in "the correct answer is D. all of the above"',
    306: 'ends in "the closest option is A", after "the correct answer is C"',
    333: 'ends in "The closest answer is B"',
    341: 'without a letter: "the most common disorder ... is erectile disorder", option C',
    342: "begins with C, and discusses the other letters afterwards",
}
"""Rows of mmlu_wrong.jsonl whose response chooses the gold answer."""


def rows(file: Path) -> list[dict]:
    """The rows of a JSONL file; U+2028 may stand in a string."""
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)"


def explained(found: set[int], known: dict[int, str], what: str) -> None:
    """Refuse a page whose disagreements are not those that were read."""
    if found != set(known):
        raise SystemExit(
            f"{what}: not explained {sorted(found - set(known))}, no longer there {sorted(set(known) - found)}; read these rows"
        )


def table(head: str, lines: list[list[object]]) -> Iterator[str]:
    columns = head.split("|")
    yield f"| {' | '.join(column.strip() for column in columns)} |"
    yield "|" + "---|" * len(columns)
    for line in lines:
        yield f"| {' | '.join(map(str, line))} |"


def reasons(known: dict[int, str], name: str) -> Iterator[str]:
    yield from table(f"{name} | why", [[key, text] for key, text in sorted(known.items())])


def gpt3(data: Path) -> Iterator[str]:
    lines, total = [], Counter()
    found = rows(data / "gsm8k" / "recorded_gpt3_solutions.jsonl")
    for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
        count: Counter[str] = Counter()
        for row in found:
            verdict = number.verdict(row["ground_truth"].rpartition("A:")[2].strip(), row[model]["solution"])
            count["published"] += row[model]["is_correct"]
            count["ours"] += bool(verdict.correct)
            count["none"] += verdict.extracted is None
            count["agree"] += verdict.correct is row[model]["is_correct"]
        total += count
        lines.append([model, len(found), count["published"], count["ours"], count["none"], share(count["agree"], len(found))])
    whole = 4 * len(found)
    if total["agree"] != whole:
        raise SystemExit(f"GPT-3: {whole - total['agree']} verdicts differ; read them")
    lines.append(["all", whole, total["published"], total["ours"], total["none"], share(total["agree"], whole)])
    yield "## Numbers: 2,640 solutions of fine-tuned GPT-3 with `is_correct`\n"
    yield from table("model | solutions | published right | ours right | no answer | agreement", lines)


def mistral_gsm8k(data: Path) -> Iterator[str]:
    found = rows(data / "recorded_mistral7b" / "gsm8k_right.jsonl")
    wrong = {
        index
        for index, row in enumerate(found)
        if not number.verdict(row["answer"].rpartition("####")[2].strip(), row["response"], row["question"]).correct
    }
    explained(wrong, GSM8K, "gsm8k_right.jsonl")
    yield "\n## Numbers in free prose: 1,585 responses of Mistral-7B that were sorted as right\n"
    yield f"Agreement: {share(len(found) - len(wrong), len(found))}. The others, read by eye, are wrong answers:\n"
    yield from reasons(GSM8K, "row")


def mbpp(data: Path, judge: code.Judge) -> Iterator[str]:
    lines = []
    other: set[int] = set()
    for field in ("completion", "response"):
        count: Counter[str] = Counter()
        for side in ("right", "wrong"):
            for row in rows(data / "recorded_mistral7b" / f"mbpp_{side}.jsonl"):
                verdict = judge.verdict(code.Item(row["prompt"], row["entry_point"], row["test"]), row[field])
                count["all"] += 1
                count["published"] += row["passed"]
                count["ours"] += bool(verdict.correct)
                count["none"] += verdict.extracted is None
                count["unjudged"] += verdict.correct is None
                count["agree"] += verdict.correct is row["passed"]
                if verdict.correct is not row["passed"]:
                    if field == "completion":
                        raise SystemExit(f"MBPP {row['task_id']}: the completion is judged {verdict.correct} ({verdict.reason}); read it")
                    other.add(row["task_id"])
        shown = [count[key] for key in ("all", "published", "ours", "none", "unjudged")]
        lines.append([f"`{field}`", *shown, share(count["agree"], count["all"])])
    explained(other, MBPP, "MBPP responses")
    yield "\n## Code: 232 MBPP answers of Mistral-7B with `passed`\n"
    yield "`passed` is of the body that the sorter cut out of the response (`completion`), put behind the prompt; `response` is what the"
    yield "model said.\n"
    yield from table("judged | answers | published right | ours right | no answer | unjudged | agreement", lines)
    yield "\nThe responses whose verdict is another, read by eye; in none of them is ours at fault:\n"
    yield from reasons(MBPP, "task")


FIRST = re.compile(r"\b([A-D])\b")
SAYS = re.compile(r"(?i:answer is)\s*:?\s*\(?([A-D])\b")


def mmlu(data: Path) -> Iterator[str]:
    truth: list[bool] = []
    guesses: dict[str, list[bool]] = {"the published sorting": [], "first letter A to D": [], '"answer is X", else the first letter': []}
    ours: list[bool] = []
    none = 0
    for side, known in (("right", MMLU_RIGHT), ("wrong", MMLU_WRONG)):
        other = set()
        for index, row in enumerate(rows(data / "recorded_mistral7b" / f"mmlu_{side}.jsonl")):
            verdict = choice.verdict({label: row[label] for label in "ABCD"}, row["answer"], row["response"])
            none += verdict.reason == "no answer"
            ours.append(bool(verdict.correct))
            truth.append((side == "right") != (index in known))
            if verdict.correct is not (side == "right"):
                other.add(index)
            first, says = FIRST.search(row["response"]), SAYS.findall(row["response"])
            letter = first[1] if first else ""
            for name, right in zip(
                guesses, (side == "right", letter == row["answer"], (says[-1] if says else letter) == row["answer"]), strict=True
            ):
                guesses[name].append(right)
        explained(other, known, f"mmlu_{side}.jsonl")
    yield "\n## Choices: 908 MMLU responses of Mistral-7B, sorted by a letter regex\n"
    yield f"The truth of the {len(MMLU_RIGHT) + len(MMLU_WRONG)} rows where our verdict and the sorting differ was read by eye. Where both"
    yield "agree it was taken from them; every ninth of the wrong ones (41), all without an answer, and all whose claims conflict or"
    yield "that name no letter (48) were read too, and changed no verdict."
    yield "The reader's rules were written with these rows in view: on other responses expect less than 100 %.\n"
    lines = [
        [name, sum(found), share(sum(map(bool.__eq__, found, truth)), len(truth))] for name, found in (*guesses.items(), ("ours", ours))
    ]
    yield from table("reader | right | as read by eye", lines)
    yield f"\nWithout a readable answer by our reading: {none} (several options, or none).\n"
    yield "Sorted as right, but the response does not choose the gold answer:\n"
    yield from reasons(MMLU_RIGHT, "row")
    yield "\nSorted as wrong, but the response chooses the gold answer:\n"
    yield from reasons(MMLU_WRONG, "row")


GOLD = {"gsm_plus": "gsm_plus", "mmlu": "mmlu", "arc": "arc_challenge", "gsm8k": "gsm8k", "humaneval": "humaneval", "mbpp": "mbpp"}


def golds(data: Path, runner) -> Iterator[str]:
    lines, named = [], []
    for task, folder in GOLD.items():
        source = data / folder / "train.jsonl" if task == "gsm8k" else data / folder
        checked, findings = doctor(load_task(f"{task}:{source}", runner=runner))
        lines.append([task, checked, len(findings)])
        named += [f"- {task} {finding.example.meta.get('task_id', '')}: {finding.reason}" for finding in findings]
    yield "\n## Gold answers under their own verdict\n"
    yield "Each gold passes, bare and as a completion; a changed one and an empty response fail. MBPP's rows have no gold here: their tests"
    yield "must run, and a function that only raises must fail.\n"
    yield from table("task | items | findings", lines)
    yield "\nFindings, all faults of the data (names that nothing defines, rows that are cut off):\n"
    yield from named


def main(data: Path) -> None:
    with open_sandbox(workers=1) as sandbox:
        judge = code.Judge(sandbox.run)
        parts = [*gpt3(data), *mistral_gsm8k(data), *mbpp(data, judge), *mmlu(data), *golds(data, sandbox.run)]
    agreed = next(line for line in parts if line.startswith("| all |")).split("|")[-2].strip()
    head = (
        f"# Verdicts against published ones\n\nOf the published verdicts on numbers, ours are the same on {agreed}; on choices and code\n"
    )
    head += "the two differ, and each row where they do was read by eye.\n\n"
    head += "Made by `python scripts/agreement.py FOLDER`. Rows are counted from 0.\n"
    PAGE.write_text("\n".join([head, *parts]) + "\n", encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder with gsm8k/, recorded_mistral7b/, humaneval/, ...")
    folder = parser.parse_args().folder
    if missing := [name for name in (*GOLD.values(), "recorded_mistral7b") if not (folder / name).is_dir()]:
        parser.error(f"{folder} holds no {missing[0]}/")
    main(folder)
