"""How far a learner's confidence in its predictions can be taken at its word."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.averaged_predictions import AveragedPredictions, probabilities
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.learner import Examples, Learner, UpdateReport

BINS = 15


class Calibration:
    """Counts of predictions by their confidence, in 15 equal bins.

    The expected calibration error is the mean, over predictions, of the distance between a bin's mean confidence
    and its share of right ones (Guo et al., 2017, "On calibration of modern neural networks").

    >>> calibration = Calibration()
    >>> sure = np.array([[[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]]], dtype=np.float32)
    >>> calibration.add(sure, np.array([[0, 1, 0]]))  # of two at 0.9 one is right, and the one at 0.6
    >>> round(calibration.error, 4)  # (2 · |0.9 − 0.5| + 1 · |0.6 − 1|) / 3
    0.4
    """

    def __init__(self) -> None:
        self._count, self._right, self._confidence = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)

    def add(self, predicted: NDArray[np.float32], targets: NDArray[Any]) -> None:
        """Predictions as probabilities, shape (n, L, V), of these tokens, (n, L)."""
        confidence = predicted.max(axis=2).astype(np.float64).ravel()
        right = (predicted.argmax(axis=2) == targets).ravel()
        places = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        self._count += np.bincount(places, minlength=BINS)
        self._right += np.bincount(places, weights=right, minlength=BINS)
        self._confidence += np.bincount(places, weights=confidence, minlength=BINS)

    @property
    def error(self) -> float:
        """The expected calibration error, from 0 to 1; ValueError if nothing was counted."""
        if not self._count.any():
            raise ValueError("no prediction was counted")
        return float(np.abs(self._confidence - self._right).sum() / self._count.sum())

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus the share of right predictions."""
        return float((self._confidence.sum() - self._right.sum()) / self._count.sum())


class Recorded(Learner):
    """A learner whose predictions are counted whenever it scores a chunk; what it does is what it did.

    Counted are the first `chunk` of the examples scored: behind them are probes from the past. The passes for this
    are those of an onlooker and not charged.
    """

    def __init__(self, learner: CausalLMLearner | AveragedPredictions, *, chunk: int) -> None:
        self.passes = learner.passes
        self.calibration = Calibration()
        self._learner, self._chunk = learner, chunk

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """As the learner, and counts."""
        new, learner = examples[: self._chunk], self._learner
        if isinstance(learner, AveragedPredictions):
            predicted = learner.probabilities(new)
        else:
            predicted = probabilities(learner, new)
        self.calibration.add(predicted, new[:, 1:])
        return learner.score(examples)

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """As the learner."""
        return self._learner.update(batches, decision)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Of the learner; counts are no part of it."""
        return self._learner.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Of the learner."""
        self._learner.load_state_dict(state)
