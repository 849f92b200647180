"""A finished run directory made by hand: benchmarks, skills and rounds, and any text that a test puts into it. No model, no sandbox."""

import json
from pathlib import Path

from errata.programs.config import load_config
from errata.programs.run.directory import VERSION, Stage, slug, to_json
from errata.programs.run.ledger import Answer, Ledger
from errata.programs.stats import counts, paired
from errata.signatures.records import (
    Attempt,
    Diagnosis,
    Example,
    Failure,
    Forgetting,
    GateDecision,
    Rejection,
    Sample,
    SampleProgram,
    Standing,
    TeachingResult,
    TrainRow,
    Verdict,
)

SOURCE = """def draw(rng, level):
    return {"a": rng.randint(1, 9 * level), "b": rng.randint(1, 9)}  # two numbers


def make(a, b):
    return {"question": f"What is {a} + {b}?", "solution": f"{a} + {b} = {a + b}", "answer": str(a + b)}


def wrong(a, b):
    return str(a - b)
"""


def attempt(task: str, split: str, number: int, skill: str, right: bool, weights: str, text: str = "") -> Attempt:
    """An answer to item `number`; `text` stands in the question and in the answer."""
    example = Example(task=task, split=split, question=f"{text}{split} {number} of {skill}: 2 + 2?", answer="4", skill=skill)
    said = "4" if right else "5"
    verdict = Verdict(correct=right, extracted=said, reason="right" if right else "wrong")
    return Attempt(example=example, response=f"{text}It is {said}.", verdict=verdict, target=weights)


def labelled(attempt: Attempt, number: int, labels: list[str]) -> Attempt:
    """The same with a label for an answer; a wrong one is the next label, and every fifth wrong one is unread."""
    place = number * number % len(labels)
    said = labels[place] if attempt.verdict.correct else None if number % 5 == 0 else labels[(place + 1) % len(labels)]
    example = attempt.example.model_copy(update={"kind": "label", "answer": labels[place]})
    verdict = attempt.verdict.model_copy(update={"extracted": said} | ({} if said else {"reason": "no answer"}))
    return attempt.model_copy(update={"example": example, "response": said or "?", "verdict": verdict})


def fielded(attempt: Attempt, number: int, fields: list[str]) -> Attempt:
    """The same with a JSON object for an answer; in a wrong one one field is wrong, and every fifth wrong one is not JSON."""
    gold = dict.fromkeys(fields, number)
    right = dict.fromkeys(fields, True)
    said: str | None = json.dumps(gold)
    reason = attempt.verdict.reason
    if not attempt.verdict.correct:
        wrong = fields[number % len(fields)]
        right = dict.fromkeys(fields, False) if number % 5 == 0 else right | {wrong: False}
        said, reason = (
            (None, "not JSON: it is cut off") if number % 5 == 0 else (json.dumps(gold | {wrong: -1}), f"{wrong} is -1, not {number}")
        )
    example = attempt.example.model_copy(update={"kind": "json", "answer": json.dumps(gold)})
    verdict = attempt.verdict.model_copy(update={"extracted": said, "reason": reason, "fields": right})
    return attempt.model_copy(update={"example": example, "response": said or "{", "verdict": verdict})


