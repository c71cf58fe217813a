"""A decision that is held until it is changed from outside."""

from dataclasses import asdict
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


class Held(Controller):
    """Decides `decision`, the base at first, until someone sets another: for entrants that search beside the loop.

    >>> controller = Held(base=Base(lr=1e-3))
    >>> controller.decision = Decision(lr=5e-4, batch_size=8, window=8)
    >>> controller.decide(Signals(lr=1e-3, batch_size=8, window=8)).lr
    0.0005
    """

    def __init__(self, *, base: Base) -> None:
        super().__init__(base=base)
        self.decision = base.decision()

    def decide(self, signals: Signals) -> Decision:
        """The decision that is held."""
        return self.decision

    def state_dict(self) -> dict[str, Any]:
        """The decision."""
        return asdict(self.decision)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.decision = Decision(**state)
