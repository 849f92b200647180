"""`tiny` with heads of 32 instead of 24, which vLLM computes on a CPU: another folder, the very same model.

Of each head the two halves that are turned together are padded with zeros, the base of the rotation keeps their angles, and the queries the
scale of the scores.
"""

import json
import shutil
from pathlib import Path

from errata.trainers.weights import TINY

WIDE = 32


def wide_tiny(folder: Path) -> Path:
    """Writes the model into a new folder."""
    import torch
    from safetensors.torch import load_file, save_file

    config = json.loads((TINY / "config.json").read_text())
    head, heads, hidden = config["head_dim"], config["num_attention_heads"], config["hidden_size"]
    place = [at if at < head // 2 else at - head // 2 + WIDE // 2 for at in range(head)]
    rows = [number * WIDE + at for number in range(heads) for at in place]
    weights = load_file(TINY / "model.safetensors")
    for name, tensor in weights.items():
        part = name.split(".")[-2]
        if part in ("q_proj", "k_proj", "v_proj"):
            wide = torch.zeros(heads * WIDE, hidden)
            wide[rows] = tensor * (WIDE / head) ** 0.5 if part == "q_proj" else tensor
        elif part == "o_proj":
            wide = torch.zeros(hidden, heads * WIDE)
            wide[:, rows] = tensor
        else:
            wide = tensor
        weights[name] = wide.contiguous()
    shutil.copytree(TINY, folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    rope = config["rope_parameters"] | {"rope_theta": config["rope_parameters"]["rope_theta"] ** (WIDE / head)}
    (folder / "config.json").write_text(json.dumps(config | {"head_dim": WIDE, "rope_parameters": rope}))
    return folder
