"""What every learner is: something that can be scored on examples and trained on them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Decision

Examples = NDArray[Any]  # (n, …): rows of a memory; token sequences (n, L + 1) for language models


@dataclass(frozen=True, kw_only=True)
class UpdateReport:
    """What happened in one round's training; gradient figures are `None` where they could not be measured.

    Units as in `olrl.monitor.Signals`. `nonfinite` counts steps that were not taken because a loss or a
    gradient was not finite; `updates` counts the steps taken.
    """

    updates: int = 0
    examples: int = 0
    train_loss_nats: float | None = None
    grad_norm: float | None = None
    grad_snr: float | None = None
    grad_cos: float | None = None
    update_ratio: float | None = None
    uncertainty: float | None = None
    nonfinite: int = 0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Losses of examples, shape (n,), and whether what the learner answers is right, where it answers."""

    losses: NDArray[np.float64]
    hits: NDArray[np.bool_] | None = None


class Learner(ABC):
    """A model with its optimizer.

    `passes` is how often an example goes through the model to be scored: more than once where predictions are
    averaged over several weights.
    """

    passes: int = 1

    @abstractmethod
    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Loss of each example, shape (n,), nats per predicted token; changes nothing."""

    def judge(self, examples: Examples) -> Judgement:
        """The losses that `score` gives, and for a learner that answers whether it is right; changes nothing."""
        return Judgement(losses=self.score(examples))

    @abstractmethod
    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """Take one optimizer step per batch under `decision`, and tell what happened."""

    @abstractmethod
    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Weights and optimizer state as named arrays."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()` of a learner built with the same arguments."""
