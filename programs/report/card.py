"""The model card of exported weights (README.md of their folder), and the lines that serve and measure them.

All figures are read from the run's report and its evaluations. Names that come from data or from a model stand as code spans, in which
Markdown and HTML mean nothing. No path of this machine is written into the card; the printed lines may hold some.

What is not here: the weights (errata.trainers.export), and which of them (errata.programs.report.export).
"""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ...tasks import joined
from ...trainers.settings import TrainSettings, vllm_rank
from .figures import cell, code, percent, plain, points

DATASETS = {
    "gsm8k": "openai/gsm8k", "gsm_plus": "qintongli/GSM-Plus", "mmlu": "cais/mmlu", "arc": "allenai/ai2_arc",
    "mbpp": "google-research-datasets/mbpp", "humaneval": "openai/openai_humaneval", "bbh": "lukaemon/bbh",
}  # fmt: skip
"""Hub ids of the sets behind the tasks."""
LM_EVAL = {
    "gsm8k": "gsm8k", "gsm_plus": "gsm_plus", "mmlu": "mmlu", "arc": "arc_challenge", "mbpp": "mbpp", "humaneval": "humaneval",
    "bbh": "bbh",
}  # fmt: skip
INSPECT = {"gsm8k": "gsm8k", "mmlu": "mmlu_0_shot", "arc": "arc_challenge", "mbpp": "mbpp", "humaneval": "humaneval", "bbh": "bbh"}
_FORMS = {
    "full": "all weights were trained; this folder is the whole model",
    "merged": "a LoRA adapter, merged into its base; this folder is the whole model",
    "adapter": "a LoRA adapter; it needs its base",
}


_ERRORS = {
    "target": "errors are the model's own, on the train split",
    "all": "every train item counted as an error",
    "recorded": "errors of the first round are recorded answers of another run or model",
}


class Licence(NamedTuple):
    """What the base says of its licence and language, in the words of the hub's model cards."""

    fields: dict[str, Any]
    """license, and where they are known license_name, license_link, language."""
    source: str
    """Where the licence was found; empty when it is unknown."""


class Facts(NamedTuple):
    """What was exported."""

    name: str
    form: str
    """`full`, `merged` or `adapter`."""
    weights: str
    """Hash of the weights that were measured."""
    dtype: str
    """Number format of the files; empty for an adapter."""
    rank: int
    """Largest rank of an adapter; 0 for whole models."""
    base: str
    """Hub id of the base, or the name of its folder."""
    on_hub: bool
    """Whether `base` is a hub id."""
    chat: bool
    """Whether there is a chat template."""
    own_code: bool
    """Whether the model brings Python code."""
    number: int
    """The round whose weights these are."""
    chain: tuple[int, ...]
    """Accepted rounds up to it."""


# ---- words that are safe on a page


def without_place(name: str) -> str:
    """The name of a model that may be a path on some machine: `openai//srv/models/llama` is `openai/llama`."""
    place = re.search(r"(?:^|/)(?=[/~])|(?:^|/)(?=[A-Za-z]:[\\/])", name)
    return name if place is None else name[: place.end()] + re.split(r"[\\/]", name.rstrip("\\/"))[-1]


# ---- what the base says


def licence_of(folder: Path | None) -> Licence:
    """Licence and language of a model's own card (README.md) or config; `unknown` where neither tells."""
    if folder is None:
        return Licence({"license": "unknown"}, "")
    found, fields, source = _front_matter(folder / "README.md"), {"license": "unknown"}, ""
    for data, place in ((found, "its model card"), (_front_matter(folder / "config.json"), "its config.json")):
        name = str(data.get("license", "unknown")).lower()
        if not source and name != "unknown" and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
            extra = {key: plain(data[key], 300) for key in ("license_name", "license_link") if isinstance(data.get(key), str)}
            fields, source = {"license": name, **extra}, place
    languages = found.get("language")
    codes = [languages] if isinstance(languages, str) else languages if isinstance(languages, list) else []
    if codes := [c for c in codes if isinstance(c, str) and re.fullmatch(r"[a-z]{2,3}|code|multilingual", c)]:
        return Licence({**fields, "language": codes}, source)
    return Licence(fields, source)


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML at the head of a card, or a JSON file (which is YAML too); empty where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            head = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.DOTALL)
            text = head.group(1) if head else ""
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}


