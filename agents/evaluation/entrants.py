"""Who takes part in a comparison, by name, and with which settings."""

from collections.abc import Mapping
from typing import Any

from olrl.assembly import LoopConfig
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.control.policy import load_policy

from ..rivals.entrant import Conditions, Entrant
from ..rivals.registry import ENTRANTS
from ..rivals.tuned import TUNED, tuned_settings, tuning_examples

__all__ = [
    "ENTRANTS",
    "TUNED",
    "Entrant",
    "build_controller",
    "check_names",
    "policy_seed",
    "tuned_settings",
    "tuning_examples",
]


def check_names(names: list[str]) -> None:
    """ValueError for a name that is no entrant."""
    for name in names:
        if name not in ENTRANTS:
            raise ValueError(f"unknown controller {name!r}; choose from {', '.join(ENTRANTS)}")


def build_controller(
    name: str,
    *,
    base: Base,
    fixed: Base | None,
    policy: str,
    price: float,
    settings: Mapping[str, Any] | None = None,
) -> Controller:
    """The controller that an entrant's run begins with; `settings` replace those of its tuning record.

    ValueError for whatever keeps the entrant from running, a package that is not installed among it.
    """
    ENTRANTS[name].check()
    given = Conditions(
        base=base,
        fixed=fixed,
        policy=policy,
        rounds=1,
        config=LoopConfig(price=price),
        settings=tuned_settings(name) if settings is None else settings,
    )
    return ENTRANTS[name].controller(given)


def policy_seed(name: str, policy: str) -> int | None:
    """The seed that an entrant's policy was trained with; `None` for other entrants, and where unknown."""
    made_from = ENTRANTS[name].policy
    if made_from not in ("given", "shipped"):
        return None
    seed = load_policy("default" if made_from == "shipped" else policy).training.get("seed")
    return seed if isinstance(seed, int) else None
