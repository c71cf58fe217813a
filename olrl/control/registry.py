"""Controllers by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olrl.control.constant import Constant
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.control.drift_reset import DriftReset, DriftResetSettings
from olrl.control.hypergradient import Hypergradient, HypergradientSettings


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A controller by name: one line of description, and how it is made from a base and tuned settings."""

    name: str
    description: str
    make: Callable[..., Controller]


def _never(*, base: Base) -> Controller:
    return Constant(base=base, update=False)


def _base(*, base: Base) -> Controller:
    return Constant(base=base)


def _hypergradient(*, base: Base, **settings: Any) -> Controller:
    return Hypergradient(base=base, settings=HypergradientSettings(**settings))


def _drift_reset(*, base: Base, **settings: Any) -> Controller:
    return DriftReset(base=base, settings=DriftResetSettings(**settings))


CONTROLLERS: dict[str, Registered] = {
    entry.name: entry
    for entry in (
        Registered(name="never", description="never trains", make=_never),
        Registered(name="base", description="the base configuration, constant", make=_base),
        Registered(
            name="hypergradient",
            description="the rate follows the cosine of gradient and last move",
            make=_hypergradient,
        ),
        Registered(
            name="drift-reset",
            description="an alarm raises the rate and cuts the window, then both find back",
            make=_drift_reset,
        ),
    )
}


def make_controller(name: str, *, base: Base, **settings: Any) -> Controller:
    """A controller by name with tuned settings; ValueError for an unknown name or setting.

    >>> make_controller("hypergradient", base=Base(lr=1e-3), beta=0.5).settings
    HypergradientSettings(beta=0.5)
    >>> make_controller("hypergradient", base=Base(lr=1e-3), gamma=0.5)
    Traceback (most recent call last):
    ...
    ValueError: controller 'hypergradient' takes no such settings: gamma=0.5
    """
    if name not in CONTROLLERS:
        raise ValueError(f"unknown controller {name!r}; known: {', '.join(CONTROLLERS)}")
    try:
        return CONTROLLERS[name].make(base=base, **settings)
    except TypeError as error:
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        raise ValueError(f"controller {name!r} takes no such settings: {given}") from error
