"""The rate falls when the loss no longer does."""

from .rule import Rule
from .space import Choice, LogUniform, Uniform

PLATEAU = Rule(
    name="plateau",
    description="rate falls when the loss no longer does (ReduceLROnPlateau)",
    space={
        "factor": Uniform(low=0.2, high=0.9),
        "patience": Choice(options=(2, 4, 8, 16, 32)),
        "threshold": LogUniform(low=1e-4, high=3e-2),
        "cooldown": Choice(options=(0, 4, 16)),
        "min_factor": Choice(options=(1 / 64, 1 / 16, 1 / 4, 1 / 2)),
        "smooth": Choice(options=(1, 3, 10)),
    },
)
