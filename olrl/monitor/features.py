"""The observation: scale-free functions of the signals' history, for n learners at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import Base
from olrl.monitor.feature_spec import FEATURE_CLIP, FEATURE_NAMES, FEATURE_SPEC, SPEC_VERSION
from olrl.monitor.signals import Signals

Array = NDArray[np.float64]

# The signals that features read, as the rows of one array. `alarms` is the number of detectors that fired.
INPUTS: tuple[str, ...] = (
    *("loss_nats", "train_loss_nats", "loss_std", "grad_norm", "update_ratio", "lr", "batch_size", "window"),
    *("grad_snr", "grad_cos", "gradient_age", "old_new_gap", "hist_shift", "hist_shift_last"),
    *("alarms", "rounds_since_alarm", "updates", "spent", "budget", "update_cost", "price", "nonfinite"),
)
_ROW = {name: row for row, name in enumerate(INPUTS)}
_LOGGED = 8  # the first eight are used as logarithms only

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
_OF_GRADIENT = ("train_loss", "grad_snr", "grad_norm", "grad_cos")  # not taken in twice when they have aged
_QUANTITIES = tuple(_HORIZONS)
_QUANTITY = {name: row for row, name in enumerate(_QUANTITIES)}
_AVERAGED = np.array([_QUANTITY[name] for name, horizons in _HORIZONS.items() for _ in horizons])
_WEIGHT = np.array([[1.0 / h] for horizons in _HORIZONS.values() for h in horizons])
_AVERAGE = {
    (name, h): row
    for row, (name, h) in enumerate((name, h) for name, horizons in _HORIZONS.items() for h in horizons)
}
_AGEING = np.array([[name in _OF_GRADIENT] for name in _QUANTITIES])

# Quantities whose deviations from an average before (`None`: from zero) are measured, by their mean square.
_SPREAD: dict[str, int | None] = {"loss": 10, "hist_shift": 20, "hist_shift_last": 20, "grad_cos": None}
_SPREAD_ROWS = np.array([_QUANTITY[name] for name in _SPREAD])
_SPREAD_ABOUT = np.array([_AVERAGE[name, h] for name, h in _SPREAD.items() if h is not None])
_SPREAD_WEIGHT = 1.0 / 30
_USUAL2 = 9.0  # a squared deviation counts as at most nine times the usual one: a jump must not hide itself
_SPREAD_FROM = 3  # values before a spread is believed
_FLOOR2 = 1e-8

_A, _Q, _S = len(_AVERAGED), len(_QUANTITIES), len(_SPREAD)
_REST = ("low", "rise", "fall", "lr", "batch_size", "window", "nonfinite", "rounds")
_STATE_ROWS = _A + _Q + 2 * _S + len(_REST)
_CENTRE = np.array([[feature.centre] for feature in FEATURE_SPEC])
_PER_UNIT = np.array([[1.0 / feature.unit] for feature in FEATURE_SPEC])
_LN2 = float(np.log(2.0))


def batch_signals(signals: Sequence[Signals]) -> dict[str, Array]:
    """The signals of n learners as arrays of shape (n,), NaN where missing; `alarms` becomes a count.

    >>> batch_signals([Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=4)])["loss_nats"]
    array([2.])
    """
    columns = {name: [getattr(one, name) for one in signals] for name in INPUTS if name != "alarms"}
    columns["alarms"] = [len(one.alarms) for one in signals]
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def window_position(window: Array) -> Array:
    """Positions on the window ladder, 0 (one chunk) to 6 (64 chunks), and 7 for the reservoir (0).

    >>> window_position(np.array([1.0, 8.0, 0.0]))
    array([0., 3., 7.])
    """
    position: Array = np.where(window == 0, 7.0, np.log2(np.clip(window, 1, 64)))
    return position


class FeatureExtractor:
    """Features of n learners from their signals, round by round; the entries stand in `FEATURE_SPEC`.

    `base_lr`, `base_batch_size` and `base_window` are numbers or arrays of shape (n,). What is not a finite
    number counts as missing; a missing signal gives features of 0 and a mask of 1, and whatever comes in,
    what comes out is finite and within ±5. One learner takes about 60 µs a round, 128 take about 0.3 ms.

    >>> features = FeatureExtractor(1, base_lr=1e-3, base_batch_size=8, base_window=4)
    >>> signals = Signals(loss_nats=2.0, lr=2e-3, batch_size=8, window=4)
    >>> observation = features.update(batch_signals([signals]))
    >>> observation.shape == (1, len(FEATURE_SPEC)), float(observation[0, 0])  # log2(2) / 2
    (True, 0.5)
    """

    def __init__(
        self, n: int, *, base_lr: ArrayLike, base_batch_size: ArrayLike, base_window: ArrayLike
    ) -> None:
        if n < 1:
            raise ValueError(f"a feature extractor serves at least 1 learner, not {n!r}")
        self.n = n
        self._base = np.empty((3, n))  # log lr, log batch size, position of the window
        self._state = np.zeros((_STATE_ROWS, n))
        self._inputs = np.empty((len(INPUTS), n))
        self._views()
        self.reset(base_lr=base_lr, base_batch_size=base_batch_size, base_window=base_window)

    @classmethod
    def for_bases(cls, bases: Sequence[Base]) -> FeatureExtractor:
        """An extractor for as many learners as there are bases."""
        return cls(
            len(bases),
            base_lr=[base.lr for base in bases],
            base_batch_size=[base.batch_size for base in bases],
            base_window=[base.window for base in bases],
        )

    @property
    def n_features(self) -> int:
        """Length of an observation."""
        return len(FEATURE_SPEC)

    def _views(self) -> None:
        ends = np.cumsum([_A, _Q, _S, _S])
        self._average, self._count, self._square, self._squares = np.split(self._state[: ends[-1]], ends[:-1])
        self._rest = {name: self._state[ends[-1] + k] for k, name in enumerate(_REST)}

    def reset(
        self,
        which: NDArray[Any] | None = None,
        *,
        base_lr: ArrayLike | None = None,
        base_batch_size: ArrayLike | None = None,
        base_window: ArrayLike | None = None,
    ) -> None:
        """Forget the history of some learners (a mask or indices; all by default), perhaps with a new base.

        A new base has one value, or one for each learner in `which`; ValueError unless it is positive
        (window: from 0 to 64).
        """
        chosen: Any = slice(None) if which is None else which
        for row, (name, given) in enumerate((("lr", base_lr), ("batch size", base_batch_size))):
            if given is not None:
                value = np.asarray(given, dtype=np.float64)
                if not (np.isfinite(value).all() and (value > 0).all()):
                    raise ValueError(f"the base {name} must be positive, not {given!r}")
                self._base[row, chosen] = np.log(value)
        if base_window is not None:
            window = np.asarray(base_window, dtype=np.float64)
            if not ((window >= 0) & (window <= 64)).all():
                raise ValueError(f"the base window must be from 0 to 64, not {base_window!r}")
            self._base[2, chosen] = window_position(window)
        self._state[:, chosen] = 0.0
        for row, name in enumerate(("lr", "batch_size", "window")):
            self._rest[name][chosen] = self._base[row, chosen]

    def update(self, signals: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Take in the signals of a round, arrays of shape (n,), and return the features, shape (n, features).

        Signals that are absent from the mapping are missing; names that no feature reads are ignored.
        """
        inputs = self._inputs
        for name, row in _ROW.items():
            inputs[row] = signals.get(name, np.nan)
        inputs[~np.isfinite(inputs)] = np.nan
        window = window_position(inputs[_ROW["window"]])
        # Logarithms and quotients of impossible values (a loss of 0) become missing, which is what is meant.
        with np.errstate(all="ignore"):
            values = self._values(inputs, np.log(inputs[:_LOGGED]), window)
            stacked = np.array([values[name] for name in FEATURE_NAMES])
            scaled = (stacked - _CENTRE) * _PER_UNIT
        scaled[~np.isfinite(scaled)] = 0.0
        clipped = np.clip(scaled, -FEATURE_CLIP, FEATURE_CLIP)
        return np.ascontiguousarray(clipped.T, dtype=np.float32)

    def _values(self, inputs: Array, logs: Array, window: Array) -> dict[str, Array]:
        """Values by name before centring, each of shape (n,); takes the round into the history."""
        x = {name: inputs[row] for name, row in _ROW.items()}
        now = self._quantities(x, logs)
        fresh = np.isfinite(now) & ~(_AGEING & (x["gradient_age"] > 0))
        before = self._deviations(now)
        spread = np.where(self._squares >= _SPREAD_FROM, np.sqrt(self._square + _FLOOR2), np.nan)
        self._take_in(now, fresh, before)
        surprise = before[0] / spread[0]
        values = self._decision_values(x, logs, window)
        values |= self._loss_values(now[0], surprise, spread[0])
        values |= self._gradient_values(x, logs, now, spread)
        values |= self._data_values(x, now, before, spread)
        values |= self._bookkeeping_values(x)
        return values

    def _quantities(self, x: dict[str, Array], logs: Array) -> Array:
        """The quantities that have a history, shape (quantities, n), in the order of `_HORIZONS`."""
        return np.array(
            [
                logs[0],
                logs[1] - logs[0],
                logs[2] - logs[0],
                x["old_new_gap"] / x["loss_nats"],
                x["hist_shift"],
                x["hist_shift_last"],
                np.arcsinh(100.0 * x["grad_snr"]),
                logs[3],
                x["grad_cos"],
            ]
        )

    def _deviations(self, now: Array) -> Array:
        """Deviations from what was before this round, shape (spreads, n)."""
        deviations: Array = now[_SPREAD_ROWS]
        deviations[: len(_SPREAD_ABOUT)] -= self._average[_SPREAD_ABOUT]
        return deviations

    def _take_in(self, now: Array, fresh: NDArray[np.bool_], deviations: Array) -> None:
        seen = self._count[_SPREAD_ROWS] > 0  # a first value deviates from nothing
        usable = fresh[_SPREAD_ROWS] & seen
        self._squares += usable
        weight = np.maximum(_SPREAD_WEIGHT, 1.0 / np.maximum(self._squares, 1.0))
        bound = np.where(self._squares > _SPREAD_FROM, _USUAL2 * self._square + _FLOOR2, np.inf)
        step = weight * (np.minimum(deviations * deviations, bound) - self._square)
        self._square += np.where(usable, step, 0.0)
        self._count += fresh
        # A plain mean until the horizon is reached, then exponential.
        weight = np.maximum(_WEIGHT, 1.0 / np.maximum(self._count, 1.0)[_AVERAGED])
        step = weight * (now[_AVERAGED] - self._average)
        self._average += np.where(fresh[_AVERAGED], step, 0.0)

    def _decision_values(self, x: dict[str, Array], logs: Array, window: Array) -> dict[str, Array]:
        log_lr, log_batch, last = logs[5], logs[6], self._rest
        values = {
            "lr": (log_lr - self._base[0]) / _LN2,
            "batch_size": (log_batch - self._base[1]) / _LN2,
            "window": window,
            "window_from_base": window - self._base[2],
            "lr_change": (log_lr - last["lr"]) / _LN2,
            "batch_size_change": (log_batch - last["batch_size"]) / _LN2,
            "window_change": window - last["window"],
            "updated": (x["updates"] > 0).astype(np.float64),
        }
        for name, value in (("lr", log_lr), ("batch_size", log_batch), ("window", window)):
            np.copyto(last[name], value, where=np.isfinite(value))
        return values

    def _loss_values(self, y: Array, surprise: Array, spread: Array) -> dict[str, Array]:
        present = y * 0.0  # NaN where the loss is missing: then so is all that is made of it
        y3, y10, y30, y100 = self._average[:4] + present
        rest = self._rest
        first = self._count[0] <= 1
        low = np.where(first, self._average[1], rest["low"] + 0.005 * (self._average[1] - rest["low"]))
        np.minimum(low, self._average[1], out=rest["low"])
        pushed = np.nan_to_num(np.clip(surprise, -6.0, 6.0))
        rest["rise"][:] = np.clip(0.95 * rest["rise"] + pushed - 0.5, 0.0, 20.0)
        rest["fall"][:] = np.clip(0.95 * rest["fall"] - pushed - 0.5, 0.0, 20.0)
        above_low = y10 - rest["low"]
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
            "rise": rest["rise"],
            "fall": rest["fall"],
            "no_loss": np.isnan(y),
        }

    def _gradient_values(
        self, x: dict[str, Array], logs: Array, now: Array, spread: Array
    ) -> dict[str, Array]:
        log_norm, log_ratio, cos, snr = logs[3], logs[4], x["grad_cos"], x["grad_snr"]
        cos4 = self._mean("grad_cos", 4, cos)
        cos20 = self._mean("grad_cos", 20, cos)
        train10 = self._mean("train_loss", 10, now[1])
        return {
            "grad_snr_3": self._mean("grad_snr", 3, snr),
            "grad_snr_10": self._mean("grad_snr", 10, snr),
            "grad_norm": log_norm - self._average[_AVERAGE["grad_norm", 30]],
            "grad_cos": cos,
            "grad_cos_4": cos4,
            "grad_cos_20": cos20,
            "grad_cos_4_scaled": cos4 / spread[3],
            "grad_cos_20_scaled": cos20 / spread[3],
            "update_ratio": log_ratio,
            "gradient_age": np.log1p(np.maximum(x["gradient_age"], 0.0)),
            "train_loss": now[1],
            "train_loss_10": train10,
            "train_loss_10_scaled": train10 / spread[0],
            "no_grad_snr": np.isnan(snr),
            "no_grad_norm": np.isnan(log_norm),
            "no_grad_cos": np.isnan(cos),
            "no_update_ratio": np.isnan(log_ratio),
            "no_train_loss": np.isnan(now[1]),
        }

    def _data_values(self, x: dict[str, Array], now: Array, before: Array, spread: Array) -> dict[str, Array]:
        std, gap = now[2], now[3]
        gap10 = self._mean("old_new_gap", 10, gap)
        return {
            "loss_std": std,
            "loss_std_now": std - self._average[_AVERAGE["loss_std", 20]],
            "old_new_gap": gap,
            "old_new_gap_10": gap10,
            "old_new_gap_10_scaled": gap10 / spread[0],
            "hist_shift": x["hist_shift"],
            "hist_shift_now": before[1] / spread[1],
            "hist_shift_last": x["hist_shift_last"],
            "hist_shift_last_now": before[2] / spread[2],
            "no_loss_std": np.isnan(std),
            "no_old_new_gap": np.isnan(gap),
            "no_hist_shift": np.isnan(x["hist_shift"]),
        }

    def _bookkeeping_values(self, x: dict[str, Array]) -> dict[str, Array]:
        rest = self._rest
        values = {
            "alarm": (x["alarms"] > 0).astype(np.float64),
            "since_alarm": np.log1p(np.maximum(x["rounds_since_alarm"], 0.0)),
            "price": np.log1p(50.0 * np.maximum(x["price"], 0.0)),
            "update_cost": np.log2((1.0 + x["update_cost"]) / x["budget"]),
            "spent": x["spent"] / x["budget"],
            "updates": np.log2(1.0 + np.maximum(x["updates"], 0.0)),
            "rounds": np.log1p(rest["rounds"]),
            "nonfinite": (x["nonfinite"] > rest["nonfinite"]).astype(np.float64),
        }
        np.copyto(rest["nonfinite"], x["nonfinite"], where=np.isfinite(x["nonfinite"]))
        rest["rounds"] += 1.0
        return values

    def _mean(self, name: str, horizon: int, now: Array) -> Array:
        """An average of the history, missing where the quantity is missing now."""
        mean: Array = self._average[_AVERAGE[name, horizon]] + now * 0.0
        return mean

    def state_dict(self) -> dict[str, Any]:
        """Bases and history, JSON-able; learners are the columns."""
        return {"version": SPEC_VERSION, "base": self._base.tolist(), "state": self._state.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` of an extractor for as many learners.

        Raises ValueError for another version, shape or a value that is not finite.
        """
        if state["version"] != SPEC_VERSION:
            raise ValueError(
                f"a feature history of version {state['version']} cannot continue as {SPEC_VERSION}"
            )
        for name, mine in (("base", self._base), ("state", self._state)):
            given = np.asarray(state[name], dtype=np.float64)
            if given.shape != mine.shape or not np.isfinite(given).all():
                raise ValueError(
                    f"feature history {name!r} must be finite and of shape {mine.shape}, not {given.shape}"
                )
            mine[...] = given

    def copy(self) -> FeatureExtractor:
        """An independent extractor in the same state."""
        twin = FeatureExtractor(self.n, base_lr=1.0, base_batch_size=1, base_window=1)
        twin._base[...], twin._state[...] = self._base, self._state
        return twin
