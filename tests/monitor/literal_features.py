"""The features written out one by one, as slow as they are plain: what the fast ones are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import Base
from olrl.monitor.feature_spec import FEATURE_NAMES, FEATURE_SPEC, SPEC_VERSION

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


# The signals that features read, as the rows of one array. `alarms` is the number of detectors that fired.
INPUTS: tuple[str, ...] = (
    *("loss_nats", "train_loss_nats", "loss_std", "grad_norm", "update_ratio", "lr", "batch_size", "window"),
    *("grad_snr", "grad_cos", "gradient_age", "old_new_gap", "hist_shift", "hist_shift_last"),
    *("alarms", "rounds_since_alarm", "updates", "spent", "budget", "update_cost", "price", "nonfinite"),
)
ROW = {name: row for row, name in enumerate(INPUTS)}
_LOGGED = 7  # the first seven are used as logarithms
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round of n learners: every array of shape (n,) or with learners as its columns; NaN where missing.

    x: signals by name. logs: logarithms of the first inputs. window: position on the ladder. now: what has
    averages, in the order of `QUANTITIES`.
    """

    x: Mapping[str, Array]
    logs: Mapping[str, Array]
    window: Array
    now: Array


def measured(inputs: Array) -> Measured:
    """A round from its signals, shape (inputs, n) in the order of `INPUTS`."""
    x = {name: inputs[row] for name, row in ROW.items()}
    logs = dict(zip(INPUTS, np.log(inputs[:_LOGGED]), strict=False))
    now = np.array(
        [
            logs["loss_nats"],
            logs["train_loss_nats"] - logs["loss_nats"],
            logs["loss_std"] - logs["loss_nats"],
            x["old_new_gap"] / x["loss_nats"],
            x["hist_shift"],
            x["hist_shift_last"],
            np.arcsinh(100.0 * x["grad_snr"]),
            logs["grad_norm"],
            x["grad_cos"],
        ]
    )
    return Measured(x=x, logs=logs, window=window_position(x["window"]), now=now)


def window_position(window: Array) -> Array:
    """Positions on the window ladder, 0 (one chunk) to 6 (64 chunks), and 7 for the reservoir (0)."""
    position: Array = np.where(window == 0, 7.0, np.log2(within(window, 1.0, 64.0)))
    return position


def within(values: Array, low: float, high: float) -> Array:
    bounded: Array = np.minimum(np.maximum(values, low), high)
    return bounded


def decision_values(m: Measured, base: Array, last: Mapping[str, Array]) -> dict[str, Array]:
    """Where the decision stands beside the base (log lr, log batch size, position), and its last move."""
    lr, batch, window = m.logs["lr"], m.logs["batch_size"], m.window
    return {
        "lr": (lr - base[0]) / _LN2,
        "batch_size": (batch - base[1]) / _LN2,
        "window": window,
        "window_from_base": window - base[2],
        "lr_change": (lr - last["lr"]) / _LN2,
        "batch_size_change": (batch - last["batch_size"]) / _LN2,
        "window_change": window - last["window"],
        "updated": (m.x["updates"] > 0).astype(np.float64),
    }


def loss_values(
    m: Measured, averages: Averages, last: Mapping[str, Array], surprise: Array, spread: Array
) -> dict[str, Array]:
    """The loss beside its own past, relative to the loss and relative to its noise."""
    y = m.now[0]
    present = y * 0.0  # NaN where the loss is missing: then so is all that is made of it
    y3, y10, y30, y100 = averages.loss_mean + present
    above_low = y10 - last["low"]
    return {
        "loss_now": y - y10,
        "loss_3_10": y3 - y10,
        "loss_10_30": y10 - y30,
        "loss_30_100": y30 - y100,
        "loss_above_low": above_low,
        "surprise": surprise,
        "loss_3_10_scaled": (y3 - y10) / spread,
        "loss_10_30_scaled": (y10 - y30) / spread,
        "loss_30_100_scaled": (y30 - y100) / spread,
        "loss_above_low_scaled": above_low / spread,
        "loss_noise": np.log(spread) + present,
        "rise": last["rise"],
        "fall": last["fall"],
        "no_loss": ~np.isfinite(y),
    }


