import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.envs.reward import Reward, running_mean, worst_spent_fraction
from olrl.learners.cost import CostModel

losses = st.floats(0, 1e6)
prices = st.floats(0, 1)


@given(
    loss=losses,
    reference=losses,
    running=st.floats(1e-3, 1e6),
    price=prices,
    update_cost=st.floats(0, 100),
    batch_size=st.sampled_from([1, 8, 64]),
    rounds_left=st.integers(1, 300),
)
def test_failing_costs_more_than_the_worst_of_all_remaining_rounds(
    loss: float,
    reference: float,
    running: float,
    price: float,
    update_cost: float,
    batch_size: int,
    rounds_left: int,
) -> None:
    reward, cost = Reward(), CostModel(update_cost=update_cost)
    going_on = reward.of(
        loss=loss,
        reference=reference,
        running=running,
        price=price,
        spent_fraction=cost.spent(batch_size) / cost.budget,
    )
    failing = reward.of_failure(
        rounds_left=rounds_left, price=price, worst_spent_fraction=worst_spent_fraction(cost)
    )
    assert failing < rounds_left * going_on


def test_a_lower_loss_earns_more_and_a_higher_spend_less() -> None:
    def of(loss: float, spent: float) -> float:
        reward = Reward().of(loss=loss, reference=2.0, running=2.0, price=0.1, spent_fraction=spent)
        return float(reward)

    assert of(1.9, 0.5) > of(2.0, 0.5) > of(2.0, 1.0)
    assert of(2.0, 0.0) == 0.0


@pytest.mark.parametrize("loss", [math.nan, math.inf, 101.0])
def test_a_lost_learner_has_failed(loss: float) -> None:
    assert Reward().failed(loss=loss, running=2.0)
    assert not Reward().failed(loss=99.0, running=2.0)


def test_the_running_mean_is_plain_at_first_and_forgets_later() -> None:
    mean = np.zeros(1)
    for k, value in enumerate([1.0, 2.0, 6.0], start=1):
        mean = running_mean(mean, value, k)
    assert mean == pytest.approx(3.0)
    assert running_mean(3.0, 33.0, 1_000) == pytest.approx(4.0)


@pytest.mark.parametrize("settings", [{"scale": 0.0}, {"clip": -1.0}, {"failure_ratio": 1.0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Reward(**settings)
