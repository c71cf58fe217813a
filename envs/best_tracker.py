"""The computable optimum of a surrogate task: the excess loss that the best tracker would have."""

import numpy as np
from numpy.typing import NDArray

from .quadratic_problem import QuadraticProblem

Array = NDArray[np.float64]


def kalman_excess(problem: QuadraticProblem) -> Array:
    """Expected excess loss of the best tracker on each chunk, shape (T,), nats.

    A Kalman filter for each whitened coordinate, whose state is the domain's optimum and the offset of the
    document at hand, takes in all examples one document after the other. It is told when the optimum moves
    and how far it may, which documents the examples belong to and how far these lie apart. The excess is over
    the chunk's own optimum, `problem.optimum(t)`. Nothing causal does better on moves to new places.
    """
    moves, documents = problem.path.move_variance, problem.documents
    noise = problem.noise_std**2
    domain = (problem.start - problem.optima[0]) ** 2 * problem.curvature
    # Variance of the offset of the document last seen, and its covariance with the domain's optimum.
    offset, both = documents.variance.copy(), np.zeros_like(domain)
    last = 0
    excess = np.empty(len(moves))
    for t in range(len(moves)):
        if t:
            domain = domain + moves[t]
        numbers, counts = documents.shares(t)
        shares = counts / counts.sum()
        known = float(shares[0]) if numbers[0] == last else 0.0
        unknown = float((shares**2).sum()) - known**2
        excess[t] = 0.5 * (domain + 2 * known * both + known**2 * offset + unknown * documents.variance).sum()
        for number, count in zip(numbers, counts, strict=True):
            if number != last:
                offset, both, last = documents.variance, np.zeros_like(domain), number
            domain, offset, both = _learnt(domain, offset, both, noise[t] / count)
    return excess


def _learnt(domain: Array, offset: Array, both: Array, noise: float) -> tuple[Array, Array, Array]:
    """Variances and covariance after the sum of the two was seen with this noise variance."""
    seen = domain + 2 * both + offset + noise
    with_domain, with_offset = domain + both, offset + both
    return (
        domain - with_domain**2 / seen,
        offset - with_offset**2 / seen,
        both - with_domain * with_offset / seen,
    )
