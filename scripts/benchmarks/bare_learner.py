"""What a round costs without olrl: the plain model, torch's optimizer and torch's loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from olrl.control.decision import Base
from olrl.learners.cost import CostModel

CHUNK, LENGTH = 16, 64  # sequences a round, predicted tokens a sequence

Tokens = NDArray[np.int32]


class BareLearner:
    """A round as one would write it by hand: score the chunk, then a step a batch with fused AdamW."""

    def __init__(self, model: torch.nn.Module, base: Base) -> None:
        self._model = model.eval()
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=base.lr, weight_decay=base.weight_decay, fused=True
        )

    def score(self, tokens: Tokens) -> NDArray[np.float64]:
        """Mean loss of each sequence."""
        with torch.inference_mode():
            ids = torch.from_numpy(tokens).long()
            logits = self._model(input_ids=ids[:, :-1], use_cache=False).logits
            losses = functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
            scored: NDArray[np.float64] = losses.mean(dim=1).double().numpy()
        return scored

    def update(self, batches: Sequence[Tokens]) -> None:
        """An optimizer step a batch."""
        for batch in batches:
            self._optimizer.zero_grad(set_to_none=True)
            self.backward(batch)
            self._optimizer.step()

    def backward(self, batch: Tokens) -> None:
        """Forward and backward of one batch."""
        ids = torch.from_numpy(batch).long()
        logits = self._model(input_ids=ids[:, :-1], use_cache=False).logits
        loss: Any = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()

    def round(self, chunk: Tokens, batches: Sequence[Tokens]) -> None:
        """Score a chunk, then train."""
        self.score(chunk)
        self.update(batches)


def a_chunk(seed: int = 0) -> Tokens:
    """Random bytes in the shape of a chunk; what they say does not change what they cost."""
    return np.random.default_rng(seed).integers(1, 256, (CHUNK, LENGTH + 1)).astype(np.int32)


def the_batches(base: Base, chunk: Tokens) -> list[Tokens]:
    """As many batches of the base's size as a round's budget affords."""
    rng = np.random.default_rng(1)
    updates = CostModel().updates(base.batch_size)
    return [chunk[rng.integers(0, len(chunk), base.batch_size)] for _ in range(updates)]


def training_flops(parameters: int, batches: Sequence[Tokens]) -> float:
    """Six operations a weight and trained token: two forward, four backward (Kaplan et al., 2020)."""
    return 6.0 * parameters * sum(_predicted(batch) for batch in batches)


def forward_flops(parameters: int, tokens: Tokens) -> float:
    """Two operations a weight and scored token."""
    return 2.0 * parameters * _predicted(tokens)


def _predicted(tokens: Tokens) -> int:
    """Tokens that are predicted: all but each sequence's first."""
    return int(tokens.shape[0] * (tokens.shape[1] - 1))
