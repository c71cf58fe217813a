import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from olrl.envs.drift_path import DriftRandomisation
from olrl.envs.quadratic_problem import (
    CHUNK,
    QuadraticProblem,
    QuadraticRandomisation,
    draw_problem,
    kalman_excess,
)

RANGES = QuadraticRandomisation()


def test_ranges_survive_json() -> None:
    changed = replace(RANGES, noise=(1.0, 2.0), drift=DriftRandomisation(jump=(1.0, 1.5)))
    assert QuadraticRandomisation.from_dict(json.loads(json.dumps(asdict(changed)))) == changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"drift": {"nonsense": 1}}, "nonsense"),
        ({"noise": [2.0, 1.0]}, "noise"),
        ({"masked": 2.0}, "masked"),
        ({"dimension": [1, 4]}, "dimension"),
        ({"update_cost": [-1.0, 4.0]}, "update_cost"),
        ({"lr_octaves": -1.0}, "lr_octaves"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuadraticRandomisation.from_dict(given)


def test_one_seed_one_problem() -> None:
    one, again, other = (draw_problem(seed, RANGES, rounds=20) for seed in (3, 3, 4))
    assert (one.optima == again.optima).all()
    assert one.base == again.base
    assert one.base != other.base


def test_draws_cover_their_ranges_and_stay_inside() -> None:
    problems = [draw_problem(seed, RANGES, rounds=10) for seed in range(150)]
    dimensions = [len(p.start) for p in problems]
    assert (min(dimensions), max(dimensions)) == (4, 32)
    conditions = [p.curvature[0] / p.curvature[-1] for p in problems]
    assert 3 * (1 - 1e-9) <= min(conditions) < 6
    assert 500 < max(conditions) <= 1000 * (1 + 1e-9)
    wrong = np.log2([p.base.lr / p.reference.lr for p in problems])
    assert -3.5 <= wrong.min() < -3
    assert 3 < wrong.max() <= 3.5
    assert 0.3 < np.mean([p.price > 0 for p in problems]) < 0.7
    assert 0.6 < np.mean([p.optimizer == "adamw" for p in problems]) < 0.9
    assert {p.base.window for p in problems} == {0, 1, 2, 4, 8, 16, 32, 64}
    assert {p.base.batch_size for p in problems} == {1, 2, 4, 8, 16, 32, 64}


def test_no_base_of_sgd_diverges_within_its_first_round() -> None:
    ranges = replace(RANGES, adamw=0.0)
    problems = [draw_problem(seed, ranges, rounds=10) for seed in range(60)]
    assert max(p.base.lr * p.curvature[0] for p in problems) == pytest.approx(1.5)


def test_targets_scatter_about_the_optimum_with_the_noise_said() -> None:
    problem = draw_problem(5, RANGES, rounds=200)
    rng = problem.noise_generator()
    errors = np.array([problem.targets(rng, t) - problem.optima[t] for t in range(201)])
    whitened = errors * np.sqrt(problem.curvature) / problem.noise_std[:, None, None]
    assert whitened.var() == pytest.approx(1.0, rel=0.02)
    assert abs(whitened.mean()) < 0.02


def test_the_kalman_excess_settles_where_theory_says() -> None:
    problem = draw_problem(6, RANGES, rounds=2_000)
    d, q = len(problem.start), 0.01
    still = replace(
        problem,
        noise_std=np.full(2_001, 0.5),
        path=replace(problem.path, move_variance=np.full((2_001, d), q)),
    )
    r = 0.25 / CHUNK
    assert kalman_excess(still)[-1] == pytest.approx(0.5 * d * (q + np.sqrt(q * q + 4 * q * r)) / 2)


def test_the_kalman_tracker_reaches_the_excess_it_is_said_to() -> None:
    ranges = replace(
        RANGES,
        drift=DriftRandomisation(walk=(0.1, 0.1), eventless=1.0, bursts=0.0, quiet=0.0),
    )
    ratios = []
    for seed in range(12):
        problem = draw_problem(seed, ranges, rounds=150)
        if problem.path.move_variance.sum() == 0:
            continue
        ratios.append(_tracked(problem) / kalman_excess(problem)[1:].mean())
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)


def _tracked(problem: QuadraticProblem) -> float:
    """Mean excess loss of a Kalman filter on the problem's own targets."""
    rng, root = problem.noise_generator(), np.sqrt(problem.curvature)
    at, p = problem.start * root, ((problem.start - problem.optima[0]) * root) ** 2
    excess = []
    for t in range(len(problem.optima)):
        if t:
            p = p + problem.path.move_variance[t]
            excess.append(0.5 * ((at - problem.optima[t] * root) ** 2).sum())
        r = problem.noise_std[t] ** 2 / CHUNK
        gain = p / (p + r)
        at = at + gain * ((problem.targets(rng, t) * root).mean(axis=0) - at)
        p = p * (1 - gain)
    return float(np.mean(excess))
