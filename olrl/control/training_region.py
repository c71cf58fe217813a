"""Where a policy was in training on one kind of task: the range of each measured feature, and of all of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.feature_spec import FEATURE_NAMES, FEATURE_SPEC

LEVELS: tuple[float, ...] = (0.0005, 0.01, 0.5, 0.99, 0.9995)
# What is measured. Decisions are bounded by their coding, costs and prices are the user's, time goes on beyond
# any training, and masks say what is missing: none of them is a sign of trouble.
_GROUPS = (
    *("loss", "grad_snr", "grad_norm", "grad_cos", "update_ratio", "train_loss"),
    *("loss_std", "old_new_gap", "hist_shift"),
)
WATCHED: tuple[str, ...] = tuple(
    feature.name
    for feature in FEATURE_SPEC
    if feature.group in _GROUPS and not feature.name.startswith("no_")
)
_GROUP_OF = {feature.name: feature.group for feature in FEATURE_SPEC}
_COLUMNS = np.array([FEATURE_NAMES.index(name) for name in WATCHED])
_MARGIN = 0.5  # of the distance from the median to the outermost level
_LEAST_MARGIN = 0.25  # in units of the feature: some hardly move in training
_FAR = 8.0  # standard deviations at which a feature no longer adds to the joint distance
_JOINT_LEVEL = 0.999  # of the distances in training
_JOINT_MARGIN = 1.15
_SHRINKAGE = 0.05
_LARGEST, _LEAST_SCALE = 1e9, 1e-6  # of the numbers in a file: beyond them a distance would overflow

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRegion:
    """Quantiles of the measured features before clipping, and what their joint distance takes.

    quantiles: of each of `WATCHED`, shape (watched, len(LEVELS)).
    centre, scale: medians and robust standard deviations, shape (watched,).
    precision: inverse of the shrunk covariance of `clip((x − centre) / scale, ±8)`, shape (watched, watched).
    distance: the largest root of the mean square that counts as inside.
    zeros: the most of `WATCHED` that were exactly 0 at once in training.

    >>> rng = np.random.default_rng(0)
    >>> seen = TrainingRegion.of(rng.normal(size=(2000, len(FEATURE_NAMES))))
    >>> inside, outside = np.full((2, len(FEATURE_NAMES)), 0.1)
    >>> outside[FEATURE_NAMES.index("grad_norm")] = 100.0
    >>> seen.trouble(inside), seen.trouble(outside)
    (None, 'grad_norm is 100 outside of the training range')
    """

    quantiles: Array
    centre: Array
    scale: Array
    precision: Array
    distance: float
    zeros: int
    _low: Array = field(init=False, repr=False)
    _high: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = len(WATCHED)
        shapes = {"quantiles": (n, len(LEVELS)), "centre": (n,), "scale": (n,), "precision": (n, n)}
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not (np.abs(array) <= _LARGEST).all():
                raise ValueError(
                    f"training range {name} must be numbers of shape {shape}, {_LARGEST:g} at most in size"
                )
        if not (self.scale >= _LEAST_SCALE).all() or not 0 < self.distance <= _LARGEST:
            raise ValueError(
                f"training range: scale must be {_LEAST_SCALE:g} or more, "
                f"and distance above 0, {_LARGEST:g} at most"
            )
        if not 0 <= self.zeros <= n:
            raise ValueError(f"training range: zeros must be 0 to {n}, not {self.zeros}")
        if (np.diff(self.quantiles, axis=1) < 0).any():
            raise ValueError("training range quantiles must not fall as their level rises")
        low, middle, high = self.quantiles[:, 0], self.quantiles[:, LEVELS.index(0.5)], self.quantiles[:, -1]
        object.__setattr__(self, "_low", low - np.maximum(_MARGIN * (middle - low), _LEAST_MARGIN))
        object.__setattr__(self, "_high", high + np.maximum(_MARGIN * (high - middle), _LEAST_MARGIN))

    @classmethod
    def of(cls, observations: Array) -> TrainingRegion:
        """The region of observations before clipping, shape (n, features); ValueError where it is no region.

        The covariance is shrunk by 5 % towards its diagonal, and what is beyond 8 robust standard deviations
        counts as 8: features have heavy tails, and one of them must not decide for all.
        """
        seen = observations[:, _COLUMNS]
        quantiles = np.quantile(seen, LEVELS, axis=0).T
        centre = np.median(seen, axis=0)
        spread = (np.quantile(seen, 0.9, axis=0) - np.quantile(seen, 0.1, axis=0)) / 2.56
        scale = np.maximum(spread, 0.05)
        z = np.clip((seen - centre) / scale, -_FAR, _FAR)
        covariance = z.T @ z / len(z)
        diagonal = np.diag(np.diag(covariance))
        shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * diagonal + 1e-3 * np.eye(len(covariance))
        precision: Array = np.linalg.inv(shrunk).astype(np.float64)
        distances = np.sqrt(np.einsum("ni,ij,nj->n", z, precision, z) / len(WATCHED))
        return cls(
            quantiles=quantiles,
            centre=centre,
            scale=scale,
            precision=precision,
            distance=_JOINT_MARGIN * float(np.quantile(distances, _JOINT_LEVEL)),
            zeros=int((seen == 0).sum(axis=1).max()),
        )

    def remoteness(self, observation: Array) -> float:
        """The joint distance of an observation, shape (features,), over the largest that counts as inside."""
        return self._distance(observation.take(_COLUMNS)) / self.distance

    def _distance(self, x: Array) -> float:
        z = (x - self.centre) / self.scale
        bounded = np.minimum(np.maximum(z, -_FAR), _FAR)
        squared = float(bounded @ self.precision @ bounded) / len(x)
        return math.sqrt(max(squared, 0.0))  # below 0 by rounding, or from a tampered file; NaN stays NaN

    def trouble(self, observation: Array, *, missing: Collection[str] = ()) -> str | None:
        """What is outside of the range in an observation of shape (features,); `None` where nothing is.

        Features of the groups `missing` may be 0: their signal was not measured. Takes about 12 µs. The feature
        named is the one that is farthest outside.
        """
        x = observation.take(_COLUMNS)
        beyond = np.maximum(self._low - x, x - self._high)
        worst = int(beyond.argmax())
        if beyond[worst] > 0:
            return f"{WATCHED[worst]} is {x[worst]:.3g} outside of the training range"
        distance = self._distance(x)
        if not distance <= self.distance:
            return f"joint distance {distance:.3g} beyond the {self.distance:.3g} of training"
        zeros = len(x) - int(np.count_nonzero(x))
        if missing and zeros > self.zeros:
            zeros -= sum(
                value == 0 and _GROUP_OF[name] in missing for name, value in zip(WATCHED, x, strict=True)
            )
        if zeros > self.zeros:
            return f"{zeros} features are 0 at once, {self.zeros} at most in training"
        return None

    def description(self) -> dict[str, Any]:
        """As it stands in a training range, JSON-able; six significant digits."""
        return {
            "quantiles": _rounded(self.quantiles),
            "centre": _rounded(self.centre),
            "scale": _rounded(self.scale),
            "precision": _rounded(self.precision),
            "distance": float(f"{self.distance:.6g}"),
            "zeros": self.zeros,
        }

    @classmethod
    def from_description(cls, given: Any) -> TrainingRegion:
        """From a training range; ValueError for whatever `description` would not write."""
        keys = {"quantiles", "centre", "scale", "precision", "distance", "zeros"}
        if not isinstance(given, Mapping) or set(given) != keys:
            raise ValueError(f"a region of a training range must be an object with {', '.join(sorted(keys))}")
        names = ("quantiles", "centre", "scale", "precision", "distance")
        arrays = {name: _array(given[name], name) for name in names}
        distance = arrays.pop("distance")
        if type(given["zeros"]) is not int or distance.ndim:
            raise ValueError("training range: zeros must be an integer, and distance a number")
        return cls(**arrays, distance=float(distance), zeros=given["zeros"])


def _rounded(array: Array) -> Any:
    return np.array([float(f"{value:.6g}") for value in array.ravel()]).reshape(array.shape).tolist()


def _array(given: Any, name: str) -> Array:
    try:
        array = np.array(given)
    except ValueError as error:
        raise ValueError(f"training range {name} must be numbers in lists of equal length") from error
    if array.dtype.kind not in "if":
        raise ValueError(f"training range {name} must be numbers")
    return array.astype(np.float64)
