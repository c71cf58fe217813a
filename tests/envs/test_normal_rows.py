import numpy as np
import pytest

from olrl.draws import uniforms
from olrl.envs.normal_rows import PLACES, places_of, rows_at


def drawn(seed: int, count: int, width: int) -> np.ndarray:
    return rows_at(places_of(uniforms(seed, 0, np.arange(count))), width)


def test_their_numbers_are_normal_and_independent_within_and_between_rows() -> None:
    rows = drawn(0, 20_000, 8)
    assert rows.mean() == pytest.approx(0.0, abs=0.01)
    assert rows.std() == pytest.approx(1.0, abs=0.01)
    assert (rows**4).mean() == pytest.approx(3.0, abs=0.15)
    assert (np.abs(rows) > 3).mean() == pytest.approx(0.0027, abs=0.0006)
    within = np.corrcoef(rows.T)
    assert np.abs(within[~np.eye(8, dtype=bool)]).max() < 0.03
    assert np.abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.02


def test_a_mean_over_many_rows_errs_no_more_than_that_of_normal_numbers() -> None:
    means = np.array([drawn(seed, 1_000, 8).mean(axis=0) for seed in range(100)])
    assert means.std() * np.sqrt(1_000) == pytest.approx(1.0, abs=0.1)


def test_places_use_both_halves_of_a_number() -> None:
    places = places_of(np.array([0.0, 1 - 2**-53, 0.5 + 2.0**-30]))
    assert places.tolist() == [[0, 0], [PLACES - 1, PLACES - 1], [PLACES // 2, 1]]
