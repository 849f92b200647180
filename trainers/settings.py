"""Settings of the target and of its training. Light: a command line may import this without loading torch.

Does NOT cover: what a setting does inside the libraries; `target` and `sft` refuse values that cannot work.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..signatures.calls import TIMEOUT

SMALL = 20_000_000
"""Parameters of a small model: changed whole by default, computed with one thread, asked in wide batches."""
GROUPED = "group_by_length"
"""The `train_sampling_strategy` by which rows of about one length share a step."""
GRPO_STEPS, GRPO_ANSWERS = 40, 64
"""Steps of the stage `grpo` where its settings name none, and answers of a step."""


AUTO = "auto"
"""For `api_base`: vLLM that Errata starts (errata.trainers.served.vllm)."""
Stage = Literal["sft", "grpo", "dpo", "kto", "sdft"]
STRENGTH = {
    ("sft", "full"): (1e-3, 0.6, 15.0),
    ("sft", "lora"): (2e-4, 1.0, 0.0),
    ("grpo", "full"): (1e-4, 1.0, 0.0),
    ("grpo", "lora"): (2e-5, 1.0, 0.0),
    ("dpo", "full"): (3e-5, 1.0, 0.0),
    ("dpo", "lora"): (2e-5, 1.0, 0.0),
    ("kto", "full"): (3e-5, 1.0, 0.0),
    ("kto", "lora"): (2e-5, 1.0, 0.0),
    ("sdft", "full"): (1e-5, 1.0, 0.0),
    ("sdft", "lora"): (1e-4, 1.0, 0.0),
}
"""(stage, method) -> learning rate, blend and noise."""


class TargetSettings(BaseModel):
    """Which model is improved, and where it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    model: str = "tiny"
    """`tiny` (shipped with Errata), a folder, a GGUF file, or the hub id of a causal language model. A GGUF file is dequantized once, into
    the user's cache. With `api_base`, the same weights on this machine, which training needs; empty, as it then is by default, only the
    server has them."""
    adapter: str | None = None
    """Folder of a PEFT adapter that was trained on `model`; None: the model without one."""
    device: str = "auto"
    """`auto` (CUDA where there is one, else MPS, the GPU of Apple silicon, else CPU), `cpu`, `cuda`, `cuda:1`, `mps`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights; `auto` is the model's own on a GPU, float32 on MPS before macOS 14 (no bfloat16), and on a CPU float32
    or, where the CPU has instructions for it and the weights are stored in 16 bits, bfloat16 once a run has seen that its verdicts on 64
    train items stay the same but for 5 %."""
    batch_size: int | None = Field(default=None, ge=1)
    """Prompts answered at once; None begins by the model's size, doubles while a GPU has more than half of its memory left,
    and halves when memory runs out; of each server, 64."""
    stop_loops: bool = False
    """Whether an answer of a model in this process ends, as cut, once a block of 8 or more tokens stands 8 times in a row at its end. It
    saves the time of models that loop until the token limit; figures that are published are made without it. No server can do it."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the model may run in this process."""
    api_base: str | tuple[str, ...] | None = None
    """Address of an OpenAI-compatible server that answers for the target, e.g. `http://localhost:8000/v1`, a list of several that serve
    the same model and share the questions, or `auto` for vLLM that Errata starts and ends. It is trained here, with LoRA; a cycle needs
    vLLM, into which each round's adapter is loaded under a new name."""
    served_name: str | None = None
    """The target's name at the server; None: as `model` is written, or the only one that is served. Needed where `model` is empty."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the server's key; where it is not set, no key is sent."""
    timeout: float = Field(default=TIMEOUT, gt=0)
    """Most seconds for one whole reply of the server; then it is asked again."""
    refusals: float = Field(default=0.01, ge=0, le=1)
    """Largest share of the questions of an evaluation that the server may refuse (5 in any case); those stay unjudged."""
    server_paths: tuple[tuple[str, str], ...] = ()
    """Folders of this machine and where the server sees them, e.g. `[[/home/me/runs, /runs]]` for a server in a container."""
    vllm_python: str | None = None
    """The Python of an environment that has vLLM, or its folder, for `api_base: auto`; None: the environment of Errata where it has vLLM,
    else the program `vllm` on PATH. With `cluster`, those of each node."""
    vllm_args: str = ""
    """More flags for the vLLM of `api_base: auto`, as on its command line, e.g. `--gpu-memory-utilization 0.7`; they win over Errata's.
    With `--tensor-parallel-size 2` each server takes two GPUs."""

    @model_validator(mode="before")
    @classmethod
    def _unknown_weights(cls, data: Any) -> Any:
        return {"model": "", **data} if isinstance(data, dict) and data.get("api_base") not in (None, AUTO, [AUTO], (AUTO,)) else data

    @field_validator("api_base", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        """One address, also of a list of one, or several: a list, or a text with commas between them; or `auto`."""
        if value in (None, AUTO, [AUTO], (AUTO,)):
            return value and AUTO
        given = list(value) if isinstance(value, list | tuple) else [value]
        if not given:
            raise ValueError("the list is empty: give an address such as http://localhost:8000/v1, or null for a target in this process")
        if wrong := [one for one in given if not isinstance(one, str)]:
            raise ValueError(f"{str(wrong[0])[:50]} is not an address: write each as http://HOST:PORT/v1")
        found = [part.strip() for one in given for part in re.split(r",(?=\s*https?://)", one)]
        # a password, which may hold anything, is refused elsewhere without being shown
        if bad := [one for one in found if not re.match(r"https?://[^/]", one) or (re.search(r"[\s,]", one) and "@" not in one)]:
            parts = re.split(r"[\s,]+", bad[0].strip(", "))
            wrong = [part for part in parts if not re.match(r"https?://[^/]", part)]
            if not wrong:
                raise ValueError(f"{bad[0][:100]!r} is not an address: put a comma between several")
            raise ValueError(f"{wrong[0][:100]!r} is not an address: write it as http://HOST:PORT/v1")
        twice, times = Counter(one.rstrip("/") for one in found).most_common(1)[0]
        if times > 1:
            raise ValueError(f"{twice} stands twice: name each server once")
        return found[0] if len(found) == 1 else tuple(found)

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the servers; none where the target answers in this process, or at servers that are not started yet."""
        if self.api_base is None or self.api_base == AUTO:
            return ()
        return (self.api_base,) if isinstance(self.api_base, str) else self.api_base

    @property
    def title(self) -> str:
        """What the target is called: its model, its name at the server, or where it is."""
        return self.model or self.served_name or ", ".join(self.servers)

    @model_validator(mode="after")
    def _in_process(self) -> Self:
        if self.api_base and self.stop_loops:
            raise ValueError("target.stop_loops is for models in this process, and a server ends its answers itself: leave it out")
        return self


class TrainSettings(BaseModel):
    """How the target is fine-tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    method: Literal["auto", "lora", "full"] = "auto"
    """`full` changes all weights, `lora` trains an adapter; `auto` is full below 20 million parameters, LoRA above
    or where the target already has an adapter, which is then trained on."""
    stages: tuple[Stage, ...] | None = Field(default=None, min_length=1)
    """Kinds of training of a round, each from the weights that the one before it left: `sft` on the round's rows, `grpo` on the target's
    own answers to draws of the kept programs and to train items, `dpo` and `kto` on pairs of a right and a wrong answer to one question,
    `sdft` on the questions of the round's rows, with the target that is shown their solutions as its own teacher.
    The gate chooses among what stands after each. None: `sft`, and for `tiny` then `grpo`, which proved best there
    (docs/evidence/onpolicy.md)."""
    practice: Literal["programs+items", "items", "programs"] = "programs+items"
    """What a stage on own answers draws its prompts from: kept programs and train items, or one of the two. Items are those that the target
    was asked, and where the strategy trains on items of its own choice (`Uniform`) those too; `items` asks what programs add."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the rows."""
    steps: int | None = Field(default=None, ge=1)
    """Steps of a stage that trains on rows, however many passes that takes, so that trainings on unequal rows are of equal length; None:
    as `epochs` says. A stage on own answers takes the `max_steps` of its own settings; those of a stage win here too."""
    seconds: float | None = Field(default=None, gt=0)
    """Most seconds of steps of each stage, over all its starts: it ends with the step that reaches them and keeps what it has learned, by
    a learning rate that falls as for all planned steps. What it ends with then depends on the speed of the machine, so that two
    trainings do not give the same bytes. None: no limit."""
    rollouts: int | None = Field(default=None, ge=1)
    """Most answers that each stage on own answers samples, those of exchanged prompts too. None: no limit."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Highest learning rate of a linear schedule on rows; None is 1e-3 for full and 2e-4 for LoRA. Another stage takes that of its own
    settings, e.g. `train.grpo.learning_rate`; by default, full and LoRA: `grpo` 1e-4 and 2e-5, `dpo` and `kto` 3e-5 and 2e-5,
    `sdft` 1e-5 and 1e-4."""
    batch_size: int = Field(default=16, ge=1)
    """Rows a step."""
    curriculum: bool = False
    """Whether each pass of `sft` begins with the easiest rows: they come by the level at which their programs drew them, replayed ones
    among them, and not at random. Where `steps` are fewer than a pass has, the hardest rows are never seen."""
    max_length: int = Field(default=1024, ge=8)
    """Tokens of prompt and completion together; longer rows are cut at the end and counted."""
    max_lost_share: float = Field(default=0.05, ge=0, le=1)
    """Training is refused when more than this share of the rows is cut or has no token left to learn."""
    save_steps: int = Field(default=200, ge=1)
    """Steps between two checkpoints, from which a killed training continues. Where these take long, one is made five minutes after the
    last, too, at the next tenth step."""
    blend: float | dict[str, float] | None = None
    """How far the weights that a stage leaves go from the old ones towards the trained ones (of an adapter: its B matrices); less forgets
    less (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903). One number for every stage, or one for each that is named, e.g. `{sft: 0.5}`.
    None is 0.6 after `sft` that changes all weights, else 1."""
    noise: float | None = Field(default=None, ge=0)
    """Alpha of the noise on the embeddings in training; with some, less is forgotten out of domain (NEFTune, Jain et al.
    2023, arXiv 2310.05914). None is 15 for full and 0 for LoRA."""
    lora: dict[str, Any] = {}
    """Fields of peft.LoraConfig over the defaults r 16, lora_alpha 32, target_modules all-linear; not used when
    the target's own adapter is trained on."""
    sft: dict[str, Any] = {}
    """Fields of trl.SFTConfig, handed through; they win over everything above. With `devices`, `{fsdp: true}` shares the model out among
    the GPUs (PyTorch's FSDP2) where each would else hold all of it."""
    grpo: dict[str, Any] = {}
    """Fields of trl.GRPOConfig, handed through; by default 40 steps of 64 answers, 8 to a prompt, at a rate of 1e-4 that falls to zero with
    a KL weight of 0.5, or 2e-5 and 0.1 for LoRA, which was not tried for effect yet."""
    dpo: dict[str, Any] = {}
    """Fields of trl.DPOConfig, handed through, over the defaults num_train_epochs 1, beta 0.1 and loss_type [sigmoid, sft]: the right
    answer is also learned as in `sft` (Pang et al. 2024, arXiv 2404.19733)."""
    kto: dict[str, Any] = {}
    """Fields of trl.KTOConfig, handed through, over the defaults num_train_epochs 1 and beta 0.1."""
    sdft: dict[str, Any] = {}
    """Fields of trl.experimental.sdft.SDFTConfig, handed through, over the default num_generations 1."""
    sdft_least: int = Field(default=100_000_000, ge=0)
    """Parameters of the smallest target that `sdft` takes: a smaller one does not use what it is shown."""
    samples: int = Field(default=4, ge=0)
    """Answers that the target samples to each question before a stage `dpo` or `kto`, to find right and wrong ones of its own; 0: pairs
    are made of the answers that are there already."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """`auto` (CUDA where there is one, else MPS, else CPU), `cpu`, `cuda`, `cuda:1` or `mps`."""
    devices: int = Field(default=1, ge=1)
    """GPUs of this machine that the stages `sft`, `dpo` and `kto` compute on side by side, or processes with `device` cpu. Each takes an
    equal part of a step's rows, so that rows of a step, steps and loss (within 1e-4) are those of one device."""

    @field_validator("blend")
    @classmethod
    def _shares(cls, value: float | dict[str, float] | None) -> float | dict[str, float] | None:
        by_stage = value if isinstance(value, dict) else {}
        if unknown := [name for name in by_stage if name not in get_args(Stage)]:
            raise ValueError(f"{unknown[0]!r} is not a stage: name {', '.join(get_args(Stage))}")
        shares = [value] if isinstance(value, float) else by_stage.values()
        if bad := [share for share in shares if not 0 < share <= 1]:
            raise ValueError(f"{bad[0]:g} is not above 0 and at most 1")
        return value

    @property
    def rows_each(self) -> int:
        """Rows of a step that each device computes."""
        return max(1, self.batch_size // self.devices)

    @property
    def order(self) -> tuple[str, ...]:
        """The stages of a round, one after another, where a run has settled them."""
        return self.stages or ("sft",)

    def sampling(self, parameters: int) -> str:
        """The order of rows in `sft`, as transformers names it. A long row makes all rows of its batch as long as itself, so rows of about
        one length share a step; what is small trains as it was measured."""
        return "sequential" if self.curriculum else GROUPED if parameters >= SMALL else "random"

    def method_for(self, parameters: int, adapter: str | None) -> str:
        """How a target of this many parameters is trained: `full` or `lora`."""
        return self.method if self.method != "auto" else "full" if parameters < SMALL and not adapter else "lora"

    def strength(self, method: str, stage: str = "sft") -> tuple[float, float, float]:
        """Learning rate, blend and noise of a `full` or `lora` training in a stage."""
        rate, blend, noise = STRENGTH[stage, method]
        given = self.blend.get(stage) if isinstance(self.blend, dict) else self.blend
        return (self.learning_rate if stage == "sft" else None) or rate, given or blend, noise if self.noise is None else self.noise


def too_small(parameters: int, settings: TrainSettings) -> str:
    """Why a target of this many parameters cannot be trained in the stages; empty: it can."""
    if "sdft" not in settings.order or parameters >= settings.sdft_least:
        return ""
    least = f"sdft needs {settings.sdft_least:,} (train.sdft_least)"
    return f"a target of {parameters:,} parameters cannot use a hint that it is shown; {least}: take sft or grpo in train.stages"


OnProgress = Callable[[dict[str, Any]], None]
"""Is given `step`, `steps`, `loss` and `epoch` of a training under way."""


class Job(BaseModel):
    """One training, as its child process is given it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    key: str
    """Hash of all that decides the weights: base, rows, settings, seed."""
    base: str
    """Hash of the weights it starts from."""
    data: str
    """Fingerprint of the rows."""
    rows: Path
    """File of the rows, one JSON document a line."""
    target: TargetSettings
    settings: TrainSettings
    seed: int
    out: Path
    """Absolute path of the training's folder."""
    stage: str = "sft"
    """Which kind of training: one of `TrainSettings.stages`, or `back` where there is a `start`."""
    answer_tokens: int = 0
    """Most new tokens of an answer that is sampled."""
    start: TargetSettings | None = None
    """Where a way back leads to, from the target's weights."""
    share: float = 1.0
    """How far from there to the target's weights it ends."""

    @property
    def weights(self) -> Path:
        return self.out / "weights"

    @property
    def checkpoints(self) -> Path:
        return self.out / "checkpoints"

    @property
    def scratch(self) -> Path:
        """Rows in the form that the training reads, while it is under way."""
        return self.out / "rows"

    @property
    def cap(self) -> Path:
        """Says why, where a cap ends the training at its next step that is logged, with a checkpoint."""
        return self.scratch / "cap"


def vllm_rank(rank: int) -> int:
    """The --max-lora-rank that an adapter of this rank needs: one of MaxLoRARanks of vLLM's config/lora.py."""
    return next((most for most in (1, 8, 16, 32, 64, 128, 256, 320, 512) if most >= rank), rank)
