from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.grounds import Ground, text_grounds
from olrl.agents.hindsight.runs import (
    N_CONSTANT,
    N_PAUSED,
    PAUSES,
    RATE_OCTAVES,
    START_OCTAVES,
    HindsightRunner,
    StreamRuns,
    constants,
    pauses,
)
from olrl.control.actions import action_coding
from olrl.envs.online_lm import EpisodeRanges, OnlineLMEnv
from olrl.monitor.feature_set import HAND_MADE
from olrl.streams.suite import HOME

CODING = action_coding("leaps")
CONFIG = HindsightConfig(rounds=4, policy_lanes=2, explore=0.0)


@pytest.fixture(scope="module")
def grounds() -> Callable[[int], Ground]:
    return text_grounds(OnlineLMEnv(model="femto", rounds=4, n_streams=1))


@pytest.fixture(scope="module")
def runner(grounds: Callable[[int], Ground]) -> HindsightRunner:
    return HindsightRunner(grounds, config=CONFIG, ranges=EpisodeRanges())


def runs_of(runner: HindsightRunner, *, seed: int) -> StreamRuns:
    return runner.held(0) + runner.steered(0, up, CODING, seed=seed)


def up(observations: np.ndarray) -> np.ndarray:
    return np.tile(np.array([3, 1, 1, 1]), (len(observations), 1))  # the rate an octave up, every round


def test_constant_runs_stay_and_the_policy_moves(
    runner: HindsightRunner, grounds: Callable[[int], Ground]
) -> None:
    runs = runs_of(runner, seed=0)
    n = len(constants(grounds(0).fixed))
    assert runs.loss.shape == (n + 2, 5)
    assert np.isfinite(runs.loss).all()
    held = runs.octaves[: len(RATE_OCTAVES), 1:]
    assert np.allclose(held, RATE_OCTAVES[:, None])  # from the second decision on
    assert np.allclose(np.diff(runs.octaves[n:], axis=1), 1.0)
    assert runs.price[:n].max() == 0.0
    sources = [chunk.source for chunk in grounds(0).chunks]
    assert runs.familiar.tolist() == [[source in HOME for source in sources[:4]]] * (n + 2)


def test_a_run_that_never_trains_loses_what_training_gains(
    runner: HindsightRunner, grounds: Callable[[int], Ground]
) -> None:
    runs = runs_of(runner, seed=0)
    never = [constant.update for constant in constants(grounds(0).fixed)].index(False)
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


def test_learners_pause_once_or_begin_late_and_only_that_changes_their_loss(runner: HindsightRunner) -> None:
    held, paused = runner.held(0), runner.paused(0)
    trained = paused.spent > 0
    for k, rounds in enumerate(pauses(0, CONFIG.rounds)):
        within = [t for t in rounds if t < CONFIG.rounds]
        assert not trained[k, within].any()
        assert trained[k].sum() == CONFIG.rounds - len(within)
        assert not trained[PAUSES + k, : rounds.start].any()
        assert trained[PAUSES + k, rounds.start :].all()
    late = PAUSES + 5  # begins after the end: the same as never
    assert not trained[late].any()
    assert np.allclose(paused.loss[late], held.loss[N_CONSTANT - len(START_OCTAVES) - 1], rtol=1e-5)
    tuned = len(RATE_OCTAVES) // 2
    assert np.allclose(paused.loss[3, :4], held.loss[tuned, :4], rtol=1e-5)  # pauses in the last round


def test_a_rate_that_wanders_while_nothing_trains_is_seen_and_changes_no_loss(
    runner: HindsightRunner,
) -> None:
    paused = runner.paused(0)
    moved = paused.wandering(7).seen_as(HAND_MADE)
    walk = moved.octaves - paused.octaves
    after_skip = np.concatenate([np.zeros((N_PAUSED, 1), bool), paused.spent[:, :-1] == 0], axis=1)
    assert np.array_equal(moved.loss, paused.loss)
    assert (walk[~after_skip] == 0).all()
    assert np.count_nonzero(walk[after_skip]) > after_skip.sum() / 2
    assert np.abs(walk).max() <= 6
    lr = HAND_MADE.names.index("lr")
    seen = moved.observations[..., lr] - paused.seen_as(HAND_MADE).observations[..., lr]
    inside = np.abs(moved.observations[..., lr]) < 5  # not clipped
    assert np.allclose(seen[inside], walk[inside] / 2, atol=1e-5)  # its unit is two octaves
