"""How much of a gradient is signal."""

import torch


def snr_of_halves(half: torch.Tensor, whole: torch.Tensor, size: int) -> float | None:
    """Signal to noise from a batch's gradient and what its first half gave of it (sums over the batch's size)."""
    first = size // 2
    return snr(half * (size / first), (whole - half) * (size / (size - first)), first, size - first)


def snr(a: torch.Tensor, b: torch.Tensor, n_a: int, n_b: int) -> float | None:
    """Squared norm of the mean gradient over the variance of one example's, both without bias.

    `a` and `b` are mean gradients of n_a and n_b independent examples: E[a·b] = |g|² and
    E|a - b|² = s² (1/n_a + 1/n_b); the simple noise scale of McCandlish et al. (2018) is 1 over this.
    """
    return snr_of_sums(float((a - b).square().sum()), float(torch.dot(a, b)), n_a, n_b)


def snr_of_sums(squared_distance: float, dot: float, n_a: int, n_b: int) -> float | None:
    """The same from |a - b|² and a·b, which may have been added up over shards."""
    noise = squared_distance / (1 / n_a + 1 / n_b)
    return dot / noise if noise > 0 else None
