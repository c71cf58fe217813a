"""Trains in rounds at equal distances."""

import math
from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


@dataclass(frozen=True, kw_only=True)
class SkipPeriodicSettings:
    """`share` of the rounds that train, above 0, at most 1 (1: none is skipped)."""

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share!r}")


class SkipPeriodic(Controller):
    """The base configuration in rounds 0, k, 2k, … (rounded up) with k = 1 / share, and no training in between.

    >>> controller = SkipPeriodic(base=Base(lr=1e-3), settings=SkipPeriodicSettings(share=0.4))
    >>> signals = Signals(lr=1e-3, batch_size=8, window=8)
    >>> [controller.decide(signals).update for _ in range(8)]
    [True, False, False, True, False, True, False, False]
    """

    def __init__(self, *, base: Base, settings: SkipPeriodicSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or SkipPeriodicSettings()
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The base, to train under or not."""
        due, before = (math.floor(t * self.settings.share) for t in (self._round, self._round - 1))
        self._round += 1
        return self.base.decision(update=due > before)

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])
