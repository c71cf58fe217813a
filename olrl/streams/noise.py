"""Corruption of text: what a noise burst does to it."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

NoiseKind = Literal["shuffle", "replace"]
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How text is corrupted, and how much.

    `shuffle` shuffles the characters of a word, with probability `rate` for each word; `replace` replaces
    each character, with probability `rate`, by one drawn from the same text.

    >>> Noise(rate=1.5)
    Traceback (most recent call last):
    ...
    ValueError: noise rate must be in (0, 1], not 1.5
    """

    kind: NoiseKind = "replace"
    rate: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in NOISE_KINDS:
            raise ValueError(f"noise kind must be one of {', '.join(NOISE_KINDS)}, not {self.kind!r}")
        if not 0 < self.rate <= 1:
            raise ValueError(f"noise rate must be in (0, 1], not {self.rate!r}")


def corrupt(text: str, noise: Noise, rng: np.random.Generator) -> str:
    """`text` with `noise` applied; no character appears that was not there before.

    >>> corrupt("to be or not", Noise(kind="shuffle", rate=1.0), np.random.default_rng(1))
    'ot be or otn'
    """
    if noise.kind == "shuffle":
        return re.sub(r"\S+", lambda word: _shuffled(word[0], noise.rate, rng), text)
    characters = np.array(list(text))
    hit = rng.random(len(characters)) < noise.rate
    return "".join(np.where(hit, rng.choice(characters, size=len(characters)), characters).tolist())


def _shuffled(word: str, rate: float, rng: np.random.Generator) -> str:
    if rng.random() >= rate:
        return word
    return "".join(word[i] for i in rng.permutation(len(word)))
