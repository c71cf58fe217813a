"""Vadam, at a constant rate."""

from .posterior import SPACE, Posterior

VADAM = Posterior(
    name="vadam",
    description="AdamW on weights drawn from a posterior (Vadam), constant rate",
    space=SPACE,
)
