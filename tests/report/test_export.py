"""`errata export`: the weights of a run as a folder that others load, its card, its lines, and the push to the hub."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import gguf_files
import huggingface_hub
import models
import pytest
import torch
from fake_run import fake_run
from huggingface_hub import ModelCard
from problems import drawn
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import CycleConfig, InstructorSettings, load_config, parse_override
from errata.programs.report import card
from errata.programs.report.export import export, export_pairs
from errata.programs.run import layout
from errata.programs.run.directory import RunDir, Stage, to_json
from errata.programs.stats import paired
from errata.signatures.errors import RunError, TargetError, UsageError
from errata.signatures.records import Attempt, Diagnosis, Example, Failure, GateDecision, Pair, SampleProgram, TeachingResult, Verdict
from errata.tasks import load_task
from errata.tasks.settings import TableSettings
from errata.trainers.export import write_model
from errata.trainers.settings import TargetSettings
from errata.trainers.sft import go_back, train
from errata.trainers.target import Target
from errata.trainers.weights import folder_of, trained, weights_hash

NASTY = "gaps | `rm -rf` </table><script>alert(1)</script> [x](http://evil.example) \u202e\n# a head"
ITEMS = load_task("sums").examples("dev", 12)
PROMPTS = [load_task("sums").prompt(item) for item in ITEMS]


def make_run(path: Path, decisions: tuple[bool, ...] = (True,), method: str = "full", **config) -> Path:
    """A finished run: its weights are trained, and its other rows are written by hand. `decisions`: which rounds were accepted."""
    settings = {"rounds": len(decisions), "train.method": method, "train.learning_rate": 2e-2, **config}
    loaded = load_config(overrides=settings)
    with RunDir(path, loaded) as run:
        target = loaded.target
        for number, accepted in enumerate(decisions, 1):
            folder = f"round-{number}"
            wrong = attempt(ITEMS[0], False)
            failure = Failure(attempt=wrong)
            words = {"skill": NASTY, "misconception": NASTY, "evidence": NASTY, "teach": NASTY}
            diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="LearnFromError", verdict="error", **words)
            program = SampleProgram(diagnosis_id=diagnosis.id, source="def draw(rng, level): ...", anchors=(failure.id,))
            sample = drawn(program_id=program.id, question="1 + 1?", solution="1 + 1 = 2", answer="2")
            run.stage(f"{folder}/mine").finish({"attempts.jsonl": [wrong]}, items=1)
            run.stage(f"{folder}/teach").finish(
                {"taught.jsonl": [TeachingResult(failure_ids=(failure.id,), diagnosis=diagnosis, program=program)]}, failures=1
            )
            rows = {"samples.jsonl": [sample], "rejections.jsonl": [], "rows.jsonl": [], "library.jsonl": []}
            run.stage(f"{folder}/assemble").finish(rows, samples=1, replay=3)
            report = train(models.sums(24, 24 * number), target, loaded.train, path / folder / "train", in_process=True)
            for split in ("dev", "test"):
                for weights, right in ((report.base, 4), (report.weights, 9)):
                    stage = run.stage(f"evaluate/{weights}/sums-{split}")
                    if not stage.done:
                        stage.finish(
                            {"attempts.jsonl": [attempt(item, n < right, split) for n, item in enumerate(ITEMS)]}, items=len(ITEMS)
                        )
            change = paired([attempt(i, n < 4) for n, i in enumerate(ITEMS)], [attempt(i, n < 9) for n, i in enumerate(ITEMS)])
            decision = GateDecision(accepted=accepted, reason=NASTY, task="sums", **change)
            run.stage(f"{folder}/gate").finish({"decision.jsonl": [decision]})
            target = trained(target, path / f"round-{number}/train") if accepted else target
    before, after = weights_hash(loaded.target), weights_hash(target)
    result = {"before": before, "after": after, "rounds": len(decisions), "evaluations": [["sums", "test"]]}
    (path / "result.json").write_bytes(to_json(result))
    return path


def attempt(item: Example, right: bool, split: str = "dev") -> Attempt:
    fields = {"skill": NASTY if item is ITEMS[5] else "plus", "split": split}
    return Attempt(example=item.model_copy(update=fields), response="", verdict=Verdict(correct=right, extracted="1", reason=NASTY))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Two rounds over all weights, the second one rejected."""
    return make_run(tmp_path_factory.mktemp("runs") / "my run", (True, False))


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "lora", (True, True), "lora")


