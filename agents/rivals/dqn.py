"""The same decisions learned by deep Q-learning."""

from olrl.control.controller import Controller
from olrl.control.policy import FrozenPolicy

from .entrant import Conditions, Entrant
from .tuned import TUNED

FOLDER = TUNED / "dqn"


class DQN(Entrant):
    """A frozen network trained by DQN (Mnih et al., 2015) on the surrogate, one action for all knobs together."""

    def controller(self, given: Conditions) -> Controller:
        """The policy that ships."""
        return FrozenPolicy.load(FOLDER).controller(base=given.base, price=given.config.price)


DQN_RIVAL = DQN(name="dqn", description="a policy trained by DQN on the surrogate")
