from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from olrl.envs import sensible_rate
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


def test_walking_downhill_finds_the_base_that_looking_at_all_rates_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[Any, ...]] = []
    losses = sensible_rate._losses

    def recorded(*args: Any) -> Any:
        calls.append(args)
        return losses(*args)

    monkeypatch.setattr(sensible_rate, "_losses", recorded)
    for seed in range(40):
        draw_problem(seed, QuadraticRandomisation(adamw=0.7), rounds=150)
    for rates, *rest in calls:
        looked_at = losses(rates, *rest)
        everywhere = np.concatenate([losses(rates[k : k + 1], *rest) for k in range(len(rates))], axis=1)
        assert looked_at.argmin() == everywhere.argmin()
        seen = np.isfinite(looked_at)
        np.testing.assert_allclose(looked_at[seen], everywhere[seen])


def test_no_longer_window_would_have_been_much_better() -> None:
    ratios = []
    for seed in range(6):
        problem = draw_problem(seed, QuadraticRandomisation(adamw=1.0), rounds=100)
        lr = problem.reference.lr
        best = min(excess(problem, lr, window=window) for window in (1, 4, 16))
        ratios.append(excess(problem, lr) / best)
    assert np.mean(ratios) < 1.1
