"""The batch size follows the gradient noise scale."""

import math
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import BATCH_SIZES, Base, Decision
from olrl.monitor.signals import Signals

_SMALLEST = 1e-6  # of a ratio of signal to noise, and its largest is 1 over this


@dataclass(frozen=True, kw_only=True)
class GNSBatchSettings:
    """How the noise scale becomes a batch size.

    scale: batch size over noise scale, from 1/1024 to 1024.
    smooth: rounds that the signal-to-noise ratio is averaged over (exponentially, weight 1/smooth), at least 1.
    lr_power: the rate is multiplied with (batch size / base batch size) to this power, from 0 (it stays) to 1
        (in proportion); 0.5 is the square-root rule.
    """

    scale: float = 1.0
    smooth: float = 20.0
    lr_power: float = 0.0

    def __post_init__(self) -> None:
        if not 2.0**-10 <= self.scale <= 2.0**10:
            raise ValueError(f"scale must be from 1/1024 to 1024, not {self.scale!r}")
        if not (math.isfinite(self.smooth) and self.smooth >= 1):
            raise ValueError(f"smooth must be at least 1 round, not {self.smooth!r}")
        if not 0 <= self.lr_power <= 1:
            raise ValueError(f"lr_power must be from 0 to 1, not {self.lr_power!r}")


class GNSBatch(Controller):
    """Batch size = scale · noise scale, on the ladder 1, 2, 4, … 64; the base's until a gradient was measured.

    The simple noise scale tr(Σ) / |G|² is the batch size at which signal and noise of the gradient are equal
    (McCandlish et al., 2018, "An empirical model of large-batch training"): 1 over `grad_snr`. That is an
    estimate from two half-batches, negative through chance half of the time when noise prevails, so the ratio
    is averaged over rounds before it is inverted.

    >>> controller = GNSBatch(base=Base(lr=1e-3, batch_size=8))
    >>> signals = Signals(grad_snr=1 / 30, gradient_age=0, lr=1e-3, batch_size=8, window=8)
    >>> controller.decide(signals).batch_size
    32
    """

    def __init__(self, *, base: Base, settings: GNSBatchSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or GNSBatchSettings()
        self._snr: float | None = None

    def decide(self, signals: Signals) -> Decision:
        """The base with the batch size of the noise as it is averaged so far."""
        snr = signals.grad_snr
        if snr is not None and math.isfinite(snr) and not signals.gradient_age:
            bounded = min(max(snr, -1 / _SMALLEST), 1 / _SMALLEST)
            before = bounded if self._snr is None else self._snr
            self._snr = before + (bounded - before) / self.settings.smooth
        if self._snr is None:
            return self.base.decision()
        wanted = self.settings.scale / max(self._snr, _SMALLEST)
        step = round(math.log2(min(max(wanted, BATCH_SIZES[0]), BATCH_SIZES[-1])))
        size = BATCH_SIZES[step]
        factor = (size / self.base.batch_size) ** self.settings.lr_power
        return replace(self.base.decision(), lr=self.base.lr * factor, batch_size=size)

    def state_dict(self) -> dict[str, Any]:
        """The averaged ratio."""
        return {"snr": self._snr}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._snr = None if state["snr"] is None else float(state["snr"])
