import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from olrl.envs.documents import DocumentRandomisation
from olrl.envs.drift_path import DriftRandomisation
from olrl.envs.quadratic_problem import QuadraticRandomisation, draw_problem

RANGES = QuadraticRandomisation()


def test_ranges_survive_json() -> None:
    changed = replace(
        RANGES,
        noise=(1.0, 2.0),
        documents=DocumentRandomisation(level=(0.1, 0.2)),
        drift=DriftRandomisation(jump=(1.0, 1.5)),
    )
    assert QuadraticRandomisation.from_dict(json.loads(json.dumps(asdict(changed)))) == changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"drift": {"nonsense": 1}}, "nonsense"),
        ({"documents": {"nonsense": 1}}, "nonsense"),
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
    assert (min(dimensions), max(dimensions)) == (8, 40)
    conditions = [p.curvature[0] / p.curvature[-1] for p in problems]
    assert 3 * (1 - 1e-9) <= min(conditions) < 6
    assert 500 < max(conditions) <= 1000 * (1 + 1e-9)
    wrong = np.log2([p.base.lr / p.reference.lr for p in problems])
    assert -3.5 <= wrong.min() < -3
    assert 3 < wrong.max() <= 3.5
    assert 0.3 < np.mean([p.price > 0 for p in problems]) < 0.7
    assert 0.6 < np.mean([p.optimizer == "adamw" for p in problems]) < 0.95
    assert {p.base.window for p in problems} == {0, 1, 2, 4, 8, 16, 32, 64}
    assert {p.base.batch_size for p in problems} == {1, 2, 4, 8, 16, 32, 64}


def test_no_base_of_sgd_diverges_within_its_first_round() -> None:
    ranges = replace(RANGES, adamw=0.0)
    problems = [draw_problem(seed, ranges, rounds=10) for seed in range(60)]
    assert max(p.base.lr * p.curvature[0] for p in problems) == pytest.approx(1.5)


def test_targets_scatter_about_the_optimum_of_their_document_with_the_noise_said() -> None:
    problem = draw_problem(5, RANGES, rounds=200)
    targets = np.stack([problem.examples(t)[:, :-1] for t in range(201)])
    documents = problem.documents
    errors = targets - problem.optima[:, None] - documents.offset[documents.number]
    whitened = errors * np.sqrt(problem.curvature) / problem.noise_std[:, None, None]
    assert whitened.var() == pytest.approx(1.0, rel=0.02)
    assert abs(whitened.mean()) < 0.02


def test_floors_are_positive_and_their_mean_is_the_one_said() -> None:
    means = []
    for seed in range(30):
        problem = draw_problem(seed, RANGES, rounds=300)
        floors = np.stack([problem.examples(t)[:, -1] for t in range(301)])
        assert floors.min() > 0
        expected = [
            problem.irreducible(t)
            - 0.5 * problem.dimension * problem.noise_std[t] ** 2
            - 0.5
            * (problem.curvature * problem.documents.offset[problem.documents.number[t]].var(axis=0)).sum()
            for t in range(301)
        ]
        assert floors.mean() == pytest.approx(np.mean(expected), rel=0.1)
        means.append(floors.mean() / problem.floor)
    assert np.mean(means) == pytest.approx(1.0, rel=0.15)
