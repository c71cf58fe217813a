import math

import numpy as np
from numpy.typing import NDArray

from olrl.memory import MAX_WINDOW
from olrl.monitor.histograms import TokenHistograms, jensen_shannon


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
            assert histograms.recent_shift() == expected


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
    assert shift == jensen_shannon(counts([chunk(2)]), counts(seen))
    assert shift_last == jensen_shannon(counts([chunk(2)]), counts(seen[-1:]))


def test_another_alphabet_shows_and_returns_to_what_is_usual() -> None:
    histograms, shifts = TokenHistograms(), []
    for k in range(60):
        histograms.shift(chunk(k, (0, 40) if k < 30 else (40, 80)), window=1)
        shifts.append(histograms.recent_shift() or 0.0)
    assert max(shifts[10:30]) < 0.3 < shifts[31]
    assert shifts[32] == math.sqrt(math.log(2))
    assert max(shifts[45:]) < 0.3
