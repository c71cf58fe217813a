"""The rate falls with the square root of time."""

from .rule import Rule
from .space import LogUniform

INV_SQRT = Rule(
    name="inv-sqrt",
    description="rate falls with the square root of time",
    space={"start": LogUniform(low=0.5, high=8), "offset": LogUniform(low=1, high=500)},
)
