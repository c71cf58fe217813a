import json
import math

import pytest

from olrl.control.guard.careful_rate import CarefulRate


def test_repeated_rollbacks_divide_deeper_and_deeper() -> None:
    rate, ceilings = CarefulRate(1e30), []
    for _ in range(4):
        rate.rolled_back(min(1.0, rate.ceiling))
        ceilings.append(rate.ceiling)
    assert ceilings == [1 / 2, 1 / 8, 1 / 128, 1 / 32768]


def test_twenty_healthy_rounds_double_the_ceiling_until_it_is_none() -> None:
    rate = CarefulRate(1e-3)
    rate.rolled_back(0.064)
    for _ in range(20):
        assert rate.ceiling == pytest.approx(0.032)
        rate.healthy(0.05)
    assert rate.ceiling == pytest.approx(0.064)
    for _ in range(20):
        rate.healthy(0.05)
    assert rate.ceiling == math.inf
    rate.rolled_back(0.064)
    assert rate.ceiling == pytest.approx(0.032)  # the earlier rollback is forgotten


def test_after_a_rate_far_too_high_the_ceiling_is_twice_what_was_usual_not_half_of_it() -> None:
    rate = CarefulRate(1e-3)
    for lr in (*[1e-3] * 15, 64e-3, 64e-3):
        rate.healthy(lr)
    rate.rolled_back(64e-3)
    assert rate.ceiling == pytest.approx(2e-3)


def test_a_saved_ceiling_continues_also_where_there_is_none() -> None:
    for rolled in (False, True):
        rate, other = CarefulRate(1e-3), CarefulRate(1e-3)
        rate.healthy(2e-4)
        if rolled:
            rate.rolled_back(1e-4)
        other.load_state_dict(json.loads(json.dumps(rate.state_dict(), allow_nan=False)))
        assert (other.ceiling, other.fallback) == (rate.ceiling, rate.fallback)
