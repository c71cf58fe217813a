"""Trains for some rounds after an alarm or a rise of the loss."""

from .rule import Rule
from .space import Choice, LogUniform

# Tuned at a price: by loss alone, whoever trains always would be best. Beside a policy it is set to train as often
# (`olrl.agents.evaluation.matched`).
SKIP_DETECTOR = Rule(
    name="skip-detector",
    description="the base, trained for some rounds after an alarm or a rise of the loss",
    space={
        "rounds": Choice(options=(1, 2, 4, 8, 16)),
        "rise": LogUniform(low=0.01, high=0.5),
        "smooth": LogUniform(low=2, high=50),
    },
    suite="quiet",
)
