"""A target in one GGUF file: dequantized once into the user's cache, as a folder that transformers loads like any other.

The folder is named by the hash of the file and holds all that belongs to it, so that the same file at another place is the same weights.
transformers reads the weights, with the package gguf, in the width of the file's matrices: what is quantized becomes bfloat16, whose own
rounding is several times finer than that of 8 bits, and float32, float16 and bfloat16 stay.
Does NOT cover: the way back (llama.cpp), adapters in GGUF, the factors that stretch the context of Llama 3.1 (`rope_freqs`), which
transformers does not read.
"""

import errno
import json
import os
import shutil
import threading
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from ..signatures.errors import TargetError, first_line, memory_ran_out, with_extra
from ..signatures.files import cache_folder, sha256, sync
from .chat import encode, render

ABOUT = "gguf.json"
"""In the folder: what the file was, and the sizes of the others."""

LOADING = threading.Lock()
"""One thread loads at a time: transformers and peft change their classes while they load, and two at once leave them changed for good."""

_FOLDER = "give a folder of the model with config.json and *.safetensors (`hf download OWNER/NAME --local-dir FOLDER`)"
_ENDS = tuple(f"tokenizer.ggml.{end}_token_id" for end in ("eos", "eot", "eom"))
_PROBE = "Errata"


def gguf_file(model: str) -> Path | None:
    """The GGUF file that a name stands for: a file, of whatever name, or the only one of a folder without config.json. None: it stands for
    none. Raises TargetError for a folder that holds several."""
    path = Path(model).expanduser()
    if model and path.is_file():
        try:
            with path.open("rb") as file:
                return path if file.read(4) == b"GGUF" or path.suffix.lower() == ".gguf" else None
        except OSError as error:
            raise TargetError(f"{model} cannot be read: {error.strerror}") from None
    if model in ("", "tiny") or not path.is_dir() or any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
        return None
    files = sorted(file for file in path.glob("*.gguf") if not file.name.startswith("mmproj"))  # the eyes of the model beside it
    if len(files) > 1:
        raise TargetError(f"{model} holds {len(files)} GGUF files: give one of them, e.g. {files[0]}")
    return files[0] if files else None


def dequantized(file: Path) -> Path:
    """The folder of the model in `file`; made now where it is not in the cache yet. Raises TargetError."""
    out = cached(file)
    if out is None:
        raise TargetError(f"{file} is a GGUF file, and there is no folder of yours to dequantize it into: set XDG_CACHE_HOME to one")
    if _is_whole(out):
        return out
    out.parent.mkdir(exist_ok=True)
    with FileLock(f"{out}.lock"):  # of two processes the second waits, and finds it done
        if not _is_whole(out):
            partial = out.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
            try:
                _write(file, partial)
                shutil.rmtree(out, ignore_errors=True)
                partial.replace(out)
            except Exception as error:
                raise _told(file, out, error) from None
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return out


def about(model: str) -> str | None:
    """What a target that is a GGUF file holds and where it is dequantized, which is done now where it was not yet; None: it is none. Raises
    TargetError."""
    file = gguf_file(model)
    if file is None:
        return None
    out = dequantized(file)
    known = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    template = "its chat template comes along" if known["template"] else "it has no chat template, so its prompts are plain text"
    rope = (
        "; its factors for long contexts (rope_freqs) are not read, so a folder of the model is the better target" if known["rope"] else ""
    )
    return f"{known['architecture']} in {known['kind']}, dequantized into {out} as {known['dtype']}; {template}{rope}"


def outline(file: Path) -> tuple[dict[str, Any], int, bool]:
    """The config of the model in `file`, how many parameters it has, and whether it becomes one of 16 bits; nothing is dequantized. Raises
    TargetError."""
    from transformers import AutoConfig

    reader = _reader(file)
    try:
        config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    except Exception as error:
        raise _told(file, file, error) from None
    return config.to_dict(), int(sum(tensor.n_elements for tensor in reader.tensors)), _width(reader) != "float32"


def cached(file: Path) -> Path | None:
    """Where it is dequantized to, by the hash of its content; None: there is no cache."""
    place = cache_folder()
    return place and place / "gguf" / sha256(file)[:32]


def made(file: Path) -> Path | None:
    """The folder where it holds all that was written into it; None: it is still to be made."""
    try:
        out = cached(file)
    except OSError:
        return None
    return out if out and _is_whole(out) else None


def _is_whole(folder: Path) -> bool:
    """Whether it holds all that was written into it."""
    try:
        sizes = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _reader(file: Path) -> Any:
    """What gguf reads of the file, whose model is whole in it. Raises TargetError."""
    if find_spec("gguf") is None:
        raise TargetError(f"{file} is a GGUF file, and the package gguf that reads it is not installed: {with_extra('gguf')}")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        kind, parts = _field(reader, "general.type", "model"), _field(reader, "split.count", 1)
        _field(reader, "general.architecture")
    except Exception as error:  # a damaged file raises nearly anything
        raise TargetError(f"{file} is no GGUF file, or not a whole one ({first_line(error)}): fetch it again") from None
    if kind != "model":
        raise TargetError(f"{file} holds no model but a GGUF of the type {kind}: give the file of the model itself")
    if parts > 1:
        join = "`llama-gguf-split --merge FIRST_PART OUT.gguf` of llama.cpp joins them"
        raise TargetError(f"{file} is one of {parts} parts of a model: {join}; then give OUT.gguf")
    return reader