@pytest.fixture
def command():
    """The command line in this process; its handler of SIGTERM is taken away again."""
    old = signal.getsignal(signal.SIGTERM)
    yield lambda *args: CliRunner().invoke(app, list(map(str, args)))
    signal.signal(signal.SIGTERM, old)


def answers(settings: TargetSettings) -> dict:
    return dict(Target.load(settings).generate(PROMPTS, max_new_tokens=60))


def candidate(run: Path, *rounds: int, base: str = "tiny") -> TargetSettings:
    target = TargetSettings(model=base)
    for number in rounds:
        target = trained(target, run / f"round-{number}/train")
    return target


def test_a_whole_model_is_copied_under_the_hash_that_was_measured(full, tmp_path, command):
    done = command("export", full, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["round"], told["form"], told["dtype"]) == (1, "full", "float32")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    model = {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert names == {*model, "README.md"}
    measured = json.loads((full / "round-1/train/manifest.json").read_text())["report"]["weights"]
    assert weights_hash(TargetSettings(model=str(tmp_path / "out"))) == measured == told["weights"]
    assert not list(tmp_path.glob(".*"))


def test_weights_on_a_way_back_are_exported_and_the_card_tells_of_the_training_and_of_the_way(tmp_path):
    run = make_run(tmp_path / "run", (True,))
    made = go_back(candidate(run, 1), TargetSettings(model="tiny"), 0.9, run / "round-1/train-2", in_process=True)
    for split in ("dev", "test"):
        shutil.copytree(run / f"evaluate/{made.base}/sums-{split}", run / f"evaluate/{made.weights}/sums-{split}")
    decision = layout.decision(run, 1).model_copy(update={"stage": 1})
    layout.step(run, 1, "gate").finish({layout.DECISION: [decision]}, accepted=True)
    result = json.loads((run / "result.json").read_bytes())
    (run / "result.json").write_bytes(to_json(result | {"after": made.weights}))
    assert export(run, tmp_path / "out")["weights"] == made.weights == weights_hash(TargetSettings(model=str(tmp_path / "out")))
    text = (tmp_path / "out/README.md").read_text()
    first, back = (line for line in text.splitlines() if line.startswith(("- Training: ", "- Then: ")))
    assert first.startswith("- Training: TRL's SFTTrainer, all weights, ")
    assert back == "- Then: 90 % of the way from the weights that the round began with to these (WiSE-FT), as a guard had fallen"
    assert "rows trained on" in text and re.search(r"\n\| 1 \| yes \|(.*\|) 24 \|", text)


def test_a_merged_adapter_gives_the_texts_of_base_and_adapter(lora, tmp_path):
    told = export(lora, tmp_path / "out")
    beside = candidate(lora, 1, 2)
    assert (told["round"], told["form"]) == (2, "merged")
    (tmp_path / "new").touch()
    modes = {path.stat().st_mode for path in [tmp_path / "new", *(tmp_path / "out").iterdir()]}
    assert len(modes) == 1  # readable by whom any new file of the user's is
    assert not (tmp_path / "out/adapter_config.json").exists()
    merged = answers(TargetSettings(model=str(tmp_path / "out")))
    assert merged == answers(beside)
    assert merged != answers(TargetSettings())
    assert merged == dict(plain_peft(beside).generate(PROMPTS, max_new_tokens=60))


def plain_peft(settings: TargetSettings) -> Target:
    """A target whose adapter was not merged."""
    from errata.trainers.target import load_model, load_tokenizer

    model = load_model(settings, torch.device("cpu"), torch.float32, trainable=True)
    return Target(settings, model, load_tokenizer(settings), torch.device("cpu"), "")


def test_an_adapter_alone_is_exported_with_its_base_named_and_no_path(lora, tmp_path):
    told = export(lora, tmp_path / "out", number=1, merge=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "base.json",
    }
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    assert answers(TargetSettings(adapter=str(tmp_path / "out"))) == answers(candidate(lora, 1))
    assert (told["form"], told["round"]) == ("adapter", 1)


def test_a_merge_into_narrow_weights_is_rounded_once(tmp_path):
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    base = models.make("qwen2", tmp_path / "qwen")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    run = make_run(tmp_path / "run", (True,), "lora", **{"target.model": str(base)})
    told = export(run, tmp_path / "out")
    adapter = load_file(run / "round-1/train/weights/adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"].float() for side in "AB")
    old, new = (load_file(folder / "model.safetensors")[f"{name}.weight"] for folder in (base, tmp_path / "out"))
    assert told["dtype"] == "bfloat16"
    assert new.dtype == torch.bfloat16 and not torch.equal(old, new)
    assert torch.equal(new, (old.float() + 2 * b @ a).to(torch.bfloat16))
    text = (tmp_path / "out/README.md").read_text()
    assert "rounded to bfloat16" in text
    assert ModelCard(text).data.license == "unknown" and "No licence of `qwen`" in text