# ---- the lines


def ready(facts: Facts, place: str, base: str, task: str) -> dict[str, str]:
    """Command lines for the exported weights at `place` (a folder or hub id), of an adapter with its base at `base`."""
    kinds = [name.partition(":")[0] for name in joined(task)]
    adapter = facts.form == "adapter"
    trust = (" --trust-remote-code", " --trust_remote_code", " -M trust_remote_code=true") if facts.own_code else ("", "", "")
    if adapter:
        module = shlex.quote(f"{facts.name}={place}")
        vllm = f"vllm serve {shlex.quote(base)} --enable-lora --lora-modules {module} --max-lora-rank {vllm_rank(facts.rank)}"
        inspect = f"--model vllm/{facts.name} --model-base-url http://localhost:8000/v1"  # transformers alone cannot name the base
    else:
        vllm = f"vllm serve {shlex.quote(place)} --served-model-name {facts.name}"
        inspect = f"--model hf/local -M model_path={shlex.quote(place)} -M do_sample=false{trust[2]}"  # it would sample by itself
    weights = shlex.quote(f"pretrained={base},peft={place}" if adapter else f"pretrained={place}")
    unsafe = not {"mbpp", "humaneval"}.isdisjoint(kinds)  # their answers are run
    theirs = [sorted({known.get(kind, "gsm8k") for kind in kinds}) for known in (LM_EVAL, INSPECT)]
    lm_eval = f"lm_eval --model hf --model_args {weights} --tasks {','.join(theirs[0])}"
    lm_eval += " --apply_chat_template" if facts.chat else ""
    errata = f"--target {shlex.quote(base)} --adapter {shlex.quote(place)}" if adapter else f"--target {shlex.quote(place)}"
    return {
        "vllm": vllm + trust[0],
        "lm_eval": ("HF_ALLOW_CODE_EVAL=1 " if unsafe else "")
        + f"{lm_eval} --batch_size auto{trust[1]}"
        + (" --confirm_run_unsafe_code" if unsafe else ""),
        "inspect": f"inspect eval {' '.join(f'inspect_evals/{name}' for name in theirs[1])} {inspect}",
        "errata": f"errata evaluate --task {shlex.quote(task)} {errata}",
    }


# ---- the card


def write(facts: Facts, report: dict[str, Any], scores: dict[tuple[str, str], dict[str, Any]], licence: Licence, place: str) -> str:
    """The card as text. `scores` holds report.compare of the base and these weights by (task, split); `place` is a hub id or a name."""
    from huggingface_hub import ModelCardData

    config = report["config"]
    decision = report["rounds"][facts.number - 1]["decision"]
    kept = "and the weights were kept because they did better on held-out items"
    if decision.get("unproven"):
        kept = f"and the weights were kept because the run was told to, not because they are better: {code(decision['reason'])}"
    data = ModelCardData(
        base_model=facts.base,
        base_model_relation="adapter" if facts.form == "adapter" else "finetune",
        library_name="peft" if facts.form == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["errata", "trl", "sft", *(["lora"] if facts.form != "full" else [])],
        datasets=[known for name in joined(config["task"]) if (known := _dataset(name))] or None,
        metrics=["accuracy"],
        model_name=facts.name,
        eval_results=_results(scores) or None,
        **licence.fields,
    )
    parts = [
        f"# {facts.name}",
        f"{code(facts.base)} after {_count(len(facts.chain), 'round')} of error-driven fine-tuning with Errata: an instructor model "
        f"studied what it got wrong on {code(_shown(config['task']))}, wrote programs that draw new problems of the same kinds with "
        f"computed answers, {kept} (the method goes on from arXiv 2407.00497).",
        _what(facts, report),
        _scores(facts, scores),
        _broken(scores),
        _lineage(facts, report),
        _limits(facts, report, scores),
        _licence(facts, report, licence),
        _use(facts, place, config),
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _shown(task: str) -> str:
    """A task as the config writes it, its paths reduced to names."""
    parts = [name.partition(":") for name in joined(task)]
    return "+".join(f"{kind}{colon}{rest if kind in ('hf', 'reasoning_gym') else Path(rest).name}" for kind, colon, rest in parts)


def _dataset(task: str) -> str | None:
    kind, _, rest = task.partition(":")
    return re.sub(r"\[.*\]$", "", rest) if kind == "hf" else DATASETS.get(kind)


def _results(scores: dict[tuple[str, str], dict[str, Any]]) -> list[Any]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=plain(_dataset(task) or task),
            dataset_name=plain(task),
            dataset_split=split,
            metric_type="accuracy",
            metric_name="accuracy",
            metric_value=round(row["after"]["share"], 4),
        )
        for (task, split), row in scores.items()
        if row["after"]["share"] is not None
    ]


