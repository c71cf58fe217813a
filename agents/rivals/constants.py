"""Constant configurations as a space: rate, batch size, window and weight decay."""

from collections.abc import Mapping
from dataclasses import asdict

from olrl.control.decision import BATCH_SIZES, WINDOWS, Base

from .space import Choice, LogUniform, Space, ZeroOrLog, places_of, settings_at

# AdamW takes lr × decay off a weight in each step. At 1 and a rate of 1e-3, a thousand steps leave a third of it.
DECAYS = ZeroOrLog(low=1e-3, high=1.0, zero=0.25)


def constants_around(base: Base, *, reach: float) -> Space:
    """Constant configurations: rates within a factor `reach` of the base's, and all that the ladders have.

    >>> space = constants_around(Base(lr=1e-3), reach=4)
    >>> settings_at(space, {"lr": 1.0, "batch_size": 0.0, "window": 0.99, "weight_decay": 0.1})
    {'lr': 0.004, 'batch_size': 1, 'window': 0, 'weight_decay': 0.0}
    """
    return {
        "lr": LogUniform(low=base.lr / reach, high=base.lr * reach),
        "batch_size": Choice(options=BATCH_SIZES),
        "window": Choice(options=WINDOWS),
        "weight_decay": DECAYS,
    }


def base_at(space: Space, places: Mapping[str, float]) -> Base:
    """The configuration at places from 0 to 1."""
    return Base(**settings_at(space, places))


def places_of_base(space: Space, base: Base) -> dict[str, float]:
    """The places of a configuration; of those nearest to it, where the ladders do not have it."""
    return places_of(space, asdict(base))
