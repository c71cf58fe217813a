"""The policy before it has learned anything."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from olrl.control.controller import Controller
from olrl.control.policy import FrozenPolicy, load_policy

from ..ppo.lean import STAY_BIAS, STAYING, UPDATE_BIAS
from .entrant import Conditions, Entrant


class Untrained(Entrant):
    """The architecture, features and action coding of the policy, with the weights PPO starts from."""

    def controller(self, given: Conditions) -> Controller:
        """Weights by the seed of the run."""
        policy = untrained(load_policy(given.policy), seed=given.config.seed)
        return policy.controller(base=given.base, price=given.config.price)


def untrained(policy: FrozenPolicy, *, seed: int) -> FrozenPolicy:
    """A policy of the same shape with weights as stable-baselines3 draws them, leaning towards staying.

    Orthogonal matrices, times √2 in hidden layers and 0.01 in the last; biases are 0, but for what keeps an
    untrained policy mostly in its place.
    """
    rng = np.random.default_rng(seed)
    last = len(policy.layers) - 1
    layers = [
        (_orthogonal(weight.shape, rng, gain=0.01 if k == last else np.sqrt(2)), np.zeros_like(bias))
        for k, (weight, bias) in enumerate(policy.layers)
    ]
    bias, first = layers[-1][1], 0
    bias[-1] = UPDATE_BIAS
    for choices, stay in zip(policy.coding.nvec, STAYING[policy.coding.name], strict=True):
        if stay is not None:
            bias[first + stay] = STAY_BIAS
        first += choices
    return replace(policy, layers=layers)


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator, *, gain: float) -> NDArray[np.float32]:
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    matrix: NDArray[np.float32] = np.ascontiguousarray(gain * (q if rows >= columns else q.T), np.float32)
    return matrix


UNTRAINED = Untrained(
    name="untrained",
    description="the policy's network with the weights that training starts from",
    policy="shape",
)
