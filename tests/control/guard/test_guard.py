import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.control.decision import WINDOWS, Decision
from olrl.control.guard import Guard, GuardSettings
from olrl.control.training_range import TrainingRange
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.monitor.signals import Signals
from tests.control.rounds import BASE, Seeing, any_signals

SEEN = TrainingRange.of({"lm": np.random.default_rng(0).normal(size=(3000, len(FEATURE_NAMES)))})
GIVEN = Decision(lr=4e-3, batch_size=2, window=1)


def signals(loss: float | None = 2.0, nonfinite: int = 0) -> Signals:
    return Signals(loss_nats=loss, nonfinite=nonfinite, lr=1e-3, batch_size=8, window=8)


def healthy(rounds: int, **settings: Any) -> Guard:
    guard = Guard(base=BASE, settings=GuardSettings(**settings))
    for _ in range(rounds):
        assert guard.check(GIVEN, signals()) == (GIVEN, None)
    return guard


decisions = st.builds(
    Decision,
    lr=st.floats(),
    batch_size=st.integers(-5, 10**6) | st.floats(),
    window=st.integers(-3, 70),
    update=st.booleans(),
    weight_decay=st.floats(),
)


@given(st.lists(st.tuples(decisions, any_signals), max_size=8))
def test_what_passes_is_finite_and_in_bounds_whatever_comes(rounds: list[tuple[Decision, Signals]]) -> None:
    guard, seeing = Guard(base=BASE, training_range=SEEN), Seeing(np.zeros(len(FEATURE_NAMES)))
    changed = 0
    for decision, given_ in rounds:
        passed, reason = guard.check(decision, given_, of=seeing)
        assert BASE.lr / 64 <= passed.lr <= BASE.lr * 64
        assert type(passed.batch_size) is int
        assert 1 <= passed.batch_size <= 64
        assert passed.window in WINDOWS
        assert math.isfinite(passed.weight_decay)
        assert reason is not None or passed == decision
        changed += reason is not None
    assert sum(guard.counts.values()) == changed
    json.dumps(guard.state_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("trouble", "key"),
    [
        (signals(None), "loss_missing"),
        (signals(math.nan), "loss_nonfinite"),
        (signals(math.inf), "loss_nonfinite"),
        (signals(None, nonfinite=1), "loss_nonfinite"),
        (signals(2.0, nonfinite=1), "nonfinite"),
    ],
)
def test_trouble_falls_back_for_a_few_rounds_and_is_counted(trouble: Signals, key: str) -> None:
    guard = healthy(10, hold=2)
    fallback, reason = guard.check(GIVEN, trouble)
    assert reason is not None
    # The rate is the least of the base's, the usual 4e-3 and 2e-3; a loss that is not finite trains nothing.
    assert fallback == replace(BASE.decision(), lr=BASE.lr, update=key != "loss_nonfinite")
    after = signals(2.0, nonfinite=trouble.nonfinite)
    held = [guard.check(GIVEN, after) for _ in range(3)]
    assert [decision == BASE.decision() for decision, _ in held] == [True, True, False]
    assert held[2] == (GIVEN, None)
    assert guard.counts == {key: 1, "holding": 2}


def test_the_fallback_does_not_trust_a_base_that_is_the_fault() -> None:
    low = Decision(lr=1e-4, batch_size=8, window=8)
    guard = Guard(base=BASE)
    for _ in range(10):
        guard.check(low, signals())
    fallback, _ = guard.check(low, signals(None))
    assert fallback.lr == pytest.approx(5e-5)  # half the rate before the trouble


def test_the_usual_rate_of_healthy_rounds_caps_the_fallback() -> None:
    guard = Guard(base=BASE)
    for _ in range(20):
        guard.check(Decision(lr=2e-4, batch_size=8, window=8), signals())
    guard.check(Decision(lr=0.03, batch_size=8, window=8), signals())
    assert guard.check(GIVEN, signals(None))[0].lr == pytest.approx(2e-4)


def test_a_new_level_of_the_loss_is_drift_and_not_trouble_for_ever() -> None:
    guard = healthy(20, new_level=3)
    reasons = [guard.check(GIVEN, signals(30.0))[1] for _ in range(8)]
    assert [reason is not None for reason in reasons] == [True, True] + [False] * 6
    assert guard.counts == {"loss_high": 2}


def test_a_switch_into_an_unknown_language_is_trained_on() -> None:
    guard = healthy(20)
    usual = guard.check(GIVEN, signals())
    assert [guard.check(GIVEN, signals(5.4 * 2.0)) for _ in range(4)] == [usual] * 4


def test_a_single_high_loss_is_not_held_against_the_rounds_after_it() -> None:
    guard = healthy(20)
    outlier, _ = guard.check(GIVEN, signals(200.0))
    assert (outlier.lr, outlier.update) == (BASE.lr, False)  # its gradients would stay in the moments
    assert guard.check(GIVEN, signals()) == (GIVEN, None)


def test_weights_broken_by_a_leap_are_put_back_though_the_loss_is_usual() -> None:
    guard, good = healthy(20), LastGood(1.7)
    leap = replace(GIVEN, lr=16 * GIVEN.lr)
    assert guard.check(leap, signals(), last_good=good)[1] == "decision too far from the last one"
    _, reason = guard.check(GIVEN, signals(2.0), last_good=good)
    assert reason == "loss 2 after a leap of the rate: weights rolled back"
    assert (good.restored, guard.rollbacks, guard.layer) == (1, 1, "rollback")


