"""Histograms of tokens and their distances, computed as they are defined: what the fast ones are held against."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.memory import MAX_WINDOW

_NEWEST, _BEFORE = 3, 8  # chunks; 2, 4 and 12, 16 separate changes of domain from chance no better
BUCKETS = 512  # token ids modulo this: exact for bytes, a hash for larger vocabularies


class LiteralHistograms:
    """What `TokenHistograms` is."""

    def __init__(self) -> None:
        self._seen = 0
        self._ring = np.zeros((MAX_WINDOW, BUCKETS), dtype=np.int64)
        self._total = np.zeros(BUCKETS, dtype=np.int64)

    def shift(self, tokens: NDArray[Any], *, window: int) -> tuple[float | None, float | None]:
        """Distances of new tokens to the window's and to the previous chunk's; then remember the new ones."""
        new = np.bincount(tokens.ravel() % BUCKETS, minlength=BUCKETS)
        distances: tuple[float | None, float | None] = (None, None)
        if self._seen:
            last = self._ring[(self._seen - 1) % MAX_WINDOW]
            distances = jensen_shannon(new, self._window(window)), jensen_shannon(new, last)
        self._ring[self._seen % MAX_WINDOW] = new
        self._total += new
        self._seen += 1
        return distances

    def recent_shift(self) -> float | None:
        """Distance of the newest 3 chunks to the 8 before them (fewer while young); None before there are 4.

        Depends on no window in force. Both sides hold several documents, so that one odd document moves the
        distance less than another kind of text does.
        """
        if self._seen <= _NEWEST:
            return None
        return jensen_shannon(self._newest(_NEWEST), self._newest(_BEFORE, skip=_NEWEST))

    def _window(self, window: int) -> NDArray[np.int64]:
        if window == 0:  # the reservoir is a uniform sample of everything, so everything is its expectation
            return self._total
        return self._newest(window)

    def _newest(self, count: int, *, skip: int = 0) -> NDArray[np.int64]:
        """The histogram of the newest `count` chunks, or as many as there are, after leaving out `skip`."""
        end = self._seen - skip
        rows = np.arange(max(end - count, self._seen - MAX_WINDOW, 0), end) % MAX_WINDOW
        summed: NDArray[np.int64] = self._ring[rows].sum(axis=0)
        return summed

    def state_dict(self) -> dict[str, Any]:
        """All that later distances depend on."""
        return {"seen": self._seen, "ring": self._ring.copy(), "total": self._total.copy()}


def jensen_shannon(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Jensen-Shannon distance of two histograms of counts, in [0, sqrt(ln 2)] (Lin, 1991; natural logarithms)."""
    used = (a + b) > 0
    p, q = a[used] / a.sum(), b[used] / b.sum()
    m = (p + q) / 2
    divergence = (_entropy_terms(p, m) + _entropy_terms(q, m)) / 2
    return math.sqrt(max(0.0, divergence))


def _entropy_terms(p: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    positive = p > 0
    return float((p[positive] * np.log(p[positive] / m[positive])).sum())
