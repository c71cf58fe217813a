import json
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from olrl.agents.ppo.environments import language_maker
from olrl.agents.warm_processes import warm_context

ROUNDS, ENVS = 12, 2


def make(kind: str) -> VecEnv:
    maker = language_maker(coding="moves", model="pico", rounds=ROUNDS, n_streams=2, chunk=4)
    if kind == "dummy":
        return DummyVecEnv([maker] * ENVS)
    warm_context()
    return SubprocVecEnv([maker] * ENVS, start_method="forkserver")


def play(envs: VecEnv) -> tuple[str, ...]:
    """Two episodes of each environment: observations, rewards, ends, losses, and decisions, to the bit."""
    rng = np.random.default_rng(0)
    envs.seed(3)
    shown: list[Any] = [np.asarray(envs.reset()).tobytes().hex()]
    for _ in range(2 * ROUNDS):
        observations, rewards, ended, infos = envs.step(rng.integers([3, 3, 3, 2], size=(ENVS, 4)))
        shown += [
            np.asarray(observations).tobytes().hex(),
            np.float32(rewards).tobytes().hex(),
            ended.tolist(),
        ]
        for info in infos:
            decision = vars(info["record"].decision) if info["record"] else None
            shown += [float(info["loss_nats"]).hex(), float(info["reference_nats"]).hex(), decision]
    assert sum(map(sum, (x for x in shown if isinstance(x, list)))) == 2 * ENVS  # episodes ended
    return tuple(json.dumps(x) for x in shown)


@pytest.fixture(scope="module")
def in_one_process() -> tuple[str, ...]:
    return play(make("dummy"))


@pytest.mark.parametrize("kind", ["dummy", "subprocess"])
def test_the_same_bits_wherever_the_models_run_and_again(in_one_process: tuple[str, ...], kind: str) -> None:
    envs = make(kind)
    try:
        assert play(envs) == in_one_process
        assert play(envs) == in_one_process  # once more in the same processes, after two episodes
    finally:
        envs.close()
