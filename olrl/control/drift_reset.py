"""After an alarm the learning rate is raised and the window cut; both find back with time."""

import math
from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import MAX_LR_NOTCHES, WINDOWS, Base, Decision
from olrl.monitor.signals import Signals


@dataclass(frozen=True, kw_only=True)
class DriftResetSettings:
    """What an alarm does.

    lr_up: factor on the base rate at the alarm, from 1/64 to 64.
    lr_rest: factor on the base rate that it decays to, from 1/64 to 64; below 1, a calm stream is learned
        more slowly than the base would, from the first alarm on.
    half_life: rounds in which log lr covers half of the way to its rest, above 0.
    cut_window: window after an alarm, one of the ladder; never larger than the base's, so that a base window
        of 1 leaves nothing to cut and the rate alone reacts.
    grow_every: rounds until the window grows by a step, at least 1.
    min_gap: rounds after an alarm in which further ones count as its echo, at least 0.
    """

    lr_up: float = 4.0
    lr_rest: float = 1.0
    half_life: float = 6.0
    cut_window: int = 2
    grow_every: int = 4
    min_gap: int = 8

    def __post_init__(self) -> None:
        largest = 2.0**MAX_LR_NOTCHES
        for name in ("lr_up", "lr_rest"):
            if not 1 / largest <= getattr(self, name) <= largest:
                raise ValueError(f"{name} must be from 1/64 to 64, not {getattr(self, name)!r}")
        if not (math.isfinite(self.half_life) and self.half_life > 0):
            raise ValueError(f"half_life must be a positive number of rounds, not {self.half_life!r}")
        if self.cut_window not in WINDOWS:
            raise ValueError(f"cut_window must be one of {WINDOWS}, not {self.cut_window!r}")
        for name, least in (("grow_every", 1), ("min_gap", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least} rounds, not {getattr(self, name)!r}")


class DriftReset(Controller):
    """The base until a detector fires; then the rate jumps up and decays, the window is cut and grows back.

    t rounds after an alarm, log lr = log rest + (log up − log rest) · 2^(−t / half_life).

    >>> settings = DriftResetSettings(lr_up=4, cut_window=1)
    >>> controller = DriftReset(base=Base(lr=1e-3, window=8), settings=settings)
    >>> quiet = Signals(lr=1e-3, batch_size=8, window=8)
    >>> alarm = Signals(alarms=("adwin",), lr=1e-3, batch_size=8, window=8)
    >>> [(d.lr, d.window) for d in map(controller.decide, [quiet, alarm])]
    [(0.001, 8), (0.004, 1)]
    """

    def __init__(self, *, base: Base, settings: DriftResetSettings | None = None) -> None:
        super().__init__(base=base)
        self.settings = settings or DriftResetSettings()
        self._since: int | None = None  # rounds since the alarm that was acted on

    def decide(self, signals: Signals) -> Decision:
        """The base, or the way back to it."""
        if self._since is not None:
            self._since += 1
        if signals.alarms and (self._since is None or self._since > self.settings.min_gap):
            self._since = 0
        if self._since is None:
            return self.base.decision()
        return Decision(
            lr=self.base.lr * self._factor(self._since),
            batch_size=self.base.batch_size,
            window=self._window(self._since),
            weight_decay=self.base.weight_decay,
            pull=self.base.pull,
        )

    def _factor(self, since: int) -> float:
        s = self.settings
        return s.lr_rest * math.pow(s.lr_up / s.lr_rest, math.pow(2.0, -since / s.half_life))

    def _window(self, since: int) -> int:
        base = WINDOWS.index(self.base.window)
        position = WINDOWS.index(self.settings.cut_window) + since // self.settings.grow_every
        return WINDOWS[min(position, base)]

    def state_dict(self) -> dict[str, Any]:
        """Rounds since the alarm that was acted on."""
        return {"since": self._since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._since = None if state["since"] is None else int(state["since"])
