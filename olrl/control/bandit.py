"""A bandit chooses between constant decisions by the losses that followed them."""

import math
from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.draws import uniforms
from olrl.monitor.signals import Signals

_RATES = tuple(2.0**k for k in range(-4, 5))  # factors on the base rate
_WINDOWS = (1, 8, 0)
_PULLS = 1 << 61  # keys of a pull's draw, apart from those of the memory


@dataclass(frozen=True, kw_only=True)
class BanditSettings:
    """What is chosen from, and how.

    windows: whether an arm is a rate and a window (1, 8 or the reservoir), or a rate alone.
    explore: share of pulls that go to any arm (Exp3's γ), above 0, at most 1.
    eta: how fast weights follow rewards, above 0, at most 1.
    share: part of all weight that is shared out anew at each pull (α), from 0 to 1: what was bad can come back.
    hold: rounds that a pull lasts, at least 1: the loss right after a change says little about it.
    span: relative change of the loss that is worth half of a reward, above 0.
    seed: of the pulls.
    """

    windows: bool = False
    explore: float = 0.1
    eta: float = 0.1
    share: float = 0.02
    hold: int = 3
    span: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("explore", "eta"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {getattr(self, name)!r}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be from 0 to 1, not {self.share!r}")
        if self.hold < 1:
            raise ValueError(f"hold must be at least 1 round, not {self.hold!r}")
        if not (math.isfinite(self.span) and self.span > 0):
            raise ValueError(f"span must be positive, not {self.span!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed!r}")


class Bandit(Controller):
    """Exp3.S over a ladder of constant decisions: exponential weights of which a part is shared out anew.

    Auer et al., 2002, "The nonstochastic multiarmed bandit problem"; the sharing is fixed share (Herbster and
    Warmuth, 1998, "Tracking the best expert"). Where Exp3's weights follow rewards at the rate γ / K, here they
    have a rate of their own, and rewards count from ½: streams are short.

    Arms are rates base · 2^k for k in −4 … 4, with `windows` each under three windows; batch size, and else
    the window, are the base's. A pull's reward is ½ + ½ · (running loss − mean loss) / (span · running loss),
    within [0, 1], over the losses that its updates could change; the running loss averages over 20 rounds.

    >>> controller = Bandit(base=Base(lr=1e-3), settings=BanditSettings(hold=1))
    >>> signals = Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8)
    >>> len({controller.decide(signals).lr for _ in range(40)})
    9
    """  # the name of the method belongs to the first sentence

    def __init__(self, *, base: Base, settings: BanditSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or BanditSettings()
        windows = _WINDOWS if self.settings.windows else (base.window,)
        self._arms = [(factor, window) for factor in _RATES for window in windows]
        self._weights = [1.0 / len(self._arms)] * len(self._arms)  # they sum to 1
        self._arm: int | None = None
        self._pull = 0
        self._losses: list[float] = []  # of the pull
        self._held = 0  # rounds of the pull
        self._running: float | None = None

    def decide(self, signals: Signals) -> Decision:
        """The arm that is held, or the next one."""
        loss = signals.loss_nats
        if loss is not None and 0 < loss < math.inf:
            if self._arm is not None:
                self._losses.append(loss)
            before = loss if self._running is None else self._running
            self._running = before + (loss - before) / 20
        if self._arm is None or self._held >= self.settings.hold:
            if self._arm is not None:
                self._learn(self._arm)
            self._arm, self._held, self._losses = self._draw(), 0, []
            self._pull += 1
        self._held += 1
        factor, window = self._arms[self._arm]
        return Decision(
            lr=self.base.lr * factor,
            batch_size=self.base.batch_size,
            window=window,
            weight_decay=self.base.weight_decay,
            pull=self.base.pull,
        )

    def _chances(self) -> list[float]:
        explore = self.settings.explore
        return [(1 - explore) * weight + explore / len(self._arms) for weight in self._weights]

    def _draw(self) -> int:
        luck = float(uniforms(self.settings.seed, _PULLS, self._pull)[0])
        for arm, chance in enumerate(self._chances()):
            luck -= chance
            if luck < 0:
                return arm
        return len(self._arms) - 1

    def _learn(self, arm: int) -> None:
        if not self._losses or self._running is None:
            return
        gain = self._running - sum(self._losses) / len(self._losses)
        reward = min(max(0.5 + 0.5 * gain / (self.settings.span * self._running), 0.0), 1.0)
        count = len(self._arms)
        estimate = (reward - 0.5) / self._chances()[arm]
        weights = list(self._weights)
        weights[arm] *= math.exp(min(max(self.settings.eta * estimate, -20.0), 20.0))
        total = sum(weights)
        share = self.settings.share
        self._weights = [(1 - share) * weight / total + share / count for weight in weights]

    def state_dict(self) -> dict[str, Any]:
        """Weights, the arm in force and what it has earned."""
        return {
            "weights": list(self._weights),
            "arm": self._arm,
            "pull": self._pull,
            "losses": list(self._losses),
            "held": self._held,
            "running": self._running,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._weights = [float(weight) for weight in state["weights"]]
        self._losses = [float(loss) for loss in state["losses"]]
        self._arm = None if state["arm"] is None else int(state["arm"])
        self._pull, self._held = int(state["pull"]), int(state["held"])
        self._running = None if state["running"] is None else float(state["running"])
