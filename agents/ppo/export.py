"""From stable-baselines3 to a frozen policy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from torch import nn


def network_weights(model: PPO) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights (out, in) and biases (out,) of the actor's layers in order, the last one giving the logits.

    Raises ValueError for an actor that is not a plain tanh network.
    """
    hidden = list(model.policy.mlp_extractor.policy_net)
    layers: list[Any] = [layer for layer in hidden if isinstance(layer, nn.Linear)]
    if any(not isinstance(layer, nn.Linear | nn.Tanh) for layer in hidden):
        raise ValueError("only an actor of linear and tanh layers can be exported")
    layers.append(model.policy.action_net)
    return [(layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()) for layer in layers]


def observation_quantiles(model: PPO) -> dict[str, list[float]]:
    """Quantiles of every feature over the last rollout: the range the policy was trained in."""
    seen = model.rollout_buffer.observations.reshape(-1, model.rollout_buffer.observations.shape[-1])
    levels = (0.001, 0.01, 0.5, 0.99, 0.999)
    return {f"{level:g}": np.quantile(seen, level, axis=0).astype(float).tolist() for level in levels}