def test_an_adapter_on_tied_embeddings_is_not_merged_and_answers_as_it_did(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    tiny = AutoModelForCausalLM.from_pretrained(folder_of("tiny"))
    config = LoraConfig(r=4, lora_alpha=64, target_modules=["lm_head"], init_lora_weights=False)
    get_peft_model(tiny, config).save_pretrained(str(tmp_path / "adapter"))
    settings = TargetSettings(adapter=str(tmp_path / "adapter"))
    assert answers(settings) == dict(plain_peft(settings).generate(PROMPTS, max_new_tokens=60)) != answers(TargetSettings())
    with pytest.raises(TargetError, match=r"shares between input and output.*--adapter"):
        write_model(settings, tmp_path / "out")


def test_an_exported_model_is_evaluated_as_any_target(lora, tmp_path, command):
    export(lora, tmp_path / "out")
    task = ["--task", "sums", "--limit", "12", "--run", str(tmp_path / "run"), "--json"]
    done = command("evaluate", "--target", tmp_path / "out", *task)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["items"] == 12
    assert re.search(r"target \S+/out: 0\.5M parameters, float\d+ on (cpu|cuda)\S*, batches of \d+", done.stderr)


def test_the_card_holds_what_the_hub_reads_and_what_a_reader_asks(full, tmp_path):
    export(full, tmp_path / "out")
    found = ModelCard.load(tmp_path / "out/README.md")
    data = found.data
    assert (data.base_model, data.library_name, data.license) == ("tiny", "transformers", "apache-2.0")
    assert "errata" in data.tags and data.language == ["en"]
    scores = {(row.dataset_name, row.dataset_split): row.metric_value for row in data.eval_results}
    assert scores == {("sums", "test"): 0.75, ("sums", "dev"): 0.75}
    text = found.text
    for said in (
        "| `sums test` | 12 | 33.3 [14, 61] | 75.0 [47, 91] |",
        "| 1 | yes | 1 | 1 | 1 | 3 | 24 | 33.3 to 75.0 |",
        "Instructor: `offline`, strategy `LearnFromError`",
        "`tiny` is under `apache-2.0`, says its model card",
        "were not solved a second time by a model",
        "vllm serve path/to/my_run",
    ):
        assert said in text


def test_weights_kept_without_proof_and_scores_of_several_benchmarks_are_told_as_what_they_are(full, tmp_path):
    run = shutil.copytree(full, tmp_path / "run")
    gate = Stage(run / "round-1/gate")
    (decision,) = gate.read("decision.jsonl", GateDecision)
    (gate.path / "manifest.json").unlink()
    several = {"task": "sums+facts", "benchmarks": ("sums", "facts"), "unproven": True, "reason": "no gain"}
    gate.finish({"decision.jsonl": [decision.model_copy(update=several)]})
    told = export(run, tmp_path / "out")
    assert list(told["scores"]) == ["sums test", "sums dev"]
    page = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "kept because the run was told to, not because they are better: `no gain`" in page
    assert "because they did better" not in page


def test_text_of_data_means_nothing_in_the_card_and_no_path_of_this_machine_stands_in_it(full, lora, tmp_path):
    for run, merge in ((full, True), (lora, False)):
        export(run, tmp_path / run.name, merge=merge)
        text = (tmp_path / run.name / "README.md").read_text(encoding="utf-8")
        outside = re.sub(r"`[^`\n]*`", "", text)
        assert "<script" in text and "<" not in outside and "evil" not in outside
        assert "\u202e" not in text and "\n# a head" not in text
        assert str(tmp_path) not in text and str(run.parent) not in text and str(Path.home()) not in text and "/tmp" not in text
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("openai//srv/models/llama", "openai/llama"),
        ("openai/~/models/llama/", "openai/llama"),
        ("openai/C:\\models\\llama", "openai/llama"),
        ("hosted_vllm/Qwen/Qwen3-8B", "hosted_vllm/Qwen/Qwen3-8B"),
        ("offline", "offline"),
    ],
)
def test_a_served_instructors_path_is_reduced_to_its_name(name, shown):
    assert card.without_place(name) == shown


