"""Trains in every k-th round only."""

from .rule import Rule
from .space import Choice

SKIP_PERIODIC = Rule(
    name="skip-periodic",
    description="the base, trained in every k-th round only",
    space={"every": Choice(options=(2, 3, 4, 6, 8))},
)
