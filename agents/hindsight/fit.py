"""Fitting a policy to the costs of its choices."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .config import HindsightConfig

_DEAREST = 15.0  # per cent: what is worse is only known to be bad, and would drown the rest


class Examples:
    """Observations and the costs of every head's choices, of all decisions of all runs: (N, F) and (N, choices)."""

    def __init__(self) -> None:
        self._observations: list[Tensor] = []
        self._costs: list[Tensor] = []

    def __len__(self) -> int:
        return sum(map(len, self._observations))

    def add(self, observations: NDArray[np.float32], costs: Sequence[NDArray[np.float64]]) -> None:
        """Those of one stream, shapes (n, T, F) and (n, T, choices) for each head."""
        heads = [table.reshape(-1, table.shape[-1]) for table in costs]
        self._observations.append(torch.from_numpy(observations.reshape(-1, observations.shape[-1]).copy()))
        self._costs.append(torch.from_numpy(np.concatenate(heads, axis=1)).float().clamp(max=_DEAREST))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """All of them."""
        return torch.cat(self._observations), torch.cat(self._costs)


def fit(
    logits: Callable[[Tensor], Tensor],
    parameters: list[nn.Parameter],
    examples: Examples,
    *,
    heads: Sequence[int],
    config: HindsightConfig,
    seed: int,
    progress: Callable[[int], None] = lambda step: None,
) -> float:
    """Lower the expected cost of a policy's choices, less its entropy; returns the mean of the last tenth of steps.

    With costs c and a temperature τ (`entropy`), E[Σ_a π(a) c(a) + τ Σ_a π(a) log π(a)], summed over heads: its
    minimum is π(a) ∝ exp(−E[c(a)] / τ), so dear mistakes count more than cheap ones. AdamW under a cosine.
    """
    observations, costs = examples.tensors()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    last: list[float] = []
    for step in range(config.steps):
        rows = torch.randint(len(observations), (config.batch_size,), generator=generator)
        seen = observations[rows]
        seen = seen + config.noise * torch.randn(seen.shape, generator=generator)
        loss = _expected_cost(logits(seen), costs[rows], heads, config.entropy)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's is untyped
        optimizer.step()
        falling.step()
        if step >= config.steps - max(1, config.steps // 10):
            last.append(float(loss.detach()))
        progress(step + 1)
    return float(np.mean(last))


def _expected_cost(logits: Tensor, costs: Tensor, heads: Sequence[int], entropy: float) -> Tensor:
    total = torch.zeros(())
    for of_head, cost in zip(
        torch.split(logits, list(heads), dim=1), torch.split(costs, list(heads), dim=1), strict=True
    ):
        log = torch.log_softmax(of_head, dim=1)
        total = total + (log.exp() * (cost + entropy * log)).sum(dim=1).mean()
    return total