def practise(folder: Path, report: dict, programs: list[SampleProgram], text: str) -> None:
    """A second stage of a round's training, by grpo: 12 steps, in each of which the draws of every program are right more often."""
    own = {"base": f"sft-{report['weights']}", "rewards": (0.25, 0.75), "rollouts": 96, "generated_tokens": 3000}
    (folder / "train-2").mkdir()
    (folder / "train-2/manifest.json").write_bytes(to_json({"report": report | own | {"rows_in": 96, "rows_kept": 96}}))
    course = [
        {
            "step": n,
            "loss": 0.0,
            "reward": 0.25 + n / 24,
            "kl": n / 1000,
            "entropy": 1.5 - n / 20,
            "tokens": 30 - n,
            "without_spread": n / 24,
        }
        for n in range(1, 13)
    ]
    (folder / "train-2/course.json").write_bytes(to_json(course))
    rows = [
        {"program": program.id, "step": step, "arm": "a", "turn": 1, "skill": f"{text}{program.skill or 'adds'}", "right": 1 + step // 4}
        for step in range(12)
        for program in programs
    ]
    rows += [{"item": "i", "step": step, "arm": "b", "turn": 1, "skill": f"{text}adds", "solved": True, "right": 4} for step in range(12)]
    (folder / "practice").mkdir()
    lines = "".join(json.dumps(row | {"tried": 4}) + "\n" for row in rows)
    (folder / "practice/stage-2.jsonl").write_text(lines, encoding="utf-8")


def fake_run(
    path: Path,
    tasks: dict[str, list[str]],
    guards: dict[str, list[str]] | None = None,
    rounds: int = 2,
    items: int = 40,
    text: str = "",
    accepted: bool = True,
    short: str = "",
    practises: bool = False,
    labels: list[str] | None = None,
    fields: list[str] | None = None,
) -> Path:
    """Write a finished run to `path` and return it: `tasks` and `guards` give the skills of each.

    Half of the items are right before. The round r fixes r of every four wrong ones of a skill at an even place, and of a skill at an odd
    place breaks one right one in ten. Each skill has one error a round, its diagnosis, a program and three rows. The last round is rejected
    where there are several, all are without `accepted`. `text` stands in everything that data or a model could have written, and `short`
    says why there were fewer rows than wanted. With `practises` the training goes on by grpo, whose weights are the ones that stand.
    With `labels` the held-out items are answered with one of them, with `fields` with an object that has these.
    """
    guards = guards or {}
    config = load_config(overrides={"task": next(iter(tasks)), "guards": list(guards), "rounds": rounds, "instructor.model": "openai/some"})
    if practises:
        config = config.model_copy(update={"train": config.train.model_copy(update={"stages": ("sft", "grpo")})})
    path.mkdir(parents=True, exist_ok=True)
    (path / "run.json").write_bytes(to_json({"version": VERSION, "config": config.model_dump(mode="json", exclude={"budget"}), "data": []}))
    skills = {text + name: [text + skill for skill in some] for name, some in (tasks | guards).items()}
    guarding = {text + name for name in guards}

    def measure(weights: str, strength: int) -> dict[tuple[str, str], list[Attempt]]:
        found = {}
        for task, known in skills.items():
            for split in ("dev", "test"):
                rows = []
                for number in range(items):
                    place = number % len(known)
                    turn = number // len(known)
                    right = turn % 2 == 0
                    if place % 2 == 0 and not right and turn // 2 % 4 < strength:
                        right = True
                    if place % 2 == 1 and right and strength and turn // 2 % 10 == 0:
                        right = False
                    row = attempt(task, split, number, known[place], right, weights, text)
                    row = fielded(row, number, fields) if fields else row
                    rows.append(labelled(row, number, labels) if labels else row)
                found[task, split] = rows
        return found

    def save(weights: str, rows: dict[tuple[str, str], list[Attempt]], splits: tuple[str, ...]) -> None:
        for (task, split), some in rows.items():
            if split in splits:
                Stage(path / "evaluate" / weights / slug(f"{task.removeprefix(text)}-{split}")).finish(
                    {"attempts.jsonl": some}, **counts(some)
                )

    before, strength = "w0", 0
    save(before, measure(before, 0), ("dev", "test"))
    current = before
    for number in range(1, rounds + 1):
        folder, weights = path / f"round-{number}", f"w{number}"
        errors = [
            attempt(task, "train", number, skill, False, current, text) for task in skills if task not in guarding for skill in skills[task]
        ]
        taught, samples, probe, after = [], [], [], []
        for place, error in enumerate(errors):
            failure = Failure(attempt=error)
            diagnosis = Diagnosis(
                failure_ids=(failure.id,),
                strategy="LearnFromError",
                verdict="error",
                skill=f"{text}adds {place % 7}",
                misconception=f"{text}it subtracts",
                evidence=f"{text}5",
                teach=f"{text}adding",
            )
            program = SampleProgram(
                diagnosis_id=diagnosis.id, source=f"# {text.splitlines()[0] if text else place}\n{SOURCE}", anchors=(failure.id,)
            )
            taught.append(TeachingResult(failure_ids=(failure.id,), diagnosis=diagnosis, program=program))
            for index in range(3):
                item = Example(
                    task=error.example.task,
                    split="train",
                    question=f"{text}What is {index} + 2?",
                    solution=f"{text}{index} + 2 = {index + 2}",
                    answer=str(index + 2),
                )
                samples.append(Sample(program_id=program.id, seed=number, index=index, level=3, example=item, wrong=str(index - 2)))
            for rows, right in ((probe, 1), (after, 3)):
                for one in range(4):
                    row = attempt(error.example.task, "train", 100 + one, error.example.skill, one < right, current, text)
                    example = row.example.model_copy(update={"meta": {"program": program.id}})
                    rows.append(row.model_copy(update={"example": example}))
        refusal = Rejection(of="x", kind="program", check="anchored", reason=f"{text}no")
        taught.append(TeachingResult(failure_ids=("lost",), diagnosis=None, program=None, rejections=(refusal,)))
        refused = [Rejection(of=f"{n}", kind="sample", check="distinct" if n % 3 else "unseen", reason=f"{text}no") for n in range(7)]
        standing = [
            Standing(program_id=row.program.id, round=number, skill=row.program.skill, probed=4, failed=3, weight=0.75, drawn=4, kept=3)
            for row in taught
            if row.program
        ]
        rows = [TrainRow(prompt=({"role": "user", "content": s.example.question},), completion=(), source=s.id) for s in samples]
        Stage(folder / "mine").finish({"attempts.jsonl": errors}, **counts(errors))
        Stage(folder / "teach").finish({"taught.jsonl": taught}, failures=len(taught), programs=len(errors))
        Stage(folder / "probe").finish({"attempts.jsonl": probe}, **counts(probe))
        Stage(folder / "probe-after").finish({"attempts.jsonl": after}, **counts(after))
        Stage(folder / "assemble").finish(
            {"samples.jsonl": samples, "rejections.jsonl": refused, "rows.jsonl": rows, "library.jsonl": standing},
            samples=len(samples),
            replay=4,
            refused=7,
            held_out=1,
            shortfall=short,
        )
        report = {"base": current, "weights": weights, "data": "d", "rows_in": 9, "rows_kept": 9, "rows_truncated": 0, "steps": 12}
        report |= {"loss_first": 1.0, "loss_last": 0.5, "versions": {}}
        (folder / "train").mkdir(parents=True)
        course = [{"step": step, "loss": 1 - 0.04 * step, "learning_rate": 1e-3} for step in (1, 4, 8, 12)]
        (folder / "train/course.json").write_bytes(to_json(course))
        if practises:
            practise(folder, report, [row.program for row in taught if row.program], text)
            report = report | {"weights": f"sft-{weights}"}
        (folder / "train/manifest.json").write_bytes(to_json({"files": {}, "facts": {}, "report": report}))
        kept = accepted and not (rounds > 1 and number == rounds)
        old, new = measure(current, strength), measure(weights, number)
        save(weights, new, ("dev",))
        main = next(iter(tasks))
        sides = [{"task": task, **paired(old[task, "dev"], new[task, "dev"])} for task in guarding]
        change = paired(old[text + main, "dev"], new[text + main, "dev"])
        far = [Forgetting(on="replay", prompts=64, tokens=640, kl=0.0123 * number, cross_entropy_rise=-0.001)]
        far += [Forgetting(on=task, reason=f"not measured: {text}") for task in sorted(guarding)]
        more = {"guards": tuple(sides), "forgetting": tuple(far)}
        decision = GateDecision(accepted=kept, reason=f"{text}so it is", task=text + main, **more, **change)
        if practises:
            moved = [one.model_dump(mode="json") for one in far]
            said = (
                {"stage": 0, "reason": f"{text}no gain on dev", "forgetting": moved},
                {"stage": 1, "reason": f"{text}so it is", "forgetting": moved},
            )
            decision = decision.model_copy(update={"stage": 1, "considered": said})
        Stage(folder / "gate").finish({"decision.jsonl": [decision]}, accepted=kept)
        if kept:
            current, strength = weights, number
            save(current, new, ("test",))
    with Ledger(path) as ledger:
        for number in range(1, rounds + 1):
            with ledger.attempt(f"round-{number}/teach"):
                pass
            ledger.keep(
                f"round-{number}/teach",
                f"key{number}",
                Answer(text="a", finish="stop", tokens_in=1200, tokens_out=340, reported=True, usd=0.01),
            )
    result = {"before": before, "after": current, "rounds": rounds, "evaluations": [[task, "test"] for task in skills]}
    (path / "result.json").write_bytes(to_json(result))
    return path
