"""Writes a run's data as a folder that `datasets.load_dataset` reads: a Parquet file a table, and a card with what the hub reads.

Rows are written as they are read, a few thousand at a time. What is not here: what stands in the tables (rows.py), the card's words
(../templates/dataset.md.j2), and the hub (errata.programs.report.export).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from ....signatures.errors import RunError, UsageError, did_you_mean
from ....signatures.records import Rejection, TrainRow
from ....tasks import joined
from ...config import CycleConfig
from ...run import layout
from ...run.directory import read_config
from ..card import LICENCES, dataset_of, licence_fields, shown_task, without_place
from ..export import hub_name, open_hub, refuse_used, upload, whole_folder
from ..markup import render
from ..rounds import nothing_made
from ..tables import Table
from .rows import TABLES, Origin, pairs, rejected, rows

AT_ONCE = 5_000
"""Rows that are written together, a row group of the file."""
FACTORY = "dataset_info.json"
"""How LLaMA-Factory is told what stands in a folder."""
MADE = {"rows": rows, "pairs": pairs, "rejected": rejected}


def export_data(
    path: Path,
    out: Path | None = None,
    licence: str | None = None,
    push: str | None = None,
    public: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write the data of the run at `path` into `out` (None: its folder `data`). `push` is the hub's OWNER/NAME, private unless `public`.
    Returns what `errata export --data --json` prints. Raises RunError (no row, `out` in use, no hub), UsageError, and SandboxError where
    refused rows cannot be drawn again."""
    config = read_config(path)
    legal = licence_fields(licence or "unknown")
    if legal is None:
        near = did_you_mean(licence or "", LICENCES)
        raise UsageError(f"--license takes an id of the hub's, e.g. cc-by-4.0, or other:NAME of another, and {licence!r} is neither{near}")
    out = out or path / "data"
    refuse_used(out)
    origin = Origin(path, config)
    facts = _facts(origin)
    if not any(row["trained on"] + row["pairs"] for row in facts["rounds"]):
        why = (
            nothing_made(path)
            or f"`errata generate` and `errata cycle` make rows, and it has come to none; `errata runs {path}` tells more"
        )
        raise RunError(f"{path} holds no row to export: {why}")
    api = open_hub(push, public, "dataset") if push else None
    with whole_folder(out) as partial:
        partial.mkdir(parents=True)
        counts = {}
        for name, made in MADE.items():
            if facts["refused rows"] and name == "rejected":
                say(f"draw {facts['refused rows']:,} refused rows again")
            counts[name] = _write(partial / name / "train.parquet", name, made(origin), path)
        counts = {name: count for name, count in counts.items() if count}
        name = hub_name(push.rpartition("/")[2] if push else f"{origin.name}-data")
        (partial / FACTORY).write_text(json.dumps(_factory(partial), indent=2) + "\n", encoding="utf-8")
        (partial / "README.md").write_text(_card(origin, name, legal, counts, facts, push), encoding="utf-8")
    pushed = upload(api, push, out, public, say, "dataset") if push else None
    told = {"run": str(path), "out": str(out), "licence": legal.get("license_name", legal["license"]), "tables": counts, "facts": facts}
    return told | {"lines": loading(str(out.resolve()), counts), "pushed": pushed}


def _write(file: Path, name: str, made: Iterable[dict[str, Any]], path: Path) -> int:
    """Write the rows of a table, and no file where there is none; how many."""
    schema = pa.schema([pa.field(column, kind) for column, (kind, _) in TABLES[name].items()])
    count, writer, left = 0, None, iter(made)
    try:
        while some := list(islice(left, AT_ONCE)):
            if writer is None:
                file.parent.mkdir(parents=True)
                writer = parquet.ParquetWriter(file, schema, compression="zstd")
            writer.write_table(pa.Table.from_pylist(some, schema))
            count += len(some)
    except (pa.ArrowException, OverflowError) as error:
        raise RunError(f"{path} holds a row that no table takes ({str(error).splitlines()[0][:200]}); make its round again") from error
    finally:
        if writer is not None:
            writer.close()
    return count


# ---- how the rows came about


