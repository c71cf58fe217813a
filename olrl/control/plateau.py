"""The learning rate falls by a factor whenever the loss has not improved for some rounds."""

import math
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import MAX_LR_NOTCHES, Base, Decision
from olrl.monitor.signals import Signals

_EPS = 1e-8  # torch's: a fall of the rate by less is not made


@dataclass(frozen=True, kw_only=True)
class PlateauSettings:
    """Named as in `torch.optim.lr_scheduler.ReduceLROnPlateau`, counted in rounds.

    factor: what the rate is multiplied with, from 0 to below 1.
    patience: rounds without improvement that are let pass, at least 0.
    threshold: relative improvement on the best loss that counts as one, from 0 to below 1.
    cooldown: rounds after a fall that do not count, at least 0.
    min_factor: the rate never falls below this times the base rate, from 1/64 to 1.
    smooth: rounds that the loss is averaged over before (exponentially, weight 1/smooth), at least 1.
    """

    factor: float = 0.5
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    min_factor: float = 2.0**-MAX_LR_NOTCHES
    smooth: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must be above 0 and below 1, not {self.factor!r}")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be from 0 to below 1, not {self.threshold!r}")
        for name in ("patience", "cooldown"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0 rounds, not {getattr(self, name)!r}")
        if not 2.0**-MAX_LR_NOTCHES <= self.min_factor <= 1:
            raise ValueError(f"min_factor must be from 1/64 to 1, not {self.min_factor!r}")
        if not (math.isfinite(self.smooth) and self.smooth >= 1):
            raise ValueError(f"smooth must be at least 1 round, not {self.smooth!r}")


class Plateau(Controller):
    """`ReduceLROnPlateau` on the smoothed prequential loss, to the number; a missing loss is passed over.

    The rate never rises again, which is what a stream that drifts holds against it. Batch size and window are
    the base's.

    >>> controller = Plateau(base=Base(lr=1e-3), settings=PlateauSettings(patience=1, smooth=1))
    >>> flat = Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8)
    >>> [controller.decide(flat).lr for _ in range(5)]
    [0.001, 0.001, 0.0005, 0.0005, 0.00025]
    """

    def __init__(self, *, base: Base, settings: PlateauSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or PlateauSettings()
        self._lr = base.lr
        self._smoothed: float | None = None
        self._best: float | None = None
        self._bad = 0  # rounds in a row without improvement
        self._cooling = 0  # rounds of cooldown left

    def decide(self, signals: Signals) -> Decision:
        """The base with the rate as it stands after this round's loss."""
        loss = signals.loss_nats
        if loss is not None and math.isfinite(loss):
            self._step(loss)
        return replace(self.base.decision(), lr=self._lr)

    def _step(self, loss: float) -> None:
        before = loss if self._smoothed is None else self._smoothed
        current = self._smoothed = before + (loss - before) / self.settings.smooth
        if self._best is None or current < self._best * (1.0 - self.settings.threshold):
            self._best, self._bad = current, 0
        else:
            self._bad += 1
        if self._cooling:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.settings.patience:
            fallen = max(self._lr * self.settings.factor, self.base.lr * self.settings.min_factor)
            if self._lr - fallen > _EPS:
                self._lr = fallen
            self._cooling, self._bad = self.settings.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """The rate, the best loss and the counts."""
        return {
            "lr": self._lr,
            "smoothed": self._smoothed,
            "best": self._best,
            "bad": self._bad,
            "cooling": self._cooling,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._lr, self._smoothed, self._best = float(state["lr"]), state["smoothed"], state["best"]
        self._bad, self._cooling = int(state["bad"]), int(state["cooling"])
