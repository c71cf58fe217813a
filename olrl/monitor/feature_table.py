"""What the features are made of: a table of what is remembered and what a round says, learners as columns."""

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.averages import AVERAGES, KEPT, ONE, QUANTITIES, SPREADS, ZERO, number

Array = NDArray[np.float64]

# The signals that features read, as the rows of one array; rows that are treated alike stand together. `alarms`
# is the number of detectors that fired. First they are bounded, scaled and shifted: (low, high, factor, offset).
_AS_IT_IS = (-np.inf, np.inf, 1.0, 0.0)
_PREPARED = {
    "alarms": _AS_IT_IS,
    "update_cost": (-np.inf, np.inf, 1.0, 1.0),
    "updates": (0.0, np.inf, 1.0, 1.0),
    "window": (1.0, 64.0, 1.0, 0.0),
    **dict.fromkeys(("nonfinite", "lr", "batch_size", "update_ratio"), _AS_IT_IS),
    **dict.fromkeys(("grad_norm", "train_loss_nats", "loss_std", "loss_nats"), _AS_IT_IS),
    **dict.fromkeys(("hist_shift", "hist_shift_last", "grad_cos"), _AS_IT_IS),
    "grad_snr": (-np.inf, np.inf, 100.0, 0.0),
    **dict.fromkeys(("old_new_gap", "spent", "budget"), _AS_IT_IS),
    "price": (0.0, np.inf, 50.0, 0.0),
    **dict.fromkeys(("rounds_since_alarm", "gradient_age"), (0.0, np.inf, 1.0, 0.0)),
}
INPUTS: tuple[str, ...] = tuple(_PREPARED)
ROW = {name: row for row, name in enumerate(INPUTS)}

# The table. First what is remembered from round to round, beside averages: the leaky minimum of the loss, the
# two CUSUMs, the last decision (logarithms and the window's position), the last count of what was not finite.
LAST: tuple[str, ...] = ("window", "nonfinite", "lr", "batch_size")
STATE: tuple[str, ...] = (*KEPT, "low", "rise", "fall", *(f"last {name}" for name in LAST), "rounds seen")
BASE: tuple[str, ...] = ("base lr", "base batch_size", "base window")
# Then a round: its signals, which `Round` puts into the form that features need, and what is made of them.
_MEASURED = (*LAST, "update_ratio", *QUANTITIES)
_FLAGS = ("updated", "alarm", "nonfinite rose", *(f"no {name}" for name in ("update_ratio", *QUANTITIES)))
ROUND: tuple[str, ...] = (
    *("alarms", "update_cost", "updates", *_MEASURED),
    *("spent", "budget", "price", "since_alarm", "gradient_age", "rounds"),
    *_FLAGS,
    *(f"{name} deviation" for name in SPREADS),
    *(f"{name} spread" for name in SPREADS),
    "log loss spread",
    *AVERAGES,
    *(f"absent {name}" for name in AVERAGES),
)
TABLE: tuple[str, ...] = (*STATE, *BASE, "zero", "one", "log 2", *ROUND)
AT = {name: row for row, name in enumerate(TABLE)}  # where its rows are
assert len(AT) == len(TABLE)
_LARGEST = number(1e30)  # of what is a measurement: squares and quotients must stay finite
_RESERVOIR = number(7.0)  # its position on the window ladder
_AGES = np.array([int(name in ("grad_norm", "train_loss", "grad_cos", "grad_snr")) for name in QUANTITIES])
# The divisors of gap and costs, and what is taken from the logarithms of two other losses.
_LOSS_AND_BUDGET = np.array([ROW["loss_nats"], ROW["budget"]])
_TWICE_LOSS = np.array([ROW["loss_nats"]] * 2)


def new_table(n: int) -> Array:
    """A table for n learners, shape (TABLE, n): zeros beside the constants."""
    table = np.zeros((len(TABLE), n))
    part(table, "one")[:] = 1.0
    part(table, "log 2")[:] = np.log(2.0)
    return table


def part(table: Array, first: str, last: str | None = None) -> Array:
    """The rows of a table from `first` to `last`, shape (rows, n); without `last` one row, shape (n,)."""
    rows: Array = table[AT[first]] if last is None else table[AT[first] : AT[last] + 1]
    return rows


