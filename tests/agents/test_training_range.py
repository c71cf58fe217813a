from dataclasses import replace
from pathlib import Path

import numpy as np

from olrl.agents.training_range import RangeConfig, measure_range, record
from olrl.control.policy import load_policy
from tests.deployed import untrained_policy

TINY = RangeConfig(models=("femto",), streams=1, labels=1, rounds=16, lanes=3)


def test_what_was_seen_in_training_is_inside_of_the_range_and_survives_the_policy_file(
    tmp_path: Path,
) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy"))
    assert policy.training_range is None  # a file from before there was one
    seen = measure_range(policy, TINY)
    replace(policy, training_range=seen).save(tmp_path / "policy")
    loaded_range = load_policy(tmp_path / "policy").training_range
    assert loaded_range is not None
    assert set(loaded_range.regions) == {"lm", "classify"}
    for recording in record(policy, TINY):  # of text, and of labels
        loaded = loaded_range.of_task(recording.task)
        assert recording.inputs.shape[::2] == (16, 3)
        observations = recording.observations()[10:].reshape(-1, policy.mean.size)
        assert np.mean([loaded.trouble(x) is None for x in observations]) >= 0.9
        assert loaded.trouble(observations[0] * 100) is not None


def test_the_policy_that_plays_is_recorded_with_what_it_saw(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy"))
    one, other = record(policy, TINY), record(policy, TINY)
    assert len(one) == 2
    assert all(np.array_equal(a.inputs, b.inputs, equal_nan=True) for a, b in zip(one, other, strict=True))
    assert len(set(one[0].bases)) == 3


def test_other_streams_of_labels_are_those_with_other_numbers(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy"))
    labels = replace(TINY, models=())
    several = record(policy, replace(labels, labels=2))
    second = record(policy, replace(labels, first_labels=1))
    assert [one.task for one in several] == ["classify"] * 2
    assert np.array_equal(several[1].inputs, second[0].inputs, equal_nan=True)
    assert not np.array_equal(several[0].inputs, second[0].inputs, equal_nan=True)
