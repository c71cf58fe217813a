"""Trains in rounds drawn at random."""

from .rule import Rule

# How much it spends is set beside whom it is compared with: by loss alone, whoever trains always would be best.
SKIP_RANDOM = Rule(name="skip-random", description="the base, trained in rounds drawn at random", seeded=True)
