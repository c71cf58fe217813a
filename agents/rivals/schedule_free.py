"""Averaged weights in place of a schedule."""

from dataclasses import replace
from typing import Any

import torch

from olrl.control.constant import Constant
from olrl.control.controller import Controller
from olrl.learners.learner import Learner

from .entrant import Conditions, Entrant, Task
from .space import Choice, LogUniform, Uniform


class ScheduleFree(Entrant):
    """AdamW under Schedule-Free learning (Defazio et al., 2024, "The road less scheduled").

    The package's own `AdamWScheduleFree`. Chunks are scored with the averaged weights, gradients taken at the
    point between these and the ones that are trained, as it is meant. The weight of the average falls as 1/t:
    after a drift it lags. `r` above 0 lets late weights count for more.
    """

    def controller(self, given: Conditions) -> Controller:
        """The base, its rate times `lr_factor`."""
        factor = float(given.settings.get("lr_factor", 1.0))
        return Constant(base=replace(given.base, lr=given.base.lr * factor))

    def learner(self, task: Task) -> Learner:
        """One of its own, with that optimizer."""
        settings = {name: value for name, value in task.given.settings.items() if name != "lr_factor"}

        def make(values: torch.nn.Parameter) -> torch.optim.Optimizer:
            return schedule_free_adamw(values, **settings)

        return task.learners.fresh(make)


def schedule_free_adamw(
    values: torch.nn.Parameter, *, beta1: float = 0.9, warmup_steps: int = 0, r: float = 0.0
) -> torch.optim.Optimizer:
    """The optimizer, in evaluation mode; decisions set its rate."""
    from schedulefree import AdamWScheduleFree

    optimizer: Any = AdamWScheduleFree([values], betas=(beta1, 0.999), warmup_steps=warmup_steps, r=r)
    optimizer.eval()
    made: torch.optim.Optimizer = optimizer
    return made


SCHEDULE_FREE = ScheduleFree(
    name="schedule-free",
    description="AdamW with Schedule-Free averaging, constant rate",
    space={
        "lr_factor": LogUniform(low=0.25, high=32),
        "beta1": Uniform(low=0.6, high=0.98),
        "warmup_steps": Choice(options=(0, 20, 100)),
        "r": Choice(options=(0.0, 1.0, 3.0, 10.0)),
    },
    requires=("schedulefree",),
)
