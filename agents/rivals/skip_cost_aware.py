"""Trains when being stale has cost more than training does."""

from .rule import Rule
from .space import Choice, LogUniform

SKIP_COST_AWARE = Rule(
    name="skip-cost-aware",
    description="the base, trained when the cost of staleness since the last time passes that of training",
    space={
        "threshold": LogUniform(low=0.05, high=20),
        "rounds": Choice(options=(1, 2, 4, 8)),
        "smooth": LogUniform(low=2, high=50),
    },
    suite="quiet",
)
