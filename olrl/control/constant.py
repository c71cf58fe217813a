"""The base configuration, held; with or without training."""

from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


class Constant(Controller):
    """Decides the base in every round; with `update=False` it never trains.

    >>> controller = Constant(base=Base(lr=1e-3), update=False)
    >>> controller.decide(Signals(lr=1e-3, batch_size=8, window=8)).update
    False
    """

    def __init__(self, *, base: Base, update: bool = True) -> None:
        super().__init__(base=base)
        self._decision = base.decision(update=update)

    def decide(self, signals: Signals) -> Decision:
        """The same decision whatever the signals."""
        return self._decision

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes in nothing."""
