"""On how many streams an entrant is how much better or worse than its rival."""

import numpy as np
from numpy.typing import NDArray

from .bootstrap import LEVEL, resampled
from .pairs import Pairs

RESAMPLES = 1_000  # of a whole curve


def profile(
    pairs: Pairs, grid: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Share of (policy, stream) pairs whose relative difference is at most each value of `grid`, with a 95 % band.

    `grid` is in per cent of the rival's loss. Shape (3, len(grid)): share, low, high; the band is that of each
    value by itself. Agarwal et al. 2021 (arXiv:2108.13264) call the curve a performance profile: it shows the whole
    distribution, bad streams too, where a mean shows a number.

    >>> one = np.array([1.0, 3.0])
    >>> pairs = Pairs(entrant="base", against="fixed", policies=(None,), streams=("a", "b"), kinds=("none", "none"),
    ...     loss=np.array([[1.1, 2.7]]), rival=one)
    >>> profile(pairs, np.array([-20.0, 0.0, 20.0]))[0]
    array([0. , 0.5, 1. ])
    """
    drawn = resampled(pairs.percent[None], resamples=resamples, seed=seed)[0].reshape(resamples, -1)
    shares = np.stack([(drawn <= x).mean(axis=-1) for x in grid], axis=-1)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.stack([(pairs.percent.reshape(-1, 1) <= grid).mean(axis=0), low, high])
