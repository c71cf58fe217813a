import json
from typing import Any

import pytest

from olrl.control.guard import Budgets, Limits


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_limits_nothing_is_ever_over() -> None:
    budgets = Budgets()
    budgets.spend(tokens=10**15, rollbacks=10**6, skips=10**6)
    assert budgets.over is None


@pytest.mark.parametrize(
    ("limits", "amounts", "over"),
    [
        (Limits(tokens=10), {"tokens": 9}, None),
        (Limits(tokens=10), {"tokens": 10}, "10 tokens"),
        (Limits(rollbacks=2), {"rollbacks": 2}, None),
        (Limits(rollbacks=2), {"rollbacks": 3}, "2 rollbacks"),
        (Limits(skips=0), {"skips": 1}, "0 skips"),
    ],
)
def test_a_limit_is_reached_where_it_says(limits: Limits, amounts: dict[str, int], over: str | None) -> None:
    budgets = Budgets(limits)
    budgets.spend(**amounts)
    assert budgets.over is None if over is None else over in str(budgets.over)


def test_seconds_before_a_saved_state_count_too() -> None:
    clock = Clock()
    budgets = Budgets(Limits(seconds=60), clock=clock)
    clock.now += 40
    state = json.loads(json.dumps(budgets.state_dict()))
    clock.now = 5000.0
    resumed = Budgets(Limits(seconds=60), clock=clock)
    resumed.load_state_dict(state)
    assert resumed.seconds == pytest.approx(40)
    assert resumed.over is None
    clock.now += 20
    assert resumed.over == "its budget of 60 seconds is spent"


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"seconds": float("nan")}, {"rollbacks": -1}])
def test_limits_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)
