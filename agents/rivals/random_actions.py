"""Actions drawn uniformly."""

from typing import Any

import numpy as np

from olrl.control.coding import ActionCoding
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.policy import load_policy
from olrl.draws import uniforms
from olrl.monitor.features import batch_signals
from olrl.monitor.signals import Signals

from .entrant import Conditions, Entrant

_KEY = 1 << 59  # of its draws, apart from those of the memory


class RandomActions(Controller):
    """Every head of an action coding drawn uniformly in every round, by (seed, round): half train.

    >>> from olrl.control.actions import action_coding
    >>> controller = RandomActions(base=Base(lr=1e-3), coding=action_coding("moves"), seed=0)
    >>> signals = Signals(lr=1e-3, batch_size=8, window=8)
    >>> len({controller.decide(signals).lr for _ in range(50)}) > 3
    True
    """

    def __init__(self, *, base: Base, coding: ActionCoding, seed: int) -> None:
        super().__init__(base=base)
        self._coding, self._seed, self._round = coding, seed, 0
        self._state = coding.start_at([base])

    def decide(self, signals: Signals) -> Decision:
        """The decision of the round's draw."""
        luck = uniforms(self._seed, _KEY, 4 * self._round + np.arange(4))
        self._round += 1
        actions = (luck * self._coding.nvec).astype(np.int64)[None]
        decisions = self._coding.apply(self._state, actions, batch_signals([signals]))
        return decisions.single(base=self.base)

    def state_dict(self) -> dict[str, Any]:
        """The number of the round, and where the knobs stand."""
        return {"round": self._round, "actions": self._state.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])
        self._state.load_state_dict(state["actions"])


class _RandomEntrant(Entrant):
    def controller(self, given: Conditions) -> Controller:
        """Under the policy's action coding, by the seed of the run."""
        coding = load_policy(given.policy).coding
        return RandomActions(base=given.base, coding=coding, seed=given.config.seed)


RANDOM = _RandomEntrant(
    name="random", description="uniform actions under the policy's coding", policy="shape"
)
