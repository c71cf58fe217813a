import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from olrl.agents.evaluation.tuner import Trial, Tuner, TuningConfig, best, record, tune

CONFIG = TuningConfig(model="femto", streams=1, rounds=4)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olrl.agents.workers.local.worker_pool", ThreadPoolExecutor)


def tuner(name: str, cache: Path, config: TuningConfig = CONFIG) -> Tuner:
    return Tuner(name, config, cache=cache, processes=1)


def test_the_earliest_of_equal_trials_is_best() -> None:
    first, second = (Trial(settings={"lr": lr}, loss_bpb=1.0, examples=1, spent=5.0) for lr in (1.0, 2.0))
    assert best([first, second]) is first


def test_a_trial_counts_the_examples_it_has_seen(tmp_path: Path) -> None:
    fixed = tuner("fixed", tmp_path)
    small = {"lr": 1e-3, "batch_size": 2, "window": 1}
    # a budget of 64 units holds 10 updates of 4 + 2, and the one of 4 + 64 that is always allowed
    assert fixed.trial(small).examples == 4 * 10 * 2
    # four probes in every round but the first
    assert fixed.trial(small).spent == 4 * 10 * (4 + 2) + 3 * 4
    assert fixed.trial({**small, "batch_size": 64}).examples == 4 * 1 * 64


def test_shadow_learners_count_as_examples_of_tuning(tmp_path: Path) -> None:
    one_base = replace(CONFIG, base_lr_mult=(1.0,))
    plain = tuner("base", tmp_path, one_base).trial({})
    assert tuner("lookahead", tmp_path, one_base).trial({"every": 2}).examples > 2 * plain.examples


def test_who_uses_the_base_is_tuned_from_every_base(tmp_path: Path) -> None:
    assert [job.base_lr_mult for job in tuner("plateau", tmp_path)._jobs({})] == [0.125, 1.0, 8.0]
    assert [job.base_lr_mult for job in tuner("fixed", tmp_path)._jobs({})] == [1.0]


def test_a_tuning_that_was_stopped_goes_on_and_is_recorded_whole(tmp_path: Path) -> None:
    config = replace(CONFIG, base_lr_mult=(1.0,), rounds=3)
    short = tune(tuner("inv-sqrt", tmp_path, config), trials=2)
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    heard: list[Trial] = []
    long = tune(tuner("inv-sqrt", tmp_path, config), trials=4, told=heard.append)
    assert long[:2] == short
    assert heard == long
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in made} == made  # nothing made twice
    record(long, config, path=tmp_path / "record.txt")
    written = json.loads((tmp_path / "record.txt").read_text())
    assert len(written["trials"]) == 4
    assert written["loss_bpb"] == min(trial["loss_bpb"] for trial in written["trials"])
    assert written["tuning_examples"] == sum(trial.examples for trial in long)
    assert written["tuning_spent"] == sum(trial.spent for trial in long) > written["tuning_examples"]
    assert written["tuned_on"]["model"] == "femto"


@pytest.mark.parametrize(("name", "told"), [("base", "nothing to tune"), ("policy", "nothing to tune")])
def test_what_has_no_settings_is_not_tuned(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told):
        tune(tuner(name, tmp_path), trials=2)
