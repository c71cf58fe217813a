"""A detector of changed distributions: Kolmogorov-Smirnov windowing."""

from __future__ import annotations

import random
from collections import deque
from math import comb
from operator import lt


class KSWIN:
    """Kolmogorov-Smirnov windowing (Raab et al., 2020): are the newest `newest` of `window` inputs like the others?

    Once the window is full, every input draws as many of the older ones at random and compares the two samples,
    of r each, by the Kolmogorov-Smirnov statistic D. The alarm, `drift_detected`, is a two-sided p-value of at
    most `alpha`. It stays for one input, and then the detector starts anew.

    River's `KSWIN` draws the same samples and raises the same alarms. It computes the exact p-value at every
    input, which takes 0.2 ms. But for given r the p-value falls with D, so it is enough to ask whether D reaches
    the smallest one that alarms: about 8 µs.

    >>> detector = KSWIN(alpha=0.005, window=20, newest=8, seed=0)
    >>> for t in range(100):
    ...     detector.update(t * 7 % 5 + (10 if t >= 60 else 0))
    ...     if detector.drift_detected:
    ...         print(t)
    66
    """

    def __init__(self, *, alpha: float, window: int, newest: int, seed: int) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
        if not 1 <= newest <= window - newest:
            raise ValueError(
                f"newest must be from 1 to half of the window of {window!r}, since as many older inputs are drawn, "
                f"not {newest!r}"
            )
        self._newest = newest
        self._older = range(window - newest)
        self._seed = seed
        self._alarming = least_alarming(newest, alpha)
        self._start()

    def _start(self) -> None:
        self.drift_detected = False
        self._window: deque[float] = deque(maxlen=len(self._older) + self._newest)
        self._rng = random.Random(self._seed)

    def update(self, x: float) -> None:
        """Take in an input; `drift_detected` then tells whether it raised the alarm."""
        if self.drift_detected:
            self._start()
        window = self._window
        window.append(x)
        if len(window) < len(self._older) + self._newest:
            return
        values = list(window)
        drawn = sorted([values[k] for k in self._rng.sample(self._older, self._newest)])
        newest = sorted(values[len(self._older) :])
        self.drift_detected = are_apart(drawn, newest, self._alarming)


def are_apart(a: list[float], b: list[float], steps: int) -> bool:
    """Whether two sorted samples of r numbers each have D >= steps / r.

    D is the largest difference of their distribution functions. Those of `a` at x and of `b` at x differ by
    that much where x is the (i + steps)-th number of `a`, for an i, and `b` has at most i numbers up to there.

    >>> are_apart([1, 2, 3, 4], [3, 4, 5, 6], 2), are_apart([1, 2, 3, 4], [3, 4, 5, 6], 3)
    (True, False)
    """
    ahead = steps - 1
    return any(map(lt, a[ahead:], b)) or any(map(lt, b[ahead:], a))


def least_alarming(r: int, alpha: float) -> int:
    """The least h for which D >= h / r between two samples of r has a p-value of at most `alpha`; r + 1 if none.

    P(D >= h / r) = 2 Σ (−1)^(j+1) C(2r, r − jh) / C(2r, r) over j from 1 (Gnedenko and Korolyuk, 1951). As in
    river, a D of at most 0.1 raises no alarm.

    >>> least_alarming(15, alpha=0.005)
    10
    """
    for h in range(r // 10 + 1, r + 1):
        outside = 2 * sum((-1) ** (j + 1) * comb(2 * r, r - j * h) for j in range(1, r // h + 1))
        if outside / comb(2 * r, r) <= alpha:
            return h
    return r + 1