def _what(facts: Facts, report: dict[str, Any]) -> str:
    shipped = report["config"]["target"]["model"] == "tiny"
    off_hub = " (shipped with Errata, not a hub id)" if shipped else " (the name of a folder, not a hub id)"
    base = code(facts.base) + ("" if facts.on_hub else off_hub)
    began = " with an adapter of its own" if report["config"]["target"]["adapter"] else ""
    lines = [
        "## What it is",
        f"- Base: {base}{began}, weights {code(report['target']['before'])}",
        f"- Form: {_FORMS[facts.form]}" + (f", {facts.dtype}" if facts.dtype else f", rank {facts.rank}"),
        f"- Weights that were measured: {code(facts.weights)}, of round {facts.number}",
    ]
    return "\n".join([lines[0], "", *lines[1:]])


def _scores(facts: Facts, scores: dict[tuple[str, str], dict[str, Any]]) -> str:
    lines = ["| set | items | before, % | after, % | change, points | fixed | broken | p |", "|---|---|---|---|---|---|---|---|"]
    for (task, split), row in scores.items():
        change = row["change"]
        lines.append(
            f"| {cell(f'{task} {split}')} | {row['before']['items']} | {percent(row['before'])} | {percent(row['after'])} "
            f"| {points(change)} | {change['fixed']} | {change['broken']} | {change['p_value']:.2g} |"
        )
    said = (
        "Greedy answers, one an item. In brackets: 95 % intervals (Wilson for shares, Bonett and Price for paired differences); p is of "
        "the exact McNemar test. The weights were chosen by their gain on dev, which therefore flatters them"
    )
    test = any(split == "test" for _, split in scores)
    return "\n".join(["## Scores", "", *lines, "", f"{said}; test decided nothing." if test else f"{said}; there are no test scores."])


def _broken(scores: dict[tuple[str, str], dict[str, Any]], most: int = 40) -> str:
    """Skills that changed, those that fell first."""
    rows = [
        (row["change"]["difference"], f"{task} {split}", skill, row)
        for (task, split), whole in scores.items()
        for skill, row in whole["skills"].items()
        if len(whole["skills"]) > 1 and row["change"]["fixed"] + row["change"]["broken"]
    ]
    rows.sort(key=lambda row: row[:3])
    lines = ["| set | skill | items | before, % | after, % | change, points | fixed | broken |", "|---|---|---|---|---|---|---|---|"]
    for _, name, skill, row in rows[:most]:
        change = row["change"]
        lines.append(
            f"| {cell(name)} | {cell(skill)} | {row['before']['items']} | {percent(row['before'])} | {percent(row['after'])} "
            f"| {points(change)} | {change['fixed']} | {change['broken']} |"
        )
    fallen = sum(difference < 0 for difference, *_ in rows)
    total = sum(row["change"]["broken"] for row in scores.values())
    head = f"{_count(total, 'item')} that the base solved {'is' if total == 1 else 'are'} answered wrong now."
    if not rows:
        return f"## What broke\n\n{head}"
    head += f" {_count(fallen, 'skill')} fell, {len(rows) - fallen} rose or held with items both fixed and broken"
    head += f"; the {most} lowest:" if len(rows) > most else ":"
    return "\n".join(["## What broke and what was mended, by skill", "", head, "", *lines])


