"""Optuna's ways to propose what to try next, by name."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "gp", "random", "genetic")


def sampler_of(name: str, *, seed: int, startup: int = 10) -> "BaseSampler":
    """A sampler by name; ValueError for one that is not in `SAMPLERS`.

    `tpe`: tree-structured Parzen estimators (Bergstra et al., 2011). `gp`: a Gaussian process and logarithmic
    expected improvement (Ament et al., 2023). `random`: no model. `genetic`: NSGA-II (Deb et al., 2002), whose
    generations are small here, since trials are few. Models begin after `startup` trials at random.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    makers: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "genetic": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=max(startup, 4)),
    }
    if name not in makers:
        raise ValueError(f"unknown sampler {name!r}; choose from {', '.join(SAMPLERS)}")
    sampler: BaseSampler = makers[name]()
    return sampler


def seed_of(seed: int, number: int) -> int:
    """The seed of proposal `number`: with it a search that was stopped proposes what it would have proposed.

    >>> seed_of(0, 1) == seed_of(0, 1) != seed_of(1, 0)
    True
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def unit_cube(names: Iterable[str]) -> "dict[str, BaseDistribution]":
    """An axis from 0 to 1 for each name: what the places of a `Space` are searched in."""
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(0.0, 1.0) for name in names}
