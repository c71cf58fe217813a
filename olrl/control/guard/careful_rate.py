"""The learning rate of the fallback, and the ceiling that a rollback leaves behind."""

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from olrl.control.guard.loss_level import REMEMBERED

_PROBATION = 20  # healthy rounds after which the ceiling is doubled
_ABOVE_PROVEN = 2.0  # a rate that was suddenly far too high is not tried at half of that
_DEEPEST = 6  # of repeated rollbacks: the rate is divided by 2, 4, 16, … 2^32


class CarefulRate:
    """The least of the base's rate, the median of the last 20 healthy rounds and the ceiling.

    A base may itself be the fault. A rollback puts a ceiling at half the rate before it, and at twice the
    median, so that the controller cannot go straight back; one that follows before 20 healthy rounds have
    passed divides by 4, the next by 16, and so on. Each 20 healthy rounds double the ceiling.

    >>> rate = CarefulRate(1e-3)
    >>> rate.rolled_back(4e-4)
    >>> rate.fallback, rate.ceiling
    (0.0002, 0.0002)
    """

    def __init__(self, base_lr: float) -> None:
        self._base_lr = base_lr
        self._healthy: list[float] = []
        self.ceiling = math.inf
        self._in_a_row = 0  # rollbacks
        self._probation = 0

    @property
    def fallback(self) -> float:
        """The rate to fall back to."""
        usual = [median(self._healthy)] if self._healthy else []
        return min([self._base_lr, self.ceiling, *usual])

    def healthy(self, lr: float) -> None:
        """A healthy round was scored after training at this rate."""
        self._healthy = [*self._healthy[1 - REMEMBERED :], lr]
        if self.ceiling == math.inf:
            return
        self._probation += 1
        if self._probation >= _PROBATION:
            self._probation = self._in_a_row = 0
            self.ceiling *= 2
            if self.ceiling > 64 * self._base_lr:
                self.ceiling = math.inf

    def rolled_back(self, lr: float) -> None:
        """The weights were rolled back after training at this rate."""
        divisor = 2.0 ** (2 ** min(self._in_a_row, _DEEPEST - 1))
        proven = [_ABOVE_PROVEN * median(self._healthy)] if self._healthy else []
        self.ceiling = min([self.ceiling, lr / divisor, *proven])
        self._in_a_row += 1
        self._probation = 0

    def state_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "healthy": list(self._healthy),
            "ceiling": None if self.ceiling == math.inf else self.ceiling,
            "in_a_row": self._in_a_row,
            "probation": self._probation,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`; ValueError for a rate that is none."""
        self._healthy = [float(lr) for lr in state["healthy"]]
        self.ceiling = math.inf if state["ceiling"] is None else float(state["ceiling"])
        if not all(lr > 0 for lr in (*self._healthy, self.ceiling)):
            raise ValueError("the guard's state holds a rate that is not above 0")
        self._in_a_row = int(state["in_a_row"])
        self._probation = int(state["probation"])
