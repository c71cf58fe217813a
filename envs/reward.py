"""What a decision earned, against a reference learner on the same tokens."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import BATCH_SIZES
from olrl.learners.cost import CostModel

RUNNING_ROUNDS = 30  # memory of the reference's running loss


@dataclass(frozen=True, kw_only=True)
class Reward:
    """Loss saved against the reference, less what the training cost; for one learner or arrays of them.

        reward = clip(scale · (reference − loss) / running, ±clip) − scale · price · spent / budget

    `running` is the *reference's* running loss, so nothing a controller does moves it. All losses are those
    of the chunk after the decision: the first that its training could change. A learner has failed when its
    loss is not finite or above `failure_ratio` times `running`.

    >>> reward = Reward()
    >>> reward.of(loss=1.9, reference=2.0, running=2.0, price=0.1, spent_fraction=0.5).round(3).item()
    0.0
    >>> reward.failed(loss=np.array([2.0, np.inf]), running=2.0).tolist()
    [False, True]
    """

    scale: float = 10.0
    clip: float = 5.0
    failure_ratio: float = 50.0

    def __post_init__(self) -> None:
        for name in ("scale", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"reward {name} must be a positive number, not {value!r}")
        if not (math.isfinite(self.failure_ratio) and self.failure_ratio > 1):
            raise ValueError(f"failure_ratio must be above 1, not {self.failure_ratio!r}")

    @classmethod
    def from_dict(cls, given: Mapping[str, float] | None) -> "Reward":
        """From a plain mapping of the fields to change; ValueError for an unknown name."""
        try:
            return cls(**(given or {}))
        except TypeError as error:  # Python names the unknown field
            raise ValueError(f"reward: {error}") from None

    def of(
        self,
        *,
        loss: ArrayLike,
        reference: ArrayLike,
        running: ArrayLike,
        price: ArrayLike,
        spent_fraction: ArrayLike,
    ) -> NDArray[np.float64]:
        """Reward of a round after which the learner works; `spent_fraction` is spent / budget."""
        saved = self.scale * (np.asarray(reference) - np.asarray(loss)) / np.asarray(running)
        cost = self.scale * np.asarray(price) * np.asarray(spent_fraction)
        reward: NDArray[np.float64] = np.clip(saved, -self.clip, self.clip) - cost
        return reward

    def failed(self, *, loss: ArrayLike, running: ArrayLike) -> NDArray[np.bool_]:
        """Whether the learner is lost."""
        failed: NDArray[np.bool_] = ~(
            np.asarray(loss) <= self.failure_ratio * np.asarray(running)
        )  # also NaN
        return failed

    def of_failure(
        self, *, rounds_left: ArrayLike, price: ArrayLike, worst_spent_fraction: ArrayLike
    ) -> NDArray[np.float64]:
        """Reward of the round that lost the learner: below the sum of all that going on could have cost.

        `rounds_left` counts this round too.
        """
        worst = self.clip + self.scale * np.asarray(price) * np.asarray(worst_spent_fraction)
        penalty: NDArray[np.float64] = -worst * (np.asarray(rounds_left) + 1)
        return penalty


def worst_spent_fraction(cost: CostModel) -> float:
    """The largest share of its budget that a round can spend: above 1 if not even one update fits.

    >>> worst_spent_fraction(CostModel(update_cost=16, budget=64))
    1.25
    """
    return max(1.0, cost.spent(BATCH_SIZES[-1], updates=1) / cost.budget)


def running_mean(mean: ArrayLike, value: ArrayLike, count: ArrayLike) -> NDArray[np.float64]:
    """A mean with a memory of 30 rounds after value number `count` (from 1): a plain one until it is full."""
    weight = np.maximum(1.0 / RUNNING_ROUNDS, 1.0 / np.asarray(count))
    updated: NDArray[np.float64] = np.asarray(mean) + weight * (np.asarray(value) - np.asarray(mean))
    return updated
