from dataclasses import replace

import numpy as np
import pytest

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.runs import N_CONSTANT, N_PAUSED, PAUSES, StreamRuns
from olrl.agents.hindsight.targets import TUNED, choice_costs
from olrl.agents.hindsight.updates import worth_of_training
from tests.agents.hindsight.made_runs import made_runs

NEVER, ROUNDS = N_CONSTANT - 8, 40
FIRST_LATE = N_CONSTANT + PAUSES


def runs(price: float = 0.0) -> StreamRuns:
    """A pause in rounds 10 to 14 costs 0.1 of a loss of 2 in each of the five rounds after; 30 to 34 cost nothing.

    The learner that never trains loses 2.5; training from round 10 on brings it to 2.1 at once, from round 30 on to
    nothing better. Behind them one learner that trains always.
    """
    n = N_CONSTANT + N_PAUSED + 1
    loss, spent = np.full((n, ROUNDS + 1), 2.0), np.full((n, ROUNDS), 0.5)
    loss[NEVER], spent[NEVER] = 2.5, 0.0
    for k in range(PAUSES):
        stretch = slice(10, 15) if k == 0 else slice(30, 35)
        spent[N_CONSTANT + k, stretch] = 0.0
        spent[FIRST_LATE + k, : stretch.start] = 0.0
        loss[FIRST_LATE + k] = 2.5
    loss[N_CONSTANT, 11:16] = 2.1
    loss[FIRST_LATE, 11:] = 2.1
    return made_runs(loss, spent=spent, price=price)


def worth(made: StreamRuns) -> np.ndarray:
    running = np.full(ROUNDS + 1, 2.0)
    return worth_of_training(made, running, tuned=TUNED, never=NEVER, horizon=25)


def test_a_pause_tells_what_training_is_worth_to_one_that_always_trains() -> None:
    always = worth(runs())[-1]
    assert always[10:15] == pytest.approx(5.0)  # five rounds of 5 %, for five rounds not trained
    assert always[30:35] == pytest.approx(0.0)
    assert np.isnan(always[[*range(10), *range(15, 30), *range(35, 40)]]).all()


def test_beginning_late_tells_what_training_is_worth_to_one_that_never_does() -> None:
    never = worth(runs())[NEVER]
    assert never[30:35] == pytest.approx(0.0)
    assert never[10:15] == pytest.approx(20.0)  # from 2.5 to 2.1, in each of the rounds after


def test_text_that_the_model_was_pretrained_on_tells_nothing_of_training() -> None:
    familiar = np.zeros((len(runs().loss), ROUNDS), dtype=bool)
    familiar[:, :12] = True
    always = worth(replace(runs(), familiar=familiar))[-1]
    assert np.isnan(always[10:12]).all()
    assert always[12:15] == pytest.approx(5.0)


def test_between_the_two_the_share_of_rounds_trained_in_decides() -> None:
    made = runs()
    spent = made.spent.copy()
    spent[-1, :10] = [0.5, 0.0] * 5
    assert worth(replace(made, spent=spent))[-1, 10] == pytest.approx((5.0 + 20.0) / 2)


def test_skipping_is_right_where_training_is_worth_less_than_its_price() -> None:
    free = HindsightConfig(skip=1.0)
    update = choice_costs(runs(price=0.2), coding="moves", config=free)[3][-1]
    # A price of 0.2 on a whole budget, of which a round spends half, is 10 %.
    assert update[12] == pytest.approx([0.0, 10.0 - 6.0])
    assert update[32] == pytest.approx([0.0, 9.0])
    assert np.isnan(update[20]).all()
