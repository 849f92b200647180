"""`errata diff A B`: what B answers better and worse than A, paired over the items that both answered.

Shares with Wilson's interval, their difference with the interval of Bonett and Price (2012) for paired proportions, and the exact McNemar
test; p-values of several benchmarks, and of all skills together, are corrected for their number (Holm 1979). Power is planned after Connor
(1987). One split is compared at a time, as on dev weights are chosen and on train they learn. Figures: errata.programs.stats.

Not here: which answers are to the same item (errata.programs.view.pairing), and several samples of one item, of which the first counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import Field

from ...signatures.errors import UsageError
from ...signatures.terminal import command
from ..report.figures import chance, many, points, sure
from ..report.markup import plain
from ..report.records import Change, Document
from ..report.tables import Table
from ..stats import holm, least_difference, paired_outcomes, pairs_needed, wilson
from .answered import Answered
from .pairing import Pair, Pairing, paired
from .sources import read

FEW, SKILLS = 10, 12
"""Most flips of each kind, and most skills, that are shown in words."""


class Named(Document):
    """One of the two that are compared."""

    source: str
    title: str
    weights: str
    run: str | None
    """The run directory that the answers lie in; None: it is a log."""

    @classmethod
    def of(cls, answered: Answered) -> "Named":
        run = str(answered.run) if answered.run else None
        return cls(source=answered.source, title=answered.title, weights=answered.weights, run=run)


class Side(Document):
    """What one of them did with the pairs that were judged on both sides."""

    right: int
    share: float
    low: float
    high: float
    cut: int
    """Of the wrong answers, those cut at the token limit or in a loop."""
    unread: int
    """Those in which nothing readable was found."""


class Compared(Document):
    """A against B over some items."""

    a: Side
    b: Side
    change: Change
    """From A (`before`) to B (`after`)."""
    items_needed: int | None
    """How many items show a true difference of this size at 0.05 with 80 % power, where as large a share changes; None: there is none."""
    least_difference: float | None
    """The least true difference that these items show so; None: they are too few to show any."""


class Flip(Document):
    """An item that one of them solves alone."""

    id: str
    benchmark: str
    skill: str
    question: str
    gold: str
    a: str | None
    """What was read of the answer; None: nothing readable."""
    b: str | None


class Matched(Document):
    """Which items both answered."""

    items: int
    """Of all splits."""
    by_content: int
    """Of these, the ones whose ids differ, and which say the same."""
    only_a: int
    only_b: int
    repeated_a: int
    """Answers to an item that was answered before, which are left out."""
    repeated_b: int


class Difference(Document):
    """What `errata diff --json` prints."""

    a: Named
    b: Named
    same_weights: bool
    matched: Matched
    split: str
    """The one that is compared; empty: no log names it."""
    verdict: Literal["better", "worse", "same", "none"]
    """What B is against A, all benchmarks together."""
    notes: list[str]
    """What to know before the figures are believed."""
    all: Compared
    benchmarks: dict[str, Compared]
    skills: dict[str, Compared] = Field(default={}, exclude_if=lambda skills: not skills)
    fixed: list[Flip]
    broken: list[Flip]


def diff(a: Answered, b: Answered, split: str | None = None, limit: int | None = None) -> Difference:
    """Compare two sources on `split`, or on the first of test, dev and train that they share; `limit` is the most flips of each kind that
    are told. Raises UsageError where A and B are the same answers or share no item (of the split)."""
    if _identity(a) == _identity(b):
        what = f"both mean the weights {a.weights} of {a.run}" if a.run and a.weights else "both are the same answers"
        known = ", ".join(some.source for some in read(str(a.run))) if a.run else "RUN@given and RUN@1"
        what += f" (no round of {a.run} was accepted)" if a.fallen or b.fallen else ""
        raise UsageError(f"{a.source} and {b.source} cannot be compared: {what}; name two that differ, e.g. of {known}")
    pairing = paired(a, b)
    shared = list(dict.fromkeys(split_ for _, split_ in pairing.benchmarks))
    if split is not None and split not in shared:
        raise UsageError(f"no item of split {split!r} was answered in both, only of {', '.join(filter(None, shared)) or 'an unnamed one'}")
    chosen = shared[0] if split is None else split
    some = {name[0]: pairs for name, pairs in pairing.benchmarks.items() if name[1] == chosen}
    every = list(chain.from_iterable(some.values()))
    skills: dict[str, list[Pair]] = {}
    for name, pairs in some.items():
        for pair in pairs if len({pair.skill for pair in pairs}) > 1 else ():
            skills.setdefault(f"{name}: {pair.skill or '(none)'}" if len(some) > 1 else pair.skill or "(none)", []).append(pair)
    whole = _compared(every)
    return Difference(
        a=Named.of(a),
        b=Named.of(b),
        same_weights=bool(a.weights) and a.weights == b.weights,
        matched=_matched(pairing),
        split=chosen,
        verdict=sure(whole.change),  # type: ignore[arg-type]
        notes=_notes(pairing, every, shared, chosen),
        all=whole,
        benchmarks=_each(some),
        skills=_each(skills),
        fixed=_flips(pairing, every, "fixed", limit),
        broken=_flips(pairing, every, "broken", limit),
    )


def _identity(answered: Answered) -> tuple[object, ...]:
    """Equal where two names mean the same answers."""
    place = Path(answered.run or answered.source).resolve()
    return place, answered.weights, answered.title, *answered.settings.items()


def _compared(pairs: Sequence[Pair]) -> Compared:
    judged = [pair for pair in pairs if pair.change != "unjudged"]
    outcomes = [(pair.a.outcome == "right", pair.b.outcome == "right") for pair in judged]
    unjudged = [(None, None)] * (len(pairs) - len(judged))
    change = Change(**paired_outcomes([*outcomes, *unjudged]))
    changed = (change.fixed + change.broken) / change.pairs if change.pairs else 0.0
    return Compared(
        a=_side(Counter(pair.a.outcome for pair in judged)),
        b=_side(Counter(pair.b.outcome for pair in judged)),
        change=change,
        items_needed=pairs_needed(changed, change.difference),
        least_difference=least_difference(change.pairs, changed),
    )


def _side(counts: Counter[str]) -> Side:
    right, n = counts["right"], counts.total()
    low, high = wilson(right, n) if n else (0.0, 1.0)
    return Side(right=right, share=right / n if n else 0.0, low=low, high=high, cut=counts["cut"], unread=counts["unread"])


def _each(some: Mapping[str, Sequence[Pair]]) -> dict[str, Compared]:
    """Each of several, with p-values corrected for their number where there are several."""
    found = {name: _compared(pairs) for name, pairs in some.items()}
    if len(found) < 2:
        return found
    corrected = holm([one.change.p_value if one.change.pairs else None for one in found.values()])
    return {
        name: one.model_copy(update={"change": one.change.model_copy(update={"p_holm": p})})
        for (name, one), p in zip(found.items(), corrected, strict=True)
    }


def _matched(pairing: Pairing) -> Matched:
    items = sum(map(len, pairing.benchmarks.values()))
    a, b = pairing.repeated
    only = {"only_a": pairing.only_a, "only_b": pairing.only_b}
    return Matched(items=items, by_content=pairing.by_content, **only, repeated_a=a, repeated_b=b)


def _flips(pairing: Pairing, pairs: Iterable[Pair], change: str, limit: int | None) -> list[Flip]:
    found = []
    for pair in [pair for pair in pairs if pair.change == change][:limit]:
        old, new = pairing.answers(pair)
        item = old.example
        found.append(
            Flip(
                id=pair.a.item,
                benchmark=pair.task,
                skill=pair.skill,
                question=item.question,
                gold=item.answer,
                a=old.verdict.extracted,
                b=new.verdict.extracted,
            )
        )
    return found


def _notes(pairing: Pairing, pairs: Sequence[Pair], shared: Sequence[str], split: str) -> list[str]:
    """What to know before the figures are believed, a line each."""
    a, b = pairing.a, pairing.b
    told = "no round of {} was accepted, so it means {}; what its rounds trained: {}"
    notes = list(dict.fromkeys(told.format(one.run, one.source, ", ".join(one.tried)) for one in (a, b) if one.fallen))
    if a.weights and a.weights == b.weights:
        notes.append(f"A and B are the same weights, {a.weights}: what differs comes from how they were asked, computed or judged")
    unlike = [name for name in a.settings if name in b.settings and a.settings[name] != b.settings[name]]
    if unlike:
        told = "; ".join(f"{name} {plain(a.settings[name], 60)} in A, {plain(b.settings[name], 60)} in B" for name in unlike[:6])
        more = f"; and {len(unlike) - 6} more" if unlike[6:] else ""
        notes.append(f"A and B were not asked or judged alike, which may make the difference: {told}{more}")
    known = [pair for pair in pairs if pair.a.prompt and pair.b.prompt]
    if other := sum(pair.a.prompt != pair.b.prompt for pair in known):
        notes.append(f"the prompts differ on {other} of {many(len(known), 'item')}, e.g. in the examples shown before the question")
    sampled = [name for name, one in (("A", a), ("B", b)) if one.settings.get("decoding") == "sampled"]
    if sampled:
        notes.append(f"{' and '.join(sampled)} sampled: other answers of the same weights would differ too, which no figure here counts")
    cut = [sum(side.outcome == "cut" for side in sides) for sides in ([pair.a for pair in pairs], [pair.b for pair in pairs])]
    if cut[0] != cut[1]:
        notes.append(f"cut answers: {cut[0]} of A, {cut[1]} of B; another token limit alone may make this part of the difference")
    if unjudged := sum(pair.change == "unjudged" for pair in pairs):
        notes.append(f"{many(unjudged, 'pair')} with an unjudged side left out")
    for name, count in zip("AB", pairing.repeated, strict=True):
        if count:
            notes.append(f"{name} answers some items several times; the first answer counts, {many(count, 'other')} left out")
    if pairing.by_content:
        notes.append(f"{many(pairing.by_content, 'item')} matched by question and gold, as the ids differ")
    if split == "train":
        notes.append("these are train items, from which runs learn: they do not measure what was gained")
    if others := [one for one in shared if one != split]:
        notes.append(f"{' and '.join(others)} items are shared too: --split {others[0]}")
    return notes


# ---- words


def as_text(found: Difference, limit: int | None = None) -> str:
    """The comparison for the terminal; at most `limit` flips of each kind."""
    change, matched = found.all.change, found.matched
    left = f"; {matched.only_a:,} items are A's alone, {matched.only_b:,} B's alone" if matched.only_a or matched.only_b else ""
    lines = [
        f"A  {found.a.source}: {found.a.title}",
        f"B  {found.b.source}: {found.b.title}",
        f"{many(matched.items, 'item')} answered in both{left}; compared: {many(change.pairs, f'{found.split} item'.strip())}",
        *(f"! {note}" for note in found.notes),
        "",
        _headline(found),
        _power(found.all),
        "",
        _table(found).text(),
    ]
    if found.skills:
        lines += ["", _skills(found.skills).text()]
    for name, flips in (("fixed", found.fixed), ("broken", found.broken)):
        whole = getattr(change, name)
        shown = flips[: FEW if limit is None else limit]
        first = f", the first {len(shown)} (--limit, --json: all)" if len(shown) < whole else ""
        lines += ["", f"{name}: {many(whole, 'item')}{first}", *map(_flip, shown)]
    if found.a.run and found.a.weights and (found.fixed or found.broken):  # `trace` knows evaluated items
        lines += ["", f"an item and its answers: {command('trace', found.a.run, 'ID')}"]
    return "\n".join(lines)


def _headline(found: Difference) -> str:
    change = found.all.change
    said = {
        "better": "B is surely better than A",
        "worse": "B is surely worse than A",
        "same": "no sure difference" if change.fixed or change.broken else "no difference: every item came out alike",
        "none": "no item was judged in both",
    }[found.verdict]
    lines = [f"{said}: {points(change)} points, {_chance(change)} (exact McNemar), {change.fixed} fixed, {change.broken} broken"]
    for verdict in ("better", "worse") if len(found.benchmarks) > 1 else ():
        if names := [f"{name} {points(one.change)}" for name, one in found.benchmarks.items() if sure(one.change) == verdict]:
            lines.append(f"surely {verdict} by itself: {', '.join(names)}")
    return "\n".join(lines)


def _power(one: Compared) -> str:
    """What these items could show, and how many a difference of this size needs."""
    least = one.least_difference
    could = "too few to show any difference" if least is None else f"enough to show a true difference of {100 * least:.1f} points"
    told = f"{many(one.change.pairs, 'item')} are {could} at 0.05 with 80 % power"
    if one.items_needed is None:
        return told
    return f"{told}; one of {abs(100 * one.change.difference):.1f} needs about {one.items_needed:,}"


def _table(found: Difference) -> Table:
    named = {**found.benchmarks, **({"all together": found.all} if len(found.benchmarks) > 1 else {})}
    rows = [[name, *_cells(one), _needs(one), _least(one)] for name, one in named.items()]
    notes = ["intervals 95 %: of a share Wilson, of B - A Bonett and Price (2012); items needed: Connor (1987)"]
    notes += ["p of benchmarks corrected for their number (Holm)"] if len(found.benchmarks) > 1 else []
    return Table(["", *HEAD, "items needed", "could show"], rows, notes=notes)


HEAD = ("items", "A % right", "B % right", "B - A", "fixed", "broken", "p")


def _cells(one: Compared) -> list[object]:
    shares = (
        f"{100 * side.share:.1f} [{100 * side.low:.0f}, {100 * side.high:.0f}]" if one.change.pairs else "-" for side in (one.a, one.b)
    )
    return [
        one.change.pairs,
        *shares,
        points(one.change),
        one.change.fixed,
        one.change.broken,
        _chance(one.change).removeprefix("p ").removeprefix("= "),
    ]


def _chance(change: Change) -> str:
    return chance(change.p_value if change.p_holm is None else change.p_holm)


def _needs(one: Compared) -> str:
    return "-" if one.items_needed is None else f"{one.items_needed:,}"


def _least(one: Compared) -> str:
    return "nothing" if one.least_difference is None else f"{100 * one.least_difference:.1f}"


def _skills(skills: Mapping[str, Compared]) -> Table:
    """Those that changed most surely first."""
    ranked = sorted(skills.items(), key=lambda one: (one[1].change.p_value, -abs(one[1].change.difference), one[0]))
    notes = ["p corrected for the number of skills (Holm)"] if len(skills) > 1 else []
    notes += [f"{len(ranked) - SKILLS} more skills stand in --json"] if ranked[SKILLS:] else []
    return Table(["skill", *HEAD], [[name, *_cells(one)] for name, one in ranked[:SKILLS]], notes=notes)


def _flip(flip: Flip) -> str:
    a, b = ("nothing read" if said is None else _end(said) for said in (flip.a, flip.b))
    return f"  {flip.id}  {plain(flip.question, 70)}  gold {_end(flip.gold)}, A {a}, B {b}"


def _end(text: str, most: int = 40) -> str:
    """The text on a line; of a longer one its end, where an answer stands that nobody has cut out."""
    line = plain(text, len(text))
    return line if len(line) <= most else f"…{line[-most:]}"