def _field(reader: Any, name: str, usual: Any = None) -> Any:
    """A value of the file's metadata. Raises KeyError where it is missing and there is no usual one."""
    return reader.fields[name].contents() if usual is None or name in reader.fields else usual


def _kinds(reader: Any) -> Counter[str]:
    """How many of the file's matrices are of each kind."""
    return Counter(tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1)


def _width(reader: Any) -> str:
    """The number format that its matrices are dequantized into."""
    widths, kinds = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}, _kinds(reader)
    held = [dtype for name, dtype in widths.items() if name in kinds]
    return held[0] if held and kinds.keys() <= widths.keys() else "bfloat16"


def _write(file: Path, out: Path) -> None:
    """Writes the folder, its weights first and what it is about last."""
    import torch

    reader = _reader(file)
    kinds, dtype = _kinds(reader), getattr(torch, _width(reader))
    alone = out / "alone"  # beside other files of the user's, transformers would read those too
    alone.mkdir(parents=True)
    if sum(int(tensor.n_elements) for tensor in reader.tensors) * dtype.itemsize > shutil.disk_usage(out).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        (alone / "model.gguf").symlink_to(file.absolute())
    except OSError:  # Windows asks for a right to it
        shutil.copyfile(file, alone / "model.gguf")
    with LOADING:
        template = _convert(alone, out, dtype, [int(_field(reader, name)) for name in _ENDS if name in reader.fields])
    shutil.rmtree(alone)
    known = {"architecture": _field(reader, "general.architecture"), "kind": kinds.most_common(1)[0][0] if kinds else "no matrices"}
    known |= {"dtype": str(dtype).removeprefix("torch."), "template": template, "file": file.name}
    known |= {"rope": any(tensor.name.startswith("rope_f") for tensor in reader.tensors)}
    known |= {"license": _field(reader, "general.license", "unknown"), "sizes": {path.name: path.stat().st_size for path in out.iterdir()}}
    (out / ABOUT).write_text(json.dumps(known, indent=1), encoding="utf-8")
    for path in out.iterdir():
        sync(path)


def _convert(place: Path, out: Path, dtype: Any, ends: list[int]) -> bool:
    """Writes the model and the tokenizer of model.gguf, which lies alone at `place`, and the tokens that end an answer. Returns whether it
    has a chat template."""
    import torch
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast, modeling_gguf_pytorch_utils

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    modeling_gguf_pytorch_utils.tqdm = lambda tensors, **_: tensors  # its bar would stand between the lines of progress
    tokenizer = PreTrainedTokenizerFast.from_pretrained(place, gguf_file="model.gguf")
    config = AutoConfig.from_pretrained(place, gguf_file="model.gguf", trust_remote_code=False)
    config.__dict__.pop("_model_name_or_path", None)
    more: dict[str, Any] = {"gguf_file": "model.gguf", "config": config, "dtype": dtype, "output_loading_info": True}
    loaded, found = cast(Any, AutoModelForCausalLM.from_pretrained(place, trust_remote_code=False, **more))
    if missing := sorted(found["missing_keys"]):  # they would be random numbers
        raise TargetError(f"a GGUF file lacks {len(missing)} tensors that transformers needs for its model, e.g. {missing[0]}: {_FOLDER}")
    with torch.device("meta"):  # what was read from a GGUF file refuses to be saved
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    ends = list(dict.fromkeys([*ends, *_closing(tokenizer)]))
    bos, pad = tokenizer.bos_token_id, tokenizer.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=ends or None, bos_token_id=bos, pad_token_id=pad)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    path = out / "tokenizer_config.json"  # transformers 4, which llama.cpp's converters ask for, does not know the class that 5 writes
    path.write_bytes(json.dumps(json.loads(path.read_bytes()) | {"tokenizer_class": "PreTrainedTokenizerFast"}, indent=2).encode())
    return bool(tokenizer.chat_template)


def _closing(tokenizer: Any) -> list[int]:
    """The special token that the chat template closes an answer with: files name one end, and chats of some models end with another."""
    if not tokenizer.chat_template:
        return []
    try:
        text = render(tokenizer, [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}], generate=False)
    except TargetError:  # told when the target is asked
        return []
    ids = encode(tokenizer, [text.rpartition(_PROBE)[2].strip()])[0]
    added = tokenizer.added_tokens_decoder
    return [token for token in ids[:1] if token in added and added[token].special]


def _told(file: Path, out: Path, error: Exception) -> TargetError:
    """What an error on the way means, in one line."""
    if isinstance(error, TargetError):
        return error
    if memory_ran_out(error):
        return TargetError(f"{file} does not fit in memory when it is dequantized: give a smaller model")
    if os.strerror(errno.ENOSPC) in str(error):
        return TargetError(
            f"the disk that holds {out.parent} is too full to dequantize {file} into: free some space, or set XDG_CACHE_HOME"
        )
    if "rchitecture" in str(error):
        return TargetError(f"transformers reads no GGUF file of this kind ({first_line(error)[:200]}): {_FOLDER}")
    return TargetError(f"{file} cannot be read by transformers ({first_line(error)}): fetch it again, or {_FOLDER}")
