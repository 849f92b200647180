"""What `errata doctor` looks at before a run: the task's gold answers, the sandbox, the device, memory, disk, the instructor, the extras.

Nothing is sent to an instructor and no weights are fetched; a server that the config names is asked for its list of models, and the hub for
the size of a target that is not here. A target of middle size that is here is loaded for a look at its speed.

What is not here: the verdicts on gold answers (errata.tasks.doctor), how much memory a target takes (errata.trainers.estimate), and how
fast it is (errata.trainers.pace).
"""

import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from ..sandbox import MEND, Sandbox, open_sandbox
from ..signatures.calls import known_keys, plain, without_keys
from ..signatures.errors import ErrataError, TargetError, UsageError, with_extra
from ..signatures.records import ProgramRun, TrainRow
from ..signatures.replies import exchange, words
from ..tasks import Runner, Task, doctor, load_task, parts, refuse_unread
from ..tasks.doctor import doubts
from ..tasks.table import TableTask
from ..trainers.served.vllm import find_vllm, places
from ..trainers.settings import AUTO, SMALL, TargetSettings, TrainSettings
from .config import CycleConfig, InstructorSettings, settled
from .instructor.judge import open_judge
from .run.cluster import refuse_absent
from .run.progress import span
from .steps.rows import REPEATS, replay_count

if TYPE_CHECKING:
    from ..trainers.estimate import Shape

PROBE = "def answer():\n    return 6 * 7\n"
HARNESS = "def main(program, payload):\n    yield program.answer()\n"
EXTRAS = {"optimize": ("optuna", "errata optimize --optimizer mipro"), "math": ("math_verify", "table.verdict=math"),
          "gguf": ("gguf", "--target FILE.gguf"),
          "reasoning-gym": ("reasoning_gym", "--task reasoning_gym:NAME")}  # fmt: skip
"""Extra of the package -> the module that it brings, and what needs it."""


class Examined(NamedTuple):
    """What one look found."""

    what: str
    ok: bool
    said: str
    mend: str | None = None
    """The command or act that mends it; of a finding that is ok, a hint."""


def examine(config: CycleConfig, limit: int | None = None) -> list[Examined]:
    """One finding for each check. Raises UsageError when the config names an unknown task."""
    refuse_unread(config.table, (config.task, *(config.guards or ())))
    return list(_findings(config, limit))


def _findings(config: CycleConfig, limit: int | None) -> Iterator[Examined]:
    try:
        sandbox = open_sandbox(workers=1)
    except ErrataError as error:
        yield from _gold(config, None, limit)
        yield Examined("sandbox", False, str(error), MEND)
    else:
        with sandbox:
            yield from _gold(config, sandbox, limit)
            yield _sandbox(sandbox)
    if found := _held_out(config):
        yield found
    yield from _machine(config)
    yield _teaching(config) or _instructor(config.instructor)
    if config.table.verdict == "judge":
        yield _instructor(config.judge.of(config.instructor), "judge")
    if config.target.api_base == AUTO and not config.cluster:  # else it is the nodes' own
        yield _vllm(config.target)
    for address in config.target.servers:
        key = os.environ.get(config.target.api_key_env)
        yield _server("target's server", address, key, "start it, e.g. vllm serve MODEL --enable-lora")
    if config.cluster:
        yield _cluster(config.cluster)
    for extra, (module, use) in EXTRAS.items():
        if find_spec(module):
            yield Examined(f"extra {extra}", True, f"installed, for {use}")
        else:
            yield Examined(f"extra {extra}", True, f"not installed; only {use} needs it", with_extra(extra))


