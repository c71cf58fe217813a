from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from olrl.agents.bars import Bars
from olrl.agents.ppo import command
from olrl.agents.ppo.recipe import PROFILES
from olrl.agents.training_range import RangeConfig
from olrl.control.policy import load_policy
from olrl.control.training_range import TrainingRange
from tests.deployed import elsewhere, untrained_policy


@pytest.mark.parametrize(("profile", "labels"), [("full", 12), ("standard", 0)])
def test_a_policy_is_measured_on_the_tasks_it_was_trained_on(
    profile: str, labels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RangeConfig] = []

    def measured(policy: Any, config: RangeConfig, *, progress: Any) -> TrainingRange:
        asked.append(config)
        progress("a stream")
        return elsewhere()

    monkeypatch.setattr(command, "measure_range", measured)
    folder, recipe = untrained_policy(tmp_path / "policy"), PROFILES[profile]
    with Bars(Console(quiet=True)) as bars:
        command.add_range(folder, recipe, streams=2, report=bars)
        command.add_range(folder, recipe, streams=2, report=bars)  # it has one now
    [config] = asked
    assert (config.models, config.streams, config.labels) == (recipe.models, 2, labels)
    assert load_policy(folder).training_range is not None
