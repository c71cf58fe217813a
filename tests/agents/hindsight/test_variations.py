import numpy as np
import pytest
import torch

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.variations import LEVELS, Batch, Variations
from olrl.monitor.feature_spec import FEATURE_NAMES

QUIET = HindsightConfig(noise=0.0)
PRICE = FEATURE_NAMES.index("price")


def batch(names: int = len(FEATURE_NAMES), count: int = 4000) -> Batch:
    return Batch(
        observations=torch.zeros(count, names),
        costs=torch.tensor([[1.0, 0.0]]).repeat(count, 1),
        price=torch.zeros(count),
        share=torch.full((count,), 0.5),
    )


def varied(config: HindsightConfig) -> Batch:
    return Variations(FEATURE_NAMES, config)(batch(), torch.Generator().manual_seed(0))


def test_a_price_is_seen_and_charged_to_training() -> None:
    after = varied(QUIET)
    assert torch.allclose(after.observations[:, PRICE], torch.log1p(50 * after.price))
    assert torch.allclose(after.costs[:, 1], 50 * after.price)  # per cent, at half the budget
    assert torch.all(after.costs[:, 0] == 1.0)
    assert float((after.price == 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    some = after.price[after.price > 0]
    assert 0.003 <= float(some.min()) < 0.004 < 0.09 < float(some.max()) <= 0.1


def test_levels_of_a_row_move_together_and_nothing_else_moves() -> None:
    seen = varied(QUIET).observations
    moving = [FEATURE_NAMES.index(name) for names, _, _ in LEVELS for name in names]
    for names, low, high in LEVELS:
        columns = seen[:, [FEATURE_NAMES.index(name) for name in names]]
        assert torch.all(columns == columns[:, :1])
        assert low <= float(columns.min()) < low + 0.1 < high - 0.1 < float(columns.max()) <= high
    rest = np.setdiff1d(np.arange(len(FEATURE_NAMES)), [*moving, PRICE])
    assert torch.all(seen[:, rest] == 0)


def test_without_unknown_levels_only_the_price_varies() -> None:
    seen = varied(HindsightConfig(noise=0.0, unknown_levels=False)).observations
    assert torch.count_nonzero(seen.abs().sum(dim=0)) == 1


def test_features_without_a_price_keep_the_one_that_was() -> None:
    one = batch(names=1)
    after = Variations(("x",), HindsightConfig())(one, torch.Generator().manual_seed(0))
    assert torch.equal(after.costs, one.costs)
    assert float(after.observations.std()) == pytest.approx(0.1, rel=0.05)  # noise