def _gold(config: CycleConfig, sandbox: Sandbox | None, limit: int | None) -> Iterator[Examined]:
    what = f"gold answers of {config.task}"
    try:
        task = _task(config, sandbox.run if sandbox else None)
        items, bad = doctor(task, limit)
    except UsageError:
        raise
    except ErrataError as error:
        fact, mend = error.parts
        yield Examined(what, False, fact, mend or "give the data's place with --task NAME:PATH")
        return
    if bad:
        said = f"{len(bad)} of {items} gold answers fail; first {bad[0].example.question[:80]!r}: {bad[0].reason}"
        yield Examined(what, False, said, "mend these items in the data")
    elif task.kind == "prose":
        yield Examined(what, True, f"all {items} items can be read; {config.judge.of(config.instructor).model} judges answers to them")
    else:
        yield Examined(what, True, f"all {items} pass their own verdict, and changed ones fail it")
    for one in parts(task):
        for said in doubts(one, limit):
            yield Examined(f"items of {one.name}", True, said, "mend or delete these items in the data")
        yield from _asked(one)
        if isinstance(one, TableTask) and one.form.taken:
            mend = f"to set it yourself, begin with {one.form.setting}" if one.form.setting else "name a column that is there"
            yield Examined(f"answers of {one.name}", True, one.form.taken, mend)


def _asked(task: Task) -> Iterator[Examined]:
    """What the target is asked with, where more than a question stands there."""
    items = [item for split in ("dev", "train") for item in task.examples(split, 1)]
    if items and len(messages := task.prompt(items[0])) > 1:
        said = " | ".join(f"{one['role']}: {_ends(one['content'])}" for one in messages)
        yield Examined(f"prompt of {task.name}", True, f"{len(messages)} messages, the last with an item's question: {said}")


def _ends(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:60]} [...] {text[-30:]}"


def _task(config: CycleConfig, runner: Runner | None = None) -> Task:
    return load_task(config.task, config.table, runner, tags=config.trace_tags, judge=open_judge(config.judge, config.instructor))


def _guards(config: CycleConfig, task: Task) -> list[Task]:
    named = tuple(one.twin for one in parts(task) if one.twin) if config.guards is None else config.guards
    return [load_task(name, config.table, beside=task) for name in named]


def _held_out(config: CycleConfig) -> Examined | None:
    """What the gate decides on: dev items of the task and of each guard. None for a task that cannot be read, which is told of before."""
    try:
        task = _task(config)
        task.examples("dev", 0)
    except ErrataError:
        return None
    try:
        tasks = [*parts(task), *_guards(config, task)]
        lacking = ", ".join(one.name for one in tasks if not one.examples("dev", 1))
    except ErrataError as error:
        return Examined("guards", False, error.parts[0], error.parts[1] or "name others with --set guards=[...], or none: []")
    fact = f"{lacking} has no dev items for the gate" if lacking else f"dev items of {', '.join(one.name for one in tasks)}"
    return Examined("held-out items", not lacking, fact, "give it a folder that holds dev.jsonl" if lacking else None)


def _sandbox(sandbox: Sandbox) -> Examined:
    run = sandbox.run(PROBE, HARNESS)
    if run.outcome == "ok" and run.rows == (42,):
        return Examined("sandbox", True, "runs programs")
    return Examined("sandbox", False, f"a trivial program ended with {run.outcome}: {run.error}", MEND)


def _machine(config: CycleConfig) -> Iterator[Examined]:
    """Device, memory and disk."""
    from ..trainers.memory import choose_device

    target = config.target
    try:
        device = choose_device(target.device)
    except ErrataError as error:
        yield Examined("device", False, str(error), "--set target.device=auto")
        return
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        said = "cpu, though there is an NVIDIA driver: this torch sees no GPU"
        yield Examined("device", True, said, "install torch's CUDA build (pytorch.org)")
    else:
        yield Examined("device", True, f"targets run on {device}")
    if target.model:
        yield from _sizes(config, str(device))
    else:
        yield Examined("memory", True, "the target answers from its server; only its weights on this machine could be trained")


