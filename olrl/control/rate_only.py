"""A controller of which only the learning rate is obeyed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.monitor.signals import Signals

if TYPE_CHECKING:
    from olrl.control.training_range import TrainingRange


class RateOnly(Controller):
    """Another controller's rate, with the base's batch size and window, training in every round.

    For differential privacy, whose accounting holds for a fixed rate of sampling and a known number of steps only.
    A guard judges and resets the other by what that observed.

    >>> from olrl.control.constant import Constant
    >>> from olrl.control.decision import Base
    >>> base = Base(lr=1e-3)
    >>> RateOnly(Constant(base=base, update=False)).decide(Signals(lr=1e-3, batch_size=8, window=8)).update
    True
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__(base=controller.base)
        self.controller = controller

    def decide(self, signals: Signals) -> Decision:
        """The rate of the other's decision."""
        held = self.base.decision()
        return replace(held, lr=self.controller.decide(signals).lr)

    def observed(self) -> NDArray[np.float64] | None:
        """What the other's last decision was made from."""
        return self.controller.observed()

    @property
    def training_range(self) -> TrainingRange | None:
        """That of the other."""
        return self.controller.training_range

    def forget(self) -> None:
        """The other learns anew what is usual."""
        self.controller.forget()

    def state_dict(self) -> dict[str, Any]:
        """That of the other."""
        return self.controller.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.controller.load_state_dict(state)