def _lineage(facts: Facts, report: dict[str, Any]) -> str:
    config = report["config"]
    train, generate = TrainSettings.model_validate(config["train"]), config["generate"]
    lines = [
        "| round | kept | errors analysed | programs | rows drawn | rows replayed | rows trained on | dev, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rounds"][: facts.number]:
        decision, trained = row["decision"], row["train"]
        lines.append(
            f"| {row['number']} | {'yes' if decision['accepted'] else 'no'} | {row['failures']} | {row['programs']} | {row['samples']} "
            f"| {row['replay']} | {trained['rows_kept'] if trained else 0} "
            f"| {100 * decision['before']:.1f} to {100 * decision['after']:.1f} |"
        )
    last = report["rounds"][facts.number - 1]["train"]
    method = "full" if facts.form == "full" else "lora"
    rate, epochs = (
        train.sft.get(name, ours) for name, ours in (("learning_rate", train.rate_of(method)), ("num_train_epochs", train.epochs))
    )
    more = sorted(train.sft.keys() - {"learning_rate", "num_train_epochs"})
    known = [
        f"- Task: {code(_shown(config['task']))}; {_ERRORS[config['errors']]}, the gate decided on dev",
        f"- Instructor: {code(without_place(config['instructor']['model']))}, strategy {code(generate['strategy'])}",
        "- Each program rebuilt the gold answer of the error that it was written for before it was used; its rows were drawn in a sandbox. "
        "Rows that overlap a dev, test or guard item were dropped, and a share of replayed rows is the target's own right answers",
        f"- Training: TRL's SFTTrainer, {'all weights' if method == 'full' else 'LoRA'}, {code(epochs)} epochs, highest rate {code(rate)}, "
        f"{100 * train.blend_of(method):g} % of the way to the trained weights, data {code(last['data'])}"
        + (f"; SFTConfig fields of its own: {', '.join(map(code, more))}" if more else ""),
        "- Versions: " + ", ".join(f"{plain(name)} {plain(version)}" for name, version in sorted(last["versions"].items())),
    ]
    return "\n".join(["## Data and lineage", "", *known, "", *lines])


def _limits(facts: Facts, report: dict[str, Any], scores: dict[tuple[str, str], dict[str, Any]]) -> str:
    margin = 100 * report["config"]["gate"]["margin"]
    lines = [
        f"- Measured on {', '.join(code(f'{task} {split}') for task, split in scores)} and on nothing else. A guard may have fallen by "
        f"up to {margin:g} points; what lies outside these sets may have been forgotten.",
        "- Nothing here was tested for safety, bias or factual truth beyond the scores above.",
    ]
    if report["config"]["target"]["api_base"]:
        lines.append(
            "- The answers that were scored came from a server with the base and each round's adapter, in its own number format and with "
            "its own chat template. That it had this very base is the user's word."
        )
    if facts.form == "merged" and facts.dtype != "float32":
        lines.append(
            f"- The scores are of base and adapter. The merge was rounded to {facts.dtype}, so single answers may differ; measure it again."
        )
    lines += [f"- Not checked: {plain(line)}." for line in report["not_checked"]]
    cut = sum(row["after"]["cut"] for row in scores.values())
    if cut:
        lines.append(f"- {_count(cut, 'answer')} of the weights after training ran into the token limit and count as wrong.")
    return "\n".join(["## Limits", "", *lines])


def _licence(facts: Facts, report: dict[str, Any], licence: Licence) -> str:
    instructor = report["config"]["instructor"]["model"]
    task = report["config"]["task"]
    if licence.source:
        base = f"{code(facts.base)} is under {code(licence.fields['license'])}, says {licence.source}; these weights derive from it."
    else:
        base = f"No licence of {code(facts.base)} was found in its card or config: `unknown` stands above. Find it before you publish."
    if instructor == "offline":
        terms = "The training rows come from Errata's embedded instructor: no outside model's terms apply to them."
    else:
        terms = (
            f"The training rows come from programs that {code(without_place(instructor))} wrote. Its provider's terms may restrict "
            "training on what it writes; read them before you publish or use these weights."
        )
    sources = []
    for name in joined(task):
        known, whose = _dataset(name), "Errors behind the rows, and replayed items, are from"
        drawn = known is None and ":" not in name
        sources.append(f"{whose} {code(known or _shown(name))}" + (", which Errata draws itself." if drawn else ": its terms apply too."))
    return "\n".join(["## Licence", "", *(f"- {line}" for line in (base, terms, *sources))])


def _use(facts: Facts, place: str, config: dict[str, Any]) -> str:
    base = facts.base if facts.on_hub else f"path/to/{facts.base}"
    lines = ready(facts, place, base, _shown(config["task"]))
    return "\n".join(["## Use", "", "```bash", *(plain(line, 1000) for name, line in lines.items() if name != "errata"), "```"])


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
