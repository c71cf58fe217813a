"""The rate follows the cosine of gradient and move."""

from .rule import Rule
from .space import LogUniform

HYPERGRADIENT = Rule(
    name="hypergradient",
    description="rate follows the cosine of gradient and move",
    space={"beta": LogUniform(low=0.1, high=10)},
)
