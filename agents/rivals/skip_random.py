"""Trains in rounds drawn at random."""

from .rule import Rule
from .space import Uniform

SKIP_RANDOM = Rule(
    name="skip-random",
    description="the base, trained in rounds drawn at random",
    seeded=True,
    space={"chance": Uniform(low=0.1, high=0.9)},
)
