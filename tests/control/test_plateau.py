import numpy as np
import pytest
import torch

from olrl.control.plateau import Plateau, PlateauSettings
from olrl.monitor.signals import Signals
from tests.control.rounds import BASE


def signals(loss: float | None) -> Signals:
    return Signals(loss_nats=loss, lr=1e-3, batch_size=8, window=8)


def losses(seed: int, count: int = 300) -> list[float]:
    """A noisy loss that falls, stands, and jumps up."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.linspace(3, 2, count // 3), np.full(count // 3, 2.0), np.full(count, 2.4)])
    return [float(loss) for loss in level[:count] + 0.02 * rng.standard_normal(count)]


@pytest.mark.parametrize(
    "settings",
    [
        PlateauSettings(smooth=1),
        PlateauSettings(factor=0.1, patience=0, cooldown=3, smooth=1),
        PlateauSettings(factor=0.8, patience=4, threshold=0.01, cooldown=5, min_factor=0.25, smooth=1),
    ],
    ids=["defaults", "cooldown", "a floor"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_rates_are_those_of_torch_to_the_bit(settings: PlateauSettings, seed: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE.lr)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=settings.factor,
        patience=settings.patience,
        threshold=settings.threshold,
        cooldown=settings.cooldown,
        min_lr=BASE.lr * settings.min_factor,
    )
    mine = Plateau(base=BASE, settings=settings)
    rates = []
    for loss in losses(seed):
        theirs.step(loss)
        rates.append(mine.decide(signals(loss)).lr)
        assert rates[-1] == optimizer.param_groups[0]["lr"]
    assert len(set(rates)) > 2


def test_a_missing_loss_is_not_a_bad_round() -> None:
    controller = Plateau(base=BASE, settings=PlateauSettings(patience=2))
    rates = [controller.decide(signals(loss)).lr for loss in [2.0, *[None, float("nan")] * 10]]
    assert set(rates) == {BASE.lr}


def test_smoothing_keeps_one_lucky_loss_from_becoming_the_best() -> None:
    rounds = [2.0, 2.0, 1.0, *[2.0 - 0.01 * k for k in range(30)]]  # improves, but never again as far as 1.0
    fallen = {}
    for smooth in (1, 10):
        controller = Plateau(base=BASE, settings=PlateauSettings(patience=20, smooth=smooth))
        fallen[smooth] = [controller.decide(signals(loss)).lr for loss in rounds][-1] < BASE.lr
    assert fallen == {1: True, 10: False}


@pytest.mark.parametrize(
    "wrong", [{"factor": 1.0}, {"patience": -1}, {"threshold": 1}, {"min_factor": 0}, {"smooth": 0.5}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PlateauSettings(**wrong)  # type: ignore[arg-type] # one of them
