from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from torch import nn

from olrl.agents.ppo.export import freeze, network_weights, observation_quantiles
from olrl.control.actions import action_coding
from olrl.control.policy import FrozenPolicy
from olrl.envs.drifting_quadratic import DriftingQuadraticEnv
from olrl.monitor.feature_spec import FEATURE_CLIP, FEATURE_NAMES


def actor(*, activation: type[nn.Module] = nn.Tanh, coding: str = "moves", seed: int = 0) -> PPO:
    """PPO over the features with weights large enough that hidden units saturate and every choice occurs.

    Its making seeds the global generators, as stable-baselines3 does.
    """
    env: gymnasium.Env[NDArray[np.float32], NDArray[np.int64]] = DriftingQuadraticEnv(coding=coding)
    shape = {"net_arch": [128, 128], "activation_fn": activation}
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, policy_kwargs=shape, seed=seed, device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.policy.named_parameters():
            scale = 0.5 if name.endswith("bias") else 3.0 / weights.shape[-1] ** 0.5
            weights.copy_(scale * torch.randn(weights.shape, generator=generator))
    return model


def frozen(model: PPO, coding: str = "moves") -> FrozenPolicy:
    return freeze(model, coding=action_coding(coding), quantiles=None, training={}, card="# A policy\n")


def observations(count: int = 1_000) -> NDArray[np.float32]:
    """All over the observation space, bounds included."""
    wide = 3.0 * np.random.default_rng(1).standard_normal((count, len(FEATURE_NAMES)))
    return np.clip(wide, -FEATURE_CLIP, FEATURE_CLIP).astype(np.float32)


def torch_logits(model: PPO, seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised log-probabilities of all heads side by side, as the trained network gives them."""
    with torch.no_grad():
        heads: Any = model.policy.get_distribution(torch.as_tensor(seen)).distribution  # one a head
        logits: NDArray[np.float32] = torch.cat([head.logits for head in heads], dim=1).numpy()
    return logits


def normalised(policy: FrozenPolicy, seen: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits less the logarithm of each head's sum, which torch's distributions take off."""
    logits = policy.logits(seen).astype(np.float64)
    heads = np.split(logits, np.cumsum(policy.coding.nvec)[:-1], axis=1)
    return np.concatenate([head - np.logaddexp.reduce(head, axis=1, keepdims=True) for head in heads], axis=1)


@pytest.mark.parametrize("coding", ["moves", "positions", "residual", "anchored"])
def test_the_frozen_policy_is_the_trained_network(coding: str, tmp_path: Path) -> None:
    model, seen = actor(coding=coding), observations()
    policy = frozen(model, coding)
    policy.save(tmp_path / "policy")
    expected, _ = model.predict(seen, deterministic=True)
    for number, choices in enumerate(policy.coding.nvec):
        assert set(expected[:, number]) == set(range(choices))  # or the test below would prove little
    for frozen_policy in (policy, FrozenPolicy.load(tmp_path / "policy")):
        # float32 has seven digits, so 1e-6 is meant of the size of the logits
        scale = np.abs(frozen_policy.logits(seen)).max()
        difference = np.abs(normalised(frozen_policy, seen) - torch_logits(model, seen)).max()
        assert difference <= 1e-6 * scale
        assert (frozen_policy.act(seen) == expected).all()


def test_freezing_takes_a_copy_that_later_training_does_not_change() -> None:
    model, seen = actor(), observations(10)
    policy = frozen(model)
    before = policy.logits(seen)
    with torch.no_grad():
        for weights in model.policy.parameters():
            weights.add_(1.0)
    assert (policy.logits(seen) == before).all()


def test_an_actor_that_is_no_tanh_network_is_refused() -> None:
    with pytest.raises(ValueError, match="linear and tanh"):
        network_weights(actor(activation=nn.ReLU))


def test_the_quantiles_are_of_the_last_rollout() -> None:
    model = actor()
    model.learn(8)
    quantiles = np.array(observation_quantiles(model))
    seen = model.rollout_buffer.observations.reshape(-1, len(FEATURE_NAMES))
    assert quantiles.shape[0] == len(FEATURE_NAMES)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert quantiles[:, 3] == pytest.approx(np.median(seen, axis=0), abs=1e-6)
