"""Trains in rounds at equal distances."""

from .rule import Rule

# How much it spends is set beside whom it is compared with: by loss alone, whoever trains always would be best.
SKIP_PERIODIC = Rule(name="skip-periodic", description="the base, trained in rounds at equal distances")
