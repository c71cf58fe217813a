"""Running averages of what is measured, over several horizons, for n learners at once."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


def number(value: float) -> Array:
    """A constant for a formula over arrays: as a Python float it would cost 0.2 µs at every use."""
    return np.array(value)


ZERO, ONE = number(0.0), number(1.0)

# Quantities with a history in the order of their rows, and the horizons (rounds) of their averages.
_HORIZONS: dict[str, tuple[int, ...]] = {
    "grad_norm": (30,),
    "train_loss": (10,),
    "loss_std": (20,),
    "loss": (3, 30, 100, 10),
    "hist_shift": (20,),
    "hist_shift_last": (20,),
    "grad_cos": (4, 20),
    "grad_snr": (3, 10),
    "old_new_gap": (10,),
}
QUANTITIES: tuple[str, ...] = tuple(_HORIZONS)
AVERAGES: tuple[str, ...] = tuple(
    f"{name} over {horizon}" for name, horizons in _HORIZONS.items() for horizon in horizons
)
# Quantities with a spread: the root mean square of deviations from the average before (the last: from zero).
SPREADS: tuple[str, ...] = ("loss", "hist_shift", "hist_shift_last", "grad_cos")
_ABOUT = ("loss over 10", "hist_shift over 20", "hist_shift_last over 20")
_SPREAD_OVER = 30
_SPREAD_FROM = number(3.0)  # deviations before a spread is believed
_USUAL2 = number(
    9.0
)  # a squared deviation counts as at most nine times the usual one: a jump must not hide itself
_FLOOR2 = number(1e-8)
_NAN, _INFINITE = number(np.nan), number(np.inf)

# What is kept, a row each: running means, of values and of squared deviations, and how many each has taken in.
_COUNTED = (*QUANTITIES, *(f"{name} deviations" for name in SPREADS))
KEPT: tuple[str, ...] = (
    *(f"mean of {name}" for name in AVERAGES),
    *(f"square of {name}" for name in SPREADS),
    *(f"count of {name}" for name in _COUNTED),
)
_QUANTITY_OF = np.array([QUANTITIES.index(name.split(" over ")[0]) for name in AVERAGES])
_COUNT_OF = np.array([*_QUANTITY_OF, *(len(QUANTITIES) + np.arange(len(SPREADS)))])
_WEIGHT = np.array(
    [[1.0 / int(name.split(" over ")[1])] for name in AVERAGES] + [[1.0 / _SPREAD_OVER]] * len(SPREADS)
)
# Rows that are read together stand together.
_SPREAD_ROWS = slice(QUANTITIES.index(SPREADS[0]), QUANTITIES.index(SPREADS[-1]) + 1)
_ABOUT_ROWS = slice(AVERAGES.index(_ABOUT[0]), AVERAGES.index(_ABOUT[-1]) + 1)
assert QUANTITIES[_SPREAD_ROWS] == SPREADS
assert AVERAGES[_ABOUT_ROWS] == _ABOUT


class Averages:
    """Exponential averages and spreads of `QUANTITIES`, on an array of shape (KEPT, n) that the caller owns.

    An average over h rounds gives a new value the weight 1/h, and is a plain mean until it has seen h values.
    All zeros is the state before the first round. The caller fills `now`, shape (QUANTITIES, n), and tells in
    `fresh`, alike, which of it to take in. After `take_in`:
        deviations: how far the values lay from the averages before, shape (SPREADS, n).
        spreads: root mean squares of the deviations before, shape (SPREADS, n); NaN before there are three.
        averages: with the new values, shape (AVERAGES, n); NaN where the quantity is missing now.
        absent: 0, and NaN where the quantity is missing now, shape (AVERAGES, n).
    """

    def __init__(
        self, *, kept: Array, now: Array, deviations: Array, spreads: Array, averages: Array, absent: Array
    ) -> None:
        n = kept.shape[1]
        means, rows = len(AVERAGES), len(AVERAGES) + len(SPREADS)
        self._running, self._counts = kept[:rows], kept[rows:]
        self._means, self._squares = kept[:means], kept[means:rows]
        spread_now = now[_SPREAD_ROWS]
        self._now, self._now_about, self._now_about_zero = (
            now,
            spread_now[: len(_ABOUT)],
            spread_now[len(_ABOUT) :],
        )
        self._about = self._means[_ABOUT_ROWS]
        self._times, self._times_deviated = self._counts[: len(QUANTITIES)], self._counts[len(QUANTITIES) :]
        self._times_spread = self._times[_SPREAD_ROWS]
        self.deviations, self.spreads, self.averages, self.absent = deviations, spreads, averages, absent
        self._about_averages, self._about_zero = deviations[: len(_ABOUT)], deviations[len(_ABOUT) :]
        self.loss = self._means[AVERAGES.index("loss over 10")]
        self.times_loss = self._times[QUANTITIES.index("loss")]

        self._values, self._steps = np.empty((rows, n)), np.empty((rows, n))
        self._quantities, self._squared = self._values[:means], self._values[means:]
        self._bounds, self._wide = np.empty((len(SPREADS), n)), np.empty((len(SPREADS), n))
        self._young = np.empty((len(SPREADS), n), dtype=bool)
        self._taken, self._stale = np.empty((len(_COUNTED), n), dtype=bool), np.empty((rows, n), dtype=bool)
        self.fresh, self._fresh_deviations = self._taken[: len(QUANTITIES)], self._taken[len(QUANTITIES) :]
        self._fresh_spread = self.fresh[_SPREAD_ROWS]
        self._one_each, self._weights = np.empty((len(_COUNTED), n)), np.empty((len(_COUNTED), n))
        self._least = np.repeat(_WEIGHT, n, axis=1)

    def take_in(self) -> None:
        """Take in the values in `now` where `fresh`, whose content is used up."""
        np.subtract(self._now_about, self._about, self._about_averages)
        np.copyto(self._about_zero, self._now_about_zero)
        np.add(self._squares, _FLOOR2, self._wide)
        np.sqrt(self._wide, self.spreads)
        np.less(self._times_deviated, _SPREAD_FROM, self._young)
        np.copyto(self.spreads, _NAN, where=self._young)

        self._count()
        self._now.take(_QUANTITY_OF, 0, self._quantities, "clip")
        np.multiply(self._quantities, ZERO, self.absent)
        self._square()
        self._move()
        np.add(self._means, self.absent, self.averages)

    def _count(self) -> None:
        """One more of what is fresh; a first value deviates from nothing."""
        np.greater(self._times_spread, ZERO, self._fresh_deviations)
        np.logical_and(self._fresh_deviations, self._fresh_spread, self._fresh_deviations)
        np.copyto(self._one_each, self._taken)
        np.add(self._counts, self._one_each, self._counts)

    def _square(self) -> None:
        """Squared deviations, bounded once the usual one is known."""
        np.multiply(self._squares, _USUAL2, self._wide)
        np.add(self._wide, _FLOOR2, self._bounds)
        np.copyto(self._bounds, _INFINITE, where=self._young)
        np.multiply(self.deviations, self.deviations, self._squared)
        np.minimum(self._squared, self._bounds, out=self._squared)

    def _move(self) -> None:
        """Move what runs by weight × (value − running) where the value is fresh."""
        values, steps = self._values, self._steps
        np.logical_not(self._taken, self._taken)
        self._taken.take(_COUNT_OF, 0, self._stale, "clip")
        np.copyto(values, self._running, where=self._stale)
        np.maximum(self._counts, ONE, out=self._weights)
        np.reciprocal(self._weights, self._weights)
        self._weights.take(_COUNT_OF, 0, steps, "clip")
        np.maximum(steps, self._least, out=steps)
        np.subtract(values, self._running, values)
        np.multiply(values, steps, values)
        np.add(self._running, values, self._running)
