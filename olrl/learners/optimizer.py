"""How gradients become moves."""

from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["adamw", "sgd", "von", "vadam"]
BAYESIAN: tuple[OptimizerName, ...] = ("von", "vadam")  # keep a posterior over the weights
OPTIMIZERS: tuple[OptimizerName, ...] = ("adamw", "sgd", *BAYESIAN)
STACKABLE: tuple[OptimizerName, ...] = ("adamw", "sgd")  # what there is for many learners at once


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How gradients become moves; the learning rate comes with each decision.

    `betas` and `eps` are AdamW's (Loshchilov and Hutter, 2019), `momentum` is SGD's; the rest are those of `VON`
    (von, and with `squares` vadam): `memory` in tokens, `curvature` and `floor` in nats a token and squared unit of
    weight, `forgetting` a step, and the `seed` of its draws.
    """

    name: OptimizerName = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.0
    memory: float = 1e7
    curvature: float = 0.03
    forgetting: float = 0.01
    floor: float = 0.001
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.name!r}")
