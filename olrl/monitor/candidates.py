"""Features that are named by how they are made from raw signals, so that a search can choose among many."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from olrl.control.decision import Base
from olrl.monitor.feature_spec import FEATURE_CLIP
from olrl.monitor.feature_table import INPUTS, ROW, window_position

Array = NDArray[np.float64]
CANDIDATES_VERSION = 1

# Raw signals in a form that does not depend on units: what each channel is, and whether its value says anything by
# itself. The level of a loss or of a gradient's norm is the model's, and only its changes mean the same everywhere.
CHANNELS: dict[str, tuple[str, bool]] = {
    "loss": ("log loss_nats", False),
    "train_loss": ("log(train_loss_nats / loss_nats)", True),
    "loss_std": ("log(loss_std / loss_nats)", True),
    "old_new_gap": ("old_new_gap / loss_nats", True),
    "hist_shift": ("hist_shift", True),
    "hist_shift_last": ("hist_shift_last", True),
    "grad_snr": ("asinh(100 grad_snr)", True),
    "grad_norm": ("log grad_norm", False),
    "grad_cos": ("grad_cos", True),
    "update_ratio": ("log update_ratio", True),
    "lr": ("log2(lr / base lr)", True),
    "batch_size": ("log2(batch_size / base batch_size)", True),
    "window": ("position of the window on its ladder", True),
    "window_from_base": ("that minus the position of the base's window", True),
    "updates": ("log2(1 + updates)", True),
    "spent": ("spent / budget", True),
    "price": ("log(1 + 50 price)", True),
    "update_cost": ("log2((1 + update_cost) / budget)", True),
    "alarm": ("1 if a drift detector fired on the new chunk, else 0", True),
    "since_alarm": ("log(1 + rounds_since_alarm)", True),
    "gradient_age": ("log(1 + gradient_age)", True),
    "rounds": ("log(1 + rounds seen)", True),
}
HORIZONS = (3, 10, 30, 100)
LONGEST_LAG = 10
_SPREAD_HORIZON = 30
_AT = {name: row for row, name in enumerate(CHANNELS)}
_LARGEST = 1e30
_LEAST_SPREAD = 1e-6
# How each operation is written: the ranges of its numbers beside a channel.
_NUMBERS: dict[str, tuple[tuple[int, ...], ...]] = {
    "now": (),
    "lag": (tuple(range(1, LONGEST_LAG + 1)),),
    "change": (tuple(range(1, LONGEST_LAG + 1)),),
    "mean": (HORIZONS,),
    "ratio": (HORIZONS, HORIZONS),
    "z": (HORIZONS,),
}
_SIMPLE = re.compile(r"(\w+)\((\w+)((?:, \d{1,3})*)\)")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Simple:
    """One operation on the history of one channel c.

    now(c); lag(c, k), its value k rounds before; change(c, k), its value minus that; mean(c, h), its exponential
    average with weight 1/h; ratio(c, h, g), the average over h minus that over g, which of logarithms is the
    logarithm of a ratio; z(c, h), its value minus its average over h before, over the root mean square of that
    difference over 30 rounds.

    >>> Simple.parse("ratio(loss, 3, 10)")
    Simple(operation='ratio', channel='loss', numbers=(3, 10))
    >>> Simple.parse("now(loss)")
    Traceback (most recent call last):
    ...
    ValueError: now(loss): the level of loss is the model's own, use change, ratio or z
    """

    operation: str
    channel: str
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.operation not in _NUMBERS or self.channel not in CHANNELS:
            raise ValueError(
                f"{self.name} is no feature: known are {', '.join(_NUMBERS)} of {', '.join(CHANNELS)}"
            )
        ranges = _NUMBERS[self.operation]
        fits = len(self.numbers) == len(ranges) and all(
            number in allowed for number, allowed in zip(self.numbers, ranges, strict=True)
        )
        if not fits or (self.operation == "ratio" and not self.numbers[0] < self.numbers[1]):
            raise ValueError(f"{self.name} is no feature: its numbers are not those of {self.operation}")
        if self.operation in ("now", "lag", "mean") and not CHANNELS[self.channel][1]:
            raise ValueError(
                f"{self.name}: the level of {self.channel} is the model's own, use change, ratio or z"
            )

    @property
    def name(self) -> str:
        """As it is written."""
        return f"{self.operation}({', '.join([self.channel, *map(str, self.numbers)])})"

    @property
    def group(self) -> str:
        """The channel it is made of."""
        return self.channel

    @classmethod
    def parse(cls, name: str) -> Simple:
        """From its name; ValueError for anything else."""
        found = _SIMPLE.fullmatch(name)
        if found is None:
            raise ValueError(f"{name[:_LONGEST_NAME]!r} is no feature: write operation(channel, numbers)")
        operation, channel, numbers = found.groups()
        return cls(operation, channel, tuple(int(number) for number in numbers.split(", ")[1:]))


@dataclass(frozen=True)
class Product:
    """The product of two simple features, each centred, scaled and clipped as it would stand by itself.

    >>> Product.parse("z(loss, 10) * now(alarm)").name
    'z(loss, 10) * now(alarm)'
    """

    one: Simple
    other: Simple

    @property
    def name(self) -> str:
        """As it is written."""
        return f"{self.one.name} * {self.other.name}"

    @property
    def group(self) -> str:
        """The channel of its first factor."""
        return self.one.channel

    @classmethod
    def parse(cls, name: str) -> Product:
        """From its name; ValueError for anything else."""
        one, star, other = name.partition(" * ")
        if not star:
            raise ValueError(f"{name[:_LONGEST_NAME]!r} is no product")
        return cls(Simple.parse(one), Simple.parse(other))


Candidate = Simple | Product


def parse_candidate(name: str) -> Candidate:
    """A candidate from its name; ValueError for what is none."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a feature's name has at most {_LONGEST_NAME} characters, not {len(name)}")
    return Product.parse(name) if " * " in name else Simple.parse(name)


