"""The language stage's environments: the same bits again, and the single environments' to rounding."""

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from olrl.agents.ppo.environments import build_environments
from olrl.agents.ppo.recipe import PROFILES, StageConfig
from olrl.envs.online_lm import OnlineLMEnv

ROUNDS, ENVS = 12, 3
SETTINGS: dict[str, Any] = {"model": "pico", "rounds": ROUNDS, "n_streams": 2, "chunk": 4}


@pytest.fixture(scope="module")
def envs() -> Any:
    stage = StageConfig(name="language", kind="language", steps=1, n_envs=ENVS, env=SETTINGS)
    made = build_environments(stage, PROFILES["quick"])
    yield made
    made.close()


def play(envs: VecEnv) -> list[tuple[Any, ...]]:
    """Two episodes of each environment: observations, rewards, ends."""
    rng = np.random.default_rng(0)
    envs.seed(3)
    shown: list[tuple[Any, ...]] = [(envs.reset(),)]
    for _ in range(2 * ROUNDS):
        shown.append(envs.step(rng.integers([3, 3, 3, 2], size=(ENVS, 4)))[:3])
    assert sum(ended.sum() for _, _, ended in shown[1:]) == 2 * ENVS
    return shown


def test_the_same_bits_again_in_the_same_processes(envs: VecEnv) -> None:
    for one, other in zip(play(envs), play(envs), strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_they_are_the_single_environments(envs: VecEnv) -> None:
    single = DummyVecEnv([lambda: OnlineLMEnv(**SETTINGS)] * ENVS)
    for one, other in zip(play(envs), play(single), strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-3)
