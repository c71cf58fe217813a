"""A rival that needs signals only: a controller that `olrl run` knows too, by the same name."""

from dataclasses import dataclass

from olrl.control.controller import Controller
from olrl.control.registry import make_controller

from .entrant import Conditions, Entrant


@dataclass(frozen=True, kw_only=True)
class Rule(Entrant):
    """The controller of this name with the tuned settings; `seeded` ones draw by the seed of the run."""

    seeded: bool = False

    def controller(self, given: Conditions) -> Controller:
        """From the base."""
        seed = {"seed": given.config.seed} if self.seeded else {}
        return make_controller(self.name, base=given.base, **{**given.settings, **seed})
