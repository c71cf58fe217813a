import math

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.learners.learner import UpdateReport
from olrl.monitor.detectors import DetectorBank
from olrl.monitor.histograms import TokenHistograms
from olrl.monitor.monitor import LoopMonitor
from olrl.streams.chunk import Chunk
from tests.monitor.literal_histograms import LiteralHistograms

BASE = Base(lr=1e-3).decision()
NONE = np.zeros(0)


def chunk(k: int) -> Chunk:
    rng = np.random.default_rng(k)
    return Chunk(
        tokens=rng.integers(0, 256, (6, 9)).astype(np.int32), n_bytes=np.full(6, 8 + k % 3, dtype=np.int32)
    )


def monitor(masked: frozenset[str] = frozenset()) -> LoopMonitor:
    return LoopMonitor(
        detectors=DetectorBank(), histograms=TokenHistograms(), cost=CostModel(), masked=masked
    )


def test_signals_of_the_new_chunk_are_the_plain_statistics_of_its_losses() -> None:
    one, bank, histograms, rng = monitor(), DetectorBank(), LiteralHistograms(), np.random.default_rng(0)
    fired = 0
    for k in range(300):
        new = rng.gamma(9.0, 0.3, 6) * (1 + (k // 60) % 2)
        old = rng.gamma(9.0, 0.3, 4 if k else 0)
        given = chunk(k)
        signals = one.measure(given, new, old, in_force=BASE)
        assert signals.loss_nats == new.mean()
        assert signals.loss_std == pytest.approx(new.std(), rel=1e-14)
        assert signals.loss_bpb == pytest.approx(new.sum() * 8 / math.log(2) / given.n_bytes.sum(), rel=1e-14)
        assert signals.old_new_gap == (old.mean() - new.mean() if k else None)
        shifts = histograms.shift(given.tokens[:, 1:], window=BASE.window)
        for shift, expected in zip((signals.hist_shift, signals.hist_shift_last), shifts, strict=True):
            assert shift == (None if expected is None else pytest.approx(expected, rel=1e-12))
        assert signals.alarms == bank.update(float(new.mean()), histograms.recent_shift())
        fired += len(signals.alarms)
    assert fired


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_missing_and_counted(wrong: float) -> None:
    one = monitor()
    losses: NDArray[np.float64] = np.array([2.0, wrong, 2.0])
    signals = one.measure(chunk(0), losses, NONE, in_force=BASE)
    assert (signals.loss_nats, signals.loss_bpb, signals.loss_std, signals.old_new_gap) == (None,) * 4
    assert signals.nonfinite == 1
    signals = one.measure(chunk(1), np.full(3, 2.0), losses, in_force=BASE)
    assert (signals.loss_nats, signals.loss_std, signals.old_new_gap, signals.nonfinite) == (
        2.0,
        0.0,
        None,
        1,
    )


def test_masked_signals_are_reported_as_missing_and_no_others() -> None:
    masked, plain = monitor(frozenset({"loss_std", "grad_cos", "hist_shift"})), monitor()
    for one in (masked, plain):
        one.trained(BASE, UpdateReport(updates=2, grad_cos=0.5, grad_norm=1.0), spent=24.0)
    for k in range(2):
        hidden, shown = (
            vars(one.measure(chunk(k), np.arange(1.0, 7.0), NONE, in_force=BASE)) for one in (masked, plain)
        )
    assert {name for name in shown if shown[name] != hidden[name]} == {"loss_std", "grad_cos", "hist_shift"}
    assert (hidden["loss_std"], hidden["grad_cos"], hidden["hist_shift"]) == (None, None, None)
