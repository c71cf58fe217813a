from pathlib import Path

import numpy as np
import pytest

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.runs import RATE_OCTAVES, HindsightRunner, StreamRuns, constants
from olrl.control.actions import action_coding
from olrl.envs.online_lm import OnlineLMEnv

CODING = action_coding("leaps")
CONFIG = HindsightConfig(rounds=4, policy_lanes=2, explore=0.0)


@pytest.fixture(scope="module")
def runner() -> HindsightRunner:
    single = OnlineLMEnv(model="femto", rounds=4, n_streams=1)
    return HindsightRunner(
        single.loaded, single.streams, loop=single.config, config=CONFIG, ranges=single.ranges
    )


def runs_of(runner: HindsightRunner, *, seed: int) -> StreamRuns:
    return runner.held(0) + runner.steered(0, up, CODING, seed=seed)


def up(observations: np.ndarray) -> np.ndarray:
    return np.tile(np.array([3, 1, 1, 1]), (len(observations), 1))  # the rate an octave up, every round


def test_constant_runs_stay_and_the_policy_moves(runner: HindsightRunner) -> None:
    runs = runs_of(runner, seed=0)
    n = len(constants(runner._fixed))
    assert runs.loss.shape == (n + 2, 5)
    assert np.isfinite(runs.loss).all()
    held = runs.octaves[: len(RATE_OCTAVES), 1:]
    assert np.allclose(held, RATE_OCTAVES[:, None])  # from the second decision on
    assert np.allclose(np.diff(runs.octaves[n:], axis=1), 1.0)
    assert runs.price[:n].max() == 0.0


def test_a_run_that_never_trains_loses_what_training_gains(runner: HindsightRunner) -> None:
    runs = runs_of(runner, seed=0)
    never = [constant.update for constant in constants(runner._fixed)].index(False)
    tuned = len(RATE_OCTAVES) // 2
    assert runs.loss[never, 0] == pytest.approx(runs.loss[tuned, 0])
    assert runs.loss[never, -1] > runs.loss[tuned, -1]


def test_runs_survive_the_disk_and_the_same_seed_makes_them_again(
    runner: HindsightRunner, tmp_path: Path
) -> None:
    runs = runs_of(runner, seed=5)
    runs.save(tmp_path / "runs.npz")
    again, read = runs_of(runner, seed=5), StreamRuns.load(tmp_path / "runs.npz")
    for name, array in vars(runs).items():
        assert np.array_equal(array, getattr(again, name), equal_nan=True), name
        assert np.array_equal(array, getattr(read, name), equal_nan=True), name
