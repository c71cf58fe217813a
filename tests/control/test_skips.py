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