def test_the_licence_is_what_the_bases_own_card_says(tmp_path):
    assert card.licence_of(None) == ({"license": "unknown"}, "")
    assert card.licence_of(tmp_path) == ({"license": "unknown"}, "")
    (tmp_path / "config.json").write_text('{"license": "MIT"}')
    assert card.licence_of(tmp_path) == ({"license": "mit"}, "its config.json")
    head = "license: other\nlicense_name: qwen\nlicense_link: https://example.org/l\nlanguage: [en, de, '<b>']"
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\n# Qwen")
    fields = {"license": "other", "license_name": "qwen", "license_link": "https://example.org/l", "language": ["en", "de"]}
    assert card.licence_of(tmp_path) == (fields, "its model card")
    (tmp_path / "README.md").write_text("---\nlicense: our-terms\n---\n")
    assert card.licence_of(tmp_path) == ({"license": "other", "license_name": "our-terms"}, "its model card")
    for broken in ("---\nlicense: [a\n---\n", "---\nlicense: '<script>'\n---\n", "---\n- a\n---\n", "no head"):
        (tmp_path / "README.md").write_text(broken)
        assert card.licence_of(tmp_path).source == "its config.json"


FACTS = card.Facts("q", "merged", "abc", "bfloat16", 0, "Qwen/Qwen3-0.6B", True, True, False, 1, (1,))


def test_the_lines_quote_places_and_name_the_base_of_an_adapter():
    whole = card.ready(FACTS, "/data/a b", "", "gsm8k:x/y")
    assert whole["vllm"] == "vllm serve '/data/a b' --served-model-name q"
    assert whole["lm_eval"] == "lm_eval --model hf --model_args 'pretrained=/data/a b' --tasks gsm8k --apply_chat_template --batch_size 8"
    assert whole["inspect"] == "inspect eval inspect_evals/gsm8k --model hf/local -M model_path='/data/a b' -M do_sample=false"
    several = card.ready(FACTS, "out", "", "sums+gsm8k:x/y+mbpp")
    assert several["lm_eval"].startswith("HF_ALLOW_CODE_EVAL=1 lm_eval --model hf --model_args pretrained=out --tasks gsm8k,mbpp --apply")
    assert several["inspect"].startswith("inspect eval inspect_evals/gsm8k inspect_evals/mbpp --model hf/local")
    adapter = card.ready(FACTS._replace(form="adapter", rank=20, chat=False), "out", "Qwen/Qwen3-0.6B", "mbpp")
    assert adapter["vllm"] == "vllm serve Qwen/Qwen3-0.6B --enable-lora --lora-modules q=out --max-lora-rank 32"
    assert adapter["lm_eval"] == (
        "HF_ALLOW_CODE_EVAL=1 lm_eval --model hf --model_args pretrained=Qwen/Qwen3-0.6B,peft=out --tasks mbpp --batch_size 8 "
        "--confirm_run_unsafe_code"
    )
    assert adapter["errata"] == "errata evaluate --task mbpp --target Qwen/Qwen3-0.6B --adapter out"