def simple_candidates() -> list[Simple]:
    """Every simple candidate that a search looks at: lags, changes, averages, ratios and z of each channel."""
    found: list[Simple] = []
    for channel, (_, level) in CHANNELS.items():
        if level:
            found += [Simple("now", channel)]
            found += [Simple("lag", channel, (k,)) for k in (1, 3)]
            found += [Simple("mean", channel, (h,)) for h in (3, 10, 30)]
        found += [Simple("change", channel, (k,)) for k in (1, 3, 10)]
        found += [Simple("ratio", channel, pair) for pair in ((3, 10), (10, 30), (30, 100))]
        found += [Simple("z", channel, (h,)) for h in (10, 30)]
    return found


class Histories:
    """What simple candidates are computed from, for n learners: each channel's last values, averages, spreads."""

    def __init__(self, bases: Sequence[Base]) -> None:
        if not bases:
            raise ValueError("features serve at least 1 learner, not 0")
        n = len(bases)
        shape = (len(CHANNELS), n)
        self._base = np.array([[base.lr, base.batch_size, base.window] for base in bases], dtype=np.float64).T
        self._past = np.full((LONGEST_LAG + 1, *shape), np.nan)  # the newest first
        self._sums, self._weights = np.zeros((len(HORIZONS), *shape)), np.zeros((len(HORIZONS), *shape))
        self._squares, self._square_weights = np.zeros_like(self._sums), np.zeros_like(self._sums)
        self._means, self._z = np.full_like(self._sums, np.nan), np.full_like(self._sums, np.nan)
        self._rounds = np.zeros(n)

    @property
    def n(self) -> int:
        """Learners."""
        return int(self._base.shape[1])

    def update(self, inputs: Array) -> None:
        """Take in the signals of a round, shape (inputs, n) as `stack_signals` makes them."""
        with np.errstate(all="ignore"):
            now = _channels(inputs, self._base, self._rounds)
            now[~(np.abs(now) < _LARGEST)] = np.nan
            self._past[1:] = self._past[:-1].copy()
            self._past[0] = now
            known = np.isfinite(now)
            deviations = now - self._means
            measured = np.isfinite(deviations)
            _mix(self._squares, self._square_weights, deviations**2, measured, _SPREAD_HORIZON)
            spreads = np.sqrt(self._squares / self._square_weights)
            self._z = deviations / np.maximum(spreads, _LEAST_SPREAD)
            for k, horizon in enumerate(HORIZONS):
                _mix(self._sums[k], self._weights[k], now, known, horizon)
            self._means = self._sums / self._weights
        self._rounds += 1.0

    def value(self, candidate: Simple) -> Array:
        """A candidate's value, shape (n,), NaN where it cannot be told."""
        row, numbers = _AT[candidate.channel], candidate.numbers
        past: Array = self._past[:, row]
        means: Array = self._means[:, row]
        value: Array
        if candidate.operation in ("now", "lag"):
            value = past[numbers[0] if numbers else 0]
        elif candidate.operation == "change":
            value = past[0] - past[numbers[0]]
        else:
            places = [HORIZONS.index(number) for number in numbers]
            if candidate.operation == "mean":
                value = means[places[0]]
            elif candidate.operation == "ratio":
                value = means[places[0]] - means[places[1]]
            else:
                value = self._z[places[0], row]
        return value

    def arrays(self) -> dict[str, Array]:
        """What is remembered, by name; learners are the last axis."""
        return {
            "base": self._base,
            "past": self._past,
            "sums": self._sums,
            "weights": self._weights,
            "squares": self._squares,
            "square_weights": self._square_weights,
            "means": self._means,
            "rounds": self._rounds,
        }


