"""Language-model environments in one stack beside as many single ones."""

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from olrl.envs.online_lm import OnlineLMEnv
from olrl.envs.online_lm_vec import OnlineLMVecEnv

N = 4


def pair(**settings: Any) -> tuple[DummyVecEnv, OnlineLMVecEnv]:
    """Single and stacked environments under the same seeds, not yet reset."""
    single = DummyVecEnv([lambda: OnlineLMEnv(**settings)] * N)
    stacked = OnlineLMVecEnv(N, **settings)
    single.seed(5)
    stacked.seed(5)
    return single, stacked


def close(given: Any, expected: Any, atol: float) -> None:
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pico", "femto"])
@pytest.mark.parametrize("coding", ["moves", "residual-moves"])
def test_it_is_as_many_single_environments(model: str, coding: str) -> None:
    """Through ends of episodes, skips, every window; the same decisions, losses to 1e-5."""
    rounds = 10
    ranges = {"base_lr_octaves": 1.0}  # at rates that are far too high, rounding grows round by round
    single, stacked = pair(model=model, rounds=rounds, n_streams=3, coding=coding, chunk=4, ranges=ranges)
    close(stacked.reset(), single.reset(), 1e-4)
    rng = np.random.default_rng(0)
    for step in range(2 * rounds + 2):
        actions = rng.integers(single.action_space.nvec, size=(N, 4))  # type: ignore[attr-defined] # MultiDiscrete
        expected, given = single.step(actions), stacked.step(actions)
        np.testing.assert_array_equal(given[2], expected[2])
        close(given[1], expected[1], 1e-4)
        for mine, theirs in zip(given[3], expected[3], strict=True):
            assert mine["TimeLimit.truncated"] == theirs["TimeLimit.truncated"]
            assert ("terminal_observation" in mine) == ("terminal_observation" in theirs)
            if "terminal_observation" in mine:
                close(mine["terminal_observation"], theirs["terminal_observation"], 2e-3)
        if not given[2].any():  # a single environment has begun anew by now: its info is of the round before
            losses = [info["loss_nats"] for info in expected[3]]
            close(stacked.loss_nats, losses, 1e-5)
        for record, info in zip(stacked.records, expected[3], strict=True):
            other = info["record"]
            if coding == "moves":
                assert record.decision == other.decision, step
            assert record.decision.lr == pytest.approx(other.decision.lr, rel=1e-4)
            assert (record.spent, record.report.updates) == (other.spent, other.report.updates)
        close(given[0], expected[0], 2e-3)


def test_a_learner_that_fails_ends_its_episode_alone() -> None:
    stacked = OnlineLMVecEnv(
        2,
        rounds=6,
        n_streams=1,
        chunk=4,
        coding="anchored",
        optimizer="sgd",
        ranges={"base_lr_octaves": 8.0, "base_free": 0.0, "update_cost": [16.0, 16.0]},
    )
    stacked.set_options([{"episode_seed": 4}, {"episode_seed": 4}])
    stacked.reset()
    wild, skip = np.array([12, 0, 0, 1]), np.array([0, 3, 0, 0])
    ended = []
    for _ in range(6):
        _, rewards, ends, infos = stacked.step(np.stack([wild, skip]))
        ended.append(ends.tolist())
        if ends[0]:
            assert not infos[0]["TimeLimit.truncated"]
            assert rewards[0] < -5 * 2 < rewards[1]
            break
    assert ended[-1] == [True, False]
    observations, _, _, _ = stacked.step(np.stack([skip, skip]))
    assert np.isfinite(np.asarray(observations)).all()


def test_same_seed_same_bits_and_returns_are_recorded() -> None:
    runs = []
    for _ in range(2):
        stacked = VecMonitor(OnlineLMVecEnv(2, rounds=4, n_streams=2, chunk=4))
        stacked.seed(3)
        stacked.reset()
        runs.append([stacked.step(np.full((2, 4), k % 2 + 1) % [3, 3, 3, 2]) for k in range(4)])
    for one, other in zip(*runs, strict=True):
        for mine, theirs in zip(one[:3], other[:3], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert [info["episode"]["l"] for info in runs[0][-1][3]] == [4, 4]


def test_it_is_asked_for_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="render"):
        OnlineLMVecEnv(2, render_mode="ansi")
    with pytest.raises(ValueError, match="at least 1"):
        OnlineLMVecEnv(0)