def _sizes(config: CycleConfig, device: str) -> Iterator[Examined]:
    """Memory and disk that a target on this machine takes."""
    from ..trainers.devices.gpus import require_devices
    from ..trainers.estimate import need, shape_of, tokens_of
    from ..trainers.memory import choose_device, free
    from ..trainers.weights import adapter_folder

    target, train = config.target, config.train
    train = train.model_copy(update={"method": "lora"}) if target.api_base else train  # as steps/train.py has it
    try:
        shape, _ = shape_of(target.model), tokens_of(target.model, [])  # a tokenizer that is broken is told here
        if target.adapter:
            adapter_folder(target.adapter)
    except ErrataError as error:
        yield Examined(f"target {target.model}", False, str(error), _mended_target(target))
        return
    said = f"{shape.parameters:,} parameters" + (f", {_gb(shape.download)} to fetch" if shape.download else "")
    yield Examined(f"target {target.model}", True, said)
    try:
        trained_on, room = choose_device(train.device), free(train.device)
        require_devices(train, train.order)
    except UsageError as error:
        yield Examined("devices", False, str(error), "--set train.devices=1")
        return
    except ErrataError as error:
        yield Examined("memory to train", False, str(error), "--set train.device=auto")
        return
    room //= train.devices if trained_on.type == "cpu" else 1
    sizes, have = need(shape, target, train, room), free(target.device)
    if not target.api_base:
        ok = sizes.evaluate <= have
        mend = None if ok else "--set target.dtype=bfloat16, or a smaller target"
        if not ok and need(shape, target.model_copy(update={"batch_size": None}), train, room).evaluate <= have:
            mend = "--set target.batch_size=null, which begins small"
        yield Examined("memory to evaluate", ok, f"needs about {_gb(sizes.evaluate)} of {_gb(have)} on {device}", mend)
    ok = sizes.train <= room
    on = " on each device" if train.devices > 1 else ""
    together = f"{sizes.method}, {sizes.at_once} of {train.rows_each} rows a step computed together{on}"
    said = f"{together}: at most about {_gb(sizes.train)} of {_gb(room)} on {trained_on}, with rows of {sizes.tokens} tokens"
    if tokens := _tokens(config):
        like = need(shape, target, train, room, tokens)
        said += f"; about {_gb(like.train)}, {like.at_once} together, with rows as long as the task's own, {like.tokens} tokens"
    yield Examined("memory to train", ok, said, None if ok else _smaller(shape, target, train, room))
    if tokens and shape.context and tokens > shape.context:
        longest = f"the longest of 50 train items takes {tokens} tokens with its answer"
        said = f"{longest}, and the target reads {shape.context}: such answers are cut"
        yield Examined("context", True, said, "a target with a longer context, or shorter prompts (table.system, table.shots, tools)")
    disk, wanted = shutil.disk_usage(".").free, sizes.disk * config.rounds + shape.download
    writable = os.access(".", os.W_OK)
    ok = disk > wanted and writable
    said = f"{_gb(disk)} free here, a run takes about {_gb(wanted)}" + ("" if writable else ", but this folder cannot be written")
    yield Examined("disk", ok, said, None if ok else "free some space, or choose another place with --run")
    if _looked_at(config, shape) and max(sizes.evaluate - have, sizes.train - room) <= 0:
        try:
            yield _time(config)
        except ErrataError as error:
            yield Examined("time of a cycle", False, f"the target was tried: {error}", _mended_target(target))


def _looked_at(config: CycleConfig, shape: "Shape") -> bool:
    """Whether the target is tried: its weights are here, to answer in this process, it is not so small that a cycle is short, nor so large
    that a look at it takes minutes."""
    from ..trainers.dequantize import gguf_file, made
    from ..trainers.memory import choose_device, first_batch

    target = config.target
    here = not (target.api_base or config.cluster or shape.download or ((file := gguf_file(target.model)) and not made(file)))
    return here and shape.parameters >= SMALL and first_batch(shape.parameters, choose_device(target.device).type) >= 32


def work(config: CycleConfig) -> tuple[int, float]:
    """How many answers a cycle asks of its target, and how many rows it trains on, both at most: as if each error taught a program, and
    there were as many solved items as replay wants. Raises what reading a task does."""
    task = _task(config)
    tasks = [*parts(task), *(guards := _guards(config, task))]
    count = lambda split: sum(len(one.examples(split, getattr(config.items, split), config.seed)) for one in tasks)  # noqa: E731
    items, dev = len(task.examples("train", config.items.train, config.seed + 1)), count("dev")
    test = count("test") if config.items.test != 0 else 0
    own, made, train = config.errors == "target", config.generate, config.train
    programs = min(made.failures or items, items)
    tried = made.probe * programs if own else 0
    measured = config.gate.candidates(len(train.order), bool(guards))
    answers = config.rounds * ((items if own else 0) + 2 * tried + measured * dev) + dev + 2 * (test or dev)
    rows = made.rows or (8 * programs if config.errors == "all" else 1000)
    sampled = made.samples if made.completion == "target" or "correction" in made.lesson else 0
    answers += config.rounds * rows * sampled
    rows += min(replay_count(rows, made.replay), REPEATS * items)
    learned = train.steps * train.batch_size if train.steps else rows * train.epochs
    return answers, config.rounds * learned * ("sft" in train.order)


