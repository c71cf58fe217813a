"""What the features are made of: the rows of one table, and the formula of each feature over them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.averages import AVERAGES, KEPT, ONE, QUANTITIES, SPREADS, ZERO, number
from olrl.monitor.feature_spec import FEATURE_CLIP, FEATURE_NAMES, FEATURE_SPEC

Array = NDArray[np.float64]

# The signals that features read, as the rows of one array; rows that are treated alike stand together. `alarms`
# is the number of detectors that fired.
INPUTS: tuple[str, ...] = (
    *("alarms", "updates", "update_cost", "window", "nonfinite"),
    *("lr", "batch_size", "update_ratio", "grad_norm", "train_loss_nats", "loss_std", "loss_nats"),
    *("hist_shift", "hist_shift_last", "grad_cos", "grad_snr", "old_new_gap"),
    *("spent", "budget", "price", "rounds_since_alarm", "gradient_age"),
)
ROW = {name: row for row, name in enumerate(INPUTS)}

# The table. First what is remembered from round to round, beside averages: the leaky minimum of the loss, the
# two CUSUMs, the last decision (logarithms and the window's position), the last count of what was not finite.
LAST: tuple[str, ...] = ("window", "nonfinite", "lr", "batch_size")
STATE: tuple[str, ...] = (*KEPT, "low", "rise", "fall", *(f"last {name}" for name in LAST), "rounds seen")
BASE: tuple[str, ...] = ("base lr", "base batch_size", "base window")
# Then a round: what its signals say, and what is made of that with the past.
_MEASURED = (*LAST, "update_ratio", *QUANTITIES)
_FLAGS = ("alarm", "updated", "nonfinite rose", *(f"no {name}" for name in ("update_ratio", *QUANTITIES)))
ROUND: tuple[str, ...] = (
    *("updates", "update_cost", *_MEASURED, "spent", "price", "since_alarm", "gradient_age", "rounds"),
    *_FLAGS,
    *(f"{name} deviation" for name in SPREADS),
    *(f"{name} spread" for name in SPREADS),
    "log loss spread",
    *AVERAGES,
    *(f"absent {name}" for name in AVERAGES),
)
TABLE: tuple[str, ...] = (*STATE, *BASE, "zero", "one", "log 2", *ROUND)
_AT = {name: row for row, name in enumerate(TABLE)}
assert len(_AT) == len(TABLE)
_LN2 = float(np.log(2.0))
_LARGEST = number(1e30)  # of what is a measurement: squares and quotients must stay finite
_RESERVOIR = number(7.0)  # its position on the window ladder
_LONGEST, _HUNDRED = number(64.0), number(100.0)
_AGES = np.array([int(name in ("grad_norm", "train_loss", "grad_cos", "grad_snr")) for name in QUANTITIES])
_TWICE_LOSS = np.array([ROW["loss_nats"] - ROW["lr"]] * 2)  # among the logarithms


def new_table(n: int) -> Array:
    """A table for n learners, shape (TABLE, n): zeros beside the constants."""
    table = np.zeros((len(TABLE), n))
    part(table, "one")[:] = 1.0
    part(table, "log 2")[:] = _LN2
    return table


def part(table: Array, first: str, last: str | None = None) -> Array:
    """The rows of a table from `first` to `last`, shape (rows, n); without `last` one row, shape (n,)."""
    rows: Array = table[_AT[first]] if last is None else table[_AT[first] : _AT[last] + 1]
    return rows


class Round:
    """The rows of a table that a round fills by itself: what its signals say, in logarithms and quotients.

    `fresh`, shape (QUANTITIES, n), is filled too: which quantities are finite and not an aged gradient's.
    """

    def __init__(self, table: Array, fresh: NDArray[np.bool_]) -> None:
        n = table.shape[1]
        self._signals = x = np.empty((len(INPUTS), n))
        self._sizes, self._usable = np.empty_like(x), np.empty(x.shape, dtype=bool)
        self._x = {name: x[row] for name, row in ROW.items()}
        self._happened = x[ROW["alarms"] : ROW["updates"] + 1]
        self._logged = x[ROW["lr"] : ROW["loss_nats"] + 1]
        self._as_they_are = x[ROW["hist_shift"] : ROW["grad_cos"] + 1]
        self._counted = x[ROW["price"] : ROW["gradient_age"] + 1]
        self._per_count = np.repeat([[50.0], [1.0], [1.0]], n, axis=1)
        self._counts, self._to_log2 = np.empty((3, n)), np.empty((3, n))
        self._one, self._reservoir = np.empty(n), np.empty(n, dtype=bool)
        self._losses = np.empty((2, n))

        def rows(first: str, last: str | None = None) -> Array:
            return part(table, first, last)

        self._nonfinite, self._last_nonfinite = rows("nonfinite"), rows("last nonfinite")
        self._gap, self._snr, self._spent = rows("old_new_gap"), rows("grad_snr"), rows("spent")
        self._logs, self._log2s, self._window = rows("lr", "loss"), rows("updates", "window"), rows("window")
        self._log1ps, self._rounds = rows("price", "gradient_age"), rows("rounds")
        self._rounds_seen, self._relative = rows("rounds seen"), rows("train_loss", "loss_std")
        self._tokens_and_cos = rows("hist_shift", "grad_cos")
        self._measured = rows("window", "old_new_gap")
        self._flags = rows(_FLAGS[0], _FLAGS[-1])
        self._decision, self._last = rows("window", "batch_size"), rows("last window", "last batch_size")

        self._finite = np.empty(self._measured.shape, dtype=bool)
        self._may_be_missing = self._finite[len(LAST) :]
        self._is_known, self._is_finite = self._finite[: len(LAST)], self._finite[-len(QUANTITIES) :]
        self._is = np.empty(self._flags.shape, dtype=bool)
        self._has_happened, self._has_risen, self._is_missing = self._is[:2], self._is[2], self._is[3:]
        self._may_be_fresh = np.ones((2, n), dtype=bool)  # what does not age, and what does
        self._may_be_fresh_gradient = self._may_be_fresh[1]
        self._aged, self._fresh = np.empty(n, dtype=bool), fresh

    def read(self, inputs: Array) -> None:
        """Take over signals of shape (inputs, n); what is not a finite number below 1e30 becomes NaN."""
        np.abs(inputs, self._sizes)
        np.less(self._sizes, _LARGEST, self._usable)
        self._signals.fill(np.nan)
        np.copyto(self._signals, inputs, where=self._usable)

    def transform(self) -> None:
        """Fill the rows. Logarithms and quotients of what is impossible (a loss of 0) are not finite: missing."""
        x, one, to_log2 = self._x, self._one, self._to_log2
        np.maximum(x["updates"], ZERO, out=one)
        np.add(one, ONE, to_log2[0])
        np.add(x["update_cost"], ONE, one)
        np.divide(one, x["budget"], to_log2[1])
        np.maximum(x["window"], ONE, out=one)
        np.minimum(one, _LONGEST, out=to_log2[2])
        np.log2(to_log2, self._log2s)
        np.equal(x["window"], ZERO, self._reservoir)
        np.copyto(self._window, _RESERVOIR, where=self._reservoir)

        np.log(self._logged, self._logs)
        self._logs.take(_TWICE_LOSS, 0, self._losses, "clip")
        np.subtract(self._relative, self._losses, self._relative)
        np.multiply(x["grad_snr"], _HUNDRED, one)
        np.arcsinh(one, self._snr)
        np.divide(x["old_new_gap"], x["loss_nats"], self._gap)
        np.copyto(self._tokens_and_cos, self._as_they_are)

        np.divide(x["spent"], x["budget"], self._spent)
        np.multiply(self._counted, self._per_count, self._counts)
        np.maximum(self._counts, ZERO, out=self._counts)
        np.log1p(self._counts, self._log1ps)
        np.log1p(self._rounds_seen, self._rounds)
        np.copyto(self._nonfinite, x["nonfinite"])
        self._mark()

    def _mark(self) -> None:
        """What happened, what is missing, and what is fresh: an aged gradient is not taken in a second time."""
        np.isfinite(self._measured, self._finite)
        np.greater(self._happened, ZERO, self._has_happened)
        np.greater(self._nonfinite, self._last_nonfinite, self._has_risen)
        np.logical_not(self._may_be_missing, self._is_missing)
        np.copyto(self._flags, self._is)
        np.greater(self._x["gradient_age"], ZERO, self._aged)
        np.logical_not(self._aged, self._may_be_fresh_gradient)
        self._may_be_fresh.take(_AGES, 0, self._fresh, "clip")
        np.logical_and(self._fresh, self._is_finite, self._fresh)

    def remember(self) -> None:
        """The decision in force becomes the last one, as far as it is known, and a round is over."""
        np.copyto(self._last, self._decision, where=self._is_known)
        self._rounds_seen += ONE


def window_position(window: Array) -> Array:
    """Positions on the window ladder, 0 (one chunk) to 6 (64 chunks), and 7 for the reservoir (0).

    >>> window_position(np.array([1.0, 8.0, 0.0]))
    array([0., 3., 7.])
    """
    position: Array = np.where(window == 0, 7.0, np.log2(within(window, 1.0, 64.0)))
    return position


def within(values: Array, low: float, high: float) -> Array:
    """`np.clip` without its overhead, which counts for one learner."""
    bounded: Array = np.minimum(np.maximum(values, low), high)
    return bounded


class Formula(NamedTuple):
    """A feature before it is centred and scaled: (term − minus) / per, each of them a row of the table."""

    term: str
    minus: str = "zero"
    per: str = "one"


FORMULAS: dict[str, Formula] = {
    "lr": Formula("lr", minus="base lr", per="log 2"),
    "batch_size": Formula("batch_size", minus="base batch_size", per="log 2"),
    "window": Formula("window"),
    "window_from_base": Formula("window", minus="base window"),
    "lr_change": Formula("lr", minus="last lr", per="log 2"),
    "batch_size_change": Formula("batch_size", minus="last batch_size", per="log 2"),
    "window_change": Formula("window", minus="last window"),
    "updated": Formula("updated"),
    # The loss beside its own past, relative to the loss and relative to its noise.
    "loss_now": Formula("loss", minus="loss over 10"),
    "loss_3_10": Formula("loss over 3", minus="loss over 10"),
    "loss_10_30": Formula("loss over 10", minus="loss over 30"),
    "loss_30_100": Formula("loss over 30", minus="loss over 100"),
    "loss_above_low": Formula("loss over 10", minus="low"),
    "surprise": Formula("loss deviation", per="loss spread"),
    "loss_3_10_scaled": Formula("loss over 3", minus="loss over 10", per="loss spread"),
    "loss_10_30_scaled": Formula("loss over 10", minus="loss over 30", per="loss spread"),
    "loss_30_100_scaled": Formula("loss over 30", minus="loss over 100", per="loss spread"),
    "loss_above_low_scaled": Formula("loss over 10", minus="low", per="loss spread"),
    "loss_noise": Formula("log loss spread", minus="absent loss over 10"),
    "rise": Formula("rise"),
    "fall": Formula("fall"),
    "alarm": Formula("alarm"),
    "since_alarm": Formula("since_alarm"),
    # What the gradients of the last updates say of the rate.
    "grad_snr_3": Formula("grad_snr over 3"),
    "grad_snr_10": Formula("grad_snr over 10"),
    "grad_norm": Formula("grad_norm", minus="grad_norm over 30"),
    "grad_cos": Formula("grad_cos"),
    "grad_cos_4": Formula("grad_cos over 4"),
    "grad_cos_20": Formula("grad_cos over 20"),
    "grad_cos_4_scaled": Formula("grad_cos over 4", per="grad_cos spread"),
    "grad_cos_20_scaled": Formula("grad_cos over 20", per="grad_cos spread"),
    "update_ratio": Formula("update_ratio"),
    "gradient_age": Formula("gradient_age"),
    "train_loss": Formula("train_loss"),
    "train_loss_10": Formula("train_loss over 10"),
    "train_loss_10_scaled": Formula("train_loss over 10", per="loss spread"),
    # How the new chunk differs from the past: within itself, from old chunks, in its tokens.
    "loss_std": Formula("loss_std"),
    "loss_std_now": Formula("loss_std", minus="loss_std over 20"),
    "old_new_gap": Formula("old_new_gap"),
    "old_new_gap_10": Formula("old_new_gap over 10"),
    "old_new_gap_10_scaled": Formula("old_new_gap over 10", per="loss spread"),
    "hist_shift": Formula("hist_shift"),
    "hist_shift_now": Formula("hist_shift deviation", per="hist_shift spread"),
    "hist_shift_last": Formula("hist_shift_last"),
    "hist_shift_last_now": Formula("hist_shift_last deviation", per="hist_shift_last spread"),
    # Costs and time.
    "price": Formula("price"),
    "update_cost": Formula("update_cost"),
    "spent": Formula("spent"),
    "updates": Formula("updates"),
    "rounds": Formula("rounds"),
    "nonfinite": Formula("nonfinite rose"),
    # Masks.
    "no_loss": Formula("no loss"),
    "no_grad_snr": Formula("no grad_snr"),
    "no_grad_norm": Formula("no grad_norm"),
    "no_grad_cos": Formula("no grad_cos"),
    "no_update_ratio": Formula("no update_ratio"),
    "no_train_loss": Formula("no train_loss"),
    "no_loss_std": Formula("no loss_std"),
    "no_old_new_gap": Formula("no old_new_gap"),
    "no_hist_shift": Formula("no hist_shift"),
}
assert tuple(FORMULAS) == FEATURE_NAMES


def _rank(name: str) -> int:
    """Formulas are computed in an order in which those with a minus lie side by side, and those with a per."""
    formula = FORMULAS[name]
    divided, reduced = formula.per != "one", formula.minus != "zero"
    return (1 if reduced else 0) if divided else (2 if reduced else 3)


_ORDER = sorted(FORMULAS, key=_rank)
_DIVIDED = slice(0, sum(_rank(name) in (0, 1) for name in _ORDER))
_REDUCED = slice(sum(_rank(name) == 0 for name in _ORDER), sum(_rank(name) in (0, 1, 2) for name in _ORDER))
_TERM = np.array([_AT[FORMULAS[name].term] for name in _ORDER])
_MINUS = np.array([_AT[FORMULAS[name].minus] for name in _ORDER[_REDUCED]])
_PER = np.array([_AT[FORMULAS[name].per] for name in _ORDER[_DIVIDED]])
_SCALES = [FEATURE_SPEC[FEATURE_NAMES.index(name)] for name in _ORDER]
_CENTRE = np.array([[feature.centre] for feature in _SCALES])
_PER_UNIT = np.array([[1.0 / feature.unit] for feature in _SCALES])
_COMPUTED = np.array([_ORDER.index(name) for name in FEATURE_NAMES])  # where a feature stands in that order
_NEUTRAL = np.array(0.0, dtype=np.float32)


class Formulas:
    """All formulas at once: from a table for n learners to their features, shape (n, features)."""

    def __init__(self, n: int) -> None:
        shape = (len(FORMULAS), n)
        self._values, self._missing = np.empty(shape), np.empty(shape, dtype=bool)
        self._reduced, self._divided = self._values[_REDUCED], self._values[_DIVIDED]
        self._minus, self._per = np.empty_like(self._reduced), np.empty_like(self._divided)
        # Written out for every learner: an operand that is broadcast takes twice as long.
        self._centre, self._per_unit = np.repeat(_CENTRE, n, axis=1), np.repeat(_PER_UNIT, n, axis=1)
        self._highest = np.full(shape, FEATURE_CLIP, dtype=np.float32)
        self._lowest = -self._highest
        self._where = _COMPUTED * n + np.arange(n)[:, None]  # in `values`, shape (n, features)

    def of(self, table: Array) -> NDArray[np.float32]:
        """Centred, scaled, clipped, and 0 where not finite."""
        values = self._values
        table.take(_TERM, 0, values, "clip")
        table.take(_MINUS, 0, self._minus, "clip")
        table.take(_PER, 0, self._per, "clip")
        np.subtract(self._reduced, self._minus, self._reduced)
        np.divide(self._divided, self._per, self._divided)
        np.subtract(values, self._centre, values)
        np.multiply(values, self._per_unit, values)
        np.isfinite(values, self._missing)
        np.logical_not(self._missing, self._missing)
        features = values.astype(np.float32)
        np.copyto(features, _NEUTRAL, where=self._missing)
        np.maximum(features, self._lowest, out=features)
        np.minimum(features, self._highest, out=features)
        return features.take(self._where)