def gradient_values(m: Measured, averages: Averages, spreads: Array) -> dict[str, Array]:
    """What the gradients of the last updates say of the rate."""
    cos, snr, train = m.x["grad_cos"], m.x["grad_snr"], m.now[1]
    norm, ratio = m.logs["grad_norm"], m.logs["update_ratio"]
    # An average is missing where its quantity is missing now.
    cos4 = averages.mean("grad_cos", 4) + cos * 0.0
    cos20 = averages.mean("grad_cos", 20) + cos * 0.0
    train10 = averages.mean("train_loss", 10) + train * 0.0
    return {
        "grad_snr_3": averages.mean("grad_snr", 3) + snr * 0.0,
        "grad_snr_10": averages.mean("grad_snr", 10) + snr * 0.0,
        "grad_norm": norm - averages.mean("grad_norm", 30),
        "grad_cos": cos,
        "grad_cos_4": cos4,
        "grad_cos_20": cos20,
        "grad_cos_4_scaled": cos4 / spreads[3],
        "grad_cos_20_scaled": cos20 / spreads[3],
        "update_ratio": ratio,
        "gradient_age": np.log1p(np.maximum(m.x["gradient_age"], 0.0)),
        "train_loss": train,
        "train_loss_10": train10,
        "train_loss_10_scaled": train10 / spreads[0],
        "no_grad_snr": np.isnan(snr),
        "no_grad_norm": ~np.isfinite(norm),
        "no_grad_cos": np.isnan(cos),
        "no_update_ratio": ~np.isfinite(ratio),
        "no_train_loss": ~np.isfinite(train),
    }


def data_values(m: Measured, averages: Averages, before: Array, spreads: Array) -> dict[str, Array]:
    """How the new chunk differs from the past: within itself, from old chunks, in its tokens."""
    std, gap = m.now[2], m.now[3]
    gap10 = averages.mean("old_new_gap", 10) + gap * 0.0
    return {
        "loss_std": std,
        "loss_std_now": std - averages.mean("loss_std", 20),
        "old_new_gap": gap,
        "old_new_gap_10": gap10,
        "old_new_gap_10_scaled": gap10 / spreads[0],
        "hist_shift": m.x["hist_shift"],
        "hist_shift_now": before[1] / spreads[1],
        "hist_shift_last": m.x["hist_shift_last"],
        "hist_shift_last_now": before[2] / spreads[2],
        "no_loss_std": ~np.isfinite(std),
        "no_old_new_gap": ~np.isfinite(gap),
        "no_hist_shift": np.isnan(m.x["hist_shift"]),
    }


def bookkeeping_values(m: Measured, last: Mapping[str, Array]) -> dict[str, Array]:
    """Alarms, costs and time."""
    x = m.x
    return {
        "alarm": (x["alarms"] > 0).astype(np.float64),
        "since_alarm": np.log1p(np.maximum(x["rounds_since_alarm"], 0.0)),
        "price": np.log1p(50.0 * np.maximum(x["price"], 0.0)),
        "update_cost": np.log2((1.0 + x["update_cost"]) / x["budget"]),
        "spent": x["spent"] / x["budget"],
        "updates": np.log2(1.0 + np.maximum(x["updates"], 0.0)),
        "rounds": np.log1p(last["rounds"]),
        "nonfinite": (x["nonfinite"] > last["nonfinite"]).astype(np.float64),
    }


