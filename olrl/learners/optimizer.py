"""How gradients become moves."""

from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["adamw", "sgd", "von", "vadam"]
BAYESIAN: tuple[OptimizerName, ...] = ("von", "vadam")  # keep a posterior over the weights
OPTIMIZERS: tuple[OptimizerName, ...] = ("adamw", "sgd", *BAYESIAN)
STACKABLE: tuple[OptimizerName, ...] = ("adamw", "sgd")  # what there is for many learners at once


# Chosen on training streams of pico. By Stein's identity curvature is heard above the noise of small batches only
# where draws lie far from the mean (a short memory); where it is not heard `floor` has to keep steps small.
_SUITABLE = {
    "von": {"memory": 1e6, "curvature": 0.03, "forgetting": 0.01, "floor": 0.03},
    "vadam": {"memory": 1e7, "curvature": 0.03, "forgetting": 0.001, "floor": 1e-4},
}


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How gradients become moves; the learning rate comes with each decision.

    `betas` and `eps` are AdamW's (Loshchilov and Hutter, 2019), `momentum` is SGD's; the rest are those of `VON`
    (von, and with `squares` vadam): `memory` in tokens, `curvature` and `floor` in nats a token and squared unit of
    weight, `forgetting` a step, and the `seed` of its draws. None is what suits a small language model.
    """

    name: OptimizerName = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.0
    memory: float | None = None
    curvature: float | None = None
    forgetting: float | None = None
    floor: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.name!r}")

    def posterior(self) -> dict[str, float]:
        """The settings of a posterior by name; ValueError for an optimizer that keeps none."""
        if self.name not in _SUITABLE:
            raise ValueError(f"only {' and '.join(BAYESIAN)} keep a posterior, not {self.name!r}")
        own = {name: getattr(self, name) for name in _SUITABLE[self.name]}
        return _SUITABLE[self.name] | {name: value for name, value in own.items() if value is not None}