def test_the_lines_measure_as_the_run_did_and_other_harnesses_are_named_only_for_tasks_they_have():
    table = TableSettings(question="{a}\n{b's}", verdict="choice", choices=("x", "y"), max_new_tokens=9)
    own = card.ready(FACTS._replace(measured="float32"), "out", "", "jsonl:my data.jsonl", CycleConfig(table=table))
    assert sorted(own) == ["errata", "vllm"]
    assert own["vllm"] == "vllm serve out --served-model-name q --dtype float32"
    assert " --set table.verdict=choice " in own["errata"]
    words = shlex.split(own["errata"])
    assert words[:6] == ["errata", "evaluate", "--task", "jsonl:my data.jsonl", "--target", "out"]
    given = dict(map(parse_override, words[7::2]))
    assert TableSettings(**{name.removeprefix("table."): value for name, value in given.items()}) == table
    known = card.ready(FACTS._replace(measured="float32"), "out", "", "gsm8k:x", CycleConfig(table=table))
    assert "pretrained=out,dtype=float32 " in known["lm_eval"] and "--set" not in known["errata"]
    prose = CycleConfig(table=TableSettings(verdict="judge", rubric="It is kind."), instructor=InstructorSettings(model="openai/lm"))
    given = shlex.split(card.ready(FACTS, "out", "", "jsonl:x", prose)["errata"])
    assert ("judge.model", "openai/lm") in [parse_override(word) for word in given if word.startswith("judge.")]


