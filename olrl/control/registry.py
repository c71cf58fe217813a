"""Controllers by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olrl.control.bandit import Bandit, BanditSettings
from olrl.control.constant import Constant
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.control.drift_reset import DriftReset, DriftResetSettings
from olrl.control.gns_batch import GNSBatch, GNSBatchSettings
from olrl.control.greedy_lr import GreedyLR, GreedyLRSettings
from olrl.control.hypergradient import Hypergradient, HypergradientSettings
from olrl.control.inv_sqrt import InvSqrt, InvSqrtSettings
from olrl.control.plateau import Plateau, PlateauSettings
from olrl.control.skip_cost_aware import SkipCostAware, SkipCostAwareSettings
from olrl.control.skip_detector import SkipDetector, SkipDetectorSettings
from olrl.control.skip_periodic import SkipPeriodic, SkipPeriodicSettings
from olrl.control.skip_random import SkipRandom, SkipRandomSettings


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


def _rule(kind: Callable[..., Controller], settings_of: Callable[..., Any]) -> Callable[..., Controller]:
    """How a controller with a settings class of its own is made."""

    def make(*, base: Base, **settings: Any) -> Controller:
        return kind(base=base, settings=settings_of(**settings))

    return make


CONTROLLERS: dict[str, Registered] = {
    entry.name: entry
    for entry in (
        Registered(name="never", description="never trains", make=_never),
        Registered(name="base", description="the base configuration, constant", make=_base),
        Registered(
            name="hypergradient",
            description="the rate follows the cosine of gradient and last move",
            make=_rule(Hypergradient, HypergradientSettings),
        ),
        Registered(
            name="drift-reset",
            description="an alarm raises the rate and cuts the window, then both find back",
            make=_rule(DriftReset, DriftResetSettings),
        ),
        Registered(
            name="inv-sqrt",
            description="the rate falls with the square root of time",
            make=_rule(InvSqrt, InvSqrtSettings),
        ),
        Registered(
            name="plateau",
            description="the rate falls when the loss no longer does, as torch's ReduceLROnPlateau",
            make=_rule(Plateau, PlateauSettings),
        ),
        Registered(
            name="greedy-lr",
            description="the rate rises while the loss improves and falls else, as transformers' GreedyLR",
            make=_rule(GreedyLR, GreedyLRSettings),
        ),
        Registered(
            name="gns-batch",
            description="the batch size follows the gradient noise scale",
            make=_rule(GNSBatch, GNSBatchSettings),
        ),
        Registered(
            name="bandit",
            description="Exp3.S over a ladder of constant decisions",
            make=_rule(Bandit, BanditSettings),
        ),
        Registered(
            name="skip-periodic",
            description="the base, trained in rounds at equal distances",
            make=_rule(SkipPeriodic, SkipPeriodicSettings),
        ),
        Registered(
            name="skip-random",
            description="the base, trained in rounds drawn at random",
            make=_rule(SkipRandom, SkipRandomSettings),
        ),
        Registered(
            name="skip-detector",
            description="the base, trained for some rounds after an alarm or a rise of the loss",
            make=_rule(SkipDetector, SkipDetectorSettings),
        ),
        Registered(
            name="skip-cost-aware",
            description="the base, trained when the cost of staleness since the last time passes that of training",
            make=_rule(SkipCostAware, SkipCostAwareSettings),
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
