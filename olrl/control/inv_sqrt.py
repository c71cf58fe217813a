"""The learning rate falls with the square root of time."""

import math
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import MAX_LR_NOTCHES, Base, Decision
from olrl.monitor.signals import Signals

_LEAST = 2.0**-MAX_LR_NOTCHES


@dataclass(frozen=True, kw_only=True)
class InvSqrtSettings:
    """How high the rate starts and when it begins to fall.

    start: factor on the base rate in the first round, from 1/64 to 64.
    offset: rounds after which the rate has fallen to 1/√2 of that, above 0.
    """

    start: float = 1.0
    offset: float = 20.0

    def __post_init__(self) -> None:
        if not _LEAST <= self.start <= 1 / _LEAST:
            raise ValueError(f"start must be from 1/64 to 64, not {self.start!r}")
        if not (math.isfinite(self.offset) and self.offset > 0):
            raise ValueError(f"offset must be a positive number of rounds, not {self.offset!r}")


class InvSqrt(Controller):
    """lr = base · start / √(1 + t / offset) in round t, never below base / 64; the rest is the base.

    The decay that is optimal for convex problems that stand still (Zinkevich, 2003, "Online convex programming
    and generalized infinitesimal gradient ascent"); it needs no horizon, and it knows of no drift.

    >>> controller = InvSqrt(base=Base(lr=1e-3), settings=InvSqrtSettings(offset=1))
    >>> signals = Signals(lr=1e-3, batch_size=8, window=8)
    >>> [round(controller.decide(signals).lr / 1e-3, 3) for _ in range(4)]
    [1.0, 0.707, 0.577, 0.5]
    """

    def __init__(self, *, base: Base, settings: InvSqrtSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or InvSqrtSettings()
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The base with the round's rate, whatever the signals."""
        factor = self.settings.start / math.sqrt(1.0 + self._round / self.settings.offset)
        self._round += 1
        return replace(self.base.decision(), lr=self.base.lr * max(factor, _LEAST))

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])
