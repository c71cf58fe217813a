"""What computes losses and gradients for a learner, or for many whose weights are the rows of one matrix."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

# (n, B, L + 1): B sequences for each of n learners. The first token is context, the other L are predicted.
Tokens = Tensor


class Network(ABC):
    """One architecture, evaluated for n learners at once.

    Weights have shape (n, P), a row for each learner, in the order of the model's trainable parameters.
    The loss of a sequence is the mean cross-entropy over its predicted tokens, nats. `pass_size` is how many
    sequences a call computes fastest on a CPU: with fewer, calls cost more than arithmetic; with more, what
    is computed no longer fits into a cache. Of each learner a call sees at most `sequences_at_once`.
    """

    pass_size: ClassVar[int] = 16
    sequences_at_once: ClassVar[int] = 2

    @abstractmethod
    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Loss of each sequence, shape (n, B), float32; no gradient is recorded."""

    @abstractmethod
    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """Add the gradient of Σ scale · loss over a learner's sequences to its row of `to`, shape (n, P).

        `scale` and the losses, which are returned, have shape (n, B), float32.
        """


def rows_at(flat: Tensor, start: int, width: int, index: Tensor) -> Tensor:
    """Rows of each learner's table, which begins at place `start` of its weights (n, P): (n, ..., width).

    `index` has shape (n, ...). Widths of tables divide all that lies before and after them.
    """
    at = _flat_places(flat, start, width, index)
    return flat.view(-1, width).index_select(0, at.reshape(-1)).view(*index.shape, width)


def sums_at(flat: Tensor, start: int, width: int, index: Tensor) -> Tensor:
    """As `rows_at`, summed over the last axis of `index`, (n, ..., k): (n, ..., width)."""
    at = _flat_places(flat, start, width, index)
    sums = functional.embedding_bag(at.view(-1, index.shape[-1]), flat.view(-1, width), mode="sum")
    return sums.view(*index.shape[:-1], width)


def add_rows_at(flat: Tensor, start: int, index: Tensor, rows: Tensor) -> None:
    """Add rows (n, ..., width) to each learner's table where `rows_at` would read them."""
    width = rows.shape[-1]
    at = _flat_places(flat, start, width, index)
    flat.view(-1, width).index_add_(0, at.reshape(-1), rows.reshape(-1, width))


def _flat_places(flat: Tensor, start: int, width: int, index: Tensor) -> Tensor:
    n, size = flat.shape
    assert start % width == 0
    assert size % width == 0
    first = torch.arange(n, device=index.device) * (size // width) + start // width
    return index + first.view(n, *[1] * (index.ndim - 1))


class Scratch:
    """Memory for large intermediate results, kept from call to call.

    Fresh memory of a megabyte costs more than the arithmetic on it: the system hands it out page by page.
    A name's content is valid until the name is asked for again.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int, like: Tensor) -> Tensor:
        """An uninitialised tensor of this shape, of the kind of `like`."""
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or len(kept) < size or kept.device != like.device or kept.dtype != like.dtype:
            kept = self._kept[name] = torch.empty(size, dtype=like.dtype, device=like.device)
        return kept[:size].view(shape)


def cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss of each sequence (n, B), and its gradient by logits (n, B T, V) but for the mean's factor 1/T.

    `targets` has shape (n, B, T). The gradient, softmax minus one at the target, takes the place of `logits`. The
    softmax's largest entry is 1 over the sum that the loss takes the logarithm of, which spares a second pass
    of exponentials.
    """
    target = targets.flatten(1).unsqueeze(2)
    chosen = logits.gather(2, target)
    largest = logits.amax(dim=2, keepdim=True)
    gradient = torch.softmax(logits, dim=2, out=logits)
    losses = largest - gradient.amax(dim=2, keepdim=True).log_() - chosen
    gradient.scatter_add_(2, target, gradient.new_full((1, 1, 1), -1.0).expand_as(target))
    return losses.view(targets.shape).mean(dim=2), gradient


def per_token(scale: Tensor, tokens: Tokens) -> Tensor:
    """Factors of sequences (n, B) as factors of their tokens' losses, each a mean over T: (n, B T, 1)."""
    length = tokens.shape[2] - 1
    return (scale / length).repeat_interleave(length, dim=1).unsqueeze(2)
