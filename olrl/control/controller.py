"""What every controller is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals

if TYPE_CHECKING:
    from olrl.control.training_range import TrainingRange


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

    @property
    def training_range(self) -> TrainingRange | None:
        """Where what it observes lay in training; None of a rule, and of a policy that does not tell."""
        return None

    def forget(self) -> None:  # noqa: B027 # a rule remembers nothing that a guard would know of
        """Learn anew what is usual on this stream; what was decided last stays in force.

        For a guard that has seen measurements which cannot be true: averages would remember them for long.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the next decision depends on, JSON-able."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a controller built with the same arguments."""
