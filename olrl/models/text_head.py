"""A linear head on a model's features of a text and on those things that stand in it which are let through."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olrl.streams.text_features import BUCKETS, PACKED

# Length of the part of a row that is made of the text. The features of the shipped models beside it have a length
# of some 14 to 28, and what stands in a text is a dozen of the chosen buckets at most.
LENGTH = 8.0


class TextHead(torch.nn.Linear):
    """Logits of the classes, of rows (B, n_features + 128): features, and behind them a packed set of buckets.

    Of the 2,048 buckets those are seen that `mask` lets through, at most `most` (all, from the start, if that is
    2,048; else none at first); the others are as if no text were in them. Buckets of a text that are let through
    have the same value each, so that together they are a vector of length 8. The mask is a buffer: it is saved with
    the weights, and no optimizer moves it. A bucket that is let through again goes on from the weights it had.
    """

    mask: Tensor
    shifts: Tensor

    def __init__(self, n_features: int, n_classes: int, *, most: int, device: str = "cpu") -> None:
        super().__init__(n_features + BUCKETS, n_classes, device=device)
        self.n_features, self.most = n_features, most
        self.register_buffer("mask", torch.full((BUCKETS,), float(most >= BUCKETS), device=device))
        self.register_buffer(
            "shifts", torch.arange(PACKED, dtype=torch.int32, device=device), persistent=False
        )

    def let_through(self, chosen: NDArray[np.bool_]) -> None:
        """See these buckets from now on, shape (2048,)."""
        self.mask.copy_(torch.from_numpy(chosen.astype(np.float32)))

    def forward(self, rows: Tensor) -> Tensor:
        """Shape (B, classes)."""
        features, packed = rows[:, : self.n_features], rows[:, self.n_features :]
        bits = (packed.to(torch.int32)[:, :, None] >> self.shifts) & 1
        seen = bits.flatten(1).to(features.dtype) * self.mask
        length = seen.sum(dim=1, keepdim=True).clamp(min=1.0).sqrt()
        return super().forward(torch.cat([features, seen * (LENGTH / length)], dim=1))
