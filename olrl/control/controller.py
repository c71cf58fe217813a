"""What every controller is."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


class Controller(ABC):
    """Turns the signals of a round into the decision for it, and owns what it remembers of earlier rounds.

    `decide` is called once a round, in order. A controller sees signals only: never text, weights or the truth
    about drift. `state_dict()` is JSON-able (numbers, strings, lists, dicts), and a controller of the same
    arguments that loads it continues with the same decisions.
    """

    def __init__(self, *, base: Base) -> None:
        self.base = base

    @abstractmethod
    def decide(self, signals: Signals) -> Decision:
        """The decision for the round whose new chunk `signals` describe."""

    def observed(self) -> NDArray[np.float64] | None:
        """What the last decision was made from, for a guard to judge whether it can be trusted.

        The features before clipping, shape (features,), of a controller that was trained; None of a rule.
        """
        return None

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the next decision depends on, JSON-able."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a controller built with the same arguments."""
