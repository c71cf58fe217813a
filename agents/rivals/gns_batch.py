"""The batch size follows the gradient noise scale."""

from .rule import Rule
from .space import Choice, LogUniform

GNS_BATCH = Rule(
    name="gns-batch",
    description="batch size follows the gradient noise scale",
    space={
        "scale": LogUniform(low=1 / 256, high=4),
        "smooth": LogUniform(low=3, high=100),
        "lr_power": Choice(options=(0.0, 0.5, 1.0)),
    },
)
