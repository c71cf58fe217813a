"""Keyed uniform draws: the same key gives the same number, whatever was drawn before.

A draw is a hash of (seed, stream of draws, index). Two runs that train on different windows or batch sizes
therefore share their luck, which is what makes their difference small enough to measure; and a vectorised
environment can make the draws of many learners at once and still equal the single ones.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: SplitMix64's increment


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer (Steele, Lea and Flood, 2014): a bijection that flips half the bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def uniforms(seed: ArrayLike, round_: ArrayLike, index: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for keys (seed, round, index), which broadcast against each other.

    >>> a = uniforms(7, 3, np.arange(4))
    >>> bool((a == uniforms(7, 3, np.arange(8))[:4]).all()), bool((a == uniforms(7, 4, np.arange(4))).any())
    (True, False)
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        z = _mix(_words(seed) * GOLDEN + GOLDEN)
        z = _mix(z + _words(round_) * GOLDEN)
        z = _mix(z + _words(index) * GOLDEN)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _words(key: ArrayLike) -> NDArray[np.uint64]:
    values: NDArray[Any] = np.atleast_1d(np.asarray(key))
    return values.astype(np.uint64)
