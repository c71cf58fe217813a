"""Trains only in every k-th round."""

from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


@dataclass(frozen=True, kw_only=True)
class SkipPeriodicSettings:
    """`every`: rounds from one that trains to the next, at least 1 (1: none is skipped)."""

    every: int = 2

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1 round, not {self.every!r}")


class SkipPeriodic(Controller):
    """The base configuration in rounds 0, k, 2k, …, and no training in between.

    >>> controller = SkipPeriodic(base=Base(lr=1e-3), settings=SkipPeriodicSettings(every=3))
    >>> signals = Signals(lr=1e-3, batch_size=8, window=8)
    >>> [controller.decide(signals).update for _ in range(5)]
    [True, False, False, True, False]
    """

    def __init__(self, *, base: Base, settings: SkipPeriodicSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or SkipPeriodicSettings()
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The base, to train under or not."""
        update = self._round % self.settings.every == 0
        self._round += 1
        return self.base.decision(update=update)

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])
