"""Trains for some rounds after an alarm or a rise of the loss."""

from .rule import Rule

# How much it spends is set beside whom it is compared with: by loss alone, whoever trains always would be best.
SKIP_DETECTOR = Rule(
    name="skip-detector",
    description="the base, trained for some rounds after an alarm or a rise of the loss",
)
