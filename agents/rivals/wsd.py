"""The rate rises, stays, and falls to the end of the stream, which it knows."""

from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.monitor.signals import Signals

from .entrant import Conditions, Entrant
from .space import Choice, LogUniform


@dataclass(frozen=True, kw_only=True)
class WSDSettings:
    """Warm-up, stay, decay.

    peak: factor on the base rate between warm-up and decay, from 1/64 to 64.
    warmup, decay: shares of all rounds, from 0 to 1 and at most 1 together.
    end: factor on the peak that warm-up starts from and decay ends at, from 0 to 1.
    """

    peak: float = 1.0
    warmup: float = 0.05
    decay: float = 0.2
    end: float = 0.05

    def __post_init__(self) -> None:
        if not 1 / 64 <= self.peak <= 64:
            raise ValueError(f"peak must be from 1/64 to 64, not {self.peak!r}")
        if not (self.warmup >= 0 and self.decay >= 0 and self.warmup + self.decay <= 1):
            raise ValueError(
                f"warmup and decay are shares of at most 1 together, not {self.warmup!r}, {self.decay!r}"
            )
        if not 0 <= self.end <= 1:
            raise ValueError(f"end must be from 0 to 1, not {self.end!r}")


class WSD(Controller):
    """Linear up to the peak, constant, linear down, within base / 64 and 64 · base.

    Hu et al., 2024, "MiniCPM: unveiling the potential of small language models with scalable training
    strategies"; numbers as of transformers' `get_wsd_schedule` with linear warm-up and decay.

    >>> settings = WSDSettings(warmup=0.25, decay=0.5, end=0.5)
    >>> controller = WSD(base=Base(lr=1.0), rounds=8, settings=settings)
    >>> signals = Signals(lr=1.0, batch_size=8, window=8)
    >>> [round(controller.decide(signals).lr, 3) for _ in range(8)]
    [0.5, 0.75, 1.0, 1.0, 1.0, 0.875, 0.75, 0.625]
    """

    def __init__(self, *, base: Base, rounds: int, settings: WSDSettings | None = None) -> None:
        super().__init__(base=base)
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {rounds!r}")
        self.settings = settings or WSDSettings()
        self._warmup = round(self.settings.warmup * rounds)
        self._decay = min(round(self.settings.decay * rounds), rounds - self._warmup)
        self._stays_until = rounds - self._decay
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The base with the round's rate; after the last round that of the end."""
        share = self._share(self._round)
        self._round += 1
        factor = self.settings.peak * (self.settings.end + (1.0 - self.settings.end) * share)
        return replace(self.base.decision(), lr=self.base.lr * min(max(factor, 1 / 64), 64.0))

    def _share(self, t: int) -> float:
        """How far from the end's rate (0) to the peak (1)."""
        if t < self._warmup:
            return t / self._warmup
        if t < self._stays_until or not self._decay:
            return 1.0
        return max(1.0 - (t - self._stays_until) / self._decay, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])


class _WSDEntrant(Entrant):
    def controller(self, given: Conditions) -> Controller:
        """With the true number of rounds."""
        return WSD(base=given.base, rounds=given.rounds, settings=WSDSettings(**given.settings))


WSD_RIVAL = _WSDEntrant(
    name="wsd",
    description="rate warms up, stays, and decays to the end of the stream",
    privileges=("horizon",),
    space={
        "peak": LogUniform(low=0.5, high=8),
        "warmup": Choice(options=(0.0, 0.02, 0.05, 0.1)),
        "decay": Choice(options=(0.1, 0.2, 0.4, 0.6, 0.8)),
        "end": Choice(options=(0.02, 0.05, 0.1, 0.3)),
    },
)
