import math

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.memory import MAX_WINDOW
from olrl.monitor.histograms import TokenHistograms
from tests.monitor.literal_histograms import LiteralHistograms, jensen_shannon


def chunk(k: int, letters: tuple[int, int] = (0, 40)) -> NDArray[np.int32]:
    return np.random.default_rng([3, k]).integers(*letters, size=(4, 16)).astype(np.int32)


def counts(chunks: list[NDArray[np.int32]]) -> NDArray[np.int64]:
    return np.bincount(np.concatenate(chunks).ravel(), minlength=512)


def test_the_recent_shift_is_of_the_newest_three_chunks_against_the_eight_before() -> None:
    histograms, seen = TokenHistograms(), []
    for k in range(2 * MAX_WINDOW + 5):  # twice around the ring
        seen.append(chunk(k))
        histograms.shift(seen[-1], window=1)
        if k < 3:
            assert histograms.recent_shift() is None
        else:
            expected = jensen_shannon(counts(seen[-3:]), counts(seen[-11:-3]))
            assert histograms.recent_shift() == pytest.approx(expected, rel=1e-12)


def test_the_recent_shift_does_not_depend_on_the_window_in_force() -> None:
    one, other = TokenHistograms(), TokenHistograms()
    for k in range(20):
        one.shift(chunk(k), window=1)
        other.shift(chunk(k), window=(0, 64, 2)[k % 3])
    assert one.recent_shift() == other.recent_shift()


def test_a_window_longer_than_the_past_uses_what_there_is() -> None:
    histograms, seen = TokenHistograms(), [chunk(0), chunk(1)]
    for one in seen:
        histograms.shift(one, window=1)
    shift, shift_last = histograms.shift(chunk(2), window=64)
    assert shift == pytest.approx(jensen_shannon(counts([chunk(2)]), counts(seen)), rel=1e-12)
    assert shift_last == pytest.approx(jensen_shannon(counts([chunk(2)]), counts(seen[-1:])), rel=1e-12)


def test_another_alphabet_shows_and_returns_to_what_is_usual() -> None:
    histograms, shifts = TokenHistograms(), []
    for k in range(60):
        histograms.shift(chunk(k, (0, 40) if k < 30 else (40, 80)), window=1)
        shifts.append(histograms.recent_shift() or 0.0)
    assert max(shifts[10:30]) < 0.3 < shifts[31]
    assert shifts[32] == pytest.approx(math.sqrt(math.log(2)), rel=1e-12)
    assert max(shifts[45:]) < 0.3


@pytest.mark.parametrize("vocabulary", [3, 256, 50_000])
def test_distances_are_those_of_the_definition(vocabulary: int) -> None:
    rng = np.random.default_rng(vocabulary)
    fast, literal = TokenHistograms(), LiteralHistograms()
    for k in range(3 * MAX_WINDOW):
        shape = (int(rng.integers(1, 5)), int(rng.integers(1, 40)))
        tokens = np.floor(vocabulary * rng.random(shape) ** rng.uniform(1, 8)).astype(np.int32)
        window = int(rng.choice([1, 2, 4, 8, 16, 32, 64, 0]))
        found = (*fast.shift(tokens, window=window), fast.recent_shift())
        expected = (*literal.shift(tokens, window=window), literal.recent_shift())
        for one, other in zip(found, expected, strict=True):
            assert one == (None if other is None else pytest.approx(other, rel=1e-12, abs=1e-7))
        if k % 50 == 7:
            mine, theirs = fast.state_dict(), literal.state_dict()
            assert mine["seen"] == theirs["seen"]
            for name in ("ring", "total"):
                assert mine[name].dtype == theirs[name].dtype
                np.testing.assert_array_equal(mine[name], theirs[name])
            fast = TokenHistograms()
            fast.load_state_dict(theirs)
            assert fast.recent_shift() == pytest.approx(literal.recent_shift(), rel=1e-12)


def test_equal_text_is_at_no_distance_at_all() -> None:
    histograms = TokenHistograms()
    for k in range(20):
        shifts = histograms.shift(chunk(0), window=(1, 8, 64, 0)[k % 4])
        assert shifts == ((0.0, 0.0) if k else (None, None))
    assert histograms.recent_shift() == 0.0
