from dataclasses import replace

import numpy as np
import pytest

from olrl.envs.drift_path import DriftPath, DriftRandomisation, draw_path

STILL = DriftRandomisation(walk=(1e-12, 1e-12), eventless=1.0, bursts=0.0, quiet=0.0)
EVENTS = replace(STILL, eventless=0.0, event_rate=(0.05, 0.05))


def path(ranges: DriftRandomisation, seed: int = 0, rounds: int = 400) -> DriftPath:
    direction = np.full(4, 0.5)
    return draw_path(np.random.default_rng(seed), ranges, rounds=rounds, direction=direction)


def paths(ranges: DriftRandomisation, count: int = 30) -> list[DriftPath]:
    return [path(ranges, seed) for seed in range(count)]


def test_without_drift_nothing_moves() -> None:
    still = path(STILL)
    assert np.ptp(still.optima, axis=0).max() < 1e-9
    assert (still.noise_factor == 1).all()
    assert (still.segment == 0).all()


def test_the_optimum_moves_where_the_segment_grows_and_nowhere_else_but_in_gradual_moves() -> None:
    for one in paths(EVENTS):
        moved = np.flatnonzero(np.abs(np.diff(one.optima, axis=0)).max(axis=1) > 1e-6)
        starts = np.flatnonzero(np.diff(one.segment))
        assert len(starts) > 0
        # An event that interrupts a gradual move may happen to undo its next step: hardly ever.
        assert len(set(starts) - set(moved)) <= 1
        longest = int(EVENTS.gradual_rounds[1])
        assert all(((move - starts) % 1_000_000 < longest).any() for move in moved)


def test_events_come_at_their_rate() -> None:
    counts = [one.segment[-1] for one in paths(EVENTS, 60)]
    assert np.mean(counts) == pytest.approx(400 * 0.05, rel=0.15)


def test_recurring_drift_comes_back_to_where_it_was() -> None:
    visited = [len(np.unique(one.optima[::25].round(6), axis=0)) for one in paths(EVENTS, 60)]
    assert min(visited) <= 4  # a few places only, in episodes that recur
    assert max(visited) > 8  # ever new ones in others


def test_places_are_a_jump_apart() -> None:
    fixed = replace(EVENTS, jump=(2.0, 2.0), gradual_rounds=(1, 1))
    jumps = [
        np.square(np.diff(one.optima, axis=0)).sum(axis=1)[np.diff(one.segment) > 0]
        for one in paths(fixed, 60)
    ]
    assert np.sqrt(np.concatenate(jumps).mean()) == pytest.approx(2.0, rel=0.15)
    assert path(fixed).jump == pytest.approx(2.0)


def test_bursts_multiply_the_noise_for_a_while_and_count_at_both_ends() -> None:
    noisy = replace(STILL, bursts=1.0, burst_rate=(0.02, 0.02), burst_rounds=(5, 5), burst_factor=(9.0, 9.0))
    one = path(noisy)
    assert set(np.unique(one.noise_factor)) == {1.0, 9.0}
    changes = np.flatnonzero(np.diff(one.noise_factor))
    assert set(changes) <= set(np.flatnonzero(np.diff(one.segment)))


def test_a_quiet_stretch_has_no_drift() -> None:
    walking = replace(STILL, walk=(0.1, 0.1), quiet=1.0)
    walked = [one for one in paths(walking) if np.ptp(one.optima, axis=0).max() > 1e-6]
    assert walked
    for one in walked:
        standing = (np.diff(one.optima, axis=0) == 0).all(axis=1)
        assert standing.any()
        assert not standing.all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jump": (2.0, 1.0)}, "jump"),
        ({"walk": (0.0, 1.0)}, "walk"),
        ({"bursts": 1.5}, "probability"),
        ({"places": (1, 4)}, "places"),
    ],
)
def test_ranges_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DriftRandomisation(**settings)  # type: ignore[arg-type] # wrong on purpose