def test_the_last_good_weights_are_asked_only_for_some_rounds_after_a_leap() -> None:
    guard, good = healthy(20, hold=3), LastGood(1.9)  # hardly better
    guard.check(replace(GIVEN, lr=16 * GIVEN.lr), signals(), last_good=good)
    for _ in range(6):
        assert guard.check(GIVEN, signals(2.0), last_good=good) == (GIVEN, None)
    assert (good.asked, good.restored) == (3, 0)


@pytest.mark.parametrize("loss", [2.8, 5.0])
def test_drift_that_more_than_doubles_the_loss_is_left_to_the_controller(loss: float) -> None:
    guard, good = healthy(20), LastGood(loss)
    assert [guard.check(GIVEN, signals(loss), last_good=good) for _ in range(6)] == [(GIVEN, None)] * 6
    assert good.asked <= 2  # then it is the new level


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (replace(GIVEN, lr=1.0), replace(GIVEN, lr=8e-3)),  # bounded to 64e-3, and slowed
        (replace(GIVEN, batch_size=100), replace(GIVEN, batch_size=64)),
        (replace(GIVEN, window=5), replace(GIVEN, window=BASE.window)),
        (replace(GIVEN, weight_decay=math.nan), GIVEN),
    ],
)
def test_a_decision_out_of_bounds_is_bounded_and_counted(given_: Decision, expected: Decision) -> None:
    guard = Guard(base=BASE)
    assert guard.check(given_, signals()) == (expected, "decision out of bounds")
    assert guard.counts == {"bounds": 1}


def test_numbers_of_numpy_pass_as_plain_ones() -> None:
    numbers: dict[str, Any] = {
        "lr": np.float32(0.001953125),
        "batch_size": np.int64(4),
        "window": np.int64(2),
    }
    passed, reason = Guard(base=BASE).check(Decision(**numbers), signals())
    assert reason is None
    assert (type(passed.lr), type(passed.batch_size), type(passed.window)) == (float, int, int)


def test_never_training_stays_so_under_the_fallback() -> None:
    assert not Guard(base=BASE).check(replace(GIVEN, update=False), signals(None))[0].update


def test_saved_state_continues_the_same() -> None:
    guard = healthy(5)
    guard.check(GIVEN, signals(30.0))
    loaded = Guard(base=BASE)
    loaded.load_state_dict(json.loads(json.dumps(guard.state_dict())))
    for loss in (2.0, None, 9.0, 9.0, 9.0, 2.0):
        assert loaded.check(GIVEN, signals(loss)) == guard.check(GIVEN, signals(loss))
    assert loaded.counts == guard.counts


class LastGood:
    """Weights whose loss on any chunk is `loss`."""

    def __init__(self, loss: float | None) -> None:
        self.loss, self.restored, self.asked = loss, 0, 0

    def loss_nats(self) -> float | None:
        self.asked += 1
        return self.loss

    def restore(self) -> None:
        self.restored += 1


@pytest.mark.parametrize("trouble", [signals(None, nonfinite=1), signals(9.0)])
def test_weights_are_put_back_where_the_last_good_ones_do_better_on_the_same_chunk(trouble: Signals) -> None:
    guard, good = healthy(20), LastGood(2.1)
    decision, reason = guard.check(GIVEN, trouble, last_good=good)
    assert (good.restored, guard.rollbacks, guard.layer, guard.healthy) == (1, 1, "rollback", False)
    assert reason is not None
    assert "weights rolled back" in reason
    assert decision == BASE.decision()
    assert decision.update  # the weights are good again


@pytest.mark.parametrize(("trouble", "loss"), [(signals(None, nonfinite=1), None), (signals(9.0), 8.9)])
def test_a_bad_chunk_does_not_roll_back_good_weights(trouble: Signals, loss: float | None) -> None:
    guard, good = healthy(20), LastGood(loss)
    guard.check(GIVEN, trouble, last_good=good)
    assert (good.restored, guard.rollbacks) == (0, 0)


def test_a_usual_round_costs_no_second_scoring() -> None:
    guard, good = healthy(20), LastGood(2.0)
    guard.check(GIVEN, signals(), last_good=good)
    assert good.asked == 0


def test_after_a_rollback_the_controller_cannot_go_straight_back_to_the_rate_that_broke_it() -> None:
    guard, good = Guard(base=BASE), LastGood(2.0)
    fast = replace(GIVEN, lr=8e-3)
    for _ in range(10):
        guard.check(fast, signals())
    rates = [guard.check(fast, signals(None, nonfinite=1), last_good=good)[0].lr]
    rates += [guard.check(fast, signals(2.0, nonfinite=1), last_good=good)[0].lr for _ in range(40)]
    assert max(rates[:19]) <= 4e-3  # half of it, for 20 healthy rounds
    assert max(rates) == 8e-3


def test_ten_bad_batches_in_a_row_do_not_halve_the_rate_ten_times() -> None:
    guard = healthy(20)
    rates = [guard.check(GIVEN, signals(None, nonfinite=k))[0].lr for k in range(1, 11)]
    assert rates == [BASE.lr] * 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr_up": 1.0},
        {"snapshots": -1},
        {"weights_ratio": 1.0},
        {"loss_ratio": 1.0},
        {"loss_ratio": math.nan},
        {"new_level": 1},
        {"hold": 0},
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GuardSettings(**wrong)
