import numpy as np
import pytest

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.runs import (
    BATCHES,
    N_CONSTANT,
    N_PAUSED,
    RATE_OCTAVES,
    START_OCTAVES,
    WINDOW_POSITIONS,
    StreamRuns,
)
from olrl.agents.hindsight.targets import choice_costs
from tests.agents.hindsight.made_runs import made_runs


def config(**change: float) -> HindsightConfig:
    """Without charges for moving."""
    return HindsightConfig(**{"switch_rate": 0.0, "switch_others": 0.0, "first_up": 0.0, **change})  # type: ignore[arg-type]


TUNED = len(RATE_OCTAVES) // 2


def runs(
    by_rate: list[float],
    *,
    octaves: float = 0.0,
    by_batch: tuple[float, ...] = (2.0,) * len(BATCHES),
    by_start: tuple[float, ...] = (2.0,) * len(START_OCTAVES),
) -> StreamRuns:
    """Three decisions of one learner beside constant runs whose losses never change; the tuned one's is 2."""
    constant = [*by_rate, *by_batch, *[2.0] * len(WINDOW_POSITIONS), 2.0, *by_start]
    levels = [*constant, *[2.0] * N_PAUSED, 5.0]
    n = N_CONSTANT + N_PAUSED + 1
    assert len(levels) == n
    return made_runs(np.repeat(np.array(levels)[:, None], 4, axis=1), octaves=octaves, log_batch=1.0)


def of_last(tables: list[np.ndarray], head: int) -> list[float]:
    return [round(float(cost), 6) for cost in tables[head][-1, -1]]


FLAT = [2.0] * len(RATE_OCTAVES)


def test_costs_are_per_cent_of_the_tuned_loss_above_the_best_choice() -> None:
    by_rate = [*FLAT]
    by_rate[TUNED + 1] = 1.9  # one octave up is 5 % better, beyond it there is nothing to gain
    tables = choice_costs(runs(by_rate), coding="moves", config=config(commitment=0.2))
    assert of_last(tables, 0) == [5.0, 5.0, 0.0]  # down, stay, up
    assert [table.shape for table in tables] == [(N_CONSTANT + N_PAUSED + 1, 3, k) for k in (3, 3, 3, 2)]


def test_the_first_step_of_a_long_way_is_worth_it_though_it_gains_nothing_itself() -> None:
    by_rate = [*FLAT]
    by_rate[TUNED + 3] = 1.9
    tables = choice_costs(runs(by_rate), coding="leaps", config=config(commitment=0.2))
    # A step up costs 0.2 x 100 + 0.8 x 95 = 96 %, as do two at once; staying or going down 100 %.
    assert of_last(tables, 0) == [4.0, 4.0, 4.0, 0.0, 0.0]


def test_a_rate_between_two_that_were_run_costs_what_lies_between() -> None:
    by_rate = [*FLAT]
    by_rate[TUNED] = 2.0
    by_rate[TUNED + 1] = 2.4
    tables = choice_costs(runs(by_rate, octaves=0.5), coding="moves", config=config(commitment=1.0))
    # At half an octave 110 %; half an octave down 100 %, half an octave above 120 % and 100 %: 110 %.
    assert of_last(tables, 0) == [0.0, 10.0, 10.0]


def test_a_batch_size_that_was_not_run_costs_what_lies_between() -> None:
    by_batch = (2.4, 2.4)  # sizes 1 and 32; the tuned one, 2, costs 2.0
    tables = choice_costs(runs(FLAT, by_batch=by_batch), coding="moves", config=config(commitment=1.0))
    assert of_last(tables, 1) == [20.0, 0.0, 5.0]  # from 2 to 1, 2 and 4, a quarter of the way to 32


def test_the_horizon_ends_with_the_stream() -> None:
    made = runs(FLAT)
    made.loss[TUNED + 1] = [9.0, 9.0, 1.0, 3.0]
    tables = choice_costs(made, coding="moves", config=config(horizon=50, commitment=1.0))
    assert of_last([table[:, :2] for table in tables], 0) == [0.0, 0.0, 0.0]  # rounds 2 and 3: as good as 2
    assert of_last(tables, 0) == [0.0, 0.0, 50.0]  # round 3 alone


def test_a_coding_without_moves_is_refused() -> None:
    with pytest.raises(ValueError, match="coding must be one of moves, leaps"):
        choice_costs(runs(FLAT), coding="anchored", config=config())


def test_moving_is_charged_and_staying_is_not() -> None:
    tables = choice_costs(runs(FLAT), coding="leaps", config=config(switch_rate=1.0, switch_others=3.0))
    assert of_last(tables, 0) == [1.0, 1.0, 0.0, 1.0, 1.0]
    assert of_last(tables, 1) == of_last(tables, 2) == [3.0, 0.0, 3.0]


def test_a_start_that_is_far_too_high_is_worse_than_a_low_one_and_so_is_a_round_later_on() -> None:
    made = runs(FLAT, octaves=2.0, by_start=(1.8, 2.0, 2.0, 2.2, 2.6, 3.0, 3.0))  # at -3, -1, 1, 2, 3, 4, 6
    tables = choice_costs(made, coding="leaps", config=config(commitment=1.0, switch_rate=1.0))
    assert [round(float(cost), 6) for cost in tables[0][-1, 0]] == [
        0.0,
        0.0,
        10.0,
        30.0,
        50.0,
    ]  # not for moving
    assert of_last(tables, 0) == [0.0, 0.0, 9.0, 30.0, 50.0]  # staying at 2 costs 10, moving 1


def test_the_rate_goes_up_in_the_first_round_only_where_that_gains_more_than_it_is_charged() -> None:
    made = runs(FLAT, by_start=(2.0, 2.0, 1.9, 1.7, 1.7, 1.7, 1.7))  # a notch up gains 5 %, two 15 %
    tables = choice_costs(made, coding="leaps", config=config(first_up=10.0))
    assert [round(float(cost), 6) for cost in tables[0][-1, 0]] == [5.0, 5.0, 5.0, 10.0, 0.0]
    assert of_last(tables, 0) == [0.0] * 5
