"""Vector environments in processes beside the same ones in this process."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv
from olrl.envs.processes import VecEnvProcesses

SETTINGS: dict[str, Any] = {"rounds": 5}


@pytest.fixture(scope="module")
def envs() -> Any:
    made = VecEnvProcesses([partial(DriftingQuadraticVecEnv, n, **SETTINGS) for n in (2, 3)])
    yield made
    made.close()


def moves(k: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(k).integers([3, 3, 3, 2], size=(5, 4))


def play(envs: VecEnv) -> list[Any]:
    envs.seed(7)
    shown: list[Any] = [envs.reset()]
    for k in range(6):
        observations, rewards, ended, infos = envs.step(moves(k))
        shown += [observations, rewards, ended, [info["TimeLimit.truncated"] for info in infos]]
    return shown


def test_parts_are_one_vector_environment(envs: VecEnvProcesses) -> None:
    for found, expected in zip(play(envs), play(DriftingQuadraticVecEnv(5, **SETTINGS)), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_options_reach_the_instance_they_are_for_and_are_used_once(envs: VecEnvProcesses) -> None:
    envs.set_options([{"episode_seed": k} for k in (4, 5, 5, 4, 6)])
    first = np.asarray(envs.reset())
    np.testing.assert_array_equal(first[0], first[3])
    np.testing.assert_array_equal(first[1], first[2])
    second = np.asarray(envs.reset())
    assert (second[0] != second[3]).any()


def test_attributes_are_read_across(envs: VecEnvProcesses) -> None:
    assert envs.get_attr("rounds", indices=[1, 4]) == [5, 5]
    with pytest.raises(ValueError, match="rounds"):
        envs.set_attr("rounds", 6)
    with pytest.raises(ValueError, match="step"):
        envs.env_method("step")


def test_a_mistake_in_a_part_is_told_here() -> None:
    with pytest.raises(ValueError, match="at least 1 round, not 0"):
        VecEnvProcesses([partial(DriftingQuadraticVecEnv, 2, rounds=0)])
    with pytest.raises(ValueError, match="at least one"):
        VecEnvProcesses([])
