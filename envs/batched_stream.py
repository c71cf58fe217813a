"""The streams of many surrogate problems: their examples, round by round."""

import numpy as np
from numpy.typing import NDArray

from .quadratic_problem import CHUNK, QuadraticProblem
from .training_batches import Array, Ints

_AHEAD = 10  # rounds of examples drawn in one call: the same numbers as one by one


class BatchedStream:
    """n problems with their own noise generators; rows are d numbers and a floor, zero in between."""

    def __init__(self, n: int, dimension: int) -> None:
        self._ahead = np.zeros((n, _AHEAD, CHUNK, dimension + 1), dtype=np.float32)
        self._generators = [np.random.default_rng(0) for _ in range(n)]
        self._problems: list[QuadraticProblem | None] = [None] * n

    def reset(self, which: Ints, problems: list[QuadraticProblem]) -> None:
        """Put these problems into the places `which`, at their first chunk."""
        self._ahead[which] = 0.0
        for i, problem in zip(which, problems, strict=True):
            self._problems[i] = problem
            self._generators[i] = problem.noise_generator()

    def chunks(self, which: Ints, rounds: Ints) -> NDArray[np.float32]:
        """The chunks of these rounds, shape (k, CHUNK, d + 1); each problem's rounds come in order, once."""
        (due,) = np.nonzero(rounds % _AHEAD == 0)
        for i, first in zip(which[due].tolist(), rounds[due].tolist(), strict=True):
            problem = self._problem(i)
            rows = problem.examples(self._generators[i], first, _AHEAD)
            d = problem.dimension
            self._ahead[i, : len(rows), :, :d], self._ahead[i, : len(rows), :, -1] = (
                rows[..., :d],
                rows[..., d],
            )
        chunks: NDArray[np.float32] = self._ahead[which, rounds % _AHEAD]
        return chunks

    def optima(self, rounds: Ints) -> Array:
        """The true optimum of each problem's chunk at these rounds, shape (n, d + 1)."""
        optima = np.zeros((len(rounds), self._ahead.shape[-1]))
        for i, t in enumerate(rounds.tolist()):
            problem = self._problem(i)
            optima[i, : problem.dimension] = problem.optimum(t)
        return optima

    def _problem(self, i: int) -> QuadraticProblem:
        problem = self._problems[i]
        assert problem is not None, "reset() puts a problem into every place"
        return problem
