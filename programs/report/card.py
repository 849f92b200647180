"""The model card of exported weights (README.md of their folder), and the lines that serve and measure them.

All figures are read from the run's report and its evaluations. Names that come from data or from a model stand as code spans, in which
Markdown and HTML mean nothing. No path of this machine is written into the card; the printed lines may hold some.

What is not here: the card's words (templates/card.md.j2), the weights (errata.trainers.export), and which of them
(errata.programs.report.export).
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ...tasks import joined
from ...trainers.dequantize import ABOUT
from ...trainers.settings import TrainSettings, vllm_rank
from ..config import CycleConfig
from ..run.directory import slug
from .figures import compared, judged, many
from .markup import plain, render
from .records import Compared, Report, Sides, Trained
from .tables import Table

KNOWN = {
    "gsm8k": ("openai/gsm8k", "gsm8k", "gsm8k"),
    "gsm_plus": ("qintongli/GSM-Plus", "gsm_plus", "gsm8k"),
    "mmlu": ("cais/mmlu", "mmlu", "mmlu_0_shot"),
    "arc": ("allenai/ai2_arc", "arc_challenge", "arc_challenge"),
    "mbpp": ("google-research-datasets/mbpp", "mbpp", "mbpp"),
    "humaneval": ("openai/openai_humaneval", "humaneval", "humaneval"),
    "bbh": ("lukaemon/bbh", "bbh", "bbh"),
}
"""Of each task that others have too: its set on the hub, its name in lm-evaluation-harness, and in inspect_evals."""


_IDS = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0 artistic-2.0
    bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
    agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0
    odc-by odbl open-mdw openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
    fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
"""
LICENCES = frozenset(_IDS.split())
"""Ids of licences that the hub takes (huggingface/hub-docs, docs/hub/repositories-licenses.md), and those it was given since. Another
one is `other` with a license_name there."""


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
    measured: str = ""
    """Number format in which they were measured; empty: that of the files, or unknown."""
    gguf: str = ""
    """The GGUF file that the run began with; empty: it began with none."""
    system: str = ""
    """What the chat template says as system text where a conversation has none."""


# ---- words that are safe on a page


def without_place(name: str) -> str:
    """The name of a model that may be a path on some machine: `openai//srv/models/llama` is `openai/llama`."""
    place = re.search(r"(?:^|/)(?=[/~])|(?:^|/)(?=[A-Za-z]:[\\/])", name)
    return name if place is None else name[: place.end()] + re.split(r"[\\/]", name.rstrip("\\/"))[-1]


# ---- what the base says


def licence_of(folder: Path | None) -> Licence:
    """Licence and language of a model's own card (README.md), config, or GGUF file; `unknown` where none tells."""
    if folder is None:
        return Licence({"license": "unknown"}, "")
    found, fields, source = _front_matter(folder / "README.md"), {"license": "unknown"}, ""
    others = [(_front_matter(folder / name), f"its {said}") for name, said in (("config.json", "config.json"), (ABOUT, "GGUF file"))]
    for data, place in ((found, "its model card"), *others):
        name = str(data.get("license", "unknown")).lower()
        known = {"license": name} if name == "other" else licence_fields(name) or licence_fields(f"other:{name}")
        if not source and name != "unknown" and known:
            extra = {key: plain(data[key], 300) for key in ("license_name", "license_link") if isinstance(data.get(key), str)}
            fields, source = known | extra, place
    languages = found.get("language")
    some = languages if isinstance(languages, list) else [languages]
    codes = [code for code in some if isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}|code|multilingual", code)]
    return Licence(fields | ({"language": codes} if codes else {}), source)


def licence_fields(name: str) -> dict[str, str] | None:
    """How a card tells a licence: its id on the hub in any case, or `other:NAME` of one that the hub has no id for. None: it is neither."""
    if name.lower() in LICENCES:
        return {"license": name.lower()}
    own = re.fullmatch(r"other:([A-Za-z0-9][\w.+-]{0,99})", name)
    return {"license": "other", "license_name": own[1]} if own else None


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


