"""A small Llama as one GGUF file, for tests, as llama.cpp's convert_hf_to_gguf.py writes it. Not covered: other families."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write(
    folder: Path, file: Path, kind: str = "F32", *, template: bool = True, architecture: str = "llama", leave_out: str = "none", **more: Any
) -> Path:
    """Writes the Llama in `folder` (of tests/models.py: byte-level BPE) into `file`, its matrices in the format `kind`. `leave_out` is in
    the names of tensors that are missing, `more` are fields of the metadata that are added, a dot written as two underscores."""
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    file.parent.mkdir(parents=True, exist_ok=True)
    out = gguf.GGUFWriter(file, architecture)
    out.add_name("small")
    for name, value in more.items():
        (out.add_uint16 if isinstance(value, int) else out.add_string)(name.replace("__", "."), value)
    out.add_block_count(config["num_hidden_layers"])
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(config["num_attention_heads"])
    out.add_head_count_kv(config["num_key_value_heads"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    out.add_vocab_size(config["vocab_size"])
    special = {token["id"] for token in tokenizer["added_tokens"]}
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda one: one[1])
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("default")
    out.add_token_list([token for token, _ in vocabulary])
    out.add_token_types([gguf.TokenType.CONTROL if at in special else gguf.TokenType.NORMAL for _, at in vocabulary])
    out.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    out.add_bos_token_id(config["bos_token_id"])
    out.add_eos_token_id(config["eos_token_id"])
    out.add_add_bos_token(True)
    if template:
        out.add_chat_template((folder / "chat_template.jinja").read_text())
    for name, tensor in load_file(folder / "model.safetensors").items():
        if leave_out not in name:
            _add(out, name, tensor, config, kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return file


def _add(out: gguf.GGUFWriter, name: str, tensor: np.ndarray, config: dict[str, Any], kind: str) -> None:
    parts = name.removesuffix(".weight").split(".")
    if parts[:2] == ["model", "layers"]:
        place = ".".join(parts[3:])
        if place in ("self_attn.q_proj", "self_attn.k_proj"):  # llama.cpp turns neighbours, transformers halves
            heads = config["num_attention_heads" if "q_proj" in place else "num_key_value_heads"]
            tensor = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
        name = f"blk.{parts[2]}.{_NAMES[place]}.weight"
    else:
        name = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[".".join(parts)] + ".weight"
    if kind == "F32" or tensor.ndim == 1:
        out.add_tensor(name, tensor)
    else:
        form = gguf.GGMLQuantizationType[kind]
        out.add_tensor(name, gguf.quants.quantize(tensor, form), raw_dtype=form)
