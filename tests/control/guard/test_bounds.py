import math
from dataclasses import replace

import pytest

from olrl.control.decision import Decision
from olrl.control.guard import Guard, GuardSettings
from olrl.control.guard.bounds import bounded, slowed
from olrl.control.registry import CONTROLLERS, make_controller
from tests.control.rounds import BASE, usual

LAST = Decision(lr=1e-3, batch_size=8, window=8)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lr": 1e-1}, {"lr": 4e-3}),
        ({"lr": 1e-5}, {"lr": 5e-4}),
        ({"batch_size": 64}, {"batch_size": 16}),
        ({"batch_size": 1}, {"batch_size": 4}),
        ({"window": 0}, {"window": 16}),
        ({"window": 1}, {"window": 4}),
        ({"lr": 4e-3, "batch_size": 4, "window": 16}, {"lr": 4e-3, "batch_size": 4, "window": 16}),
    ],
)
def test_no_knob_goes_farther_in_a_round_than_it_may(
    change: dict[str, float], expected: dict[str, float]
) -> None:
    settings = GuardSettings(lr_up=4.0, lr_down=2.0, batch_step=2.0, window_steps=1)
    asked: Decision = replace(LAST, **change)  # type: ignore[arg-type] # names of numbers
    assert slowed(asked, LAST, settings) == replace(LAST, **expected)  # type: ignore[arg-type]


def test_a_slowed_decision_gets_there_in_the_rounds_after_and_is_counted() -> None:
    guard, asked = Guard(base=BASE), replace(LAST, lr=64e-3)
    passed = [guard.check(asked, usual(k)) for k in range(3)]
    assert [decision.lr for decision, _ in passed] == [8e-3, 64e-3, 64e-3]
    assert passed[0][1] == "decision too far from the last one"
    assert guard.counts == {"slew": 1}


JUMPS = {"bandit"}  # from one end of its ladder to the other, which is what it is there for


@pytest.mark.parametrize("name", sorted(CONTROLLERS.keys() - JUMPS))
def test_no_rule_that_ships_is_slowed_by_the_defaults(name: str) -> None:
    controller, guard, last = make_controller(name, base=BASE), Guard(base=BASE), BASE.decision()
    for k in range(60):
        signals = usual(k, last)
        last, _ = guard.check(controller.decide(signals), signals)
    assert "slew" not in guard.counts


@pytest.mark.parametrize(
    ("asked", "allowed"), [(-1.0, 0.25), (math.nan, 0.25), (math.inf, 0.25), (1e3, 30.0), (0.3, 0.3)]
)
@pytest.mark.parametrize("name", ["weight_decay", "pull"])
def test_regularisation_is_a_number_from_0_to_30_or_else_the_bases(
    name: str, asked: float, allowed: float
) -> None:
    base = replace(BASE, **{name: 0.25})  # type: ignore[arg-type] # the name of a number
    decided: Decision = replace(base.decision(), **{name: asked})  # type: ignore[arg-type]
    assert getattr(bounded(decided, base=base), name) == allowed
    own = replace(base, **{name: 40.0})  # type: ignore[arg-type]
    assert getattr(bounded(own.decision(), base=own), name) == 40.0  # the user's own is not cut
