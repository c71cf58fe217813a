"""Stands between controller and learner: bounds, signs of trouble, and what to do then."""

import math
from dataclasses import dataclass, replace
from numbers import Real
from statistics import median
from typing import Any

from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, WINDOWS, Base, Decision
from olrl.monitor.signals import Signals

_REMEMBERED = 20  # healthy rounds


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """When the guard steps in.

    loss_ratio: a loss above so many times the median of the last 20 healthy ones is trouble, above 1.
    new_level: so many such losses in a row are a new level, not trouble, at least 2.
    hold: rounds in trouble's wake that stay under the fallback, at least 1.
    """

    loss_ratio: float = 3.0
    new_level: int = 3
    hold: int = 5

    def __post_init__(self) -> None:
        if not self.loss_ratio > 1:
            raise ValueError(f"loss_ratio must be above 1, not {self.loss_ratio!r}")
        if self.new_level < 2 or self.hold < 1:
            raise ValueError(
                f"new_level must be at least 2 and hold at least 1, not {self.new_level!r} and {self.hold!r}"
            )


class Guard:
    """Lets a decision pass, bounds it, or replaces it by a fallback, and says why.

    The fallback does not trust the base blindly, since the base may be the fault: its rate is the least of
    the base's, the median of the last 20 healthy rounds and half the rate before the trouble; batch size and
    window are the base's. `counts` tells how often each reason came up.

    >>> guard = Guard(base=Base(lr=1e-3))
    >>> signals = Signals(loss_nats=None, lr=1e-3, batch_size=8, window=8)
    >>> decision, reason = guard.check(Decision(lr=4e-3, batch_size=8, window=8), signals)
    >>> decision.lr, reason
    (0.0005, 'loss missing or not finite')
    """

    def __init__(self, *, base: Base, settings: GuardSettings | None = None) -> None:
        self.base = base
        self.settings = settings or GuardSettings()
        self.counts: dict[str, int] = {}
        self._lr = base.lr  # of the last round
        self._healthy_lrs: list[float] = []
        self._healthy_losses: list[float] = []
        self._high_in_a_row = 0
        self._nonfinite = 0
        self._holding = 0
        self._fallback_lr = base.lr

    def check(
        self, decision: Decision, signals: Signals, *, loss_withheld: bool = False
    ) -> tuple[Decision, str | None]:
        """The decision to act on, and why it is not the one given (`None`: it is).

        With `loss_withheld` the loop measures no loss or keeps it to itself: that it is missing is no trouble.
        """
        trouble = self._trouble(signals, loss_withheld)
        if trouble is not None:
            self._holding = self.settings.hold
            self._fallback_lr = min([self.base.lr, self._lr / 2, *self._median_lr()])
            return self._fall_back(decision, *trouble)
        if self._holding:
            self._holding -= 1
            return self._fall_back(decision, "holding", "holding the fallback after trouble")
        if not _is_number(decision.lr) or not _is_number(decision.batch_size):
            self._fallback_lr = min([self.base.lr, *self._median_lr()])
            return self._fall_back(decision, "invalid", "decision not finite")
        bounded = self._bounded(decision)
        if bounded != decision:
            return self._act(bounded, "bounds", "decision out of bounds")
        self._lr = bounded.lr
        return bounded, None

    def _trouble(self, signals: Signals, loss_withheld: bool) -> tuple[str, str] | None:
        """What is wrong with the round, as a key of `counts` and in words; a healthy round is remembered."""
        risen = signals.nonfinite > self._nonfinite
        self._nonfinite = signals.nonfinite
        loss = signals.loss_nats
        if not loss_withheld and (loss is None or not math.isfinite(loss)):
            return "loss_missing", "loss missing or not finite"
        if risen:
            return "nonfinite", "a training step was not finite"
        if loss_withheld or loss is None:
            self._healthy_lrs = [*self._healthy_lrs[1 - _REMEMBERED :], self._lr]
            return None
        if self._is_high(loss):
            usual = median(self._healthy_losses)
            return (
                "loss_high",
                f"loss {loss:.3g} above {self.settings.loss_ratio:g} times the usual {usual:.3g}",
            )
        self._healthy_losses = [*self._healthy_losses[1 - _REMEMBERED :], loss]
        self._healthy_lrs = [*self._healthy_lrs[1 - _REMEMBERED :], self._lr]
        return None

    def _is_high(self, loss: float) -> bool:
        ratio, usual = self.settings.loss_ratio, self._healthy_losses
        # The least of them is looked at first, since a median takes a microsecond and is seldom needed.
        if not usual or loss <= ratio * min(usual) or loss <= ratio * median(usual):
            self._high_in_a_row = 0
            return False
        self._high_in_a_row += 1
        if self._high_in_a_row < self.settings.new_level:
            return True
        self._healthy_losses, self._high_in_a_row = [], 0
        return False

    def _median_lr(self) -> list[float]:
        return [median(self._healthy_lrs)] if self._healthy_lrs else []

    def _fall_back(self, decision: Decision, key: str, reason: str) -> tuple[Decision, str]:
        fallback = replace(self.base.decision(update=bool(decision.update)), lr=self._fallback_lr)
        return self._act(self._bounded(fallback), key, reason)

    def _act(self, decision: Decision, key: str, reason: str) -> tuple[Decision, str]:
        self.counts[key] = self.counts.get(key, 0) + 1
        self._lr = decision.lr
        return decision, reason

    def _bounded(self, decision: Decision) -> Decision:
        span = 2.0**MAX_LR_NOTCHES
        decay = decision.weight_decay
        return Decision(
            lr=float(min(max(decision.lr, self.base.lr / span), self.base.lr * span)),
            batch_size=min(max(round(decision.batch_size), 1), BATCH_SIZES[-1]),
            window=int(decision.window) if decision.window in WINDOWS else self.base.window,
            update=bool(decision.update),
            weight_decay=decay if math.isfinite(decay) and decay >= 0 else self.base.weight_decay,
        )

    def state_dict(self) -> dict[str, Any]:
        """All that later checks depend on, JSON-able."""
        return {
            "counts": dict(self.counts),
            "lr": self._lr,
            "healthy_lrs": list(self._healthy_lrs),
            "healthy_losses": list(self._healthy_losses),
            "high_in_a_row": self._high_in_a_row,
            "nonfinite": self._nonfinite,
            "holding": self._holding,
            "fallback_lr": self._fallback_lr,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a guard with the same arguments."""
        self.counts = {str(key): int(count) for key, count in state["counts"].items()}
        self._lr = float(state["lr"])
        self._healthy_lrs = [float(lr) for lr in state["healthy_lrs"]]
        self._healthy_losses = [float(loss) for loss in state["healthy_losses"]]
        self._high_in_a_row = int(state["high_in_a_row"])
        self._nonfinite = int(state["nonfinite"])
        self._holding = int(state["holding"])
        self._fallback_lr = float(state["fallback_lr"])


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
