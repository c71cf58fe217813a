"""The observation: scale-free functions of the signals' history, for n learners at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import Base
from olrl.monitor.averages import AVERAGES, KEPT, ONE, QUANTITIES, SPREADS, ZERO, Averages, number
from olrl.monitor.feature_spec import FEATURE_SPEC, SPEC_VERSION
from olrl.monitor.feature_table import BASE, INPUTS, ROW, STATE, Round, new_table, part, window_position
from olrl.monitor.feature_values import Formulas
from olrl.monitor.signals import Signals

Array = NDArray[np.float64]

# The rows of the state as `state_dict` has them since version 1.
_SAVED_AVERAGES = (
    *(f"loss over {horizon}" for horizon in (3, 10, 30, 100)),
    *("train_loss over 10", "loss_std over 20", "old_new_gap over 10"),
    *("hist_shift over 20", "hist_shift_last over 20", "grad_snr over 3", "grad_snr over 10"),
    *("grad_norm over 30", "grad_cos over 4", "grad_cos over 20"),
)
_SAVED_QUANTITIES = tuple(dict.fromkeys(name.split(" over ")[0] for name in _SAVED_AVERAGES))
_SAVED_REST = (
    "low",
    "rise",
    "fall",
    "last lr",
    "last batch_size",
    "last window",
    "last nonfinite",
    "rounds seen",
)
_SAVED_NAMES = (
    *(f"mean of {name}" for name in _SAVED_AVERAGES),
    *(f"count of {name}" for name in _SAVED_QUANTITIES),
    *(f"square of {name}" for name in SPREADS),
    *(f"count of {name} deviations" for name in SPREADS),
    *_SAVED_REST,
)
_SAVED = np.array([STATE.index(name) for name in _SAVED_NAMES])
assert sorted(_SAVED_NAMES) == sorted(STATE)
_LEAK = number(0.005)  # of the leaky minimum
# The CUSUMs of surprise: its bounds, what remains of them in a round, what does not count, and their bound.
_FALLEN, _RISEN, _REMAINS, _ALLOWED, _MOST = (number(value) for value in (-6.0, 6.0, 0.95, 0.5, 20.0))
_BUT_ALARMS = attrgetter(*INPUTS[1:])


def stack_signals(signals: Sequence[Signals]) -> Array:
    """The signals of n learners as one array, shape (inputs, n) in the order of `INPUTS`, NaN where missing.

    >>> stack_signals([Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=4)])[ROW["loss_nats"]]
    array([2.])
    """
    rows = [(len(one.alarms), *_BUT_ALARMS(one)) for one in signals]
    return np.ascontiguousarray(np.array(rows, dtype=np.float64).T)


def batch_signals(signals: Sequence[Signals]) -> dict[str, Array]:
    """The signals of n learners as arrays of shape (n,), NaN where missing; `alarms` becomes a count.

    >>> batch_signals([Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=4)])["loss_nats"]
    array([2.])
    """
    return dict(zip(INPUTS, stack_signals(signals), strict=True))


class FeatureExtractor:
    """Features of n learners from their signals, round by round; the entries stand in `FEATURE_SPEC`.

    `base_lr`, `base_batch_size` and `base_window` are numbers or arrays of shape (n,). What is not a
    finite number below 1e30 counts as missing; a missing signal gives features of 0 and a mask of 1, and
    whatever comes in, what comes out is finite and within ±5. One learner takes about 0.04 ms a round, 256
    take about 0.12 ms: more than a hundred operations on arrays of a few rows.

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
        self._table = table = new_table(n)
        self._state = part(table, STATE[0], STATE[-1])
        self._base = part(table, BASE[0], BASE[-1])  # log lr, log batch size, position of the window
        self._inputs = np.empty((len(INPUTS), n))
        self._averages = Averages(
            kept=part(table, KEPT[0], KEPT[-1]),
            now=part(table, QUANTITIES[0], QUANTITIES[-1]),
            deviations=part(table, f"{SPREADS[0]} deviation", f"{SPREADS[-1]} deviation"),
            spreads=part(table, f"{SPREADS[0]} spread", f"{SPREADS[-1]} spread"),
            averages=part(table, AVERAGES[0], AVERAGES[-1]),
            absent=part(table, f"absent {AVERAGES[0]}", f"absent {AVERAGES[-1]}"),
        )
        self._round, self._formulas = Round(table, self._averages.fresh), Formulas(n)
        self._low, self._cusums = part(table, "low"), part(table, "rise", "fall")
        self._log_spread = part(table, "log loss spread")
        self._one, self._other, self._pushes = np.empty(n), np.empty(n), np.empty((2, n))
        self._flag = np.empty(n, dtype=bool)
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
        for row, name in enumerate(("last lr", "last batch_size", "last window")):
            part(self._table, name)[chosen] = self._base[row, chosen]

    def update(self, signals: Mapping[str, ArrayLike] | Array) -> NDArray[np.float32]:
        """Take in the signals of a round and return the features, shape (n, features).

        `signals` are arrays of shape (n,) by name, where absent names are missing signals and names that no
        feature reads are ignored; or one array as `stack_signals` makes it.
        """
        inputs = signals if isinstance(signals, np.ndarray) else self._stacked(signals)
        if inputs.shape != self._inputs.shape:
            raise ValueError(f"stacked signals must be of shape {self._inputs.shape}, not {inputs.shape}")
        with np.errstate(all="ignore"):
            self._round.read(inputs)
            self._round.transform()
            self._averages.take_in()
            self._follow_low()
            self._push()
            np.log(self._averages.spreads[0], self._log_spread)
            features = self._formulas.of(self._table)
        self._round.remember()
        return features

    def unclipped(self) -> Array:
        """The features of the last update before clipping, shape (n, features): finite, of any size.

        What lies far outside of the range that a policy has seen looks like its edge once it is clipped.
        """
        return self._formulas.unclipped()

    def _stacked(self, signals: Mapping[str, ArrayLike]) -> Array:
        for name, row in ROW.items():
            self._inputs[row] = signals.get(name, np.nan)
        return self._inputs

    def _follow_low(self) -> None:
        """The leaky minimum of the loss over 10 rounds: it gives way by 0.5 % of the distance a round."""
        average, low, one, other = self._averages.loss, self._low, self._one, self._other
        np.less_equal(self._averages.times_loss, ONE, self._flag)
        np.copyto(low, average, where=self._flag)
        np.subtract(average, low, one)
        np.multiply(one, _LEAK, other)
        np.add(low, other, one)
        np.minimum(one, average, out=low)

    def _push(self) -> None:
        """The two CUSUMs of surprise, forgetting 5 % a round; a missing one pushes neither."""
        surprise, push, cusums = self._one, self._other, self._cusums
        np.divide(self._averages.deviations[0], self._averages.spreads[0], surprise)
        np.isfinite(surprise, self._flag)
        push.fill(0.0)
        np.copyto(push, surprise, where=self._flag)
        np.maximum(push, _FALLEN, out=surprise)
        np.minimum(surprise, _RISEN, out=self._pushes[0])
        np.negative(self._pushes[0], self._pushes[1])
        np.multiply(cusums, _REMAINS, cusums)
        np.add(cusums, self._pushes, cusums)
        np.subtract(cusums, _ALLOWED, cusums)
        np.maximum(cusums, ZERO, out=cusums)
        np.minimum(cusums, _MOST, out=cusums)

    def state_dict(self) -> dict[str, Any]:
        """Bases and history, JSON-able; learners are the columns."""
        return {"version": SPEC_VERSION, "base": self._base.tolist(), "state": self._state[_SAVED].tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` of an extractor for as many learners.

        Raises ValueError for another version, shape or a value that is not finite.
        """
        if state["version"] != SPEC_VERSION:
            raise ValueError(
                f"a feature history of version {state['version']} cannot continue as {SPEC_VERSION}"
            )
        given = {name: np.asarray(state[name], dtype=np.float64) for name in ("base", "state")}
        for name, mine in (("base", self._base), ("state", self._state)):
            if given[name].shape != mine.shape or not np.isfinite(given[name]).all():
                raise ValueError(
                    f"feature history {name!r} must be finite and of shape {mine.shape}, "
                    f"not {given[name].shape}"
                )
        self._base[...], self._state[_SAVED] = given["base"], given["state"]

    def put(self, which: NDArray[Any], other: FeatureExtractor) -> None:
        """Replace the learners in `which` (a mask or indices) by those of another extractor."""
        self._base[:, which], self._state[:, which] = other._base, other._state

    def copy(self) -> FeatureExtractor:
        """An independent extractor in the same state."""
        twin = FeatureExtractor(self.n, base_lr=1.0, base_batch_size=1, base_window=1)
        twin._base[...], twin._state[...] = self._base, self._state
        return twin
