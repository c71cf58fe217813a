"""What an environment steers from one reset to the next."""

from abc import ABC, abstractmethod
from typing import Any

from olrl.control.decision import Base
from olrl.loop import OnlineLoop


class Episode(ABC):
    """One learner on one stream, and the reference learner it is compared with.

    `loop` is fresh: nothing observed yet. `base` is the (possibly wrong) configuration control starts from,
    and `rounds` the number of decisions after which the episode is cut off. What it costs to train, and the
    price of that, are the loop's own (`loop.cost`, `loop.monitor.price`).
    """

    loop: OnlineLoop
    base: Base
    rounds: int

    @abstractmethod
    def reference_loss(self) -> float:
        """Loss of the reference learner on the chunk that `loop` observed last, nats per token.

        Called once after each observation, in order. The reference runs a sensible fixed configuration on the
        same chunks with the same luck, whatever the base.
        """

    def truth(self) -> dict[str, Any]:
        """What only a benchmark may know about the chunk observed last: for `info`, never for signals."""
        return {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Loop, stream and reference as they stand."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of an episode of the same environment made from the same seed."""
