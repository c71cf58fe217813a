"""What training costs, in abstract units that do not depend on a machine."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """An optimizer step over B sequences costs `update_cost + B` units; a round may spend `budget`.

    The fixed part stands for what a step costs whatever its size (launching kernels, the optimizer, collective
    communication); without it the smallest batch always wins and batch size is no decision.

    >>> cost = CostModel(update_cost=4, budget=64)
    >>> cost.updates(8), cost.spent(8), cost.updates(64)
    (5, 60, 1)
    """

    update_cost: float = 4.0
    budget: float = 64.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.update_cost) and self.update_cost >= 0):
            raise ValueError(f"update_cost must be at least 0 units, not {self.update_cost!r}")
        if not (math.isfinite(self.budget) and self.budget > 0):
            raise ValueError(f"budget must be a positive number of units a round, not {self.budget!r}")

    def updates(self, batch_size: int) -> int:
        """Optimizer steps a round affords: at least 1, nothing carried over."""
        return max(1, math.floor(self.budget / (self.update_cost + batch_size)))

    def spent(self, batch_size: int, updates: int | None = None) -> float:
        """Units that `updates` steps cost (by default all that a round affords)."""
        steps = self.updates(batch_size) if updates is None else updates
        return steps * (self.update_cost + batch_size)
