"""Trains in each round with the same chance."""

from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.draws import uniforms
from olrl.monitor.signals import Signals

_KEY = 1 << 60  # of its draws, apart from those of the memory


@dataclass(frozen=True, kw_only=True)
class SkipRandomSettings:
    """`share` of the rounds that train, on average, above 0, at most 1; `seed` of the draws, at least 0."""

    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed!r}")


def share_that_trains(count: int, *, rounds: int, seed: int) -> float:
    """The share at which exactly `count` of the first `rounds` rounds train, 1 ≤ count ≤ rounds.

    >>> signals = Signals(lr=1e-3, batch_size=8, window=8)
    >>> settings = SkipRandomSettings(share=share_that_trains(30, rounds=100, seed=5), seed=5)
    >>> controller = SkipRandom(base=Base(lr=1e-3), settings=settings)
    >>> sum(controller.decide(signals).update for _ in range(100))
    30
    """
    luck = sorted(float(uniforms(seed, _KEY, k)[0]) for k in range(rounds))
    return (luck[count - 1] + luck[count]) / 2 if count < rounds else 1.0


class SkipRandom(Controller):
    """The base configuration in rounds drawn by (seed, round), and no training in the others.

    Draws are keyed, so a higher share trains in the same rounds and in more.

    >>> signals = Signals(lr=1e-3, batch_size=8, window=8)
    >>> controller = SkipRandom(base=Base(lr=1e-3), settings=SkipRandomSettings(share=0.25))
    >>> sum(controller.decide(signals).update for _ in range(1000)) // 10
    24
    """

    def __init__(self, *, base: Base, settings: SkipRandomSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or SkipRandomSettings()
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The base, to train under or not."""
        luck = float(uniforms(self.settings.seed, _KEY, self._round)[0])
        self._round += 1
        return self.base.decision(update=luck < self.settings.share)

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])
