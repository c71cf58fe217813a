"""Make the byte-level models that ship: `python scripts/make_models.py nano` (about 10 minutes on one core).

Trains on the training split of English prose domains only, so that code, other languages and other registers
are drift to the shipped models. Writes olrl/models/NAME/ in Hugging Face format. The base and the tuned constant
configuration are added by scripts/tune.py.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.flat import FlatParameters
from olrl.learners.networks import network_of
from olrl.models.byte_level import SEPARATOR, SHAPES, build_log_bilinear, build_model, build_tokenizer
from olrl.models.load import write_settings
from olrl.streams.corpus import load_corpus
from olrl.streams.pieces import Split

PRETRAINING_DOMAINS = ("manual", "docstrings", "readmes")
SEQ_LEN = 64
OUT = Path(__file__).parent.parent / "olrl" / "models"


def main() -> None:
    """Train one model and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*sorted(SHAPES), "femto"])
    parser.add_argument("--steps", type=int, default=20_000, help="optimizer steps (default 20000)")
    parser.add_argument("--batch-size", type=int, default=32, help="sequences a step (default 32)")
    parser.add_argument("--lr", type=float, default=4e-3, help="peak learning rate (default 4e-3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)

    shape = SHAPES.get(args.name)
    model = build_log_bilinear(seed=args.seed) if shape is None else build_model(shape, seed=args.seed)
    train, held_out = text_bytes("train"), text_bytes("validation")
    started = time.perf_counter()
    fit(model, train, steps=args.steps, batch_size=args.batch_size, lr=args.lr, seed=args.seed)
    folder = OUT / args.name
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    if not (folder / "olrl.json").exists():
        write_settings(folder, seq_len=SEQ_LEN, base=None, fixed=None)
    print(
        f"{args.name}: {model.num_parameters():,} parameters, {len(train):,} bytes of training text, "
        f"{bits_per_byte(model, held_out):.3f} bits a byte on held-out text, "
        f"{time.perf_counter() - started:.0f} s"
    )


def text_bytes(split: Split) -> NDArray[np.uint8]:
    """All pretraining text of a split as one array of bytes, documents separated by NUL."""
    corpus = load_corpus()
    texts = [d.text.encode() for domain in PRETRAINING_DOMAINS for d in corpus.documents(domain, split)]
    return np.frombuffer(bytes([SEPARATOR]).join(texts), dtype=np.uint8)


def fit(
    model: torch.nn.Module, text: NDArray[np.uint8], *, steps: int, batch_size: int, lr: float, seed: int
) -> None:
    """AdamW on random crops, linear warm-up over 2 % of the steps, then cosine down to a tenth."""
    generator = np.random.default_rng(seed)
    flat, network = FlatParameters(model.parameters()), network_of(model)
    optimizer = torch.optim.AdamW([flat.values], lr=lr, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    mean = torch.full((1, batch_size), 1.0 / batch_size)
    warm_up = max(1, steps // 50)
    for step in track(range(steps), description="training"):
        progress = max(0.0, (step - warm_up) / max(1, steps - warm_up))
        scale = min(1.0, (step + 1) / warm_up) * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = lr * scale
        starts = generator.integers(0, len(text) - SEQ_LEN, size=batch_size)
        crops = torch.from_numpy(text[starts[:, None] + np.arange(SEQ_LEN + 1)].astype(np.int64))
        flat.grads.zero_()
        network.add_gradients(flat.values.detach()[None], crops[None], to=flat.grads[None], scale=mean)
        optimizer.step()


def bits_per_byte(model: torch.nn.Module, text: NDArray[np.uint8]) -> float:
    """Mean loss on at most 2,000 consecutive sequences, bits a byte."""
    count = min(2_000, (len(text) - 1) // SEQ_LEN)
    rows = np.arange(count)[:, None] * SEQ_LEN + np.arange(SEQ_LEN + 1)
    return float(CausalLMLearner(model).score(text[rows]).mean()) / math.log(2)


if __name__ == "__main__":
    main()