def test_a_run_that_began_with_a_gguf_file_is_told_the_way_back(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    llama, says = models.make("llama", tmp_path / "llama"), "Say \\n, 'yes'\nor  \"no\", 100 %."
    turn = f"{{% if messages[0]['role'] != 'system' %}}<|start_header_id|>system<|end_header_id|>\n\n{says}<|eot_id|>{{% endif %}}"
    (llama / "chat_template.jinja").write_text(models.LLAMA.replace("{% for", turn + "{% for", 1))
    began = gguf_files.write(llama, tmp_path / "my small.gguf", "BF16", general__license="apache-2.0")
    more = f'\nSYSTEM """{says}"""\nPARAMETER temperature 0\nPARAMETER repeat_penalty 1\n'
    run = make_run(tmp_path / "run", method="lora", **{"target.model": str(began)})
    merged = export(run, tmp_path / "out")
    assert merged["base"] == "my_small" and merged["dtype"] == "bfloat16"
    assert Target.load(TargetSettings(model=merged["out"])).dtype == "float32"
    assert merged["lines"]["gguf"] == f"python llama.cpp/convert_hf_to_gguf.py {merged['out']} --outtype bf16 --outfile run.gguf"
    assert modelfile(merged["lines"]["ollama"], tmp_path) == f"FROM ./run.gguf{more}"
    assert merged["lines"]["ollama"].endswith(" > Modelfile && ollama create run -f Modelfile")
    assert "under `apache-2.0`, says its GGUF file" in (tmp_path / "out" / "README.md").read_text()
    adapter = export(run, tmp_path / "adapter", merge=False)
    script, base = f"python llama.cpp/convert_lora_to_gguf.py {adapter['out']}", folder_of(str(began))
    assert adapter["lines"]["gguf"] == f"{script} --base {base} --outfile run.gguf"
    assert modelfile(adapter["lines"]["ollama"], tmp_path) == f"FROM {began}\nADAPTER ./run.gguf{more}"
    card_text = (tmp_path / "adapter" / "README.md").read_text()
    (line,) = (line for line in card_text.splitlines() if "Modelfile" in line)
    assert modelfile(line, tmp_path).split() == f"FROM path/to/my small.gguf\nADAPTER ./run.gguf{more}".split()
    assert modelfile(line, tmp_path).count("\n") == 6 and str(tmp_path) not in card_text


def modelfile(line: str, place: Path) -> str:
    """What the line writes, without Ollama."""
    subprocess.run(line.partition(" && ")[0], shell=True, check=True, cwd=place)
    return (place / "Modelfile").read_text()


# ---- refusals


def test_what_cannot_be_exported_is_told_in_one_line_and_leaves_nothing(full, tmp_path, command):
    def changed(name, change):
        run = tmp_path / name
        shutil.copytree(full, run)
        change(run)
        return run

    def flip(run):
        weights = run / "round-1/train/weights/model.safetensors"
        data = weights.read_bytes()
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    def extend(run):
        known = json.loads((run / "run.json").read_text())
        known.pop("seal", None)
        known["config"]["rounds"] = 3
        (run / "run.json").write_text(json.dumps(known))

    def reject(run):
        shutil.copytree(run / "round-2/gate", run / "round-1/gate", dirs_exist_ok=True)

    used = tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").write_text("mine")
    cases = [
        ([tmp_path / "nowhere"], 2, "is not a run directory"),
        ([changed("begun", lambda run: (run / "result.json").unlink())], 1, "has not come to its end"),
        ([changed("more", extend)], 1, "has not come to its end"),
        ([changed("none", reject)], 1, "has no accepted round"),
        ([changed("gone", lambda run: shutil.rmtree(run / "round-1/train/weights"))], 1, "is missing"),
        ([changed("flipped", flip)], 1, "are not those that were trained"),
        ([full, "--round", "2"], 2, "was not accepted, only 1"),
        ([full, "--adapter"], 2, "there is no adapter"),
        ([full, "--public"], 2, "give --push OWNER/NAME"),
        ([full, "--push", "no-owner"], 2, "--push takes OWNER/NAME"),
        ([full, "--push", "a/b/c"], 2, "--push a/b/c"),
        ([full, "--out", used], 1, "is not an empty folder"),
        ([full, "--out", used / "mine.txt"], 1, "is not an empty folder"),
        ([full, "--out", used / "mine.txt/deep"], 1, "cannot be written"),
    ]
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for args, code, said in cases:
        done = command("export", *args, "-q")
        assert (done.exit_code, len(done.stderr.strip().splitlines())) == (code, 1), done.output
        assert said in done.stderr
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_an_interrupted_export_leaves_no_folder_and_an_empty_one_is_taken(full, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    stale = tmp_path / ".out.partial"  # of an export that was killed
    stale.mkdir()
    (stale / "config.json").write_text("{}")
    seen = []

    def interrupted(*args):
        seen.extend(path.name for path in stale.iterdir())
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(card, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export(full, out)
    assert "model.safetensors" in seen
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and not list(out.iterdir())
    export(full, out)
    assert (out / "README.md").exists()
    assert out.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ---- the hub


class Hub:
    """What `export` uses of huggingface_hub.HfApi."""

    def __init__(self, private: bool | None = None):
        self.private, self.calls = private, []

    def whoami(self):
        return {"name": "me"}

    def repo_info(self, repo, repo_type):
        assert repo_type == "model"
        if self.private is None:
            import httpx

            response = httpx.Response(404, request=httpx.Request("GET", "https://huggingface.co"))
            raise huggingface_hub.errors.RepositoryNotFoundError("404", response=response)
        return type("Info", (), {"private": self.private})()

    def create_repo(self, repo, private, exist_ok, repo_type):
        assert repo_type == "model"
        self.calls.append((repo, private, exist_ok))
        return f"https://huggingface.co/{repo}"

    def upload_folder(self, repo_id, folder_path, commit_message, delete_patterns, repo_type):
        assert repo_type == "model"
        self.calls.append((repo_id, sorted(path.name for path in Path(folder_path).iterdir()), delete_patterns))


@pytest.mark.parametrize("public", [False, True])
def test_push_makes_a_private_repository_and_uploads_the_whole_folder(lora, tmp_path, command, monkeypatch, public):
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    done = command("export", lora, "--adapter", "--out", tmp_path / "out", "--push", "me/better", *(["--public"] if public else []))
    assert done.exit_code == 0, done.output
    created, uploaded = hub.calls
    assert created == ("me/better", not public, True)
    assert uploaded[:2] == ("me/better", sorted(path.name for path in (tmp_path / "out").iterdir()))
    assert "*.safetensors" in uploaded[2]
    assert "pushed: https://huggingface.co/me/better" in done.stdout
    assert "--lora-modules better=me/better" in (tmp_path / "out/README.md").read_text()


def test_a_push_finds_all_that_it_needs_of_the_hub_in_a_process_of_its_own():
    code = "from errata.programs.report.export import open_hub\nopen_hub('a b/c', False)"  # other imports hide a missing one
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UsageError: --push a b/c: Repo id must" in done.stderr


def test_a_public_repository_that_exists_is_not_pushed_to_as_private(full, tmp_path, monkeypatch):
    hub = Hub(private=False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    with pytest.raises(UsageError, match="is public: add --public"):
        export(full, tmp_path / "out", push="me/better")
    assert not hub.calls and not (tmp_path / "out").exists()


def test_no_login_and_no_network_are_one_line_before_anything_is_written(full, tmp_path, command, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: None)
    done = command("export", full, "--out", tmp_path / "out", "--push", "me/better", "-q")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "no login to the hub for me/better: `hf auth login`, or set HF_TOKEN; nothing was exported" in done.stderr
    monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: "hf_secret")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = command("export", full, "--out", tmp_path / "out", "--push", "me/better", "-q")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "the hub did not take me/better" in done.stderr and "hf_secret" not in done.output
    assert not (tmp_path / "out").exists()


def test_a_push_that_fails_keeps_the_export_and_says_how_to_go_on(full, tmp_path, monkeypatch):
    hub = Hub(private=True)
    monkeypatch.setattr(hub, "upload_folder", lambda **_: (_ for _ in ()).throw(ConnectionError("reset by peer\nand more")))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    out = tmp_path / "out"
    with pytest.raises(
        RunError, match=re.escape(f"(reset by peer): check name, network and the token's rights; the export stands in {out}")
    ):
        export(full, out, push="me/better")
    assert (out / "README.md").exists()


def test_weights_that_change_while_they_are_copied_are_refused(full, tmp_path, monkeypatch):
    monkeypatch.setattr("errata.trainers.export.weights_hash", lambda settings: "0" * 16)
    with pytest.raises(TargetError, match="the copy of the weights reads as 0000"):
        export(full, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def paired_run(tmp_path, pairs, before=()):
    run = fake_run(tmp_path / "run", {"sums": ["add"]}, rounds=1)
    samples = layout.samples(run, 1)
    said = lambda text: ({"role": "assistant", "content": text},)  # noqa: E731
    rows = [
        Pair(
            prompt=(*before, {"role": "user", "content": sample.example.question}),
            chosen=said("It is 4."),
            rejected=said("It is 5."),
            source=sample.id,
            chosen_from="solution",
            rejected_from="own",
        )
        for sample in samples[:pairs]
    ]
    layout.pairs(run, 1, 1).finish(
        {layout.PAIRS: rows},
        pairs=len(rows),
        told=f"{len(rows)} pairs of 3 questions",
        reason="" if rows else "none of 3 questions has one",
    )
    return run, samples


def test_pairs_are_exported_as_preference_data_with_their_lineage(tmp_path):
    run, samples = paired_run(tmp_path, 2)
    done = CliRunner().invoke(app, ["export", str(run), "--pairs", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["pairs"], found["chosen"], found["rejected"]) == (2, {"solution": 2}, {"own": 2})
    rows = [json.loads(line) for line in (run / "pairs.jsonl").read_text().splitlines()]
    assert [(row["source"], row["program"], row["round"]) for row in rows] == [(one.id, one.program_id, 1) for one in samples[:2]]
    assert rows[0]["prompt"] == [{"role": "user", "content": samples[0].example.question}]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "It is 4."}]
    assert CliRunner().invoke(app, ["export", str(run), "--pairs"]).exit_code == 0  # the same file once more
    other = tmp_path / "mine.jsonl"
    other.write_text("mine")
    kept = CliRunner().invoke(app, ["export", str(run), "--pairs", "--out", str(other)])
    assert (kept.exit_code, other.read_text()) == (1, "mine")


def test_tools_of_pairs_are_a_field_of_their_own(tmp_path):
    tools = [{"type": "function", "function": {"name": "now", "parameters": {}}}]
    run, samples = paired_run(tmp_path, 1, ({"role": "tools", "content": json.dumps(tools)},))
    export_pairs(run)
    row = json.loads((run / "pairs.jsonl").read_text())
    assert (row["tools"], row["prompt"]) == (tools, [{"role": "user", "content": samples[0].example.question}])


def test_a_run_without_pairs_says_why_there_are_none(tmp_path):
    run, _ = paired_run(tmp_path, 0)
    with pytest.raises(RunError, match="holds no pairs: round 1: none of 3 questions has one"):
        export_pairs(run)
    with pytest.raises(RunError, match="no stage dpo or kto has made any"):
        export_pairs(fake_run(tmp_path / "other", {"sums": ["add"]}, rounds=1))
    assert not (run / "pairs.jsonl").exists()
