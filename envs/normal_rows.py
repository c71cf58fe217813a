"""Rows of normal numbers at the price of an addition: sums of two stretches of a fixed table."""

import numpy as np
from numpy.typing import NDArray

PLACES = 2**15  # where a stretch may begin
MAX_WIDTH = 4096
Array = NDArray[np.float64]


def _table() -> NDArray[np.float32]:
    """Two rows of normal numbers, shape (2, PLACES + MAX_WIDTH), of mean 0 and variance ½."""
    rows = np.random.default_rng(0).standard_normal((2, PLACES + MAX_WIDTH))
    rows -= rows.mean()
    rows *= np.sqrt(0.5) / rows.std()
    return rows.astype(np.float32)


TABLE = _table()  # small enough to stay in a core's cache


def rows_at(places: NDArray[np.int64], width: int) -> Array:
    """The rows named by pairs of places below `PLACES`, shape (..., 2); shape (..., width).

    A row's numbers are independent normal ones. Two rows with a place in common have a correlation of ½, which
    is rare: one pair in sixteen thousand.

    >>> rows_at(np.array([[3, 5]]), 4).shape
    (1, 4)
    """
    first, second = (_stretches(row, width) for row in TABLE)
    rows: Array = first[places[..., 0]].astype(np.float64)
    rows += second[places[..., 1]]
    return rows


def places_of(luck: Array) -> NDArray[np.int64]:
    """The pair of places, shape (..., 2), that a uniform number in [0, 1) stands for."""
    numbers = (luck * PLACES**2).astype(np.int64)
    return np.stack(np.divmod(numbers, PLACES), axis=-1)


def _stretches(row: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """All stretches of a row, shape (PLACES, width), without copying."""
    return np.lib.stride_tricks.as_strided(
        row, (PLACES, width), (row.itemsize, row.itemsize), writeable=False
    )
