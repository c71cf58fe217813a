"""A policy of 27 numbers on the same features, found by evolution."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from olrl.control.controller import Controller
from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, WINDOWS, Base, Decision
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.monitor.features import FeatureExtractor, stack_signals
from olrl.monitor.signals import Signals

from .entrant import Conditions, Entrant
from .search import CMASearch, Search

FEATURES = (
    "grad_cos_4", "grad_cos_20", "surprise", "loss_10_30_scaled",
    "since_alarm", "grad_snr_10", "old_new_gap_10", "lr",
)  # fmt: skip
PARAMETERS = 3 * (len(FEATURES) + 1)
# A weak hypergradient rule, from which evolution sets out: the first feature is twice the average cosine.
START = (0.5, *[0.0] * (PARAMETERS - 1))
_COLUMNS = [FEATURE_NAMES.index(name) for name in FEATURES]


class Evolved(Controller):
    """Three linear scores of 8 features: of the rate's move, the window's and the batch size's.

    `weights`, 27 numbers, are the scores' weights and biases, knob by knob. The rate moves by tanh(score) notches
    (factors of two), within 6 of the base's; window and batch size go one step up their ladders where their
    score is above 1, and one down where it is below −1. Every round trains.

    >>> controller = Evolved(START, base=Base(lr=1e-3))
    >>> signals = Signals(grad_cos=1.0, gradient_age=0, lr=1e-3, batch_size=8, window=8)
    >>> controller.decide(signals).lr > 1e-3
    True
    """

    def __init__(self, weights: Sequence[float], *, base: Base) -> None:
        super().__init__(base=base)
        matrix = np.array(weights, dtype=np.float64)
        if matrix.shape != (PARAMETERS,) or not np.isfinite(matrix).all():
            raise ValueError(f"weights must be {PARAMETERS} finite numbers, not {matrix.shape}")
        self._weights = matrix.reshape(3, len(FEATURES) + 1)
        self._features = FeatureExtractor.for_bases([base])
        self._notches = 0.0
        self._window = WINDOWS.index(base.window)
        self._batch_steps = 0

    def decide(self, signals: Signals) -> Decision:
        """Where the three scores move the knobs to."""
        seen = self._features.update(stack_signals([signals]))[0, _COLUMNS].astype(np.float64)
        rate, window, batch = (self._weights[:, :-1] @ seen + self._weights[:, -1]).tolist()
        self._notches = min(max(self._notches + math.tanh(rate), -MAX_LR_NOTCHES), MAX_LR_NOTCHES)
        self._window = min(max(self._window + _step(window), 0), len(WINDOWS) - 1)
        if 1 <= self.base.batch_size * 2.0 ** (self._batch_steps + _step(batch)) <= BATCH_SIZES[-1]:
            self._batch_steps += _step(batch)
        return Decision(
            lr=self.base.lr * 2.0**self._notches,
            batch_size=round(self.base.batch_size * 2.0**self._batch_steps),
            window=WINDOWS[self._window],
            weight_decay=self.base.weight_decay,
            pull=self.base.pull,
        )

    def state_dict(self) -> dict[str, Any]:
        """Feature history, and where the knobs stand."""
        return {
            "features": self._features.state_dict(),
            "notches": self._notches,
            "window": self._window,
            "batch_steps": self._batch_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._features.load_state_dict(state["features"])
        self._notches = float(state["notches"])
        self._window, self._batch_steps = int(state["window"]), int(state["batch_steps"])


def _step(score: float) -> int:
    return (score > 1) - (score < -1)


class _EvolvedEntrant(Entrant):
    def controller(self, given: Conditions) -> Controller:
        """With the weights it was evolved to."""
        return Evolved(given.settings.get("weights", START), base=given.base)

    def search(self, *, seed: int) -> Search:
        """CMA-ES over the weights."""
        return CMASearch("weights", START, step=0.05, seed=seed)


EVOLVED = _EvolvedEntrant(
    name="evolved",
    description=f"{PARAMETERS} weights on 8 of the policy's features, found by CMA-ES",
    trials=400,  # some 30 generations
    start={"weights": list(START)},
)
