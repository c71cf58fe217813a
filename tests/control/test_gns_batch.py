import pytest

from olrl.control.decision import Base
from olrl.control.gns_batch import GNSBatch, GNSBatchSettings
from olrl.monitor.signals import Signals

BASE = Base(lr=1e-3, batch_size=4)


def signals(snr: float | None, age: int = 0) -> Signals:
    return Signals(grad_snr=snr, gradient_age=age, lr=1e-3, batch_size=4, window=8)


@pytest.mark.parametrize(
    ("snr", "size"), [(1.0, 1), (0.25, 4), (1 / 16, 16), (1e-4, 64), (-0.3, 64), (100.0, 1)]
)
def test_the_batch_is_as_large_as_the_noise_scale(snr: float, size: int) -> None:
    assert GNSBatch(base=BASE).decide(signals(snr)).batch_size == size


def test_the_ratio_is_averaged_before_it_is_inverted() -> None:
    controller = GNSBatch(base=BASE, settings=GNSBatchSettings(smooth=2))
    controller.decide(signals(0.25))
    # half of -0.05 and half of 0.25 is 0.1: noise scale 10, nearest on the ladder 8
    assert controller.decide(signals(-0.05)).batch_size == 8


def test_an_old_or_missing_measurement_changes_nothing() -> None:
    controller = GNSBatch(base=BASE)
    assert controller.decide(signals(None)) == BASE.decision()
    assert controller.decide(signals(1.0, age=1)) == BASE.decision()


def test_the_rate_follows_the_batch_by_the_power_asked_for() -> None:
    controller = GNSBatch(base=BASE, settings=GNSBatchSettings(lr_power=0.5))
    decision = controller.decide(signals(1 / 16))
    assert decision.batch_size == 16
    assert decision.lr == pytest.approx(2e-3)
