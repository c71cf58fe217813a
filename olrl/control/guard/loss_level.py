"""What the loss usually is, and when it is so far above that the round is rejected."""

from collections.abc import Mapping
from statistics import median
from typing import Any, Literal

from olrl.control.guard.settings import GuardSettings

REMEMBERED = 20  # healthy rounds
_ROBUST = 1.4826  # median absolute deviations of a normal distribution in its standard deviation


class LossLevel:
    """Median and median absolute deviation of the last 20 healthy losses, with a latch.

    A loss far above is rejected and does not enter; three rejections in a row (`new_level`) are a new level of the
    stream, and the level begins anew with the third. What is not finite must not be given at all.

    >>> level = LossLevel(GuardSettings())
    >>> [level.check(loss) for loss in (2.0, 2.1, 1.9, 200.0, 2.0, 9.0, 9.0, 9.0, 9.0)][3:]
    ['high', 'usual', 'high', 'high', 'new level', 'usual']
    """

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        self._losses: list[float] = []
        self._high_in_a_row = 0

    @property
    def usual(self) -> float | None:
        """The median of healthy losses, nats a token; None before the first."""
        return median(self._losses) if self._losses else None

    def check(self, loss_nats: float) -> Literal["usual", "high", "new level"]:
        """Whether a finite loss is as usual; if it is, it becomes part of what is."""
        verdict: Literal["usual", "high", "new level"] = "usual"
        if self._is_high(loss_nats):
            self._high_in_a_row += 1
            if self._high_in_a_row < self._settings.new_level:
                return "high"
            self._losses, verdict = [], "new level"
        self._high_in_a_row = 0
        self._losses = [*self._losses[1 - REMEMBERED :], loss_nats]
        return verdict

    def forgive(self) -> None:
        """A rejection had another reason than the stream: it does not count towards a new level."""
        self._high_in_a_row = 0

    def _is_high(self, loss: float) -> bool:
        losses, ratio = self._losses, self._settings.loss_ratio
        # The least of them is looked at first, since medians take microseconds and are seldom needed.
        if not losses or loss <= ratio * min(losses):
            return False
        middle = median(losses)
        spread = _ROBUST * median(abs(one - middle) for one in losses)
        return loss > max(ratio * middle, middle + self._settings.loss_deviations * spread)

    def state_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"losses": list(self._losses), "high_in_a_row": self._high_in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._losses = [float(loss) for loss in state["losses"]]
        self._high_in_a_row = int(state["high_in_a_row"])
