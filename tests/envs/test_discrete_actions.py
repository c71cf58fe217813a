import warnings

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import DummyVecEnv

from olrl.envs.discrete_actions import DiscreteActions, DiscreteActionsVec, heads_of
from olrl.envs.drifting_quadratic import DriftingQuadraticEnv
from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv


def test_every_combination_has_exactly_one_number() -> None:
    nvec = (3, 7, 8, 2)
    heads = heads_of(np.arange(np.prod(nvec)), nvec)
    assert len(np.unique(heads, axis=0)) == np.prod(nvec)
    assert (np.ravel_multi_index(tuple(heads.T), nvec) == np.arange(np.prod(nvec))).all()


def test_it_is_the_environment_but_for_its_actions() -> None:
    plain, discrete = DriftingQuadraticEnv(rounds=12), DiscreteActions(DriftingQuadraticEnv(rounds=12))
    plain.reset(seed=3)
    discrete.reset(seed=3)
    for number in np.random.default_rng(0).integers(54, size=12):
        expected = plain.step(heads_of(np.array([number]), (3, 3, 3, 2))[0])
        found = discrete.step(number)
        assert (found[0] == expected[0]).all()
        assert found[1:4] == expected[1:4]


def test_the_checker_of_stable_baselines3_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(DiscreteActions(DriftingQuadraticEnv(rounds=8)))


def test_many_at_once_equal_single_ones() -> None:
    many = DiscreteActionsVec(DriftingQuadraticVecEnv(3, rounds=10))
    single = DummyVecEnv([lambda: DiscreteActions(DriftingQuadraticEnv(rounds=10))] * 3)
    assert many.action_space == single.action_space == gymnasium.spaces.Discrete(54)
    seen = []
    for env in (many, single):
        env.seed(5)
        rows = [np.asarray(env.reset())]
        rng = np.random.default_rng(1)
        for _ in range(6):
            observations, rewards, _, _ = env.step(rng.integers(54, size=3))
            rows += [np.asarray(observations), rewards]
        seen.append(rows)
    for a, b in zip(*seen, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_number_outside_the_space_is_refused() -> None:
    env = DiscreteActions(DriftingQuadraticEnv(rounds=4))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="Discrete"):
        env.step(np.int64(54))