# These are not taken in a second time when they have aged.
_OF_GRADIENT = ("train_loss", "grad_snr", "grad_norm", "grad_cos")
_AGEING = np.array([[name in _OF_GRADIENT] for name in QUANTITIES])
# What is remembered beside averages, a row each.
_REST = ("low", "rise", "fall", "lr", "batch_size", "window", "nonfinite", "rounds")
_LARGEST = 1e30  # of what is a measurement: squares and quotients must stay finite
_CENTRE = np.array([[feature.centre] for feature in FEATURE_SPEC])
_PER_UNIT = np.array([[1.0 / feature.unit] for feature in FEATURE_SPEC])


class LiteralFeatures:
    """What `FeatureExtractor` is, for n learners of one base, and what it computes before it clips."""

    def __init__(self, n: int, base: Base) -> None:
        self._base = np.empty((3, n))  # log lr, log batch size, position of the window
        self._base[:] = np.array([[np.log(base.lr)], [np.log(base.batch_size)], [0.0]])
        self._base[2] = window_position(np.array([float(base.window)]))
        self._state = np.zeros((ROWS + len(_REST), n))
        self._inputs = np.empty((len(INPUTS), n))
        self._averages = Averages(self._state[:ROWS])
        self._rest = {name: self._state[ROWS + k] for k, name in enumerate(_REST)}
        for row, name in enumerate(("lr", "batch_size", "window")):
            self._rest[name][:] = self._base[row]

    def scaled(self, signals: Mapping[str, ArrayLike]) -> Array:
        """Take in a round; the features, shape (features, n), centred and scaled, not yet clipped."""
        inputs = self._inputs
        for name, row in ROW.items():
            inputs[row] = signals.get(name, np.nan)
        inputs[~(np.abs(inputs) < _LARGEST)] = np.nan
        # Logarithms and quotients of impossible values (a loss of 0) become missing, which is what is meant.
        with np.errstate(all="ignore"):
            values = self._take_in(measured(inputs))
            stacked = np.array([values[name] for name in FEATURE_NAMES])
            scaled: Array = (stacked - _CENTRE) * _PER_UNIT
        return scaled

    def _take_in(self, m: Measured) -> dict[str, Array]:
        """Values by name before centring, each of shape (n,); the round becomes part of the history."""
        averages, rest = self._averages, self._rest
        fresh = np.isfinite(m.now) & ~(_AGEING & (m.x["gradient_age"] > 0))
        before, spreads = averages.deviations(m.now), averages.spreads()
        surprise = before[0] / spreads[0]
        averages.take_in(m.now, fresh, before)
        self._follow_low()
        self._push(surprise)
        values = decision_values(m, self._base, rest)
        values |= loss_values(m, averages, rest, surprise, spreads[0])
        values |= gradient_values(m, averages, spreads)
        values |= data_values(m, averages, before, spreads)
        values |= bookkeeping_values(m, rest)
        self._remember(m)
        return values

    def _follow_low(self) -> None:
        """The leaky minimum of the loss over 10 rounds: it gives way by 0.5 % of the distance a round."""
        average, low = self._averages.loss_mean[1], self._rest["low"]
        leaking = np.where(self._averages.count("loss") <= 1, average, low + 0.005 * (average - low))
        np.minimum(leaking, average, out=low)

    def _push(self, surprise: Array) -> None:
        """The two CUSUMs of surprise; a missing one pushes neither."""
        pushed = np.where(np.isfinite(surprise), within(surprise, -6.0, 6.0), 0.0)
        for name, push in (("rise", pushed), ("fall", -pushed)):
            self._rest[name][:] = within(0.95 * self._rest[name] + push - 0.5, 0.0, 20.0)

    def _remember(self, m: Measured) -> None:
        last = {"lr": m.logs["lr"], "batch_size": m.logs["batch_size"], "window": m.window}
        last["nonfinite"] = m.x["nonfinite"]
        for name, value in last.items():
            np.copyto(self._rest[name], value, where=np.isfinite(value))
        self._rest["rounds"] += 1.0

    def state_dict(self) -> dict[str, Any]:
        """Bases and history, JSON-able; learners are the columns."""
        return {"version": SPEC_VERSION, "base": self._base.tolist(), "state": self._state.tolist()}
