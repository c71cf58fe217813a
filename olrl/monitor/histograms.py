"""How far a chunk's tokens are from those of the past."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.memory import MAX_WINDOW

_NEWEST, _BEFORE = 3, 8  # chunks; 2, 4 and 12, 16 separate changes of domain from chance no better
BUCKETS = 512  # token ids modulo this: exact for bytes, a hash for larger vocabularies
_KEPT = MAX_WINDOW + 2  # running totals: before the window, after each of its chunks, after the new chunk
_TINY = np.array(1e-300)  # so that 0 log 0 is 0; no share of tokens is changed by it

# A new chunk is held against the window and against the last chunk, the newest chunks against those before.
_HELD_AGAINST = np.array([3, 3, 4])  # rows, as `_stretches` orders them


class TokenHistograms:
    """Histograms of the newest 64 chunks and of everything seen, and distances of a new chunk to them.

    Kept as running totals after each chunk, so that the histogram of any stretch is a difference of two, exact
    as long as fewer than 2**53 tokens have been seen. A chunk of 1,024 tokens takes about 25 µs.

    >>> histograms = TokenHistograms()
    >>> a, b = np.zeros((2, 4), dtype=np.int32), np.ones((2, 4), dtype=np.int32)
    >>> histograms.shift(a, window=1), histograms.shift(a, window=1)
    ((None, None), (0.0, 0.0))
    >>> [round(d / math.sqrt(math.log(2)), 6) for d in histograms.shift(b, window=4)]
    [1.0, 1.0]
    >>> for chunk in (a, a, b, b, b):
    ...     _ = histograms.shift(chunk, window=1)
    >>> round(histograms.recent_shift() / math.sqrt(math.log(2)), 2)
    0.78
    """

    def __init__(self) -> None:
        self._seen = 0
        # After k chunks in row k % _KEPT; the last row stays nothing, as it was before the first one.
        self._totals = np.zeros((_KEPT + 1, BUCKETS))
        self._shares, self._terms = np.empty((8, BUCKETS)), np.empty((8, BUCKETS))
        self._recent: float | None = None

    def shift(self, tokens: NDArray[Any], *, window: int) -> tuple[float | None, float | None]:
        """Distances of new tokens to the window's and to the previous chunk's; then remember the new ones."""
        seen = self._seen
        counts = np.bincount((tokens & (BUCKETS - 1)).ravel(), minlength=BUCKETS)
        np.add(self._totals[seen % _KEPT], counts, self._totals[(seen + 1) % _KEPT])
        self._seen = seen + 1
        if not seen:
            return None, None
        to_window, to_last, recent = self._distances(window)
        self._recent = recent if seen >= _NEWEST else None
        return to_window, to_last

    def recent_shift(self) -> float | None:
        """Distance of the newest 3 chunks to the 8 before them (fewer while young); None before there are 4.

        Depends on no window in force. Both sides hold several documents, so that one odd document moves the
        distance less than another kind of text does.
        """
        return self._recent

    def _distances(self, window: int) -> list[float]:
        """Jensen-Shannon distances, in [0, sqrt(ln 2)] (Lin, 1991; natural logarithms), of what is compared.

        The divergence is the entropy of the mixture minus the mean entropy of the two.
        """
        shares, terms = self._shares, self._terms
        starts, ends = self._stretches(window)
        counts = self._totals.take(ends, 0) - self._totals.take(starts, 0)
        np.divide(counts, counts.sum(axis=1, keepdims=True), shares[:5])
        np.add(shares[:3], shares.take(_HELD_AGAINST, 0), shares[5:])
        shares[5:] *= 0.5
        np.add(shares, _TINY, terms)
        np.log(terms, terms)
        np.multiply(terms, shares, terms)
        window_, last, before, new, newest, *mixtures = terms.sum(axis=1).tolist()  # minus entropies
        pairs = zip((window_, last, before), (new, new, newest), mixtures, strict=True)
        return [math.sqrt(max(0.0, (one + other) / 2 - mixture)) for one, other, mixture in pairs]

    def _stretches(self, window: int) -> tuple[list[int], list[int]]:
        """Rows of the totals before and after window, last chunk, chunks before the newest, new chunk, newest."""
        now, last, newest = self._seen, self._seen - 1, max(self._seen - _NEWEST, 1)
        # The reservoir is a uniform sample of everything, so everything is its expectation.
        oldest = max(last - window, last - MAX_WINDOW, 0) % _KEPT if window else _KEPT
        before = max(newest - _BEFORE, 0)
        starts = [oldest, (last - 1) % _KEPT, before % _KEPT, last % _KEPT, newest % _KEPT]
        return starts, [last % _KEPT, last % _KEPT, newest % _KEPT, now % _KEPT, now % _KEPT]

    def state_dict(self) -> dict[str, Any]:
        """All that later distances depend on: the histograms of the newest chunks and of everything."""
        ring = np.zeros((MAX_WINDOW, BUCKETS), dtype=np.int64)
        for k in range(max(self._seen - MAX_WINDOW, 0), self._seen):
            ring[k % MAX_WINDOW] = self._totals[(k + 1) % _KEPT] - self._totals[k % _KEPT]
        return {"seen": self._seen, "ring": ring, "total": self._totals[self._seen % _KEPT].astype(np.int64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._seen = int(state["seen"])
        self._totals[:] = 0.0
        self._totals[self._seen % _KEPT] = state["total"]
        for k in reversed(range(max(self._seen - MAX_WINDOW, 0), self._seen)):
            self._totals[k % _KEPT] = self._totals[(k + 1) % _KEPT] - state["ring"][k % MAX_WINDOW]
        self._recent = self._distances(1)[2] if self._seen > _NEWEST else None