def _mix(sums: Array, weights: Array, values: Array, known: NDArray[np.bool_], horizon: int) -> None:
    """Exponential averages as sums and their weights, so that they hold from the first value on; in place."""
    share = 1.0 / horizon
    np.copyto(sums, (1.0 - share) * sums + share * values, where=known)
    np.copyto(weights, (1.0 - share) * weights + share, where=known)


def _channels(inputs: Array, base: Array, rounds: Array) -> Array:
    """All channels of a round, shape (channels, n)."""
    signal = {name: inputs[row] for name, row in ROW.items()}
    loss = np.log(signal["loss_nats"])
    position = window_position(signal["window"])
    return np.stack(
        [
            loss,
            np.log(signal["train_loss_nats"]) - loss,
            np.log(signal["loss_std"]) - loss,
            signal["old_new_gap"] / signal["loss_nats"],
            signal["hist_shift"],
            signal["hist_shift_last"],
            np.arcsinh(100.0 * signal["grad_snr"]),
            np.log(signal["grad_norm"]),
            signal["grad_cos"],
            np.log(signal["update_ratio"]),
            np.log2(signal["lr"] / base[0]),
            np.log2(signal["batch_size"] / base[1]),
            position,
            position - window_position(base[2]),
            np.log2(1.0 + signal["updates"]),
            signal["spent"] / signal["budget"],
            np.log1p(50.0 * signal["price"]),
            np.log2((1.0 + signal["update_cost"]) / signal["budget"]),
            (signal["alarms"] > 0).astype(np.float64),
            np.log1p(signal["rounds_since_alarm"]),
            np.log1p(signal["gradient_age"]),
            np.log1p(rounds),
        ]
    )


@dataclass(frozen=True, kw_only=True)
class Selected:
    """A candidate as an entry of the observation: `clip((value − centre) / unit, ±5)`, 0 where it is missing.

    `scores` say why it was chosen; they change nothing.
    """

    candidate: Candidate
    centre: float
    unit: float
    scores: Mapping[str, float]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.centre) and abs(self.centre) < 1e6 and 1e-6 <= self.unit < 1e6):
            raise ValueError(
                f"feature {self.candidate.name}: centre must be finite and unit positive, "
                f"not {self.centre!r} and {self.unit!r}"
            )


