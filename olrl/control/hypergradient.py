"""The learning rate follows the cosine between the gradient and the last move."""

import math
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import MAX_LR_NOTCHES, Base, Decision
from olrl.monitor.signals import Signals


@dataclass(frozen=True, kw_only=True)
class HypergradientSettings:
    """`beta`: change of log lr per round and unit of cosine, from 0 to 10."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 10:
            raise ValueError(f"beta must be from 0 to 10, not {self.beta!r}")


class Hypergradient(Controller):
    """log lr += beta · cos(−gradient, last move), bounded to base · 2^±6; batch size and window stay.

    A gradient that still points along the last move says that the move was too short (Baydin et al., 2018,
    "Online learning rate adaptation with hypergradient descent"); here the product is normalised to a cosine,
    so that `beta` has no unit, and taken once a round, on a new gradient (`gradient_age` 0 or unknown).

    >>> controller = Hypergradient(base=Base(lr=1e-3))
    >>> signals = Signals(grad_cos=0.5, gradient_age=0, lr=1e-3, batch_size=8, window=8)
    >>> round(controller.decide(signals).lr / 1e-3, 3) == round(math.exp(0.5), 3)
    True
    """

    def __init__(self, *, base: Base, settings: HypergradientSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or HypergradientSettings()
        self._log_factor = 0.0  # natural logarithm of lr / base lr

    def decide(self, signals: Signals) -> Decision:
        """The base with the rate moved by the round's cosine; a missing one leaves it."""
        cosine = signals.grad_cos
        if cosine is not None and math.isfinite(cosine) and not signals.gradient_age:
            bound = MAX_LR_NOTCHES * math.log(2)
            moved = self._log_factor + self.settings.beta * min(max(cosine, -1.0), 1.0)
            self._log_factor = min(max(moved, -bound), bound)
        return replace(self.base.decision(), lr=self.base.lr * math.exp(self._log_factor))

    def state_dict(self) -> dict[str, Any]:
        """Where the rate stands."""
        return {"log_factor": self._log_factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._log_factor = float(state["log_factor"])
