"""The policy with all knobs but one taken away."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.control.policy import load_policy
from olrl.monitor.signals import Signals

from .entrant import Conditions, Entrant

Knob = Literal["lr", "batch_size", "window"]


class OneKnob(Controller):
    """Another controller of whose decisions one knob is obeyed; the others stay at the base, and all rounds train.

    The signals tell the inner controller what is in force, as after a guard, so that it goes on from there.

    >>> from olrl.control.constant import Constant
    >>> from olrl.control.decision import Base
    >>> inner = Constant(base=Base(lr=1e-2, window=1), update=False)
    >>> inner.base = Base(lr=1e-3)
    >>> OneKnob(inner, knob="lr").decide(Signals(lr=1e-3, batch_size=8, window=8))
    Decision(lr=0.01, batch_size=8, window=8, update=True, weight_decay=0.0, pull=0.0)
    """

    def __init__(self, inner: Controller, *, knob: Knob) -> None:
        super().__init__(base=inner.base)
        self._inner, self._knob = inner, knob

    def decide(self, signals: Signals) -> Decision:
        """The base, with the one knob where the inner controller wants it."""
        wanted = getattr(self._inner.decide(signals), self._knob)
        return replace(self.base.decision(), **{self._knob: wanted})

    def state_dict(self) -> dict[str, Any]:
        """The inner controller's."""
        return self._inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._inner.load_state_dict(state)


@dataclass(frozen=True, kw_only=True)
class _OneKnobEntrant(Entrant):
    knob: Knob
    policy: Literal["given"] = "given"

    def controller(self, given: Conditions) -> Controller:
        """The policy with one knob."""
        inner = load_policy(given.policy).controller(base=given.base, price=given.config.price)
        return OneKnob(inner, knob=self.knob)


LR_ONLY = _OneKnobEntrant(name="lr-only", description="the policy's rate; all else stays", knob="lr")
WINDOW_ONLY = _OneKnobEntrant(
    name="window-only", description="the policy's window; all else stays", knob="window"
)
BATCH_ONLY = _OneKnobEntrant(
    name="batch-only", description="the policy's batch size; all else stays", knob="batch_size"
)
