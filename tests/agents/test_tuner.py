from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.agents.evaluation.tuner import Settings, Trial, Tuner, TuningConfig, best, ladder_search
from olrl.control.decision import Base
from olrl.models.load import load_model

AXES: Mapping[str, Sequence[Any]] = {
    "lr": [2.0**k for k in range(-12, 1)],
    "batch_size": [1, 2, 4, 8, 16, 32, 64],
    "window": [1, 2, 4, 8, 16, 32, 64, 0],  # 0, the reservoir, is the longest
}


def valley(bottom: Mapping[str, int]) -> Callable[[Sequence[Settings]], list[Trial]]:
    """A separable loss, least at these places of the axes; trials are counted by whoever calls."""

    def loss(settings: Settings) -> float:
        distances = {name: ladder.index(settings[name]) - bottom[name] for name, ladder in AXES.items()}
        return sum((1 + k) * distances[name] ** 2 for k, name in enumerate(AXES))

    return lambda many: [Trial(settings=settings, loss_bpb=loss(settings), examples=1) for settings in many]


def at(places: Mapping[str, int]) -> dict[str, Any]:
    return {name: ladder[places[name]] for name, ladder in AXES.items()}


places = st.fixed_dictionaries({name: st.integers(0, len(ladder) - 1) for name, ladder in AXES.items()})


@given(start=places, bottom=places)
def test_the_search_finds_the_bottom_by_few_trials_and_none_twice(
    start: dict[str, int], bottom: dict[str, int]
) -> None:
    trials = ladder_search(valley(bottom), at(start), AXES)
    assert best(trials).settings == at(bottom)
    tried = [tuple(trial.settings.values()) for trial in trials]
    assert len(tried) == len(set(tried))
    # a walk along each axis, and the far neighbours at its start and of its end; the whole grid has 728 points
    walked = sum(abs(start[name] - bottom[name]) for name in AXES)
    assert len(tried) <= 1 + walked + 4 * len(AXES)


def test_a_start_beside_the_ladder_is_refused() -> None:
    with pytest.raises(ValueError, match="not in"):
        ladder_search(
            valley({"lr": 3, "batch_size": 1, "window": 0}), {**at(dict.fromkeys(AXES, 0)), "lr": 3e-4}, AXES
        )


def test_the_earliest_of_equal_trials_is_best() -> None:
    first, second = (Trial(settings={"lr": lr}, loss_bpb=1.0, examples=1) for lr in (1.0, 2.0))
    assert best([first, second]) is first


def test_a_trial_of_a_controller_counts_the_examples_it_has_seen(tmp_path: Any) -> None:
    fixed = load_model("pico").fixed
    assert fixed is not None
    config = TuningConfig(model="pico", streams=1, rounds=4)
    tuner = Tuner("base", config, base=Base(lr=1.0), cache=tmp_path, processes=2)
    small = {"lr": fixed.lr, "batch_size": 2, "window": 1}
    trials = tuner.trials([small, {**small, "batch_size": 64}])
    # a budget of 64 units holds 10 updates of 4 + 2, and the one of 4 + 64 that is always allowed
    assert [trial.examples for trial in trials] == [4 * 10 * 2, 4 * 1 * 64]
    assert trials[0].loss_bpb != trials[1].loss_bpb
    assert tuner.trial(small) == trials[0]
