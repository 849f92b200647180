"""What evaluations measured and which answers were wrong: the end of `errata evaluate`, and `errata report` of a run without a result yet.

What is not here: before against after (errata.programs.report.document).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...signatures.errors import RunError
from ...signatures.records import Attempt
from ...signatures.terminal import command
from ..run import layout
from ..run.directory import Stage
from ..stats import by_field, by_skill, counts, judged, share
from . import figures
from .figures import many, outcomes, percent, told
from .markup import plain
from .records import Counts, Judged, Share
from .runs import OPTIMIZED, goes_on, listed
from .tables import Table

FEW = 3
"""Most wrong answers that are shown, and most reasons why answers were not judged."""


def measured(stage: Stage, rows: Sequence[Attempt]) -> dict[str, Any]:
    """One evaluation as a JSON-able document: figures, where its answers lie, and a few wrong ones."""
    wrong = islice((row for row in rows if row.verdict.correct is False), FEW)
    reasons = Counter(row.verdict.reason for row in rows if row.verdict.correct is None)
    shown: list[dict[str, Any]] = [
        {
            "id": row.example.id,
            "question": row.example.question,
            "gold": row.example.answer,
            "read": row.verdict.extracted,
            "reason": row.verdict.reason,
        }
        for row in wrong
    ]
    groups = {"all": rows} | {"all (skill)" if name == "all" else name: some for name, some in by_skill(rows).items()}
    shares = {name: share(group) for name, group in groups.items()}
    fields = {name: share(some) for name, some in by_field(rows).items()}
    return counts(rows) | {
        "skills": shares,
        **({"fields": fields} if fields else {}),
        "answers": str(stage.path / layout.ATTEMPTS),
        "wrong_answers": shown,
        "unjudged_reasons": dict(reasons.most_common(FEW)),
        **({"judged": lm} if (lm := judged(rows)) else {}),
    }


def text(title: str, run: Path, found: dict[str, Any]) -> str:
    """An evaluation in words: all answers and by skill, the wrong ones that are shown, and how to see the others."""
    tables = [_shares(f"{title}, with 95 % interval", found["skills"])]
    tables += [_shares("by field of the answer", found["fields"])] if "fields" in found else []
    whole = Counts(**{name: found[name] for name in Counts.model_fields if name in found})
    lines = ["\n\n".join(tables), f"{many(whole.items, 'item')}: {outcomes(whole)}"]
    lines += [f"  unjudged: {plain(reason, 200)}: {count}" for reason, count in found["unjudged_reasons"].items()]
    lines += [figures.judged(Judged(**found["judged"]))] if "judged" in found else []
    examples = found["wrong_answers"]
    lines += [f"{len(examples)} of {many(whole.wrong, 'wrong answer')}:"] if examples else []
    for one in examples:
        read = "nothing was read" if one["read"] is None else f"read as {plain(one['read'], 80)}"
        lines += [f"  {_ends(one['question'], 200)}", f"    gold {plain(one['gold'], 100)}", f"    {read}: {plain(one['reason'], 120)}"]
        lines.append(f"    {command('trace', run, one['id'])}")
    return "\n".join([*lines, f"as a page: {command('view', run)}", f"all answers: {found['answers']}"])


def _ends(text: str, most: int) -> str:
    """The text on a line; of a longer one both ends, as what is asked often stands at its end."""
    text = " ".join(text.split())
    return plain(text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}", most + 10)


def _shares(title: str, found: Mapping[str, Any]) -> str:
    """Shares by name, as a table."""
    shares = {name: Share(**one) for name, one in found.items()}
    shown = told(shares.values())
    return Table(
        ["", "% right", "items", *(name.replace("_", " ") for name in shown)],
        [[name, percent(row), row.items, *(getattr(row, name) for name in shown)] for name, row in shares.items()],
        title,
    ).text()


def so_far(path: Path) -> tuple[dict[str, Any], str]:
    """The document and the words of a run that has no result: how far it came, and its evaluations. Raises RunError where there is none."""
    stages = layout.evaluations(path)
    (run,) = [one for one in listed(path) if one["run"] == str(path)]
    if not stages:
        came = "holds no round" if run["reached"].startswith(OPTIMIZED) else "has not come to its end"
        raise RunError(f"{path} {came}, {run['reached']}; {goes_on(path)}")
    found = {f"{stage.path.parent.name}/{stage.path.name}": measured(stage, stage.rows(layout.ATTEMPTS, Attempt)) for stage in stages}
    texts = [text(f"{name.rpartition('/')[2]}, weights {name.partition('/')[0]}", path, one) for name, one in found.items()]
    head = f"{plain(run['task'])}, target {plain(run['target'])}: {run['reached']}"
    return run | {"evaluations": found}, "\n\n".join([head, *texts, f"{goes_on(path)}; the whole loop ends with a report"])
