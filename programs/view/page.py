"""`errata view`: one page with the items of runs and logs, their answers side by side, and what was made of each error.

The page (page.html, page.css, page.js beside this file) holds its data as JSON and draws them itself; what is too large for it is shown by
a local server (errata.programs.view.server), which draws with the same files. Nothing that a model wrote is markup here: the data are JSON
in which no `<` stands, a hash in the page's policy allows its own script and no other, and the script writes text alone.

Not here: what was answered (errata.programs.view.sources), and which sides differ surely (errata.programs.view.diff).
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from ...signatures.errors import RunError, UsageError
from ...signatures.files import write_whole
from ...signatures.records import Attempt
from ...signatures.rows import grouped
from ..report.figures import chance, points, sure
from ..report.records import Change
from ..report.runs import MEASURED, listed
from ..stats import CUT, paired_outcomes
from . import sources
from .answered import Answered, Benchmark
from .lessons import lessons
from .pairing import renamed

PAGE = 24_000_000
"""Most characters of texts that go into a page: a browser opens more slowly, and a mail takes less."""
MARK = b"<!doctype html>\n<html lang=en data-made-by=errata-view>"
"""How a page of ours begins: what `--out` names is written over only where it does."""
HERE = Path(__file__).parent


@dataclass(slots=True)
class Item:
    """An item with where its answers lie: of each side the benchmark and the place of its row there, None where it was not asked."""

    id: str
    benchmark: Benchmark
    skill: str
    flags: list[str | None]
    places: list[tuple[Benchmark, int] | None]
    again: bool = False
    """Whether it stands there once more, as it was asked several times."""


Hold = Callable[[Item, list[Any]], None]
"""What takes an item's texts, so that a page needs not hold them."""


class View:
    """What a page shows. Texts of answers are read when they are asked for."""

    def __init__(self, names: Sequence[str]):
        """`names`: sources as errata.programs.view.sources reads them; what two of them name is shown once. Raises as it does."""
        self.names = names
        sides = {(side.run or side.source, side.weights, side.title): side for name in names for side in sources.read(name)}
        self.sides: list[Answered] = [*sides.values()]
        self.runs = [*dict.fromkeys(side.run for side in self.sides if side.run)]
        self.size = 0
        """Characters of all texts."""
        self.items = [*self._items()]
        self.items = sorted(self.items, key=lambda item: self._benchmarks[item.benchmark])

    def _items(self) -> Iterable[Item]:
        """Items in the order of the first side that was asked. One that was asked several times stands there as often."""
        found: dict[tuple[Benchmark, str], Item] = {}
        # a log and a run name one item in two ways
        earlier = renamed(self.sides) if len(self.names) > 1 else [{} for _ in self.sides]
        for number, side in enumerate(self.sides):
            for benchmark, rows in side.benchmarks.items():
                again: Counter[str] = Counter()
                for place, row in enumerate(rows):
                    name = row.example.id
                    known, name = earlier[number].get((benchmark, name), (benchmark, name))
                    again[first := name] += 1
                    name += f"-{again[first]}" if again[first] > 1 else ""
                    item = found.get((known, name))
                    if item is None:
                        none = [None] * len(self.sides)
                        item = found[known, name] = Item(name, known, row.example.skill, [*none], [*none], again[first] > 1)
                        self.size += len(row.example.question) + len(row.example.answer) + len(row.example.solution)
                    item.flags[number], item.places[number] = flags(row), (benchmark, place)
                    self.size += len(row.response)
        return found.values()

    def _rows(self, item: Item) -> list[Attempt | None]:
        """What each side answered to it."""
        return [at and side.benchmarks[at[0]][at[1]] for side, at in zip(self.sides, item.places, strict=True)]

    @cached_property
    def _benchmarks(self) -> dict[Benchmark, int]:
        """Test before dev before train."""
        names = dict.fromkeys(item.benchmark for item in self.items)
        order = {split: place for place, split in enumerate(("test", "dev", "train"))}
        return {name: place for place, name in enumerate(sorted(names, key=lambda name: (order.get(name[1], -1), name[0])))}

    def texts(self, item: Item) -> list[Any]:
        """Question, gold, worked solution, and of each side [answer, what was read of it, reason, judge]."""
        rows = self._rows(item)
        example = next(row.example for row in rows if row)
        answers = [row and [row.response, row.verdict.extracted, row.verdict.reason, row.verdict.judge] for row in rows]
        return [example.question, example.answer, example.solution, answers]

    def entries(self, hold: Hold | None = None) -> Iterator[list[Any]]:
        """The items as page.js reads them. With `hold`, which is handed the texts, they hold a beginning of the question alone."""
        skills = {name: place for place, name in enumerate(self.skills)}
        for item in self.items:
            shown: Any = (texts := self.texts(item))
            if hold:
                hold(item, texts)
                shown = " ".join(texts[0][:2000].split())[:160]
            yield [item.id, self._benchmarks[item.benchmark], skills[item.skill], item.flags, shown]

    @cached_property
    def skills(self) -> list[str]:
        return sorted({item.skill for item in self.items})

    def head(self, served: int = 0) -> dict[str, Any]:
        """All of a page's data but its items. `served`: which page of a server it is, from 1; 0: it is a file."""
        many = len(self.names) > 1
        known: Counter[str] = Counter()
        taught = []
        for run in self.runs:
            for one in lessons(run):
                known[one["id"]] += 1
                again = f"-{known[one['id']]}" if known[one["id"]] > 1 else ""
                taught.append(one | {"id": one["id"] + again, "run": str(run) if many else ""})
        return {
            "title": " and ".join(self.names),
            "sides": [
                {
                    "label": f"{side.source.partition('@')[0] if side.run else side.source}: {side.title}" if many else side.title,
                    "weights": side.weights,
                    "run": str(side.run) if side.run else "",
                }
                for side in self.sides
            ],
            "after": max((number for number, side in enumerate(self.sides) if "accepted" in side.names), default=len(self.sides) - 1),
            "benchmarks": [*self._benchmarks],
            "skills": self.skills,
            "compared": self.compared(),
            "lessons": taught,
            "notes": self.notes(),
            "served": served,
        }

    def compared(self) -> dict[str, list[list[Any]]]:
        """Of each pair of sides, "0-2", a row for each benchmark that both were asked: [its place, items judged on both, before and after
        in percent, the difference with its interval, fixed, broken, the exact McNemar test, what is sure of it]. Of several answers to an
        item the first counts, as in `errata diff`: the others are no further items."""
        by_name = grouped((item for item in self.items if not item.again), lambda item: item.benchmark)
        found: dict[str, list[list[Any]]] = {}
        for a, b in combinations(range(len(self.sides)), 2):
            for name, items in by_name.items():
                both = [(item.flags[a], item.flags[b]) for item in items]
                pairs = [(old[0] == "r", new[0] == "r") for old, new in both if old and new and "x" not in (old[0], new[0])]
                if pairs:
                    change = Change(**paired_outcomes(pairs))
                    shares = [f"{100 * side:.1f}" for side in (change.before, change.after)]
                    told = [points(change), change.fixed, change.broken, chance(change.p_value), sure(change)]
                    found.setdefault(f"{a}-{b}", []).append([self._benchmarks[name], change.pairs, *shares, *told])
        return found

    def stamp(self) -> object:
        """Equal as long as there is nothing new to be shown."""
        files = [*(file for run in self.runs for file in run.rglob("manifest.json")), *map(Path, self.names)]
        return sorted((str(file), file.stat().st_mtime_ns) for file in files if file.is_file()), self.notes()

    def notes(self) -> list[dict[str, Any]]:
        """Of each run that has not come to its end how far it came, and whether more is to come."""
        told = []
        for path in self.runs:
            (run,) = [one for one in listed(path) if one["run"] == str(path)]
            if run.get("working"):
                again = "The page shows what is finished; make it again with the same command to see more."
                told.append({"text": f"{path} is running now: {run['reached']}. {again}", "now": True})
            elif not run.get("finished") and not run["reached"].startswith(MEASURED):
                told.append({"text": f"{path} has not come to its end: {run['reached']}.", "now": False})
        return told


