"""What is varied in examples at every step of a fit, so that a policy does not lean on what may be otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from olrl.envs.online_lm import EpisodeRanges
from olrl.monitor.feature_spec import FEATURE_CLIP

from .config import HindsightConfig

# Features whose level is the model's and the tokenizer's, not the stream's, and how far it may lie from where it
# was in training, in units of the feature: those of one row are raised together, so that what tells them apart
# stays. With word pieces `hist_shift` is higher by 1.5 even where nothing changes, since histograms are sparse.
LEVELS: Final[tuple[tuple[tuple[str, ...], float, float], ...]] = (
    (("hist_shift", "hist_shift_last"), -0.5, 2.0),
)
PRICE: Final = "price"
_PRICES = EpisodeRanges().price


@dataclass(frozen=True)
class Batch:
    """B decisions: observations (B, F), costs of all choices (B, choices), price (B,) and share (B,).

    The last two choices are not to train and to train, of which `share` is what part of its budget a round spends;
    their costs hold at `price`, as the observation says.
    """

    observations: Tensor
    costs: Tensor
    price: Tensor
    share: Tensor

    def __len__(self) -> int:
        return len(self.observations)

    def __getitem__(self, rows: Tensor) -> "Batch":
        return Batch(self.observations[rows], self.costs[rows], self.price[rows], self.share[rows])


class Variations:
    """Noise on every feature, another price, and other levels of the features that have one of their model.

    `names` are those of the features. A price changes nothing of an observation but the feature `price`: any other
    one could have been in force. Sets of features without it keep the price that was.
    """

    def __init__(self, names: Sequence[str], config: HindsightConfig) -> None:
        self._noise = config.noise
        self._price = names.index(PRICE) if PRICE in names else None
        levels = LEVELS if config.unknown_levels else ()
        self._levels = [
            ([names.index(name) for name in together if name in names], low, high)
            for together, low, high in levels
        ]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The same decisions, seen otherwise."""
        seen, costs = batch.observations, batch.costs
        seen = seen + self._noise * torch.randn(seen.shape, generator=generator)
        for columns, low, high in self._levels:
            raised = seen[:, columns] + low + (high - low) * torch.rand(len(seen), 1, generator=generator)
            seen[:, columns] = raised.clamp(-FEATURE_CLIP, FEATURE_CLIP)
        price, costs = batch.price, costs.clone()
        if self._price is not None:
            price = _drawn_prices(len(seen), generator)
            seen[:, self._price] = torch.log1p(50.0 * price).clamp(max=FEATURE_CLIP)
            costs[:, -1] += 100.0 * (price - batch.price) * batch.share
        return Batch(seen, costs, price, batch.share)


def _drawn_prices(count: int, generator: torch.Generator) -> Tensor:
    """As episodes draw them: none with probability one half, otherwise log-uniform."""
    low, high = torch.log(torch.tensor(_PRICES))
    price = torch.exp(low + (high - low) * torch.rand(count, generator=generator))
    return torch.where(torch.rand(count, generator=generator) < 0.5, price, torch.zeros(()))
