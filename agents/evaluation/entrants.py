"""Who takes part in a comparison, by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.control.policy import load_policy
from olrl.control.registry import make_controller

TUNED = Path(__file__).parent.parent / "tuned"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """Name and description; `uses_base` is false for those that behave the same whatever the base."""

    name: str
    description: str
    uses_base: bool = True


ENTRANTS: dict[str, Entrant] = {
    entrant.name: entrant
    for entrant in (
        Entrant(name="never", description="never updates", uses_base=False),
        Entrant(name="base", description="the base configuration, constant"),
        Entrant(name="fixed", description="the constant tuned on training streams", uses_base=False),
        Entrant(name="hypergradient", description="rate follows the cosine of gradient and move"),
        Entrant(name="drift-reset", description="alarm: rate up and window cut, then decay"),
        Entrant(name="policy", description="the frozen policy given by --policy"),
        Entrant(name="default", description="the frozen policy that ships"),
    )
}


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
    """The entrant's controller; `settings` replace those of the tuning record that ships."""
    if name == "fixed":
        if fixed is None:
            raise ValueError("no tuned constant ships for this model: leave out 'fixed', or use nano or pico")
        return make_controller("base", base=fixed)
    if name in ("policy", "default"):
        return load_policy(policy if name == "policy" else "default").controller(base=base, price=price)
    return make_controller(name, base=base, **(tuned_settings(name) if settings is None else settings))


def policy_seed(name: str, policy: str) -> int | None:
    """The seed that an entrant's policy was trained with; `None` for other entrants, and where unknown."""
    if name not in ("policy", "default"):
        return None
    seed = load_policy(policy if name == "policy" else "default").training.get("seed")
    return seed if isinstance(seed, int) else None


def tuned_settings(name: str) -> dict[str, Any]:
    """Settings of a rival from its tuning record, none if it has no record."""
    path = TUNED / f"{name}.json"
    if not path.is_file():
        return {}
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["settings"]
    return settings


def tuning_examples(name: str, *, model: str) -> int:
    """Examples that an entrant's tuning has seen, as its record says: that of `fixed` is the model's own."""
    path = TUNED / (f"fixed-{Path(model).name}.json" if name == "fixed" else f"{name}.json")
    return int(json.loads(path.read_text(encoding="utf-8"))["tuning_examples"]) if path.is_file() else 0
