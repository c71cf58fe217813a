from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.label_streams import CLASSES, WRONG, label_grounds, label_stream
from olrl.agents.hindsight.runs import N_CONSTANT, N_PAUSED, RATE_OCTAVES, HindsightRunner
from olrl.agents.hindsight.stage import RunTask, frozen_settings, kept_runs, make_runs
from olrl.agents.hindsight.targets import TUNED, choice_costs
from olrl.agents.workers.here import Here
from olrl.control.actions import action_coding
from olrl.control.policy import load_policy
from olrl.envs.online_lm import EpisodeRanges
from olrl.models.classify import FROZEN_BASE
from olrl.streams.corpus import load_corpus
from tests.deployed import untrained_policy

ROUNDS = 6
ANCHOR = 2.0
CONFIG = HindsightConfig(grounds="labels", rounds=ROUNDS, policy_lanes=2, explore=0.0, anchor=ANCHOR)


def test_streams_are_of_the_training_split_and_differ() -> None:
    corpus = load_corpus()
    known = set(corpus.domains("train"))
    streams = [label_stream(number, ROUNDS) for number in range(12)]
    for one in streams:
        assert set(one.task.classes) <= known
        assert CLASSES[0] <= len(one.task.classes) <= CLASSES[1]
    assert len({one.task.classes for one in streams}) > 6
    assert {one.model for one in streams} == {"pico", "nano"}
    for document in islice(label_stream(0, ROUNDS).documents, 30):
        texts = [one.text for one in corpus.documents(document.source, "train")]
        assert not document.text or any(document.text in text for text in texts)


def test_some_labels_are_wrong_and_on_some_streams_they_come_late() -> None:
    wrong, late = [], []
    for number in range(20):
        told = [one for one in islice(label_stream(number, ROUNDS).documents, 200) if one.label is not None]
        wrong.append(np.mean([one.label != one.source for one in told]))
        late.append(any(one.is_late_label for one in told))
    assert min(wrong) == 0.0
    assert 0.1 < max(wrong) <= max(WRONG) + 0.1
    assert 0 < sum(late) < 20


def test_learners_of_labels_run_side_by_side_and_what_they_do_decides_their_loss() -> None:
    grounds = label_grounds(ROUNDS)
    assert len(grounds(1).chunks) == ROUNDS + 1
    assert grounds(1).fixed == FROZEN_BASE
    runner = HindsightRunner(grounds, config=CONFIG, ranges=EpisodeRanges())
    held = runner.held(1)
    assert held.loss.shape == (N_CONSTANT, ROUNDS + 1)
    assert np.isfinite(held.loss).all()
    assert np.allclose(held.loss[: len(RATE_OCTAVES), 0], held.loss[TUNED, 0])  # before any training
    assert np.ptp(held.loss[: len(RATE_OCTAVES), -1]) > 0.01
    again = HindsightRunner(label_grounds(ROUNDS), config=CONFIG, ranges=EpisodeRanges()).held(1)
    assert np.array_equal(held.loss, again.loss)


def test_an_anchor_makes_the_tuned_rate_the_cheapest_wherever_a_learner_stands() -> None:
    runner = HindsightRunner(label_grounds(ROUNDS), config=CONFIG, ranges=EpisodeRanges())
    coding = action_coding("leaps")
    runs = (
        runner.held(2)
        + runner.paused(2)
        + runner.steered(2, lambda seen: np.tile([4, 1, 1, 1], (len(seen), 1)), coding, seed=0)
    )
    assert len(runs.loss) == N_CONSTANT + N_PAUSED + 2
    rate = choice_costs(runs, coding="leaps", config=CONFIG)[0]
    best = rate.argmin(axis=-1) - 2
    for octaves, move in ((-4.0, 2), (-1.0, 1), (0.0, 0), (1.0, -1), (3.0, -2)):
        found = best[np.isclose(runs.octaves, octaves)]
        assert len(found)
        assert (found == move).all()
    at_home = rate[np.isclose(runs.octaves, 0.0)]
    assert at_home[:, 3] == pytest.approx(ANCHOR + CONFIG.switch_rate)  # an octave up, from the tuned rate


def test_a_stage_makes_runs_on_labels_and_keeps_the_constant_ones(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy"))
    env = frozen_settings({"ranges": {"base_right": 0.4}, "stream_seed": 9})
    task = RunTask(number=3, env=env, config=CONFIG, policy=policy, seed=1, path=tmp_path / "00003.npz")
    [first] = make_runs([task], lambda done: None, workers=Here())
    assert first.loss.shape == (N_CONSTANT + N_PAUSED + CONFIG.policy_lanes, ROUNDS + 1)
    kept = kept_runs(env, CONFIG)
    assert kept.name.startswith("labels-")
    assert {path.name for path in kept.iterdir()} == {"00003.npz", "00003-paused.npz"}
    (tmp_path / "00003.npz").unlink()
    [again] = make_runs([task], lambda done: None, workers=Here())
    for name, array in vars(first).items():
        assert np.array_equal(array, getattr(again, name), equal_nan=True), name
    text = replace(CONFIG, grounds="text")
    assert kept_runs(frozen_settings({"model": "pico", "stream_seed": 9}), text) != kept
