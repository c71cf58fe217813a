"""The frozen policy: a small network as data, evaluated in numpy."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from olrl.control import policy_file
from olrl.control.actions import coding_from_spec
from olrl.control.coding import ActionCoding
from olrl.control.decision import Base
from olrl.control.training_range import TrainingRange
from olrl.monitor.feature_set import HAND_MADE, FeatureSet, feature_set_of

if TYPE_CHECKING:
    from olrl.control.policy_controller import PolicyController

QUANTILES: tuple[float, ...] = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_MAX_LAYERS, _MAX_WIDTH = 8, 4096
_LARGEST = 1e6  # of any number in a policy: no trained one comes near, and no sum of products can overflow
_LONGEST_REASON = 500  # characters; a tampered file may hold anything, and be quoted
_SHIPPED = Path(__file__).parent.parent / "policies"


class _Ready(NamedTuple):
    """What evaluation takes of a policy, as rows of shape (1, …): a vector beside one row costs thrice as much.

    layers: transposed weights and biases. heads: the columns of the logits that belong to each.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    clip: NDArray[np.float64]
    layers: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    heads: list[slice]

    @classmethod
    def of(cls, policy: FrozenPolicy) -> _Ready:
        choices = policy.coding.nvec
        ends = np.cumsum(choices).tolist()
        return cls(
            mean=policy.mean[None],
            std=policy.std[None],
            clip=np.array(policy.clip),
            layers=[(weight.T, bias[None]) for weight, bias in policy.layers],
            heads=[slice(end - count, end) for end, count in zip(ends, choices, strict=True)],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenPolicy:
    """A multilayer perceptron from features to the logits of an action coding's heads.

    layers: weights (outputs, inputs) and biases (outputs,) of each layer, float32; tanh after each but the
        last.
    mean, std, clip: observations are normalised to clip((x − mean) / std, ±clip), in float64, before the
        first layer; arrays of shape (n_features,).
    coding: what the actions mean. features: what observations are made of.
    output: `heads` where the network gives logits of each head side by side, `joint` where it gives one value
        for each combination of their choices (the last head's choice runs fastest), as Q-learning does.
    quantiles: of each feature in training, shape (n_features, len(QUANTILES)), or `None` where unknown.
    training_range: the features in training before clipping, for the guard, or `None` where unknown.
    versions: packages it was trained with. training: where it comes from. Both JSON-able.
    card: the text of CARD.md.

    Raises ValueError, naming the part, for anything that does not fit together or is not finite.
    """

    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    coding: ActionCoding
    clip: float = 10.0
    features: FeatureSet = HAND_MADE
    output: Literal["heads", "joint"] = "heads"
    quantiles: NDArray[np.float64] | None = None
    training_range: TrainingRange | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    _ready: _Ready = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n_features = len(self.features)
        for name, array in (("mean", self.mean), ("std", self.std)):
            if array.shape != (n_features,) or not (np.abs(array) <= _LARGEST).all():
                raise ValueError(
                    f"normalisation {name} must be {n_features} finite numbers up to {_LARGEST:g}"
                )
        if not (self.std >= 1 / _LARGEST).all():
            raise ValueError("normalisation std must be positive")
        if not 0 < self.clip <= _LARGEST:
            raise ValueError(
                f"normalisation clip must be a positive number up to {_LARGEST:g}, not {self.clip!r}"
            )
        if self.quantiles is not None:
            _check_quantiles(self.quantiles, n_features)
        if self.training_range is not None and self.features is not HAND_MADE:
            raise ValueError("a training range is of the features made by hand, not of a selected set")
        if self.output not in ("heads", "joint"):
            raise ValueError(f"the network's output must be heads or joint, not {self.output!r}")
        outputs = sum(self.coding.nvec) if self.output == "heads" else math.prod(self.coding.nvec)
        _check_layers(self.layers, n_features, outputs)
        object.__setattr__(self, "_ready", _Ready.of(self))

    def logits(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """What the network gives for observations of shape (n, features).

        Logits of all heads side by side, shape (n, sum(nvec)), or values of all combinations, (n, prod(nvec)).
        """
        if observations.ndim != 2 or observations.shape[1] != len(self.mean):
            raise ValueError(f"observations must be of shape (n, {len(self.mean)}), not {observations.shape}")
        ready = self._ready
        normalised = (observations.astype(np.float64) - ready.mean) / ready.std
        # `np.clip` takes a microsecond longer, which counts for one learner.
        bounded = np.minimum(np.maximum(normalised, -ready.clip), ready.clip)
        x: NDArray[np.float32] = bounded.astype(np.float32)
        for weight, bias in ready.layers[:-1]:
            x = x @ weight
            x += bias
            np.tanh(x, x)
        weight, bias = ready.layers[-1]
        out: NDArray[np.float32] = x @ weight + bias
        return out

    def act(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """The likeliest choice of each head, or the combination of highest value, shape (n, heads)."""
        logits = self.logits(observations)
        if self.output == "joint":
            return np.stack(np.unravel_index(logits.argmax(axis=1), self.coding.nvec), axis=1)
        actions = np.empty((len(logits), len(self._ready.heads)), dtype=np.int64)
        for k, head in enumerate(self._ready.heads):
            logits[:, head].argmax(1, actions[:, k])
        return actions

    def controller(self, *, base: Base, price: float | None = None) -> PolicyController:
        """A controller that starts from `base`; `price`, where given, stands in for that of the signals."""
        from olrl.control.policy_controller import PolicyController

        return PolicyController(policy=self, base=base, price=price)

    def save(self, folder: str | PathLike[str]) -> None:
        """Write a policy folder, whole or not at all; ValueError if something else is in its place."""
        weights: dict[str, NDArray[np.float32]] = {}
        for k, (weight, bias) in enumerate(self.layers):
            weights |= {f"layers/{k}/weight": weight, f"layers/{k}/bias": bias}
        policy_file.write(Path(folder), self.description(), weights, self.card)

    def description(self) -> dict[str, Any]:
        """What policy.json says beside the format and the sha256 of the weights, JSON-able."""
        quantiles = None
        if self.quantiles is not None:
            quantiles = {"levels": list(QUANTILES), "values": self.quantiles.tolist()}
        sizes = [self.layers[0][0].shape[1], *(len(bias) for _, bias in self.layers)]
        output = {} if self.output == "heads" else {"output": self.output}  # said only where it is unusual
        seen = {} if self.training_range is None else {"range": self.training_range.description()}
        return {
            "features": self.features.spec(),
            "quantiles": quantiles,
            "normalisation": {"mean": self.mean.tolist(), "std": self.std.tolist(), "clip": self.clip},
            "actions": self.coding.spec(),
            "network": {"sizes": sizes, "activation": "tanh", **output},
            "versions": dict(self.versions),
            "training": dict(self.training),
            **seen,
        }

    def sha256(self) -> str:
        """Identity of all that its decisions depend on, wherever it was loaded from."""
        digest = hashlib.sha256(json.dumps(self.description(), sort_keys=True).encode())
        for weight, bias in self.layers:
            digest.update(weight.tobytes() + bias.tobytes())
        return digest.hexdigest()

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> FrozenPolicy:
        """The policy in a folder, all of it checked; ValueError, naming the folder, for whatever is wrong."""
        try:
            description, weights, card = policy_file.read(Path(folder))
        except ValueError as error:
            raise ValueError(_shortened(str(error))) from error
        try:
            return _build(description, weights, card)
        except (ValueError, OverflowError, TypeError) as error:
            reason = _shortened(str(error))
            raise ValueError(f"the policy in {folder} cannot be used: {reason}") from error


def load_policy(name_or_folder: str | PathLike[str]) -> FrozenPolicy:
    """A policy that ships, by name (`default`), or the one in a folder.

    Runs nothing from the files and needs neither PyTorch nor a training framework. ValueError, in one
    sentence, for whatever is no policy.
    """
    if str(name_or_folder) != "default":
        return FrozenPolicy.load(name_or_folder)
    if not (_SHIPPED / "default").is_dir():
        raise ValueError("this installation holds no default policy: give the folder of one")
    return FrozenPolicy.load(_SHIPPED / "default")


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."


def _build(description: dict[str, Any], weights: dict[str, NDArray[np.float32]], card: str) -> FrozenPolicy:
    features = feature_set_of(description["features"])
    normalisation = _fields(description, "normalisation", ("mean", "std", "clip"))
    quantiles = description["quantiles"]
    if quantiles is not None:
        quantiles = _fields(description, "quantiles", ("levels", "values"))
        if quantiles["levels"] != list(QUANTILES):
            raise ValueError(f"quantiles must be at the levels {QUANTILES}")
    for name in ("versions", "training"):
        if not isinstance(description[name], dict):
            raise ValueError(f"{name} must be an object")
    return FrozenPolicy(
        layers=_layers(description, weights),
        mean=_numbers(normalisation["mean"], "normalisation mean"),
        std=_numbers(normalisation["std"], "normalisation std"),
        clip=float(_numbers(normalisation["clip"], "normalisation clip", dimensions=0)),
        coding=coding_from_spec(description["actions"]),
        features=features,
        output=_network(description).get("output", "heads"),
        quantiles=None if quantiles is None else _numbers(quantiles["values"], "quantiles", dimensions=2),
        training_range=TrainingRange.from_description(description["range"])
        if "range" in description
        else None,
        versions=description["versions"],
        training=description["training"],
        card=card,
    )


def _fields(description: dict[str, Any], name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    given = description[name]
    if not isinstance(given, dict) or set(given) != set(keys):
        raise ValueError(f"{name} must be an object with {', '.join(keys)}")
    return given


def _network(description: dict[str, Any]) -> dict[str, Any]:
    network = description["network"]
    unusual = ("output",) if isinstance(network, dict) and "output" in network else ()
    return _fields(description, "network", ("sizes", "activation", *unusual))


def _numbers(given: Any, name: str, *, dimensions: int = 1) -> NDArray[np.float64]:
    try:
        array = np.array(given)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers in lists of equal length") from error
    if array.dtype.kind not in "if" or array.ndim != dimensions:
        raise ValueError(f"{name} must be numbers in {dimensions} dimensions")
    return array.astype(np.float64)


def _layers(
    description: dict[str, Any], weights: dict[str, NDArray[np.float32]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The layers that the network's sizes promise, found in the weights and nothing beside them."""
    network = _network(description)
    sizes = network["sizes"]
    if network["activation"] != "tanh":
        raise ValueError(f"the network's activation must be 'tanh', not {network['activation']!r}")
    if not (
        isinstance(sizes, list)
        and 2 <= len(sizes) <= _MAX_LAYERS + 1
        and all(type(size) is int and 1 <= size <= _MAX_WIDTH for size in sizes)
    ):
        raise ValueError(
            f"the network's sizes must be 2 to {_MAX_LAYERS + 1} integers from 1 to {_MAX_WIDTH}, "
            f"not {sizes!r}"
        )
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes |= {f"layers/{k}/weight": (outputs, inputs), f"layers/{k}/bias": (outputs,)}
    found = {name: array.shape for name, array in weights.items()}
    if found != shapes:
        raise ValueError(f"the weights are {found}, but the network's sizes ask for {shapes}")
    return [(weights[f"layers/{k}/weight"], weights[f"layers/{k}/bias"]) for k in range(len(sizes) - 1)]


def _check_layers(
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], inputs: int, outputs: int
) -> None:
    if not 1 <= len(layers) <= _MAX_LAYERS:
        raise ValueError(f"a network has 1 to {_MAX_LAYERS} layers, not {len(layers)}")
    width = inputs
    for k, (weight, bias) in enumerate(layers):
        if weight.dtype != np.float32 or bias.dtype != np.float32:
            raise ValueError(f"layer {k} must be float32, not {weight.dtype} and {bias.dtype}")
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {k} takes {width} inputs, but has the shapes {weight.shape}, {bias.shape}"
            )
        if not all((np.abs(each) <= _LARGEST).all() for each in (weight, bias)):
            raise ValueError(f"layer {k} holds weights that are not finite, or larger than {_LARGEST:g}")
        width = len(bias)
    if width != outputs:
        raise ValueError(f"the last layer gives {width} logits, but the actions need {outputs}")


def _check_quantiles(quantiles: NDArray[np.float64], n_features: int) -> None:
    shape = (n_features, len(QUANTILES))
    if quantiles.shape != shape or not np.isfinite(quantiles).all():
        raise ValueError(f"quantiles must be finite numbers of shape {shape}, not {quantiles.shape}")
    if (np.diff(quantiles, axis=1) < 0).any():
        raise ValueError("quantiles must not fall as their level rises")
