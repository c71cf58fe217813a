"""What tests of deployed runs need: a small stream, an untrained policy, a quick configuration."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from olrl.control.actions import action_coding
from olrl.control.policy import FrozenPolicy
from olrl.control.training_range import TrainingRange
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.run_config import RunConfig

SECRET = "pomegranate"  # a word in every document, to be found in nothing that a run shows


def documents(count: int = 40) -> list[str]:
    """Different short texts."""
    return [f"Note {k}: the {SECRET} was counted {k * k} times before {k % 7} o'clock." for k in range(count)]


def write_stream(path: Path, *, count: int = 40, bad: tuple[bytes, ...] = ()) -> Path:
    """A `.jsonl` file of documents, with bad rows spread among them."""
    rows = [json.dumps({"text": text}).encode() for text in documents(count)]
    for k, row in enumerate(bad):
        rows.insert(3 * k + 2, row)
    path.write_bytes(b"\n".join(rows) + b"\n")
    return path


def quick(stream: Path | str, **settings: Any) -> RunConfig:
    """A run of the real nano model with chunks of 4 × 32 bytes."""
    plain: dict[str, Any] = {"base_lr": 1e-3, "chunk": 4, "seq_len": 32, "controller": "base"}
    return RunConfig(stream=str(stream), **{**plain, **settings})


def untrained_policy(
    folder: Path, *, seed: int = 0, coding: str = "moves", training_range: TrainingRange | None = None
) -> Path:
    """The folder of a policy with random weights, large enough to make it move every knob."""
    rng = np.random.default_rng(seed)
    moves = action_coding(coding)
    sizes = (len(FEATURE_NAMES), 16, sum(moves.nvec))
    layers = [
        (rng.normal(size=(n, m)).astype(np.float32), rng.normal(size=n).astype(np.float32))
        for m, n in pairwise(sizes)
    ]
    zeros, ones = np.zeros(sizes[0]), np.ones(sizes[0])
    FrozenPolicy(
        layers=layers,
        mean=zeros,
        std=ones,
        coding=moves,
        card="# Untrained\n",
        training_range=training_range,
    ).save(folder)
    return folder


def elsewhere() -> TrainingRange:
    """A training range in which of text no round of any run lies, and of labels every one."""
    drawn = np.random.default_rng(0).normal(size=(500, len(FEATURE_NAMES)))
    anywhere = 1000.0 * drawn
    anywhere[0] = 0.0
    return TrainingRange.of({"lm": drawn + 40.0, "classify": anywhere})
