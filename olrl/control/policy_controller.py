"""A frozen policy at work on one learner."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.explain import Explanation, explain
from olrl.monitor.feature_table import ROW
from olrl.monitor.features import stack_signals
from olrl.monitor.signals import Signals

if TYPE_CHECKING:
    from olrl.control.policy import FrozenPolicy
    from olrl.control.training_range import TrainingRange


class PolicyController(Controller):
    """Decides what the policy finds likeliest; owns the feature history and the notches of the decision.

    A decision moves from what was in force in the last round, as the signals tell: where a guard or a person
    put something else in force, it goes on from there. `price`, where given, stands in for that of the
    signals. A decision takes about 0.08 ms on one thread, and 0.3 ms where a training step in between has
    taken the processor's caches.
    """

    def __init__(self, *, policy: FrozenPolicy, base: Base, price: float | None = None) -> None:
        super().__init__(base=base)
        if price is not None and not (math.isfinite(price) and price >= 0):
            raise ValueError(f"price must be at least 0, not {price!r}")
        self.policy = policy
        self.price = price
        self._features = policy.features.extractor([base])
        self._state = policy.coding.start_at([base])
        self._last = base.decision()
        self._observation: NDArray[np.float32] | None = None

    def decide(self, signals: Signals) -> Decision:
        """The policy's decision for this round, inside the bounds of its action coding."""
        if signals.lr is None or signals.batch_size is None or signals.window is None:
            signals = self._completed(signals)
        self._follow(signals)
        inputs = stack_signals([signals])
        if self.price is not None:
            inputs[ROW["price"]] = self.price
        self._observation = self._features.update(inputs)
        actions = self.policy.act(self._observation)
        coding = self.policy.coding
        decisions = coding.apply(self._state, actions, {name: inputs[ROW[name]] for name in coding.reads})
        self._last = decisions.single(base=self.base)
        return self._last

    def explain(self) -> Explanation | None:
        """Why the last decision was taken; None before the first since the controller was made or loaded."""
        return None if self._observation is None else explain(self.policy, self._observation[0])

    def _completed(self, signals: Signals) -> Signals:
        """With what was decided last for what the loop did not know."""
        knobs = {name: getattr(self._last, name) for name in ("lr", "batch_size", "window")}
        return replace(signals, **{k: v for k, v in knobs.items() if getattr(signals, k) is None})

    def observed(self) -> NDArray[np.float64]:
        """What the last decision was made from, before clipping, shape (features,): for the guard."""
        observed: NDArray[np.float64] = self._features.unclipped()[0]
        return observed

    @property
    def training_range(self) -> TrainingRange | None:
        """As the policy's file has it."""
        return self.policy.training_range

    def forget(self) -> None:
        """Begin the feature history anew, as in the first round."""
        self._features.reset()

    def _follow(self, signals: Signals) -> None:
        last = self._last
        lr, batch_size, window = signals.lr, signals.batch_size, signals.window
        if (lr, batch_size, window) != (last.lr, last.batch_size, last.window):
            assert lr is not None and batch_size is not None and window is not None, "completed"  # noqa: PT018
            self._state.go_to(lr=lr, batch_size=batch_size, window=window)

    def state_dict(self) -> dict[str, Any]:
        """Feature history, notches and the last decision."""
        last = self._last
        return {
            "features": self._features.state_dict(),
            "actions": self._state.state_dict(),
            "last": {"lr": last.lr, "batch_size": last.batch_size, "window": last.window},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a controller with the same base; ValueError for another."""
        mine = self.state_dict()
        self._features.load_state_dict(state["features"])
        self._state.load_state_dict(state["actions"])
        for part, names in (("features", ("base",)), ("actions", ("base_lr", "base_batch_size"))):
            # To rounding: logarithms differ in the last place from machine to machine.
            if not all(np.allclose(state[part][name], mine[part][name], atol=1e-9) for name in names):
                raise ValueError("the controller's state was made with another base")
        last = state["last"]
        self._last = replace(
            self._last,
            lr=float(last["lr"]),
            batch_size=int(last["batch_size"]),
            window=int(last["window"]),
        )
