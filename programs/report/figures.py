"""How figures and verdicts are put in words: one way for the terminal, report.md, the page, model cards and comparisons."""

from collections.abc import Mapping
from typing import Any

SURE = 0.05
"""Largest p-value of the exact McNemar test at which a change is called sure."""
_FIRST = {"better": "Better", "worse": "Worse", "mixed": "Better here, worse there", "same": "No sure difference"}
_SURELY = {"better": "surely better", "worse": "surely worse", "same": "not sure, may be chance", "none": "not measured"}


# ---- one line, whatever wrote it


def plain(value: object, most: int = 120) -> str:
    """One printable line."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def code(value: object) -> str:
    """A code span: neither Markdown nor HTML is read in it."""
    return f"`{plain(value).replace('`', chr(39)) or '(none)'}`"


def cell(value: object) -> str:
    """A code span in a table."""
    return code(value).replace("|", "\\|")


# ---- figures


def percent(row: Mapping[str, Any]) -> str:
    """A share with its interval, as `errata.programs.run.evaluate.share` gives them."""
    if row["items"] == row["unjudged"]:
        return "-"
    return f"{100 * row['share']:.1f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def points(row: Mapping[str, Any]) -> str:
    """A paired difference in percentage points, with its interval."""
    return f"{100 * row['difference']:+.1f} [{100 * row['low']:+.0f}, {100 * row['high']:+.0f}]" if row["pairs"] else "-"


def sure(change: Mapping[str, Any]) -> str:
    """What a paired comparison (errata.programs.steps.gate.paired) says: `better` or `worse` where the interval leaves 0 out and the
    exact test
    agrees, `same` where no difference is sure, `none` where no pair was judged."""
    if not change["pairs"]:
        return "none"
    if change["p_value"] > SURE or change["low"] <= 0 <= change["high"]:
        return "same"
    return "better" if change["low"] > 0 else "worse"


def chance(change: Mapping[str, Any]) -> str:
    """The p-value in words."""
    return "p < 0.0001" if change["p_value"] < 0.0001 else f"p = {change['p_value']:.2g}"


def before_after(row: Mapping[str, Any], name: str) -> str:
    return f"{row['before'][name]} -> {row['after'][name]}"


def outcomes(row: Mapping[str, Any]) -> str:
    """Counts as `errata.programs.run.evaluate.counts` gives them, in words."""
    return (
        f"{row['right']} right, {row['wrong']} wrong (of these {row['no_answer']} without a readable answer, "
        f"{row['cut']} cut at the token limit), {row['unjudged']} unjudged"
    )


def tally(counts: Mapping[str, int]) -> str:
    """Counts by name, in words."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def many(count: int, thing: str) -> str:
    """`1 row`, `1,400 rows`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def styles(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Words and steps of rows beside those of what they come from (errata.programs.samples.style), in words."""
    names = {"rows": "rows", "errors": "the errors' references", "solved": "the target's right answers"}
    told = [f"{names[name]} {one['words']:g} words, {one['steps']:g} steps" for name, one in found.items() if one["texts"]]
    return "; ".join(told) or "none"


def own_words(found: Mapping[str, int]) -> str:
    """Whose words the rows are in, and which lessons they teach (errata.programs.steps.words), in words."""
    asked = (
        f" ({found['right']} of {found['questions']} questions solved at least once in {found['tokens']:,} tokens)"
        if "tokens" in found
        else ""
    )
    return (
        f"{many(found['own_words'], 'row')} in the target's own words{asked}; {found['worked']} worked, {found['correction']} corrections, "
        f"{found['hint']} hints"
    )


def library(found: Mapping[str, Any]) -> str:
    """How the programs of all rounds stand (errata.programs.steps.library), in words."""
    hits = f"the target fails {found['failed']} of {found['probed']} probe rows; " if found["probed"] else ""
    return f"{many(found['programs'], 'program')}; {hits}{found['kept']} of {found['drawn']} drawn rows kept; {found['retired']} retire"


def cost(report: Mapping[str, Any]) -> str:
    """What a run cost, in one sentence."""
    spent = report["instructor"]["total"]
    model = report["config"]["instructor"]["model"]
    if model == "offline" and not spent["calls"]:
        paid = "no paid call (the embedded instructor)"
    else:
        usd = "an unknown price" if spent["usd"] == "unknown" else f"USD {spent['usd']:.4g}"
        failed = f", {many(spent['failed'], 'attempt')} failed" if spent["failed"] else ""
        paid = f"{many(spent['calls'], 'call')} to {model}, {spent['tokens_in']:,} tokens in, {spent['tokens_out']:,} out, {usd}{failed}"
    work = report["work"].values()
    answers, steps = (sum(stage.get(name, 0) for stage in work) for name in ("answers", "steps"))
    return f"{paid}; {many(answers, 'answer')} of the target, {many(steps, 'training step')}"


