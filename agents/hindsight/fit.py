"""Fitting a policy to the costs of its choices."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .config import HindsightConfig
from .runs import StreamRuns
from .variations import Batch, Variations

_DEAREST = 15.0  # per cent: what is worse is only known to be bad, and would drown the rest
_MOST_AT_STAKE = 5.0  # in whether to train: after a change that is worth hundreds of per cent


class Examples:
    """Observations and the costs of every head's choices, of all decisions of all runs."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, ...]] = []

    def __len__(self) -> int:
        return sum(len(part[0]) for part in self._parts)

    def add(self, runs: StreamRuns, costs: Sequence[NDArray[np.float64]]) -> None:
        """Those of the n learners on one stream; costs have shape (n, T, choices) for each head."""
        _, rounds, width = runs.observations.shape
        heads = [table.reshape(-1, table.shape[-1]) for table in costs]
        self._parts.append(
            (
                torch.from_numpy(runs.observations.reshape(-1, width).copy()),
                torch.from_numpy(np.concatenate(heads, axis=1)).float().clamp(max=_DEAREST),
                torch.from_numpy(np.repeat(runs.price, rounds)).float(),
                torch.from_numpy(np.repeat(runs.share, rounds)).float(),
            )
        )

    def all(self) -> Batch:
        """All of them."""
        return Batch(*(torch.cat(column) for column in zip(*self._parts, strict=True)))


def fit(
    logits: Callable[[Tensor], Tensor],
    parameters: list[nn.Parameter],
    examples: Examples,
    *,
    heads: Sequence[int],
    names: Sequence[str],
    config: HindsightConfig,
    seed: int,
    progress: Callable[[int], None] = lambda step: None,
) -> float:
    """Lower the expected cost of a policy's choices, less its entropy; returns the mean of the last tenth of steps.

    With costs c and a temperature τ (`entropy`), E[Σ_a π(a) c(a) + τ Σ_a π(a) log π(a)], summed over heads: its
    minimum is π(a) ∝ exp(−E[c(a)] / τ), so dear mistakes count more than cheap ones. AdamW under a cosine. `names`
    are those of the features, some of which are varied at each step (`Variations`).

    Whether to train at all is fitted by logistic regression weighted by what is at stake: with c the cost of not
    training less that of training, E[|c| log(1 + exp(−sign(c) z))] at a log odds of z, which is lowest where z has
    the sign of E[c]. The expected cost would do the same in the end, but most rounds are worth more than most
    prices: it pushes z to where its gradient is gone, and a price is never heeded.
    """
    every, varied = examples.all(), Variations(names, config)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    last: list[float] = []
    for step in range(config.steps):
        rows = torch.randint(len(every), (config.batch_size,), generator=generator)
        batch = varied(every[rows], generator)
        chosen = logits(batch.observations)
        loss = _expected_cost(chosen[:, :-2], batch.costs[:, :-2], heads[:-1], config.entropy)
        loss = loss + _wrong_updates(chosen[:, -1] - chosen[:, -2], batch.costs[:, -2] - batch.costs[:, -1])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's is untyped
        optimizer.step()
        falling.step()
        if step >= config.steps - max(1, config.steps // 10):
            last.append(float(loss.detach()))
        progress(step + 1)
    return float(np.mean(last))


def _expected_cost(logits: Tensor, costs: Tensor, heads: Sequence[int], entropy: float) -> Tensor:
    """Summed over heads; a head whose costs are not known (NaN) at a decision has no say there."""
    total = torch.zeros(())
    for of_head, cost in zip(
        torch.split(logits, list(heads), dim=1), torch.split(costs, list(heads), dim=1), strict=True
    ):
        log = torch.log_softmax(of_head, dim=1)
        known = torch.isfinite(cost)
        expected = log.exp() * (torch.where(known, cost, 0.0) + entropy * log)
        total = total + (expected.sum(dim=1) * known.all(dim=1)).mean()
    return total


def _wrong_updates(odds: Tensor, cost: Tensor) -> Tensor:
    """Of log odds of training, and what not training costs more than it, per cent; unknown (NaN) has no say."""
    known = torch.isfinite(cost)
    at_stake = torch.where(known, cost, 0.0).clamp(-_MOST_AT_STAKE, _MOST_AT_STAKE)
    return (at_stake.abs() * torch.nn.functional.softplus(-at_stake.sign() * odds)).mean()
