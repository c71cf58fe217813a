"""The learning rate rises while the loss improves and falls while it does not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import MAX_LR_NOTCHES, Base, Decision
from olrl.monitor.signals import Signals

_EPS = 1e-8  # transformers': a smaller change of the rate is not made
_LARGEST = 2.0**MAX_LR_NOTCHES
_BIG = 1e150  # losses of more nats are passed over: their sum must stay finite


@dataclass(frozen=True, kw_only=True)
class GreedyLRSettings:
    """Named as in `transformers.GreedyLR` (`lr_scheduler_type="greedy"`), counted in rounds.

    factor: what the rate is multiplied with, or divided by, from 0 to below 1.
    patience: rounds of one kind in a row that are let pass, at least 0.
    threshold: improvement on the best loss that counts as one, nats a token, at least 0.
    cooldown, warmup: rounds after a fall, or a rise, that do not count, at least 0.
    min_factor, max_factor: bounds of the rate as factors on the base rate, from 1/64 to 64.
    window_size: rounds that the loss is averaged over before, at least 1.
    reset_start: falls at the lowest rate until everything starts anew, at least 1.
    """

    factor: float = 0.95
    patience: int = 10
    threshold: float = 1e-6
    cooldown: int = 0
    warmup: int = 0
    min_factor: float = 1 / _LARGEST
    max_factor: float = _LARGEST
    window_size: int = 1
    reset_start: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must be above 0 and below 1, not {self.factor!r}")
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise ValueError(f"threshold must be at least 0 nats, not {self.threshold!r}")
        for name, least in (
            ("patience", 0), ("cooldown", 0), ("warmup", 0), ("window_size", 1), ("reset_start", 1)
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)!r}")
        if not 1 / _LARGEST <= self.min_factor <= 1 <= self.max_factor <= _LARGEST:
            raise ValueError(
                "min_factor must be from 1/64 to 1 and max_factor from 1 to 64, "
                f"not {self.min_factor!r} and {self.max_factor!r}"
            )


class GreedyLR(Controller):
    """transformers' `GreedyLR` on the prequential loss, to the number; a missing loss is passed over.

    After more than `patience` improvements in a row the rate is divided by `factor`, after as many rounds
    without one multiplied with it ("GreedyLR: a novel adaptive learning rate scheduler", arXiv:2512.14527).
    Batch size and window are the base's.

    >>> controller = GreedyLR(base=Base(lr=1e-3), settings=GreedyLRSettings(factor=0.5, patience=0))
    >>> losses = [2.0, 1.9, 1.9]
    >>> rounds = [Signals(loss_nats=loss, lr=1e-3, batch_size=8, window=8) for loss in losses]
    >>> [controller.decide(signals).lr for signals in rounds]
    [0.002, 0.004, 0.002]
    """

    def __init__(self, *, base: Base, settings: GreedyLRSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or GreedyLRSettings()
        self._lr = base.lr
        self._start_anew()

    def _start_anew(self) -> None:
        self._lr = self.base.lr
        self._best: float | None = None
        self._bad = self._good = self._cooling = self._warming = 0
        self._until_reset = self.settings.reset_start
        self._recent: list[float] = []
        self._sum = 0.0

    def decide(self, signals: Signals) -> Decision:
        """The base with the rate as it stands after this round's loss."""
        loss = signals.loss_nats
        if loss is not None and abs(loss) < _BIG:
            self._step(self._averaged(loss))
        return replace(self.base.decision(), lr=self._lr)

    def _averaged(self, loss: float) -> float:
        """Mean of the last losses, by a running sum as theirs, so that even rounding is the same."""
        if self.settings.window_size == 1:
            return loss
        self._recent.append(loss)
        self._sum += loss
        if len(self._recent) > self.settings.window_size:
            self._sum -= self._recent.pop(0)
        return self._sum / len(self._recent)

    def _step(self, current: float) -> None:
        if self._cooling:
            self._cooling -= 1
            self._bad = self._good = 0
            return
        if self._warming:
            self._warming -= 1
            self._bad = self._good = 0
            return
        if self._best is None or current < self._best - self.settings.threshold:
            self._best, self._bad, self._good = current, 0, self._good + 1
        else:
            self._bad, self._good = self._bad + 1, 0
        if self._good > self.settings.patience:
            self._raise()
        elif self._bad > self.settings.patience:
            self._lower()
            self._cooling, self._bad = self.settings.cooldown, 0

    def _raise(self) -> None:
        risen = min(self._lr / self.settings.factor, self.base.lr * self.settings.max_factor)
        if risen - self._lr > _EPS:
            self._lr = risen
        self._warming, self._good = self.settings.warmup, 0
        self._until_reset = self.settings.reset_start

    def _lower(self) -> None:
        least = self.base.lr * self.settings.min_factor
        fallen = max(self._lr * self.settings.factor, least)
        if self._lr - fallen > _EPS:
            self._lr = fallen
        if self._lr <= least:
            self._until_reset -= 1
            if self._until_reset <= 0:
                self._start_anew()

    def state_dict(self) -> dict[str, Any]:
        """The rate, the best loss, the counts and the losses averaged over."""
        return {
            "lr": self._lr,
            "best": self._best,
            "counts": [self._bad, self._good, self._cooling, self._warming, self._until_reset],
            "recent": list(self._recent),
            "sum": self._sum,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._lr, self._best, self._sum = float(state["lr"]), state["best"], float(state["sum"])
        counts: Sequence[Any] = state["counts"]
        self._bad, self._good, self._cooling, self._warming, self._until_reset = map(int, counts)
        self._recent = [float(loss) for loss in state["recent"]]
