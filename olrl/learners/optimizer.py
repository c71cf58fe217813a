"""How gradients become moves."""

from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["adamw", "sgd"]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How gradients become moves; the learning rate comes with each decision.

    `betas` and `eps` are AdamW's (Loshchilov and Hutter, 2019), `momentum` is SGD's.
    """

    name: OptimizerName = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ("adamw", "sgd"):
            raise ValueError(f"optimizer must be adamw or sgd, not {self.name!r}")