def _facts(origin: Origin) -> dict[str, Any]:
    """What each round came to, and how many diagnoses, programs and rows each check refused."""
    rounds, refused = [], Counter[tuple[str, str]]()
    for number in origin.rounds:
        taught, standing = layout.taught(origin.path, number), layout.standings(origin.path, number)
        stage = layout.step(origin.path, number, "assemble")
        rejections = stage.rows(layout.REJECTIONS, Rejection) if stage.done else ()
        refused.update((row.kind, row.check) for result in taught for row in result.rejections)
        refused.update((row.kind, row.check) for row in rejections)
        rounds.append(
            {
                "round": number,
                "errors taught": len({name for row in taught for name in row.failure_ids}),
                "programs kept": sum(row.program is not None for row in taught),
                "rows drawn": sum(row.drawn for row in standing),
                "rows kept": stage.facts()["samples"] if stage.done else 0,
                "replayed": stage.facts()["replay"] if stage.done else 0,
                "trained on": len(stage.rows(layout.ROWS, TrainRow)) if stage.done else 0,
                "pairs": sum(stage.facts()["pairs"] for stage in layout.paired(origin.path, number)),
            }
        )
    of = {"diagnosis": "diagnoses", "program": "programs", "sample": "rows"}
    told = [{"of": of[kind], "check": check, "refused": count} for (kind, check), count in refused.most_common()]
    return {"rounds": rounds, "refused": told, "refused rows": sum(n for (kind, _), n in refused.items() if kind == "sample")}


# ---- for other trainers


def loading(place: str, counts: Iterable[str]) -> dict[str, str]:
    """How each trainer reads the rows, one line each; `place` is a folder or a hub id."""
    found = {}
    if "rows" in counts:
        loaded = f'load_dataset({json.dumps(place, ensure_ascii=False)}, "rows", split="train")'
        split = 'lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}'
        told = 'tokenizer.apply_chat_template(row["messages"], tools=json.loads(row["tools"] or "null"), tokenize=False)'
        path = json.dumps(place, ensure_ascii=False)
        found = {
            "TRL": f'{loaded}.map({split}, remove_columns=["messages"])',
            "Unsloth": f'{loaded}.map(lambda row: {{"text": {told}}})',
            "axolotl": f"datasets: [{{path: {path}, name: rows, split: train, type: chat_template, roles_to_train: [assistant]}}]",
            "LLaMA-Factory": f"dataset_dir: {path}, dataset: rows",
        }
    if "pairs" in counts:
        found["TRL, pairs"] = f'load_dataset({json.dumps(place, ensure_ascii=False)}, "pairs", split="train")'
    return found


def _factory(folder: Path) -> dict[str, Any]:
    """What LLaMA-Factory reads beside the files."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
    columns = {"messages": "messages", "tools": "tools"}
    rows = {"file_name": "rows/train.parquet", "formatting": "sharegpt", "columns": columns, "tags": tags | {"observation_tag": "tool"}}
    return {"rows": rows} if (folder / "rows").exists() else {}


# ---- the card


def _card(origin: Origin, name: str, legal: dict[str, str], counts: dict[str, int], facts: dict[str, Any], push: str | None) -> str:
    config: CycleConfig = origin.config
    known = [(dataset_of(task) or shown_task(task), dataset_of(task) is None and ":" not in task) for task in joined(config.task)]
    made = Table(list(facts["rounds"][0]), [list(row.values()) for row in facts["rounds"]])
    refused = Table(["of", "check", "refused"], [list(row.values()) for row in facts["refused"]])
    return render(
        "dataset.md.j2",
        head=_head(name, legal, counts, config),
        name=name,
        licence=None if legal["license"] == "unknown" else legal.get("license_name", legal["license"]),
        counts=counts,
        columns={table: {column: what for column, (_, what) in TABLES[table].items()} for table in counts},
        made=made,
        refused=refused,
        origin=origin,
        config=config,
        task=shown_task(config.task),
        strategy=without_place(config.generate.strategy),
        sources=known,
        lines=loading(push or f"path/to/{name}", counts),
    )


def _head(name: str, legal: dict[str, Any], counts: dict[str, int], config: CycleConfig) -> str:
    """What the hub and `load_dataset` read, as YAML."""
    from huggingface_hub import DatasetCardData

    configs = [
        {"config_name": table, "data_files": [{"split": "train", "path": f"{table}/train.parquet"}]} | ({} if place else {"default": True})
        for place, table in enumerate(counts)
    ]
    return str(
        DatasetCardData(
            **legal,
            pretty_name=name,
            task_categories=["text-generation"],
            tags=["errata", "synthetic"],
            source_datasets=[known for task in joined(config.task) if (known := dataset_of(task))] or None,
            configs=configs,
        ).to_yaml()
    )
