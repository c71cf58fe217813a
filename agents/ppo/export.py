"""From stable-baselines3 to a frozen policy."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from torch import nn

from olrl.control.coding import ActionCoding
from olrl.control.policy import QUANTILES, FrozenPolicy
from olrl.monitor.feature_set import HAND_MADE, FeatureSet

PACKAGES = ("olrl", "numpy", "torch", "transformers", "gymnasium", "stable-baselines3")


def network_weights(model: PPO) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights (out, in) and biases (out,) of the actor's layers in order, the last one giving the logits.

    Raises ValueError for an actor that is not a plain tanh network.
    """
    hidden = list(model.policy.mlp_extractor.policy_net)
    layers: list[Any] = [layer for layer in hidden if isinstance(layer, nn.Linear)]
    if any(not isinstance(layer, nn.Linear | nn.Tanh) for layer in hidden):
        raise ValueError("only an actor of linear and tanh layers can be exported")
    layers.append(model.policy.action_net)
    return [(_copied(layer.weight), _copied(layer.bias)) for layer in layers]


def _copied(parameter: nn.Parameter) -> NDArray[np.float32]:
    values: NDArray[np.float32] = parameter.detach().cpu().numpy().copy()  # else it would go on training
    return values


def observation_quantiles(model: PPO) -> list[list[float]]:
    """Quantiles of every feature over the last rollout, the range of training: (features, levels)."""
    seen = model.rollout_buffer.observations.reshape(-1, *model.rollout_buffer.obs_shape)
    values: list[list[float]] = np.quantile(seen.astype(np.float64), QUANTILES, axis=0).T.tolist()
    return values


def freeze(
    model: PPO,
    *,
    coding: ActionCoding,
    quantiles: list[list[float]] | None,
    training: Mapping[str, Any],
    card: str,
    features: FeatureSet = HAND_MADE,
) -> FrozenPolicy:
    """The deterministic policy of a model, as data.

    The features come scaled and clipped out of the extractor, so the normalisation is the identity.
    """
    n_features = model.observation_space.shape[0]  # type: ignore[index] # a Box
    return FrozenPolicy(
        layers=network_weights(model),
        mean=np.zeros(n_features),
        std=np.ones(n_features),
        coding=coding,
        features=features,
        quantiles=None if quantiles is None else np.array(quantiles),
        versions={name: version(name) for name in PACKAGES},
        training=training,
        card=card,
    )