def _time(config: CycleConfig) -> Examined:
    """What answering and training take of a whole cycle, from a short look at the target."""
    from ..trainers.estimate import may_narrow
    from ..trainers.pace import look

    config, task = settled(config), _task(config)
    items = list(task.examples("train", 64, config.seed + 1))
    if not items:
        return Examined("time of a cycle", True, "not looked at, as the task has no train items")
    said = [({"role": "assistant", "content": task.completion(item.solution, item.answer)},) for item in items]
    prompts = [task.prompt(item) for item in items]
    rows = [TrainRow(prompt=tuple(asked), completion=text, source="") for asked, text in zip(prompts, said, strict=True)]
    narrow = config.target.dtype == "auto" and may_narrow(config.target)  # as a run would find
    target = config.target.model_copy(update={"dtype": "bfloat16"} if narrow else {})
    begun = time.monotonic()
    pace = look(target, config.train, prompts, rows, task.max_new_tokens)
    took = time.monotonic() - begun
    answers, learned = work(config)
    each = pace.answer(task.max_new_tokens)
    answering, training = answers * each, config.rounds * pace.start + learned * pace.row
    whole = f"about {span(answering + training)}: {answers:,} answers {span(answering)}, {learned:,.0f} rows of training {span(training)}"
    rest = "; stages on own answers and on pairs are not counted" if config.train.order != ("sft",) else ""
    return Examined("time of a cycle", True, f"{whole}, by a look of {took:.0f} s, without the instructor's time{rest}")


def _teaching(config: CycleConfig) -> Examined | None:
    """That the instructor cannot teach the task, which can be measured all the same, or how much of it the embedded one can; None where
    there is nothing to say, or the task cannot be read."""
    from .cycle import unteachable
    from .instructor.offline import reach

    what, told = f"instructor {config.instructor.model}", list[str]()

    try:
        task = _task(config, lambda *_: ProgramRun(outcome="error"))
        for one in parts(task):
            offline = config.instructor.model == "offline"
            items = one.examples("train", config.items.train, config.seed + 1)
            found = reach(one, items) if offline else None
            if reason := unteachable(one, items) or (found and found.refusal):
                return Examined(what, True, "it cannot teach this task", reason)
            told += [found.told] if found else []
    except ErrataError:
        return None
    return Examined(what, True, "; ".join(told)) if told else None


def _tokens(config: CycleConfig) -> int | None:
    """Tokens of the longest of some of the task's own questions with their solutions; None: there are none to see."""
    from ..trainers.estimate import tokens_of

    try:
        task = _task(config)
        items = [(task.prompt(item), item.solution or item.answer) for item in task.examples("train", 50)]
    except ErrataError:
        return None  # the look at the gold answers says why
    texts = ["\n".join([*(message["content"] for message in messages), answer]) for messages, answer in items]
    return tokens_of(config.target.model, texts) if texts else None


def _mended_target(target: TargetSettings) -> str:
    """What to do about a target whose files cannot be used."""
    from ..trainers.weights import hub_id

    folder = Path(target.model).expanduser()
    if target.adapter and (target.model == "tiny" or (folder / "config.json").is_file()):
        return "--set target.adapter=FOLDER, a folder with adapter_config.json and adapter_model.safetensors, or leave it out"
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return f"--target BASE --set target.adapter={shlex.quote(target.model)}, with the model that it was trained on as BASE"
    if not hub_id(target.model):
        return "--target FOLDER, with config.json, tokenizer and *.safetensors in it; `hf download OWNER/NAME --local-dir FOLDER` makes one"
    return f"hf download {target.model}"


