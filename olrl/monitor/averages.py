"""Running averages of what is measured, over several horizons, for n learners at once."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Quantities with a history, and the horizons (rounds) of their averages.
_HORIZONS: dict[str, tuple[int, ...]] = {
    "loss": (3, 10, 30, 100),
    "train_loss": (10,),
    "loss_std": (20,),
    "old_new_gap": (10,),
    "hist_shift": (20,),
    "hist_shift_last": (20,),
    "grad_snr": (3, 10),
    "grad_norm": (30,),
    "grad_cos": (4, 20),
}
QUANTITIES: tuple[str, ...] = tuple(_HORIZONS)
_PAIRS = [(name, horizon) for name, horizons in _HORIZONS.items() for horizon in horizons]
_ROW = {pair: row for row, pair in enumerate(_PAIRS)}
_OF = np.array([QUANTITIES.index(name) for name, _ in _PAIRS])  # the quantity that each average is of
_WEIGHT = np.array([[1.0 / horizon] for _, horizon in _PAIRS])

# Quantities with a spread: the root mean square of deviations from the average before (the last: from zero).
SPREADS: tuple[str, ...] = ("loss", "hist_shift", "hist_shift_last", "grad_cos")
_SPREAD_OF = np.array([QUANTITIES.index(name) for name in SPREADS])
_SPREAD_ABOUT = np.array([_ROW["loss", 10], _ROW["hist_shift", 20], _ROW["hist_shift_last", 20]])
_SPREAD_WEIGHT = 1.0 / 30
_SPREAD_FROM = 3  # deviations before a spread is believed
_USUAL2 = 9.0  # a squared deviation counts as at most nine times the usual one: a jump must not hide itself
_FLOOR2 = 1e-8

_ENDS = np.cumsum([len(_PAIRS), len(QUANTITIES), len(SPREADS), len(SPREADS)])
ROWS = int(_ENDS[-1])


class Averages:
    """Exponential averages and spreads of `QUANTITIES`, on an array of shape (ROWS, n) that the caller owns.

    An average over h rounds gives a new value the weight 1/h, and is a plain mean until it has seen h values.
    All zeros is the state before the first round.
    """

    def __init__(self, state: Array) -> None:
        self._mean, self._count, self._square, self._squares = np.split(state, _ENDS[:-1])
        self.loss_mean = self._mean[:4]  # of log loss over 3, 10, 30 and 100 rounds

    def mean(self, name: str, horizon: int) -> Array:
        """An average, shape (n,); 0 before the first value."""
        row: Array = self._mean[_ROW[name, horizon]]
        return row

    def count(self, name: str) -> Array:
        """How many values of a quantity were taken in, shape (n,)."""
        row: Array = self._count[QUANTITIES.index(name)]
        return row

    def deviations(self, now: Array) -> Array:
        """How far values of shape (quantities, n) lie from the averages, shape (spreads, n)."""
        deviations: Array = now[_SPREAD_OF]
        deviations[: len(_SPREAD_ABOUT)] -= self._mean[_SPREAD_ABOUT]
        return deviations

    def spreads(self) -> Array:
        """Root mean squares of past deviations, shape (spreads, n); NaN before there are three."""
        spread: Array = np.where(self._squares >= _SPREAD_FROM, np.sqrt(self._square + _FLOOR2), np.nan)
        return spread

    def take_in(self, now: Array, fresh: NDArray[np.bool_], deviations: Array) -> None:
        """Take in values of shape (quantities, n) where `fresh`, and what `deviations(now)` said of them."""
        usable = fresh[_SPREAD_OF] & (self._count[_SPREAD_OF] > 0)  # a first value deviates from nothing
        self._squares += usable
        weight = np.maximum(_SPREAD_WEIGHT, 1.0 / np.maximum(self._squares, 1.0))
        bound = np.where(self._squares > _SPREAD_FROM, _USUAL2 * self._square + _FLOOR2, np.inf)
        step = weight * (np.minimum(deviations * deviations, bound) - self._square)
        self._square += np.where(usable, step, 0.0)
        self._count += fresh
        weight = np.maximum(_WEIGHT, 1.0 / np.maximum(self._count, 1.0)[_OF])
        step = weight * (now[_OF] - self._mean)
        self._mean += np.where(fresh[_OF], step, 0.0)
