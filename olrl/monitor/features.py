"""The observation: scale-free functions of the signals' history, for n learners at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import Base
from olrl.monitor import feature_values as formulas
from olrl.monitor.averages import QUANTITIES, ROWS, Averages
from olrl.monitor.feature_spec import FEATURE_CLIP, FEATURE_NAMES, FEATURE_SPEC, SPEC_VERSION
from olrl.monitor.feature_values import INPUTS, ROW
from olrl.monitor.signals import Signals

Array = NDArray[np.float64]

# These are not taken in a second time when they have aged.
_OF_GRADIENT = ("train_loss", "grad_snr", "grad_norm", "grad_cos")
_AGEING = np.array([[name in _OF_GRADIENT] for name in QUANTITIES])
# What is remembered beside averages, a row each.
_REST = ("low", "rise", "fall", "lr", "batch_size", "window", "nonfinite", "rounds")
_LARGEST = 1e30  # of what is a measurement: squares and quotients must stay finite
_CENTRE = np.array([[feature.centre] for feature in FEATURE_SPEC])
_PER_UNIT = np.array([[1.0 / feature.unit] for feature in FEATURE_SPEC])


def batch_signals(signals: Sequence[Signals]) -> dict[str, Array]:
    """The signals of n learners as arrays of shape (n,), NaN where missing; `alarms` becomes a count.

    >>> batch_signals([Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=4)])["loss_nats"]
    array([2.])
    """
    columns = {name: [getattr(one, name) for one in signals] for name in INPUTS if name != "alarms"}
    columns["alarms"] = [len(one.alarms) for one in signals]
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


class FeatureExtractor:
    """Features of n learners from their signals, round by round; the entries stand in `FEATURE_SPEC`.

    `base_lr`, `base_batch_size` and `base_window` are numbers or arrays of shape (n,). What is not a
    finite number below 1e30 counts as missing; a missing signal gives features of 0 and a mask of 1, and
    whatever comes in, what comes out is finite and within ±5. One learner takes about 0.1 ms a round, 128
    take about 0.15 ms.

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
        self._state = np.zeros((ROWS + len(_REST), n))
        self._inputs = np.empty((len(INPUTS), n))
        self._averages = Averages(self._state[:ROWS])
        self._rest = {name: self._state[ROWS + k] for k, name in enumerate(_REST)}
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
            self._base[2, chosen] = formulas.window_position(window)
        self._state[:, chosen] = 0.0
        for row, name in enumerate(("lr", "batch_size", "window")):
            self._rest[name][chosen] = self._base[row, chosen]

    def update(self, signals: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Take in the signals of a round, arrays of shape (n,), and return the features, shape (n, features).

        Signals that are absent from the mapping are missing; names that no feature reads are ignored.
        """
        inputs = self._inputs
        for name, row in ROW.items():
            inputs[row] = signals.get(name, np.nan)
        inputs[~(np.abs(inputs) < _LARGEST)] = np.nan
        # Logarithms and quotients of impossible values (a loss of 0) become missing, which is what is meant.
        with np.errstate(all="ignore"):
            values = self._take_in(formulas.measured(inputs))
            stacked = np.array([values[name] for name in FEATURE_NAMES])
            scaled = (stacked - _CENTRE) * _PER_UNIT
        scaled[~np.isfinite(scaled)] = 0.0
        clipped = formulas.within(scaled, -FEATURE_CLIP, FEATURE_CLIP)
        return np.ascontiguousarray(clipped.T, dtype=np.float32)

    def _take_in(self, m: formulas.Measured) -> dict[str, Array]:
        """Values by name before centring, each of shape (n,); the round becomes part of the history."""
        averages, rest = self._averages, self._rest
        fresh = np.isfinite(m.now) & ~(_AGEING & (m.x["gradient_age"] > 0))
        before, spreads = averages.deviations(m.now), averages.spreads()
        surprise = before[0] / spreads[0]
        averages.take_in(m.now, fresh, before)
        self._follow_low()
        self._push(surprise)
        values = formulas.decision_values(m, self._base, rest)
        values |= formulas.loss_values(m, averages, rest, surprise, spreads[0])
        values |= formulas.gradient_values(m, averages, spreads)
        values |= formulas.data_values(m, averages, before, spreads)
        values |= formulas.bookkeeping_values(m, rest)
        self._remember(m)
        return values

    def _follow_low(self) -> None:
        """The leaky minimum of the loss over 10 rounds: it gives way by 0.5 % of the distance a round."""
        average, low = self._averages.loss_mean[1], self._rest["low"]
        leaking = np.where(self._averages.count("loss") <= 1, average, low + 0.005 * (average - low))
        np.minimum(leaking, average, out=low)

    def _push(self, surprise: Array) -> None:
        """The two CUSUMs of surprise; a missing one pushes neither."""
        pushed = np.where(np.isfinite(surprise), formulas.within(surprise, -6.0, 6.0), 0.0)
        for name, push in (("rise", pushed), ("fall", -pushed)):
            self._rest[name][:] = formulas.within(0.95 * self._rest[name] + push - 0.5, 0.0, 20.0)

    def _remember(self, m: formulas.Measured) -> None:
        last = {"lr": m.logs["lr"], "batch_size": m.logs["batch_size"], "window": m.window}
        last["nonfinite"] = m.x["nonfinite"]
        for name, value in last.items():
            np.copyto(self._rest[name], value, where=np.isfinite(value))
        self._rest["rounds"] += 1.0

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

    def put(self, which: NDArray[Any], other: FeatureExtractor) -> None:
        """Replace the learners in `which` (a mask or indices) by those of another extractor."""
        self._base[:, which], self._state[:, which] = other._base, other._state

    def copy(self) -> FeatureExtractor:
        """An independent extractor in the same state."""
        twin = FeatureExtractor(self.n, base_lr=1.0, base_batch_size=1, base_window=1)
        twin._base[...], twin._state[...] = self._base, self._state
        return twin
