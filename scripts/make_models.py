"""Make the small models that ship: `python scripts/make_models.py nano` (about 10 minutes on one core each).

Trains on the training split of English prose domains only, so that code, other languages and other registers
are drift to the shipped models. Writes olrl/models/NAME/ in Hugging Face format. The base and the tuned constant
configuration are added by scripts/tune.py.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.flat import FlatParameters
from olrl.learners.networks import network_of
from olrl.models.byte_level import BYTES, SEPARATOR, SHAPES, build_log_bilinear, build_model, build_tokenizer
from olrl.models.load import write_settings
from olrl.streams.corpus import load_corpus
from olrl.streams.pieces import Split
from olrl.streams.tokens import HuggingFaceTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PRETRAINING_DOMAINS = ("manual", "docstrings", "readmes")
HELD_OUT_BYTES = 128_000
OUT = Path(__file__).parent.parent / "olrl" / "models"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained, and how its weights are kept.

    `seq_len` is in tokens. `dtype` is what is stored: bfloat16 halves a file, and reading it as float32 is exact.
    """

    steps: int = 20_000
    batch_size: int = 32
    lr: float = 4e-3
    seq_len: int = 64
    dtype: torch.dtype = torch.float32


RECIPES = {
    "nano": Recipe(),
    "pico": Recipe(),
    "femto": Recipe(),
    "mini": Recipe(steps=7_000, batch_size=16, lr=3e-3, dtype=torch.bfloat16),
    # 32 tokens are about 90 bytes: half as much text again as the byte-level models see in a sequence, for half
    # the tokens. With 64 a chunk would hold three times their text, and a drift fewer rounds.
    "bpe": Recipe(steps=7_000, batch_size=16, lr=3e-3, seq_len=32, dtype=torch.bfloat16),
}


@dataclass(frozen=True, kw_only=True)
class Text:
    """All pretraining text of a split: token ids, documents apart by separators, and bytes of each token."""

    ids: NDArray[np.int32]
    n_bytes: NDArray[np.int32]


def main() -> None:
    """Train one model and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)

    recipe, shape = RECIPES[args.name], SHAPES.get(args.name)
    started = time.perf_counter()
    model = build_log_bilinear(seed=args.seed) if shape is None else build_model(shape, seed=args.seed)
    tokenizer = build_tokenizer(learn_merges(shape.merges) if shape and shape.merges else ())
    text = read_text("train", tokenizer)
    fit(model, text.ids, recipe, seed=args.seed)
    module: torch.nn.Module = model  # transformers' own `to` is typed as taking nothing
    module.to(recipe.dtype)
    save(model, tokenizer, OUT / args.name, seq_len=recipe.seq_len)
    module.to(torch.float32)
    held_out = bits_per_byte(model, read_text("validation", tokenizer), seq_len=recipe.seq_len)
    print(
        f"{args.name}: {model.num_parameters():,} parameters, {text.n_bytes.sum():,} bytes of training text in "
        f"{len(text.ids):,} tokens, {held_out:.3f} bits a byte on held-out text, "
        f"{time.perf_counter() - started:.0f} s"
    )


def save(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", folder: Path, *, seq_len: int
) -> None:
    """Write a model's folder; settings that are there stay."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if not (folder / "olrl.json").exists():
        write_settings(folder, seq_len=seq_len, base=None, fixed=None)


def texts(split: Split) -> Iterator[str]:
    """All pretraining documents of a split."""
    corpus = load_corpus()
    return (d.text for domain in PRETRAINING_DOMAINS for d in corpus.documents(domain, split))


def learn_merges(count: int) -> list[tuple[str, str]]:
    """The pairs that byte-pair encoding merges on the training text, the most frequent first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=BYTES + count, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts("train"), trainer)
    merges = [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
    assert len(merges) == count
    return merges


def read_text(split: Split, hf_tokenizer: "PreTrainedTokenizerFast") -> Text:
    """All pretraining text of a split as one sequence."""
    tokenizer = HuggingFaceTokenizer(hf_tokenizer, separator=SEPARATOR)
    ids, n_bytes = zip(*(tokenizer.encode(text) for text in texts(split)), strict=True)
    separators = [np.array([SEPARATOR], dtype=np.int32)] * len(ids)
    ones = [np.ones(1, dtype=np.int32)] * len(ids)
    return Text(
        ids=np.concatenate([part for pair in zip(ids, separators, strict=True) for part in pair]),
        n_bytes=np.concatenate([part for pair in zip(n_bytes, ones, strict=True) for part in pair]),
    )


def fit(model: torch.nn.Module, ids: NDArray[np.int32], recipe: Recipe, *, seed: int) -> None:
    """AdamW on random crops, linear warm-up over 2 % of the steps, then cosine down to a tenth."""
    generator = np.random.default_rng(seed)
    flat, network = FlatParameters(model.parameters()), network_of(model)
    optimizer = torch.optim.AdamW(
        [flat.values], lr=recipe.lr, betas=(0.9, 0.99), weight_decay=0.1, fused=True
    )
    mean = torch.full((1, recipe.batch_size), 1.0 / recipe.batch_size)
    warm_up = max(1, recipe.steps // 50)
    for step in track(range(recipe.steps), description="training"):
        progress = max(0.0, (step - warm_up) / max(1, recipe.steps - warm_up))
        scale = min(1.0, (step + 1) / warm_up) * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * scale
        starts = generator.integers(0, len(ids) - recipe.seq_len, size=recipe.batch_size)
        crops = torch.from_numpy(ids[starts[:, None] + np.arange(recipe.seq_len + 1)].astype(np.int64))
        flat.grads.zero_()
        network.add_gradients(flat.values.detach()[None], crops[None], to=flat.grads[None], scale=mean)
        optimizer.step()


def bits_per_byte(model: torch.nn.Module, text: Text, *, seq_len: int) -> float:
    """Loss on consecutive sequences of the first `HELD_OUT_BYTES` bytes, bits a byte."""
    tokens = int(np.searchsorted(np.cumsum(text.n_bytes), HELD_OUT_BYTES))
    count = (tokens - 1) // seq_len
    rows = np.arange(count)[:, None] * seq_len + np.arange(seq_len + 1)
    nats = CausalLMLearner(model).score(text.ids[rows]).sum() * seq_len
    return float(nats) / math.log(2) / float(text.n_bytes[1 : count * seq_len + 1].sum())


if __name__ == "__main__":
    main()
