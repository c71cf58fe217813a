import numpy as np
import pytest
import torch
from transformers.optimization import GreedyLR as Theirs

from olrl.control.greedy_lr import GreedyLR, GreedyLRSettings
from olrl.monitor.signals import Signals
from tests.control.rounds import BASE


def signals(loss: float | None) -> Signals:
    return Signals(loss_nats=loss, lr=1e-3, batch_size=8, window=8)


def losses(seed: int, count: int = 400) -> list[float]:
    """Falls, stands, jumps and falls again."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.linspace(3, 1, 100), np.full(150, 1.0), np.linspace(2.5, 0.5, 150)])
    return [float(loss) for loss in level[:count] + 0.01 * rng.standard_normal(count)]


@pytest.mark.parametrize(
    "settings",
    [
        GreedyLRSettings(),
        GreedyLRSettings(factor=0.5, patience=1, cooldown=2, warmup=3, max_factor=4),
        GreedyLRSettings(factor=0.7, patience=0, window_size=5, min_factor=0.25, reset_start=3),
        GreedyLRSettings(factor=0.5, patience=0, min_factor=0.5, reset_start=1, cooldown=2, threshold=0.1),
    ],
    ids=["defaults", "cooldown and warm-up", "smoothed, with resets", "cooldown after a reset"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_rates_are_those_of_transformers_to_the_bit(settings: GreedyLRSettings, seed: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE.lr)
    theirs = Theirs(
        optimizer,
        factor=settings.factor,
        patience=settings.patience,
        threshold=settings.threshold,
        cooldown=settings.cooldown,
        warmup=settings.warmup,
        min_lr=BASE.lr * settings.min_factor,
        max_lr=BASE.lr * settings.max_factor,
        smooth=settings.window_size > 1,
        window_size=settings.window_size,
        reset_start=settings.reset_start,
    )
    mine = GreedyLR(base=BASE, settings=settings)
    rates = []
    for loss in losses(seed):
        theirs.step(loss)
        rates.append(mine.decide(signals(loss)).lr)
        assert rates[-1] == optimizer.param_groups[0]["lr"]
    assert len(set(rates)) > 1


def test_a_missing_loss_is_passed_over() -> None:
    controller = GreedyLR(base=BASE, settings=GreedyLRSettings(patience=0))
    first = controller.decide(signals(2.0)).lr
    assert {controller.decide(signals(loss)).lr for loss in (None, float("nan"), float("inf"))} == {first}


@pytest.mark.parametrize(
    "wrong", [{"factor": 0}, {"patience": -1}, {"threshold": -1}, {"min_factor": 2}, {"window_size": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GreedyLRSettings(**wrong)  # type: ignore[arg-type] # one of them
