"""Trains only while something has changed."""

import math
from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


@dataclass(frozen=True, kw_only=True)
class SkipDetectorSettings:
    """What counts as a change, and how long to train after it.

    rounds: that train from a change on, at least 1; the first rounds of a stream are one.
    rise: how far above its running mean a loss counts as a change, relative to it, above 0.
    smooth: rounds that this mean averages over (exponentially, weight 1/smooth), at least 1.
    """

    rounds: int = 8
    rise: float = 0.05
    smooth: float = 20.0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {self.rounds!r}")
        if not (math.isfinite(self.rise) and self.rise > 0):
            raise ValueError(f"rise must be positive, not {self.rise!r}")
        if not (math.isfinite(self.smooth) and self.smooth >= 1):
            raise ValueError(f"smooth must be at least 1 round, not {self.smooth!r}")


class SkipDetector(Controller):
    """The base configuration for some rounds after an alarm or a rise of the loss, and no training else.

    >>> settings = SkipDetectorSettings(rounds=2)
    >>> controller = SkipDetector(base=Base(lr=1e-3), settings=settings)
    >>> losses = [2.0, 2.0, 2.0, 2.0, 2.3, 2.0, 2.0]
    >>> rounds = [Signals(loss_nats=loss, lr=1e-3, batch_size=8, window=8) for loss in losses]
    >>> [controller.decide(signals).update for signals in rounds]
    [True, True, False, False, True, True, False]
    """

    def __init__(self, *, base: Base, settings: SkipDetectorSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or SkipDetectorSettings()
        self._left = self.settings.rounds  # rounds that still train
        self._mean: float | None = None  # of the loss

    def decide(self, signals: Signals) -> Decision:
        """The base, to train under or not."""
        if signals.alarms or self._has_risen(signals.loss_nats):
            self._left = self.settings.rounds
        update = self._left > 0
        self._left = max(self._left - 1, 0)
        return self.base.decision(update=update)

    def _has_risen(self, loss: float | None) -> bool:
        """Whether the loss lies above its mean, which then takes it in."""
        if loss is None or not math.isfinite(loss):
            return False
        mean = loss if self._mean is None else self._mean
        self._mean = mean + (loss - mean) / self.settings.smooth
        return loss - mean > self.settings.rise * abs(mean)

    def state_dict(self) -> dict[str, Any]:
        """Rounds left to train, and the mean of the loss."""
        return {"left": self._left, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._left = int(state["left"])
        self._mean = None if state["mean"] is None else float(state["mean"])
