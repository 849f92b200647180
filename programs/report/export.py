"""Takes the weights of an accepted round out of a run: a folder that others load, with a model card; and on to the hub, if asked. And the
pairs that its stages trained on, as preference data.

The folder is written beside its place under another name, checked against the hash of the weights that were measured, and moved there
whole. What is not here: how weights are written (errata.trainers.export), and what the card says (errata.programs.report.card).
"""

import json
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...signatures.errors import RunError, TargetError, UsageError
from ...signatures.files import sync, write_whole
from ...signatures.records import Attempt, GateDecision, Pair
from ...trainers.chat import tools_apart
from ...trainers.settings import TargetSettings
from ..run import layout
from ..run.directory import read_config, slug
from ..run.formats import answering
from . import card
from .document import build, compare
from .records import Compared, Report
from .runs import goes_on

_DOES = {"full": "copy the model", "merged": "merge the adapter into its base", "adapter": "copy the adapter"}
STALE = ["*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json", "adapter_config.json", "base.json"]
"""Weights of an earlier push that the new ones replace."""


def export(
    path: Path,
    out: Path | None = None,
    number: int | None = None,
    merge: bool = True,
    push: str | None = None,
    public: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Export the weights of round `number` (None: the last accepted one) of the run at `path` into `out` (None: its folder `export`).

    An adapter is merged into its base unless `merge` is False. `push` is the hub's OWNER/NAME, private unless `public`. Returns what
    `errata export --json` prints. Raises RunError (no accepted round, an unfinished run, other weights than the run trained, `out` in
    use, no hub), UsageError and TargetError.
    """
    from ...trainers.dequantize import gguf_file
    from ...trainers.weights import hub_id, trained

    report, number = _accepted(path, number)
    row = report.rounds[number - 1]
    assert row.train, "an accepted round was trained"
    began, weights = report.config.target, row.train.weights
    chain = tuple(n for n in report.accepted if n <= number)
    target = began
    for n in chain:
        target = trained(target, layout.training(path, n, layout.stands(path, n)))
    if not merge and target.adapter is None:
        raise UsageError(f"round {number} of {path} trained all weights: there is no adapter; leave --adapter out")
    out = out or path / "export"
    refuse_used(out)
    api = open_hub(push, public) if push else None

    form = "full" if target.adapter is None else "merged" if merge else "adapter"
    say(f"round {number} of {path}: {_DOES[form]}, weights {weights}")
    name = hub_name(push.rpartition("/")[2] if push else card.shown_run(path, report.config))
    on_hub = hub_id(began.model)
    base = began.model if on_hub else hub_name(Path(began.model).expanduser().resolve().name.removesuffix(".gguf"))
    facts = card.Facts(name, form, weights, "", 0, base, on_hub, False, began.trust_remote_code, number, chain)
    facts = facts._replace(gguf=str(file.absolute()) if (file := gguf_file(began.model)) else "")
    base_folder = _base_folder(began)
    licence = card.licence_of(base_folder)
    scores = _scores(path, row.decision, report.target.before, weights)

    with whole_folder(out) as partial:
        facts = _write_weights(facts, answering(path, target), partial)
        text = card.write(facts, report, scores, licence, push or f"path/to/{facts.name}")
        (partial / "README.md").write_text(text, encoding="utf-8")
    found = {"run": str(path), "round": number, "out": str(out), "form": form, "weights": weights, "dtype": facts.dtype or None}
    return found | {
        "base": base,
        "licence": licence.fields["license"],
        "scores": {f"{task} {split}": one.model_dump(exclude={"skills"}) for (task, split), one in scores.items()},
        "lines": card.ready(facts, str(out.resolve()), base if on_hub else str(base_folder), report.config.task, report.config),
        "pushed": upload(api, push, out, public, say) if push else None,
    }


def refuse_used(out: Path) -> None:
    """Raises RunError where a folder that is to be written is in use."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is not an empty folder; give another --out")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Where to write a folder with a README.md that stands at `out` when all of it is written, or not at all. Raises RunError."""
    partial = out.absolute().parent / f".{out.absolute().name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        yield partial
        for file in (path for path in partial.rglob("*") if path.is_file()):
            shutil.copymode(partial / "README.md", file)  # some writers keep a file for its owner alone
            sync(file)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    except OSError as error:
        raise RunError(f"{out} cannot be written ({error.strerror or error}); mend that, or give another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def export_pairs(path: Path, out: Path | None = None) -> dict[str, Any]:
    """Write the pairs of all stages of the run at `path` into `out` (None: pairs.jsonl in it) as TRL reads preference data, tools in a
    field of their own, each with where it comes from. Returns what `errata export --pairs --json` prints. Raises RunError where there
    are none, or `out` exists or cannot be written."""
    read_config(path)
    rows: list[dict[str, Any]] = []
    why: list[str] = []
    for number in layout.rounds(path):
        programs = {sample.id: sample.program_id for sample in layout.samples(path, number)}
        for stage in layout.paired(path, number):
            why.append(f"round {number}: {stage.facts()['reason']}")
            for pair in stage.read(layout.PAIRS, Pair):
                tools, prompt = tools_apart(pair.prompt)
                row = pair.model_dump(mode="json") | {"prompt": prompt} | ({"tools": tools} if tools else {})
                rows.append(row | {"round": number, "program": programs.get(pair.source) or None})
    if not rows:
        none = "; ".join(why) or "no stage dpo or kto has made any; name one in train.stages"
        raise RunError(f"{path} holds no pairs: {none}")
    out = out or path / layout.PAIRS
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if out.exists() and (not out.is_file() or out.read_text(encoding="utf-8") != text):
        raise RunError(f"{out} exists and is not this file; give another --out")
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise RunError(f"{out} cannot be written ({error.strerror or error}); mend that, or give another --out") from error
    counted = {side: dict(Counter(row[f"{side}_from"] for row in rows)) for side in ("chosen", "rejected")}
    return {"run": str(path), "out": str(out), "pairs": len(rows)} | counted


def _accepted(path: Path, number: int | None) -> tuple[Report, int]:
    """The report of a finished run, and the round to export."""
    report = build(path)
    if len(report.rounds) < report.config.rounds:
        raise RunError(f"{path} has not come to its end; {goes_on(path)}")
    if not report.accepted:
        why = report.rounds[-1].decision.reason
        raise RunError(f"{path} has no accepted round, so there are no better weights than the ones it began with ({why})")
    *_, last = report.accepted
    if number is not None and number not in report.accepted:
        known = ", ".join(map(str, report.accepted))
        raise UsageError(f"round {number} of {path} was not accepted, only {known}; give --round {last}, or leave it out")
    return report, number or last


def _write_weights(facts: card.Facts, target: TargetSettings, out: Path) -> card.Facts:
    """Writes weights and what belongs to them into `out` and checks them; the facts with what came to light."""
    from ...trainers.chat import own_system
    from ...trainers.export import measured_in, same_weights, write_adapter, write_model
    from ...trainers.target import load_tokenizer

    if facts.form == "adapter":
        facts = facts._replace(rank=write_adapter(target, out, facts.base))
        written = target.model_copy(update={"adapter": str(out)})
    else:
        facts = facts._replace(dtype=write_model(target, out))
        written = target.model_copy(update={"model": str(out), "adapter": None})
    if facts.form != "merged":  # a merge has other files than base and adapter; only its answers stay the same
        same_weights(written, facts.weights)
    tokenizer = load_tokenizer(written)
    return facts._replace(measured=measured_in(target), chat=bool(tokenizer.chat_template), system=own_system(tokenizer))


def hub_name(name: str) -> str:
    """A name that the hub takes."""
    return re.sub(r"([-.])[-.]+", r"\1", slug(name)).strip("-._")[:90] or "model"


def _base_folder(began: TargetSettings) -> Path | None:
    """Where the base lies; None: it is no longer available, and a whole model does not need it."""
    from ...trainers.weights import folder_of

    try:
        return folder_of(began.model)
    except TargetError:
        return None


def _scores(path: Path, decision: GateDecision, before: str, after: str) -> dict[tuple[str, str], Compared]:
    """Base against these weights on every held-out set that both were measured on, by (task, split)."""
    found = {}
    for task in (*(decision.benchmarks or (decision.task,)), *(guard["task"] for guard in decision.guards)):
        for split in ("test", "dev"):
            stages = [layout.evaluation(path, weights, task, split) for weights in (before, after)]
            if all(stage.done for stage in stages):
                found[task, split] = compare(*(stage.read(layout.ATTEMPTS, Attempt) for stage in stages))
    return found


# ---- the hub


def open_hub(repo: str, public: bool, kind: str = "model") -> Any:
    """The hub's client, logged in and with the right to this name as far as can be told before anything is written. `kind`: `model` or
    `dataset`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"--push {repo}: {str(error).splitlines()[0]}") from None
    if "/" not in repo:
        raise UsageError(f"--push takes OWNER/NAME, e.g. --push me/{repo}")
    api = HfApi()
    with _hub_errors(repo, "nothing was exported"):
        api.whoami()
        try:
            there = api.repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError:
            return api
    if not there.private and not public:
        raise UsageError(f"{repo} is on the hub already and is public: add --public, or give another name")
    return api


