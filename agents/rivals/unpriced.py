"""The policy, told that training costs nothing."""

from olrl.control.controller import Controller
from olrl.control.policy import load_policy

from .entrant import Conditions, Entrant


class Unpriced(Entrant):
    """The policy at price 0: what it would do if it had not to save. What it spends is charged all the same."""

    def controller(self, given: Conditions) -> Controller:
        """From the base, at no price."""
        return load_policy(given.policy).controller(base=given.base, price=0.0)


UNPRICED = Unpriced(
    name="unpriced", description="the policy, told that training costs nothing", policy="given"
)
