"""The policy that is compared, steering a learner with a posterior in place of AdamW's."""

from olrl.control.controller import Controller

from .entrant import Conditions
from .policy import POLICY
from .posterior import Posterior, scaled


class VadamPolicy(Posterior):
    """The frozen policy given by --policy, on Vadam: it has seen AdamW alone in training."""

    def controller(self, given: Conditions) -> Controller:
        """From the base, its rate times `lr_factor`, at the price of the run."""
        return POLICY.controller(scaled(given))


VADAM_POLICY = VadamPolicy(
    name="vadam-policy", description="the frozen policy given by --policy, on Vadam", policy="given"
)
