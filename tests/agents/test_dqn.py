from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import DQN
from torch import nn

from olrl.agents.dqn import DQNConfig, freeze_q, train_dqn
from olrl.agents.rivals.dqn import FOLDER
from olrl.control.actions import action_coding
from olrl.control.policy import load_policy
from olrl.envs.discrete_actions import DiscreteActions, heads_of
from olrl.envs.drifting_quadratic import DriftingQuadraticEnv
from olrl.monitor.feature_spec import FEATURE_NAMES


def untrained(activation: type[nn.Module] = nn.Tanh) -> DQN:
    env = DiscreteActions(DriftingQuadraticEnv(rounds=8))
    shape = {"net_arch": [32, 32], "activation_fn": activation}
    return DQN("MlpPolicy", env, buffer_size=100, policy_kwargs=shape, seed=0, device="cpu")


def test_the_frozen_policy_chooses_what_the_q_network_does_also_after_a_way_through_a_file(
    tmp_path: Path,
) -> None:
    model = untrained()
    frozen = freeze_q(model, coding=action_coding("moves"), training={}, card="# Q\n")
    frozen.save(tmp_path / "policy")
    seen = np.random.default_rng(0).uniform(-5, 5, (500, len(FEATURE_NAMES))).astype(np.float32)
    numbers, _ = model.predict(seen, deterministic=True)
    assert len(set(numbers.tolist())) > 5
    for policy in (frozen, load_policy(tmp_path / "policy")):
        assert (policy.act(seen) == heads_of(numbers, (3, 3, 3, 2))).all()


def test_a_network_that_the_file_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="linear and tanh"):
        freeze_q(untrained(nn.ReLU), coding=action_coding("moves"), training={}, card="")


def test_training_gives_a_policy_by_its_seed() -> None:
    config = DQNConfig(n_envs=8, rounds=20, hidden=(16,), batch_size=32, buffer_size=2_000, gradient_steps=1)
    told: list[int] = []
    one, again = (train_dqn(config, steps=400, seed=1, progress=told.append) for _ in range(2))
    assert max(told) >= 400
    assert (one.layers[0][0] == again.layers[0][0]).all()
    assert one.training["algorithm"] == "dqn"
    assert one.quantiles is not None


def test_the_one_that_ships_is_trained_by_q_learning() -> None:
    policy = load_policy(FOLDER)
    assert policy.output == "joint"
    assert policy.training["algorithm"] == "dqn"
    assert policy.card
