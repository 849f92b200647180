"""What a round came to, from its finished stages: what is proven and asserted, and the documents that commands print of a round.

What is not here: their words (errata.programs.report.texts), and the document of a whole run (errata.programs.report.document).
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from ...signatures.records import Attempt, Rejection, Sample, TeachingResult
from ..run import layout
from ..samples.kinds import KINDS
from ..samples.phrasing import phrasing
from ..stats import grouped


def refused_late(taught: Iterable[TeachingResult], rejections: Iterable[Rejection]) -> Counter[str]:
    """The programs of a round that a check of its rows refused, by check; not those of rounds before, which may retire."""
    own = {row.program.id for row in taught if row.program}
    return Counter(row.check for row in rejections if row.kind == "program" and row.of in own)


def proven(taught: Iterable[TeachingResult], attempts: Iterable[Attempt]) -> int:
    """How many failures' diagnoses are proven: the kept program's wrong() gives, for the error's parameters, the target's very answer.

    The check `telling` refuses a program whose wrong() gives another, so having one is the proof, where the target's answer was readable.
    In prose no answer is another's very own.
    """
    readable = {name for name, row in layout.failures(attempts).items() if row.attempt.verdict.extracted is not None}
    programs = (row.program for row in taught if row.program and row.program.kind != "prose")
    claimed = (program.anchors for program in programs if re.search(r"^def wrong\(", program.source, re.MULTILINE))
    return len(readable.intersection(chain.from_iterable(claimed)))


def asserted(samples: Iterable[Sample]) -> dict[str, int]:
    """Rows whose answer the instructor asserts, and those of them that independent solves came to."""
    rows = [sample for sample in samples if sample.asserted]
    return {"rows": len(rows), "agreed": sum(sample.agreed for sample in rows)}


def phrased(samples: Iterable[Sample]) -> dict[str, Any] | None:
    """How the rows of programs are phrased, as Phrased of errata.programs.report.records holds it; None where there are none."""
    asked = [(row.program_id, KINDS[row.example.kind].stem(row.example)) for row in samples if row.item is None]
    if not asked:
        return None
    ways = [(name, phrasing(question)) for name, question in asked]
    most, count = Counter(way for _, way in ways).most_common(1)[0]
    by_program = [Counter(way for _, way in rows) for rows in grouped(ways, lambda pair: pair[0]).values()]
    return {
        "programs": len(by_program),
        "ways": float(median(map(len, by_program))),
        "own": sum(max(found.values()) for found in by_program) / len(ways),
        "most": count / len(ways),
        "example": next(question for (_, way), (_, question) in zip(ways, asked, strict=True) if way == most),
    }


def generated(path: Path, number: int) -> dict[str, Any]:
    """What `errata generate` prints of a round: errors, programs accepted and refused by check, the instructor's own reasons, samples."""
    taught = layout.taught(path, number)
    own = [last.reason.split(":")[0] for last in layout.untaught(taught).values() if last and last.check == "instructor"]
    passed, sure = sum(row.program is not None for row in taught), proven(taught, layout.attempts(path, number))
    assembled = layout.step(path, number, "assemble")
    # what a check of rows refused after it had been written is not kept
    late = refused_late(taught, assembled.read(layout.REJECTIONS, Rejection))
    reasons = dict(Counter(own).most_common())
    refused = layout.refusals(taught) | late
    return {
        "run": str(path),
        "round": number,
        "failures": len({name for row in taught for name in row.failure_ids}),
        "programs": {"accepted": passed - late.total(), "proven": sure, "refused": refused, "reasons": reasons},
        "samples": assembled.facts()["samples"],
        "library": layout.source(path, number),
        "asserted": asserted(layout.samples(path, number)),
    }


def diagnoses(path: Path, number: int) -> dict[str, Any]:
    """What `errata diagnose` prints of a round: its errors by skill and misconception, most frequent first, those that no answer could be
    read for, and those whose item is itself at fault."""
    taught = layout.diagnosed(path, number)
    found: dict[str, dict[str, set[str]]] = {}
    at_fault: set[str] = set()
    for row in taught:
        if row.diagnosis and row.diagnosis.verdict == "error":
            found.setdefault(row.diagnosis.skill, {}).setdefault(row.diagnosis.misconception, set()).update(row.failure_ids)
        elif row.diagnosis:
            at_fault.update(row.failure_ids)
    skills = []
    for skill, kinds in found.items():
        ranked = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
        told = [{"misconception": name, "failures": len(ids)} for name, ids in ranked]
        skills.append({"skill": skill, "failures": len(set().union(*kinds.values())), "misconceptions": told})
    everyone = {name for row in taught for name in row.failure_ids}
    diagnosed = at_fault.union(*(ids for kinds in found.values() for ids in kinds.values()))
    return {
        "run": str(path),
        "round": number,
        "failures": len(everyone),
        "skills": sorted(skills, key=lambda one: (-one["failures"], one["skill"])),
        "at_fault": len(at_fault),
        "undiagnosed": len(everyone - diagnosed),
    }


def nothing_made(path: Path) -> str:
    """Why no round of a run came to a row or pair to train on, by the checks that refused; empty where one did or trained on other things,
    or where none came that far."""
    numbers = layout.rounds(path)
    stages = [stage for number in numbers if (stage := layout.step(path, number, "assemble")).done]
    if not stages or any(layout.trainings(path, number) for number in numbers):
        return ""
    if any(stage.facts()["samples"] for stage in stages):
        reasons = (stage.facts()["reason"] for number in numbers for stage in layout.paired(path, number))
        return "; ".join(f"nothing was made to train on: {reason}" for reason in dict.fromkeys(reasons) if reason)
    taught = [row for number in numbers for row in layout.taught(path, number)]
    programs = sum(row.program is not None for row in taught)
    if not taught:
        reason = "there was no error to teach from"
    elif not programs:
        lent = layout.source(path, 1)
        errors = f"{len(layout.untaught(taught))} errors got a program"
        what = f"{len(taught)} programs of {lent['path']} passed the checks again" if lent else errors
        refused = ", ".join(f"{check} {count}" for check, count in layout.refusals(taught).items())
        reason = f"none of {what}; refused by {refused or 'no check'}"
    else:
        gone = sum(bool(row.retired) for number in numbers for row in layout.standings(path, number))
        solved = f", {gone} of them with rows that the target solves already" if gone else ""
        reason = f"{programs} programs passed{solved}; {stages[-1].facts().get('shortfall', '')}"
    where = f"{path}/round-*/teach/{layout.TAUGHT} and assemble/{layout.REJECTIONS}"
    return f"nothing was made to train on: {reason}; the reasons are in {where}"


def trained(path: Path, number: int) -> dict[str, Any]:
    """What `errata train` prints of a round: where its weights lie and the training's report (None when there was nothing to train on), and
    whether the gate has decided on them."""
    report, decided = layout.training_report(path, number), layout.step(path, number, "gate").done
    weights = str(layout.weights(path, number, layout.stands(path, number))) if report else None
    return {"run": str(path), "round": number, "weights": weights, "report": report, "decided": decided}
