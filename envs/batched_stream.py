"""The streams of many surrogate problems: their targets, round by round."""

import numpy as np
from numpy.typing import NDArray

from .quadratic_problem import CHUNK, QuadraticProblem
from .training_batches import Array, Ints

_AHEAD = 8  # rounds of noise drawn in one call: the same numbers as one by one


class BatchedStream:
    """n problems with their own noise generators; targets beyond a problem's dimension are zero."""

    def __init__(self, n: int, dimension: int, *, rounds: int) -> None:
        self._optima = np.zeros((n, rounds + 1, dimension))
        self._root = np.ones((n, dimension))  # √h
        self._noise_std = np.zeros((n, rounds + 1))
        self._noise = np.zeros((n, _AHEAD, CHUNK, dimension))
        self._generators = [np.random.default_rng(0) for _ in range(n)]
        self._dimension = np.ones(n, dtype=np.int64)

    def reset(self, which: Ints, problems: list[QuadraticProblem]) -> None:
        """Put these problems into the places `which`, at their first chunk."""
        self._optima[which], self._noise[which], self._root[which] = 0.0, 0.0, 1.0
        for i, problem in zip(which, problems, strict=True):
            d = self._dimension[i] = len(problem.start)
            self._optima[i, :, :d], self._noise_std[i] = problem.optima, problem.noise_std
            self._root[i, :d] = np.sqrt(problem.curvature)
            self._generators[i] = problem.noise_generator()

    def chunks(self, which: Ints, rounds: Ints) -> NDArray[np.float32]:
        """The chunks of these rounds, shape (k, CHUNK, d); each problem's rounds come in order, once."""
        for i in which[rounds % _AHEAD == 0].tolist():
            d = int(self._dimension[i])
            self._noise[i, :, :, :d] = self._generators[i].standard_normal((_AHEAD, CHUNK, d))
        noise = self._noise[which, rounds % _AHEAD]
        noise *= (self._noise_std[which, rounds, None] / self._root[which])[:, None]
        noise += self._optima[which, rounds][:, None]
        return noise.astype(np.float32)

    def optima(self, rounds: Ints) -> Array:
        """The true optimum of each problem at these rounds, shape (n, d)."""
        optima: Array = self._optima[np.arange(len(rounds)), rounds]
        return optima