# ---- the answer


def answer(report: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a run: `verdict` (`better`, `worse`, `mixed`, `same`, `unchanged` where no round was accepted), one `headline`, and
    `lines` that say more: guards, rounds, cost."""
    own = {name: row for name, row in report["evaluations"].items() if name.rsplit(" ", 1)[0] not in report["guards"]}
    guards = {name: row for name, row in report["evaluations"].items() if name not in own}
    lines = [f"The guard {told(name, row)}" for name, row in guards.items() if report["accepted"]]
    fallen = [
        f"{plain(name, 80)}: {plain(skill, 80)} {points(one['change'])}"
        for name, row in report["evaluations"].items()
        for skill, one in row["skills"].items()
        if len(row["skills"]) > 1 and sure(one["change"]) == "worse"
    ]
    if fallen:
        more = f"; and {len(fallen) - 5} more" if len(fallen) > 5 else ""
        lines.append(f"{many(len(fallen), 'skill')} surely worse: {'; '.join(fallen[:5])}{more}.")
    rejected = [row for row in report["rounds"] if not row["decision"]["accepted"]]
    rounds = f"{len(report['accepted'])} of {many(len(report['rounds']), 'round')} accepted"
    rounds += "".join(f"; round {row['number']} was rejected: {plain(row['decision']['reason'], 300)}" for row in rejected[-1:])
    lines += [f"{rounds}.", f"Cost: {cost(report)}."]
    if not report["accepted"]:
        return {
            "verdict": "unchanged",
            "headline": "No round was accepted: the weights are the ones that the run began with.",
            "lines": lines,
        }
    found = [sure(row["change"]) for row in own.values()]
    better, worse = found.count("better"), found.count("worse")
    verdict = "mixed" if better and worse else "better" if better else "worse" if worse else "same"
    if len(own) == 1:
        (headline,) = (told(name, row) for name, row in own.items())
        return {"verdict": verdict, "headline": f"{_FIRST[verdict]}: {headline}", "lines": lines}
    count = f"of {len(own)} benchmarks {better} surely better, {worse} surely worse"
    changes = "; ".join(f"{plain(name, 80)} {points(row['change'])}" for name, row in own.items())
    return {"verdict": verdict, "headline": f"{_FIRST[verdict]}: {count}.", "lines": [f"Points: {changes}.", *lines]}


def told(name: str, row: Mapping[str, Any]) -> str:
    """A comparison (errata.programs.report.compare) in one sentence."""
    change = row["change"]
    if not change["pairs"]:
        return f"{plain(name, 80)}: no item was judged both before and after."
    return (
        f"{plain(name, 80)}: {100 * change['before']:.1f} % -> {100 * change['after']:.1f} %, {points(change)} points "
        f"({_SURELY[sure(change)]}, {chance(change)}); {change['fixed']} fixed, {change['broken']} broken of "
        f"{many(change['pairs'], 'item')}."
    )


def failed(side: Mapping[str, Any] | None) -> str:
    """Share of probe rows that the target fails, with its interval; the complement of a `share`."""
    if side is None or side["share"] is None:
        return "-"
    return f"{100 * (1 - side['share']):.0f} [{100 * (1 - side['high']):.0f}, {100 * (1 - side['low']):.0f}]"


def stages(report: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """(stage, calls, tokens in, tokens out, USD, answers of the target, training steps) of each stage that cost something, and in all."""
    paid, work = report["instructor"]["stages"], report["work"]
    order = {"mine": 0, "teach": 1, "probe": 2, "words": 3, "assemble": 4, "train": 5, "probe-after": 6}

    def place(name: str) -> tuple[int, int, str]:
        folder, _, step = name.partition("/")
        number = folder.removeprefix("round-")
        return (int(number) if number.isdigit() else 10**6, order.get(step, len(order)), name)

    def line(title: str, spent: Mapping[str, Any], done: Mapping[str, int]) -> tuple[Any, ...]:
        bill = [spent.get(name, 0) for name in ("calls", "tokens_in", "tokens_out", "usd")]
        return (title, *bill, done.get("answers", 0), done.get("steps", 0))

    lines = [line(name, paid.get(name, {}), work.get(name, {})) for name in sorted(paid.keys() | work.keys(), key=place)]
    total = {name: sum(stage.get(name, 0) for stage in work.values()) for name in ("answers", "steps")}
    return [*lines, line("in all", report["instructor"]["total"], total)]