class Round:
    """The rows of a table that a round fills by itself: what its signals say, in logarithms and quotients.

    `fresh`, shape (QUANTITIES, n), is filled too: which quantities are finite and not an aged gradient's.
    """

    def __init__(self, table: Array, fresh: NDArray[np.bool_]) -> None:
        n = table.shape[1]

        def rows(first: str, last: str | None = None) -> Array:
            return part(table, first, last)

        self._signals = rows("alarms", "gradient_age")
        assert len(self._signals) == len(INPUTS)
        self._sizes, self._usable = np.empty_like(self._signals), np.empty(self._signals.shape, dtype=bool)
        self._low, self._high, self._factor, self._offset = (
            np.repeat(np.array(column)[:, None], n, axis=1)
            for column in zip(*_PREPARED.values(), strict=True)
        )
        self._alarms, self._updates, self._window = rows("alarms"), rows("updates"), rows("window")
        self._reservoir = np.empty(n, dtype=bool)
        self._gap_and_spent, self._two = rows("old_new_gap", "spent"), np.empty((2, n))
        self._cost, self._budget, self._one = rows("update_cost"), rows("budget"), np.empty(n)
        self._log, self._log2 = rows("lr", "loss"), rows("updates", "window")
        self._log1p = rows("price", "gradient_age")
        self._losses, self._snr = rows("train_loss", "loss_std"), rows("grad_snr")
        self._rounds, self._rounds_seen = rows("rounds"), rows("rounds seen")
        self._nonfinite, self._last_nonfinite = rows("nonfinite"), rows("last nonfinite")
        self._gradient_age = rows("gradient_age")
        self._measured, self._flags = rows("window", "old_new_gap"), rows(_FLAGS[0], _FLAGS[-1])
        self._decision, self._last = rows("window", "batch_size"), rows("last window", "last batch_size")

        self._is = np.empty(self._flags.shape, dtype=bool)
        (self._is_updated, self._is_alarm, self._is_risen), self._is_missing = self._is[:3], self._is[3:]
        self._finite = np.empty(self._measured.shape, dtype=bool)
        self._is_known, self._may_be_missing = self._finite[: len(LAST)], self._finite[len(LAST) :]
        self._is_finite = self._finite[-len(QUANTITIES) :]
        self._stale = np.zeros((2, n), dtype=bool)  # what does not age, and what does
        self._aged, self._fresh = self._stale[1], fresh

    def read(self, inputs: Array) -> None:
        """Take over signals of shape (inputs, n); what is not a finite number below 1e30 becomes NaN."""
        np.abs(inputs, self._sizes)
        np.less(self._sizes, _LARGEST, self._usable)
        self._signals.fill(np.nan)
        np.copyto(self._signals, inputs, where=self._usable)

    def transform(self) -> None:
        """Fill the rows. Logarithms and quotients of what is impossible (a loss of 0) are not finite: missing."""
        signals = self._signals
        np.greater(self._alarms, ZERO, self._is_alarm)
        np.greater(self._updates, ZERO, self._is_updated)
        np.equal(self._window, ZERO, self._reservoir)
        np.maximum(signals, self._low, out=signals)
        np.minimum(signals, self._high, out=signals)
        np.multiply(signals, self._factor, signals)
        np.add(signals, self._offset, signals)

        signals.take(_LOSS_AND_BUDGET, 0, self._two, "clip")
        np.divide(self._gap_and_spent, self._two, self._gap_and_spent)
        np.divide(self._cost, self._budget, self._one)
        np.log2(self._one, self._cost)
        np.log2(self._log2, self._log2)
        np.copyto(self._window, _RESERVOIR, where=self._reservoir)
        np.log(self._log, self._log)
        signals.take(_TWICE_LOSS, 0, self._two, "clip")
        np.subtract(self._losses, self._two, self._losses)
        np.copyto(self._one, self._snr)
        np.arcsinh(self._one, self._snr)
        np.log1p(self._log1p, self._log1p)
        np.log1p(self._rounds_seen, self._rounds)
        self._mark()

    def _mark(self) -> None:
        """What happened, what is missing, and what is fresh: an aged gradient is not taken in a second time."""
        np.isfinite(self._measured, self._finite)
        np.greater(self._nonfinite, self._last_nonfinite, self._is_risen)
        np.logical_not(self._may_be_missing, self._is_missing)
        np.copyto(self._flags, self._is)
        np.greater(self._gradient_age, ZERO, self._aged)
        self._stale.take(_AGES, 0, self._fresh, "clip")
        np.greater(self._is_finite, self._fresh, self._fresh)  # finite and not stale

    def remember(self) -> None:
        """The decision in force becomes the last one, as far as it is known, and a round is over."""
        np.copyto(self._last, self._decision, where=self._is_known)
        self._rounds_seen += ONE


def window_position(window: Array) -> Array:
    """Positions on the window ladder, 0 (one chunk) to 6 (64 chunks), and 7 for the reservoir (0).

    >>> window_position(np.array([1.0, 8.0, 0.0]))
    array([0., 3., 7.])
    """
    position: Array = np.where(window == 0, 7.0, np.log2(np.clip(window, 1.0, 64.0)))
    return position
