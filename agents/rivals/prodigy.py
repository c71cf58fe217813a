"""An optimizer that estimates its own rate."""

from dataclasses import replace

import torch

from olrl.control.constant import Constant
from olrl.control.controller import Controller
from olrl.learners.learner import Learner

from .entrant import Conditions, Entrant, Task
from .space import Choice, LogUniform


class Prodigy(Entrant):
    """Prodigy (Mishchenko and Defazio, 2024, "Prodigy: an expeditiously adaptive parameter-free learner").

    The package's own optimizer. Its rate is the multiplier 1 on a step size that it estimates from the distance
    to where it started and that can never fall again; batch size and window are the base's.
    """

    def controller(self, given: Conditions) -> Controller:
        """The multiplier 1, whatever the base's rate."""
        return Constant(base=replace(given.base, lr=1.0))

    def learner(self, task: Task) -> Learner:
        """One of its own, with that optimizer."""

        def make(values: torch.nn.Parameter) -> torch.optim.Optimizer:
            return prodigy(values, **task.given.settings)

        return task.learners.fresh(make)


def prodigy(
    values: torch.nn.Parameter,
    *,
    d_coef: float = 1.0,
    d0: float = 1e-6,
    beta2: float = 0.999,
    safeguard_warmup: bool = False,
    use_bias_correction: bool = False,
) -> torch.optim.Optimizer:
    """The optimizer; decisions set its multiplier."""
    from prodigyopt import Prodigy as Optimizer

    made: torch.optim.Optimizer = Optimizer(
        [values],
        d_coef=d_coef,
        d0=d0,
        betas=(0.9, beta2),
        safeguard_warmup=safeguard_warmup,
        use_bias_correction=use_bias_correction,
    )
    return made


PRODIGY = Prodigy(
    name="prodigy",
    description="Prodigy, which estimates its own rate",
    uses_base=False,
    space={
        "d_coef": LogUniform(low=0.05, high=5),
        "d0": LogUniform(low=1e-7, high=1e-4),
        "beta2": Choice(options=(0.95, 0.99, 0.999)),
        "safeguard_warmup": Choice(options=(False, True)),
        "use_bias_correction": Choice(options=(False, True)),
    },
    requires=("prodigyopt",),
)
