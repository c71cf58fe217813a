"""An alarm raises the rate and cuts the window."""

from .rule import Rule
from .space import Choice, LogUniform

DRIFT_RESET = Rule(
    name="drift-reset",
    description="alarm: rate up and window cut, then decay",
    space={
        "lr_up": LogUniform(low=1, high=6),
        "lr_rest": LogUniform(low=0.35, high=1.5),
        "half_life": LogUniform(low=2, high=32),
        "cut_window": Choice(options=(1, 2, 4)),
        "grow_every": Choice(options=(1, 2, 4, 8)),
        "min_gap": Choice(options=(2, 4, 8, 16)),
    },
)
