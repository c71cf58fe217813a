"""DQN on the surrogate: the rival of PPO that learns the same decisions by Q-learning."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from olrl.control.coding import ActionCoding
from olrl.control.policy import QUANTILES, FrozenPolicy
from olrl.envs.discrete_actions import DiscreteActionsVec
from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv

from .ppo.environments import BoundedLoss
from .ppo.export import PACKAGES


@dataclass(frozen=True, kw_only=True)
class DQNConfig:
    """Settings of DQN (Mnih et al., 2015, "Human-level control through deep reinforcement learning").

    Named as in stable-baselines3; `rounds` is the length of an episode, `coding` that of the actions.
    """

    coding: str = "moves"
    hidden: tuple[int, ...] = (128, 128)
    n_envs: int = 32
    rounds: int = 60
    learning_rate: float = 5e-4
    batch_size: int = 512
    buffer_size: int = 200_000
    gamma: float = 0.96
    gradient_steps: int = 4
    exploration_fraction: float = 0.4
    exploration_final_eps: float = 0.05
    target_update_interval: int = 4_000
    learning_starts: int = 10_000


def train_dqn(
    config: DQNConfig,
    *,
    steps: int,
    seed: int,
    progress: Callable[[int], None] = lambda steps: None,
) -> FrozenPolicy:
    """The policy after so many environment steps; `progress` is told how many are done.

    stable-baselines3 draws from the global generators, which are seeded.
    """
    torch.set_num_threads(1)
    surrogate = DriftingQuadraticVecEnv(config.n_envs, rounds=config.rounds, coding=config.coding)
    coding = surrogate.coding
    env = DiscreteActionsVec(BoundedLoss(surrogate, gamma=config.gamma))
    model = DQN(
        "MlpPolicy",
        env,
        learning_rate=config.learning_rate,
        buffer_size=config.buffer_size,
        learning_starts=min(config.learning_starts, steps // 4),
        batch_size=config.batch_size,
        gamma=config.gamma,
        train_freq=1,
        gradient_steps=config.gradient_steps,
        target_update_interval=config.target_update_interval,
        exploration_fraction=config.exploration_fraction,
        exploration_final_eps=config.exploration_final_eps,
        policy_kwargs={"net_arch": list(config.hidden), "activation_fn": nn.Tanh},
        seed=seed,
        device="cpu",
    )
    try:
        model.learn(steps, callback=_Progress(progress))
    finally:
        env.close()
    training = {"algorithm": "dqn", "seed": seed, "steps": steps, "settings": asdict(config)}
    return freeze_q(model, coding=coding, training=training, card=_card(config, steps=steps, seed=seed))


def freeze_q(model: DQN, *, coding: ActionCoding, training: dict[str, Any], card: str) -> FrozenPolicy:
    """The greedy policy of a Q-network as data; ValueError for one that is not of linear and tanh layers."""
    modules = list(model.q_net.q_net)
    if any(not isinstance(module, nn.Linear | nn.Tanh) for module in modules):
        raise ValueError("only a network of linear and tanh layers can be exported")
    layers: list[Any] = [module for module in modules if isinstance(module, nn.Linear)]
    shape = model.observation_space.shape
    assert shape is not None, "features are a Box"
    seen = _observations(model).astype(np.float64)
    return FrozenPolicy(
        layers=[(_copied(layer.weight), _copied(layer.bias)) for layer in layers],
        mean=np.zeros(shape),  # features come scaled and clipped out of the extractor
        std=np.ones(shape),
        coding=coding,
        output="joint",
        quantiles=np.quantile(seen, QUANTILES, axis=0).T if len(seen) else None,
        versions={name: version(name) for name in PACKAGES},
        training=training,
        card=card,
    )


def _observations(model: DQN) -> NDArray[np.float32]:
    """What the replay buffer holds, shape (n, features)."""
    buffer: Any = model.replay_buffer
    rows: NDArray[np.float32] = buffer.observations[: buffer.size()].reshape(-1, *buffer.obs_shape)
    return rows


def _copied(parameter: nn.Parameter) -> NDArray[np.float32]:
    values: NDArray[np.float32] = parameter.detach().cpu().numpy().copy()
    return values


def _card(config: DQNConfig, *, steps: int, seed: int) -> str:
    return (
        "# A policy trained by DQN\n\n"
        f"The rival `dqn` of a comparison: {steps:,} steps on the surrogate `olrl/DriftingQuadratic-v0`, seed "
        f"{seed}, action coding `{config.coding}`, one value for each combination of its choices. Made by "
        "`scripts/train_dqn.py`.\n"
    )


class _Progress(BaseCallback):
    def __init__(self, told: Callable[[int], None]) -> None:
        super().__init__()
        self._told = told

    def _on_step(self) -> bool:
        self._told(self.num_timesteps)
        return True
