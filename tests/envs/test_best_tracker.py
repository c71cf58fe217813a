from dataclasses import replace

import numpy as np
import pytest

from olrl.envs.best_tracker import kalman_excess
from olrl.envs.documents import DocumentRandomisation
from olrl.envs.drift_path import DriftRandomisation
from olrl.envs.quadratic_problem import CHUNK, QuadraticProblem, QuadraticRandomisation, draw_problem

WALK = DriftRandomisation(walk=(0.1, 0.1), eventless=1.0, bursts=0.0, quiet=0.0)
ALIKE = DocumentRandomisation(offset=(1e-9, 1e-9))


def test_without_documents_the_excess_settles_where_theory_says() -> None:
    problem = draw_problem(6, QuadraticRandomisation(documents=ALIKE), rounds=2_000)
    d, q = problem.dimension, 0.01
    still = replace(
        problem,
        noise_std=np.full(2_001, 0.5),
        path=replace(problem.path, moved=np.full(2_001, d * q), direction=np.full(d, 1 / np.sqrt(d))),
    )
    r = 0.25 / CHUNK
    assert kalman_excess(still)[-1] == pytest.approx(0.5 * d * (q + np.sqrt(q * q + 4 * q * r)) / 2)


@pytest.mark.parametrize("documents", [ALIKE, DocumentRandomisation(offset=(0.5, 1.0))])
def test_the_tracker_reaches_the_excess_it_is_said_to(documents: DocumentRandomisation) -> None:
    ranges = QuadraticRandomisation(documents=documents, drift=WALK)
    ratios = []
    for seed in range(12):
        problem = draw_problem(seed, ranges, rounds=150)
        ratios.append(_tracked(problem) / kalman_excess(problem)[1:].mean())
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)


def _tracked(problem: QuadraticProblem) -> float:
    """Mean excess loss of a literal Kalman filter on the problem's own targets.

    Each coordinate's state is the optimum of the domain and the offset of the document at hand.
    """
    root, documents = np.sqrt(problem.curvature), problem.documents
    d = problem.dimension
    mean, covariance = np.zeros((d, 2)), np.zeros((d, 2, 2))
    mean[:, 0] = problem.start * root
    covariance[:, 0, 0] = ((problem.start - problem.optima[0]) * root) ** 2
    covariance[:, 1, 1] = documents.variance
    last, excess = 0, []
    sees = np.ones(2)
    for t, numbers in enumerate(documents.number):
        targets = problem.examples(t)[:, :-1] * root
        if t:
            covariance[:, 0, 0] += problem.path.move_variance[t]
            guess = mean[:, 0] + mean[:, 1] * (numbers == last).mean()
            excess.append(0.5 * ((guess - problem.optimum(t) * root) ** 2).sum())
        for target, number in zip(targets, numbers, strict=True):
            if number != last:
                last = number
                mean[:, 1], covariance[:, 0, 1], covariance[:, 1, 0] = 0.0, 0.0, 0.0
                covariance[:, 1, 1] = documents.variance
            seen = covariance @ sees
            gain = seen / (seen @ sees + problem.noise_std[t] ** 2)[:, None]
            mean += gain * (target - mean @ sees)[:, None]
            covariance -= gain[:, :, None] * seen[:, None, :]
    return float(np.mean(excess))