def ready(facts: Facts, place: str, base: str, task: str, config: CycleConfig | None = None) -> dict[str, str]:
    """Command lines for the exported weights at `place` (a folder or hub id), of an adapter with its base at `base`. Other harnesses have
    no line where they have none of the tasks."""
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
    dtype = f",dtype={facts.measured}" if facts.measured else ""
    weights = shlex.quote((f"pretrained={base},peft={place}" if adapter else f"pretrained={place}") + dtype)
    unsafe = not {"mbpp", "humaneval"}.isdisjoint(kinds)  # their answers are run
    theirs = [sorted({KNOWN[kind][column] for kind in kinds if kind in KNOWN}) for column in (1, 2)]
    lm_eval = f"lm_eval --model hf --model_args {weights} --tasks {','.join(theirs[0])}{' --apply_chat_template' if facts.chat else ''}"
    lm_eval += f" --batch_size 8{trust[1]}"  # `auto` never ends on a CPU
    errata = f"--target {shlex.quote(base)} --adapter {shlex.quote(place)}" if adapter else f"--target {shlex.quote(place)}"
    given = {}
    if config and {"jsonl", "parquet", "hf"} & set(kinds):
        given = {f"table.{name}": value for name, value in config.table.model_dump(mode="json", exclude_defaults=True).items()}
    if config and config.table.verdict == "judge":
        lm = config.judge.of(config.instructor)
        given |= {"judge.model": lm.model} | ({"judge.api_base": lm.api_base} if lm.api_base else {})
    flags = "".join(f" --set {shlex.quote(f'{name}={_yaml(value)}')}" for name, value in given.items())
    lines = {
        "vllm": vllm + (f" --dtype {facts.measured}" if facts.measured else "") + trust[0],
        "lm_eval": f"HF_ALLOW_CODE_EVAL=1 {lm_eval} --confirm_run_unsafe_code" if unsafe else lm_eval,
        "inspect": f"inspect eval {' '.join(f'inspect_evals/{name}' for name in theirs[1])} {inspect}",
        "errata": f"errata evaluate --task {shlex.quote(task)} {errata}{flags}",
    }
    lines = {name: line for name, line in lines.items() if theirs[0] or name in ("vllm", "errata")}
    return lines | (_back(facts, place, base) if facts.gguf else {})


def _back(facts: Facts, place: str, base: str) -> dict[str, str]:
    """Lines that make a GGUF file of the export by llama.cpp's scripts, in the width that it has, and a model of Ollama's of that."""
    out = f"{facts.name}.gguf"
    if facts.form == "adapter":
        script, told, model = "convert_lora_to_gguf.py", f" --base {shlex.quote(base)}", f"FROM {facts.gguf}\nADAPTER ./{out}"
    else:
        width = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}.get(facts.dtype, "auto")
        script, told, model = "convert_hf_to_gguf.py", f" --outtype {width}", f"FROM ./{out}"
    model += f'\nSYSTEM """{facts.system}"""' if facts.system else ""  # Ollama's own template for such models may lack it
    model += "\nPARAMETER temperature 0\nPARAMETER repeat_penalty 1\n"
    written = shlex.quote(model.replace("\\", r"\\").replace("\n", r"\n"))  # one line, which `printf '%b'` writes as several
    return {
        "gguf": f"python llama.cpp/{script} {shlex.quote(place)}{told} --outfile {out}",
        "ollama": f"printf '%b' {written} > Modelfile && ollama create {facts.name} -f Modelfile",
    }


def _yaml(value: Any) -> str:
    """A value as --set reads it, a plain word where it is one."""
    plain_word = isinstance(value, str) and re.fullmatch(r"\w+", value) and yaml.safe_load(value) == value
    return str(value) if plain_word else json.dumps(value, ensure_ascii=False)


# ---- the card


def write(facts: Facts, report: Report, scores: Mapping[tuple[str, str], Compared], licence: Licence, place: str, most: int = 40) -> str:
    """The card as text. `scores` compares the base and these weights by (task, split); `place` is a hub id or a name; `most` skills that
    changed are shown."""
    config = report.config
    named = {f"{task} {split}": one for (task, split), one in scores.items()}
    skills = [(one.change.difference, name, skill, one) for name, whole in named.items() for skill, one in _changed(whole)]
    changed = sorted(skills, key=lambda one: one[:3])
    base = facts.base if facts.on_hub else f"path/to/{facts.base}"
    facts = facts._replace(gguf=facts.gguf and f"path/to/{Path(facts.gguf).name}")
    return render(
        "card.md.j2",
        facts=facts,
        report=report,
        licence=licence,
        head=_head(facts, config, scores, licence),
        task=shown_task(config.task),
        instructor=without_place(report.source.writer if report.source else config.instructor.model),
        scores=named,
        judged=[f"Answers to {name} were {judged(one.judged)}." for name, one in named.items() if one.judged],
        table=compared((([name], one) for name, one in named.items()), ["set"]),
        tested=any(split == "test" for _, split in scores),
        changed=changed,
        lowest=compared((([name, skill], one) for _, name, skill, one in changed[:most]), ["set", "skill"], p=False),
        rounds=_rounds(report, facts.number),
        training=_training(facts, config.train, report.rounds[facts.number - 1].stages),
        sources=[(dataset_of(name) or shown_task(name), dataset_of(name) is None and ":" not in name) for name in joined(config.task)],
        lines=[plain(line, 4000) for name, line in ready(facts, place, base, shown_task(config.task)).items() if name != "errata"],
        many=many,
    )


