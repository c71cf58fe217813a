"""Trains in rounds at equal distances."""

from .rule import Rule
from .space import LogUniform

# Tuned at a price: by loss alone, whoever trains always would be best. Beside a policy it is set to train as often
# (`olrl.agents.evaluation.matched`).
SKIP_PERIODIC = Rule(
    name="skip-periodic",
    description="the base, trained in rounds at equal distances",
    space={"share": LogUniform(low=0.02, high=1)},
    suite="quiet",
)
