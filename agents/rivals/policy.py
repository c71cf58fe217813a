"""The policy that is compared, and the one that ships."""

from olrl.control.controller import Controller
from olrl.control.policy import load_policy

from .entrant import Conditions, Entrant


class Policy(Entrant):
    """The frozen policy given by --policy, or under the name `default` the one that ships."""

    def controller(self, given: Conditions) -> Controller:
        """From the base, at the price of the run."""
        policy = load_policy(given.policy if self.policy == "given" else "default")
        return policy.controller(base=given.base, price=given.config.price)


POLICY = Policy(name="policy", description="the frozen policy given by --policy", policy="given")
DEFAULT = Policy(name="default", description="the frozen policy that ships", policy="shipped")