def _changed(whole: Compared) -> list[tuple[str, Sides]]:
    """The skills of a set in which an item changed; none where the set has a single skill."""
    changed = [(skill, one) for skill, one in whole.skills.items() if one.change.fixed + one.change.broken]
    return changed if len(whole.skills) > 1 else []


def _head(facts: Facts, config: CycleConfig, scores: Mapping[tuple[str, str], Compared], licence: Licence) -> str:
    """What the hub reads, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=plain(dataset_of(task) or task),
            dataset_name=plain(task),
            dataset_split=split,
            metric_type="accuracy",
            metric_name="accuracy",
            metric_value=round(one.after.share, 4),
        )
        for (task, split), one in scores.items()
        if one.after.share is not None
    ]
    data = ModelCardData(
        base_model=facts.base,
        base_model_relation="adapter" if facts.form == "adapter" else "finetune",
        library_name="peft" if facts.form == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["errata", "trl", "sft", *(["lora"] if facts.form != "full" else [])],
        datasets=[known for name in joined(config.task) if (known := dataset_of(name))] or None,
        metrics=["accuracy"],
        model_name=facts.name,
        eval_results=results or None,
        **licence.fields,
    )
    return str(data.to_yaml())


def shown_task(task: str) -> str:
    """A task as the config writes it, its paths reduced to names."""
    parts = [name.partition(":") for name in joined(task)]
    return "+".join(f"{kind}{colon}{rest if kind in ('hf', 'reasoning_gym') else Path(rest).name}" for kind, colon, rest in parts)


def shown_run(path: Path, config: CycleConfig) -> str:
    """The name of a run, which its command makes of task and strategy as they are written: without the places in these."""
    name, strategy = path.resolve().name, config.generate.strategy
    return name.replace(slug(config.task), slug(shown_task(config.task))).replace(slug(strategy), slug(without_place(strategy)))


def dataset_of(task: str) -> str | None:
    """The set of a task on the hub; None: it has none."""
    kind, _, rest = task.partition(":")
    return re.sub(r"\[.*\]$", "", rest) if kind == "hf" else KNOWN.get(kind, (None,))[0]


def _rounds(report: Report, last: int) -> Table:
    """The rounds that led to the weights."""
    head = ["round", "kept", "errors analysed", "programs", "rows drawn", "rows replayed", "rows trained on", "dev, %"]
    rows = []
    for row in report.rounds[:last]:
        dev = f"{100 * row.decision.before:.1f} to {100 * row.decision.after:.1f}" if row.decision.pairs else "-"
        learned = _learned(row.stages)
        counts = [row.failures, row.programs, row.samples, row.replay, learned[-1].report.rows_kept if learned else 0]
        rows.append([row.number, "yes" if row.decision.accepted else "no", *counts, dev])
    return Table(head, rows)


def _training(facts: Facts, train: TrainSettings, stages: Sequence[Trained]) -> list[dict[str, Any]]:
    """The stages that made the weights, with their settings, those that the user gave to TRL among them; last a way back."""
    made: list[dict[str, Any]] = []
    for stage in _learned(stages):
        rate, blend, _ = train.strength("full" if facts.form == "full" else "lora", stage.name)
        given: dict[str, Any] = getattr(train, stage.name)
        told = {"trainer": f"{stage.name.upper()}Trainer", "rate": given.get("learning_rate", rate), "blend": f"{100 * blend:g}"}
        made.append(told | {"report": stage.report, "own": sorted(given.keys() - {"learning_rate"})})
    back = next((stage.report.back for stage in stages if stage.stands), None)
    return made if back is None else [*made, {"back": f"{100 * back:g}"}]


def _learned(stages: Sequence[Trained]) -> Sequence[Trained]:
    """The stages up to the one whose weights stand, or that a way back to those began at."""
    stands = next((stage.report for stage in stages if stage.stands), None)
    last = stands and (stands.weights if stands.back is None else stands.base)
    return stages[: 1 + next((place for place, stage in enumerate(stages) if stage.report.weights == last), 0)]
