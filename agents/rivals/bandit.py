"""A bandit over constant decisions."""

from .rule import Rule
from .space import Choice, LogUniform

BANDIT = Rule(
    name="bandit",
    description="Exp3.S over a ladder of constant decisions",
    seeded=True,
    space={
        "windows": Choice(options=(False, True)),
        "explore": LogUniform(low=0.02, high=0.5),
        "eta": LogUniform(low=0.01, high=1),
        "share": LogUniform(low=1e-3, high=0.3),
        "hold": Choice(options=(1, 2, 3, 5, 8)),
        "span": LogUniform(low=0.02, high=0.5),
    },
)
