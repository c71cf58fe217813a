"""The rate rises while the loss improves and falls while it does not."""

from .rule import Rule
from .space import Choice, LogUniform, Uniform

GREEDY_LR = Rule(
    name="greedy-lr",
    description="rate up while the loss improves, down while it does not (transformers' GreedyLR)",
    space={
        "factor": Uniform(low=0.5, high=0.98),
        "patience": Choice(options=(0, 1, 2, 5, 10)),
        "threshold": LogUniform(low=1e-6, high=3e-2),
        "cooldown": Choice(options=(0, 2, 8)),
        "warmup": Choice(options=(0, 2, 8)),
        "window_size": Choice(options=(1, 3, 10, 30)),
        "reset_start": Choice(options=(1, 5, 20, 500)),
        "min_factor": Choice(options=(1 / 64, 1 / 8, 1 / 2)),
        "max_factor": Choice(options=(2, 8, 64)),
    },
)