def _smaller(shape: "Shape", target: TargetSettings, train: TrainSettings, room: int) -> str:
    """The first change of the settings that makes a training fit into `room` bytes."""
    from ..trainers.estimate import need

    changes: list[dict[str, Any]] = [{"method": "lora"}] if train.method_for(shape.parameters, target.adapter) == "full" else []
    own = {name: value for name, value in train.sft.items() if name not in ("per_device_train_batch_size", "gradient_accumulation_steps")}
    changes += [{"sft": own}, {"sft": own | {"activation_checkpointing": True}}]
    changes += [{"max_length": train.max_length // part} for part in (2, 4) if train.max_length // part >= 8]
    for change in changes:
        if need(shape, target, train.model_copy(update=change), room).train <= room:
            name, value = next(iter(change.items()))
            return f"--set train.{name}={shlex.quote(value if isinstance(value, str) else json.dumps(value))}"
    return "a smaller target, or a device with more memory: no setting of the training is enough"


def _instructor(settings: InstructorSettings, party: str = "instructor") -> Examined:
    what = f"{party} {settings.model}"
    if settings.model == "offline":
        more = "; it answers at once, so instructor.batch changes nothing" if settings.batch else ""
        return Examined(what, True, f"embedded, needs no key{more}")
    from ..signatures.routes import missing_key, route
    from .instructor.engine import open_instructor

    try:
        open_instructor(settings)
        key, missing = route(settings.model).env_key, missing_key(settings.model, settings.api_base)
    except ErrataError as error:
        return Examined(what, False, str(error), f"name a model as dspy.LM takes it, e.g. --set {party}.model=openai/gpt-5-mini")
    if settings.api_base:
        return _server(what, settings.api_base, os.environ.get(key or ""), f"start it, or mend {party}.api_base")
    if missing:
        return Examined(what, False, f"needs a key in {missing}, which is not set", f"export {missing}=...")
    return Examined(what, True, f"{key} is set" if key else "reached through LiteLLM, which finds no key that is missing")


def _cluster(address: str) -> Examined:
    """Whether a cluster is there; its nodes are not looked at."""
    try:
        refuse_absent(address)
    except ErrataError as error:
        return Examined(f"cluster {address}", False, *error.parts)
    return Examined(f"cluster {address}", True, "one of this machine's own, or RAY_ADDRESS" if address == "auto" else "answers")


def _vllm(target: TargetSettings) -> Examined:
    """What would be started to answer for the target."""
    try:
        found, where = find_vllm(target.vllm_python), [f"GPU {place}" if place else "the CPU" for place in places(target)]
    except TargetError as error:
        return Examined("vLLM", False, *error.parts)
    return Examined("vLLM", True, f"{found.where} would be started for {target.model} on {' and '.join(where)}")


def _server(what: str, base: str, key: str | None, mend: str) -> Examined:
    own = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(headers=own, timeout=5) as client:
            reply = exchange(client, "GET", f"{base.rstrip('/')}/models", 5)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Examined(what, False, f"{base} does not answer: {plain(str(error))[:120] or type(error).__name__}", mend)
    said = plain(without_keys(words(reply.body), [*known_keys(), *([key] if key else [])]))
    if reply.status in (401, 403):
        return Examined(what, False, f"{base} wants another key (HTTP {reply.status}, {said})", "export the variable that holds its key")
    if reply.status != 200:
        return Examined(what, False, f"{base} does not answer: HTTP {reply.status}, {said}", mend)
    return Examined(what, True, f"{base} answers")


def _gb(size: int) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 1e12 else f"{size / 1e9:.3g} GB"


def as_text(findings: list[Examined]) -> str:
    """Findings in words; what must be mended first begins with FAILED."""
    lines = []
    for one in findings:
        word = "FAILED" if not one.ok else "hint" if one.mend else "ok"
        lines.append(f"{word:7} {one.what}: {one.said}" + (f"\n        mend: {one.mend}" if one.mend else ""))
    return "\n".join(lines)
