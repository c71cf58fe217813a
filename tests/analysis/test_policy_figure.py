from pathlib import Path

import numpy as np
import pytest

from olrl.analysis.policy_figure import policy_map, save_policy_figure
from olrl.control.actions import action_coding
from olrl.control.policy import FrozenPolicy
from olrl.monitor.feature_spec import FEATURE_NAMES
from tests.deployed import untrained_policy

N = len(FEATURE_NAMES)


def by_hand() -> FrozenPolicy:
    """Raises the rate where the cosine is positive, lowers it where it is negative; skips where the loss rose."""
    coding = action_coding("moves")
    weight = np.zeros((sum(coding.nvec), N), dtype=np.float32)
    weight[2, FEATURE_NAMES.index("grad_cos")] = 40.0
    weight[0, FEATURE_NAMES.index("grad_cos")] = -40.0
    weight[9, FEATURE_NAMES.index("loss_now")] = 40.0
    bias = np.zeros(len(weight), dtype=np.float32)
    bias[10] = 8.0
    return FrozenPolicy(layers=[(weight, bias)], mean=np.zeros(N), std=np.ones(N), coding=coding)


def test_a_map_shows_what_the_policy_does() -> None:
    found = policy_map(by_hand(), size=5)
    assert found.moves["lr"][0].round(2).tolist() == [-1.0] * 5  # the most negative cosine
    assert found.moves["lr"][-1].round(2).tolist() == [1.0] * 5
    assert found.likeliest[-1].tolist() == [1.0] * 5
    assert (found.moves["update"][:, 0] > 0.9).all()
    assert (found.moves["update"][:, -1] < 0.1).all()
    assert np.abs(found.moves["window"]).max() < 1e-9  # down and up are as likely as each other


def test_a_policy_with_other_actions_and_output_is_drawn(tmp_path: Path) -> None:
    folder = untrained_policy(tmp_path / "policy")
    path = save_policy_figure(FrozenPolicy.load(folder), tmp_path / "deep" / "map.png")
    assert path.stat().st_size > 10_000


def test_of_a_policy_that_regularises_the_map_of_training_is_that_of_its_last_head() -> None:
    coding = action_coding("moves-regularised")
    weight = np.zeros((sum(coding.nvec), N), dtype=np.float32)
    bias = np.zeros(len(weight), dtype=np.float32)
    bias[-2:] = np.log([0.25, 0.75])  # skip, train
    layers = [(weight, bias)]
    policy = FrozenPolicy(layers=layers, mean=np.zeros(N), std=np.ones(N), coding=coding)
    assert policy_map(policy, size=3).moves["update"] == pytest.approx(np.full((3, 3), 0.75))


def test_a_figure_of_another_kind_is_refused_before_it_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--figure writes \.png, \.svg or \.pdf"):
        save_policy_figure(by_hand(), tmp_path / "map.gif")
