"""The rate falls along half a cosine to the end of the stream, which it knows."""

import math
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals

from .entrant import Conditions, Entrant
from .space import LogUniform


@dataclass(frozen=True, kw_only=True)
class CosineSettings:
    """`start` and `end`: factors on the base rate in the first round and after the last, from 1/64 to 64."""

    start: float = 1.0
    end: float = 1 / 64

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if not 1 / 64 <= getattr(self, name) <= 64:
                raise ValueError(f"{name} must be from 1/64 to 64, not {getattr(self, name)!r}")


class Cosine(Controller):
    """lr = base · (end + (start − end) · (1 + cos(π t / rounds)) / 2) in round t of `rounds`.

    Loshchilov and Hutter, 2017, "SGDR: stochastic gradient descent with warm restarts", without restarts.

    >>> controller = Cosine(base=Base(lr=1.0), rounds=4, settings=CosineSettings(start=1, end=0.5))
    >>> signals = Signals(lr=1.0, batch_size=8, window=8)
    >>> [round(controller.decide(signals).lr, 3) for _ in range(4)]
    [1.0, 0.927, 0.75, 0.573]
    """

    def __init__(self, *, base: Base, rounds: int, settings: CosineSettings | None = None) -> None:
        super().__init__(base=base)
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {rounds!r}")
        self.rounds = rounds
        self.settings = settings or CosineSettings()
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The base with the round's rate; after the last round that of the end."""
        start, end = self.settings.start, self.settings.end
        share = min(self._round / self.rounds, 1.0)
        self._round += 1
        factor = end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
        return replace(self.base.decision(), lr=self.base.lr * factor)

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])


class _CosineEntrant(Entrant):
    def controller(self, given: Conditions) -> Controller:
        """With the true number of rounds."""
        return Cosine(base=given.base, rounds=given.rounds, settings=CosineSettings(**given.settings))


COSINE = _CosineEntrant(
    name="cosine",
    description="rate falls along half a cosine to the end of the stream",
    privileges=("horizon",),
    space={"start": LogUniform(low=0.5, high=8), "end": LogUniform(low=1 / 64, high=1)},
)
