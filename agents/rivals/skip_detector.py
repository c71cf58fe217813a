"""Trains for some rounds after an alarm or a rise of the loss."""

from .rule import Rule
from .space import Choice, LogUniform

SKIP_DETECTOR = Rule(
    name="skip-detector",
    description="the base, trained for some rounds after an alarm or a rise of the loss",
    space={
        "rounds": Choice(options=(2, 4, 8, 16, 32)),
        "rise": LogUniform(low=0.01, high=0.3),
        "smooth": LogUniform(low=3, high=50),
    },
)
