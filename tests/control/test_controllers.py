import json
import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.control.controller import Controller
from olrl.control.decision import WINDOWS
from olrl.control.drift_reset import DriftReset, DriftResetSettings
from olrl.control.hypergradient import Hypergradient, HypergradientSettings
from olrl.control.registry import CONTROLLERS, Registered, make_controller
from olrl.monitor.signals import Signals
from tests.control.networks import random_policy
from tests.control.rounds import BASE, any_signals, usual

MAKERS: dict[str, Callable[[], Controller]] = {
    name: partial(make_controller, name, base=BASE) for name in CONTROLLERS
}
MAKERS["policy"] = lambda: random_policy("moves").controller(base=BASE)
MAKERS["policy, residual"] = lambda: random_policy("residual").controller(base=BASE, price=0.1)
everyone = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


@everyone
@given(rounds=st.lists(any_signals, max_size=6))
def test_decisions_stay_in_their_bounds_whatever_is_measured(
    make: Callable[[], Controller], rounds: list[Signals]
) -> None:
    controller = make()
    for signals in rounds:
        decision = controller.decide(signals)
        assert BASE.lr / 64.001 <= decision.lr <= BASE.lr * 64.001
        assert type(decision.batch_size) is int
        assert 1 <= decision.batch_size <= 64
        assert decision.window in WINDOWS
        assert decision.weight_decay == BASE.weight_decay
    json.dumps(controller.state_dict(), allow_nan=False)


@everyone
def test_same_signals_same_decisions_also_after_saving_and_loading(make: Callable[[], Controller]) -> None:
    one, other = make(), make()
    for k in range(25):
        assert one.decide(usual(k)) == other.decide(usual(k))
    loaded = make()
    loaded.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert [loaded.decide(usual(k)) for k in range(25, 60)] == [one.decide(usual(k)) for k in range(25, 60)]


def test_never_does_not_train_and_base_does() -> None:
    assert not make_controller("never", base=BASE).decide(usual(0)).update
    assert make_controller("base", base=BASE).decide(usual(0)) == BASE.decision()


def cosine(value: float | None, age: int | None = 0) -> Signals:
    return Signals(grad_cos=value, gradient_age=age, lr=1e-3, batch_size=8, window=8)


def test_hypergradient_follows_the_cosine_and_nothing_else() -> None:
    controller = Hypergradient(base=BASE, settings=HypergradientSettings(beta=2.0))
    assert controller.decide(cosine(0.5)).lr == pytest.approx(1e-3 * math.e)
    for nothing in (cosine(None), cosine(math.nan), cosine(0.5, age=1)):
        assert controller.decide(nothing).lr == pytest.approx(1e-3 * math.e)
    assert controller.decide(cosine(-0.5)).lr == pytest.approx(1e-3)


def test_hypergradient_comes_back_from_its_bound_at_once() -> None:
    controller = Hypergradient(base=BASE)
    for _ in range(50):
        top = controller.decide(cosine(1.0)).lr
    assert top == pytest.approx(64e-3)
    assert controller.decide(cosine(-1.0)).lr == pytest.approx(64e-3 / math.e)


def drift(rounds: int, alarms: set[int], settings: DriftResetSettings) -> list[tuple[float, int]]:
    controller = DriftReset(base=BASE, settings=settings)
    decisions = [
        controller.decide(Signals(alarms=("adwin",) if k in alarms else (), lr=1e-3, batch_size=8, window=8))
        for k in range(rounds)
    ]
    return [(d.lr, d.window) for d in decisions]


def test_drift_reset_raises_cuts_and_finds_back() -> None:
    settings = DriftResetSettings(lr_up=4, lr_rest=1, half_life=1, cut_window=2, grow_every=2)
    seen = drift(6, {1}, settings)
    assert [window for _, window in seen] == [8, 2, 2, 4, 4, 8]
    assert [lr / 1e-3 for lr, _ in seen[:4]] == pytest.approx([1, 4, 2, math.sqrt(2)])


def test_drift_reset_ignores_echoes_of_an_alarm() -> None:
    settings = DriftResetSettings(half_life=1, min_gap=2)
    assert drift(8, {0, 1, 2}, settings) == drift(8, {0}, settings)
    assert drift(8, {0, 3}, settings)[3] == drift(8, {0}, settings)[0]


def test_drift_reset_never_widens_the_window_by_cutting_it() -> None:
    assert {window for _, window in drift(4, {0}, DriftResetSettings(cut_window=64))} == {8}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nobody", {}, "unknown controller 'nobody'"),
        ("base", {"beta": 1}, "takes no such settings: beta=1"),
        ("hypergradient", {"beta": math.nan}, "beta must be"),
        ("drift-reset", {"lr_up": 100}, "lr_up must be"),
        ("drift-reset", {"half_life": 0}, "half_life must be"),
        ("drift-reset", {"cut_window": 3}, "cut_window must be"),
        ("drift-reset", {"grow_every": 0}, "grow_every must be"),
    ],
)
def test_mistakes_in_settings_are_said_at_once(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_controller(name, base=BASE, **settings)


@pytest.mark.parametrize("entry", CONTROLLERS.values(), ids=CONTROLLERS.keys())
def test_every_registered_controller_is_described_in_a_line(entry: Registered) -> None:
    assert CONTROLLERS[entry.name] is entry
    assert 0 < len(entry.description) < 100
    assert "\n" not in entry.description
