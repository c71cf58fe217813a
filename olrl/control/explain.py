"""Why a frozen policy decided as it did: what each feature added to the choice of each knob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.feature_set import HAND_MADE, FeatureSet

if TYPE_CHECKING:
    from olrl.control.policy import FrozenPolicy

KNOBS: tuple[str, ...] = ("lr", "batch_size", "window", "update")
# Nodes and weights on [0, 1]: along a straight line a small tanh network is so smooth that 32 give
# the sum to a thousandth, also far from where it was trained.
_ROOTS, _SHARES = np.polynomial.legendre.leggauss(32)
_NODES, _WEIGHTS = (_ROOTS + 1) / 2, _SHARES / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What pushed each knob up (above 0) or down in one decision.

    `values` has shape (4, n_features), knobs in the order of `KNOBS`, in units of the policy's logits: summed over
    features, by how much more the policy leans to the upper choice than it would in the average situation of its
    training. For moves and skipping that is the logit of "up" minus that of "down", and of "train" minus "skip".
    """

    values: NDArray[np.float64]
    features: FeatureSet = HAND_MADE

    def strongest(self, knob: str, count: int = 6) -> dict[str, float]:
        """The features that moved a knob most, either way, the strongest first."""
        values = self.values[KNOBS.index(knob)]
        order = np.argsort(-np.abs(values))[:count]
        return {self.features.names[k]: float(values[k]) for k in order}

    def by_group(self, knob: str) -> dict[str, float]:
        """The same for groups of features that are made of the same signals; sums."""
        sums = dict.fromkeys(self.features.groups, 0.0)
        for group, value in zip(self.features.groups, self.values[KNOBS.index(knob)].tolist(), strict=True):
            sums[group] += value
        return sums


def explain(policy: FrozenPolicy, observation: NDArray[np.floating[Any]]) -> Explanation:
    """The explanation of what a policy makes of one observation, shape (n_features,); takes about 1 ms.

    Integrated gradients (Sundararajan, Taly and Yan 2017, eq. 1) from the training mean to the observation, of
    the policy's leaning `Σ w_k logit_k` for each knob, w running evenly from -1 to 1 over its choices. Exact
    gradients, Gauss-Legendre nodes; what the features add sums to the leaning's difference.
    """
    if observation.shape != policy.mean.shape:
        raise ValueError(f"an observation is of shape {policy.mean.shape}, not {observation.shape}")
    z = np.clip((observation.astype(np.float64) - policy.mean) / policy.std, -policy.clip, policy.clip)
    gradients = _gradients(policy, _NODES[:, None] * z, leanings(policy))
    return Explanation(values=np.einsum("n,nkf->kf", _WEIGHTS, gradients) * z, features=policy.features)


def leanings(policy: FrozenPolicy) -> NDArray[np.float64]:
    """Weights of the network's outputs in each knob's leaning, shape (knobs, outputs)."""
    choices = policy.coding.nvec
    scales = [np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1) for count in choices]
    if policy.output == "heads":
        ends = np.cumsum(choices)
        weights = np.zeros((len(choices), int(ends[-1])))
        for k, (end, scale) in enumerate(zip(ends, scales, strict=True)):
            weights[k, end - len(scale) : end] = scale
        return weights
    places = np.stack(np.unravel_index(np.arange(int(np.prod(choices))), choices))
    return np.stack(
        [scale[place] * len(scale) / places.shape[1] for scale, place in zip(scales, places, strict=True)]
    )


def _gradients(
    policy: FrozenPolicy, z: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gradients of linear functions of the outputs (k, outputs) at inputs (n, f), shape (n, k, f)."""
    slopes: list[NDArray[np.float64]] = []
    x = z
    for weight, bias in policy.layers[:-1]:
        x = np.tanh(x @ weight.T + bias)
        slopes.append(1.0 - x * x)
    back: NDArray[np.float64] = np.broadcast_to(
        targets @ policy.layers[-1][0], (len(z), len(targets), x.shape[1])
    )
    for (weight, _), slope in zip(reversed(policy.layers[:-1]), reversed(slopes), strict=True):
        back = (back * slope[:, None, :]) @ weight
    return back
