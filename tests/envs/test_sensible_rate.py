from dataclasses import replace

import numpy as np

from olrl.envs.drifting_quadratic import QuadraticEpisode
from olrl.envs.quadratic_problem import QuadraticProblem, QuadraticRandomisation, draw_problem


def excess(problem: QuadraticProblem, lr: float) -> float:
    """Mean true excess loss of a constant configuration at this rate."""
    episode = QuadraticEpisode(problem)
    decision = replace(problem.reference.decision(), lr=lr)
    total = 0.0
    for _ in range(episode.rounds):
        episode.loop.observe()
        total += episode.truth()["excess_nats"]
        episode.loop.apply(decision)
    return total / episode.rounds


def test_rates_four_times_smaller_or_larger_are_worse() -> None:
    ratios = []
    for seed in range(10):
        problem = draw_problem(seed, QuadraticRandomisation(), rounds=200)
        lr = problem.reference.lr
        at = excess(problem, lr)
        ratios.append([excess(problem, lr / 4) / at, excess(problem, lr * 4) / at])
    assert (np.median(ratios, axis=0) > 1.15).all()
    assert np.mean(np.array(ratios) > 0.9) >= 0.85
