"""Rounds of signals for the tests of controllers."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from olrl.control.controller import Controller
from olrl.control.decision import WINDOWS, Base, Decision
from olrl.monitor.signals import Signals

BASE = Base(lr=1e-3, batch_size=8, window=8)


class Seeing(Controller):
    """Observes `sees`, shape (features,), whatever happens, and counts how often it was told to forget."""

    def __init__(self, sees: NDArray[np.float64]) -> None:
        super().__init__(base=BASE)
        self.sees, self.forgotten = sees, 0

    def decide(self, signals: Signals) -> Decision:
        """Hold the base."""
        return self.base.decision()

    def observed(self) -> NDArray[np.float64]:
        """What it was given."""
        return self.sees

    def forget(self) -> None:
        """Count."""
        self.forgotten += 1

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


_number = st.none() | st.floats() | st.floats(-2, 8)
any_signals = st.builds(
    Signals,
    loss_nats=_number,
    loss_std=_number,
    train_loss_nats=_number,
    grad_norm=_number,
    grad_snr=_number,
    grad_cos=_number,
    gradient_age=st.none() | st.integers(0, 5),
    update_ratio=_number,
    old_new_gap=_number,
    hist_shift=_number,
    hist_shift_last=_number,
    alarms=st.sampled_from([(), ("adwin",), ("adwin", "page-hinkley")]),
    rounds_since_alarm=st.integers(0, 1000),
    lr=st.floats(1e-9, 1.0),
    batch_size=st.integers(1, 64),
    window=st.sampled_from(WINDOWS),
    updates=st.integers(0, 12),
    spent=st.floats(0, 80),
    nonfinite=st.integers(0, 3),
)


def usual(k: int, in_force: Decision | None = None) -> Signals:
    """A healthy round; every tenth an alarm, every seventh without a new gradient."""
    now = in_force or BASE.decision()
    return Signals(
        loss_nats=2.0 + math.sin(k) / 4,
        loss_std=0.3,
        train_loss_nats=1.9,
        grad_norm=1.0 + 0.3 * math.cos(k),
        grad_snr=0.01,
        grad_cos=math.sin(k / 3),
        gradient_age=int(k % 7 == 6),
        update_ratio=0.01,
        old_new_gap=0.1,
        hist_shift=0.3,
        hist_shift_last=0.4,
        alarms=("adwin",) if k % 10 == 9 else (),
        rounds_since_alarm=(k + 1) % 10,
        lr=now.lr,
        batch_size=now.batch_size,
        window=now.window,
        updates=5,
        spent=60.0,
    )
