from dataclasses import replace

import numpy as np
import pytest

from olrl.envs.drifting_quadratic import QuadraticEpisode
from olrl.envs.quadratic_problem import QuadraticProblem, QuadraticRandomisation, draw_problem


def excess(problem: QuadraticProblem, lr: float, window: int | None = None) -> float:
    """Mean true excess loss of a constant configuration at this rate."""
    episode = QuadraticEpisode(problem)
    decision = replace(problem.reference.decision(), lr=lr)
    if window is not None:
        decision = replace(decision, window=window)
    total = 0.0
    for _ in range(episode.rounds):
        episode.loop.observe()
        total += episode.truth()["excess_nats"]
        episode.loop.apply(decision)
    return total / episode.rounds


@pytest.mark.parametrize("adamw", [0.0, 1.0])
def test_rates_four_times_smaller_or_larger_are_worse(adamw: float) -> None:
    ratios = []
    for seed in range(8):
        problem = draw_problem(seed, QuadraticRandomisation(adamw=adamw), rounds=150)
        lr = problem.reference.lr
        at = excess(problem, lr)
        ratios.append([excess(problem, lr / 4) / at, excess(problem, lr * 4) / at])
    assert (np.mean(ratios, axis=0) > 1.03).all()
    assert np.mean(np.array(ratios) > 0.97) >= 0.85


def test_no_longer_window_would_have_been_much_better() -> None:
    ratios = []
    for seed in range(6):
        problem = draw_problem(seed, QuadraticRandomisation(adamw=1.0), rounds=100)
        lr = problem.reference.lr
        best = min(excess(problem, lr, window=window) for window in (1, 4, 16))
        ratios.append(excess(problem, lr) / best)
    assert np.mean(ratios) < 1.1
