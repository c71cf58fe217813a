"""Trains when what not training has cost so far is more than what training costs."""

import math
from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals


@dataclass(frozen=True, kw_only=True)
class SkipCostAwareSettings:
    """When the cost of being stale counts as high, and how it is measured.

    threshold: of the cost of training, as a factor; above 0. Tuned for a kind of stream.
    rounds: that train once it is reached, at least 1; their cost together is what is compared.
    smooth: rounds after training that the level of a fresh model is averaged over, at least 1.
    """

    threshold: float = 1.0
    rounds: int = 2
    smooth: float = 10.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(f"threshold must be positive, not {self.threshold!r}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {self.rounds!r}")
        if not (math.isfinite(self.smooth) and self.smooth >= 1):
            raise ValueError(f"smooth must be at least 1 round, not {self.smooth!r}")


class SkipCostAware(Controller):
    """The base configuration in rounds in which staleness, summed up, has come to cost more than training does.

    After Mahadevan and Mathioudakis, 2024, "Cost-aware retraining for machine learning", by their rule of a
    cumulative threshold: a model is retrained once the cost of its staleness since the last time is above a
    threshold that was tuned offline. Written from their description. Theirs estimates staleness from how similar
    queries are to labelled data, times the loss on these; here every round's text is its own label, and staleness
    is measured: how much higher the loss is than its mean in rounds after training, relative to that. It is summed
    with its sign (at least to 0), so that noise cancels. A round of training costs its share of the budget times
    `price` of the signals, in the same unit; the threshold is that times `threshold` times `rounds`. Where training
    has no price, every round trains.

    >>> controller = SkipCostAware(base=Base(lr=1e-3), settings=SkipCostAwareSettings(rounds=1))
    >>> losses = [2.0, 2.0, 2.0, 2.01, 2.01, 2.03, 2.0]  # training costs 2 %, so much too high they are
    >>> rounds = [Signals(loss_nats=x, lr=1e-3, batch_size=8, window=8, spent=64, price=0.02) for x in losses]
    >>> [controller.decide(signals).update for signals in rounds]
    [True, False, False, False, False, True, False]
    """

    def __init__(self, *, base: Base, settings: SkipCostAwareSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or SkipCostAwareSettings()
        self._left = self.settings.rounds  # rounds that still train
        self._level: float | None = None  # mean loss of a model that was just trained
        self._stale = 0.0  # cost of staleness since then, as a share of the loss
        self._trained = False
        self._share = 1.0  # of the budget that a round of training spends

    def decide(self, signals: Signals) -> Decision:
        """The base, to train under or not."""
        if self._trained and signals.spent > 0:
            self._share = signals.spent / signals.budget
        self._measure(signals.loss_nats)
        due = self.settings.threshold * self.settings.rounds * signals.price * self._share
        if self._stale >= due and not self._left:
            self._left = self.settings.rounds
        self._trained = self._left > 0
        if self._trained:
            self._left -= 1
            self._stale = 0.0
        return self.base.decision(update=self._trained)

    def _measure(self, loss: float | None) -> None:
        """Take a loss into the level of a fresh model, if it is one, and into what staleness costs."""
        if loss is None or not math.isfinite(loss) or loss <= 0:
            return
        if self._level is None:
            self._level = loss
        elif self._trained:
            self._level += (loss - self._level) / self.settings.smooth
        self._stale = max(self._stale + loss / self._level - 1.0, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Rounds left to train, level, staleness, and what training spends."""
        return {
            "left": self._left,
            "level": self._level,
            "stale": self._stale,
            "trained": self._trained,
            "share": self._share,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._left = int(state["left"])
        self._level = None if state["level"] is None else float(state["level"])
        self._stale, self._share = float(state["stale"]), float(state["share"])
        self._trained = bool(state["trained"])