def upload(api: Any, repo: str, out: Path, public: bool, say: Callable[[str], None], kind: str = "model") -> str:
    """Uploads the folder in one commit; the page's address."""
    say(f"push {out} to {repo}, {'public' if public else 'private'}")
    named = ["--repo-type", kind] if kind != "model" else []
    again = shlex.join(["hf", "upload", repo, str(out), ".", *named, *([] if public else ["--private"])])
    what, stale = ("Weights", STALE) if kind == "model" else ("Data", ["*.parquet"])
    with _hub_errors(repo, f"the export stands in {out}; `{again}` pushes it"):
        url = api.create_repo(repo, repo_type=kind, private=not public, exist_ok=True)
        told = f"{what} and card from errata export"
        api.upload_folder(repo_id=repo, repo_type=kind, folder_path=str(out), commit_message=told, delete_patterns=stale)
    return str(url)


@contextmanager
def _hub_errors(repo: str, state: str) -> Iterator[None]:
    """Turns what the hub's client raises into one line: no login, no right, no network, and many more types."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError:
        raise RunError(f"no login to the hub for {repo}: `hf auth login`, or set HF_TOKEN; {state}") from None
    except Exception as error:
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise RunError(f"the hub did not take {repo} ({why[:300]}): check name, network and the token's rights; {state}") from None
