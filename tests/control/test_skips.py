"""The three controllers that skip: periodic, random, and after a change."""

from itertools import pairwise

import pytest

from olrl.control.inv_sqrt import InvSqrt, InvSqrtSettings
from olrl.control.registry import make_controller
from olrl.control.skip_detector import SkipDetector, SkipDetectorSettings
from olrl.monitor.signals import Signals
from tests.control.rounds import BASE


def signals(loss: float | None = 2.0, *, alarm: bool = False) -> Signals:
    return Signals(loss_nats=loss, alarms=("adwin",) if alarm else (), lr=1e-3, batch_size=8, window=8)


@pytest.mark.parametrize(
    ("name", "settings", "least", "most"),
    [
        ("skip-periodic", {"share": 0.25}, 25, 25),
        ("skip-periodic", {"share": 0.37}, 37, 38),
        ("skip-periodic", {"share": 1.0}, 100, 100),
        ("skip-random", {"share": 0.3}, 20, 40),
        ("skip-random", {"share": 1.0}, 100, 100),
        ("skip-detector", {"rounds": 8}, 8, 8),
    ],
)
def test_as_many_rounds_train_as_are_asked_for(
    name: str, settings: dict[str, float], least: int, most: int
) -> None:
    controller = make_controller(name, base=BASE, **settings)
    decisions = [controller.decide(signals()) for _ in range(100)]
    assert least <= sum(decision.update for decision in decisions) <= most
    assert {(d.lr, d.batch_size, d.window) for d in decisions} == {(BASE.lr, 8, 8)}


def test_a_higher_share_trains_in_the_same_rounds_and_in_more() -> None:
    seldom, often = (
        [make.decide(signals()).update for _ in range(200)]
        for make in (make_controller("skip-random", base=BASE, share=share) for share in (0.2, 0.6))
    )
    assert all(b for a, b in zip(seldom, often, strict=True) if a)
    assert sum(often) > sum(seldom)


def test_rounds_that_train_lie_at_equal_distances() -> None:
    controller = make_controller("skip-periodic", base=BASE, share=0.3)
    at = [t for t in range(200) if controller.decide(signals()).update]
    assert at[0] == 0
    assert {b - a for a, b in pairwise(at)} == {3, 4}


@pytest.mark.parametrize("name", ["skip-periodic", "skip-random"])
@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_that_is_none_is_refused(name: str, share: float) -> None:
    with pytest.raises(ValueError, match="share must be above 0 and at most 1"):
        make_controller(name, base=BASE, share=share)


def test_an_alarm_and_a_risen_loss_both_start_training_again() -> None:
    for trigger in (signals(alarm=True), signals(2.5)):
        controller = SkipDetector(base=BASE, settings=SkipDetectorSettings(rounds=2))
        calm = [controller.decide(signals()).update for _ in range(4)]
        assert calm == [True, True, False, False]
        after = [controller.decide(one).update for one in (trigger, signals(), signals())]
        assert after == [True, True, False]


def test_a_loss_that_stays_high_becomes_the_usual_one() -> None:
    controller = SkipDetector(base=BASE, settings=SkipDetectorSettings(rounds=1, smooth=5))
    updates = [controller.decide(signals(loss)).update for loss in [2.0] * 5 + [2.5] * 40]
    assert updates[5]
    assert not any(updates[-20:])


def test_inv_sqrt_falls_to_its_floor_and_not_below() -> None:
    controller = InvSqrt(base=BASE, settings=InvSqrtSettings(start=2, offset=3))
    rates = [controller.decide(signals()).lr / BASE.lr for _ in range(200_000)]
    assert rates[:2] == pytest.approx([2.0, 2 / (4 / 3) ** 0.5])
    assert rates[9] == pytest.approx(1.0)  # t = 3 offsets
    assert min(rates) == 1 / 64


def at_a_price(price: float, losses: list[float], **settings: float) -> list[bool]:
    controller = make_controller("skip-cost-aware", base=BASE, **settings)
    decided, spent = [], 0.0
    for loss in losses:
        given = Signals(loss_nats=loss, lr=1e-3, batch_size=8, window=8, price=price, spent=spent)
        decided.append(controller.decide(given).update)
        spent = 64.0 if decided[-1] else 0.0
    return decided


def test_cost_aware_trains_once_staleness_has_cost_what_training_costs() -> None:
    """2 % too high a round at a price of 5 %: 2, 4, 6 % summed, so in the third round."""
    stale = [2.0, 2.0] + [2.04] * 4
    assert at_a_price(0.05, stale, rounds=1) == [True, False, False, False, True, False]
    assert at_a_price(0.05, stale, rounds=1, threshold=0.5) == [True, False, False, True, False, True]
    assert not any(at_a_price(0.05, stale, rounds=1, threshold=4.0)[1:])


def test_cost_aware_trains_always_where_training_is_free_and_never_again_where_nothing_changes() -> None:
    assert all(at_a_price(0.0, [2.0] * 10))
    noise = [2.0 + 0.01 * (-1) ** k for k in range(60)]  # cancels: it costs nothing
    assert sum(at_a_price(0.05, noise, rounds=2)) == 2


def test_cost_aware_trains_for_its_rounds_in_a_row_after_a_jump() -> None:
    decided = at_a_price(0.02, [2.0] * 10 + [3.0] * 4, rounds=3, smooth=1)
    assert decided[3:10] == [False] * 7
    assert decided[10:13] == [True] * 3


@pytest.mark.parametrize("settings", [{"threshold": 0.0}, {"rounds": 0}, {"smooth": 0.5}])
def test_cost_aware_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make_controller("skip-cost-aware", base=BASE, **settings)