def flags(row: Attempt) -> str:
    """r(ight), w(rong) or x (not judged), then c(ut), n(othing could be read), j(udged by a language model)."""
    first = "x" if row.verdict.correct is None else "r" if row.verdict.correct else "w"
    wrong = first == "w"
    cut, unread = wrong and row.finish in CUT, wrong and row.verdict.extracted is None
    return first + "c" * cut + "n" * unread + "j" * bool(row.verdict.judge)


# ---- the page as bytes


def safe(value: Any) -> str:
    """JSON that may stand in a script element: no tag or comment can begin or end in it, and no character in it ends a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def written(view: View, hold: Hold | None = None, served: int = 0) -> bytes:
    """The page. With `hold` its items come without their texts, which are handed to it: a server gives them on demand, to the page that is
    `served` now."""
    style = (HERE.parent / "report/templates/style.css").read_text(encoding="utf-8") + (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    only = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{only}'; base-uri 'none'; form-action 'none'"
    policy += "; connect-src 'self'" if served else ""
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for name, text in (("policy", policy), ("style", style), ("script", script)):
        page = page.replace(f"<!-- {name} -->", text)
    head, tail = page.split("<!-- data -->")
    items = ",".join(safe(entry) for entry in view.entries(hold))
    data = f'{safe(view.head(served))[:-1]},"items":[{items}]}}'
    return f"{head}{data}{tail}".encode("utf-8", "replace")


def place(view: View, out: Path | None) -> Path:
    """Where the page goes: into the run directory where all is of one run, else into the working folder. Raises UsageError where another
    file stands there."""
    path = out or (view.runs[0] if len(view.runs) == len(view.names) == 1 else Path()) / "view.html"
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name the page, e.g. --out {path / 'view.html'}")
    if path.exists() and not path.open("rb").read(len(MARK)) == MARK:
        raise UsageError(f"{path} is there and is no page of `errata view`; it is not written over: choose another --out, or remove it")
    return path


def write(view: View, path: Path) -> None:
    """Write the page. Raises RunError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, written(view))
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}); name another place with --out FILE") from error
