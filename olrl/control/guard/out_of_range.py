"""Signals that a policy was never trained on, or that cannot be measurements."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.guard.settings import GuardSettings
from olrl.control.training_range import TrainingRange
from olrl.monitor.signals import Signals

_SETTLING = 10  # rounds before the features' averages mean anything, as where the range was measured
# What is measured anew after each training round, as a number of many bits: never twice the same.
_NEVER_TWICE = (
    *("loss_nats", "loss_std", "train_loss_nats", "grad_norm"),
    *("grad_snr", "grad_cos", "update_ratio"),
)
# Of each group of features, the signal that it is made of: where it is missing they may be 0.
MEASURED = {"loss": "loss_nats", "train_loss": "train_loss_nats"} | {
    name: name
    for name in ("loss_std", "grad_norm", "grad_snr", "grad_cos", "update_ratio", "old_new_gap", "hist_shift")
}


class OutOfRange:
    """Whether a policy's decisions can be trusted, from what they were made from, with hysteresis.

    Out: features outside of the training range, or a signal frozen to the last bit, for `enter` rounds in a row
    (a frozen one, `frozen` rounds). Back in: `leave` rounds in a row without either. Without a range only frozen
    signals are found. The first ten rounds are never out.

    `stale`: features have been outside for `forget` rounds in a row, and it may be their memory that is. Whoever
    owns them begins them anew; until they have settled nobody is back in.
    """

    def __init__(self, training_range: TrainingRange | None, settings: GuardSettings) -> None:
        self._range = training_range
        self._settings = settings
        self._rounds = 0
        self._out_in_a_row = self._in_in_a_row = 0
        self._is_out = False
        self.stale = False
        self._last: list[float | None] = [None] * len(_NEVER_TWICE)
        self._same = [0] * len(_NEVER_TWICE)

    def check(self, observed: NDArray[np.float64], signals: Signals) -> str | None:
        """Why the decision made from `observed`, shape (features,), is not to be trusted; None if it is."""
        self._rounds += 1
        reason = self._frozen(signals)
        frozen = reason is not None
        if reason is None and self._range is not None and self._rounds > _SETTLING:
            missing = [group for group, name in MEASURED.items() if getattr(signals, name) is None]
            reason = self._range.trouble(observed, missing=missing)
        self.stale = False
        if reason is None:
            return self._inside()
        self._out_in_a_row, self._in_in_a_row = self._out_in_a_row + 1, 0
        self._is_out = self._is_out or frozen or self._out_in_a_row >= self._settings.enter
        if not frozen and self._out_in_a_row >= max(self._settings.forget, self._settings.enter):
            self.stale, self._rounds, self._out_in_a_row = True, 0, 0
        return reason if self._is_out else None

    def _inside(self) -> str | None:
        self._out_in_a_row = 0
        if self._rounds > _SETTLING or not self._is_out:
            self._in_in_a_row += 1
        if self._is_out and self._in_in_a_row >= self._settings.leave:
            self._is_out = False
        return "signals were out of the training range just now" if self._is_out else None

    def _frozen(self, signals: Signals) -> str | None:
        if not signals.updates or signals.gradient_age:
            return None  # what did not train measures nothing new
        found = None
        for k, name in enumerate(_NEVER_TWICE):
            value = getattr(signals, name)
            if name == "loss_std" and value == 0:
                value = None  # the spread over a chunk of one example
            self._same[k] = self._same[k] + 1 if value is not None and value == self._last[k] else 0
            self._last[k] = value
            if self._same[k] >= self._settings.frozen - 1:
                found = f"{name} is frozen"
        return found

    def state_dict(self) -> dict[str, Any]:
        """JSON-able."""
        finite = [None if last is None or not np.isfinite(last) else last for last in self._last]
        return {
            "rounds": self._rounds,
            "out_in_a_row": self._out_in_a_row,
            "in_in_a_row": self._in_in_a_row,
            "is_out": self._is_out,
            "last": finite,
            "same": list(self._same),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._rounds = int(state["rounds"])
        self._out_in_a_row = int(state["out_in_a_row"])
        self._in_in_a_row = int(state["in_in_a_row"])
        self._is_out = bool(state["is_out"])
        self._last = [None if last is None else float(last) for last in state["last"]]
        self._same = [int(count) for count in state["same"]]