class SelectedExtractor:
    """Selected features of n learners from their signals, round by round, as `FeatureExtractor` gives its own.

    `scales` are centre and unit of each simple candidate that is a factor of a product. One learner takes about
    0.3 ms a round.
    """

    def __init__(
        self,
        features: Sequence[Selected],
        scales: Mapping[Simple, tuple[float, float]],
        bases: Sequence[Base],
    ) -> None:
        self._features, self._scales, self._bases = features, scales, bases
        self._histories = Histories(bases)
        self._inputs = np.empty((len(INPUTS), self.n))
        self._centre = np.array([one.centre for one in features])[:, None]
        self._unit = np.array([one.unit for one in features])[:, None]
        self._values = np.zeros((len(features), self.n))

    @property
    def n(self) -> int:
        """Learners."""
        return self._histories.n

    @property
    def n_features(self) -> int:
        """Length of an observation."""
        return len(self._features)

    def update(self, signals: Mapping[str, ArrayLike] | Array) -> NDArray[np.float32]:
        """Take in the signals of a round and return the features, shape (n, features); see `FeatureExtractor`."""
        if isinstance(signals, np.ndarray):
            inputs = signals
        else:
            for name, row in ROW.items():
                self._inputs[row] = signals.get(name, np.nan)
            inputs = self._inputs
        if inputs.shape != self._inputs.shape:
            raise ValueError(f"stacked signals must be of shape {self._inputs.shape}, not {inputs.shape}")
        self._histories.update(inputs)
        with np.errstate(all="ignore"):
            raw = np.stack([self._value(one.candidate) for one in self._features])
            self._values = np.nan_to_num((raw - self._centre) / self._unit, nan=0.0, posinf=0.0, neginf=0.0)
        return np.clip(self._values, -FEATURE_CLIP, FEATURE_CLIP).T.astype(np.float32)

    def _value(self, candidate: Candidate) -> Array:
        if isinstance(candidate, Simple):
            return self._histories.value(candidate)
        return product_of(self._scaled(candidate.one), self._scaled(candidate.other))

    def _scaled(self, candidate: Simple) -> Array:
        centre, unit = self._scales[candidate]
        return scaled(self._histories.value(candidate), centre, unit)

    def unclipped(self) -> Array:
        """The features of the last update before clipping, shape (n, features)."""
        return self._values.T.copy()

    def put(self, which: NDArray[Any], other: SelectedExtractor) -> None:
        """Replace the learners in `which` (a mask or indices) by those of another extractor."""
        theirs = other._histories.arrays()
        for name, mine in self._histories.arrays().items():
            mine[..., which] = theirs[name]

    def copy(self) -> SelectedExtractor:
        """An independent extractor in the same state."""
        twin = SelectedExtractor(self._features, self._scales, self._bases)
        twin.put(np.arange(self.n), self)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Bases and history, JSON-able (None for what is not known yet); learners are the last axis."""
        arrays = self._histories.arrays()
        return {"version": CANDIDATES_VERSION, **{name: _plain(array) for name, array in arrays.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` of an extractor for as many learners; ValueError for another shape."""
        if state["version"] != CANDIDATES_VERSION:
            raise ValueError(
                f"a feature history of version {state['version']} cannot continue as {CANDIDATES_VERSION}"
            )
        for name, mine in self._histories.arrays().items():
            given = np.array(state[name], dtype=np.float64)
            if given.shape != mine.shape:
                raise ValueError(f"feature history {name!r} must be of shape {mine.shape}, not {given.shape}")
            mine[...] = given


def scaled(values: Array, centre: float, unit: float) -> Array:
    """As a feature: centred, in units, clipped; NaN stays."""
    result: Array = np.clip((values - centre) / unit, -FEATURE_CLIP, FEATURE_CLIP)
    return result


def product_of(one: Array, other: Array) -> Array:
    """Of two scaled features, in their own size: sign and geometric mean, so that it has no heavier tails."""
    result: Array = np.sign(one * other) * np.sqrt(np.abs(one * other))
    return result


def _plain(array: Array) -> Any:
    """Nested lists with None in place of NaN, which is not JSON."""
    plain = array.astype(object)
    plain[np.isnan(array)] = None
    return plain.tolist()
