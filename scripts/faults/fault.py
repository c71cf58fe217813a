"""Faults, and loops in which they happen."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.learners.network import Network
from olrl.loop import OnlineLoop
from olrl.monitor.signals import Signals

Change = Callable[[Signals], Signals]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, for `rounds` rounds.

    loss_factor: on losses and gradients of all that goes through the model (NaN: they are not finite).
    repeat: whether one chunk comes again and again.
    rate_factor: the controller is replaced by one that asks for so many times the base's rate.
    signals: what is done to the signals that controller and guard see.
    broken: whether all weights become NaN, once.
    """

    about: str
    rounds: int = 1
    loss_factor: float = 1.0
    repeat: bool = False
    rate_factor: float | None = None
    signals: Change | None = None
    broken: bool = False


def _far_out(signals: Signals) -> Signals:
    names = ("grad_norm", "grad_snr", "update_ratio", "train_loss_nats", "loss_std", "old_new_gap")
    given = {name: getattr(signals, name) for name in names}
    return replace(signals, **{name: 100 * value for name, value in given.items() if value is not None})


FAULTS = {
    "nan": Fault(about="one batch that is not a number", loss_factor=math.nan),
    "ten nans": Fault(about="ten of them in a row", rounds=10, loss_factor=math.nan),
    "spike": Fault(about="losses and gradients a hundredfold for a round", loss_factor=100.0),
    "weights": Fault(about="all weights become NaN once", broken=True),
    "duplicates": Fault(about="one chunk twenty times", rounds=20, repeat=True),
    "rate": Fault(about="64 times the base's rate for ten rounds", rounds=10, rate_factor=64.0),
    "far out": Fault(about="signals a hundredfold for twenty rounds", rounds=20, signals=_far_out),
}


class FaultyNetwork(Network):
    """A network whose losses and gradients are multiplied by `factor`, which may change."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.factor = 1.0

    def losses(self, weights: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """As the network it stands for, times the factor."""
        return self._network.losses(weights, tokens) * self.factor

    def add_gradients(
        self, weights: torch.Tensor, tokens: torch.Tensor, *, to: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """As the network it stands for, times the factor."""
        losses = self._network.add_gradients(weights, tokens, to=to, scale=scale * self.factor)
        return losses * self.factor


class FaultyLoop(OnlineLoop):
    """A loop in which a fault happens, from round `start` on."""

    def __init__(self, loop: OnlineLoop, network: FaultyNetwork, fault: Fault | None, *, start: int) -> None:
        super().__init__(loop.rounds, loop.learner)
        self._network, self._fault, self._start = network, fault, start

    @property
    def at_fault(self) -> Fault | None:
        """The fault, while it lasts."""
        fault = self._fault
        return fault if fault and 0 <= self.rounds.round - self._start < fault.rounds else None

    def observe(self) -> Signals | None:
        """Score and measure, under the fault while it lasts."""
        fault = self.at_fault
        self._network.factor = fault.loss_factor if fault else 1.0
        if fault and fault.broken:
            state = self.learner.state_dict()
            self.learner.load_state_dict({**state, "values": np.full_like(state["values"], np.nan)})
        signals = super().observe()
        return fault.signals(signals) if signals and fault and fault.signals else signals


class FaultyController(Controller):
    """A controller that asks for a rate far too high while the fault lasts."""

    def __init__(self, controller: Controller, loop: FaultyLoop) -> None:
        super().__init__(base=controller.base)
        self._controller, self._loop = controller, loop

    def decide(self, signals: Signals) -> Decision:
        """The wrapped controller's decision, but for its rate."""
        decision, fault = self._controller.decide(signals), self._loop.at_fault
        if fault is None or fault.rate_factor is None:
            return decision
        return replace(decision, lr=self.base.lr * fault.rate_factor, update=True)

    def observed(self) -> NDArray[np.float64] | None:
        """What the wrapped one saw."""
        return self._controller.observed()

    def forget(self) -> None:
        """The wrapped one does."""
        self._controller.forget()

    def state_dict(self) -> dict[str, Any]:
        """That of the wrapped one."""
        return self._controller.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """That of the wrapped one."""
        self._controller.load_state_dict(state)
