"""What arrives in one round."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """C token sequences cut from documents in order.

    `tokens` has shape (C, L + 1): column 0 is context only (the token before), columns 1 … L are predicted, so
    every token of a stream is predicted exactly once. `n_bytes`, shape (C,), counts the bytes of text that the
    predicted tokens of each sequence stand for. `source` is the source most of the text came from. `segment` is
    the true drift segment at the chunk's end: for benchmarks and figures only, never for a signal.
    Examples of another kind, one a row, may take the tokens' place for a learner made for them.
    """

    tokens: NDArray[Any]
    n_bytes: NDArray[np.int32]
    index: int = 0
    source: str = ""
    segment: int = 0

    def __post_init__(self) -> None:
        if self.tokens.ndim != 2 or self.tokens.shape[1] < 2 or self.n_bytes.shape != self.tokens.shape[:1]:
            raise ValueError(
                f"a chunk takes tokens of shape (C, L + 1) and n_bytes of shape (C,), "
                f"not {self.tokens.shape} and {self.n_bytes.shape}"
            )
