"""What arrives in one round."""

from dataclasses import dataclass
from typing import Any, ClassVar

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

    per_byte: ClassVar[bool] = (
        True  # whether losses are of bytes of text, so that bits per byte mean something
    )

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

    @property
    def words(self) -> NDArray[Any]:
        """The tokens whose histogram tells of the text, of any shape."""
        return self.tokens[:, 1:]

    @property
    def row_tokens(self) -> int:
        """Tokens of a row that go through a model."""
        return int(self.tokens.shape[1]) - 1

    def nats(self, losses: NDArray[np.float64]) -> float:
        """The loss of the whole chunk, nats, from the mean losses of its rows, nats per token, shape (C,)."""
        return float(np.add.reduce(losses)) * self.row_tokens
