"""Trains in rounds drawn at random."""

from .rule import Rule
from .space import LogUniform

# Tuned at a price: by loss alone, whoever trains always would be best. Beside a policy it is set to train as often
# (`olrl.agents.evaluation.matched`).
SKIP_RANDOM = Rule(
    name="skip-random",
    description="the base, trained in rounds drawn at random",
    seeded=True,
    space={"share": LogUniform(low=0.02, high=1)},
    suite="quiet",
)
