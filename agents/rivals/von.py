"""Variational online Newton, at a constant rate."""

from .posterior import SPACE, Posterior
from .space import LogUniform

VON_RIVAL = Posterior(
    name="von",
    description="variational online Newton on a posterior over the weights, constant rate",
    optimizer="von",
    # Its steps are divided by a curvature and not by a root: the base's rate, AdamW's, says little about its own.
    space={**SPACE, "lr_factor": LogUniform(low=0.5, high=500), "curvature": LogUniform(low=1e-3, high=1.0)},
    start={"lr_factor": 8.0},
)
