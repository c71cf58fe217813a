from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from olrl.envs.drifting_quadratic import DriftingQuadraticEnv
from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv


def close(given: Any, expected: Any, *, rtol: float = 1e-7, atol: float = 0.0) -> None:
    np.testing.assert_allclose(given, expected, rtol=rtol, atol=atol)


def pair(n: int, **settings: Any) -> tuple[DummyVecEnv, DriftingQuadraticVecEnv]:
    """Literal and vectorised environments under the same seeds, not yet reset."""
    literal = DummyVecEnv([lambda: DriftingQuadraticEnv(**settings)] * n)
    fast = DriftingQuadraticVecEnv(n, **settings)
    literal.seed(11)
    fast.seed(11)
    return literal, fast


@pytest.mark.parametrize("coding", ["moves", "residual", "anchored"])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_as_many_literal_environments(coding: str, seed: int) -> None:
    """Random decisions, most of them bad ones: through ends of episodes, failures, skips and the reservoir."""
    n = 8
    settings = {"rounds": 30, "coding": coding, "randomisation": {"masked": 0.2, "adamw": 0.6}}
    literal, fast = pair(n, **settings)
    close(fast.reset(), literal.reset(), atol=1e-6)
    rng = np.random.default_rng(seed)
    ends = {True: 0, False: 0}
    for _ in range(75):
        actions = rng.integers(literal.action_space.nvec, size=(n, 4))  # type: ignore[attr-defined] # MultiDiscrete
        expected, given = literal.step(actions), fast.step(actions)
        close(given[0], expected[0], atol=1e-6)
        close(given[1], expected[1], rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(given[2], expected[2])
        for mine, theirs in zip(given[3], expected[3], strict=True):
            assert mine["TimeLimit.truncated"] == theirs["TimeLimit.truncated"]
            assert ("terminal_observation" in mine) == ("terminal_observation" in theirs)
            if "terminal_observation" in mine:
                ends[mine["TimeLimit.truncated"]] += 1
                close(mine["terminal_observation"], theirs["terminal_observation"], atol=1e-6)
    assert min(ends.values()) > 0


def test_it_equals_them_past_the_size_of_window_and_reservoir() -> None:
    """A whole long episode: the ring has gone round, the reservoir is full and exchanges its examples."""
    literal, fast = pair(2, rounds=150, coding="positions", randomisation={"lr_octaves": 0.0})
    literal.reset()
    fast.reset()
    rng = np.random.default_rng(0)
    for k in range(150):
        actions = np.stack([np.array([1, rng.integers(7), 7 if k % 2 else 6, 1])] * 2)
        expected, given = literal.step(actions), fast.step(actions)
        close(given[0], expected[0], atol=1e-6)
        close(given[1], expected[1], rtol=1e-6, atol=1e-6)


def test_losses_and_the_truth_equal_the_literal_ones() -> None:
    literal, fast = pair(4, rounds=20)
    literal.reset()
    fast.reset()
    for _ in range(10):
        actions = np.ones((4, 4), dtype=np.int64)
        infos = literal.step(actions)[3]
        fast.step(actions)
        close(fast.loss_nats, [info["loss_nats"] for info in infos])
        close(fast.reference_nats, [info["reference_nats"] for info in infos])
        truths = [info["truth"]["excess_nats"] for info in infos]
        close(fast.excess_nats, truths, rtol=1e-6)


def test_named_episodes_are_the_literal_ones_and_named_once() -> None:
    literal, fast = pair(3, rounds=20)
    for envs in (literal, fast):
        envs.set_options([{"episode_seed": k} for k in (5, 6, 5)])
    first = fast.reset()
    close(first, literal.reset(), atol=1e-6)
    np.testing.assert_array_equal(first[0], first[2])
    second = fast.reset()
    close(second, literal.reset(), atol=1e-6)
    assert (second[0] != second[2]).any()


@pytest.mark.usefixtures("global_generators_untouched")
def test_same_seed_same_bits() -> None:
    runs = []
    for _ in range(2):
        envs = DriftingQuadraticVecEnv(5, rounds=10)
        envs.seed(3)
        envs.reset()
        runs.append([envs.step(np.full((5, 4), k % 2 + 1) % [3, 3, 3, 2])[:3] for k in range(25)])
    for one, other in zip(*runs, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_threads_change_nothing() -> None:
    one, two = (DriftingQuadraticVecEnv(5, threads=threads, rounds=10) for threads in (1, 2))
    for envs in (one, two):
        envs.seed(3)
    np.testing.assert_array_equal(one.reset(), two.reset())
    for _ in range(15):
        steps = [envs.step(np.ones((5, 4), dtype=np.int64))[:3] for envs in (one, two)]
        for mine, theirs in zip(*steps, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    two.close()


def test_observations_handed_out_do_not_change_later() -> None:
    envs = DriftingQuadraticVecEnv(3, rounds=10)
    envs.seed(3)
    observations = envs.reset()
    before = observations.copy()
    envs.step(np.ones((3, 4), dtype=np.int64))
    np.testing.assert_array_equal(observations, before)


def test_returns_are_recorded_by_the_usual_wrapper() -> None:
    envs = VecMonitor(DriftingQuadraticVecEnv(2, rounds=6, randomisation={"adamw": 1.0}))
    envs.seed(0)
    envs.reset()
    total = np.zeros(2)
    for _ in range(6):
        _, rewards, _, infos = envs.step(np.ones((2, 4), dtype=np.int64))
        total += rewards
    assert [info["episode"]["l"] for info in infos] == [6, 6]
    close([info["episode"]["r"] for info in infos], total, atol=1e-4)


def test_it_is_asked_for_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="render"):
        DriftingQuadraticVecEnv(2, render_mode="ansi")
    with pytest.raises(ValueError, match="at least 1"):
        DriftingQuadraticVecEnv(0)
    with pytest.raises(ValueError, match="threads"):
        DriftingQuadraticVecEnv(2, threads=0)
    envs = DriftingQuadraticVecEnv(2)
    with pytest.raises(ValueError, match="rounds"):
        envs.set_attr("rounds", 5)
    with pytest.raises(ValueError, match="get_state"):
        envs.env_method("get_state")
    assert envs.get_attr("rounds", indices=[0]) == [300]
